//! `renames.csv` on the sample organisation: reorganisations that change names, and nothing else.

use std::collections::BTreeMap;
use std::fs;

use crate::determinism::sample;
use crate::support::Workspace;
use crate::support::compare::{Row, Tables};

const AS_OF: &str = "2026-10-31";

fn says(workspace: &Workspace, arguments: &[&str]) -> String {
    workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

fn tables(workspace: &Workspace) -> Tables {
    workspace.tables(AS_OF).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Writes a reference file of the sample anew.
fn edit(workspace: &Workspace, file: &str, edited: impl Fn(&str) -> String) {
    let path = format!("data/reference/{file}");
    let text = fs::read_to_string(workspace.path(&path)).expect("a reference file");
    workspace.write(&path, edited(&text));
}

/// A business unit, a department and a portfolio of the sample have other names.
fn reorganise(text: &str) -> String {
    text.replace("Retail,", "Commerce,").replace("Transport,", "Mobility,").replace(",Lakehouse,", ",Data Lake,")
}

const RENAMES: &str = "from_period;old_business_unit;old_department;old_portfolio;business_unit;department;portfolio\r\n\
                       ;Retail;;;Commerce;;\r\n;Logistics;Transport;;Logistics;Mobility;\r\n\
                       ;Platform;Data & AI;Lakehouse;Platform;Data & AI;Data Lake\r\n;;;;;;\r\n";

/// The row with the names of before.
fn as_before(row: &Row) -> Row {
    let back = |name: &String| match name.as_str() {
        "Commerce" => "Retail".to_owned(),
        "Mobility" => "Transport".to_owned(),
        "Data Lake" => "Lakehouse".to_owned(),
        "Player" => "Playback".to_owned(),
        _ => name.clone(),
    };
    let is_name = |column: &str| !matches!(column, "service" | "credit_key" | "promotion_code");
    row.iter()
        .map(|(column, value)| (column.clone(), if is_name(column) { back(value) } else { value.clone() }))
        .collect()
}

fn sorted(tables: &Tables, rows: impl Fn(&Row) -> Row) -> BTreeMap<&String, Vec<Row>> {
    // Among lots of one credit names decide who is told first; what each draws is the same.
    let unranked = |row: Row| -> Row { row.into_iter().filter(|(column, _)| column != "fifo_rank").collect() };
    let sorted = |all: &Vec<Row>| {
        let mut all: Vec<Row> = all.iter().map(&rows).map(unranked).collect();
        all.sort();
        all
    };
    tables.iter().map(|(name, all)| (name, sorted(all))).collect()
}

#[test]
fn a_reorganisation_leaves_every_figure_of_every_month_as_it_was_under_the_new_names() {
    let workspace = sample(None);
    says(&workspace, &["run"]);
    let before = tables(&workspace);
    edit(&workspace, "hierarchy.csv", reorganise);
    let refused = workspace.run(AS_OF, &["run"]);
    assert_eq!(refused.exit_code, Some(3), "rules and budgets have old names:\n{}", refused.stderr);
    workspace.write("data/reference/renames.csv", RENAMES);
    says(&workspace, &["run"]);
    let after = tables(&workspace);
    let (before, after) = (sorted(&before, Row::clone), sorted(&after, as_before));
    for (name, rows) in &before {
        assert!(*rows == after[name], "{name} differs");
    }
    let nodes = workspace.query(AS_OF, "SELECT business_unit FROM hierarchy").expect("a query");
    assert!(nodes.iter().all(|row| row["business_unit"] != "Retail"), "{nodes:?}");
    let listed = says(&workspace, &["--format", "csv", "allocations", "list"]);
    assert!(listed.contains(",Commerce,Stores,Loyalty,") && !listed.contains("Retail"), "{listed}");
    says(&workspace, &["allocate", "--key", "id:10063544630", "--amount", "11500", "--to", "Retail/Online"]);
    let listed = says(&workspace, &["--format", "csv", "allocations", "history", "id:10063544630"]);
    assert!(listed.lines().last().is_some_and(|row| row.contains(",Commerce,Online,,,11500.")), "{listed}");
    edit(&workspace, "cost_rules.csv", reorganise);
    edit(&workspace, "budgets.csv", reorganise);
    let said = says(&workspace, &["run"]);
    assert!(said.contains("6 unchanged"), "new names in the rules are the same rules:\n{said}");
}

/// Published files of months, by whether they are before `month`.
fn months(workspace: &Workspace, month: &str) -> [BTreeMap<String, Vec<u8>>; 2] {
    let period = |name: &str| name.split('/').find_map(|part| part.strip_prefix("billing_period=")).map(str::to_owned);
    let of_months = workspace.published().into_iter().filter(|(name, _)| period(name).is_some());
    let (before, later) = of_months.partition(|(name, _)| period(name).is_some_and(|period| *period < *month));
    [before, later]
}

#[test]
fn a_rename_from_a_month_on_leaves_the_months_before_to_the_byte_and_every_figure_of_the_others() {
    let workspace = sample(None);
    says(&workspace, &["run"]);
    let (before, [earlier, later]) = (tables(&workspace), months(&workspace, "2026-09"));
    edit(&workspace, "hierarchy.csv", |text| text.replace(",Playback,", ",Player,"));
    let header = "from_period,old_business_unit,old_department,old_portfolio,business_unit,department,portfolio\n";
    let row = "2026-09,Media,Streaming,Playback,Media,Streaming,Player\n";
    workspace.write("data/reference/renames.csv", format!("{header}{row}"));
    says(&workspace, &["run"]);
    let [earlier_now, later_now] = months(&workspace, "2026-09");
    assert!(
        earlier_now == earlier && later_now != later,
        "months before are the same bytes, later ones have a new name"
    );
    let after = tables(&workspace);
    let (before, after) = (sorted(&before, Row::clone), sorted(&after, as_before));
    for (name, rows) in &before {
        assert!(*rows == after[name], "{name} differs");
    }
    let sql =
        "SELECT billing_period, portfolio FROM net_cost_summary WHERE portfolio IN ('Playback', 'Player') AND level = 3
               AND budget_amount IS NOT NULL";
    let budgets: Vec<_> =
        workspace.query(AS_OF, sql).expect("a query").iter().map(|row| row["portfolio"].clone()).collect();
    assert_eq!(budgets, ["Player", "Player"], "budgets of 2026-09 and 2026-10 were for the old name");
    let sql = "SELECT portfolio, owner_email FROM hierarchy WHERE product = 'Live' ORDER BY portfolio";
    let nodes = workspace.query(AS_OF, sql).expect("a query");
    let nodes: Vec<_> = nodes.iter().map(|row| (row["portfolio"].as_str(), row["owner_email"].as_str())).collect();
    assert_eq!(nodes, [("Playback", "yuki.tanaka@acme.example"), ("Player", "yuki.tanaka@acme.example")]);
    says(&workspace, &["run"]);
}

#[test]
fn what_is_left_of_lots_goes_on_under_the_new_name_from_the_month_on_and_no_figure_changes() {
    let workspace = sample(None);
    says(&workspace, &["run"]);
    let (before, [earlier, _]) = (tables(&workspace), months(&workspace, "2026-09"));
    edit(&workspace, "hierarchy.csv", |text| text.replace("Retail,", "Commerce,"));
    let renames = "from_period,old_business_unit,business_unit\n2026-09,Retail,Commerce\n";
    workspace.write("data/reference/renames.csv", renames);
    says(&workspace, &["run"]);
    assert!(months(&workspace, "2026-09")[0] == earlier, "months before are the same bytes");
    let after = tables(&workspace);
    let (before, after) = (sorted(&before, Row::clone), sorted(&after, as_before));
    for name in ["net_cost", "net_cost_summary", "credits", "credit_queue", "credit_impact", "reconciliation"] {
        let name = &name.to_owned();
        assert!(before[name] == after[name], "{name} differs");
    }
    let sql = "SELECT concat_ws(' ', billing_period, lot, business_unit, moved <> 0, remaining > 0) AS row
               FROM credit_balances WHERE credit_key LIKE 'code:DBA_MAP%' AND lot > 1 AND billing_period IN ('2026-08', '2026-09', '2026-10')
               ORDER BY billing_period, lot";
    let rows: Vec<String> =
        workspace.query(AS_OF, sql).expect("a query").iter().map(|row| row["row"].clone()).collect();
    let expected = [
        "2026-08 2 Retail false true",
        "2026-09 2 Retail true false",
        "2026-09 3 Commerce true true",
        "2026-10 2 Retail false false",
        "2026-10 3 Commerce false true",
    ];
    assert_eq!(rows, expected);
    says(&workspace, &["run"]);
}

#[test]
fn what_is_gone_is_guessed_with_the_row_to_write() {
    let workspace = sample(None);
    says(&workspace, &["run"]);
    for file in ["hierarchy.csv", "cost_rules.csv", "budgets.csv"] {
        edit(&workspace, file, |text| text.replace("Retail,", "Retail & Shops,").replace("Transport,", "Transports,"));
    }
    let refused = workspace.run(AS_OF, &["run"]);
    let expected = "\nif they were renamed, renames.csv has to say (from_period only where earlier months keep the old \
                    name):\nfrom_period,old_business_unit,old_department,old_portfolio,old_product,business_unit,\
                    department,portfolio,product\n,Logistics,Transport,,,Logistics,Transports,,\n\
                    ,Retail,,,,Retail & Shops,,,\n";
    assert!(refused.exit_code == Some(3) && refused.stderr.ends_with(expected), "{}", refused.stderr);
    let (_, rows) = expected.split_once("name):\n").expect("rows");
    workspace.write("data/reference/renames.csv", rows);
    says(&workspace, &["run"]);
}
