//! Settings that say what a credit is and how it is consumed: plain values, shared by the jobs and the settings file.

use std::collections::BTreeSet;
use std::ops::Deref;

use credit_ledger::{Policy, PolicyError};
use serde::{Deserialize, Deserializer, Serialize};

/// The cost columns of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CostColumn {
    /// What is invoiced.
    #[default]
    Unblended,
    /// Unblended after discounts.
    NetUnblended,
    /// Commitments spread over their term.
    Amortized,
    /// Amortized after discounts.
    NetAmortized,
}

/// `[credits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreditSettings {
    /// FIFO policy: order and window.
    pub policy: String,
    /// Days before its end from which a credit counts as expiring soon.
    pub expiring_soon_days: u32,
    /// Credit classes that are booked as refunds and not registered.
    pub treat_as_refund: Vec<String>,
    /// Further patterns of descriptions, tried before the built-in one: regular expressions with the named groups
    /// `code`, `id`, `account`.
    pub description_patterns: Vec<String>,
    /// Classes by patterns on the credit's name, first match; else `promotion`.
    pub class_patterns: Vec<ClassPattern>,
    /// Billing entities (FOCUS: providers) whose charges no credit offsets. In FOCUS `AWS Marketplace` also stands for
    /// every publisher that is neither AWS nor the invoice's issuer.
    pub ineligible_billing_entities: Excluded<String>,
    /// Services whose charges no credit offsets, by code; in FOCUS also by name.
    pub ineligible_services: Excluded<String>,
    /// Line types whose charges no credit offsets.
    pub ineligible_line_types: Excluded<String>,
    /// Commitments whose `Fee` lines no credit offsets: `reservation`, `savings_plan`. FOCUS: one-time purchases
    /// with a commitment discount, if any is listed.
    pub ineligible_upfront_fees: Excluded<Commitment>,
}

/// The billing entity of what others sell through AWS.
pub const AWS_MARKETPLACE: &str = "AWS Marketplace";
/// The service of domain registration, by code.
pub const DOMAIN_REGISTRATION: &str = "AmazonRegistrar";

/// What credits do not offset: values of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excluded<T> {
    list: Vec<T>,
    /// Somebody set it: then it must be applied, or the export is refused.
    pub is_set: bool,
}

impl<T> Excluded<T> {
    /// What nobody set.
    #[must_use]
    pub const fn by_default(list: Vec<T>) -> Self {
        Self { list, is_set: false }
    }
}

impl<T> Deref for Excluded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.list
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Excluded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { list: Vec::deserialize(deserializer)?, is_set: true })
    }
}

/// A class and the pattern of names that belong to it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClassPattern {
    /// Regular expression, matched anywhere in the name.
    pub pattern: String,
    /// The class.
    pub class: String,
}

/// Kinds of commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Commitment {
    /// Reserved capacity.
    Reservation,
    /// Savings Plans.
    SavingsPlan,
}

impl CreditSettings {
    /// The class of a credit that no pattern gives another one.
    pub const DEFAULT_CLASS: &str = "promotion";
    /// The setting of sellers.
    pub const ENTITIES: &str = "ineligible_billing_entities";
    /// The setting of services.
    pub const SERVICES: &str = "ineligible_services";
    /// The setting of line types.
    pub const LINE_TYPES: &str = "ineligible_line_types";

    /// An exclusion as people are told of it.
    #[must_use]
    pub fn exclusion(setting: &str, value: &str) -> String {
        format!("{setting} {value:?}")
    }

    /// The exclusions of lines that somebody set, by setting and value.
    #[must_use]
    pub fn set_exclusions(&self) -> BTreeSet<String> {
        let lists = [
            (Self::ENTITIES, &self.ineligible_billing_entities),
            (Self::SERVICES, &self.ineligible_services),
            (Self::LINE_TYPES, &self.ineligible_line_types),
        ];
        let set = lists.into_iter().filter(|(_, list)| list.is_set);
        set.flat_map(|(setting, list)| list.iter().map(move |value| Self::exclusion(setting, value))).collect()
    }
}

impl Default for CreditSettings {
    fn default() -> Self {
        let class = |pattern: &str, class: &str| ClassPattern { pattern: pattern.to_owned(), class: class.to_owned() };
        Self {
            policy: Policy::default().name().to_owned(),
            expiring_soon_days: 60,
            treat_as_refund: vec!["pricing_adjustment".to_owned()],
            description_patterns: Vec::new(),
            class_patterns: vec![
                class("(?i)pricing adjustment", "pricing_adjustment"),
                class("(?i)goodwill", "goodwill"),
                class("(?i)contractual", "contractual"),
            ],
            ineligible_billing_entities: Excluded::by_default(vec![AWS_MARKETPLACE.to_owned()]),
            ineligible_services: Excluded::by_default(vec![DOMAIN_REGISTRATION.to_owned()]),
            ineligible_line_types: Excluded::by_default(vec!["SavingsPlanUpfrontFee".to_owned()]),
            ineligible_upfront_fees: Excluded::by_default(vec![Commitment::Reservation, Commitment::SavingsPlan]),
        }
    }
}

impl CreditSettings {
    /// The FIFO policy.
    ///
    /// # Errors
    /// [`PolicyError`] for a name that is none.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        self.policy.parse()
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, MapDeserializer};

    use super::*;

    fn of_lists(settings: &[(&'static str, Vec<&'static str>)]) -> Result<CreditSettings, Error> {
        CreditSettings::deserialize(MapDeserializer::new(settings.iter().cloned()))
    }

    #[test]
    fn exclusions_that_somebody_set_are_told_from_the_same_ones_by_default() {
        let settings = of_lists(&[
            ("ineligible_services", vec![DOMAIN_REGISTRATION]),
            ("ineligible_line_types", vec![]),
            ("ineligible_upfront_fees", vec!["savings_plan"]),
        ])
        .unwrap();
        let services = &settings.ineligible_services;
        assert_eq!((&services[..], services.is_set), (&[DOMAIN_REGISTRATION.to_owned()][..], true));
        let types = &settings.ineligible_line_types;
        assert!(types.is_empty() && types.is_set, "nothing is excluded, and that was said");
        let fees = &settings.ineligible_upfront_fees;
        assert_eq!((&fees[..], fees.is_set), (&[Commitment::SavingsPlan][..], true));
        let entities = &settings.ineligible_billing_entities;
        assert_eq!(
            (&entities[..], entities.is_set),
            (&[AWS_MARKETPLACE.to_owned()][..], false),
            "nobody said anything"
        );
        assert_ne!(CreditSettings::default().ineligible_services, *services, "else no export could be refused for it");
    }

    #[test]
    fn keys_and_kinds_that_are_none_are_told_with_those_that_are() {
        let told = of_lists(&[("ineligible_service", vec![])]).unwrap_err().to_string();
        let known =
            "unknown field `ineligible_service`, expected one of `policy`, `expiring_soon_days`, `treat_as_refund`, ";
        assert!(told.starts_with(known), "{told}");
        let told = of_lists(&[("ineligible_upfront_fees", vec!["reserved"])]).unwrap_err().to_string();
        assert_eq!(told, "unknown variant `reserved`, expected `reservation` or `savings_plan`");
        let policy = CreditSettings { policy: "fifo_issue_date".to_owned(), ..CreditSettings::default() }.policy();
        let expected =
            "\"fifo_issue_date\" is not a policy; one of fifo_issue_date/v1, fifo_issue_day/v1, fifo_applied_month/v1";
        assert_eq!(policy.unwrap_err().to_string(), expected);
        assert_eq!(CreditSettings::default().policy(), Ok(Policy::IssueDate));
    }
}
