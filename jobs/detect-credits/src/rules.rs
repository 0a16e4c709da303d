//! The conditions of the cost rules, evaluated on lines.

use std::collections::{BTreeSet, HashMap};

use credit_ledger::BillingPeriod;
use regex::Regex;
use schemas::reference::{CostRules, KeyedCondition, RuleConditions};

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
/// A line is matched by what each of its attributes *claims*: the rules with a condition on the attribute that its
/// value meets. Claims depend on one value, so they are worked out once per dictionary entry; the first rule depends on
/// the claims alone, so it is worked out once per combination of them (`RuleFinder`).
#[derive(Debug, Clone)]
pub struct RuleMatcher {
    rules: Vec<CompiledRule>,
    /// By attribute.
    conditions: Vec<Conditions>,
    /// Rules without any condition on an attribute.
    unconditional: Vec<u32>,
    tag_keys: Vec<String>,
    category_keys: Vec<String>,
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

#[derive(Debug, Clone)]
struct CompiledRule {
    rule_id: String,
    /// Attributes it has a condition on.
    attributes: Vec<usize>,
    /// The one of them by whose claims it is found: the one the fewest rules share.
    found_by: Option<usize>,
    from_period: Option<BillingPeriod>,
    to_period: Option<BillingPeriod>,
}

/// The conditions of all rules on one attribute.
#[derive(Debug, Clone, Default)]
struct Conditions {
    /// Rules by the exact value they want.
    exact: HashMap<String, Vec<u32>>,
    /// Rules that want any value of a kind.
    patterns: Vec<(Pattern, u32)>,
}

impl Conditions {
    fn add(&mut self, pattern: Pattern, rule: u32) {
        match pattern {
            Pattern::Exactly(text) => self.exact.entry(text).or_default().push(rule),
            other => self.patterns.push((other, rule)),
        }
    }

    /// Rules that compete for the values that meet the condition of `rule`.
    fn competitors(&self, pattern: &Pattern) -> usize {
        match pattern {
            Pattern::Exactly(text) => self.exact.get(text).map_or(0, Vec::len) + self.patterns.len(),
            _ => usize::MAX,
        }
    }

    fn claims(&self, value: &str) -> Vec<u32> {
        let exact = self.exact.get(value).into_iter().flatten();
        let patterns = self.patterns.iter().filter(|(pattern, _)| pattern.matches(value)).map(|(_, rule)| rule);
        let mut claims: Vec<u32> = exact.chain(patterns).copied().collect();
        claims.sort_unstable();
        claims
    }
}

#[derive(Debug, Clone)]
enum Pattern {
    Present,
    Exactly(String),
    Like(Regex),
}

impl Pattern {
    /// Whole value, case-sensitive, `*` for any text. A pattern of escaped text always compiles.
    fn new(text: &str) -> Self {
        if !text.contains('*') {
            return Self::Exactly(text.to_owned());
        }
        let escaped: Vec<String> = text.split('*').map(regex::escape).collect();
        Regex::new(&format!(r"(?s)\A{}\z", escaped.join(".*")))
            .map_or_else(|_| Self::Exactly(text.to_owned()), Self::Like)
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Exactly(text) => text == value,
            Self::Like(regex) => regex.is_match(value),
        }
    }
}

impl RuleMatcher {
    /// Compiles the conditions of `rules`.
    #[must_use]
    pub fn new(rules: &CostRules) -> Self {
        let keys = |pick: fn(&RuleConditions) -> Option<&KeyedCondition>, fold: fn(&str) -> String| {
            let keys: BTreeSet<String> =
                rules.iter().filter_map(|rule| pick(&rule.conditions)).map(|keyed| fold(&keyed.key)).collect();
            keys.into_iter().collect::<Vec<_>>()
        };
        let mut matcher = Self {
            rules: Vec::new(),
            conditions: Vec::new(),
            unconditional: Vec::new(),
            tag_keys: keys(|conditions| conditions.tag.as_ref(), tag_key),
            category_keys: keys(|conditions| conditions.cost_category.as_ref(), snake),
        };
        matcher.conditions.resize(matcher.first_category() + matcher.category_keys.len(), Conditions::default());
        let patterns: Vec<Vec<(usize, Pattern)>> =
            rules.iter().map(|rule| matcher.patterns(&rule.conditions)).collect();
        for (position, patterns) in (0..).zip(&patterns) {
            for (attribute, pattern) in patterns {
                if let Some(conditions) = matcher.conditions.get_mut(*attribute) {
                    conditions.add(pattern.clone(), position);
                }
            }
        }
        for ((position, rule), patterns) in (0..).zip(rules.iter()).zip(&patterns) {
            let competitors = |(attribute, pattern): &&(usize, Pattern)| {
                matcher.conditions.get(*attribute).map_or(0, |conditions| conditions.competitors(pattern))
            };
            let found_by = patterns.iter().min_by_key(competitors).map(|(attribute, _)| *attribute);
            if found_by.is_none() {
                matcher.unconditional.push(position);
            }
            matcher.rules.push(CompiledRule {
                rule_id: rule.rule_id.clone(),
                attributes: patterns.iter().map(|(attribute, _)| *attribute).collect(),
                found_by,
                from_period: rule.conditions.from_period,
                to_period: rule.conditions.to_period,
            });
        }
        matcher
    }

    /// The conditions of one rule by attribute.
    fn patterns(&self, conditions: &RuleConditions) -> Vec<(usize, Pattern)> {
        let plain = [
            (attribute::PAYER, &conditions.payer_account_id),
            (attribute::ACCOUNT, &conditions.account_id),
            (attribute::SERVICE, &conditions.service),
            (attribute::REGION, &conditions.region),
        ];
        let keyed = [
            (attribute::FIRST_KEYED, &conditions.tag, &self.tag_keys, tag_key as fn(&str) -> String),
            (self.first_category(), &conditions.cost_category, &self.category_keys, snake),
        ];
        let plain = plain.into_iter().filter_map(|(at, text)| Some((at, Pattern::new(text.as_deref()?))));
        let keyed = keyed.into_iter().filter_map(|(first, condition, keys, fold)| {
            let condition = condition.as_ref()?;
            let position = keys.iter().position(|key| *key == fold(&condition.key))?;
            Some((first + position, condition.value.as_deref().map_or(Pattern::Present, Pattern::new)))
        });
        plain.chain(keyed).collect()
    }

    /// The tag keys that any rule looks at, folded.
    pub(crate) fn tag_keys(&self) -> &[String] {
        &self.tag_keys
    }

    /// The cost category keys that any rule looks at, folded.
    pub(crate) fn category_keys(&self) -> &[String] {
        &self.category_keys
    }

    /// Attribute of the first cost category key.
    pub(crate) fn first_category(&self) -> usize {
        attribute::FIRST_KEYED + self.tag_keys.len()
    }

    /// True if any rule looks at the region.
    pub(crate) fn needs_region(&self) -> bool {
        self.conditions
            .get(attribute::REGION)
            .is_some_and(|region| !region.exact.is_empty() || !region.patterns.is_empty())
    }

    /// Id of the rule at a position.
    pub(crate) fn rule_id(&self, position: u32) -> Option<&str> {
        self.rules.get(position as usize).map(|rule| rule.rule_id.as_str())
    }

    /// The first rule that takes a line of `period` with these claims by attribute.
    fn first_match(&self, period: BillingPeriod, claims: &[&[u32]]) -> Option<u32> {
        let found = claims.iter().enumerate().flat_map(|(attribute, rules)| {
            rules.iter().filter(move |rule| self.rule(**rule).is_some_and(|rule| rule.found_by == Some(attribute)))
        });
        let candidates = found.chain(&self.unconditional).copied();
        candidates.filter(|rule| self.rule(*rule).is_some_and(|compiled| compiled.takes(*rule, period, claims))).min()
    }

    fn rule(&self, position: u32) -> Option<&CompiledRule> {
        self.rules.get(position as usize)
    }
}

impl CompiledRule {
    fn takes(&self, position: u32, period: BillingPeriod, claims: &[&[u32]]) -> bool {
        self.from_period.is_none_or(|from| from <= period)
            && self.to_period.is_none_or(|to| period <= to)
            && self
                .attributes
                .iter()
                .all(|attribute| claims.get(*attribute).is_some_and(|claims| claims.binary_search(&position).is_ok()))
    }
}

/// The claim of a value that no rule wants.
pub(crate) const NO_CLAIM: u32 = 0;

/// Combinations remembered. Forgotten when they grow many: they are worked out again.
const COMBINATIONS: usize = 65_536;

/// Finds the first rule of line after line.
#[derive(Debug)]
pub(crate) struct RuleFinder {
    /// Claims by number: equal ones share a number.
    claims: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, u32>,
    /// The rule by period and claims.
    found: hashbrown::HashMap<Box<[u32]>, Option<u32>>,
}

impl Default for RuleFinder {
    fn default() -> Self {
        let nothing = Vec::new();
        Self {
            claims: vec![nothing.clone()],
            numbers: HashMap::from([(nothing, NO_CLAIM)]),
            found: hashbrown::HashMap::new(),
        }
    }
}

impl RuleFinder {
    /// The number of what `value` claims as `attribute`.
    pub(crate) fn claim(&mut self, rules: &RuleMatcher, attribute: usize, value: &str) -> u32 {
        let Some(conditions) = rules.conditions.get(attribute) else { return NO_CLAIM };
        let claims = conditions.claims(value);
        if let Some(number) = self.numbers.get(&claims) {
            return *number;
        }
        let number = u32::try_from(self.claims.len()).unwrap_or(u32::MAX);
        self.claims.push(claims.clone());
        self.numbers.insert(claims, number);
        number
    }

    /// Position of the first rule for `line`: the period's number, then the claims by attribute.
    pub(crate) fn first_match(&mut self, rules: &RuleMatcher, period: BillingPeriod, line: &[u32]) -> Option<u32> {
        if let Some(found) = self.found.get(line) {
            return *found;
        }
        let of = |number: &u32| self.claims.get(*number as usize).map_or(&[][..], Vec::as_slice);
        let claims: Vec<&[u32]> = line.iter().skip(1).map(of).collect();
        let found = rules.first_match(period, &claims);
        if self.found.len() >= COMBINATIONS {
            self.found.clear();
        }
        self.found.insert(line.into(), found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fold_to_the_snake_form_of_cur_2() {
        for (key, expected) in [
            ("user:CostCenter", "user_cost_center"),
            ("user_cost_center", "user_cost_center"),
            ("reservation/ReservationARN", "reservation_reservation_a_r_n"),
            ("resourceTags/user:CostCenter", "resource_tags_user_cost_center"),
            ("lineItem/UnblendedCost", "line_item_unblended_cost"),
            ("Charge type", "charge_type"),
            ("Team", "team"),
        ] {
            assert_eq!(snake(key), expected);
        }
        assert_eq!(tag_key("CostCenter"), tag_key("user:CostCenter"));
    }

    #[test]
    fn patterns_match_the_whole_value_case_sensitively() {
        assert!(Pattern::new("web-*").matches("web-17\nx"));
        assert!(!Pattern::new("web-*").matches("a web-17"));
        assert!(Pattern::new("*.x*y").matches("a.xy"));
        assert!(!Pattern::new("*.x*y").matches("axxy"));
        assert!(!Pattern::new("Web").matches("web"));
    }
}
