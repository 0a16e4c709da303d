//! What `run` ends with.

use std::collections::{BTreeMap, BTreeSet};

use bytesize::ByteSize;
use credit_ledger::{BillingPeriod, Money, Text};
use detect_credits::listing::LeftOut;
use hashbrown::HashMap;
use schemas::PeriodNotes;
use schemas::tables::{AllocationIssue, Credit, CreditQueue, NetCostSummary, Reconciliation};
use serde::Serialize;
use write_net_cost::standing::Ending;

use super::note;
use crate::Failure;
use crate::cli::Format;
use crate::jobs::{Detected, Fetched, PeriodSource};
use crate::money_text::{cents, count, exact};
use crate::output::{Shown, print, print_json, print_lines};
use crate::run::App;

/// Everything the summary says, as `--format json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(super) run_id: String,
    pub(super) as_of: chrono::NaiveDate,
    pub(super) export: ExportPart,
    pub(super) credits: CreditsPart,
    pub(super) allocation_issues: Vec<String>,
    /// Latest period with lines.
    pub(super) latest_period: Option<BillingPeriod>,
    net_cost_by_business_unit: Vec<NetCostSummary>,
    pub(super) tie_out: Vec<TieOut>,
    pub(super) published: bool,
    /// Why it is not.
    pub(super) not_published: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ExportPart {
    format: String,
    pub(super) periods_read: Vec<BillingPeriod>,
    pub(super) lines_read: u64,
    periods_unchanged: Vec<BillingPeriod>,
    lines_unchanged: u64,
    /// No longer in the export: they keep what was last read.
    periods_gone: Vec<BillingPeriod>,
    blank_costs: u64,
    unknown_line_types: BTreeMap<String, u64>,
    /// Files under the source location that are not read, and why.
    left_out: Vec<LeftOut>,
    /// Exclusions that files have no column for, and the periods in which all charges count as eligible instead.
    exclusions_not_applied: BTreeMap<String, Vec<BillingPeriod>>,
    /// Columns of the configured cost that files do not have and that count as null, and the periods.
    missing_cost_columns: BTreeMap<String, Vec<BillingPeriod>>,
    /// Some of the account ids with fewer than 12 digits, which are taken as they stand.
    short_account_ids: BTreeSet<String>,
    /// Of an export on S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetched: Option<Fetched>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CreditsPart {
    registered: usize,
    pub(super) new: Vec<CreditAmount>,
    pub(super) waiting: Vec<CreditAmount>,
    pub(super) expiring_soon: Vec<CreditAmount>,
    pub(super) expired: Vec<CreditAmount>,
    pub(super) oldest_waiting_days: i32,
}

/// A credit and the amount that matters: applied by AWS so far (new, waiting), left (expiring soon), lost (expired).
#[derive(Debug, Serialize)]
pub(super) struct CreditAmount {
    pub(super) credit_key: Text,
    pub(super) currency: Text,
    pub(super) amount: Money,
    pub(super) end_date: Option<chrono::NaiveDate>,
}

/// Sums over all periods of one currency.
#[derive(Debug, Serialize)]
pub(super) struct TieOut {
    currency: String,
    export_total: Money,
    invoice_net: Money,
    difference: Money,
    net_cost: Money,
    clearing: Money,
}

impl Summary {
    /// Reads what was staged back, before it is published.
    pub(crate) async fn of(
        app: &App,
        detected: &Detected,
        reconciliation: &[Reconciliation],
        credits: CreditsPart,
    ) -> Result<Self, Failure> {
        let issues: Vec<AllocationIssue> = app.lake.staged(&app.run_id, None).await?;
        let latest_period = detected.periods.iter().map(|detected| detected.period).max();
        let mut by_unit: Vec<NetCostSummary> = match latest_period {
            Some(_) => app.lake.staged(&app.run_id, latest_period).await?,
            None => Vec::new(),
        };
        by_unit.retain(|row| row.level == 1);
        by_unit
            .sort_by(|left, right| (&left.currency, &left.business_unit).cmp(&(&right.currency, &right.business_unit)));
        Ok(Self {
            run_id: app.run_id.clone(),
            as_of: app.as_of,
            export: ExportPart::of(detected),
            credits,
            allocation_issues: issues
                .iter()
                .map(|issue| format!("{} lot {}: {}", issue.allocation_id, issue.lot, issue.problem))
                .collect(),
            latest_period,
            net_cost_by_business_unit: by_unit,
            tie_out: tie_out(reconciliation)?,
            published: false,
            not_published: None,
        })
    }

    pub(crate) fn print(&self, app: &App) -> Result<(), Failure> {
        match app.format {
            Format::Json => print_json(serde_json::to_string_pretty(self)),
            Format::Csv => {
                self.print_units(app)?;
                if let Some(line) = self.not_published() {
                    note(&line);
                }
                Ok(())
            }
            Format::Table => {
                print_lines(self.head())?;
                if let Some(period) = self.latest_period {
                    print_lines([String::new(), format!("Net cost of {period} by business unit")])?;
                    self.print_units(app)?;
                }
                print_lines(self.tie_out_lines().into_iter().chain(self.not_published()))
            }
        }
    }

    fn print_units(&self, app: &App) -> Result<(), Failure> {
        let batch = schemas::to_batch(&self.net_cost_by_business_unit)?;
        let columns =
            ["business_unit", "currency", "gross_cost", "refunds", "credits_applied", "net_cost", "budget_remaining"];
        let indexes: Vec<usize> = columns.iter().filter_map(|name| batch.schema().index_of(name).ok()).collect();
        let batch = batch.project(&indexes).map_err(datafusion::error::DataFusionError::from)?;
        print(app, &[batch], Shown::Cents, "(no cost)")
    }

    fn head(&self) -> Vec<String> {
        let mut lines = vec![format!("Run {} as of {}", self.run_id, self.as_of), String::new()];
        let export = &self.export;
        lines.push(format!(
            "Export      {}: {} read ({} lines), {} unchanged ({} lines)",
            export.format,
            periods(export.periods_read.len()),
            count(export.lines_read),
            export.periods_unchanged.len(),
            count(export.lines_unchanged),
        ));
        if !export.periods_gone.is_empty() {
            let gone: Vec<String> = export.periods_gone.iter().map(ToString::to_string).collect();
            lines.push(format!("            no longer in the export, kept as last read: {}", gone.join(", ")));
        }
        if let Some(fetched) = export.fetched {
            let (requests, bytes) = (count(fetched.requests), ByteSize(fetched.bytes));
            lines.push(format!("            {requests} requests to S3, {bytes} fetched"));
        }
        if export.blank_costs > 0 {
            lines.push(format!("            {} lines without a cost count as zero", count(export.blank_costs)));
        }
        for (line_type, number) in &export.unknown_line_types {
            let number = count(*number);
            lines.push(format!("            unknown line type {line_type} counts as charges: {number} lines"));
        }
        lines.extend(by_periods(&export.exclusions_not_applied).into_iter().map(|(periods, exclusions)| {
            let exclusions = exclusions.join(", ");
            format!("            exclusions not applied in {periods}, their charges count as eligible: {exclusions}")
        }));
        lines.extend(by_periods(&export.missing_cost_columns).into_iter().map(|(periods, columns)| {
            format!("            columns that count as null, as {periods} has none: {}", columns.join(", "))
        }));
        if !export.short_account_ids.is_empty() {
            let ids: Vec<&str> = export.short_account_ids.iter().map(String::as_str).collect();
            lines.push(format!("            account ids of fewer than 12 digits, as they stand: {}", ids.join(", ")));
        }
        lines.extend(export.left_out.iter().take(SHOWN).map(|LeftOut { path, files, reason }| match files {
            1 => format!("            left out: {path}: {reason}"),
            files => format!("            left out: {path} ({} files): {reason}", count(*files)),
        }));
        if export.left_out.len() > SHOWN {
            lines.push(format!("              and {} more", export.left_out.len() - SHOWN));
        }
        let credits = &self.credits;
        lines.push(format!("Credits     {} registered", credits.registered));
        list(&mut lines, "new", &credits.new, "applied by AWS so far");
        list(&mut lines, "waiting for allocation", &credits.waiting, "applied by AWS so far");
        list(&mut lines, "expiring soon", &credits.expiring_soon, "left");
        list(&mut lines, "expired", &credits.expired, "lost");
        if !self.allocation_issues.is_empty() {
            lines.push(format!("Allocations {} cannot be used:", self.allocation_issues.len()));
            lines.extend(self.allocation_issues.iter().map(|issue| format!("            {issue}")));
        }
        lines
    }

    fn not_published(&self) -> Option<String> {
        let why = self.not_published.as_ref()?;
        let id = &self.run_id;
        Some(format!("Not published: {why}; publish it with `publish --run-id {id}`, or run with --publish"))
    }

    fn tie_out_lines(&self) -> Vec<String> {
        let of_currency = |row: &TieOut| {
            format!(
                "Tie-out     export {} {currency} = invoice_net {}, difference {}; net cost {}, clearing {}",
                exact(row.export_total),
                exact(row.invoice_net),
                exact(row.difference),
                exact(row.net_cost),
                exact(row.clearing),
                currency = row.currency,
            )
        };
        std::iter::once(String::new()).chain(self.tie_out.iter().map(of_currency)).collect()
    }
}

/// Entries of a list that are shown; `--format json` has all.
const SHOWN: usize = 10;

/// Notes by the periods that share them: `2026-08, 2026-09`.
fn by_periods(notes: &BTreeMap<String, Vec<BillingPeriod>>) -> BTreeMap<String, Vec<&str>> {
    let mut by_periods: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (note, periods) in notes {
        let periods: Vec<String> = periods.iter().map(ToString::to_string).collect();
        by_periods.entry(periods.join(", ")).or_default().push(note);
    }
    by_periods
}

fn periods(number: usize) -> String {
    format!("{number} {}", if number == 1 { "period" } else { "periods" })
}

/// `  3 waiting for allocation: 1,234.56 USD applied by AWS so far` and the keys below.
fn list(lines: &mut Vec<String>, what: &str, credits: &[CreditAmount], amount: &str) {
    if credits.is_empty() {
        return;
    }
    let mut sums: BTreeMap<&str, Money> = BTreeMap::new();
    for credit in credits {
        let sum = sums.entry(&credit.currency).or_default();
        *sum = sum.checked_add(credit.amount).unwrap_or(*sum);
    }
    let sums: Vec<String> = sums.iter().map(|(currency, sum)| format!("{} {currency}", cents(*sum))).collect();
    lines.push(format!("            {} {what}: {} {amount}", credits.len(), sums.join(", ")));
    for credit in credits.iter().take(SHOWN) {
        let end = credit.end_date.map(|end| format!(", ends {end}")).unwrap_or_default();
        lines.push(format!("              {}  {} {}{end}", credit.credit_key, cents(credit.amount), credit.currency));
    }
    if credits.len() > SHOWN {
        lines.push(format!("              and {} more", credits.len() - SHOWN));
    }
}

impl ExportPart {
    fn of(detected: &Detected) -> Self {
        let of = |source| detected.periods.iter().filter(move |period| period.source == source);
        let periods = |source| of(source).map(|detected| detected.period).collect::<Vec<_>>();
        let lines = |source| of(source).map(|detected| detected.lines).sum();
        let mut unknown_line_types: BTreeMap<String, u64> = BTreeMap::new();
        for (line_type, lines) in detected.periods.iter().flat_map(|detected| &detected.unknown_line_types) {
            *unknown_line_types.entry(line_type.clone()).or_default() += lines;
        }
        let noted = |notes: fn(&PeriodNotes) -> &BTreeSet<String>| {
            let mut noted: BTreeMap<String, Vec<BillingPeriod>> = BTreeMap::new();
            for period in &detected.periods {
                for note in notes(&period.notes) {
                    noted.entry(note.clone()).or_default().push(period.period);
                }
            }
            noted
        };
        Self {
            format: detected.format.clone(),
            periods_read: periods(PeriodSource::Read),
            lines_read: lines(PeriodSource::Read),
            periods_unchanged: periods(PeriodSource::Unchanged),
            lines_unchanged: lines(PeriodSource::Unchanged),
            periods_gone: periods(PeriodSource::Gone),
            blank_costs: detected.periods.iter().map(|detected| detected.blank_costs).sum(),
            unknown_line_types,
            left_out: detected.left_out.clone(),
            exclusions_not_applied: noted(|notes| &notes.exclusions_not_applied),
            missing_cost_columns: noted(|notes| &notes.missing_cost_columns),
            short_account_ids: detected.periods.iter().flat_map(|of| of.notes.short_account_ids.clone()).collect(),
            fetched: detected.fetched,
        }
    }
}

impl CreditsPart {
    /// What there is to say of credits; all but those of `known` are new. All in order of the key.
    pub(crate) fn of(
        credits: &[Credit],
        queue: &[CreditQueue],
        known: &[Text],
        endings: &HashMap<Text, Ending>,
    ) -> Self {
        let mut known = known.iter().peekable();
        let is_new = |credit: &&Credit| {
            while known.next_if(|key| **key < credit.credit_key).is_some() {}
            known.next_if(|key| **key == credit.credit_key).is_none()
        };
        let of_credit = |credit: &Credit, amount: Option<Money>| CreditAmount {
            credit_key: credit.credit_key.clone(),
            currency: credit.currency.clone(),
            amount: amount.unwrap_or_default(),
            end_date: credit.end_date,
        };
        let waiting = queue.iter().map(|row| CreditAmount {
            credit_key: row.credit_key.clone(),
            currency: row.currency.clone(),
            amount: row.aws_applied,
            end_date: None,
        });
        let ending = |credit: &Credit| endings.get(&credit.credit_key);
        // A credit may have lots that end later, and others that have lapsed.
        let expiring_soon = credits.iter().filter(|credit| credit.status == "expiring_soon");
        let expired = credits.iter().filter(|credit| credit.expired.is_some_and(Money::is_positive));
        Self {
            registered: credits.len(),
            new: credits.iter().filter(is_new).map(|credit| of_credit(credit, Some(credit.aws_applied))).collect(),
            waiting: waiting.collect(),
            expiring_soon: expiring_soon
                .map(|credit| of_credit(credit, ending(credit).map(|ending| ending.soon).or(credit.remaining)))
                .collect(),
            expired: expired
                .map(|credit| CreditAmount {
                    end_date: ending(credit).and_then(|ending| ending.past),
                    ..of_credit(credit, credit.expired)
                })
                .collect(),
            oldest_waiting_days: queue.iter().map(|row| row.days_waiting).max().unwrap_or(0),
        }
    }
}

fn tie_out(rows: &[Reconciliation]) -> Result<Vec<TieOut>, Failure> {
    let mut by_currency: BTreeMap<&str, Vec<&Reconciliation>> = BTreeMap::new();
    for row in rows {
        by_currency.entry(&row.currency).or_default().push(row);
    }
    by_currency
        .into_iter()
        .map(|(currency, rows)| {
            let sum = |amount: fn(&Reconciliation) -> Money| Money::total(rows.iter().map(|row| amount(row)));
            Ok(TieOut {
                currency: currency.to_owned(),
                export_total: sum(|row| row.export_total)?,
                invoice_net: sum(|row| row.invoice_net)?,
                difference: sum(|row| row.difference)?,
                net_cost: sum(|row| row.net_cost)?,
                clearing: sum(|row| row.clearing)?,
            })
        })
        .collect()
}
