//! Daily usage, the discounts on it, and what commitments cover of it.

use std::rc::Rc;

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};

use crate::Result;
use crate::commitments::Commitments;
use crate::fixed::Fixed;
use crate::line::{Line, Split};
use crate::organisation::{Period, Pricing, Shape, Workload};
use crate::random::SplitMix64;

/// Per cent off what the enterprise agreement covers.
const ENTERPRISE_DISCOUNT: i128 = 4;
/// Per cent off at the privately agreed rate.
const PRIVATE_DISCOUNT: i128 = 15;
/// Services under the enterprise agreement.
const ENTERPRISE_SERVICES: [&str; 2] = ["AmazonEC2", "AmazonRDS"];

/// Writes the lines of all workloads.
pub(crate) struct Meter<'a> {
    pub(crate) workloads: &'a [Rc<Workload>],
    pub(crate) commitments: &'a Commitments,
    pub(crate) seed: u64,
    /// The first period: growth counts from it.
    pub(crate) origin: Period,
    /// Into how many lines a resource's day is cut: a divisor of 24.
    pub(crate) slices: u32,
}

impl Meter<'_> {
    /// The lines of one day, in the order of the workloads.
    pub(crate) fn day(&self, period: Period, day: NaiveDate) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for workload in self.workloads.iter().filter(|workload| workload.runs_on(day)) {
            for resource in 0..workload.resources {
                let quantity = self.quantity(workload, period, day, resource)?;
                if quantity > Fixed::ZERO {
                    self.resource_day(&mut lines, workload, period, day, resource, quantity);
                }
            }
        }
        Ok(lines)
    }

    /// What a resource uses on a day: zero where it stands still.
    fn quantity(&self, workload: &Workload, period: Period, day: NaiveDate, resource: u32) -> Result<Fixed> {
        let percent = weekday_percent(workload.shape, day);
        let growth = 1000 + i128::from(workload.growth) * i128::from(period.months_since(self.origin));
        let quantity = workload.daily.scaled(growth * percent, 100_000);
        if workload.sku.is_hourly() && matches!(workload.shape, Shape::Steady | Shape::Serviced) {
            return Ok(quantity);
        }
        let mut random = SplitMix64::of(self.seed, &format!("{}/{resource}/{day}", workload.label));
        let quantity = quantity.scaled(i128::from(random.between(940, 1060)), 1000);
        let limit = Fixed::whole(24);
        if !workload.sku.instance.is_empty() && quantity > limit {
            return Ok(limit);
        }
        let is_count = workload.daily >= Fixed::whole(10_000);
        Ok(quantity.rounded(if is_count { 0 } else { 4 }))
    }

    /// The lines of one resource on one day.
    fn resource_day(
        &self,
        lines: &mut Vec<Line>,
        workload: &Workload,
        period: Period,
        day: NaiveDate,
        resource: u32,
        quantity: Fixed,
    ) {
        let share = quantity.scaled(1, i128::from(self.slices)).rounded(6);
        let mut left = quantity;
        for slice in 0..self.slices {
            let part = if slice + 1 == self.slices { left } else { share };
            left -= part;
            let mut line = self.usage(workload, period, day, resource, part);
            let hours = i64::from(24 / self.slices);
            line.start += TimeDelta::hours(i64::from(slice) * hours);
            line.end = line.start + TimeDelta::hours(hours);
            self.add_priced(lines, line, workload.pricing);
        }
    }

    /// A line of usage at its on-demand price.
    fn usage(&self, workload: &Workload, period: Period, day: NaiveDate, resource: u32, quantity: Fixed) -> Line {
        let (account, sku) = (Some(Rc::clone(&workload.account)), &workload.sku);
        let zone = match resource % 3 {
            _ if sku.service != "AmazonEC2" => "",
            0 => "a",
            1 => "b",
            _ => "c",
        };
        Line {
            region: Rc::clone(&workload.region),
            zone,
            quantity: Some(quantity),
            resource: self.resource_id(workload, resource).into(),
            tags: Rc::clone(&workload.tags),
            categories: Rc::clone(&workload.categories),
            ..Line::of_day(period, day, account, "Usage", sku, sku.rate.times(quantity))
        }
    }

    /// Adds a line of usage as it is paid for, with the lines that go with it.
    fn add_priced(&self, lines: &mut Vec<Line>, mut line: Line, pricing: Pricing) {
        let cost = line.cost.unwrap_or_default();
        match pricing {
            Pricing::Od if is_under_agreement(&line) => {
                let off = cost.scaled(ENTERPRISE_DISCOUNT, 100);
                line.net_cost = Some(cost - off);
                let description = format!("Enterprise Discount Program discount for {}", line.sku.service);
                let discount = line.about("EdpDiscount", description, -off, Fixed::ZERO);
                lines.extend([line, discount]);
            }
            Pricing::Prd => {
                let off = cost.scaled(PRIVATE_DISCOUNT, 100);
                line.net_cost = Some(cost - off);
                let description = format!("Private rate discount for {}", line.sku.service);
                let discount = line.about("PrivateRateDiscount", description, -off, Fixed::ZERO);
                line.discount = Some(-off);
                lines.extend([line, discount]);
            }
            Pricing::Sp1 | Pricing::Sp2 => lines.extend(self.commitments.cover(line, pricing)),
            Pricing::Ri => lines.push(self.commitments.reserve(line)),
            Pricing::Split => {
                let parent = self.resource_id_of("node", &line);
                line.split = Some(Split { parent: parent.into(), cost });
                (line.cost, line.net_cost) = (None, None);
                lines.push(line);
            }
            Pricing::Od | Pricing::Marketplace => lines.push(line),
        }
    }

    /// The id of a workload's resource: the same on every day.
    fn resource_id(&self, workload: &Workload, resource: u32) -> String {
        let mut random = SplitMix64::of(self.seed, &format!("{}/{resource}", workload.label));
        let hex = format!("{:016x}{:x}", random.bits(), random.between(0, 15));
        let (region, account) = (&workload.region, &workload.account);
        match workload.sku.resource.as_str() {
            "" => String::new(),
            prefix @ ("i-" | "vol-") => format!("{prefix}{hex}"),
            "bucket" => format!("{}-{}", account.name, &hex[..8]),
            kind => {
                let (service, kind) = kind.split_once(':').unwrap_or((kind, "resource"));
                format!("arn:aws:{service}:{region}:{}:{kind}/{}", account.id, &hex[..12])
            }
        }
    }

    /// The id of an instance that a line's resource runs on.
    fn resource_id_of(&self, kind: &str, line: &Line) -> String {
        let mut random = SplitMix64::of(self.seed, &format!("{kind}/{}", line.resource));
        format!("i-{:016x}{:x}", random.bits(), random.between(0, 15))
    }
}

/// Instances of the services that the enterprise agreement names.
fn is_under_agreement(line: &Line) -> bool {
    ENTERPRISE_SERVICES.contains(&line.sku.service.as_str()) && !line.sku.instance.is_empty()
}

fn weekday_percent(shape: Shape, day: NaiveDate) -> i128 {
    let weekday = day.weekday();
    let is_weekend = matches!(weekday, Weekday::Sat | Weekday::Sun);
    match shape {
        Shape::Weekend if is_weekend => 132,
        Shape::Week if is_weekend => 78,
        Shape::Office if is_weekend => 0,
        Shape::Serviced if weekday == Weekday::Sun && (8..15).contains(&day.day()) => 75,
        _ => 100,
    }
}
