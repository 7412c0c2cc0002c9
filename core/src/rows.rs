//! Row commands: what the pairing asks the store to put. Full rows, so that a put again is the same put.
//!
//! The columns are CONTRACT 2's; SQL is the store's.

use crate::ids::{JobId, RunId};
use crate::wire::{FailureKind, wire_words};

wire_words! {
    /// State of a run's row. `pending` and `superseded` are queue facts: the projection never writes them.
    RunState {
        /// Waits in the queue.
        Pending = "pending",
        /// Goes on.
        Active = "active",
        /// Ended well.
        Complete = "complete",
        /// Ended badly.
        Failed = "failed",
        /// Was cancelled.
        Aborted = "aborted",
        /// A newer push took its place.
        Superseded = "superseded",
    }
}

impl RunState {
    /// Whether it is over, however: it neither waits nor goes on.
    pub fn is_over(self) -> bool {
        match self {
            RunState::Pending | RunState::Active => false,
            RunState::Complete | RunState::Failed | RunState::Aborted | RunState::Superseded => true,
        }
    }

    /// Whether it is over and had its turn: a superseded run says nothing of its commit.
    pub fn had_its_turn(self) -> bool {
        self.is_over() && self != RunState::Superseded
    }
}

wire_words! {
    /// State of a job's row.
    JobState {
        /// Listed, not begun.
        Pending = "pending",
        /// Goes on.
        Active = "active",
        /// Ended well.
        Complete = "complete",
        /// Ended badly.
        Failed = "failed",
        /// Did not run, or chose not to go on.
        Skipped = "skipped",
        /// Was cancelled, or its run ended under it.
        Aborted = "aborted",
    }
}

/// One put, keyed by its row's key.
#[derive(Debug, Clone, PartialEq)]
pub enum RowCommand {
    /// The run's projected columns.
    PutRun(RunRow),
    /// A job's row.
    PutJob(JobRow),
    /// A command's row.
    PutSh(ShRow),
}

/// The columns of `runs` that are projected from the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Key.
    pub run_id: RunId,
    /// Number in its repository, where the stream tells it.
    pub number: Option<u64>,
    /// Repository, where the stream tells it.
    pub repo: Option<String>,
    /// Ref, where the stream tells it.
    pub ref_name: Option<String>,
    /// Commit, where the stream tells it.
    pub sha: Option<String>,
    /// Unix milliseconds.
    pub pushed_at_ms: Option<i64>,
    /// Executor, where the stream tells it.
    pub executor: Option<String>,
    /// quire's version, where the stream tells it.
    pub version: Option<String>,
    /// The run it resumes.
    pub resumed_from: Option<RunId>,
    /// State.
    pub state: RunState,
    /// Kind of failure.
    pub failure_kind: Option<FailureKind>,
    /// Error for people.
    pub error: Option<String>,
    /// Unix milliseconds of the first event.
    pub started_at_ms: Option<i64>,
    /// Unix milliseconds, never before `started_at_ms`.
    pub finished_at_ms: Option<i64>,
    /// Workspace fingerprint.
    pub fingerprint: Option<String>,
}

/// A row of `jobs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Key.
    pub run_id: RunId,
    /// Key.
    pub job_id: JobId,
    /// Position in run_started's list, from 0; jobs not listed follow.
    pub position: u32,
    /// State.
    pub state: JobState,
    /// Exit code of the command that failed it.
    pub exit_code: Option<i32>,
    /// Unix milliseconds.
    pub started_at_ms: Option<i64>,
    /// Unix milliseconds, never before `started_at_ms`.
    pub finished_at_ms: Option<i64>,
    /// Its failure was allowed.
    pub allowed: bool,
    /// Passed on a later attempt.
    pub flaky: bool,
    /// Answered from an earlier record.
    pub replayed: bool,
    /// Attempts begun, from 1; 0 before it starts.
    pub attempts: u32,
    /// Why it was skipped, for programs.
    pub skip_reason: Option<String>,
    /// Error or reason for people.
    pub error: Option<String>,
    /// Place of the error in the pipeline.
    pub error_file: Option<String>,
    /// 1-based.
    pub error_line: Option<u32>,
}

/// A row of `sh_events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShRow {
    /// Key.
    pub run_id: RunId,
    /// Key.
    pub job_id: JobId,
    /// Key: 1-based index in the job.
    pub n: u32,
    /// Unix milliseconds.
    pub started_at_ms: i64,
    /// Unix milliseconds, never before `started_at_ms`; NULL while open.
    pub finished_at_ms: Option<i64>,
    /// NULL while open and where it was aborted.
    pub exit_code: Option<i32>,
    /// For people, masked.
    pub cmd: String,
    /// The attempt of the job that it belongs to, from 1.
    pub attempt: u32,
    /// Signal.
    pub signal: Option<i32>,
    /// `timeout`, `cancel`, `limit`, `crash`.
    pub cause: Option<String>,
    /// Why it never started.
    pub error: Option<String>,
    /// Comma-separated streams whose last line had no newline.
    pub no_eol: Option<String>,
    /// The log holds a mask.
    pub masked: bool,
    /// The script's answer lacks bytes.
    pub truncated: bool,
    /// A left process held its output.
    pub detached: bool,
    /// Answered from an earlier record.
    pub replayed: bool,
}

impl JobRow {
    /// Whether it failed, and was not allowed to.
    pub fn is_broken(&self) -> bool {
        self.state == JobState::Failed && !self.allowed
    }
}

impl ShRow {
    /// How it stands, in the words of jobs: active, complete, failed, or aborted where its run died over it.
    pub fn state(&self) -> JobState {
        match (self.finished_at_ms, self.exit_code) {
            (None, _) => JobState::Active,
            (Some(_), Some(0)) => JobState::Complete,
            (Some(_), Some(_)) => JobState::Failed,
            (Some(_), None) => JobState::Aborted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_over_and_who_had_a_turn() {
        for (state, is_over, had_its_turn) in [
            (RunState::Pending, false, false),
            (RunState::Active, false, false),
            (RunState::Complete, true, true),
            (RunState::Failed, true, true),
            (RunState::Aborted, true, true),
            (RunState::Superseded, true, false),
        ] {
            assert_eq!((state.is_over(), state.had_its_turn()), (is_over, had_its_turn), "{state}");
        }
    }

    #[test]
    fn how_a_command_stands() {
        for (finished_at_ms, exit_code, state) in [
            (None, None, JobState::Active),
            (Some(2), Some(0), JobState::Complete),
            (Some(2), Some(137), JobState::Failed),
            (Some(2), Some(-1), JobState::Failed),
            (Some(2), None, JobState::Aborted),
        ] {
            let row = ShRow {
                run_id: RunId::new("r"),
                job_id: JobId::from_record("a"),
                n: 1,
                started_at_ms: 1,
                finished_at_ms,
                exit_code,
                cmd: String::new(),
                attempt: 1,
                signal: None,
                cause: None,
                error: None,
                no_eol: None,
                masked: false,
                truncated: false,
                detached: false,
                replayed: false,
            };
            assert_eq!(row.state(), state, "{finished_at_ms:?} {exit_code:?}");
        }
    }
}
