//! Masking of one stream of bytes, cut anywhere.

use std::fmt;

use super::SecretSet;
use super::matcher::Part;

/// Bytes that are searched at once: bounds what is remembered of places, whatever the length of a push.
const BLOCK: usize = 64 * 1024;

/// Masks one stream of bytes cut anywhere. Only a suffix that begins some form is held back: at most the longest form.
pub struct Redactor {
    secrets: SecretSet,
    /// The suffix of the stream that is not decided.
    held: Vec<u8>,
    /// Bytes of the stream before `held`.
    passed: u64,
    masked: bool,
}

/// What a redactor lets out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Where in the stream, before masking, the piece begins.
    pub(crate) offset: u64,
    /// Bytes of the stream, or a mask.
    pub(crate) bytes: &'a [u8],
    /// It is a mask.
    pub(crate) mask: bool,
}

impl fmt::Debug for Redactor {
    /// Tells lengths only: what is held back may be a part of a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("held", &self.held.len()).field("masked", &self.masked).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor at the start of a stream.
    pub fn new(secrets: SecretSet) -> Redactor {
        Redactor { secrets, held: Vec::new(), passed: 0, masked: false }
    }

    /// From the next byte on, mask these; what is held back counts as not yet come.
    pub fn set_secrets(&mut self, secrets: SecretSet) {
        self.secrets = secrets;
    }

    /// Takes bytes, appends what is decided to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.feed(bytes, |piece| out.extend_from_slice(piece.bytes));
    }

    /// The stream ends: what was held back is decided.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.flush(|piece| out.extend_from_slice(piece.bytes));
    }

    /// Whether anything was masked so far.
    pub fn masked(&self) -> bool {
        self.masked
    }

    /// Whether a push would let out its bytes as they are.
    pub(crate) fn passes_through(&self) -> bool {
        self.secrets.is_empty() && self.held.is_empty()
    }

    /// Bytes of the stream that are let out, before masking.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Bytes of the stream that were given to it.
    pub(crate) fn taken(&self) -> u64 {
        self.passed + self.held.len() as u64
    }

    /// Takes bytes, gives what is decided to `each`, in order.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        for block in bytes.chunks(BLOCK) {
            if self.held.is_empty() {
                let covered = self.split(block, false, &mut each);
                self.held.extend_from_slice(&block[covered..]);
                continue;
            }
            self.held.extend_from_slice(block);
            // Cheaper than the search for other places, while one secret comes in small pieces.
            if self.secrets.matcher.as_ref().is_some_and(|matcher| matcher.verdict(&self.held).open) {
                continue;
            }
            let joined = std::mem::take(&mut self.held);
            let covered = self.split(&joined, false, &mut each);
            self.held.extend_from_slice(&joined[covered..]);
        }
    }

    /// The stream ends: decides what was held back.
    pub(crate) fn flush(&mut self, mut each: impl FnMut(Piece<'_>)) {
        let held = std::mem::take(&mut self.held);
        self.split(&held, true, &mut each);
    }

    fn split(&mut self, bytes: &[u8], end: bool, each: &mut impl FnMut(Piece<'_>)) -> usize {
        let Redactor { secrets, passed, masked, .. } = self;
        let mut rest = bytes;
        let mut part = |part: Part| {
            let (Part::Plain(length) | Part::Secret(length)) = part;
            let (taken, after) = rest.split_at(length);
            rest = after;
            let mask = matches!(part, Part::Secret(_));
            if length > 0 {
                each(Piece { offset: *passed, bytes: if mask { SecretSet::MASK.as_bytes() } else { taken }, mask });
            }
            *passed += length as u64;
            *masked |= mask;
        };
        match &secrets.matcher {
            Some(matcher) => matcher.split(bytes, end, part),
            None => {
                part(Part::Plain(bytes.len()));
                bytes.len()
            }
        }
    }
}
