//! `allocate` and `revoke`: one revision in the log.

use std::io::IsTerminal;

use credit_ledger::{Money, Text};
use dialoguer::{Input, Select};
use join_allocations::record::{Recording, Revisions, find, revisions};
use schemas::reference::{Action, AllocationRow, CreditName, Problem};
use schemas::tables::RegisteredCredit;
use write_net_cost::standing::queue as queue_rows;

use super::who::login;
use super::{CreditSnapshot, note};
use crate::app::App;
use crate::cli::{Allocate, CreditArgs, Format, Placed, RecordArgs, Revoke, date};
use crate::foreign_text::{CELL, visible};
use crate::output::answer;
use crate::{Failure, Kind, money_text};

pub(crate) async fn allocate(app: &App, mut arguments: Allocate) -> Result<(), Failure> {
    let standing = CreditSnapshot::of(app).await?;
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        ask(app, &standing, &mut arguments)?;
    }
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
    let name = credit_name(&arguments.credit)?;
    let credit = found(&name, &standing)?;
    let mut rows = Vec::with_capacity(arguments.to.len());
    for lot in &arguments.to {
        let amount = lot.amount.or(arguments.amount).unwrap_or_default();
        if !amount.is_positive() {
            return Err(Failure::new(Kind::BadInput, format!("allocate: amount {amount} is not above zero")));
        }
        rows.push(AllocationRow {
            amount: Some(amount),
            currency: Some(credit.currency.clone()),
            end_date: lot.end_date.or(arguments.end_date),
            reference: arguments.reference.as_ref().map(Text::from),
            node: Some(lot.node.clone()),
            note: arguments.note.as_ref().map(Text::from),
            ..revision_row("allocate", name.clone(), Action::Allocate)
        });
    }
    let new = record(app, &standing, &rows, &arguments.record).await?;
    answer(app.format, &new, [allocated(&credit, &rows)?])
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
    let standing = CreditSnapshot::of(app).await?;
    let name = credit_name(&arguments.credit)?;
    let credit = found(&name, &standing)?;
    let joined = standing.joined();
    let waiting = joined.credits.iter().find(|row| row.credit_key == credit.credit_key);
    if let Some(reason) =
        waiting.and_then(|row| row.waiting.as_deref()).filter(|reason| *reason != "allocation_invalid")
    {
        let message = format!("revoke: credit {} is not allocated ({reason})", credit.credit_key);
        return Err(Failure::new(Kind::BadInput, message));
    }
    let row =
        AllocationRow { note: arguments.note.as_ref().map(Text::from), ..revision_row("revoke", name, Action::Revoke) };
    let new = record(app, &standing, &[row], &arguments.record).await?;
    let line = format!("Revoked the allocation of {}. It waits in the queue from the next run.", credit.credit_key);
    answer(app.format, &new, [line])
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

fn found(name: &CreditName, standing: &CreditSnapshot) -> Result<RegisteredCredit, Failure> {
    let credit = find(name, &standing.register.credits);
    credit.cloned().map_err(|message| Failure::new(Kind::BadInput, message))
}

fn revision_row(command: &str, credit: CreditName, action: Action) -> AllocationRow {
    AllocationRow {
        at: Problem { file: command.to_owned(), row: None, column: None, message: String::new() },
        credit,
        action,
        amount: None,
        currency: None,
        end_date: None,
        reference: None,
        node: None,
        allocation_id: None,
        recorded_at: None,
        recorded_by: None,
        note: None,
    }
}

async fn record(
    app: &App,
    standing: &CreditSnapshot,
    rows: &[AllocationRow],
    stamp: &RecordArgs,
) -> Result<Revisions, Failure> {
    let recording = recording(app, standing, stamp);
    let (register, hierarchy) = (&standing.register.credits, &standing.reference.hierarchy);
    let new = revisions(rows, register, hierarchy, &standing.log, &recording)?;
    app.lake.logs().append(&new.rows).await?;
    warn(app, &new);
    Ok(new)
}

/// What may not be meant, beside the answer for people; JSON has it within.
pub(super) fn warn(app: &App, new: &Revisions) {
    for warning in new.warnings.iter().filter(|_| app.format != Format::Json) {
        note(&format!("warning: {warning}"));
    }
}

/// Who and when: as stated, else the login name and now.
pub(crate) fn recording(app: &App, standing: &CreditSnapshot, stamp: &RecordArgs) -> Recording {
    Recording {
        recorded_by: stamp.by.clone().or_else(|| login(app)).map(Text::from),
        recorded_at: stamp.recorded_at.unwrap_or(app.now),
        is_stated: stamp.recorded_at.is_some(),
        now: standing.latest,
    }
}

/// Asks on the terminal for what is missing.
fn ask(app: &App, standing: &CreditSnapshot, arguments: &mut Allocate) -> Result<(), Failure> {
    let has_amount = arguments.amount.is_some() || arguments.to.iter().any(|lot| lot.amount.is_some());
    let asked = !has_amount || arguments.to.is_empty();
    if arguments.credit.key.is_none() && arguments.credit.code.is_none() {
        let waiting = queue_rows(&standing.register.credits, &standing.joined().credits, app.as_of);
        if waiting.is_empty() {
            return Err(Failure::new(Kind::BadInput, "no credit waits for allocation; name one with --key"));
        }
        let choices: Vec<String> = waiting
            .iter()
            .map(|row| {
                let applied = money_text::cents(row.aws_applied);
                let choice = format!(
                    "{}  ({} {applied} applied by AWS so far, since {})",
                    row.credit_key, row.currency, row.first_cur_date
                );
                visible(&choice, CELL)
            })
            .collect();
        let chosen = Select::new().with_prompt("Credit").items(&choices).default(0).interact().map_err(no_answer)?;
        arguments.credit.key = waiting.get(chosen).map(|row| row.credit_key.to_string());
    }
    if !has_amount {
        let amount: Money = Input::new().with_prompt("Amount").interact_text().map_err(no_answer)?;
        arguments.amount = Some(amount);
    }
    if arguments.to.is_empty() {
        let nodes: Vec<_> = standing.reference.hierarchy.nodes().map(|(node, _)| node).collect();
        let choices: Vec<String> = nodes.iter().map(|node| visible(&node.to_string(), CELL)).collect();
        let chosen = Select::new().with_prompt("Node").items(&choices).default(0).interact().map_err(no_answer)?;
        let chosen = nodes.get(chosen).map(|node| Placed { node: (*node).clone(), amount: None, end_date: None });
        arguments.to.extend(chosen);
    }
    if asked && arguments.end_date.is_none() {
        let text: String = Input::new()
            .with_prompt("End date (YYYY-MM-DD, empty for none)")
            .allow_empty(true)
            .validate_with(|text: &String| if text.is_empty() { Ok(()) } else { date(text).map(drop) })
            .interact_text()
            .map_err(no_answer)?;
        arguments.end_date = text.parse().ok();
    }
    if asked && arguments.reference.is_none() {
        let prompt = Input::new().with_prompt("Reference (empty for none)").allow_empty(true);
        let text: String = prompt.interact_text().map_err(no_answer)?;
        arguments.reference = Some(text).filter(|text| !text.is_empty());
    }
    Ok(())
}

fn no_answer(error: dialoguer::Error) -> Failure {
    Failure::new(Kind::Usage, format!("no answer: {error}"))
}
