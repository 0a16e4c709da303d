//! Which measure a line adds to, which rule claims it, and the cells that come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;

use chrono::NaiveDate;

use super::Settings;
use super::credits::{class_of, parse_description};
use super::parse::{Line, Node, node};
use super::units::{Money, Period, apportion};
use crate::support::compare::{Row, csv_rows};

/// The node of what no rule claims.
pub(crate) const UNASSIGNED: &str = "Unassigned";

/// What spend is drawn from. The order is that of ties: day, payer, account, service, node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) period: Period,
    pub(crate) usage_date: NaiveDate,
    pub(crate) payer: String,
    pub(crate) account: String,
    pub(crate) service: Option<String>,
    pub(crate) currency: String,
    pub(crate) node: Node,
}

/// Sums of a cell, each of which is split by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measures {
    /// By the chosen cost column.
    pub(crate) charges: Money,
    /// By the unblended column, whatever is chosen: what the invoice says.
    pub(crate) invoiced_charges: Money,
    pub(crate) eligible: Money,
    pub(crate) tax: Money,
    pub(crate) refunds: Money,
    pub(crate) aws_credits: Money,
}

impl Add for Measures {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            charges: self.charges + other.charges,
            invoiced_charges: self.invoiced_charges + other.invoiced_charges,
            eligible: self.eligible + other.eligible,
            tax: self.tax + other.tax,
            refunds: self.refunds + other.refunds,
            aws_credits: self.aws_credits + other.aws_credits,
        }
    }
}

impl Measures {
    /// What the invoice says.
    pub(crate) fn invoice_net(self) -> Money {
        self.invoiced_charges + self.tax + self.refunds + self.aws_credits
    }
}

/// The cells of all lines.
pub(crate) struct Classified {
    pub(crate) cells: BTreeMap<Cell, Measures>,
    pub(crate) rounded: bool,
}

/// Maps lines to nodes: all conditions that are set must match.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    priority: i64,
    id: String,
    conditions: Row,
    /// Nodes in path order with their shares in units.
    shares: BTreeMap<Node, i128>,
}

/// The rules in the order in which they are tried.
pub(crate) fn rules(text: &str, nodes: &BTreeSet<Node>) -> Vec<Rule> {
    let mut by_id: BTreeMap<String, Rule> = BTreeMap::new();
    for row in csv_rows(text) {
        let id = row["rule_id"].clone();
        let target = node(&row);
        assert!(nodes.contains(&target), "rule {id} names the unknown node {target:?}");
        let share = if row["share"].is_empty() { "1" } else { &row["share"] };
        let share = Money::parse(share).expect("a share").0;
        let rule = by_id.entry(id.clone()).or_insert_with(|| Rule {
            priority: row["priority"].parse().expect("a priority"),
            id,
            conditions: row.clone(),
            shares: BTreeMap::new(),
        });
        *rule.shares.entry(target).or_default() += share;
    }
    let mut rules: Vec<Rule> = by_id.into_values().collect();
    let one = Money::parse("1").expect("one").0;
    for rule in &rules {
        assert_eq!(rule.shares.values().sum::<i128>(), one, "shares of rule {}", rule.id);
    }
    rules.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
    rules
}

/// Whether the whole text fits; `*` stands for any text, none included.
fn fits(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), None) => fits(&pattern[1..], text),
        (Some('*'), Some(first)) => fits(&pattern[1..], text) || fits(pattern, &text[first.len_utf8()..]),
        (Some(wanted), Some(first)) => {
            wanted == first && fits(&pattern[wanted.len_utf8()..], &text[first.len_utf8()..])
        }
        (_, None) | (None, _) => false,
    }
}

impl Rule {
    fn condition(&self, column: &str) -> Option<&str> {
        self.conditions.get(column).map(String::as_str).filter(|pattern| !pattern.is_empty())
    }

    fn value_fits(&self, column: &str, value: Option<&str>) -> bool {
        self.condition(column).is_none_or(|pattern| value.is_some_and(|value| fits(pattern, value)))
    }

    /// A key without a value means that the key is present.
    fn key_fits(&self, key_column: &str, value_column: &str, values: &BTreeMap<String, String>) -> bool {
        let Some(key) = self.condition(key_column) else { return true };
        let value = values.get(&super::parse::snake(key)).map(String::as_str);
        value.is_some() && self.value_fits(value_column, value)
    }

    fn matches(&self, line: &Line) -> bool {
        self.value_fits("payer_account_id", Some(&line.payer))
            && self.value_fits("account_id", Some(&line.account))
            && self.value_fits("service", line.service.as_deref())
            && self.value_fits("region", line.region.as_deref())
            && self.key_fits("tag_key", "tag_value", &line.tags)
            && self.key_fits("cost_category_key", "cost_category_value", &line.categories)
            && self.condition("from_period").is_none_or(|from| Period::parse(from) <= line.period)
            && self.condition("to_period").is_none_or(|to| line.period <= Period::parse(to))
    }
}

/// Whether a charge may be offset by a credit.
fn is_eligible(line: &Line) -> bool {
    let committed = line.reservation.is_some() || line.savings_plan.is_some();
    let upfront = line.line_type == "SavingsPlanUpfrontFee" || (line.line_type == "Fee" && committed);
    let marketplace = line.billing_entity.as_deref() == Some("AWS Marketplace");
    let domain = line.service.as_deref() == Some("AmazonRegistrar");
    !(upfront || marketplace || domain)
}

/// Whether a `Credit` line counts as a refund.
pub(crate) fn is_refund_class(line: &Line, settings: &Settings) -> bool {
    let name = parse_description(line.description.as_deref()).name;
    settings.treat_as_refund.iter().any(|class| class == class_of(&name))
}

fn measure(line: &Line, settings: &Settings) -> Measures {
    let none = Measures::default();
    match line.line_type.as_str() {
        "Credit" if is_refund_class(line, settings) => Measures { refunds: line.unblended, ..none },
        "Credit" => Measures { aws_credits: line.unblended, ..none },
        "Refund" => Measures { refunds: line.chosen, invoiced_charges: line.unblended - line.chosen, ..none },
        "Tax" => Measures { tax: line.unblended, ..none },
        _ => {
            let eligible = if is_eligible(line) { line.chosen } else { Money::ZERO };
            Measures { charges: line.chosen, invoiced_charges: line.unblended, eligible, ..none }
        }
    }
}

/// One part per share; the parts sum to the whole.
fn split(whole: Measures, weights: &[i128]) -> (Vec<Measures>, bool) {
    let mut parts = vec![Measures::default(); weights.len()];
    let mut rounded = false;
    let mut assign = |amount: Money, field: fn(&mut Measures) -> &mut Money| {
        let (shares, remainder) = apportion(Money(amount.0.abs()), weights);
        rounded |= remainder;
        for (part, share) in parts.iter_mut().zip(shares) {
            *field(part) = if amount < Money::ZERO { -share } else { share };
        }
    };
    assign(whole.charges, |part| &mut part.charges);
    assign(whole.invoiced_charges, |part| &mut part.invoiced_charges);
    assign(whole.eligible, |part| &mut part.eligible);
    assign(whole.tax, |part| &mut part.tax);
    assign(whole.refunds, |part| &mut part.refunds);
    assign(whole.aws_credits, |part| &mut part.aws_credits);
    (parts, rounded)
}

/// Sums lines by rule, splits the sums, and adds the parts up by cell.
pub(crate) fn classify(lines: &[Line], rules: &[Rule], settings: &Settings) -> Classified {
    let mut sums: BTreeMap<(Cell, Option<usize>), Measures> = BTreeMap::new();
    for line in lines {
        let rule = rules.iter().position(|rule| rule.matches(line));
        let cell = Cell {
            period: line.period,
            usage_date: line.usage_date,
            payer: line.payer.clone(),
            account: line.account.clone(),
            service: line.service.clone(),
            currency: line.currency.clone(),
            node: vec![UNASSIGNED.to_owned()],
        };
        let sum = sums.entry((cell, rule)).or_default();
        *sum = *sum + measure(line, settings);
    }
    let mut classified = Classified { cells: BTreeMap::new(), rounded: false };
    let unassigned = BTreeMap::from([(vec![UNASSIGNED.to_owned()], 1)]);
    for ((cell, rule), sum) in sums {
        let shares = rule.map_or(&unassigned, |position| &rules[position].shares);
        let (parts, rounded) = split(sum, &shares.values().copied().collect::<Vec<_>>());
        classified.rounded |= rounded;
        for (node, part) in shares.keys().zip(parts) {
            let cell = Cell { node: node.clone(), ..cell.clone() };
            let sum = classified.cells.entry(cell).or_default();
            *sum = *sum + part;
        }
    }
    classified
}

#[test]
fn wildcards_stand_for_any_text_and_values_match_whole() {
    assert!(fits("web-*", "web-17") && fits("*", "x") && fits("a*c", "abcc") && fits("*b*", "abc"));
    assert!(!fits("web", "web-17") && !fits("Web-*", "web-17") && !fits("a*c", "abd"));
}
