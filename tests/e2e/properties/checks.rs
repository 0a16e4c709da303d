//! What tables and files must look like, one condition each.

use std::collections::BTreeMap;

use crate::model::units::{Money, Period, date};
use crate::support::compare::{Row, Tables};

/// Fine, or what is wrong.
pub(super) type Verdict = Result<(), String>;

/// More differences than this say nothing new.
const SHOWN: usize = 20;

/// Fine if nothing is listed.
pub(super) fn none(list: &[String]) -> Verdict {
    match list.len() {
        0 => Ok(()),
        all if all > SHOWN => Err(format!("{}\n... {all} in all", list[..SHOWN].join("\n"))),
        _ => Err(list.join("\n")),
    }
}

/// The same files with the same bytes.
pub(super) fn same_files(expected: &BTreeMap<String, Vec<u8>>, got: &BTreeMap<String, Vec<u8>>) -> Verdict {
    let mut list: Vec<String> =
        expected.keys().filter(|k| !got.contains_key(*k)).map(|k| format!("{k} is missing")).collect();
    for (name, bytes) in got {
        match expected.get(name) {
            None => list.push(format!("{name} is new")),
            Some(other) if other != bytes => list.push(format!("{name} has other bytes")),
            Some(_) => {}
        }
    }
    if expected.is_empty() {
        list.push("nothing is published".to_owned());
    }
    none(&list)
}

fn money(row: &Row, column: &str) -> Money {
    Money::parse(&row[column]).unwrap_or_default()
}

/// A lot that is past its end, or has nothing left, draws nothing.
pub(super) fn ended_lots_draw_nothing(tables: &Tables) -> Verdict {
    let mut list = Vec::new();
    let mut ends: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut lots: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in &tables["credit_balances"] {
        let lot = (row["credit_key"].as_str(), row["lot"].as_str());
        ends.insert(lot, &row["end_date"]);
        lots.entry(lot).or_default().push(row);
        if money(row, "used") + money(row, "expired")
            > money(row, "opening") + money(row, "issued") + money(row, "moved")
        {
            list.push(format!("more than there was: {row:?}"));
        }
    }
    for rows in lots.values_mut() {
        rows.sort_by_key(|row| &row["billing_period"]);
        let over = rows.iter().skip_while(|row| money(row, "remaining") > Money::ZERO).skip(1);
        list.extend(
            over.filter(|row| money(row, "used") > Money::ZERO).map(|row| format!("nothing was left: {row:?}")),
        );
    }
    for row in &tables["credit_consumption"] {
        let end = ends.get(&(row["credit_key"].as_str(), row["lot"].as_str())).copied().unwrap_or_default();
        let period = Period::parse(&row["billing_period"]);
        let day = date(&row["usage_date"]).clamp(period.first_day(), period.last_day());
        if !end.is_empty() && day > date(end) {
            list.push(format!("drawn after {end}: {row:?}"));
        }
    }
    none(&list)
}

/// One name on two accounts is two credits: each has its row, and each key says which account it is on.
pub(super) fn names_are_kept_apart_by_account(tables: &Tables) -> Verdict {
    let mut list = Vec::new();
    let named = tables["credits"].iter().filter(|row| row["credit_key"].starts_with("code:"));
    for row in named {
        let key = format!("code:{}@{}", row["promotion_code"], row["account_id"]);
        if row["credit_key"] != key || tables["credits"].iter().filter(|other| other["credit_key"] == key).count() != 1
        {
            list.push(format!("no credit of its own: {row:?}"));
        }
    }
    none(&list)
}

/// What each published row must say of itself, whatever the others say.
pub(super) fn books_are_kept(tables: &Tables) -> Verdict {
    let mut list = Vec::new();
    for row in &tables["net_cost"] {
        let gross = money(row, "charges") + money(row, "tax");
        let drawn = -money(row, "credits_applied");
        let is_kept = gross == money(row, "gross_cost")
            && money(row, "net_cost") == gross + money(row, "refunds") - drawn
            && money(row, "clearing") == money(row, "invoice_net") - money(row, "net_cost")
            && (Money::ZERO..=money(row, "eligible_charges").max_zero()).contains(&drawn);
        if !is_kept {
            list.push(format!("{row:?}"));
        }
    }
    for row in &tables["credit_balances"] {
        let parts = [money(row, "used"), money(row, "expired"), money(row, "remaining")];
        let whole = money(row, "opening") + money(row, "issued") + money(row, "moved");
        if parts.iter().any(|part| *part < Money::ZERO) || parts.into_iter().sum::<Money>() != whole {
            list.push(format!("{row:?}"));
        }
    }
    let off = tables["reconciliation"].iter().filter(|row| money(row, "difference") != Money::ZERO);
    list.extend(off.map(|row| format!("{row:?}")));
    none(&list)
}
