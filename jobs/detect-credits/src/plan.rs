//! From lines to cost lines and credit lines.
//!
//! Lines are summed once by everything that either table is grouped by; both tables are sums over that.

use datafusion::common::Result;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::{DataFrame, Expr};
use schemas::TableRow;
use schemas::tables::CostLine;

use crate::lines::{KEYS, MEASURES};

/// The lines summed by all keys: one row per cell, rule and, on credit lines, description.
///
/// # Errors
/// The plan's.
pub fn summed(lines: DataFrame) -> Result<DataFrame> {
    sums(lines, &KEYS, &MEASURES)
}

/// `cost_lines` of one period, in order of the table's grain.
///
/// # Errors
/// The plan's.
pub fn cost_lines(summed: DataFrame, period: &str) -> Result<DataFrame> {
    let keys = ["usage_date", "payer_account_id", "account_id", "service", "currency", "rule_id"];
    let of_period = summed.filter(col("billing_period").eq(lit(period)))?;
    let columns: Vec<&str> = CostLine::TABLE.column_names().collect();
    sums(of_period, &keys, &MEASURES)?
        .sort(keys.iter().map(|key| col(*key).sort(true, true)).collect())?
        .select_columns(&columns)
}

/// The credit lines of one period before their descriptions are parsed.
///
/// # Errors
/// The plan's.
pub fn credit_sums(summed: DataFrame, period: &str) -> Result<DataFrame> {
    let keys = ["usage_date", "payer_account_id", "account_id", "service", "currency", "description"];
    let credits = summed.filter(col("billing_period").eq(lit(period)).and(col("is_credit")))?;
    sums(credits, &keys, &["aws_credits"])
}

fn sums(frame: DataFrame, keys: &[&str], measures: &[&str]) -> Result<DataFrame> {
    let keys: Vec<Expr> = keys.iter().map(|key| col(*key)).collect();
    let measures: Vec<Expr> = measures.iter().map(|measure| money_sql::sum(col(*measure)).alias(*measure)).collect();
    frame.aggregate(keys, measures)
}
