//! Logs as people and other clients leave them, a row a line, and what becomes of each credit.
//!
//! ```text
//! a at 2026-03-01 of id:1 amount 40 to Retail/Web ends 2026-12-31 ref PO-1     allocation, day, credit
//! a at 2026-03-01 of id:1 lot 2 to Media after 1 from 2026-05                  what is left of lot 1 goes on there
//! b at 2026-03-02 of id:1 revoke
//! ```

use schemas::reference::{parse_hierarchy, parse_renames};

use super::*;
use crate::fixtures::credit;

fn row(line: &str) -> AllocationLogRow {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |word| words.iter().position(|found| *found == word).and_then(|at| words.get(at + 1)).copied();
    let text = |word| after(word).map(Text::new);
    let mut names =
        after("to").unwrap_or_default().split('/').map(|name| Some(Text::new(name)).filter(|_| !name.is_empty()));
    let at = after("at").unwrap();
    let at = if at.contains('T') { at.to_owned() } else { format!("{at}T00:00:00") };
    AllocationLogRow {
        allocation_id: words[0].into(),
        lot: after("lot").map_or(1, |lot| lot.parse().unwrap()),
        credit_key: text("of").unwrap(),
        action: if words.contains(&"revoke") { "revoke".into() } else { "allocate".into() },
        business_unit: names.next().flatten(),
        department: names.next().flatten(),
        portfolio: names.next().flatten(),
        product: names.next().flatten(),
        amount: after("amount").map(|amount| amount.parse().unwrap()),
        currency: if words.contains(&"revoke") { None } else { Some(after("in").unwrap_or("USD").into()) },
        end_date: after("ends").map(|end| end.parse().unwrap()),
        reference: text("ref"),
        recorded_by: text("by"),
        recorded_at: at.parse().unwrap(),
        note: None,
        from_period: text("from"),
        continues_lot: after("after").map(|lot| lot.parse().unwrap()),
    }
}

fn log(text: &str) -> Vec<AllocationLogRow> {
    text.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

/// With these renames: `from_period,old_business_unit,old_department,business_unit,department`.
fn hierarchy(renames: &str) -> Hierarchy {
    let raw = parse_hierarchy("h", b"business_unit,department\nRetail,Web\nMedia,TV\nMedia,Web\n").unwrap();
    let header = "from_period,old_business_unit,old_department,business_unit,department";
    let file = format!("{header}\n{renames}");
    let renames = parse_renames("r", file.as_bytes(), &raw.nodes().map(|(node, _)| node).collect()).unwrap();
    raw.renamed(renames)
}

fn register() -> Vec<RegisteredCredit> {
    let euro = RegisteredCredit { currency: "EUR".into(), ..credit("id:2") };
    vec![credit("id:1"), euro, credit("id:3"), credit("id:4")]
}

fn joined(log: &[AllocationLogRow]) -> Joined {
    join(&register(), log, &hierarchy(""), "2026-06-01T00:00:00".parse().unwrap())
}

/// `id:1 has 40.0000000000 of jane`, or why it waits.
fn standing(joined: &Joined) -> Vec<String> {
    let of_credit = |credit: &AllocatedCredit| {
        let by = credit.recorded_by.as_ref().map(|by| format!(" of {by}")).unwrap_or_default();
        match (&credit.waiting, credit.allocated_amount) {
            (None, Some(amount)) => format!("{} has {amount}{by}", credit.credit_key),
            (waiting, amount) => format!("{} {} {amount:?}", credit.credit_key, waiting.as_deref().unwrap_or_default()),
        }
    };
    joined.credits.iter().map(of_credit).collect()
}

/// `id:1/2 Media 5 from 2026-05 after 1`.
fn lots_of(joined: &Joined) -> Vec<String> {
    let of_lot = |lot: &LotRow| {
        let end = lot.end_date.map(|end| format!(" ends {end}")).unwrap_or_default();
        let reference = lot.reference.as_ref().map(|reference| format!(" ref {reference}")).unwrap_or_default();
        let from = lot.from_period.map(|period| format!(" from {period}")).unwrap_or_default();
        let after = lot.continues_lot.map(|lot| format!(" after {lot}")).unwrap_or_default();
        let amount = lot.amount.to_string();
        let amount = amount.trim_end_matches('0').trim_end_matches('.');
        format!("{}/{} {} {amount}{end}{reference}{from}{after}", lot.credit_key, lot.lot, lot.node().unwrap())
    };
    joined.lots.iter().map(of_lot).collect()
}

/// `a 1 of id:1: amount is missing`.
fn issues(joined: &Joined) -> Vec<String> {
    let of_issue = |issue: &AllocationIssue| {
        format!("{} {} of {}: {}", issue.allocation_id, issue.lot, issue.credit_key, issue.problem)
    };
    joined.issues.iter().map(of_issue).collect()
}

const MANY: &str = "a at 2026-03-01 of id:1 amount 40 to Retail/Web ends 2026-12-31 ref PO-1 by jane
                    a at 2026-03-01 of id:1 lot 2 amount 60.5 to Media ref PO-2 by jane
                    b at 2026-03-02 of id:2 amount 5 to Media in EUR by bob
                    c at 2026-03-05 of id:2 revoke by bob
                    d at 2026-03-06 of id:4 amount 7 to Platform by bob
                    e at 2026-03-01 of id:4 amount 7 to Retail by bob";

#[test]
fn every_registered_credit_is_allocated_or_waits_with_a_reason() {
    let joined = joined(&log(MANY));
    let expected = [
        "id:1 has 100.5000000000 of jane",
        "id:2 revoked None",
        "id:3 never_allocated None",
        "id:4 allocation_invalid None",
    ];
    assert_eq!(standing(&joined), expected);
    assert_eq!(lots_of(&joined), ["id:1/1 Retail/Web 40 ends 2026-12-31 ref PO-1", "id:1/2 Media 60.5 ref PO-2"]);
    assert_eq!(issues(&joined), ["d 1 of id:4: node Platform is not in hierarchy.csv"]);
}

#[test]
fn order_of_rows_and_rows_that_were_appended_again_change_nothing() {
    let rows = log(MANY);
    let expected = joined(&rows);
    let reversed: Vec<_> = rows.iter().rev().cloned().collect();
    assert_eq!(joined(&reversed), expected);
    for turned in 1..rows.len() {
        let mut other = rows.clone();
        other.rotate_left(turned);
        other.extend(rows.iter().take(turned).cloned());
        assert_eq!(joined(&other), expected, "turned by {turned}, some rows twice");
    }
}

#[test]
fn credit_that_was_revoked_can_be_allocated_again_and_at_one_instant_the_greater_id_counts() {
    let first = "a at 2026-03-01 of id:1 amount 5 to Retail";
    let of = |more: &str| standing(&joined(&log(&format!("{first}\n{more}"))))[0].clone();
    assert_eq!(
        of("b at 2026-03-02 of id:1 revoke\nc at 2026-03-03 of id:1 amount 6 to Media"),
        "id:1 has 6.0000000000"
    );
    assert_eq!(of("b at 2026-03-01 of id:1 revoke"), "id:1 revoked None");
    assert_eq!(of("Z at 2026-03-01 of id:1 revoke"), "id:1 has 5.0000000000", "Z comes before a by code point");
    assert_eq!(of("b at 2026-03-01T00:00:00.000001 of id:1 amount 7 to Media"), "id:1 has 7.0000000000");
}

#[test]
fn one_lot_that_is_wrong_makes_its_whole_credit_wait_and_no_other() {
    let joined = joined(&log("a at 2026-03-01 of id:1 amount 40 to Retail
         a at 2026-03-01 of id:1 lot 2 amount 60 to Retail/Shop
         a at 2026-03-01 of id:3 amount 9 to Media/TV"));
    assert_eq!(standing(&joined)[0], "id:1 allocation_invalid None");
    assert_eq!(lots_of(&joined), ["id:3/1 Media/TV 9"], "one id may stand for revisions of several credits");
    assert_eq!(issues(&joined), ["a 2 of id:1: node Retail/Shop is not in hierarchy.csv"]);
}

#[test]
fn all_that_is_wrong_with_a_row_is_told_at_once() {
    let found = |line: &str| issues(&joined(&log(line))).join("|");
    assert_eq!(
        found("a at 2026-07-01 of id:2 lot 3 amount -5 to /Web in USD ends 2026-01-30"),
        "a 3 of id:2: recorded_at 2026-07-01 00:00:00 is in the future; lots are not numbered 1 to 1; \
         amount -5.0000000000 is not above zero; currency USD is not that of the credit, EUR; \
         end_date 2026-01-30 is before the issue date 2026-01-31; department is set but business_unit is empty"
    );
    assert_eq!(
        found("a at 2026-03-01 of id:1 amount 5 to Unassigned"),
        "a 1 of id:1: node Unassigned is not in hierarchy.csv"
    );
    let without_currency = AllocationLogRow { currency: None, ..row("a at 2026-03-01 of id:1 amount 5 to Retail") };
    assert_eq!(issues(&joined(&[without_currency])), ["a 1 of id:1: currency is missing"]);
}

#[test]
fn end_on_the_issue_date_and_a_revision_of_this_very_instant_are_valid() {
    let joined = joined(&log("a at 2026-03-01 of id:1 amount 5 to Retail ends 2026-01-31
         b at 2026-06-01 of id:3 amount 5 to Retail
         c at 2026-06-01T00:00:00.000001 of id:4 revoke"));
    assert_eq!(lots_of(&joined), ["id:1/1 Retail 5 ends 2026-01-31", "id:3/1 Retail 5"]);
    assert_eq!(issues(&joined), ["c 1 of id:4: recorded_at 2026-06-01 00:00:00.000001 is in the future"]);
    assert_eq!(standing(&joined)[3], "id:4 allocation_invalid None", "nor is a revocation from the future believed");
}

#[test]
fn revision_whose_lots_do_not_belong_together_is_told_lot_by_lot() {
    let found = |text: &str| issues(&joined(&log(text)));
    let two = "a at 2026-03-01 of id:1 amount 5 to Retail\na at 2026-03-01 of id:1 lot 2 amount 6 to Media";
    let third = |line: &str| found(&format!("{two}\n{line}"));
    let numbers = "lots are not numbered 1 to 3";
    assert_eq!(
        third("a at 2026-03-01 of id:1 lot 2 amount 7 to Media"),
        [format!("a 1 of id:1: {numbers}"), format!("a 2 of id:1: {numbers}")],
        "two rows claim lot 2"
    );
    assert_eq!(third("a at 2026-03-01 of id:1 lot 4 amount 7 to Media").len(), 3);
    let differs = |what: &str| [1, 2, 3].map(|lot| format!("a {lot} of id:1: {what} differs between the lots"));
    assert_eq!(third("a at 2026-03-02 of id:1 lot 3 amount 7 to Media"), differs("recorded_at"));
    assert_eq!(third("a at 2026-03-01 of id:1 lot 3 revoke"), differs("action"));
    assert_eq!(
        found("a at 2026-03-01 of id:1 amount 9e27 to Retail\na at 2026-03-01 of id:1 lot 2 amount 9e27 to Media"),
        [1, 2].map(|lot| format!("a {lot} of id:1: the lots sum to more than 38 digits"))
    );
}

#[test]
fn lot_is_of_the_credit_as_the_register_has_it_now() {
    let mut register = register();
    (register[0].promotion_code, register[0].account_id) = ("MAP 2026".into(), "444455556666".into());
    (register[0].issue_date, register[0].first_cur_date) =
        ("2025-12-31".parse().unwrap(), "2026-01-01".parse().unwrap());
    let log = log("a at 2026-03-01 of id:1 amount 5 to Retail ends 2026-01-15");
    let joined = join(&register, &log, &hierarchy(""), "2026-06-01T00:00:00".parse().unwrap());
    let LotRow { promotion_code, account_id, issue_date, first_cur_date, .. } = &joined.lots[0];
    let found = format!("{promotion_code} {account_id} {issue_date} {first_cur_date}");
    assert_eq!(found, "MAP 2026 444455556666 2025-12-31 2026-01-01", "the end is after the issue that was set by hand");
}

#[test]
fn lots_of_moves_count_no_amount_of_their_own() {
    let joined = joined(&log("a at 2026-03-01 of id:1 amount 40 to Retail ends 2026-12-31 ref PO-1
         a at 2026-03-01 of id:1 lot 2 amount 60 to Media
         a at 2026-03-01 of id:1 lot 3 to Media/TV after 1 from 2026-03 ends 2026-12-31 ref PO-1
         a at 2026-03-01 of id:1 lot 4 to Retail/Web after 3 from 2026-05 ends 2026-12-31"));
    assert_eq!(issues(&joined), Vec::<String>::new());
    assert_eq!(standing(&joined)[0], "id:1 has 100.0000000000");
    let expected = [
        "id:1/1 Retail 40 ends 2026-12-31 ref PO-1",
        "id:1/2 Media 60",
        "id:1/3 Media/TV 0 ends 2026-12-31 ref PO-1 from 2026-03 after 1",
        "id:1/4 Retail/Web 0 ends 2026-12-31 from 2026-05 after 3",
    ];
    assert_eq!(lots_of(&joined), expected);
}

#[test]
fn names_that_were_replaced_always_or_from_a_month_on_still_place_lots() {
    let log = log("a at 2026-03-01 of id:1 amount 40 to Shops
         a at 2026-03-01 of id:1 lot 2 amount 60 to Shops/Web ends 2026-12-31
         b at 2026-03-01 of id:3 amount 5 to Media/TV
         c at 2026-03-01 of id:4 amount 5 to Radio");
    let hierarchy = hierarchy(",Shops,,Retail,\n2026-04,Retail,Web,Media,Web\n2026-05,Radio,,Media,TV\n");
    let joined = join(&register(), &log, &hierarchy, "2026-06-01T00:00:00".parse().unwrap());
    let expected = [
        "id:1/1 Retail 40",
        "id:1/2 Retail/Web 60 ends 2026-12-31",
        "id:1/3 Media/Web 0 ends 2026-12-31 from 2026-04 after 2",
        "id:3/1 Media/TV 5",
        "id:4/1 Radio 5",
        "id:4/2 Media/TV 0 from 2026-05 after 1",
    ];
    assert_eq!(lots_of(&joined), expected);
    assert_eq!(issues(&joined), Vec::<String>::new());
}

#[test]
fn issues_come_by_allocation_lot_and_credit() {
    let joined = joined(&log("b at 2026-03-01 of id:4 amount 5 to Nowhere
         b at 2026-03-01 of id:3 amount 5 to Nowhere
         a at 2026-03-01 of unknown lot 2 amount 5 to Retail
         a at 2026-03-01 of unknown amount 5 to Retail"));
    let expected = [
        "a 1 of unknown: credit unknown is not registered",
        "a 2 of unknown: credit unknown is not registered",
        "b 1 of id:3: node Nowhere is not in hierarchy.csv",
        "b 1 of id:4: node Nowhere is not in hierarchy.csv",
    ];
    assert_eq!(issues(&joined), expected);
}
