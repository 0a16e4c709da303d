//! Net cost per cell, both books in one row, and its sums per node.
//!
//! ```sql
//! WITH drawn AS (SELECT <cell>, sum(used) AS used FROM credit_consumption GROUP BY <cell>)
//! SELECT <cell>, charges, tax,
//!   charges + tax                                     AS gross_cost,
//!   refunds, aws_credits,
//!   unblended_charges + tax + refunds + aws_credits   AS invoice_net,      -- AWS book
//!   -coalesce(used, 0)                                AS credits_applied,
//!   gross_cost + refunds + credits_applied            AS net_cost,         -- internal book
//!   invoice_net - net_cost                            AS clearing,
//!   eligible_charges
//! FROM cells LEFT JOIN drawn ON <cell, nulls equal> ORDER BY <cell>             -- each NULLS FIRST
//! ```

use credit_ledger::{Money, Node};
use datafusion::common::{JoinType, NullEquality, Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{LogicalPlanBuilder, SortExpr, col, lit, when};
use datafusion::prelude::{DataFrame, Expr};
use schemas::TableRow;
use schemas::tables::{NetCost, NodeCost};

const ROLLED_UP: [&str; 7] =
    ["gross_cost", "refunds", "aws_credits", "invoice_net", "credits_applied", "net_cost", "clearing"];

fn no_money() -> Expr {
    Expr::Literal(ScalarValue::Decimal128(Some(0), Money::PRECISION, Money::SCALE), None)
}

fn sums(measures: &[&str]) -> Vec<Expr> {
    measures.iter().map(|measure| money_sql::sum(col(*measure)).alias(*measure)).collect()
}

fn cols(names: &[&str]) -> Vec<Expr> {
    names.iter().map(|name| col(*name)).collect()
}

/// The keys of a cell within its period.
fn cell_keys() -> &'static [&'static str] {
    NetCost::TABLE.keys()
}

/// `net_cost` of one period, from its cells and the draws on them; in order of the table's grain.
///
/// # Errors
/// The plan's.
pub fn net_cost(cells: DataFrame, draws: DataFrame) -> Result<DataFrame> {
    both_books(with_drawn(cells, drawn_from_cells(draws)?)?)?.sort(in_order(cell_keys()))
}

/// What was drawn from each cell, as `used`.
fn drawn_from_cells(draws: DataFrame) -> Result<DataFrame> {
    draws.aggregate(cols(cell_keys()), sums(&["used"]))
}

/// Each cell with what was drawn from it, null where nothing was. Services and levels may be null on both sides.
fn with_drawn(cells: DataFrame, drawn: DataFrame) -> Result<DataFrame> {
    let (state, drawn) = drawn.alias("drawn")?.into_parts();
    let cells = cells.alias("cells")?.into_unoptimized_plan();
    let on = |side: &str| cell_keys().iter().map(|key| format!("{side}.{key}")).collect::<Vec<_>>();
    // Drawn on the left: a hash join keeps the order of its right side.
    let (keys, nulls) = ((on("drawn"), on("cells")), NullEquality::NullEqualsNull);
    let joined = LogicalPlanBuilder::from(drawn).join_detailed(cells, JoinType::Right, keys, None, nulls)?;
    Ok(DataFrame::new(state, joined.build()?))
}

/// The amounts of both books per cell.
fn both_books(cells: DataFrame) -> Result<DataFrame> {
    let credits_applied = no_money() - coalesce(vec![col("drawn.used"), no_money()]);
    let gross_cost = col("charges") + col("tax");
    let invoice_net = col("unblended_charges") + col("tax") + col("refunds") + col("aws_credits");
    let own = ["charges", "tax", "refunds", "aws_credits", "eligible_charges"];
    let keys = cell_keys().iter().map(|key| col(format!("cells.{key}")).alias(*key));
    let amounts = cols(&own).into_iter().chain([
        gross_cost.alias("gross_cost"),
        invoice_net.alias("invoice_net"),
        credits_applied.alias("credits_applied"),
    ]);
    cells
        .select(keys.chain(amounts).collect::<Vec<_>>())?
        .with_column("net_cost", col("gross_cost") + col("refunds") + col("credits_applied"))?
        .with_column("clearing", col("invoice_net") - col("net_cost"))
}

fn in_order(keys: &[&str]) -> Vec<SortExpr> {
    keys.iter().map(|key| col(*key).sort(true, true)).collect()
}

/// What each node itself costs, its descendants left out.
///
/// # Errors
/// The plan's.
pub fn node_costs(net_cost: DataFrame) -> Result<DataFrame> {
    let keys = [&["currency"], &Node::LEVELS[..]].concat();
    let columns: Vec<&str> = NodeCost::TABLE.column_names().collect();
    let broken = when(breaks_bounds(), lit(1_i64)).otherwise(lit(0_i64))?;
    let mut amounts = sums(&ROLLED_UP);
    amounts.push(money_sql::sum(broken).alias("overdrawn_cells"));
    net_cost.aggregate(cols(&keys), amounts)?.select_columns(&columns)
}

/// What was drawn in all, by currency.
///
/// # Errors
/// The plan's.
pub fn drawn_by_currency(draws: DataFrame) -> Result<DataFrame> {
    draws.aggregate(cols(&["currency"]), sums(&["used"]))
}

/// Cells that break their bounds; none if all is well.
///
/// # Errors
/// The plan's.
pub fn overdrawn(net_cost: DataFrame) -> Result<DataFrame> {
    net_cost.filter(breaks_bounds())
}

/// `0 <= drawn <= eligible` does not hold; nothing is drawn where nothing is eligible.
fn breaks_bounds() -> Expr {
    let drawn = no_money() - col("credits_applied");
    drawn.clone().gt(col("eligible_charges")).and(drawn.clone().not_eq(no_money())).or(drawn.lt(no_money()))
}

#[cfg(test)]
mod tests {
    use arrow::array::RecordBatch;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;
    use schemas::tables::{Cell, CreditConsumption};

    use super::*;

    fn cell(day: u32, account: &str, service: Option<&str>) -> Cell {
        Cell {
            usage_date: chrono::NaiveDate::from_ymd_opt(2026, 1, day).unwrap(),
            payer_account_id: "9".into(),
            account_id: account.into(),
            service: service.map(Into::into),
            currency: "USD".into(),
            business_unit: Some("Retail".into()),
            department: None,
            portfolio: None,
            product: None,
            charges: "10".parse().unwrap(),
            tax: "1".parse().unwrap(),
            refunds: "-2".parse().unwrap(),
            aws_credits: "-4".parse().unwrap(),
            eligible_charges: "10".parse().unwrap(),
            unblended_charges: "9".parse().unwrap(),
        }
    }

    fn draw(credit: &str, on: &Cell, used: &str) -> CreditConsumption {
        CreditConsumption {
            credit_key: credit.into(),
            lot: 1,
            credit_business_unit: Some("Retail".into()),
            credit_department: None,
            credit_portfolio: None,
            credit_product: None,
            usage_date: on.usage_date,
            payer_account_id: on.payer_account_id.clone(),
            account_id: on.account_id.clone(),
            service: on.service.clone(),
            currency: on.currency.clone(),
            business_unit: on.business_unit.clone(),
            department: None,
            portfolio: None,
            product: None,
            used: used.parse().unwrap(),
            fifo_rank: 1,
            policy: "fifo_issue_date/v1".into(),
        }
    }

    fn planned(session: &SessionContext, cells: &[Cell], draws: &[CreditConsumption]) -> DataFrame {
        let frame = |batch: RecordBatch| session.read_batch(batch).unwrap();
        net_cost(frame(schemas::to_batch(cells).unwrap()), frame(schemas::to_batch(draws).unwrap())).unwrap()
    }

    async fn found(cells: &[Cell], draws: &[CreditConsumption]) -> Vec<NetCost> {
        let session = money_sql::session(2, std::sync::Arc::default());
        schemas::from_batches(&planned(&session, cells, draws).collect().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn draws_of_all_credits_on_a_cell_are_taken_off_it_in_order_of_cells() {
        let cells = [cell(1, "1", None), cell(1, "2", Some("EC2")), cell(2, "1", None)];
        let draws = [draw("b", &cells[2], "3"), draw("a", &cells[0], "1.5"), draw("b", &cells[0], "0.0000000001")];
        let rows = found(&cells, &draws).await;
        let shown: Vec<String> = rows
            .iter()
            .map(|row| {
                let NetCost { gross_cost, invoice_net, credits_applied, net_cost, clearing, .. } = row;
                let place = format!("{} {} {}", row.usage_date.format("%d"), row.account_id, row.service.is_some());
                format!("{place}: {gross_cost} {invoice_net} {credits_applied} {net_cost} {clearing}")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "01 1 false: 11.0000000000 4.0000000000 -1.5000000001 7.4999999999 -3.4999999999",
                "01 2 true: 11.0000000000 4.0000000000 0.0000000000 9.0000000000 -5.0000000000",
                "02 1 false: 11.0000000000 4.0000000000 -3.0000000000 6.0000000000 -2.0000000000",
            ]
        );
    }

    #[tokio::test]
    async fn every_cell_has_its_row_where_nothing_is_drawn() {
        assert_eq!(found(&[cell(1, "1", None), cell(2, "1", None)], &[]).await.len(), 2);
        assert_eq!(found(&[], &[]).await, []);
    }

    #[tokio::test]
    async fn plan_reads_as_cells_left_join_what_was_drawn() {
        let session = money_sql::session(1, std::sync::Arc::default());
        let cells = [cell(1, "1", None)];
        let plan = planned(&session, &cells, &[draw("a", &cells[0], "1")]).create_physical_plan().await.unwrap();
        insta::assert_snapshot!(displayable(&*plan).indent(false).to_string());
    }

    async fn rows<R: TableRow>(frame: DataFrame) -> Vec<R> {
        schemas::from_batches(&frame.collect().await.unwrap()).unwrap()
    }

    fn at(cell: &Cell, business_unit: &str, department: Option<&str>) -> Cell {
        Cell { business_unit: Some(business_unit.into()), department: department.map(Into::into), ..cell.clone() }
    }

    #[tokio::test]
    async fn a_draw_counts_on_its_own_cell_and_on_none_that_looks_like_it() {
        let plain = cell(1, "1", None);
        let cells = [
            plain.clone(),
            cell(1, "1", Some("AmazonS3")),
            at(&plain, "Retail", Some("Online")),
            Cell { currency: "EUR".into(), ..plain.clone() },
            Cell { payer_account_id: "8".into(), ..plain.clone() },
        ];
        let on_online = CreditConsumption { department: Some("Online".into()), ..draw("a", &cells[2], "3") };
        let found = found(&cells, &[draw("a", &cells[0], "1"), draw("a", &cells[1], "2"), on_online]).await;
        let told: Vec<String> = found
            .iter()
            .map(|row| {
                let (service, department) = (row.service.as_deref(), row.department.as_deref());
                let place = [
                    row.payer_account_id.as_str(),
                    service.unwrap_or("-"),
                    row.currency.as_str(),
                    department.unwrap_or("-"),
                ];
                format!("{}: {}", place.join(" "), row.credits_applied)
            })
            .collect();
        let expected = [
            "8 - USD -: 0.0000000000",
            "9 - EUR -: 0.0000000000",
            "9 - USD -: -1.0000000000",
            "9 - USD Online: -3.0000000000",
            "9 AmazonS3 USD -: -2.0000000000",
        ];
        assert_eq!(told, expected, "in order of the grain, what is missing first");
    }

    #[tokio::test]
    async fn a_node_costs_what_its_own_cells_do_in_both_books() {
        let session = money_sql::session(2, std::sync::Arc::default());
        let retail = cell(1, "1", None);
        let cells = [
            retail.clone(),
            cell(2, "1", None),
            at(&retail, "Retail", Some("Online")),
            at(&retail, "Unassigned", None),
        ];
        let draws = [draw("a", &cells[0], "10"), draw("b", &cells[1], "0.0000000001")];
        let costs: Vec<NodeCost> = rows(node_costs(planned(&session, &cells, &draws)).unwrap()).await;
        let mut told: Vec<String> = costs
            .iter()
            .map(|row| {
                let NodeCost {
                    gross_cost, refunds, aws_credits, invoice_net, credits_applied, net_cost, clearing, ..
                } = row;
                let names = [row.business_unit.as_deref(), row.department.as_deref()].map(Option::unwrap_or_default);
                let amounts = [gross_cost, refunds, aws_credits, invoice_net, credits_applied, net_cost, clearing];
                format!("{}: {}", names.join("/"), amounts.map(ToString::to_string).join(" "))
            })
            .collect();
        told.sort();
        let plain = "11.0000000000 -2.0000000000 -4.0000000000 4.0000000000 0.0000000000 9.0000000000 -5.0000000000";
        let expected = [
            "Retail/: 22.0000000000 -4.0000000000 -8.0000000000 8.0000000000 -10.0000000001 7.9999999999 0.0000000001"
                .to_owned(),
            format!("Retail/Online: {plain}"),
            format!("Unassigned/: {plain}"),
        ];
        assert_eq!(told, expected, "a department is a node of its own");
        assert!(costs.iter().all(|row| row.overdrawn_cells == 0));
    }

    #[tokio::test]
    async fn cells_may_be_drawn_on_from_nothing_to_all_that_is_eligible() {
        let eligible = |day, amount: &str| Cell { eligible_charges: amount.parse().unwrap(), ..cell(day, "1", None) };
        let cells = [
            eligible(1, "10"),
            eligible(2, "10"),
            eligible(3, "-5"),
            eligible(4, "-5"),
            eligible(5, "0"),
            eligible(6, "0.0000000001"),
            eligible(7, "10"),
        ];
        let on = |day: usize, used: &str| draw("a", &cells[day - 1], used);
        let draws = [
            on(1, "10"),
            on(2, "10"),
            on(2, "0.0000000001"),
            on(4, "0.0000000001"),
            on(6, "0.0000000001"),
            on(7, "-0.0000000001"),
        ];
        let session = money_sql::session(2, std::sync::Arc::default());
        let costs: Vec<NodeCost> = rows(node_costs(planned(&session, &cells, &draws)).unwrap()).await;
        assert_eq!(costs.iter().map(|row| row.overdrawn_cells).collect::<Vec<_>>(), [3]);
        let broken: Vec<NetCost> = rows(overdrawn(planned(&session, &cells, &draws)).unwrap()).await;
        let mut days: Vec<String> = broken.iter().map(|row| row.usage_date.format("%d").to_string()).collect();
        days.sort();
        assert_eq!(days, ["02", "04", "07"], "a unit too much, where nothing is eligible, and below zero");
    }

    #[tokio::test]
    async fn draws_are_summed_by_currency_and_a_sum_that_money_does_not_hold_is_an_error() {
        use arrow::array::AsArray;

        let session = money_sql::session(2, std::sync::Arc::default());
        let frame = |draws: &[CreditConsumption]| session.read_batch(schemas::to_batch(draws).unwrap()).unwrap();
        let usd = cell(1, "1", None);
        let eur = Cell { currency: "EUR".into(), ..usd.clone() };
        let draws = [draw("a", &usd, "3"), draw("b", &usd, "0.0000000001"), draw("a", &eur, "7")];
        let batches = drawn_by_currency(frame(&draws)).unwrap().collect().await.unwrap();
        let currencies = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten());
        let sums =
            batches.iter().flat_map(|batch| schemas::column_values::<CreditConsumption, Money>(batch, "used").unwrap());
        let mut told: Vec<String> = currencies.zip(sums).map(|(currency, sum)| format!("{sum} {currency}")).collect();
        told.sort();
        assert_eq!(told, ["3.0000000001 USD", "7.0000000000 EUR"]);
        let most = draw("a", &usd, "9999999999999999999999999999.9999999999");
        let error = drawn_by_currency(frame(&[most.clone(), most])).unwrap().collect().await.unwrap_err().to_string();
        assert!(error.contains("SUM of money overflows 38 digits"), "{error}");
    }
}
