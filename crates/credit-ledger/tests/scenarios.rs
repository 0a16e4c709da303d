//! Ledger scenarios as small text tables, one per screen.
//!
//! ```text
//! credit A 100 issued 2026-01-31 ends -           on node Retail unless it says `to <node>`
//! spend 2026-02-03 Retail 60                      cell of account 1
//! move A from 2026-03 to Media                    its newest lot goes on there
//! ```

#![cfg(test)]

mod spent;

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Continues, Draw, Ledger, Lot, Money, Node, Policy};
use spent::{Cell, CellKey, Posted, post};

struct Scenario {
    ledger: Ledger,
    first: BillingPeriod,
    last: BillingPeriod,
    cells: Vec<Cell>,
}

fn node(path: &str) -> Node {
    let mut names = path.split('/');
    Node::from_levels(std::array::from_fn(|_| names.next())).unwrap()
}

fn lot(words: &[&str]) -> Lot {
    let after = |word| words.iter().position(|found| *found == word).and_then(|at| words.get(at + 1)).copied();
    let issue_date: NaiveDate = after("issued").unwrap().parse().unwrap();
    Lot {
        credit_key: words[1].into(),
        lot: 1,
        promotion_code: words[1].into(),
        account_id: "1".into(),
        node: node(after("to").unwrap_or("Retail")),
        currency: after("in").unwrap_or("USD").into(),
        amount: words[2].parse().unwrap(),
        issue_date,
        first_cur_date: issue_date.succ_opt().unwrap(),
        end_date: after("ends").and_then(|end| end.parse().ok()),
        continues: None,
    }
}

/// The lot that goes on elsewhere.
fn moved(lots: &[Lot], words: &[&str]) -> Lot {
    let from = lots.iter().rfind(|lot| lot.credit_key == words[1]).unwrap();
    Lot {
        lot: from.lot + 1,
        node: node(words[5]),
        amount: Money::ZERO,
        continues: Some(Continues { lot: from.lot, from_period: words[3].parse().unwrap() }),
        ..from.clone()
    }
}

fn cell(words: &[&str]) -> Cell {
    let key = CellKey {
        usage_date: words[1].parse().unwrap(),
        payer_account_id: "9".into(),
        account_id: "1".into(),
        service: None,
        node: node(words[2]),
    };
    Cell { currency: words.get(4).copied().unwrap_or("USD").into(), key, eligible: words[3].parse().unwrap() }
}

fn scenario(as_of: &str, text: &str) -> Scenario {
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<&str>| !words.is_empty())
        .collect();
    let of = |kind: &str| lines.iter().filter(|words| words[0] == kind).cloned().collect::<Vec<_>>();
    let mut lots: Vec<Lot> = of("credit").iter().map(|words| lot(words)).collect();
    for words in of("move") {
        lots.push(moved(&lots, &words));
    }
    let cells: Vec<Cell> = of("spend").iter().map(|words| cell(words)).collect();
    let as_of: NaiveDate = as_of.parse().unwrap();
    let starts =
        lots.iter().map(Lot::issue_period).chain(cells.iter().map(|cell| BillingPeriod::of(cell.key.usage_date)));
    let first = starts.min().unwrap();
    Scenario { ledger: Ledger::open(Policy::IssueDate, as_of, lots), first, last: BillingPeriod::of(as_of), cells }
}

impl Scenario {
    fn month(&self, period: BillingPeriod) -> Vec<Cell> {
        self.cells.iter().filter(|cell| period.contains(cell.key.usage_date)).cloned().collect()
    }

    fn posting(&mut self, period: &str) -> Posted {
        let wanted: BillingPeriod = period.parse().unwrap();
        for period in self.first.through(wanted) {
            let cells = self.month(period);
            let posted = post(&mut self.ledger, period, &cells).unwrap();
            if period == wanted {
                return posted;
            }
        }
        panic!("{period} is before the first month");
    }

    /// `<month> <credit> #<rank>: <draw> + …` and `<month> <credit> left <n>[ lost <n>]`.
    fn play(mut self) -> String {
        let short = |money: Money| money.to_string().trim_end_matches('0').trim_end_matches('.').to_owned();
        let mut lines = Vec::new();
        for period in self.first.through(self.last) {
            let cells = self.month(period);
            let posted = post(&mut self.ledger, period, &cells).unwrap();
            assert_eq!(posted.breaches(&self.ledger).unwrap(), []);
            for balance in &posted.posting.balances {
                let lot = self.ledger.lot(balance.lot).unwrap();
                let on = if lot.continues.is_some() { format!("/{}", lot.node) } else { String::new() };
                let mut line = format!("{period} {}{on}", lot.credit_key);
                if balance.issued.is_positive() {
                    line += &format!(" issued {}", short(balance.issued));
                } else {
                    line += &format!(" opens {}", short(balance.opening));
                }
                if !balance.moved.is_zero() {
                    line += &format!(" moved {}", short(balance.moved));
                }
                let rank = posted.posting.fifo_ranks[balance.lot];
                assert_eq!(rank > 0, posted.draws.contains_key(&balance.lot), "a rank for those that draw");
                if let Some(draws) = posted.draws.get(&balance.lot) {
                    let parts: Vec<String> = draws.iter().map(|draw| short(draw.used)).collect();
                    line += &format!(" #{rank} draws {}", parts.join(" + "));
                }
                if balance.expired.is_positive() {
                    line += &format!(" loses {}", short(balance.expired));
                }
                lines.push(line + &format!(" leaves {}", short(balance.remaining)));
            }
        }
        lines.join("\n")
    }
}

#[test]
fn a_later_credit_draws_what_the_earlier_one_left_within_its_window_and_loses_the_rest() {
    let played = scenario(
        "2026-03-16",
        "credit A 100 issued 2026-01-31 ends -
         credit B 50  issued 2026-02-28 ends 2026-03-15
         spend 2026-01-10 Retail 60
         spend 2026-02-10 Retail 30
         spend 2026-03-10 Retail 20
         spend 2026-03-20 Retail 20",
    );
    assert_eq!(
        played.play(),
        "2026-01 A issued 100 #1 draws 60 leaves 40\n\
         2026-02 A opens 40 #1 draws 30 leaves 10\n\
         2026-02 B issued 50 leaves 50\n\
         2026-03 A opens 10 #1 draws 5 + 5 leaves 0\n\
         2026-03 B opens 50 #2 draws 15 loses 35 leaves 0"
    );
}

#[test]
fn what_ends_on_the_as_of_date_is_not_lost_yet() {
    let text = "credit A 5 issued 2026-01-01 ends 2026-01-20";
    assert_eq!(scenario("2026-01-20", text).play(), "2026-01 A issued 5 leaves 5");
    assert_eq!(scenario("2026-01-21", text).play(), "2026-01 A issued 5 loses 5 leaves 0");
}

#[test]
fn the_first_to_be_issued_draws_first_then_the_first_to_end_and_no_end_comes_last() {
    let played = scenario(
        "2026-01-31",
        "credit D 1 issued 2026-01-02 ends 2026-02-01
         credit C 1 issued 2026-01-01 ends -
         credit B 1 issued 2026-01-01 ends 2026-12-31
         credit A 1 issued 2026-01-01 ends 2026-12-31
         spend 2026-01-10 Retail 3.5",
    );
    assert_eq!(
        played.play(),
        "2026-01 A issued 1 #1 draws 1 leaves 0\n\
         2026-01 B issued 1 #2 draws 1 leaves 0\n\
         2026-01 C issued 1 #3 draws 1 leaves 0\n\
         2026-01 D issued 1 #4 draws 0.5 leaves 0.5"
    );
}

#[test]
fn rank_counts_the_lots_that_drew_and_a_credit_serves_only_its_node_and_currency() {
    let played = scenario(
        "2026-01-31",
        "credit A 9 issued 2026-01-01 ends - to Finance
         credit B 9 issued 2026-01-02 ends - in EUR
         credit C 9 issued 2026-01-03 ends - to Retail/Online
         spend 2026-01-10 Retail 1
         spend 2026-01-10 Retail/Online/Shop 2
         spend 2026-01-10 Retail/Onlineshop 4",
    );
    assert_eq!(
        played.play(),
        "2026-01 A issued 9 leaves 9\n2026-01 B issued 9 leaves 9\n2026-01 C issued 9 #1 draws 2 leaves 7"
    );
}

#[test]
fn what_is_left_of_a_lot_moves_elsewhere_with_its_place_in_the_order_and_what_it_used_stays() {
    let played = scenario(
        "2026-03-31",
        "credit A 100 issued 2026-01-05 ends -  to Retail
         credit B 9   issued 2026-01-06 ends -  to Alpha
         move A from 2026-02 to Alpha
         move A from 2026-03 to Media
         spend 2026-01-10 Retail 10
         spend 2026-02-10 Retail 10
         spend 2026-02-10 Alpha  20
         spend 2026-03-10 Alpha  5
         spend 2026-03-10 Media  30",
    );
    assert_eq!(
        played.play(),
        "2026-01 A issued 100 #1 draws 10 leaves 90\n\
         2026-01 B issued 9 leaves 9\n\
         2026-02 A opens 90 moved -90 leaves 0\n\
         2026-02 A/Alpha opens 0 moved 90 #1 draws 20 leaves 70\n\
         2026-02 B opens 9 leaves 9\n\
         2026-03 A opens 0 leaves 0\n\
         2026-03 A/Alpha opens 70 moved -70 leaves 0\n\
         2026-03 A/Media opens 0 moved 70 #1 draws 30 leaves 40\n\
         2026-03 B opens 9 #2 draws 5 leaves 4"
    );
}

#[test]
fn a_lot_that_moves_after_its_end_has_nothing_left_to_move() {
    let played = scenario(
        "2026-03-31",
        "credit A 5 issued 2026-01-05 ends 2026-01-20
         move A from 2026-03 to Media
         spend 2026-03-10 Media 30",
    );
    assert_eq!(
        played.play(),
        "2026-01 A issued 5 loses 5 leaves 0\n\
         2026-02 A opens 0 leaves 0\n\
         2026-03 A opens 0 leaves 0\n\
         2026-03 A/Media opens 0 leaves 0"
    );
}

#[test]
fn months_come_oldest_first_and_once() {
    let mut ledger = scenario("2026-03-31", "credit A 5 issued 2026-01-01 ends -").ledger;
    let month = |text: &str| text.parse::<BillingPeriod>().unwrap();
    post(&mut ledger, month("2026-01"), &[]).unwrap();
    let refused = post(&mut ledger.clone(), month("2026-01"), &[]).unwrap_err();
    assert_eq!(refused.to_string(), "billing period 2026-01 cannot follow 2026-01");
    let refused = post(&mut ledger, month("2026-03"), &[]).unwrap_err();
    assert_eq!(refused.to_string(), "billing period 2026-03 cannot follow 2026-01");
}

/// Two credits that both could pay; the first one did.
const TWO: &str = "credit A 5 issued 2026-01-01 ends -
                   credit B 5 issued 2026-01-02 ends 2026-01-15
                   spend 2026-01-10 Retail 3
                   spend 2026-01-20 Retail 3
                   spend 2026-01-10 Finance 3";

fn breaches(change: impl Fn(&mut Posted)) -> Vec<String> {
    let mut scenario = scenario("2026-01-31", TWO);
    let mut posted = scenario.posting("2026-01");
    change(&mut posted);
    posted.breaches(&scenario.ledger).unwrap().iter().map(ToString::to_string).collect()
}

fn drawn(posted: &mut Posted, lot: usize, draw: usize) -> &mut Draw {
    &mut posted.draws.get_mut(&lot).unwrap()[draw]
}

#[test]
fn a_draw_outside_node_or_window_is_named() {
    let found = breaches(|posted| drawn(posted, 0, 0).cell = 0);
    assert_eq!(found, ["2026-01: credit A lot 1: may not draw 2.5000000000 on 2026-01-10 1 - USD Finance"]);
    let found = breaches(|posted| {
        drawn(posted, 1, 0).cell = 2;
        drawn(posted, 1, 0).used = "0.5".parse().unwrap();
        posted.posting.balances[1].used = "0.5".parse().unwrap();
        posted.posting.balances[1].expired = "4.5".parse().unwrap();
    });
    assert_eq!(found, ["2026-01: credit B lot 1: may not draw 0.5000000000 on 2026-01-20 1 - USD Retail"]);
}

#[test]
fn a_later_lot_that_draws_before_an_earlier_one_is_used_up_is_named() {
    let found = breaches(|posted| {
        drawn(posted, 0, 0).used = "2".parse().unwrap();
        posted.posting.balances[0].used = "4.5".parse().unwrap();
        posted.posting.balances[0].remaining = "0.5".parse().unwrap();
    });
    assert_eq!(found, ["2026-01: credit B lot 1: drew on 2026-01-10 1 - USD Retail before credit A lot 1"]);
}

#[test]
fn money_that_moves_away_without_coming_anywhere_is_named() {
    let found = breaches(|posted| {
        posted.posting.balances[1].moved = "-1".parse().unwrap();
        posted.posting.balances[1].expired = "3.5".parse().unwrap();
    });
    assert_eq!(found, ["2026-01: credit B: -1.0000000000 moved away or came from nowhere"]);
}

#[test]
fn a_cell_drawn_beyond_what_is_eligible_is_named() {
    let found = breaches(|posted| {
        drawn(posted, 1, 0).used = "1".parse().unwrap();
        posted.posting.balances[1].used = "1".parse().unwrap();
        posted.posting.balances[1].expired = "4".parse().unwrap();
    });
    assert_eq!(found, ["2026-01: 2026-01-10 1 - USD Retail: 3.5000000000 drawn of 3.0000000000 eligible"]);
}
