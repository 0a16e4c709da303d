//! What a night tells: in its summary how recent the export is, and a command what is new, ends, or failed.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{SETTINGS, Workspace, binary};

const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                      line_item_usage_start_date,line_item_line_item_type,line_item_product_code,\
                      line_item_currency_code,line_item_unblended_cost,line_item_line_item_description\n";

fn month(month: u32, lines: &[&str]) -> String {
    let line = |rest: &&str| format!("2026-0{month}-01,999999999999,111111111111,2026-0{month}-{rest}\n");
    format!("{HEADER}{}", lines.iter().map(line).collect::<String>())
}

/// January and February, a credit that is allocated until 15 March.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nall,10,,*,,,,,,,Retail,,,,\n",
    );
    workspace.write(
        "reference/allocations.csv",
        "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product\n\
         id:1,100,USD,2026-03-15,,Retail,,,\n",
    );
    workspace.write("cur/1.csv", month(1, &["31,Usage,S3,USD,10,", "11,Credit,S3,USD,-1,\"A, credit id: 1\""]));
    workspace.write("cur/2.csv", month(2, &["27,Usage,S3,USD,20,"]));
    workspace
}

fn says(workspace: &Workspace, as_of: &str, arguments: &[&str]) -> String {
    workspace.try_run(as_of, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

/// A line of the summary that begins so.
fn line(summary: &str, begin: &str) -> Option<String> {
    summary.lines().map(str::trim).find(|line| line.starts_with(begin)).map(str::to_owned)
}

#[test]
fn settings_that_pin_the_date_say_so_and_name_the_months_left_out() {
    let workspace = workspace();
    workspace.write("credits.toml", format!("{SETTINGS}[run]\nas_of = \"2026-01-31\"\n"));
    let pinned = workspace.run_with(&workspace.path("credits.toml"), &["run"]).stdout;
    let expected = "as_of is pinned to 2026-01-31 in credits.toml; 1 newer month of the export is left out: 2026-02";
    assert_eq!(line(&pinned, "as_of is pinned").as_deref(), Some(expected));
    let stated = says(&workspace, "2026-01-31", &["run"]);
    let expected = "1 newer month of the export is left out: 2026-02";
    assert_eq!((line(&stated, "as_of is pinned"), line(&stated, "1 newer")), (None, Some(expected.to_owned())));
    let whole = says(&workspace, "2026-02-28", &["run"]);
    assert!(!whole.contains("left out") && !whole.contains("pinned"), "{whole}");
}

#[test]
fn export_that_ends_long_before_the_date_is_stale_and_what_is_lost_after_it_provisional() {
    let workspace = workspace();
    let summary = says(&workspace, "2026-03-02", &["run"]);
    assert_eq!(line(&summary, "the export ends"), None, "AWS delivers late: {summary}");
    let summary = says(&workspace, "2026-03-20", &["--run-id", "stale", "run"]);
    let expected = "the export ends on 2026-02-27, 21 days before the as-of date: it may not be delivered any more; what is lost \
                    after that day is provisional";
    assert_eq!(line(&summary, "the export ends").as_deref(), Some(expected));
    let expected = "id:1  70.00 USD, ends 2026-03-15 (provisional)";
    assert_eq!(line(&summary, "id:1").as_deref(), Some(expected), "{summary}");
    let digest = fs::read_to_string(workspace.path("lake/summaries/stale.json")).expect("a digest");
    let digest: Value = serde_json::from_str(&digest).expect("JSON");
    assert!(digest["stale"].as_str().is_some_and(|said| said.starts_with("the export ends on 2026-02-27")), "{digest}");
    workspace.write("cur/3.csv", month(3, &["14,Usage,S3,USD,20,", "18,Usage,S3,USD,1,"]));
    let summary = says(&workspace, "2026-03-20", &["run"]);
    assert_eq!(line(&summary, "id:1").as_deref(), Some("id:1  50.00 USD, ends 2026-03-15"), "{summary}");
}

#[test]
fn exclusion_that_no_line_meets_is_told_until_one_does() {
    let workspace = workspace();
    fs::remove_file(workspace.path("reference/allocations.csv")).expect("a file");
    let header = HEADER.replace("line_item_usage_start_date", "bill_billing_entity,line_item_usage_start_date");
    let row = |rest: &str| format!("2026-01-01,999999999999,111111111111,AWS,2026-01-{rest}\n");
    workspace.write("cur/1.csv", format!("{header}{}", row("31,Usage,S3,USD,10,")));
    workspace
        .write("cur/2.csv", format!("{header}{}", row("27,Usage,AmazonRegistrar,USD,10,").replace("-01-", "-02-")));
    let settings = |services: &str| {
        let lists =
            "ineligible_billing_entities = [\"AWS Markeplace\"]\nineligible_line_types = [\"Usage\", \"Usge\"]\n";
        workspace.write("credits.toml", format!("{SETTINGS}[credits]\n{lists}ineligible_services = {services}\n"));
        workspace.run_with(&workspace.path("credits.toml"), &["run", "--as-of", "2026-02-28"]).stdout
    };
    let said = settings("[\"AmazonRegistrr\", \"AmazonRegistrar\"]");
    let expected = "exclusions that no line meets, is it a slip? ineligible_billing_entities \"AWS Markeplace\", \
                    ineligible_line_types \"Usge\", ineligible_services \"AmazonRegistrr\"";
    assert_eq!(line(&said, "exclusions").as_deref(), Some(expected), "{said}");
    let said = settings("[\"AmazonRegistrar\"]");
    assert!(!said.contains("ineligible_services"), "one month has it: {said}");
}

/// A command that keeps what it is told.
const KEEP: &str = "cat > told.json; printf '%s %s %s' \"$FINOPS_CREDITS_EVENT\" \"$FINOPS_CREDITS_RUN_ID\" \
                    \"$FINOPS_CREDITS_EXIT_CODE\" > told.txt";

/// What it was told by a run, if anything.
fn told(workspace: &Workspace, as_of: &str, arguments: &[&str]) -> (String, Value) {
    let mut run = workspace.command(as_of, arguments);
    let done = run.env("PATH", "/usr/bin:/bin").output().expect("a run");
    let read = |name: &str| fs::read_to_string(workspace.path(&format!("elsewhere/cwd/{name}"))).unwrap_or_default();
    let (events, json) = (read("told.txt"), read("told.json"));
    for name in ["told.txt", "told.json"] {
        let _none = fs::remove_file(workspace.path(&format!("elsewhere/cwd/{name}")));
    }
    let json = if json.is_empty() { Value::Null } else { serde_json::from_str(&json).expect("JSON") };
    assert!(done.status.success() || events.starts_with("failed"), "{done:?}");
    (events, json)
}

#[test]
fn command_is_told_once_of_what_is_new_or_ends_and_every_time_of_a_failure() {
    let workspace = workspace();
    let night = |as_of: &str, id: &str| told(&workspace, as_of, &["run", "--run-id", id, "--notify", KEEP]);
    let (events, digest) = night("2026-01-31", "n1");
    assert_eq!(events, "new,expiring n1 ");
    assert_eq!(digest["new_credits"]["count"], 1);
    assert!(digest["expiring_soon"]["first"][0].as_str().is_some_and(|credit| credit.starts_with("id:1 ")), "{digest}");
    assert_eq!(night("2026-02-28", "n2").0, "", "nothing has happened since");
    workspace.write("cur/3.csv", month(3, &["15,Usage,S3,USD,1,", "16,Usage,S3,USD,1,"]));
    assert_eq!(night("2026-03-16", "n3").0, "expired n3 ");
    assert_eq!(night("2026-03-17", "n4").0, "");
    assert_eq!(night("2026-03-16", "n5").0, "not_published n5 ");
    workspace.write("cur/4.csv", "no export");
    let (events, failure) = night("2026-04-01", "n6");
    assert_eq!(events, "failed  3");
    assert_eq!(failure["exit_code"], 3);
    assert!(failure["error"].as_str().is_some_and(|error| error.starts_with("4.csv")), "{failure}");
}

#[test]
fn each_lot_of_a_credit_is_told_when_its_end_comes_near_and_when_it_has_lapsed() {
    let workspace = workspace();
    workspace.write(
        "reference/allocations.csv",
        "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product\n\
         id:1,100,USD,2026-03-15,,Retail,,,\nid:1,50,USD,2026-05-10,,Retail,,,\n",
    );
    workspace.write("cur/3.csv", month(3, &["15,Usage,S3,USD,1,", "16,Usage,S3,USD,1,"]));
    let night = |as_of: &str, id: &str| told(&workspace, as_of, &["run", "--run-id", id, "--notify", KEEP]);
    let first = |digest: &Value, list: &str| {
        let entries = digest[list]["first"].as_array().expect("entries").iter();
        entries.map(|entry| entry.as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(night("2026-02-28", "n1").0, "new,expiring n1 ");
    assert_eq!(night("2026-03-10", "n2").0, "");
    let (events, digest) = night("2026-03-11", "n3");
    assert_eq!(events, "expiring n3 ", "the second lot ends in 60 days: {digest}");
    assert_eq!(
        first(&digest, "expiring_soon"),
        ["id:1  69.00 USD, ends 2026-03-15", "id:1  49.00 USD, ends 2026-05-10"]
    );
    let (events, digest) = night("2026-03-16", "n4");
    assert_eq!(events, "expired n4 ", "although the credit has something left: {digest}");
    assert_eq!(first(&digest, "expiring_soon"), ["id:1  49.00 USD, ends 2026-05-10"]);
    assert_eq!(night("2026-03-17", "n5").0, "");
}

#[test]
fn failure_before_the_lake_is_open_is_told_and_the_command_of_the_settings_is_used() {
    let workspace = workspace();
    let settings = format!("{SETTINGS}[run]\nnotify = {KEEP:?}\n");
    workspace.write("credits.toml", settings.replace("\"lake\"", "\"credits.toml/lake\""));
    let (events, failure) = told(&workspace, "2026-01-31", &["run"]);
    assert_eq!(events, "failed  3", "{failure}");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("lies below a file")), "{failure}");
    workspace.write("credits.toml", settings);
    assert_eq!(told(&workspace, "2026-01-31", &["run", "--run-id", "n1"]).0, "new,expiring n1 ");
    assert_eq!(told(&workspace, "2026-02-28", &["queue"]).0, "", "only a run tells");
}

#[test]
fn command_of_settings_in_a_folder_above_is_not_run_unless_they_are_named() {
    let workspace = workspace();
    workspace.write("credits.toml", format!("{SETTINGS}[run]\nnotify = \"touch was-run\"\n"));
    let below = workspace.path("below");
    fs::create_dir(&below).expect("a folder");
    let run = |arguments: &[&str]| {
        let done =
            Command::new(binary()).args(arguments).args(["--as-of", "2026-01-31", "run"]).current_dir(&below).output();
        let done = done.expect("a run");
        assert!(done.status.success(), "{done:?}");
        (String::from_utf8_lossy(&done.stderr).into_owned(), below.join("was-run").exists())
    };
    let (said, was_run) = run(&[]);
    assert!(said.contains("is not used, as it lies in a folder above"), "{said}");
    assert!(!was_run);
    workspace.write("cur/2.csv", month(1, &["12,Credit,S3,USD,-1,\"B, credit id: 2\""]));
    let (said, was_run) = run(&["--config", "../credits.toml"]);
    assert!(was_run, "{said}");
}

#[test]
fn command_that_fails_is_a_warning_and_no_failed_night() {
    let workspace = workspace();
    let mut run =
        workspace.command("2026-01-31", &["run", "--format", "json", "--notify", "echo no mail here; exit 9"]);
    let done = run.env("PATH", "/usr/bin:/bin").output().expect("a run");
    assert_eq!(done.status.code(), Some(0));
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(
        said,
        "no mail here\nwarning: --notify: `echo no mail here; exit 9` was not told of new, expiring: exit status: 9\n"
    );
    serde_json::from_slice::<Value>(&done.stdout).expect("the summary alone on stdout");
}

#[test]
fn units_of_the_guide_are_valid_and_its_script_tells() {
    let guide = include_str!("../../docs/local-nights.md");
    let blocks: Vec<&str> = guide.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [service, timer] = blocks[..] else { panic!("a service and a timer: {blocks:?}") };
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("finops-credits.service", service), ("finops-credits.timer", timer)] {
        assert!(guide.contains(&format!("`/etc/systemd/system/{name}`")), "{name}");
        // The binary and the user are not on this machine.
        let text = text.replace("/usr/local/bin/finops-credits", "/bin/true").replace("User=finops\n", "");
        fs::write(folder.path().join(name), text).expect("a unit");
    }
    let units = ["finops-credits.service", "finops-credits.timer"].map(|name| folder.path().join(name));
    match Command::new("systemd-analyze").arg("verify").args(units).output() {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "systemd-analyze"),
    }
}
