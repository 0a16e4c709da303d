//! Sets of rules, by their positions in the order they are tried.

use std::sync::Arc;

/// Rules of one word.
const PER_WORD: u32 = u64::BITS;

/// One bit per rule.
#[derive(Debug, Clone)]
pub(super) struct RuleBits(Vec<u64>);

impl RuleBits {
    /// None of so many rules.
    pub(super) fn none_of(rules: usize) -> Self {
        Self(vec![0; rules.div_ceil(PER_WORD as usize)])
    }

    pub(super) fn insert(&mut self, rule: u32) {
        if let Some(word) = self.0.get_mut((rule / PER_WORD) as usize) {
            *word |= 1 << (rule % PER_WORD);
        }
    }

    /// Adds all rules of a set.
    pub(super) fn extend(&mut self, rules: &RuleSet) {
        for (at, word) in rules.0.iter() {
            if let Some(known) = self.0.get_mut(*at as usize) {
                *known |= word;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// The words of [`RuleBits`] that are not empty, with their places: as small as the rules are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RuleSet(Arc<[(u32, u64)]>);

impl RuleSet {
    /// No rules.
    pub(super) fn none() -> Self {
        Self(Arc::new([]))
    }

    /// These rules up to the first one that is also in `last`.
    pub(super) fn up_to(rules: &RuleBits, last: &RuleBits) -> Self {
        let mut words = Vec::new();
        for (at, (word, last)) in (0..).zip(rules.0.iter().zip(&last.0)) {
            let ends = word & last;
            // All bits up to the lowest of `ends`; without one, all.
            let kept = word & (ends ^ ends.wrapping_sub(1));
            if kept != 0 {
                words.push((at, kept));
            }
            if ends != 0 {
                break;
            }
        }
        Self(words.into())
    }

    /// Bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// The rules that are, for each dimension, in its set or its bits: in order.
pub(super) fn in_all<'a, const N: usize>(
    sets: [&'a RuleSet; N],
    bits: &'a [RuleBits; N],
) -> impl Iterator<Item = u32> + 'a {
    let mut sets = sets.map(|set| set.0.iter().peekable());
    let mut bits = bits.each_ref().map(|bits| bits.0.iter());
    let words = (0..).map_while(move |at| {
        let mut all = u64::MAX;
        for (set, bits) in sets.iter_mut().zip(&mut bits) {
            let (_, word) = set.next_if(|(place, _)| *place == at).copied().unwrap_or_default();
            all &= word | bits.next()?;
        }
        Some((at, all))
    });
    words.flat_map(|(at, word)| ones(word).map(move |bit| at * PER_WORD + bit))
}

/// The places of a word's bits that are set.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < PER_WORD).then_some(bit)
    })
}
