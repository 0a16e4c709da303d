//! Very many rules, tag values and tag keys: the same result as by trying one rule after the other, within a memory
//! limit.
//!
//! `FINOPS_RULES` (default 2000) sets how many.

use std::fmt::Write as _;

use crate::formats::parquet_file::{Types, parquet};
use crate::model::units::date;
use crate::model::{Inputs, Settings, publish};
use crate::support::compare::table_differences;
use crate::support::{SETTINGS, Workspace};

const AS_OF: &str = "2026-02-10";
const NODES: usize = 50;

#[expect(clippy::disallowed_methods, reason = "how one asks for more")]
fn count() -> usize {
    std::env::var("FINOPS_RULES").map_or(2000, |rules| rules.parse().expect("a number of rules"))
}

/// A number that looks like any other below `count`, by its own number.
fn scattered(number: usize, count: usize) -> usize {
    number.wrapping_mul(7919) % count
}

fn hierarchy() -> String {
    let nodes = (0..NODES).map(|node| format!("Unit {},Department {node},,\n", node % 5));
    format!("business_unit,department,portfolio,product\n{}", nodes.collect::<String>())
}

/// Rules of a tag key and value each.
fn rules(wanted: impl Iterator<Item = (String, String)>) -> String {
    let mut text = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                    cost_category_value,business_unit,department,portfolio,product,share\n"
        .to_owned();
    for (rule, (key, value)) in wanted.enumerate() {
        let node = rule % NODES;
        let priority = scattered(rule, 97);
        writeln!(text, "rule-{rule},{priority},,,,,{key},{value},,,Unit {},Department {node},,,", node % 5)
            .expect("a rule");
    }
    text
}

/// Lines of these tags each.
fn export(tags: impl Iterator<Item = Vec<(String, String)>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = [
        "bill_billing_period_start_date",
        "bill_payer_account_id",
        "line_item_usage_account_id",
        "line_item_usage_start_date",
        "line_item_line_item_type",
        "line_item_line_item_description",
        "line_item_unblended_cost",
        "line_item_currency_code",
        "line_item_product_code",
        "bill_billing_entity",
        "resource_tags",
    ];
    writer.write_record(header).expect("a header");
    for (line, tags) in tags.enumerate() {
        let tags: serde_json::Map<String, serde_json::Value> =
            tags.into_iter().map(|(key, value)| (key, value.into())).collect();
        let (day, cost) = (format!("2026-01-{:02}", 1 + line % 28), format!("{}.25", scattered(line, 100)));
        let tags = serde_json::Value::from(tags).to_string();
        let fields = ["2026-01-01", "111111111111", "222222222222", &day, "Usage", "hours", &cost, "USD", "AmazonEC2"];
        writer.write_record(fields.into_iter().chain(["AWS", &tags])).expect("a line");
    }
    String::from_utf8(writer.into_inner().expect("the text")).expect("UTF-8")
}

/// All published tables are those of the model, whether tags are JSON texts or real maps.
fn assert_equals_model(rules: String, export: String) {
    let inputs = Inputs {
        as_of: date(AS_OF),
        settings: Settings::default(),
        export: vec![export],
        hierarchy: hierarchy(),
        rules,
        budgets: "billing_period,business_unit,department,portfolio,product,currency,amount\n".to_owned(),
        allocations: String::new(),
    };
    let expected = publish(&inputs).tables;
    let delivered =
        [("a.csv", inputs.export[0].clone().into_bytes()), ("a.parquet", parquet(&inputs.export[0], &Types::of_aws()))];
    for (name, content) in delivered {
        let workspace = Workspace::new();
        workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nthreads = 2\nmemory_limit = \"256 MiB\"\n"));
        workspace.write("reference/hierarchy.csv", &inputs.hierarchy);
        workspace.write("reference/cost_rules.csv", &inputs.rules);
        workspace.write("reference/budgets.csv", &inputs.budgets);
        workspace.write(&format!("cur/{name}"), content);
        workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let published = workspace.tables(AS_OF).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let list = table_differences(&expected, &published);
        assert!(list.is_empty(), "{name}: {}", list.join("\n"));
    }
}

#[test]
fn lines_of_many_tag_values_go_to_the_first_of_many_rules_with_wildcards() {
    let count = count();
    let pattern = |rule: usize| match rule % 6 {
        0 => format!("team-{rule}"),
        1 => format!("team-{rule}*"),
        2 => format!("*-{rule}"),
        3 => format!("*/{rule}/*"),
        4 => format!("a*{rule}*b"),
        _ => format!("*x{rule}*y*"),
    };
    let value = |number: usize| match number % 6 {
        0 | 1 => format!("team-{number}"),
        2 => format!("unit-{number}-{number}"),
        3 => format!("costs/{number}/{}", number / 2),
        4 => format!("ab{number}ab"),
        _ => format!("wx{number}xyz"),
    };
    let rules = rules((0..count).map(|rule| ("team".to_owned(), pattern(rule))));
    let lines = (0..count).map(|line| vec![("team".to_owned(), value(scattered(line, count)))]);
    assert_equals_model(rules, export(lines));
}

#[test]
fn lines_of_many_tag_keys_go_to_the_first_rule_of_any_of_them() {
    let count = count();
    let wanted = |rule: usize| match rule % 3 {
        0 => String::new(),
        1 => format!("v*{}", rule % 7),
        _ => format!("value-{}", rule % 5),
    };
    let rules = rules((0..count).map(|rule| (format!("key_{rule}"), wanted(rule))));
    let tag = |line: usize, tag: usize| {
        (format!("key_{}", scattered(3 * line + tag, count + count / 10)), format!("value-{}", (line + tag) % 9))
    };
    let lines = (0..count).map(|line| (0..3).map(|number| tag(line, number)).collect());
    assert_equals_model(rules, export(lines));
}
