//! The way in: on a laptop a token in the address that the program prints, good for one use; else the OpenID provider.

use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::PrivateCookieJar;
use serde::Deserialize;

use super::next_page::local;
use super::session::Session;
use super::sign_in::begin;
use crate::error::refusal;
use crate::site::{Entrance, Shared};

#[derive(Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// `/login?token=…`: the token becomes a cookie, and leaves the address. `/login?next=…`: leads to the provider.
pub(crate) async fn login(
    State(shared): State<Shared>,
    method: Method,
    jar: PrivateCookieJar,
    Query(said): Query<Said>,
) -> Response {
    let (token, person) = match &shared.0.entrance {
        Entrance::Token { token, person } => (token, person),
        Entrance::Shared(organisation) => return begin(&shared.0, organisation, &said.next, jar).await,
    };
    // What only asks for headers, a preview of a link say, does not use the token up.
    if method != Method::GET || !token.take(&said.token) {
        let why = "This address has been used, or is not the one that `finops-credits serve` printed. It works once; to get a \
                   new one, start it again.";
        return refusal(StatusCode::UNAUTHORIZED, why).into_response();
    }
    match Session::begin(&shared.0, person.clone(), Vec::new()) {
        Ok(session) => (jar.add(session.cookie(&shared.0)), Redirect::to(local(&said.next))).into_response(),
        Err(error) => {
            refusal(StatusCode::INTERNAL_SERVER_ERROR, &format!("No session can begin: {error}")).into_response()
        }
    }
}
