//! To begin with: `init`, where settings are found, completions, manual pages.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{self, Outcome, Workspace};

/// The binary in a folder, without any option.
fn command(workspace: &Workspace, folder: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(support::binary());
    command
        .env_clear()
        .env("TMPDIR", workspace.path("elsewhere/tmp"))
        .current_dir(workspace.path(folder))
        .args(arguments);
    command
}

fn run_in(workspace: &Workspace, folder: &str, arguments: &[&str]) -> Outcome {
    support::outcome(&mut command(workspace, folder, arguments))
}

fn says(workspace: &Workspace, folder: &str, arguments: &[&str]) -> String {
    let Outcome { exit_code, stdout, stderr } = run_in(workspace, folder, arguments);
    assert_eq!(exit_code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

#[test]
fn what_init_writes_runs_from_the_first_export_to_an_allocation() {
    let workspace = Workspace::new();
    let said = says(&workspace, "elsewhere", &["init", "trial", "--sample"]);
    assert!(said.ends_with("Next: `finops-credits run` in trial\n"), "{said}");
    let sample = fs::read_to_string(workspace.path("elsewhere/trial/export/sample.csv")).expect("the sample");
    assert_eq!(sample.lines().count(), 8);
    let summary = says(&workspace, "elsewhere/trial", &["run"]);
    assert!(summary.contains(": 1 period read (7 lines)"), "{summary}");
    assert!(summary.contains("2 waiting for allocation: 290.00 USD"), "{summary}");
    assert!(!summary.contains("exclusions not applied"), "{summary}");
    let template = "reference/allocations-template.csv";
    says(&workspace, "elsewhere/trial", &["allocations", "import", template, "--by", "ann"]);
    says(&workspace, "elsewhere/trial/reference", &["run"]);
    let credits = says(&workspace, "elsewhere/trial", &["credits", "--columns", "credit_key,nodes,owner_email,status"]);
    insta::assert_snapshot!(credits, @r"
    credit_key      nodes                 owner_email        status
    id:10000000001  Engineering/Platform  owner@example.com  active
    ");
}

#[test]
fn init_never_overwrites() {
    let workspace = Workspace::new();
    workspace.write("elsewhere/cwd/reference/budgets.csv", "mine");
    let outcome = run_in(&workspace, "elsewhere/cwd", &["init"]);
    assert_eq!(outcome.exit_code, Some(3));
    let what =
        "error: init: nothing was written, as these are there already; choose another folder, or move them away:";
    assert_eq!(outcome.stderr, format!("{what}\n./reference/budgets.csv\n"));
    assert!(!workspace.path("elsewhere/cwd/credits.toml").exists());
    assert_eq!(fs::read_to_string(workspace.path("elsewhere/cwd/reference/budgets.csv")).expect("mine"), "mine");
    let outcome = run_in(&workspace, "elsewhere", &["init", "cwd/reference/budgets.csv"]);
    assert_eq!(outcome.exit_code, Some(3), "{}", outcome.stderr);
    let answer: Value =
        serde_json::from_str(&says(&workspace, "elsewhere", &["init", "new", "--format", "json"])).expect("JSON");
    assert_eq!(answer["created"].as_array().map(Vec::len), Some(5), "{answer}");
}

#[test]
fn settings_are_found_in_a_folder_above_and_told_with_v() {
    let workspace = Workspace::new();
    says(&workspace, "elsewhere", &["init", "trial", "--sample"]);
    fs::create_dir_all(workspace.path("elsewhere/trial/deep/er")).expect("a folder");
    let outcome = run_in(&workspace, "elsewhere/trial/deep/er", &["-v", "run"]);
    assert_eq!(outcome.exit_code, Some(0), "{}", outcome.stderr);
    let file = workspace.path("elsewhere/trial/credits.toml").canonicalize().expect("the file");
    assert!(outcome.stderr.contains(&format!("settings file {}\n", file.display())), "{}", outcome.stderr);
    // Locations are relative to the file.
    assert!(
        workspace.path("elsewhere/trial/lake").is_dir() && !workspace.path("elsewhere/trial/deep/er/lake").exists()
    );
    assert_eq!(run_in(&workspace, "elsewhere/trial/deep/er", &["queue"]).stderr, "");
    fs::remove_file(workspace.path("credits.toml")).expect("the file of the workspace");
    let outcome = run_in(&workspace, "elsewhere/home", &["queue"]);
    let expected = "error: there is no credits.toml here or in a folder above; `finops-credits init` makes one, --config names one \
                    elsewhere\n";
    assert_eq!((outcome.exit_code, outcome.stderr.as_str()), (Some(3), expected));
}

#[test]
fn settings_file_is_named_by_the_environment_unless_by_an_option() {
    let workspace = Workspace::new();
    says(&workspace, "elsewhere", &["init", "trial", "--sample"]);
    let file = workspace.path("elsewhere/trial/credits.toml");
    let mut named = command(&workspace, "elsewhere/home", &["run", "--format", "json"]);
    let output = named.env("FINOPS_CREDITS_CONFIG", &file).output().expect("an end");
    assert!(output.status.success(), "{output:?}");
    let mut other = command(&workspace, "elsewhere/home", &["queue", "--config", "none.toml"]);
    let output = other.env("FINOPS_CREDITS_CONFIG", &file).output().expect("an end");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("settings file none.toml does not exist"), "{output:?}");
}

#[test]
fn who_records_is_never_empty() {
    let workspace = Workspace::new();
    says(&workspace, "elsewhere", &["init", "trial", "--sample"]);
    says(&workspace, "elsewhere/trial", &["run"]);
    let recorded = |environment: &[(&str, &str)], arguments: &[&str]| {
        let allocate =
            ["allocate", "--key", "id:10000000001", "--amount", "1000", "--to", "Engineering", "--format", "json"];
        let mut command = command(&workspace, "elsewhere/trial", &[&allocate[..], arguments].concat());
        let output = command.envs(environment.iter().copied()).output().expect("an end");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        answer["recorded"][0]["recorded_by"].as_str().expect("somebody").to_owned()
    };
    assert_eq!(recorded(&[("USER", "ann")], &["--by", "bea"]), "bea");
    assert_eq!(recorded(&[("USER", ""), ("LOGNAME", "ann")], &[]), "ann");
    let nobody = recorded(&[], &[]);
    assert!(
        nobody.strip_prefix("uid ").is_some_and(|number| number.parse::<u32>().is_ok()) || nobody == "unknown user"
    );
}

#[test]
fn completions_and_pages_know_every_command_and_bear_a_reader_that_leaves() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = says(&workspace, "elsewhere", &["completions", shell]);
        for word in ["drop-period", "completions", "--accept-removed-nodes", "--columns"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
    }
    let page = says(&workspace, "elsewhere", &["man"]);
    assert!(page.contains(".TH finops-credits 1"), "{page}");
    says(&workspace, "elsewhere", &["man", "--out", "pages"]);
    for name in ["finops-credits.1", "finops-credits-credits.1", "finops-credits-lake-drop-period.1"] {
        let page =
            fs::read_to_string(workspace.path("elsewhere/pages").join(name)).unwrap_or_else(|_| panic!("{name}"));
        assert!(page.contains("SYNOPSIS"), "{name}");
    }
    for arguments in [&["completions", "bash"][..], &["man"], &["--help"], &["credits", "--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command(&workspace, "elsewhere", arguments);
        let output =
            command.stdout(writer).stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
        let output = output.expect("an end");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{arguments:?}: {output:?}");
    }
}
