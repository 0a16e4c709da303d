//! What credits do not offset, and the columns that say so. An exclusion whose column is not there is not applied: that is
//! said, and where somebody set it, it is an error.

use schemas::settings::{AWS_MARKETPLACE, Commitment, CreditSettings, DOMAIN_REGISTRATION};

use cur_reader::Format;

use super::picker::Picker;

/// An exclusion that cannot be applied to a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unapplied {
    setting: &'static str,
    column: &'static str,
    /// Somebody set it.
    pub(crate) is_set: bool,
}

impl Unapplied {
    /// As the summary names it.
    pub(crate) fn named(&self) -> String {
        format!("{} (no column {})", self.setting, self.column)
    }

    /// Why a file or a line is refused.
    pub(crate) fn refusal(&self) -> String {
        format!(
            "has no column {}, which [credits] {} needs; add it to the export, or take the setting out",
            self.column, self.setting
        )
    }
}

/// The exclusions that cannot be applied to a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exclusions {
    /// To none of its lines.
    pub(crate) lines: Vec<Unapplied>,
    /// To none of its fees: a `Fee`, in FOCUS a `Purchase`.
    pub(crate) fees: Vec<Unapplied>,
}

const ENTITIES: &str = CreditSettings::ENTITIES;
const SERVICES: &str = CreditSettings::SERVICES;
const UPFRONT_FEES: &str = "ineligible_upfront_fees";

/// What says which commitment a CUR's line belongs to.
pub(super) const ARNS: [(Commitment, &str, [&str; 2]); 2] = [
    (
        Commitment::Reservation,
        "reservation_",
        // Some writers spell `Arn`, which folds to another name than AWS's `ARN`.
        ["reservation_reservation_a_r_n", "reservation_reservation_arn"],
    ),
    (Commitment::SavingsPlan, "savings_plan_", ["savings_plan_savings_plan_a_r_n", "savings_plan_savings_plan_arn"]),
];

/// The columns that would say which commitment a line belongs to, where a CUR lacks them and may have such lines: as AWS writes a
/// CUR 1.0 it has no columns of a feature in months without it, while a CUR 2.0 has the columns that somebody chose.
pub(super) fn missing_arns(picker: &mut Picker<'_>, format: Format) -> Vec<(Commitment, &'static str)> {
    let mut missing = Vec::new();
    for (commitment, prefix, [column, other]) in ARNS {
        let is_there = picker.optional(column).or_else(|| picker.optional(other)).is_some();
        let is_feature_unused = format == Format::Cur1 && picker.is_whole_cur1() && !picker.any(prefix);
        if !is_there && !is_feature_unused {
            missing.push((commitment, column));
        }
    }
    missing
}

impl Exclusions {
    pub(super) fn of_cur(picker: &mut Picker<'_>, format: Format, credits: &CreditSettings) -> Self {
        let mut found = Self::default();
        let mut lacks = |column: &str| picker.optional(column).is_none();
        let entities = &credits.ineligible_billing_entities;
        if !entities.is_empty() && lacks("bill_billing_entity") {
            found.lines.push(Unapplied { setting: ENTITIES, column: "bill_billing_entity", is_set: entities.is_set });
        }
        let services = &credits.ineligible_services;
        if !services.is_empty() && lacks("line_item_product_code") {
            found.lines.push(Unapplied {
                setting: SERVICES,
                column: "line_item_product_code",
                is_set: services.is_set,
            });
        }
        let fees = &credits.ineligible_upfront_fees;
        for (_, column) in missing_arns(picker, format).into_iter().filter(|(commitment, _)| fees.contains(commitment))
        {
            found.fees.push(Unapplied { setting: UPFRONT_FEES, column, is_set: fees.is_set });
        }
        found
    }

    pub(super) fn of_focus(picker: &mut Picker<'_>, credits: &CreditSettings) -> Self {
        let mut found = Self::default();
        let mut lacks = |column: &str| picker.optional(column).is_none();
        let entities = &credits.ineligible_billing_entities;
        let unapplied = |column| Unapplied { setting: ENTITIES, column, is_set: entities.is_set };
        // Of AWS's own bills the provider is AWS, whoever the seller is.
        if entities.iter().any(|entity| entity == AWS_MARKETPLACE) && lacks("publishername") {
            found.lines.push(unapplied("PublisherName"));
        }
        if entities.iter().any(|entity| entity != AWS_MARKETPLACE) && lacks("providername") {
            found.lines.push(unapplied("ProviderName"));
        }
        let services = &credits.ineligible_services;
        let unapplied = |column| Unapplied { setting: SERVICES, column, is_set: services.is_set };
        let (no_code, no_name) = (lacks("x_servicecode"), lacks("servicename"));
        // Codes have no blanks, names have.
        let is_name = |service: &String| service.contains(' ');
        let is_code = |service: &String| !is_name(service) && service != DOMAIN_REGISTRATION;
        if services.iter().any(is_code) && no_code {
            found.lines.push(unapplied("x_ServiceCode"));
        } else if (services.iter().any(is_name) || (no_code && !services.is_empty())) && no_name {
            found.lines.push(unapplied("ServiceName"));
        }
        let fees = &credits.ineligible_upfront_fees;
        for (folded, column) in
            [("chargefrequency", "ChargeFrequency"), ("commitmentdiscountid", "CommitmentDiscountId")]
        {
            if !fees.is_empty() && lacks(folded) {
                found.fees.push(Unapplied { setting: UPFRONT_FEES, column, is_set: fees.is_set });
            }
        }
        found
    }
}
