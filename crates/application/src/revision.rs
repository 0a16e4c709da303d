//! Rows of a revision, as somebody enters them.

use credit_ledger::Text;
use join_allocations::lots::current_rows;
use join_allocations::record;
use schemas::reference::{Action, AllocationRow, CreditName, Problem};
use schemas::tables::{AllocationLogRow, RegisteredCredit};

use crate::failure::{Failure, Kind};
use crate::snapshot::CreditSnapshot;

/// A row without anything but its credit. `entered_in` is what an error names: a command, a form.
#[must_use]
pub fn row(entered_in: &str, credit: CreditName, action: Action) -> AllocationRow {
    AllocationRow {
        at: Problem { file: entered_in.to_owned(), row: None, column: None, message: String::new() },
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
        from_period: None,
        continues_lot: None,
    }
}

/// The registered credit that a name stands for.
///
/// # Errors
/// [`Kind::BadInput`] where none fits, or several.
pub fn found<'a>(name: &CreditName, snapshot: &'a CreditSnapshot) -> Result<&'a RegisteredCredit, Failure> {
    record::find(name, &snapshot.register.credits).map_err(|message| Failure::new(Kind::BadInput, message))
}

/// The rows of the revision that counts now of an allocated credit, by lot.
///
/// # Errors
/// Why it cannot be moved: it waits.
pub fn current<'a>(
    snapshot: &'a CreditSnapshot,
    credit: &RegisteredCredit,
) -> Result<Vec<&'a AllocationLogRow>, String> {
    if let Some(reason) = why_it_waits(snapshot, credit) {
        return Err(format!("it is not allocated ({reason})"));
    }
    Ok(current_rows(&snapshot.log).filter(|row| row.credit_key == credit.credit_key).collect())
}

/// The row that ends a credit's allocation.
///
/// # Errors
/// Why it cannot be revoked: it is not allocated.
pub fn revocation(
    entered_in: &str,
    snapshot: &CreditSnapshot,
    credit: &RegisteredCredit,
) -> Result<AllocationRow, String> {
    match why_it_waits(snapshot, credit).filter(|reason| *reason != "allocation_invalid") {
        Some(reason) => Err(format!("it is not allocated ({reason})")),
        None => Ok(row(entered_in, CreditName::Key(credit.credit_key.clone()), Action::Revoke)),
    }
}

/// Why a credit waits; none where it is allocated.
fn why_it_waits(snapshot: &CreditSnapshot, credit: &RegisteredCredit) -> Option<Text> {
    let joined = snapshot.joined();
    joined.credits.iter().find(|row| row.credit_key == credit.credit_key)?.waiting.clone()
}
