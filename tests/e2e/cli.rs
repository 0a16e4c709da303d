//! The command line: help, exit codes, output formats.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use finops_credits::Kind;
use finops_credits::cli::Cli;
use serde_json::Value;

use crate::support::{self, SETTINGS, Workspace};

const AS_OF: &str = "2026-03-31";
const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,bill_payer_account_name,\
                      line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,\
                      line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
                      line_item_line_item_description\n";
const NET_COST: &str =
    "SELECT usage_date, service, net_cost, eligible_charges FROM net_cost WHERE gross_cost <> 0 ORDER BY usage_date";

/// A lake with one allocated credit, one that waits, and more than a million spent.
fn small_lake() -> Workspace {
    let workspace = Workspace::new();
    let line = |day: &str, rest: &str| format!("2026-01-01,999999999999,Payer,111111111111,2026-01-{day},{rest}\n");
    let lines = [
        line("10", "Usage,AmazonEC2,USD,1234567.895,"),
        line("11", "Credit,AmazonEC2,USD,-1234.5,\"Spring Credits, credit id: 42\""),
        line("12", "Credit,AmazonEC2,USD,-5,Activate"),
    ];
    workspace.write("cur/january.csv", format!("{HEADER}{}", lines.concat()));
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,Online,,\n");
    workspace.write(
        "reference/cost_rules.csv",
        "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
         cost_category_value,business_unit,department,portfolio,product,share\nonline,10,,*,,,,,,,Retail,Online,,,\n",
    );
    workspace.write(
        "reference/allocations.csv",
        "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,\
         product,allocation_id,recorded_at,recorded_by\n\
         ,,id:42,2500000,USD,2026-05-01,INV-1,Retail,Online,,,a-1,2026-02-01T09:30:00Z,ann\n",
    );
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    workspace
}

/// The binary without [`Workspace::run`]'s options.
fn binary() -> Command {
    let mut command = Command::new(support::binary());
    command.env_clear();
    command
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn json(workspace: &Workspace, arguments: &[&str]) -> Value {
    serde_json::from_str(&says(workspace, &[&["--format", "json"], arguments].concat())).expect("JSON")
}

/// All commands that do something, as words.
fn commands() -> Vec<Vec<String>> {
    fn leaves(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        for below in command.get_subcommands() {
            let path = [path, &[below.get_name().to_owned()]].concat();
            if below.has_subcommands() {
                leaves(below, &path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    leaves(&Cli::command(), &[], &mut found);
    found
}

#[test]
fn help_of_every_command_shows_an_example_of_it() {
    let workspace = Workspace::new();
    let words = [vec![vec![]], commands()].concat();
    assert!(words.len() > 10, "{words:?}");
    for words in words {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = says(&workspace, &arguments);
        let examples = help.split_once("\nExample").unwrap_or_else(|| panic!("no examples: {words:?}\n{help}")).1;
        let example_of = |name: &str| examples.contains(&format!("finops-credits {name}"));
        let shown = words.last().is_none_or(|_| {
            let of_any_job = ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "publish"];
            example_of(&words.join(" "))
                || of_any_job.contains(&words[0].as_str()) && example_of("detect-credits --run-id")
        });
        assert!(shown, "no example of {words:?}:\n{help}");
    }
}

#[test]
fn exit_codes_of_the_help_are_those_of_the_binary() {
    let help = says(&Workspace::new(), &["--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected: Vec<String> =
        Kind::ALL.iter().map(|kind| format!("{} {}", kind.exit_code(), kind.meaning())).collect();
    let expected = format!("Exit codes: 0 done; {} Examples:", expected.join("; "));
    assert!(help.contains(&expected), "{expected}\n{help}");
}

#[test]
fn tables_are_aligned_with_separators_and_rounded_to_cents() {
    let workspace = small_lake();
    insta::assert_snapshot!(says(&workspace, &["queue"]), @r"
    credit_key                  likely_node    likely_owner_email  credit_class  currency  issue_date  aws_applied  days_waiting  reason
    code:Activate@111111111111  Retail/Online                      promotion     USD       2026-01-11         5.00            78  never_allocated
    ");
    insta::assert_snapshot!(says(&workspace, &["credits"]), @r"
    credit_key  nodes          owner_email  currency  status         allocated_amount          used  expired     remaining  end_date    days_left  aws_applied  reference
    id:42       Retail/Online               USD       expiring_soon      2,500,000.00  1,234,567.90     0.00  1,265,432.11  2026-05-01         31     1,234.50  INV-1
    ");
    insta::assert_snapshot!(says(&workspace, &["allocations", "list"]), @r"
    credit_key  node           owner_email  currency        amount  end_date    reference  recorded_by  recorded_at
    id:42       Retail/Online               USD       2,500,000.00  2026-05-01  INV-1      ann          2026-02-01T09:30:00
    ");
    insta::assert_snapshot!(says(&workspace, &["query", NET_COST]), @r"
    usage_date  service        net_cost      eligible_charges
    2026-01-10  AmazonEC2  0.0000000000  1,234,567.8950000000
    ");
}

#[test]
fn csv_has_a_header_and_exact_money() {
    let workspace = small_lake();
    let csv = |arguments: &[&str]| says(&workspace, &[&["--format", "csv"], arguments].concat());
    insta::assert_snapshot!(csv(&["queue"]), @r"
    credit_key,promotion_code,account_id,credit_class,currency,first_cur_date,issue_date,issue_period,aws_applied,days_waiting,reason,likely_node,likely_owner_email,amount,end_date,reference,business_unit,department,portfolio,product
    code:Activate@111111111111,Activate,111111111111,promotion,USD,2026-01-12,2026-01-11,2026-01,5.0000000000,78,never_allocated,Retail/Online,,,,,,,,
    ");
    insta::assert_snapshot!(csv(&["credits"]), @r"
    credit_key,promotion_code,account_id,currency,status,allocated_amount,used,expired,remaining,end_date,days_left,aws_applied,reference,nodes,owner_email
    id:42,Spring Credits,111111111111,USD,expiring_soon,2500000.0000000000,1234567.8950000000,0.0000000000,1265432.1050000000,2026-05-01,31,1234.5000000000,INV-1,Retail/Online,
    ");
    insta::assert_snapshot!(csv(&["allocations", "list"]), @r"
    allocation_id,lot,credit_key,action,business_unit,department,portfolio,product,amount,currency,end_date,reference,recorded_by,recorded_at,note,from_period,continues_lot,owner_email
    a-1,1,id:42,allocate,Retail,Online,,,2500000.0000000000,USD,2026-05-01,INV-1,ann,2026-02-01T09:30:00,,,,
    ");
    insta::assert_snapshot!(csv(&["query", NET_COST]), @r"
    usage_date,service,net_cost,eligible_charges
    2026-01-10,AmazonEC2,0.0000000000,1234567.8950000000
    ");
}

#[test]
fn json_of_credits_has_money_as_exact_text() {
    let workspace = small_lake();
    assert_eq!(
        json(&workspace, &["queue"]),
        serde_json::json!([
            {
                "account_id": "111111111111",
                "aws_applied": "5.0000000000",
                "credit_class": "promotion",
                "credit_key": "code:Activate@111111111111",
                "currency": "USD",
                "days_waiting": 78,
                "first_cur_date": "2026-01-12",
                "issue_date": "2026-01-11",
                "issue_period": "2026-01",
                "likely_node": "Retail/Online",
                "likely_owner_email": null,
                "promotion_code": "Activate",
                "reason": "never_allocated"
            }
        ])
    );
    assert_eq!(
        json(&workspace, &["credits"]),
        serde_json::json!([
            {
                "account_id": "111111111111",
                "allocated_amount": "2500000.0000000000",
                "aws_applied": "1234.5000000000",
                "credit_key": "id:42",
                "currency": "USD",
                "days_left": 31,
                "end_date": "2026-05-01",
                "expired": "0.0000000000",
                "nodes": "Retail/Online",
                "owner_email": null,
                "promotion_code": "Spring Credits",
                "reference": "INV-1",
                "remaining": "1265432.1050000000",
                "status": "expiring_soon",
                "used": "1234567.8950000000"
            }
        ])
    );
}

#[test]
fn json_of_rows_with_gaps_has_nulls() {
    let workspace = small_lake();
    assert_eq!(
        json(&workspace, &["allocations", "list"]),
        serde_json::json!([
            {
                "action": "allocate",
                "allocation_id": "a-1",
                "amount": "2500000.0000000000",
                "business_unit": "Retail",
                "credit_key": "id:42",
                "currency": "USD",
                "department": "Online",
                "end_date": "2026-05-01",
                "lot": 1,
                "note": null,
                "from_period": null,
                "continues_lot": null,
                "owner_email": null,
                "portfolio": null,
                "product": null,
                "recorded_at": "2026-02-01T09:30:00",
                "recorded_by": "ann",
                "reference": "INV-1"
            }
        ])
    );
    assert_eq!(
        json(&workspace, &["query", NET_COST]),
        serde_json::json!([
            {
                "eligible_charges": "1234567.8950000000",
                "net_cost": "0.0000000000",
                "service": "AmazonEC2",
                "usage_date": "2026-01-10"
            }
        ])
    );
}

#[test]
fn empty_results_are_a_sentence_for_people_and_empty_for_programs() {
    let workspace = small_lake();
    let none = "SELECT * FROM credit_queue WHERE credit_key = 'x'";
    assert_eq!(says(&workspace, &["query", none]), "(no rows)\n");
    assert_eq!(says(&workspace, &["--format", "json", "query", none]), "[]\n");
    let csv = says(&workspace, &["--format", "csv", "query", none]);
    assert_eq!(csv.lines().count(), 1, "{csv}");
    assert!(csv.starts_with("credit_key,promotion_code,account_id,"), "{csv}");
}

#[test]
fn verbose_json_log_goes_to_stderr_a_line_each_and_stdout_stays_the_same() {
    let workspace = small_lake();
    workspace.write("cur/february.csv", format!("{HEADER}2026-02-01,999999999999,P,1,2026-02-01,Usage,S3,USD,1,\n"));
    let outcome = workspace.run(AS_OF, &["run", "-v", "--log-format", "json", "--format", "json"]);
    assert_eq!(outcome.exit_code, Some(0), "{}", outcome.stderr);
    let summary: Value = serde_json::from_str(&outcome.stdout).expect("one JSON summary on stdout");
    assert_eq!(summary["export"]["periods_read"], serde_json::json!(["2026-02"]));
    let events: Vec<Value> =
        outcome.stderr.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert!(events.iter().any(|event| event["message"] == "reading" && event["periods"] == "2026-02"), "{events:?}");
    assert!(events.iter().all(|event| event["level"] == "INFO"), "{events:?}");
    let quiet = workspace.run(AS_OF, &["queue", "-v", "--log-format", "json"]);
    assert_eq!(quiet.stdout, says(&workspace, &["queue"]));
}

#[test]
fn output_whose_reader_goes_away_after_one_line_is_no_failure() {
    let workspace = small_lake();
    let mut child = binary()
        .arg("--config")
        .arg(workspace.path("credits.toml"))
        .args(["query", "SELECT value FROM generate_series(1, 100000)"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a started binary");
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().expect("its output"));
    reader.read_line(&mut first).expect("a line");
    drop(reader);
    let output = child.wait_with_output().expect("its end");
    assert_eq!(first.trim(), "value");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn as_of_date_of_the_settings_counts_unless_the_command_line_names_one() {
    let workspace = small_lake();
    workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nas_of = \"2026-02-28\"\n"));
    let config = workspace.path("credits.toml").display().to_string();
    let summary: Value = serde_json::from_str(&says(&workspace, &["run", "--format", "json"])).expect("JSON");
    assert_eq!(summary["as_of"], AS_OF);
    let output = binary().args(["--config", &config, "run", "--format", "json"]).output().expect("a run");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["as_of"], "2026-02-28");
}

#[test]
fn stderr_whose_reader_went_away_is_no_failure() {
    let workspace = small_lake();
    let config = workspace.path("credits.toml");
    for (arguments, exit_code) in [
        (&["credits"][..], 0),
        (&["-vvv", "credits"], 0),
        (&["-vvv", "--log-format", "json", "run"], 0),
        // Warns: less than AWS has applied.
        (&["allocate", "--key", "id:42", "--amount", "1", "--to", "Retail"], 0),
        (&["revoke", "--key", "id:7"], 3),
        (&["query", "SELEC"], 2),
        (&["no-command"], 2),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = workspace.command_with(&config);
        let status = command.args(arguments).stdout(Stdio::null()).stderr(writer).status().expect("an end");
        assert_eq!(status.code(), Some(exit_code), "{arguments:?}");
    }
}

/// Answers every request as S3 does where a key is not known, until the test ends.
fn refusing_s3() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let _read = stream.read(&mut request);
            let body =
                format!("<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>");
            let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _sent = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";

#[test]
fn credentials_never_reach_the_log_however_much_is_logged() {
    let workspace = small_lake();
    let address = refusing_s3();
    let on_s3 = workspace.path("s3.toml");
    let text = SETTINGS.replace("location = \"cur\"", "location = \"s3://bucket/cur\"");
    workspace.write("s3.toml", text);
    for (config, arguments) in
        [(PathBuf::from("s3://bucket/credits.toml"), &["-vvvv", "run"][..]), (on_s3, &["-vvvv", "run"])]
    {
        let mut command = workspace.command_with(&config);
        let environment = [
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_SESSION_TOKEN", "a-session-token"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", &address),
            ("RUST_LOG", "trace"),
        ];
        let output = command.args(arguments).envs(environment).output().expect("an end");
        let said = String::from_utf8_lossy(&output.stderr);
        for secret in [KEY_ID, SECRET, "a-session-token"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("error: "), "{said}");
    }
}
