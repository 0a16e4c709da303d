//! What each failure is told as, and what its exit code is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use credit_ledger::{BillingPeriod, Breach};
use join_allocations::RemovedNode;
use schemas::reference::Problem;

use super::*;
use crate::testing::node;

type Store = object_store::Error;

fn generic(text: &str) -> Store {
    Store::Generic { store: "S3", source: text.into() }
}

fn denied() -> Store {
    Store::PermissionDenied { path: "cur/may.csv".to_owned(), source: "Access Denied".into() }
}

fn full_disk() -> io::Error {
    io::Error::from_raw_os_error(28)
}

/// Exit code and text.
fn told(failure: impl Into<Failure>) -> (u8, String) {
    let failure = failure.into();
    (failure.kind.exit_code(), failure.to_string())
}

fn assert_told<F: Into<Failure>>(failures: impl IntoIterator<Item = (F, u8, &'static str)>) {
    for (failure, exit_code, text) in failures {
        assert_eq!(told(failure), (exit_code, text.to_owned()));
    }
}

#[test]
fn exit_codes_and_names_are_those_of_the_contract() {
    let codes = Kind::ALL.map(|kind| (kind.exit_code(), kind.name()));
    let contract =
        [(2, "usage"), (3, "bad_input"), (4, "not_yet"), (5, "check_failed"), (6, "storage"), (7, "lost_race")];
    assert_eq!(codes, contract);
}

#[test]
fn what_is_wrong_with_the_lake_says_whether_somebody_must_act_or_a_retry_helps() {
    let io = LakeError::Io { path: PathBuf::from("/lake/runs"), source: full_disk() };
    let of_now = LakeError::OfNow { table: "allocations_log", run_id: "night-1".to_owned() };
    assert_told([
        (
            of_now,
            2,
            "allocations_log is not kept as it was in run night-1; ask without --run-id and --as-of for what stands now",
        ),
        (
            LakeError::BadInput("settings file credits.toml: [lake] location is empty".to_owned()),
            3,
            "settings file credits.toml: [lake] location is empty",
        ),
        (
            denied().into(),
            3,
            "storage: The operation lacked the necessary privileges to complete for path cur/may.csv: Access Denied",
        ),
        (
            LakeError::NotYet("nothing is published in the lake lake yet; `run` first".to_owned()),
            4,
            "nothing is published in the lake lake yet; `run` first",
        ),
        (
            LakeError::Damaged("runs/a/credits/part.parquet is gone".to_owned()),
            5,
            "runs/a/credits/part.parquet is gone",
        ),
        (io, 6, "/lake/runs: No space left on device (os error 28)"),
        (generic("timed out").into(), 6, "storage: Generic S3 error: timed out"),
        (LakeError::Service("Glue does not answer".to_owned()), 6, "Glue does not answer"),
        (LakeError::LostRace("run b was published since".to_owned()), 7, "run b was published since"),
    ]);
}

#[test]
fn export_that_is_wrong_names_each_place_and_one_that_is_incomplete_can_be_tried_again() {
    let problem = |file: &str, row: u64, column: &str, message: &str| Problem {
        file: file.to_owned(),
        row: Some(row),
        column: Some(column.to_owned()),
        message: message.to_owned(),
    };
    let bad = Problems(vec![
        problem("may.csv", 7, "line_item_unblended_cost", "\"1,5\" is not a number"),
        problem("june.csv", 2, "line_item_usage_start_date", "is empty"),
    ]);
    let vanished = Store::NotFound { path: "may.csv".to_owned(), source: "gone".into() };
    let listing = generic("Client error with status code: 403 Forbidden");
    assert_told([
        (
            DetectError::Read(bad.into()),
            3,
            "may.csv, row 7, column line_item_unblended_cost: \"1,5\" is not a number\njune.csv, row 2, column line_item_usage_start_date: is empty",
        ),
        (
            DetectError::Read(denied().into()),
            3,
            "storage: The operation lacked the necessary privileges to complete for path cur/may.csv: Access Denied",
        ),
        (
            DetectError::Read(listing.into()),
            3,
            "storage: Generic S3 error: Client error with status code: 403 Forbidden",
        ),
        (DetectError::Read(vanished.into()), 4, "may.csv: the export changed while it was read; try again"),
        (
            DetectError::CountMismatch("may.csv: 9 lines read, 10 counted".to_owned()),
            5,
            "may.csv: 9 lines read, 10 counted",
        ),
        (
            DetectError::Money { credit_key: "id:42".to_owned(), source: MoneyError::Overflow },
            5,
            "credit id:42: amount out of range: more than 38 digits at 10 decimals",
        ),
        (
            DetectError::Read(ReadError::Io { file: "may.parquet".to_owned(), source: full_disk() }),
            6,
            "may.parquet: No space left on device (os error 28)",
        ),
        (
            DetectError::Lake(LakeError::LostRace("another run holds the lake".to_owned())),
            7,
            "another run holds the lake",
        ),
    ]);
}

#[test]
fn nodes_that_are_gone_are_bad_input_with_what_to_do_first() {
    let april: BillingPeriod = "2026-04".parse().unwrap();
    let of_stores = RemovedNode { budgets: BTreeSet::from([april]), ..RemovedNode::default() };
    let removed = BTreeMap::from([(node("Retail/Stores"), of_stores)]);
    let failure = Failure::from(JoinError::RemovedNodes { removed, likely: Vec::new() });
    assert_eq!(failure.kind, Kind::BadInput);
    let lines = failure.into_lines();
    assert!(lines[0].ends_with("restated, and their allocations cannot be used:"), "{lines:?}");
    assert_eq!(lines[1..], ["Retail/Stores: budgets of 2026-04"]);
}

#[test]
fn broken_invariants_publish_nothing_and_what_settings_can_mend_is_bad_input() {
    let period: BillingPeriod = "2026-03".parse().unwrap();
    let breach = |what: &str| Breach { period, what: what.to_owned() };
    let breaches = FifoError::Breach(vec![breach("lot id:1/1 draws 5 of 4"), breach("cell 2026-03-05")]);
    assert_told([
        (breaches, 5, "an invariant does not hold:\n2026-03: lot id:1/1 draws 5 of 4\n2026-03: cell 2026-03-05"),
        (
            FifoError::Memory { period, needed: 3 << 30 },
            3,
            "the spend of 2026-03 that lots may draw on takes 3.0 GiB or more; raise [run] memory_limit",
        ),
        (FifoError::TemporaryFile(full_disk()), 6, "temporary file for draws: No space left on device (os error 28)"),
        (FifoError::Column("usage_date"), 5, "cells without a proper column usage_date"),
        (
            FifoError::Lake(LakeError::NotYet("join-allocations has not been done".to_owned())),
            4,
            "join-allocations has not been done",
        ),
    ]);
    let off = "2026-01: the export sums to 5.0000000001 USD but invoice_net to 5.0000000000: 0.0000000001 apart";
    let untied = told(NetCostError::Breaches(vec![off.to_owned()]));
    assert_eq!(untied, (5, format!("the run does not tie out, nothing is published:\n{off}")));
}

#[test]
fn error_of_the_lake_below_a_plan_is_told_as_the_lake_said_it() {
    let damaged = || LakeError::Damaged("credits/part.parquet is not as it was written".to_owned());
    let below = DataFusionError::External(Box::new(damaged()));
    assert_eq!(told(below), told(damaged()));
    let memory = DataFusionError::ResourcesExhausted("Failed to allocate 3 GiB".to_owned()).context("sorting");
    assert_eq!(Failure::from(memory).kind, Kind::Storage);
    let refused = DataFusionError::ObjectStore(Box::new(denied())).context("reading");
    assert_eq!(Failure::from(refused).kind, Kind::BadInput);
}

#[test]
fn statement_that_breaks_off_is_a_slip_unless_money_or_storage_is_at_fault() {
    let execution = |text: &str| DataFusionError::Execution(text.to_owned());
    for (error, kind, text) in [
        (execution("Divide by zero"), Kind::Usage, "query: Execution error: Divide by zero"),
        (
            execution("SUM of money overflows 38 digits"),
            Kind::CheckFailed,
            "query: Execution error: SUM of money overflows 38 digits",
        ),
        (
            DataFusionError::Plan("no field\n\tnamed x".to_owned()),
            Kind::Usage,
            "query: Error during planning: no field  named x",
        ),
        (
            DataFusionError::IoError(full_disk()),
            Kind::Storage,
            "query: IO error: No space left on device (os error 28)",
        ),
    ] {
        let failure = statement_failed(&error);
        assert_eq!((failure.kind, failure.to_string().as_str()), (kind, text));
    }
}

#[test]
fn file_for_people_that_cannot_be_made_says_whether_another_kind_of_file_helps() {
    let kind = |error: TableFileError| Kind::from(&error);
    assert_eq!(kind(TableFileError::Write(full_disk())), Kind::Storage);
    assert_eq!(kind(TableFileError::TooLarge("a sheet holds 1,048,575 rows".to_owned())), Kind::BadInput);
    assert_eq!(kind(TableFileError::Value(arrow::error::ArrowError::NotYetImplemented("x".into()))), Kind::CheckFailed);
}

#[test]
fn id_of_an_access_key_is_never_repeated_whole() {
    let failure = Failure::new(Kind::BadInput, "InvalidAccessKeyId: AKIAIOSFODNN7EXAMPLE is not known");
    assert_eq!(failure.to_string(), "InvalidAccessKeyId: AKIAIO… is not known");
    assert!(!failure.json().contains("AKIAIOSFODNN7EXAMPLE"), "{}", failure.json());
}

#[test]
fn a_full_disk_below_a_plan_is_a_storage_failure() {
    let full = std::io::Error::from_raw_os_error(28);
    let store = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(full) };
    let wrapped = DataFusionError::ObjectStore(Box::new(store)).context("writing");
    assert_eq!(engine_kind(&wrapped), Kind::Storage);
    assert_eq!(engine_kind(&DataFusionError::Execution("SUM overflows".into())), Kind::CheckFailed);
}

#[test]
fn export_that_cannot_be_read_below_a_plan_is_told_as_without_one() {
    fn vanished() -> ReadError {
        ReadError::NotYet("may.csv: the export changed while it was read; try again".to_owned())
    }
    fn timed_out() -> ReadError {
        ReadError::Store(object_store::Error::Generic { store: "S3", source: "timed out".into() })
    }
    for (error, kind) in [(vanished as fn() -> ReadError, Kind::NotYet), (timed_out, Kind::Storage)] {
        let below = || DataFusionError::External(Box::new(error()));
        let shared = DataFusionError::Shared(std::sync::Arc::new(below()));
        for wrapped in [below(), below().context("scanning"), shared] {
            let failure = Failure::from(DetectError::from(wrapped));
            assert_eq!((failure.kind, failure.to_string()), (kind, Failure::from(error()).to_string()));
        }
    }
}

#[test]
fn json_of_a_failure_is_one_line_that_has_all() {
    let failure = Failure::list(Kind::BadInput, "two are wrong:", ["a\nb", "AKIAIOSFODNN7EXAMPLE"]);
    assert_eq!(
        failure.json(),
        r#"{"error":{"exit_code":3,"kind":"bad_input","lines":["two are wrong:","a\nb","AKIAIO…"],"message":"two are wrong:"}}"#
    );
}

#[test]
fn a_foreign_line_break_makes_no_second_line_of_an_error() {
    let problem = |message: &str| Problem { file: "a\n.csv".into(), row: None, column: None, message: message.into() };
    let problems = Problems(vec![problem("x\nerror: all is fine"), problem("\u{1b}[2J")]);
    let said = "a\\n.csv: x\\nerror: all is fine\na\\n.csv: \\u{1b}[2J";
    assert_eq!(Failure::from(LakeError::from(problems.clone())).to_string(), said);
    assert_eq!(Failure::from(DetectError::from(problems)).to_string(), said);
    assert_eq!(Failure::new(Kind::Storage, "a\nb").to_string(), "a\\nb");
    assert_eq!(Failure::list(Kind::CheckFailed, "off:", ["a\nb", "c"]).to_string(), "off:\na\\nb\nc");
}
