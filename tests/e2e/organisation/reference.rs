//! Who there is: accounts, periods, hierarchy; and the rules and budgets written about them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::{Amounts, Budget, NODE, csv_text, node_columns, positive};
use crate::model::parse::Node;
use crate::model::units::Period;

/// Tag keys and their values.
pub(super) const TAGS: [(&str, &[&str]); 2] =
    [("user_cost_center", &["web-17", "web-9", "db \"7\"", "Ähre"]), ("user_team", &["web-17", "blue"])];
/// Cost categories and their values.
pub(super) const CATEGORIES: [(&str, &[&str]); 2] = [("Team", &["Data", "Web/App"]), ("Unit", &["Data"])];
/// Region codes; also none, in the two ways of saying so.
pub(super) const REGIONS: [&str; 4] = ["eu-west-1", "us-east-1", "", "NULL"];

const UNITS: [&str; 5] = ["Retail", "retail", "R&D / Labs", "Zürich \"Süd\"", "研究"];
const DEPARTMENTS: [&str; 3] = ["Online, EMEA", "O'Brien's", "Online"];
const PORTFOLIOS: [&str; 2] = ["Shop/Web", "50% off"];
const PRODUCTS: [&str; 2] = ["Web", "Éclair"];
const ACCOUNTS: [&str; 5] = ["111111111111", "111122223333", "333333333333", "444455556666", "555555555555"];
const PAYERS: [&str; 2] = ["999999999999", "000000000001"];
const SERVICES: [&str; 4] = ["AmazonEC2", "AmazonS3", "AWSLambda", "awslambda"];
const CURRENCIES: [&str; 2] = ["USD", "EUR"];

/// What lines, rules, budgets and allocations choose from.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) payers: Vec<String>,
    pub(super) accounts: Vec<String>,
    pub(super) services: Vec<&'static str>,
    pub(super) currencies: Vec<&'static str>,
    /// The months of the export, perhaps with gaps.
    pub(super) periods: Vec<Period>,
    /// The rows of the hierarchy.
    pub(super) nodes: Vec<Node>,
}

impl Shape {
    /// Every month from the first of the export to the last.
    pub(super) fn months(&self) -> Vec<Period> {
        self.periods[0].through(self.periods[self.periods.len() - 1])
    }

    /// The nodes with their ancestors.
    pub(super) fn all_nodes(&self) -> Vec<Node> {
        let levels = |node: &Node| (1..=node.len()).map(|level| node[..level].to_vec()).collect::<Vec<_>>();
        self.nodes.iter().flat_map(levels).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn periods() -> impl Strategy<Value = Vec<Period>> {
    let gap = prop_oneof![4 => Just(1_u32), 1 => Just(2_u32)];
    (0..24_u32, vec(gap, 0..5)).prop_map(|(start, gaps)| {
        let mut periods = vec![Period::parse("2024-01").plus(start)];
        for gap in gaps {
            periods.push(periods[periods.len() - 1].plus(gap));
        }
        periods
    })
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let depth = prop_oneof![2 => Just(1_usize), 2 => Just(2), 1 => Just(3), 1 => Just(4)];
    let below = (depth, select(DEPARTMENTS.to_vec()), select(PORTFOLIOS.to_vec()), select(PRODUCTS.to_vec()));
    (subsequence(UNITS.to_vec(), 1..=3), vec((any::<Index>(), below), 1..7)).prop_map(|(units, choices)| {
        let path = |(unit, below): (Index, (usize, &str, &str, &str))| {
            let (depth, department, portfolio, product) = below;
            let names = [*unit.get(&units), department, portfolio, product];
            names[..depth].iter().map(|name| (*name).to_owned()).collect::<Node>()
        };
        choices.into_iter().map(path).collect::<BTreeSet<_>>().into_iter().collect()
    })
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Sizes and pools.
pub(super) fn shape() -> impl Strategy<Value = Shape> {
    (1..=2_usize, 1..=5_usize, 1..=4_usize, 1..=2_usize, periods(), nodes()).prop_map(
        |(payers, accounts, services, currencies, periods, nodes)| Shape {
            payers: owned(&PAYERS[..payers]),
            accounts: owned(&ACCOUNTS[..accounts]),
            services: SERVICES[..services].to_vec(),
            currencies: CURRENCIES[..currencies].to_vec(),
            periods,
            nodes,
        },
    )
}

/// A rule before its nodes and periods are known.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleChoice {
    priority: i32,
    payer: &'static str,
    account: &'static str,
    service: &'static str,
    region: &'static str,
    tag: (&'static str, &'static str),
    category: (&'static str, &'static str),
    from: Option<Index>,
    to: Option<Index>,
    nodes: Vec<Index>,
    shares: usize,
}

/// One of the patterns, or (mostly) no condition.
fn condition<T: Clone + std::fmt::Debug + Default + 'static>(patterns: Vec<T>) -> impl Strategy<Value = T> {
    option::weighted(0.25, select(patterns)).prop_map(Option::unwrap_or_default)
}

/// A rule for what no other rule matches.
pub(super) fn last_rule(amounts: Amounts) -> impl Strategy<Value = RuleChoice> {
    rule(amounts).prop_map(|rule| {
        let RuleChoice { nodes, shares, .. } = rule;
        RuleChoice { priority: 9, nodes, shares, ..RuleChoice::default() }
    })
}

/// One rule.
pub(super) fn rule(amounts: Amounts) -> impl Strategy<Value = RuleChoice> {
    let account = condition(vec!["111111111111", "1111*", "*3333", "555555555555", "*1*2*"]);
    let service = condition(vec!["AmazonEC2", "Amazon*", "AWS*", "*", "AWSLambda"]);
    let region = condition(vec!["eu-*", "us-east-1", "*"]);
    let tag = condition(vec![
        ("user_cost_center", ""),
        ("user_cost_center", "web-*"),
        ("user_cost_center", "web-17"),
        ("user_cost_center", "db \"7\""),
        ("user_team", "*ue"),
    ]);
    let category = condition(vec![("Team", ""), ("Team", "Data"), ("Unit", "D*"), ("Team", "*/*")]);
    let limit = || option::weighted(0.15, any::<Index>());
    let shares = if amounts == Amounts::Coarse { 0..1_usize } else { 0..3_usize };
    let place = (condition(vec!["999999999999", "9*"]), account, service, region);
    (0..3, place, tag, category, limit(), limit(), vec(any::<Index>(), 1..4), shares).prop_map(
        |(priority, place, tag, category, from, to, nodes, shares)| RuleChoice {
            priority,
            payer: place.0,
            account: place.1,
            service: place.2,
            region: place.3,
            tag,
            category,
            from,
            to,
            nodes,
            shares,
        },
    )
}

/// Ways of sharing among one, two or three nodes.
const SHARES: [[&[&str]; 3]; 3] = [
    [&[""], &["0.5", "0.5"], &["0.25", "0.5", "0.25"]],
    [&["1"], &["0.3333333333", "0.6666666667"], &["0.3333333333", "0.3333333333", "0.3333333334"]],
    [&[""], &["0.0000000001", "0.9999999999"], &["0.1", "0.2", "0.7"]],
];

/// The rules file; the order of ids is neither that of their numbers nor that of the rows.
pub(super) fn rules_file(shape: &Shape, choices: &[RuleChoice]) -> String {
    let ids = ["r10", "r2", "R3", "ü 1", "r1", "a"];
    let columns = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                   cost_category_value";
    let header: Vec<&str> = columns.split(',').chain(NODE).chain(["share", "from_period", "to_period"]).collect();
    let nodes = shape.all_nodes();
    let mut rows = Vec::new();
    for (choice, id) in choices.iter().zip(ids) {
        let limit = |index: &Option<Index>| index.map(|index| *index.get(&shape.months()));
        let (mut from, mut to) = (limit(&choice.from), limit(&choice.to));
        if from.is_some() && to.is_some() && from > to {
            (from, to) = (to, from);
        }
        let text = |period: Option<Period>| period.map(|period| period.to_string()).unwrap_or_default();
        let targets: Vec<&Node> =
            choice.nodes.iter().map(|index| index.get(&nodes)).collect::<BTreeSet<_>>().into_iter().collect();
        let priority = choice.priority.to_string();
        for (target, share) in targets.iter().zip(SHARES[choice.shares][targets.len() - 1]) {
            let place = [id, &priority, choice.payer, choice.account, choice.service, choice.region];
            let keys = [choice.tag.0, choice.tag.1, choice.category.0, choice.category.1];
            let ends = [(*share).to_owned(), text(from), text(to)];
            rows.push([owned(&place), owned(&keys), node_columns(target).to_vec(), ends.to_vec()].concat());
        }
    }
    csv_text(&header, rows)
}

/// A budget before its node and period are known.
#[derive(Clone, Debug)]
pub(super) struct BudgetChoice {
    period: Index,
    node: Option<Index>,
    currency: Index,
    amount: String,
}

/// One budget, mostly of a node.
pub(super) fn budget(amounts: Amounts) -> impl Strategy<Value = BudgetChoice> {
    (any::<Index>(), option::weighted(0.8, any::<Index>()), any::<Index>(), positive(amounts))
        .prop_map(|(period, node, currency, amount)| BudgetChoice { period, node, currency, amount })
}

/// The budgets, one per period, node and currency.
pub(super) fn budgets(shape: &Shape, choices: &[BudgetChoice]) -> Vec<Budget> {
    let (months, nodes) = (shape.months(), shape.all_nodes());
    let mut budgets = BTreeMap::new();
    for choice in choices {
        let period = *choice.period.get(&months);
        let node = choice.node.map_or_else(Vec::new, |node| node.get(&nodes).clone());
        let currency = (*choice.currency.get(&shape.currencies)).to_owned();
        let budget = Budget { period, node: node.clone(), currency: currency.clone(), amount: choice.amount.clone() };
        budgets.insert((period, node, currency), budget);
    }
    budgets.into_values().collect()
}
