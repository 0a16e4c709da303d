//! What stands around every page: navigation, filters, and how far the figures can be trusted.

use application::foreign_text::{CELL, visible};
use application::{Failure, Kind, LikelyOwner};
use maud::{DOCTYPE, Markup, html};
use num_format::{Locale, ToFormattedString};

use crate::asked::Asked;
use crate::assets::ECHARTS;
use crate::format::{days_ago, money_in};
use crate::frame::html_head;
use crate::guard::sign_in::sign_out_form;
use crate::page::{OF_NO_NODE, PLACES, Page};
use crate::site::Entrance;

/// Days from which on figures are old: the nightly run has not published for a while.
const OLD: i64 = 3;

/// What is said on every page about the figures.
pub(crate) struct Head {
    /// How many credits wait; none where reference files cannot be read, of which *Runs* says what is wrong.
    waiting: Option<usize>,
    /// Run, as-of date, tie-out.
    pub(crate) freshness: Markup,
}

impl Head {
    /// Reads it.
    pub(crate) async fn read(asked: &Asked) -> Result<Self, Failure> {
        let waiting = match count_waiting(asked).await {
            Ok(waiting) => Some(waiting),
            Err(failure) if failure.kind == Kind::NotYet => Some(0),
            Err(failure) if failure.kind == Kind::BadInput => None,
            Err(failure) => return Err(failure),
        };
        Ok(Self { waiting, freshness: freshness(asked).await? })
    }
}

/// How many credits wait, of those that they see.
async fn count_waiting(asked: &Asked) -> Result<usize, Failure> {
    if asked.access.is_limited() {
        let waiting = asked.waiting().await?;
        let is_theirs = |likely: &&LikelyOwner| likely.node.as_ref().is_some_and(|node| asked.access.sees(node));
        return Ok(waiting.likely.iter().filter(is_theirs).count());
    }
    Ok(asked.snapshot().await?.joined().credits.iter().filter(|credit| credit.waiting.is_some()).count())
}

/// `As of 2026-10-31 (30 days ago) · tie-out exact, 38,186 lines · run …`
async fn freshness(asked: &Asked) -> Result<Markup, Failure> {
    let Some(run) = &asked.run else {
        return Ok(
            html! { p.fresh { span.dot.none {} "Nothing is published yet. Run " code { "finops-credits run" } "." } },
        );
    };
    let (staged, today) = (run.staged(), asked.context.now.date());
    let age = today.signed_duration_since(staged.as_of).num_days();
    let reconciled = asked.tie_out().await?;
    let lines: i64 = reconciled.iter().map(|row| row.rows_read).sum();
    let off: Vec<_> = reconciled.iter().filter(|row| !row.difference.is_zero()).collect();
    let dot = match (reconciled.is_empty(), off.is_empty()) {
        (_, false) => "bad",
        (true, true) => "none",
        (false, true) if age > OLD => "old",
        (false, true) => "good",
    };
    let short: String = run.id().chars().take(8).collect();
    let to_months = |text: Markup| to(asked, "/months", None, &text);
    Ok(html! {
        p.fresh {
            span class={ "dot " (dot) } {}
            "As of " strong { (staged.as_of) } " (" (days_ago(age)) ") · "
            @if reconciled.is_empty() {
                "no month of the export"
            } @else if off.is_empty() {
                (to_months(html! { "ties to the invoice" }))
                ", " (lines.to_formatted_string(&Locale::en)) " lines"
            } @else {
                (to_months(html! { "does not tie to the invoice: " }))
                @for row in off { (money_in(row.difference, &row.currency)) " " }
            }
            " · run " (to(asked, "/runs", Some(run.id()), &html! { (short) }))
            " · " (staged.policy)
        }
    })
}

/// A link, for who may follow it.
fn to(asked: &Asked, path: &str, title: Option<&str>, text: &Markup) -> Markup {
    html! {
        @if is_shown(asked, path) { a href=(asked.filter.elsewhere(path, &[])) title=[title] { (text) } } @else { (text) }
    }
}

/// True for a page that they may see.
fn is_shown(asked: &Asked, path: &str) -> bool {
    !(asked.access.is_limited() && OF_NO_NODE.contains(&path))
}

fn count(waiting: Option<usize>) -> Markup {
    html! {
        @match waiting {
            Some(0) => {}
            Some(waiting) => { " " span.count { (waiting) } }
            None => { " " span.count title="reference files cannot be read; Runs says why" { "?" } }
        }
    }
}

/// A page.
pub(crate) fn page(asked: &Asked, page: &Page, head: &Head, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (html_head(&page.title))
            body {
                a.skip href="#main" { "Skip to content" }
                header {
                    a.brand href="/" { "finops-credits" }
                    nav aria-label="Pages" {
                        @for (path, name, key) in PLACES.into_iter().filter(|(path, ..)| is_shown(asked, path)) {
                            a href=(asked.filter.elsewhere(path, &[])) data-key=(key)
                                aria-current=[(path == asked.path).then_some("page")] {
                                (name)
                                @if path == "/queue" { (count(head.waiting)) }
                            }
                        }
                    }
                    form.search role="search" action="/credits" {
                        input type="search" name="q" placeholder="Search credits ( / )" aria-label="Search credits"
                            value=[asked.filter.search.as_deref()];
                    }
                }
                aside aria-label="Freshness" { (head.freshness) }
                main id="main" {
                    h1 { (page.title) }
                    (own_nodes(asked))
                    (filters(asked, page))
                    (body)
                }
                footer {
                    p { @if asked.may_record() { "You record as " strong { (visible(&asked.session.person, CELL)) } "." }
                        @else if asked.site.settings.read_only { "Read-only: nothing can be recorded here." }
                        @else { "You may look here, and record nothing." }
                        " " a href="/help" data-key="?" { "Keys and words" } }
                    @if matches!(asked.site.entrance, Entrance::Shared(_)) {
                        p { "Signed in as " strong { (visible(&asked.session.person, CELL)) } "." }
                        (sign_out_form())
                    }
                }
                @if page.has_charts() { script defer src=(ECHARTS.address()) {} }
            }
        }
    }
}

/// The nodes that somebody sees who does not see all: one at a time.
fn own_nodes(asked: &Asked) -> Markup {
    html! {
        @if asked.access.is_limited() {
            nav.own-nodes aria-label="Your nodes" {
                "You see "
                @for node in &asked.own_nodes {
                    @let path = node.to_string();
                    a href=(asked.filter.elsewhere(&asked.path, &[("node", path.as_str())]))
                        aria-current=[(asked.filter.node.as_ref() == Some(node)).then_some("true")] { (path) }
                }
                " and what lies below."
            }
        }
    }
}

/// The filters that the page knows, filled in; and those that are set and do not apply, by name.
fn filters(asked: &Asked, page: &Page) -> Markup {
    let filter = &asked.filter;
    let has = |name: &str| page.filters.contains(&name);
    html! {
        @if !page.filters.is_empty() {
            form.filters method="get" action=(asked.path) {
                @if has("period") {
                    label { "Months " input name="period" size="28" placeholder="2026-Q3, 2026, 2026-05..2026-09"
                        value=[filter.stated("period")]; }
                }
                @if has("node") {
                    label { "Node " input name="node" size="28" placeholder="Business unit/Department" data-nodes=""
                        autocomplete="off" value=[filter.stated("node")]; }
                }
                @if has("status") {
                    label { "Status " select name="status" {
                        option value="" { "all" }
                        @for status in ["active", "expiring_soon", "exhausted", "expired", "invalid"] {
                            option value=(status) selected[filter.status.as_deref() == Some(status)] { (status.replace('_', " ")) }
                        }
                    } }
                }
                @if has("currency") {
                    label { "Currency " input name="currency" size="4" maxlength="3" placeholder="all"
                        value=[filter.currency.as_deref()]; }
                }
                @if has("q") {
                    label { "Holds " input type="search" name="q" size="16" value=[filter.search.as_deref()]; }
                }
                @for (name, label, placeholder) in [("account", "Account", ""), ("service", "Service", "- for none")] {
                    @if has(name) {
                        label { (label) " " input name=(name) size="16" placeholder=(placeholder) value=[filter.stated(name)]; }
                    }
                }
                @if has("depth") {
                    label { "Levels below " select name="depth" {
                        @for depth in ["1", "2", "3", "4"] {
                            option value=(depth) selected[filter.stated("depth") == Some(depth)] { (depth) }
                        }
                    } }
                }
                button { "Show" }
                @if page.filters.iter().any(|name| filter.stated(name).is_some()) { " " a href=(asked.path) { "Clear" } }
            }
        }
        (page.not_applied(filter))
    }
}
