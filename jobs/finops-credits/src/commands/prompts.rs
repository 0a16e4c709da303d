//! Questions on a terminal: type to filter lists, Esc goes back to the question before, Ctrl-C ends it all.

use std::fmt;
use std::io::ErrorKind;

use chrono::NaiveDate;
use credit_ledger::{Money, Node};
use inquire::validator::Validation;
use inquire::{Confirm, InquireError, Select, Text};
use schemas::tables::{CreditQueue, RegisteredCredit};

use crate::cli::{Allocate, Placed, amount, date};
use crate::{Failure, Kind};
use application::foreign_text::{CELL, visible};
use application::money_text::cents;

/// What somebody answered: nothing where they went back.
type Answer<T> = Result<Option<T>, Failure>;

/// What can be chosen from when an allocation is asked for.
pub(crate) struct Choices<'a> {
    /// Credits that wait.
    pub(crate) waiting: &'a [CreditQueue],
    /// All that are registered.
    pub(crate) register: &'a [RegisteredCredit],
    /// All nodes of the hierarchy.
    pub(crate) nodes: Vec<&'a Node>,
}

/// An entry of a list as it is shown.
struct Entry<T> {
    shown: String,
    value: T,
}

impl<T> fmt::Display for Entry<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

const FILTER: &str = "type to filter, Enter to choose, Esc to go back";
const BACK: &str = "Esc to go back";

/// Asks for what an allocation still lacks, one question after the other.
pub(crate) fn ask(choices: &Choices<'_>, arguments: &mut Allocate) -> Result<(), Failure> {
    let has_amount = arguments.amount.is_some() || arguments.to.iter().any(|lot| lot.amount.is_some());
    let is_complete = has_amount && !arguments.to.is_empty();
    let mut questions: Vec<fn(&Choices<'_>, &mut Allocate) -> Answer<()>> = Vec::new();
    if arguments.credit.key.is_none() && arguments.credit.code.is_none() {
        questions.push(ask_credit);
    }
    if !has_amount {
        questions.push(ask_amount);
    }
    if arguments.to.is_empty() {
        questions.push(ask_node);
    }
    if !is_complete && arguments.end_date.is_none() && !arguments.no_end_date {
        questions.push(ask_end);
    }
    if !is_complete && arguments.reference.is_none() {
        questions.push(ask_reference);
    }
    let mut at = 0_usize;
    while let Some(question) = questions.get(at) {
        match question(choices, arguments)? {
            Some(()) => at = at.saturating_add(1),
            None if at == 0 => return Err(Failure::new(Kind::Usage, "no answer: nothing was recorded")),
            None => at = at.saturating_sub(1),
        }
    }
    Ok(())
}

/// Yes or no; no where somebody only presses Enter.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    Ok(answered(Confirm::new(question).with_default(false).prompt())?.unwrap_or(false))
}

fn ask_credit(choices: &Choices<'_>, arguments: &mut Allocate) -> Answer<()> {
    if choices.waiting.is_empty() {
        return Err(Failure::new(Kind::BadInput, "no credit waits for allocation; name one with --key"));
    }
    let entry = |row: &CreditQueue| {
        let applied = cents(row.aws_applied);
        let shown = format!(
            "{}  ({} {applied} applied by AWS so far, since {})",
            row.credit_key, row.currency, row.first_cur_date
        );
        Entry { shown: visible(&shown, CELL), value: row.credit_key.to_string() }
    };
    let chosen = choose("Credit", choices.waiting.iter().map(entry).collect())?;
    Ok(chosen.map(|key| arguments.credit.key = Some(key)))
}

fn ask_amount(choices: &Choices<'_>, arguments: &mut Allocate) -> Answer<()> {
    let credit =
        arguments.credit.key.as_ref().and_then(|key| choices.register.iter().find(|row| row.credit_key == *key));
    let question = credit.map_or("Amount".to_owned(), |credit| {
        format!("Amount in {} (AWS has applied {} so far)", credit.currency, cents(credit.aws_applied))
    });
    let check = |text: &str| {
        amount(text.trim())
            .and_then(|amount| if amount.is_positive() { Ok(()) } else { Err("it must be above zero".to_owned()) })
    };
    let text = line(&question, arguments.amount.map(|amount| amount.to_string()), check)?;
    Ok(text.map(|text| arguments.amount = amount(text.trim()).ok().filter(|amount: &Money| amount.is_positive())))
}

fn ask_node(choices: &Choices<'_>, arguments: &mut Allocate) -> Answer<()> {
    let entry = |node: &&Node| Entry { shown: visible(&node.to_string(), CELL), value: (*node).clone() };
    let chosen = choose("Node", choices.nodes.iter().map(entry).collect())?;
    Ok(chosen.map(|node| arguments.to = vec![Placed { node, amount: None, end_date: None }]))
}

fn ask_end(_choices: &Choices<'_>, arguments: &mut Allocate) -> Answer<()> {
    let check = |text: &str| if text.trim().is_empty() { Ok(()) } else { date(text.trim()).map(drop) };
    let before = arguments.end_date.map(|end: NaiveDate| end.to_string());
    let text = line("End date (YYYY-MM-DD, empty: as before, else open-ended)", before, check)?;
    Ok(text.map(|text| arguments.end_date = date(text.trim()).ok()))
}

fn ask_reference(_choices: &Choices<'_>, arguments: &mut Allocate) -> Answer<()> {
    let text = line("Reference (empty: as before, else none)", arguments.reference.clone(), |_text| Ok(()))?;
    Ok(text.map(|text| arguments.reference = Some(text).filter(|text| !text.is_empty())))
}

fn choose<T>(question: &str, entries: Vec<Entry<T>>) -> Answer<T> {
    let chosen = Select::new(question, entries).with_page_size(12).with_help_message(FILTER).prompt();
    Ok(answered(chosen)?.map(|entry| entry.value))
}

/// A line of text that passes a check; what is wrong is said beside the question.
fn line(
    question: &str,
    before: Option<String>,
    check: impl Fn(&str) -> Result<(), String> + Clone + 'static,
) -> Answer<String> {
    let before = before.unwrap_or_default();
    let validator = move |text: &str| {
        Ok(match check(text) {
            Ok(()) => Validation::Valid,
            Err(wrong) => Validation::Invalid(wrong.into()),
        })
    };
    answered(Text::new(question).with_initial_value(&before).with_help_message(BACK).with_validator(validator).prompt())
}

fn stopped() -> Failure {
    Failure::new(Kind::Usage, "stopped: nothing was recorded")
}

/// Esc is no answer; Ctrl-C and a terminal that is gone end the command. The cursor is visible again in any case.
fn answered<T>(answer: Result<T, InquireError>) -> Answer<T> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(InquireError::OperationCanceled) => Ok(None),
        Err(InquireError::OperationInterrupted) => Err(stopped()),
        // Ctrl-C where the signal that it sends is ignored.
        Err(InquireError::IO(error)) if error.kind() == ErrorKind::Interrupted => Err(stopped()),
        Err(error) => Err(Failure::new(Kind::Usage, format!("no answer: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn esc_goes_back_and_ctrl_c_or_a_lost_terminal_ends_without_recording() {
        assert_eq!(answered(Ok("Retail")).unwrap(), Some("Retail"));
        assert_eq!(answered::<()>(Err(InquireError::OperationCanceled)).unwrap(), None);
        let said = |error| {
            let failure = answered::<()>(Err(error)).unwrap_err();
            (failure.kind, failure.to_string())
        };
        let stopped = "stopped: nothing was recorded".to_owned();
        assert_eq!(said(InquireError::OperationInterrupted), (Kind::Usage, stopped.clone()));
        assert_eq!(said(InquireError::IO(ErrorKind::Interrupted.into())), (Kind::Usage, stopped));
        let lost = said(InquireError::NotTTY);
        assert!(lost.0 == Kind::Usage && lost.1.starts_with("no answer: "), "{}", lost.1);
    }

    /// Nothing is asked: a terminal is not needed.
    #[test]
    fn allocation_that_is_whole_is_not_asked_about_and_without_a_credit_that_waits_none_can_be_chosen() {
        let choices = Choices { waiting: &[], register: &[], nodes: Vec::new() };
        let of = |line: &str| match crate::testing::command(line) {
            crate::cli::Command::Allocate(allocate) => allocate,
            other => panic!("{other:?}"),
        };
        ask(&choices, &mut of("allocate --key id:1 --amount 5 --to Retail")).unwrap();
        ask(&choices, &mut of("allocate --code A --account 1 --to Retail=5 --to Media=7")).unwrap();
        let failure = ask(&choices, &mut of("allocate --amount 5 --to Retail")).unwrap_err();
        let expected = "no credit waits for allocation; name one with --key";
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::BadInput, expected));
    }
}
