//! Lots and spend for tests, a line each.
//!
//! ```text
//! credit A 100 issued 2026-01-31 ends 2026-03-15 to Retail     `ends -`: open-ended
//! credit A 50 issued 2026-01-31 to Media lot 2 in EUR          another lot, in euro
//! credit A 0 issued 2026-01-31 to Media lot 3 after 1 from 2026-03    what is left of lot 1 goes on there
//! spend 2026-02-03 Retail/Web 60 EC2                           eligible; `-` for no service
//! spend 2026-02-03 Retail/Web 60 Market of 0 tax 5             of it 0 eligible, and tax beside it
//! spend 2026-01-31 Retail 60 EC2 billed 2026-02                on the bill of another month
//! ```

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, Text};
use schemas::tables::{AllocationLogRow, Cell, Credit, LotRow};

pub(crate) fn money(text: &str) -> Money {
    text.parse().unwrap()
}

/// `40`, `-0.5`.
pub(crate) fn short(money: Money) -> String {
    money.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn after<'a>(words: &[&'a str], word: &str) -> Option<&'a str> {
    words.iter().position(|found| *found == word).and_then(|at| words.get(at + 1)).copied()
}

fn levels(path: &str) -> [Option<Text>; 4] {
    let mut names = path.split('/').map(Text::new);
    std::array::from_fn(|_| names.next())
}

/// The lines of a scenario that begin with a word, as words.
pub(crate) fn lines<'a>(text: &'a str, kind: &str) -> Vec<Vec<&'a str>> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|words| words.first() == Some(&kind)).collect()
}

pub(crate) fn lot_row(words: &[&str]) -> LotRow {
    let issue_date: NaiveDate = after(words, "issued").unwrap().parse().unwrap();
    let [business_unit, department, portfolio, product] = levels(after(words, "to").unwrap());
    LotRow {
        credit_key: words[1].into(),
        lot: after(words, "lot").map_or(1, |lot| lot.parse().unwrap()),
        promotion_code: after(words, "called").unwrap_or(words[1]).into(),
        account_id: after(words, "account").unwrap_or("1").into(),
        business_unit,
        department,
        portfolio,
        product,
        currency: after(words, "in").unwrap_or("USD").into(),
        amount: money(words[2]),
        issue_date,
        first_cur_date: after(words, "seen").map_or(issue_date.succ_opt().unwrap(), |day| day.parse().unwrap()),
        end_date: after(words, "ends").and_then(|end| end.parse().ok()),
        reference: None,
        from_period: after(words, "from").map(|period| period.parse().unwrap()),
        continues_lot: after(words, "after").map(|lot| lot.parse().unwrap()),
    }
}

pub(crate) fn cell(words: &[&str]) -> Cell {
    let [business_unit, department, portfolio, product] = levels(words[2]);
    let charges = money(words[3]);
    Cell {
        usage_date: words[1].parse().unwrap(),
        payer_account_id: "9".into(),
        account_id: after(words, "account").unwrap_or("1").into(),
        service: Some(words[4]).filter(|service| *service != "-").map(Text::new),
        currency: after(words, "in").unwrap_or("USD").into(),
        business_unit,
        department,
        portfolio,
        product,
        charges,
        tax: after(words, "tax").map_or(Money::ZERO, money),
        refunds: after(words, "refund").map_or(Money::ZERO, money),
        aws_credits: Money::ZERO,
        eligible_charges: after(words, "of").map_or(charges, money),
        unblended_charges: charges,
    }
}

/// The cells of the bill of a month, in order of their table.
pub(crate) fn cells_of(text: &str, period: BillingPeriod) -> Vec<Cell> {
    let is_its = |words: &&Vec<&str>| {
        let day: NaiveDate = words[1].parse().unwrap();
        let billed = after(words, "billed").map_or(BillingPeriod::of(day), |period| period.parse().unwrap());
        billed == period
    };
    let mut cells: Vec<Cell> = lines(text, "spend").iter().filter(is_its).map(|words| cell(words)).collect();
    cells.sort_by_cached_key(|cell| {
        let node = [&cell.business_unit, &cell.department, &cell.portfolio, &cell.product].map(Clone::clone);
        (cell.usage_date, cell.account_id.clone(), cell.service.clone(), cell.currency.clone(), node)
    });
    cells
}

/// A credit of 100 that nobody has used, called as its key says.
pub(crate) fn credit(key: &str) -> Credit {
    Credit {
        credit_key: key.into(),
        promotion_code: key.rsplit(':').next().unwrap().into(),
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
        issue_period: "2026-01".into(),
        status: "active".into(),
        allocated_amount: Some(money("100")),
        used: Some(Money::ZERO),
        expired: Some(Money::ZERO),
        remaining: Some(money("100")),
        end_date: None,
        reference: None,
        recorded_by: Some("jane".into()),
        recorded_at: "2026-03-01T09:00:00".parse().ok(),
        aws_applied: Money::ZERO,
        last_cur_date: "2026-03-31".parse().ok(),
        days_left: None,
        as_of: "2026-03-31".parse().unwrap(),
        expiring_soon_days: 60,
    }
}

/// A row of the log: credit, allocation, lot, instant.
pub(crate) fn recorded(credit_key: &str, allocation_id: &str, lot: i32, at: &str) -> AllocationLogRow {
    AllocationLogRow {
        allocation_id: allocation_id.into(),
        lot,
        credit_key: credit_key.into(),
        action: "allocate".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        amount: Some(money("100")),
        currency: Some("USD".into()),
        end_date: None,
        reference: None,
        recorded_by: Some("jane".into()),
        recorded_at: at.parse().unwrap(),
        note: None,
        from_period: None,
        continues_lot: None,
    }
}
