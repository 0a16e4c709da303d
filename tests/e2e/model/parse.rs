//! CSV texts as lines, nodes and values.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::Basis;
use super::units::{Money, Period, date};
use crate::support::compare::{Row, csv_rows};

/// Names from the business unit down; the order of paths is then that of columns with nulls first.
pub(crate) type Node = Vec<String>;

/// One line of the export.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) period: Period,
    pub(crate) usage_date: NaiveDate,
    pub(crate) payer: String,
    pub(crate) account: String,
    pub(crate) service: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) currency: String,
    pub(crate) line_type: String,
    pub(crate) description: Option<String>,
    pub(crate) billing_entity: Option<String>,
    pub(crate) reservation: Option<String>,
    pub(crate) savings_plan: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) categories: BTreeMap<String, String>,
    pub(crate) unblended: Money,
    /// What the line costs by the chosen column, were it a charge.
    pub(crate) chosen: Money,
}

/// A value that says something: neither blank nor the word `NULL`.
fn text(row: &Row, column: &str) -> Option<String> {
    row.get(column).filter(|value| !value.trim().is_empty() && *value != "NULL").cloned()
}

fn required(row: &Row, column: &str) -> String {
    text(row, column).unwrap_or_else(|| panic!("{column} is missing in {row:?}"))
}

/// A blank amount is 0.
fn money(row: &Row, column: &str) -> Money {
    text(row, column)
        .map_or(Money::ZERO, |value| Money::parse(&value).unwrap_or_else(|| panic!("{column} is no number in {row:?}")))
}

/// A key as AWS spells it in columns: `user:CostCenter` becomes `user_cost_center`.
pub(crate) fn snake(key: &str) -> String {
    let mut folded = String::new();
    for letter in key.chars() {
        if !letter.is_alphanumeric() || letter.is_uppercase() {
            let separated = folded.is_empty() || folded.ends_with('_');
            folded.push_str(if separated { "" } else { "_" });
        }
        if letter.is_alphanumeric() {
            folded.extend(letter.to_lowercase());
        }
    }
    folded
}

/// A map column such as `resource_tags`: a JSON object of texts.
fn map(row: &Row, column: &str) -> BTreeMap<String, String> {
    let object: BTreeMap<String, String> = text(row, column).map_or_else(BTreeMap::new, |json| {
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{column} {json}: {error}"))
    });
    object.into_iter().filter(|(_, value)| !value.trim().is_empty()).map(|(key, value)| (snake(&key), value)).collect()
}

/// The amount of the first column that has one, else 0.
fn first(row: &Row, columns: &[&str]) -> Money {
    columns.iter().find(|column| text(row, column).is_some()).map_or(Money::ZERO, |column| money(row, column))
}

/// The cost of a charge, or a refund, by the chosen column. Where a net one is blank, that without net counts.
fn chosen(row: &Row, basis: Basis, line_type: &str, reserved: bool) -> Money {
    let unblended = money(row, "line_item_unblended_cost");
    let net_unblended = first(row, &["line_item_net_unblended_cost", "line_item_unblended_cost"]);
    let net = match basis {
        Basis::Unblended => return unblended,
        Basis::NetUnblended if line_type == "Refund" => return unblended,
        Basis::NetUnblended => return net_unblended,
        Basis::Amortized => "",
        Basis::NetAmortized => "net_",
    };
    let of =
        |family: &str, column: &str| first(row, &[&format!("{family}_{net}{column}"), &format!("{family}_{column}")]);
    match line_type {
        // A commitment that was returned.
        "Refund" if reserved || text(row, "savings_plan_savings_plan_a_r_n").is_some() => Money::ZERO,
        "Refund" => unblended,
        "SavingsPlanCoveredUsage" => of("savings_plan", "savings_plan_effective_cost"),
        "SavingsPlanRecurringFee" => {
            money(row, "savings_plan_total_commitment_to_date") - money(row, "savings_plan_used_commitment")
        }
        "SavingsPlanNegation" | "SavingsPlanUpfrontFee" => Money::ZERO,
        "Fee" if reserved => Money::ZERO,
        "DiscountedUsage" => of("reservation", "effective_cost"),
        "RIFee" => {
            of("reservation", "unused_amortized_upfront_fee_for_billing_period")
                + of("reservation", "unused_recurring_fee")
        }
        _ if net.is_empty() => unblended,
        _ => net_unblended,
    }
}

fn line(row: &Row, basis: Basis) -> Line {
    let payer = required(row, "bill_payer_account_id");
    let line_type = text(row, "line_item_line_item_type").unwrap_or_default();
    let reservation = text(row, "reservation_reservation_a_r_n");
    Line {
        period: Period::of(date(&required(row, "bill_billing_period_start_date"))),
        usage_date: date(&required(row, "line_item_usage_start_date")),
        account: text(row, "line_item_usage_account_id").unwrap_or_else(|| payer.clone()),
        payer,
        service: text(row, "line_item_product_code"),
        region: text(row, "product_region_code"),
        currency: required(row, "line_item_currency_code"),
        description: text(row, "line_item_line_item_description"),
        billing_entity: text(row, "bill_billing_entity"),
        savings_plan: text(row, "savings_plan_savings_plan_a_r_n"),
        tags: map(row, "resource_tags"),
        categories: map(row, "cost_category"),
        unblended: money(row, "line_item_unblended_cost"),
        chosen: chosen(row, basis, &line_type, reservation.is_some()),
        reservation,
        line_type,
    }
}

/// All lines of the export's files.
pub(crate) fn lines(files: &[String], basis: Basis) -> Vec<Line> {
    files.iter().flat_map(|file| csv_rows(file)).map(|row| line(&row, basis)).collect()
}

/// The node a row of reference data names; empty where it names none.
pub(crate) fn node(row: &Row) -> Node {
    let levels = ["business_unit", "department", "portfolio", "product"];
    levels.iter().map_while(|level| text(row, level)).collect()
}

/// Every node of the hierarchy, ancestors included.
pub(crate) fn nodes(hierarchy: &str) -> BTreeSet<Node> {
    csv_rows(hierarchy)
        .iter()
        .map(node)
        .flat_map(|path| (1..=path.len()).map(move |level| path[..level].to_vec()))
        .collect()
}

/// A node's budgets by period, node (empty: the whole) and currency.
pub(crate) fn budgets(text: &str) -> BTreeMap<(Period, Node, String), Money> {
    csv_rows(text)
        .iter()
        .map(|row| {
            let period = Period::parse(&required(row, "billing_period"));
            ((period, node(row), required(row, "currency")), money(row, "amount"))
        })
        .collect()
}

#[test]
fn keys_fold_to_the_form_aws_gives_columns() {
    assert_eq!(snake("user:CostCenter"), "user_cost_center");
    assert_eq!(snake("user_cost_center"), "user_cost_center");
    assert_eq!(snake("Team"), "team");
}
