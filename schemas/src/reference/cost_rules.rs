//! `cost_rules.csv`: which spend belongs to which node.

use std::collections::{BTreeMap, BTreeSet};

use credit_ledger::{BillingPeriod, Node};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::csv_file::{CsvFile, Problem, Problems, Row};
use super::hierarchy::Hierarchy;
use super::renames::Renames;

/// A condition on one key of the tags or cost categories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedCondition {
    /// The key as CUR 2.0 spells it: `user_cost_center`.
    pub key: String,
    /// The value, `*` for any text within it; `None`: the key is present.
    pub value: Option<String>,
}

/// What a line must be to be taken; all that are set must match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuleConditions {
    /// Payer account.
    pub payer_account_id: Option<String>,
    /// Usage account.
    pub account_id: Option<String>,
    /// Service.
    pub service: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// One tag.
    pub tag: Option<KeyedCondition>,
    /// One cost category.
    pub cost_category: Option<KeyedCondition>,
    /// First billing period, included.
    pub from_period: Option<BillingPeriod>,
    /// Last billing period, included.
    pub to_period: Option<BillingPeriod>,
}

/// One rule: what it takes and where that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRule {
    /// Its id.
    pub rule_id: String,
    /// Lower comes first.
    pub priority: i64,
    /// What it takes.
    pub conditions: RuleConditions,
    /// Where it goes, by node path; the shares sum to exactly 1.
    pub targets: BTreeMap<Node, Decimal>,
}

/// All rules in the order they are tried: by priority, then rule id as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CostRules(Vec<CostRule>);

impl CostRule {
    /// The rule with other names of its nodes; nodes that become one add up their shares.
    fn on(&self, now: impl Fn(&Node) -> Node) -> Self {
        let mut targets: BTreeMap<Node, Decimal> = BTreeMap::new();
        for (node, share) in &self.targets {
            // Shares sum to 1: no overflow.
            targets.entry(now(node)).and_modify(|sum| *sum = sum.saturating_add(*share)).or_insert(*share);
        }
        Self { targets, ..self.clone() }
    }
}

impl CostRules {
    /// The rules with the names that their nodes have in a period.
    #[must_use]
    pub fn in_period(&self, renames: &Renames, period: BillingPeriod) -> Self {
        Self(self.0.iter().map(|rule| rule.on(|node| renames.current(node, period))).collect())
    }

    /// The ids of the rules and what they take, in order.
    #[must_use]
    pub fn conditions(&self) -> Vec<(String, RuleConditions)> {
        self.0.iter().map(|rule| (rule.rule_id.clone(), rule.conditions.clone())).collect()
    }

    /// The rules in order.
    pub fn iter(&self) -> impl Iterator<Item = &CostRule> {
        self.0.iter()
    }
}

const REQUIRED: [&str; 3] = ["rule_id", "priority", Node::LEVELS[0]];

/// What a rule need not say.
const OPTIONAL: [&str; 14] = [
    "payer_account_id",
    "account_id",
    "service",
    "region",
    "tag_key",
    "tag_value",
    "cost_category_key",
    "cost_category_value",
    Node::LEVELS[1],
    Node::LEVELS[2],
    Node::LEVELS[3],
    "share",
    "from_period",
    "to_period",
];

/// Reads `cost_rules.csv` and checks it against the hierarchy.
///
/// # Errors
/// All [`Problems`] of the file: unknown nodes, shares that do not sum to 1, rows of one rule that disagree.
pub fn parse_cost_rules(file: &str, bytes: &[u8], hierarchy: &Hierarchy) -> Result<CostRules, Problems> {
    let csv = CsvFile::parse(file, bytes, &REQUIRED, &OPTIONAL)?;
    let mut problems = Problems::default();
    let mut rules: BTreeMap<String, (CostRule, Row<'_>)> = BTreeMap::new();
    let mut half_read = BTreeSet::new();
    for row in csv.rows() {
        match rule_row(&row, hierarchy) {
            Ok(rule) => match rules.get_mut(&rule.rule_id) {
                Some((first, first_row)) => {
                    if let Err(problem) = merge(first, first_row.row, rule, &row) {
                        half_read.extend(row.get("rule_id"));
                        problems.0.push(problem);
                    }
                }
                None => {
                    rules.insert(rule.rule_id.clone(), (rule, row));
                }
            },
            Err(problem) => {
                half_read.extend(row.get("rule_id"));
                problems.0.push(problem);
            }
        }
    }
    let whole = rules.values().filter(|(rule, _)| csv.is_whole() && !half_read.contains(rule.rule_id.as_str()));
    problems.0.extend(whole.filter_map(|(rule, row)| share_problem(rule, row)));
    let mut ordered: Vec<CostRule> = rules.into_values().map(|(rule, _)| rule).collect();
    let renames = hierarchy.renames();
    if !renames.is_empty() {
        ordered = ordered.iter().map(|rule| rule.on(|node| renames.meant(node))).collect();
    }
    ordered.sort_by(|left, right| (left.priority, &left.rule_id).cmp(&(right.priority, &right.rule_id)));
    csv.or(problems, CostRules(ordered))
}

fn rule_row(row: &Row<'_>, hierarchy: &Hierarchy) -> Result<CostRule, Problem> {
    let text = |column| row.get(column).map(str::to_owned);
    let conditions = RuleConditions {
        payer_account_id: row.account_id("payer_account_id")?.map(String::from),
        account_id: row.account_id("account_id")?.map(String::from),
        service: text("service"),
        region: text("region"),
        tag: keyed(row, "tag_key", "tag_value")?,
        cost_category: keyed(row, "cost_category_key", "cost_category_value")?,
        from_period: period(row, "from_period")?,
        to_period: period(row, "to_period")?,
    };
    if let (Some(from), Some(to)) = (conditions.from_period, conditions.to_period)
        && from > to
    {
        return Err(row.problem("to_period", format!("{to} is before from_period {from}")));
    }
    let node = row.node()?.ok_or_else(|| row.problem(Node::LEVELS[0], "is empty"))?;
    if !hierarchy.contains(&node) {
        return Err(row.problem(Node::LEVELS[0], format!("node {node} is not in hierarchy.csv")));
    }
    let share: Decimal = row.number("share", "a share (0.25)")?.unwrap_or(Decimal::ONE);
    if share <= Decimal::ZERO || share > Decimal::ONE {
        return Err(row.problem("share", format!("{share} is not above 0 and at most 1")));
    }
    Ok(CostRule {
        rule_id: row.require("rule_id")?,
        priority: row.number("priority", "a whole number")?.ok_or_else(|| row.problem("priority", "is empty"))?,
        conditions,
        targets: BTreeMap::from([(node, share)]),
    })
}

fn period(row: &Row<'_>, column: &str) -> Result<Option<BillingPeriod>, Problem> {
    let period: Option<BillingPeriod> = row.parse(column)?;
    let period = period.map(BillingPeriod::within_years).transpose();
    period.map_err(|wrong| row.problem(column, format!("{wrong}; empty: without a limit")))
}

fn keyed(row: &Row<'_>, key: &str, value: &str) -> Result<Option<KeyedCondition>, Problem> {
    match (row.get(key), row.get(value)) {
        (None, Some(_)) => Err(row.problem(key, format!("is empty but {value} is set"))),
        (key, value) => Ok(key.map(|key| KeyedCondition { key: key.to_owned(), value: value.map(str::to_owned) })),
    }
}

/// Adds a further row of a rule to its first one.
fn merge(rule: &mut CostRule, first_row: u64, further: CostRule, row: &Row<'_>) -> Result<(), Problem> {
    if (rule.priority, &rule.conditions) != (further.priority, &further.conditions) {
        let message = format!("rule {} has another priority or other conditions in row {first_row}", rule.rule_id);
        return Err(row.problem("rule_id", message));
    }
    for (node, share) in further.targets {
        if rule.targets.contains_key(&node) {
            return Err(row.problem("rule_id", format!("rule {} names node {node} twice", rule.rule_id)));
        }
        rule.targets.insert(node, share);
    }
    Ok(())
}

fn share_problem(rule: &CostRule, row: &Row<'_>) -> Option<Problem> {
    let sum = rule.targets.values().try_fold(Decimal::ZERO, |sum, share| sum.checked_add(*share));
    (sum != Some(Decimal::ONE)).then(|| {
        let sum = sum.map_or_else(|| "too much".to_owned(), |sum| sum.normalize().to_string());
        row.problem("share", format!("the shares of rule {} sum to {sum}, not 1", rule.rule_id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{parse_hierarchy, parse_renames};

    const HEADER: &str = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,\
                          cost_category_key,cost_category_value,business_unit,department,portfolio,product,share\n";

    fn parse(rows: &str) -> Result<CostRules, Problems> {
        let levels = "business_unit,department,portfolio,product\nA,B,,\nC,,,\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", levels.as_bytes()).unwrap();
        parse_cost_rules("cost_rules.csv", format!("{HEADER}{rows}").as_bytes(), &hierarchy)
    }

    #[test]
    fn rules_are_tried_by_priority_then_id_as_text() {
        let rules = parse("b,10,,1*,,,,,,,A,,,,\na,10,,2*,,,,,,,A,B,,,\nz,-1,,3*,,,,,,,C,,,,\n10,10,,4*,,,,,,,C,,,,\n")
            .unwrap();
        assert_eq!(rules.iter().map(|rule| rule.rule_id.as_str()).collect::<Vec<_>>(), ["z", "10", "a", "b"]);
    }

    #[test]
    fn shares_of_a_rule_must_sum_to_exactly_one() {
        assert!(parse("s,1,,4*,,,,,,,A,,,,0.3333333333\ns,1,,4*,,,,,,,C,,,,0.6666666667\n").is_ok());
        let problems = parse("s,1,,4*,,,,,,,A,,,,0.3333333333\ns,1,,4*,,,,,,,C,,,,0.6666666666\n").unwrap_err();
        assert_eq!(
            problems.to_string(),
            "cost_rules.csv, row 2, column share: the shares of rule s sum to 0.9999999999, not 1"
        );
    }

    #[test]
    fn bad_rows_are_all_named() {
        let rows = "a,1,,,,,,v,,,A,,,,\nb,x,,,,,,,,,A,,,,\nc,1,,,,,,,,,X,,,,\nd,1,,1*,,,,,,,A,,,,0.5\nd,2,,1*,,,,,,,C,,,,0.5\ne,1,,,,,,,,,A,,,,1.5\n";
        let expected = "cost_rules.csv, row 2, column tag_key: is empty but tag_value is set\n\
             cost_rules.csv, row 3, column priority: \"x\" is not a whole number\n\
             cost_rules.csv, row 4, column business_unit: node X is not in hierarchy.csv\n\
             cost_rules.csv, row 6, column rule_id: rule d has another priority or other conditions in row 5\n\
             cost_rules.csv, row 7, column share: 1.5 is not above 0 and at most 1";
        assert_eq!(parse(rows).unwrap_err().to_string(), expected);
    }

    #[test]
    fn conditions_may_be_left_out_of_the_header() {
        let hierarchy = parse_hierarchy("hierarchy.csv", b"business_unit\nA\nC\n").unwrap();
        let rows = "rule_id,priority,account_id,business_unit\nr,1,4*,A\n";
        let rules = parse_cost_rules("cost_rules.csv", rows.as_bytes(), &hierarchy).unwrap();
        let expected = CostRule {
            rule_id: "r".to_owned(),
            priority: 1,
            conditions: RuleConditions { account_id: Some("4*".to_owned()), ..RuleConditions::default() },
            targets: [(Node::from_levels([Some("A"), None, None, None]).unwrap(), Decimal::ONE)].into(),
        };
        assert_eq!(rules.iter().collect::<Vec<_>>(), [&expected]);
    }

    #[test]
    fn shares_of_nodes_that_became_one_add_up_from_the_period_on() {
        let raw = parse_hierarchy("hierarchy.csv", b"business_unit\nA\nB\nC\n").unwrap();
        let rows = "from_period,old_business_unit,business_unit\n,Old,A\n2026-03,A,B\n";
        let renames = parse_renames("renames.csv", rows.as_bytes(), &raw.nodes().map(|(node, _)| node).collect());
        let hierarchy = raw.renamed(renames.unwrap());
        let rows = "rule_id,priority,account_id,business_unit,share\nr,1,4*,Old,0.25\nr,1,4*,B,0.25\nr,1,4*,C,0.5\n";
        let rules = parse_cost_rules("cost_rules.csv", rows.as_bytes(), &hierarchy).unwrap();
        let targets = |period: &str| {
            let rules = rules.in_period(hierarchy.renames(), period.parse().unwrap());
            let targets = rules.iter().flat_map(|rule| &rule.targets);
            targets.map(|(node, share)| format!("{node} {share}")).collect::<Vec<_>>()
        };
        assert_eq!(targets("2026-02"), ["A 0.25", "B 0.25", "C 0.5"]);
        assert_eq!(targets("2026-03"), ["B 0.50", "C 0.5"]);
    }

    #[test]
    fn account_ids_that_a_spreadsheet_has_damaged_are_named() {
        let rows = "a,1,3.33333E+11,,,,,,,,A,,,,\nb,1,,41000000203,,,,,,,A,,,,\nc,1,,0410*,,,,,,,A,,,,\n";
        let expected = "cost_rules.csv, row 2, column payer_account_id: \"3.33333E+11\" is a number as a spreadsheet shows \
             it: write all 12 digits as text\n\
             cost_rules.csv, row 3, column account_id: \"41000000203\" has 11 digits where an account id has 12: a \
             spreadsheet drops leading zeros";
        assert_eq!(parse(rows).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_rule_takes_what_its_row_says_and_is_kept_as_it_is_written() {
        let header = HEADER.replace(",share\n", ",share,from_period,to_period\n");
        let rows = "shop,-5,4100*,410000000001,AmazonS3,eu-*,user_team,Web *,,,A,B,,,1.0000000000,2025-12,2026-02\n\
                    tagged,7,,,,,user_cost_center,,Cost Center,*Shared*,C,,,,,,2026-02\n\
                    rest,9223372036854775807,,,,,,,,,C,,,,,,\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", b"business_unit,department\nA,B\nC,\n").unwrap();
        let rules = parse_cost_rules("cost_rules.csv", format!("{header}{rows}").as_bytes(), &hierarchy).unwrap();
        let found: Vec<&CostRule> = rules.iter().collect();
        let [shop, tagged, rest] = found[..] else { panic!("{rules:?}") };
        let text = |text: &str| Some(text.to_owned());
        let keyed = |key: &str, value: Option<&str>| {
            Some(KeyedCondition { key: key.to_owned(), value: value.map(str::to_owned) })
        };
        let expected = RuleConditions {
            payer_account_id: text("4100*"),
            account_id: text("410000000001"),
            service: text("AmazonS3"),
            region: text("eu-*"),
            tag: keyed("user_team", Some("Web *")),
            cost_category: None,
            from_period: "2025-12".parse().ok(),
            to_period: "2026-02".parse().ok(),
        };
        assert_eq!((shop.priority, &shop.conditions), (-5, &expected));
        let expected = RuleConditions {
            tag: keyed("user_cost_center", None),
            cost_category: keyed("Cost Center", Some("*Shared*")),
            to_period: "2026-02".parse().ok(),
            ..RuleConditions::default()
        };
        assert_eq!(tagged.conditions, expected, "a key without a value: present");
        assert_eq!((rest.priority, &rest.conditions), (i64::MAX, &RuleConditions::default()), "it takes all");
    }

    #[test]
    fn rows_of_a_shared_rule_may_lie_apart_and_its_shares_are_exact() {
        let rows = "s,1,,4*,,,,,,,A,,,,0.1\nt,1,,5*,,,,,,,C,,,,\ns,1,,4*,,,,,,,A,B,,,0.20\ns,1,,4*,,,,,,,C,,,,0.7\n";
        let rules = parse(rows).unwrap();
        let told = rules.iter().map(|rule| {
            let targets = rule.targets.iter().map(|(node, share)| format!("{node} {share}"));
            format!("{}: {}", rule.rule_id, targets.collect::<Vec<_>>().join(", "))
        });
        assert_eq!(told.collect::<Vec<_>>(), ["s: A 0.1, A/B 0.20, C 0.7", "t: C 1"]);
    }

    #[test]
    fn bad_shares_priorities_and_periods_are_all_named() {
        let header = HEADER.replace(",share\n", ",share,from_period,to_period\n");
        let hierarchy = parse_hierarchy("hierarchy.csv", b"business_unit\nA\nC\n").unwrap();
        let of = |rows: &str| parse_cost_rules("cost_rules.csv", format!("{header}{rows}").as_bytes(), &hierarchy);
        let rows = ",1,,,,,,,,,A,,,,,,\na,,,,,,,,,,A,,,,,,\nb,1.5,,,,,,,,,A,,,,,,\nc,1,,,,,,,,,,,,,,,\n\
                    d,1,,,,,,,,,A,,,,25%,,\ne,1,,,,,,,,,A,,,,\"0,25\",,\nf,1,,,,,,,,,A,,,,0,,\ng,1,,,,,,,,,A,,,,-0.5,,\n\
                    h,1,,,,,,,,,A,,,,,2026-03,2026-02\ni,1,,,,,,,,,A,,,,,March 2026,\nj,1,,,,,,,,,A,,,,,,2101-01\n\
                    k,1,,,,,,,,v,A,,,,,,\nl,9223372036854775808,,,,,,,,,A,,,,,,\n";
        let wrong = [
            (2, "rule_id: is empty"),
            (3, "priority: is empty"),
            (4, "priority: \"1.5\" is not a whole number"),
            (5, "business_unit: is empty"),
            (6, "share: \"25%\" is not a share (0.25)"),
            (7, "share: \"0,25\" is not a share (0.25): it has a decimal comma"),
            (8, "share: 0 is not above 0 and at most 1"),
            (9, "share: -0.5 is not above 0 and at most 1"),
            (10, "to_period: 2026-02 is before from_period 2026-03"),
            (11, "from_period: \"March 2026\" is not a billing period (YYYY-MM)"),
            (12, "to_period: 2101-01 is not in the years 2006 to 2100; empty: without a limit"),
            (13, "cost_category_key: is empty but cost_category_value is set"),
            (14, "priority: \"9223372036854775808\" is not a whole number"),
        ];
        let expected = wrong.map(|(row, wrong)| format!("cost_rules.csv, row {row}, column {wrong}"));
        assert_eq!(of(rows).unwrap_err().to_string(), expected.join("\n"));
        assert!(of("one month,1,,,,,,,,,A,,,,,2026-03,2026-03\n").is_ok(), "both ends count");
    }

    #[test]
    fn a_shared_rule_that_is_half_read_is_not_told_for_its_sum_too() {
        let rows = "s,1,,4*,,,,,,,A,,,,0.5\ns,1,,4*,,,,,,,X,,,,0.5\nt,1,,4*,,,,,,,A,,,,0.5\nt,1,,4*,,,,,,,A,,,,0.5\n\
                    u,1,,5*,,,,,,,A,,,,0.6\nu,1,,5*,,,,,,,C,,,,0.6\n";
        let expected = "cost_rules.csv, row 3, column business_unit: node X is not in hierarchy.csv\n\
             cost_rules.csv, row 5, column rule_id: rule t names node A twice\n\
             cost_rules.csv, row 6, column share: the shares of rule u sum to 1.2, not 1";
        assert_eq!(parse(rows).unwrap_err().to_string(), expected);
        let cut_off = "s,1,,4*,,,,,,,A,,,,0.5\ns,1,,4*,,,,,,,C\n";
        let expected =
            "cost_rules.csv, row 3: has 11 fields where the header has 15; a text that holds a comma needs quotes";
        assert_eq!(parse(cut_off).unwrap_err().to_string(), expected);
    }
}
