//! Pairing: wire events in, row commands out. CONTRACT 1's pairing rules, total over any sequence.

use crate::ids::RunId;
use crate::rows::RowCommand;
use crate::wire::{Event, FailureKind};

/// What was irregular in a stream: counted, never fatal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Irregularities {
    /// `sh_finished` with nothing open, or naming a command that is not open.
    pub unmatched_finish: u64,
    /// `sh_started`, `job_finished` or `job_retried` of a job not started.
    pub implied_start: u64,
    /// A second `run_started` or `job_started`.
    pub repeated_start: u64,
    /// Events of a job after its end, or after `run_finished`.
    pub after_end: u64,
    /// Commands aborted because their job ended over them.
    pub aborted_commands: u64,
}

/// The state machine that pairs Started with Finished.
#[derive(Debug)]
pub struct Pairing {}

impl Pairing {
    /// For the stream of one run. The id is the caller's (a base-format stream does not tell it).
    pub fn new(_run_id: RunId) -> Pairing {
        todo!()
    }

    /// Takes the next event; appends the puts that it causes, parents before children.
    pub fn push(&mut self, _event: &Event, _out: &mut Vec<RowCommand>) {
        todo!()
    }

    /// The producer is known to be dead: aborts what is open at the largest time seen and ends the run. Does nothing to a
    /// run that has ended.
    pub fn close(&mut self, _kind: FailureKind, _out: &mut Vec<RowCommand>) {
        todo!()
    }

    /// Whether `run_finished` was seen, or `close` called.
    pub fn is_finished(&self) -> bool {
        todo!()
    }

    /// What was irregular so far.
    pub fn irregularities(&self) -> &Irregularities {
        todo!()
    }
}
