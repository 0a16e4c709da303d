//! What is left of credits and when it ends, what would save it, and what has lapsed.

mod calendar;
mod left;
mod spend;

use std::collections::HashMap;

use application::Failure;
use axum::response::Response;
use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, Text};
use maud::{Markup, html};
use schemas::tables::CreditBalance;

use self::calendar::{Calendar, End};
use self::left::{LotBalance, Lots};
use self::spend::{Compared, MoreSpend, Short, Spend};
use super::summaries::{months, span};
use super::{allocate_address, credit_address};
use crate::answer::answer;
use crate::asked::Asked;
use crate::guard::access::Access;
use crate::page::Page;
use crate::sheet::{Sheet, column};

pub(crate) async fn show(asked: Asked) -> Response {
    let page = build(&asked).await;
    answer(&asked, page).await
}

/// The page, also for a report.
pub(crate) async fn build(asked: &Asked) -> Result<Page, Failure> {
    let as_of = asked.run()?.staged().as_of;
    let end = End::asked(&asked.filter)?;
    let lots = Lots::of(asked).await?;
    let left = lots.left().await?;
    let calendar = Calendar::of(&left, asked.filter.node.as_ref())?;
    let is_listed = |lot: &LotBalance| match end {
        Some(end) => End::of(lot) == end,
        None => End::of(lot) != End::Never,
    };
    let listed: Vec<LotBalance> = left.into_iter().filter(is_listed).collect();
    let pace = Pace::read(asked, &lots).await?;
    let mut page = Page::new("Expiry", &["period", "node", "currency"]).takes("end").text(lead(asked, as_of));
    for chart in calendar.charts() {
        page = page.chart(chart);
    }
    page = page.sheet(calendar.sheet(asked, format!("Left as of {as_of}, by the month in which it ends"))?);
    page = page.sheet(lots_left(asked, &listed, end, pace.as_ref())?);
    if let Some(pace) = &pace {
        page = page.text(how_compared(pace.spend.month));
    }
    if end.is_some() {
        page = page.text(html! { p { a href=(asked.filter.elsewhere("/expiry", &[])) { "All lots that end" } } });
    }
    let months = months::<CreditBalance>(asked)?;
    let lapsed = lots.lapsed(&months).await?;
    Ok(page.sheet(lapsed_in(&lapsed, &months)))
}

fn lead(asked: &Asked, as_of: NaiveDate) -> Markup {
    html! {
        p.lead {
            "What is left of credits as of " (as_of) ", by the month in which it ends: what is not used by then is lost. Not in here: "
            a href=(asked.filter.elsewhere("/queue", &[])) { "credits that wait" } " for allocation; nobody has said yet when they end."
        }
    }
}

/// The last full month, as lots are compared with it.
struct Pace {
    spend: Spend,
    /// What lots drew in it that were there for all of it.
    drawn: HashMap<(Text, i32), Money>,
}

/// What that month says of a lot.
struct Outlook {
    drew: Option<Money>,
    eligible: Money,
    short: Option<Short>,
    more: Option<MoreSpend>,
}

impl Pace {
    async fn read(asked: &Asked, lots: &Lots<'_>) -> Result<Option<Self>, Failure> {
        let Some(spend) = Spend::read(asked).await? else { return Ok(None) };
        let drawn = lots.drawn(spend.month).await?;
        Ok(Some(Self { spend, drawn }))
    }

    fn outlook(&self, lot: &LotBalance, as_of: NaiveDate, access: &Access) -> Result<Outlook, Failure> {
        let (row, node) = (&lot.row, &lot.node);
        let drew = self.drawn.get(&(row.credit_key.clone(), row.lot)).copied();
        let eligible = self.spend.at(&row.currency, node).charges;
        let Some(days_left) = days_left(row, as_of) else {
            return Ok(Outlook { drew, eligible, short: None, more: None });
        };
        let compared =
            Compared { node, currency: &row.currency, left: row.remaining, drew, days_left: days_left.into() };
        let short = self.spend.short(compared);
        let more = if short.is_some() { self.spend.more(compared)? } else { None };
        // What is spent at a node above is not for everybody.
        let more = more.filter(|more| access.sees(&more.node));
        Ok(Outlook { drew, eligible, short, more })
    }
}

fn days_left(row: &CreditBalance, as_of: NaiveDate) -> Option<i32> {
    row.end_date.and_then(|end| i32::try_from(end.signed_duration_since(as_of).num_days()).ok())
}

/// The lots that the calendar is of.
fn lots_left(asked: &Asked, lots: &[LotBalance], end: Option<End>, pace: Option<&Pace>) -> Result<Sheet, Failure> {
    let as_of = asked.run()?.staged().as_of;
    let title = match end {
        None => "Lots that end, soonest first".to_owned(),
        Some(End::In(month)) => format!("Lots that end in {month}"),
        Some(End::Never) => "Lots that never end".to_owned(),
    };
    let sheet = whose(Sheet::new("lots_left", title, "No lot with something left ends here."), lots, |lot| lot)
        .summed("remaining", "Left", column(lots, |lot| lot.row.remaining))
        .column("end_date", "Ends", column(lots, |lot| lot.row.end_date))
        .column("days_left", "Days left", column(lots, |lot| days_left(&lot.row, as_of)));
    let Some(pace) = pace else { return Ok(sheet) };
    let outlooks =
        lots.iter().map(|lot| pace.outlook(lot, as_of, &asked.access)).collect::<Result<Vec<_>, Failure>>()?;
    let month = pace.spend.month;
    let short = |outlook: &Outlook| outlook.short.map(|short| Text::new_static(in_words(short)));
    let node = |more: &MoreSpend| Text::from(more.node.to_string());
    let address = |(lot, outlook): (&LotBalance, &Outlook)| {
        (asked.may_record() && outlook.more.is_some()).then(|| allocate_address(&lot.row.credit_key))
    };
    Ok(sheet
        .column("drew", format!("Drew in {month}"), column(&outlooks, |outlook| outlook.drew))
        .column("eligible_charges", format!("Eligible in {month}"), column(&outlooks, |outlook| outlook.eligible))
        .column("at_pace", format!("At the pace of {month}"), column(&outlooks, short))
        .classes(outlooks.iter().map(|outlook| outlook.short.map(|_| "short-of")))
        .column("move_to", "Move to", column(&outlooks, |outlook| outlook.more.as_ref().map(node)))
        .links(lots.iter().zip(&outlooks).map(address))
        .column("untaken", "Untaken there", column(&outlooks, |outlook| outlook.more.as_ref().map(|more| more.untaken)))
        .in_files("compared_month", column(&outlooks, |_| Text::from(month.to_string()))))
}

const fn in_words(short: Short) -> &'static str {
    match short {
        Short::TooLittleSpend => "would lapse in part: too little eligible spend",
        Short::DrewTooLittle => "would lapse in part: it drew too little of it",
    }
}

/// The columns that say which lot it is and whose.
fn whose<T>(sheet: Sheet, rows: &[T], lot: impl Fn(&T) -> &LotBalance) -> Sheet {
    sheet
        .column("promotion_code", "Credit", column(rows, |row| lot(row).row.promotion_code.clone()))
        .links(rows.iter().map(|row| Some(credit_address(&lot(row).row.credit_key))))
        .column("lot", "Lot", column(rows, |row| lot(row).row.lot))
        .column("node", "Node", column(rows, |row| Text::from(lot(row).node.to_string())))
        .column("owner_email", "Owner", column(rows, |row| lot(row).owner.clone()))
        .column("currency", "Currency", column(rows, |row| lot(row).row.currency.clone()))
        .in_files("credit_key", column(rows, |row| lot(row).row.credit_key.clone()))
}

/// What the columns of the comparison say, and what they do not.
fn how_compared(month: BillingPeriod) -> Markup {
    html! {
        p.small {
            "A comparison with " (month) ", the last full month, and no forecast. Eligible: charges at the lot's node and below that \
            a credit may offset; other lots may take the same. A lot would lapse in part if each day until its end had no more \
            than a day of " (month) ", by all that was eligible or by what it drew itself. Untaken there: eligible at the node above \
            and below that, and taken by no credit; what is moved there can draw on it. Whether it may be moved is for people to say."
        }
    }
}

/// What was lost in these months.
fn lapsed_in(lapsed: &[(BillingPeriod, LotBalance)], months: &[BillingPeriod]) -> Sheet {
    let title = format!("Lapsed in {}", span(months));
    let sheet = Sheet::new("lapsed", title, "Nothing lapsed in these months.").column(
        "billing_period",
        "Month",
        column(lapsed, |(month, _)| Text::from(month.to_string())),
    );
    whose(sheet, lapsed, |(_, lot)| lot).summed("expired", "Lapsed", column(lapsed, |(_, lot)| lot.row.expired)).column(
        "end_date",
        "Ended",
        column(lapsed, |(_, lot)| lot.row.end_date),
    )
}
