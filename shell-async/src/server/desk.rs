//! The way to the owner of the queue: one task owns the machine, everyone else asks through here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quire_core::ids::RunId;
use quire_core::rows::RunState;
use smol::channel::{self, Receiver, Sender};

use crate::api::{Cancelled, PushAnswer, PushEvent, QueuedRun, RetryRequest, TriggerRequest};

/// Why a request was refused. The kind decides the HTTP status and the exit code; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such repository, run or revision.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done in the state that things are in.
    #[error("{0}")]
    Conflict(String),
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// The server cannot now: its database does not answer, it is stopping.
    #[error("{0}")]
    Unavailable(String),
}

/// A request to the queue's owner. `by` is who asks, for the record; `reply` gets the answer once it is in the database.
#[derive(Debug)]
pub enum DeskAsk {
    /// Refs were pushed.
    Push {
        /// The event, its repository and `by` already checked.
        event: PushEvent,
        /// Gets what became of each ref.
        reply: Sender<Result<PushAnswer, Refused>>,
    },
    /// A run is wanted.
    Trigger {
        /// What.
        request: TriggerRequest,
        /// Who.
        by: Option<String>,
        /// Gets the run.
        reply: Sender<Result<QueuedRun, Refused>>,
    },
    /// An ended run is wanted again.
    Retry {
        /// The ended run.
        run_id: RunId,
        /// How.
        request: RetryRequest,
        /// Who.
        by: Option<String>,
        /// Gets the new run.
        reply: Sender<Result<QueuedRun, Refused>>,
    },
    /// A run is to end.
    Cancel {
        /// Which.
        run_id: RunId,
        /// Who.
        by: Option<String>,
        /// Gets what is being done.
        reply: Sender<Result<Cancelled, Refused>>,
    },
}

/// What the queue says of runs that are not over, as of its last step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Run to why it waits, for people.
    pub reasons: BTreeMap<RunId, String>,
    /// By repository: how many wait, how many go on.
    pub repos: BTreeMap<String, (u64, u64)>,
    /// Nothing is admitted for this reason: disk short, stopping.
    pub halted: Option<String>,
}

/// The handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    asks: Sender<DeskAsk>,
    waiting: Arc<Mutex<Arc<Waiting>>>,
    tally: Arc<Tally>,
}

/// What the owner counts, for who watches over the server.
#[derive(Debug, Default)]
struct Tally {
    ended: Mutex<BTreeMap<&'static str, u64>>,
    behind: AtomicU64,
}

impl Desk {
    /// A handle, and where its requests arrive.
    pub fn new() -> (Desk, Receiver<DeskAsk>) {
        let (asks, arrive) = channel::bounded(1024);
        (Desk { asks, waiting: Arc::default(), tally: Arc::default() }, arrive)
    }

    /// Asks for the runs of a push.
    pub async fn push(&self, event: PushEvent) -> Result<PushAnswer, Refused> {
        self.ask(|reply| DeskAsk::Push { event, reply }).await
    }

    /// Asks for a run.
    pub async fn trigger(&self, request: TriggerRequest, by: Option<String>) -> Result<QueuedRun, Refused> {
        self.ask(|reply| DeskAsk::Trigger { request, by, reply }).await
    }

    /// Asks for an ended run again.
    pub async fn retry(&self, run_id: RunId, request: RetryRequest, by: Option<String>) -> Result<QueuedRun, Refused> {
        self.ask(|reply| DeskAsk::Retry { run_id, request, by, reply }).await
    }

    /// Asks for a run's end.
    pub async fn cancel(&self, run_id: RunId, by: Option<String>) -> Result<Cancelled, Refused> {
        self.ask(|reply| DeskAsk::Cancel { run_id, by, reply }).await
    }

    /// What the queue said last.
    pub fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For the owner: what the queue says now; whether that is something else.
    pub fn publish(&self, waiting: Waiting) -> bool {
        let mut told = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = **told != waiting;
        *told = Arc::new(waiting);
        is_other
    }

    /// For the owner: a run has ended so.
    pub fn count_ended(&self, state: RunState) {
        *self.tally.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(state.as_str()).or_default() += 1;
    }

    /// How many runs have ended since the start, by state.
    pub fn ended(&self) -> BTreeMap<&'static str, u64> {
        self.tally.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For who writes rows: so many recorded rows are not in the database yet, and should be. Zero again once they are.
    pub fn note_behind(&self, rows: u64) {
        self.tally.behind.store(rows, Ordering::Relaxed);
    }

    /// How many recorded rows are not in the database that should be.
    pub fn behind(&self) -> u64 {
        self.tally.behind.load(Ordering::Relaxed)
    }

    async fn ask<T>(&self, ask: impl FnOnce(Sender<Result<T, Refused>>) -> DeskAsk) -> Result<T, Refused> {
        let stopping = || Refused::Unavailable("the server is stopping; try again when it is back".to_owned());
        let (reply, answer) = channel::bounded(1);
        self.asks.send(ask(reply)).await.map_err(|_| stopping())?;
        answer.recv().await.unwrap_or_else(|_| Err(stopping()))
    }
}
