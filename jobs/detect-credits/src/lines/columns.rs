//! The columns of one batch, typed, and what is known about the dictionaries of a part's columns.

use cur_reader::{
    AmountColumn, DayColumn, DictionaryMemo, PeriodMemo, RawBatch, RawColumn, ReadError, TextColumn, account_ids,
    bad_column, invoice_ids,
};

use super::candidates::{KeyedCandidates, KeyedColumns};
use super::classify::LineType;
use crate::columns::{KeyedSources, Layout, Role};
use crate::rules::{RuleMatcher, attribute, snake, tag_key};

/// The typed columns of one batch.
pub(super) struct Columns {
    pub(super) period: DayColumn,
    pub(super) payer: TextColumn,
    pub(super) account: TextColumn,
    pub(super) start: DayColumn,
    pub(super) line_type: TextColumn,
    pub(super) description: TextColumn,
    pub(super) cost: AmountColumn,
    pub(super) currency: Option<TextColumn>,
    pub(super) services: Vec<TextColumn>,
    pub(super) regions: Vec<TextColumn>,
    pub(super) product: KeyedColumns,
    pub(super) billing_entity: Option<TextColumn>,
    pub(super) publisher: Option<TextColumn>,
    pub(super) invoice_issuer: Option<TextColumn>,
    pub(super) invoice: Option<TextColumn>,
    pub(super) reservation_arn: Option<TextColumn>,
    pub(super) savings_plan_arn: Option<TextColumn>,
    pub(super) charge_class: Option<TextColumn>,
    pub(super) charge_frequency: Option<TextColumn>,
    pub(super) commitment_id: Option<TextColumn>,
    /// Those of a role in the order in which they count.
    pub(super) amounts: Vec<(Role, Vec<(usize, AmountColumn)>)>,
    pub(super) tags: KeyedColumns,
    pub(super) categories: KeyedColumns,
}

impl Columns {
    pub(super) fn new(file: &str, layout: &Layout, batch: &RawBatch) -> Result<Self, ReadError> {
        let name = |at: usize| layout.projection.get(at).map_or("", String::as_str);
        let column = |at: usize| batch.columns.get(at).ok_or_else(|| "is missing".to_owned());
        let text =
            |at: usize| column(at).and_then(RawColumn::text).map_err(|message| bad_column(file, name(at), message));
        let texts = |at: &[usize]| at.iter().map(|at| text(*at)).collect::<Result<Vec<_>, _>>();
        let some_text = |at: Option<usize>| at.map(text).transpose();
        let day =
            |at: usize| column(at).and_then(RawColumn::day).map_err(|message| bad_column(file, name(at), message));
        let amount =
            |at: usize| column(at).and_then(RawColumn::amount).map_err(|message| bad_column(file, name(at), message));
        let accounts =
            |at: usize| column(at).and_then(account_ids).map_err(|message| bad_column(file, name(at), message));
        let invoices =
            |at: usize| column(at).and_then(invoice_ids).map_err(|message| bad_column(file, name(at), message));
        let map =
            |at: usize| column(at).and_then(RawColumn::map).map_err(|message| bad_column(file, name(at), message));
        let keyed = |sources: &KeyedSources| {
            let maps = sources.maps.iter().map(|at| Ok((*at, map(*at)?))).collect::<Result<_, ReadError>>()?;
            let columns =
                sources.columns.iter().map(|(key, at)| Ok((*key, text(*at)?))).collect::<Result<_, ReadError>>()?;
            Ok::<_, ReadError>(KeyedColumns { maps, columns })
        };
        Ok(Self {
            period: day(layout.period)?,
            payer: accounts(layout.payer)?,
            account: accounts(layout.account)?,
            start: day(layout.start)?,
            line_type: text(layout.line_type)?,
            description: text(layout.description)?,
            cost: amount(layout.cost)?,
            currency: some_text(layout.currency)?,
            services: texts(&layout.service)?,
            regions: texts(&layout.region)?,
            product: keyed(&layout.product)?,
            billing_entity: some_text(layout.billing_entity)?,
            publisher: some_text(layout.publisher)?,
            invoice_issuer: some_text(layout.invoice_issuer)?,
            invoice: layout.invoice.map(invoices).transpose()?,
            reservation_arn: some_text(layout.reservation_arn)?,
            savings_plan_arn: some_text(layout.savings_plan_arn)?,
            charge_class: some_text(layout.charge_class)?,
            charge_frequency: some_text(layout.charge_frequency)?,
            commitment_id: some_text(layout.commitment_id)?,
            amounts: (layout.costs.columns.iter())
                .map(|(role, columns)| {
                    let columns = columns.iter().map(|at| Ok((*at, amount(*at)?))).collect::<Result<_, ReadError>>()?;
                    Ok((*role, columns))
                })
                .collect::<Result<_, ReadError>>()?,
            tags: keyed(&layout.tags)?,
            categories: keyed(&layout.categories)?,
        })
    }
}

pub(super) fn has(column: Option<&TextColumn>, row: usize) -> bool {
    column.is_some_and(|column| column.get(row).is_some())
}

/// An account that lines are grouped by, and its candidates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) name: u32,
    pub(super) candidates: u32,
    /// Fewer digits than an id has.
    pub(super) is_short: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Payer {
    pub(super) name: u32,
    pub(super) candidates: u32,
    /// Where a line names no account of its own.
    pub(super) as_account: Named,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    pub(super) name: u32,
    pub(super) candidates: u32,
    pub(super) is_ineligible: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Description {
    pub(super) name: u32,
    pub(super) is_refund: bool,
}

/// What is known about the dictionaries of the columns of one part.
pub(super) struct DictionaryMemos {
    pub(super) period: PeriodMemo,
    pub(super) start: DictionaryMemo<Option<i32>>,
    /// `None` for what is no account id.
    pub(super) payer: DictionaryMemo<Option<Payer>>,
    pub(super) account: DictionaryMemo<Option<Named>>,
    pub(super) services: Vec<DictionaryMemo<Service>>,
    pub(super) currency: DictionaryMemo<u32>,
    pub(super) line_type: DictionaryMemo<LineType>,
    pub(super) description: DictionaryMemo<Description>,
    pub(super) billing_entity: DictionaryMemo<bool>,
    /// Whether it is somebody else than AWS.
    pub(super) publisher: DictionaryMemo<bool>,
    pub(super) invoice: DictionaryMemo<u32>,
    pub(super) regions: Vec<DictionaryMemo<u32>>,
    pub(super) charge_class: DictionaryMemo<bool>,
    pub(super) charge_frequency: DictionaryMemo<bool>,
    pub(super) product: KeyedCandidates,
    pub(super) tags: KeyedCandidates,
    pub(super) categories: KeyedCandidates,
}

impl DictionaryMemos {
    pub(super) fn new(layout: &Layout, rules: &RuleMatcher) -> Self {
        let region = ["region".to_owned()].into();
        let keys = (rules.tag_keys(), rules.category_keys());
        let tags = KeyedCandidates::new(&layout.tags, keys.0, attribute::FIRST_KEYED, &["resource_tags_"], tag_key);
        let categories =
            KeyedCandidates::new(&layout.categories, keys.1, rules.first_category(), &["cost_category_"], snake);
        Self {
            period: PeriodMemo::default(),
            start: DictionaryMemo::default(),
            payer: DictionaryMemo::default(),
            account: DictionaryMemo::default(),
            services: layout.service.iter().map(|_| DictionaryMemo::default()).collect(),
            currency: DictionaryMemo::default(),
            line_type: DictionaryMemo::default(),
            description: DictionaryMemo::default(),
            billing_entity: DictionaryMemo::default(),
            publisher: DictionaryMemo::default(),
            invoice: DictionaryMemo::default(),
            regions: layout.region.iter().map(|_| DictionaryMemo::default()).collect(),
            charge_class: DictionaryMemo::default(),
            charge_frequency: DictionaryMemo::default(),
            product: KeyedCandidates::new(&layout.product, &region, attribute::REGION, &[], snake),
            tags,
            categories,
        }
    }

    /// Prepares for a batch.
    pub(super) fn rebind(&mut self, columns: &Columns) {
        columns.period.rebind(&mut self.period.entries);
        columns.start.rebind(&mut self.start);
        self.payer.rebind(&columns.payer);
        self.account.rebind(&columns.account);
        self.line_type.rebind(&columns.line_type);
        self.description.rebind(&columns.description);
        for (known, column) in self.services.iter_mut().zip(&columns.services) {
            known.rebind(column);
        }
        for (known, column) in self.regions.iter_mut().zip(&columns.regions) {
            known.rebind(column);
        }
        for (known, column) in [
            (&mut self.billing_entity, &columns.billing_entity),
            (&mut self.publisher, &columns.publisher),
            (&mut self.charge_class, &columns.charge_class),
            (&mut self.charge_frequency, &columns.charge_frequency),
        ] {
            if let Some(column) = column {
                known.rebind(column);
            }
        }
        for (known, column) in [(&mut self.currency, &columns.currency), (&mut self.invoice, &columns.invoice)] {
            if let Some(column) = column {
                known.rebind(column);
            }
        }
    }
}
