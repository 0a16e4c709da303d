//! Lists for people: `credits`, `queue` and `allocations list` on the sample organisation, at several widths.

use serde_json::Value;

use crate::support::{Outcome, SAMPLE_AS_OF, Workspace, published_sample};

fn says(sample: &Workspace, arguments: &[&str]) -> String {
    sample.try_run(SAMPLE_AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn at(sample: &Workspace, width: &str, arguments: &[&str]) -> String {
    let text = says(sample, &[&["--width", width], arguments].concat());
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= width.parse().ok(), "{text}");
    text
}

fn refuses(sample: &Workspace, arguments: &[&str]) -> String {
    let Outcome { exit_code, stdout, stderr } = sample.run(SAMPLE_AS_OF, arguments);
    assert_eq!((exit_code, stdout.as_str()), (Some(2), ""), "{stderr}");
    stderr
}

#[test]
fn credits_of_the_sample_at_80_and_200_columns() {
    let sample = &published_sample();
    insta::assert_snapshot!("credits_80", at(sample, "80", &["credits"]));
    insta::assert_snapshot!("credits_200", at(sample, "200", &["credits"]));
}

#[test]
fn queue_of_the_sample_at_80_and_200_columns() {
    let sample = &published_sample();
    insta::assert_snapshot!("queue_80", at(sample, "80", &["queue"]));
    insta::assert_snapshot!("queue_200", at(sample, "200", &["queue"]));
}

#[test]
fn allocations_of_the_sample_at_80_and_200_columns() {
    let sample = &published_sample();
    insta::assert_snapshot!("allocations_list_80", at(sample, "80", &["allocations", "list"]));
    insta::assert_snapshot!("allocations_list_200", at(sample, "200", &["allocations", "list"]));
}

#[test]
fn output_that_is_no_terminal_is_never_shortened_unless_a_width_is_given() {
    let sample = &published_sample();
    for command in [&["credits"][..], &["queue"], &["allocations", "list"]] {
        let piped = says(sample, command);
        assert!(!piped.contains('…') && !piped.contains('\u{1b}'), "{piped}");
        let mut narrow = sample.command(SAMPLE_AS_OF, command);
        let output = narrow.env("COLUMNS", "80").output().expect("an end");
        assert_eq!(String::from_utf8_lossy(&output.stdout), at(sample, "80", command));
    }
}

#[test]
fn wide_shows_every_column_of_json_in_full() {
    let sample = &published_sample();
    let wide = says(sample, &["credits", "--wide", "--width", "40"]);
    let json: Vec<Value> = serde_json::from_str(&says(sample, &["credits", "--format", "json"])).expect("JSON");
    let header: Vec<&str> = wide.lines().next().expect("a header").split_whitespace().collect();
    let mut names: Vec<&String> = json[0].as_object().expect("an object").keys().collect();
    names.sort_by_key(|name| header.iter().position(|column| column == *name));
    assert_eq!(header, names);
    assert!(wide.contains("Logistics/Warehousing; Retail/Stores/Point of Sale"), "{wide}");
    assert!(says(sample, &["credits"]).contains("Logistics/Warehousing +1"), "two lots in short");
}

#[test]
fn columns_are_those_asked_for_in_that_order_also_beyond_the_usual_ones() {
    let sample = &published_sample();
    let text = says(sample, &["credits", "--columns", "remaining,credit_class,credit_key", "--format", "csv"]);
    assert_eq!(text.lines().next(), Some("remaining,credit_class,credit_key"));
    let table = at(sample, "80", &["credits", "--columns", "credit_key,nodes,remaining"]);
    assert_eq!(table.lines().next().expect("a header").split_whitespace().collect::<Vec<_>>().len(), 3, "{table}");
    let stderr = refuses(sample, &["queue", "--columns", "credit_key,balance"]);
    let names = "credit_key, promotion_code, account_id, credit_class, currency, first_cur_date, issue_date, issue_period, \
                 aws_applied, days_waiting, reason, likely_node, likely_owner_email";
    assert_eq!(stderr, format!("error: --columns: there is no column \"balance\"; there are {names}\n"));
}

#[test]
fn rows_are_sorted_as_asked_for_in_every_format() {
    let sample = &published_sample();
    let column = |arguments: &[&str]| -> Vec<String> {
        let text =
            says(sample, &[&["credits", "--format", "csv", "--columns", "remaining,status"], arguments].concat());
        text.lines().skip(1).map(str::to_owned).collect()
    };
    let mut expected = column(&[]);
    let amount = |line: &String| line.split('.').next().and_then(|whole| whole.parse::<i64>().ok());
    expected.sort_by_key(|line| std::cmp::Reverse(amount(line)));
    assert_eq!(column(&["--sort", "-remaining"]), expected);
    let by_status = column(&["--sort", "status,-remaining"]);
    let statuses: Vec<&str> = by_status.iter().filter_map(|line| line.split(',').nth(1)).collect();
    assert!(statuses.is_sorted() && statuses.len() == expected.len(), "{by_status:?}");
    assert!(
        refuses(sample, &["credits", "--sort", "-rest"])
            .starts_with("error: --sort: there is no column \"rest\"; there are ")
    );
}

#[test]
fn totals_are_the_sums_of_what_is_listed() {
    let sample = &published_sample();
    let table = says(sample, &["credits"]);
    let total = table.lines().find(|line| line.starts_with("Total USD")).expect("a row of sums");
    let sums = "SELECT sum(allocated_amount) a, sum(used) u, sum(expired) e, sum(remaining) r, sum(aws_applied) w FROM credits \
                WHERE status <> 'unallocated'";
    let rows = sample.query(SAMPLE_AS_OF, sums).expect("sums");
    let shown: Vec<String> = total.split_whitespace().skip(2).map(|amount| amount.replace(',', "")).collect();
    for (name, amount) in ["a", "u", "e", "r", "w"].iter().zip(&shown) {
        let (exact, cents): (f64, f64) = (rows[0][*name].parse().expect("a number"), amount.parse().expect("a number"));
        assert!((exact - cents).abs() < 0.006, "{name}: {exact} {cents}");
    }
    assert_eq!(shown.len(), 5, "{table}");
}

#[test]
fn colour_comes_only_where_it_is_wanted() {
    let sample = &published_sample();
    assert!(says(sample, &["credits", "--color", "always"]).contains("\u{1b}["));
    assert!(!says(sample, &["credits", "--color", "auto"]).contains("\u{1b}["));
    for format in ["json", "csv"] {
        assert!(!says(sample, &["credits", "--color", "always", "--format", format]).contains("\u{1b}["), "{format}");
    }
}

#[test]
fn queue_says_where_the_account_spends_most_and_whom_to_ask() {
    let sample = &published_sample();
    let json: Vec<Value> = serde_json::from_str(&says(sample, &["queue", "--format", "json"])).expect("JSON");
    let sql = "SELECT credit_key, likely_node, likely_owner_email FROM credit_queue_view";
    let view: Vec<Value> = serde_json::from_str(&says(sample, &["query", sql, "--format", "json"])).expect("JSON");
    assert_eq!(json.len(), view.len());
    for row in &view {
        let listed = json.iter().find(|listed| listed["credit_key"] == row["credit_key"]).expect("the credit");
        let node = row["likely_node"].as_str().map(|node| node.replace(" / ", "/"));
        assert_eq!(listed["likely_node"].as_str().map(str::to_owned), node, "{row}");
        assert_eq!(listed["likely_owner_email"], row["likely_owner_email"], "{row}");
    }
}

#[test]
fn credit_whose_allocation_cannot_be_used_stays_listed_where_it_was() {
    let workspace = Workspace::sample();
    workspace.try_run(SAMPLE_AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    for file in ["hierarchy.csv", "cost_rules.csv", "budgets.csv"] {
        let name = format!("reference/{file}");
        let text = std::fs::read_to_string(workspace.path(&name)).expect("a reference file");
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("Retail,Stores,Loyalty")).collect();
        workspace.write(&name, kept.join("\n") + "\n");
    }
    workspace.try_run(SAMPLE_AS_OF, &["run", "--accept-removed-nodes"]).unwrap_or_else(|problem| panic!("{problem}"));
    let columns = "credit_key,nodes,owner_email,status,remaining";
    let text = workspace.try_run(SAMPLE_AS_OF, &["credits", "--format", "csv", "--columns", columns]).expect("credits");
    // The owner is that of the nearest node that is left.
    let line = "code:AWS Summit Workshop Credits@410000000104,Retail/Stores/Loyalty,rosa.keller@acme.example,invalid,";
    assert!(text.lines().any(|found| found == line), "{text}");
}
