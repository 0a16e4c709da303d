//! The overview: what was spent, what credits took off it, what is left of them, and what needs somebody.

use std::collections::BTreeMap;

use application::Failure;
use axum::response::Response;
use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, Money, Text};
use maud::{Markup, html};
use schemas::NodeColumns;
use schemas::tables::{Credit, CreditBalance, CreditQueue, NetCostSummary};

use super::net_cost::Tree;
use super::summaries::span;
use super::{allocate_address, credit_address, credits, queue};
use crate::answer::answer;
use crate::asked::Asked;
use crate::chart::Chart;
use crate::format::{money, relative};
use crate::page::Page;
use crate::sheet::{Sheet, column};

/// Rows of a list that the overview shows; its page has all.
const LISTED: usize = 5;

pub(crate) async fn show(asked: Asked) -> Response {
    let page = build(&asked).await;
    answer(&asked, page).await
}

/// The page, also for a report.
pub(crate) async fn build(asked: &Asked) -> Result<Page, Failure> {
    let tree = Tree::read(asked, 1).await?;
    let standing = Standing::read(asked).await?;
    let of = asked.filter.node.as_ref().map(|node| format!(" of {node}")).unwrap_or_default();
    let mut page = Page::new("Overview", &["period", "node", "currency"])
        .text(figures(asked, &tree, &standing)?)
        .text(needs_somebody(asked, &standing));
    for currency in tree.currencies() {
        page = page.chart(waterfall(&tree, &currency, &of)?).chart(tree.chart(&currency)?);
    }
    Ok(page.sheet(steps(&tree, &of)).sheet(tree.sheet(asked)?))
}

/// What waits and what is left, as far as it fits the filters.
struct Standing {
    as_of: NaiveDate,
    waiting: Vec<CreditQueue>,
    /// Credits whose newest allocation cannot be used.
    invalid: Vec<Credit>,
    /// On the as-of date, at the node and below.
    lots: Vec<CreditBalance>,
    /// Those of them that end soon with something left, the first first.
    ending: Vec<CreditBalance>,
}

impl Standing {
    async fn read(asked: &Asked) -> Result<Self, Failure> {
        let as_of = asked.run()?.staged().as_of;
        let lots = credits::lots(asked).await?;
        let mut credits = credits::fitting(asked).await?.credits;
        let days = credits.first().map_or(0, |credit| i64::from(credit.expiring_soon_days));
        let ends_soon = |lot: &&CreditBalance| {
            let left = lot.end_date.map(|end| end.signed_duration_since(as_of).num_days());
            lot.remaining.is_positive() && left.is_some_and(|left| (0..=days).contains(&left))
        };
        let mut ending: Vec<CreditBalance> = lots.iter().filter(ends_soon).cloned().collect();
        ending.sort_by(|left, right| {
            (left.end_date, &left.credit_key, left.lot).cmp(&(right.end_date, &right.credit_key, right.lot))
        });
        let waiting = queue::fitting(asked, asked.waiting().await?);
        credits.retain(|credit| credit.status == "invalid");
        Ok(Self {
            as_of,
            waiting: waiting.into_iter().map(|(row, _)| row.clone()).collect(),
            invalid: credits,
            lots,
            ending,
        })
    }
}

fn by_currency<'a>(amounts: impl Iterator<Item = (&'a Text, Money)>) -> Result<BTreeMap<Text, Money>, Failure> {
    let mut sums: BTreeMap<Text, Money> = BTreeMap::new();
    for (currency, amount) in amounts {
        let sum = sums.entry(currency.clone()).or_default();
        *sum = sum.checked_add(amount)?;
    }
    Ok(sums)
}

/// The rows of the node that is asked for, or of everything, by currency and month.
fn own_rows(tree: &Tree) -> impl Iterator<Item = (BillingPeriod, &NetCostSummary)> {
    let own = tree.branches.iter().filter(|branch| branch.node == tree.node);
    own.flat_map(|branch| branch.rows.iter().map(|(month, row)| (*month, row)))
        .filter(|(month, _)| tree.months.contains(month))
}

/// Sums by currency, each a link to what it is made of.
fn figures(asked: &Asked, tree: &Tree, standing: &Standing) -> Result<Markup, Failure> {
    let cost =
        |amount: fn(&NetCostSummary) -> Money| by_currency(own_rows(tree).map(|(_, row)| (&row.currency, amount(row))));
    let waits = by_currency(standing.waiting.iter().map(|row| (&row.currency, row.aws_applied)))?;
    let left = |lots: &[CreditBalance]| by_currency(lots.iter().map(|lot| (&lot.currency, lot.remaining)));
    let to = |path: &str| asked.filter.elsewhere(path, &[]);
    let tile = |name: &str, sums: &BTreeMap<Text, Money>, link: String, note: &str| {
        html! {
            a.tile href=(link) {
                span.name { (name) }
                @for (currency, sum) in sums { span.sum { (money(*sum)) " " small { (currency) } } }
                @if sums.is_empty() { span.sum { "–" } }
                span.small { (note) }
            }
        }
    };
    let (in_months, to_date) = (span(&tree.months), standing.as_of.to_string());
    Ok(html! {
        div.tiles {
            (tile("Gross cost", &cost(|row| row.gross_cost)?, to("/net-cost"), &in_months))
            (tile("Refunds", &cost(|row| row.refunds)?, to("/net-cost"), &in_months))
            (tile("Credits applied", &cost(|row| row.credits_applied)?, to("/net-cost"), &in_months))
            (tile("Net cost", &cost(|row| row.net_cost)?, to("/net-cost"), &in_months))
            (tile("Left of credits", &left(&standing.lots)?, to("/credits"), &to_date))
            (tile("Waiting, applied by AWS", &waits, to("/queue"), "now"))
            (tile("Ends soon", &left(&standing.ending)?, to("/expiry"), &to_date))
        }
    })
}

/// What somebody has to do, the most pressing first.
fn needs_somebody(asked: &Asked, standing: &Standing) -> Markup {
    let Standing { waiting, ending, invalid, .. } = standing;
    let today = asked.context.as_of;
    let more = |count: usize, path: &str, what: &str| {
        html! { @if count > LISTED { li { a href=(asked.filter.elsewhere(path, &[])) { (count - LISTED) " more " (what) } } } }
    };
    html! {
        section.todo aria-labelledby="todo" {
            h2 id="todo" { "What needs somebody" }
            @if waiting.is_empty() && ending.is_empty() && invalid.is_empty() {
                p.empty { "Nothing here: no credit waits, none ends soon." }
            } @else {
                ul {
                    @for row in waiting.iter().take(LISTED) {
                        li {
                            @if asked.may_record() { a href=(allocate_address(&row.credit_key)) { "Allocate" } " " }
                            a href=(credit_address(&row.credit_key)) { (row.promotion_code) } " of " (row.account_id)
                            " waits for " (row.days_waiting) " days; AWS applied "
                            (money(row.aws_applied)) " " (row.currency)
                        }
                    }
                    (more(waiting.len(), "/queue", "wait"))
                    @for lot in ending.iter().take(LISTED) {
                        li {
                            a href=(credit_address(&lot.credit_key)) { (lot.promotion_code) }
                            @if let Ok(node) = lot.node() { " of " (node.to_string()) }
                            @if let Some(end) = lot.end_date { " ends on " (end) ", " (relative(end, today)) ", " }
                            "with " (money(lot.remaining)) " " (lot.currency) " left"
                        }
                    }
                    (more(ending.len(), "/expiry", "end soon"))
                    @for credit in invalid.iter().take(LISTED) {
                        li { a href=(credit_address(&credit.credit_key)) { (credit.promotion_code) }
                            ": what is recorded cannot be used" }
                    }
                    (more(invalid.len(), "/credits", "cannot be used"))
                }
            }
        }
    }
}

type Step = (&'static str, &'static str, fn(&NetCostSummary) -> Money, bool);

/// From gross to net in both books: name in files, heading, amount, whether it is a sum.
const STEPS: [Step; 4] = [
    ("gross_cost", "Gross cost", |row| row.gross_cost, true),
    ("refunds", "Refunds", |row| row.refunds, false),
    ("credits_applied", "Credits applied", |row| row.credits_applied, false),
    ("net_cost", "Net cost", |row| row.net_cost, true),
];

fn waterfall(tree: &Tree, currency: &Text, of: &str) -> Result<Chart, Failure> {
    let mut steps = Vec::new();
    for (_, name, amount, is_sum) in STEPS {
        let of_currency = own_rows(tree).filter(|(_, row)| row.currency == *currency);
        steps.push((name, Money::total(of_currency.map(|(_, row)| amount(row)))?, is_sum));
    }
    Ok(Chart::waterfall(format!("Gross to net{of}, {}, {currency}", span(&tree.months)), &steps))
}

/// One row a month: from gross to net, and what AWS invoiced.
fn steps(tree: &Tree, of: &str) -> Sheet {
    let mut rows: Vec<_> = own_rows(tree).collect();
    rows.sort_by(|left, right| (left.0, &left.1.currency).cmp(&(right.0, &right.1.currency)));
    let title = format!("Gross to net{of} by month");
    let mut sheet = Sheet::new("gross_to_net", title, "No cost in these months.")
        .column("billing_period", "Month", column(&rows, |(month, _)| Text::from(month.to_string())))
        .column("currency", "Currency", column(&rows, |(_, row)| row.currency.clone()));
    for (name, label, amount, _) in STEPS {
        sheet = sheet.summed(name, label, column(&rows, |(_, row)| amount(row)));
    }
    sheet.summed("aws_credits", "AWS credits", column(&rows, |(_, row)| row.aws_credits)).summed(
        "invoice_net",
        "Invoiced by AWS",
        column(&rows, |(_, row)| row.invoice_net),
    )
}
