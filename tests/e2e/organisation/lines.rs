//! Lines of a generated export.

use std::collections::BTreeMap;

use chrono::Days;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::reference::{CATEGORIES, REGIONS, Shape, TAGS};
use super::{Amounts, positive};
use crate::model::credits::parse_description;
use crate::support::compare::Row;

/// The columns of the export, CUR 2.0 names.
pub(super) const COLUMNS: [&str; 26] = [
    "bill_billing_period_start_date",
    "bill_billing_entity",
    "bill_payer_account_id",
    "line_item_usage_account_id",
    "line_item_usage_start_date",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_currency_code",
    "line_item_unblended_cost",
    "line_item_net_unblended_cost",
    "line_item_line_item_description",
    "product_region_code",
    "resource_tags",
    "cost_category",
    "reservation_reservation_a_r_n",
    "reservation_effective_cost",
    "reservation_net_effective_cost",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "reservation_net_unused_recurring_fee",
    "savings_plan_savings_plan_a_r_n",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
];

/// The columns that hold money.
pub(super) const MONEY_COLUMNS: [&str; 11] = [
    "line_item_unblended_cost",
    "line_item_net_unblended_cost",
    "reservation_effective_cost",
    "reservation_net_effective_cost",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "reservation_net_unused_recurring_fee",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
];

/// What a line is about.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Usage,
    Credit,
    /// A line type that says all.
    Other(&'static str),
    /// A type of line that takes something off.
    Less(&'static str),
    FeeOfReservation,
    FeeOfSavingsPlan,
    Marketplace,
    Domain,
}

/// How a credit line names its credit.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Id,
    Owner,
    OwnerThenId,
    IdThenOwner,
    Nothing(&'static str),
}

#[derive(Clone, Debug)]
struct CreditChoice {
    name: &'static str,
    form: Form,
    id: &'static str,
    owner: Option<Index>,
    spacing: u8,
    reversal: bool,
}

/// The parts of a line before they are put together with the organisation's pools.
#[derive(Clone, Debug)]
pub(super) struct LineChoice {
    kind: Kind,
    period: Index,
    /// Days after the first of the month, beyond its ends where a line is outside of its period.
    day: i64,
    time: &'static str,
    payer: Index,
    account: Option<Index>,
    service: Option<Index>,
    currency: Index,
    negative: bool,
    amounts: [String; 3],
    region: &'static str,
    tag: Option<(Index, Index)>,
    category: Option<(Index, Index)>,
    credit: CreditChoice,
}

fn kind() -> impl Strategy<Value = Kind> {
    let other = vec!["Tax", "DiscountedUsage", "RIFee", "SavingsPlanCoveredUsage", "SavingsPlanRecurringFee"];
    let rare = vec!["SavingsPlanUpfrontFee", "Fee", "NewKindOfLine"];
    let less = vec!["Refund", "EdpDiscount", "BundledDiscount", "PrivateRateDiscount", "SavingsPlanNegation"];
    prop_oneof![
        18 => Just(Kind::Usage),
        8 => Just(Kind::Credit),
        4 => select(other).prop_map(Kind::Other),
        1 => select(rare).prop_map(Kind::Other),
        3 => select(less).prop_map(Kind::Less),
        1 => Just(Kind::FeeOfReservation),
        1 => Just(Kind::FeeOfSavingsPlan),
        1 => Just(Kind::Marketplace),
        1 => Just(Kind::Domain),
    ]
}

fn credit() -> impl Strategy<Value = CreditChoice> {
    let names = vec![
        "Promo",
        "Promo",
        "Promo",
        "Promo",
        "AWS Activate",
        "EDP, year 2",
        "Goodwill gesture",
        "Contractual: Q1",
        "AWS Lambda Pricing Adjustment",
        "Größe «2026» \"gratis\"",
    ];
    let form = prop_oneof![
        6 => Just(Form::Plain),
        3 => Just(Form::Id),
        2 => Just(Form::Owner),
        1 => Just(Form::OwnerThenId),
        1 => Just(Form::IdThenOwner),
        1 => select(vec!["", "NULL", "   "]).prop_map(Form::Nothing),
    ];
    let spacing = prop_oneof![5 => Just(0_u8), 1 => 1..5_u8];
    let ids = select(vec!["77", "77", "9001"]);
    (select(names), form, ids, option::weighted(0.9, any::<Index>()), spacing, prop::bool::weighted(0.1)).prop_map(
        |(name, form, id, owner, spacing, reversal)| CreditChoice { name, form, id, owner, spacing, reversal },
    )
}

/// A cost as the export writes it: also with too many decimals, an exponent, nothing, or zero.
fn cost(amounts: Amounts) -> BoxedStrategy<String> {
    if amounts == Amounts::Coarse {
        return prop_oneof![9 => positive(amounts), 1 => Just("0".to_owned())].boxed();
    }
    prop_oneof![
        12 => positive(amounts),
        2 => (0..50_i64, 0..10_000_000_000_i64).prop_map(|(whole, part)| format!("{whole}.{part:010}5")),
        2 => (0..50_i64, 0..100_000_000_000_000_i64).prop_map(|(whole, part)| format!("{whole}.{part:014}")),
        1 => (1..10_i64, 0..100_i64, -11..4_i64).prop_map(|(one, part, power)| format!("{one}.{part:02}E{power}")),
        1 => select(vec!["0", "0.0", "0E-10", "", "NULL"]).prop_map(str::to_owned),
    ]
    .boxed()
}

fn day() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => select(vec![0_i64, 9, 14, 27]),
        6 => 0..28_i64,
        2 => select(vec![-40_i64, -1, 31, 45]),
    ]
}

/// One line.
pub(super) fn line(amounts: Amounts) -> impl Strategy<Value = LineChoice> {
    let times = select(vec!["00:00:00.000", "00:00:00.000", "13:30:00.000", "23:59:59.999"]);
    let place = (any::<Index>(), option::weighted(0.9, any::<Index>()), option::weighted(0.9, any::<Index>()));
    let attribute = || option::weighted(0.4, (any::<Index>(), any::<Index>()));
    let money = (prop::bool::weighted(0.1), any::<Index>(), [cost(amounts), cost(amounts), cost(amounts)]);
    (kind(), any::<Index>(), day(), times, place, money, select(REGIONS.to_vec()), attribute(), attribute(), credit())
        .prop_map(|(kind, period, day, time, place, money, region, tag, category, credit)| LineChoice {
            kind,
            period,
            day,
            time,
            payer: place.0,
            account: place.1,
            service: place.2,
            negative: money.0,
            currency: money.1,
            amounts: money.2,
            region,
            tag,
            category,
            credit,
        })
}

impl CreditChoice {
    fn description(&self, shape: &Shape) -> String {
        let accounts: Vec<&String> = shape.accounts.iter().chain(&shape.payers).collect();
        let owner = self.owner.map_or("888877776666", |owner| owner.get(&accounts).as_str());
        let (name, id) = (self.name, self.id);
        let text = match self.form {
            Form::Plain => name.to_owned(),
            Form::Id => format!("{name}, credit id: {id}"),
            Form::Owner => format!("{name}, credit from account: {owner}"),
            Form::OwnerThenId => format!("{name}, credit from account: {owner}, credit id: {id}"),
            Form::IdThenOwner => format!("{name}, credit id: {id}, credit from account: {owner}"),
            Form::Nothing(text) => return text.to_owned(),
        };
        match self.spacing {
            0 => text,
            1 => format!("  {} ", text.replace(' ', "  ")),
            2 => text.replace(' ', "\t"),
            3 => text.replace(", credit", " , credit"),
            _ => text.replace(' ', "\u{a0}"),
        }
    }
}

/// A map column of one entry or none.
fn map_column(pool: &[(&str, &[&str])], choice: Option<(Index, Index)>) -> String {
    choice.map_or_else(String::new, |(key, value)| {
        let (key, values) = key.get(pool);
        serde_json::to_string(&BTreeMap::from([(key, value.get(values))])).expect("a JSON text")
    })
}

fn signed(amount: &str, negative: bool) -> String {
    let is_number = amount.starts_with(|first: char| first.is_ascii_digit());
    if negative && is_number { format!("-{amount}") } else { amount.to_owned() }
}

impl LineChoice {
    fn line_type(&self) -> &'static str {
        match self.kind {
            Kind::Usage | Kind::Marketplace | Kind::Domain => "Usage",
            Kind::Credit => "Credit",
            Kind::Other(name) | Kind::Less(name) => name,
            Kind::FeeOfReservation | Kind::FeeOfSavingsPlan => "Fee",
        }
    }

    fn is_negative(&self) -> bool {
        match self.kind {
            Kind::Credit => !self.credit.reversal,
            Kind::Less(_) => !self.negative,
            _ => self.negative,
        }
    }

    fn usage_start(&self, shape: &Shape) -> String {
        let first = self.period.get(&shape.periods).first_day();
        let days = Days::new(self.day.unsigned_abs());
        let date = if self.day < 0 { first - days } else { first + days };
        format!("{date}T{}Z", self.time)
    }

    fn service(&self, shape: &Shape) -> &'static str {
        match self.kind {
            Kind::Domain => "AmazonRegistrar",
            _ => self.service.map_or("", |service| *service.get(&shape.services)),
        }
    }

    fn row(&self, shape: &Shape) -> Row {
        let is_credit = matches!(self.kind, Kind::Credit);
        let description = if is_credit { self.credit.description(shape) } else { "a line".to_owned() };
        let reserved = matches!(self.kind, Kind::FeeOfReservation);
        let planned = matches!(self.kind, Kind::FeeOfSavingsPlan);
        let entity = if matches!(self.kind, Kind::Marketplace) { "AWS Marketplace" } else { "AWS" };
        let [unblended, net, effective] = &self.amounts;
        let account = self.account.map_or("", |account| account.get(&shape.accounts).as_str());
        let values = [
            ("bill_billing_period_start_date", format!("{}-01T00:00:00.000Z", self.period.get(&shape.periods))),
            ("bill_billing_entity", entity.to_owned()),
            ("bill_payer_account_id", self.payer.get(&shape.payers).clone()),
            ("line_item_usage_account_id", account.to_owned()),
            ("line_item_usage_start_date", self.usage_start(shape)),
            ("line_item_line_item_type", self.line_type().to_owned()),
            ("line_item_product_code", self.service(shape).to_owned()),
            ("line_item_currency_code", (*self.currency.get(&shape.currencies)).to_owned()),
            ("line_item_unblended_cost", signed(unblended, self.is_negative())),
            ("line_item_net_unblended_cost", signed(net, self.is_negative())),
            ("line_item_line_item_description", description),
            ("product_region_code", self.region.to_owned()),
            ("resource_tags", map_column(&TAGS, self.tag)),
            ("cost_category", map_column(&CATEGORIES, self.category)),
            (
                "reservation_reservation_a_r_n",
                if reserved { "arn:aws:ec2:x:1:reserved-instances/r" } else { "" }.to_owned(),
            ),
            ("reservation_effective_cost", effective.clone()),
            ("reservation_net_effective_cost", net.clone()),
            ("reservation_unused_amortized_upfront_fee_for_billing_period", effective.clone()),
            ("reservation_net_unused_amortized_upfront_fee_for_billing_period", unblended.clone()),
            ("reservation_unused_recurring_fee", net.clone()),
            ("reservation_net_unused_recurring_fee", effective.clone()),
            (
                "savings_plan_savings_plan_a_r_n",
                if planned { "arn:aws:savingsplans::1:savingsplan/s" } else { "" }.to_owned(),
            ),
            ("savings_plan_savings_plan_effective_cost", effective.clone()),
            ("savings_plan_net_savings_plan_effective_cost", net.clone()),
            ("savings_plan_total_commitment_to_date", effective.clone()),
            ("savings_plan_used_commitment", String::new()),
        ];
        values.into_iter().map(|(column, value)| (column.to_owned(), value)).collect()
    }
}

/// The lines; a credit keeps the currency of its first one, because one key in two currencies is an error.
pub(super) fn assemble(shape: &Shape, choices: &[LineChoice]) -> Vec<Row> {
    let mut currencies: BTreeMap<String, String> = BTreeMap::new();
    let mut rows = Vec::new();
    for choice in choices {
        let mut row = choice.row(shape);
        if matches!(choice.kind, Kind::Credit) {
            let line_account = match row["line_item_usage_account_id"].as_str() {
                "" => &row["bill_payer_account_id"],
                account => account,
            };
            let description = Some(row["line_item_line_item_description"].as_str()).filter(|text| *text != "NULL");
            let key = parse_description(description).key(line_account);
            let currency = currencies.entry(key).or_insert_with(|| row["line_item_currency_code"].clone()).clone();
            row.insert("line_item_currency_code".to_owned(), currency);
        }
        rows.push(row);
    }
    rows
}
