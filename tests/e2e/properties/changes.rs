//! `diff` between two runs of an organisation of which something changed: its rows are the difference of the published
//! tables, no more and no less, and each has a reason that fits what was changed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use super::cases::holds_in;
use super::checks::none;
use super::{import, recordable, run, tables};
use crate::model::units::{Money, Period};
use crate::organisation::{Amounts, Organisation, allocations_file, organisations, period_of};
use crate::support::Workspace;
use crate::support::compare::{Row, Tables};

/// What changes between the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Export,
    Allocations,
    Rules,
    Budgets,
    AsOf,
}

/// The organisation, what changes, and of that what is there before.
#[derive(Clone, Debug)]
struct Case {
    organisation: Organisation,
    kinds: BTreeSet<Kind>,
    kept: Vec<bool>,
    month: Index,
}

fn cases() -> BoxedStrategy<Case> {
    let all = vec![Kind::Export, Kind::Allocations, Kind::Rules, Kind::Budgets, Kind::AsOf];
    let kinds = prop_oneof![3 => vec(select(all.clone()), 1..2), 2 => vec(select(all), 2..4)];
    (organisations(Amounts::Any), kinds, vec(any::<bool>(), 40), any::<Index>())
        .prop_map(|(organisation, kinds, kept, month)| {
            let kinds = kinds.into_iter().collect();
            Case { organisation, kinds, kept, month }
        })
        .boxed()
}

impl Case {
    /// The organisation before, with all revisions.
    fn before(&self) -> Organisation {
        let mut before = self.organisation.clone();
        let mut kept = self.kept.iter().copied().cycle();
        if self.kinds.contains(&Kind::AsOf) {
            let first = before.lines.iter().map(period_of).min().expect("a line");
            before.as_of = self.month.get(&first.through(Period::of(before.as_of))).last_day().min(before.as_of);
        }
        if self.kinds.contains(&Kind::Export) {
            // Credits stay, so that what is recorded about them can be; AWS applied other amounts of them.
            let is_credit = |line: &Row| line["line_item_line_item_type"] == "Credit";
            // A line of the first month stays, so that there is something as of any date.
            let first = before.lines.iter().min_by_key(|line| period_of(line)).expect("a line").clone();
            before.lines.retain(|line| is_credit(line) || *line == first || kept.next() == Some(true));
            for line in before.lines.iter_mut().filter(|line| is_credit(line)) {
                if kept.next() == Some(false) {
                    line.insert("line_item_unblended_cost".to_owned(), "-1.25".to_owned());
                }
            }
        }
        if self.kinds.contains(&Kind::Rules) {
            let ids: BTreeSet<&str> =
                self.organisation.rules.lines().skip(1).filter_map(|row| row.split(',').next()).collect();
            let gone: BTreeSet<&str> = ids.into_iter().filter(|_| kept.next() == Some(false)).collect();
            let rows = self.organisation.rules.lines();
            let stays = |row: &&str| row.split(',').next().is_none_or(|id| !gone.contains(id));
            before.rules = rows.filter(stays).map(|row| format!("{row}\n")).collect();
        }
        if self.kinds.contains(&Kind::Budgets) {
            before.budgets.retain(|_| kept.next() == Some(true));
        }
        before
    }
}

fn money(text: &str) -> Money {
    Money::parse(text).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Figures of both runs, where they differ: by what they are of, `from` and `to`.
type Differences = BTreeMap<Vec<String>, (String, String)>;

/// Values of one table that differ; a row that is missing has none of them.
fn differences(
    (before, after): (&Tables, &Tables),
    table: &str,
    counts: impl Fn(&Row) -> bool,
    key: &[&str],
    values: &[&str],
    missing: &str,
) -> Differences {
    let mut found: Differences = BTreeMap::new();
    for (tables, is_before) in [(before, true), (after, false)] {
        for row in tables[table].iter().filter(|row| counts(row)) {
            for value in values {
                let place: Vec<String> =
                    key.iter().map(|column| row[*column].clone()).chain([(*value).to_owned()]).collect();
                let entry = found.entry(place).or_insert_with(|| (missing.to_owned(), missing.to_owned()));
                if is_before { entry.0.clone_from(&row[*value]) } else { entry.1.clone_from(&row[*value]) }
            }
        }
    }
    found.retain(|_, (from, to)| from != to);
    found
}

const ZERO: &str = "0.0000000000";
const FIGURES: [&str; 6] = ["gross_cost", "refunds", "aws_credits", "credits_applied", "net_cost", "clearing"];

fn months(diff: &Value) -> Vec<&Value> {
    ["past_months", "current_months"].iter().flat_map(|name| diff[*name].as_array().expect("months")).collect()
}

/// An amount of both runs, as `diff` has it; what it says of the change must be so.
fn change(place: Vec<String>, amounts: &Value, found: &mut Differences, list: &mut Vec<String>) {
    let (from, to) = (text(&amounts["from"]), text(&amounts["to"]));
    if money(&text(&amounts["change"])) != money(&to) - money(&from) {
        list.push(format!("{place:?}: {amounts} does not add up"));
    }
    if from != to {
        found.insert(place, (from, to));
    }
}

fn same(what: &str, expected: &Differences, found: &Differences, list: &mut Vec<String>) {
    let missing = expected.iter().filter(|(place, values)| found.get(*place) != Some(values));
    list.extend(missing.map(|(place, values)| format!("{what} {place:?}: {values:?} is not in diff")));
    let more = found.iter().filter(|(place, values)| expected.get(*place) != Some(values));
    list.extend(more.map(|(place, values)| format!("{what} {place:?}: {values:?} is no difference of the tables")));
}

/// Rows of business units are the differences of the summaries, and sum to those of the reconciliations.
fn units_are_right(diff: &Value, tables: (&Tables, &Tables)) -> Vec<String> {
    let (mut list, mut found) = (Vec::new(), Differences::new());
    let mut net: BTreeMap<Vec<String>, Money> = BTreeMap::new();
    for month in months(diff) {
        let of_month = [text(&month["billing_period"]), text(&month["currency"])];
        for unit in month["business_units"].as_array().expect("business units") {
            for figure in FIGURES {
                let place = [of_month.as_slice(), &[text(&unit["business_unit"]), figure.to_owned()]].concat();
                change(place, &unit[figure], &mut found, &mut list);
            }
            let sum = net.entry(of_month.to_vec()).or_default();
            *sum = *sum + money(&text(&unit["net_cost"]["change"]));
        }
    }
    let key = ["billing_period", "currency", "business_unit"];
    let expected = differences(tables, "net_cost_summary", |row| row["level"] == "1", &key, &FIGURES, ZERO);
    same("net_cost_summary", &expected, &found, &mut list);
    let totals = differences(tables, "reconciliation", |_| true, &["billing_period", "currency"], &["net_cost"], ZERO);
    for (place, (from, to)) in totals {
        let sum = net.remove(&place[..2]).unwrap_or_default();
        if sum != money(&to) - money(&from) {
            list.push(format!("{place:?}: rows sum to {sum}, but net cost went from {from} to {to}"));
        }
    }
    list.extend(net.into_iter().filter(|(_, sum)| *sum != Money::ZERO).map(|off| format!("{off:?} is nowhere else")));
    list
}

/// What `diff` says of credits and their months and lots is the difference of their tables.
fn credits_are_right(diff: &Value, tables: (&Tables, &Tables)) -> Vec<String> {
    let (mut list, mut found) = (Vec::new(), Differences::new());
    let (mut months, mut lots) = (Differences::new(), Differences::new());
    let values =
        ["status", "allocated_amount", "used", "expired", "remaining", "end_date", "issue_date", "aws_applied"];
    for credit in diff["credits"].as_array().expect("credits") {
        let key = text(&credit["credit_key"]);
        for value in values {
            let (from, to) = (text(&credit["from"][value]), text(&credit["to"][value]));
            if from != to {
                found.insert(vec![key.clone(), value.to_owned()], (from, to));
            }
        }
        for month in credit["months"].as_array().expect("months") {
            for figure in ["used", "expired"] {
                let place = vec![text(&month["billing_period"]), key.clone(), figure.to_owned()];
                change(place, &month[figure], &mut months, &mut list);
            }
        }
        for lot in credit["lots"].as_array().expect("lots") {
            for value in ["amount", "end_date"] {
                let (from, to) = (text(&lot["from"][value]), text(&lot["to"][value]));
                if from != to {
                    lots.insert(vec![key.clone(), lot["lot"].to_string(), value.to_owned()], (from, to));
                }
            }
        }
        if credit["events"].as_array().expect("events").is_empty() {
            list.push(format!("{key}: nothing happened"));
        }
    }
    same("credits", &differences(tables, "credits", |_| true, &["credit_key"], &values, ""), &found, &mut list);
    let by_credit = (&by_credit(tables.0), &by_credit(tables.1));
    let key = ["billing_period", "credit_key"];
    let expected = differences(by_credit, "credit_balances", |_| true, &key, &["used", "expired"], ZERO);
    same("credit_balances", &expected, &months, &mut list);
    let is_issue_period = |row: &Row| row["issue_date"].starts_with(&row["billing_period"]);
    let key = ["credit_key", "lot"];
    let terms = differences(tables, "credit_balances", is_issue_period, &key, &["issued", "end_date"], "");
    let terms = terms.into_iter().map(|(mut place, values)| {
        if place[2] == "issued" {
            "amount".clone_into(&mut place[2]);
        }
        (place, values)
    });
    same("lots", &terms.collect(), &lots, &mut list);
    list
}

/// The balances with all lots of a credit in one row.
fn by_credit(tables: &Tables) -> Tables {
    let mut sums: BTreeMap<[String; 2], [Money; 2]> = BTreeMap::new();
    for row in &tables["credit_balances"] {
        let [used, expired] =
            sums.entry(["billing_period", "credit_key"].map(|column| row[column].clone())).or_default();
        (*used, *expired) = (*used + money(&row["used"]), *expired + money(&row["expired"]));
    }
    let row = |([period, key], [used, expired]): ([String; 2], [Money; 2])| -> Row {
        let columns = ["billing_period", "credit_key", "used", "expired"].map(str::to_owned);
        columns.into_iter().zip([period, key, used.to_string(), expired.to_string()]).collect()
    };
    BTreeMap::from([("credit_balances".to_owned(), sums.into_iter().map(row).collect())])
}

/// Reasons that a change of one kind can have.
const fn possible(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Export => &["export", "shifted", "spend", "measures", "earlier_months"],
        Kind::Allocations => &["allocations", "earlier_months"],
        Kind::Rules => &["shifted", "spend", "earlier_months"],
        Kind::Budgets => &["budgets"],
        // A later month may have no more than a budget; a credit may begin otherwise.
        Kind::AsOf => &["new_month", "allocations", "issue_dates", "earlier_months", "budgets"],
    }
}

/// Every change has a reason, and one that can be; months that were over come apart from the others.
fn reasons_are_right(diff: &Value, case: &Case, before: &Organisation) -> Vec<String> {
    let mut list = Vec::new();
    let now = Period::of(before.as_of).to_string();
    let late = |name: &str| diff[name].as_array().expect("months").iter().map(|month| text(&month["billing_period"]));
    list.extend(late("past_months").filter(|month| *month >= now).map(|month| format!("{month} is not past")));
    list.extend(late("current_months").filter(|month| *month < now).map(|month| format!("{month} is past")));
    let possible: BTreeSet<&str> = case.kinds.iter().flat_map(|kind| possible(*kind)).copied().collect();
    for month in months(diff) {
        let why: Vec<String> =
            month["why"].as_array().expect("reasons").iter().map(|why| text(&why["reason"])).collect();
        if why.is_empty() || why.iter().any(|reason| !possible.contains(reason.as_str())) {
            list.push(format!("{} {}: because of {why:?}?", month["billing_period"], month["currency"]));
        }
    }
    list
}

#[test]
fn rows_of_diff_are_the_difference_of_the_published_tables_and_each_has_a_reason() {
    holds_in(24, "diff", cases, |case: Case| {
        let mut after = case.organisation.clone();
        for revision in &mut after.revisions {
            revision.by_name = None;
        }
        let mut before = Case { organisation: after.clone(), ..case.clone() }.before();
        // Only what is registered can be recorded, before as after.
        let fits = recordable(&before, before.as_of);
        let mut stays = fits.iter().copied();
        after.revisions.retain(|_| stays.next() == Some(true));
        before.revisions.clone_from(&after.revisions);
        if case.kinds.contains(&Kind::Allocations) {
            let mut kept = case.kept.iter().copied().cycle();
            before.revisions.retain(|_| kept.next() == Some(true));
        }
        let workspace = Workspace::new();
        before.install(&workspace);
        if !before.revisions.is_empty() {
            workspace.write("reference/allocations.csv", allocations_file(&before.revisions));
        }
        run(&workspace, &before)?;
        let was = tables(&workspace, &before)?;
        workspace.empty("cur");
        after.install(&workspace);
        let as_of = after.as_of.to_string();
        let known: BTreeSet<&String> = before.revisions.iter().map(|revision| &revision.id).collect();
        import(&workspace, &as_of, after.revisions.iter().filter(|revision| !known.contains(&revision.id)))?;
        let summary = workspace.try_run(&as_of, &["--format", "json", "run", "--publish"])?;
        let diff = workspace.try_run(&as_of, &["--format", "json", "diff"])?;
        let [summary, diff]: [Value; 2] = [summary, diff].map(|text| serde_json::from_str(&text).expect("JSON"));
        let is = tables(&workspace, &after)?;
        let mut list = units_are_right(&diff, (&was, &is));
        list.extend(credits_are_right(&diff, (&was, &is)));
        list.extend(reasons_are_right(&diff, &case, &before));
        if summary["changes"] != diff {
            list.push("the summary of the run tells other changes".to_owned());
        }
        none(&list)
    });
}
