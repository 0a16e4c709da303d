//! Names that a person takes for one and the program does not.

use std::collections::BTreeMap;

use credit_ledger::Node;
use unicode_normalization::UnicodeNormalization;

use crate::finding::{Finding, Kind, Severity};

/// A name without what a person overlooks: case, blanks, the form of its Unicode characters.
pub(crate) fn folded(name: &str) -> String {
    let one_form: String = name.nfkc().collect::<String>().to_lowercase().nfkc().collect();
    one_form.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Of `names` those that are nearest to one that is not among them, at most two: the same but for what a person
/// overlooks, else at most two slips of the pen away.
pub(crate) fn near<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = folded(name);
    let slips = |other: &str| match folded(other) {
        same if same == wanted => 0,
        other => strsim::damerau_levenshtein(&wanted, &other),
    };
    // Of a short name two letters are most of it.
    let allowed = wanted.chars().count().div_ceil(4).min(2);
    let mut found: Vec<(usize, &str)> = names.into_iter().map(|other| (slips(other), other)).collect();
    found.retain(|(slips, _)| *slips <= allowed);
    found.sort_unstable();
    found.into_iter().take(2).map(|(_, other)| other).collect()
}

/// Nodes beside each other whose names differ by what a person overlooks.
pub(crate) fn similar(nodes: &[&Node]) -> Vec<Finding> {
    let mut alike: BTreeMap<(Option<Node>, String), Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        alike.entry((node.parent(), folded(node.name()))).or_default().push(node);
    }
    let alike = alike.into_values().filter(|nodes| nodes.len() > 1);
    let findings = alike.map(|nodes| {
        let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let message = "differ only by case, blanks or the form of their characters";
        Finding::new(Severity::Warning, Kind::SimilarNodes, names.join(" and "), message)
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_person_takes_for_one_are_folded_to_one() {
        for (left, right) in
            [("Web Shop", "web  shop "), ("Größe", "GRO\u{308}ßE"), ("Ａ１", "a1"), ("a\u{a0}b", "A b"), ("ﬁx", "FIX")]
        {
            assert_eq!(folded(left), folded(right), "{left} {right}");
        }
        assert_ne!(folded("Web-Shop"), folded("Web Shop"));
    }

    #[test]
    fn near_names_are_one_or_two_slips_away() {
        let accounts = ["410000000010", "410000000110", "333344445555"];
        assert_eq!(near("410000000011", accounts), ["410000000010", "410000000110"]);
        assert_eq!(near("999999999999", accounts), Vec::<&str>::new());
        assert_eq!(near("amazonec2", ["AmazonEC2", "AmazonECS"]), ["AmazonEC2", "AmazonECS"]);
        assert_eq!(near("S3", ["EC2", "s3"]), ["s3"]);
    }

    #[test]
    fn only_nodes_beside_each_other_are_alike() {
        let node = |path: &str| {
            let mut names = path.split('/');
            Node::from_levels(std::array::from_fn(|_| names.next())).unwrap()
        };
        let nodes = ["Retail", "retail ", "Retail/Web", "Media/web", "Media"].map(node);
        let found = similar(&nodes.iter().collect::<Vec<_>>());
        assert_eq!(found.iter().map(|finding| finding.subject.as_str()).collect::<Vec<_>>(), ["Retail and retail "]);
    }
}
