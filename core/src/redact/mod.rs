//! Masking of secrets (CONTRACT 4, "Masking"): in text at once, and in a byte stream cut anywhere.
//!
//! Leftmost-longest: at the first byte where any form of a secret begins, the longest form that matches there becomes
//! [`SecretSet::MASK`], and the search goes on behind it.

mod encodings;
mod forms;
mod matcher;
mod needles;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use forms::add_forms;
use matcher::Matcher;
pub use stream::Redactor;

/// Why a secret is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short to be masked without making the log unreadable. Line ends at its end do not count.
    #[error("has {0} bytes; a secret has at least 4, or masking it would make the log unreadable")]
    TooShort(usize),
}

/// The set of a run's secrets in all forms that are masked: one shared matcher. Cheap to clone; never prints what it holds.
#[derive(Clone, Default)]
pub struct SecretSet {
    matcher: Option<Arc<Matcher>>,
}

impl PartialEq for SecretSet {
    /// Equal where both mask the same.
    fn eq(&self, other: &SecretSet) -> bool {
        self.forms() == other.forms()
    }
}

impl Eq for SecretSet {}

impl fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSet(..)")
    }
}

impl SecretSet {
    /// What a masked secret reads.
    pub const MASK: &'static str = "***";

    /// The set of these secrets. Line ends at the end of a secret, as a file has them, are no part of it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Result<SecretSet, SecretError> {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            add_forms(secret, &mut forms)?;
        }
        Ok(SecretSet::of(forms))
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.matcher.is_none()
    }

    /// This set with one more secret (`rt.mask`).
    pub fn with(&self, secret: &[u8]) -> Result<SecretSet, SecretError> {
        let mut forms: BTreeSet<Vec<u8>> = self.forms().iter().cloned().collect();
        add_forms(secret, &mut forms)?;
        Ok(SecretSet::of(forms))
    }

    /// The text masked, or `None` where it holds no secret. A secret that is no UTF-8 may leave U+FFFD beside its mask.
    pub fn mask(&self, text: &str) -> Option<String> {
        let masked = self.mask_bytes(text.as_bytes())?;
        Some(String::from_utf8(masked).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The bytes masked, or `None` where they hold no secret.
    pub fn mask_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let matcher = self.matcher.as_deref()?;
        matcher.find(bytes)?;
        let mut redactor = Redactor::new(self.clone());
        let mut out = Vec::with_capacity(bytes.len());
        redactor.push(bytes, &mut out);
        redactor.finish(&mut out);
        redactor.masked().then_some(out)
    }

    fn of(forms: BTreeSet<Vec<u8>>) -> SecretSet {
        SecretSet { matcher: (!forms.is_empty()).then(|| Arc::new(Matcher::new(forms))) }
    }

    /// What is masked, sorted.
    fn forms(&self) -> &[Vec<u8>] {
        self.matcher.as_deref().map_or(&[], Matcher::forms)
    }
}
