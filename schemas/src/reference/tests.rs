//! All reference files of one organisation, as they were written and as spreadsheets save them.

use super::*;

/// Cells stand between bars.
const HIERARCHY: &str = "\
business_unit|department|portfolio|product|owner_email|cost_center
Retail|Online|Shop|Web|rosa@example.com|4711
Food, Drinks|||||
Media; TV|Film \"Noir\"|||mia@example.com|
Zürich|||||";

const RENAMES: &str = "\
from_period|old_business_unit|business_unit|department
|Grocery|Food, Drinks|
2026-03|Food, Drinks|Retail|Online";

const RULES: &str = "\
rule_id|priority|account_id|tag_key|tag_value|business_unit|department|share
web|10|410000000001|user_team|Web; App, *|Retail|Online|
rest|20|*|||Grocery||0.25
rest|20|*|||Media; TV|Film \"Noir\"|0.75";

const BUDGETS: &str = "\
billing_period|business_unit|currency|amount
2026-01|Grocery|USD|1234.56
2026-01|Zürich|CHF|0.5
2026-02||USD|9999999999999999999999999999.9999999999";

const ALLOCATIONS: &str = "\
promotion_code|account_id|credit_key|amount|currency|end_date|reference|business_unit|department|portfolio|product|note
Spring, 2026|041000000203||60.5|USD|2026-12-31|PO; 12|Retail|Online|Shop|Web|said: \"yes\"
||id:7|40|USD|||Zürich||||";

const ACCESS: &str = "\
UserName|GroupName|business_unit|department
ann||\"Food, Drinks\",Retail|
|sales|Zürich|Online";

/// How a program saves a table.
#[derive(Debug, Clone, Copy)]
struct Guise {
    separator: &'static str,
    line_end: &'static str,
    quotes_all: bool,
    begins_with: &'static str,
    /// Empty columns behind, and empty rows below.
    left_behind: usize,
    columns_turned: bool,
    blanks_around_names: bool,
}

const PLAIN: Guise = Guise {
    separator: ",",
    line_end: "\n",
    quotes_all: false,
    begins_with: "",
    left_behind: 0,
    columns_turned: false,
    blanks_around_names: false,
};

impl Guise {
    fn save(self, table: &str) -> Vec<u8> {
        let columns = table.lines().next().unwrap().split('|').count();
        let empty = vec![""; columns].join("|");
        let rows = table.lines().chain(std::iter::repeat_n(empty.as_str(), self.left_behind));
        let lines = rows.enumerate().map(|(number, row)| self.line(row, number == 0));
        (self.begins_with.to_owned() + &lines.collect::<String>()).into_bytes()
    }

    fn line(self, row: &str, is_header: bool) -> String {
        let mut cells: Vec<&str> = row.split('|').collect();
        if self.columns_turned {
            cells.reverse();
        }
        cells.extend(vec![""; self.left_behind]);
        let cell = |cell: &&str| match self.quotes_all || cell.contains(['"', '\n']) || cell.contains(self.separator) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false if is_header && self.blanks_around_names => format!(" {cell} "),
            false => (*cell).to_owned(),
        };
        cells.iter().map(cell).collect::<Vec<_>>().join(self.separator) + self.line_end
    }
}

#[derive(Debug, PartialEq)]
struct Organisation {
    hierarchy: Hierarchy,
    rules: CostRules,
    budgets: Vec<Budget>,
    allocations: Vec<AllocationRow>,
    access: AccessList,
}

fn organisation(guise: Guise) -> Result<Organisation, Problems> {
    let raw = parse_hierarchy("hierarchy.csv", &guise.save(HIERARCHY))?;
    let renames = parse_renames("renames.csv", &guise.save(RENAMES), &raw.nodes().map(|(node, _)| node).collect())?;
    let hierarchy = raw.renamed(renames);
    let rules = parse_cost_rules("cost_rules.csv", &guise.save(RULES), &hierarchy)?;
    let budgets = parse_budgets("budgets.csv", &guise.save(BUDGETS), &hierarchy)?;
    let allocations = parse_allocations("allocations.csv", &guise.save(ALLOCATIONS))?;
    let access = parse_access("access.csv", &guise.save(ACCESS))?;
    Ok(Organisation { hierarchy, rules, budgets, allocations, access })
}

#[test]
fn files_say_the_same_however_a_spreadsheet_has_saved_them() {
    let plain = organisation(PLAIN).unwrap_or_else(|problems| panic!("{problems}"));
    let windows = Guise { line_end: "\r\n", begins_with: "\u{feff}", ..PLAIN };
    for guise in [
        windows,
        Guise { separator: ";", ..windows },
        Guise { separator: "\t", quotes_all: true, ..windows },
        Guise { line_end: "\r", ..PLAIN },
        Guise { quotes_all: true, columns_turned: true, ..PLAIN },
        Guise { left_behind: 3, ..windows },
        Guise { separator: ";", left_behind: 2, columns_turned: true, ..PLAIN },
        Guise { blanks_around_names: true, columns_turned: true, ..PLAIN },
    ] {
        let read = organisation(guise).unwrap_or_else(|problems| panic!("{guise:?}: {problems}"));
        assert_eq!(read, plain, "{guise:?}");
    }
}

#[test]
fn what_the_files_say_is_what_stands_in_their_cells() {
    let Organisation { hierarchy, rules, budgets, allocations, access } = organisation(PLAIN).unwrap();
    let nodes: Vec<String> = hierarchy.nodes().map(|(node, _)| node.to_string()).collect();
    let expected = [
        "Food, Drinks",
        "Media; TV",
        "Media; TV/\"Film \"\"Noir\"\"\"",
        "Retail",
        "Retail/Online",
        "Retail/Online/Shop",
        "Retail/Online/Shop/Web",
        "Zürich",
    ];
    assert_eq!(nodes, expected);
    let [web, rest] = [0, 1].map(|index| rules.iter().nth(index).unwrap());
    let tag = web.conditions.tag.as_ref().unwrap();
    assert_eq!((tag.key.as_str(), tag.value.as_deref()), ("user_team", Some("Web; App, *")));
    let targets = rest.targets.iter().map(|(node, share)| format!("{node} {share}"));
    assert_eq!(targets.collect::<Vec<_>>(), ["Food, Drinks 0.25", "Media; TV/\"Film \"\"Noir\"\"\" 0.75"]);
    let whole = budgets.iter().find(|budget| budget.node.is_none()).unwrap();
    assert_eq!(whole.amount.to_string(), "9999999999999999999999999999.9999999999");
    let code = CreditName::Code { promotion_code: "Spring, 2026".into(), account_id: "041000000203".into() };
    assert_eq!((&allocations[0].credit, allocations[0].note.as_deref()), (&code, Some("said: \"yes\"")));
    assert!(access.names_group("sales") && !access.of("ann", &[])[0].takes_all());
}

#[test]
fn a_quote_that_is_left_open_is_named_where_it_is_open() {
    let text = "billing_period,business_unit,currency,amount\n2026-01,Zürich,CHF,1\n2026-01,\"Zürich,CHF,2\n\
                2026-02,Zürich,CHF,3\n2026-03,Zürich,CHF,4\n";
    let hierarchy = parse_hierarchy("hierarchy.csv", &PLAIN.save(HIERARCHY)).unwrap();
    let problems = parse_budgets("budgets.csv", text.as_bytes(), &hierarchy).unwrap_err().to_string();
    let expected = "budgets.csv, row 3, column business_unit: has a quote that is left open: the text goes on over the \
                    rows below; close the quote, or copy the file again";
    assert_eq!(problems, expected);
}

#[test]
fn a_text_that_no_person_writes_is_refused_by_its_length() {
    let note = |length: usize| format!("business_unit,owner_email\nRetail,{}\n", "x".repeat(length));
    assert!(parse_hierarchy("hierarchy.csv", note(1 << 20).as_bytes()).is_ok());
    let problems = parse_hierarchy("hierarchy.csv", note((1 << 20) + 1).as_bytes()).unwrap_err().to_string();
    let expected = "hierarchy.csv, row 2, column owner_email: holds a text of 1048577 bytes; at most 1048576";
    assert_eq!(problems, expected);
}

#[test]
fn files_that_are_not_utf_8_are_told_how_to_be_saved() {
    let told = |bytes: &[u8]| parse_hierarchy("hierarchy.csv", bytes).unwrap_err().to_string();
    let latin = b"business_unit\nMedia\nZ\xfcrich\nRetail\nGen\xe8ve\n";
    let expected = "hierarchy.csv, row 3: is not UTF-8; save the file as \"CSV UTF-8\"\n\
                    hierarchy.csv, row 5: is not UTF-8; save the file as \"CSV UTF-8\"";
    assert_eq!(told(latin), expected);
    let wide: Vec<u8> = "\u{feff}business_unit\nMedia\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(told(&wide), "hierarchy.csv, row 1: is not UTF-8; save the file as \"CSV UTF-8\"");
}

#[test]
fn a_column_that_somebody_added_and_one_under_another_name_are_told_together() {
    let header = "billing_period,business_unit,Currency,amount,remark,amount\n";
    let hierarchy = parse_hierarchy("hierarchy.csv", &PLAIN.save(HIERARCHY)).unwrap();
    let problems = parse_budgets("budgets.csv", header.as_bytes(), &hierarchy).unwrap_err().to_string();
    let known = "known are billing_period, currency, amount, business_unit, department, portfolio, product";
    let expected = format!(
        "budgets.csv, row 1, column amount: stands twice in the header\n\
         budgets.csv, row 1, column Currency, remark: unknown in this file; {known}\n\
         budgets.csv, row 1, column currency: missing in the header"
    );
    assert_eq!(problems, expected);
}
