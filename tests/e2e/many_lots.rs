//! Many lots on one node: each draws on every cell of it, so the draws are lots times cells.

use std::fmt::Write;
use std::process::Stdio;

use crate::model::units::date;
use crate::model::{self, Inputs};
use crate::support::compare::table_differences;
use crate::support::{SETTINGS, Workspace};

const AS_OF: &str = "2026-02-28";
const PAYER: &str = "999999999999";
const EXPORT: &str = "bill_billing_period_start_date,bill_billing_entity,bill_payer_account_id,\
                      line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,\
                      line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
                      line_item_line_item_description,product_region_code,resource_tags,cost_category,\
                      reservation_reservation_a_r_n,savings_plan_savings_plan_a_r_n\n";
const ALLOCATIONS: &str = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,\
                           department,portfolio,product,recorded_at,recorded_by\n";
const HIERARCHY: &str = "business_unit,department,portfolio,product\nRetail,Online,,\nRetail,Shops,,\n";
const RULES: &str = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                     cost_category_value,business_unit,department,portfolio,product,share\n\
                     even,1,,,Even,,,,,,Retail,Online,,,\nodd,1,,,Odd,,,,,,Retail,Shops,,,\n";
const BUDGETS: &str = "billing_period,business_unit,department,portfolio,product,currency,amount\n";

/// Spend of so many cells a month, and credits that together are worth `percent` of the first month's.
fn organisation(credits: usize, cells: usize, percent: usize) -> Inputs {
    let mut export = EXPORT.to_owned();
    for month in ["2026-01", "2026-02"] {
        for number in 0..cells {
            let (day, account, service) = (1 + number % 28, number / 28, if number % 2 == 0 { "Even" } else { "Odd" });
            let cost = format!("{}.{:010}", 10 + number * 7_919 % 81, number * 104_729 % 9_999_999_967);
            line(&mut export, month, day, account, "Usage", service, &cost, "");
        }
    }
    let mut allocations = ALLOCATIONS.to_owned();
    for number in 0..credits {
        let (day, description) = (1 + number % 28, format!("Credit {number}"));
        line(&mut export, "2026-01", day, 0, "Credit", "Even", "-1", &description);
        // A cell is worth 50 on average.
        let amount = format!("{}.{:010}", cells * percent / 2 / credits, number * 1_299_709 % 9_999_999_967);
        let node = ["Retail,,,", "Retail,Online,,", "Retail,Shops,,"][if number % 5 < 3 { 0 } else { number % 5 - 2 }];
        let end = if number % 7 == 0 { "2026-02-14" } else { "" };
        let _ =
            writeln!(allocations, "{description},{:012},,{amount},USD,{end},,{node},2026-02-02T09:00:00Z,finance", 0);
    }
    Inputs {
        as_of: date(AS_OF),
        settings: model::Settings::default(),
        export: vec![export],
        hierarchy: HIERARCHY.to_owned(),
        rules: RULES.to_owned(),
        budgets: BUDGETS.to_owned(),
        allocations,
    }
}

#[expect(clippy::too_many_arguments, reason = "a line of an export has many columns")]
fn line(
    export: &mut String,
    month: &str,
    day: usize,
    account: usize,
    kind: &str,
    service: &str,
    cost: &str,
    description: &str,
) {
    let _ = writeln!(
        export,
        "{month}-01T00:00:00.000Z,AWS,{PAYER},{account:012},{month}-{day:02}T00:00:00.000Z,{kind},{service},USD,{cost},\
         {description},eu-west-1,{{}},{{}},,"
    );
}

fn workspace(inputs: &Inputs, settings: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("credits.toml", format!("{SETTINGS}{settings}"));
    workspace.write("cur/export.csv", &inputs.export[0]);
    let files = [
        ("hierarchy", &inputs.hierarchy),
        ("cost_rules", &inputs.rules),
        ("budgets", &inputs.budgets),
        ("allocations", &inputs.allocations),
    ];
    for (name, text) in files {
        workspace.write(&format!("reference/{name}.csv"), text);
    }
    workspace
}

#[test]
fn many_lots_of_one_node_draw_as_the_model_says() {
    for percent in [90, 250] {
        let inputs = organisation(80, 140, percent);
        let workspace = workspace(&inputs, "");
        let expected = model::publish(&inputs);
        assert!(expected.rounded && expected.tables["credit_consumption"].len() > 5_000, "draws of many lots");
        workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
        let found = workspace.tables(AS_OF).unwrap_or_else(|problem| panic!("{problem}"));
        let differences = table_differences(&expected.tables, &found);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

#[test]
fn millions_of_draws_are_made_within_the_memory_limit() {
    // Beside the limit: the program itself, files being written, and what memory is not given back at once.
    const LIMIT_MIB: u64 = 256;
    const ALLOWANCE_MIB: u64 = 128;
    let inputs = organisation(2_000, 1_000, 90);
    let workspace = workspace(&inputs, &format!("[run]\nthreads = 2\nmemory_limit = \"{LIMIT_MIB} MiB\"\n"));
    let mut command = workspace.command(AS_OF, &["run"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a started binary");
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_memory(child.id()).unwrap_or(0));
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{status}");
    assert!(peak > 0 && peak < LIMIT_MIB + ALLOWANCE_MIB, "{peak} MiB at a limit of {LIMIT_MIB} MiB");
    let sql = "SELECT count(*) AS draws, sum(used) = (SELECT sum(used) FROM credits) AS ties FROM credit_consumption";
    let found = workspace.query(AS_OF, sql).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(found[0]["draws"].parse::<u64>().is_ok_and(|draws| draws > 1_200_000), "{found:?}");
    assert_eq!(found[0]["ties"], "true");
}

/// The most memory that a process has held by now, in MiB; none where the system does not tell or it is gone.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    Some(kibibytes.trim().parse::<u64>().ok()? / 1024)
}
