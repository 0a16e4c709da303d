//! From lines, summed per partition, to cells in order: the one sum that both tables of a generation are read off.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::{ScalarUDF, col};
use datafusion::prelude::{DataFrame, Expr};

use crate::interner::{SortRank, StringInterner};
use crate::lines::{KEYS, MEASURES};

/// The keys that are texts: numbers in, places in the order of the texts out.
const TEXTS: [&str; 6] = ["payer_account_id", "account_id", "service", "currency", "rule_id", "description"];

/// The lines summed by all keys: one row per cell, rule and, on credit lines, description; in order of the keys.
pub(crate) fn final_sums(lines: DataFrame, names: &Arc<StringInterner>) -> Result<DataFrame> {
    let keys: Vec<Expr> = KEYS.iter().map(|key| col(*key)).collect();
    let sums = MEASURES.iter().map(|measure| money_sql::sum(col(*measure)).alias(*measure)).collect();
    let rank_of = ScalarUDF::new_from_impl(SortRank(Arc::clone(names)));
    let ranked = |name: &&str| {
        if TEXTS.contains(name) { rank_of.call(vec![col(*name)]).alias(*name) } else { col(*name) }
    };
    lines
        .aggregate(keys, sums)?
        .select(KEYS.iter().chain(&MEASURES).map(ranked).collect::<Vec<_>>())?
        .sort(KEYS.iter().map(|key| col(*key).sort(true, true)).collect())
}
