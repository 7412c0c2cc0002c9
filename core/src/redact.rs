//! Masking of secrets (CONTRACT 4, "Masking"): in text at once, and in a byte stream cut anywhere.

use std::fmt;
use std::sync::Arc;

/// Why a secret is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short to be masked without making the log unreadable.
    #[error("has {0} bytes; a secret has at least 4, or masking it would make the log unreadable")]
    TooShort(usize),
}

/// The set of a run's secrets in all forms that are masked: one shared automaton. Cheap to clone; never prints what it holds.
#[derive(Clone, Default)]
pub struct SecretSet {
    _inner: Option<Arc<()>>,
}

impl PartialEq for SecretSet {
    /// Equal where both mask the same.
    fn eq(&self, _other: &SecretSet) -> bool {
        todo!()
    }
}

impl fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSet(..)")
    }
}

impl SecretSet {
    /// What a masked secret reads.
    pub const MASK: &'static str = "***";

    /// The set of these secrets.
    pub fn new<'a>(_secrets: impl IntoIterator<Item = &'a [u8]>) -> Result<SecretSet, SecretError> {
        todo!()
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// This set with one more secret (`rt.mask`).
    pub fn with(&self, _secret: &[u8]) -> Result<SecretSet, SecretError> {
        todo!()
    }

    /// The text masked, or `None` where it holds no secret.
    pub fn mask(&self, _text: &str) -> Option<String> {
        todo!()
    }

    /// The bytes masked, or `None` where they hold no secret.
    pub fn mask_bytes(&self, _bytes: &[u8]) -> Option<Vec<u8>> {
        todo!()
    }
}

/// Masks one stream of bytes cut anywhere. Only a suffix that begins some form is held back.
#[derive(Debug)]
pub struct Redactor {}

impl Redactor {
    /// A redactor at the start of a stream.
    pub fn new(_secrets: SecretSet) -> Redactor {
        todo!()
    }

    /// From the next byte on, mask these.
    pub fn set_secrets(&mut self, _secrets: SecretSet) {
        todo!()
    }

    /// Takes bytes, appends what is decided to `out`.
    pub fn push(&mut self, _bytes: &[u8], _out: &mut Vec<u8>) {
        todo!()
    }

    /// The stream ends: what was held back is decided.
    pub fn finish(&mut self, _out: &mut Vec<u8>) {
        todo!()
    }

    /// Whether anything was masked so far.
    pub fn masked(&self) -> bool {
        todo!()
    }
}
