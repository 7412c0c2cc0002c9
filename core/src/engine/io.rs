//! The engine's language: facts in the past tense, orders in the imperative. Plain, comparable data.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::capture::{CaptureSpec, Captured, Tap};
use crate::ids::{JobId, ShId};
use crate::redact::SecretSet;
use crate::wire::{Event, RunOutcome, Stream};

/// Names one question of a script to the shell; the answer carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask(pub u64);

/// A fact that a shell reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A [`Output::Spawn`] could not be performed. The command has ended; no other fact of it follows.
    SpawnFailed {
        /// The command.
        sh: ShId,
        /// Why.
        failure: SpawnFailure,
    },
    /// The command's process ended.
    Exited {
        /// The command.
        sh: ShId,
        /// How.
        status: ExitStatus,
    },
    /// Both outputs of the command ended (or were closed by order), and its log is written to the last byte.
    OutputEnded {
        /// The command.
        sh: ShId,
        /// What it printed.
        captured: Captured,
    },
    /// The command's capture said [`crate::capture::Notice::OutputLimit`].
    OutputLimitReached {
        /// The command.
        sh: ShId,
    },
    /// The command's capture said [`crate::capture::Notice::Idle`].
    OutputIdle {
        /// The command.
        sh: ShId,
    },
    /// A [`Output::Sweep`] is done: no process of that scope is left.
    Swept {
        /// What was swept.
        scope: Scope,
    },
    /// The answer to a [`Output::Recall`]: what the command printed, or why its log cannot be taken over or read, for people.
    Recalled {
        /// The command.
        sh: ShId,
        /// What it printed; nothing where nobody asked for that.
        captured: Result<Captured, String>,
    },
    /// The answer to a [`Output::Read`], [`Output::Write`], [`Output::Glob`] or [`Output::Hash`].
    Answered {
        /// Which question.
        ask: Ask,
        /// What the machine said.
        answer: Answer,
    },
    /// The state of the workspace; expected once where [`super::Config::fingerprint_follows`].
    Fingerprint(Option<String>),
    /// Someone wants the run to end. A second one ends its commands at once.
    Cancel,
    /// The record could not be written: the run ends, failed, kind `record`.
    RecordFailed {
        /// For people.
        message: String,
    },
    /// Time passed; nothing else happened.
    Tick,
}

/// Why a command could not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpawnFailure {
    /// The program was not found; `searched` is the PATH that was searched, empty for a path with a slash.
    NotFound {
        /// The PATH.
        searched: String,
    },
    /// The working directory is missing or no directory.
    Cwd {
        /// As the machine says it.
        message: String,
    },
    /// Anything else: not executable, out of processes, argument list too long.
    Other {
        /// As the machine says it.
        message: String,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// An answer of the machine to a script's question. `Err` is for people, without the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The content of a file.
    Read(Result<Vec<u8>, String>),
    /// A file was written.
    Write(Result<(), String>),
    /// The files that match, relative to the workspace, `/`-separated, sorted by bytes.
    Glob(Result<Vec<String>, String>),
    /// Digest of the files that match: see [`crate::digest`].
    Hash(Result<String, String>),
}

/// An order to a shell.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write the event: to the record first, then anywhere else, before performing the next order.
    Emit(Event),
    /// Start a command and capture its output into its log.
    Spawn {
        /// The command.
        sh: ShId,
        /// What to start.
        command: CommandSpec,
        /// How to capture it.
        capture: CaptureSpec,
    },
    /// Make the earlier run's log of a command this run's: link or copy it; then report [`Input::Recalled`].
    Recall {
        /// The command of this run.
        sh: ShId,
        /// The command of the earlier run.
        from: ShId,
        /// What the answer keeps of its output, read with [`crate::replay::Recall`]; `None` where nobody wants the answer.
        tap: Option<Tap>,
        /// As its end was recorded.
        no_eol: Vec<Stream>,
    },
    /// Send a signal to the command's process group.
    Signal {
        /// The command.
        sh: ShId,
        /// Which.
        signal: Signal,
    },
    /// The command has exited but something holds its output open: read what is there now, then report
    /// [`Input::OutputEnded`] and drain what follows to nowhere.
    CloseOutput {
        /// The command.
        sh: ShId,
    },
    /// End every process of the scope that is still there (TERM, 10 s, KILL), then report [`Input::Swept`].
    Sweep {
        /// What.
        scope: Scope,
    },
    /// From the next byte on, mask these in every log.
    SetSecrets(SecretSet),
    /// Read a file inside the workspace, symlinks resolved; at most `limit` bytes.
    Read {
        /// Which question.
        ask: Ask,
        /// Relative to the workspace.
        path: String,
        /// Most bytes; a longer file is an error.
        limit: u64,
    },
    /// Write a file inside the workspace, symlinks resolved.
    Write {
        /// Which question.
        ask: Ask,
        /// Relative to the workspace.
        path: String,
        /// Its content.
        content: Vec<u8>,
    },
    /// List the files that match any of the patterns.
    Glob {
        /// Which question.
        ask: Ask,
        /// `*` within a folder, `**` across, `?`, `[..]`, `{a,b}`.
        patterns: Vec<String>,
    },
    /// Digest the files that match any of the patterns.
    Hash {
        /// Which question.
        ask: Ask,
        /// As in `Glob`.
        patterns: Vec<String>,
    },
    /// The run has ended; nothing follows.
    Done(RunOutcome),
}

/// Whose processes a sweep ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Those of one job.
    Job(JobId),
    /// Those of the run.
    Run,
}

/// A signal to a command's process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Int,
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// What to start. Environment and directory are complete: the shell adds nothing but resolving the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments; the program without a slash is searched in PATH of `env`.
    pub argv: Vec<Vec<u8>>,
    /// Relative to the workspace, or absolute; empty is the workspace.
    pub cwd: String,
    /// On top of the run's base environment; `None` removes. Holds QUIRE_SH and its kin.
    pub env: BTreeMap<String, Option<String>>,
    /// Bytes for its standard input; `None` is /dev/null.
    pub stdin: Option<Vec<u8>>,
}

/// How long a process group has between TERM and KILL.
pub const GRACE: Duration = Duration::from_secs(10);
