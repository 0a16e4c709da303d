//! Reference files beside the export: what most likely is not as it is meant.
//!
//! Works on what the last run read of the export ([`RuleSpend`] of each period) and on the reference files as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credit_ledger::{BillingPeriod, Money, MoneyError, Node};
use lake::{Generation, JobContext, KeptRun, Lake, LakeError, ReferenceFiles, stream_of_batch};
use schemas::NodeColumns;
use schemas::records::Detected;
use schemas::reference::CostRules;
use schemas::tables::{AllocationIssue, CostLine, LotRow, RuleRead, RuleSpend};

use crate::check_names::similar;
use crate::check_rules::{ExportValues, rules};
use crate::error::JoinError;
use crate::finding::{Finding, Kind, Severity};
use crate::lots::Joined;
use crate::rule_spend::{SpendSums, left_by};

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    /// As they are now.
    pub reference: &'a ReferenceFiles,
    /// What the lines of all periods have.
    pub values: &'a ExportValues,
    /// The period whose Unassigned spend is told, and what the rules as they are do not take of it.
    pub unassigned: Option<(BillingPeriod, &'a [RuleSpend])>,
    /// The rules that this was read with; none known: those of the reference files.
    pub read_with: &'a [RuleRead],
    /// Of all allocations.
    pub lots: &'a [LotRow],
    /// What is wrong with allocations.
    pub issues: &'a [AllocationIssue],
}

/// What a run finds, from what its jobs have written so far.
///
/// # Errors
/// [`JoinError`] from the lake; where a sum leaves the range of money.
pub async fn check_run(
    context: &JobContext,
    detected: &Detected,
    reference: &ReferenceFiles,
) -> Result<Vec<Finding>, JoinError> {
    let run = &context.run;
    let (mut values, mut latest) = (ExportValues::default(), None);
    for period in detected.periods.iter().map(|detected| detected.period) {
        values.add(period, run.coded_stream::<RuleSpend>(Some(period)).await?).await?;
        latest = latest.max(Some(period));
    }
    let unassigned = match latest {
        Some(_) => left_by(&reference.cost_rules, run.coded_stream::<RuleSpend>(latest).await?).await?,
        None => Vec::new(),
    };
    let (lots, issues): (Vec<LotRow>, Vec<AllocationIssue>) = (run.rows(None).await?, run.rows(None).await?);
    let unassigned = latest.map(|period| (period, &unassigned[..]));
    check(&Checked { reference, values: &values, unassigned, read_with: &[], lots: &lots, issues: &issues })
}

/// What is found at any time, from what the last run has read of the export up to `last`.
///
/// # Errors
/// As [`check_run`].
pub async fn check_lake(
    lake: &Arc<Lake>,
    reference: &ReferenceFiles,
    joined: &Joined,
    period: Option<BillingPeriod>,
    last: BillingPeriod,
) -> Result<Vec<Finding>, JoinError> {
    let published = match lake.published().await? {
        Some(id) => lake.open_run(&id).await.ok(),
        None => None,
    };
    let generations: BTreeMap<BillingPeriod, Generation> =
        lake.generations().await?.into_iter().filter(|(period, _)| *period <= last).collect();
    let of =
        |period: BillingPeriod, fingerprint| ReadPeriod { lake, published: published.as_ref(), period, fingerprint };
    let mut values = ExportValues::default();
    for (period, generation) in &generations {
        of(*period, &generation.fingerprint).add_to(&mut values).await?;
    }
    let told = period.or_else(|| generations.keys().next_back().copied());
    let told = told.and_then(|period| generations.get(&period).map(|generation| (period, generation)));
    let unassigned = match told {
        Some((period, generation)) => {
            Some((period, of(period, &generation.fingerprint).left_by(&reference.cost_rules).await?))
        }
        None => None,
    };
    let unassigned = unassigned.as_ref().map(|(period, rows)| (*period, &rows[..]));
    let (read_with, Joined { lots, issues, .. }) = (lake.published_table::<RuleRead>().await?, joined);
    check(&Checked { reference, values: &values, unassigned, read_with: &read_with, lots, issues })
}

/// A period as it was last read.
struct ReadPeriod<'a> {
    lake: &'a Lake,
    published: Option<&'a KeptRun>,
    period: BillingPeriod,
    fingerprint: &'a str,
}

impl ReadPeriod<'_> {
    /// The published run, where it read the same and its intermediate tables are still there.
    fn run_that_has_it(&self) -> Option<&KeptRun> {
        self.published.filter(|run| {
            let mut periods = run.staged().periods.iter();
            let read = periods.find(|read| read.billing_period == self.period);
            let has_read = read.is_some_and(|read| read.fingerprint == self.fingerprint);
            has_read && run.sum::<RuleSpend>(Some(self.period)).is_some()
        })
    }

    /// What these rules do not take of its spend.
    async fn left_by(&self, rules: &CostRules) -> Result<Vec<RuleSpend>, JoinError> {
        if let Some(run) = self.run_that_has_it()
            && let Ok(Some(spend)) = run.coded_stream::<RuleSpend>(Some(self.period)).await
            && let Ok(left) = left_by(rules, spend).await
        {
            return Ok(left);
        }
        let lines = self.lake.generation_stream::<CostLine>(self.period, self.fingerprint).await?;
        let spend = SpendSums::of(lines).await.and_then(|sums| sums.rows()).map_err(LakeError::from)?;
        Ok(left_by(rules, stream_of_batch(spend)).await?)
    }

    /// What its lines have.
    async fn add_to(&self, values: &mut ExportValues) -> Result<(), JoinError> {
        if let Some(run) = self.run_that_has_it()
            && let Ok(Some(lines)) = run.coded_stream::<RuleSpend>(Some(self.period)).await
            && values.add(self.period, lines).await.is_ok()
        {
            return Ok(());
        }
        let lines = self.lake.coded_generation_stream::<CostLine>(self.period, self.fingerprint).await?;
        Ok(values.add(self.period, lines).await?)
    }
}

/// Everything found: errors first, then by kind; spend from the largest amount down, the rest by name.
///
/// # Errors
/// [`JoinError::Money`] where a sum leaves the range of money.
pub fn check(checked: &Checked<'_>) -> Result<Vec<Finding>, JoinError> {
    let mut findings = unassigned(checked)?;
    findings.extend(checked.issues.iter().map(|issue| {
        let subject = format!("{} lot {} of {}", issue.allocation_id, issue.lot, issue.credit_key);
        Finding::new(Severity::Warning, Kind::UnusableAllocation, subject, issue.problem.to_string())
    }));
    findings.extend(rules(&checked.reference.cost_rules, checked.read_with, checked.values)?);
    findings.extend(checked.values.damaged_accounts());
    let stated: Vec<&Node> = checked.reference.hierarchy.nodes().map(|(node, _)| node).collect();
    findings.extend(similar(&stated));
    findings.extend(idle(checked, &stated));
    findings.sort_by(|left, right| {
        let by_amount = right.amount.cmp(&left.amount);
        (left.severity, left.kind).cmp(&(right.severity, right.kind)).then(by_amount).then_with(|| {
            (&left.subject, &left.message, &left.currency).cmp(&(&right.subject, &right.message, &right.currency))
        })
    });
    Ok(findings)
}

/// What no rule takes in the period, by account and service.
fn unassigned(checked: &Checked<'_>) -> Result<Vec<Finding>, MoneyError> {
    let Some((period, rows)) = checked.unassigned else { return Ok(Vec::new()) };
    let mut sums: BTreeMap<(&str, Option<&str>, &str, Option<&str>), _> = BTreeMap::new();
    for row in rows {
        let key = (&*row.account_id, row.service.as_deref(), &*row.currency, row.rule_id.as_deref());
        let sum: &mut Money = sums.entry(key).or_default();
        *sum = sum.checked_add(row.gross_cost)?;
    }
    let found = sums.into_iter().filter(|(_, sum)| !sum.is_zero());
    let findings = found.map(|((account, service, currency, rule), sum)| {
        let subject = service.map_or_else(|| account.to_owned(), |service| format!("{account} {service}"));
        let why = rule.map(|rule| format!("rule {rule} is no more")).unwrap_or_default();
        let finding = Finding::new(Severity::Warning, Kind::Unassigned, subject, why);
        Finding { billing_period: Some(period), amount: Some(sum), currency: Some(currency.into()), ..finding }
    });
    Ok(findings.collect())
}

/// Nodes without anything at or below them; of several in one line the highest.
fn idle(checked: &Checked<'_>, stated: &[&Node]) -> Vec<Finding> {
    let hierarchy = &checked.reference.hierarchy;
    let taking = taking_rules(&checked.reference.cost_rules, checked.values);
    let lots = checked.lots.iter().filter_map(|lot| lot.node().ok());
    let budgets = checked.reference.budgets.iter().filter_map(|budget| budget.node.clone());
    let named = lots.chain(budgets).chain(taking.into_iter().cloned());
    let busy: BTreeSet<Node> = named
        .flat_map(|node| {
            let latest = hierarchy.renames().latest(&node);
            node.lineage().chain(latest.lineage()).collect::<Vec<_>>()
        })
        .collect();
    let is_idle = |node: &Node| !busy.contains(node);
    let idle = stated.iter().filter(|node| is_idle(node) && node.parent().is_none_or(|parent| !is_idle(&parent)));
    idle.map(|node| Finding::new(Severity::Note, Kind::IdleNode, node.to_string(), "")).collect()
}

/// The nodes of rules that took something.
fn taking_rules<'a>(rules: &'a CostRules, values: &ExportValues) -> BTreeSet<&'a Node> {
    rules
        .iter()
        .filter(|rule| values.took.contains(rule.rule_id.as_str()))
        .flat_map(|rule| rule.targets.keys())
        .collect()
}

#[cfg(test)]
mod tests {
    use credit_ledger::Text;
    use futures::FutureExt;
    use schemas::reference::{parse_budgets, parse_cost_rules, parse_hierarchy};

    use super::*;
    use crate::check_rules::read_with;

    const RULES: &str =
        "rule_id,priority,payer_account_id,account_id,service,business_unit,department,from_period,to_period\n";

    fn reference(hierarchy: &str, rules: &str) -> ReferenceFiles {
        let hierarchy = parse_hierarchy("h", format!("business_unit,department\n{hierarchy}").as_bytes()).unwrap();
        let cost_rules = parse_cost_rules("r", format!("{RULES}{rules}").as_bytes(), &hierarchy).unwrap();
        ReferenceFiles { hierarchy, cost_rules, ..ReferenceFiles::default() }
    }

    fn row(account: &str, service: &str, rule: Option<&str>, gross: &str) -> RuleSpend {
        RuleSpend {
            payer_account_id: "999999999999".into(),
            account_id: account.into(),
            service: Some(service.into()),
            currency: "USD".into(),
            rule_id: rule.map(Text::from),
            gross_cost: gross.parse().unwrap(),
        }
    }

    fn found(reference: &ReferenceFiles, rows: Vec<RuleSpend>) -> Vec<String> {
        let month = |month: &str| month.parse::<BillingPeriod>().unwrap();
        let mut values = ExportValues::default();
        let of_january = [row("111111111111", "AmazonS3", None, "7")];
        for (period, rows) in [(month("2026-01"), &of_january[..]), (month("2026-02"), &rows[..])] {
            values.add(period, lake::stream_of(rows).unwrap()).now_or_never().unwrap().unwrap();
        }
        let left = left_by(&reference.cost_rules, lake::stream_of(&rows).unwrap()).now_or_never().unwrap().unwrap();
        let unassigned = Some((month("2026-02"), &left[..]));
        let checked = Checked { reference, values: &values, unassigned, read_with: &[], lots: &[], issues: &[] };
        let line = |finding: Finding| {
            let amount = finding.amount.map(|amount| format!(" {amount}")).unwrap_or_default();
            format!(
                "{} {}: {}: {}{amount}",
                finding.severity.name(),
                finding.kind.name(),
                finding.subject,
                finding.message
            )
        };
        check(&checked).unwrap().into_iter().map(line).collect()
    }

    #[test]
    fn unassigned_spend_of_the_last_month_is_told_by_account_and_service_largest_first() {
        let reference = reference("A,\n", "all,1,,1*,,A,,,\n");
        let rows = vec![
            row("111111111111", "AmazonEC2", Some("all"), "5"),
            row("222222222222", "AmazonEC2", None, "0.5"),
            row("222222222222", "AmazonS3", None, "30"),
            row("222222222222", "AmazonS3", Some("gone"), "1"),
            row("222222222222", "AWSQueueService", None, "0"),
        ];
        let expected = [
            "warning unassigned: 222222222222 AmazonS3:  30.0000000000",
            "warning unassigned: 222222222222 AmazonS3: rule gone is no more 1.0000000000",
            "warning unassigned: 222222222222 AmazonEC2:  0.5000000000",
        ];
        assert_eq!(found(&reference, rows), expected);
    }

    #[test]
    fn rules_that_take_nothing_are_told_with_the_reason() {
        let rules = "all,1,,1*,,A,,,\nslip,2,,222222222223,,A,,,\ncase,2,,,amazonec2,A,,,\nshadowed,3,,12*,AmazonEC2,A,,,\n\
                     past,3,,,,A,,,2025-12\nfuture,3,,,,A,,2026-03,\nnothing,4,,3*,,A,,,\n";
        let rows = vec![
            row("111111111111", "AmazonEC2", Some("all"), "5"),
            row("222222222222", "AmazonEC2", Some("all"), "5"),
        ];
        let expected = [
            "warning unknown_value: case: service \"amazonec2\" is not in the export; it has \"AmazonEC2\"",
            "warning unknown_value: slip: account \"222222222223\" is not in the export; it has \"222222222222\"",
            "warning unmatched_rule: nothing: ",
            "warning unmatched_rule: shadowed: rule all comes first and takes all that it could",
            "note unmatched_rule: future: counts from 2026-03 on; the export has lines up to 2026-02",
            "note unmatched_rule: past: counts up to 2025-12; the export has lines from 2026-01 on",
        ];
        assert_eq!(found(&reference("A,\n", rules), rows), expected);
    }

    #[test]
    fn rule_that_is_new_since_the_last_run_is_not_said_to_match_nothing() {
        let before = reference("A,\n", "all,1,,1*,,A,,,\nold,2,,2*,,A,,,\n");
        let after = reference("A,\n", "all,1,,1*,,A,,,\nold,2,,3*,,A,,,\nnew,2,,4*,,A,,,\n");
        let (mut values, rows) = (ExportValues::default(), [row("111111111111", "AmazonEC2", Some("all"), "5")]);
        let lines = lake::stream_of(&rows).unwrap();
        values.add("2026-01".parse().unwrap(), lines).now_or_never().unwrap().unwrap();
        let read_with = read_with(&before.cost_rules).unwrap();
        let checked = Checked {
            reference: &after,
            values: &values,
            unassigned: None,
            read_with: &read_with,
            lots: &[],
            issues: &[],
        };
        let found = check(&checked).unwrap();
        let found: Vec<_> = found.iter().map(|finding| (finding.severity, finding.subject.as_str())).collect();
        assert_eq!(found, [(Severity::Note, "new"), (Severity::Note, "old")]);
    }

    #[test]
    fn nodes_with_nothing_and_names_that_are_hardly_different_are_told() {
        let mut reference = reference("A,Web\nA,web\nB,x\nB,y\nC,x\n", "all,1,,1*,,A,Web,,\n");
        let budget = "billing_period,business_unit,department,currency,amount\n2026-01,C,x,USD,5\n";
        reference.budgets = parse_budgets("b", budget.as_bytes(), &reference.hierarchy).unwrap();
        let rows =
            vec![row("111111111111", "AmazonEC2", Some("all"), "5"), row("41000000010", "AmazonEC2", Some("all"), "5")];
        let expected = [
            "warning damaged_account: 41000000010: has 11 digits where an account id has 12",
            "warning similar_nodes: A/Web and A/web: differ only by case, blanks or the form of their characters",
            "note idle_node: A/web: ",
            "note idle_node: B: ",
        ];
        assert_eq!(found(&reference, rows), expected);
    }
}
