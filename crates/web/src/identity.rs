//! Who somebody is, as somebody else says it.

use application::Failure;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Where a provider leads back to.
pub(crate) const CALLBACK: &str = "/login/callback";

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What they record carries this name: an address that was verified, or what the provider knows them by.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
}

/// What proves that an answer belongs to a sign-in that was begun here. Only the browser that began it has this, encrypted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begun {
    /// Comes back with the answer.
    pub state: String,
    /// Stands in the identity token.
    pub nonce: String,
    /// Shows that who brings the code began the sign-in (PKCE).
    pub verifier: String,
}

/// Who says who somebody is.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Begins a sign-in: the address to go to, and what is kept until the answer comes.
    ///
    /// # Errors
    /// [`Failure`] where the provider cannot be reached.
    async fn begin(&self) -> Result<(String, Begun), Failure>;

    /// Who brought this code.
    ///
    /// # Errors
    /// [`BadInput`](application::Kind::BadInput) where the answer does not count, another [`Failure`] where there is none.
    async fn identity(&self, code: String, begun: &Begun) -> Result<Identity, Failure>;
}
