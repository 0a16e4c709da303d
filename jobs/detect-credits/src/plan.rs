//! The plan of the scan, from what each partition found to what the generations are written from.
//!
//! ```sql
//! SELECT <keys>, sum(<measures>), sum(lines) FROM cost_scan GROUP BY <keys>
//! ORDER BY billing_period, kind DESC, <the other keys>     -- each NULLS FIRST
//! ```

use datafusion::common::Result;
use datafusion::logical_expr::{SortExpr, col};
use datafusion::prelude::{DataFrame, Expr};

use crate::scan_rows::{KEYS, LINES, MEASURES};

/// Problems first; then of each billing period what was counted, `credit_lines`, and `cost_lines` in order of their keys.
pub(crate) fn final_sums(scan: DataFrame) -> Result<DataFrame> {
    scan.alias("cost_scan")?.aggregate(KEYS.map(col).into(), sums())?.sort(order())
}

fn sums() -> Vec<Expr> {
    let amounts = MEASURES.iter().map(|measure| money_sql::sum(col(*measure)).alias(*measure));
    amounts.chain([money_sql::sum(col(LINES)).alias(LINES)]).collect()
}

fn order() -> Vec<SortExpr> {
    KEYS.iter().map(|key| col(*key).sort(*key != "kind", true)).collect()
}
