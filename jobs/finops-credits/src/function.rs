//! The page as an AWS Lambda function, where the program is built with AWS.

use axum::Router;

use crate::Failure;

/// True in the process of a function.
#[cfg(feature = "aws")]
#[expect(clippy::disallowed_methods, reason = "so AWS tells a function")]
pub(crate) fn is_one() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Answers requests until the function is shut down.
///
/// # Errors
/// Where the runtime cannot be asked for requests.
#[cfg(feature = "aws")]
pub(crate) async fn answer(pages: Router) -> Result<(), Failure> {
    let cannot = |error| Failure::new(crate::Kind::Storage, format!("serve: the Lambda runtime: {error}"));
    lambda_http::run(pages).await.map_err(cannot)
}

/// False: the program is built without AWS.
#[cfg(not(feature = "aws"))]
pub(crate) const fn is_one() -> bool {
    false
}

/// Answers nothing: the program is built without AWS.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "with AWS it asks for requests")]
pub(crate) async fn answer(_: Router) -> Result<(), Failure> {
    Ok(())
}
