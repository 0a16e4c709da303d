//! Why figures of a month changed: what the tables that they are made from say.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{Money, MoneyError, Text};
use schemas::tables::{Credit, CreditBalance, Reconciliation};

use super::model::{AmountChange, CountChange, Reason, Recorded};
use super::tables::{Credits, Figure, MonthTables, NodeRows};

/// What is known of the inputs of a month beside its tables.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Whether the spend on nodes is other than before; none where a run does not say.
    pub spend_changed: Option<bool>,
    /// The policies, where they differ.
    pub policies: Option<(String, String)>,
}

/// The reasons for one currency of a month, in the order in which one would ask.
pub(super) fn reasons(
    currency: &str,
    (from, to): (&MonthTables, &MonthTables),
    nodes: &[&NodeRows<'_>],
    budgets_changed: bool,
    evidence: &Evidence,
    credits: &Credits<'_>,
) -> Result<Vec<Reason>, MoneyError> {
    let figures_changed = nodes.iter().any(|rows| rows.is_changed());
    match (from.is_there, to.is_there) {
        _ if !figures_changed => return Ok(vec![Reason::Budgets]),
        (false, _) => return Ok(vec![Reason::NewMonth]),
        (_, false) => return Ok(vec![Reason::GoneMonth]),
        _ => {}
    }
    let mut why = Vec::new();
    let export = export(currency, &from.reconciliation, &to.reconciliation)?;
    let lines_changed = export.is_some();
    why.extend(export);
    if !lines_changed {
        why.extend(otherwise_on_nodes(nodes)?);
    }
    let applied = |rows: &&NodeRows<'_>| rows.change(|row| row.credits_applied).is_ok_and(|applied| applied.is_none());
    if !nodes.iter().all(applied) {
        let lots = Lots::of(currency, &from.balances, &to.balances);
        why.extend(lots.reasons(credits));
        if let Some((from, to)) = evidence.policies.clone() {
            why.push(Reason::Policy { from, to });
        }
    }
    let spend_explained = why
        .iter()
        .any(|reason| matches!(reason, Reason::Export { .. } | Reason::Measures { .. } | Reason::Shifted { .. }));
    if !spend_explained && evidence.spend_changed.unwrap_or(why.is_empty()) {
        why.insert(0, Reason::Spend);
    }
    if why.is_empty() {
        why.push(Reason::Version);
    }
    if budgets_changed {
        why.push(Reason::Budgets);
    }
    Ok(why)
}

/// Lines that came, went or changed, by what the export itself adds up to.
fn export(currency: &str, from: &[Reconciliation], to: &[Reconciliation]) -> Result<Option<Reason>, MoneyError> {
    let of = |rows: &[Reconciliation]| {
        let row = rows.iter().find(|row| row.currency == currency);
        row.map(|row| (row.export_total, row.rows_read)).unwrap_or_default()
    };
    let ((total_from, rows_from), (total_to, rows_to)) = (of(from), of(to));
    if (total_from, rows_from) == (total_to, rows_to) {
        return Ok(None);
    }
    let export_total = AmountChange::of(total_from, total_to)?;
    Ok(Some(Reason::Export { export_total, lines: CountChange { from: rows_from, to: rows_to } }))
}

/// How the same lines make other figures: other sums of the whole, or the same sum on other nodes.
fn otherwise_on_nodes(nodes: &[&NodeRows<'_>]) -> Result<Vec<Reason>, MoneyError> {
    let mut why = Vec::new();
    for rows in nodes.iter().filter(|rows| rows.level() == 0) {
        let (gross, refunds) = (rows.change(|row| row.gross_cost)?, rows.change(|row| row.refunds)?);
        if !gross.is_none() || !refunds.is_none() {
            let from = gross.from.checked_add(refunds.from)?;
            let cost = AmountChange::of(from, gross.to.checked_add(refunds.to)?)?;
            why.push(Reason::Measures { cost });
        }
    }
    if why.is_empty() {
        let amount = shifted(nodes, |row| row.gross_cost)?
            .max(shifted(nodes, |row| row.refunds)?)
            .max(shifted(nodes, |row| row.aws_credits)?);
        if amount.is_positive() {
            why.push(Reason::Shifted { amount });
        }
    }
    Ok(why)
}

/// How much of a figure lies on other nodes, at the level where it is most.
fn shifted(nodes: &[&NodeRows<'_>], figure: Figure) -> Result<Money, MoneyError> {
    let mut moved: BTreeMap<i32, Money> = BTreeMap::new();
    for rows in nodes.iter().filter(|rows| rows.level() > 0) {
        let change = rows.change(figure)?.change;
        if change.is_positive() {
            let sum = moved.entry(rows.level()).or_default();
            *sum = sum.checked_add(change)?;
        }
    }
    Ok(moved.into_values().max().unwrap_or_default())
}

/// A lot in the run before and in the run after.
type InBoth<'a> = (Option<&'a CreditBalance>, Option<&'a CreditBalance>);

/// The lots of one currency that draw in a month in either run.
#[derive(Debug, Default)]
struct Lots<'a>(BTreeMap<(&'a str, i32), InBoth<'a>>);

impl<'a> Lots<'a> {
    fn of(currency: &str, from: &'a [CreditBalance], to: &'a [CreditBalance]) -> Self {
        let mut lots = Self::default();
        for row in from.iter().filter(|row| row.currency == currency) {
            lots.0.entry((row.credit_key.as_str(), row.lot)).or_default().0 = Some(row);
        }
        for row in to.iter().filter(|row| row.currency == currency) {
            lots.0.entry((row.credit_key.as_str(), row.lot)).or_default().1 = Some(row);
        }
        let draws = |row: Option<&CreditBalance>| row.is_some_and(|row| row.used.is_positive());
        lots.0.retain(|_, (from, to)| draws(*from) || draws(*to));
        lots
    }

    fn reasons(&self, credits: &Credits<'_>) -> Vec<Reason> {
        let mut by_cause: BTreeMap<Cause, BTreeSet<&str>> = BTreeMap::new();
        for ((credit_key, _), (from, to)) in &self.0 {
            if let Some(cause) = cause(credit_key, *from, *to, credits) {
                by_cause.entry(cause).or_default().insert(credit_key);
            }
        }
        let reason = |(cause, keys): (Cause, BTreeSet<&str>)| {
            let texts = || keys.iter().map(Text::new).collect();
            match cause {
                Cause::Recorded => {
                    Reason::Allocations { credits: keys.iter().map(|key| recorded(key, credits)).collect() }
                }
                Cause::Dated => Reason::IssueDates { credits: texts() },
                Cause::Left => Reason::EarlierMonths { credits: texts() },
            }
        };
        by_cause.into_iter().map(reason).collect()
    }
}

/// Why a lot may have drawn other amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Recorded,
    Dated,
    Left,
}

fn cause(
    credit_key: &str,
    from: Option<&CreditBalance>,
    to: Option<&CreditBalance>,
    credits: &Credits<'_>,
) -> Option<Cause> {
    let of = |credit: Option<&&Credit>| credit.map(|credit| (credit.recorded_at, credit.issue_date));
    let (before, after) = (of(credits.from.get(credit_key)), of(credits.to.get(credit_key)));
    let is_revised = before.map(|(at, _)| at) != after.map(|(at, _)| at);
    let is_dated_otherwise = before.map(|(_, on)| on) != after.map(|(_, on)| on);
    let had = |row: &CreditBalance| (row.opening, row.moved, row.issue_date);
    let is_same = from.zip(to).is_some_and(|(from, to)| terms(from) == terms(to) && had(from) == had(to));
    if is_same {
        return None;
    }
    let has_same_terms = from.zip(to).is_some_and(|(from, to)| terms(from) == terms(to));
    Some(match (is_revised, is_dated_otherwise) {
        (true, _) => Cause::Recorded,
        (false, true) => Cause::Dated,
        (false, false) if has_same_terms => Cause::Left,
        // A node is gone, or came back: what is recorded counts no more, or again.
        (false, false) => Cause::Recorded,
    })
}

fn recorded(credit_key: &str, credits: &Credits<'_>) -> Recorded {
    let credit = credits.to.get(credit_key);
    Recorded {
        credit_key: credit_key.into(),
        status: credit.map(|credit| credit.status.clone()),
        recorded_by: credit.and_then(|credit| credit.recorded_by.clone()),
        recorded_at: credit.and_then(|credit| credit.recorded_at),
    }
}

/// What people record of a lot, as far as a month's balances say it.
fn terms(row: &CreditBalance) -> impl PartialEq + '_ {
    let node = [&row.business_unit, &row.department, &row.portfolio, &row.product];
    (node, row.end_date, row.issued)
}
