//! From the raw columns of a file to summed lines.

use arrow::datatypes::Date32Type;
use credit_ledger::{BillingPeriod, Money};
use schemas::reference::{Problem, Problems};
use schemas::settings::{CostColumn, CreditSettings};

use super::cells::CellKey;
use super::claims::NoObject;
use super::columns::{Columns, Description, Known, Named, Payer, Service, has};
use super::measure::{Amounts, Kind, LineFacts, LineType, Marks, MeasureRules, is_listed};
use super::state::LineState;
use crate::DetectError;
use crate::columns::{Format, Layout};
use crate::description::DescriptionParser;
use crate::names::{NO_NAME, Names};
use crate::raw::RawBatch;
use crate::rules::{NO_CLAIM, RuleMatcher, attribute, snake};
use crate::values::{AmountColumn, BLANK, MapColumn, NoAmount, PerEntry, TextColumn, json_entries, no_date};

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

/// Reads one part of a file batch after batch, and remembers what its dictionaries hold.
pub(crate) struct PartReader<'a> {
    reader: &'a LineReader,
    names: &'a Names,
    layout: &'a Layout,
    file: &'a str,
    periods: &'a [BillingPeriod],
    /// Of the periods, as days since 1970.
    first_days: Vec<i32>,
    /// Where the export states none.
    currency: Option<u32>,
    known: Known<'a>,
}

impl<'a> PartReader<'a> {
    pub(crate) fn new(
        reader: &'a LineReader,
        names: &'a Names,
        file: &'a str,
        layout: &'a Layout,
        periods: &'a [BillingPeriod],
    ) -> Self {
        let currency = reader.currency.as_deref().map(|currency| names.number(currency));
        let first_days = periods.iter().map(|period| Date32Type::from_naive_date(period.first_day())).collect();
        Self { reader, names, layout, file, periods, first_days, currency, known: Known::new(layout, &reader.rules) }
    }

    /// Reads a batch: lines of the wanted periods are summed in `state`, others are left alone.
    pub(crate) fn read(&mut self, batch: &RawBatch, state: &mut LineState) -> Result<(), DetectError> {
        let columns = Columns::new(self.file, self.layout, batch)?;
        self.known.follow(&columns);
        for index in 0..batch.rows {
            let row = batch.first_row + index as u64;
            let period = self.period(&columns, index, row)?;
            if let Some(wanted) = self.periods.iter().position(|wanted| *wanted == period) {
                self.read_line(&columns, (index, row), wanted, state)?;
            }
        }
        Ok(())
    }

    fn problem(&self, row: u64, at: usize, message: String) -> DetectError {
        let column = self.layout.projection.get(at).cloned();
        Problems(vec![Problem { file: self.file.to_owned(), row: Some(row), column, message }]).into()
    }

    fn period(&mut self, columns: &Columns, index: usize, row: u64) -> Result<BillingPeriod, DetectError> {
        let at = self.layout.period;
        let period = columns.period.period(index, &mut self.known.period);
        let period = period.map_err(|text| self.problem(row, at, no_date(&text)))?;
        period.ok_or_else(|| self.problem(row, at, BLANK.to_owned()))
    }

    fn amount(&self, index: usize, row: u64, at: usize, column: &AmountColumn) -> Result<Option<Money>, DetectError> {
        column.get(index).map_err(|NoAmount { text, overflow }| {
            let message = if overflow { "is too large: more than 38 digits" } else { "is not an amount (1234.56)" };
            self.problem(row, at, format!("{text:?} {message}"))
        })
    }

    fn read_line(
        &mut self,
        columns: &Columns,
        (index, row): (usize, u64),
        wanted: usize,
        state: &mut LineState,
    ) -> Result<(), DetectError> {
        let layout = self.layout;
        let Some((period, first_day)) = self.periods.get(wanted).copied().zip(self.first_days.get(wanted).copied())
        else {
            return Ok(());
        };
        let start = columns.start.get(index, &mut self.known.start);
        let start = start.map_err(|text| self.problem(row, layout.start, no_date(&text)))?;
        let usage_date = start.ok_or_else(|| self.problem(row, layout.start, BLANK.to_owned()))?;
        let payer = self.payer(columns, index, state);
        let payer = payer.ok_or_else(|| self.problem(row, layout.payer, BLANK.to_owned()))?;
        let account = self.account(columns, index, state).unwrap_or(payer.as_account);
        let service = self.service(columns, index, state);
        let currency = self.currency(columns, index, state).ok_or_else(|| {
            let message = "is blank; set [source] currency if the export leaves it out".to_owned();
            self.problem(row, layout.currency.unwrap_or(usize::MAX), message)
        })?;
        let cost = self.amount(index, row, layout.cost, &columns.cost)?;
        let unblended = cost.unwrap_or_default();
        let overflow = |of: &Self| of.problem(row, layout.cost, "the sum overflows 38 digits".to_owned());
        state.count(period, currency, unblended).map_err(|_| overflow(self))?;
        if cost.is_none() {
            *state.blank_costs.entry(period).or_default() += 1;
        }
        let line_type = self.line_type(columns, index);
        if line_type.is_unknown {
            let name = columns.line_type.get(index).unwrap_or("(blank)").to_owned();
            *state.unknown_line_types.entry(period).or_default().entry(name).or_default() += 1;
        }
        let description = (line_type.kind == Kind::Credit).then(|| self.description(columns, index));
        let facts = LineFacts {
            line_type,
            refund_class: description.is_some_and(|description| description.is_refund),
            unblended,
            amounts: self.amounts(columns, index, row)?,
            is_ineligible: service.is_ineligible || self.is_ineligible_entity(columns, index),
            marks: self.marks(columns, index, line_type.kind),
        };
        let (cost, credits, is_focus) = (self.reader.cost, &self.reader.credits, layout.format == Format::Focus);
        let measures = MeasureRules { cost, credits, is_focus }.measures(&facts).map_err(|_| overflow(self))?;
        let fixed = [payer.claim, account.claim, service.claim];
        let rule = self.rule(columns, (index, row), wanted, fixed, state)?;
        let credit = description.filter(|description| !description.is_refund);
        let key = CellKey {
            period: first_day,
            usage_date,
            payer: payer.name,
            account: account.name,
            service: service.name,
            currency,
            rule,
            is_credit: credit.is_some(),
            description: credit.map_or(NO_NAME, |description| description.name),
        };
        state.cells.add(&key, &measures).map_err(|_| overflow(self))
    }

    fn payer(&mut self, columns: &Columns, index: usize, state: &mut LineState) -> Option<Payer> {
        let (names, rules) = (self.names, &self.reader.rules);
        self.known.payer.get(&columns.payer, index, |text| {
            let name = names.number(text);
            let as_account = Named { name, claim: state.finder.claim(rules, attribute::ACCOUNT, text) };
            Payer { name, claim: state.finder.claim(rules, attribute::PAYER, text), as_account }
        })
    }

    fn account(&mut self, columns: &Columns, index: usize, state: &mut LineState) -> Option<Named> {
        let (names, rules) = (self.names, &self.reader.rules);
        self.known.account.get(&columns.account, index, |text| Named {
            name: names.number(text),
            claim: state.finder.claim(rules, attribute::ACCOUNT, text),
        })
    }

    /// The first column that holds one.
    fn service(&mut self, columns: &Columns, index: usize, state: &mut LineState) -> Service {
        let (names, rules) = (self.names, &self.reader.rules);
        let ineligible = &self.reader.credits.ineligible_services;
        let mut services = self.known.services.iter_mut().zip(&columns.services);
        let service = services.find_map(|(known, column)| {
            known.get(column, index, |text| Service {
                name: names.number(text),
                claim: state.finder.claim(rules, attribute::SERVICE, text),
                is_ineligible: is_listed(ineligible, Some(text)),
            })
        });
        service.unwrap_or(Service { name: NO_NAME, claim: NO_CLAIM, is_ineligible: false })
    }

    fn currency(&mut self, columns: &Columns, index: usize, state: &mut LineState) -> Option<u32> {
        let names = self.names;
        let stated = columns.currency.as_ref().and_then(|column| {
            self.known.currency.get(column, index, |text| {
                let number = names.number(text);
                state.currencies.insert(number, text.to_owned());
                number
            })
        });
        if stated.is_none()
            && let (Some(number), Some(text)) = (self.currency, &self.reader.currency)
        {
            state.currencies.entry(number).or_insert_with(|| text.clone());
        }
        stated.or(self.currency)
    }

    fn line_type(&mut self, columns: &Columns, index: usize) -> LineType {
        let (format, credits) = (self.layout.format, &self.reader.credits);
        let known =
            self.known.line_type.get(&columns.line_type, index, |text| LineType::new(format, Some(text), credits));
        known.unwrap_or_else(|| LineType::new(format, None, credits))
    }

    fn description(&mut self, columns: &Columns, index: usize) -> Description {
        let (names, parser) = (self.names, &self.reader.descriptions);
        let is_refund = |text: Option<&str>| parser.is_refund(&parser.parse(text));
        let known = self.known.description.get(&columns.description, index, |text| Description {
            name: names.number(text),
            is_refund: is_refund(Some(text)),
        });
        known.unwrap_or_else(|| Description { name: NO_NAME, is_refund: is_refund(None) })
    }

    fn is_ineligible_entity(&mut self, columns: &Columns, index: usize) -> bool {
        let list = &self.reader.credits.ineligible_billing_entities;
        let known = columns
            .billing_entity
            .as_ref()
            .and_then(|column| self.known.billing_entity.get(column, index, |text| is_listed(list, Some(text))));
        known.unwrap_or(false)
    }

    /// What says that a line pays for a commitment, or corrects another; only kinds of lines that ask for it look.
    fn marks(&mut self, columns: &Columns, index: usize, kind: Kind) -> Marks {
        let is_fee = kind == Kind::Fee;
        let is_purchase = kind == Kind::Purchase;
        let known = &mut self.known;
        let equals = |known: &mut PerEntry<bool>, column: &Option<TextColumn>, wanted: &str| {
            let found = column.as_ref().and_then(|column| known.get(column, index, |text| text == wanted));
            found.unwrap_or(false)
        };
        Marks {
            reservation: is_fee && has(columns.reservation_arn.as_ref(), index),
            savings_plan: is_fee && has(columns.savings_plan_arn.as_ref(), index),
            correction: equals(&mut known.charge_class, &columns.charge_class, "Correction"),
            one_time: is_purchase && equals(&mut known.charge_frequency, &columns.charge_frequency, "One-Time"),
            commitment: is_purchase && has(columns.commitment_id.as_ref(), index),
        }
    }

    fn amounts(&self, columns: &Columns, index: usize, row: u64) -> Result<Amounts, DetectError> {
        let mut amounts = Amounts::default();
        for (role, at, column) in &columns.amounts {
            let amount = self.amount(index, row, *at, column)?;
            if let Some(slot) = amounts.get_mut(*role as usize) {
                *slot = amount.unwrap_or_default();
            }
        }
        Ok(amounts)
    }

    /// The number of the first rule's id; `NO_NAME` where no rule takes the line.
    fn rule(
        &mut self,
        columns: &Columns,
        (index, row): (usize, u64),
        wanted: usize,
        fixed: [u32; 3],
        state: &mut LineState,
    ) -> Result<u32, DetectError> {
        let region = self.region(columns, (index, row), state)?;
        let LineState { finder, line, line_before, .. } = state;
        let [payer, account, service] = fixed;
        let known = [u32::try_from(wanted).unwrap_or(u32::MAX), payer, account, service, region];
        for (slot, known) in line.iter_mut().zip(known) {
            *slot = known;
        }
        let rules = &self.reader.rules;
        let claims = line.get_mut(1..).unwrap_or_default();
        let tags = self.known.tags.put(&columns.tags, index, (rules, finder), claims);
        let categories =
            tags.and_then(|()| self.known.categories.put(&columns.categories, index, (rules, finder), claims));
        categories.map_err(|NoObject { column, text }| self.no_object(row, column, &text))?;
        if let (true, Some(period)) = (line != line_before, self.periods.get(wanted)) {
            let found = finder.first_match(rules, *period, line);
            let name = found.and_then(|rule| state.rule_names.get(rule as usize)).copied();
            state.rule_before = name.unwrap_or(NO_NAME);
            line_before.clone_from(line);
        }
        Ok(state.rule_before)
    }

    fn no_object(&self, row: u64, at: usize, text: &str) -> DetectError {
        self.problem(row, at, format!("{text:?} is not a JSON object"))
    }

    /// What the region claims: of its own column, else of the product map.
    fn region(
        &mut self,
        columns: &Columns,
        (index, row): (usize, u64),
        state: &mut LineState,
    ) -> Result<u32, DetectError> {
        const KEY: &str = "region";
        let (rules, finder) = (&self.reader.rules, &mut state.finder);
        let mut claim = |text: &str| finder.claim(rules, attribute::REGION, text);
        let mut regions = self.known.regions.iter_mut().zip(&columns.regions);
        if let Some(region) = regions.find_map(|(known, column)| known.get(column, index, &mut claim)) {
            return Ok(region);
        }
        let mut found = NO_CLAIM;
        match &columns.product_map {
            Some(MapColumn::Map(map)) => {
                for entry in map.entries(index) {
                    if self.known.product_keys.get(&map.keys, entry, |key| snake(key) == KEY) == Some(true) {
                        found = self.known.product_values.get(&map.values, entry, &mut claim).unwrap_or(found);
                    }
                }
            }
            Some(MapColumn::Json(text)) => {
                let region = self.known.product_texts.get(text, index, |text| {
                    let entries = json_entries(text)?;
                    let mut regions = entries.iter().filter(|(key, _)| snake(key) == KEY);
                    Some(regions.next_back().map_or(NO_CLAIM, |(_, value)| claim(value)))
                });
                match region {
                    Some(Some(region)) => found = region,
                    Some(None) => {
                        let at = self.layout.product_map.unwrap_or(usize::MAX);
                        return Err(self.no_object(row, at, text.get(index).unwrap_or_default()));
                    }
                    None => {}
                }
            }
            None => {}
        }
        Ok(found)
    }
}
