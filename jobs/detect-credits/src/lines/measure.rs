//! Which measure a line belongs to, and how much of it a credit may offset.
//!
//! | measure | lines |
//! |---|---|
//! | `aws_credits` | `Credit`, except classes treated as refunds |
//! | `refunds` | `Refund`, and `Credit` of a class treated as refund; FOCUS: negative `Correction` rows |
//! | `tax` | `Tax` |
//! | `charges` | everything else, discounts and negations included |

use std::collections::BTreeMap;

use credit_ledger::{Money, MoneyError};
use schemas::settings::{Commitment, CostColumn, CreditSettings};

use super::Measures;
use crate::columns::{Format, amortized};

const CUR_LINE_TYPES: [&str; 19] = [
    "Usage",
    "DiscountedUsage",
    "SavingsPlanCoveredUsage",
    "SavingsPlanNegation",
    "Fee",
    "RIFee",
    "SavingsPlanUpfrontFee",
    "SavingsPlanRecurringFee",
    "FlatRateSubscription",
    "Tax",
    "Credit",
    "Refund",
    "BundledDiscount",
    "Discount",
    "EdpDiscount",
    "PrivateRateDiscount",
    "RiVolumeDiscount",
    "SppDiscount",
    "DistributorDiscount",
];
const FOCUS_CATEGORIES: [&str; 5] = ["Usage", "Purchase", "Tax", "Credit", "Adjustment"];

/// What the measure of a line depends on.
pub(crate) struct MeasureRules<'a> {
    pub(crate) cost: CostColumn,
    pub(crate) credits: &'a CreditSettings,
}

/// The values of one line that decide.
pub(crate) struct LineFacts<'a> {
    pub(crate) format: Format,
    pub(crate) line_type: Option<&'a str>,
    /// A credit of a class that is treated as a refund.
    pub(crate) refund_class: bool,
    pub(crate) unblended: Money,
    /// Amounts of the configured cost column by role; blank ones are zero.
    pub(crate) amounts: BTreeMap<&'static str, Money>,
    pub(crate) service: Option<&'a str>,
    pub(crate) billing_entity: Option<&'a str>,
    pub(crate) reservation: bool,
    pub(crate) savings_plan: bool,
    pub(crate) correction: bool,
    pub(crate) one_time: bool,
    pub(crate) commitment: bool,
}

/// True for a line type the format does not define: it counts as a charge and is reported.
pub(crate) fn is_unknown(format: Format, line_type: Option<&str>) -> bool {
    let known: &[&str] = if format == Format::Focus { &FOCUS_CATEGORIES } else { &CUR_LINE_TYPES };
    !line_type.is_some_and(|line_type| known.contains(&line_type))
}

impl MeasureRules<'_> {
    pub(crate) fn measures(&self, line: &LineFacts<'_>) -> Result<Measures, MoneyError> {
        let amount = line.unblended;
        let none = Measures::default();
        Ok(match line.line_type {
            Some("Credit") if line.refund_class => Measures { refunds: amount, ..none },
            Some("Credit") => Measures { aws_credits: amount, is_credit: true, ..none },
            Some("Tax") => Measures { tax: amount, ..none },
            Some("Refund") if line.format != Format::Focus => Measures { refunds: amount, ..none },
            _ if line.correction && amount.is_negative() => Measures { refunds: amount, ..none },
            _ => {
                let charges = self.charge(line)?;
                let eligible_charges = if self.is_eligible(line) { charges } else { Money::ZERO };
                Measures { charges, eligible_charges, unblended_charges: amount, ..none }
            }
        })
    }

    /// The charge in the configured cost column.
    fn charge(&self, line: &LineFacts<'_>) -> Result<Money, MoneyError> {
        let of = |role| line.amounts.get(role).copied().unwrap_or_default();
        let otherwise = match self.cost {
            CostColumn::Unblended => return Ok(line.unblended),
            CostColumn::NetUnblended => return Ok(of(amortized::UNBLENDED)),
            _ if line.format == Format::Focus => return Ok(of(amortized::FOCUS_EFFECTIVE)),
            CostColumn::Amortized => line.unblended,
            CostColumn::NetAmortized => of(amortized::UNBLENDED),
        };
        match line.line_type.unwrap_or_default() {
            "SavingsPlanCoveredUsage" => Ok(of(amortized::SP_EFFECTIVE)),
            "SavingsPlanRecurringFee" => of(amortized::SP_TOTAL).checked_sub(of(amortized::SP_USED)),
            "SavingsPlanNegation" | "SavingsPlanUpfrontFee" => Ok(Money::ZERO),
            "Fee" if line.reservation => Ok(Money::ZERO),
            "DiscountedUsage" => Ok(of(amortized::RI_EFFECTIVE)),
            "RIFee" => of(amortized::RI_UNUSED_UPFRONT).checked_add(of(amortized::RI_UNUSED_RECURRING)),
            _ => Ok(otherwise),
        }
    }

    fn is_eligible(&self, line: &LineFacts<'_>) -> bool {
        let listed =
            |list: &[String], value: Option<&str>| value.is_some_and(|value| list.iter().any(|entry| entry == value));
        let upfront = |commitment| self.credits.ineligible_upfront_fees.contains(&commitment);
        let upfront_fee = match (line.format, line.line_type) {
            (Format::Focus, Some("Purchase")) => {
                line.one_time && line.commitment && !self.credits.ineligible_upfront_fees.is_empty()
            }
            (Format::Cur1 | Format::Cur2, Some("Fee")) => {
                (line.reservation && upfront(Commitment::Reservation))
                    || (line.savings_plan && upfront(Commitment::SavingsPlan))
            }
            _ => false,
        };
        !upfront_fee
            && !listed(&self.credits.ineligible_billing_entities, line.billing_entity)
            && !listed(&self.credits.ineligible_services, line.service)
            && !listed(&self.credits.ineligible_line_types, line.line_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(line_type: &'static str) -> LineFacts<'static> {
        LineFacts {
            format: Format::Cur2,
            line_type: Some(line_type),
            refund_class: false,
            unblended: Money::from_units(100).unwrap(),
            amounts: BTreeMap::new(),
            service: Some("AmazonEC2"),
            billing_entity: Some("AWS"),
            reservation: false,
            savings_plan: false,
            correction: false,
            one_time: false,
            commitment: false,
        }
    }

    fn charge(cost: CostColumn, mut line: LineFacts<'_>, amounts: &[(&'static str, i128)]) -> i128 {
        line.amounts = amounts.iter().map(|(role, units)| (*role, Money::from_units(*units).unwrap())).collect();
        let credits = CreditSettings::default();
        MeasureRules { cost, credits: &credits }.measures(&line).unwrap().charges.units()
    }

    #[test]
    fn amortized_cost_follows_the_line_type() {
        use CostColumn::{Amortized, NetAmortized, NetUnblended, Unblended};
        use amortized::{
            RI_EFFECTIVE, RI_UNUSED_RECURRING, RI_UNUSED_UPFRONT, SP_EFFECTIVE, SP_TOTAL, SP_USED, UNBLENDED,
        };
        assert_eq!(charge(Unblended, facts("SavingsPlanCoveredUsage"), &[(SP_EFFECTIVE, 7)]), 100);
        assert_eq!(charge(Amortized, facts("SavingsPlanCoveredUsage"), &[(SP_EFFECTIVE, 7)]), 7);
        assert_eq!(charge(Amortized, facts("SavingsPlanRecurringFee"), &[(SP_TOTAL, 9), (SP_USED, 4)]), 5);
        assert_eq!(charge(Amortized, facts("SavingsPlanNegation"), &[]), 0);
        assert_eq!(charge(Amortized, facts("SavingsPlanUpfrontFee"), &[]), 0);
        assert_eq!(charge(Amortized, LineFacts { reservation: true, ..facts("Fee") }, &[]), 0);
        assert_eq!(charge(Amortized, facts("Fee"), &[]), 100);
        assert_eq!(charge(Amortized, facts("DiscountedUsage"), &[(RI_EFFECTIVE, 3)]), 3);
        assert_eq!(charge(Amortized, facts("RIFee"), &[(RI_UNUSED_UPFRONT, 3), (RI_UNUSED_RECURRING, 2)]), 5);
        assert_eq!(charge(Amortized, facts("Usage"), &[]), 100);
        assert_eq!(charge(NetAmortized, facts("Usage"), &[(UNBLENDED, 90)]), 90);
        assert_eq!(charge(NetUnblended, facts("RIFee"), &[(UNBLENDED, 80)]), 80);
    }

    #[test]
    fn what_credits_do_not_offset_is_not_eligible() {
        let credits = CreditSettings::default();
        let rules = MeasureRules { cost: CostColumn::Unblended, credits: &credits };
        let eligible = |line| rules.measures(&line).unwrap().eligible_charges.units();
        assert_eq!(eligible(facts("Usage")), 100);
        assert_eq!(eligible(facts("Fee")), 100);
        assert_eq!(eligible(LineFacts { reservation: true, ..facts("Fee") }), 0);
        assert_eq!(eligible(LineFacts { savings_plan: true, ..facts("Fee") }), 0);
        assert_eq!(eligible(LineFacts { savings_plan: true, ..facts("SavingsPlanCoveredUsage") }), 100);
        assert_eq!(eligible(facts("SavingsPlanUpfrontFee")), 0);
        assert_eq!(eligible(LineFacts { billing_entity: Some("AWS Marketplace"), ..facts("Usage") }), 0);
        assert_eq!(eligible(LineFacts { service: Some("AmazonRegistrar"), ..facts("Usage") }), 0);
        assert_eq!(eligible(facts("Tax")), 0);
        let purchase = LineFacts { format: Format::Focus, one_time: true, commitment: true, ..facts("Purchase") };
        assert_eq!(eligible(purchase), 0);
        assert_eq!(eligible(LineFacts { format: Format::Focus, one_time: true, ..facts("Purchase") }), 100);
    }

    #[test]
    fn focus_corrections_are_refunds_only_below_zero_and_not_for_credits() {
        let credits = CreditSettings::default();
        let rules = MeasureRules { cost: CostColumn::Unblended, credits: &credits };
        let less = Money::from_units(-5).unwrap();
        let line =
            |line_type, unblended| LineFacts { format: Format::Focus, correction: true, unblended, ..facts(line_type) };
        assert_eq!(rules.measures(&line("Usage", less)).unwrap().refunds, less);
        assert_eq!(rules.measures(&line("Usage", less.negated())).unwrap().charges, less.negated());
        assert_eq!(rules.measures(&line("Credit", less)).unwrap().aws_credits, less);
        assert_eq!(rules.measures(&line("Tax", less)).unwrap().tax, less);
    }
}
