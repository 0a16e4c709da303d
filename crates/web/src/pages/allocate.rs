//! The form that allocates a credit: what is entered, what it would change, then the record.

mod entered;
mod view;

use application::revision::{self, found};
use application::{CreditSnapshot, Failure, Kind, Proposal};
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use join_allocations::record::move_lot;
use schemas::reference::{AllocationRow, CreditName};
use schemas::tables::{AllocationLogRow, RegisteredCredit};

use crate::answer::answer;
use crate::asked::Asked;
use crate::error::failed;
use crate::form::Form;
use crate::page::Page;
use crate::pages::{DONE, credit_address};
use entered::{Entered, Wrong};
use view::View;

/// What somebody wants to do with a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Allocate,
    Move,
    Revoke,
}

/// The empty form, or what is recorded now.
pub(crate) async fn show(Path(key): Path<String>, asked: Asked) -> Response {
    let page = async {
        let snapshot = asked.snapshot().await?;
        if !asked.sees_credit(&key).await? {
            return Ok(Page::of_others());
        }
        let credit = found(&CreditName::Key(key.into()), snapshot)?;
        let mut entered = Entered::recorded(snapshot, credit);
        newest_revision(&snapshot.log, credit).clone_into(&mut entered.seen);
        Ok(View { asked: &asked, snapshot, credit, entered: &entered }.page(&[], None, None))
    };
    let page: Result<Page, Failure> = page.await;
    answer(&asked, page).await
}

/// What somebody sent: a lot more, a look at what it would change, or the record of it.
pub(crate) async fn send(Path(key): Path<String>, asked: Asked, form: Form) -> Response {
    match sent(&asked, key, &form).await {
        Ok(Sent::Recorded(to)) => Redirect::to(&to).into_response(),
        Ok(Sent::Page(page)) => answer(&asked, Ok(page)).await,
        Err(failure) => failed(&failure),
    }
}

enum Sent {
    /// It is recorded; where to go on.
    Recorded(String),
    /// It is not: the page says why, or what it would change.
    Page(Page),
}

const CHANGED: &str = "Somebody else recorded something about this credit since you opened the form; it stands below as what is \
                       replaced. Save again if yours shall count instead.";
const NOT_PREVIEWED: &str = "What you entered is not what the preview showed. Look at it, then save.";

async fn sent(asked: &Asked, key: String, form: &Form) -> Result<Sent, Failure> {
    let snapshot = asked.snapshot().await?;
    if !asked.sees_credit(&key).await? {
        return Ok(Sent::Page(Page::of_others()));
    }
    let credit = found(&CreditName::Key(key.into()), snapshot)?;
    let mut entered = Entered::of(form);
    // What was recorded meanwhile is said once, whatever was asked for.
    let newest = newest_revision(&snapshot.log, credit);
    let changed = (entered.seen != newest).then_some(CHANGED);
    newest.clone_into(&mut entered.seen);
    let view = View { asked, snapshot, credit, entered: &entered };
    let (wish, is_final) = match form.text("action") {
        Some("more") => return Ok(Sent::Page(view.with_another_lot(changed))),
        Some("save") => (Wish::Allocate, true),
        Some("move") => (Wish::Move, false),
        Some("save-move") => (Wish::Move, true),
        Some("revoke") => (Wish::Revoke, false),
        Some("save-revoke") => (Wish::Revoke, true),
        _ => (Wish::Allocate, false),
    };
    let rows = match rows(wish, &entered, snapshot, credit) {
        Ok(rows) => rows,
        Err(wrong) => return Ok(Sent::Page(view.page(&wrong, None, changed))),
    };
    let wrong = not_theirs(asked, &rows, wish);
    if !wrong.is_empty() {
        return Ok(Sent::Page(view.page(&wrong, None, changed)));
    }
    let recording = snapshot.recording(&asked.context, (None, Some(&asked.session.person)), None);
    if let Err(problems) = Proposal::check(snapshot, &rows, &recording) {
        let wrong: Vec<Wrong> = problems.0.iter().map(Wrong::of_problem).collect();
        return Ok(Sent::Page(view.page(&wrong, None, changed)));
    }
    let proposal = Proposal::of(&asked.context, snapshot, credit, &rows, &recording).await?;
    let not_previewed = (is_final && entered.previewed != entered.digest(wish)).then_some(NOT_PREVIEWED);
    let note = changed.or(not_previewed);
    if !is_final || note.is_some() {
        return Ok(Sent::Page(view.page(&[], Some((&proposal, wish)), note)));
    }
    // Of two people who save at once the second one sees what the first recorded.
    let _one_at_a_time = asked.site.recording.lock().await;
    let log: Vec<AllocationLogRow> = asked.context.lake.logs().read().await?;
    if newest_revision(&log, credit) != newest {
        let message = "somebody else recorded something about this credit at this moment; nothing of yours was recorded. Open the \
                       form again";
        return Err(Failure::new(Kind::LostRace, message));
    }
    proposal.record(&asked.context).await?;
    Ok(Sent::Recorded(recorded_at(asked, credit, snapshot)))
}

/// Nodes that they do not see, each at its field.
fn not_theirs(asked: &Asked, rows: &[AllocationRow], wish: Wish) -> Vec<Wrong> {
    let own = asked.own_nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let of = |row: &AllocationRow| {
        let node = row.node.as_ref().filter(|node| !asked.access.sees(node))?;
        let message = format!("node {node} is not among those that you see: {own} and what lies below");
        let (lot, field) = match wish {
            Wish::Move => (None, "move_to"),
            _ => (row.at.row.and_then(|row| usize::try_from(row).ok()), "node"),
        };
        Some(Wrong { lot, field, message })
    };
    rows.iter().filter_map(of).collect()
}

/// The newest revision of the credit; empty where there is none.
fn newest_revision<'a>(log: &'a [AllocationLogRow], credit: &RegisteredCredit) -> &'a str {
    let of_credit = log.iter().filter(|row| row.credit_key == credit.credit_key);
    let newest = of_credit.max_by_key(|row| (row.recorded_at, &row.allocation_id));
    newest.map_or("", |row| row.allocation_id.as_str())
}

/// Where to go on: at the queue where the credit waited there, else at the credit.
fn recorded_at(asked: &Asked, credit: &RegisteredCredit, before: &CreditSnapshot) -> String {
    let path = match revision::current(before, credit) {
        Ok(_) => credit_address(&credit.credit_key),
        Err(_waited) => "/queue".to_owned(),
    };
    asked.filter.elsewhere(&path, &[("done", DONE)])
}

/// The rows of the revision.
fn rows(
    wish: Wish,
    entered: &Entered,
    snapshot: &CreditSnapshot,
    credit: &RegisteredCredit,
) -> Result<Vec<AllocationRow>, Vec<Wrong>> {
    let refused = |field: &'static str| {
        move |why: String| vec![Wrong { lot: None, field, message: why.replace("from_period", "the month") }]
    };
    let mut rows = match wish {
        Wish::Allocate => entered.rows(credit)?,
        Wish::Move => {
            let (lot, from, to) = entered.movement()?;
            let current = revision::current(snapshot, credit).map_err(refused("move"))?;
            move_lot(&current, Some(lot), from, &to).map_err(refused("move_to"))?
        }
        Wish::Revoke => vec![revision::revocation("revoke", snapshot, credit).map_err(refused("revoke"))?],
    };
    for row in &mut rows {
        row.note = entered.note.as_deref().map(Into::into);
    }
    Ok(rows)
}
