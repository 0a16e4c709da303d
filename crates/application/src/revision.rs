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

/// The lots of a credit's newest revision, whether it can be used or not; none of a revocation.
#[must_use]
pub fn newest<'a>(snapshot: &'a CreditSnapshot, credit: &RegisteredCredit) -> Vec<&'a AllocationLogRow> {
    let is_lot = |row: &&AllocationLogRow| row.action == Action::Allocate.name();
    current_rows(&snapshot.log).filter(|row| row.credit_key == credit.credit_key).filter(is_lot).collect()
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

#[cfg(test)]
mod tests {
    use credit_ledger::Node;
    use schemas::NodeColumns;

    use super::*;
    use crate::context::Context;
    use crate::testing::{AS_OF, Shop, entered, money};

    async fn of(context: &Context) -> CreditSnapshot {
        CreditSnapshot::of(context).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn credit_is_found_by_its_key_or_by_name_and_account() {
        let shop = Shop::new();
        let snapshot = of(&shop.night("night-1", AS_OF).await).await;
        let named = |promotion_code: &str, account_id: &str| {
            let name = CreditName::Code { promotion_code: promotion_code.into(), account_id: account_id.into() };
            found(&name, &snapshot).map(|credit| credit.credit_key.to_string()).map_err(|failure| failure.to_string())
        };
        assert_eq!(named("Activate", "222222222222"), Ok("code:Activate@222222222222".to_owned()));
        assert_eq!(named("Spring Credits", "111111111111"), Ok("id:42".to_owned()));
        let unknown = "no credit \"Activate\" of account 333333333333 is registered; `queue` and `credits` list those \
                       that are";
        assert_eq!(named("Activate", "333333333333"), Err(unknown.to_owned()));
        let failure = found(&CreditName::Key("id:43".into()), &snapshot).unwrap_err();
        let nearest = "credit id:43 is not registered; did you mean id:42?";
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::BadInput, nearest));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_what_is_allocated_can_be_moved_or_revoked() {
        let shop = Shop::new();
        let snapshot = of(&shop.night("night-1", AS_OF).await).await;
        let credit = |key: &str| found(&CreditName::Key(key.into()), &snapshot).unwrap();
        let never = "it is not allocated (never_allocated)";
        let waits = credit("code:Activate@111111111111");
        assert_eq!(current(&snapshot, waits).unwrap_err(), never);
        assert_eq!(revocation("revoke", &snapshot, waits).unwrap_err(), never);
        let rows = current(&snapshot, credit("id:42")).unwrap();
        let lots: Vec<(i32, Node, Option<_>)> =
            rows.iter().map(|row| (row.lot, row.node().unwrap(), row.amount)).collect();
        assert_eq!(lots, [(1, crate::testing::node("Retail/Online"), Some(money("130")))]);
        let revoked = revocation("revoke", &snapshot, credit("id:42")).unwrap();
        assert_eq!((revoked.at.file.as_str(), revoked.action, revoked.amount), ("revoke", Action::Revoke, None));
        shop.record(&[revoked]).await;
        let snapshot = of(&shop.context(AS_OF).await).await;
        let refused = current(&snapshot, found(&CreditName::Key("id:42".into()), &snapshot).unwrap());
        assert_eq!(refused.unwrap_err(), "it is not allocated (revoked)");
    }

    /// What cannot be used any more can be ended, but nothing of it can be moved.
    #[tokio::test(flavor = "multi_thread")]
    async fn allocation_to_a_node_that_is_gone_can_be_revoked() {
        let shop = Shop::new();
        shop.night("night-1", AS_OF).await;
        shop.record(&[entered("id:42", "90", "Media", None)]).await;
        shop.write("reference/hierarchy.csv", &shop.read("reference/hierarchy.csv").replace("Media", "Press"));
        shop.write("reference/cost_rules.csv", &shop.read("reference/cost_rules.csv").replace("Media", "Press"));
        shop.reference_changed().await;
        let snapshot = of(&shop.context(AS_OF).await).await;
        let credit = found(&CreditName::Key("id:42".into()), &snapshot).unwrap();
        assert_eq!(current(&snapshot, credit).unwrap_err(), "it is not allocated (allocation_invalid)");
        assert!(revocation("revoke", &snapshot, credit).is_ok());
    }
}
