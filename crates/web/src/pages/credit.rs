//! One credit: what it is, its lots, its months in both books, who used it, what was recorded about it.

use application::Failure;
use application::statement::{finding_text, revision_lines, statement, why_unused};
use apply_fifo::statement::{CreditStatement, RecordedLot, StatementMonth};
use apply_fifo::unused::Taken;
use axum::extract::Path;
use axum::response::Response;
use credit_ledger::{BillingPeriod, Money, Text};
use maud::{Markup, html};
use schemas::tables::{Credit, RegisteredCredit};
use serde_json::{Value, json};

use super::net_cost::NO_SERVICE;
use super::{allocate_address, done};
use crate::answer::answer;
use crate::asked::Asked;
use crate::chart::{Chart, number};
use crate::format::{money, relative, status};
use crate::page::Page;
use crate::sheet::{Sheet, column};

pub(crate) async fn show(Path(key): Path<String>, asked: Asked) -> Response {
    let page = build(&asked, &key).await;
    answer(&asked, page).await
}

async fn build(asked: &Asked, key: &str) -> Result<Page, Failure> {
    if !asked.sees_credit(key).await? {
        return Ok(Page::of_others());
    }
    let published: Vec<Credit> = match &asked.run {
        Some(run) => run.rows(None).await?,
        None => Vec::new(),
    };
    if !published.iter().any(|credit| credit.credit_key == key) {
        // One that the export has now, and the published run does not know yet.
        let snapshot = asked.snapshot().await?;
        if let Some(new) = snapshot.register.credits.iter().find(|credit| credit.credit_key == key) {
            return Ok(not_published(asked, new));
        }
    }
    let mut statement = statement(&asked.context, key).await?;
    let nodes = statement.lots.iter().map(|lot| &lot.node).chain(statement.used_by.iter().map(|of| &of.node));
    if !nodes.into_iter().all(|node| asked.access.sees(node)) {
        // It was somebody else's when the run was made.
        return Ok(Page::of_others());
    }
    let is_theirs = |lot: &RecordedLot| lot.node.as_ref().is_none_or(|node| asked.access.sees(node));
    let revisions = statement.history.len();
    statement.history.retain(|revision| revision.lots.iter().all(is_theirs));
    let is_whole = statement.history.len() == revisions;
    let mut page = Page::new(statement.credit.promotion_code.to_string(), &[])
        .for_everybody()
        .text(done(asked))
        .text(head(asked, &statement))
        .text(findings(&statement))
        .sheet(lots(asked, &statement));
    if !statement.months.is_empty() {
        page = page.chart(burn_down(&statement)).chart(both_books(&statement));
    }
    page = page.sheet(months(&statement)).sheet(used_by(asked, &statement));
    if !statement.unused.is_empty() {
        page = page.sheet(unused(&statement));
    }
    Ok(page.text(html! {
        (history(&statement))
        @if !is_whole { p.note { "Not shown: revisions with lots at nodes that you do not see." } }
    }))
}

fn not_published(asked: &Asked, credit: &RegisteredCredit) -> Page {
    Page::new(credit.promotion_code.to_string(), &[]).for_everybody().text(html! {
        p.lead {
            (credit.credit_key) " of account " (credit.account_id) ", issued " (credit.issue_date) ": AWS applied "
            (money(credit.aws_applied)) " " (credit.currency) ". It is in the export, and not in the published run: figures come with \
            the next run."
        }
        @if asked.may_record() { p { a.button href=(allocate_address(&credit.credit_key)) data-key="a" { "Allocate" } } }
    })
}

/// Who and what it is, and how it stands.
fn head(asked: &Asked, statement: &CreditStatement) -> Markup {
    let credit = &statement.credit;
    let amount = |name: &str, amount: Option<Money>| {
        html! { div { dt { (name) } dd { @if let Some(amount) = amount { (money(amount)) } @else { "–" } } } }
    };
    let source = match credit.issue_date_source.as_str() {
        "cur_inferred" => "the day before its first line",
        "manual" => "set by hand",
        other => other,
    };
    html! {
        dl.facts {
            div { dt { "Status" } dd { (status(&credit.status)) } }
            (amount("Amount", credit.allocated_amount))
            (amount("Used", credit.used))
            (amount("Expired", credit.expired))
            (amount("Left", credit.remaining))
            (amount("Applied by AWS", Some(credit.aws_applied)))
            div { dt { "Currency" } dd { (credit.currency) } }
            @if let Some(end) = credit.end_date {
                div { dt { "Ends" } dd { (end) " " small { (relative(end, asked.context.as_of)) } } }
            }
        }
        dl.facts.small {
            div { dt { "Key" } dd { code { (credit.credit_key) } } }
            div { dt { "Account" } dd { (credit.account_id) } }
            @if let Some(owner) = &credit.owner_account_id { div { dt { "Owner stated" } dd { (owner) } } }
            div { dt { "Payer" } dd { (credit.payer_account_id) } }
            div { dt { "Class" } dd { (credit.credit_class) } }
            div { dt { "Issued" } dd { (credit.issue_date) ", " (source) } }
            div { dt { "Lines" } dd {
                (credit.first_cur_date) " to "
                @match credit.last_cur_date { Some(last) => { (last) } None => { "none any more" } }
            } }
        }
        @if let Some(description) = &credit.description { p.small { "Described as " q { (description) } } }
        @if asked.may_record() {
            p {
                a.button href=(allocate_address(&credit.credit_key)) data-key="a" {
                    @if credit.status == "unallocated" { "Allocate" } @else { "Revise, move, split or revoke" }
                }
            }
        }
    }
}

fn findings(statement: &CreditStatement) -> Markup {
    html! {
        @if !statement.findings.is_empty() {
            section.findings aria-labelledby="findings" {
                h2 id="findings" { "Findings" }
                ul { @for finding in &statement.findings { li { (finding_text(finding, statement)) } } }
            }
        }
    }
}

fn lots(asked: &Asked, statement: &CreditStatement) -> Sheet {
    let lots = &statement.lots;
    let of_node = |node: &str| Some(asked.filter.elsewhere("/net-cost", &[("node", node)]));
    Sheet::new("lots", "Lots", "Nothing of it is allocated.")
        .column("lot", "Lot", column(lots, |lot| lot.lot))
        .column("node", "Node", column(lots, |lot| Text::from(lot.node.to_string())))
        .links(lots.iter().map(|lot| of_node(&lot.node.to_string())))
        .column("currency", "Currency", column(lots, |_| statement.credit.currency.clone()))
        .summed("amount", "Amount", column(lots, |lot| lot.amount))
        .summed("used", "Used", column(lots, |lot| lot.used))
        .summed("expired", "Expired", column(lots, |lot| lot.expired))
        .summed("remaining", "Left", column(lots, |lot| lot.remaining))
        .column("end_date", "Ends", column(lots, |lot| lot.end_date))
        .column(
            "fifo",
            "FIFO order",
            column(lots, |lot| Text::from(format!("{} of {}", lot.fifo_position, lot.fifo_lots))),
        )
        .column("owner_email", "Owner", column(lots, |lot| lot.owner_email.clone()))
        .column("reference", "Reference", column(lots, |lot| lot.reference.clone()))
}

fn names_of(months: &[StatementMonth]) -> Vec<String> {
    months.iter().map(|month| month.billing_period.to_string()).collect()
}

/// What is left at the end of each month, and where it ends.
fn burn_down(statement: &CreditStatement) -> Chart {
    let months = &statement.months;
    let mut names = names_of(months);
    let left: Vec<Value> = months.iter().map(|month| number(month.remaining)).collect();
    let end = statement.credit.end_date.map(BillingPeriod::of);
    // The line of the end has its place also where it lies ahead.
    if let (Some(end), Some(last)) = (end, months.last())
        && end > last.billing_period
    {
        names.extend(last.billing_period.next().through(end).map(|month| month.to_string()));
    }
    let end_line = end.map(
        |end| json!({ "symbol": "none", "label": { "formatter": "end" }, "data": [{ "xAxis": end.to_string() }] }),
    );
    Chart::new(
        format!("Left at the end of each month, {}", statement.credit.currency),
        json!({
            "xAxis": { "type": "category", "data": names },
            "yAxis": { "type": "value", "min": 0 },
            "series": [{ "type": "line", "name": "left", "data": left, "areaStyle": { "opacity": 0.15 }, "markLine": end_line }],
        }),
    )
}

/// What the internal book drew and what AWS took off the invoice, side by side.
fn both_books(statement: &CreditStatement) -> Chart {
    let months = &statement.months;
    let bars = |name: &str, amount: fn(&StatementMonth) -> Money| {
        let data: Vec<Value> = months.iter().map(|month| number(amount(month))).collect();
        json!({ "type": "bar", "name": name, "data": data, "barMaxWidth": 28 })
    };
    Chart::new(
        format!("Both books, {}", statement.credit.currency),
        json!({
            "legend": { "top": 0 },
            "xAxis": { "type": "category", "data": names_of(months) },
            "yAxis": { "type": "value" },
            "series": [bars("used", |month| month.used), bars("applied by AWS", |month| month.aws_applied)],
        }),
    )
}

fn months(statement: &CreditStatement) -> Sheet {
    let months = &statement.months;
    Sheet::new("months", "Month by month, both books", "No month up to the as-of date.")
        .column("billing_period", "Month", column(months, |month| Text::from(month.billing_period.to_string())))
        .column("currency", "Currency", column(months, |_| statement.credit.currency.clone()))
        .column("opening", "Opening", column(months, |month| month.opening))
        .summed("issued", "Issued", column(months, |month| month.issued))
        .summed("used", "Used", column(months, |month| month.used))
        .summed("expired", "Expired", column(months, |month| month.expired))
        .column("remaining", "Left", column(months, |month| month.remaining))
        .summed("aws_applied", "Applied by AWS", column(months, |month| month.aws_applied))
}

/// Each row leads to the cost that used it.
fn used_by(asked: &Asked, statement: &CreditStatement) -> Sheet {
    let used_by = &statement.used_by;
    let links = used_by.iter().map(|of| {
        let (first, last) = (of.first_day.format("%Y-%m"), of.last_day.format("%Y-%m"));
        let (node, period) = (of.node.to_string(), format!("{first}..{last}"));
        let service = of.service.as_deref().unwrap_or(NO_SERVICE);
        let other = [("node", node.as_str()), ("period", &period), ("account", &of.account_id), ("service", service)];
        Some(asked.filter.elsewhere("/net-cost", &other))
    });
    Sheet::new("used_by", "Who used it", "Nothing of it was used.")
        .column("node", "Node", column(used_by, |of| Text::from(of.node.to_string())))
        .links(links)
        .column("account_id", "Account", column(used_by, |of| of.account_id.clone()))
        .column("service", "Service", column(used_by, |of| of.service.clone()))
        .column("currency", "Currency", column(used_by, |_| statement.credit.currency.clone()))
        .summed("used", "Used", column(used_by, |of| of.used))
        .column("first_day", "First day", column(used_by, |of| of.first_day))
        .column("last_day", "Last day", column(used_by, |of| of.last_day))
}

fn unused(statement: &CreditStatement) -> Sheet {
    let unused = &statement.unused;
    let taken = |taken: &[Taken]| Money::total(taken.iter().map(|taken| taken.used)).unwrap_or_default();
    Sheet::new("why_left", "Why something was left", "Nothing was left.")
        .column("billing_period", "Month", column(unused, |of| Text::from(of.billing_period.to_string())))
        .column("lot", "Lot", column(unused, |of| of.lot))
        .column("currency", "Currency", column(unused, |_| statement.credit.currency.clone()))
        .column("left", "Left or lost", column(unused, |of| of.remaining.max(of.expired)))
        .column("gross_cost", "Cost there", column(unused, |of| of.gross_cost))
        .column("eligible", "Eligible", column(unused, |of| of.eligible))
        .column("earlier_lots", "Earlier lots took", column(unused, |of| taken(&of.earlier)))
        .column("drawn", "It drew", column(unused, |of| of.drawn))
        .column("why", "Why", column(unused, |of| Text::from(why_unused(of, statement))))
}

/// Who recorded what when, the newest first.
pub(crate) fn history(statement: &CreditStatement) -> Markup {
    html! {
        section.history aria-labelledby="history" {
            h2 id="history" { "What was recorded" }
            @if statement.history.is_empty() { p.empty { "Nothing." } }
            ol reversed {
                @for revision in statement.history.iter().rev() {
                    @let lines = revision_lines(revision, &statement.credit.currency);
                    li class=[(!revision.is_newest).then_some("replaced")] title=(revision.allocation_id) {
                        @for line in lines { div { (line.trim_start()) } }
                    }
                }
            }
        }
    }
}
