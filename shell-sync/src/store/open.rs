//! Opening: settings of a connection, migrations, and the way a new database comes to be.
//!
//! A new database is made whole under another name and linked to its own: nobody ever sees one half made, two programs
//! that make it at once both get the same one, and no `fsync` is needed, for until the kernel has written it there is
//! nothing in it that a rebuild would not bring back.
//!
//! One of an older schema is copied before it is migrated, in the same manner: `quire.db.v1` is what it was at version 1.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Store, StoreError};

/// The migrations in order; a database's `user_version` counts those that it has. Append only.
const MIGRATIONS: &[&str] =
    &[include_str!("../../../migrations/0001_runs.sql"), include_str!("../../../migrations/0002_server.sql")];

/// Pages in the WAL after which a commit checkpoints. Closing never does, so the next open reads at most about 1 MiB.
const CHECKPOINT_PAGES: u32 = 256;

/// What a large transaction may leave of the WAL once it is written back.
const MAX_WAL_BYTES: u32 = 4 << 20;

/// Follows the database's name in that of one that is being made. Who is killed over it leaves it there.
pub(crate) const UNBORN: &str = ".new-";

/// Statements kept prepared.
const CACHED_STATEMENTS: usize = 64;

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
        if found > 0 {
            copy_as_it_is(&store.conn, path, found)?;
        }
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
    // Without it SQLite parses and plans a kept statement anew whenever its LIMIT or a value of an index is bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
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
    let beside = unborn(path);
    let made = fill(&beside).map_err(|error| StoreError::new(path, error)).and_then(|()| {
        match fs::hard_link(&beside, path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // The database is then made in place.
            Err(error) if has_no_links(&error) => Ok(()),
            Err(error) => Err(StoreError::CannotOpen { path: path.to_owned(), detail: error.to_string() }),
        }
    });
    let _ = fs::remove_file(&beside);
    made
}

/// Copies the database, of version `found`, to `<its name>.v<found>` before it is migrated. A copy that is there is left as
/// it is: whoever made it made the first one.
fn copy_as_it_is(conn: &Connection, path: &Path, found: i64) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{found}"));
    let copy = PathBuf::from(name);
    if fs::symlink_metadata(&copy).is_ok() {
        return Ok(());
    }
    let beside = unborn(path);
    let made = fill_from(conn, &beside).map_err(|error| StoreError::new(path, error)).and_then(|version| {
        // Another program has migrated it meanwhile: it has made the copy as well.
        if version != found {
            return Ok(());
        }
        let linked = fs::File::open(&beside).and_then(|file| file.sync_all()).and_then(|()| {
            match fs::hard_link(&beside, &copy) {
                Err(error) if has_no_links(&error) => fs::rename(&beside, &copy),
                linked => linked,
            }
        });
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::Copy { path: path.to_owned(), copy, detail: error.to_string() })
            }
            _ => Ok(()),
        }
    });
    let _ = fs::remove_file(&beside);
    made
}

impl Store {
    /// Writes the database as it is now into a new file at `path`, while others go on writing.
    pub fn snapshot(&self, path: &Path) -> Result<(), StoreError> {
        fill_from(&self.conn, path).map(drop).map_err(|error| StoreError::new(path, error))
    }
}

/// Writes all of the database into a new file; returns the version that was copied.
fn fill_from(conn: &Connection, beside: &Path) -> rusqlite::Result<i64> {
    // As text, whatever bytes it has.
    let name = ToSqlOutput::Borrowed(ValueRef::Text(beside.as_os_str().as_bytes()));
    conn.execute("VACUUM INTO ?1", [name])?;
    let copy = Connection::open_with_flags(beside, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    copy.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The name of a database that is not whole yet.
fn unborn(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{UNBORN}{}", uuid::Uuid::now_v7().simple()));
    PathBuf::from(name)
}

/// Whether the file system has no hard links.
fn has_no_links(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(EPERM)
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
