//! One line of JSON to one event.

use super::event::Event;

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// An event that this version knows.
    Event(Event),
    /// A well-formed event of a kind that this version does not know: to be stepped over. Holds its `type`.
    Unknown(String),
}

/// Why a line is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// For people.
    pub message: String,
}

/// Decodes one line, given without its newline. Unknown fields are ignored.
pub fn decode(_line: &[u8]) -> Result<Decoded, DecodeError> {
    todo!()
}
