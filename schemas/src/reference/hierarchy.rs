//! `hierarchy.csv`: business unit, department, portfolio, product; and what `renames.csv` says of its nodes.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{Node, Text};

use super::csv_file::{CsvFile, Problems};
use super::renames::Renames;

/// Who answers for a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// Whom to ask.
    pub owner_email: Option<Text>,
    /// Cost centre.
    pub cost_center: Option<Text>,
}

/// All nodes, ancestors included, with their owners, and the names that they had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchy {
    nodes: BTreeMap<Node, Owner>,
    renames: Renames,
}

impl Hierarchy {
    /// True if `node` stands in the hierarchy, by the name that it has or by one that it had. `Unassigned` never does.
    #[must_use]
    pub fn contains(&self, node: &Node) -> bool {
        self.nodes.contains_key(node)
            || (!self.renames.is_empty()
                && [self.renames.meant(node), self.renames.latest(node)].iter().any(|now| self.nodes.contains_key(now)))
    }

    /// The node that somebody may have meant who wrote this one; none where no name is near it.
    #[must_use]
    pub fn similar(&self, node: &Node) -> Option<&Node> {
        nearest(&node.to_string(), self.nodes.keys(), Node::to_string)
    }

    /// The hierarchy with these nodes too.
    #[must_use]
    pub fn with<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let mut all = self.clone();
        for node in nodes {
            all.nodes.entry(node.clone()).or_default();
        }
        all
    }

    /// The hierarchy after these renames. What stands below an old node stands below the new one, with its owner unless
    /// that has one; an old node of a rename without a period is no node any more.
    #[must_use]
    pub fn renamed(mut self, renames: Renames) -> Self {
        for (from, step) in renames.steps() {
            for old in step.keys() {
                let below = self.nodes.iter().filter(|(node, _)| node.is_at_or_below(old));
                let below: Vec<(Node, Owner)> = below.map(|(node, owner)| (node.clone(), owner.clone())).collect();
                for (node, owner) in below {
                    if from.is_none() {
                        self.nodes.remove(&node);
                    }
                    let now = from.map_or_else(|| renames.meant(&node), |from| renames.current(&node, from));
                    for ancestor in now.lineage() {
                        self.nodes.entry(ancestor).or_default();
                    }
                    let stands = self.nodes.entry(now).or_default();
                    if *stands == Owner::default() {
                        *stands = owner;
                    }
                }
            }
        }
        Self { renames, ..self }
    }

    /// The names that nodes had.
    #[must_use]
    pub const fn renames(&self) -> &Renames {
        &self.renames
    }

    /// The nodes in order.
    pub fn nodes(&self) -> impl Iterator<Item = (&Node, &Owner)> {
        self.nodes.iter()
    }

    /// Who answers for a node, also by a name that it had.
    #[must_use]
    pub fn owner(&self, node: &Node) -> Option<&Owner> {
        self.nodes.get(node).or_else(|| self.nodes.get(&self.renames.latest(node)))
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
    let optional = [&Node::LEVELS[1..], &["owner_email", "cost_center"]].concat();
    let csv = CsvFile::parse(file, bytes, &Node::LEVELS[..1], &optional)?;
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
    csv.or(problems, Hierarchy { nodes, renames: Renames::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::renames::parse_renames;

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
    fn renamed_nodes_take_what_is_below_along_and_old_names_stay_known() {
        let text = "business_unit,department,portfolio,product,owner_email\nOld,Web,,,a@example.com\nNew,,,,b@example.com\n\
                    New,Web,Shop,,\nLater,,,,\nPast,Web,,,c@example.com\n";
        let raw = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap();
        let nodes = raw.nodes().map(|(node, _)| node).collect();
        let rows = "from_period,old_business_unit,business_unit\n,Old,New\n2026-03,Past,Later\n";
        let renames = parse_renames("renames.csv", rows.as_bytes(), &nodes).unwrap();
        let hierarchy = raw.renamed(renames);
        let found: Vec<_> =
            hierarchy.nodes().map(|(node, owner)| (node.to_string(), owner.owner_email.as_deref())).collect();
        let expected = [
            ("Later", None),
            ("Later/Web", Some("c@example.com")),
            ("New", Some("b@example.com")),
            ("New/Web", Some("a@example.com")),
            ("New/Web/Shop", None),
            ("Past", None),
            ("Past/Web", Some("c@example.com")),
        ];
        assert_eq!(found, expected.map(|(node, owner)| (node.to_owned(), owner)));
        let node = |path: &str| {
            let mut names = path.split('/');
            Node::from_levels(std::array::from_fn(|_| names.next())).unwrap()
        };
        let known =
            ["Old", "Old/Web/Shop", "Past/Web", "Old/Print", "Gone"].map(|path| hierarchy.contains(&node(path)));
        assert_eq!(known, [true, true, true, false, false]);
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

    #[test]
    fn white_space_around_names_is_no_part_of_them() {
        let text = "business_unit,department\n Retail,Web shop \n\tRetail,\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap();
        let found: Vec<_> = hierarchy.nodes().map(|(node, _)| node.to_string()).collect();
        assert_eq!(found, ["Retail", "Retail/Web shop"]);
    }

    #[test]
    fn only_the_node_unassigned_and_what_is_below_it_is_kept() {
        let text = "business_unit,department\nUnassigned,Web\nUnassigned2,\nunassigned,\nRetail,Unassigned\n";
        let problems = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap_err().to_string();
        let expected = "hierarchy.csv, row 2, column business_unit: Unassigned is kept for spend that no rule matches";
        assert_eq!(problems, expected, "namesakes and departments of that name are nodes");
    }

    #[test]
    fn a_name_that_a_path_would_take_apart_is_told_in_quotes() {
        let text = "business_unit,department\n\"Food/Drinks\",\"A=\"\"B\"\"\"\n\"Food/Drinks\",\"A=\"\"B\"\"\"\n";
        let problems = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(problems, r#"hierarchy.csv, row 3: node "Food/Drinks"/"A=""B""" stands in an earlier row"#);
    }

    #[test]
    fn owners_are_found_by_the_names_that_their_nodes_had() {
        let text =
            "business_unit,department,owner_email,cost_center\nRetail,Online,rosa,4711\nMedia,TV,mia,\nStudio,,,\n";
        let raw = parse_hierarchy("hierarchy.csv", text.as_bytes()).unwrap();
        let nodes = raw.nodes().map(|(node, _)| node).collect();
        let rows = "from_period,old_business_unit,old_department,business_unit,department\n\
                    ,Retail,Web,Retail,Online\n2026-03,Media,,Studio,\n";
        let renames = parse_renames("renames.csv", rows.as_bytes(), &nodes).unwrap();
        let hierarchy = raw.renamed(renames);
        let owner = |names: [&str; 2]| {
            let node = Node::from_levels([Some(names[0]), Some(names[1]), None, None]).unwrap();
            let found = hierarchy.owner(&node)?;
            Some((found.owner_email.as_deref()?, found.cost_center.as_deref()))
        };
        assert_eq!(owner(["Retail", "Web"]), Some(("rosa", Some("4711"))), "as the node was called");
        assert_eq!(owner(["Media", "TV"]), Some(("mia", None)), "the node of earlier months");
        assert_eq!(owner(["Studio", "TV"]), Some(("mia", None)), "and the one of later months");
        assert_eq!(owner(["Retail", "Shops"]), None);
    }

    #[test]
    fn of_names_that_are_as_near_the_first_is_meant_and_none_where_all_are_far() {
        let keys = ["id:12", "id:13", "code:Spring@410000000001"];
        let meant = |mistyped: &str| nearest(mistyped, &keys, |key| (*key).to_owned()).copied();
        assert_eq!(meant("id:1"), Some("id:12"));
        assert_eq!(meant("CODE:spring@410000000010"), Some("code:Spring@410000000001"));
        assert_eq!(meant("Autumn"), None);
        assert_eq!(meant(""), None);
    }
}
