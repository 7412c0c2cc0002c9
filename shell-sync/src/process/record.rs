//! What performing a run's orders needs of its record.

use std::fs::File;
use std::io;

use quire_core::capture::{Captured, Tap};
use quire_core::ids::ShId;
use quire_core::wire::{Event, Stream};

/// Where a run is recorded.
pub trait Record {
    /// Appends the events, in order and whole. They are on their way to the disk when this returns, and only then the next order
    /// is performed. Events that follow one another without another order between them come in one call.
    ///
    /// # Errors
    /// Where not all were written. It is not called again: what the record holds is a run's beginning without gaps.
    fn append(&mut self, events: &[Event]) -> io::Result<()>;

    /// Creates a command's empty log, writable at its end.
    ///
    /// # Errors
    /// Where it cannot be created; the run ends then as for an event.
    fn open_log(&mut self, sh: &ShId) -> io::Result<File>;

    /// Makes the log of `recalled.from`, a command of the run that this one resumes, the log of `recalled.sh`, and reads from it
    /// what is asked for.
    ///
    /// # Errors
    /// For people: why there is no such log, or why it cannot be taken over or read.
    fn recall(&mut self, recalled: Recalled<'_>) -> Result<Captured, String> {
        Err(format!("there is no earlier run that has {}", recalled.from))
    }
}

/// The fields of a [`quire_core::engine::Output::Recall`].
#[derive(Debug, Clone, Copy)]
pub struct Recalled<'a> {
    /// The command of this run.
    pub sh: &'a ShId,
    /// The command of the earlier run.
    pub from: &'a ShId,
    /// What the answer keeps of its output; nothing where nobody wants it.
    pub tap: Option<Tap>,
    /// As its end was recorded.
    pub no_eol: &'a [Stream],
}
