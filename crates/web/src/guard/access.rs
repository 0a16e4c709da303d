//! What somebody may do, and what they see.

use std::sync::Arc;

use credit_ledger::Node;
use lake::RoleGroups;
use schemas::reference::{AccessList, NodePattern};

/// What somebody may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Looks.
    Viewer,
    /// Says whose a credit is.
    Allocator,
    /// Starts runs.
    Closer,
    /// Sees every node.
    Admin,
}

impl Role {
    /// The highest role of these groups.
    pub(crate) fn of(groups: &[String], roles: &RoleGroups) -> Option<Self> {
        let RoleGroups { viewer, allocator, closer, admin } = roles;
        let roles =
            [(Self::Admin, admin), (Self::Closer, closer), (Self::Allocator, allocator), (Self::Viewer, viewer)];
        let has = |of: &[String]| groups.iter().any(|group| of.contains(group));
        roles.into_iter().find_map(|(role, of)| has(of).then_some(role))
    }
}

/// What somebody may do, and which nodes they see.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    role: Role,
    /// None where every node is seen, and what belongs to none.
    nodes: Option<Arc<[NodePattern]>>,
}

impl Access {
    /// Of the person who started the program.
    pub(crate) const EVERYTHING: Self = Self { role: Role::Admin, nodes: None };

    /// Of somebody with a role, as `access.csv` limits them where there is one; none for somebody whom it does not name.
    pub(crate) fn of(role: Role, list: Option<&AccessList>, person: &str, groups: &[String]) -> Option<Self> {
        let Some(list) = list.filter(|_| role < Role::Admin) else { return Some(Self { role, nodes: None }) };
        let nodes = list.of(person, groups);
        match nodes.iter().any(NodePattern::takes_all) {
            true => Some(Self { role, nodes: None }),
            false => (!nodes.is_empty()).then(|| Self { role, nodes: Some(nodes.into()) }),
        }
    }

    /// True for somebody who does not see everything.
    pub(crate) const fn is_limited(&self) -> bool {
        self.nodes.is_some()
    }

    /// True for a node that they see.
    pub(crate) fn sees(&self, node: &Node) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|nodes| nodes.takes(node)))
    }

    /// Of these nodes the highest ones that they see, in order; what lies below them they see, too.
    pub(crate) fn highest(&self, nodes: impl IntoIterator<Item = Node>) -> Vec<Node> {
        let is_highest = |node: &Node| self.sees(node) && !node.parent().is_some_and(|above| self.sees(&above));
        let mut highest: Vec<Node> = nodes.into_iter().filter(is_highest).collect();
        highest.sort();
        highest.dedup();
        highest
    }

    pub(crate) fn may_allocate(&self) -> bool {
        self.role >= Role::Allocator
    }

    /// What a run says is of all nodes.
    pub(crate) fn may_run(&self) -> bool {
        self.role >= Role::Closer && !self.is_limited()
    }
}

#[cfg(test)]
mod tests {
    use schemas::reference::parse_access;

    use super::*;

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    fn node(text: &str) -> Node {
        application::typed::node(text).unwrap()
    }

    #[test]
    fn highest_role_of_the_groups_counts() {
        let roles = RoleGroups {
            viewer: texts(&["finance", "all"]),
            allocator: texts(&["finops"]),
            closer: texts(&["controlling"]),
            admin: texts(&["platform"]),
        };
        for (groups, role) in [
            (&["all", "finops"][..], Some(Role::Allocator)),
            (&["finance"], Some(Role::Viewer)),
            (&["platform", "all"], Some(Role::Admin)),
            (&["Finance", "viewer"], None),
            (&[], None),
        ] {
            assert_eq!(Role::of(&texts(groups), &roles), role, "{groups:?}");
        }
        let may =
            |role| Access::of(role, None, "ann", &[]).map(|access| (access.may_allocate(), access.may_run())).unwrap();
        assert_eq!(
            [Role::Viewer, Role::Allocator, Role::Closer].map(may),
            [(false, false), (true, false), (true, true)]
        );
    }

    #[test]
    fn list_limits_everybody_but_admins_and_who_is_not_on_it_sees_nothing() {
        let header = "UserName,GroupName,business_unit,department,portfolio,product\n";
        let rows = "ann,,Retail,Online,,\nann,,Media,,,\n,finance,,,,\n";
        let list = parse_access("access.csv", format!("{header}{rows}").as_bytes()).unwrap();
        let of = |role, person, groups: &[&str]| Access::of(role, Some(&list), person, &texts(groups));
        assert!(of(Role::Closer, "eve", &["sales"]).is_none());
        assert!(!of(Role::Admin, "eve", &[]).unwrap().is_limited());
        assert!(!of(Role::Viewer, "ann", &["finance"]).unwrap().is_limited());
        let ann = of(Role::Closer, "ann", &[]).unwrap();
        assert!(ann.is_limited() && ann.may_allocate() && !ann.may_run());
        let all =
            ["Retail", "Retail/Online", "Retail/Online/Shop", "Retail/Stores", "Media", "Media/TV", "Media"].map(node);
        assert_eq!(ann.highest(all), ["Media", "Retail/Online"].map(node));
        assert!(Access::EVERYTHING.sees(&node("Retail")) && !ann.sees(&node("Retail")));
    }
}
