//! The export read by a cluster: the same bytes as in one process, whatever happens to its members.

mod kills;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::determinism::sample;
use crate::faults::shop::{AS_OF as NIGHT, Shop, assert_same};
use crate::organisation::{Amounts, Organisation, organisations};
use crate::support::members::{Members, SMALL_TASKS};
use crate::support::{Outcome, Workspace, number, outcome};
use crate::vectors;

const AS_OF: &str = "2026-10-31";

/// Settings of a workspace for small tasks, beside those that it has.
fn small_tasks(workspace: &Workspace) -> std::path::PathBuf {
    let settings = fs::read_to_string(workspace.path("credits.toml")).expect("settings");
    workspace.write("credits.cluster.toml", settings + SMALL_TASKS);
    workspace.path("credits.cluster.toml")
}

/// The command of a run whose export the cluster reads.
fn on(members: &Members, workspace: &Workspace, as_of: &str) -> Command {
    let mut command = workspace.command_with(&small_tasks(workspace));
    command.args(["--as-of", as_of, "run", "--scheduler", &members.scheduler_url()]);
    command
}

fn run_on(members: &Members, workspace: &Workspace, as_of: &str) -> Outcome {
    outcome(&mut on(members, workspace, as_of))
}

fn must(outcome: &Outcome) {
    assert_eq!(outcome.exit_code, Some(0), "{}\n{}", outcome.stdout, outcome.stderr);
}

/// What a run here publishes, into a lake that is gone afterwards.
fn published_here(workspace: &Workspace, as_of: &str) -> BTreeMap<String, Vec<u8>> {
    workspace.try_run(as_of, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let published = workspace.published();
    fs::remove_dir_all(workspace.path("lake")).expect("a removed lake");
    published
}

fn ended(member: &mut std::process::Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = member.try_wait().expect("a child") {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn terminate(member: &std::process::Child) {
    signal(member, "-TERM");
}

fn signal(member: &std::process::Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &member.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

#[test]
fn sample_organisation_gives_the_same_bytes_on_one_two_and_four_executors() {
    let workspace = sample(None);
    let expected = published_here(&workspace, AS_OF);
    for executors in [1, 2, 4] {
        let mut members = Members::start(&workspace.path("members"), &workspace.path("credits.toml"), executors);
        must(&run_on(&members, &workspace, AS_OF));
        assert_same(&format!("{executors} executors"), &workspace.published(), &expected);
        fs::remove_dir_all(workspace.path("lake")).expect("a removed lake");
        // Asked to, they end, and nothing of theirs stays.
        for executor in &mut members.executors {
            terminate(executor);
            assert!(ended(executor).success());
        }
        terminate(&members.scheduler);
        assert!(ended(&mut members.scheduler).success());
        let left: Vec<_> = fs::read_dir(members.work()).expect("a folder").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn golden_scenarios_give_the_same_bytes_on_a_cluster() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors");
    let workspace = Workspace::new();
    let members = Members::start(&workspace.path("members"), &workspace.path("credits.toml"), 2);
    let scenarios = fs::read_dir(&folder).expect("scenarios").map(|entry| entry.expect("an entry").path());
    let mut scenarios: Vec<_> = scenarios.filter(|path| path.is_dir()).collect();
    scenarios.sort();
    assert!(scenarios.len() > 3);
    for scenario in scenarios {
        workspace.empty("cur");
        workspace.empty("reference");
        workspace.copy(&scenario.join("cur"), "cur");
        workspace.copy(&scenario.join("reference"), "reference");
        workspace.write("credits.toml", vectors::read(&scenario.join("credits.toml")));
        let as_of = vectors::read(&scenario.join("as_of.txt"));
        let expected = published_here(&workspace, as_of.trim());
        must(&run_on(&members, &workspace, as_of.trim()));
        assert_same(&scenario.display().to_string(), &workspace.published(), &expected);
        fs::remove_dir_all(workspace.path("lake")).expect("a removed lake");
    }
}

/// `FINOPS_CLUSTER_CASES` (default 8) sets how many.
#[test]
fn generated_organisations_give_the_same_bytes_on_a_cluster() {
    let workspace = Workspace::new();
    let members = Members::start(&workspace.path("members"), &workspace.path("credits.toml"), 3);
    for organisation in generated(number("FINOPS_CLUSTER_CASES", 8)) {
        workspace.empty("cur");
        workspace.empty("reference");
        organisation.install(&workspace);
        organisation.install_allocations(&workspace);
        let as_of = organisation.as_of.to_string();
        let expected = published_here(&workspace, &as_of);
        must(&run_on(&members, &workspace, &as_of));
        assert_same(&format!("{organisation:?}"), &workspace.published(), &expected);
        fs::remove_dir_all(workspace.path("lake")).expect("a removed lake");
    }
}

/// The same ones every time.
fn generated(count: u64) -> Vec<Organisation> {
    let mut runner = TestRunner::deterministic();
    let made = organisations(Amounts::Any);
    let one = |_| made.new_tree(&mut runner).expect("an organisation").current();
    (0..count).map(one).collect()
}

#[test]
fn bad_lines_are_refused_in_the_same_words_and_a_night_after_reads_what_changed() {
    let shop = Shop::new();
    let members = Members::start(&shop.0.path("members"), &shop.0.path("credits.toml"), 2);
    let here = Shop::new();
    must(&run_on(&members, &shop.0, NIGHT));
    here.succeed(&["run"]);
    assert_same("first night", &shop.0.published(), &here.0.published());
    shop.change();
    here.change();
    let summary = run_on(&members, &shop.0, NIGHT);
    must(&summary);
    here.succeed(&["run"]);
    assert_same("second night", &shop.0.published(), &here.0.published());
    for shop in [&shop, &here] {
        shop.0.write("cur/cur-2026-03.csv", shop.second_delivery().replace(",12.5,", ",much,"));
    }
    let (there, here) = (run_on(&members, &shop.0, NIGHT), here.run(&["run"]));
    assert!(here.stderr.contains("\"much\" is not an amount"), "{}", here.stderr);
    assert_eq!((there.exit_code, &there.stderr), (Some(3), &here.stderr));
}

#[test]
fn without_a_cluster_a_run_ends_or_goes_on_here_as_the_settings_say() {
    let shop = Shop::new();
    let here = Shop::new();
    here.succeed(&["run"]);
    let engine = "\n[engine]\nkind = \"ballista\"\nscheduler = \"df://127.0.0.1:9\"\ndeadline_seconds = 1\n";
    let settings = fs::read_to_string(shop.0.path("credits.toml")).expect("settings");
    shop.0.write("credits.toml", format!("{settings}{engine}"));
    let lost = shop.0.run(NIGHT, &["run"]);
    assert_eq!(lost.exit_code, Some(6), "{}", lost.stderr);
    assert!(lost.stderr.starts_with("error: no scheduler answers at df://127.0.0.1:9: "), "{}", lost.stderr);
    assert!(!shop.0.path("lake/published").exists(), "nothing is published");
    shop.0.write("credits.toml", format!("{settings}{engine}fallback = \"local\"\n"));
    let done = shop.0.run(NIGHT, &["run"]);
    must(&done);
    assert!(done.stderr.contains("; the export is read here instead"), "{}", done.stderr);
    assert_same("fallback", &shop.0.published(), &here.0.published());
}

#[test]
fn ctrl_c_ends_the_job_on_the_cluster() {
    let shop = Shop::new();
    // Without executors it waits.
    let members = Members::start(&shop.0.path("members"), &shop.0.path("credits.toml"), 0);
    let mut driver = on(&members, &shop.0, NIGHT).spawn().expect("a started driver");
    members.wait_for("scheduler", "Job submitted");
    signal(&driver, "-INT");
    let status = ended(&mut driver);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status:?}");
    members.wait_for("scheduler", "Job cancelled");
    assert!(!shop.0.path("lake/published").exists());
}

#[test]
fn process_without_work_ends_by_itself() {
    let shop = Shop::new();
    let members = Members::start(&shop.0.path("members"), &shop.0.path("credits.toml"), 0);
    let mut command = shop.0.command_with(&shop.0.path("credits.toml"));
    command.args(["executor", "--scheduler", &members.scheduler_url(), "--bind", "127.0.0.1", "--port", "50061"]);
    command.args(["--idle-timeout", "1", "--work-dir"]).arg(shop.0.path("work"));
    must(&outcome(&mut command));
    let mut command = Command::new(crate::support::binary());
    command.args(["scheduler", "--port", "50063", "--lifetime", "1"]);
    must(&outcome(&mut command));
}
