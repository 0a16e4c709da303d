//! The form that allocates a credit: what is entered, what it would change, then the record.

mod entered;
mod view;

use application::revision::{self, found};
use application::{CreditSnapshot, Failure, Proposal};
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use join_allocations::record::move_lot;
use schemas::reference::{AllocationRow, CreditName};
use schemas::tables::RegisteredCredit;

use crate::answer::answer;
use crate::asked::Asked;
use crate::error::failed;
use crate::filter::Filter;
use crate::form::Form;
use crate::page::Page;
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
        let snapshot = CreditSnapshot::of(&asked.context).await?;
        let credit = found(&CreditName::Key(key.into()), &snapshot)?;
        let entered = Entered::recorded(&snapshot, credit);
        Ok(View { asked: &asked, snapshot: &snapshot, credit, entered: &entered }.page(&[], None, None))
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

async fn sent(asked: &Asked, key: String, form: &Form) -> Result<Sent, Failure> {
    // Of two people who save at once the second one sees what the first recorded.
    let _one_at_a_time = asked.site.recording.lock().await;
    let snapshot = CreditSnapshot::of(&asked.context).await?;
    let credit = found(&CreditName::Key(key.into()), &snapshot)?;
    let entered = Entered::of(form);
    let view = View { asked, snapshot: &snapshot, credit, entered: &entered };
    let (wish, is_final) = match form.text("action") {
        Some("more") => return Ok(Sent::Page(view.with_another_lot())),
        Some("save") => (Wish::Allocate, true),
        Some("move") => (Wish::Move, false),
        Some("save-move") => (Wish::Move, true),
        Some("revoke") => (Wish::Revoke, false),
        Some("save-revoke") => (Wish::Revoke, true),
        _ => (Wish::Allocate, false),
    };
    let rows = match rows(wish, &entered, &snapshot, credit) {
        Ok(rows) => rows,
        Err(wrong) => return Ok(Sent::Page(view.page(&wrong, None, None))),
    };
    let recording = snapshot.recording(&asked.context, Some(&asked.session.person), None);
    if let Err(problems) = Proposal::check(&snapshot, &rows, &recording) {
        let wrong: Vec<Wrong> = problems.0.iter().map(Wrong::of_problem).collect();
        return Ok(Sent::Page(view.page(&wrong, None, None)));
    }
    let proposal = Proposal::of(&asked.context, &snapshot, credit, &rows, &recording).await?;
    let note = match (is_final, entered.seen == view.newest(), entered.previewed == entered.digest(wish)) {
        (false, _, _) => None,
        (true, false, _) => Some(
            "Somebody else recorded something about this credit since you opened the form; it stands below as \
                                  what is replaced. Save again if yours shall count instead.",
        ),
        (true, true, false) => Some("What you entered is not what the preview showed. Look at it, then save."),
        (true, true, true) => {
            proposal.record(&asked.context).await?;
            return Ok(Sent::Recorded(Filter::default().address("/queue", &[("done", &done(wish, credit))])));
        }
    };
    Ok(Sent::Page(view.page(&[], Some((&proposal, wish)), note)))
}

/// The rows of the revision.
fn rows(
    wish: Wish,
    entered: &Entered,
    snapshot: &CreditSnapshot,
    credit: &RegisteredCredit,
) -> Result<Vec<AllocationRow>, Vec<Wrong>> {
    let refused = |field: &'static str| move |why: String| vec![Wrong { lot: None, field, message: why }];
    let mut rows = match wish {
        Wish::Allocate => entered.rows(credit)?,
        Wish::Move => {
            let (lot, from, to) = entered.movement()?;
            let current = revision::current(snapshot, credit).map_err(refused("move"))?;
            move_lot(&current, Some(lot), from, &to).map_err(refused("move"))?
        }
        Wish::Revoke => vec![revision::revocation("revoke", snapshot, credit).map_err(refused("revoke"))?],
    };
    for row in &mut rows {
        row.note = entered.note.as_deref().map(Into::into);
    }
    Ok(rows)
}

fn done(wish: Wish, credit: &RegisteredCredit) -> String {
    let what = match wish {
        Wish::Allocate => "allocation of",
        Wish::Move => "move of",
        Wish::Revoke => "end of the allocation of",
    };
    format!("{what} {}", credit.promotion_code)
}
