//! Places in the hierarchy: business unit, department, portfolio, product.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::Text;

/// A path of one to four names. Ordered by code point, level by level, a missing level first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(Vec<Text>);

/// Why four columns are no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// No level is named.
    #[error("no business unit is named")]
    Empty,
    /// A level is named below one that is not.
    #[error("{below} is set but {missing} is empty")]
    Gap {
        /// The empty level.
        missing: &'static str,
        /// The named level below it.
        below: &'static str,
    },
}

impl Node {
    /// The levels from the top, as columns are named.
    pub const LEVELS: [&'static str; 4] = ["business_unit", "department", "portfolio", "product"];
    /// The name of the node that takes spend no rule matches.
    pub const UNASSIGNED: &'static str = "Unassigned";

    /// The node of four level columns, empty or missing levels at the end.
    ///
    /// # Errors
    /// [`NodeError`] where no level or a level below an empty one is named.
    pub fn from_levels<S: AsRef<str>>(levels: [Option<S>; 4]) -> Result<Self, NodeError> {
        let mut names = Vec::new();
        let mut missing = None;
        for (level, name) in Self::LEVELS.into_iter().zip(&levels) {
            match (name.as_ref().map(AsRef::as_ref).filter(|name| !name.is_empty()), missing) {
                (Some(_), Some(missing)) => return Err(NodeError::Gap { missing, below: level }),
                (Some(name), None) => names.push(name.into()),
                (None, _) => missing = missing.or(Some(level)),
            }
        }
        if names.is_empty() { Err(NodeError::Empty) } else { Ok(Self(names)) }
    }

    /// Where spend goes that no rule matches.
    #[must_use]
    pub fn unassigned() -> Self {
        Self(vec![Text::new_static(Self::UNASSIGNED)])
    }

    /// The four level columns.
    #[must_use]
    pub fn levels(&self) -> [Option<Text>; 4] {
        std::array::from_fn(|level| self.0.get(level).cloned())
    }

    /// The name of its first level.
    #[must_use]
    pub fn business_unit(&self) -> &str {
        self.0.first().map_or("", Text::as_str)
    }

    /// 1 for a business unit to 4 for a product.
    #[must_use]
    pub const fn level(&self) -> usize {
        self.0.len()
    }

    /// True for `other` itself and everything below it.
    #[must_use]
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Where a node at or below `from` lies once `from` has become `to`. None for any other node, and where that would be
    /// more than four levels.
    #[must_use]
    pub fn rebased(&self, from: &Self, to: &Self) -> Option<Self> {
        let below = self.0.strip_prefix(from.0.as_slice())?;
        let names: Vec<Text> = to.0.iter().chain(below).cloned().collect();
        (names.len() <= Self::LEVELS.len()).then_some(Self(names))
    }

    /// The node above; none above a business unit.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        (!above.is_empty()).then(|| Self(above.to_vec()))
    }

    /// Its own name: that of its last level.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.last().map_or("", Text::as_str)
    }

    /// The node itself and its ancestors, from the top.
    pub fn lineage(&self) -> impl Iterator<Item = Self> + '_ {
        (1..=self.0.len()).filter_map(|depth| self.0.get(..depth).map(|names| Self(names.to_vec())))
    }
}

/// As text: `Retail/Web`.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Node {
    /// Names joined by `/`; a name that holds a `/`, a `=` or a quote is quoted, as `allocate --to` reads it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("/")?;
            }
            if name.contains(['/', '=', '"']) {
                write!(formatter, "\"{}\"", name.replace('"', "\"\""))?;
            } else {
                formatter.write_str(name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(levels: [&str; 4]) -> Result<Node, NodeError> {
        Node::from_levels(levels.map(Some))
    }

    #[test]
    fn a_department_serves_itself_and_what_is_below_but_not_a_namesake() {
        let department = node(["Retail", "Online", "", ""]).unwrap();
        assert!(node(["Retail", "Online", "Shop", "Web"]).unwrap().is_at_or_below(&department));
        assert!(department.is_at_or_below(&department));
        assert!(!node(["Retail", "Online2", "", ""]).unwrap().is_at_or_below(&department));
        assert!(!node(["Retail", "", "", ""]).unwrap().is_at_or_below(&department));
    }

    #[test]
    fn a_level_below_an_empty_one_is_refused() {
        assert_eq!(node(["", "", "", ""]), Err(NodeError::Empty));
        let gap = NodeError::Gap { missing: "department", below: "portfolio" };
        assert_eq!(node(["Retail", "", "Shop", ""]), Err(gap));
    }

    #[test]
    fn a_renamed_node_takes_what_is_below_along_as_far_as_there_are_levels() {
        let path = |names: &[&str]| node(std::array::from_fn(|level| *names.get(level).unwrap_or(&""))).unwrap();
        let (old, new) = (path(&["Shop"]), path(&["Retail", "Shop"]));
        assert_eq!(path(&["Shop", "A", "B"]).rebased(&old, &new), Some(path(&["Retail", "Shop", "A", "B"])));
        assert_eq!(path(&["Shop", "A", "B", "C"]).rebased(&old, &new), None, "five levels");
        assert_eq!(path(&["Shop2", "A"]).rebased(&old, &new), None, "a namesake");
        assert_eq!((new.parent(), old.parent(), new.name()), (Some(path(&["Retail"])), None, "Shop"));
    }

    #[test]
    fn parents_come_before_children_and_names_compare_by_code_point() {
        let mut nodes: Vec<Node> =
            ["b", "a/z", "B", "é", "a"].map(|path| Node(path.split('/').map(Text::new).collect())).into();
        nodes.sort();
        assert_eq!(nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["B", "a", "a/z", "b", "é"]);
    }

    #[test]
    fn a_path_is_written_so_that_it_can_be_read_again_whatever_its_names_hold() {
        for (levels, expected) in [
            (["Retail", "Online", "Shop", "Web"], "Retail/Online/Shop/Web"),
            (["Data & AI", "ML Ops", "", ""], "Data & AI/ML Ops"),
            (["Food/Drinks", "Wine", "", ""], "\"Food/Drinks\"/Wine"),
            (["A=B", "", "", ""], "\"A=B\""),
            (["Film \"Noir\"", "TV", "", ""], "\"Film \"\"Noir\"\"\"/TV"),
            (["Zürich ", "", "", ""], "Zürich "),
        ] {
            assert_eq!(node(levels).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn the_levels_of_a_node_give_it_back_and_its_lineage_begins_at_the_top() {
        let shop = node(["Retail", "Online", "Shop", ""]).unwrap();
        assert_eq!(shop.levels(), [Some("Retail".into()), Some("Online".into()), Some("Shop".into()), None]);
        assert_eq!(Node::from_levels(shop.levels()), Ok(shop.clone()));
        let lineage: Vec<String> = shop.lineage().map(|node| node.to_string()).collect();
        assert_eq!(lineage, ["Retail", "Retail/Online", "Retail/Online/Shop"]);
        assert!(shop.lineage().all(|above| shop.is_at_or_below(&above)));
        assert_eq!((shop.level(), shop.business_unit(), shop.name()), (3, "Retail", "Shop"));
        assert_eq!(Node::from_levels([Some("Unassigned"), None, None, None]), Ok(Node::unassigned()));
    }

    #[test]
    fn what_is_wrong_with_levels_is_told_by_their_columns() {
        let told = |levels| node(levels).unwrap_err().to_string();
        assert_eq!(told(["", "", "", ""]), "no business unit is named");
        assert_eq!(told(["", "Online", "", ""]), "department is set but business_unit is empty");
        assert_eq!(told(["Retail", "Online", "", "Web"]), "product is set but portfolio is empty");
        assert_eq!(told(["Retail", "", "", "Web"]), "product is set but department is empty", "the first gap");
    }
}
