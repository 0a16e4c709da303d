//! The ledger against a naive calculation that shares no code with it, and the properties that must hold of any book.
//!
//! `FINOPS_PROPERTY_CASES` sets the number of cases of each (default 256).

#![cfg(test)]

mod naive;
mod spent;

use chrono::NaiveDate;
use credit_ledger::{Balance, BillingPeriod, Continues, Ledger, Lot, Money, Node, Policy};
use proptest::prelude::*;
use proptest::sample::Index;
use spent::{Cell, CellKey, Posted, post};

const NODES: [&str; 6] = ["A", "A/x", "A/x/p", "A/y", "B", "B/x"];
const FIRST: &str = "2026-01";
const MONTHS: usize = 4;

#[derive(Debug, Clone)]
struct Book {
    policy: Policy,
    as_of: NaiveDate,
    lots: Vec<Lot>,
    /// By period.
    cells: Vec<Vec<Cell>>,
}

fn units(units: i128) -> Money {
    Money::from_units(units).unwrap()
}

fn node(path: &str) -> Node {
    let mut names = path.split('/');
    Node::from_levels(std::array::from_fn(|_| names.next())).unwrap()
}

fn day(days: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 12, 25).unwrap() + chrono::Days::new(days)
}

fn periods() -> impl Iterator<Item = BillingPeriod> {
    let first: BillingPeriod = FIRST.parse().unwrap();
    std::iter::successors(Some(first), |period| Some(period.next())).take(MONTHS)
}

fn amounts() -> impl Strategy<Value = i128> {
    prop_oneof![1..20_i128, 1..2_000_i128, Just(10_000_000_000), 1..50_000_000_000_000_i128]
}

prop_compose! {
    fn lots()(
        number in 0..3_i32, name in 0..3_usize, account in 0..2_usize, place in 0..NODES.len(), euro in prop::bool::weighted(0.2),
        amount in amounts(), issued in 0..110_u64, first in 1..20_u64, ends in prop::option::weighted(0.7, 0..120_u64),
    ) -> Lot {
        let issue_date = day(issued);
        Lot {
            credit_key: format!("key {name} {account}").into(),
            lot: number + 1,
            promotion_code: format!("name {name}").into(),
            account_id: account.to_string().into(),
            node: node(NODES[place]),
            currency: if euro { "EUR" } else { "USD" }.into(),
            amount: units(amount),
            issue_date,
            first_cur_date: day(issued + first),
            end_date: ends.map(|days| issue_date + chrono::Days::new(days)),
            continues: None,
        }
    }
}

/// A lot that does not go on elsewhere yet does so, from one of the months after.
fn move_on(lots: &mut Vec<Lot>, (which, place, later): (Index, usize, usize)) {
    let is_continued = |lot: &Lot| {
        let mut of_credit = lots.iter().filter(|other| other.credit_key == lot.credit_key);
        of_credit.any(|other| other.continues.is_some_and(|continues| continues.lot == lot.lot))
    };
    let last: Vec<&Lot> = lots.iter().filter(|lot| !is_continued(lot)).collect();
    if last.is_empty() {
        return;
    }
    let from = last[which.index(last.len())];
    let number = lots.iter().filter(|lot| lot.credit_key == from.credit_key).map(|lot| lot.lot).max().unwrap() + 1;
    let from_period = (0..later).fold(from.first_balance(), |period, _| period.next());
    let continues = Some(Continues { lot: from.lot, from_period });
    lots.push(Lot { lot: number, node: node(NODES[place]), amount: Money::ZERO, continues, ..from.clone() });
}

prop_compose! {
    fn cells()(
        days in 0..40_u64, payer in 0..2_usize, account in 0..3_usize, service in prop::option::of(0..2_usize),
        place in 0..NODES.len(), euro in prop::bool::weighted(0.2), eligible in prop_oneof![Just(0), amounts()],
    ) -> (u64, Cell) {
        let key = CellKey {
            usage_date: day(0),
            payer_account_id: payer.to_string().into(),
            account_id: account.to_string().into(),
            service: service.map(|service| service.to_string().into()),
            node: node(NODES[place]),
        };
        (days, Cell { currency: if euro { "EUR" } else { "USD" }.into(), key, eligible: units(eligible) })
    }
}

prop_compose! {
    fn books()(
        policy in prop::sample::select(Policy::ALL.to_vec()), as_of in 20..130_u64,
        mut lots in prop::collection::vec(lots(), 0..6),
        moves in prop::collection::vec((any::<Index>(), 0..NODES.len(), 1..3_usize), 0..4),
        spend in prop::collection::vec(prop::collection::vec(cells(), 0..10), MONTHS),
    ) -> Book {
        lots.sort_by_key(|lot| (lot.credit_key.clone(), lot.lot));
        lots.dedup_by_key(|lot| (lot.credit_key.clone(), lot.lot));
        moves.into_iter().for_each(|each| move_on(&mut lots, each));
        let cells = spend.into_iter().zip(periods()).map(|(month, period)| {
            // Now and then a few days before or after the month.
            let mut month: Vec<Cell> = month
                .into_iter()
                .map(|(days, mut cell)| {
                    cell.key.usage_date = period.first_day() - chrono::Days::new(4) + chrono::Days::new(days);
                    cell
                })
                .collect();
            month.sort_by_key(|cell| (cell.currency.clone(), cell.key.clone()));
            month.dedup_by_key(|cell| (cell.currency.clone(), cell.key.clone()));
            month
        });
        Book { policy, as_of: day(as_of), lots, cells: cells.collect() }
    }
}

/// All draws of a month: lot, cell, amount.
fn draws(month: &Posted) -> impl Iterator<Item = (usize, usize, Money)> {
    month.draws.iter().flat_map(|(lot, draws)| draws.iter().map(|draw| (*lot, draw.cell, draw.used)))
}

impl Book {
    fn post(&self) -> (Ledger, Vec<Posted>) {
        let mut ledger = Ledger::open(self.policy, self.as_of, self.lots.clone());
        let start: BillingPeriod = "2025-12".parse().unwrap();
        post(&mut ledger, start, &[]).unwrap();
        let posted = periods().zip(&self.cells).map(|(period, cells)| {
            let posted = post(&mut ledger, period, cells).unwrap();
            assert_eq!(posted.breaches(&ledger).unwrap(), [], "invariants");
            posted
        });
        let posted = posted.collect();
        (ledger, posted)
    }

    /// True if any draw had to be rounded to whole units.
    fn rounds(&self) -> bool {
        let mut lots: Vec<naive::Lot> = naive::Lot::all(self.lots.iter());
        periods().zip(&self.cells).any(|(period, cells)| {
            let mut spend: Vec<naive::Spend> = cells.iter().map(|cell| naive::Spend::new(cell, period)).collect();
            naive::month(self.policy.name(), self.as_of, period, &mut lots, &mut spend).rounded
        })
    }

    /// Draws and balances by names, in a fixed order: `period | lot | cell | amount`.
    fn told(&self) -> Vec<String> {
        let (ledger, months) = self.post();
        let mut lines = Vec::new();
        for month in &months {
            let posting = &month.posting;
            for (lot, cell, used) in draws(month) {
                let (lot, cell) = (ledger.lot(lot).unwrap(), &month.cells[cell]);
                lines.push(format!("{} | {} {} | {cell:?} | {used}", posting.period, lot.credit_key, lot.lot));
            }
            for balance in &posting.balances {
                let lot = ledger.lot(balance.lot).unwrap();
                let Balance { opening, issued, moved, used, expired, remaining, .. } = balance;
                let amounts = [opening, issued, moved, used, expired, remaining];
                lines.push(format!("{} | {} {} | {amounts:?}", posting.period, lot.credit_key, lot.lot));
            }
        }
        lines.sort();
        lines
    }
}

fn config() -> ProptestConfig {
    #[expect(clippy::disallowed_methods, reason = "how one asks for more cases")]
    let cases = std::env::var("FINOPS_PROPERTY_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(256);
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_global_rejects: cases.saturating_mul(10),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn draws_and_losses_equal_a_naive_calculation(book in books()) {
        let (ledger, months) = book.post();
        let mut lots: Vec<naive::Lot> = naive::Lot::all(book.lots.iter());
        for (period, month) in periods().zip(&months) {
            let mut spend: Vec<naive::Spend> = month.cells.iter().map(|cell| naive::Spend::new(cell, period)).collect();
            let expected = naive::month(book.policy.name(), book.as_of, period, &mut lots, &mut spend).draws;
            let mut found: Vec<(String, usize, i128)> = draws(month).map(|(lot, cell, used)| {
                let lot = ledger.lot(lot).unwrap();
                (format!("{} {}", lot.credit_key, lot.lot), cell, used.units())
            }).collect();
            found.sort();
            prop_assert_eq!(found, expected, "{}", period);
            for balance in &month.posting.balances {
                let lot = ledger.lot(balance.lot).unwrap();
                let name = format!("{} {}", lot.credit_key, lot.lot);
                let naive = lots.iter().find(|lot| lot.name == name).unwrap();
                prop_assert_eq!(balance.remaining.units(), naive.left, "{} {}", period, name);
            }
        }
    }

    #[test]
    fn every_lot_is_used_lost_or_left_to_the_last_unit(book in books()) {
        let (ledger, months) = book.post();
        for (position, lot) in ledger.lots().enumerate() {
            let balances: Vec<_> = months.iter().flat_map(|month| &month.posting.balances).filter(|balance| balance.lot == position).collect();
            let Some(last) = balances.last() else { continue };
            let used: i128 = balances.iter().map(|balance| balance.used.units()).sum();
            let expired: i128 = balances.iter().map(|balance| balance.expired.units()).sum();
            for pair in balances.windows(2) {
                prop_assert_eq!((pair[1].opening, pair[1].issued), (pair[0].remaining, Money::ZERO));
            }
            // A lot issued before the first month has been lost or kept there, never used.
            let before = balances[0].opening.units() + balances[0].issued.units();
            let moved: i128 = balances.iter().map(|balance| balance.moved.units()).sum();
            prop_assert_eq!(used + expired + last.remaining.units(), before + moved);
            prop_assert!(before == lot.amount.units() || before == 0);
        }
    }

    #[test]
    fn the_order_of_lots_and_cells_does_not_matter(book in books(), swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 20)) {
        let mut shuffled = book.clone();
        for (left, right) in swaps {
            for month in &mut shuffled.cells {
                if !month.is_empty() {
                    let size = month.len();
                    month.swap(left.index(size), right.index(size));
                }
            }
            if !shuffled.lots.is_empty() {
                let size = shuffled.lots.len();
                shuffled.lots.swap(left.index(size), right.index(size));
            }
        }
        prop_assert_eq!(book.told(), shuffled.told());
    }

    #[test]
    fn a_lot_later_in_the_order_never_changes_what_earlier_lots_draw(book in books(), mut late in lots()) {
        late.issue_date = day(200);
        late.credit_key = "late".into();
        late.end_date = None;
        late.issue_date = book.lots.iter().map(|lot| lot.issue_date).max().unwrap_or(day(0));
        late.promotion_code = "zzz".into();
        let mut more = book.clone();
        more.lots.push(late);
        let own = |lines: Vec<String>| lines.into_iter().filter(|line| !line.contains("| late")).collect::<Vec<_>>();
        prop_assert_eq!(own(book.told()), own(more.told()));
    }

    #[test]
    fn nothing_is_drawn_after_the_end_or_beyond_the_amount(book in books()) {
        let (ledger, months) = book.post();
        for month in &months {
            for (lot, cell, _) in draws(month) {
                let (lot, cell) = (ledger.lot(lot).unwrap(), &month.cells[cell]);
                let on = month.posting.period.clamp(cell.key.usage_date);
                prop_assert!(lot.end_date.is_none_or(|end| on <= end), "{:?} on {}", lot, on);
                prop_assert_eq!(&cell.currency, &lot.currency);
            }
        }
    }

    #[test]
    fn scaling_all_money_scales_the_results_where_nothing_rounds(book in books(), factor in 2..1000_i128) {
        prop_assume!(!book.rounds());
        let mut scaled = book.clone();
        let times = |amount: Money| units(amount.units() * factor);
        scaled.lots.iter_mut().for_each(|lot| lot.amount = times(lot.amount));
        scaled.cells.iter_mut().flatten().for_each(|cell| cell.eligible = times(cell.eligible));
        for (once, scaled) in book.post().1.iter().zip(&scaled.post().1) {
            let expected: Vec<_> = draws(once).map(|(lot, cell, used)| (lot, cell, times(used))).collect();
            prop_assert_eq!(draws(scaled).collect::<Vec<_>>(), expected);
            for (once, scaled) in once.posting.balances.iter().zip(&scaled.posting.balances) {
                prop_assert_eq!((times(once.remaining), times(once.expired)), (scaled.remaining, scaled.expired));
            }
        }
    }

    #[test]
    fn a_book_that_goes_on_from_where_it_was_is_the_same_book(book in books(), months in 0..MONTHS) {
        let (_, whole) = book.post();
        let mut ledger = Ledger::open(book.policy, book.as_of, book.lots.clone());
        let start: BillingPeriod = "2025-12".parse().unwrap();
        post(&mut ledger, start, &[]).unwrap();
        let mut months_again = Vec::new();
        for (index, (period, cells)) in periods().zip(&book.cells).enumerate() {
            if index == months {
                ledger = ledger.clone();
            }
            months_again.push(post(&mut ledger, period, cells).unwrap());
        }
        let told = |months: Vec<Posted>| months.into_iter().map(|month| (month.posting, month.draws)).collect::<Vec<_>>();
        prop_assert_eq!(told(whole), told(months_again));
    }

    #[test]
    fn a_posting_that_was_tampered_with_breaks_an_invariant(book in books(), which in any::<Index>(), how in 0..4_u8) {
        let (ledger, mut months) = book.post();
        let Some(month) = months.iter_mut().find(|month| !month.draws.is_empty()) else { return Ok(()) };
        let all: Vec<(usize, usize)> =
            month.draws.iter().flat_map(|(lot, draws)| (0..draws.len()).map(|draw| (*lot, draw))).collect();
        let (lot, draw) = all[which.index(all.len())];
        let draws = month.draws.get_mut(&lot).unwrap();
        match how {
            0 => draws[draw].used = units(draws[draw].used.units() + 1),
            1 => draws[draw].used = units(0),
            2 => {
                let balance = month.posting.balances.iter_mut().find(|balance| balance.lot == lot).unwrap();
                balance.remaining = units(balance.remaining.units() + 1);
            }
            _ => {
                draws.remove(draw);
            }
        }
        prop_assert!(!month.breaches(&ledger).unwrap().is_empty());
    }
}
