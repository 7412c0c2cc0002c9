//! The incremental reader: bytes cut anywhere in, decoded lines out.

use super::decode::{DecodeError, Decoded};

/// One whole line of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// 1-based line number.
    pub number: u64,
    /// Offset in the stream of the byte after the line's newline: where a reader that restarts goes on.
    pub end: u64,
    /// What it holds. A blank line is a decode error.
    pub decoded: Result<Decoded, DecodeError>,
}

/// Splits a stream into lines and decodes each. A torn last line stays pending and is never an error.
#[derive(Debug, Default)]
pub struct Reader {}

impl Reader {
    /// A reader that begins at byte `offset`, which is line `number` (1-based) of the stream.
    pub fn starting_at(_offset: u64, _number: u64) -> Reader {
        todo!()
    }

    /// Takes the next bytes and hands every line that they complete to `each`.
    pub fn push(&mut self, _bytes: &[u8], _each: impl FnMut(Line)) {
        todo!()
    }

    /// Bytes of the line that is not yet whole.
    pub fn pending(&self) -> &[u8] {
        todo!()
    }
}
