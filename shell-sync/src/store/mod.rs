//! The SQLite store: migrations, puts, queries, and the thread that writes rows while a run goes on (CONTRACT 2).
//!
//! All SQL text of quire lives here and in `migrations/`. What a row means, and which rows an event causes, is
//! [`quire_core::pairing`]'s; which files there are is [`crate::record`]'s.
//!
//! The database is a projection of the runs' streams, so its durability is chosen for speed: WAL with `synchronous =
//! NORMAL`, which a power cut may set back by some commits but never damages; what it lost is read again from the streams.

mod batch;
mod bulk;
mod error;
mod group_writer;
mod log_retention;
mod open;
mod overview;
mod pages;
mod puts;
mod queries;
mod queue;
mod select;
mod tokens;
mod writer;
mod writing;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

pub use batch::Batch;
pub use bulk::{Bulk, Numbering};
pub use error::{SelectError, StoreError};
pub use group_writer::{GroupWriter, Pressure};
pub use log_retention::WithLogs;
pub(crate) use open::UNBORN;
pub use overview::{RepoOverview, RunLine};
pub use pages::{Pulse, RunVersion};
pub use puts::NewRun;
pub use queries::{RunFilter, RunRecord};
pub use queue::{NotRunRecord, QueuedRun};
pub use tokens::{Hashed, NewToken, TokenRecord};
pub use writer::{Chores, Finished, RowWriter};
pub use writing::Writing;

/// An open database, of the newest schema.
#[derive(Debug)]
pub struct Store {
    conn: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the database at `path`; makes it if there is none, migrates it if it is of an older schema.
    ///
    /// Waits up to five seconds for other writers, here and later; see [`Store::wait_at_most`].
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        open::open(path, Duration::from_secs(5))
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long a put waits for another connection's transaction before it fails with [`StoreError::Busy`].
    pub fn wait_at_most(&self, wait: Duration) -> Result<(), StoreError> {
        self.conn.busy_timeout(wait).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::new(&self.path, error)
    }
}
