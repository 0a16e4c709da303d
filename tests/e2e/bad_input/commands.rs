//! Queries, jobs out of order, commands before the first run.

use super::{AS_OF, Published, good_input, refuses};

#[test]
fn query_that_is_no_sql_or_names_no_table_is_a_usage_error() {
    let published = Published::new();
    for (sql, wrong) in [
        ("SELEC 1", "SQL error: ParserError(\"Expected: an SQL statement, found: SELEC at Line: 1, Column: 1\")"),
        ("SELECT * FROM netcost", "Error during planning: table 'netcost' not found; SHOW TABLES lists them"),
    ] {
        published.refuses(&["query", sql], 2, &format!("query: {wrong}"));
    }
}

#[test]
fn query_that_would_write_is_a_usage_error_and_writes_nothing() {
    let published = Published::new();
    let copy = format!("COPY net_cost TO '{}'", published.workspace.path("copy.csv").display());
    for (sql, wrong) in [
        ("DROP TABLE net_cost", "DDL not supported: DropTable"),
        ("CREATE TABLE mine AS SELECT 1", "DDL not supported: CreateMemoryTable"),
        ("INSERT INTO credits_log SELECT * FROM credits_log", "DML not supported: Insert Into"),
        ("DELETE FROM allocations_log", "DML not supported: Delete"),
        (&copy, "DML not supported: COPY"),
        ("SET datafusion.execution.batch_size = 1", "Statement not supported: SetVariable"),
    ] {
        published.refuses(&["query", sql], 2, &format!("query: Error during planning: {wrong}"));
    }
    assert!(!published.workspace.path("copy.csv").exists());
}

#[test]
fn sum_that_overflows_in_a_query_is_an_error_and_no_wrong_figure() {
    let published = Published::new();
    let huge = "CAST(9999999999999999999999999999 AS DECIMAL(38, 10))";
    let sql = format!("SELECT sum(c) FROM (SELECT {huge} AS c UNION ALL SELECT {huge} AS c)");
    let outcome = published.workspace.run(AS_OF, &["query", &sql]);
    assert_eq!((outcome.exit_code, outcome.stdout.as_str()), (Some(5), ""));
    assert!(outcome.stderr.contains("SUM of money overflows 38 digits"), "{}", outcome.stderr);
}

#[test]
fn commands_before_the_first_run_say_what_to_do() {
    let workspace = good_input();
    let nobody = "there is no lake at <workspace>/lake yet; `run` makes it";
    for arguments in [&["queue"][..], &["credits"], &["query", "SELECT 1"], &["revoke", "--key", "id:1"]] {
        refuses(&workspace, arguments, 4, nobody);
    }
    assert!(!workspace.path("lake").exists());
    let export = std::fs::read(workspace.path("cur/good.csv")).expect("an export");
    workspace.empty("cur");
    workspace.try_run(AS_OF, &["run"]).expect_err("there is no export yet");
    workspace.write("cur/good.csv", export);
    let unread = "no export has been read into the lake <workspace>/lake yet; `run` first";
    refuses(&workspace, &["queue"], 4, unread);
    refuses(&workspace, &["allocations", "list"], 4, unread);
    refuses(&workspace, &["allocations", "history", "id:1"], 4, unread);
    refuses(&workspace, &["allocate", "--key", "id:1", "--amount", "1", "--to", "Retail"], 4, unread);
    refuses(&workspace, &["revoke", "--key", "id:1"], 4, unread);
    refuses(&workspace, &["credits"], 4, "nothing is published in the lake <workspace>/lake yet; `run` first");
    let unpublished = "query: nothing is published in the lake <workspace>/lake yet; `run` first";
    refuses(&workspace, &["query", "SELECT * FROM net_cost"], 4, unpublished);
    assert_eq!(workspace.try_run(AS_OF, &["query", "SELECT * FROM allocations_log"]).expect("a log"), "(no rows)\n");
}

#[test]
fn job_whose_predecessor_has_not_been_done_says_which() {
    let workspace = good_input();
    let night = |job: &'static str| [job, "--run-id", "night-42"];
    let undone = |job: &str| format!("run night-42: {job} has not been done; give all jobs of a run one --run-id");
    for job in ["join-allocations", "apply-fifo", "write-net-cost"] {
        refuses(&workspace, &night(job), 4, &undone("detect-credits"));
    }
    refuses(&workspace, &night("publish"), 4, &undone("write-net-cost"));
    workspace.try_run(AS_OF, &night("detect-credits")).expect("a done job");
    refuses(&workspace, &night("apply-fifo"), 4, &undone("join-allocations"));
    refuses(&workspace, &night("publish"), 4, &undone("write-net-cost"));
}

#[test]
fn run_that_broke_off_is_continued_job_by_job() {
    let workspace = good_input();
    workspace.write("lake/runs", "a file where staged runs belong");
    workspace.try_run(AS_OF, &["run", "--run-id", "night-42"]).expect_err("nothing can be staged");
    std::fs::remove_file(workspace.path("lake/runs")).expect("a removed file");
    for job in ["join-allocations", "apply-fifo", "write-net-cost", "publish"] {
        workspace.try_run(AS_OF, &[job, "--run-id", "night-42"]).expect("a done job");
    }
    let continued = workspace.published();
    workspace.try_run(AS_OF, &["run"]).expect("a run");
    assert!(workspace.published() == continued, "the bytes of an undisturbed run");
}

#[test]
fn job_with_another_as_of_date_is_a_usage_error() {
    let workspace = good_input();
    workspace.try_run(AS_OF, &["detect-credits", "--run-id", "night-42"]).expect("a done job");
    let outcome = workspace.run("2026-02-28", &["join-allocations", "--run-id", "night-42"]);
    assert_eq!(outcome.exit_code, Some(2));
    let message = "run night-42 was started with --as-of 2026-03-31, not 2026-02-28; give all jobs of a run the same";
    assert_eq!(outcome.stderr, format!("error: {message}\n"));
}

#[test]
fn run_id_that_names_no_folder_is_a_usage_error() {
    let published = Published::new();
    let message = "invalid value '../x' for '--run-id <ID>': only letters, digits, - _ and . may be used\n\n\
                   For more information, try '--help'.";
    published.refuses(&["run", "--run-id", "../x"], 2, message);
}
