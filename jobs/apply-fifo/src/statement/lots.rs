//! The lots of a credit among all others.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use credit_ledger::{Continues, Lot, Money, MoneyError, Text};
use schemas::tables::{AllocationLogRow, Credit, CreditBalance};
use schemas::{NodeColumns, Owners};

use super::model::{StatementLot, StatementMonth};
use crate::error::FifoError;
use crate::unused::FifoOrder;

/// Months of one credit: the rows of its lots.
pub(super) type Balances = BTreeMap<credit_ledger::BillingPeriod, Vec<CreditBalance>>;

/// The lots of a run, by the balances of its last month; the log says which of them continue others. Amounts are what is left: the
/// order does not depend on them.
pub(super) fn lots_of(
    balances: &[CreditBalance],
    credits: &[Credit],
    log: &[AllocationLogRow],
) -> Result<Vec<Lot>, FifoError> {
    let mut recorded: BTreeMap<(&str, i32), &AllocationLogRow> = BTreeMap::new();
    for row in log {
        let newest = recorded.entry((&row.credit_key, row.lot)).or_insert(row);
        if (row.recorded_at, &row.allocation_id) > (newest.recorded_at, &newest.allocation_id) {
            *newest = row;
        }
    }
    let continues = |row: &CreditBalance| {
        let recorded = recorded.get(&(row.credit_key.as_str(), row.lot))?;
        Some(Continues { lot: recorded.continues_lot?, from_period: recorded.from_period.as_ref()?.parse().ok()? })
    };
    let first_days: BTreeMap<&str, NaiveDate> =
        credits.iter().map(|credit| (credit.credit_key.as_str(), credit.first_cur_date)).collect();
    let lot = |row: &CreditBalance| {
        let named = |source| FifoError::Node { row: format!("credit {} lot {}", row.credit_key, row.lot), source };
        Ok(Lot {
            credit_key: row.credit_key.clone(),
            lot: row.lot,
            promotion_code: row.promotion_code.clone(),
            account_id: row.account_id.clone(),
            node: row.node().map_err(named)?,
            currency: row.currency.clone(),
            amount: row.remaining,
            issue_date: row.issue_date,
            first_cur_date: first_days.get(row.credit_key.as_str()).copied().unwrap_or(row.issue_date),
            end_date: row.end_date,
            continues: continues(row),
        })
    };
    balances.iter().map(lot).collect()
}

/// The lots of one credit as they stand.
pub(super) struct Standing<'a> {
    /// All lots of the run.
    pub(super) lots: &'a [Lot],
    pub(super) order: &'a FifoOrder,
    pub(super) owners: &'a Owners,
    pub(super) log: &'a [AllocationLogRow],
}

impl Standing<'_> {
    /// Those of `credit`, by number.
    pub(super) fn of(&self, credit: &Credit, balances: &Balances) -> Result<Vec<StatementLot>, MoneyError> {
        let of_credit = self.lots.iter().filter(|lot| lot.credit_key == credit.credit_key);
        let mut found = Vec::new();
        for lot in of_credit {
            let rows = || balances.values().flatten().filter(|row| row.lot == lot.lot);
            let (used, expired) =
                (Money::total(rows().map(|row| row.used))?, Money::total(rows().map(|row| row.expired))?);
            let (fifo_position, fifo_lots) = self.place(lot);
            found.push(StatementLot {
                lot: lot.lot,
                node: lot.node.clone(),
                owner_email: self.owners.nearest(&lot.node).cloned(),
                amount: Money::total([used, expired, lot.amount])?,
                used,
                expired,
                remaining: lot.amount,
                end_date: lot.end_date,
                reference: self.reference(credit, lot),
                fifo_position,
                fifo_lots,
            });
        }
        found.sort_by_key(|lot| lot.lot);
        Ok(found)
    }

    /// Its place among the lots that it can meet, and how many those are.
    fn place(&self, lot: &Lot) -> (usize, usize) {
        let position = |lot: &Lot| self.order.position(&lot.credit_key, lot.lot);
        let meets =
            |other: &&Lot| other.currency == lot.currency && other.node.business_unit() == lot.node.business_unit();
        let all: Vec<&Lot> = self.lots.iter().filter(meets).collect();
        let before = all.iter().filter(|other| position(other) < position(lot)).count();
        (before.saturating_add(1), all.len())
    }

    /// What the revision that counts says.
    fn reference(&self, credit: &Credit, lot: &Lot) -> Option<Text> {
        let counts = |row: &&AllocationLogRow| {
            row.credit_key == credit.credit_key && row.lot == lot.lot && Some(row.recorded_at) == credit.recorded_at
        };
        let newest = self.log.iter().filter(counts).max_by_key(|row| &row.allocation_id)?;
        newest.reference.clone()
    }
}

/// A month of all lots, beside what AWS applied.
pub(super) fn month_of(
    billing_period: credit_ledger::BillingPeriod,
    rows: &[CreditBalance],
    aws_applied: Money,
) -> Result<StatementMonth, MoneyError> {
    let sum = |amount: fn(&CreditBalance) -> Money| Money::total(rows.iter().map(amount));
    Ok(StatementMonth {
        billing_period,
        opening: sum(|row| row.opening)?,
        issued: sum(|row| row.issued)?,
        used: sum(|row| row.used)?,
        expired: sum(|row| row.expired)?,
        remaining: sum(|row| row.remaining)?,
        aws_applied,
    })
}

#[cfg(test)]
mod tests {
    use schemas::tables::HierarchyRow;

    use super::*;
    use crate::fixtures::{credit, money, recorded, short};

    fn balance(credit_key: &str, lot: i32, unit: &str, [used, expired, remaining]: [&str; 3]) -> CreditBalance {
        CreditBalance {
            credit_key: credit_key.into(),
            lot,
            promotion_code: credit_key.into(),
            account_id: "1".into(),
            currency: "USD".into(),
            business_unit: Some(unit.into()),
            department: None,
            portfolio: None,
            product: None,
            issue_date: "2026-01-31".parse().unwrap(),
            end_date: None,
            opening: Money::ZERO,
            issued: Money::ZERO,
            moved: Money::ZERO,
            used: money(used),
            expired: money(expired),
            remaining: money(remaining),
            aws_applied: Money::ZERO,
        }
    }

    fn owner(unit: &str, email: &str) -> HierarchyRow {
        HierarchyRow {
            business_unit: Some(unit.into()),
            department: None,
            portfolio: None,
            product: None,
            level: 1,
            owner_email: Some(email.into()),
            cost_center: None,
        }
    }

    /// `1 on Retail: 100 = 60 + 10 + 30, 2 of 3`.
    fn told(lot: &StatementLot) -> String {
        let [amount, used, expired, remaining] = [lot.amount, lot.used, lot.expired, lot.remaining].map(short);
        let (position, lots) = (lot.fifo_position, lot.fifo_lots);
        format!("{} on {}: {amount} = {used} + {expired} + {remaining}, {position} of {lots}", lot.lot, lot.node)
    }

    #[test]
    fn lot_that_was_moved_keeps_its_place_among_those_of_its_new_node() {
        let left = ["0", "0", "5"];
        let balances = [
            balance("id:1", 1, "Retail", ["5", "0", "0"]),
            CreditBalance { department: Some("X".into()), ..balance("id:1", 2, "Finance", left) },
            balance("id:1", 3, "Finance", left),
        ];
        let moved = AllocationLogRow {
            from_period: Some("2026-03".into()),
            continues_lot: Some(1),
            ..recorded("id:1", "b", 3, "2026-03-01T09:00:00")
        };
        let (credits, log) = ([credit("id:1")], [recorded("id:1", "a", 3, "2026-02-01T09:00:00"), moved]);
        let lots = lots_of(&balances, &credits, &log).unwrap();
        let (order, owners) = (FifoOrder::of(&lots), Owners::of(&[]));
        let standing = Standing { lots: &lots, order: &order, owners: &owners, log: &log };
        let places: Vec<_> = lots.iter().map(|lot| (lot.lot, standing.place(lot))).collect();
        assert_eq!(places, [(1, (1, 1)), (2, (1, 2)), (3, (2, 2))], "Retail comes behind Finance");
    }

    #[test]
    fn lot_has_its_sums_to_date_its_owner_its_reference_and_its_place_among_those_it_can_meet() {
        let ends = |end: &str, row: CreditBalance| CreditBalance { end_date: end.parse().ok(), ..row };
        let february = vec![
            ends("2026-12-31", balance("id:1", 1, "Retail", ["40", "10", "30"])),
            balance("id:1", 2, "Media", ["0", "0", "7"]),
        ];
        let last = [
            &february[..],
            &[
                ends("2026-06-30", balance("id:2", 1, "Retail", ["0", "0", "5"])),
                balance("id:3", 1, "Retail", ["0", "0", "5"]),
                CreditBalance { currency: "EUR".into(), ..balance("id:4", 1, "Retail", ["0", "0", "5"]) },
            ],
        ]
        .concat();
        let credits = ["id:1", "id:2", "id:3", "id:4"].map(credit);
        let lots = lots_of(&last, &credits, &[]).unwrap();
        let january = vec![balance("id:1", 1, "Retail", ["20", "0", "80"])];
        let months: Balances = [("2026-01".parse().unwrap(), january), ("2026-02".parse().unwrap(), february)].into();
        let referenced = |id: &str, at: &str, reference: &str| AllocationLogRow {
            reference: Some(reference.into()),
            ..recorded("id:1", id, 1, at)
        };
        let log = [
            referenced("a", "2026-02-01T09:00:00", "PO-1"),
            referenced("b", "2026-03-01T09:00:00", "PO-2"),
            referenced("c", "2026-03-09T09:00:00", "PO-3 is newer than the run"),
        ];
        let (order, owners) = (FifoOrder::of(&lots), Owners::of(&[owner("Retail", "retail@example.com")]));
        let standing = Standing { lots: &lots, order: &order, owners: &owners, log: &log };
        let found = standing.of(&credits[0], &months).unwrap();
        let expected = ["1 on Retail: 100 = 60 + 10 + 30, 2 of 3", "2 on Media: 7 = 0 + 0 + 7, 1 of 1"];
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected);
        let whom: Vec<_> = found.iter().map(|lot| (lot.owner_email.as_deref(), lot.reference.as_deref())).collect();
        assert_eq!(whom, [(Some("retail@example.com"), Some("PO-2")), (None, None)]);
    }

    #[test]
    fn month_is_the_sum_of_its_lots_beside_what_aws_applied() {
        let issued = |row: CreditBalance| CreditBalance { issued: money("50"), ..row };
        let rows = [
            issued(balance("id:1", 1, "Retail", ["20", "5", "25"])),
            CreditBalance { opening: money("9"), ..balance("id:1", 2, "Media", ["0.0000000001", "0", "8.9999999999"]) },
        ];
        let month = month_of("2026-01".parse().unwrap(), &rows, money("31")).unwrap();
        let amounts = [month.opening, month.issued, month.used, month.expired, month.remaining, month.aws_applied];
        assert_eq!(amounts.map(short), ["9", "50", "20.0000000001", "5", "33.9999999999", "31"]);
        let rows = [balance("id:1", 1, "Retail", ["9e27", "0", "0"]), balance("id:1", 2, "Retail", ["9e27", "0", "0"])];
        assert_eq!(month_of("2026-01".parse().unwrap(), &rows, Money::ZERO), Err(MoneyError::Overflow));
    }

    #[test]
    fn lot_without_a_node_is_named() {
        let row = CreditBalance { business_unit: None, ..balance("id:1", 2, "Retail", ["0", "0", "5"]) };
        let refused = lots_of(&[row], &[], &[]).unwrap_err();
        assert_eq!(refused.to_string(), "credit id:1 lot 2: no business unit is named");
    }
}
