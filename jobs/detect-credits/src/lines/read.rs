//! From the raw columns of a file to summed lines.

mod exclusions;
mod notes;

use std::ops::{Range, RangeInclusive};

use arrow::datatypes::Date32Type;
use credit_ledger::{BillingPeriod, ExportPeriods, Money, Quoted};
use cur_reader::{
    AmountColumn, BLANK, Format, NoAmount, RawBatch, ReadError, account_id, far_away, impossible, is_short, no_date,
};
use schemas::excerpt;
use schemas::reference::{Problem, Problems, RuleConditions};
use schemas::settings::{CostColumn, CreditSettings};

use super::Measures;
use super::candidates::KeyedColumns;
use super::classify::{Amounts, Kind, LineFacts, LineFlags, LineType, MeasureRules, is_listed_service};
use super::columns::{Columns, Description, DictionaryMemos, Named, Payer, Service, has};
use super::partial_sums::SumKey;
use super::runs::{CandidateRules, runs};
use super::state::LineState;
use crate::columns::Layout;
use crate::deliveries::Delivery;
use crate::description::DescriptionParser;
use crate::interner::{NO_TEXT, StringInterner};
use crate::rules::{NO_CANDIDATES, NO_OBJECT, RuleMatcher, attribute};
use crate::stated::{StatedOfExport, stated_of};

/// The largest amount of a line, in units of 1e-10: 10^18 of any currency. No export has lines like that, and sums of
/// smaller ones stay within 38 digits for ten billion lines.
const LARGEST_AMOUNT: u128 = 10_u128.pow(28);

/// What lines depend on beside the files.
#[derive(Debug, Clone)]
pub(crate) struct LineSettings {
    /// The billing periods that the export can hold.
    pub(crate) periods: ExportPeriods,
    /// What is stated of each export.
    pub(crate) exports: Vec<StatedOfExport>,
    /// The configured cost column.
    pub(crate) cost: CostColumn,
    /// What a credit is and what it may offset.
    pub(crate) credits: CreditSettings,
    /// The conditions of the cost rules with their ids, in the order they are tried.
    pub(crate) rules: Vec<(String, RuleConditions)>,
}

/// Everything that turns raw rows into lines, for all files of a scan.
#[derive(Debug)]
pub(crate) struct LineReader {
    /// What lines depend on.
    pub(crate) settings: LineSettings,
    /// Parser of descriptions.
    pub(crate) descriptions: DescriptionParser,
    /// The cost rules, ready to match.
    pub(crate) rules: RuleMatcher,
}

impl LineReader {
    /// Makes ready what the settings say.
    ///
    /// # Errors
    /// [`ReadError::BadExport`] for a pattern that is none; never for checked settings.
    pub(crate) fn new(settings: LineSettings) -> Result<Self, ReadError> {
        let descriptions = DescriptionParser::new(&settings.credits)?;
        let rules = RuleMatcher::new(&settings.rules);
        Ok(Self { settings, descriptions, rules })
    }
}

/// Reads one part of a file batch after batch, and remembers what its dictionaries hold.
pub(crate) struct PartReader<'a> {
    reader: &'a LineReader,
    names: &'a StringInterner,
    layout: &'a Layout,
    file: &'a str,
    /// The file's number, and what delivered it.
    delivery: (usize, &'a Delivery),
    /// Place of the period and number of the payer of the line before.
    delivered: Option<(usize, u32)>,
    /// By period: true once everything is noted that all of its lines in the file share.
    noted: Vec<bool>,
    periods: &'a [BillingPeriod],
    days: Vec<PeriodDays>,
    /// Where the export states none: its number, and what it is.
    currency: Option<(u32, &'a str)>,
    /// The payer of all lines, and its number.
    payer: Option<(u32, &'a str)>,
    known: DictionaryMemos,
}

impl<'a> PartReader<'a> {
    pub(crate) fn new(
        reader: &'a LineReader,
        names: &'a StringInterner,
        (file, layout): (&'a str, &'a Layout),
        (periods, delivery): (&'a [BillingPeriod], (usize, &'a Delivery)),
    ) -> Self {
        let stated = stated_of(&reader.settings.exports, file);
        let number = |text: &'a str| (names.number(text), text);
        let currency = stated.and_then(|stated| stated.currency.as_deref()).map(number);
        let payer = stated.and_then(|stated| stated.payer.as_deref()).map(number);
        let days = periods.iter().copied().map(PeriodDays::of).collect();
        let (noted, known) = (vec![false; periods.len()], DictionaryMemos::new(layout, &reader.rules));
        let delivered = None;
        Self { reader, names, layout, file, delivery, delivered, noted, periods, days, currency, payer, known }
    }

    /// Reads a batch: lines of the wanted periods are summed in `state`, others are left alone.
    pub(crate) fn read(&mut self, batch: &RawBatch, state: &mut LineState) -> Result<(), ReadError> {
        let columns = Columns::new(self.file, self.layout, batch)?;
        if state.forgets_candidates(&self.reader.rules) {
            self.known = DictionaryMemos::new(self.layout, &self.reader.rules);
        }
        self.known.rebind(&columns);
        let rules = (&self.reader.rules, &mut state.finder);
        let candidates = CandidateRules::new(&columns, batch.rows, &mut self.known, rules);
        let runs = runs(&columns, &candidates, batch.rows, &mut self.known);
        let batch = Batch { columns, candidates, first_row: batch.first_row };
        for run in runs {
            let period = self.period(&batch, run.start)?;
            let Some(wanted) = self.periods.iter().position(|wanted| *wanted == period) else { continue };
            if self.stand_apart(&batch.columns, run.start) {
                for row in run {
                    self.read_run(&batch, row..row + 1, wanted, state)?;
                }
            } else {
                self.read_run(&batch, run, wanted, state)?;
            }
        }
        Ok(())
    }

    /// True for lines that count by more than what runs have in common: credits by their descriptions, corrections by
    /// their sign.
    fn stand_apart(&mut self, columns: &Columns, index: usize) -> bool {
        self.line_type(columns, index).kind == Kind::Credit || self.is_correction(columns, index)
    }

    fn problem(&self, row: u64, at: usize, message: String) -> ReadError {
        let column = self.layout.projection.get(at).cloned();
        Problems(vec![Problem { file: self.file.to_owned(), row: Some(row), column, message }]).into()
    }

    fn period(&mut self, batch: &Batch, index: usize) -> Result<BillingPeriod, ReadError> {
        let (at, row) = (self.layout.period, batch.row(index));
        let period = batch.columns.period.period(index, &mut self.known.period);
        let period = period.map_err(|text| self.problem(row, at, no_date(&text)))?;
        let period = period.ok_or_else(|| self.problem(row, at, BLANK.to_owned()))?;
        self.reader.settings.periods.check(period).map_err(|wrong| self.problem(row, at, impossible(&wrong)))
    }

    /// The day on which a line of a period starts, as days since 1970.
    fn usage_date(&mut self, batch: &Batch, index: usize, days: &PeriodDays) -> Result<i32, ReadError> {
        let (at, row) = (self.layout.start, batch.row(index));
        let start = batch.columns.start.get(index, &mut self.known.start);
        let start = start.map_err(|text| self.problem(row, at, no_date(&text)))?;
        let start = start.ok_or_else(|| self.problem(row, at, BLANK.to_owned()))?;
        if days.usage.contains(&start) {
            return Ok(start);
        }
        Err(self.problem(row, at, far_away(start, days.period)))
    }

    /// The sum of a column over a run, and how many of its lines are blank.
    fn sum(
        &self,
        batch: &Batch,
        run: Range<usize>,
        at: usize,
        column: &AmountColumn,
    ) -> Result<(Money, u64), ReadError> {
        let (mut sum, mut blanks) = (Money::ZERO, 0);
        let mut units = 0_i64;
        for index in run.clone() {
            if let Some(total) = column.whole_units(index).and_then(|amount| units.checked_add(amount)) {
                units = total;
                continue;
            }
            let amount = column.get(index).map_err(|NoAmount { text, overflow }| {
                let message = if overflow { "is too large: more than 38 digits" } else { "is not an amount (1234.56)" };
                self.problem(batch.row(index), at, format!("{} {message}", Quoted(&text)))
            })?;
            match amount {
                Some(amount) if amount.units().unsigned_abs() > LARGEST_AMOUNT => {
                    let message = format!("{amount} is too large for a line: more than 10^18");
                    return Err(self.problem(batch.row(index), at, message));
                }
                Some(amount) => sum = sum.checked_add(amount).map_err(|_| self.overflow(batch, index))?,
                None => blanks += 1,
            }
        }
        let units = Money::from_units(i128::from(units));
        let sum = units.and_then(|units| sum.checked_add(units)).map_err(|_| self.overflow(batch, run.start))?;
        Ok((sum, blanks))
    }

    fn overflow(&self, batch: &Batch, index: usize) -> ReadError {
        self.problem(batch.row(index), self.layout.cost, "the sum overflows 38 digits".to_owned())
    }

    /// Adds lines that differ in their amounts at most, and of which all amounts count the same way.
    fn read_run(
        &mut self,
        batch: &Batch,
        run: Range<usize>,
        wanted: usize,
        state: &mut LineState,
    ) -> Result<(), ReadError> {
        let (layout, columns, index) = (self.layout, &batch.columns, run.start);
        let Some(days) = self.days.get(wanted).cloned() else { return Ok(()) };
        let period = days.period;
        let (row, lines) = (batch.row(index), run.len() as u64);
        let usage_date = self.usage_date(batch, index, &days)?;
        let payer = self.payer(batch, index, state)?;
        let account = self.account(batch, index, state)?.unwrap_or(payer.as_account);
        let service = self.service(columns, index, state);
        let currency = self.currency(columns, index, state).ok_or_else(|| {
            let message = "is blank; set [source] currency if the export leaves it out".to_owned();
            self.problem(row, layout.currency.unwrap_or(usize::MAX), message)
        })?;
        let region = self.region(batch, index, state)?;
        let [tags, categories] = batch.candidates.keyed(index);
        if [tags, categories].contains(&NO_OBJECT) {
            return Err(self.no_object(batch, index, &[&columns.tags, &columns.categories]));
        }
        let (unblended, blanks) = self.sum(batch, run.clone(), layout.cost, &columns.cost)?;
        state.count(period, currency, (lines, unblended)).map_err(|_| self.overflow(batch, index))?;
        if blanks > 0 {
            *state.blank_costs.entry(period).or_default() += blanks;
        }
        self.note_delivery(batch, index, (period, wanted), (payer, account), state);
        if let Some((invoice, id)) = self.invoice(columns, index) {
            state.invoiced(period, currency, (invoice, id), lines);
        }
        let line_type = self.line_type(columns, index);
        let flags = self.flags(columns, index, line_type.kind);
        self.check_columns(batch, index, line_type.kind, flags)?;
        self.note_fees(batch, index, (period, line_type.kind), state)?;
        if line_type.is_unknown {
            let name = excerpt(columns.line_type.get(index).unwrap_or("(blank)")).into_owned();
            *state.unknown_line_types.entry(period).or_default().entry(name).or_default() += lines;
        }
        let description = (line_type.kind == Kind::Credit).then(|| self.description(columns, index));
        let facts = LineFacts {
            line_type,
            refund_class: description.is_some_and(|description| description.is_refund),
            unblended,
            amounts: self.amounts(batch, &run)?,
            is_ineligible: service.is_ineligible
                || self.is_ineligible_entity(columns, index)
                || self.is_of_a_seller(columns, index),
            flags,
        };
        self.note_excluded(columns, index, (period, facts.is_excluded()), state);
        let (cost, credits, is_focus) =
            (self.reader.settings.cost, &self.reader.settings.credits, layout.format == Format::Focus);
        let measures = MeasureRules { cost, credits, is_focus }.measures(&facts);
        let measures = measures.map_err(|_| self.overflow(batch, index))?;
        let candidates = [payer.candidates, account.candidates, service.candidates, region, tags, categories];
        let rule = state.rule(&self.reader.rules, period, candidates);
        let key = SumKey {
            period: days.first,
            usage_date,
            payer: payer.name,
            account: account.name,
            service: service.name,
            currency,
            rule,
            is_credit: false,
            description: NO_TEXT,
        };
        let mut sum =
            |key: &SumKey, sums: &Measures| state.sums.add(key, sums, lines).map_err(|_| self.overflow(batch, index));
        if let Some(credit) = description.filter(|description| !description.is_refund) {
            let credits = Measures { aws_credits: measures.aws_credits, ..Measures::default() };
            sum(&key.credit_line(credit.name), &credits)?;
        }
        sum(&key, &measures)
    }

    fn payer(&mut self, batch: &Batch, index: usize, state: &mut LineState) -> Result<Payer, ReadError> {
        let (names, rules, column) = (self.names, &self.reader.rules, &batch.columns.payer);
        let known = self.known.payer.get(column, index, |text| {
            let text = account_id(text)?;
            let (name, candidates) =
                (names.number(text), state.finder.candidate_rules(rules, attribute::ACCOUNT, text));
            let as_account = Named { name, candidates, is_short: is_short(text) };
            Some(Payer { name, candidates: state.finder.candidate_rules(rules, attribute::PAYER, text), as_account })
        });
        let at = self.layout.payer;
        let known = known.ok_or_else(|| self.problem(batch.row(index), at, BLANK.to_owned()))?;
        let known = known.ok_or_else(|| self.no_account(batch, index, at, column))?;
        match self.payer.filter(|(stated, _)| *stated != known.name) {
            None => Ok(known),
            Some((_, stated)) => {
                let found = Quoted(column.get(index).unwrap_or_default());
                let message = format!("{found} is not {stated}, the payer that the settings state of this export");
                Err(self.problem(batch.row(index), at, message))
            }
        }
    }

    /// `None` where it is blank.
    fn account(&mut self, batch: &Batch, index: usize, state: &mut LineState) -> Result<Option<Named>, ReadError> {
        let (names, rules, column) = (self.names, &self.reader.rules, &batch.columns.account);
        let known = self.known.account.get(column, index, |text| {
            let text = account_id(text)?;
            let candidates = state.finder.candidate_rules(rules, attribute::ACCOUNT, text);
            Some(Named { name: names.number(text), candidates, is_short: is_short(text) })
        });
        match known {
            Some(None) => Err(self.no_account(batch, index, self.layout.account, column)),
            known => Ok(known.flatten()),
        }
    }

    /// The first column that holds one.
    fn service(&mut self, columns: &Columns, index: usize, state: &mut LineState) -> Service {
        let (names, rules) = (self.names, &self.reader.rules);
        let ineligible = &self.reader.settings.credits.ineligible_services;
        let services = self.known.services.iter_mut().zip(&columns.services);
        let mut services = services.filter_map(|(known, column)| {
            known.get(column, index, |text| Service {
                name: names.number(text),
                candidates: state.finder.candidate_rules(rules, attribute::SERVICE, text),
                is_ineligible: is_listed_service(ineligible, text),
            })
        });
        let first =
            services.next().unwrap_or(Service { name: NO_TEXT, candidates: NO_CANDIDATES, is_ineligible: false });
        // A list may name services by another column.
        Service { is_ineligible: first.is_ineligible || services.any(|service| service.is_ineligible), ..first }
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
        stated.or_else(|| {
            let (number, text) = self.currency?;
            state.currencies.entry(number).or_insert_with(|| text.to_owned());
            Some(number)
        })
    }

    fn line_type(&mut self, columns: &Columns, index: usize) -> LineType {
        let (format, credits) = (self.layout.format, &self.reader.settings.credits);
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
        known.unwrap_or_else(|| Description { name: NO_TEXT, is_refund: is_refund(None) })
    }

    fn invoice<'c>(&mut self, columns: &'c Columns, index: usize) -> Option<(u32, &'c str)> {
        let (names, column) = (self.names, columns.invoice.as_ref()?);
        let invoice = self.known.invoice.get(column, index, |text| names.number(text))?;
        Some((invoice, column.get(index)?))
    }

    fn is_correction(&mut self, columns: &Columns, index: usize) -> bool {
        let known = &mut self.known.charge_class;
        let class = columns.charge_class.as_ref();
        class.and_then(|column| known.get(column, index, |text| text == "Correction")).unwrap_or(false)
    }

    /// What says that a line pays for a commitment, or corrects another; only kinds of lines that ask for it look.
    fn flags(&mut self, columns: &Columns, index: usize, kind: Kind) -> LineFlags {
        let is_fee = kind == Kind::Fee;
        let is_purchase = kind == Kind::Purchase;
        let is_refund = kind == Kind::Refund;
        let correction = self.is_correction(columns, index);
        let known = &mut self.known.charge_frequency;
        let frequency = columns.charge_frequency.as_ref().filter(|_| is_purchase);
        let one_time = frequency.and_then(|column| known.get(column, index, |text| text == "One-Time"));
        LineFlags {
            reservation: (is_fee || is_refund) && has(columns.reservation_arn.as_ref(), index),
            savings_plan: (is_fee || is_refund) && has(columns.savings_plan_arn.as_ref(), index),
            correction,
            one_time: one_time.unwrap_or(false),
            commitment: (is_purchase || is_refund) && has(columns.commitment_id.as_ref(), index),
        }
    }

    fn amounts(&self, batch: &Batch, run: &Range<usize>) -> Result<Amounts, ReadError> {
        let mut amounts = Amounts::default();
        for (role, columns) in &batch.columns.amounts {
            if let Some(slot) = amounts.get_mut(*role as usize) {
                *slot = self.sum_of_first(batch, run, columns)?;
            }
        }
        Ok(amounts)
    }

    /// The sum of columns over a run: of each line the first that is not blank.
    fn sum_of_first(
        &self,
        batch: &Batch,
        run: &Range<usize>,
        columns: &[(usize, AmountColumn)],
    ) -> Result<Money, ReadError> {
        let Some(((at, first), others)) = columns.split_first() else { return Ok(Money::ZERO) };
        let (sum, blanks) = self.sum(batch, run.clone(), *at, first)?;
        if blanks == 0 || others.is_empty() {
            return Ok(sum);
        }
        let mut sum = sum;
        for index in run.clone().filter(|index| first.is_blank(*index)) {
            let amount = self.sum_of_first(batch, &(index..index + 1), others)?;
            sum = sum.checked_add(amount).map_err(|_| self.overflow(batch, index))?;
        }
        Ok(sum)
    }

    /// The candidates of the region: of its own column, else of the product map.
    fn region(&mut self, batch: &Batch, index: usize, state: &mut LineState) -> Result<u32, ReadError> {
        let (rules, finder) = (&self.reader.rules, &mut state.finder);
        let mut candidates = |text: &str| finder.candidate_rules(rules, attribute::REGION, text);
        let mut regions = self.known.regions.iter_mut().zip(&batch.columns.regions);
        if let Some(own) = regions.find_map(|(known, column)| known.get(column, index, &mut candidates)) {
            return Ok(own);
        }
        match batch.candidates.region(index) {
            NO_OBJECT => Err(self.no_object(batch, index, &[&batch.columns.product])),
            region => Ok(region),
        }
    }

    /// A text of one of the maps that should be a JSON object and is none.
    fn no_object(&self, batch: &Batch, index: usize, maps: &[&KeyedColumns]) -> ReadError {
        let (at, text) = maps.iter().find_map(|maps| maps.no_object(index)).unwrap_or((usize::MAX, ""));
        self.problem(batch.row(index), at, format!("{} is not a JSON object", Quoted(text)))
    }
}

/// A wanted period in days since 1970.
#[derive(Clone)]
struct PeriodDays {
    period: BillingPeriod,
    first: i32,
    /// On which its lines can start.
    usage: RangeInclusive<i32>,
}

impl PeriodDays {
    fn of(period: BillingPeriod) -> Self {
        let usage = period.usage_dates();
        let day = Date32Type::from_naive_date;
        Self { period, first: day(period.first_day()), usage: day(*usage.start())..=day(*usage.end()) }
    }
}

/// A batch and the candidates of its lines.
struct Batch {
    columns: Columns,
    candidates: CandidateRules,
    first_row: u64,
}

impl Batch {
    fn row(&self, index: usize) -> u64 {
        self.first_row + index as u64
    }
}
