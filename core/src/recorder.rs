//! The recorder: what happens at run time becomes what is written.
//!
//! Owns `at_ms`, the index of a command in its job, whether `sh` must be said, and masking of texts. It checks the order of
//! what happens: a wrong order is our own bug and panics with the reason.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ids::JobId;
use crate::time::Wall;
use crate::wire::{
    Cause, Event, FailureKind, JobFailure, JobOutcome, RunFailure, RunOutcome, RunStarted, ShFailure, SkipReason,
    Stream,
};

/// What happens in a run, as the engine knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeEvent {
    /// The run begins.
    RunStarted(RunStarted),
    /// Something for people.
    RunLogged(String),
    /// A job begins.
    JobStarted(JobId),
    /// A job's script logs.
    JobLogged(JobId, String),
    /// An attempt failed, the next begins.
    JobRetried(JobId, JobFailure),
    /// A job ends without running on.
    JobSkipped(JobId, SkipReason, Option<String>),
    /// A job ends.
    JobFinished(JobId, JobEnd),
    /// A command begins; the recorder gives it the job's next index.
    ShStarted {
        /// Its job.
        job: JobId,
        /// For people, not yet masked.
        cmd: String,
        /// Replay key.
        key: Option<String>,
    },
    /// A command ended.
    ShFinished(JobId, ShEnd),
    /// The run ends.
    RunFinished {
        /// How.
        outcome: RunOutcome,
        /// What kind of failure.
        failure_kind: Option<FailureKind>,
        /// For people.
        error: Option<RunFailure>,
        /// Workspace fingerprint.
        fingerprint: Option<String>,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEnd {
    /// How.
    pub outcome: JobOutcome,
    /// What its script returned, not yet masked.
    pub output: Option<Value>,
    /// Answered from a record.
    pub replayed: bool,
    /// Its failure is allowed.
    pub allowed: bool,
    /// Why it failed.
    pub error: Option<JobFailure>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShEnd {
    /// 1-based index in its job.
    pub n: u32,
    /// Exit code, 128 + signal for a signal.
    pub exit_code: i32,
    /// Signal.
    pub signal: Option<i32>,
    /// Why it never started.
    pub error: Option<ShFailure>,
    /// What ended it.
    pub cause: Option<Cause>,
    /// Streams without a last newline.
    pub no_eol: Vec<Stream>,
    /// Its log holds a mask.
    pub masked: bool,
    /// Its answer lacks bytes.
    pub truncated: bool,
    /// A left process held its output.
    pub detached: bool,
    /// Answered from a record.
    pub replayed: bool,
}

/// Turns [`RuntimeEvent`]s into wire [`Event`]s, in order.
#[derive(Debug, Default)]
pub struct Recorder {
    _todo: BTreeMap<JobId, ()>,
}

impl Recorder {
    /// For a run that begins.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// The wire event of what happens now. `mask` masks a text and tells whether it held a secret; it is applied to cmd, text,
    /// message, params' values and every string of an output (keys too), never to kinds, ids, refs and numbers.
    ///
    /// # Panics
    /// Where the order of what happens is impossible.
    pub fn record(&mut self, _at: Wall, _event: RuntimeEvent, _mask: &dyn Fn(&str) -> Option<String>) -> Event {
        todo!()
    }

    /// The index that the next `ShStarted` of the job gets.
    pub fn next_sh(&self, _job: &JobId) -> u32 {
        todo!()
    }
}
