//! Rules beside what the export has.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Quoted};
use lake::{InputDigest, LakeError};
use schemas::reference::{CostRule, CostRules, KeyedCondition, RuleConditions};
use schemas::tables::{RuleRead, RuleSpend};

use crate::check_names::near;
use crate::finding::{Finding, Kind, Severity};

/// Digits of an account id.
const DIGITS: usize = 12;

/// So many values that the export does not have are compared with all that it has.
const COMPARED: usize = 100;

/// What the export has.
#[derive(Debug, Default)]
pub(crate) struct Known<'a> {
    periods: BTreeSet<BillingPeriod>,
    payers: BTreeSet<&'a str>,
    accounts: BTreeSet<&'a str>,
    services: BTreeSet<&'a str>,
    took: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    pub(crate) fn of(spend: &'a BTreeMap<BillingPeriod, Vec<RuleSpend>>) -> Self {
        let mut known = Self { periods: spend.keys().copied().collect(), ..Self::default() };
        for row in spend.values().flatten() {
            known.payers.insert(&row.payer_account_id);
            known.accounts.insert(&row.account_id);
            known.services.extend(row.service.as_deref());
            known.took.extend(row.rule_id.as_deref());
        }
        known
    }

    pub(crate) fn damaged_accounts(&self) -> impl Iterator<Item = Finding> {
        let is_whole = |id: &&&str| id.len() == DIGITS || id.bytes().any(|byte| !byte.is_ascii_digit());
        let damaged: BTreeSet<&str> = self.accounts.union(&self.payers).filter(|id| !is_whole(id)).copied().collect();
        damaged.into_iter().map(|id| {
            let message = format!("has {} digits where an account id has {DIGITS}", id.len());
            Finding::new(Severity::Warning, Kind::DamagedAccount, id, message)
        })
    }
}

/// The rules that the spend of a run is read with.
pub(crate) fn read_with(rules: &CostRules) -> Result<Vec<RuleRead>, LakeError> {
    let rows = rules.iter().map(|rule| {
        let digest = InputDigest::named("rule").with("priority", &rule.priority)?;
        let conditions = digest.with("conditions", &rule.conditions)?.finish().into();
        Ok(RuleRead { rule_id: rule.rule_id.as_str().into(), conditions })
    });
    let mut rows = rows.collect::<Result<Vec<_>, LakeError>>()?;
    rows.sort_by(|left, right| left.rule_id.cmp(&right.rule_id));
    Ok(rows)
}

/// Rules that took nothing, with the reason as far as it can be told.
pub(crate) fn rules(rules: &CostRules, read: &[RuleRead], known: &Known<'_>) -> Result<Vec<Finding>, LakeError> {
    let read: BTreeSet<(&str, &str)> = read.iter().map(|rule| (&*rule.rule_id, &*rule.conditions)).collect();
    let now = read_with(rules)?;
    let unread: BTreeSet<&str> = now
        .iter()
        .filter(|rule| !read.is_empty() && !read.contains(&(&*rule.rule_id, &*rule.conditions)))
        .map(|rule| &*rule.rule_id)
        .collect();
    let in_order: Vec<&CostRule> = rules.iter().collect();
    let (mut findings, mut compared) = (Vec::new(), 0);
    for (place, rule) in in_order.iter().enumerate() {
        if unread.contains(&*rule.rule_id) {
            let message = "is new or has changed since the last run; `run` says what it takes";
            findings.push(Finding::new(Severity::Note, Kind::UnmatchedRule, &rule.rule_id, message));
            continue;
        }
        if known.took.contains(&*rule.rule_id) || known.periods.is_empty() {
            continue;
        }
        if let Some(message) = out_of_season(&rule.conditions, known) {
            findings.push(Finding::new(Severity::Note, Kind::UnmatchedRule, &rule.rule_id, message));
            continue;
        }
        let unknown = unknown_values(rule, known, &mut compared);
        if unknown.is_empty() {
            let earlier = in_order.iter().take(place).find(|earlier| covers(&earlier.conditions, &rule.conditions));
            let message =
                earlier.map(|earlier| format!("rule {} comes first and takes all that it could", earlier.rule_id));
            findings.push(Finding::new(
                Severity::Warning,
                Kind::UnmatchedRule,
                &rule.rule_id,
                message.unwrap_or_default(),
            ));
        }
        findings.extend(unknown);
    }
    Ok(findings)
}

/// Why a rule cannot match in any period that was read.
fn out_of_season(conditions: &RuleConditions, known: &Known<'_>) -> Option<String> {
    let (first, last) = (known.periods.first()?, known.periods.last()?);
    match (conditions.from_period, conditions.to_period) {
        (Some(from), _) if from > *last => Some(format!("counts from {from} on; the export has lines up to {last}")),
        (_, Some(to)) if to < *first => Some(format!("counts up to {to}; the export has lines from {first} on")),
        _ => None,
    }
}

/// Accounts and services of a rule that the export does not have.
fn unknown_values(rule: &CostRule, known: &Known<'_>, compared: &mut usize) -> Vec<Finding> {
    let conditions = &rule.conditions;
    let values = [
        ("payer account", &conditions.payer_account_id, &known.payers),
        ("account", &conditions.account_id, &known.accounts),
        ("service", &conditions.service, &known.services),
    ];
    let mut findings = Vec::new();
    for (what, value, values) in values {
        let Some(value) = value.as_deref().filter(|value| !value.contains('*') && !values.contains(value)) else {
            continue;
        };
        *compared += 1;
        let near = if *compared > COMPARED { Vec::new() } else { near(value, values.iter().copied()) };
        let near: Vec<String> = near.iter().map(|value| Quoted(value).to_string()).collect();
        let hint = if near.is_empty() { String::new() } else { format!("; it has {}", near.join(" and ")) };
        let message = format!("{what} {} is not in the export{hint}", Quoted(value));
        findings.push(Finding::new(Severity::Warning, Kind::UnknownValue, &rule.rule_id, message));
    }
    findings
}

/// True if every line that `rule` could take meets the conditions of an `earlier` rule too.
fn covers(earlier: &RuleConditions, rule: &RuleConditions) -> bool {
    // By name, so that a new condition is a compile error here.
    let RuleConditions { payer_account_id, account_id, service, region, tag, cost_category, from_period, to_period } =
        earlier;
    covers_text(payer_account_id.as_deref(), rule.payer_account_id.as_deref())
        && covers_text(account_id.as_deref(), rule.account_id.as_deref())
        && covers_text(service.as_deref(), rule.service.as_deref())
        && covers_text(region.as_deref(), rule.region.as_deref())
        && covers_key(tag.as_ref(), rule.tag.as_ref())
        && covers_key(cost_category.as_ref(), rule.cost_category.as_ref())
        && from_period.is_none_or(|from| rule.from_period.is_some_and(|of_rule| from <= of_rule))
        && to_period.is_none_or(|to| rule.to_period.is_some_and(|of_rule| of_rule <= to))
}

/// Equal, or a beginning followed by `*` that the other begins with.
fn covers_text(earlier: Option<&str>, rule: Option<&str>) -> bool {
    match (earlier, rule) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(rule)) => {
            let beginning = earlier.strip_suffix('*').filter(|beginning| !beginning.contains('*'));
            earlier == rule || beginning.is_some_and(|beginning| rule.starts_with(beginning))
        }
    }
}

fn covers_key(earlier: Option<&KeyedCondition>, rule: Option<&KeyedCondition>) -> bool {
    match (earlier, rule) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(rule)) => {
            earlier.key == rule.key && covers_text(earlier.value.as_deref(), rule.value.as_deref())
        }
    }
}
