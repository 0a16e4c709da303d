//! The conditions of all rules on one attribute, and which of them a value meets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::sets::RuleBits;

/// Patterns that are tried one by one; more are found by what stands in a value.
const FEW: usize = 16;
/// What is looked for of a longer piece of a pattern: so many bytes of its beginning or of its end.
const LOOKED_FOR: usize = 64;

/// The conditions of all rules on one attribute.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    /// Rules that any value will do for.
    any: Vec<u32>,
    /// Rules by the exact value they want.
    exact: HashMap<String, Vec<u32>>,
    /// Rules by the pattern they want.
    patterns: Vec<(String, Vec<u32>)>,
    literals: Option<Literals>,
}

/// Finds the patterns that a value may match: those of which it holds a piece.
#[derive(Debug, Clone)]
struct Literals {
    automaton: AhoCorasick,
    /// By literal of the automaton.
    patterns: Vec<Vec<usize>>,
}

impl Conditions {
    /// Of the wanted values and their rules; `None` for a value that must be there.
    pub(super) fn new(wanted: Vec<(Option<&str>, u32)>) -> Self {
        let mut conditions = Self::default();
        let mut patterns: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (value, rule) in wanted {
            match value {
                Some(text) if !text.contains('*') => conditions.exact.entry(text.to_owned()).or_default().push(rule),
                Some(text) if text.bytes().any(|byte| byte != b'*') => patterns.entry(text).or_default().push(rule),
                _ => conditions.any.push(rule),
            }
        }
        conditions.literals = Literals::new(&patterns.keys().copied().collect::<Vec<_>>());
        conditions.patterns = patterns.into_iter().map(|(pattern, rules)| (pattern.to_owned(), rules)).collect();
        conditions
    }

    /// True where no rule has any.
    pub(super) fn are_none(&self) -> bool {
        self.any.is_empty() && self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Adds the rules whose condition `value` meets.
    pub(super) fn candidates(&self, value: &str, candidates: &mut RuleBits) {
        let mut add = |rules: &[u32]| rules.iter().for_each(|rule| candidates.insert(*rule));
        add(&self.any);
        add(self.exact.get(value).map_or(&[], Vec::as_slice));
        let mut try_out = |(pattern, rules): &(String, Vec<u32>)| {
            if matches(pattern, value) {
                add(rules);
            }
        };
        match &self.literals {
            None => self.patterns.iter().for_each(try_out),
            Some(literals) => {
                literals.of(value, |pattern| self.patterns.get(pattern).into_iter().for_each(&mut try_out));
            }
        }
    }
}

impl Literals {
    /// `None` where it is as well to try each of the `patterns`, by position.
    fn new(patterns: &[&str]) -> Option<Self> {
        if patterns.len() <= FEW {
            return None;
        }
        let mut sharing: HashMap<&[u8], usize> = HashMap::new();
        for literal in patterns.iter().flat_map(|pattern| literals(pattern)) {
            *sharing.entry(literal).or_default() += 1;
        }
        let mut by_literal: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (position, pattern) in patterns.iter().enumerate() {
            // The one that tells most: fewest patterns have it.
            let shared = |literal: &&[u8]| (sharing.get(literal).copied(), Reverse(literal.len()));
            by_literal.entry(literals(pattern).min_by_key(shared)?).or_default().push(position);
        }
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(by_literal.keys());
        Some(Self { automaton: automaton.ok()?, patterns: by_literal.into_values().collect() })
    }

    /// Visits the patterns of the literals that `value` holds, each once.
    fn of(&self, value: &str, mut visit: impl FnMut(usize)) {
        let mut seen = vec![false; self.patterns.len()];
        for found in self.automaton.find_overlapping_iter(value) {
            let literal = found.pattern().as_usize();
            let is_known = seen.get_mut(literal).is_none_or(|seen| std::mem::replace(seen, true));
            let patterns = self.patterns.get(literal).filter(|_| !is_known);
            patterns.into_iter().flatten().for_each(|pattern| visit(*pattern));
        }
    }
}

/// What a value that matches `pattern` surely holds.
fn literals(pattern: &str) -> impl Iterator<Item = &[u8]> {
    let pieces = pattern.split('*').map(str::as_bytes).filter(|piece| !piece.is_empty());
    pieces.flat_map(|piece| {
        let first = piece.first_chunk::<LOOKED_FOR>().map_or(piece, |chunk| chunk);
        [first, piece.last_chunk::<LOOKED_FOR>().map_or(piece, |chunk| chunk)]
    })
}

/// Whole value, case-sensitive, `*` for any text.
fn matches(pattern: &str, value: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == value };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut value) = value.strip_prefix(head).and_then(|value| value.strip_suffix(tail)) else { return false };
    middle.split('*').all(|piece| match value.split_once(piece) {
        Some((_, after)) => {
            value = after;
            true
        }
        None => false,
    })
}
