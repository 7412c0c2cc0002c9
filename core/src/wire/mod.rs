//! Wire events: the append-only JSON-lines stream that every run leaves (CONTRACT 1).
//!
//! Owns the typed events, their encoding, their decoding and the incremental reader. What the order of events means is
//! [`crate::pairing`]'s; what may happen next is [`crate::recorder`]'s.

mod decode;
mod encode;
mod event;
mod fields;
mod reader;
mod scan;

pub use decode::{DecodeError, Decoded, decode};
pub use encode::{MAX_OUTPUT_DEPTH, encode};
pub(crate) use event::wire_words;
pub use event::{
    Cause, Event, EventKind, FailureKind, JobFailure, JobFinished, JobListed, JobLogged, JobOutcome, JobRetried,
    JobSkipped, JobStarted, RunFailure, RunFinished, RunLogged, RunOutcome, RunStarted, ShFailure, ShFinished,
    ShStarted, SkipReason, Stream,
};
pub use reader::{Line, Reader};
