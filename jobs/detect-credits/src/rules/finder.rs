//! The first rule of line after line.

use credit_ledger::BillingPeriod;
use hashbrown::{Equivalent, HashMap};

use super::sets::{RuleBits, RuleSet};
use super::{DIMENSIONS, RuleMatcher};

/// The candidates of a value that no rule wants.
pub(crate) const NO_CANDIDATES: u32 = 0;
/// Stands in place of the candidates of a line with a text that is no JSON object.
pub(crate) const NO_OBJECT: u32 = u32::MAX;

/// Combinations remembered. Forgotten when they grow many: they are worked out again.
const COMBINATIONS: usize = 65_536;
/// Bytes of candidates after which all are forgotten: they are worked out again.
const MOST_BYTES: usize = 32 << 20;

/// Finds the first rule of lines by the candidates of their values, and remembers it. Sets of candidates have numbers: equal
/// ones share one.
#[derive(Debug)]
pub(crate) struct RuleFinder {
    /// By number.
    candidates: Vec<RuleSet>,
    numbers: HashMap<RuleSet, u32>,
    /// By attribute and value.
    of_values: HashMap<(usize, Box<str>), u32>,
    /// By the candidates that are taken together.
    of_several: HashMap<Box<[u32]>, u32>,
    /// By period and candidates.
    found: HashMap<(BillingPeriod, [u32; DIMENSIONS]), Option<u32>>,
    /// Bytes of all that but `found`.
    bytes: usize,
    scratch: RuleBits,
    together: Vec<u32>,
}

#[derive(Hash)]
struct Value<'a>(usize, &'a str);

impl Equivalent<(usize, Box<str>)> for Value<'_> {
    fn equivalent(&self, (attribute, value): &(usize, Box<str>)) -> bool {
        self.0 == *attribute && *self.1 == **value
    }
}

impl RuleFinder {
    pub(crate) fn new(rules: &RuleMatcher) -> Self {
        let nothing = RuleSet::none();
        Self {
            candidates: vec![nothing.clone()],
            numbers: HashMap::from_iter([(nothing, NO_CANDIDATES)]),
            of_values: HashMap::new(),
            of_several: HashMap::new(),
            found: HashMap::new(),
            bytes: 0,
            scratch: RuleBits::none_of(rules.rules.len()),
            together: Vec::new(),
        }
    }

    /// True when it holds so much that it should be made anew; nobody may use its numbers after that.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }

    /// The number of the candidates of `value` as `attribute`.
    pub(crate) fn candidate_rules(&mut self, rules: &RuleMatcher, attribute: usize, value: &str) -> u32 {
        if let Some(number) = self.of_values.get(&Value(attribute, value)) {
            return *number;
        }
        let candidates = rules.candidates(attribute, value, &mut self.scratch);
        let number = self.number(candidates);
        self.bytes += size_of::<(usize, Box<str>, u32)>() + value.len();
        self.of_values.insert((attribute, value.into()), number);
        number
    }

    /// The number of the candidates of several keys together. `found` holds, per value, the place of its key among the wanted
    /// ones and its candidates. Of one key the last value counts; a text that is no JSON object is kept to be reported.
    pub(crate) fn together(&mut self, rules: &RuleMatcher, found: &mut [(usize, u32)]) -> u32 {
        if let [] | [_] = found[..] {
            return found.first().map_or(NO_CANDIDATES, |(_, candidates)| *candidates);
        }
        if found.iter().any(|(_, candidates)| *candidates == NO_OBJECT) {
            return NO_OBJECT;
        }
        // Stable: the last of each key stays the last.
        found.sort_by_key(|(key, _)| *key);
        self.together.clear();
        let last_of_keys = found.chunk_by(|(left, _), (right, _)| left == right).filter_map(<[_]>::last);
        self.together
            .extend(last_of_keys.map(|(_, candidates)| candidates).filter(|candidates| **candidates != NO_CANDIDATES));
        self.together.sort_unstable();
        self.together.dedup();
        if let [] | [_] = self.together[..] {
            return self.together.first().copied().unwrap_or(NO_CANDIDATES);
        }
        if let Some(number) = self.of_several.get(&self.together[..]) {
            return *number;
        }
        self.scratch.clear();
        for number in &self.together {
            if let Some(candidates) = self.candidates.get(*number as usize) {
                self.scratch.extend(candidates);
            }
        }
        let number = self.number(RuleSet::up_to(&self.scratch, &rules.final_rules));
        self.bytes += size_of::<(Box<[u32]>, u32)>() + size_of_val(&self.together[..]);
        self.of_several.insert(self.together[..].into(), number);
        number
    }

    fn number(&mut self, candidates: RuleSet) -> u32 {
        if let Some(number) = self.numbers.get(&candidates) {
            return *number;
        }
        let number = u32::try_from(self.candidates.len()).unwrap_or(NO_OBJECT);
        self.bytes += 2 * size_of::<(RuleSet, u32)>() + candidates.bytes();
        self.candidates.push(candidates.clone());
        self.numbers.insert(candidates, number);
        number
    }

    /// Position of the first rule for a line of `period` with these candidates by dimension.
    pub(crate) fn first_match(
        &mut self,
        rules: &RuleMatcher,
        period: BillingPeriod,
        line: [u32; DIMENSIONS],
    ) -> Option<u32> {
        if let Some(found) = self.found.get(&(period, line)) {
            return *found;
        }
        let [nothing, ..] = &self.candidates[..] else { return None };
        let found =
            rules.first_match(period, line.map(|number| self.candidates.get(number as usize).unwrap_or(nothing)));
        if self.found.len() >= COMBINATIONS {
            self.found.clear();
        }
        self.found.insert((period, line), found);
        found
    }
}
