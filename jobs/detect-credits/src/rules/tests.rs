//! The first rule of lines, against trying one rule after the other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use regex::Regex;
use schemas::reference::{CostRule, CostRules, Hierarchy, parse_cost_rules, parse_hierarchy};

use super::*;

#[test]
fn keys_fold_to_the_snake_form_of_cur_2() {
    for (key, expected) in [
        ("user:CostCenter", "user_cost_center"),
        ("user_cost_center", "user_cost_center"),
        ("reservation/ReservationARN", "reservation_reservation_a_r_n"),
        ("resourceTags/user:CostCenter", "resource_tags_user_cost_center"),
        ("lineItem/UnblendedCost", "line_item_unblended_cost"),
        ("Charge type", "charge_type"),
        ("Team", "team"),
    ] {
        assert_eq!(snake(key), expected);
    }
    assert_eq!(tag_key("CostCenter"), tag_key("user:CostCenter"));
}

const HEADER: [&str; 17] = [
    "rule_id",
    "priority",
    "payer_account_id",
    "account_id",
    "service",
    "region",
    "tag_key",
    "tag_value",
    "cost_category_key",
    "cost_category_value",
    "from_period",
    "to_period",
    "business_unit",
    "department",
    "portfolio",
    "product",
    "share",
];

fn hierarchy() -> Hierarchy {
    parse_hierarchy("hierarchy.csv", b"business_unit,department,portfolio,product\nA,,,\n").unwrap()
}

/// Rules of these columns each: priority, payer to `to_period`.
fn rules(rows: &[[String; 11]]) -> CostRules {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(HEADER).unwrap();
    for (number, row) in rows.iter().enumerate() {
        // Blanks around an account id are a mistake.
        let accounts = |(at, field): (usize, &String)| if at == 1 || at == 2 { field.trim() } else { field }.to_owned();
        let fields = [number.to_string()].into_iter().chain(row.iter().enumerate().map(accounts));
        csv.write_record(fields.chain(["A", "", "", "", ""].map(str::to_owned))).unwrap();
    }
    parse_cost_rules("cost_rules.csv", &csv.into_inner().unwrap(), &hierarchy()).unwrap()
}

/// What a line has, by dimension; tags and cost categories by key, in the order in which they are met.
#[derive(Debug, Clone)]
struct Line {
    period: String,
    fixed: [Option<String>; attribute::FIRST_KEYED],
    keyed: [Vec<(String, String)>; 2],
}

/// The id of the first rule, by the candidates of values.
fn by_candidates(matcher: &RuleMatcher, finder: &mut RuleFinder, line: &Line) -> Option<String> {
    let mut candidates = [NO_CANDIDATES; DIMENSIONS];
    for (at, value) in line.fixed.iter().enumerate() {
        candidates[at] = value.as_ref().map_or(NO_CANDIDATES, |value| finder.candidate_rules(matcher, at, value));
    }
    let keys = [(matcher.tag_keys(), attribute::FIRST_KEYED), (matcher.category_keys(), matcher.first_category())];
    for (at, ((keys, first), entries)) in keys.into_iter().zip(&line.keyed).enumerate() {
        let mut found = Vec::new();
        for (key, value) in entries {
            if let Some(key) = position_of(keys, key) {
                found.push((key, finder.candidate_rules(matcher, first + key, value)));
            }
        }
        candidates[attribute::FIRST_KEYED + at] = finder.together(matcher, &mut found);
    }
    let rule = finder.first_match(matcher, line.period.parse().unwrap(), candidates)?;
    matcher.rule_id(rule).map(str::to_owned)
}

/// The patterns of rules, each as a regular expression.
fn regexes(rules: &CostRules) -> BTreeMap<String, Regex> {
    let wanted = rules.iter().flat_map(|CostRule { conditions: of, .. }| {
        let fixed = [&of.payer_account_id, &of.account_id, &of.service, &of.region];
        let keyed = [&of.tag, &of.cost_category].map(|keyed| keyed.as_ref().and_then(|keyed| keyed.value.clone()));
        fixed.map(Clone::clone).into_iter().chain(keyed).flatten()
    });
    let regex = |pattern: String| {
        let pieces: Vec<String> = pattern.split('*').map(regex::escape).collect();
        (pattern, Regex::new(&format!(r"(?s)\A{}\z", pieces.join(".*"))).unwrap())
    };
    wanted.map(regex).collect()
}

/// The same by trying one rule after the other.
fn one_by_one(rules: &CostRules, regexes: &BTreeMap<String, Regex>, line: &Line) -> Option<String> {
    let fits = |wanted: &String, value: &String| regexes[wanted].is_match(value);
    let takes = |of: &RuleConditions| {
        let fixed = [&of.payer_account_id, &of.account_id, &of.service, &of.region];
        let fixed = fixed.into_iter().zip(&line.fixed).all(|(wanted, value)| {
            wanted.as_ref().is_none_or(|wanted| value.as_ref().is_some_and(|value| fits(wanted, value)))
        });
        let keyed = [&of.tag, &of.cost_category].into_iter().zip(&line.keyed).all(|(wanted, entries)| {
            let Some(wanted) = wanted else { return true };
            let last = entries.iter().rfind(|(key, _)| *key == wanted.key);
            last.is_some_and(|(_, value)| wanted.value.as_ref().is_none_or(|wanted| fits(wanted, value)))
        });
        let period = line.period.parse().unwrap();
        fixed && keyed && of.from_period.is_none_or(|from| from <= period) && of.to_period.is_none_or(|to| period <= to)
    };
    rules.iter().find(|rule| takes(&rule.conditions)).map(|rule| rule.rule_id.clone())
}

fn text(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(select(pieces), 0..most).prop_map(|pieces| pieces.concat())
}

const LONG: &str = "a-name-that-is-longer-than-what-is-looked-for-of-a-piece-of-a-pattern-é";

fn pattern() -> impl Strategy<Value = String> {
    text(&["a", "b", "ab", "é", "☃", "-", "\n", ".", "*", "*", "**", LONG], 6)
}

/// Never blank, as blank values are none.
fn value() -> impl Strategy<Value = String> {
    text(&["a", "b", "ab", "é", "è", "☃", "-", "\n", ".", "*", LONG, "A"], 6)
        .prop_filter("a blank value", |value| !value.trim().is_empty())
}

const KEYS: &[&str] = &["team", "app", "stage"];
const PERIODS: &[&str] = &["2026-01", "2026-02", "2026-03"];

/// Priority, payer to `to_period`. Most have few conditions, many on one tag.
fn rule() -> impl Strategy<Value = [String; 11]> {
    let columns = subsequence((0..4).collect::<Vec<usize>>(), 0..3);
    let keyed = (prop::option::weighted(0.7, select(&KEYS[..2])), prop::option::weighted(0.2, select(KEYS)));
    let values = prop::collection::vec(pattern(), 6);
    let periods = prop::option::weighted(0.2, (0..3_usize, 0..3_usize));
    (0..5_u8, columns, keyed, values, periods).prop_map(|(priority, columns, (tag, category), values, periods)| {
        let mut row: [String; 11] = Default::default();
        row[0] = priority.to_string();
        for column in columns {
            row[1 + column].clone_from(&values[column]);
        }
        for (at, key, value) in [(5, tag, &values[4]), (7, category, &values[5])] {
            if let Some(key) = key {
                row[at] = key.to_owned();
                row[at + 1].clone_from(value);
            }
        }
        if let Some((one, other)) = periods {
            row[9] = PERIODS[one.min(other)].to_owned();
            row[10] = PERIODS[one.max(other)].to_owned();
        }
        row
    })
}

fn line() -> impl Strategy<Value = Line> {
    let fixed = prop::array::uniform4(prop::option::weighted(0.7, value()));
    let keyed = || prop::collection::vec((select(KEYS).prop_map(str::to_owned), value()), 0..5);
    (select(PERIODS), fixed, keyed(), keyed()).prop_map(|(period, fixed, tags, categories)| Line {
        period: period.to_owned(),
        fixed,
        keyed: [tags, categories],
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn the_first_rule_is_the_one_found_by_trying_one_after_the_other(
        rows in prop::collection::vec(rule(), 0..150),
        lines in prop::collection::vec(line(), 1..20),
    ) {
        let rules = rules(&rows);
        let matcher = RuleMatcher::new(&rules.conditions());
        let (mut finder, regexes) = (RuleFinder::new(&matcher), regexes(&rules));
        for line in lines {
            prop_assert_eq!(by_candidates(&matcher, &mut finder, &line), one_by_one(&rules, &regexes, &line), "{:?}", line);
        }
    }
}
