//! What a person reads at the end of a night.

use schemas::records::Fetched;

use super::*;
use crate::freshness::Freshness;
use crate::testing::{amount, date, money, quiet_report};

fn told(report: &Report) -> String {
    report.head().join("\n")
}

fn warning(kind: join_allocations::finding::Kind, subject: &str) -> Finding {
    Finding::new(Severity::Warning, kind, subject, "")
}

#[test]
fn quiet_night_is_told_in_three_lines() {
    insta::assert_snapshot!(told(&quiet_report()), @r"
    Run night-42 as of 2026-10-31

    Export      CUR 2.0: 1 period read (7,012 lines), 0 unchanged (0 lines)
    Credits     3 registered
    ");
}

#[test]
fn what_became_of_credits_is_told_with_sums_by_currency_and_the_amount_that_matters() {
    let mut report = quiet_report();
    let euros = |credit: CreditAmount| CreditAmount { currency: "EUR".into(), ..credit };
    report.credits.new =
        vec![amount("id:1", "1234.565", None), euros(amount("id:2", "7", None)), amount("id:3", "0.435", None)];
    report.credits.waiting = vec![amount("id:1", "1234.565", None)];
    report.credits.expiring_soon = vec![amount("id:4", "500", Some("2026-11-30"))];
    let provisional = CreditAmount { provisional: true, ..amount("id:5", "30", Some("2026-10-25")) };
    report.credits.expired = vec![provisional, amount("id:6", "10", Some("2026-08-31"))];
    report.allocation_issues = vec!["a-1 lot 2: node Gone is not in hierarchy.csv".to_owned()];
    insta::assert_snapshot!(told(&report), @r"
    Run night-42 as of 2026-10-31

    Export      CUR 2.0: 1 period read (7,012 lines), 0 unchanged (0 lines)
    Credits     3 registered
                3 new: 7.00 EUR, 1,235.00 USD applied by AWS so far
                  id:1  1,234.57 USD
                  id:2  7.00 EUR
                  id:3  0.44 USD
                1 waiting for allocation: 1,234.57 USD applied by AWS so far
                  id:1  1,234.57 USD
                1 expiring soon: 500.00 USD left
                  id:4  500.00 USD, ends 2026-11-30
                2 expired: 40.00 USD lost
                  id:5  30.00 USD, ends 2026-10-25 (provisional)
                  id:6  10.00 USD, ends 2026-08-31
    Allocations 1 cannot be used:
                a-1 lot 2: node Gone is not in hierarchy.csv
    ");
}

#[test]
fn of_many_credits_ten_are_listed_and_all_are_summed() {
    let mut report = quiet_report();
    report.credits.new = (1..=12).map(|number| amount(&format!("id:{number:02}"), "100.10", None)).collect();
    let told = told(&report);
    assert!(told.contains("12 new: 1,201.20 USD applied by AWS so far"), "{told}");
    assert!(told.contains("id:10  100.10 USD\n              and 2 more"), "{told}");
    assert!(!told.contains("id:11"), "{told}");
}

#[test]
fn what_was_read_and_left_out_of_the_export_is_told_below_it() {
    let mut report = quiet_report();
    let left_out = |number: u64| LeftOut {
        path: format!("old-{number:02}/"),
        files: number * 1_000,
        reason: "an older execution".to_owned(),
    };
    report.export.left_out = (1..=12).map(left_out).collect();
    report.export.left_out[0] = LeftOut { path: "notes.txt".to_owned(), files: 1, reason: "no data file".to_owned() };
    report.export.fetched = Some(Fetched { requests: 1_234, bytes: 5 << 20 });
    report.export.blank_costs = 12;
    report.freshness = Freshness {
        newest_usage_date: Some(date("2026-10-20")),
        is_stale: true,
        later_periods: vec!["2026-11".parse().unwrap()],
        as_of_pinned_in: Some("credits.toml".to_owned()),
    };
    let told = told(&report);
    let told: Vec<&str> = told.lines().skip(3).map(str::trim).collect();
    let expected = [
        "as_of is pinned to 2026-10-31 in credits.toml; 1 newer month of the export is left out: 2026-11",
        "the export ends on 2026-10-20, 11 days before the as-of date: it may not be delivered any more; what is lost after \
         that day is provisional",
        "1,234 requests to S3, 5.0 MiB fetched",
        "12 lines without a cost count as zero",
        "left out: notes.txt: no data file",
        "left out: old-02/ (2,000 files): an older execution",
    ];
    assert_eq!(told[..6], expected);
    assert_eq!(told[14..], ["and 2 more", "Credits     3 registered"]);
}

/// Unusable allocations stand above, and notes are for `check`.
#[test]
fn warnings_of_the_check_are_told_and_its_notes_are_not() {
    use join_allocations::finding::Kind;

    let mut report = quiet_report();
    let spend = |subject: &str, spent: &str| Finding {
        billing_period: "2026-10".parse().ok(),
        amount: Some(money(spent)),
        currency: Some("USD".into()),
        ..warning(Kind::Unassigned, subject)
    };
    report.checks = vec![
        spend("222222222222 AmazonEC2", "1000"),
        spend("222222222222 AmazonS3", "234.5"),
        warning(Kind::UnusableAllocation, "a-1 lot 2 of id:42"),
        warning(Kind::UnmatchedRule, "media"),
        Finding::new(Severity::Note, Kind::IdleNode, "Media", ""),
    ];
    let told = told(&report);
    let (_, checks) = told.split_once("3 registered\n").unwrap();
    insta::assert_snapshot!(checks, @r"
    Check       1,234.50 USD of 2026-10 Unassigned: no rule takes it
                  222222222222 AmazonEC2  1,000.00 USD
                  222222222222 AmazonS3  234.50 USD
                rules that match nothing: 1
                  media
    ");
}

#[test]
fn rows_of_the_first_allocations_that_were_edited_later_are_told_with_what_records_them() {
    let said = |edited_allocations: Vec<u64>| {
        Report { edited_allocations, ..quiet_report() }.edited_allocations().unwrap_or_default()
    };
    assert_eq!(said(Vec::new()), "");
    let one =
        "            allocations.csv: 1 row differs from what is recorded (row 3); `allocations import` records them";
    assert_eq!(said(vec![3]), one);
    let many = said((2..=13).collect());
    assert!(
        many.contains("12 rows differ from what is recorded (rows 2, 3, ") && many.contains(", 11, and 2 more);"),
        "{many}"
    );
}

#[test]
fn tie_out_is_exact_and_a_run_that_is_held_back_says_how_to_publish_it() {
    let report = quiet_report();
    let line = "Tie-out     export 1,234,567.8950000000 USD = invoice_net 1,234,567.8950000000, difference 0.0000000000; net cost \
                1,234,000.0000000000, clearing 567.8950000000";
    assert_eq!(report.tie_out_lines(), ["", line]);
    assert_eq!(report.not_published(), None);
    let why = "as of 2026-10-31 is before 2026-11-01, the date of the published run night-41".to_owned();
    let held_back = Report { not_published: Some(why), ..report };
    let said = "Not published: as of 2026-10-31 is before 2026-11-01, the date of the published run night-41; publish it with \
                `publish --run-id night-42`, or run with --publish";
    assert_eq!(held_back.not_published().as_deref(), Some(said));
}
