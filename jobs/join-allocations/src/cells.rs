//! From cost lines to cells: spend on nodes.
//!
//! Lines go to the nodes of their rule, shared ones split measure by measure by largest remainder; lines without a
//! rule, or whose rule is no more, go to `Unassigned`. Cost lines and cells are in one order but for the rule and the
//! node, so that all lines of a cell lie side by side: one pass, no more memory than a batch.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, StringArray, UInt32Array};
use arrow::compute::{concat_batches, partition, take};
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Node};
use datafusion::common::{Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use hashbrown::HashMap;
use rust_decimal::Decimal;
use schemas::TableRow;
use schemas::reference::{CostRule, CostRules};
use schemas::tables::Cell;

/// The keys that cost lines and cells share, in order.
const SHARED: [&str; 5] = ["usage_date", "payer_account_id", "account_id", "service", "currency"];
pub(crate) const MEASURES: [&str; 6] =
    ["charges", "tax", "refunds", "aws_credits", "eligible_charges", "unblended_charges"];

type Sums = [i128; MEASURES.len()];

/// The nodes of all rules.
#[derive(Debug)]
pub struct RuleTargets {
    rules: HashMap<String, Target>,
    unassigned: Target,
    /// Names of all nodes in order, by level.
    levels: [ArrayRef; 4],
}

/// Where the lines of one rule go: nodes by place in order, and the weights of their parts.
#[derive(Debug)]
struct Target {
    nodes: Vec<u32>,
    weights: Vec<u128>,
}

impl RuleTargets {
    /// The nodes that `rules` name.
    #[must_use]
    pub fn new(rules: &CostRules) -> Self {
        let unassigned = Node::unassigned();
        let mut nodes: Vec<&Node> = rules.iter().flat_map(|rule| rule.targets.keys()).chain([&unassigned]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let place = |node: &Node| nodes.binary_search(&node).ok().and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
        let target = |rule: &CostRule| Target {
            nodes: rule.targets.keys().map(place).collect(),
            weights: integer_weights(rule),
        };
        let level = |level: usize| -> ArrayRef {
            Arc::new(nodes.iter().map(|node| node.levels().get(level).cloned().flatten()).collect::<StringArray>())
        };
        Self {
            rules: rules.iter().map(|rule| (rule.rule_id.clone(), target(rule))).collect(),
            unassigned: Target { nodes: vec![place(&unassigned)], weights: vec![1] },
            levels: std::array::from_fn(level),
        }
    }

    fn of(&self, rule_id: Option<&str>) -> &Target {
        rule_id.and_then(|rule_id| self.rules.get(rule_id)).unwrap_or(&self.unassigned)
    }
}

/// Shares as whole numbers at one scale, in order of node path.
pub(crate) fn integer_weights(rule: &CostRule) -> Vec<u128> {
    let scale = rule.targets.values().map(Decimal::scale).max().unwrap_or(0);
    let weight = |share: &Decimal| {
        let mut share = *share;
        share.rescale(scale);
        share.mantissa().unsigned_abs()
    };
    rule.targets.values().map(weight).collect()
}

/// The parts of one amount sum to it: the sign is put back after the absolute value is split.
pub(crate) fn split(units: i128, weights: &[u128]) -> Vec<i128> {
    let parts = credit_ledger::spread(units.unsigned_abs(), weights);
    // A part is at most |units|, so it fits.
    let signed = |part| i128::try_from(part).unwrap_or(i128::MAX) * units.signum();
    parts.into_iter().map(signed).collect()
}

/// The cells of a period from its cost lines; both in order of their table's grain.
#[must_use]
pub fn cells(mut cost_lines: SendableRecordBatchStream, targets: Arc<RuleTargets>) -> SendableRecordBatchStream {
    let cells = async_stream::try_stream! {
        let mut rest: Option<RecordBatch> = None;
        while let Some(batch) = cost_lines.next().await.transpose()? {
            let lines = match rest.take() {
                Some(rest) => concat_batches(&batch.schema(), [&rest, &batch])?,
                None => batch,
            };
            let mut cells = by_cell(&lines)?;
            // The next batch may add to the last one.
            let complete = cells.pop().map_or(0, |last| last.start);
            yield on_nodes(&lines, cells, &targets)?;
            rest = Some(lines.slice(complete, lines.num_rows() - complete));
        }
        if let Some(lines) = rest {
            yield on_nodes(&lines, by_cell(&lines)?, &targets)?;
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(Cell::TABLE.schema(), cells))
}

fn shared_keys(lines: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let keys = SHARED.iter().map(|name| match lines.column_by_name(name) {
        Some(column) => Ok(Arc::clone(column)),
        None => exec_err!("cost lines have no column {name}"),
    });
    keys.collect()
}

/// The rows of each cell of some lines.
fn by_cell(lines: &RecordBatch) -> Result<Vec<Range<usize>>> {
    Ok(partition(&shared_keys(lines)?)?.ranges())
}

/// Cells from the rows of their lines.
fn on_nodes(lines: &RecordBatch, cells: Vec<Range<usize>>, targets: &RuleTargets) -> Result<RecordBatch> {
    let keys = shared_keys(lines)?;
    let rule_ids = lines.column_by_name("rule_id").and_then(|column| column.as_string_opt::<i32>());
    let measures: Vec<&Decimal128Array> =
        MEASURES.iter().filter_map(|name| lines.column_by_name(name)?.as_primitive_opt::<Decimal128Type>()).collect();
    let (Some(rule_ids), true) = (rule_ids, measures.len() == MEASURES.len()) else {
        return exec_err!("cost lines lack a rule id or a measure");
    };
    let target = |row: usize| targets.of(rule_ids.is_valid(row).then(|| rule_ids.value(row)));
    let (mut rows, mut nodes, mut sums) =
        (Vec::with_capacity(cells.len()), Vec::with_capacity(cells.len()), Vec::with_capacity(cells.len()));
    for range in cells {
        let first = u32::try_from(range.start).unwrap_or(u32::MAX);
        // Mostly a cell is one line on one node: nothing to sum.
        if let (1, [node]) = (range.len(), &target(range.start).nodes[..]) {
            let mut amounts = Sums::default();
            for (amount, column) in amounts.iter_mut().zip(&measures) {
                *amount = column.value(range.start);
            }
            rows.push(first);
            nodes.push(*node);
            sums.push(amounts);
            continue;
        }
        let mut by_node: BTreeMap<u32, Sums> = BTreeMap::new();
        for row in range {
            let target = target(row);
            for (measure, column) in measures.iter().enumerate() {
                add(&mut by_node, target, measure, column.value(row))?;
            }
        }
        for (node, amounts) in by_node {
            rows.push(first);
            nodes.push(node);
            sums.push(amounts);
        }
    }
    batch(&keys, &UInt32Array::from(rows), &UInt32Array::from(nodes), &sums, targets)
}

fn add(by_node: &mut BTreeMap<u32, Sums>, target: &Target, measure: usize, units: i128) -> Result<()> {
    let mut add_part = |node: u32, part: i128| {
        let sums = by_node.entry(node).or_default();
        let Some(sum) = sums.get_mut(measure) else { return Ok(()) };
        match sum.checked_add(part).and_then(|sum| Money::from_units(sum).ok()) {
            Some(total) => *sum = total.units(),
            None => return exec_err!("SUM of money overflows {} digits", Money::PRECISION),
        }
        Ok(())
    };
    if let [node] = target.nodes[..] {
        return add_part(node, units);
    }
    for (node, part) in target.nodes.iter().zip(split(units, &target.weights)) {
        add_part(*node, part)?;
    }
    Ok(())
}

fn batch(
    keys: &[ArrayRef],
    rows: &UInt32Array,
    nodes: &UInt32Array,
    sums: &[Sums],
    targets: &RuleTargets,
) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(keys.len() + targets.levels.len() + MEASURES.len());
    for key in keys {
        columns.push(take(key, rows, None)?);
    }
    for level in &targets.levels {
        columns.push(take(level, nodes, None)?);
    }
    for measure in 0..MEASURES.len() {
        let units = sums.iter().map(|sums| sums.get(measure).copied().unwrap_or_default());
        let amounts = Decimal128Array::from_iter_values(units);
        columns.push(Arc::new(amounts.with_precision_and_scale(Money::PRECISION, Money::SCALE)?));
    }
    Ok(RecordBatch::try_new(Cell::TABLE.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use futures::TryStreamExt;
    use proptest::prelude::*;
    use proptest::sample::select;
    use schemas::reference::{parse_cost_rules, parse_hierarchy};
    use schemas::tables::CostLine;

    use super::*;
    use crate::plan;

    const RULES: &str = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                         cost_category_value,business_unit,department,portfolio,product,share\n\
                         all,1,,,,,,,,,B,,,,\nshared,2,,,,,,,,,B,,,,0.5\nshared,2,,,,,,,,,A,y,,,0.25\nshared,2,,,,,,,,,A,x,,,0.25\n";

    fn line(day: &str, rule_id: Option<&str>, charges: &str) -> CostLine {
        let money = |text: &str| text.parse().unwrap();
        CostLine {
            usage_date: day.parse().unwrap(),
            payer_account_id: "9".into(),
            account_id: "1".into(),
            service: None,
            currency: "USD".into(),
            rule_id: rule_id.map(Into::into),
            charges: money(charges),
            tax: money("0"),
            refunds: money("-0.0000000003"),
            aws_credits: money("0"),
            eligible_charges: money("0"),
            unblended_charges: money("0"),
        }
    }

    fn rules() -> CostRules {
        let levels = "business_unit,department,portfolio,product\nA,x,,\nA,y,,\nB,,,\n";
        let hierarchy = parse_hierarchy("h", levels.as_bytes()).unwrap();
        parse_cost_rules("r", RULES.as_bytes(), &hierarchy).unwrap()
    }

    /// The cells of lines that come in batches of `size`.
    async fn found(lines: &[CostLine], size: usize) -> Vec<RecordBatch> {
        let batches: Vec<_> = lines.chunks(size).map(|lines| Ok(schemas::to_batch(lines).unwrap())).collect();
        let stream = RecordBatchStreamAdapter::new(CostLine::TABLE.schema(), futures::stream::iter(batches));
        cells(Box::pin(stream), Arc::new(RuleTargets::new(&rules()))).try_collect().await.unwrap()
    }

    /// The cells as the plan says.
    async fn planned(lines: &[CostLine]) -> Vec<RecordBatch> {
        let session = money_sql::session(2, Arc::default());
        let targets = plan::targets(&session, &rules()).unwrap();
        let lines = session.read_batch(schemas::to_batch(lines).unwrap()).unwrap();
        plan::cells(lines, targets).unwrap().collect().await.unwrap()
    }

    fn shown(cells: &[RecordBatch]) -> String {
        let cells: Vec<RecordBatch> = cells.iter().map(|cells| cells.project(&[0, 5, 6, 9, 11]).unwrap()).collect();
        pretty_format_batches(&cells).unwrap().to_string()
    }

    #[tokio::test]
    async fn shared_lines_split_exactly_and_unclaimed_ones_go_to_unassigned() {
        let lines = [
            line("2026-01-01", None, "1"),
            line("2026-01-01", Some("all"), "7"),
            line("2026-01-01", Some("gone"), "2"),
            line("2026-01-01", Some("shared"), "10.0000000001"),
            line("2026-01-02", Some("all"), "5"),
        ];
        let expected = "\
+------------+---------------+------------+---------------+---------------+
| usage_date | business_unit | department | charges       | refunds       |
+------------+---------------+------------+---------------+---------------+
| 2026-01-01 | A             | x          | 2.5000000000  | -0.0000000001 |
| 2026-01-01 | A             | y          | 2.5000000000  | -0.0000000001 |
| 2026-01-01 | B             |            | 12.0000000001 | -0.0000000004 |
| 2026-01-01 | Unassigned    |            | 3.0000000000  | -0.0000000006 |
| 2026-01-02 | B             |            | 5.0000000000  | -0.0000000003 |
+------------+---------------+------------+---------------+---------------+";
        for size in [1, 3, 9] {
            assert_eq!(shown(&found(&lines, size).await), expected, "in batches of {size}");
        }
        assert_eq!(shown(&planned(&lines).await), expected);
    }

    fn any_line() -> impl Strategy<Value = CostLine> {
        let rule = select(vec![None, Some("all"), Some("shared"), Some("gone")]);
        let service = select(vec![None, Some("EC2"), Some("S3")]);
        let key = (1..3_u32, select(vec!["1", "2"]), service, rule);
        (key, proptest::array::uniform6(-10_000_000_000_i128..10_000_000_000)).prop_map(
            |((day, account, service, rule), units)| {
                let [charges, tax, refunds, aws_credits, eligible_charges, unblended_charges] =
                    units.map(|units| Money::from_units(units).unwrap());
                CostLine {
                    account_id: account.into(),
                    service: service.map(Into::into),
                    charges,
                    tax,
                    refunds,
                    aws_credits,
                    eligible_charges,
                    unblended_charges,
                    ..line(&format!("2026-01-0{day}"), rule, "0")
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn one_pass_finds_what_the_plan_finds(mut lines in prop::collection::vec(any_line(), 1..60), size in 1..20_usize) {
            lines.sort_by(|left, right| key(left).cmp(&key(right)));
            lines.dedup_by(|left, right| key(left) == key(right));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (one_pass, plan) = runtime.block_on(async { (found(&lines, size).await, planned(&lines).await) });
            prop_assert_eq!(schemas::from_batches::<Cell>(&one_pass).unwrap(), schemas::from_batches::<Cell>(&plan).unwrap());
        }
    }

    fn key(line: &CostLine) -> impl Ord {
        (line.usage_date, line.account_id.clone(), line.service.clone(), line.rule_id.clone())
    }

    #[test]
    fn parts_of_a_negative_amount_mirror_those_of_the_positive_one() {
        assert_eq!(split(-3, &[50, 25, 25]), [-1, -1, -1]);
        assert_eq!(split(3, &[50, 25, 25]), [1, 1, 1]);
        assert_eq!(split(-2, &[1, 1, 1]), [-1, -1, 0]);
    }

    fn rows(batches: &[RecordBatch]) -> Vec<Cell> {
        schemas::from_batches(batches).unwrap()
    }

    #[tokio::test]
    async fn days_accounts_services_and_currencies_stay_apart_and_cells_of_zero_stay() {
        let usd = line("2026-01-01", Some("all"), "5");
        let lines = [
            CostLine { currency: "EUR".into(), ..usd.clone() },
            CostLine { charges: Money::ZERO, refunds: Money::ZERO, ..usd.clone() },
            CostLine { service: Some("EC2".into()), ..usd.clone() },
            CostLine { account_id: "2".into(), ..usd.clone() },
            CostLine { payer_account_id: "91".into(), ..usd.clone() },
            line("2026-01-02", Some("all"), "5"),
        ];
        let of_cell = |cell: &Cell| {
            let Cell { usage_date, payer_account_id, account_id, currency, charges, .. } = cell;
            let service = cell.service.as_deref().unwrap_or("-");
            format!(
                "{usage_date} {payer_account_id} {account_id} {service} {currency} {}",
                charges.units() / 10_000_000_000
            )
        };
        let expected = [
            "2026-01-01 9 1 - EUR 5",
            "2026-01-01 9 1 - USD 0",
            "2026-01-01 9 1 EC2 USD 5",
            "2026-01-01 9 2 - USD 5",
            "2026-01-01 91 1 - USD 5",
            "2026-01-02 9 1 - USD 5",
        ];
        assert_eq!(rows(&found(&lines, 4).await).iter().map(of_cell).collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn each_measure_of_a_shared_line_is_split_by_itself_in_the_smallest_units() {
        let units = |units: i128| Money::from_units(units).unwrap();
        let shared = CostLine {
            charges: units(2),
            tax: units(1),
            refunds: units(-3),
            aws_credits: units(-6),
            eligible_charges: units(0),
            unblended_charges: units(4),
            ..line("2026-01-01", Some("shared"), "0")
        };
        let of_cell = |cell: &Cell| {
            let measures = [cell.charges, cell.tax, cell.refunds, cell.aws_credits, cell.eligible_charges];
            let units: Vec<i128> = measures.into_iter().chain([cell.unblended_charges]).map(Money::units).collect();
            (cell.department.clone(), units)
        };
        let expected = [
            (Some("x".into()), vec![1, 0, -1, -2, 0, 1]),
            (Some("y".into()), vec![0, 0, -1, -1, 0, 1]),
            (None, vec![1, 1, -1, -3, 0, 2]),
        ];
        assert_eq!(rows(&found(&[shared], 1).await).iter().map(of_cell).collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn sum_beyond_the_range_of_money_and_lines_that_lack_a_column_are_errors() {
        let refused = async |batch: RecordBatch| {
            let stream = RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)]));
            let cells = cells(Box::pin(stream), Arc::new(RuleTargets::new(&rules())));
            cells.try_collect::<Vec<_>>().await.unwrap_err().to_string()
        };
        let lines = ["all", "shared"].map(|rule| line("2026-01-01", Some(rule), "9e27"));
        let batch = schemas::to_batch(&lines).unwrap();
        let said = refused(batch.clone()).await;
        assert!(said.contains("SUM of money overflows 38 digits"), "{said}");
        for (column, expected) in
            [("service", "cost lines have no column service"), ("tax", "cost lines lack a rule id or a measure")]
        {
            let others = batch.schema().fields().iter().map(|field| field.name() != column).collect::<Vec<_>>();
            let kept: Vec<usize> = (0..others.len()).filter(|place| others[*place]).collect();
            let said = refused(batch.project(&kept).unwrap()).await;
            assert!(said.contains(expected), "{said}");
        }
    }
}
