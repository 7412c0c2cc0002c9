//! The typed events. Field order here is the order on the wire; a field that says nothing is left out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ids::{JobId, RunId};

/// One line of the stream: when, by the producer's wall clock, and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The payload.
    pub kind: EventKind,
}

/// What happened; `type` on the wire is the variant in snake case.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// First event of a run.
    RunStarted(RunStarted),
    /// A line for people about the whole run.
    RunLogged(RunLogged),
    /// A job began.
    JobStarted(JobStarted),
    /// A line that the job's script logged.
    JobLogged(JobLogged),
    /// An attempt failed and another begins.
    JobRetried(JobRetried),
    /// A job will not run, or chose not to go on.
    JobSkipped(JobSkipped),
    /// A job ended.
    JobFinished(JobFinished),
    /// A command began.
    ShStarted(ShStarted),
    /// A command ended, or could not start.
    ShFinished(ShFinished),
    /// Last event of a run.
    RunFinished(RunFinished),
}

impl EventKind {
    /// `type` on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::RunStarted(_) => "run_started",
            EventKind::RunLogged(_) => "run_logged",
            EventKind::JobStarted(_) => "job_started",
            EventKind::JobLogged(_) => "job_logged",
            EventKind::JobRetried(_) => "job_retried",
            EventKind::JobSkipped(_) => "job_skipped",
            EventKind::JobFinished(_) => "job_finished",
            EventKind::ShStarted(_) => "sh_started",
            EventKind::ShFinished(_) => "sh_finished",
            EventKind::RunFinished(_) => "run_finished",
        }
    }
}

/// `run_started`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunStarted {
    /// The run.
    pub run_id: RunId,
    /// quire's version.
    pub version: String,
    /// `host`, `quire-ci`, `container`.
    pub executor: String,
    /// Full commit id, where there is a commit.
    pub sha: Option<String>,
    /// Full ref name (`ref` on the wire).
    pub ref_name: Option<String>,
    /// Seed of everything random in the run.
    pub seed: Option<u64>,
    /// The jobs in declaration order; empty where the pipeline did not compile.
    pub jobs: Vec<JobListed>,
    /// Number of the run in its repository.
    pub number: Option<u64>,
    /// The repository, as its server or workspace names it.
    pub repo: Option<String>,
    /// When the push came, Unix milliseconds.
    pub pushed_at_ms: Option<i64>,
    /// Parameters, masked.
    pub params: BTreeMap<String, String>,
    /// The run that this one resumes.
    pub resumed_from: Option<RunId>,
    /// Arguments (`rt.args`), masked.
    pub args: Vec<String>,
    /// Digest of the pipeline's files: what a resume compares. 32 hex digits.
    pub pipeline: Option<String>,
}

/// A job as `run_started` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobListed {
    /// The job.
    pub id: JobId,
    /// Job ids and sources, in the order written.
    pub inputs: Vec<String>,
}

/// `run_logged`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLogged {
    /// For people, masked.
    pub text: String,
}

/// `job_started`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStarted {
    /// The job.
    pub job_id: JobId,
}

/// `job_logged`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLogged {
    /// The job.
    pub job_id: JobId,
    /// For people, masked.
    pub text: String,
}

/// `job_retried`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRetried {
    /// The job.
    pub job_id: JobId,
    /// The attempt that begins, from 2.
    pub attempt: u32,
    /// What ended the attempt before.
    pub error: Option<JobFailure>,
}

/// `job_skipped`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSkipped {
    /// The job.
    pub job_id: JobId,
    /// Why, for programs.
    pub reason: SkipReason,
    /// Why, for people.
    pub text: Option<String>,
}

/// `job_finished`.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFinished {
    /// The job.
    pub job_id: JobId,
    /// How it ended.
    pub outcome: JobOutcome,
    /// What the script returned: plain data, masked, at most 64 KiB.
    pub output: Option<Value>,
    /// The output holds a mask.
    pub masked: bool,
    /// Answered whole from an earlier run's record.
    pub replayed: bool,
    /// A failure that `allow_failure` lets pass.
    pub allowed: bool,
    /// Passed on a later attempt.
    pub flaky: bool,
    /// Why it failed.
    pub error: Option<JobFailure>,
}

/// `sh_started`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShStarted {
    /// The job.
    pub job_id: JobId,
    /// The command, for people, masked.
    pub cmd: String,
    /// Replay key: a hash of what determines the command.
    pub key: Option<String>,
    /// The directory as the pipeline gave it, masked: relative to the workspace, or absolute. `None` is the workspace itself.
    pub cwd: Option<String>,
    /// What the pipeline gave for its environment, masked, on top of the base environment: name to value, `None` removes.
    pub env: BTreeMap<String, Option<String>>,
    /// The shell that the pipeline asked for, masked. `None` is `sh`, or no shell at all for a list.
    pub shell: Option<String>,
}

/// `sh_finished`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShFinished {
    /// The job.
    pub job_id: JobId,
    /// The exit code; 128 + signal for a signal; 127 or 126 where it never started; -1 in old streams.
    pub exit_code: i32,
    /// 1-based index of the command in its job, where more than one of that job is open.
    pub sh: Option<u32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it never started.
    pub error: Option<ShFailure>,
    /// What ended it, where it did not end by itself.
    pub cause: Option<Cause>,
    /// Streams whose last line had no newline, stdout first.
    pub no_eol: Vec<Stream>,
    /// The log holds a mask.
    pub masked: bool,
    /// The answer given to the script lacks bytes.
    pub truncated: bool,
    /// A process that it left still held its output.
    pub detached: bool,
    /// Answered from an earlier run's record.
    pub replayed: bool,
}

/// `run_finished`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFinished {
    /// How it ended.
    pub outcome: RunOutcome,
    /// What kind of failure.
    pub failure_kind: Option<FailureKind>,
    /// Why, for people, with its place.
    pub error: Option<RunFailure>,
    /// State of the workspace: what a resume compares.
    pub fingerprint: Option<String>,
}

/// A failure of a job with its place in the pipeline: `error` of `job_finished` and `job_retried`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFailure {
    /// What happened, for people, masked.
    pub message: String,
    /// File in the repository.
    pub file: Option<String>,
    /// 1-based line.
    pub line: Option<u32>,
}

/// `error` of `run_finished`: the same shape as a job's.
pub type RunFailure = JobFailure;

/// `error` of `sh_finished`: why a command never started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShFailure {
    /// For people, masked.
    pub message: String,
}

macro_rules! wire_words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word on the wire and in rows.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// The value of a word.
            pub fn parse(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use wire_words;

wire_words! {
    /// How a job ended.
    JobOutcome {
        /// Its script returned.
        Complete = "complete",
        /// Its script raised, a command of it failed, or it ran out of time.
        Failed = "failed",
        /// It was cancelled, or its run ended under it.
        Aborted = "aborted",
    }
}

wire_words! {
    /// How a run ended.
    RunOutcome {
        /// No job failed, but allowedly.
        Complete = "complete",
        /// A job failed, or the run itself did.
        Failed = "failed",
        /// It was cancelled.
        Aborted = "aborted",
    }
}

wire_words! {
    /// What kind of failure ended a run (CONTRACT 2).
    FailureKind {
        /// A job failed.
        Job = "job",
        /// The pipeline did not compile or its definition is wrong.
        Pipeline = "pipeline",
        /// The record could not be written.
        Record = "record",
        /// Its producer died.
        Orphaned = "orphaned",
        /// A limit of the run was reached.
        Limit = "limit",
        /// quire's own fault.
        Internal = "internal",
    }
}

wire_words! {
    /// What ended a command that did not end by itself.
    Cause {
        /// Its time, or its job's, was up.
        Timeout = "timeout",
        /// It was cancelled.
        Cancel = "cancel",
        /// Its output reached the cap, or it was silent too long.
        Limit = "limit",
        /// Its run died under it.
        Crash = "crash",
    }
}

wire_words! {
    /// One of a command's two outputs.
    Stream {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

/// Why a job was skipped. A reader keeps a word that it does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// An input failed.
    InputFailed,
    /// An input was skipped.
    InputSkipped,
    /// The script said so (`rt.skip`).
    Pipeline,
    /// Not among the jobs asked for.
    NotSelected,
    /// Another job failed first.
    RunFailed,
    /// The run was cancelled.
    RunAborted,
    /// Its condition does not hold.
    Condition,
    /// Nothing that it depends on changed.
    Unchanged,
    /// A word of a later version.
    Other(String),
}

impl SkipReason {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            SkipReason::InputFailed => "input_failed",
            SkipReason::InputSkipped => "input_skipped",
            SkipReason::Pipeline => "pipeline",
            SkipReason::NotSelected => "not_selected",
            SkipReason::RunFailed => "run_failed",
            SkipReason::RunAborted => "run_aborted",
            SkipReason::Condition => "condition",
            SkipReason::Unchanged => "unchanged",
            SkipReason::Other(word) => word,
        }
    }

    /// The reason of a word; total.
    pub fn parse(word: &str) -> SkipReason {
        match word {
            "input_failed" => SkipReason::InputFailed,
            "input_skipped" => SkipReason::InputSkipped,
            "pipeline" => SkipReason::Pipeline,
            "not_selected" => SkipReason::NotSelected,
            "run_failed" => SkipReason::RunFailed,
            "run_aborted" => SkipReason::RunAborted,
            "condition" => SkipReason::Condition,
            "unchanged" => SkipReason::Unchanged,
            other => SkipReason::Other(other.to_owned()),
        }
    }
}
