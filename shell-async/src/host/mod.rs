//! Runs inside the server: the engine of quire-core, its commands on async-process.
//!
//! - `pool`: the threads that do it, and what becomes of orphans. `run`: one run, from its spec to the end of its record.
//! - `commands`: what an engine orders besides events, performed; `attend`: one command's pipes and its end.
//! - `inbox`: what the tasks of a run tell its loop.
//!
//! What is decided on the way (an event before the next order, what a log holds, whom a sweep ends) is quire-ci's
//! [`quire_ci::process`], and the same for both loops.

mod attend;
mod commands;
mod inbox;
mod pool;
mod run;

use std::path::PathBuf;

use quire_ci::cli::Spec;
use quire_ci::record::RunDir;
use quire_core::ids::RunId;
use quire_core::wire::RunOutcome;

pub use pool::HostPool;

/// A run to perform here.
#[derive(Debug)]
pub struct HostRun {
    /// The run.
    pub run_id: RunId,
    /// Its directory, held by this process. Its `events.jsonl` holds no whole line.
    pub dir: RunDir,
    /// Where commands start, and where the pipeline is.
    pub workspace: PathBuf,
    /// What is asked for. Its `run_id` does not count.
    pub spec: Spec,
    /// Most commands at once; 0 is the number of CPUs.
    pub slots: u32,
    /// What people should know besides: the first of [`HostEnded::notes`].
    pub notes: Vec<String>,
}

/// What can be asked of a run that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// To end. Asked again: to end without giving anything time for it.
    Cancel,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEnded {
    /// As the engine says; failed where the record could not be written.
    pub outcome: RunOutcome,
    /// Whether it was asked to end.
    pub cancelled: bool,
    /// Why the record could not be written, if it could not: the stream has no end then, and the lock file tells why.
    pub record_failure: Option<String>,
    /// What people should know besides the record: what a sweep could not end, what could not be resumed.
    pub notes: Vec<String>,
}
