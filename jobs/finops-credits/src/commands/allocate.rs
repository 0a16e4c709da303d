//! `allocate`, `move` and `revoke`: one revision in the log.

use std::io::IsTerminal;

use application::revision::{self, found};
use application::{CreditSnapshot, Proposal, money_text};
use chrono::NaiveDate;
use credit_ledger::{Money, Node, Text};
use join_allocations::record::{self, Revisions};
use schemas::NodeColumns;
use schemas::reference::{Action, AllocationRow, CreditName};
use schemas::tables::RegisteredCredit;
use write_net_cost::standing::queue as queue_rows;

use super::note;
use super::prompts::{self, Choices};
use super::proposal::{Words, carry_out};
use super::who::recording;
use crate::app::App;
use crate::cli::{Allocate, CreditArgs, Format, Move, Placed, Revoke};
use crate::{Failure, Kind};

pub(crate) async fn allocate(app: &App, mut arguments: Allocate) -> Result<(), Failure> {
    let snapshot = CreditSnapshot::of(&app.context).await?;
    // What is wrong with the credit is said before anything is asked for.
    if arguments.credit.key.is_some() || arguments.credit.code.is_some() {
        found(&credit_name(&arguments.credit)?, &snapshot)?;
    }
    let joined = snapshot.joined();
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        let register = &snapshot.register.credits;
        let waiting = &queue_rows(register, &joined.credits, app.context.as_of);
        let nodes = snapshot.reference.hierarchy.nodes().map(|(node, _owner)| node).collect();
        prompts::ask(&Choices { waiting, register, nodes }, &mut arguments)?;
    }
    check_complete(&arguments)?;
    let name = credit_name(&arguments.credit)?;
    let credit = found(&name, &snapshot)?;
    let replaced = Replaced::all(&snapshot, credit);
    let mut rows = Vec::with_capacity(arguments.to.len());
    for lot in &arguments.to {
        let amount = lot.amount.or(arguments.amount).unwrap_or_default();
        if !amount.is_positive() {
            return Err(Failure::new(Kind::BadInput, format!("allocate: amount {amount} is not above zero")));
        }
        rows.push(AllocationRow {
            amount: Some(amount),
            currency: Some(credit.currency.clone()),
            end_date: end_date(lot, &arguments, &replaced)?,
            reference: reference(lot, &arguments, &replaced),
            node: Some(lot.node.clone()),
            note: arguments.note.as_ref().map(Text::from),
            ..revision::row("allocate", name.clone(), Action::Allocate)
        });
    }
    let recording = recording(app, &snapshot, &arguments.record).await?;
    let proposal = Proposal::of(&app.context, &snapshot, credit, &rows, &recording).await?;
    let words = Words { command: "allocate", now: "Replaces", done: &allocated(credit, &rows)? };
    carry_out(&proposal, app, (&arguments.record, arguments.consent), words).await
}

/// # Errors
/// Names what is missing where it was not asked for.
fn check_complete(arguments: &Allocate) -> Result<(), Failure> {
    let several = arguments.to.iter().any(|lot| lot.amount.is_some()) || arguments.to.len() > 1;
    let missing: Vec<&str> = [
        (arguments.credit.key.is_none() && arguments.credit.code.is_none())
            .then_some("--key (or --code and --account)"),
        (arguments.amount.is_none() && !several).then_some("--amount"),
        arguments.to.is_empty().then_some("--to"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !missing.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("allocate: missing {}", missing.join(", "))));
    }
    if several && (arguments.amount.is_some() || arguments.to.iter().any(|lot| lot.amount.is_none())) {
        let message = "allocate: give one --to with --amount, or an amount with each: --to NODE=AMOUNT";
        return Err(Failure::new(Kind::Usage, message));
    }
    Ok(())
}

/// A lot that a new allocation replaces.
struct Replaced {
    node: Option<Node>,
    end_date: Option<NaiveDate>,
    reference: Option<Text>,
}

impl Replaced {
    /// The lots that count, else those of a newest revision that cannot be used: a credit does not lose its end by that.
    fn all(snapshot: &CreditSnapshot, credit: &RegisteredCredit) -> Vec<Self> {
        let joined = snapshot.joined();
        let lots = joined.lots.iter().filter(|lot| lot.credit_key == credit.credit_key);
        let lots =
            lots.map(|lot| Self { node: lot.node().ok(), end_date: lot.end_date, reference: lot.reference.clone() });
        let mut all: Vec<Self> = lots.collect();
        if all.is_empty() {
            let rows = revision::newest(snapshot, credit).into_iter();
            all.extend(rows.map(|row| Self {
                node: row.node().ok(),
                end_date: row.end_date,
                reference: row.reference.clone(),
            }));
        }
        all
    }
}

/// What a lot keeps of those it replaces: that of the lot on its node, else what all of them have; an error where those differ.
fn kept<T: Clone + PartialEq>(
    lot: &Placed,
    replaced: &[Replaced],
    of: fn(&Replaced) -> &Option<T>,
) -> Result<Option<T>, ()> {
    let mut at_node = replaced.iter().filter(|row| row.node.as_ref() == Some(&lot.node));
    if let (Some(one), None) = (at_node.next(), at_node.next()) {
        return Ok(of(one).clone());
    }
    let first = replaced.first().map(of);
    if replaced.iter().any(|row| Some(of(row)) != first) {
        return Err(());
    }
    Ok(first.cloned().flatten())
}

fn end_date(lot: &Placed, arguments: &Allocate, replaced: &[Replaced]) -> Result<Option<NaiveDate>, Failure> {
    let stated = lot.end_date.or(arguments.end_date);
    if stated.is_some() || arguments.no_end_date {
        return Ok(stated);
    }
    kept(lot, replaced, |row| &row.end_date).map_err(|()| {
        let message = "allocate: the lots that it replaces end on different days; state an end: --end-date, --no-end-date, or \
                       --to NODE=AMOUNT,END";
        Failure::new(Kind::Usage, message)
    })
}

/// Where the references that it replaces differ, none is kept.
fn reference(lot: &Placed, arguments: &Allocate, replaced: &[Replaced]) -> Option<Text> {
    match &arguments.reference {
        Some(stated) => Some(Text::from(stated)).filter(|stated| !stated.is_empty()),
        None => kept(lot, replaced, |row| &row.reference).unwrap_or_default(),
    }
}

/// What is left of a lot goes on elsewhere.
pub(crate) async fn move_lot(app: &App, arguments: Move) -> Result<(), Failure> {
    let snapshot = CreditSnapshot::of(&app.context).await?;
    let (credit, lot) = found_lot(&arguments.key, &snapshot)?;
    let refused = |why: String| Failure::new(Kind::BadInput, format!("move: credit {}: {why}", credit.credit_key));
    let current = revision::current(&snapshot, credit).map_err(refused)?;
    let mut rows = record::move_lot(&current, lot, arguments.from, &arguments.to).map_err(refused)?;
    for row in &mut rows {
        row.note = arguments.note.as_ref().map(Text::from);
    }
    let recording = recording(app, &snapshot, &arguments.record).await?;
    let proposal = Proposal::of(&app.context, &snapshot, credit, &rows, &recording).await?;
    let Move { key, from, to, .. } = &arguments;
    let done = format!("From {from} on, what is left of {key} is on {to}. It counts from the next run.");
    let words = Words { command: "move", now: "Now", done: &done };
    carry_out(&proposal, app, (&arguments.record, arguments.consent), words).await
}

/// The credit of `KEY` or `KEY:LOT`.
fn found_lot<'a>(key: &str, snapshot: &'a CreditSnapshot) -> Result<(&'a RegisteredCredit, Option<i32>), Failure> {
    let named = |key: &str| found(&CreditName::Key(key.into()), snapshot);
    let whole = named(key);
    let with_lot = key.rsplit_once(':').and_then(|(key, lot)| Some((named(key).ok()?, lot.parse().ok()?)));
    match (whole, with_lot) {
        (Ok(credit), _) => Ok((credit, None)),
        (Err(_), Some((credit, lot))) => Ok((credit, Some(lot))),
        (Err(failure), None) => Err(failure),
    }
}

/// What was recorded, as a person is told.
fn allocated(credit: &RegisteredCredit, rows: &[AllocationRow]) -> Result<String, Failure> {
    let total = money_text::cents(Money::total(rows.iter().filter_map(|row| row.amount))?);
    let lot = |row: &AllocationRow| {
        let amount = money_text::cents(row.amount.unwrap_or_default());
        let amount = if rows.len() > 1 { format!("{amount} ") } else { String::new() };
        let node = row.node.as_ref().map(ToString::to_string).unwrap_or_default();
        let end = row.end_date.map(|end| format!(", until {end}")).unwrap_or_default();
        format!("{amount}to {node}{end}")
    };
    let lots: Vec<String> = rows.iter().map(lot).collect();
    let colon = if rows.len() > 1 { ":" } else { "" };
    Ok(format!(
        "Allocated {total} {} of {}{colon} {}. It counts from the next run.",
        credit.currency,
        credit.credit_key,
        lots.join("; ")
    ))
}

pub(crate) async fn revoke(app: &App, arguments: Revoke) -> Result<(), Failure> {
    let snapshot = CreditSnapshot::of(&app.context).await?;
    let name = credit_name(&arguments.credit)?;
    let credit = found(&name, &snapshot)?;
    let refused = |why: String| Failure::new(Kind::BadInput, format!("revoke: credit {}: {why}", credit.credit_key));
    let mut row = revision::revocation("revoke", &snapshot, credit).map_err(refused)?;
    row.note = arguments.note.as_ref().map(Text::from);
    let recording = recording(app, &snapshot, &arguments.record).await?;
    let proposal = Proposal::of(&app.context, &snapshot, credit, &[row], &recording).await?;
    let done = format!("Revoked the allocation of {}. It waits in the queue from the next run.", credit.credit_key);
    let words = Words { command: "revoke", now: "Now", done: &done };
    carry_out(&proposal, app, (&arguments.record, arguments.consent), words).await
}

fn credit_name(credit: &CreditArgs) -> Result<CreditName, Failure> {
    match (&credit.key, &credit.code, &credit.account) {
        (Some(key), _, _) => Ok(CreditName::Key(key.into())),
        (None, Some(code), Some(account)) => {
            Ok(CreditName::Code { promotion_code: code.into(), account_id: account.into() })
        }
        _ => Err(Failure::new(Kind::Usage, "name the credit: --key, or --code and --account")),
    }
}

/// What may not be meant, beside the answer for people; JSON has it within.
pub(super) fn warn(app: &App, new: &Revisions) {
    for warning in new.warnings.iter().filter(|_| app.format != Format::Json) {
        note(&format!("warning: {warning}"));
    }
}

#[cfg(test)]
mod tests;
