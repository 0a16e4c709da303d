//! One line of the export.

use std::rc::Rc;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use crate::fixed::Fixed;
use crate::organisation::{Account, Pairs, Period, Sku};

/// A line item. Empty text and empty options are null in the export.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) period: Period,
    /// `None`: a charge of the payer as such.
    pub(crate) account: Option<Rc<Account>>,
    pub(crate) line_type: Rc<str>,
    pub(crate) sku: Rc<Sku>,
    pub(crate) region: Rc<str>,
    /// The letter of the availability zone, or empty.
    pub(crate) zone: &'static str,
    pub(crate) description: Rc<str>,
    pub(crate) start: NaiveDateTime,
    pub(crate) end: NaiveDateTime,
    pub(crate) quantity: Option<Fixed>,
    /// Unblended cost; blank for split-cost rows.
    pub(crate) cost: Option<Fixed>,
    /// Unblended cost after discounts. A discount's own line has none left, so that both columns have one total.
    pub(crate) net_cost: Option<Fixed>,
    /// The privately agreed discount within `net_cost`, as the discount map names it.
    pub(crate) discount: Option<Fixed>,
    pub(crate) resource: Rc<str>,
    pub(crate) tags: Pairs,
    pub(crate) categories: Pairs,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) savings_plan: Option<SavingsPlan>,
    pub(crate) split: Option<Split>,
}

/// What a line says of a reserved instance.
#[derive(Clone, Default)]
pub(crate) struct Reservation {
    pub(crate) arn: Rc<str>,
    pub(crate) effective: Option<Fixed>,
    pub(crate) amortized_upfront: Option<Fixed>,
    pub(crate) recurring: Option<Fixed>,
    pub(crate) unused_upfront: Option<Fixed>,
    pub(crate) unused_recurring: Option<Fixed>,
}

/// What a line says of a savings plan.
#[derive(Clone, Default)]
pub(crate) struct SavingsPlan {
    pub(crate) arn: Rc<str>,
    pub(crate) effective: Option<Fixed>,
    pub(crate) commitment: Option<Fixed>,
    pub(crate) used: Option<Fixed>,
    pub(crate) amortized_upfront: Option<Fixed>,
    pub(crate) recurring: Option<Fixed>,
}

/// A pod's part of the cost of the instance it runs on.
#[derive(Clone)]
pub(crate) struct Split {
    pub(crate) parent: Rc<str>,
    pub(crate) cost: Fixed,
}

impl Line {
    /// A line of one day without tags, resource or quantity, on the account's own cost categories.
    pub(crate) fn of_day(
        period: Period,
        day: NaiveDate,
        account: Option<Rc<Account>>,
        line_type: &str,
        sku: &Rc<Sku>,
        cost: Fixed,
    ) -> Self {
        let start = day.and_time(NaiveTime::MIN);
        Self {
            period,
            line_type: line_type.into(),
            sku: Rc::clone(sku),
            region: "".into(),
            zone: "",
            description: sku.description.as_str().into(),
            start,
            end: start + TimeDelta::days(1),
            quantity: None,
            cost: Some(cost),
            net_cost: Some(cost),
            discount: None,
            resource: "".into(),
            tags: Rc::new([]),
            categories: account.as_ref().map_or_else(|| Rc::new([]) as Pairs, |account| account.categories()),
            account,
            reservation: None,
            savings_plan: None,
            split: None,
        }
    }

    /// A further line about the same usage: a discount on it, or its negation. Nothing of it is left after discounts
    /// unless `net` says so.
    pub(crate) fn about(&self, line_type: &str, description: String, cost: Fixed, net: Fixed) -> Self {
        Self {
            line_type: line_type.into(),
            description: description.into(),
            quantity: None,
            cost: Some(cost),
            net_cost: Some(net),
            discount: None,
            ..self.clone()
        }
    }

    pub(crate) fn day(&self) -> NaiveDate {
        self.start.date()
    }

    /// The bill that the line is on.
    pub(crate) fn bill_type(&self) -> &'static str {
        match &*self.line_type {
            "Refund" => "Refund",
            "Fee" | "SavingsPlanUpfrontFee" => "Purchase",
            _ => "Anniversary",
        }
    }

    pub(crate) fn billing_entity(&self) -> &'static str {
        if self.sku.is_marketplace() { "AWS Marketplace" } else { "AWS" }
    }

    /// The usage type with the prefix of its region.
    pub(crate) fn usage_type(&self) -> String {
        let prefix = match &*self.region {
            "us-east-2" => "USE2-",
            "us-west-2" => "USW2-",
            "eu-west-1" => "EU-",
            "eu-central-1" => "EUC1-",
            "ap-southeast-2" => "APS2-",
            _ => "",
        };
        if self.sku.usage.is_empty() { String::new() } else { format!("{prefix}{}", self.sku.usage) }
    }
}
