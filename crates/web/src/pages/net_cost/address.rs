//! Addresses of this page.

use credit_ledger::{BillingPeriod, Node};
use form_urlencoded::byte_serialize;

use crate::asked::Asked;

const PATH: &str = "/net-cost";

/// How an address asks for cost without a service.
pub(crate) const NO_SERVICE: &str = "-";

/// This page with other filters; account and service go unless they are stated here.
pub(super) fn link(asked: &Asked, other: &[(&str, &str)]) -> String {
    let depth = asked.filter.stated("depth").unwrap_or_default();
    let all: Vec<(&str, &str)> = [("depth", depth)].into_iter().chain(other.iter().copied()).collect();
    asked.filter.elsewhere(PATH, &all)
}

/// Addresses that differ in node and month: a tree has thousands.
pub(crate) struct Places {
    rest: String,
    period: String,
}

impl Places {
    pub(super) fn of(asked: &Asked) -> Self {
        let rest = link(asked, &[("node", ""), ("period", "")]);
        Self { rest, period: asked.filter.stated("period").unwrap_or_default().to_owned() }
    }

    /// A node in the months that are shown.
    pub(super) fn node(&self, node: Option<&Node>) -> String {
        self.at(node, &self.period)
    }

    /// A node in each of these months.
    pub(super) fn months<'a>(
        &'a self,
        node: Option<&Node>,
        months: &'a [BillingPeriod],
    ) -> impl Iterator<Item = String> + 'a {
        let of_node = self.at(node, "");
        months.iter().map(move |month| with(&of_node, "period", &month.to_string()))
    }

    fn at(&self, node: Option<&Node>, period: &str) -> String {
        let node = node.map(Node::to_string).unwrap_or_default();
        with(&with(&self.rest, "node", &node), "period", period)
    }
}

/// An address with one more value, if it is one.
fn with(address: &str, name: &str, value: &str) -> String {
    if value.is_empty() {
        return address.to_owned();
    }
    let sign = if address.contains('?') { '&' } else { '?' };
    let value: String = byte_serialize(value.as_bytes()).collect();
    format!("{address}{sign}{name}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    #[test]
    fn address_of_a_place_asks_for_it_and_nothing_else() {
        let places = Places { rest: "/net-cost?currency=USD".to_owned(), period: "2026-Q3".to_owned() };
        let node = Node::from_levels([Some("Retail"), Some("A/B & C"), None, None]).unwrap();
        let address = places.node(Some(&node));
        let filter = Filter::parse(address.split_once('?').unwrap().1).unwrap();
        assert_eq!(filter.node, Some(node));
        assert_eq!((filter.stated("period"), filter.stated("currency")), (Some("2026-Q3"), Some("USD")));
        let months: Vec<String> = places.months(None, &["2026-09".parse().unwrap()]).collect();
        assert_eq!(months, ["/net-cost?currency=USD&period=2026-09"]);
    }
}
