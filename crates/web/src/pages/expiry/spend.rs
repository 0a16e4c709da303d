//! What credits could have taken in the last full month, and how that compares with what is left.
//!
//! A comparison, no forecast: it takes each day to come for one of that month. And no division: "`left` is more than so much a
//! day makes until the end" is `in_month * days_left < left * days_of_month`.

use std::collections::{BTreeMap, HashMap};

use application::{Failure, collected};
use arrow::datatypes::i256;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, MoneyError, Node, Text};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::Expr;
use schemas::tables::NetCost;
use schemas::{RowsError, Table, TableRow, column_values};

use crate::asked::Asked;

/// Spend that a credit may offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Eligible {
    pub(super) charges: Money,
    /// What of it no credit took.
    pub(super) untaken: Money,
}

impl Eligible {
    fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        let charges = self.charges.checked_add(other.charges)?;
        Ok(Self { charges, untaken: self.untaken.checked_add(other.untaken)? })
    }
}

/// Eligible spend of one month, at each node and below it.
#[derive(Debug)]
pub(super) struct Spend {
    pub(super) month: BillingPeriod,
    at: HashMap<Text, BTreeMap<Node, Eligible>>,
}

/// A lot that is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared<'a> {
    pub(super) node: &'a Node,
    pub(super) currency: &'a str,
    pub(super) left: Money,
    /// What it drew in the month, where it was there for all of it.
    pub(super) drew: Option<Money>,
    /// Days on which it may still draw.
    pub(super) days_left: i64,
}

/// Why something of a lot would be left at its end, if all days were as those of the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    /// All that is eligible would not use it up.
    TooLittleSpend,
    /// That would, but it drew too little of it.
    DrewTooLittle,
}

/// A node above a lot where there is more to draw on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MoreSpend {
    pub(super) node: Node,
    /// Eligible there and below, and taken by no credit.
    pub(super) untaken: Money,
}

impl Spend {
    /// That of the last month of the run that was over on the as-of date; none before there is one.
    pub(super) async fn read(asked: &Asked) -> Result<Option<Self>, Failure> {
        let run = asked.run()?;
        let Some(month) = last_full(run.periods::<NetCost>(), run.staged().as_of) else { return Ok(None) };
        let keys = ["currency"].into_iter().chain(Node::LEVELS).map(col).collect();
        let sum = |name: &str| money_sql::sum(col(name)).alias(name);
        let sums = asked.context.lake.published_frame(&asked.context.session()?, &NetCost::TABLE).await?;
        // A cell whose eligible charges are negative counts as one without any.
        let sums = sums
            .filter(col(Table::PARTITION).eq(lit(month.to_string())).and(above_zero("eligible_charges")))?
            .aggregate(keys, vec![sum("eligible_charges"), sum("credits_applied")])?;
        let mut rows = Vec::new();
        for batch in collected(&asked.context, sums).await? {
            rows.extend(of_nodes(&batch)?);
        }
        Ok(Some(Self::of(month, rows)?))
    }

    fn of(month: BillingPeriod, rows: impl IntoIterator<Item = (Text, Node, Eligible)>) -> Result<Self, MoneyError> {
        let mut at: HashMap<Text, BTreeMap<Node, Eligible>> = HashMap::new();
        for (currency, node, eligible) in rows {
            let of_currency = at.entry(currency).or_default();
            for above in node.lineage() {
                let sum = of_currency.entry(above).or_default();
                *sum = sum.checked_add(eligible)?;
            }
        }
        Ok(Self { month, at })
    }

    /// Of a node and below it.
    pub(super) fn at(&self, currency: &str, node: &Node) -> Eligible {
        self.at.get(currency).and_then(|nodes| nodes.get(node)).copied().unwrap_or_default()
    }

    /// Whether something of a lot would be left at its end, if all days were as those of the month.
    pub(super) fn short(&self, lot: Compared<'_>) -> Option<Short> {
        if self.is_too_little(self.at(lot.currency, lot.node).charges, lot) {
            return Some(Short::TooLittleSpend);
        }
        lot.drew.filter(|drew| self.is_too_little(*drew, lot)).map(|_| Short::DrewTooLittle)
    }

    /// The nearest node above a lot where it would be used up by what no credit took; else the one with the most of that, where
    /// it is more than at the lot's own node.
    pub(super) fn more(&self, lot: Compared<'_>) -> Result<Option<MoreSpend>, MoneyError> {
        let mut most = self.at(lot.currency, lot.node).untaken;
        let mut found = None;
        let mut above = lot.node.parent();
        while let Some(node) = above {
            let untaken = self.at(lot.currency, &node).untaken;
            above = node.parent();
            if untaken > most {
                most = untaken;
                found = Some(MoreSpend { node, untaken });
                if !self.is_too_little(untaken.checked_add(lot.drew.unwrap_or_default())?, lot) {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// True where so much a month does not use up what is left until its end.
    fn is_too_little(&self, in_month: Money, lot: Compared<'_>) -> bool {
        let days = self.month.last_day().signed_duration_since(self.month.first_day()).num_days().saturating_add(1);
        times(in_month, lot.days_left) < times(lot.left, days)
    }
}

/// The condition that an amount is above zero.
pub(super) fn above_zero(column: &str) -> Expr {
    let zero = ScalarValue::Decimal128(Some(0), Money::PRECISION, Money::SCALE);
    col(column).gt(Expr::Literal(zero, None))
}

/// An amount as often as that, in units: it cannot overflow.
pub(super) fn times(amount: Money, count: i64) -> i256 {
    i256::from_i128(amount.units()).wrapping_mul(i256::from_i128(count.into()))
}

fn last_full(months: impl IntoIterator<Item = BillingPeriod>, as_of: NaiveDate) -> Option<BillingPeriod> {
    months.into_iter().filter(|month| month.last_day() <= as_of).max()
}

fn of_nodes(batch: &RecordBatch) -> Result<Vec<(Text, Node, Eligible)>, Failure> {
    let currencies = column_values::<NetCost, Text>(batch, "currency")?;
    let [units, departments, portfolios, products] =
        Node::LEVELS.map(|level| column_values::<NetCost, Option<Text>>(batch, level));
    let levels = units?.into_iter().zip(departments?).zip(portfolios?).zip(products?);
    let nodes = levels.map(|(((unit, department), portfolio), product)| {
        Node::from_levels([unit, department, portfolio, product])
            .map_err(|error| wrong("business_unit", error.to_string()))
    });
    let (charges, applied) = (
        column_values::<NetCost, Money>(batch, "eligible_charges")?,
        column_values::<NetCost, Money>(batch, "credits_applied")?,
    );
    let mut found = Vec::new();
    for (((currency, node), charges), applied) in currencies.into_iter().zip(nodes).zip(charges).zip(applied) {
        // `credits_applied` is negative.
        found.push((currency, node?, Eligible { charges, untaken: charges.checked_add(applied)? }));
    }
    Ok(found)
}

const fn wrong(column: &'static str, problem: String) -> RowsError {
    RowsError::Column { table: NetCost::TABLE.name, column, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn node(path: &str) -> Node {
        application::typed::node(path).unwrap()
    }

    /// October has 31 days.
    fn spend(rows: &[(&str, &str, &str)]) -> Spend {
        let row = |(path, charges, untaken): &(&str, &str, &str)| {
            (Text::new("USD"), node(path), Eligible { charges: money(charges), untaken: money(untaken) })
        };
        Spend::of("2026-10".parse().unwrap(), rows.iter().map(row)).unwrap()
    }

    fn lot<'a>(node: &'a Node, left: &str, drew: Option<&str>, days_left: i64) -> Compared<'a> {
        Compared { node, currency: "USD", left: money(left), drew: drew.map(money), days_left }
    }

    #[test]
    fn spend_counts_at_its_node_and_all_above_by_currency() {
        let spend =
            spend(&[("Retail/Online/Shop", "10", "1"), ("Retail/Online", "5", "5"), ("Retail/Stores", "2", "0")]);
        let at = |path: &str| spend.at("USD", &node(path)).charges.to_string();
        let expected = ["17.0000000000", "15.0000000000", "10.0000000000", "0.0000000000"];
        assert_eq!(["Retail", "Retail/Online", "Retail/Online/Shop", "Media"].map(at), expected);
        assert_eq!(spend.at("EUR", &node("Retail")), Eligible::default());
    }

    #[test]
    fn what_is_left_is_compared_to_the_last_decimal() {
        let spend = spend(&[("Retail", "31", "0")]);
        let retail = node("Retail");
        let short = |left: &str, drew: Option<&str>| spend.short(lot(&retail, left, drew, 40));
        assert_eq!(short("40", None), None);
        assert_eq!(short("40.0000000001", None), Some(Short::TooLittleSpend));
        assert_eq!(short("40", Some("31")), None);
        assert_eq!(short("40", Some("30.9999999999")), Some(Short::DrewTooLittle));
        assert_eq!(spend.short(lot(&retail, "0.0000000001", None, 0)), Some(Short::TooLittleSpend));
    }

    #[test]
    fn amounts_of_38_digits_are_compared_too() {
        let largest = Money::from_units(10_i128.pow(38) - 1).unwrap();
        let less = Money::from_units(10_i128.pow(38) - 2).unwrap();
        assert!(times(less, i64::MAX) < times(largest, i64::MAX));
    }

    #[test]
    fn nearest_node_with_enough_untaken_spend_is_named_else_the_one_with_the_most() {
        let spend = spend(&[("Retail/Online/Shop", "31", "0"), ("Retail/Online", "31", "31"), ("Retail", "93", "93")]);
        let shop = node("Retail/Online/Shop");
        let more = |left: &str, drew: Option<&str>| {
            spend.more(lot(&shop, left, drew, 31)).unwrap().map(|more| (more.node.to_string(), more.untaken))
        };
        let named = |path: &str, untaken: &str| Some((path.to_owned(), money(untaken)));
        assert_eq!(more("31", None), named("Retail/Online", "31"));
        assert_eq!(more("41", Some("10")), named("Retail/Online", "31"));
        assert_eq!(more("42", Some("10")), named("Retail", "124"));
        assert_eq!(more("5000", None), named("Retail", "124"));
        assert_eq!(spend.more(lot(&node("Retail"), "5000", None, 31)), Ok(None));
    }

    #[test]
    fn nothing_is_named_where_there_is_no_more_above() {
        let spend = spend(&[("Retail/Online", "31", "31")]);
        assert_eq!(spend.more(lot(&node("Retail/Online"), "5000", None, 31)), Ok(None));
    }

    #[test]
    fn month_is_full_once_its_last_day_is_reached() {
        let months = || ["2026-09", "2026-10", "2026-11"].map(|month| month.parse::<BillingPeriod>().unwrap());
        let last = |as_of: &str| last_full(months(), as_of.parse().unwrap()).map(|month| month.to_string());
        assert_eq!(last("2026-10-30").as_deref(), Some("2026-09"));
        assert_eq!(last("2026-10-31").as_deref(), Some("2026-10"));
        assert_eq!(last("2026-09-29"), None);
    }
}
