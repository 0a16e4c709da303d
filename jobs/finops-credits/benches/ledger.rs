//! The ledger alone: one period of an organisation with as many cells and lots as the arguments say.
//!
//! `cargo bench --bench ledger`: time per period, and draws a second.

use std::sync::atomic::{AtomicUsize, Ordering};

use credit_ledger::{BillingPeriod, Ledger, LedgerError, Lot, Money, Node, Policy, Spend, spread};
use divan::Bencher;
use divan::counter::ItemsCount;

const NODES: usize = 60;
const DAYS: usize = 30;

fn main() {
    divan::main();
}

fn period() -> BillingPeriod {
    "2026-01".parse().unwrap_or_else(|_| unreachable!())
}

fn money(units: i128) -> Money {
    Money::from_units(units).unwrap_or_default()
}

/// A business unit, or a product below one: every fifth is a business unit as a whole.
fn node(number: usize) -> Node {
    let unit = format!("unit {}", number % 6);
    let below = (!number.is_multiple_of(5)).then_some(number);
    let levels = [Some(unit), below.map(|number| format!("department {}", number % 3)), None, None];
    Node::from_levels(levels).unwrap_or_else(|_| Node::unassigned())
}

fn spend(count: usize) -> Spend {
    let mut spend = Spend::new(period());
    let places: Vec<usize> =
        (0..count.div_ceil(DAYS * 8)).map(|number| spend.add_place("USD".into(), node(number))).collect();
    // By day, then account.
    for day in 0..DAYS {
        for number in (day..count).step_by(DAYS) {
            let amount = money(1 + (number as i128 * 7_919_000_001) % 3_000_000_000_000);
            spend.add(places[number / (DAYS * 8)], period().first_day() + chrono::Days::new(day as u64), amount);
        }
    }
    spend
}

fn lots(count: usize) -> Vec<Lot> {
    let lots = (0..count).map(|number| Lot {
        credit_key: format!("id:{number:06}").into(),
        lot: 1,
        promotion_code: format!("code {number}").into(),
        account_id: "100000000001".into(),
        node: node(number % NODES),
        currency: "USD".into(),
        amount: money(500_000_000_000 + number as i128 * 1_000_000_007),
        issue_date: period().first_day() - chrono::Days::new((number % 200) as u64),
        first_cur_date: period().first_day(),
        continues: None,
        end_date: Some(period().last_day() + chrono::Days::new((number % 90) as u64)),
    });
    lots.collect()
}

/// One period from scratch: lots in order, spend drawn, balances written.
#[divan::bench(args = [(1_000, 10), (10_000, 10), (100_000, 10), (10_000, 100), (10_000, 1_000), (10_000, 5_000), (100_000, 1_000)], sample_count = 10, sample_size = 1)]
fn post(bencher: Bencher<'_, '_>, (cell_count, lot_count): (usize, usize)) {
    let (spend, lots) = (spend(cell_count), lots(lot_count));
    let open = || Ledger::open(Policy::default(), period().last_day(), lots.clone());
    let post = |ledger: &mut Ledger| {
        let draws = AtomicUsize::new(0);
        let posting = ledger.post(&spend, |_lot, drawn| {
            draws.fetch_add(drawn.len(), Ordering::Relaxed);
            Ok::<_, LedgerError>(())
        });
        (posting, draws.into_inner())
    };
    let (_, draws) = post(&mut open());
    bencher.counter(ItemsCount::new(draws)).with_inputs(open).bench_values(|mut ledger| post(&mut ledger));
}

/// An amount over as many weights by largest remainder.
#[divan::bench(args = [1, 10, 1_000, 100_000])]
fn spread_by_largest_remainder(bencher: Bencher<'_, '_>, count: usize) {
    let weights: Vec<u128> = (0..count as u128).map(|number| 1 + number * 7_919 % 100_003).collect();
    bencher.counter(ItemsCount::new(count)).bench(|| spread(divan::black_box(12_345_678_901_234), &weights));
}
