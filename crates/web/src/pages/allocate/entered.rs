//! What somebody entered, as text, and what can be read of it.

use application::{CreditSnapshot, revision, typed};
use credit_ledger::{BillingPeriod, Node};
use join_allocations::lots::current_rows;
use schemas::NodeColumns;
use schemas::reference::{Action, AllocationRow, CreditName, Problem};
use schemas::tables::{AllocationLogRow, RegisteredCredit};
use sha2::{Digest, Sha256};

use super::Wish;
use crate::form::Form;

/// One lot as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EnteredLot {
    pub(super) amount: String,
    pub(super) node: String,
    pub(super) end_date: String,
    pub(super) reference: String,
}

/// The form as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entered {
    pub(super) lots: Vec<EnteredLot>,
    pub(super) note: Option<String>,
    /// The lot that goes on elsewhere, from when, and where.
    pub(super) move_lot: String,
    pub(super) move_from: String,
    pub(super) move_to: String,
    /// The newest revision when the form was opened.
    pub(super) seen: String,
    /// What the preview was of.
    pub(super) previewed: String,
}

/// What is wrong, and at which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// From 1; none where it is not about one lot.
    pub(super) lot: Option<usize>,
    pub(super) field: &'static str,
    pub(super) message: String,
}

impl Wrong {
    /// What was found wrong with a row, at the field that it is about.
    pub(super) fn of_problem(problem: &Problem) -> Self {
        let message = problem.message.clone();
        let begins = |word: &str| message.starts_with(word);
        let field = match () {
            () if begins("amount") || begins("currency") => "amount",
            () if begins("node") || begins("no business unit") => "node",
            () if begins("end_date") => "end_date",
            () => "lot",
        };
        if begins("from_period") || begins("its end_date is not that") {
            return Self { lot: None, field: "move_from", message: message.replace("from_period", "the month") };
        }
        let lot = problem.row.and_then(|row| usize::try_from(row).ok());
        Self { lot, field, message: message.replace("end_date", "the end") }
    }
}

impl EnteredLot {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn of_row(row: &AllocationLogRow) -> Self {
        Self {
            amount: row.amount.map(|amount| plain(&amount.to_string())).unwrap_or_default(),
            node: row.node().map(|node| node.to_string()).unwrap_or_default(),
            end_date: row.end_date.map(|end| end.to_string()).unwrap_or_default(),
            reference: row.reference.clone().unwrap_or_default().into(),
        }
    }
}

/// An amount without zeros that say nothing: `2500.00`, `0.1234567891`.
fn plain(amount: &str) -> String {
    let Some((whole, decimals)) = amount.split_once('.') else { return amount.to_owned() };
    let decimals = decimals.trim_end_matches('0');
    format!("{whole}.{decimals:0<2}")
}

impl Entered {
    /// The fields of a form.
    pub(super) fn of(form: &Form) -> Self {
        let of = |name: &'static str| form.all(name).map(str::to_owned).collect::<Vec<_>>();
        let (amounts, nodes, ends, references) = (of("amount"), of("node"), of("end_date"), of("reference"));
        let rows = [amounts.len(), nodes.len(), ends.len(), references.len()].into_iter().max().unwrap_or_default();
        let at = |values: &[String], row: usize| values.get(row).cloned().unwrap_or_default();
        let lots = (0..rows).map(|row| EnteredLot {
            amount: at(&amounts, row),
            node: at(&nodes, row),
            end_date: at(&ends, row),
            reference: at(&references, row),
        });
        let text = |name: &'static str| form.text(name).unwrap_or_default().to_owned();
        Self {
            lots: lots.collect(),
            note: form.text("note").map(str::to_owned),
            move_lot: text("move_lot"),
            move_from: text("move_from"),
            move_to: text("move_to"),
            seen: text("seen"),
            previewed: text("previewed"),
        }
    }

    /// The form as it is opened: what is recorded now, or one empty lot.
    pub(super) fn recorded(snapshot: &CreditSnapshot, credit: &RegisteredCredit) -> Self {
        let current = current_rows(&snapshot.log).filter(|row| row.credit_key == credit.credit_key);
        let counts = current.filter(|row| row.action == Action::Allocate.name() && row.continues_lot.is_none());
        let mut lots: Vec<EnteredLot> = counts.map(EnteredLot::of_row).collect();
        if lots.is_empty() {
            lots.push(EnteredLot::default());
        }
        Self { lots, ..Self::default() }
    }

    /// The rows of the revision that allocates: lots that were left empty are none.
    pub(super) fn rows(&self, credit: &RegisteredCredit) -> Result<Vec<AllocationRow>, Vec<Wrong>> {
        let (mut rows, mut wrong) = (Vec::new(), Vec::new());
        for (number, lot) in (1..).zip(&self.lots).filter(|(_, lot)| !lot.is_empty()) {
            let mut failed =
                |field: &'static str, message: String| wrong.push(Wrong { lot: Some(number), field, message });
            let amount = match lot.amount.as_str() {
                "" => Err("an amount is missing".to_owned()),
                text => typed::amount(text),
            };
            let amount = amount.map_err(|why| failed("amount", why)).ok();
            let node = match lot.node.as_str() {
                "" => Err("a node is missing".to_owned()),
                text => typed::node(text),
            };
            let node = node.map_err(|why| failed("node", why)).ok();
            let end = (!lot.end_date.is_empty()).then(|| typed::date(&lot.end_date)).transpose();
            let end_date = end.map_err(|why| failed("end_date", why)).unwrap_or_default();
            let mut row = revision::row("allocate", CreditName::Key(credit.credit_key.clone()), Action::Allocate);
            row.at.row = Some(number as u64);
            row.reference = (!lot.reference.is_empty()).then(|| lot.reference.as_str().into());
            rows.push(AllocationRow { amount, currency: Some(credit.currency.clone()), end_date, node, ..row });
        }
        if rows.is_empty() {
            wrong.push(Wrong { lot: Some(1), field: "amount", message: "an amount is missing".to_owned() });
        }
        if wrong.is_empty() { Ok(rows) } else { Err(wrong) }
    }

    /// The lot that goes on elsewhere, from when, and where.
    pub(super) fn movement(&self) -> Result<(i32, BillingPeriod, Node), Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut failed = |field: &'static str, message: &str| {
            wrong.push(Wrong { lot: None, field, message: message.to_owned() });
        };
        let lot = self.move_lot.parse().map_err(|_error| failed("move_lot", "choose a lot")).ok();
        let from = self.move_from.parse().map_err(|_error| failed("move_from", "not a month (YYYY-MM)")).ok();
        let to = match self.move_to.as_str() {
            "" => Err("a node is missing".to_owned()),
            text => typed::node(text),
        };
        let to = to.map_err(|why| failed("move_to", &why)).ok();
        match (lot, from, to) {
            (Some(lot), Some(from), Some(to)) => Ok((lot, from, to)),
            _ => Err(wrong),
        }
    }

    /// Names what is entered: a preview is of this and of nothing else.
    pub(super) fn digest(&self, wish: Wish) -> String {
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        };
        add(&format!("{wish:?}"));
        match wish {
            Wish::Allocate => {
                for lot in self.lots.iter().filter(|lot| !lot.is_empty()) {
                    [&lot.amount, &lot.node, &lot.end_date, &lot.reference].into_iter().for_each(|text| add(text));
                }
            }
            Wish::Move => [&self.move_lot, &self.move_from, &self.move_to].into_iter().for_each(|text| add(text)),
            Wish::Revoke => {}
        }
        add(self.note.as_deref().unwrap_or_default());
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
