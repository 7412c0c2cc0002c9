//! Opening: settings of a connection, migrations, and the way a new database comes to be.
//!
//! A new database is made whole under another name and linked to its own: nobody ever sees one half made, two programs
//! that make it at once both get the same one, and no `fsync` is needed, for until the kernel has written it there is
//! nothing in it that a rebuild would not bring back.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Store, StoreError};

/// The migrations in order; a database's `user_version` counts those that it has. Append only.
const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/0001_runs.sql")];

/// Pages in the WAL after which a commit checkpoints. Closing never does, so the next open reads at most about 1 MiB.
const CHECKPOINT_PAGES: u32 = 256;

/// What a large transaction may leave of the WAL once it is written back.
const MAX_WAL_BYTES: u32 = 4 << 20;

/// Follows the database's name in that of one that is being made. Who is killed over it leaves it there.
pub(crate) const UNBORN: &str = ".new-";

/// Statements kept prepared.
const CACHED_STATEMENTS: usize = 32;

/// The newest schema version that this program knows.
pub(super) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("few migrations")
}

/// Opens, makes or migrates; `wait` is the busy time-out.
pub(super) fn open(path: &Path, wait: Duration) -> Result<Store, StoreError> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        create(path)?;
    }
    let conn = connect(path).map_err(|error| StoreError::new(path, error))?;
    let mut store = Store { conn, path: path.to_owned() };
    let found = settings(&store.conn, wait).map_err(|error| store.failed(error))?;
    let known = known_version();
    if found > known {
        return Err(StoreError::Newer { path: store.path, found, known });
    }
    if found < known {
        migrate(&mut store.conn).map_err(|error| StoreError::new(path, error))?;
    }
    Ok(store)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Sets what holds for the connection's life; returns the schema version.
fn settings(conn: &Connection, wait: Duration) -> rusqlite::Result<i64> {
    conn.busy_timeout(wait)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let found = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found <= known_version() {
        conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY")?;
    conn.query_row(&format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"), [], |_| Ok(()))?;
    conn.query_row(&format!("PRAGMA journal_size_limit = {MAX_WAL_BYTES}"), [], |_| Ok(()))?;
    Ok(found)
}

/// Runs what the database lacks in one transaction. The version is read inside it: of two programs that come at once, the
/// second finds nothing left to do.
fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        tx.execute_batch(migration)?;
    }
    if found < known_version() {
        tx.pragma_update(None, "user_version", known_version())?;
    }
    tx.commit()
}

/// Makes a new database at `path`, unless another program was quicker.
fn create(path: &Path) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{UNBORN}{}", uuid::Uuid::now_v7().simple()));
    let beside = Path::new(&name);
    let made = fill(beside).map_err(|error| StoreError::new(path, error)).and_then(|()| {
        match fs::hard_link(beside, path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // A file system without hard links: the database is then made in place.
            Err(error) if error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(EPERM) => Ok(()),
            Err(error) => Err(StoreError::CannotOpen { path: path.to_owned(), detail: error.to_string() }),
        }
    });
    let _ = fs::remove_file(beside);
    made
}

/// What `link` says on file systems that have no hard links.
const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();

fn fill(beside: &Path) -> rusqlite::Result<()> {
    let mut conn = connect(beside)?;
    // No journal and no sync: the file has its own name only once it is whole.
    conn.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    conn.execute_batch("PRAGMA synchronous = OFF")?;
    migrate(&mut conn)?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)
}
