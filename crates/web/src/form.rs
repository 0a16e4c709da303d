//! A form that somebody sent: its fields, once it is sure that a page of this session sent it.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::error::refusal;
use crate::guard::access::Access;
use crate::guard::session::Session;
use crate::site::Shared;

/// The fields of a form, in order.
pub(crate) struct Form(Vec<(String, String)>);

/// The field that carries the session's token.
pub(crate) const TOKEN: &str = "form_token";

impl Form {
    /// The first value of a field, without blanks around it; nothing where it is empty.
    pub(crate) fn text(&self, name: &'static str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// All values of a field, without blanks around them.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.trim())
    }
}

impl FromRequest<Shared> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        if shared.0.settings.read_only {
            return Err(
                refusal(StatusCode::FORBIDDEN, "This page is read-only: nothing can be recorded.").into_response()
            );
        }
        if !request.extensions().get::<Access>().is_some_and(Access::may_allocate) {
            let why =
                "You may look here, and record nothing. Roles are given by groups; ask whoever looks after this page.";
            return Err(refusal(StatusCode::FORBIDDEN, why).into_response());
        }
        let session = request.extensions().get::<Session>().cloned();
        let body = Bytes::from_request(request, shared).await.map_err(IntoResponse::into_response)?;
        let form = Self(form_urlencoded::parse(&body).into_owned().collect());
        if session.is_some_and(|session| form.text(TOKEN).is_some_and(|token| session.owns(token))) {
            return Ok(form);
        }
        let why = "This form is not of your session. Go back, load the page again, and send it from there.";
        Err(refusal(StatusCode::FORBIDDEN, why).into_response())
    }
}
