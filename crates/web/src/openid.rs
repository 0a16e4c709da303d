//! An OpenID provider (OpenID Connect: authorization code with PKCE).

use std::collections::HashMap;
use std::time::Duration;

use application::foreign_text::{LINE, visible};
use application::{Failure, Kind};
use async_trait::async_trait;
use lake::WebSettings;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::{Begun, CALLBACK, Identity, IdentityProvider};

/// How long the provider may take to answer.
const LONGEST: Duration = Duration::from_secs(10);

/// Signatures with a key that only the provider has. One with the client's secret could be made by whoever has that.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Claims beyond the standard ones: the groups are among them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct OtherClaims(HashMap<String, Value>);

impl AdditionalClaims for OtherClaims {}

type Fields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// [`openidconnect::core::CoreClient`], with those claims.
type Described = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The OpenID provider that the settings name.
pub struct OpenId {
    settings: WebSettings,
    secret: Option<String>,
    http: reqwest::Client,
}

impl OpenId {
    /// A provider, and the secret that it knows this page by.
    ///
    /// # Errors
    /// Where the system gives no roots of trust for TLS.
    pub fn new(settings: WebSettings, secret: Option<String>) -> Result<Self, std::io::Error> {
        // A provider that leads elsewhere is not followed there.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(LONGEST);
        Ok(Self { settings, secret, http: http.build().map_err(std::io::Error::other)? })
    }

    /// The provider as it describes itself now: its keys change, and people seldom sign in.
    async fn described(&self) -> Result<Described, Failure> {
        let WebSettings { issuer, client_id, .. } = &self.settings;
        let wrong = |error: &dyn std::error::Error| {
            let message = format!("the OpenID provider {issuer} cannot be asked: {}", chain(error));
            Failure::new(Kind::Storage, message)
        };
        let address = IssuerUrl::new(issuer.clone()).map_err(|error| wrong(&error))?;
        let described = CoreProviderMetadata::discover_async(address, &self.http).await;
        let described = described.map_err(|error| wrong(&error))?;
        let back = RedirectUrl::new(format!("{}{CALLBACK}", self.settings.origin())).map_err(|error| wrong(&error))?;
        let secret = self.secret.clone().map(ClientSecret::new);
        let client = Client::from_provider_metadata(described, ClientId::new(client_id.clone()), secret);
        Ok(client.set_redirect_uri(back))
    }

    fn does_not_count(&self, why: &dyn std::error::Error) -> Failure {
        let issuer = &self.settings.issuer;
        Failure::new(
            Kind::BadInput,
            format!("the answer of the OpenID provider {issuer} does not count: {}", chain(why)),
        )
    }
}

#[async_trait]
impl IdentityProvider for OpenId {
    async fn begin(&self) -> Result<(String, Begun), Failure> {
        let provider = self.described().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let request = provider.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        // The library asks for `openid` itself.
        let scopes = self.settings.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new);
        let (address, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        let (state, nonce, verifier) = (state.into_secret(), nonce.secret().clone(), verifier.into_secret());
        Ok((address.into(), Begun { state, nonce, verifier }))
    }

    async fn identity(&self, code: String, begun: &Begun) -> Result<Identity, Failure> {
        let provider = self.described().await?;
        let request =
            provider.exchange_code(AuthorizationCode::new(code)).map_err(|error| self.does_not_count(&error))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(begun.verifier.clone()));
        let answer = request.request_async(&self.http).await.map_err(|error| self.does_not_count(&error))?;
        let nothing = std::io::Error::other("it holds no identity token");
        let token = answer.id_token().ok_or_else(|| self.does_not_count(&nothing))?;
        // Its keys as they are now: the one that signed may have come since.
        let provider = self.described().await?;
        let verifier = provider.id_token_verifier().set_allowed_algs(SIGNATURES);
        let claims = token.claims(&verifier, &Nonce::new(begun.nonce.clone()));
        let claims = claims.map_err(|error| self.does_not_count(&error))?;
        // An address that the provider has not checked may be somebody else's.
        let email = claims.email().filter(|_| claims.email_verified() == Some(true)).map(|email| email.as_str());
        let name = email.unwrap_or_else(|| claims.subject().as_str()).to_owned();
        Ok(Identity { name, groups: groups(claims.additional_claims().0.get(&self.settings.groups_claim)) })
    }
}

/// The groups of a claim; some providers state a single one without a list.
fn groups(claim: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match claim {
        Some(Value::Array(groups)) => groups.iter().filter_map(text).collect(),
        Some(group) => text(group).into_iter().collect(),
        None => Vec::new(),
    }
}

/// An error, and what it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    visible(&text, LINE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_texts_of_a_list_or_a_single_one() {
        for (claim, expected) in [
            (Some(json!(["finance", 7, "finops"])), &["finance", "finops"][..]),
            (Some(json!("finance")), &["finance"]),
            (Some(json!({"finance": true})), &[]),
            (None, &[]),
        ] {
            assert_eq!(groups(claim.as_ref()), expected, "{claim:?}");
        }
    }
}
