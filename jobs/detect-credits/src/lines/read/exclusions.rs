//! Lines that credits do not offset, and which exclusions that somebody set they meet: one that no line meets may be a slip.

use credit_ledger::BillingPeriod;
use schemas::settings::{AWS_MARKETPLACE, CreditSettings, Excluded};

use super::super::classify::{is_listed, is_listed_service, is_seller};
use super::super::columns::Columns;
use super::super::state::LineState;
use super::PartReader;

impl PartReader<'_> {
    pub(super) fn is_ineligible_entity(&mut self, columns: &Columns, index: usize) -> bool {
        let list = &self.reader.settings.credits.ineligible_billing_entities;
        let known = columns
            .billing_entity
            .as_ref()
            .and_then(|column| self.known.billing_entity.get(column, index, |text| is_listed(list, Some(text))));
        known.unwrap_or(false)
    }

    /// FOCUS: true for what somebody else than AWS and the issuer of the invoice sells.
    pub(super) fn is_of_a_seller(&mut self, columns: &Columns, index: usize) -> bool {
        let Some(publisher) = &columns.publisher else { return false };
        let is_seller = self.known.publisher.get(publisher, index, is_seller).unwrap_or(false);
        let issuer = columns.invoice_issuer.as_ref().and_then(|column| column.get(index));
        is_seller
            && publisher.get(index) != issuer
            && is_listed(&self.reader.settings.credits.ineligible_billing_entities, Some(AWS_MARKETPLACE))
    }

    /// Notes the exclusions that a line meets, if it is excluded.
    pub(super) fn note_excluded(
        &mut self,
        columns: &Columns,
        index: usize,
        (period, is_excluded): (BillingPeriod, bool),
        state: &mut LineState,
    ) {
        if !is_excluded {
            return;
        }
        let is_of_a_seller = self.is_of_a_seller(columns, index);
        let CreditSettings { ineligible_billing_entities, ineligible_services, ineligible_line_types, .. } =
            &self.reader.settings.credits;
        let mut note = |setting, list: &Excluded<String>, is_met: &dyn Fn(&[String]) -> bool| {
            let met = list.iter().filter(|value| list.is_set && is_met(std::slice::from_ref(value)));
            met.for_each(|value| state.excluded(period, setting, value));
        };
        let entity = columns.billing_entity.as_ref().and_then(|column| column.get(index));
        note(CreditSettings::ENTITIES, ineligible_billing_entities, &|value| {
            is_listed(value, entity) || (is_of_a_seller && is_listed(value, Some(AWS_MARKETPLACE)))
        });
        let services = || columns.services.iter().filter_map(|column| column.get(index));
        note(CreditSettings::SERVICES, ineligible_services, &|value| {
            services().any(|service| is_listed_service(value, service))
        });
        let line_type = columns.line_type.get(index);
        note(CreditSettings::LINE_TYPES, ineligible_line_types, &|value| is_listed(value, line_type));
    }
}
