//! The thread that writes rows while a run goes on. The run tells it every event that is already in the record; whatever
//! the database does, the run neither fails nor waits: what is not written here is read from the record later.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quire_core::ids::RunId;
use quire_core::pairing::Pairing;
use quire_core::rows::RowCommand;
use quire_core::wire::{Event, FailureKind};

use super::{Batch, NewRun, Store, StoreError, open};

/// Events gather for so long before they are written.
const GATHER: Duration = Duration::from_millis(10);
/// How long one transaction waits for another connection's while the run goes on, and when the run begins.
const WAIT: Duration = Duration::from_millis(100);
/// How long the last transaction waits.
const LAST_WAIT: Duration = Duration::from_millis(500);
/// After a failure the database is left alone for so long.
const PAUSE: Duration = Duration::from_millis(250);
/// How long [`RowWriter::finish`] waits for a thread that the disk holds up.
const PATIENCE: Duration = Duration::from_secs(3);
/// More rows than these are not kept for a database that does not take them.
const MAX_WAITING: usize = 100_000;

/// Work on the data directory that the writer does once, after the run has its number: closing dead runs, removing old
/// ones. Told whether the run is already waiting for the writer; what it returns is for people.
pub type Chores = Box<dyn FnOnce(&mut Store, &dyn Fn() -> bool) -> Vec<String> + Send>;

/// Writes the rows of one run on a thread of its own.
#[derive(Debug)]
pub struct RowWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How the writing ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// Why not all rows are there, for people; they catch up at the next open. `None` when all are.
    pub behind: Option<String>,
    /// What the chores have to say to people.
    pub notes: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// For the thread: something to do.
    work: Condvar,
    /// For the run: a number, or the end.
    answer: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<(Event, u64)>,
    close: Option<FailureKind>,
    is_finishing: bool,
    /// The thread no longer takes events.
    is_closed: bool,
    number: Number,
    ended: Option<Finished>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Number {
    #[default]
    Asked,
    Given(u64),
    None,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self, number: Number) {
        self.lock().number = number;
        self.answer.notify_all();
    }

    fn is_finishing(&self) -> bool {
        self.lock().is_finishing
    }
}

impl RowWriter {
    /// Starts the thread, which opens the database at `path`, enters the run and does the chores, while the caller goes on.
    pub fn start(path: &Path, run: NewRun, chores: Option<Chores>) -> RowWriter {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let path = path.to_owned();
        let thread = std::thread::Builder::new().name("rows".to_owned()).spawn(move || {
            let _farewell = Farewell(&theirs);
            let finished = write_rows(&theirs, path, &run, chores);
            theirs.lock().ended = Some(finished);
        });
        let thread = thread.map_err(|error| {
            let behind = behind(&format!("no thread could be started for them ({error})"));
            let mut state = shared.lock();
            state.number = Number::None;
            state.is_closed = true;
            state.ended = Some(Finished { behind: Some(behind), notes: Vec::new() });
        });
        RowWriter { shared, thread: thread.ok() }
    }

    /// The run's number, waited for at most `wait` (CONTRACT 2: 100 ms). `None` if the database is slower or fails: the
    /// number is then given when the rows catch up.
    pub fn number(&self, wait: Duration) -> Option<u64> {
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .answer
            .wait_timeout_while(state, wait, |state| matches!(state.number, Number::Asked))
            .unwrap_or_else(PoisonError::into_inner);
        match state.number {
            Number::Given(number) => Some(number),
            Number::Asked | Number::None => None,
        }
    }

    /// Hands over an event that is in the record; `end` is the offset in the stream of the byte after its line. Cheap: a
    /// lock that is almost always free, and at most one wake-up of the thread in 10 ms.
    pub fn send(&self, event: Event, end: u64) {
        let mut state = self.shared.lock();
        if state.is_closed {
            return;
        }
        let was_empty = state.events.is_empty();
        state.events.push((event, end));
        drop(state);
        if was_empty {
            self.shared.work.notify_one();
        }
    }

    /// The run ends without `run_finished` in its record (the record cannot be written): its rows are closed all the same.
    pub fn close(&self, kind: FailureKind) {
        self.shared.lock().close = Some(kind);
    }

    /// The run has ended: the thread writes what waits without letting more gather, while the caller goes on.
    pub fn hurry(&self) {
        self.shared.lock().is_finishing = true;
        self.shared.work.notify_one();
    }

    /// Waits until every row is written, or it is clear that they will not be now. The run's lock is to be held until this
    /// returns: whoever finds it free may close the run.
    pub fn finish(mut self) -> Finished {
        self.hurry();
        let state = self.shared.lock();
        let (mut state, _) = self
            .shared
            .answer
            .wait_timeout_while(state, PATIENCE, |state| state.ended.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let ended = state.ended.take();
        drop(state);
        match ended {
            Some(finished) => {
                // It has said its last word; joining it makes sure that its connection is closed.
                let _ = self.thread.take().map(JoinHandle::join);
                finished
            }
            None => Finished { behind: Some(behind(&"the database does not answer")), notes: Vec::new() },
        }
    }
}

impl Drop for RowWriter {
    /// Without [`RowWriter::finish`] the thread writes what it has and ends, and nobody waits for it.
    fn drop(&mut self) {
        self.hurry();
    }
}

/// The warning for people.
fn behind(why: &dyn std::fmt::Display) -> String {
    format!("the run's rows are not all written: {why}; they catch up with its record at the next open")
}

/// Lets nobody wait for a thread that is gone, also when it panicked.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        state.events = Vec::new();
        if matches!(state.number, Number::Asked) {
            state.number = Number::None;
        }
        if state.ended.is_none() {
            let behind = behind(&"the thread that writes them failed; this is a fault of quire, please report it");
            state.ended = Some(Finished { behind: Some(behind), notes: Vec::new() });
        }
        self.0.answer.notify_all();
    }
}

/// The thread's work, from the first open to the last commit.
fn write_rows(shared: &Shared, path: PathBuf, run: &NewRun, chores: Option<Chores>) -> Finished {
    let mut rows = Rows::new(path, run.run_id.clone());
    match rows.reserve(run) {
        Some(number) => shared.number(Number::Given(number)),
        None => shared.number(Number::None),
    }
    let mut notes = Vec::new();
    if let (Some(store), Some(chores)) = (rows.store.as_mut(), chores) {
        notes = chores(store, &|| shared.is_finishing());
    }
    loop {
        let (events, close, is_last) = next_events(shared, rows.retry_at);
        rows.absorb(&events, close.filter(|_| is_last));
        if is_last {
            rows.write_last();
            return Finished { behind: rows.behind(), notes };
        }
        rows.write();
        if rows.is_given_up {
            let mut state = shared.lock();
            state.is_closed = true;
            state.events = Vec::new();
        }
    }
}

/// Sleeps until there is an event, lets others gather, and takes them all. Wakes at `retry_at` as well. The last is true
/// when the run waits.
fn next_events(shared: &Shared, retry_at: Option<Instant>) -> (Vec<(Event, u64)>, Option<FailureKind>, bool) {
    let mut state = shared.lock();
    while state.events.is_empty() && !state.is_finishing {
        match retry_at.map(|at| at.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => break,
            Some(left) => {
                state = shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            None => state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
    if !state.is_finishing {
        state = shared
            .work
            .wait_timeout_while(state, GATHER, |state| !state.is_finishing)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
    (std::mem::take(&mut state.events), state.close, state.is_finishing)
}

/// The database and what waits for it.
struct Rows {
    path: PathBuf,
    store: Option<Store>,
    run_id: RunId,
    pairing: Pairing,
    commands: Vec<RowCommand>,
    batch: Batch,
    offset: u64,
    /// The last failure, while rows wait because of it.
    error: Option<StoreError>,
    retry_at: Option<Instant>,
    is_given_up: bool,
}

impl Rows {
    fn new(path: PathBuf, run_id: RunId) -> Rows {
        let pairing = Pairing::new(run_id.clone());
        Rows {
            path,
            store: None,
            run_id,
            pairing,
            commands: Vec::new(),
            batch: Batch::default(),
            offset: 0,
            error: None,
            retry_at: None,
            is_given_up: false,
        }
    }

    fn reserve(&mut self, run: &NewRun) -> Option<u64> {
        let reserved = self.opened().and_then(|store| store.reserve_run(run));
        reserved.map_err(|error| self.failed(error)).ok()
    }

    fn opened(&mut self) -> Result<&mut Store, StoreError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => open::open(&self.path, WAIT)?,
        };
        Ok(self.store.insert(store))
    }

    fn absorb(&mut self, events: &[(Event, u64)], close: Option<FailureKind>) {
        if self.is_given_up {
            return;
        }
        for (event, end) in events {
            self.pairing.push(event, &mut self.commands);
            self.offset = *end;
        }
        if let Some(kind) = close.filter(|_| !self.pairing.is_finished()) {
            self.pairing.close(kind, &mut self.commands);
        }
        self.batch.extend(self.commands.drain(..));
    }

    /// Writes what waits, unless the database failed just now.
    fn write(&mut self) {
        if !self.is_given_up && self.retry_at.is_none_or(|at| at <= Instant::now()) {
            self.try_write();
        }
        if self.batch.len() > MAX_WAITING {
            self.give_up();
        }
    }

    fn write_last(&mut self) {
        if self.is_given_up || (self.batch.is_empty() && self.error.is_none()) {
            return;
        }
        if let Some(store) = &self.store {
            let _ = store.wait_at_most(LAST_WAIT);
        }
        self.try_write();
    }

    fn try_write(&mut self) {
        let Rows { run_id, offset, .. } = self;
        let (run_id, offset) = (run_id.clone(), *offset);
        let batch = std::mem::take(&mut self.batch);
        let written = self.opened().and_then(|store| store.apply_batch(&run_id, &batch, offset));
        match written {
            Ok(()) => {
                self.error = None;
                self.retry_at = None;
            }
            Err(error) => {
                self.batch = batch;
                self.failed(error);
            }
        }
    }

    fn failed(&mut self, error: StoreError) {
        if error.is_passing() {
            self.retry_at = Some(Instant::now() + PAUSE);
            self.error = Some(error);
        } else {
            self.error = Some(error);
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.is_given_up = true;
        self.retry_at = None;
        self.batch.clear();
    }

    fn behind(&self) -> Option<String> {
        self.error.as_ref().map(|error| behind(error))
    }
}
