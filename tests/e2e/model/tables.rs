//! The published tables, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use chrono::NaiveDate;

use super::Inputs;
use super::cost::{Cell, Measures};
use super::credits::{AllocatedLot, Allocation, Credit, Standing};
use super::fifo::{Consumption, Lot};
use super::parse::{Line, Node, budgets};
use super::units::{Money, Period};
use crate::support::compare::{Row, Tables};

/// What the steps before came to.
pub(crate) struct Results<'a> {
    pub(crate) inputs: &'a Inputs,
    pub(crate) lines: &'a [Line],
    pub(crate) cells: &'a BTreeMap<Cell, Measures>,
    pub(crate) register: &'a BTreeMap<String, Credit>,
    pub(crate) standings: &'a BTreeMap<String, Standing>,
    pub(crate) consumption: &'a Consumption,
}

/// Every table by name.
pub(crate) fn all(results: &Results) -> Tables {
    let tables = [
        ("net_cost", net_cost(results)),
        ("net_cost_summary", net_cost_summary(results)),
        ("credit_consumption", credit_consumption(results)),
        ("credit_balances", credit_balances(results)),
        ("credits", credits(results)),
        ("credit_queue", credit_queue(results)),
        ("credit_impact", credit_impact(results)),
        ("reconciliation", reconciliation(results)),
    ];
    tables.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect()
}

fn row<const N: usize>(values: [(&str, &dyn Display); N]) -> Row {
    values.into_iter().map(|(column, value)| (column.to_owned(), value.to_string())).collect()
}

/// Null is the empty text.
fn nullable(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The four columns of a node, each name prefixed.
fn with_node(mut row: Row, prefix: &str, node: &Node) -> Row {
    for (level, column) in ["business_unit", "department", "portfolio", "product"].into_iter().enumerate() {
        row.insert(format!("{prefix}{column}"), nullable(node.get(level)));
    }
    row
}

/// One cell's, or one node's, figures in both books.
#[derive(Clone, Copy, Default)]
struct Books {
    measures: Measures,
    used: Money,
}

impl Books {
    fn plus(self, other: Self) -> Self {
        Self { measures: self.measures + other.measures, used: self.used + other.used }
    }

    fn net_cost(self) -> Money {
        self.measures.charges + self.measures.tax + self.measures.refunds - self.used
    }

    fn columns(self) -> Row {
        let measures = self.measures;
        row([
            ("gross_cost", &(measures.charges + measures.tax)),
            ("refunds", &measures.refunds),
            ("aws_credits", &measures.aws_credits),
            ("invoice_net", &measures.invoice_net()),
            ("credits_applied", &-self.used),
            ("net_cost", &self.net_cost()),
            ("clearing", &(measures.invoice_net() - self.net_cost())),
        ])
    }
}

fn books_by_cell(results: &Results) -> BTreeMap<Cell, Books> {
    let mut books: BTreeMap<Cell, Books> = results
        .cells
        .iter()
        .map(|(cell, measures)| (cell.clone(), Books { measures: *measures, used: Money::ZERO }))
        .collect();
    for draw in &results.consumption.draws {
        let cell = books.get_mut(&draw.cell).expect("draws are on cells");
        cell.used = cell.used + draw.used;
    }
    books
}

fn cell_columns(cell: &Cell) -> Row {
    let columns = row([
        ("billing_period", &cell.period),
        ("usage_date", &cell.usage_date),
        ("payer_account_id", &cell.payer),
        ("account_id", &cell.account),
        ("service", &nullable(cell.service.as_ref())),
        ("currency", &cell.currency),
    ]);
    with_node(columns, "", &cell.node)
}

fn net_cost(results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for (cell, books) in books_by_cell(results) {
        let mut columns = cell_columns(&cell);
        columns.extend(books.columns());
        columns.extend(row([
            ("charges", &books.measures.charges),
            ("tax", &books.measures.tax),
            ("eligible_charges", &books.measures.eligible),
        ]));
        rows.push(columns);
    }
    rows
}

fn net_cost_summary(results: &Results) -> Vec<Row> {
    let mut sums: BTreeMap<(Period, Node, String), Books> = BTreeMap::new();
    for (cell, books) in books_by_cell(results) {
        for level in 0..=cell.node.len() {
            let sum = sums.entry((cell.period, cell.node[..level].to_vec(), cell.currency.clone())).or_default();
            *sum = sum.plus(books);
        }
    }
    let mut budgets = budgets(&results.inputs.budgets);
    budgets.retain(|(period, _, _), _| *period <= Period::of(results.inputs.as_of));
    for key in budgets.keys() {
        sums.entry(key.clone()).or_default();
    }
    let mut rows = Vec::new();
    for (key, books) in sums {
        let budget = budgets.get(&key);
        let (period, node, currency) = key;
        let mut columns = with_node(books.columns(), "", &node);
        columns.extend(row([
            ("billing_period", &period),
            ("level", &node.len()),
            ("currency", &currency),
            ("budget_amount", &nullable(budget)),
            ("budget_remaining", &nullable(budget.map(|amount| *amount - books.net_cost()))),
        ]));
        rows.push(columns);
    }
    rows
}

fn credit_consumption(results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for draw in &results.consumption.draws {
        let lot = &results.consumption.lots[draw.lot];
        let mut columns = with_node(cell_columns(&draw.cell), "credit_", &lot.node);
        columns.extend(row([
            ("credit_key", &lot.credit_key),
            ("lot", &lot.number),
            ("used", &draw.used),
            ("fifo_rank", &draw.rank),
            ("policy", &results.inputs.settings.policy.name()),
        ]));
        rows.push(columns);
    }
    rows
}

fn used(results: &Results, lot: usize, period: Period) -> Money {
    let draws = results.consumption.draws.iter();
    draws.filter(|draw| draw.lot == lot && draw.period == period).map(|draw| draw.used).sum()
}

fn credit_balances(results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for (position, lot) in results.consumption.lots.iter().enumerate() {
        let credit = &results.register[&lot.credit_key];
        let (lost_in, lost) = results.consumption.expired.get(&position).copied().unzip();
        let mut opening = Money::ZERO;
        let first = lot.continues.map_or(credit.issue_period(), |(_, from)| from);
        for period in first.through(Period::of(results.inputs.as_of)) {
            let issued = if period == credit.issue_period() { lot.amount } else { Money::ZERO };
            let moved = results.consumption.moved.get(&(position, period)).copied().unwrap_or_default();
            let used = used(results, position, period);
            let expired = if lost_in == Some(period) { lost.unwrap_or_default() } else { Money::ZERO };
            let remaining = opening + issued + moved - used - expired;
            let applied = if lot.number == 1 { credit.applied.get(&period).copied() } else { None };
            let columns = row([
                ("billing_period", &period),
                ("credit_key", &lot.credit_key),
                ("lot", &lot.number),
                ("promotion_code", &credit.promotion_code),
                ("account_id", &credit.account),
                ("currency", &credit.currency),
                ("issue_date", &credit.issue_date),
                ("end_date", &nullable(lot.end_date)),
                ("opening", &opening),
                ("issued", &issued),
                ("moved", &moved),
                ("used", &used),
                ("expired", &expired),
                ("remaining", &remaining),
                ("aws_applied", &applied.unwrap_or_default()),
            ]);
            rows.push(with_node(columns, "", &lot.node));
            opening = remaining;
        }
    }
    rows
}

/// Sums over the lots of a credit that are among `numbers`: allocated there or moved there, used and expired to date.
fn lot_sums(results: &Results, key: &str, numbers: impl Fn(usize) -> bool) -> [Money; 3] {
    let consumption = results.consumption;
    let counts = |lot: &Lot| lot.credit_key == key && numbers(lot.number);
    let is_its = |lot: usize| counts(&consumption.lots[lot]);
    let lots = consumption.lots.iter().filter(|lot| counts(lot));
    let draws = consumption.draws.iter().filter(|draw| is_its(draw.lot));
    let expired = consumption.expired.iter().filter(|(lot, _)| is_its(**lot));
    let moved = consumption.moved.iter().filter(|((lot, _), _)| is_its(*lot)).map(|(_, amount)| *amount).sum();
    let allocated: Money = lots.map(|lot| lot.amount).sum();
    [allocated + moved, draws.map(|draw| draw.used).sum(), expired.map(|(_, (_, amount))| *amount).sum()]
}

fn status(
    as_of: NaiveDate,
    within_days: i64,
    end: Option<NaiveDate>,
    expired: Money,
    remaining: Money,
) -> &'static str {
    let days_left = end.map(|end| (end - as_of).num_days());
    if days_left.is_some_and(|days| days < 0) && expired > Money::ZERO {
        "expired"
    } else if remaining == Money::ZERO {
        "exhausted"
    } else if days_left.is_some_and(|days| days <= within_days) {
        "expiring_soon"
    } else {
        "active"
    }
}

/// The lot whose end and reference a credit shows: the next to end of those with something left, else the last to end.
fn shown_lot<'a>(results: &Results, key: &str, allocation: &'a Allocation) -> &'a AllocatedLot {
    let mut lots: Vec<(usize, &AllocatedLot)> = (1..).zip(&allocation.lots).collect();
    lots.sort_by_key(|(number, lot)| (lot.end_date.unwrap_or(NaiveDate::MAX), *number));
    let has_some = |number: usize| {
        let [allocated, used, expired] = lot_sums(results, key, |other| other == number);
        allocated - used - expired > Money::ZERO
    };
    let next = lots.iter().find(|(number, _)| has_some(*number));
    let last_end = lots.last().expect("a lot").1.end_date;
    let last = || lots.iter().find(|(_, lot)| lot.end_date == last_end);
    next.or_else(last).expect("a lot").1
}

/// The columns that only an allocated credit has.
fn allocation_columns(results: &Results, key: &str, allocation: &Allocation) -> Row {
    let Inputs { as_of, settings, .. } = results.inputs;
    let [allocated, used, expired] = lot_sums(results, key, |_| true);
    let remaining = allocated - used - expired;
    let shown = shown_lot(results, key, allocation);
    let end = shown.end_date;
    let recorded_at = allocation.recorded_at.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.f").to_string());
    row([
        ("status", &status(*as_of, settings.expiring_soon_days, end, expired, remaining)),
        ("allocated_amount", &allocated),
        ("used", &used),
        ("expired", &expired),
        ("remaining", &remaining),
        ("end_date", &nullable(end)),
        ("reference", &shown.reference),
        ("recorded_by", &allocation.recorded_by),
        ("recorded_at", &nullable(recorded_at)),
        ("days_left", &nullable(end.map(|end| (end - *as_of).num_days()))),
    ])
}

fn register_columns(key: &str, credit: &Credit) -> Row {
    row([
        ("credit_key", &key),
        ("promotion_code", &credit.promotion_code),
        ("account_id", &credit.account),
        ("currency", &credit.currency),
        ("credit_class", &credit.class),
        ("first_cur_date", &credit.first_cur_date),
        ("issue_date", &credit.issue_date),
        ("issue_period", &credit.issue_period()),
        ("aws_applied", &credit.applied_to_date()),
    ])
}

fn credits(results: &Results) -> Vec<Row> {
    let nulls = [
        "allocated_amount",
        "used",
        "expired",
        "remaining",
        "end_date",
        "reference",
        "recorded_by",
        "recorded_at",
        "days_left",
    ];
    let mut rows = Vec::new();
    for (key, credit) in results.register {
        let mut columns = register_columns(key, credit);
        columns.extend(row([
            ("owner_account_id", &nullable(credit.owner.as_ref())),
            ("credit_id", &nullable(credit.id.as_ref())),
            ("payer_account_id", &credit.payer),
            ("description", &nullable(credit.description.as_ref())),
            ("issue_date_source", &"cur_inferred"),
            ("last_cur_date", &credit.last_cur_date),
            ("status", if matches!(results.standings[key], Standing::Invalid) { &"invalid" } else { &"unallocated" }),
        ]));
        columns.extend(nulls.map(|column| (column.to_owned(), String::new())));
        if let Standing::Allocated(allocation) = &results.standings[key] {
            columns.extend(allocation_columns(results, key, allocation));
        }
        rows.push(columns);
    }
    rows
}

fn credit_queue(results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for (key, credit) in results.register {
        let reason = match results.standings[key] {
            Standing::Never => "never_allocated",
            Standing::Revoked => "revoked",
            Standing::Invalid => "allocation_invalid",
            Standing::Allocated(_) => continue,
        };
        let mut columns = register_columns(key, credit);
        let days_waiting = (results.inputs.as_of - credit.first_cur_date).num_days();
        columns.extend(row([("days_waiting", &days_waiting), ("reason", &reason)]));
        rows.push(columns);
    }
    rows
}

fn credit_impact(results: &Results) -> Vec<Row> {
    let consumption = results.consumption;
    let with_line = results.register.iter().flat_map(|(key, credit)| credit.applied.keys().map(move |p| (*p, key)));
    let with_draw = consumption.draws.iter().map(|draw| (draw.period, &consumption.lots[draw.lot].credit_key));
    let keys: BTreeSet<(Period, &String)> = with_line.chain(with_draw).collect();
    let mut rows = Vec::new();
    for (period, key) in keys {
        let credit = &results.register[key];
        let lots = consumption.lots.iter().enumerate().filter(|(_, lot)| &lot.credit_key == key);
        let used: Money = lots.map(|(position, _)| used(results, position, period)).sum();
        rows.push(row([
            ("billing_period", &period),
            ("credit_key", key),
            ("currency", &credit.currency),
            ("issue_period", &credit.issue_period()),
            ("aws_applied", &credit.applied.get(&period).copied().unwrap_or_default()),
            ("used", &used),
        ]));
    }
    rows
}

/// What AWS took off by credits that nobody has allocated, negative.
fn unallocated(results: &Results, period: Period, currency: &str) -> Money {
    let waiting = |key: &String| !matches!(results.standings[key], Standing::Allocated(_));
    let credits = results.register.iter().filter(|(key, credit)| waiting(key) && credit.currency == currency);
    -credits.filter_map(|(_, credit)| credit.applied.get(&period).copied()).sum::<Money>()
}

fn reconciliation(results: &Results) -> Vec<Row> {
    let mut books: BTreeMap<(Period, String), Books> = BTreeMap::new();
    for (cell, figures) in books_by_cell(results) {
        let sum = books.entry((cell.period, cell.currency)).or_default();
        *sum = sum.plus(figures);
    }
    let mut rows = Vec::new();
    for ((period, currency), sum) in books {
        let lines: Vec<&Line> =
            results.lines.iter().filter(|line| line.period == period && line.currency == currency).collect();
        let export_total: Money = lines.iter().map(|line| line.unblended).sum();
        let invoice_net = sum.measures.invoice_net();
        rows.push(row([
            ("billing_period", &period),
            ("currency", &currency),
            ("export_total", &export_total),
            ("invoice_net", &invoice_net),
            ("net_cost", &sum.net_cost()),
            ("clearing", &(invoice_net - sum.net_cost())),
            ("unallocated_aws_credits", &unallocated(results, period, &currency)),
            ("difference", &(export_total - invoice_net)),
            ("rows_read", &lines.len()),
        ]));
    }
    rows
}
