//! Whom to ask about a node, as the published hierarchy says.

use std::collections::BTreeMap;

use credit_ledger::{Node, Text};

use crate::table::NodeColumns;
use crate::tables::HierarchyRow;

/// Whom to ask about each node.
#[derive(Debug, Clone, Default)]
pub struct Owners(BTreeMap<Node, Text>);

impl Owners {
    /// Those of a published hierarchy.
    #[must_use]
    pub fn of(hierarchy: &[HierarchyRow]) -> Self {
        let owner = |row: &HierarchyRow| Some((row.node().ok()?, row.owner_email.clone()?));
        Self(hierarchy.iter().filter_map(owner).collect())
    }

    /// The owner of the node, or of the nearest one above it that has one.
    #[must_use]
    pub fn nearest(&self, node: &Node) -> Option<&Text> {
        node.lineage().filter_map(|above| self.0.get(&above)).last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str) -> Node {
        let names: Vec<&str> = path.split('/').collect();
        Node::from_levels(std::array::from_fn(|level| names.get(level))).unwrap()
    }

    #[test]
    fn nearest_owner_is_the_node_s_own_or_of_what_is_above() {
        let row = |(path, owner): (&str, Option<&str>)| {
            let [business_unit, department, portfolio, product] = node(path).levels();
            let owner_email = owner.map(Text::new);
            HierarchyRow { business_unit, department, portfolio, product, level: 1, owner_email, cost_center: None }
        };
        let rows = [("Retail", Some("rosa")), ("Retail/Online", None), ("Media", None), ("Retail/A", Some("ann"))];
        let owners = Owners::of(&rows.map(row));
        let nearest = |path: &str| owners.nearest(&node(path)).map(Text::as_str);
        assert_eq!(nearest("Retail/Online/Shop"), Some("rosa"));
        assert_eq!(nearest("Retail/A/Shop"), Some("ann"));
        assert_eq!(nearest("Media"), None);
        assert_eq!(nearest("Gone/For good"), None);
    }
}
