//! Which measure a line belongs to, and how much of it a credit may offset.
//!
//! | measure | lines |
//! |---|---|
//! | `aws_credits` | `Credit`, except classes treated as refunds |
//! | `refunds` | `Refund`, and `Credit` of a class treated as refund; FOCUS: `Adjustment`, and negative `Correction` rows |
//! | `tax` | `Tax` |
//! | `charges` | everything else, discounts and negations included |

use credit_ledger::{Money, MoneyError};
use cur_reader::Format;
use schemas::settings::{Commitment, CostColumn, CreditSettings, DOMAIN_REGISTRATION};

use super::Measures;
use crate::columns::Role;

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

/// What a line type decides about its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineType {
    pub(crate) kind: Kind,
    /// Not defined by the format: it counts as a charge and is reported.
    pub(crate) is_unknown: bool,
    /// Credits do not offset it, by the settings.
    is_ineligible: bool,
}

/// Line types that are treated apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Credit,
    Tax,
    Refund,
    Fee,
    SavingsPlanCovered,
    SavingsPlanRecurring,
    /// Negations and upfront fees.
    SavingsPlanOther,
    Discounted,
    ReservationFee,
    /// FOCUS: a purchase.
    Purchase,
    Other,
}

impl LineType {
    /// The type that `text` names; `None` stands for a blank.
    pub(crate) fn new(format: Format, text: Option<&str>, credits: &CreditSettings) -> Self {
        let is_focus = format == Format::Focus;
        let known: &[&str] = if is_focus { &FOCUS_CATEGORIES } else { &CUR_LINE_TYPES };
        let kind = match text.unwrap_or_default() {
            "Credit" => Kind::Credit,
            "Tax" => Kind::Tax,
            "Purchase" if is_focus => Kind::Purchase,
            "Adjustment" if is_focus => Kind::Refund,
            _ if is_focus => Kind::Other,
            "Refund" => Kind::Refund,
            "Fee" => Kind::Fee,
            "SavingsPlanCoveredUsage" => Kind::SavingsPlanCovered,
            "SavingsPlanRecurringFee" => Kind::SavingsPlanRecurring,
            "SavingsPlanNegation" | "SavingsPlanUpfrontFee" => Kind::SavingsPlanOther,
            "DiscountedUsage" => Kind::Discounted,
            "RIFee" => Kind::ReservationFee,
            _ => Kind::Other,
        };
        Self {
            kind,
            is_unknown: !text.is_some_and(|text| known.contains(&text)),
            is_ineligible: is_listed(&credits.ineligible_line_types, text),
        }
    }
}

impl Kind {
    /// The roles that such a line needs in an amortized column.
    pub(super) const fn needs(self) -> &'static [Role] {
        match self {
            Self::SavingsPlanCovered => &[Role::SavingsPlanEffective],
            Self::SavingsPlanRecurring => &[Role::SavingsPlanTotal, Role::SavingsPlanUsed],
            Self::Discounted => &[Role::ReservationEffective],
            Self::ReservationFee => &[Role::ReservationUnusedUpfront, Role::ReservationUnusedRecurring],
            Self::Fee => &[Role::ReservationName],
            Self::Refund => &[Role::ReservationName, Role::SavingsPlanName],
            _ => &[],
        }
    }
}

/// True where `value` is in a list of the settings.
pub(super) fn is_listed(list: &[String], value: Option<&str>) -> bool {
    value.is_some_and(|value| list.iter().any(|entry| entry == value))
}

/// What FOCUS calls the service of domain registration.
const DOMAIN_REGISTRATION_NAME: &str = "Amazon Registrar";

/// True for a service, by code or by name, that is in a list of the settings.
pub(super) fn is_listed_service(list: &[String], service: &str) -> bool {
    is_listed(list, Some(service))
        || (service == DOMAIN_REGISTRATION_NAME && is_listed(list, Some(DOMAIN_REGISTRATION)))
}

/// True for a publisher that is no company of AWS: a seller on AWS Marketplace.
pub(super) fn is_seller(publisher: &str) -> bool {
    let is_of = |company: &str| {
        let (start, rest) = publisher.split_at_checked(company.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(company) && !rest.starts_with(|next: char| next.is_alphanumeric())
    };
    !["AWS", "Amazon"].into_iter().any(is_of)
}

/// What the measure of a line depends on.
pub(crate) struct MeasureRules<'a> {
    pub(crate) cost: CostColumn,
    pub(crate) credits: &'a CreditSettings,
    pub(crate) is_focus: bool,
}

/// The values of one line that decide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineFacts {
    pub(crate) line_type: LineType,
    /// A credit of a class that is treated as a refund.
    pub(crate) refund_class: bool,
    pub(crate) unblended: Money,
    /// Amounts of the configured cost column by role; blank ones are zero.
    pub(crate) amounts: Amounts,
    /// Of a service or billing entity that credits do not offset.
    pub(crate) is_ineligible: bool,
    pub(crate) flags: LineFlags,
}

/// What a line says about commitments and corrections.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LineFlags {
    pub(crate) reservation: bool,
    pub(crate) savings_plan: bool,
    pub(crate) correction: bool,
    pub(crate) one_time: bool,
    pub(crate) commitment: bool,
}

/// Amounts by [`Role`].
pub(crate) type Amounts = [Money; Role::COUNT];

impl LineFacts {
    /// True for a line that a list of the settings excludes, by its seller, service or type.
    pub(crate) const fn is_excluded(&self) -> bool {
        self.is_ineligible || self.line_type.is_ineligible
    }
}

impl MeasureRules<'_> {
    pub(crate) fn measures(&self, line: &LineFacts) -> Result<Measures, MoneyError> {
        let amount = line.unblended;
        let none = Measures::default();
        Ok(match line.line_type.kind {
            Kind::Credit if line.refund_class => Measures { refunds: amount, ..none },
            Kind::Credit => Measures { aws_credits: amount, ..none },
            Kind::Refund => self.refund(line),
            _ if line.flags.correction && amount.is_negative() => self.refund(line),
            Kind::Tax => Measures { tax: amount, ..none },
            _ => {
                let charges = self.charge(line)?;
                let eligible_charges = if self.is_eligible(line) { charges } else { Money::ZERO };
                Measures { charges, eligible_charges, unblended_charges: amount, ..none }
            }
        })
    }

    /// The refund; of a commitment that was returned none in an amortized column, as its fee was none there.
    fn refund(&self, line: &LineFacts) -> Measures {
        let is_amortized = matches!(self.cost, CostColumn::Amortized | CostColumn::NetAmortized);
        let LineFlags { reservation, savings_plan, commitment, .. } = line.flags;
        if is_amortized && (reservation || savings_plan || commitment) {
            return Measures { unblended_charges: line.unblended, ..Measures::default() };
        }
        Measures { refunds: line.unblended, ..Measures::default() }
    }

    /// The charge in the configured cost column.
    fn charge(&self, line: &LineFacts) -> Result<Money, MoneyError> {
        let of = |role: Role| line.amounts.get(role as usize).copied().unwrap_or_default();
        let otherwise = match self.cost {
            CostColumn::Unblended => return Ok(line.unblended),
            CostColumn::NetUnblended => return Ok(of(Role::NetUnblended)),
            _ if self.is_focus => return Ok(of(Role::FocusEffective)),
            CostColumn::Amortized => line.unblended,
            CostColumn::NetAmortized => of(Role::NetUnblended),
        };
        match line.line_type.kind {
            Kind::SavingsPlanCovered => Ok(of(Role::SavingsPlanEffective)),
            Kind::SavingsPlanRecurring => of(Role::SavingsPlanTotal).checked_sub(of(Role::SavingsPlanUsed)),
            Kind::SavingsPlanOther => Ok(Money::ZERO),
            Kind::Fee if line.flags.reservation => Ok(Money::ZERO),
            Kind::Discounted => Ok(of(Role::ReservationEffective)),
            Kind::ReservationFee => {
                of(Role::ReservationUnusedUpfront).checked_add(of(Role::ReservationUnusedRecurring))
            }
            _ => Ok(otherwise),
        }
    }

    fn is_eligible(&self, line: &LineFacts) -> bool {
        let upfront = |commitment| self.credits.ineligible_upfront_fees.contains(&commitment);
        let upfront_fee = match line.line_type.kind {
            Kind::Purchase => {
                line.flags.one_time && line.flags.commitment && !self.credits.ineligible_upfront_fees.is_empty()
            }
            Kind::Fee => {
                (line.flags.reservation && upfront(Commitment::Reservation))
                    || (line.flags.savings_plan && upfront(Commitment::SavingsPlan))
            }
            _ => false,
        };
        !upfront_fee && !line.is_ineligible && !line.line_type.is_ineligible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(line_type: &'static str) -> LineFacts {
        facts_of(Format::Cur2, line_type)
    }

    fn facts_of(format: Format, line_type: &'static str) -> LineFacts {
        LineFacts {
            line_type: LineType::new(format, Some(line_type), &CreditSettings::default()),
            refund_class: false,
            unblended: Money::from_units(100).unwrap(),
            amounts: Amounts::default(),
            is_ineligible: false,
            flags: LineFlags::default(),
        }
    }

    fn marked(flags: LineFlags, line: LineFacts) -> LineFacts {
        LineFacts { flags, ..line }
    }

    fn charge(cost: CostColumn, mut line: LineFacts, amounts: &[(Role, i128)]) -> i128 {
        for (role, units) in amounts {
            line.amounts[*role as usize] = Money::from_units(*units).unwrap();
        }
        let credits = CreditSettings::default();
        MeasureRules { cost, credits: &credits, is_focus: false }.measures(&line).unwrap().charges.units()
    }

    #[test]
    fn amortized_cost_follows_the_line_type() {
        use CostColumn::{Amortized, NetAmortized, NetUnblended, Unblended};
        use Role::{
            ReservationEffective as RI_EFFECTIVE, ReservationUnusedRecurring as RI_RECURRING,
            ReservationUnusedUpfront as RI_UPFRONT, SavingsPlanEffective as SP_EFFECTIVE, SavingsPlanTotal as SP_TOTAL,
            SavingsPlanUsed as SP_USED,
        };
        assert_eq!(charge(Unblended, facts("SavingsPlanCoveredUsage"), &[(SP_EFFECTIVE, 7)]), 100);
        assert_eq!(charge(Amortized, facts("SavingsPlanCoveredUsage"), &[(SP_EFFECTIVE, 7)]), 7);
        assert_eq!(charge(Amortized, facts("SavingsPlanRecurringFee"), &[(SP_TOTAL, 9), (SP_USED, 4)]), 5);
        assert_eq!(charge(Amortized, facts("SavingsPlanNegation"), &[]), 0);
        assert_eq!(charge(Amortized, facts("SavingsPlanUpfrontFee"), &[]), 0);
        assert_eq!(
            charge(Amortized, marked(LineFlags { reservation: true, ..LineFlags::default() }, facts("Fee")), &[]),
            0
        );
        assert_eq!(charge(Amortized, facts("Fee"), &[]), 100);
        assert_eq!(charge(Amortized, facts("DiscountedUsage"), &[(RI_EFFECTIVE, 3)]), 3);
        assert_eq!(charge(Amortized, facts("RIFee"), &[(RI_UPFRONT, 3), (RI_RECURRING, 2)]), 5);
        assert_eq!(charge(Amortized, facts("Usage"), &[]), 100);
        assert_eq!(charge(NetAmortized, facts("Usage"), &[(Role::NetUnblended, 90)]), 90);
        assert_eq!(charge(NetUnblended, facts("RIFee"), &[(Role::NetUnblended, 80)]), 80);
    }

    #[test]
    fn what_credits_do_not_offset_is_not_eligible() {
        let credits = CreditSettings::default();
        let rules = MeasureRules { cost: CostColumn::Unblended, credits: &credits, is_focus: false };
        let eligible = |line| rules.measures(&line).unwrap().eligible_charges.units();
        assert_eq!(eligible(facts("Usage")), 100);
        assert_eq!(eligible(facts("Fee")), 100);
        assert_eq!(eligible(marked(LineFlags { reservation: true, ..LineFlags::default() }, facts("Fee"))), 0);
        assert_eq!(eligible(marked(LineFlags { savings_plan: true, ..LineFlags::default() }, facts("Fee"))), 0);
        assert_eq!(
            eligible(marked(
                LineFlags { savings_plan: true, ..LineFlags::default() },
                facts("SavingsPlanCoveredUsage")
            )),
            100
        );
        assert_eq!(eligible(facts("SavingsPlanUpfrontFee")), 0);
        assert_eq!(eligible(LineFacts { is_ineligible: true, ..facts("Usage") }), 0);
        assert_eq!(eligible(facts("Tax")), 0);
        let one_time = LineFlags { one_time: true, ..LineFlags::default() };
        let purchase = facts_of(Format::Focus, "Purchase");
        assert_eq!(eligible(marked(LineFlags { commitment: true, ..one_time }, purchase)), 0);
        assert_eq!(eligible(marked(one_time, purchase)), 100);
    }

    #[test]
    fn a_returned_commitment_is_no_refund_in_an_amortized_column() {
        let credits = CreditSettings::default();
        let measures = |cost, line| MeasureRules { cost, credits: &credits, is_focus: false }.measures(&line).unwrap();
        let returned = marked(LineFlags { savings_plan: true, ..LineFlags::default() }, facts("Refund"));
        let unblended = measures(CostColumn::Unblended, returned);
        assert_eq!((unblended.refunds, unblended.unblended_charges), (returned.unblended, Money::ZERO));
        let amortized = measures(CostColumn::NetAmortized, returned);
        assert_eq!((amortized.refunds, amortized.charges), (Money::ZERO, Money::ZERO));
        // The AWS book has it all the same.
        assert_eq!(amortized.unblended_charges, returned.unblended);
        assert_eq!(measures(CostColumn::Amortized, facts("Refund")).refunds, returned.unblended);
    }

    #[test]
    fn an_adjustment_of_focus_is_a_refund_and_one_of_a_cur_an_unknown_charge() {
        assert_eq!(facts_of(Format::Focus, "Adjustment").line_type.kind, Kind::Refund);
        assert!(facts_of(Format::Cur2, "Adjustment").line_type.is_unknown);
    }

    #[test]
    fn sellers_are_those_that_are_no_company_of_aws() {
        for aws in ["AWS", "Amazon Web Services, Inc.", "amazon web services EMEA SARL", "Amazon", "AWS Elemental"] {
            assert!(!is_seller(aws), "{aws}");
        }
        for seller in ["Red Hat Inc.", "AWSome Tools", "Amazonia Ltd", "The Amazon Company", "é"] {
            assert!(is_seller(seller), "{seller}");
        }
    }

    #[test]
    fn focus_corrections_are_refunds_only_below_zero_and_not_for_credits() {
        let credits = CreditSettings::default();
        let rules = MeasureRules { cost: CostColumn::Unblended, credits: &credits, is_focus: true };
        let less = Money::from_units(-5).unwrap();
        let line = |line_type, unblended| {
            let correction = LineFlags { correction: true, ..LineFlags::default() };
            marked(correction, LineFacts { unblended, ..facts_of(Format::Focus, line_type) })
        };
        assert_eq!(rules.measures(&line("Usage", less)).unwrap().refunds, less);
        assert_eq!(rules.measures(&line("Usage", less.negated())).unwrap().charges, less.negated());
        assert_eq!(rules.measures(&line("Credit", less)).unwrap().aws_credits, less);
        assert_eq!(rules.measures(&line("Tax", less)).unwrap().refunds, less);
        assert_eq!(rules.measures(&line("Tax", less.negated())).unwrap().tax, less.negated());
    }
}
