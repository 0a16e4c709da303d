//! Net cost of nodes over months, from `net_cost_summary`.

use std::collections::{BTreeMap, BTreeSet};

use application::Failure;
use credit_ledger::{BillingPeriod, Money, Node, Periods, Text};
use schemas::NodeColumns;
use schemas::tables::NetCostSummary;

use crate::asked::Asked;

/// Months that are shown where the address names none.
const MONTHS: usize = 12;

/// Rows of the roll-up by month.
pub(crate) struct Summaries {
    /// The months that are shown, oldest first.
    pub(crate) months: Vec<BillingPeriod>,
    rows: Vec<(BillingPeriod, Option<Node>, NetCostSummary)>,
}

/// The months of the published run that the address asks for; the last twelve where it names none.
pub(crate) fn months(asked: &Asked) -> Result<Vec<BillingPeriod>, Failure> {
    let of_run: BTreeSet<BillingPeriod> = asked.run()?.periods::<NetCostSummary>();
    let is_shown =
        |period: &BillingPeriod| asked.filter.periods.is_none_or(|periods: Periods| periods.contains(*period));
    let shown: Vec<BillingPeriod> = of_run.into_iter().filter(is_shown).collect();
    let left_out = if asked.filter.periods.is_none() { shown.len().saturating_sub(MONTHS) } else { 0 };
    Ok(shown.into_iter().skip(left_out).collect())
}

impl Summaries {
    /// Reads the months that the address asks for.
    pub(crate) async fn read(asked: &Asked) -> Result<Self, Failure> {
        let months = months(asked)?;
        let mut rows = Vec::new();
        for month in &months {
            let of_month: Vec<NetCostSummary> = asked.run()?.rows(Some(*month)).await?;
            let of_month = of_month.into_iter().filter(|row| asked.filter.takes_currency(&row.currency));
            rows.extend(of_month.map(|row| (*month, row.node().ok(), row)));
        }
        Ok(Self { months, rows })
    }

    /// The rows of one node, or of everything.
    pub(crate) fn of<'a>(
        &'a self,
        node: Option<&'a Node>,
    ) -> impl Iterator<Item = (BillingPeriod, &'a NetCostSummary)> + 'a {
        self.rows.iter().filter(move |(_, of, _)| of.as_ref() == node).map(|(month, _, row)| (*month, row))
    }

    /// The nodes right below a node, or the business units.
    pub(crate) fn below(&self, node: Option<&Node>) -> BTreeSet<Node> {
        let nodes = self.rows.iter().filter_map(|(_, of, _)| of.as_ref());
        nodes.filter(|of| of.parent().as_ref() == node).cloned().collect()
    }

    /// The sum of one column of a node over the months, by currency.
    pub(crate) fn total(
        &self,
        node: Option<&Node>,
        column: impl Fn(&NetCostSummary) -> Money,
    ) -> Result<BTreeMap<Text, Money>, Failure> {
        let mut sums: BTreeMap<Text, Money> = BTreeMap::new();
        for (_, row) in self.of(node) {
            let sum = sums.entry(row.currency.clone()).or_default();
            *sum = sum.checked_add(column(row))?;
        }
        Ok(sums)
    }

    /// One column of a node in one currency, month by month.
    pub(crate) fn by_month(
        &self,
        node: Option<&Node>,
        currency: &str,
        column: impl Fn(&NetCostSummary) -> Money,
    ) -> Vec<Money> {
        let of_month = |month: &BillingPeriod| {
            let found = self.of(node).find(|(of, row)| of == month && row.currency == currency);
            found.map(|(_, row)| column(row)).unwrap_or_default()
        };
        self.months.iter().map(of_month).collect()
    }

    /// The currencies, in order.
    pub(crate) fn currencies(&self) -> BTreeSet<Text> {
        self.rows.iter().map(|(_, _, row)| row.currency.clone()).collect()
    }
}

/// `2026-05 to 2026-10`, or the one month.
pub(crate) fn span(months: &[BillingPeriod]) -> String {
    match (months.first(), months.last()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(only), _) => only.to_string(),
        _ => "no month".to_owned(),
    }
}
