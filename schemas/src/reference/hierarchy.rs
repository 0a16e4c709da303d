//! `hierarchy.csv`: business unit, department, portfolio, product.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{Node, Text};

use super::csv_file::{CsvFile, Problems};

/// Who answers for a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// Whom to ask.
    pub owner_email: Option<Text>,
    /// Cost centre.
    pub cost_center: Option<Text>,
}

/// All nodes, ancestors included, with their owners.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchy(BTreeMap<Node, Owner>);

impl Hierarchy {
    /// True if `node` stands in the hierarchy. `Unassigned` never does.
    #[must_use]
    pub fn contains(&self, node: &Node) -> bool {
        self.0.contains_key(node)
    }

    /// The node that somebody may have meant who wrote this one; none where no name is near it.
    #[must_use]
    pub fn similar(&self, node: &Node) -> Option<&Node> {
        nearest(&node.to_string(), self.0.keys(), Node::to_string)
    }

    /// The hierarchy with these nodes too.
    #[must_use]
    pub fn with<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let mut all = self.clone();
        for node in nodes {
            all.0.entry(node.clone()).or_default();
        }
        all
    }

    /// The nodes in order.
    pub fn nodes(&self) -> impl Iterator<Item = (&Node, &Owner)> {
        self.0.iter()
    }
}

/// The candidate whose name is nearest to a mistyped one, whatever its case; none where all are far from it.
#[must_use]
pub fn nearest<'a, T>(
    mistyped: &str,
    candidates: impl IntoIterator<Item = &'a T>,
    name: impl Fn(&T) -> String,
) -> Option<&'a T> {
    const NEAR: f64 = 0.85;
    let mistyped = mistyped.to_lowercase();
    let mut best: Option<(f64, &T)> = None;
    for candidate in candidates {
        let near = strsim::jaro_winkler(&mistyped, &name(candidate).to_lowercase());
        if near >= NEAR && best.is_none_or(|(nearest, _)| near > nearest) {
            best = Some((near, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Reads `hierarchy.csv`. A row makes its ancestors nodes too.
///
/// # Errors
/// All [`Problems`] of the file.
pub fn parse_hierarchy(file: &str, bytes: &[u8]) -> Result<Hierarchy, Problems> {
    let csv = CsvFile::parse(file, bytes, &Node::LEVELS, &["owner_email", "cost_center"])?;
    let mut nodes: BTreeMap<Node, Owner> = BTreeMap::new();
    let mut stated = BTreeSet::new();
    let mut problems = Problems::default();
    for row in csv.rows() {
        let node = match row.node() {
            Ok(Some(node)) => node,
            Ok(None) => {
                problems.0.push(row.problem(Node::LEVELS[0], "is empty"));
                continue;
            }
            Err(problem) => {
                problems.0.push(problem);
                continue;
            }
        };
        if Node::unassigned().lineage().any(|reserved| node.is_at_or_below(&reserved)) {
            problems.0.push(row.problem(Node::LEVELS[0], "Unassigned is kept for spend that no rule matches"));
        }
        if !stated.insert(node.clone()) {
            problems.0.push(row.problem("", format!("node {node} stands in an earlier row")));
        }
        for ancestor in node.lineage() {
            nodes.entry(ancestor).or_default();
        }
        let text = |column| row.get(column).map(Text::new);
        nodes.insert(node, Owner { owner_email: text("owner_email"), cost_center: text("cost_center") });
    }
    csv.or(problems, Hierarchy(nodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_makes_its_ancestors_nodes_and_keeps_its_owner() {
        let text = "business_unit,department,portfolio,product,owner_email\nRetail,Online,Shop,,a@example.com\nRetail,,,,b@example.com\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap();
        let found: Vec<_> =
            hierarchy.nodes().map(|(node, owner)| (node.to_string(), owner.owner_email.clone())).collect();
        let expected =
            [("Retail", Some("b@example.com")), ("Retail/Online", None), ("Retail/Online/Shop", Some("a@example.com"))];
        assert_eq!(found, expected.map(|(node, owner)| (node.to_owned(), owner.map(Text::new))));
    }

    #[test]
    fn a_mistyped_node_is_near_the_one_that_was_meant() {
        let text = "business_unit,department,portfolio,product\nPlatform,Data & AI,,\nRetail,Online,,\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap();
        let meant = |names: &[&str]| {
            let node = Node::from_levels(std::array::from_fn(|level| names.get(level))).unwrap();
            hierarchy.similar(&node).map(Node::to_string)
        };
        assert_eq!(meant(&["Platfrm"]).as_deref(), Some("Platform"));
        assert_eq!(meant(&["platform", "data & ai"]).as_deref(), Some("Platform/Data & AI"));
        assert_eq!(meant(&["Retail", "Onlin"]).as_deref(), Some("Retail/Online"));
        assert_eq!(meant(&["Logistics"]), None);
    }

    #[test]
    fn bad_rows_are_all_named() {
        let text = "business_unit,department,portfolio,product\nRetail,,Shop,\n,,,\nUnassigned,,,\nA,,,\nA,,,\n";
        let problems = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap_err().to_string();
        let expected = "hierarchy.csv, row 2, column business_unit: portfolio is set but department is empty\n\
             hierarchy.csv, row 3, column business_unit: is empty\n\
             hierarchy.csv, row 4, column business_unit: Unassigned is kept for spend that no rule matches\n\
             hierarchy.csv, row 6: node A stands in an earlier row";
        assert_eq!(problems, expected);
    }
}
