//! The conditions of the cost rules, evaluated on lines.

mod conditions;
mod finder;
mod sets;

use std::collections::BTreeSet;
use std::sync::Arc;

use credit_ledger::BillingPeriod;
use schemas::reference::{KeyedCondition, RuleConditions};

use conditions::Conditions;
pub(crate) use finder::{NO_CANDIDATES, NO_OBJECT, RuleFinder};
use sets::{RuleBits, RuleSet, in_all};

/// A key in AWS's snake form: `user:CostCenter` -> `user_cost_center`.
///
/// `_` before each capital but the first character, other characters to `_`, lower case, repeats collapsed.
pub(crate) fn snake(key: &str) -> String {
    let mut folded = String::with_capacity(key.len() + 4);
    for (index, character) in key.chars().enumerate() {
        if character.is_ascii_uppercase() && index > 0 {
            folded.push('_');
        }
        let kept = if character.is_alphanumeric() { character } else { '_' };
        folded.extend(kept.to_lowercase());
    }
    let mut collapsed = String::with_capacity(folded.len());
    for character in folded.chars() {
        if character != '_' || !collapsed.ends_with('_') {
            collapsed.push(character);
        }
    }
    collapsed
}

/// A tag key as rules and exports agree on: FOCUS spells it without `user_`.
pub(crate) fn tag_key(key: &str) -> String {
    let folded = snake(key);
    folded.strip_prefix("user_").map(str::to_owned).unwrap_or(folded)
}

/// All rules, ready to match, in the order they are tried.
///
/// Each value of a line has *candidates*: the rules with a condition that the value meets. Candidates depend
/// on one value, so they are worked out once per dictionary entry; the first rule depends on the candidates alone, so it is
/// worked out once per combination of them (`RuleFinder`).
#[derive(Debug, Clone)]
pub(crate) struct RuleMatcher {
    rules: Vec<InForce>,
    /// By attribute.
    conditions: Vec<Conditions>,
    /// By dimension: the rules without a condition there.
    free: [RuleBits; DIMENSIONS],
    /// The rules of one condition, in force in all periods: no later one gets a line that meets it.
    final_rules: RuleBits,
    tag_keys: Arc<[String]>,
    category_keys: Arc<[String]>,
}

/// What rules look at on a line, by position: the fixed attributes, then the wanted tag keys, then the wanted cost
/// category keys.
pub(crate) mod attribute {
    pub(crate) const PAYER: usize = 0;
    pub(crate) const ACCOUNT: usize = 1;
    pub(crate) const SERVICE: usize = 2;
    pub(crate) const REGION: usize = 3;
    pub(crate) const FIRST_KEYED: usize = 4;
}

/// A rule has at most one condition in each dimension: the fixed attributes, tags, cost categories.
pub(crate) const DIMENSIONS: usize = attribute::FIRST_KEYED + 2;

/// A rule's id, and its billing periods.
#[derive(Debug, Clone)]
struct InForce {
    rule_id: String,
    from_period: Option<BillingPeriod>,
    to_period: Option<BillingPeriod>,
}

impl InForce {
    fn is_in(&self, period: BillingPeriod) -> bool {
        self.from_period.is_none_or(|from| from <= period) && self.to_period.is_none_or(|to| period <= to)
    }
}

impl RuleMatcher {
    /// Compiles the conditions of `rules`.
    #[must_use]
    pub(crate) fn new(rules: &[(String, RuleConditions)]) -> Self {
        let keys = |pick: fn(&RuleConditions) -> Option<&KeyedCondition>, fold: fn(&str) -> String| {
            let keys: BTreeSet<String> =
                rules.iter().filter_map(|(_, conditions)| pick(conditions)).map(|keyed| fold(&keyed.key)).collect();
            keys.into_iter().collect()
        };
        let none = RuleBits::none_of(rules.len());
        let mut matcher = Self {
            rules: Vec::new(),
            conditions: Vec::new(),
            free: std::array::from_fn(|_| none.clone()),
            final_rules: none,
            tag_keys: keys(|conditions| conditions.tag.as_ref(), tag_key),
            category_keys: keys(|conditions| conditions.cost_category.as_ref(), snake),
        };
        let mut wanted = vec![Vec::new(); matcher.first_category() + matcher.category_keys.len()];
        for (position, (rule_id, rule)) in (0..).zip(rules) {
            let conditions = matcher.conditions_of(rule);
            for (free, condition) in matcher.free.iter_mut().zip(conditions) {
                match condition.and_then(|(attribute, value)| Some((wanted.get_mut(attribute)?, value))) {
                    Some((wanted, value)) => wanted.push((value, position)),
                    None => free.insert(position),
                }
            }
            let (from_period, to_period) = (rule.from_period, rule.to_period);
            if conditions.iter().flatten().count() == 1 && from_period.is_none() && to_period.is_none() {
                matcher.final_rules.insert(position);
            }
            matcher.rules.push(InForce { rule_id: rule_id.clone(), from_period, to_period });
        }
        matcher.conditions = wanted.into_iter().map(Conditions::new).collect();
        matcher
    }

    /// The conditions of one rule by dimension: attribute and wanted value, `None` for any.
    fn conditions_of<'r>(&self, conditions: &'r RuleConditions) -> [Option<(usize, Option<&'r str>)>; DIMENSIONS] {
        let fixed = |attribute, value: &'r Option<String>| Some((attribute, Some(value.as_deref()?)));
        let keyed = |condition: &'r Option<KeyedCondition>, first, keys: &[String], fold: fn(&str) -> String| {
            let condition = condition.as_ref()?;
            Some((first + position_of(keys, &fold(&condition.key))?, condition.value.as_deref()))
        };
        [
            fixed(attribute::PAYER, &conditions.payer_account_id),
            fixed(attribute::ACCOUNT, &conditions.account_id),
            fixed(attribute::SERVICE, &conditions.service),
            fixed(attribute::REGION, &conditions.region),
            keyed(&conditions.tag, attribute::FIRST_KEYED, &self.tag_keys, tag_key),
            keyed(&conditions.cost_category, self.first_category(), &self.category_keys, snake),
        ]
    }

    /// The tag keys that any rule looks at, folded, in order.
    pub(crate) fn tag_keys(&self) -> &Arc<[String]> {
        &self.tag_keys
    }

    /// The cost category keys that any rule looks at, folded, in order.
    pub(crate) fn category_keys(&self) -> &Arc<[String]> {
        &self.category_keys
    }

    /// Attribute of the first cost category key.
    pub(crate) fn first_category(&self) -> usize {
        attribute::FIRST_KEYED + self.tag_keys.len()
    }

    /// True if any rule looks at the region.
    pub(crate) fn needs_region(&self) -> bool {
        self.conditions.get(attribute::REGION).is_some_and(|region| !region.are_none())
    }

    /// Id of the rule at a position.
    pub(crate) fn rule_id(&self, position: u32) -> Option<&str> {
        self.rules.get(position as usize).map(|rule| rule.rule_id.as_str())
    }

    /// The candidates of a value of an attribute, as far as any of them may be the first.
    fn candidates(&self, attribute: usize, value: &str, scratch: &mut RuleBits) -> RuleSet {
        scratch.clear();
        if let Some(conditions) = self.conditions.get(attribute) {
            conditions.candidates(value, scratch);
        }
        RuleSet::up_to(scratch, &self.final_rules)
    }

    /// The first rule that takes a line of `period` with these candidates by dimension.
    fn first_match(&self, period: BillingPeriod, candidates: [&RuleSet; DIMENSIONS]) -> Option<u32> {
        let is_in_force = |rule: &u32| self.rules.get(*rule as usize).is_some_and(|rule| rule.is_in(period));
        in_all(candidates, &self.free).find(is_in_force)
    }
}

/// The place of a key among those that rules look at.
pub(crate) fn position_of(keys: &[String], key: &str) -> Option<usize> {
    keys.binary_search_by(|known| known.as_str().cmp(key)).ok()
}

#[cfg(test)]
mod tests;
