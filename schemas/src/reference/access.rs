//! `access.csv`: who sees which nodes. Dashboards and the shared web page read the same file.

use credit_ledger::{Node, Text};

use super::csv_file::{CsvFile, Problem, Problems, Row};

const USER: &str = "UserName";
const GROUP: &str = "GroupName";

/// Who sees which nodes. Lines of one person add up; who has none sees nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessList(Vec<AccessLine>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct AccessLine {
    user: Option<Text>,
    group: Option<Text>,
    nodes: NodePattern,
}

/// Nodes that have one of these names at each level where names are stated; without any, all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePattern([Vec<Text>; 4]);

impl NodePattern {
    /// True where it takes every node, and what belongs to none.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// True for a node that it takes. What lies below such a node, it takes too.
    #[must_use]
    pub fn takes(&self, node: &Node) -> bool {
        let fits = |(names, name): (&Vec<Text>, Option<Text>)| {
            names.is_empty() || name.is_some_and(|name| names.contains(&name))
        };
        self.0.iter().zip(node.levels()).all(fits)
    }
}

impl AccessList {
    /// What a person sees who has this name and is in these groups.
    #[must_use]
    pub fn of(&self, person: &str, groups: &[String]) -> Vec<NodePattern> {
        let is_theirs = |line: &&AccessLine| {
            let in_group = |group: &Text| groups.iter().any(|of| *of == **group);
            line.user.as_deref() == Some(person) || line.group.as_ref().is_some_and(in_group)
        };
        self.0.iter().filter(is_theirs).map(|line| line.nodes.clone()).collect()
    }

    /// True for a group that a line is for.
    #[must_use]
    pub fn names_group(&self, group: &str) -> bool {
        self.0.iter().any(|line| line.group.as_deref() == Some(group))
    }
}

/// Reads `access.csv`. A line is for a user or for a group, as the sign-in gives the name. An empty level means all; several names of a
/// level are separated by commas, and a name that holds one stands in quotes of its own (`"""Food, Drinks"""`), as QuickSight has it.
///
/// # Errors
/// All [`Problems`] of the file.
pub fn parse_access(file: &str, bytes: &[u8]) -> Result<AccessList, Problems> {
    let csv = CsvFile::parse(file, bytes, &[], &[&[USER, GROUP], &Node::LEVELS[..]].concat())?;
    let mut problems = Problems::default();
    for missing in [USER, GROUP].into_iter().filter(|name| !csv.has(name)).skip(1) {
        let message = format!("missing in the header, and so is {USER}; a line is for a user or for a group");
        problems.0.push(Problem { file: file.to_owned(), row: Some(1), column: Some(missing.to_owned()), message });
    }
    let mut lines = Vec::new();
    for row in csv.rows() {
        match line(&row) {
            Ok(line) => lines.push(line),
            Err(problem) => problems.0.push(problem),
        }
    }
    csv.or(problems, AccessList(lines))
}

fn line(row: &Row<'_>) -> Result<AccessLine, Problem> {
    let name = |column: &str| row.get(column).map(|name| Text::from(name.trim()));
    let (user, group) = (name(USER), name(GROUP));
    if user.is_none() && group.is_none() {
        return Err(row.problem(USER, format!("is empty, and {GROUP} too; a line is for a user or for a group")));
    }
    let mut nodes = NodePattern::default();
    for (names, column) in nodes.0.iter_mut().zip(Node::LEVELS) {
        let Some(text) = row.get(column) else { continue };
        *names = names_of(text)
            .ok_or_else(|| row.problem(column, "is no list of names; put a name with a comma into quotes"))?;
    }
    Ok(AccessLine { user, group, nodes })
}

/// The names of a level: a line of CSV within the field.
fn names_of(text: &str) -> Option<Vec<Text>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut records = reader.records();
    let (Some(Ok(record)), None) = (records.next(), records.next()) else { return None };
    let names: Vec<Text> = record.iter().map(|name| Text::from(name.trim())).collect();
    (!names.iter().any(|name| name.is_empty())).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "UserName,GroupName,business_unit,department,portfolio,product\n";

    fn access(rows: &str) -> AccessList {
        parse_access("access.csv", format!("{HEADER}{rows}").as_bytes()).unwrap()
    }

    fn sees(list: &AccessList, person: &str, groups: &[&str], levels: [&str; 4]) -> bool {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let node = Node::from_levels(levels.map(Some)).unwrap();
        list.of(person, &groups).iter().any(|nodes| nodes.takes(&node))
    }

    #[test]
    fn lines_add_up_and_who_has_none_sees_nothing() {
        let list = access(",finance,,,,\nann,,Retail,Online,,\nann,,Media,,,\n");
        let ann = |levels| sees(&list, "ann", &["sales"], levels);
        assert!(
            ann(["Retail", "Online", "", ""]) && ann(["Retail", "Online", "Shop", ""]) && ann(["Media", "TV", "", ""])
        );
        assert!(!ann(["Retail", "", "", ""]), "what lies above is not theirs");
        assert!(!ann(["Retail", "Stores", "", ""]) && !ann(["Retail2", "Online", "", ""]));
        assert!(sees(&list, "bob", &["finance"], ["Retail", "", "", ""]));
        assert!(list.of("bob", &[]).is_empty() && list.of("Ann", &[]).is_empty() && list.of("finance", &[]).is_empty());
        assert!(list.of("bob", &["finance".to_owned()])[0].takes_all());
        assert!(!list.of("ann", &[])[0].takes_all());
        assert!(list.names_group("finance") && !list.names_group("ann"));
    }

    #[test]
    fn several_names_of_a_level_and_a_name_with_a_comma() {
        let list = access("ann,,\"Retail,Media\",,,\nbob,,\"\"\"Food, Drinks\"\"\",,,\neve,,,Online,,\n");
        assert!(sees(&list, "ann", &[], ["Retail", "", "", ""]) && sees(&list, "ann", &[], ["Media", "TV", "", ""]));
        assert!(
            sees(&list, "bob", &[], ["Food, Drinks", "", "", ""]) && !sees(&list, "bob", &[], ["Food", "", "", ""])
        );
        let eve = |levels| sees(&list, "eve", &[], levels);
        assert!(eve(["Retail", "Online", "", ""]) && eve(["Media", "Online", "App", ""]));
        assert!(!eve(["Retail", "", "", ""]) && !eve(["Retail", "Stores", "", ""]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row_and_column() {
        let problems = |text: &str| parse_access("access.csv", text.as_bytes()).unwrap_err().to_string();
        let said = problems(&format!("{HEADER},,Retail,,,\nann,,\"Retail,\",,,\n"));
        let expected = "access.csv, row 2, column UserName: is empty, and GroupName too; a line is for a user or for a group\n\
                        access.csv, row 3, column business_unit: is no list of names; put a name with a comma into quotes";
        assert_eq!(said, expected);
        assert!(problems("User,business_unit\nann,Retail\n").contains("row 1, column User: unknown in this file"));
        let said = problems("business_unit\nRetail\n");
        assert!(said.contains("row 1, column GroupName: missing in the header, and so is UserName"), "{said}");
    }

    #[test]
    fn files_of_one_kind_of_names_and_with_their_columns_in_any_order_say_the_same() {
        let whole = access("ann,,Retail,Online,,\n,sales,Media,,,\n");
        let turned = "product,department,business_unit,GroupName,UserName\n,Online, Retail,, ann \n,,Media,sales,\n";
        assert_eq!(parse_access("access.csv", turned.as_bytes()).unwrap(), whole);
        let of_users = parse_access("access.csv", b"business_unit,UserName\nRetail,ann\n").unwrap();
        let of_groups = parse_access("access.csv", b"GroupName,business_unit\nsales,Retail\n").unwrap();
        assert!(sees(&of_users, "ann", &[], ["Retail", "", "", ""]) && of_users.of("sales", &[]).is_empty());
        assert!(sees(&of_groups, "bob", &["sales"], ["Retail", "", "", ""]) && of_groups.of("sales", &[]).is_empty());
        assert_eq!(
            parse_access("access.csv", HEADER.as_bytes()).unwrap(),
            AccessList::default(),
            "nobody sees anything"
        );
    }

    #[test]
    fn names_of_several_levels_must_all_fit_and_one_line_may_be_for_a_user_and_a_group() {
        let list = access("ann,finance,\"Retail, Media\",,,\"Web,App\"\n");
        for (levels, expected) in [
            (["Retail", "Online", "Shop", "Web"], true),
            (["Media", "TV", "Films", "App"], true),
            (["Media", "TV", "Films", "Print"], false),
            (["Logistics", "TV", "Films", "App"], false),
            (["Retail", "Online", "Shop", ""], false),
        ] {
            assert_eq!(sees(&list, "ann", &[], levels), expected, "{levels:?}");
            assert_eq!(sees(&list, "bob", &["sales", "finance"], levels), expected, "{levels:?}");
            assert!(!sees(&list, "bob", &["sales"], levels));
        }
    }

    #[test]
    fn lists_of_names_that_hold_an_empty_one_or_several_lines_are_named() {
        let rows = "ann,,\",\",,,\nann,,\"Retail,,Media\",,,\nann,,,\"Online\nShops\",,\nann,,\"\"\"\"\"\",,,\n";
        let said = parse_access("access.csv", format!("{HEADER}{rows}").as_bytes()).unwrap_err().to_string();
        let wrong = "is no list of names; put a name with a comma into quotes";
        let expected = [(2, "business_unit"), (3, "business_unit"), (4, "department"), (5, "business_unit")]
            .map(|(row, column)| format!("access.csv, row {row}, column {column}: {wrong}"));
        assert_eq!(said, expected.join("\n"));
    }
}
