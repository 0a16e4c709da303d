//! The conditions of the cost rules, evaluated on lines.

use std::collections::BTreeSet;

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

/// What rules look at on a line; `None` where the line has no value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineAttributes<'a> {
    pub(crate) period: BillingPeriod,
    pub(crate) payer_account_id: &'a str,
    pub(crate) account_id: &'a str,
    pub(crate) service: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    /// By position in [`RuleMatcher::tag_keys`].
    pub(crate) tags: &'a [Option<&'a str>],
    /// By position in [`RuleMatcher::category_keys`].
    pub(crate) categories: &'a [Option<&'a str>],
}

/// All rules, ready to match, in the order they are tried.
#[derive(Debug, Clone)]
pub struct RuleMatcher {
    rules: Vec<CompiledRule>,
    tag_keys: Vec<String>,
    category_keys: Vec<String>,
    needs_region: bool,
}

#[derive(Debug, Clone)]
struct CompiledRule {
    rule_id: String,
    payer: Option<Pattern>,
    account: Option<Pattern>,
    service: Option<Pattern>,
    region: Option<Pattern>,
    tag: Option<(usize, Pattern)>,
    category: Option<(usize, Pattern)>,
    from_period: Option<BillingPeriod>,
    to_period: Option<BillingPeriod>,
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

    fn matches(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| match self {
            Self::Present => true,
            Self::Exactly(text) => text == value,
            Self::Like(regex) => regex.is_match(value),
        })
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
        let tag_keys = keys(|conditions| conditions.tag.as_ref(), tag_key);
        let category_keys = keys(|conditions| conditions.cost_category.as_ref(), snake);
        let rules: Vec<CompiledRule> = rules
            .iter()
            .map(|rule| {
                let conditions = &rule.conditions;
                let pattern = |text: &Option<String>| text.as_deref().map(Pattern::new);
                let keyed = |condition: &Option<KeyedCondition>, keys: &[String], fold: fn(&str) -> String| {
                    let condition = condition.as_ref()?;
                    let position = keys.iter().position(|key| *key == fold(&condition.key))?;
                    Some((position, condition.value.as_deref().map_or(Pattern::Present, Pattern::new)))
                };
                CompiledRule {
                    rule_id: rule.rule_id.clone(),
                    payer: pattern(&conditions.payer_account_id),
                    account: pattern(&conditions.account_id),
                    service: pattern(&conditions.service),
                    region: pattern(&conditions.region),
                    tag: keyed(&conditions.tag, &tag_keys, tag_key),
                    category: keyed(&conditions.cost_category, &category_keys, snake),
                    from_period: conditions.from_period,
                    to_period: conditions.to_period,
                }
            })
            .collect();
        let needs_region = rules.iter().any(|rule| rule.region.is_some());
        Self { rules, tag_keys, category_keys, needs_region }
    }

    /// The tag keys that any rule looks at, folded.
    pub(crate) fn tag_keys(&self) -> &[String] {
        &self.tag_keys
    }

    /// The cost category keys that any rule looks at, folded.
    pub(crate) fn category_keys(&self) -> &[String] {
        &self.category_keys
    }

    /// True if any rule looks at the region.
    pub(crate) const fn needs_region(&self) -> bool {
        self.needs_region
    }

    /// The first rule that takes the line, by position.
    pub(crate) fn first_match(&self, line: &LineAttributes<'_>) -> Option<usize> {
        self.rules.iter().position(|rule| rule.takes(line))
    }

    /// Id of the rule at a position.
    pub(crate) fn rule_id(&self, position: usize) -> Option<&str> {
        self.rules.get(position).map(|rule| rule.rule_id.as_str())
    }
}

impl CompiledRule {
    fn takes(&self, line: &LineAttributes<'_>) -> bool {
        let plain = [
            (&self.payer, Some(line.payer_account_id)),
            (&self.account, Some(line.account_id)),
            (&self.service, line.service),
            (&self.region, line.region),
        ];
        let keyed = [(&self.tag, line.tags), (&self.category, line.categories)];
        self.from_period.is_none_or(|from| from <= line.period)
            && self.to_period.is_none_or(|to| line.period <= to)
            && plain.iter().all(|(pattern, value)| pattern.as_ref().is_none_or(|pattern| pattern.matches(*value)))
            && keyed.iter().all(|(condition, values)| {
                condition
                    .as_ref()
                    .is_none_or(|(position, pattern)| pattern.matches(values.get(*position).copied().flatten()))
            })
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
        assert!(Pattern::new("web-*").matches(Some("web-17\nx")));
        assert!(!Pattern::new("web-*").matches(Some("a web-17")));
        assert!(Pattern::new("*.x*y").matches(Some("a.xy")));
        assert!(!Pattern::new("*.x*y").matches(Some("axxy")));
        assert!(!Pattern::new("Web").matches(Some("web")));
        assert!(!Pattern::new("*").matches(None));
    }
}
