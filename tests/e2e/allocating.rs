//! `allocate`, `move` and `revoke` say what they replace and what would change, and keep what is not stated anew.

use serde_json::Value;

use crate::support::Workspace;

const AS_OF: &str = "2026-09-30";
const KEY: &str = "code:AWS Activate@111111111111";

/// 500 of a credit that was issued on 1 June were applied by AWS; Retail and Media spend 700 each in every month from June on.
fn lake() -> Workspace {
    let workspace = Workspace::new();
    let header = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                  line_item_usage_start_date,line_item_line_item_type,line_item_product_code,line_item_currency_code,\
                  line_item_unblended_cost,line_item_line_item_description";
    let line = |month: u32, account: &str| {
        format!("2026-0{month}-01,999999999999,{account},2026-0{month}-05,Usage,AmazonEC2,USD,700,\n")
    };
    let months = (6..=9).map(|month| line(month, "111111111111") + &line(month, "222222222222"));
    let credit = "2026-06-01,999999999999,111111111111,2026-06-02,Credit,AmazonEC2,USD,-500,AWS Activate\n";
    workspace.write("cur/cur.csv", format!("{header}\n{credit}{}", months.collect::<String>()));
    let hierarchy = "business_unit,department,portfolio,product\nRetail,,,\nMedia,,,\nEmpty,,,\n";
    workspace.write("reference/hierarchy.csv", hierarchy);
    let rules = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                 cost_category_value,business_unit,department,portfolio,product,share\n\
                 retail,1,,111111111111,,,,,,,Retail,,,,\nmedia,1,,222222222222,,,,,,,Media,,,,\n";
    workspace.write("reference/cost_rules.csv", rules);
    says(&workspace, &["run"]);
    workspace
}

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn allocate(workspace: &Workspace, more: &[&str]) -> String {
    says(
        workspace,
        &[&["allocate", "--key", KEY, "--by", "ann", "--recorded-at", "2026-09-01T10:00:00Z"], more].concat(),
    )
}

fn recorded(workspace: &Workspace) -> usize {
    workspace.query(AS_OF, "SELECT * FROM allocations_log").expect("a query").len()
}

/// Lots with their ends and references as they count.
fn lots(workspace: &Workspace) -> Vec<String> {
    let list: Vec<Value> =
        serde_json::from_str(&says(workspace, &["--format", "json", "allocations", "list"])).expect("JSON");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let lot = |row: &Value| {
        format!(
            "{} {} {} {}",
            text(row, "business_unit"),
            text(row, "amount"),
            text(row, "end_date"),
            text(row, "reference")
        )
    };
    list.iter().map(lot).collect()
}

#[test]
fn dry_run_says_what_would_change_and_records_nothing() {
    let workspace = lake();
    let said = allocate(&workspace, &["--amount", "1,000.00", "--to", "Retail", "--dry-run"]);
    let expected = "\
code:AWS Activate@111111111111: issued 2026-06-01, 500.00 USD applied by AWS so far
Replaces  nothing: it is not allocated
Then      lot 1: 1,000.00 USD on Retail: by 2026-09-30 1,000.00 used, 0.00 left

billing_period  business_unit  currency  net_cost_before  net_cost   change
2026-06         Retail         USD                700.00      0.00  -700.00
2026-07         Retail         USD                700.00    400.00  -300.00

Nothing was recorded: this is a dry run.
";
    assert_eq!(said, expected);
    assert_eq!(recorded(&workspace), 0);
}

#[test]
fn what_replaces_an_allocation_keeps_end_and_reference_unless_others_are_stated() {
    let workspace = lake();
    allocate(&workspace, &["--amount", "1000", "--to", "Retail", "--end-date", "2026-12-31", "--reference", "PO-1"]);
    let said = says(&workspace, &["allocate", "--key", KEY, "--amount", "1200", "--to", "Media", "--by", "bob"]);
    let replaces = "Replaces  lot 1: 1,000.00 USD on Retail, until 2026-12-31 (PO-1), recorded by ann on 2026-09-01\n";
    assert!(said.contains(replaces), "{said}");
    assert!(said.ends_with("Allocated 1,200.00 USD of code:AWS Activate@111111111111 to Media, until 2026-12-31. It counts from the next run.\n"), "{said}");
    assert_eq!(lots(&workspace), ["Media 1200.0000000000 2026-12-31 PO-1"]);
    let open = ["allocate", "--key", KEY, "--amount", "1200", "--to", "Media", "--no-end-date", "--reference", ""];
    says(&workspace, &open);
    assert_eq!(lots(&workspace), ["Media 1200.0000000000 - -"]);
}

/// A credit whose allocation cannot be used any more does not lose its end by being allocated again.
#[test]
fn what_replaces_an_allocation_that_cannot_be_used_keeps_its_end() {
    let workspace = lake();
    allocate(&workspace, &["--amount", "1000", "--to", "Empty", "--end-date", "2026-12-31", "--reference", "PO-1"]);
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\nMedia,,,\n");
    says(&workspace, &["run", "--accept-removed-nodes"]);
    let said = says(&workspace, &["allocate", "--key", KEY, "--amount", "1000", "--to", "Media", "--by", "bob"]);
    let replaces =
        "Replaces  lot 1: 1,000.00 USD on Empty, until 2026-12-31, recorded by ann on 2026-09-01: it cannot be used\n";
    assert!(said.contains(replaces), "{said}");
    assert_eq!(lots(&workspace), ["Media 1000.0000000000 2026-12-31 PO-1"]);
    let open = ["allocate", "--key", KEY, "--amount", "1000", "--to", "Media", "--no-end-date"];
    let outcome = workspace.run(AS_OF, &open);
    let lost = format!("warning: credit {KEY}: it had an end, 2026-12-31, and has none any more: it will not lapse\n");
    assert_eq!((outcome.exit_code, outcome.stderr), (Some(0), lost));
}

#[test]
fn lots_that_end_on_different_days_need_an_end_to_be_stated_for_what_is_on_another_node() {
    let workspace = lake();
    allocate(&workspace, &["--to", "Retail=500,2026-10-31", "--to", "Media=500,2026-12-31"]);
    let elsewhere = workspace.run(AS_OF, &["allocate", "--key", KEY, "--amount", "5", "--to", "Empty"]);
    let message = "error: allocate: the lots that it replaces end on different days; state an end: --end-date, --no-end-date, or \
                   --to NODE=AMOUNT,END\n";
    assert_eq!((elsewhere.stderr.as_str(), elsewhere.exit_code), (message, Some(2)));
    says(&workspace, &["allocate", "--key", KEY, "--to", "Media=600", "--to", "Retail=400"]);
    assert_eq!(lots(&workspace), ["Media 600.0000000000 2026-12-31 -", "Retail 400.0000000000 2026-10-31 -"]);
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let workspace = lake();
    let warned = |arguments: &[&str]| {
        let all = [&["allocate", "--key", KEY, "--dry-run"], arguments].concat();
        let outcome = workspace.run(AS_OF, &all);
        assert_eq!(outcome.exit_code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    assert_eq!(warned(&["--amount", "4999", "--to", "Retail"]), "");
    assert_eq!(
        warned(&["--amount", "5000", "--to", "Retail"]),
        "warning: 5,000.00 USD is 10 times what AWS has applied so far, 500.00, or more\n"
    );
    assert_eq!(
        warned(&["--amount", "600", "--to", "Empty"]),
        "warning: lot 1: there is no eligible spend at Empty within its window so far\n"
    );
    assert_eq!(
        warned(&["--amount", "600", "--to", "Media", "--end-date", "2026-08-31"]),
        "warning: lot 1 on Media ended on 2026-08-31: what it had not used by then is lost\n"
    );
}

#[test]
fn mistyped_names_are_answered_with_those_that_may_be_meant() {
    let workspace = lake();
    let refused = |arguments: &[&str], message: &str| {
        let outcome = workspace.run(AS_OF, arguments);
        assert_eq!((outcome.stderr.as_str(), outcome.exit_code), (message, Some(3)));
    };
    refused(
        &["allocate", "--key", KEY, "--amount", "5", "--to", "Retial"],
        "error: allocate: node Retial is not in hierarchy.csv; did you mean Retail?\n",
    );
    refused(
        &["allocate", "--key", "code:AWS Activat@111111111111", "--amount", "5", "--to", "Retail"],
        "error: credit code:AWS Activat@111111111111 is not registered; did you mean code:AWS Activate@111111111111?\n",
    );
}

#[test]
fn what_is_left_of_a_lot_moves_and_past_months_stay_as_they_are() {
    let workspace = lake();
    allocate(&workspace, &["--amount", "2000", "--to", "Retail", "--end-date", "2026-12-31", "--reference", "PO-1"]);
    says(&workspace, &["run"]);
    let before = workspace.published();
    let dry = says(&workspace, &["move", KEY, "--from", "2026-08", "--to", "Media", "--dry-run"]);
    let expected = "\
code:AWS Activate@111111111111: issued 2026-06-01, 500.00 USD applied by AWS so far
Now       lot 1: 2,000.00 USD on Retail, until 2026-12-31 (PO-1), recorded by ann on 2026-09-01
Then      lot 1: 2,000.00 USD on Retail, until 2026-12-31: by 2026-09-30 1,400.00 used, 600.00 moved on, 0.00 left
Then      lot 2: 600.00 USD moved to Media, until 2026-12-31: by 2026-09-30 600.00 used, 0.00 left

billing_period  business_unit  currency  net_cost_before  net_cost   change
2026-08         Media          USD                700.00    100.00  -600.00
2026-08         Retail         USD                100.00    700.00   600.00

Nothing was recorded: this is a dry run.
";
    assert_eq!(dry, expected);
    let said = says(&workspace, &["move", KEY, "--from", "2026-08", "--to", "Media", "--by", "bob"]);
    assert!(said.ends_with("\nFrom 2026-08 on, what is left of code:AWS Activate@111111111111 is on Media. It counts from the next run.\n"), "{said}");
    says(&workspace, &["run"]);
    let after = workspace.published();
    for (name, bytes) in before.iter().filter(|(name, _)| name.contains("=2026-06/") || name.contains("=2026-07/")) {
        assert!(after.get(name) == Some(bytes), "{name} has changed");
    }
    let sql = "SELECT billing_period || ' ' || lot || ': ' || opening || ' ' || moved || ' ' || used || ' ' || remaining AS row
               FROM credit_balances WHERE billing_period >= '2026-08' ORDER BY billing_period, lot";
    let rows = workspace.query(AS_OF, sql).expect("a query");
    let rows: Vec<&str> = rows.iter().map(|row| row["row"].as_str()).collect();
    let expected = [
        "2026-08 1: 600.0000000000 -600.0000000000 0.0000000000 0.0000000000",
        "2026-08 2: 0.0000000000 600.0000000000 600.0000000000 0.0000000000",
        "2026-09 1: 0.0000000000 0.0000000000 0.0000000000 0.0000000000",
        "2026-09 2: 0.0000000000 0.0000000000 0.0000000000 0.0000000000",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn what_is_recorded_where_a_lot_was_moved_from_says_what_changes_where_it_went() {
    let workspace = lake();
    let earlier = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                   line_item_usage_start_date,line_item_line_item_type,line_item_product_code,line_item_currency_code,\
                   line_item_unblended_cost,line_item_line_item_description\n\
                   2026-06-01,999999999999,111111111111,2026-06-01,Credit,AmazonEC2,USD,-1,Earlier\n";
    workspace.write("cur/earlier.csv", earlier);
    says(&workspace, &["run"]);
    allocate(&workspace, &["--amount", "2000", "--to", "Retail"]);
    says(&workspace, &["move", KEY, "--from", "2026-08", "--to", "Media", "--by", "bob"]);
    says(&workspace, &["run"]);
    let allocate = ["allocate", "--key", "code:Earlier@111111111111", "--amount", "700", "--to", "Retail", "--dry-run"];
    let said = says(&workspace, &allocate);
    let expected = "
billing_period  business_unit  currency  net_cost_before  net_cost   change
2026-08         Media          USD                100.00      0.00  -100.00
2026-09         Media          USD                700.00    100.00  -600.00
";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_move_that_cannot_be_is_refused() {
    let workspace = lake();
    let refused = |arguments: &[&str], message: &str| {
        let outcome = workspace.run(AS_OF, &[&["move"], arguments].concat());
        assert_eq!((outcome.stderr.as_str(), outcome.exit_code), (message, Some(3)));
    };
    let to = ["--from", "2026-08", "--to", "Media"];
    refused(
        &[&[KEY], &to[..]].concat(),
        "error: move: credit code:AWS Activate@111111111111: it is not allocated (never_allocated)\n",
    );
    allocate(&workspace, &["--to", "Retail=500", "--to", "Media=500"]);
    refused(
        &[&[KEY], &to[..]].concat(),
        "error: move: credit code:AWS Activate@111111111111: it has several lots; name one as KEY:LOT: 1 on Retail, 2 on Media\n",
    );
    let second = format!("{KEY}:2");
    refused(
        &[&[second.as_str()], &to[..]].concat(),
        "error: move: credit code:AWS Activate@111111111111: lot 2 is on Media already\n",
    );
    let third = format!("{KEY}:3");
    refused(
        &[&[third.as_str()], &to[..]].concat(),
        "error: move: credit code:AWS Activate@111111111111: lot 3 is not there, or has gone on elsewhere; there are 1 on Retail, 2 on Media\n",
    );
    let first = format!("{KEY}:1");
    refused(
        &[&first, "--from", "2026-06", "--to", "Media"],
        "error: move: from_period 2026-06 is not after 2026-06, from which lot 1 counts: allocate it there instead\n",
    );
}

#[test]
fn values_of_a_move_that_are_none_are_told_with_their_option_and_nothing_is_recorded() {
    let workspace = lake();
    allocate(&workspace, &["--amount", "2000", "--to", "Retail"]);
    let refused = |arguments: &[&str], exit_code: i32, message: &str| {
        let outcome = workspace.run(AS_OF, &[&["move"], arguments].concat());
        assert_eq!((outcome.stderr.as_str(), outcome.exit_code), (message, Some(exit_code)), "{arguments:?}");
    };
    let usage = |wrong: &str| format!("error: invalid value {wrong}\n\nFor more information, try '--help'.\n");
    let of_period = usage("'2026-13' for '--from <PERIOD>': not a billing period (YYYY-MM)");
    refused(&[KEY, "--from", "2026-13", "--to", "Media"], 2, &of_period);
    let too_deep = usage("'A/B/C/D/E' for '--to <NODE>': has 5 levels; at most 4");
    refused(&[KEY, "--from", "2026-08", "--to", "A/B/C/D/E"], 2, &too_deep);
    let with_gap = usage("'Media//Web' for '--to <NODE>': has an empty level");
    refused(&[KEY, "--from", "2026-08", "--to", "Media//Web"], 2, &with_gap);
    let mistyped = "error: move: node Medai is not in hierarchy.csv; did you mean Media?\n";
    refused(&[KEY, "--from", "2026-08", "--to", "Medai"], 3, mistyped);
    let (no_lot, after) = (format!("{KEY}:first"), ["--from", "2026-08", "--to", "Media"]);
    let unknown = format!("error: credit {no_lot} is not registered; did you mean {KEY}?\n");
    refused(&[&[no_lot.as_str()], &after[..]].concat(), 3, &unknown);
    assert_eq!(recorded(&workspace), 1);
    says(&workspace, &["revoke", "--key", KEY, "--by", "ann"]);
    let revoked = format!("error: move: credit {KEY}: it is not allocated (revoked)\n");
    refused(&[&[KEY], &after[..]].concat(), 3, &revoked);
    assert_eq!(recorded(&workspace), 2, "the allocation and its end");
}

#[test]
fn moved_lots_survive_the_list_and_the_import() {
    let workspace = lake();
    allocate(&workspace, &["--amount", "2000", "--to", "Retail"]);
    says(&workspace, &["move", KEY, "--from", "2026-08", "--to", "Media", "--by", "bob"]);
    let list = says(&workspace, &["--format", "csv", "allocations", "list"]);
    let other = lake();
    other.write("list.csv", &list);
    let file = other.path("list.csv").display().to_string();
    says(&other, &["allocations", "import", &file]);
    assert_eq!(says(&other, &["--format", "csv", "allocations", "list"]), list);
}
