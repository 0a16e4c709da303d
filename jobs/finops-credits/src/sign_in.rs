//! Who says who somebody is, where the program is built with it.

use lake::WebSettings;
use web::IdentityProvider;

use crate::{Failure, Kind};

/// The OpenID provider of the settings; it is asked once somebody signs in.
///
/// # Errors
/// [`Kind::BadInput`] for a secret that is not there, [`Kind::Usage`] where the program is built without it.
#[cfg(feature = "openid-connect")]
pub(crate) fn provider(web: &WebSettings) -> Result<Box<dyn IdentityProvider>, Failure> {
    let secret = web.client_secret.as_ref().map(|secret| secret.read()).transpose();
    let secret = secret.map_err(|why| Failure::new(Kind::BadInput, format!("[web] client_secret: {why}")))?;
    let provider = web::OpenId::new(web.clone(), secret);
    let provider = provider.map_err(|error| Failure::new(Kind::Storage, format!("serve: {error}")))?;
    Ok(Box::new(provider))
}

/// Fails: the program is built without it.
#[cfg(not(feature = "openid-connect"))]
pub(crate) fn provider(_: &WebSettings) -> Result<Box<dyn IdentityProvider>, Failure> {
    let message =
        "this program is built without sign-in; build it with `cargo build --release --features openid-connect`";
    Err(Failure::new(Kind::Usage, message))
}
