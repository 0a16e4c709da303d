//! The queue: credits that wait for somebody to say whose they are.

use application::{Failure, LikelyOwner, Waiting};
use axum::response::Response;
use credit_ledger::Text;
use maud::html;
use schemas::tables::CreditQueue;

use super::{allocate_address, credit_address, done};
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
    let waiting = asked.waiting().await?;
    let (all, issues) = (waiting.rows.len(), waiting.issues.as_slice());
    let rows = fitting(asked, waiting);
    // Of what others have neither the number is told nor what is wrong with it.
    let (all, issues) = if asked.access.is_limited() { (rows.len(), &[][..]) } else { (all, issues) };
    let waits = if rows.len() < all {
        format!("{} of {all} credits that wait", rows.len())
    } else {
        "Credits that wait".to_owned()
    };
    let sheet = Sheet::new(
        "queue",
        waits,
        if all == 0 { "No credit waits for allocation." } else { "None of them fits the filters." },
    )
    .column("promotion_code", "Credit", column(&rows, |(row, _)| row.promotion_code.clone()))
    .links(rows.iter().map(|(row, _)| Some(credit_address(&row.credit_key))))
    .column("account_id", "Account", column(&rows, |(row, _)| row.account_id.clone()))
    .column("credit_class", "Class", column(&rows, |(row, _)| row.credit_class.clone()))
    .column("currency", "Currency", column(&rows, |(row, _)| row.currency.clone()))
    .column("first_cur_date", "First seen", column(&rows, |(row, _)| row.first_cur_date))
    .column("days_waiting", "Days", column(&rows, |(row, _)| row.days_waiting))
    .summed("aws_applied", "Applied by AWS", column(&rows, |(row, _)| row.aws_applied))
    .column("likely_node", "Likely node", column(&rows, |(_, likely)| likely_text(likely)))
    .column("likely_owner_email", "Ask there", column(&rows, |(_, likely)| likely.owner_email.clone()))
    .column("reason", "Why it waits", column(&rows, |(row, _)| Text::from(reason(&row.reason))));
    let sheet = sheet.in_files("credit_key", column(&rows, |(row, _)| row.credit_key.clone()));
    let sheet = if asked.may_record() {
        sheet.action("Allocate", rows.iter().map(|(row, _)| allocate_address(&row.credit_key)).collect())
    } else {
        sheet
    };
    let mut page = Page::new("Queue", &["node", "currency", "q"]);
    page = page.text(done(asked));
    page = page.text(html! {
        p.lead {
            "AWS applied these credits, and nobody has said yet whose they are. The likely node is where most of the account's cost "
            "lies: a hint, no fact."
        }
    });
    if !issues.is_empty() {
        page = page.text(html! {
            div.problem { @for issue in issues {
                p { "Allocation " (issue.allocation_id) " lot " (issue.lot) " cannot be used: " (issue.problem) }
            } }
        });
    }
    Ok(page.sheet(sheet))
}

fn likely_text(likely: &LikelyOwner) -> Option<Text> {
    likely.node.as_ref().map(|node| node.to_string().into())
}

/// Credits that wait and fit the filters: at a node are those that are likely its own.
pub(crate) fn fitting<'a>(asked: &Asked, waiting: &'a Waiting) -> Vec<(&'a CreditQueue, &'a LikelyOwner)> {
    let fits = |(row, likely): &(&CreditQueue, &LikelyOwner)| {
        let at = |node| likely.node.as_ref().is_some_and(|likely| likely.is_at_or_below(node));
        asked.filter.takes_currency(&row.currency)
            && asked.filter.node.as_ref().is_none_or(at)
            && asked.filter.finds([row.credit_key.as_str(), &row.promotion_code, &row.account_id])
    };
    waiting.rows.iter().zip(&waiting.likely).filter(fits).collect()
}

/// Why a credit waits, in words.
pub(crate) fn reason(reason: &str) -> &str {
    match reason {
        "never_allocated" => "never allocated",
        "revoked" => "revoked",
        "allocation_invalid" => "what is recorded cannot be used",
        other => other,
    }
}
