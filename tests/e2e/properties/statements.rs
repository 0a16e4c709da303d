//! `credits show` of generated organisations: what was left of a lot is explained by spend to the last decimal.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cases::holds_in;
use super::checks::none;
use super::{new_lake, tables};
use crate::model::units::{Money, Period, date};
use crate::organisation::{Amounts, Organisation, organisations};
use crate::support::compare::{Row, Tables};

fn money(value: &Value) -> Money {
    Money::parse(value.as_str().expect("an amount")).expect("an amount")
}

fn taken(lots: &Value) -> Money {
    lots.as_array().expect("lots").iter().map(|lot| money(&lot["used"])).sum()
}

fn amount(row: &Row, column: &str) -> Money {
    Money::parse(&row[column]).expect("an amount")
}

const NODE: [&str; 4] = ["business_unit", "department", "portfolio", "product"];

/// Rows on the node of a lot or below, in its currency and month.
fn in_scope<'a>(tables: &'a Tables, table: &str, lot: &'a Row) -> impl Iterator<Item = &'a Row> {
    let near = |row: &&Row| {
        let levels = NODE.iter().all(|level| lot[*level].is_empty() || lot[*level] == row[*level]);
        levels && row["billing_period"] == lot["billing_period"] && row["currency"] == lot["currency"]
    };
    tables[table].iter().filter(near)
}

/// What is wrong with the explanation of one month of a lot, a row of `credit_balances`.
fn wrong(lot: &Row, unused: &Value, tables: &Tables) -> Vec<String> {
    let of = |name: &str| money(&unused[name]);
    let mut list = Vec::new();
    let mut equal = |what: &str, left: Money, right: Money| {
        if left != right {
            list.push(format!("{what}: {left} is not {right} in {unused} of {lot:?}"));
        }
    };
    equal("drawn is used", of("drawn"), amount(lot, "used"));
    equal("remaining", of("remaining"), amount(lot, "remaining"));
    equal("expired", of("expired"), amount(lot, "expired"));
    let (earlier, later) = (taken(&unused["earlier"]), taken(&unused["later"]));
    equal("eligible is what was drawn and what was not", of("eligible"), of("drawn") + earlier + later + of("undrawn"));
    equal("where something is left nothing is undrawn", of("undrawn"), Money::ZERO);
    equal("where something is left no later lot drew", later, Money::ZERO);
    let parts = of("eligible") + of("outside_window") + of("not_eligible") + of("tax");
    equal("gross cost is all of it", of("gross_cost"), parts);
    let costs = || in_scope(tables, "net_cost", lot);
    equal("gross cost is that of the table", of("gross_cost"), costs().map(|row| amount(row, "gross_cost")).sum());
    let period = Period::parse(&lot["billing_period"]);
    let is_open = |row: &&Row| {
        let Some(window) = unused["window"].as_array() else { return false };
        let [first, last] = [&window[0], &window[1]].map(|day| date(day.as_str().expect("a day")));
        (first..=last).contains(&date(&row["usage_date"]).clamp(period.first_day(), period.last_day()))
    };
    let eligible = costs().filter(is_open).map(|row| amount(row, "eligible_charges").max_zero()).sum();
    equal("eligible is that of the table", of("eligible"), eligible);
    let drawn = in_scope(tables, "credit_consumption", lot).filter(is_open).map(|row| amount(row, "used")).sum();
    equal("all draws are of a lot", of("drawn") + earlier + later, drawn);
    let (spends, reason) = (costs().next().is_some(), unused["reason"].as_str().expect("a reason"));
    let expected = match (spends, of("eligible") > Money::ZERO, of("drawn") > Money::ZERO) {
        (false, ..) => "no_spend",
        (_, true, true) => "less_spend",
        (_, true, false) => "earlier_lots",
        (_, false, _) if of("outside_window") > Money::ZERO => "outside_window",
        _ => "nothing_eligible",
    };
    if reason != expected {
        list.push(format!("{reason} is not {expected} in {unused} of {lot:?}"));
    }
    list
}

#[test]
fn what_was_left_of_a_lot_is_explained_by_spend_and_earlier_lots() {
    holds_in(
        24,
        "statements",
        || organisations(Amounts::Any),
        |organisation: Organisation| {
            let workspace = new_lake(&organisation)?;
            let tables = tables(&workspace, &organisation)?;
            let mut by_credit: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
            for row in &tables["credit_balances"] {
                by_credit.entry(&row["credit_key"]).or_default().push(row);
            }
            let mut list = Vec::new();
            for (key, lots) in by_credit {
                let said = workspace
                    .try_run(&organisation.as_of.to_string(), &["--format", "json", "credits", "show", key])?;
                let statement: Value = serde_json::from_str(&said).expect("JSON");
                let told = statement["unused"].as_array().expect("months");
                let is_left = |row: &&&Row| amount(row, "remaining") + amount(row, "expired") > Money::ZERO;
                let left: Vec<&&Row> = lots.iter().filter(is_left).collect();
                for lot in &left {
                    let of_lot = told.iter().find(|unused| {
                        unused["billing_period"] == lot["billing_period"].as_str()
                            && unused["lot"].as_i64() == lot["lot"].parse().ok()
                    });
                    match of_lot {
                        Some(unused) => list.extend(wrong(lot, unused, &tables)),
                        None => list.push(format!("nothing is said of {lot:?}")),
                    }
                }
                if told.len() != left.len() {
                    list.push(format!("{key}: {} explanations of {} months", told.len(), left.len()));
                }
                let used: Money = lots.iter().map(|row| amount(row, "used")).sum();
                let used_by =
                    statement["used_by"].as_array().expect("places").iter().map(|of| money(&of["used"])).sum();
                if used != used_by {
                    list.push(format!("{key}: {used} was used, but {used_by} by somebody"));
                }
            }
            none(&list)
        },
    );
}
