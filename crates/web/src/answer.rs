//! From a page in the making to what is sent.

use application::Failure;
use axum::response::{IntoResponse, Response};

use crate::asked::{Asked, not_theirs};
use crate::error::failed;
use crate::layout::{self, Head};
use crate::page::Page;

/// The page, or the file of one of its tables where the address asks for that.
pub(crate) async fn answer(asked: &Asked, page: Result<Page, Failure>) -> Response {
    let answer = match page {
        Ok(page) => sent(asked, page).await,
        Err(failure) => Err(failure),
    };
    answer.unwrap_or_else(|failure| failed(&failure))
}

async fn sent(asked: &Asked, mut page: Page) -> Result<Response, Failure> {
    if page.is_kept_from(&asked.access) {
        return Ok(not_theirs());
    }
    page.sort(&asked.filter)?;
    if let Some(kind) = asked.filter.stated("download") {
        return page.file(asked.filter.stated("table"), kind);
    }
    let body = page.body(Some((&asked.path, &asked.filter)))?;
    Ok(layout::page(asked, &page, &Head::read(asked).await?, &body).into_response())
}
