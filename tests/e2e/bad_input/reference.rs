//! Hierarchy, cost rules, budgets.

use super::{BUDGETS, HIERARCHY, Published, RULES};

#[test]
fn rules_that_do_not_add_up_are_named() {
    let published = Published::new();
    let shared = RULES.replace("Retail,,,,\n", "Retail,,,,0.5\nretail,10,,111111111111,,,,,,,Retail,Online,,,0.4\n");
    for (content, message) in [
        (shared, "cost_rules.csv, row 2, column share: the shares of rule retail sum to 0.9, not 1"),
        (
            RULES.replace("Retail,", "Retial,"),
            "cost_rules.csv, row 2, column business_unit: node Retial is not in hierarchy.csv",
        ),
        (
            RULES.replace("Retail,,,,", "Retail,,,,1.5"),
            "cost_rules.csv, row 2, column share: 1.5 is not above 0 and at most 1",
        ),
        (RULES.replace(",10,", ",ten,"), "cost_rules.csv, row 2, column priority: \"ten\" is not a whole number"),
    ] {
        published.refuses_reference("cost_rules.csv", &content, message);
    }
}

#[test]
fn rows_are_told_as_a_spreadsheet_shows_them_also_below_empty_lines_and_cells_of_several_lines() {
    let published = Published::new();
    let rules = RULES.replace("\nretail,10,,", "\n\n\n\"ret\nail\",10,,").replace("Retail,", "Retial,");
    let message = "cost_rules.csv, row 4, column business_unit: node Retial is not in hierarchy.csv";
    published.refuses_reference("cost_rules.csv", &rules, message);
    let budgets = format!("{BUDGETS}\n2026-02,Retail,,,,USD,\n").replace('\n', "\r\n");
    published.refuses_reference("budgets.csv", &budgets, "budgets.csv, row 4, column amount: is empty");
}

#[test]
fn account_ids_that_a_spreadsheet_has_damaged_are_named() {
    let published = Published::new();
    let told = "is a number as a spreadsheet shows it: write all 12 digits as text";
    for (id, message) in [
        ("1.11111E+11", format!("\"1.11111E+11\" {told}")),
        ("111111111111.0", format!("\"111111111111.0\" {told}")),
        ("11111", "\"11111\" has 5 digits where an account id has 12: a spreadsheet drops leading zeros".to_owned()),
        (" 111111111111", "\" 111111111111\" has blanks around it".to_owned()),
    ] {
        let rules = RULES.replace(",111111111111,", &format!(",{id},"));
        let message = format!("cost_rules.csv, row 2, column account_id: {message}");
        published.refuses_reference("cost_rules.csv", &rules, &message);
    }
}

#[test]
fn budgets_that_contradict_are_named() {
    let published = Published::new();
    let with = |row: &str| format!("{BUDGETS}{row}\n");
    for (row, message) in [
        (
            "2026-01,Retail,,,,USD,51",
            "row 3: a second budget of 2026-01 for Retail in USD, after row 2; keep one of them",
        ),
        ("2026-01,Retail,Offline,,,USD,1", "row 3, column business_unit: node Retail/Offline is not in hierarchy.csv"),
        ("2026-01,Retail,,,,EUR,\"1050,00\"", "row 3, column amount: \"1050,00\" has a decimal comma; write 1234.56"),
        ("2026-01,Retail,,,,EUR,\"1,050.00\"", "row 3, column amount: \"1,050.00\" is not an amount (1234.56)"),
        ("2026-01,Retail,,,,eur,1", "row 3, column currency: \"eur\" is no currency code (USD)"),
        ("01/2026,Retail,,,,EUR,1", "row 3, column billing_period: \"01/2026\" is not a billing period (YYYY-MM)"),
        ("0026-09,Retail,,,,USD,1", "row 3, column billing_period: 0026-09 is not in the years 2006 to 2100"),
        ("2101-01,Retail,,,,USD,1", "row 3, column billing_period: 2101-01 is not in the years 2006 to 2100"),
        ("2026-02,Retail,,,,USD,-1", "row 3, column amount: -1.0000000000 is below zero"),
    ] {
        published.refuses_reference("budgets.csv", &with(row), &format!("budgets.csv, {message}"));
    }
}

#[test]
fn mistyped_years_of_rules_and_allocations_are_named() {
    let published = Published::new();
    let header = RULES.replace(",share\n", ",share,from_period,to_period\n");
    for (periods, message) in [
        ("0026-09,", "from_period: 0026-09 is not in the years 2006 to 2100; empty: without a limit"),
        (",2206-09", "to_period: 2206-09 is not in the years 2006 to 2100; empty: without a limit"),
    ] {
        let rules = header.replace("Retail,,,,\n", &format!("Retail,,,,,{periods}\n"));
        published.refuses_reference("cost_rules.csv", &rules, &format!("cost_rules.csv, row 2, column {message}"));
    }
    let header = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                  portfolio,product,recorded_at\n";
    let rows = ",,id:1,5,USD,0026-12-31,,Retail,,,,\n,,id:1,5,USD,9999-12-31,,Retail,,,,\n\
                ,,id:1,5,USD,,,Retail,,,,0026-03-05T09:00:00Z\n";
    published.workspace.write("reference/allocations.csv", format!("{header}{rows}"));
    let message = "allocations.csv, row 2, column end_date: 0026-12-31 is not in the years 2006 to 2100; empty: open-ended\n\
                   allocations.csv, row 3, column end_date: 9999-12-31 is not in the years 2006 to 2100; empty: open-ended\n\
                   allocations.csv, row 4, column recorded_at: 0026-03-05 is not in the years 2006 to 2100";
    published.refuses(&["run"], 3, message);
}

#[test]
fn hierarchy_rows_that_name_no_node_are_all_named() {
    let content = format!("{HIERARCHY}Retail,,Shop,\n,,,\nUnassigned,,,\nRetail,Online,,\n");
    let message = "hierarchy.csv, row 3, column business_unit: portfolio is set but department is empty\n\
                   hierarchy.csv, row 4, column business_unit: is empty\n\
                   hierarchy.csv, row 5, column business_unit: Unassigned is kept for spend that no rule matches\n\
                   hierarchy.csv, row 6: node Retail/Online stands in an earlier row";
    Published::new().refuses_reference("hierarchy.csv", &content, message);
}

#[test]
fn bad_rows_of_several_files_are_listed_at_once() {
    let published = Published::new();
    let rules = format!(
        "{RULES}b,x,,,,,,,,,Retail,,,,\nc,4,,,,,,,,,Retail,,,,half\n,4,,,,,,,,,Retail,,,,\nd,1,,Shop, the big one,,,,,,,Retail,,,,\n\
         e,1,,,,,,v,,,Retail,,,,\n"
    );
    published.workspace.write("reference/cost_rules.csv", rules);
    published
        .workspace
        .write("reference/budgets.csv", format!("{BUDGETS}2026-13,Retail,,,,USD,1\n2026-02,X,,,,USD,1\n"));
    let header = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                  portfolio,product\n";
    published
        .workspace
        .write("reference/allocations.csv", format!("{header},,k,0,USD,,,Retail,,,\n,,,5,USD,,,Retail,,,\n"));
    let message = "cost_rules.csv, row 3, column priority: \"x\" is not a whole number\n\
        cost_rules.csv, row 4, column share: \"half\" is not a share (0.25)\n\
        cost_rules.csv, row 5, column rule_id: is empty\n\
        cost_rules.csv, row 6: has 16 fields where the header has 15; a text that holds a comma needs quotes\n\
        cost_rules.csv, row 7, column tag_key: is empty but tag_value is set\n\
        budgets.csv, row 3, column billing_period: \"2026-13\" is not a billing period (YYYY-MM)\n\
        budgets.csv, row 4, column business_unit: node X is not in hierarchy.csv\n\
        allocations.csv, row 2, column amount: 0.0000000000 is not above zero\n\
        allocations.csv, row 3, column credit_key: is empty; name the credit by its key, or by promotion_code and \
        account_id";
    published.refuses(&["run"], 3, message);
}

#[test]
fn header_that_is_not_that_of_the_file_is_named() {
    let published = Published::new();
    let known = "known are billing_period, currency, amount, business_unit, department, portfolio, product";
    for (content, message) in [
        (
            BUDGETS.replace("amount", "amount_usd"),
            format!(
                "budgets.csv, row 1, column amount_usd: unknown in this file; {known}\n\
                 budgets.csv, row 1, column amount: missing in the header"
            ),
        ),
        (
            BUDGETS.replace("product,", "product,product,"),
            "budgets.csv, row 1, column product: stands twice in the header".to_owned(),
        ),
        (
            BUDGETS.replace(',', "|"),
            "budgets.csv, row 1: the columns are separated by bars; save the file with commas".to_owned(),
        ),
        (String::new(), "budgets.csv, row 1: has no header; it must be billing_period,currency,amount".to_owned()),
    ] {
        // A column twice makes the row too short as well; only the header is spoken of.
        published.refuses_reference("budgets.csv", &content, &message);
    }
}

#[test]
fn missing_reference_file_is_named_but_budgets_may_be_missing() {
    let published = Published::new();
    for name in ["hierarchy.csv", "cost_rules.csv"] {
        let path = published.workspace.path(&format!("reference/{name}"));
        let content = std::fs::read(&path).expect("a reference file");
        std::fs::remove_file(&path).expect("a removed file");
        let message = format!("reference file <workspace>/reference/{name} does not exist; see [reference] location");
        published.refuses(&["run"], 3, &message);
        std::fs::write(&path, content).expect("a written file");
    }
    std::fs::remove_file(published.workspace.path("reference/budgets.csv")).expect("a removed file");
    published.workspace.try_run(super::AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn renames_that_lead_nowhere_are_named() {
    let published = Published::new();
    let header = "from_period,old_business_unit,business_unit,department\n";
    let rows = format!("{header},Shops,Retial,\n2026-1,Shops,Retail,\n,Retail,Retail,Online\n");
    let message = "renames.csv, row 2, column business_unit: node Retial is not in hierarchy.csv\n\
                   renames.csv, row 3, column from_period: \"2026-1\" is not a billing period (YYYY-MM)\n\
                   renames.csv, row 4, column business_unit: Retail/Online lies at or below Retail; name another node";
    published.refuses_reference("renames.csv", &rows, message);
}
