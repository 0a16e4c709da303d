//! Allocated credits: whose they are, what is used and left, when they end.

use application::{Failure, allocated_credits, whose};
use axum::response::Response;
use credit_ledger::{Money, Node, Text};
use hashbrown::HashMap;
use schemas::tables::{AllocationLogRow, Credit};
use write_net_cost::whose::{Whose, in_full};

use super::{allocate_address, credit_address};
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
    let money = |amount: fn(&Credit) -> Option<Money>| column(&credits, amount);
    let sheet = Sheet::new("credits", title, "No credit is allocated, or none fits the filters.")
        .column("promotion_code", "Credit", column(&credits, |credit| credit.promotion_code.clone()))
        .links(credits.iter().map(|credit| Some(credit_address(&credit.credit_key))))
        .column("account_id", "Account", column(&credits, |credit| credit.account_id.clone()))
        .column("nodes", "Node", names(|whose| &whose.nodes))
        .column("owner_email", "Owner", names(|whose| &whose.owners))
        .column("currency", "Currency", column(&credits, |credit| credit.currency.clone()))
        .column("status", "Status", column(&credits, |credit| credit.status.clone()))
        .status()
        .summed("allocated_amount", "Amount", money(|credit| credit.allocated_amount))
        .summed("used", "Used", money(|credit| credit.used))
        .summed("expired", "Expired", money(|credit| credit.expired))
        .summed("remaining", "Left", money(|credit| credit.remaining))
        .column("end_date", "Ends", column(&credits, |credit| credit.end_date))
        .column("days_left", "Days left", column(&credits, |credit| credit.days_left))
        .summed("aws_applied", "Applied by AWS", money(|credit| Some(credit.aws_applied)))
        .column("reference", "Reference", column(&credits, |credit| credit.reference.clone()))
        .in_files("credit_key", column(&credits, |credit| credit.credit_key.clone()));
    let sheet = if asked.may_record() {
        sheet.action("Revise", credits.iter().map(|credit| allocate_address(&credit.credit_key)).collect())
    } else {
        sheet
    };
    Ok(Page::new("Credits", &["node", "status", "currency", "q"]).sheet(sheet))
}

/// Allocated credits that fit the filters.
pub(crate) struct Fitting {
    pub(crate) credits: Vec<Credit>,
    whose: HashMap<Text, Whose>,
    /// How many there are, whether they fit or not.
    all: usize,
}

/// Allocated credits that fit the filters: at a node are those that have a lot there or below.
pub(crate) async fn fitting(asked: &Asked) -> Result<Fitting, Failure> {
    asked.run()?;
    let mut credits = allocated_credits(&asked.context).await?;
    let log: Vec<AllocationLogRow> = asked.context.lake.logs().read().await?;
    let whose = whose(&asked.context, &credits, &log).await?;
    let all = credits.len();
    credits.retain(|credit| fits(asked, credit, &whose));
    Ok(Fitting { credits, whose, all })
}

fn fits(asked: &Asked, credit: &Credit, whose: &HashMap<Text, Whose>) -> bool {
    let filter = &asked.filter;
    let nodes = whose.get(&credit.credit_key).map(|whose| whose.nodes.as_slice()).unwrap_or_default();
    let at = |node: &Node| {
        let of = |text: &Text| application::typed::node(text).is_ok_and(|of| of.is_at_or_below(node));
        nodes.iter().any(of)
    };
    let reference = credit.reference.as_deref().unwrap_or_default();
    let texts = [credit.credit_key.as_str(), &credit.promotion_code, &credit.account_id, reference];
    filter.takes_currency(&credit.currency)
        && filter.status.as_ref().is_none_or(|status| *status == credit.status)
        && filter.node.as_ref().is_none_or(at)
        && filter.finds(texts.into_iter().chain(nodes.iter().map(Text::as_str)))
}
