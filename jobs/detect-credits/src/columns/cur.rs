//! Columns of CUR 1.0 and 2.0.

use cur_reader::Format;

use super::costs::Costs;
use super::exclusions::{ARNS, Exclusions};
use super::picker::Picker;

use super::{KeyedSources, Layout};
use crate::lines::LineReader;
use crate::rules::{snake, tag_key};

/// The columns that every CUR has.
pub(super) const REQUIRED: [&str; 7] = [
    "bill_billing_period_start_date",
    "bill_payer_account_id",
    "line_item_usage_account_id",
    "line_item_usage_start_date",
    "line_item_line_item_type",
    "line_item_line_item_description",
    "line_item_unblended_cost",
];

/// CUR names are snake case already in Parquet; only the spelling with `/` needs folding.
pub(super) fn folded(name: &str) -> String {
    if name.contains('/') { snake(name) } else { name.to_lowercase() }
}

pub(super) fn layout(picker: &mut Picker<'_>, format: Format, reader: &LineReader) -> Layout {
    let rules = &reader.rules;
    let [period, payer, account, start, line_type, description, cost] =
        REQUIRED.map(|name| picker.required(name, name));
    let currency = picker.optional("line_item_currency_code");
    let region =
        if rules.needs_region() { picker.last_of(&["product_region_code", "product_region"]) } else { Vec::new() };
    let product = if rules.needs_region() { picker.optional("product") } else { None };
    let product = KeyedSources { maps: product.into_iter().collect(), columns: Vec::new() };
    let tags = KeyedSources {
        columns: picker.keyed("resource_tags_", rules.tag_keys(), tag_key),
        maps: if rules.tag_keys().is_empty() { Vec::new() } else { picker.first_of(&["tags", "resource_tags"]) },
    };
    let categories = KeyedSources {
        columns: picker.keyed("cost_category_", rules.category_keys(), snake),
        maps: if rules.category_keys().is_empty() { Vec::new() } else { picker.first_of(&["tags", "cost_category"]) },
    };
    let [reservation_arn, savings_plan_arn] = ARNS.map(|(_, _, names)| picker.first_of(&names).first().copied());
    Layout {
        format,
        projection: Vec::new(),
        period,
        payer,
        account,
        start,
        line_type,
        description,
        cost,
        currency,
        service: picker.first_of(&["line_item_product_code"]),
        region,
        product,
        billing_entity: picker.optional("bill_billing_entity"),
        publisher: None,
        invoice_issuer: None,
        invoice: picker.optional("bill_invoice_id"),
        reservation_arn,
        savings_plan_arn,
        charge_class: None,
        charge_frequency: None,
        commitment_id: None,
        costs: Costs::of_cur(picker, format, reader.settings.cost),
        exclusions: Exclusions::of_cur(picker, format, &reader.settings.credits),
        tags,
        categories,
    }
}
