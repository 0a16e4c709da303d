//! What is left, by where it lies and by the month in which it ends.

use std::collections::{BTreeMap, BTreeSet};

use application::{Failure, Kind};
use credit_ledger::{BillingPeriod, Money, MoneyError, Node, Text};

use super::left::LotBalance;
use super::spend::times;
use crate::asked::Asked;
use crate::chart::Chart;
use crate::filter::Filter;
use crate::sheet::{Sheet, column};

/// How an address names what never ends.
const OPEN: &str = "open-ended";

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    In(BillingPeriod),
    Never,
}

impl End {
    pub(super) fn of(lot: &LotBalance) -> Self {
        lot.row.end_date.map_or(Self::Never, |end| Self::In(BillingPeriod::of(end)))
    }

    /// The end that the address asks for: `end=2026-12`, `end=open-ended`.
    pub(super) fn asked(filter: &Filter) -> Result<Option<Self>, Failure> {
        let end = |text: &str| match text {
            OPEN => Ok(Self::Never),
            month => month.parse().map(Self::In),
        };
        let wrong = |error| Failure::new(Kind::Usage, format!("end: {error}; or {OPEN}"));
        filter.stated("end").map(end).transpose().map_err(wrong)
    }

    fn text(self) -> String {
        match self {
            Self::In(month) => month.to_string(),
            Self::Never => OPEN.to_owned(),
        }
    }
}

/// What is left at one place in one currency, by its end.
type ByEnd = BTreeMap<End, Money>;

/// What is left, by where it lies and by the month in which it ends.
#[derive(Debug)]
pub(super) struct Calendar {
    /// Places right below the node that is shown, and that node itself for lots that sit on it.
    rows: BTreeMap<(Node, Text), ByEnd>,
    ends: BTreeSet<End>,
}

impl Calendar {
    /// Sums of these lots, all at `node` or below.
    pub(super) fn of(lots: &[LotBalance], node: Option<&Node>) -> Result<Self, MoneyError> {
        let depth = node.map_or(0, Node::level).saturating_add(1);
        let mut rows: BTreeMap<(Node, Text), ByEnd> = BTreeMap::new();
        for lot in lots {
            let place = lot.node.lineage().take(depth).last().unwrap_or_else(|| lot.node.clone());
            let by_end = rows.entry((place, lot.row.currency.clone())).or_default();
            let sum = by_end.entry(End::of(lot)).or_default();
            *sum = sum.checked_add(lot.row.remaining)?;
        }
        let ends = rows.values().flat_map(|by_end| by_end.keys().copied()).collect();
        Ok(Self { rows, ends })
    }

    /// The largest amount of each currency that ends in one month at one place.
    fn largest(&self) -> BTreeMap<&Text, Money> {
        let mut largest: BTreeMap<&Text, Money> = BTreeMap::new();
        for ((_, currency), by_end) in &self.rows {
            for (_, amount) in by_end.iter().filter(|(end, _)| **end != End::Never) {
                let most = largest.entry(currency).or_default();
                *most = (*most).max(*amount);
            }
        }
        largest
    }

    /// The table: each amount leads to the lots that it is of.
    pub(super) fn sheet(&self, asked: &Asked, title: String) -> Result<Sheet, Failure> {
        let rows: Vec<(&(Node, Text), &ByEnd)> = self.rows.iter().collect();
        let (shown, largest) = (asked.filter.node.as_ref(), self.largest());
        let lies_below = rows.iter().any(|((node, _), _)| shown != Some(node));
        let to = |node: &Node, other: &[(&str, &str)]| {
            let name = node.to_string();
            let all = [&[("node", name.as_str())], other].concat();
            // A list of the node that is shown has what lies below it, too.
            (shown != Some(node) || !lies_below).then(|| asked.filter.elsewhere("/expiry", &all))
        };
        let mut sheet = Sheet::new("left_by_end", title, "Nothing is left of any credit here.")
            .column("node", "Node", column(&rows, |((node, _), _)| Text::from(node.to_string())))
            .links(rows.iter().map(|((node, _), _)| to(node, &[])))
            .column("currency", "Currency", column(&rows, |((_, currency), _)| currency.clone()));
        for end in &self.ends {
            let (name, label) = match end {
                End::In(month) => (month.to_string(), month.to_string()),
                End::Never => ("open_ended".to_owned(), "Open-ended".to_owned()),
            };
            let links = rows.iter().map(|((node, currency), by_end)| {
                let to_lots = || to(node, &[("currency", currency), ("end", &end.text())]);
                by_end.get(end).and_then(|_| to_lots()).map(|address| format!("{address}#lots_left"))
            });
            let shades = rows.iter().map(|((_, currency), by_end)| {
                let amount = by_end.get(end).filter(|_| *end != End::Never);
                amount.zip(largest.get(currency)).and_then(|(amount, largest)| shade(*amount, *largest))
            });
            sheet = sheet
                .summed(name, label, column(&rows, |(_, by_end)| by_end.get(end).copied()))
                .links(links)
                .classes(shades);
        }
        let totals: Result<Vec<Money>, MoneyError> =
            rows.iter().map(|(_, by_end)| Money::total(by_end.values().copied())).collect();
        Ok(sheet.summed("total", "Total", column(&totals?, |total| *total)))
    }

    /// Bars of what ends in each month, a picture for each currency.
    pub(super) fn charts(&self) -> Vec<Chart> {
        let months: Vec<&End> = self.ends.iter().filter(|end| **end != End::Never).collect();
        let names: Vec<String> = months.iter().map(|end| end.text()).collect();
        let chart = |currency: &&Text| {
            let of_currency = self.rows.iter().filter(|((_, of), _)| of == *currency);
            let amounts =
                |by_end: &ByEnd| months.iter().map(|end| by_end.get(end).copied().unwrap_or_default()).collect();
            let series: Vec<(String, Vec<Money>)> =
                of_currency.map(|((node, _), by_end)| (node.name().to_owned(), amounts(by_end))).collect();
            Chart::stacked(format!("Left, by the month in which it ends, {currency}"), &names, &series)
        };
        self.largest().keys().map(chart).collect()
    }
}

/// One of five shades, by the share of the largest amount.
fn shade(amount: Money, largest: Money) -> Option<&'static str> {
    const SHADES: [&str; 5] = ["heat-1", "heat-2", "heat-3", "heat-4", "heat-5"];
    let mut steps = (1..).zip(SHADES);
    steps.find(|(step, _)| times(amount, 5) <= times(largest, *step)).map(|(_, shade)| shade)
}

#[cfg(test)]
mod tests {
    use schemas::tables::CreditBalance;

    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn node(path: &str) -> Node {
        application::typed::node(path).unwrap()
    }

    fn lot(path: &str, currency: &str, end: Option<&str>, left: &str) -> LotBalance {
        let node = node(path);
        let [business_unit, department, portfolio, product] = node.levels();
        let none = Money::ZERO;
        let row = CreditBalance {
            credit_key: "id:1".into(),
            lot: 1,
            promotion_code: "MAP".into(),
            account_id: "1".into(),
            currency: currency.into(),
            business_unit,
            department,
            portfolio,
            product,
            issue_date: "2026-01-31".parse().unwrap(),
            end_date: end.map(|end| end.parse().unwrap()),
            opening: money(left),
            issued: none,
            moved: none,
            used: none,
            expired: none,
            remaining: money(left),
            aws_applied: none,
        };
        LotBalance { row, node, owner: None }
    }

    fn lots() -> Vec<LotBalance> {
        vec![
            lot("Retail/Online", "USD", Some("2026-12-01"), "10"),
            lot("Retail/Online/Shop", "USD", Some("2026-12-31"), "0.0000000001"),
            lot("Retail", "USD", None, "7"),
            lot("Retail", "EUR", Some("2027-01-31"), "3"),
            lot("Media", "USD", Some("2027-01-01"), "40"),
        ]
    }

    fn texts(calendar: &Calendar) -> Vec<String> {
        let cell = |((node, currency), by_end): (&(Node, Text), &ByEnd)| {
            let amounts: Vec<String> = by_end.iter().map(|(end, amount)| format!("{} {amount}", end.text())).collect();
            format!("{node} {currency}: {}", amounts.join(", "))
        };
        calendar.rows.iter().map(cell).collect()
    }

    #[test]
    fn lots_are_summed_by_business_unit_currency_and_month_of_end() {
        let calendar = Calendar::of(&lots(), None).unwrap();
        let expected = [
            "Media USD: 2027-01 40.0000000000",
            "Retail EUR: 2027-01 3.0000000000",
            "Retail USD: 2026-12 10.0000000001, open-ended 7.0000000000",
        ];
        assert_eq!(texts(&calendar), expected);
        let (euro, dollar) = ("EUR".into(), "USD".into());
        assert_eq!(calendar.largest(), [(&euro, money("3")), (&dollar, money("40"))].into());
        assert_eq!(calendar.charts().len(), 2);
    }

    #[test]
    fn below_a_node_its_own_lots_stand_beside_those_of_the_next_level() {
        let retail: Vec<LotBalance> = lots().into_iter().filter(|lot| lot.node.business_unit() == "Retail").collect();
        let calendar = Calendar::of(&retail, Some(&node("Retail"))).unwrap();
        let expected = [
            "Retail EUR: 2027-01 3.0000000000",
            "Retail USD: open-ended 7.0000000000",
            "Retail/Online USD: 2026-12 10.0000000001",
        ];
        assert_eq!(texts(&calendar), expected);
    }

    #[test]
    fn five_shades_of_the_largest_amount() {
        let of = |amount: &str| shade(money(amount), money("100"));
        assert_eq!(of("0.0000000001"), Some("heat-1"));
        assert_eq!(of("20"), Some("heat-1"));
        assert_eq!(of("20.0000000001"), Some("heat-2"));
        assert_eq!(of("60"), Some("heat-3"));
        assert_eq!(of("100"), Some("heat-5"));
    }

    #[test]
    fn end_is_a_month_or_none() {
        let asked = |query: &str| End::asked(&Filter::parse(query).unwrap());
        assert_eq!(asked("").unwrap(), None);
        assert_eq!(asked("end=2026-12").unwrap(), Some(End::In("2026-12".parse().unwrap())));
        assert_eq!(asked("end=open-ended").unwrap(), Some(End::Never));
        assert!(asked("end=soon").unwrap_err().to_string().contains("or open-ended"));
    }
}
