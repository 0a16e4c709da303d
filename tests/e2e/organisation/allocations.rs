//! The history of allocations: several revisions, on whatever credits the export turns out to have.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::reference::Shape;
use super::{Amounts, Organisation, RecordedLot, Revision, positive};
use crate::model::credits::{Credit, register};
use crate::model::parse::{Node, lines};
use crate::model::units::Period;

/// When a credit ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Never,
    /// So many days after the issue date.
    After(u64),
    /// On the last day of the issue month or of one that follows.
    LastDay(u32),
    /// So many days before the as-of date.
    Past(u64),
}

/// A revision before its credit is known.
#[derive(Clone, Debug)]
pub(super) struct RevisionChoice {
    credit: Index,
    revoke: bool,
    by_name: bool,
    /// Of all lots that have none of their own.
    end: End,
    reference: &'static str,
    /// Whether the lots are on business units, where they meet most spend.
    high: bool,
    lots: Vec<LotChoice>,
    /// A lot that goes on elsewhere, so many months after it was placed.
    moves: Vec<(Index, Index, u32)>,
}

/// A lot: its node, its amount, and what only it has.
#[derive(Clone, Debug)]
struct LotChoice {
    node: Index,
    amount: String,
    own: Option<(End, &'static str)>,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Never),
        3 => (0..90_u64).prop_map(End::After),
        2 => (0..4_u32).prop_map(End::LastDay),
        1 => (0..20_u64).prop_map(End::Past),
    ]
}

/// One revision of one to three lots.
pub(super) fn revision(amounts: Amounts) -> impl Strategy<Value = RevisionChoice> {
    let references = || select(vec!["", "INV-7", "PO \"8\", part"]);
    let own = proptest::option::weighted(0.3, (end(), references()));
    let lot = (any::<Index>(), positive(amounts), own);
    let lots = vec(lot.prop_map(|(node, amount, own)| LotChoice { node, amount, own }), 1..4);
    let moves = vec((any::<Index>(), any::<Index>(), 1..3_u32), 0..3);
    let flags = (prop::bool::weighted(0.15), prop::bool::weighted(0.3), any::<bool>());
    (any::<Index>(), flags, end(), references(), lots, moves).prop_map(
        |(credit, (revoke, by_name, high), end, reference, lots, moves)| RevisionChoice {
            credit,
            revoke,
            by_name,
            end,
            reference,
            high,
            lots,
            moves,
        },
    )
}

impl End {
    /// Never before the issue date: that would not be accepted.
    fn date(self, issue_date: NaiveDate, as_of: NaiveDate) -> Option<NaiveDate> {
        let date = match self {
            Self::Never => return None,
            Self::After(days) => issue_date + Days::new(days),
            Self::LastDay(months) => Period::of(issue_date).plus(months).last_day(),
            Self::Past(days) => as_of - Days::new(days),
        };
        Some(date.max(issue_date))
    }
}

/// Revisions are an hour and a few microseconds apart, long ago.
fn recorded_at(position: usize) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2023-12-31T20:00:00Z".parse().expect("an instant");
    let steps = i64::try_from(position).expect("a small number");
    start + TimeDelta::hours(steps) + TimeDelta::microseconds(steps * 1500)
}

/// A lot that sits where it was placed last goes on elsewhere.
fn move_on(lots: &mut Vec<RecordedLot>, credit: &Credit, (from, to, months): (&Index, &Node, u32)) {
    let is_continued = |number: usize| lots.iter().any(|lot| lot.continues.is_some_and(|(from, _)| from == number));
    let last: Vec<usize> = (1..=lots.len()).filter(|number| !is_continued(*number)).collect();
    let number = *from.get(&last);
    let from = lots[number - 1].clone();
    let placed = from.continues.map_or(credit.issue_period(), |(_, period)| period);
    lots.push(RecordedLot {
        node: to.clone(),
        amount: String::new(),
        continues: Some((number, placed.plus(months))),
        ..from
    });
}

/// The revisions of credits that are registered as of the organisation's as-of date.
pub(super) fn assemble(organisation: &Organisation, shape: &Shape, choices: &[RevisionChoice]) -> Vec<Revision> {
    let export: Vec<String> = organisation.export_files().into_iter().map(|(_, text)| text).collect();
    let mut known = lines(&export, organisation.settings.basis);
    known.retain(|line| line.period <= Period::of(organisation.as_of));
    let credits: Vec<(String, Credit)> = register(&known, &organisation.settings).into_iter().collect();
    if credits.is_empty() {
        return Vec::new();
    }
    let nodes = shape.all_nodes();
    let mut revisions: Vec<Revision> = Vec::new();
    for (position, choice) in choices.iter().enumerate() {
        let (key, credit) = choice.credit.get(&credits);
        let name = (credit.promotion_code.clone(), credit.account.clone());
        let namesakes = credits.iter().filter(|(_, c)| (&c.promotion_code, &c.account) == (&name.0, &name.1)).count();
        // Only what is allocated can be revoked.
        let current = revisions.iter().rev().find(|revision| &revision.credit_key == key);
        let revoke = choice.revoke && current.is_some_and(|revision| !revision.lots.is_empty());
        let lot = |lot: &LotChoice| {
            let node: &Node = lot.node.get(&nodes);
            let (end, reference) = lot.own.unwrap_or((choice.end, choice.reference));
            RecordedLot {
                node: node[..if choice.high { 1 } else { node.len() }].to_vec(),
                amount: lot.amount.clone(),
                end_date: end.date(credit.issue_date, organisation.as_of),
                reference: reference.to_owned(),
                continues: None,
            }
        };
        let mut lots: Vec<RecordedLot> = if revoke { Vec::new() } else { choice.lots.iter().map(lot).collect() };
        let moves = choice.moves.iter().filter(|_| !revoke);
        moves.for_each(|(from, to, months)| move_on(&mut lots, credit, (from, to.get(&nodes), *months)));
        revisions.push(Revision {
            id: format!("allocation-{position:04}"),
            credit_key: key.clone(),
            by_name: (choice.by_name && namesakes == 1).then_some(name),
            currency: credit.currency.clone(),
            recorded_at: recorded_at(position),
            lots,
        });
    }
    revisions
}
