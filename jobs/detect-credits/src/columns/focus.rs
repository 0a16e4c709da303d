//! Columns of FOCUS.

use cur_reader::Format;

use super::costs::Costs;
use super::exclusions::Exclusions;
use super::picker::Picker;

use super::{KeyedSources, Layout};
use crate::lines::LineReader;

/// The columns that every FOCUS export has.
pub(super) const REQUIRED: [&str; 7] = [
    "BillingPeriodStart",
    "BillingAccountId",
    "SubAccountId",
    "ChargePeriodStart",
    "ChargeCategory",
    "ChargeDescription",
    "BilledCost",
];

pub(super) fn layout(picker: &mut Picker<'_>, reader: &LineReader) -> Layout {
    let rules = &reader.rules;
    let [period, payer, account, start, line_type, description, cost] =
        REQUIRED.map(|name| picker.required(&name.to_lowercase(), name));
    let currency = picker.optional("billingcurrency");
    let tags = if rules.tag_keys().is_empty() { Vec::new() } else { picker.first_of(&["tags"]) };
    let categories = if rules.category_keys().is_empty() { Vec::new() } else { picker.first_of(&["x_costcategories"]) };
    Layout {
        format: Format::Focus,
        projection: Vec::new(),
        period,
        payer,
        account,
        start,
        line_type,
        description,
        cost,
        currency,
        service: picker.first_of(&["x_servicecode", "servicename"]),
        region: if rules.needs_region() { picker.last_of(&["regionid"]) } else { Vec::new() },
        product: KeyedSources::default(),
        billing_entity: picker.optional("providername"),
        publisher: picker.optional("publishername"),
        invoice_issuer: picker.optional("invoiceissuername"),
        invoice: picker.optional("invoiceid"),
        reservation_arn: None,
        savings_plan_arn: None,
        charge_class: picker.optional("chargeclass"),
        charge_frequency: picker.optional("chargefrequency"),
        commitment_id: picker.optional("commitmentdiscountid"),
        costs: Costs::of_focus(picker, reader.settings.cost),
        exclusions: Exclusions::of_focus(picker, &reader.settings.credits),
        tags: KeyedSources { maps: tags, columns: Vec::new() },
        categories: KeyedSources { maps: categories, columns: Vec::new() },
    }
}
