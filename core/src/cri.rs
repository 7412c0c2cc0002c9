//! CRI log entries (CONTRACT 4): framing of a stream's bytes into entries, and the parser that gives the exact bytes back.

use crate::time::{Mono, Wall};
use crate::wire::Stream;

/// One entry, borrowed from a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When its first byte was read.
    pub at: Wall,
    /// Which output.
    pub stream: Stream,
    /// Whether the line ends with this entry (`F`) or goes on in the stream's next one (`P`).
    pub full: bool,
    /// The bytes, without the newline.
    pub content: &'a [u8],
}

/// Why a line of a log is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// For people.
    pub message: String,
}

/// Parses one entry, given without its newline.
pub fn parse(_line: &[u8]) -> Result<Entry<'_>, ParseError> {
    todo!()
}

/// Frames both streams of one command into one log.
#[derive(Debug)]
pub struct Framer {}

impl Framer {
    /// Longest content of an entry, in bytes.
    pub const MAX_CONTENT: usize = 16_384;
    /// How long an open line may be idle before it is written as a `P` entry.
    pub const IDLE_NS: u64 = 200_000_000;

    /// For a new log.
    pub fn new() -> Framer {
        todo!()
    }

    /// Takes bytes of a stream, read at `mono`/`at`; appends the entries that they complete to `out`.
    pub fn push(&mut self, _stream: Stream, _bytes: &[u8], _mono: Mono, _at: Wall, _out: &mut Vec<u8>) {
        todo!()
    }

    /// When [`Framer::idle`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        todo!()
    }

    /// Writes open lines that have been idle long enough.
    pub fn idle(&mut self, _mono: Mono, _out: &mut Vec<u8>) {
        todo!()
    }

    /// Ends a stream; `true` where its last line had no newline (it is closed with an `F` entry, empty if need be).
    pub fn finish(&mut self, _stream: Stream, _out: &mut Vec<u8>) -> bool {
        todo!()
    }
}
