//! From the raw columns of a file to lines.

use std::collections::{BTreeMap, HashMap};

use arrow::record_batch::RecordBatch;
use credit_ledger::{BillingPeriod, Money};
use schemas::reference::{Problem, Problems};
use schemas::settings::{CostColumn, CreditSettings};

use super::measure::{LineFacts, MeasureRules, is_unknown};
use super::{Line, LineBuilder, Tally};
use crate::DetectError;
use crate::columns::{KeyedSources, Layout};
use crate::description::DescriptionParser;
use crate::raw::RawBatch;
use crate::rules::{LineAttributes, RuleMatcher, snake, tag_key};
use crate::values::{AmountColumn, BLANK, DayColumn, MapColumn, NoAmount, TextColumn, no_date};

/// Everything that turns raw rows into lines, for all files of a scan.
#[derive(Debug, Clone)]
pub struct LineReader {
    /// Currency of exports without one.
    pub currency: Option<String>,
    /// The configured cost column.
    pub cost: CostColumn,
    /// What a credit is and what it may offset.
    pub credits: CreditSettings,
    /// Parser of descriptions.
    pub descriptions: DescriptionParser,
    /// The cost rules.
    pub rules: RuleMatcher,
}

/// Results that recur from line to line. Bounded: forgotten when they grow large.
#[derive(Default)]
pub(crate) struct Memo {
    refund_class: HashMap<String, bool>,
    rule: HashMap<Vec<u8>, Option<usize>>,
}

const MEMO_ENTRIES: usize = 65_536;

/// The typed columns of one batch.
struct Columns<'a> {
    layout: &'a Layout,
    file: &'a str,
    names: &'a [String],
    period: DayColumn,
    payer: TextColumn,
    account: TextColumn,
    start: DayColumn,
    line_type: TextColumn,
    description: TextColumn,
    cost: AmountColumn,
    currency: Option<TextColumn>,
    service: Vec<TextColumn>,
    region: Vec<TextColumn>,
    product_map: Option<MapColumn>,
    billing_entity: Option<TextColumn>,
    reservation_arn: Option<TextColumn>,
    savings_plan_arn: Option<TextColumn>,
    charge_class: Option<TextColumn>,
    charge_frequency: Option<TextColumn>,
    commitment_id: Option<TextColumn>,
    amounts: BTreeMap<&'static str, (usize, AmountColumn)>,
    tags: Keyed,
    categories: Keyed,
}

struct Keyed {
    maps: Vec<(usize, MapColumn)>,
    columns: Vec<(usize, TextColumn)>,
    prefixes: &'static [&'static str],
    fold: fn(&str) -> String,
}

fn bad_column(file: &str, column: &str, message: String) -> DetectError {
    let column = Some(column.to_owned());
    Problems(vec![Problem { file: file.to_owned(), row: None, column, message }]).into()
}

impl<'a> Columns<'a> {
    fn new(file: &'a str, layout: &'a Layout, batch: &RawBatch) -> Result<Self, DetectError> {
        let names = layout.projection.as_slice();
        let name = |at: usize| names.get(at).map_or("", String::as_str);
        let array =
            |at: usize| batch.columns.get(at).ok_or_else(|| bad_column(file, name(at), "is missing".to_owned()));
        let text = |at: usize| TextColumn::new(array(at)?).map_err(|message| bad_column(file, name(at), message));
        let texts = |at: &[usize]| at.iter().map(|at| text(*at)).collect::<Result<Vec<_>, _>>();
        let some_text = |at: Option<usize>| at.map(text).transpose();
        let day = |at: usize| DayColumn::new(array(at)?).map_err(|message| bad_column(file, name(at), message));
        let amount = |at: usize| AmountColumn::new(array(at)?).map_err(|message| bad_column(file, name(at), message));
        let map = |at: usize| MapColumn::new(array(at)?).map_err(|message| bad_column(file, name(at), message));
        let keyed = |sources: &KeyedSources, prefixes: &'static [&'static str], fold: fn(&str) -> String| {
            let maps = sources.maps.iter().map(|at| Ok((*at, map(*at)?))).collect::<Result<_, DetectError>>()?;
            let columns =
                sources.columns.iter().map(|(key, at)| Ok((*key, text(*at)?))).collect::<Result<_, DetectError>>()?;
            Ok::<_, DetectError>(Keyed { maps, columns, prefixes, fold })
        };
        Ok(Self {
            layout,
            file,
            names,
            period: day(layout.period)?,
            payer: text(layout.payer)?,
            account: text(layout.account)?,
            start: day(layout.start)?,
            line_type: text(layout.line_type)?,
            description: text(layout.description)?,
            cost: amount(layout.cost)?,
            currency: some_text(layout.currency)?,
            service: texts(&layout.service)?,
            region: texts(&layout.region)?,
            product_map: layout.product_map.map(map).transpose()?,
            billing_entity: some_text(layout.billing_entity)?,
            reservation_arn: some_text(layout.reservation_arn)?,
            savings_plan_arn: some_text(layout.savings_plan_arn)?,
            charge_class: some_text(layout.charge_class)?,
            charge_frequency: some_text(layout.charge_frequency)?,
            commitment_id: some_text(layout.commitment_id)?,
            amounts: layout
                .amortized
                .iter()
                .map(|(role, at)| Ok((*role, (*at, amount(*at)?))))
                .collect::<Result<_, DetectError>>()?,
            tags: keyed(&layout.tags, &["resource_tags_"], tag_key)?,
            categories: keyed(&layout.categories, &["cost_category_"], snake)?,
        })
    }

    fn problem(&self, row: u64, at: usize, message: String) -> DetectError {
        let column = self.names.get(at).cloned();
        Problems(vec![Problem { file: self.file.to_owned(), row: Some(row), column, message }]).into()
    }

    fn period(&self, index: usize, row: u64) -> Result<BillingPeriod, DetectError> {
        let at = self.layout.period;
        let period = self.period.period(index).map_err(|text| self.problem(row, at, no_date(&text)))?;
        period.ok_or_else(|| self.problem(row, at, BLANK.to_owned()))
    }

    fn amount(&self, index: usize, row: u64, at: usize, column: &AmountColumn) -> Result<Option<Money>, DetectError> {
        column.get(index).map_err(|NoAmount { text, overflow }| {
            let message = if overflow { "is too large: more than 38 digits" } else { "is not an amount (1234.56)" };
            self.problem(row, at, format!("{text:?} {message}"))
        })
    }
}

impl LineReader {
    /// Reads a batch: lines of `periods` go to the result and to `tally`, others are left alone.
    pub(crate) fn read(
        &self,
        file: &str,
        layout: &Layout,
        batch: &RawBatch,
        periods: &[BillingPeriod],
        memo: &mut Memo,
        tally: &mut Tally,
    ) -> Result<RecordBatch, DetectError> {
        let columns = Columns::new(file, layout, batch)?;
        let mut lines = LineBuilder::default();
        for index in 0..batch.rows {
            let row = batch.first_row + index as u64;
            let period = columns.period(index, row)?;
            if periods.contains(&period) {
                self.read_line(&columns, index, row, period, memo, tally, &mut lines)?;
            }
        }
        lines.finish().map_err(|error| datafusion::error::DataFusionError::from(error).into())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one pass over a batch")]
    fn read_line(
        &self,
        columns: &Columns<'_>,
        index: usize,
        row: u64,
        period: BillingPeriod,
        memo: &mut Memo,
        tally: &mut Tally,
        lines: &mut LineBuilder,
    ) -> Result<(), DetectError> {
        let layout = columns.layout;
        let overflow = |_error| columns.problem(row, layout.cost, "the sum overflows 38 digits".to_owned());
        let start = columns.start.get(index).map_err(|text| columns.problem(row, layout.start, no_date(&text)))?;
        let usage_date = start.ok_or_else(|| columns.problem(row, layout.start, BLANK.to_owned()))?;
        let payer = columns.payer.get(index).ok_or_else(|| columns.problem(row, layout.payer, BLANK.to_owned()))?;
        let account = columns.account.get(index).unwrap_or(payer);
        let service = columns.service.iter().find_map(|column| column.get(index));
        let stated = columns.currency.as_ref().and_then(|column| column.get(index));
        let currency = stated.or(self.currency.as_deref()).ok_or_else(|| {
            let message = "is blank; set [source] currency if the export leaves it out".to_owned();
            columns.problem(row, layout.currency.unwrap_or(usize::MAX), message)
        })?;
        let cost = columns.amount(index, row, layout.cost, &columns.cost)?;
        let unblended = cost.unwrap_or_default();
        tally.add(period, currency, 1, unblended).map_err(overflow)?;
        if cost.is_none() {
            *tally.blank_costs.entry(period).or_default() += 1;
        }
        let line_type = columns.line_type.get(index);
        if is_unknown(layout.format, line_type) {
            let types = tally.unknown_line_types.entry(period).or_default();
            *types.entry(line_type.unwrap_or("(blank)").to_owned()).or_default() += 1;
        }
        let description = columns.description.get(index).filter(|_| line_type == Some("Credit"));
        let facts = LineFacts {
            format: layout.format,
            line_type,
            refund_class: line_type == Some("Credit") && self.is_refund_class(description, memo),
            unblended,
            amounts: self.amounts(columns, index, row)?,
            service,
            billing_entity: columns.billing_entity.as_ref().and_then(|column| column.get(index)),
            reservation: has(columns.reservation_arn.as_ref(), index),
            savings_plan: has(columns.savings_plan_arn.as_ref(), index),
            correction: columns.charge_class.as_ref().and_then(|column| column.get(index)) == Some("Correction"),
            one_time: columns.charge_frequency.as_ref().and_then(|column| column.get(index)) == Some("One-Time"),
            commitment: has(columns.commitment_id.as_ref(), index),
        };
        let measures = MeasureRules { cost: self.cost, credits: &self.credits }.measures(&facts).map_err(overflow)?;
        let rule_id = self.rule(columns, index, row, (period, payer, account, service), memo)?;
        lines.push(&Line {
            period,
            usage_date,
            payer_account_id: payer,
            account_id: account,
            service,
            currency,
            rule_id: rule_id.and_then(|position| self.rules.rule_id(position)),
            description: description.filter(|_| measures.is_credit),
            measures,
        });
        Ok(())
    }

    fn is_refund_class(&self, description: Option<&str>, memo: &mut Memo) -> bool {
        let text = description.unwrap_or_default();
        if let Some(known) = memo.refund_class.get(text) {
            return *known;
        }
        let refund = self.descriptions.is_refund(&self.descriptions.parse(description));
        if memo.refund_class.len() >= MEMO_ENTRIES {
            memo.refund_class.clear();
        }
        memo.refund_class.insert(text.to_owned(), refund);
        refund
    }

    fn amounts(
        &self,
        columns: &Columns<'_>,
        index: usize,
        row: u64,
    ) -> Result<BTreeMap<&'static str, Money>, DetectError> {
        let mut amounts = BTreeMap::new();
        if self.cost != CostColumn::Unblended {
            for (role, (at, column)) in &columns.amounts {
                amounts.insert(*role, columns.amount(index, row, *at, column)?.unwrap_or_default());
            }
        }
        Ok(amounts)
    }

    /// The first rule that takes the line, by position.
    fn rule(
        &self,
        columns: &Columns<'_>,
        index: usize,
        row: u64,
        (period, payer, account, service): (BillingPeriod, &str, &str, Option<&str>),
        memo: &mut Memo,
    ) -> Result<Option<usize>, DetectError> {
        let tags = columns.tags.values(columns, index, row, self.rules.tag_keys())?;
        let categories = columns.categories.values(columns, index, row, self.rules.category_keys())?;
        let mut region = columns.region.iter().find_map(|column| column.get(index)).map(str::to_owned);
        if let (None, Some(product)) = (&region, &columns.product_map) {
            let at = columns.layout.product_map.unwrap_or(usize::MAX);
            product
                .each(index, |key, value| {
                    if snake(key) == "region" {
                        region = Some(value.to_owned());
                    }
                })
                .map_err(|text| columns.problem(row, at, format!("{text:?} is not a JSON object")))?;
        }
        let key = memo_key(period, [Some(payer), Some(account), service, region.as_deref()], &tags, &categories);
        if let Some(known) = memo.rule.get(&key) {
            return Ok(*known);
        }
        let (tags, categories) = (borrowed(&tags), borrowed(&categories));
        let found = self.rules.first_match(&LineAttributes {
            period,
            payer_account_id: payer,
            account_id: account,
            service,
            region: region.as_deref(),
            tags: &tags,
            categories: &categories,
        });
        if memo.rule.len() >= MEMO_ENTRIES {
            memo.rule.clear();
        }
        memo.rule.insert(key, found);
        Ok(found)
    }
}

fn has(column: Option<&TextColumn>, index: usize) -> bool {
    column.is_some_and(|column| column.get(index).is_some())
}

fn borrowed(values: &[Option<String>]) -> Vec<Option<&str>> {
    values.iter().map(Option::as_deref).collect()
}

/// All values a rule may look at, each with its length, so that no two lines share a key by accident.
fn memo_key(
    period: BillingPeriod,
    plain: [Option<&str>; 4],
    tags: &[Option<String>],
    categories: &[Option<String>],
) -> Vec<u8> {
    let mut key = period.first_day().to_string().into_bytes();
    let keyed = tags.iter().chain(categories).map(Option::as_deref);
    for value in plain.into_iter().chain(keyed) {
        let length = value.map_or(u64::MAX, |value| value.len() as u64);
        key.extend_from_slice(&length.to_le_bytes());
        key.extend_from_slice(value.unwrap_or_default().as_bytes());
    }
    key
}

impl Keyed {
    /// The values of the wanted keys; of two sources that fold to one key the last non-blank wins.
    fn values(
        &self,
        columns: &Columns<'_>,
        index: usize,
        row: u64,
        wanted: &[String],
    ) -> Result<Vec<Option<String>>, DetectError> {
        let mut values = vec![None; wanted.len()];
        for (at, map) in &self.maps {
            let entry = |key: &str, value: &str| {
                let folded = snake(key);
                let bare = self.prefixes.iter().find_map(|prefix| folded.strip_prefix(prefix)).unwrap_or(&folded);
                let folded = (self.fold)(bare);
                if let Some(slot) = wanted.iter().position(|wanted| *wanted == folded).and_then(|at| values.get_mut(at))
                {
                    *slot = Some(value.to_owned());
                }
            };
            map.each(index, entry)
                .map_err(|text| columns.problem(row, *at, format!("{text:?} is not a JSON object")))?;
        }
        for (key, column) in &self.columns {
            if let (Some(value), Some(slot)) = (column.get(index), values.get_mut(*key)) {
                *slot = Some(value.to_owned());
            }
        }
        Ok(values)
    }
}
