//! From cost lines to cells: spend on nodes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Builder, Int32Array, ListBuilder, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use credit_ledger::Node;
use datafusion::common::{JoinType, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{col, lit, when};
use datafusion::prelude::{DataFrame, Expr};
use rust_decimal::Decimal;
use schemas::TableRow;
use schemas::reference::{CostRule, CostRules};
use schemas::tables::Cell;

const MEASURES: [&str; 6] = ["charges", "tax", "refunds", "aws_credits", "eligible_charges", "unblended_charges"];

/// The cells of a period, in order of the table's grain: lines go to the nodes of their rule, shared ones split
/// measure by measure by largest remainder; lines without a rule, or whose rule is no more, go to `Unassigned`.
///
/// # Errors
/// The plan's.
pub fn cells(cost_lines: DataFrame, rule_targets: DataFrame) -> Result<DataFrame> {
    let parts = parts(on_nodes(cost_lines, rule_targets)?)?;
    let columns: Vec<&str> = Cell::TABLE.column_names().collect();
    let order = Cell::TABLE.keys().iter().map(|key| col(*key).sort(true, true)).collect();
    summed(parts)?.sort(order)?.select_columns(&columns)
}

/// Each line once per node of its rule.
fn on_nodes(cost_lines: DataFrame, rule_targets: DataFrame) -> Result<DataFrame> {
    cost_lines.join(rule_targets, JoinType::Left, &["rule_id"], &["target_rule_id"], None)
}

/// Each measure's part on the node.
fn parts(lines: DataFrame) -> Result<DataFrame> {
    let mut columns: Vec<Expr> =
        Cell::TABLE.keys().iter().filter(|key| **key != "business_unit").map(|key| col(*key)).collect();
    columns.push(coalesce(vec![col("business_unit"), lit(Node::UNASSIGNED)]).alias("business_unit"));
    for measure in MEASURES {
        let part = money_sql::share_of(col(measure), col("weights"), col("position"));
        let whole_or_part = when(col("weights").is_null(), col(measure)).otherwise(part)?;
        columns.push(whole_or_part.alias(measure));
    }
    lines.select(columns)
}

fn summed(parts: DataFrame) -> Result<DataFrame> {
    let keys = Cell::TABLE.keys().iter().map(|key| col(*key)).collect();
    let measures = MEASURES.iter().map(|measure| money_sql::sum(col(*measure)).alias(*measure)).collect();
    parts.aggregate(keys, measures)
}

/// The nodes of all rules: one row per rule and node, with the weights of all its nodes. A claimed line (one node)
/// has no weights: it is not split.
///
/// # Errors
/// Arrow's; none for checked rules.
pub fn rule_targets(rules: &CostRules) -> Result<RecordBatch> {
    let rows: Vec<(&CostRule, i32, &Node)> = rules
        .iter()
        .flat_map(|rule| (0..).zip(rule.targets.keys()).map(move |(position, node)| (rule, position, node)))
        .collect();
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let mut weights = ListBuilder::new(Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 0)));
    for (rule, _, _) in &rows {
        if rule.targets.len() > 1 {
            weights.append_value(integer_weights(rule).into_iter().map(Some));
        } else {
            weights.append_null();
        }
    }
    let weights: ArrayRef = Arc::new(weights.finish());
    let level = |level: usize| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, _, node)| node.levels().get(level).cloned().flatten()).collect::<StringArray>())
    };
    let fields = vec![
        text("target_rule_id"),
        text("business_unit"),
        text("department"),
        text("portfolio"),
        text("product"),
        Field::new("position", DataType::Int32, false),
        Field::new("weights", weights.data_type().clone(), true),
    ];
    let ids: StringArray = rows.iter().map(|(rule, _, _)| Some(rule.rule_id.as_str())).collect();
    let positions: Int32Array = rows.iter().map(|(_, position, _)| Some(*position)).collect();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(ids), level(0), level(1), level(2), level(3), Arc::new(positions), weights];
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Shares as whole numbers at one scale, in order of node path.
fn integer_weights(rule: &CostRule) -> Vec<i128> {
    let scale = rule.targets.values().map(Decimal::scale).max().unwrap_or(0);
    rule.targets
        .values()
        .map(|share| {
            let mut share = *share;
            share.rescale(scale);
            share.mantissa()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::runtime_env::RuntimeEnv;
    use schemas::reference::{parse_cost_rules, parse_hierarchy};
    use schemas::tables::CostLine;

    use super::*;

    const RULES: &str = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                         cost_category_value,business_unit,department,portfolio,product,share\n\
                         all,1,,,,,,,,,B,,,,\nshared,2,,,,,,,,,B,,,,0.5\nshared,2,,,,,,,,,A,y,,,0.25\nshared,2,,,,,,,,,A,x,,,0.25\n";

    fn line(rule_id: Option<&str>, charges: &str) -> CostLine {
        let money = |text: &str| text.parse().unwrap();
        CostLine {
            usage_date: "2026-01-01".parse().unwrap(),
            payer_account_id: "9".into(),
            account_id: "1".into(),
            service: None,
            currency: "USD".into(),
            rule_id: rule_id.map(str::to_owned),
            charges: money(charges),
            tax: money("0"),
            refunds: money("-0.0000000003"),
            aws_credits: money("0"),
            eligible_charges: money("0"),
            unblended_charges: money("0"),
        }
    }

    #[tokio::test]
    async fn shared_lines_split_exactly_and_unclaimed_ones_go_to_unassigned() {
        let levels = "business_unit,department,portfolio,product\nA,x,,\nA,y,,\nB,,,\n";
        let hierarchy = parse_hierarchy("h", levels.as_bytes()).unwrap();
        let rules = parse_cost_rules("r", RULES.as_bytes(), &hierarchy).unwrap();
        let context = money_sql::session(2, Arc::new(RuntimeEnv::default()));
        let lines =
            [line(Some("all"), "7"), line(Some("shared"), "10.0000000001"), line(None, "1"), line(Some("gone"), "2")];
        let lines = context.read_batch(schemas::to_batch(&lines).unwrap()).unwrap();
        let targets = context.read_batch(rule_targets(&rules).unwrap()).unwrap();
        let cells =
            cells(lines, targets).unwrap().select_columns(&["business_unit", "department", "charges", "refunds"]);
        let found = pretty_format_batches(&cells.unwrap().collect().await.unwrap()).unwrap().to_string();
        let expected = "\
+---------------+------------+---------------+---------------+
| business_unit | department | charges       | refunds       |
+---------------+------------+---------------+---------------+
| A             | x          | 2.5000000000  | -0.0000000001 |
| A             | y          | 2.5000000000  | -0.0000000001 |
| B             |            | 12.0000000001 | -0.0000000004 |
| Unassigned    |            | 3.0000000000  | -0.0000000006 |
+---------------+------------+---------------+---------------+";
        assert_eq!(found, expected);
    }
}
