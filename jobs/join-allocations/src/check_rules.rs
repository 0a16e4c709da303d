//! Rules beside what the export has.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use credit_ledger::{BillingPeriod, Quoted, Text};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use lake::{InputDigest, LakeError};
use schemas::reference::{CostRule, CostRules, KeyedCondition, RuleConditions};
use schemas::tables::RuleRead;

use crate::check_names::near;
use crate::finding::{Finding, Kind, Severity};
use crate::rule_spend::named;

/// Digits of an account id.
const DIGITS: usize = 12;

/// So many values that the export does not have are compared with all that it has.
const COMPARED: usize = 100;

/// What the lines of the export have.
#[derive(Debug, Default)]
pub struct ExportValues {
    periods: BTreeSet<BillingPeriod>,
    payers: BTreeSet<Text>,
    accounts: BTreeSet<Text>,
    services: BTreeSet<Text>,
    /// The rules that took some.
    pub(crate) took: BTreeSet<Text>,
}

impl ExportValues {
    /// Adds a period: [`RuleSpend`] or [`CostLine`](schemas::tables::CostLine) with texts as numbers of dictionary entries.
    pub(crate) async fn add(
        &mut self,
        period: BillingPeriod,
        mut lines: SendableRecordBatchStream,
    ) -> Result<(), LakeError> {
        self.periods.insert(period);
        while let Some(batch) = lines.try_next().await? {
            for (name, known) in [
                ("payer_account_id", &mut self.payers),
                ("account_id", &mut self.accounts),
                ("service", &mut self.services),
                ("rule_id", &mut self.took),
            ] {
                let column = named(&batch, name)?;
                // What a dictionary has, some row has.
                let values = column.as_any_dictionary_opt().map_or(column, |column| column.values());
                let values = cast(values, &DataType::Utf8)?;
                for value in values.as_string::<i32>().iter().flatten() {
                    if !known.contains(value) {
                        known.insert(value.into());
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn damaged_accounts(&self) -> impl Iterator<Item = Finding> {
        let is_whole = |id: &&str| id.len() == DIGITS || id.bytes().any(|byte| !byte.is_ascii_digit());
        let ids = self.accounts.union(&self.payers).map(Text::as_str);
        let damaged: BTreeSet<&str> = ids.filter(|id| !is_whole(id)).collect();
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
pub(crate) fn rules(rules: &CostRules, read: &[RuleRead], known: &ExportValues) -> Result<Vec<Finding>, LakeError> {
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
fn out_of_season(conditions: &RuleConditions, known: &ExportValues) -> Option<String> {
    let (first, last) = (known.periods.first()?, known.periods.last()?);
    match (conditions.from_period, conditions.to_period) {
        (Some(from), _) if from > *last => Some(format!("counts from {from} on; the export has lines up to {last}")),
        (_, Some(to)) if to < *first => Some(format!("counts up to {to}; the export has lines from {first} on")),
        _ => None,
    }
}

/// Accounts and services of a rule that the export does not have.
fn unknown_values(rule: &CostRule, known: &ExportValues, compared: &mut usize) -> Vec<Finding> {
    let conditions = &rule.conditions;
    let values = [
        ("payer account", &conditions.payer_account_id, &known.payers),
        ("account", &conditions.account_id, &known.accounts),
        ("service", &conditions.service, &known.services),
    ];
    let mut findings = Vec::new();
    for (what, value, values) in values {
        let Some(value) = value.as_deref().filter(|value| !value.contains('*') && !values.contains(*value)) else {
            continue;
        };
        *compared += 1;
        let near = if *compared > COMPARED { Vec::new() } else { near(value, values.iter().map(Text::as_str)) };
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

#[cfg(test)]
mod tests {
    use schemas::reference::{parse_cost_rules, parse_hierarchy};

    use super::*;

    const COLUMNS: &str = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,\
                           cost_category_key,cost_category_value,from_period,to_period,business_unit";

    fn parsed(rows: &str) -> CostRules {
        let hierarchy = parse_hierarchy("h", b"business_unit\nRetail\n").unwrap();
        parse_cost_rules("r", format!("{COLUMNS}\n{rows}").as_bytes(), &hierarchy).unwrap()
    }

    fn values(payer: &str, account: &str, rule: &str) -> ExportValues {
        ExportValues {
            periods: ["2026-02".parse().unwrap()].into(),
            payers: [payer.into()].into(),
            accounts: [account.into()].into(),
            services: ["AmazonEC2".into()].into(),
            took: [rule.into()].into(),
        }
    }

    /// True where a rule takes nothing because of the one before it, which took something.
    fn is_shadowed(first: &str, second: &str) -> bool {
        let rules_of = parsed(&format!("first,1,{first},Retail\nsecond,2,{second},Retail\n"));
        let found = rules(&rules_of, &[], &values("999999999999", "111111111111", "first")).unwrap();
        let [finding] = &found[..] else { panic!("{found:?}") };
        assert_eq!((finding.subject.as_str(), finding.kind), ("second", Kind::UnmatchedRule));
        assert!(["", "rule first comes first and takes all that it could"].contains(&finding.message.as_str()));
        !finding.message.is_empty()
    }

    #[test]
    fn rule_is_shadowed_only_where_the_earlier_one_takes_everything_it_could_take() {
        for (first, second, expected) in [
            (",,,,,,,,,", ",1*,AmazonEC2,,,,,,,", true),
            ("9*,,,,,,,,,", "999999999999,,,,,,,,,", true),
            ("9*,,,,,,,,,", ",,,,,,,,,", false),
            (",,Amazon*,,,,,,,", ",,Amazon*,,,,,,,", true),
            (",,*EC2,,,,,,,", ",,AmazonEC2,,,,,,,", false),
            (",,,eu-*,,,,,,", ",,,eu-central-1,,,,,,", true),
            (",,,eu-*,,,,,,", ",,,us-*,,,,,,", false),
            (",,,,user_team,,,,,", ",,,,user_team,shop,,,,", true),
            (",,,,user_team,sh*,,,,", ",,,,user_team,shop,,,,", true),
            (",,,,user_team,shop,,,,", ",,,,user_team,,,,,", false),
            (",,,,user_team,shop,,,,", ",,,,user_owner,shop,,,,", false),
            (",,,,,,Unit,Retail,,", ",,,,,,Unit,Retail,,", true),
            (",,,,,,Unit,Retail,,", ",,,,user_team,shop,,,,", false),
            (",,,,,,,,,", ",,,,,,,,2026-01,", true),
            (",,,,,,,,2026-01,", ",,,,,,,,,", false),
            (",,,,,,,,2026-01,2026-06", ",,,,,,,,2026-01,2026-05", true),
            (",,,,,,,,,2026-06", ",,,,,,,,,2026-07", false),
        ] {
            assert_eq!(is_shadowed(first, second), expected, "{first} before {second}");
        }
    }

    #[test]
    fn nothing_is_told_of_rules_before_anything_of_the_export_is_known() {
        let rules_of = parsed("first,1,,222222222222,,,,,,,,,Retail\n");
        assert_eq!(rules(&rules_of, &[], &ExportValues::default()).unwrap(), []);
    }

    #[test]
    fn every_value_that_the_export_lacks_is_told_with_what_it_has_instead() {
        let rules_of = parsed("first,1,999999999998,111111111111,amazonec2,,,,,,,,Retail\n");
        let found = rules(&rules_of, &[], &values("999999999999", "111111111111", "other")).unwrap();
        let told: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        let expected = [
            "payer account \"999999999998\" is not in the export; it has \"999999999999\"",
            "service \"amazonec2\" is not in the export; it has \"AmazonEC2\"",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn account_ids_without_twelve_digits_are_damaged_and_other_names_are_not() {
        let damaged = |payer: &str, account: &str| {
            let values = values(payer, account, "first");
            values.damaged_accounts().map(|of| format!("{} {}", of.subject, of.message)).collect::<Vec<_>>()
        };
        let expected = "99999 has 5 digits where an account id has 12";
        assert_eq!(damaged("99999", "99999"), [expected], "payer and account are told once");
        assert_eq!(damaged("999999999999", "sub-account 7"), Vec::<String>::new());
    }
}
