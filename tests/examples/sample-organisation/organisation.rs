//! What the tables say of the organisation: accounts, what is on sale, and the workloads that run on them.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{Datelike, Months, NaiveDate};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Result;
use crate::fixed::Fixed;

/// The name of the account that pays for all others.
pub(crate) const PAYER: &str = "acme-management";

/// Key and value pairs of a map column, in the order in which they are written.
pub(crate) type Pairs = Rc<[(String, String)]>;

/// An AWS account.
#[derive(Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) id: String,
    business_unit: String,
    team: String,
}

/// One thing that is charged for. Empty text stands for null.
#[derive(Deserialize)]
pub(crate) struct Sku {
    pub(crate) key: String,
    pub(crate) service: String,
    pub(crate) product_name: String,
    pub(crate) family: String,
    /// The usage type without its region prefix.
    pub(crate) usage: String,
    pub(crate) operation: String,
    pub(crate) unit: String,
    /// On-demand price of one unit.
    pub(crate) rate: Fixed,
    pub(crate) instance: String,
    /// `i-`, `vol-`, `bucket`, or service and kind as an ARN has them.
    pub(crate) resource: String,
    pub(crate) description: String,
}

impl Sku {
    /// Usage measured in hours, which runs evenly unless a shape says otherwise.
    pub(crate) fn is_hourly(&self) -> bool {
        ["Hrs", "Hours", "hour", "hours", "Node-Hrs"].contains(&self.unit.as_str())
    }

    /// Sold through AWS Marketplace.
    pub(crate) fn is_marketplace(&self) -> bool {
        self.usage.starts_with("MP:")
    }
}

/// How usage varies over the days of a week.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    Steady,
    /// A third more on Saturdays and Sundays.
    Weekend,
    /// Less on Saturdays and Sundays.
    Week,
    /// Mondays to Fridays only.
    Office,
    /// Six hours of maintenance on the second Sunday of a month.
    Serviced,
}

/// How usage is paid for.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pricing {
    /// On demand, with the organisation's discount where there is one.
    Od,
    /// On demand with a privately agreed rate.
    Prd,
    /// Covered by the reserved instance.
    Ri,
    /// Covered by the first savings plan.
    Sp1,
    /// Covered by the second savings plan.
    Sp2,
    /// A pod's part of an instance that is charged elsewhere: cost blank.
    Split,
    /// Metered by a seller on AWS Marketplace.
    Marketplace,
}

#[derive(Deserialize)]
struct WorkloadRow {
    account: String,
    sku: String,
    region: String,
    tags: String,
    team: String,
    resources: u32,
    daily: Fixed,
    growth: u32,
    shape: Shape,
    pricing: Pricing,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
}

/// Some resources of one kind in one account that are used every day.
pub(crate) struct Workload {
    pub(crate) account: Rc<Account>,
    pub(crate) sku: Rc<Sku>,
    /// Empty for global services.
    pub(crate) region: Rc<str>,
    pub(crate) tags: Pairs,
    pub(crate) categories: Pairs,
    pub(crate) resources: u32,
    /// Quantity a day of each resource, in the first month.
    pub(crate) daily: Fixed,
    /// Growth a month, in thousandths of the first month's quantity.
    pub(crate) growth: u32,
    pub(crate) shape: Shape,
    pub(crate) pricing: Pricing,
    /// Names the workload to the random numbers.
    pub(crate) label: String,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
}

impl Workload {
    /// Whether the workload exists on a day.
    pub(crate) fn runs_on(&self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }
}

/// A billing period, named by its first day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period(NaiveDate);

impl Period {
    /// The month that a text in the form `YYYY-MM` names.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(Self(format!("{text}-01").parse()?))
    }

    pub(crate) fn first_day(self) -> NaiveDate {
        self.0
    }

    /// The first day of the next period.
    pub(crate) fn end(self) -> NaiveDate {
        self.0 + Months::new(1)
    }

    pub(crate) fn days(self) -> impl Iterator<Item = NaiveDate> {
        let end = self.end();
        self.0.iter_days().take_while(move |day| *day < end)
    }

    /// Whole months since another period.
    pub(crate) fn months_since(self, earlier: Self) -> u32 {
        let months = |period: Self| period.0.year() * 12 + i32::try_from(period.0.month0()).unwrap_or(0);
        u32::try_from(months(self) - months(earlier)).unwrap_or(0)
    }

    /// `YYYY-MM`.
    pub(crate) fn label(self) -> String {
        self.0.format("%Y-%m").to_string()
    }
}

/// Everything that the tables hold of accounts and prices.
pub(crate) struct Organisation {
    accounts: BTreeMap<String, Rc<Account>>,
    skus: BTreeMap<String, Rc<Sku>>,
}

impl Organisation {
    /// Reads the tables.
    pub(crate) fn load() -> Result<Self> {
        let accounts = rows::<Account>(include_str!("tables/accounts.csv"))?.into_iter();
        let skus = rows::<Sku>(include_str!("tables/skus.csv"))?.into_iter();
        Ok(Self {
            accounts: accounts.map(|account| (account.name.clone(), Rc::new(account))).collect(),
            skus: skus.map(|sku| (sku.key.clone(), Rc::new(sku))).collect(),
        })
    }

    /// The account of a name.
    pub(crate) fn account(&self, name: &str) -> Result<Rc<Account>> {
        let account = self.accounts.get(name).ok_or_else(|| format!("no account is named {name:?}"))?;
        Ok(Rc::clone(account))
    }

    /// All accounts, by name.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Rc<Account>> {
        self.accounts.values()
    }

    /// What is sold under a key.
    pub(crate) fn sku(&self, key: &str) -> Result<Rc<Sku>> {
        let sku = self.skus.get(key).ok_or_else(|| format!("no sku has the key {key:?}"))?;
        Ok(Rc::clone(sku))
    }

    /// The workloads, in the order of their table.
    pub(crate) fn workloads(&self) -> Result<Vec<Rc<Workload>>> {
        let rows = rows::<WorkloadRow>(include_str!("tables/workloads.csv"))?;
        rows.into_iter().map(|row| Ok(Rc::new(self.workload(row)?))).collect()
    }

    fn workload(&self, row: WorkloadRow) -> Result<Workload> {
        let account = self.account(&row.account)?;
        let team = if row.team.is_empty() { &account.team } else { &row.team };
        Ok(Workload {
            label: format!("{}/{}/{}/{}/{}", row.account, row.sku, row.region, row.tags, row.team),
            categories: categories(&account.business_unit, team),
            sku: self.sku(&row.sku)?,
            region: row.region.into(),
            tags: tags(&row.tags)?,
            resources: row.resources,
            daily: row.daily,
            growth: row.growth,
            shape: row.shape,
            pricing: row.pricing,
            from: row.from,
            to: row.to,
            account,
        })
    }

    /// A text with each `{account name}` replaced by the account's id.
    pub(crate) fn with_ids(&self, text: &str) -> String {
        self.accounts()
            .fold(text.to_owned(), |text, account| text.replace(&format!("{{{}}}", account.name), &account.id))
    }
}

impl Account {
    /// Cost categories of what is not tagged further.
    pub(crate) fn categories(&self) -> Pairs {
        categories(&self.business_unit, &self.team)
    }
}

/// Cost categories as the export has them; an empty value is left out.
fn categories(business_unit: &str, team: &str) -> Pairs {
    [("BusinessUnit", business_unit), ("Team", team)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `app=search;cost_center=1120` as tags that users defined.
fn tags(text: &str) -> Result<Pairs> {
    text.split(';')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is no tag"))?;
            Ok((format!("user_{}", key.to_lowercase()), value.to_owned()))
        })
        .collect()
}

/// The rows of one of the tables beside this file.
pub(crate) fn rows<T: DeserializeOwned>(table: &str) -> Result<Vec<T>> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    Ok(reader.deserialize().collect::<std::result::Result<_, _>>()?)
}
