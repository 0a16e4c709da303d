//! Rows that unit tests begin with.

use credit_ledger::Money;
use schemas::reference::{AllocationRow, parse_allocations};
use schemas::tables::{LotRow, RegisteredCredit};

/// A credit of which AWS has applied nothing yet.
pub(crate) fn credit(key: &str) -> RegisteredCredit {
    RegisteredCredit {
        credit_key: key.into(),
        promotion_code: "MAP".into(),
        account_id: "111122223333".into(),
        owner_account_id: None,
        credit_id: None,
        payer_account_id: "999999999999".into(),
        currency: "USD".into(),
        description: None,
        credit_class: "promotion".into(),
        first_cur_date: "2026-02-01".parse().unwrap(),
        issue_date: "2026-01-31".parse().unwrap(),
        issue_date_source: "cur_inferred".into(),
        last_cur_date: None,
        aws_applied: Money::ZERO,
    }
}

/// Rows of `allocations.csv`: credit, amount, currency, end date, reference, four levels.
pub(crate) fn entered(rows: &[&str]) -> Vec<AllocationRow> {
    let header = "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product";
    parse_allocations("allocations.csv", format!("{header}\n{}\n", rows.join("\n")).as_bytes()).unwrap()
}

/// A lot of a credit, on a business unit.
pub(crate) fn lot(number: i32, business_unit: &str) -> LotRow {
    LotRow {
        credit_key: "k".into(),
        lot: number,
        promotion_code: "P".into(),
        account_id: "1".into(),
        business_unit: Some(business_unit.into()),
        department: None,
        portfolio: None,
        product: None,
        currency: "USD".into(),
        amount: "5".parse().unwrap(),
        issue_date: "2026-01-31".parse().unwrap(),
        first_cur_date: "2026-02-01".parse().unwrap(),
        end_date: None,
        reference: None,
        from_period: None,
        continues_lot: None,
    }
}
