//! Cells of a month in one pass, and by the plan that is its reference: `cargo bench -p join-allocations --bench cells`.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use credit_ledger::Money;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::TryStreamExt;
use join_allocations::cells::{RuleTargets, cells};
use join_allocations::plan;
use schemas::TableRow;
use schemas::reference::{CostRules, parse_cost_rules, parse_hierarchy};
use schemas::tables::CostLine;
use tokio::runtime::Builder;

const ACCOUNTS: usize = 400;
const SERVICES: usize = 5;
const DAYS: usize = 30;
const RULES: usize = 700;

fn main() {
    divan::main();
}

/// Every tenth rule is shared between two nodes.
fn rules() -> Option<CostRules> {
    let mut hierarchy = "business_unit,department,portfolio,product\n".to_owned();
    let mut rules = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                     cost_category_value,business_unit,department,portfolio,product,share\n"
        .to_owned();
    for rule in 0..RULES {
        let node = format!("unit-{},dept-{},portfolio-{},product-{rule}", rule % 5, rule % 20, rule % 80);
        hierarchy.push_str(&format!("{node}\n"));
        let account = rule + 1;
        let shares: &[&str] = if rule % 10 == 0 { &["0.5"] } else { &[""] };
        for share in shares {
            rules.push_str(&format!("rule-{rule:04},{rule},,{account:012},,,,,,,{node},{share}\n"));
        }
        if rule % 10 == 0 {
            rules.push_str(&format!("rule-{rule:04},{rule},,{account:012},,,,,,,Common,,,,0.5\n"));
        }
    }
    hierarchy.push_str("Common,,,\n");
    let hierarchy = parse_hierarchy("hierarchy.csv", hierarchy.as_bytes()).ok()?;
    parse_cost_rules("cost_rules.csv", rules.as_bytes(), &hierarchy).ok()
}

/// A month of cost lines in order, in batches as files have them.
fn cost_lines() -> Option<Vec<RecordBatch>> {
    let mut lines = Vec::with_capacity(DAYS * ACCOUNTS * SERVICES);
    for number in 0..DAYS * ACCOUNTS * SERVICES {
        let (day, account, service) = (number / (ACCOUNTS * SERVICES), number / SERVICES % ACCOUNTS, number % SERVICES);
        let amount = Money::from_units(i128::try_from(number).ok()? * 7_919 + 1).ok()?;
        lines.push(CostLine {
            usage_date: format!("2026-01-{:02}", day + 1).parse().ok()?,
            payer_account_id: "999999999999".into(),
            account_id: format!("{:012}", account + 1).into(),
            service: Some(format!("AmazonService{service}").into()),
            currency: "USD".into(),
            rule_id: Some(format!("rule-{:04}", (account * 7 + service) % RULES).into()),
            charges: amount,
            tax: Money::ZERO,
            refunds: Money::ZERO,
            aws_credits: Money::ZERO,
            eligible_charges: amount,
            unblended_charges: amount,
        });
    }
    lines.chunks(8192).map(|lines| schemas::to_batch(lines).ok()).collect()
}

/// Rules, lines, and what runs a plan. Data that is not as it should be must not pass for a bench that was quick.
#[expect(clippy::expect_used, reason = "a benchmark without its data is no benchmark")]
fn made() -> (CostRules, Vec<RecordBatch>, tokio::runtime::Runtime) {
    let runtime = Builder::new_current_thread().build();
    (rules().expect("good rules"), cost_lines().expect("good lines"), runtime.expect("a runtime"))
}

#[divan::bench]
fn one_pass(bencher: Bencher<'_, '_>) {
    let (rules, lines, runtime) = made();
    let targets = Arc::new(RuleTargets::new(&rules));
    bencher.counter(ItemsCount::new(DAYS * ACCOUNTS * SERVICES)).bench(|| {
        let stream = futures::stream::iter(lines.clone().into_iter().map(Ok));
        let stream = Box::pin(RecordBatchStreamAdapter::new(CostLine::TABLE.schema(), stream));
        runtime.block_on(cells(stream, Arc::clone(&targets)).try_collect::<Vec<_>>())
    });
}

#[divan::bench]
fn by_the_plan(bencher: Bencher<'_, '_>) {
    let (rules, lines, runtime) = made();
    let session = money_sql::session(1, Arc::default());
    bencher.counter(ItemsCount::new(DAYS * ACCOUNTS * SERVICES)).bench(|| {
        runtime.block_on(async {
            let lines = session.read_batches(lines.clone())?;
            plan::cells(lines, plan::targets(&session, &rules)?)?.collect().await
        })
    });
}
