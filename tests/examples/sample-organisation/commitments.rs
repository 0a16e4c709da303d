//! A reserved database instance and two savings plans: what they cover and what they cost.

use std::rc::Rc;

use chrono::{Days, NaiveDate};

use crate::Result;
use crate::fixed::Fixed;
use crate::line::{Line, Reservation, SavingsPlan};
use crate::organisation::{Account, Organisation, PAYER, Period, Pricing, Sku};
use crate::random::SplitMix64;

/// A savings plan on the payer's account.
struct Plan {
    pricing: Pricing,
    arn: Rc<str>,
    sku: Rc<Sku>,
    from: NaiveDate,
    /// Per cent of the on-demand price.
    price: i128,
    /// Upfront payment spread over the hours of the year.
    upfront_an_hour: Fixed,
}

impl Plan {
    /// What a day's commitment is worth, the part paid upfront included.
    fn commitment(&self) -> Fixed {
        (self.sku.rate + self.upfront_an_hour).times(Fixed::whole(24))
    }
}

/// All commitments of the organisation.
pub(crate) struct Commitments {
    payer: Rc<Account>,
    plans: [Plan; 2],
    reservation: Rc<str>,
    reserved_account: Rc<Account>,
    reserved_sku: Rc<Sku>,
    /// Upfront payment of the reserved instance, spread over the hours of the year.
    reserved_upfront: Fixed,
    /// The reserved instance's hourly fee.
    reserved_recurring: Fixed,
}

impl Commitments {
    /// The commitments; their ids depend on the seed.
    pub(crate) fn new(organisation: &Organisation, seed: u64) -> Result<Self> {
        let payer = organisation.account(PAYER)?;
        let reserved_account = organisation.account("acme-retail-orders")?;
        let plan = |pricing, sku: &str, from: &str, price, upfront: &str| -> Result<Plan> {
            let id = SplitMix64::of(seed, sku).uuid();
            Ok(Plan {
                pricing,
                arn: format!("arn:aws:savingsplans::{}:savingsplan/{id}", payer.id).into(),
                sku: organisation.sku(sku)?,
                from: from.parse()?,
                price,
                upfront_an_hour: upfront.parse()?,
            })
        };
        Ok(Self {
            plans: [
                plan(Pricing::Sp1, "savings-plan", "2026-02-01", 72, "0")?,
                plan(Pricing::Sp2, "savings-plan-part", "2026-07-15", 80, "0.25")?,
            ],
            reservation: format!("arn:aws:rds:eu-west-1:{}:ri:payments-2026-05", reserved_account.id).into(),
            reserved_sku: organisation.sku("rds-r6g-2xlarge")?,
            reserved_upfront: "0.225".parse()?,
            reserved_recurring: "0.231".parse()?,
            reserved_account,
            payer,
        })
    }

    /// A line of usage and its negation, or the line as it is where the plan has not begun.
    pub(crate) fn cover(&self, line: Line, pricing: Pricing) -> Vec<Line> {
        let Some(plan) = self.plans.iter().find(|plan| plan.pricing == pricing && plan.from <= line.day()) else {
            return vec![line];
        };
        let cost = line.cost.unwrap_or_default();
        let arn = || SavingsPlan { arn: Rc::clone(&plan.arn), ..SavingsPlan::default() };
        let account = line.account.as_ref().map_or("", |account| &account.id);
        let description = format!("SavingsPlanNegation used by AccountId : {account} and UsageSku : {}", line.sku.key);
        let negation =
            Line { savings_plan: Some(arn()), ..line.about("SavingsPlanNegation", description, -cost, -cost) };
        let covered = Line {
            line_type: "SavingsPlanCoveredUsage".into(),
            savings_plan: Some(SavingsPlan { effective: Some(cost.scaled(plan.price, 100)), ..arn() }),
            ..line
        };
        vec![covered, negation]
    }

    /// A line of usage as the reserved instance covers it.
    pub(crate) fn reserve(&self, line: Line) -> Line {
        let hours = line.quantity.unwrap_or_default();
        let (upfront, recurring) = (self.reserved_upfront.times(hours), self.reserved_recurring.times(hours));
        Line {
            line_type: "DiscountedUsage".into(),
            cost: Some(Fixed::ZERO),
            net_cost: Some(Fixed::ZERO),
            reservation: Some(Reservation {
                arn: Rc::clone(&self.reservation),
                effective: Some(upfront + recurring),
                amortized_upfront: Some(upfront),
                recurring: Some(recurring),
                ..Reservation::default()
            }),
            ..line
        }
    }

    /// The fees of the savings plans for one day, given that day's lines.
    pub(crate) fn plan_fees(&self, period: Period, day: NaiveDate, usage: &[Line]) -> Vec<Line> {
        let plans = self.plans.iter().filter(|plan| plan.from <= day);
        plans.map(|plan| self.plan_fee(plan, period, day, usage)).collect()
    }

    fn plan_fee(&self, plan: &Plan, period: Period, day: NaiveDate, usage: &[Line]) -> Line {
        let of_plan = usage.iter().filter_map(|line| line.savings_plan.as_ref()).filter(|line| line.arn == plan.arn);
        let used: Fixed = of_plan.filter_map(|line| line.effective).sum();
        let hours = Fixed::whole(24);
        let recurring = plan.sku.rate.times(hours);
        Line {
            quantity: Some(hours),
            savings_plan: Some(SavingsPlan {
                arn: Rc::clone(&plan.arn),
                commitment: Some(plan.commitment()),
                used: Some(used),
                amortized_upfront: Some(plan.upfront_an_hour.times(hours)),
                recurring: Some(recurring),
                ..SavingsPlan::default()
            }),
            ..Line::of_day(period, day, Some(Rc::clone(&self.payer)), "SavingsPlanRecurringFee", &plan.sku, recurring)
        }
    }

    /// The reserved instance's fee for a month, given the month's lines. It is dated on the first.
    pub(crate) fn reservation_fee(&self, period: Period, usage: &[Line]) -> Line {
        let reserved = usage.iter().filter(|line| &*line.line_type == "DiscountedUsage");
        let used: Fixed = reserved.filter_map(|line| line.quantity).sum();
        let hours: Fixed = period.days().map(|_| Fixed::whole(24)).sum();
        let unused = hours - used;
        let cost = self.reserved_recurring.times(hours);
        let account = Some(Rc::clone(&self.reserved_account));
        let line = Line::of_day(period, period.first_day(), account, "RIFee", &self.reserved_sku, cost);
        Line {
            region: "eu-west-1".into(),
            description: "USD 0.231 hourly fee per PostgreSQL, db.r6g.2xlarge instance".into(),
            end: (period.end() - Days::new(1)).and_time(line.start.time()),
            quantity: Some(hours),
            reservation: Some(Reservation {
                arn: Rc::clone(&self.reservation),
                unused_upfront: Some(self.reserved_upfront.times(unused)),
                unused_recurring: Some(self.reserved_recurring.times(unused)),
                ..Reservation::default()
            }),
            ..line
        }
    }

    /// Marks a one-off line as the upfront payment of `ri`, `sp1` or `sp2`; other names mark nothing.
    pub(crate) fn mark_upfront(&self, line: &mut Line, commitment: &str) {
        match commitment {
            "ri" => {
                line.reservation = Some(Reservation { arn: Rc::clone(&self.reservation), ..Reservation::default() })
            }
            "sp1" | "sp2" => {
                let plan = if commitment == "sp1" { &self.plans[0] } else { &self.plans[1] };
                line.savings_plan = Some(SavingsPlan { arn: Rc::clone(&plan.arn), ..SavingsPlan::default() });
            }
            _ => {}
        }
    }
}
