//! The thread that writes for a whole server: one connection, several pieces of work a commit (CONTRACT 2).
//!
//! Pieces are done in the order in which they came, each in a savepoint of its own, so that one that fails takes none of the
//! others with it. A transaction takes what waits when it begins and what comes while it is under way, up to [`MAX_ROWS`]
//! rows or [`MAX_TIME`]; a lone piece is committed at once. Who asked is told after the commit, so what is told is true.
//!
//! A database that another program holds is waited for, and nothing is lost. One that is full or broken tells each piece its
//! error, and is opened again for the next. Rows of runs can be read from their stream later; who follows a stream and
//! gets an error for its batch reads on from what [`Store::run`] says.
//!
//! Back pressure: a follower has one batch under way, and reads on once that is done; what its run writes meanwhile waits in
//! the stream. So no more waits here than a batch a run. Beyond [`MAX_WAITING_ROWS`] a batch is given back.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quire_core::ids::RunId;

use super::{Batch, Store, StoreError, Writing, open};

/// Rows after which a transaction takes no more pieces.
const MAX_ROWS: usize = 1000;
/// Time after which a transaction takes no more pieces.
const MAX_TIME: Duration = Duration::from_millis(10);
/// More rows than these do not wait here.
const MAX_WAITING_ROWS: usize = 100_000;
/// How long one attempt waits for another program's transaction.
const WAIT: Duration = Duration::from_millis(250);
/// How long a busy database is waited for once the writer is to stop.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Rows after which the WAL is written back, and how long nothing must have come for it to be written back earlier.
const CHECKPOINT_ROWS: usize = 2000;
const CHECKPOINT_IDLE: Duration = Duration::from_millis(500);

/// The writer of a server's database. Share it behind an [`Arc`].
pub struct GroupWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How much waits for the writer, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Pieces of work.
    pub pieces: usize,
    /// Rows in them.
    pub rows: usize,
    /// Why the database does not take them now, for people; `None` while it does.
    pub failing: Option<String>,
}

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Piece>>,
    rows: usize,
    is_stopping: bool,
    failing: Option<String>,
}

/// Work, then what it came to.
trait Piece: Send {
    /// About how many rows it writes.
    fn rows(&self) -> usize;
    /// Does it; why not, where it failed.
    fn work(&mut self, writing: &mut Writing<'_>) -> Result<(), StoreError>;
    /// It is over: committed unless `lost` says why not, or its work failed.
    fn finish(self: Box<Self>, lost: Option<StoreError>);
}

struct Asked<T, W, D> {
    rows: usize,
    work: Option<W>,
    answer: Option<T>,
    done: D,
}

impl<T, W, D> Piece for Asked<T, W, D>
where
    T: Send,
    W: FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send,
    D: FnOnce(Result<T, StoreError>) + Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn work(&mut self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        if let Some(work) = self.work.take() {
            self.answer = Some(work(writing)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, lost: Option<StoreError>) {
        match (lost, self.answer) {
            (None, Some(answer)) => (self.done)(Ok(answer)),
            (Some(lost), _) => (self.done)(Err(lost)),
            (None, None) => debug_assert!(false, "a piece whose work was not done is finished with an error"),
        }
    }
}

impl GroupWriter {
    /// Opens the database at `path` and starts the thread.
    ///
    /// # Errors
    /// Where the database cannot be opened now, or no thread can be started.
    pub fn start(path: &Path) -> Result<GroupWriter, StoreError> {
        let store = connect(path)?;
        let shared = Arc::new(Shared { path: path.to_owned(), state: Mutex::default(), work: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("rows".to_owned())
            .spawn(move || {
                let _farewell = Farewell(&theirs);
                Writer { shared: &theirs, store: Some(store), unchecked_rows: 0 }.run();
            })
            .map_err(|error| StoreError::CannotOpen { path: path.to_owned(), detail: error.to_string() })?;
        Ok(GroupWriter { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over work; `done` is called with its answer on the writer's thread after the commit, so it should only pass it
    /// on. After [`GroupWriter::stop`] `done` is called here, with [`StoreError::Stopped`].
    ///
    /// Whatever fails in `work` undoes `work` alone.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let piece = Asked { rows: 1, work: Some(work), answer: None, done };
        self.hand_over(Box::new(piece));
    }

    /// Hands over the rows of a run and how many bytes of its stream they tell of; see [`Writing::apply_batch`]. A batch for
    /// which there is no room now is given back, and `done` dropped: try again when another piece is done, or later.
    pub fn write_batch(
        &self,
        run_id: RunId,
        batch: Box<Batch>,
        stream_offset: u64,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), Box<Batch>> {
        if self.shared.lock().rows.saturating_add(batch.len()) > MAX_WAITING_ROWS {
            return Err(batch);
        }
        let rows = batch.len() + 1;
        let work = move |writing: &mut Writing<'_>| writing.apply_batch(&run_id, &batch, stream_offset);
        self.hand_over(Box::new(Asked { rows, work: Some(work), answer: None, done }));
        Ok(())
    }

    /// How much waits, and why.
    pub fn pressure(&self) -> Pressure {
        let state = self.shared.lock();
        Pressure { pieces: state.waiting.len(), rows: state.rows, failing: state.failing.clone() }
    }

    /// Writes what waits, and ends the thread. A database that is busy for longer than five seconds then gets nothing more.
    pub fn stop(&self) {
        self.shared.lock().is_stopping = true;
        self.shared.work.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It tells its failure to those who wait; there is nobody else to tell.
        let _ = thread.map(JoinHandle::join);
    }

    fn hand_over(&self, piece: Box<dyn Piece>) {
        let mut state = self.shared.lock();
        if state.is_stopping {
            drop(state);
            piece.finish(Some(StoreError::Stopped { path: self.shared.path.clone() }));
            return;
        }
        state.rows = state.rows.saturating_add(piece.rows());
        state.waiting.push_back(piece);
        drop(state);
        self.shared.work.notify_one();
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for GroupWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupWriter").field("path", &self.shared.path).field("pressure", &self.pressure()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Box<dyn Piece>> {
        let mut state = self.lock();
        let piece = state.waiting.pop_front()?;
        state.rows = state.rows.saturating_sub(piece.rows());
        Some(piece)
    }

    fn failing(&self, why: Option<String>) {
        self.lock().failing = why;
    }
}

/// Tells everybody who still waits, also when the thread panicked.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        self.0.lock().is_stopping = true;
        while let Some(piece) = self.0.next() {
            piece.finish(Some(StoreError::Stopped { path: self.0.path.clone() }));
        }
    }
}

/// What the thread has.
struct Writer<'a> {
    shared: &'a Shared,
    /// Absent after it failed, until it is opened again.
    store: Option<Store>,
    /// Rows in the WAL that were not written back yet.
    unchecked_rows: usize,
}

impl Writer<'_> {
    fn run(mut self) {
        while self.wait() {
            match self.begin() {
                Ok(()) => self.transact(),
                Err(error) => {
                    self.store = None;
                    self.fail_all(&error);
                }
            }
            if self.unchecked_rows >= CHECKPOINT_ROWS {
                self.checkpoint();
            }
        }
        self.checkpoint();
    }

    /// Waits for work; false once there is none and will be none.
    fn wait(&mut self) -> bool {
        let mut state = self.shared.lock();
        loop {
            if !state.waiting.is_empty() {
                return true;
            }
            if state.is_stopping {
                return false;
            }
            if self.unchecked_rows == 0 {
                state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, waited) =
                self.shared.work.wait_timeout(state, CHECKPOINT_IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() && state.waiting.is_empty() {
                drop(state);
                self.checkpoint();
                state = self.shared.lock();
            }
        }
    }

    /// Opens the database if need be, and begins a transaction: waits for as long as another program holds it.
    fn begin(&mut self) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let error = match self.try_begin() {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::Busy { .. }) => error,
                Err(error) => return Err(error),
            };
            self.shared.failing(Some(error.to_string()));
            if self.shared.lock().is_stopping {
                let last = *last.get_or_insert_with(|| Instant::now() + LAST_WAIT);
                if last <= Instant::now() {
                    return Err(error);
                }
            }
        }
    }

    fn try_begin(&mut self) -> Result<(), StoreError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => connect(&self.shared.path)?,
        };
        let store = self.store.insert(store);
        store
            .conn
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut begin| begin.execute([]))
            .map_err(|error| store.failed(error))?;
        Ok(())
    }

    /// Does what waits, commits, and tells.
    fn transact(&mut self) {
        let Some(store) = &self.store else { return };
        let begun = Instant::now();
        let (mut rows, mut done) = (0, Vec::new());
        let mut lost = None;
        while let Some(mut piece) = self.shared.next() {
            rows += piece.rows();
            let failure = in_savepoint(store, piece.as_mut()).err();
            // SQLite gives up the whole transaction where the disk is full or fails.
            if store.conn.is_autocommit() {
                lost = failure.as_ref().map(StoreError::again);
            }
            done.push((piece, failure));
            if lost.is_some() || rows >= MAX_ROWS || begun.elapsed() >= MAX_TIME {
                break;
            }
        }
        if lost.is_none() {
            lost = store
                .conn
                .prepare_cached("COMMIT")
                .and_then(|mut commit| commit.execute([]))
                .err()
                .map(|error| store.failed(error));
        }
        if lost.is_some() {
            // Opened again next time; closing it rolls back what is left.
            self.store = None;
        }
        self.unchecked_rows += rows;
        self.shared.failing(lost.as_ref().map(StoreError::to_string));
        for (piece, failure) in done {
            piece.finish(failure.or_else(|| lost.as_ref().map(StoreError::again)));
        }
    }

    /// Tells all who wait now that it failed.
    fn fail_all(&mut self, error: &StoreError) {
        self.shared.failing(Some(error.to_string()));
        let failed = {
            let mut state = self.shared.lock();
            state.rows = 0;
            std::mem::take(&mut state.waiting)
        };
        for piece in failed {
            piece.finish(Some(error.again()));
        }
    }

    /// Writes the WAL back, as far as readers let it: after those who waited were told, since it waits for the disk.
    fn checkpoint(&mut self) {
        self.unchecked_rows = 0;
        if let Some(store) = &self.store {
            // Left undone, it is done by a later one.
            let _ = store.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
}

fn connect(path: &Path) -> Result<Store, StoreError> {
    let store = open::open(path, WAIT)?;
    store.conn.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(())).map_err(|error| store.failed(error))?;
    Ok(store)
}

/// Does one piece; undoes it, and nothing else, if it fails.
fn in_savepoint(store: &Store, piece: &mut dyn Piece) -> Result<(), StoreError> {
    let run = |sql: &str| {
        let mut statement = store.conn.prepare_cached(sql).map_err(|error| store.failed(error))?;
        statement.execute([]).map(drop).map_err(|error| store.failed(error))
    };
    run("SAVEPOINT piece")?;
    match piece.work(&mut Writing::new(&store.conn, &store.path)) {
        Ok(()) => run("RELEASE piece"),
        Err(error) => {
            if !store.conn.is_autocommit() {
                run("ROLLBACK TO piece").and_then(|()| run("RELEASE piece"))?;
            }
            Err(error)
        }
    }
}
