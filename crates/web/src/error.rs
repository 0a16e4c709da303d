//! One clear page for every error.

use application::foreign_text::{LINE, visible};
use application::{Failure, Kind};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::frame::plain;

/// The status that says what the caller can do about a failure.
pub(crate) const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Usage | Kind::BadInput => StatusCode::BAD_REQUEST,
        Kind::NotYet => StatusCode::NOT_FOUND,
        Kind::LostRace => StatusCode::CONFLICT,
        Kind::CheckFailed => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Storage => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What went wrong, in the words that a terminal has; each line with nothing hidden in it.
pub(crate) fn lines(failure: &Failure) -> Vec<String> {
    failure.to_string().lines().map(str::to_owned).collect()
}

/// A failure as a part of a page.
pub(crate) fn told(failure: &Failure) -> Markup {
    html! {
        div.problem role="alert" {
            @for line in lines(failure) { p { (line) } }
        }
    }
}

/// A page that stands for one that cannot be shown.
pub(crate) fn failed(failure: &Failure) -> Response {
    let heading = match failure.kind {
        Kind::Usage | Kind::BadInput => "This cannot be answered",
        Kind::NotYet => "Nothing to show yet",
        Kind::LostRace => "Somebody was faster",
        Kind::CheckFailed => "The lake is damaged, or a check failed",
        Kind::Storage => "The lake cannot be reached",
    };
    let body = html! {
        (told(failure))
        @if failure.kind == Kind::NotYet { p { a href="/runs" { "Runs" } " says how far the first one is." } }
    };
    (status(failure.kind), plain(heading, &body)).into_response()
}

/// A request that is not answered at all.
pub(crate) fn refusal(status: StatusCode, why: &str) -> (StatusCode, Markup) {
    let heading = status.canonical_reason().unwrap_or("Refused");
    (status, plain(heading, &html! { p { (visible(why, LINE)) } }))
}

/// What a panic becomes: the person is told, the rest goes on.
pub(crate) fn panicked(_panic: Box<dyn std::any::Any + Send>) -> Response {
    let why =
        "Something went wrong in the program; the log of `finops-credits serve` says where. Nothing was recorded.";
    refusal(StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
}
