//! The secret that opens a session, good for one use.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use subtle::ConstantTimeEq;

/// Bytes of chance in a token.
const BYTES: usize = 32;

/// A secret that opens one session.
pub struct LoginToken(Mutex<Option<String>>);

/// Bytes of chance, in hexadecimal.
pub(crate) fn random_text() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes)?;
    let mut text = String::with_capacity(2 * BYTES);
    for byte in bytes {
        let _written = write!(text, "{byte:02x}");
    }
    Ok(text)
}

impl LoginToken {
    /// A new token, and its text for the address.
    ///
    /// # Errors
    /// Where the system has no chance to give.
    pub fn random() -> Result<(Self, String), std::io::Error> {
        let text = random_text().map_err(std::io::Error::other)?;
        Ok((Self(Mutex::new(Some(text.clone()))), text))
    }

    /// True for the token; then it is used up.
    pub(crate) fn take(&self, said: &str) -> bool {
        let mut token = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = token.as_ref().is_some_and(|token| token.as_bytes().ct_eq(said.as_bytes()).into());
        if fits {
            *token = None;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_works_once_and_no_other_does() {
        let (token, text) = LoginToken::random().unwrap();
        assert_eq!(text.len(), 64);
        assert!(!token.take(""));
        assert!(!token.take(&text[1..]));
        assert!(token.take(&text));
        assert!(!token.take(&text));
        assert_ne!(LoginToken::random().unwrap().1, text);
    }
}
