//! The job: reads, joins, writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use chrono::NaiveTime;
use credit_ledger::{BillingPeriod, Node, Text};
use lake::{InputDigest, JobContext, LakeError, ReferenceFiles, Reuse, Run, map_concurrently, stream_of_batch};
use schemas::NodeColumns;
use schemas::records::{Detected, Joined};
use schemas::reference::{CostRule, CostRules};
use schemas::tables::{AllocationLogRow, Cell, CostLine, HierarchyRow, LotRow, RegisteredCredit, RuleSpend};

use crate::cells::{RuleTargets, cells};
use crate::check_rules::read_with;
use crate::error::JoinError;
use crate::lots::{self, join};
use crate::record::{Recording, Stamp, revisions};
use crate::removed_nodes;
use crate::rule_spend::{SpendSums, summing, taken};

/// Turns recorded allocations into lots, and spend into cells.
///
/// # Errors
/// [`JoinError::RemovedNodes`] unless those are accepted; [`JoinError`] from the lake.
pub async fn join_allocations(
    context: &JobContext,
    detected: &Detected,
    reference: &Arc<ReferenceFiles>,
    accept_removed_nodes: bool,
) -> Result<Joined, JoinError> {
    let run = &context.run;
    let register = run.spawn_rows::<RegisteredCredit>(None);
    let (state, log) = run.lake().logs().read_newest::<AllocationLogRow>().await?;
    let (register, latest) = (register.await?, context.latest_instant(state));
    if !accept_removed_nodes {
        removed_nodes::refuse(run.lake(), &reference.hierarchy, &register, &log, latest).await?;
    }
    let joined = join(&register, &log, &reference.hierarchy, latest);
    let lots = async { Ok(write_lots(context, reference, &joined).await?) };
    futures::try_join!(write_cells(context, detected, reference), lots)?;
    Ok(Joined { first_period: first_period(detected, reference, &joined.lots) })
}

/// A lake whose log is still empty takes `allocations.csv` of the reference folder in, once. Rows that do not say when
/// they were recorded count as recorded at the start of the as-of date: the same on every lake.
///
/// # Errors
/// [`JoinError::BadRows`] for rows that cannot be recorded: then none is; [`JoinError`] from the lake.
pub async fn import_initial_allocations(context: &JobContext, reference: &ReferenceFiles) -> Result<(), JoinError> {
    let logs = context.run.lake().logs();
    let state = logs.snapshot::<AllocationLogRow>().await?;
    if reference.allocations.is_empty() || state.id.is_some() {
        return Ok(());
    }
    let register: Vec<RegisteredCredit> = context.run.rows(None).await?;
    let recording = Recording { now: context.latest_instant(state), ..taken_over(context) };
    let imported = revisions(&reference.allocations, &register, &reference.hierarchy, &[], &recording)?;
    for warning in &imported.warnings {
        tracing::warn!("allocations.csv: {warning}");
    }
    logs.append(&imported.rows).await?;
    Ok(())
}

/// How rows of the reference folder's `allocations.csv` are recorded that say nothing of it.
#[must_use]
pub fn taken_over(context: &JobContext) -> Recording {
    let recorded_at = context.as_of.and_time(NaiveTime::MIN);
    Recording {
        caller: None,
        recorded_by: Some(Text::new_static("allocations.csv")),
        recorded_at,
        stamp: Stamp::Stated,
        now: recorded_at,
    }
}

/// Writes the cells of each billing period, and what the rules took of its spend; reused where its cost lines are
/// unchanged, and for cells the targets of the rules.
async fn write_cells(
    context: &JobContext,
    detected: &Detected,
    reference: &Arc<ReferenceFiles>,
) -> Result<(), JoinError> {
    let rules = Arc::new(RulesByPeriod::new(reference)?);
    let periods = detected.periods.iter().map(|detected| (detected.period, detected.fingerprint.clone()));
    let written = map_concurrently(context.settings.threads(), periods, |(period, fingerprint)| {
        let (run, rules) = (context.run.clone(), Arc::clone(&rules));
        async move { write_period(&run, period, &fingerprint, rules.of(period)).await }
    });
    written.await?;
    Ok(context.run.write(None, &read_with(&reference.cost_rules)?).await?)
}

/// Writes both tables of a billing period, in one pass over its cost lines where neither is reused.
async fn write_period(
    run: &Run,
    period: BillingPeriod,
    fingerprint: &str,
    rules: &PeriodRules,
) -> Result<(), JoinError> {
    let lines = || run.lake().generation_stream::<CostLine>(period, fingerprint);
    let inputs_of_spend = InputDigest::of_table::<RuleSpend>().with("cost_lines", fingerprint)?.finish();
    let is_spend_reused = run.reuse::<RuleSpend>(Some(period), &inputs_of_spend).await?;
    let mut spend = None;
    let inputs = InputDigest::of_table::<Cell>().with("cost_lines", fingerprint)?.with("rules", &rules.digest)?;
    let make = async {
        let targets = rules.targets.get_or_init(|| Arc::new(RuleTargets::new(&rules.rules)));
        let mut lines = lines().await?;
        if !is_spend_reused {
            lines = summing(lines, spend.insert(Arc::new(Mutex::new(SpendSums::new()?))));
        }
        Ok::<_, LakeError>(cells(lines, Arc::clone(targets)))
    };
    if let Reuse::Written { rows } = run.reuse_or_write::<Cell, _>(Some(period), &inputs.finish(), make).await? {
        tracing::info!(%period, cells = rows, "mapped to nodes");
    }
    if !is_spend_reused {
        let rows = match spend {
            Some(sums) => taken(&sums),
            None => SpendSums::of(lines().await?).await.and_then(|sums| sums.rows()),
        };
        let rows = stream_of_batch(rows.map_err(LakeError::from)?);
        run.write_reusable::<RuleSpend>(Some(period), &inputs_of_spend, rows).await?;
    }
    Ok(())
}

/// The rules with the names that nodes have in each period.
struct RulesByPeriod {
    first: PeriodRules,
    /// From these periods on, newest first.
    later: Vec<(BillingPeriod, PeriodRules)>,
}

struct PeriodRules {
    rules: CostRules,
    digest: String,
    /// Once a period wants them.
    targets: OnceLock<Arc<RuleTargets>>,
}

impl RulesByPeriod {
    fn new(reference: &ReferenceFiles) -> Result<Self, LakeError> {
        let (rules, renames) = (&reference.cost_rules, reference.hierarchy.renames());
        let later = renames.periods().map(|from| Ok((from, PeriodRules::new(rules.in_period(renames, from))?)));
        let mut later = later.collect::<Result<Vec<_>, LakeError>>()?;
        later.reverse();
        Ok(Self { first: PeriodRules::new(rules.clone())?, later })
    }

    fn of(&self, period: BillingPeriod) -> &PeriodRules {
        self.later.iter().find(|(from, _)| *from <= period).map_or(&self.first, |(_, rules)| rules)
    }
}

impl PeriodRules {
    fn new(rules: CostRules) -> Result<Self, LakeError> {
        Ok(Self { digest: rules_digest(&rules)?, rules, targets: OnceLock::new() })
    }
}

fn rules_digest(rules: &CostRules) -> Result<String, LakeError> {
    let targets = |rule: &CostRule| {
        let shares = rule.targets.iter().map(|(node, share)| (node.to_string(), share.to_string()));
        (rule.rule_id.clone(), shares.collect::<BTreeMap<_, _>>())
    };
    let targets: Vec<_> = rules.iter().map(targets).collect();
    Ok(InputDigest::named("cost_rules").with("targets", &targets)?.finish())
}

/// Writes what was recorded of each credit: allocated amounts, lots, what is wrong, and the hierarchy.
async fn write_lots(context: &JobContext, reference: &ReferenceFiles, joined: &lots::Joined) -> Result<(), LakeError> {
    // The summary lists them.
    for issue in &joined.issues {
        tracing::debug!(allocation = %issue.allocation_id, lot = issue.lot, "{}", issue.problem);
    }
    context.run.write(None, &joined.credits).await?;
    context.run.write(None, &joined.lots).await?;
    context.run.write(None, &joined.issues).await?;
    context.run.write(None, &hierarchy_rows(reference, &joined.lots)).await
}

fn first_period(detected: &Detected, reference: &ReferenceFiles, lots: &[LotRow]) -> BillingPeriod {
    let last = detected.last_period();
    let lines = detected.periods.iter().map(|detected| detected.period);
    let issues = lots.iter().map(|lot| BillingPeriod::of(lot.issue_date));
    let budgets = reference.budgets.iter().map(|budget| budget.billing_period);
    lines.chain(issues).chain(budgets).filter(|period| *period <= last).min().unwrap_or(last)
}

fn lineage(node: &Node) -> Vec<Node> {
    node.lineage().collect()
}

/// The nodes of the hierarchy, and those of earlier names on which something stands or stood.
fn hierarchy_rows(reference: &ReferenceFiles, lots: &[LotRow]) -> Vec<HierarchyRow> {
    let hierarchy = &reference.hierarchy;
    let mut nodes: BTreeSet<Node> = hierarchy.nodes().map(|(node, _)| node.clone()).collect();
    let renames = hierarchy.renames();
    if !renames.is_empty() {
        let targets = reference.cost_rules.iter().flat_map(|rule| rule.targets.keys());
        let budgets = reference.budgets.iter().filter_map(|budget| budget.node.as_ref());
        let named = targets.chain(budgets).chain(renames.former_nodes()).cloned();
        let named = named.chain(lots.iter().filter_map(|lot| lot.node().ok()));
        for node in named.collect::<BTreeSet<_>>() {
            nodes.extend(renames.periods().flat_map(|period| lineage(&renames.current(&node, period))));
            nodes.extend(lineage(&node));
        }
    }
    let rows = nodes.into_iter().map(|node| {
        let owner = hierarchy.owner(&node);
        let [business_unit, department, portfolio, product] = node.levels();
        HierarchyRow {
            business_unit,
            department,
            portfolio,
            product,
            level: i32::try_from(node.level()).unwrap_or(0),
            owner_email: owner.and_then(|owner| owner.owner_email.clone()),
            cost_center: owner.and_then(|owner| owner.cost_center.clone()),
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use schemas::records::{DetectedPeriod, PeriodSource};
    use schemas::reference::{parse_budgets, parse_cost_rules, parse_hierarchy, parse_renames};

    use super::*;
    use crate::fixtures::lot;

    fn reference(renames: &str, rules: &str, budgets: &str) -> ReferenceFiles {
        let nodes =
            "business_unit,department,owner_email\nRetail,,retail@example.com\nRetail,Web,\nRetail,Kiosk,\nMedia,,\n";
        let raw = parse_hierarchy("h", nodes.as_bytes()).unwrap();
        let renames = format!("from_period,old_business_unit,old_department,business_unit,department\n{renames}");
        let renames = parse_renames("n", renames.as_bytes(), &raw.nodes().map(|(node, _)| node).collect()).unwrap();
        let hierarchy = raw.renamed(renames);
        let rules = format!("rule_id,priority,account_id,business_unit,department,share\n{rules}");
        let budgets = format!("billing_period,business_unit,currency,amount\n{budgets}");
        ReferenceFiles {
            cost_rules: parse_cost_rules("r", rules.as_bytes(), &hierarchy).unwrap(),
            budgets: parse_budgets("b", budgets.as_bytes(), &hierarchy).unwrap(),
            hierarchy,
            ..ReferenceFiles::default()
        }
    }

    fn month(text: &str) -> BillingPeriod {
        text.parse().unwrap()
    }

    /// The nodes of all rules in a month.
    fn targets(rules: &RulesByPeriod, period: &str) -> Vec<String> {
        let nodes = rules.of(month(period)).rules.iter().flat_map(|rule| rule.targets.keys());
        nodes.map(ToString::to_string).collect()
    }

    const RENAMES: &str = "2026-05,Shops,,Retail,\n2026-08,Retail,Kiosk,Media,\n";
    const RULES: &str = "kiosk,1,1*,Shops,Kiosk,0.4\nkiosk,1,1*,Media,,0.6\nrest,2,,Retail,Web,\n";

    #[test]
    fn rules_name_nodes_as_they_are_called_in_each_month() {
        let rules = RulesByPeriod::new(&reference(RENAMES, RULES, "")).unwrap();
        for (period, expected) in [
            ("2025-01", &["Media", "Shops/Kiosk", "Retail/Web"][..]),
            ("2026-04", &["Media", "Shops/Kiosk", "Retail/Web"]),
            ("2026-05", &["Media", "Retail/Kiosk", "Retail/Web"]),
            ("2026-07", &["Media", "Retail/Kiosk", "Retail/Web"]),
            ("2026-08", &["Media", "Retail/Web"]),
        ] {
            assert_eq!(targets(&rules, period), expected, "{period}");
        }
        let kiosk = |period: &str| {
            let rules = &rules.of(month(period)).rules;
            rules.iter().flat_map(|rule| rule.targets.values()).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(kiosk("2026-07"), ["0.6", "0.4", "1"]);
        assert_eq!(kiosk("2026-08").first().map(String::as_str), Some("1.0"), "both shares are one node's now");
    }

    #[test]
    fn rename_from_a_month_on_makes_no_cells_again_that_came_before_or_do_not_name_the_node() {
        let digest = |renames: &str, rules: &str, period: &str| {
            RulesByPeriod::new(&reference(renames, rules, "")).unwrap().of(month(period)).digest.clone()
        };
        let web = "rest,2,,Retail,Web,\n";
        let dated = "2026-05,Retail,Web,Media,\n";
        assert_eq!(digest(dated, web, "2026-04"), digest("", web, "2026-04"));
        assert_ne!(digest(dated, web, "2026-05"), digest("", web, "2026-05"));
        assert_eq!(digest("2026-05,Retail,Kiosk,Media,\n", web, "2026-05"), digest("", web, "2026-05"));
        let other_priority = "rest,9,,Retail,Web,\n";
        assert_eq!(digest("", other_priority, "2026-05"), digest("", web, "2026-05"), "lines say which rule took them");
    }

    #[test]
    fn hierarchy_that_is_published_has_former_names_with_what_stood_on_them_and_the_owner_of_today() {
        let on = LotRow { department: Some("Web".into()), ..lot(1, "Shops") };
        let rows = hierarchy_rows(&reference(RENAMES, RULES, ""), &[on]);
        let row = |row: &HierarchyRow| {
            format!("{} {} {}", row.level, row.node().unwrap(), row.owner_email.as_deref().unwrap_or("-"))
        };
        let expected = [
            "1 Media -",
            "1 Retail retail@example.com",
            "2 Retail/Kiosk -",
            "2 Retail/Web -",
            "1 Shops retail@example.com",
            "2 Shops/Kiosk -",
            "2 Shops/Web -",
        ];
        assert_eq!(rows.iter().map(row).collect::<Vec<_>>(), expected);
        let without = hierarchy_rows(&reference("", "rest,2,,Retail,Web,\n", ""), &[lot(1, "Gone")]);
        assert_eq!(without.len(), 4, "a lot makes no node where nothing was renamed");
    }

    fn detected(as_of: &str, periods: &[&str]) -> Detected {
        let period = |period: &&str| DetectedPeriod {
            period: month(period),
            fingerprint: String::new(),
            lines: 1,
            source: PeriodSource::Read,
            blank_costs: 0,
            unknown_line_types: BTreeMap::new(),
            notes: schemas::PeriodNotes::default(),
        };
        Detected {
            as_of: as_of.parse().unwrap(),
            format: String::new(),
            periods: periods.iter().map(period).collect(),
            later_periods: Vec::new(),
            left_out: Vec::new(),
            fetched: None,
            inbox: schemas::records::InboxFiles::default(),
        }
    }

    #[test]
    fn run_begins_with_its_first_line_lot_or_budget_but_with_nothing_after_the_as_of_month() {
        let first = |as_of: &str, periods: &[&str], budgets: &str, lots: &[LotRow]| {
            first_period(&detected(as_of, periods), &reference("", "", budgets), lots).to_string()
        };
        let lots = [lot(1, "Retail")];
        assert_eq!(first("2026-04-30", &["2026-03", "2026-04"], "", &[]), "2026-03");
        assert_eq!(first("2026-04-30", &["2026-03"], "", &lots), "2026-01", "issued in January");
        let budgets = "2025-12,Retail,USD,5\n2026-09,Retail,USD,5\n";
        assert_eq!(first("2026-04-30", &["2026-03"], budgets, &lots), "2025-12");
        assert_eq!(first("2025-11-30", &[], budgets, &lots), "2025-11", "all of it lies ahead");
    }
}
