//! Allocated credits: whose they are, what is used and left, when they end.

use std::collections::BTreeSet;

use application::{Failure, allocated_credits, typed, whose};
use arrow::array::ArrayRef;
use axum::response::Response;
use credit_ledger::{BillingPeriod, Money, Node, Text};
use hashbrown::HashMap;
use maud::{Markup, html};
use schemas::NodeColumns;
use schemas::tables::{AllocationLogRow, Credit, CreditBalance};
use write_net_cost::whose::{Whose, in_full};

use super::{allocate_address, credit_address, queue};
use crate::answer::answer;
use crate::asked::Asked;
use crate::page::Page;
use crate::sheet::{Sheet, column};

pub(crate) async fn show(asked: Asked) -> Response {
    let page = build(&asked).await;
    answer(&asked, page).await
}

/// The page, also for a report.
pub(crate) async fn build(asked: &Asked) -> Result<Page, Failure> {
    let Fitting { credits, whose, all } = fitting(asked).await?;
    let names = |of: fn(&Whose) -> &[Text]| {
        let names: Vec<Option<Text>> =
            credits.iter().map(|credit| whose.get(&credit.credit_key).and_then(|whose| in_full(of(whose)))).collect();
        column(&names, Clone::clone)
    };
    let title = match credits.len() {
        shown if shown < all => format!("{shown} of {all} credits"),
        _ => format!("{all} credits"),
    };
    let empty = if all == 0 { "No credit is allocated." } else { "None of them fits the filters." };
    let money = |amount: fn(&Credit) -> Option<Money>| column(&credits, amount);
    let mut sheet = Sheet::new("credits", title, empty)
        .column("promotion_code", "Credit", column(&credits, |credit| credit.promotion_code.clone()))
        .links(credits.iter().map(|credit| Some(credit_address(&credit.credit_key))))
        .column("nodes", "Node", names(|whose| &whose.nodes))
        .column("owner_email", "Owner", names(|whose| &whose.owners))
        .column("currency", "Currency", column(&credits, |credit| credit.currency.clone()))
        .column("status", "Status", column(&credits, |credit| credit.status.clone()))
        .status()
        .column("end_date", "Ends", column(&credits, |credit| credit.end_date))
        .column("days_left", "Days left", column(&credits, |credit| credit.days_left));
    // Whole credits would not add up to what the node has of them.
    let at_node = asked.filter.node.is_some();
    if at_node {
        sheet = sheet.summed("remaining_at_node", "Left here", left_here(asked, &credits).await?);
    }
    for (name, label, amounts) in [
        ("remaining", "Left", money(|credit| credit.remaining)),
        ("allocated_amount", "Amount", money(|credit| credit.allocated_amount)),
        ("used", "Used", money(|credit| credit.used)),
        ("expired", "Expired", money(|credit| credit.expired)),
        ("aws_applied", "Applied by AWS", money(|credit| Some(credit.aws_applied))),
    ] {
        sheet = if at_node { sheet.column(name, label, amounts) } else { sheet.summed(name, label, amounts) };
    }
    sheet = sheet
        .column("account_id", "Account", column(&credits, |credit| credit.account_id.clone()))
        .column("reference", "Reference", column(&credits, |credit| credit.reference.clone()))
        .in_files("credit_key", column(&credits, |credit| credit.credit_key.clone()));
    if asked.may_record() {
        sheet = sheet.action("Revise", credits.iter().map(|credit| allocate_address(&credit.credit_key)).collect());
    }
    let mut page = Page::new("Credits", &["node", "status", "currency", "q"]);
    if let Some(node) = &asked.filter.node {
        page = page.text(html! {
            p.lead {
                "Credits with a lot at " (node.to_string()) " or below. Amounts are of whole credits, but for what is left here."
                @if asked.access.is_limited() {
                    " Credits that have lots also at nodes that you do not see are not in here; "
                    a href=(asked.filter.elsewhere("/expiry", &[])) { "Expiry" } " has their lots."
                }
            }
        });
    }
    Ok(page.text(waiting_too(asked).await?).sheet(sheet))
}

/// Credits that wait and hold what is searched for: they are on another page.
async fn waiting_too(asked: &Asked) -> Result<Markup, Failure> {
    let Some(search) = &asked.filter.search else { return Ok(html! {}) };
    let found = queue::fitting(asked, asked.waiting().await?).len();
    let address = asked.filter.elsewhere("/queue", &[("q", search)]);
    Ok(html! {
        @if found > 0 { p.note { a href=(address) { (found) @if found == 1 { " that waits fits" } @else { " that wait fit" } " the search" } } }
    })
}

/// Allocated credits that fit the filters.
pub(crate) struct Fitting {
    pub(crate) credits: Vec<Credit>,
    whose: HashMap<Text, Whose>,
    /// How many there are, whether they fit or not.
    all: usize,
}

/// Allocated credits that fit the filters: at a node are those that have a lot there or below, used up or not.
pub(crate) async fn fitting(asked: &Asked) -> Result<Fitting, Failure> {
    let mut credits = allocated_credits(&asked.context).await?;
    let log: Vec<AllocationLogRow> = asked.context.lake.logs().read().await?;
    let whose = whose(&asked.context, &credits, &log).await?;
    let nodes_of =
        |credit: &Credit| whose.get(&credit.credit_key).map(|whose| whose.nodes.as_slice()).unwrap_or_default();
    // Amounts are of whole credits: of one that has lots elsewhere, too, they are not for somebody who does not see those.
    let sees = |text: &Text| typed::node(text).is_ok_and(|node| asked.access.sees(&node));
    credits.retain(|credit| !asked.access.is_limited() || nodes_of(credit).iter().all(sees));
    let all = credits.len();
    let here: BTreeSet<Text> = lots(asked).await?.into_iter().map(|lot| lot.credit_key).collect();
    let recorded_here = |credit: &Credit| {
        let at = |text: &Text| typed::node(text).is_ok_and(|of| is_here(asked, &of));
        credit.status == "invalid" && nodes_of(credit).iter().any(at)
    };
    credits.retain(|credit| {
        let filter = &asked.filter;
        let reference = credit.reference.as_deref().unwrap_or_default();
        let texts = [credit.credit_key.as_str(), &credit.promotion_code, &credit.account_id, reference];
        filter.takes_currency(&credit.currency)
            && filter.status.as_ref().is_none_or(|status| *status == credit.status)
            && (filter.node.is_none() || here.contains(&credit.credit_key) || recorded_here(credit))
            && filter.finds(texts.into_iter().chain(nodes_of(credit).iter().map(Text::as_str)))
    });
    Ok(Fitting { credits, whose, all })
}

fn is_here(asked: &Asked, node: &Node) -> bool {
    asked.filter.node.as_ref().is_none_or(|here| node.is_at_or_below(here))
}

/// The lots on the as-of date that fit currency and node.
pub(crate) async fn lots(asked: &Asked) -> Result<Vec<CreditBalance>, Failure> {
    let run = asked.run()?;
    let mut lots: Vec<CreditBalance> = run.rows(Some(BillingPeriod::of(run.staged().as_of))).await?;
    lots.retain(|lot| asked.filter.takes_currency(&lot.currency) && lot.node().is_ok_and(|node| is_here(asked, &node)));
    Ok(lots)
}

/// What is left at the node of each credit.
async fn left_here(asked: &Asked, credits: &[Credit]) -> Result<ArrayRef, Failure> {
    let mut left: HashMap<Text, Money> = HashMap::new();
    for lot in lots(asked).await? {
        let sum = left.entry(lot.credit_key).or_default();
        *sum = sum.checked_add(lot.remaining)?;
    }
    Ok(column(credits, |credit| left.get(&credit.credit_key).copied()))
}
