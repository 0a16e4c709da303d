//! Net cost down the hierarchy, and from any figure down to the cost and the draws that it is made of.

mod address;
mod books;
mod budget;
mod drill;
#[cfg(test)]
mod fixtures;
mod lines;
mod tree;

use application::foreign_text::{CELL, visible};
use application::{Failure, Kind};
use axum::response::Response;
use credit_ledger::Node;
use maud::{Markup, html};

use crate::answer::answer;
use crate::asked::Asked;
use crate::page::Page;
pub(crate) use address::NO_SERVICE;
use address::link;
use drill::Drill;
pub(crate) use tree::Tree;

pub(crate) async fn show(asked: Asked) -> Response {
    let page = build(&asked).await;
    answer(&asked, page).await
}

/// The page, also for a report.
pub(crate) async fn build(asked: &Asked) -> Result<Page, Failure> {
    let tree = Tree::read(asked, depth(asked)?).await?;
    let drill = Drill::of(asked, &tree.months)?;
    if asked.filter.stated("account").is_some() || asked.filter.stated("service").is_some() {
        return narrowed(asked, drill).await;
    }
    let filters = &["period", "node", "currency", "depth"];
    let mut page = Page::new(format!("Net cost{}", of(asked)), filters).text(crumbs(asked));
    for currency in tree.currencies() {
        page = page.chart(tree.chart(&currency)?);
    }
    page = page.sheet(tree.sheet(asked)?);
    page = budget::add_to(page, asked, &tree)?.sheet(tree.both_books(asked));
    match drill.filter(|_| asked.filter.node.is_some()) {
        Some(drill) => drill.add_credits(drill.add_accounts(page).await?).await,
        None => Ok(page),
    }
}

/// The cost of an account, a service, or both: what rolls up is not by these.
async fn narrowed(asked: &Asked, drill: Option<Drill<'_>>) -> Result<Page, Failure> {
    let stated = |name: &str| asked.filter.stated(name).map(|text| visible(text, CELL));
    let service = stated("service").map(|service| service_words(&service));
    let account = stated("account").map(|account| format!("account {account}"));
    let what: Vec<String> = account.into_iter().chain(service).collect();
    let filters = &["period", "node", "currency", "account", "service"];
    let page = Page::new(format!("Cost of {}{}", what.join(", "), within(asked)), filters).text(crumbs(asked));
    match drill {
        Some(drill) => drill.add_lines(page).await,
        None => Ok(page.text(html! { p.empty { "The published run has none of these months." } })),
    }
}

fn service_words(service: &str) -> String {
    if service == NO_SERVICE { "no service".to_owned() } else { format!("service {service}") }
}

fn of(asked: &Asked) -> String {
    asked.filter.node.as_ref().map(|node| format!(" of {}", visible(&node.to_string(), CELL))).unwrap_or_default()
}

fn within(asked: &Asked) -> String {
    asked.filter.node.as_ref().map(|node| format!(" within {}", visible(&node.to_string(), CELL))).unwrap_or_default()
}

/// Levels below the node that are shown.
fn depth(asked: &Asked) -> Result<usize, Failure> {
    let Some(stated) = asked.filter.stated("depth") else { return Ok(1) };
    let levels = stated.parse().ok().filter(|depth| (1..=Node::LEVELS.len()).contains(depth));
    levels.ok_or_else(|| Failure::new(Kind::Usage, "depth: levels below the node, 1 to 4"))
}

/// The way down to what is shown, each step a link.
fn crumbs(asked: &Asked) -> Markup {
    let whole = [("account", ""), ("service", "")];
    let everything = ("Everything".to_owned(), link(asked, &[&whole[..], &[("node", "")]].concat()));
    let mut steps: Vec<_> = (!asked.access.is_limited()).then_some(everything).into_iter().collect();
    for node in asked.filter.node.iter().flat_map(Node::lineage).filter(|node| asked.access.sees(node)) {
        let path = node.to_string();
        steps.push((visible(node.name(), CELL), link(asked, &[&whole[..], &[("node", path.as_str())]].concat())));
    }
    if let Some(account) = asked.filter.stated("account") {
        steps.push((format!("account {}", visible(account, CELL)), link(asked, &[("account", account)])));
    }
    if let Some(service) = asked.filter.stated("service") {
        let of_account = asked.filter.stated("account").unwrap_or_default();
        let address = link(asked, &[("account", of_account), ("service", service)]);
        steps.push((service_words(&visible(service, CELL)), address));
    }
    let last = steps.len().saturating_sub(1);
    html! {
        p.crumbs {
            @for (place, (name, address)) in steps.iter().enumerate() {
                @if place > 0 { " / " }
                @if place == last { strong { (name) } } @else { a href=(address) { (name) } }
            }
        }
    }
}
