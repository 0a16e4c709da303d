//! What a page shows, as its address says: so a link shows what its sender saw.

use std::collections::BTreeMap;

use application::foreign_text::{CELL, visible};
use application::{Failure, Kind, typed};
use credit_ledger::{Node, Periods};
use form_urlencoded::Serializer;

/// Filters and choices of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `period=2026-09`, `2026-Q3`, `2026`, `2026-05..2026-09`.
    pub(crate) periods: Option<Periods>,
    /// `node=Retail/Online`: at this node and below it.
    pub(crate) node: Option<Node>,
    /// `status=active`.
    pub(crate) status: Option<String>,
    /// `currency=USD`.
    pub(crate) currency: Option<String>,
    /// `q=`: what keys, names, accounts or references hold.
    pub(crate) search: Option<String>,
    /// `sort=-remaining`.
    pub(crate) sort: Option<String>,
    /// All of the address, as it stands.
    stated: BTreeMap<String, String>,
}

/// What every page understands. Another name is an error: a filter that is not applied would show too much.
const KNOWN: &[&str] = &[
    "period", "node", "status", "currency", "q", "sort", "table", "download", "account", "service", "sql", "depth",
    "done", "end",
];

impl Filter {
    /// The filters of an address.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is none, and a value that cannot be read.
    pub(crate) fn parse(query: &str) -> Result<Self, Failure> {
        let mut stated = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !KNOWN.contains(&name.as_ref()) {
                let name = visible(&name, CELL);
                let message = format!("{name} is no filter of this page; there are {}", KNOWN.join(", "));
                return Err(Failure::new(Kind::Usage, message));
            }
            let value = value.trim();
            if !value.is_empty() && stated.insert(name.to_string(), value.to_owned()).is_some() {
                return Err(Failure::new(Kind::Usage, format!("{name} is in the address twice; give one")));
            }
        }
        let text = |name: &str| stated.get(name).cloned();
        let wrong = |name: &str, why: String| Failure::new(Kind::Usage, format!("{name}: {why}"));
        let periods =
            text("period").map(|text| text.parse::<Periods>().map_err(|error| wrong("period", error.to_string())));
        let node = text("node").map(|text| typed::node(&text).map_err(|error| wrong("node", error)));
        Ok(Self {
            periods: periods.transpose()?,
            node: node.transpose()?,
            status: text("status"),
            currency: text("currency").map(|code| code.to_uppercase()),
            search: text("q"),
            sort: text("sort"),
            stated,
        })
    }

    /// The same at a node, as if the address said so.
    pub(crate) fn at(mut self, node: Node) -> Self {
        self.stated.insert("node".to_owned(), node.to_string());
        self.node = Some(node);
        self
    }

    /// What the address says under a name.
    pub(crate) fn stated(&self, name: &str) -> Option<&str> {
        self.stated.get(name).map(String::as_str)
    }

    /// An address at `path` with these filters but for those that are stated here; an empty value leaves one out.
    pub(crate) fn address(&self, path: &str, other: &[(&str, &str)]) -> String {
        let mut all: BTreeMap<&str, &str> =
            self.stated.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.remove("done");
        all.extend(other.iter().copied());
        all.retain(|_, value| !value.is_empty());
        if all.is_empty() {
            return path.to_owned();
        }
        format!("{path}?{}", Serializer::new(String::new()).extend_pairs(all).finish())
    }

    /// As [`address`](Self::address), for another page: only what all pages understand stays.
    pub(crate) fn elsewhere(&self, path: &str, other: &[(&str, &str)]) -> String {
        self.kept(&["period", "node", "currency"]).address(path, other)
    }

    fn kept(&self, names: &[&str]) -> Self {
        let kept = self.stated.iter().filter(|(name, _)| names.contains(&name.as_str()));
        Self { stated: kept.map(|(name, value)| (name.clone(), value.clone())).collect(), ..Self::default() }
    }

    /// The filters that are set, and that are not among those that apply.
    pub(crate) fn ignored(&self, applied: &[&str]) -> Vec<&str> {
        let choices = ["sort", "table", "download", "done"];
        let names = self.stated.keys().map(String::as_str);
        names.filter(|name| !choices.contains(name) && !applied.contains(name)).collect()
    }

    /// True where one of the texts holds what is searched for, whatever the case; or where nothing is.
    pub(crate) fn finds<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let Some(search) = &self.search else { return true };
        let search = search.to_lowercase();
        texts.into_iter().any(|text| text.to_lowercase().contains(&search))
    }

    /// True for the currency that is asked for, or where none is.
    pub(crate) fn takes_currency(&self, currency: &str) -> bool {
        self.currency.as_deref().is_none_or(|wanted| wanted == currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_says_what_is_shown_and_comes_back_the_same() {
        let query = "currency=USD&node=Retail%2F%22A%2FB+Testing%22&period=2026-Q3&sort=-remaining";
        let filter = Filter::parse(query).unwrap();
        assert_eq!(filter.node.as_ref().unwrap().to_string(), "Retail/\"A/B Testing\"");
        assert_eq!(filter.periods.unwrap().last().to_string(), "2026-09");
        assert_eq!(filter.address("/credits", &[]), format!("/credits?{query}"));
        assert_eq!(filter.address("/", &[("sort", ""), ("node", "")]), "/?currency=USD&period=2026-Q3");
        assert_eq!(filter.elsewhere("/queue", &[("node", "")]), "/queue?currency=USD&period=2026-Q3");
        assert_eq!(Filter::parse("period=&node=").unwrap(), Filter::default());
    }

    #[test]
    fn what_cannot_be_applied_is_an_error_by_name() {
        for (query, said) in [
            ("perod=2026", "perod is no filter of this page"),
            ("period=2026-13", "period: \"2026-13\" names no billing periods"),
            ("node=Retail//Shop", "node: has an empty level"),
            ("status=active&status=expired", "status is in the address twice"),
            ("%1b%5b2J=1", "\\u{1b}[2J is no filter"),
        ] {
            let failure = Filter::parse(query).unwrap_err();
            assert!(failure.to_string().contains(said), "{failure}");
        }
    }

    #[test]
    fn spaces_and_empty_values_are_nothing_and_a_currency_is_in_capitals() {
        let filter = Filter::parse("currency=+usd+&q=++&status=").unwrap();
        assert_eq!(filter.currency.as_deref(), Some("USD"));
        assert_eq!((&filter.search, &filter.status), (&None, &None));
        assert!(filter.takes_currency("USD") && !filter.takes_currency("EUR"));
        assert!(filter.finds(["anything"]) && Filter::default().takes_currency("EUR"));
    }

    #[test]
    fn search_finds_part_of_any_text_whatever_its_case() {
        let filter = Filter::parse("q=Größe+7").unwrap();
        assert!(filter.finds(["MAP", "xGRÖSSE GRÖßE 7"]));
        assert!(!filter.finds(["Größe", "7"]), "not part of one and part of another");
        assert!(!filter.finds([]));
    }

    #[test]
    fn what_was_just_recorded_is_said_once_and_no_file_is_linked_to_again() {
        let filter = Filter::parse("done=recorded&status=active&node=Retail&sort=used&depth=2").unwrap();
        assert_eq!(filter.address("/credits", &[]), "/credits?depth=2&node=Retail&sort=used&status=active");
        assert_eq!(filter.elsewhere("/queue", &[("q", "a&b")]), "/queue?node=Retail&q=a%26b");
        assert_eq!(filter.ignored(&["node"]), ["depth", "status"]);
    }

    #[test]
    fn somebody_who_names_no_node_looks_at_their_own() {
        let own = Filter::parse("period=2026").unwrap().at(typed::node("Retail/\"A/B\"").unwrap());
        assert_eq!(own.address("/", &[]), "/?node=Retail%2F%22A%2FB%22&period=2026");
        assert_eq!(own.stated("node"), Some("Retail/\"A/B\""));
    }
}
