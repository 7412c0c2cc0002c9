//! CRI log entries (CONTRACT 4): framing of a command's bytes into entries, the parser, the way back to the exact bytes, and
//! the rows that people see.
//!
//! Owns the format alone. Which bytes are logged is [`crate::capture`]'s, what is masked in them [`crate::redact`]'s.

mod bytes;
mod entries;
mod framer;
mod index;
mod parse;
mod rows;
mod stamp;

pub use bytes::{StreamBytes, stream_bytes};
pub use framer::Framer;
pub use index::RowIndex;
pub use parse::{Entry, ParseError, parse};
pub use rows::{Checkpoint, Row, Rows, StreamState};

/// Bytes of an entry before its content: `2026-11-22T02:13:04.123456789Z stdout F `. Both streams' names have six letters.
const HEAD_LEN: usize = stamp::LEN + " stdout F ".len();
