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

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn page(failure: &Failure) -> (u16, String) {
        let response = failed(failure);
        let status = response.status().as_u16();
        (status, String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn status_says_what_a_caller_can_do_and_the_page_what_a_person_can() {
        for (kind, expected, heading) in [
            (Kind::Usage, 400, "This cannot be answered"),
            (Kind::BadInput, 400, "This cannot be answered"),
            (Kind::NotYet, 404, "Nothing to show yet"),
            (Kind::LostRace, 409, "Somebody was faster"),
            (Kind::CheckFailed, 500, "The lake is damaged, or a check failed"),
            (Kind::Storage, 503, "The lake cannot be reached"),
        ] {
            let (status, html) = page(&Failure::new(kind, "why it is so")).await;
            assert_eq!(status, expected, "{heading}");
            assert!(html.contains(&format!("<h1>{heading}</h1>")) && html.contains("<p>why it is so</p>"), "{html}");
            assert_eq!(html.contains("/runs"), kind == Kind::NotYet, "{heading}: a first run can be started there");
        }
    }

    #[tokio::test]
    async fn places_of_a_failure_stand_in_lines_of_their_own_and_none_can_break_or_hide() {
        let places = ["a.csv, row 2: <b>\u{1b}[2J", "a.csv, row 3: two\nlines of AKIAIOSFODNN7EXAMPLE"];
        let (_, html) = page(&Failure::list(Kind::BadInput, "rows that are wrong:", places)).await;
        let expected = "<p>rows that are wrong:</p>";
        assert!(html.contains(expected), "{html}");
        assert!(
            html.contains(r"row 2: &lt;b&gt;\u{1b}[2J</p>") && html.contains(r"row 3: two\nlines of AKIAIO…</p>"),
            "{html}"
        );
        assert_eq!(html.matches("<p>").count(), 4, "three lines and the way back: {html}");
    }
}
