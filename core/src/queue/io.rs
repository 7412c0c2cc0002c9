//! The queue's language: facts in the past tense, orders in the imperative. Plain, comparable data.

use std::collections::BTreeMap;

use crate::ids::RunId;
use crate::rows::RunState;

use super::policy::{Limits, RepoPolicy};

/// Names one request to the queue; what the queue orders because of it carries it back. Never used again by one life of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask(pub u64);

/// Whether a ref is a branch, a tag, or something else (`refs/notes/…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// `refs/heads/…`.
    Branch,
    /// `refs/tags/…`.
    Tag,
    /// Anything else: never runs by itself.
    Other,
}

impl RefKind {
    /// Of a full ref name.
    pub fn of(ref_name: &str) -> RefKind {
        match ref_name {
            name if name.starts_with("refs/heads/") => RefKind::Branch,
            name if name.starts_with("refs/tags/") => RefKind::Tag,
            _ => RefKind::Other,
        }
    }
}

/// What a shell found out about one ref of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRef {
    /// Full ref name.
    pub ref_name: String,
    /// What is there now.
    pub tip: Tip,
}

/// What a ref names after a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tip {
    /// The ref was deleted.
    Deleted,
    /// A commit (an annotated tag is peeled) that has a pipeline.
    Pipeline {
        /// Full commit id.
        sha: String,
    },
    /// A commit without `.quire/ci.lua` or `.quire/ci.fnl`.
    NoPipeline {
        /// Full commit id.
        sha: String,
    },
    /// No commit: a tag of a tree or blob, or an object that is not there.
    NoCommit,
}

/// Why a run came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A push.
    Push,
    /// Somebody asked for it.
    Trigger,
    /// Somebody asked for an ended run again.
    Retry {
        /// The ended run.
        of: RunId,
        /// Only what failed, the rest answered from the ended run's record.
        failed: bool,
    },
}

/// A run that is to be entered into the database as `pending`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Its id, given by the shell with the request ([`Request`]).
    pub run_id: RunId,
    /// Repository name.
    pub repo: String,
    /// Full ref name.
    pub ref_name: Option<String>,
    /// Full commit id.
    pub sha: String,
    /// Who caused it, for people.
    pub by: Option<String>,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Why.
    pub origin: Origin,
    /// `rt.params`.
    pub params: BTreeMap<String, String>,
    /// Jobs asked for; empty for all.
    pub jobs: Vec<String>,
}

/// Who asked, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Comes back with every order that the request causes.
    pub ask: Ask,
    /// Who, for people.
    pub by: Option<String>,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// A fact that a shell reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// At the start, once for each run that is not over: what the database and the run directories say. In the order in which
    /// they were queued, and all of them before the first [`Input::Configured`], with which dispatching begins.
    Restored {
        /// The run.
        run_id: RunId,
        /// Its repository.
        repo: String,
        /// Its ref.
        ref_name: Option<String>,
        /// Its number.
        number: u64,
        /// Whether a push caused it: only then may a newer push take its place.
        pushed: bool,
        /// Whether its lock is held: it goes on, and is adopted. Else it waits.
        running: bool,
    },
    /// A push came.
    Pushed {
        /// By whom.
        request: Request,
        /// Repository name.
        repo: String,
        /// The repository has not had any run yet.
        first: bool,
        /// Its default branch, full ref name.
        default_branch: Option<String>,
        /// What was pushed, each with the id for its run, used if it gets one.
        refs: Vec<(PushedRef, RunId)>,
    },
    /// Somebody wants a run.
    Triggered {
        /// By whom.
        request: Request,
        /// What.
        run: NewRun,
    },
    /// Somebody wants an end to a run.
    CancelWanted {
        /// By whom.
        request: Request,
        /// Which.
        run_id: RunId,
    },
    /// An [`Output::Enter`] is in the database.
    Entered {
        /// Its request.
        ask: Ask,
        /// The numbers of its runs, in their order.
        numbers: Vec<u64>,
    },
    /// An [`Output::Enter`] is not in the database and will not be.
    EnterFailed {
        /// Its request.
        ask: Ask,
    },
    /// A dispatched or adopted run is over: its rows say so, its process is gone.
    Ended {
        /// Which.
        run_id: RunId,
        /// How.
        state: RunState,
    },
    /// How much room there is where runs are recorded.
    Disk {
        /// Bytes.
        free_bytes: u64,
    },
    /// The configuration of all repositories, at the start and after a reload. At the start it begins the dispatching, so
    /// [`Input::Restored`] and [`Input::Disk`] are told before.
    Configured {
        /// Bounds of the server.
        limits: Limits,
        /// By repository name.
        repos: BTreeMap<String, RepoPolicy>,
    },
    /// The server is about to stop: nothing more is dispatched.
    Draining,
}

/// Why a ref of a push, or a trigger, got no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRun {
    /// The ref was deleted.
    Deleted,
    /// Its commit has no pipeline.
    NoPipeline,
    /// It names no commit.
    NoCommit,
    /// Neither branch nor tag.
    Kind,
    /// The push had more than [`super::MANY_REFS`] refs: only the default branch runs.
    ManyRefs {
        /// How many.
        count: usize,
    },
    /// The first push to a repository runs the default branch only.
    FirstPush,
    /// No such repository is configured.
    UnknownRepo,
}

/// What became of one ref of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Full ref name.
    pub ref_name: String,
    /// Commit, where there is one.
    pub sha: Option<String>,
    /// Its run's id, or why it has none.
    pub run: Result<RunId, NotRun>,
}

/// An order to a shell.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// In one transaction: enter `runs` as pending (each gets the next number of its repository), end `superseded` as
    /// superseded, note the refs that got no run. Then report [`Input::Entered`] or [`Input::EnterFailed`]. Also ordered where
    /// there are no runs: then only the asker is to be told, and a report is ignored.
    ///
    /// Transactions are made in the order of these orders; their reports may come in any order.
    Enter {
        /// The request.
        ask: Ask,
        /// New runs, in order.
        runs: Vec<NewRun>,
        /// Waiting runs that end, each with the run of this order that takes its place. A run may be named by several orders
        /// that are not answered yet: the first of them that is committed ends it, so a row that is not there or is no longer
        /// pending is left as it is.
        superseded: Vec<(RunId, RunId)>,
        /// For the asker, one a ref: in the order of the push. A trigger has one, of its run (an empty name without a ref).
        verdicts: Vec<Verdict>,
    },
    /// Start the run: make its workspace, drive it; report [`Input::Ended`] in the end, also where it could not be started.
    Dispatch {
        /// Which.
        run_id: RunId,
    },
    /// End a waiting run that was never dispatched: write `aborted` into its row. For the queue it is over with this order.
    Abort {
        /// The request that wanted it.
        ask: Ask,
        /// Which.
        run_id: RunId,
        /// Who wanted it.
        by: Option<String>,
    },
    /// End a dispatched run: its executor is asked to (TERM); a second order hurries it. It reports [`Input::Ended`].
    Stop {
        /// The request that wanted it, where somebody did: not for the sake of a newer run.
        ask: Option<Ask>,
        /// Which.
        run_id: RunId,
        /// Who wanted it, or the run that takes its place.
        by: StoppedBy,
    },
    /// Tell the asker that there is nothing to cancel: no such run is waiting or running.
    NothingToCancel {
        /// The request.
        ask: Ask,
        /// Which.
        run_id: RunId,
    },
}

/// Whom a run's end is owed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoppedBy {
    /// Somebody.
    Person(Option<String>),
    /// A newer run of its ref.
    Run(RunId),
}
