//! The overview: what was spent, what credits took off it, what is left of them, and what needs somebody.

use std::collections::{BTreeMap, BTreeSet};

use application::{Failure, waiting};
use axum::response::Response;
use credit_ledger::{BillingPeriod, Money, Node, Text};
use maud::{Markup, html};
use schemas::NodeColumns;
use schemas::tables::{Credit, CreditBalance, CreditQueue, NetCostSummary};

use super::summaries::{Summaries, span};
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
    let summaries = Summaries::read(asked).await?;
    let standing = Standing::read(asked).await?;
    let node = asked.filter.node.as_ref();
    let of = node.map(|node| format!(" of {node}")).unwrap_or_default();
    let mut page = Page::new("Overview", &["period", "node", "currency"])
        .text(figures(asked, &summaries, &standing)?)
        .text(needs_somebody(asked, &standing));
    for currency in summaries.currencies() {
        page = page.chart(waterfall(&summaries, node, &currency, &of)?);
        page = page.chart(by_unit_chart(&summaries, node, &currency));
    }
    Ok(page.sheet(steps(&summaries, node, &of)?).sheet(by_unit(asked, &summaries, node)))
}

/// What waits and what is left, as far as it fits the filters.
struct Standing {
    waiting: Vec<CreditQueue>,
    credits: Vec<Credit>,
    /// On the as-of date, at the node and below.
    lots: Vec<CreditBalance>,
}

impl Standing {
    async fn read(asked: &Asked) -> Result<Self, Failure> {
        let run = asked.run()?;
        let mut lots: Vec<CreditBalance> = run.rows(Some(BillingPeriod::of(run.staged().as_of))).await?;
        let at = |lot: &CreditBalance| {
            let node = asked.filter.node.as_ref();
            node.is_none_or(|node| lot.node().is_ok_and(|of| of.is_at_or_below(node)))
        };
        lots.retain(|lot| asked.filter.takes_currency(&lot.currency) && at(lot));
        let waiting = queue::fitting(asked, waiting(&asked.context).await?);
        let waiting = waiting.into_iter().map(|(row, _)| row).collect();
        Ok(Self { waiting, credits: credits::fitting(asked).await?.credits, lots })
    }

    /// What is left of lots whose credits have this status, or of all.
    fn left(&self, status: Option<&str>) -> Result<BTreeMap<Text, Money>, Failure> {
        let fits = |credit: &&Credit| status.is_none_or(|status| credit.status == status);
        let keys: BTreeSet<&str> = self.credits.iter().filter(fits).map(|credit| credit.credit_key.as_str()).collect();
        let has_status = |lot: &&CreditBalance| keys.contains(lot.credit_key.as_str());
        by_currency(self.lots.iter().filter(has_status).map(|lot| (&lot.currency, lot.remaining)))
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

/// Sums by currency, each a link to what it is made of.
fn figures(asked: &Asked, summaries: &Summaries, standing: &Standing) -> Result<Markup, Failure> {
    let node = asked.filter.node.as_ref();
    let cost = |column: fn(&NetCostSummary) -> Money| summaries.total(node, column);
    let waits = by_currency(standing.waiting.iter().map(|row| (&row.currency, row.aws_applied)))?;
    let to = |path: &str, other: &[(&str, &str)]| asked.filter.elsewhere(path, other);
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
    let in_months = span(&summaries.months);
    let to_date_of = asked.run()?.staged().as_of.to_string();
    Ok(html! {
        div.tiles {
            (tile("Gross cost", &cost(|row| row.gross_cost)?, to("/net-cost", &[]), &in_months))
            (tile("Refunds", &cost(|row| row.refunds)?, to("/net-cost", &[]), &in_months))
            (tile("Credits applied", &cost(|row| row.credits_applied)?, to("/net-cost", &[]), &in_months))
            (tile("Net cost", &cost(|row| row.net_cost)?, to("/net-cost", &[]), &in_months))
            (tile("Left of credits", &standing.left(None)?, to("/credits", &[]), &to_date_of))
            (tile("Waiting, applied by AWS", &waits, to("/queue", &[]), "now"))
            (tile("Ends soon", &standing.left(Some("expiring_soon"))?,
                to("/credits", &[("status", "expiring_soon")]), &to_date_of))
        }
    })
}

/// What somebody has to do, the most pressing first.
fn needs_somebody(asked: &Asked, standing: &Standing) -> Markup {
    let Standing { credits, waiting: rows, .. } = standing;
    let today = asked.run.as_ref().map_or(asked.context.as_of, |run| run.staged().as_of);
    let mut ending: Vec<&Credit> = credits.iter().filter(|credit| credit.status == "expiring_soon").collect();
    ending.sort_by_key(|credit| (credit.end_date, credit.credit_key.clone()));
    let invalid: Vec<&Credit> = credits.iter().filter(|credit| credit.status == "invalid").collect();
    html! {
        section.todo aria-labelledby="todo" {
            h2 id="todo" { "What needs somebody" }
            @if rows.is_empty() && ending.is_empty() && invalid.is_empty() {
                p.empty { "Nothing: every credit is allocated, none ends soon." }
            } @else {
                ul {
                    @for row in rows.iter().take(LISTED) {
                        li {
                            @if asked.may_record() { a href=(allocate_address(&row.credit_key)) { "Allocate" } " " }
                            a href=(credit_address(&row.credit_key)) { (row.promotion_code) } " of " (row.account_id)
                            " waits for " (row.days_waiting) " days; AWS applied "
                            (money(row.aws_applied)) " " (row.currency)
                        }
                    }
                    @if rows.len() > LISTED {
                        li { a href=(asked.filter.elsewhere("/queue", &[])) { (rows.len() - LISTED) " more wait" } }
                    }
                    @for credit in ending.iter().take(LISTED) {
                        li {
                            a href=(credit_address(&credit.credit_key)) { (credit.promotion_code) }
                            " ends " @if let Some(end) = credit.end_date { (relative(end, today)) ", on " (end) ", " }
                            "with " (money(credit.remaining.unwrap_or_default())) " " (credit.currency) " left"
                        }
                    }
                    @if ending.len() > LISTED {
                        li { a href=(asked.filter.elsewhere("/credits", &[("status", "expiring_soon")])) {
                            (ending.len() - LISTED) " more end soon"
                        } }
                    }
                    @for credit in invalid.iter().take(LISTED) {
                        li { a href=(credit_address(&credit.credit_key)) { (credit.promotion_code) }
                            ": what is recorded cannot be used" }
                    }
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

fn waterfall(summaries: &Summaries, node: Option<&Node>, currency: &Text, of: &str) -> Result<Chart, Failure> {
    let mut steps = Vec::new();
    for (_, name, amount, is_sum) in STEPS {
        let total = summaries.total(node, amount)?.get(currency).copied().unwrap_or_default();
        steps.push((name, total, is_sum));
    }
    Ok(Chart::waterfall(format!("Gross to net{of}, {}, {currency}", span(&summaries.months)), &steps))
}

/// One row a month: from gross to net, and what AWS invoiced.
fn steps(summaries: &Summaries, node: Option<&Node>, of: &str) -> Result<Sheet, Failure> {
    let rows: Vec<_> = summaries.of(node).collect();
    let title = format!("Gross to net{of} by month");
    let mut sheet = Sheet::new("gross_to_net", title, "No cost in these months.")
        .column("billing_period", "Month", column(&rows, |(month, _)| Text::from(month.to_string())))
        .column("currency", "Currency", column(&rows, |(_, row)| row.currency.clone()));
    for (name, label, amount, _) in STEPS {
        sheet = sheet.summed(name, label, column(&rows, |(_, row)| amount(row)));
    }
    Ok(sheet.summed("aws_credits", "AWS credits", column(&rows, |(_, row)| row.aws_credits)).summed(
        "invoice_net",
        "Invoiced by AWS",
        column(&rows, |(_, row)| row.invoice_net),
    ))
}

fn by_unit_chart(summaries: &Summaries, node: Option<&Node>, currency: &Text) -> Chart {
    let months: Vec<String> = summaries.months.iter().map(ToString::to_string).collect();
    let below = summaries.below(node);
    let series: Vec<(String, Vec<Money>)> = below
        .iter()
        .map(|unit| (unit.name().to_owned(), summaries.by_month(Some(unit), currency, |row| row.net_cost)))
        .collect();
    Chart::stacked(format!("Net cost by {}, {currency}", level_name(node)), &months, &series)
}

/// What lies right below a node.
pub(crate) fn level_name(node: Option<&Node>) -> &'static str {
    match node.map_or(0, Node::level) {
        0 => "business unit",
        1 => "department",
        2 => "portfolio",
        _ => "product",
    }
}

/// Net cost with a column for each month, a row for each node right below.
fn by_unit(asked: &Asked, summaries: &Summaries, node: Option<&Node>) -> Sheet {
    let below = summaries.below(node);
    let currencies = summaries.currencies();
    let rows: Vec<(&Node, &Text)> =
        below.iter().flat_map(|unit| currencies.iter().map(move |currency| (unit, currency))).collect();
    let title = format!("Net cost by {}", level_name(node));
    let links = rows.iter().map(|(unit, _)| Some(asked.filter.elsewhere("/net-cost", &[("node", &unit.to_string())])));
    let mut sheet = Sheet::new("net_cost_by_unit", title, "No cost in these months.")
        .column("node", "Node", column(&rows, |(unit, _)| Text::from(unit.to_string())))
        .links(links)
        .column("currency", "Currency", column(&rows, |(_, currency)| (*currency).clone()));
    let amounts: Vec<Vec<Money>> =
        rows.iter().map(|(unit, currency)| summaries.by_month(Some(unit), currency, |row| row.net_cost)).collect();
    for (place, month) in summaries.months.iter().enumerate() {
        let of_month = column(&amounts, |row| row.get(place).copied().unwrap_or_default());
        sheet = sheet.summed(month.to_string(), month.to_string(), of_month);
    }
    let total = column(&amounts, |row| Money::total(row.iter().copied()).unwrap_or_default());
    sheet.summed("total", "Total", total)
}
