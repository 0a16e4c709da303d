//! What people enter in bulk or carry over, beside a log; and moves.

use schemas::reference::{parse_allocations, parse_hierarchy};

use super::*;
use crate::fixtures::credit;

const NOW: &str = "2026-03-05T09:00:00";

fn instant(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

fn hierarchy() -> Hierarchy {
    parse_hierarchy("h", b"business_unit,department\nRetail,Web\nMedia,\n").unwrap()
}

fn register() -> Vec<RegisteredCredit> {
    let named = |key: &str, name: &str| RegisteredCredit { promotion_code: name.into(), ..credit(key) };
    vec![
        named("code:SPRING@111122223333", "SPRING"),
        named("id:1", "MAP"),
        named("id:2", "MAP"),
        RegisteredCredit { account_id: "444455556666".into(), ..named("id:3", "MAP") },
    ]
}

/// Recorded by somebody at nine; their rows may say otherwise.
fn recording() -> Recording {
    Recording {
        caller: None,
        recorded_by: Some("jane".into()),
        recorded_at: instant(NOW),
        stamp: Stamp::Clock,
        now: instant("2026-03-05T23:59:59"),
    }
}

const COLUMNS: &str = "credit_key,promotion_code,account_id,amount,currency,end_date,reference,business_unit,department,\
                       portfolio,product,action,recorded_at,allocation_id";

fn entered(rows: &[&str]) -> Vec<AllocationRow> {
    parse_allocations("a.csv", format!("{COLUMNS}\n{}\n", rows.join("\n")).as_bytes()).unwrap()
}

fn recorded(rows: &[&str], log: &[AllocationLogRow]) -> Result<Revisions, String> {
    let by = recording();
    revisions(&entered(rows), &register(), &hierarchy(), log, &by).map_err(|problems| problems.to_string())
}

/// `id:1/2 at 2026-03-05 09:00:00 5 to Media`.
fn rows_of(revisions: &Revisions) -> Vec<String> {
    let of_row = |row: &AllocationLogRow| {
        let amount = row.amount.map(|amount| amount.to_string()).unwrap_or_default();
        let amount = amount.trim_end_matches('0').trim_end_matches('.');
        let node = row.node().map(|node| node.to_string()).unwrap_or_default();
        format!("{}/{} at {} {} {amount} {node}", row.credit_key, row.lot, row.recorded_at, row.action)
    };
    revisions.rows.iter().map(of_row).collect()
}

#[test]
fn rows_of_one_credit_and_instant_are_the_lots_of_one_revision_in_the_order_of_the_file() {
    let found = recorded(
        &[
            "id:1,,,5,USD,,,Media,,,,,,",
            "id:2,,,7,USD,,,Media,,,,,,",
            "id:1,,,6,USD,,,Retail,Web,,,,,",
            "id:1,,,4,USD,,,Retail,,,,,2026-02-01T08:00:00Z,",
            "id:1,,,,,,,,,,,revoke,2026-02-02T09:30:00+01:00,",
        ],
        &[],
    )
    .unwrap();
    let expected = [
        "id:1/1 at 2026-02-01 08:00:00 allocate 4 Retail",
        "id:1/1 at 2026-02-02 08:30:00 revoke  ",
        "id:1/1 at 2026-03-05 09:00:00 allocate 5 Media",
        "id:1/2 at 2026-03-05 09:00:00 allocate 6 Retail/Web",
        "id:2/1 at 2026-03-05 09:00:00 allocate 7 Media",
    ];
    assert_eq!(rows_of(&found), expected);
    let ids: Vec<&str> = found.rows.iter().map(|row| row.allocation_id.as_str()).collect();
    assert_eq!(ids[2], ids[3], "the lots of a revision share its id");
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "every revision has an id of its own");
}

#[test]
fn row_that_stands_twice_in_a_file_is_two_lots_and_both_are_known_again() {
    let twice = ["id:1,,,5,USD,,,Media,,,,,,"; 2];
    let first = recorded(&twice, &[]).unwrap();
    assert_eq!(first.rows.len(), 2);
    let again = recorded(&twice, &first.rows).unwrap();
    assert_eq!((again.rows.len(), again.already_recorded), (0, 2));
}

#[test]
fn credit_is_named_by_its_key_or_by_name_and_account_that_stand_for_one_only() {
    let found = |key: &str, name: &str, account: &str| {
        recorded(&[&format!("{key},{name},{account},5,USD,,,Media,,,,,,")], &[]).map(|found| rows_of(&found).join("|"))
    };
    assert_eq!(found("", "MAP", "444455556666").unwrap(), "id:3/1 at 2026-03-05 09:00:00 allocate 5 Media");
    let row = "a.csv, row 2: ";
    for ((key, name, account), expected) in [
        (
            ("", "MAP", "111122223333"),
            "\"MAP\" of account 111122223333 stands for 2 credits: id:1, id:2; name one by its key",
        ),
        (
            ("", "SPRING", "444455556666"),
            "no credit \"SPRING\" of account 444455556666 is registered; `queue` and `credits` list those that are",
        ),
        (
            ("code:SPRNG@111122223333", "", ""),
            "credit code:SPRNG@111122223333 is not registered; did you mean code:SPRING@111122223333?",
        ),
        (("zzz", "", ""), "credit zzz is not registered; `queue` and `credits` list those that are"),
    ] {
        assert_eq!(found(key, name, account).unwrap_err(), format!("{row}{expected}"));
    }
}

#[test]
fn what_does_not_belong_into_one_revision_or_lies_ahead_is_told_row_by_row() {
    let told = recorded(
        &[
            "id:1,,,5,USD,,,Media,,,,,,alc-1",
            "id:1,,,6,USD,,,Media,,,,,,alc-2",
            "id:2,,,5,USD,,,Media,,,,,,",
            "id:2,,,,,,,,,,,revoke,,",
            "id:3,,,5,USD,2026-01-30,,Retial,,,,,2026-03-06T00:00:00,",
        ],
        &[],
    );
    let expected = "a.csv, row 3: the lots of one credit share allocation_id\n\
                    a.csv, row 5: a revocation is one row of its own\n\
                    a.csv, row 6: end_date 2026-01-30 is before the issue date 2026-01-31\n\
                    a.csv, row 6: node Retial is not in hierarchy.csv; did you mean Retail?\n\
                    a.csv, row 6: recorded_at 2026-03-06 00:00:00 is in the future";
    assert_eq!(told.unwrap_err(), expected);
}

#[test]
fn clock_that_is_behind_the_log_is_refused_but_people_may_record_at_once() {
    let later = |at: &str| {
        let mut log = recorded(&["id:1,,,5,USD,,,Media,,,,,,"], &[]).unwrap().rows;
        log[0].recorded_at = instant(at);
        log
    };
    let row = ["id:1,,,6,USD,,,Media,,,,,,"];
    let refused = recorded(&row, &later("2026-03-05T09:01:00.000001")).unwrap_err();
    let expected = "a.csv, row 2: credit id:1 has a revision recorded at 2026-03-05 09:01:00.000001, but now is \
                    2026-03-05 09:00:00: this one would never count; set the clock, or wait";
    assert_eq!(refused, expected);
    let at_once = recorded(&row, &later("2026-03-05T09:01:00")).unwrap();
    assert_eq!(at_once.rows.len(), 1);
    let warning = "credit id:1: a revision recorded at 2026-03-05 09:01:00 is newer and stays the one that counts";
    assert_eq!(at_once.warnings, [warning]);
    let history = ["id:1,,,6,USD,,,Media,,,,,2026-02-01T00:00:00,"];
    let carried_over = recorded(&history, &later("2026-03-05T12:00:00")).unwrap();
    assert_eq!(carried_over.warnings.len(), 1, "a history may be older than what is recorded");
    let other = ["id:2,,,6,USD,,,Media,,,,,,"];
    assert_eq!(recorded(&other, &later("2026-03-05T12:00:00")).unwrap().warnings, Vec::<String>::new());
}

/// The rows that count of one credit: amount and node of each lot, with its end.
fn current(rows: &[&str]) -> Vec<AllocationLogRow> {
    recorded(rows, &[]).unwrap().rows
}

fn moved(current: &[AllocationLogRow], lot: Option<i32>, from: &str, to: &str) -> Result<Vec<String>, String> {
    let node = Node::from_levels([Some(to), None, None, None]).unwrap();
    let rows = move_lot(&current.iter().collect::<Vec<_>>(), lot, from.parse().unwrap(), &node)?;
    let at = Recording { recorded_at: instant("2026-03-05T10:00:00"), ..recording() };
    let found = revisions(&rows, &register(), &hierarchy(), current, &at).map_err(|problems| problems.to_string())?;
    let of_row = |row: &AllocationLogRow| {
        let end = row.end_date.map(|end| format!(" ends {end}")).unwrap_or_default();
        let amount = row.amount.map(|amount| amount.units() / 10_000_000_000);
        let from = row.from_period.as_deref().zip(row.continues_lot);
        let from = from.map(|(from, lot)| format!(" from {from} after {lot}")).unwrap_or_default();
        format!("{} {amount:?} {}{end} {:?}{from}", row.lot, row.node().unwrap(), row.reference)
    };
    Ok(found.rows.iter().map(of_row).collect())
}

#[test]
fn move_adds_a_lot_with_the_end_and_reference_of_the_one_that_it_continues() {
    let one = current(&["id:1,,,5,USD,2026-12-31,PO-1,Retail,Web,,,,,"]);
    let expected = [
        "1 Some(5) Retail/Web ends 2026-12-31 Some(\"PO-1\")",
        "2 None Media ends 2026-12-31 Some(\"PO-1\") from 2026-03 after 1",
    ];
    assert_eq!(moved(&one, None, "2026-03", "Media").unwrap(), expected);
    let two = current(&["id:1,,,5,USD,,,Retail,,,,,,", "id:1,,,6,USD,2026-06-30,,Retail,Web,,,,,"]);
    let expected = [
        "1 Some(5) Retail None",
        "2 Some(6) Retail/Web ends 2026-06-30 None",
        "3 None Media ends 2026-06-30 None from 2026-04 after 2",
    ];
    assert_eq!(moved(&two, Some(2), "2026-04", "Media").unwrap(), expected);
}

#[test]
fn lot_that_went_on_elsewhere_moves_again_from_where_it_is() {
    let mut rows = current(&["id:1,,,5,USD,,,Retail,,,,,,", "id:1,,,6,USD,,,Retail,Web,,,,,"]);
    let there = AllocationLogRow {
        lot: 3,
        amount: None,
        business_unit: Some("Media".into()),
        from_period: Some("2026-04".into()),
        continues_lot: Some(1),
        ..rows[0].clone()
    };
    rows.push(there);
    let again = moved(&rows, Some(3), "2026-06", "Retail").unwrap();
    assert_eq!(again[3], "4 None Retail None from 2026-06 after 3");
    let refused = |lot, from, to| moved(&rows, lot, from, to).unwrap_err();
    assert_eq!(
        refused(Some(1), "2026-06", "Media"),
        "lot 1 is not there, or has gone on elsewhere; there are 2 on Retail/Web, 3 on Media"
    );
    assert_eq!(
        refused(None, "2026-06", "Retail"),
        "it has several lots; name one as KEY:LOT: 2 on Retail/Web, 3 on Media"
    );
    assert_eq!(refused(Some(3), "2026-06", "Media"), "lot 3 is on Media already");
    assert_eq!(
        refused(Some(3), "2026-04", "Retail"),
        "move: from_period 2026-04 is not after 2026-04, from which lot 3 counts: allocate it there instead"
    );
    assert_eq!(
        refused(Some(2), "2026-01", "Media"),
        "move: from_period 2026-01 is not after 2026-01, from which lot 2 counts: allocate it there instead"
    );
    assert_eq!(refused(Some(2), "2026-02", "Platform"), "move: node Platform is not in hierarchy.csv");
    assert_eq!(moved(&[], None, "2026-02", "Media").unwrap_err(), "it has no lot");
}
