//! Which address shows what.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::assets::asset;
use crate::error::{panicked, refusal};
use crate::guard::{guard, known_only, login, sign_in};
use crate::identity::CALLBACK;
use crate::pages;
use crate::site::{Shared, Site};

/// Bytes of a form.
const LARGEST_FORM: usize = 256 * 1024;

/// How long an answer may take.
const LONGEST: Duration = Duration::from_mins(1);

/// All pages and forms.
pub fn router(site: Arc<Site>) -> Router {
    let shared = Shared(site);
    let pages = Router::new()
        .route("/", get(pages::overview::show))
        .route("/queue", get(pages::queue::show))
        .route("/credits", get(pages::credits::show))
        .route("/credits/{key}", get(pages::credit::show))
        .route("/credits/{key}/allocate", get(pages::allocate::show).post(pages::allocate::send))
        .route("/net-cost", get(pages::net_cost::show))
        .route("/expiry", get(pages::expiry::show))
        .route("/months", get(pages::months::show))
        .route("/runs", get(pages::runs::show).post(pages::runs::start))
        .route("/query", get(pages::query::show))
        .route("/nodes", get(pages::nodes::show))
        .route("/help", get(pages::help::show))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "There is no such page here."))
        .layer(from_fn_with_state(shared.clone(), known_only));
    Router::new()
        .route("/login", get(login::login))
        .route(CALLBACK, get(sign_in::callback))
        .route("/logout", post(sign_in::sign_out))
        .route("/assets/{name}", get(asset))
        .merge(pages)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONGEST))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod allocate_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod published;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod visitor;
