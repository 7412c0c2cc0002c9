//! What can go wrong with the database, said so that a person knows what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::queries::RunRecord;

/// Why the store cannot do something. Each text says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The schema is of a version that this program does not know.
    #[error(
        "the database {} was written by a newer quire (schema {found}, this quire knows {known}): upgrade quire, or name \
         another directory with --data-dir", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// The file is damaged, or no database.
    #[error(
        "the database {} is damaged ({detail}): `quire-ci rebuild` makes it anew from the run directories; no recorded \
         event or log is lost", path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// Another connection holds the write lock for longer than the wait.
    #[error("the database {} is locked by another program for too long: try again when that one has ended", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// No space, or a quota.
    #[error("the database {} cannot grow: the disk is full; free some space (`quire-ci prune` removes old runs)", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// It may be read but not written.
    #[error("the database {} is read-only: give this user the right to write it and its directory", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// It can neither be opened nor made.
    #[error(
        "the database {} cannot be opened ({detail}): check that its directory exists and that this user may write there",
        path.display()
    )]
    CannotOpen {
        /// The database.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// It is of an older schema, and the copy that is made before it is migrated cannot be made.
    #[error(
        "the database {} is to be brought to a newer schema, and cannot be copied to {} before ({detail}): free some space \
         there or correct its rights", path.display(), copy.display()
    )]
    Copy {
        /// The database.
        path: PathBuf,
        /// Where the copy belongs.
        copy: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// The thread that writes has stopped, or failed.
    #[error("the database {} is no longer written: the server is stopping; try again when it is back", path.display())]
    Stopped {
        /// The database.
        path: PathBuf,
    },
    /// A row breaks a rule of the schema, or a statement is wrong: quire's own fault.
    #[error("the database {} refused a statement ({source}): this is a fault of quire, please report it", path.display())]
    Refused {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Sorts SQLite's error by what a person can do about it.
    pub(super) fn new(path: &Path, error: rusqlite::Error) -> StoreError {
        let path = path.to_owned();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                StoreError::Busy { path }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { path, detail },
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure) => {
                StoreError::CannotOpen { path, detail }
            }
            _ => StoreError::Refused { path, source: error },
        }
    }

    /// Whether the same may succeed later without anyone changing quire or the database.
    pub fn is_passing(&self) -> bool {
        match self {
            StoreError::Busy { .. } | StoreError::Full { .. } => true,
            StoreError::Newer { .. }
            | StoreError::Corrupt { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::CannotOpen { .. }
            | StoreError::Copy { .. }
            | StoreError::Stopped { .. }
            | StoreError::Refused { .. } => false,
        }
    }
}

impl StoreError {
    /// The same again, for each of those whom one failure concerns.
    pub(super) fn again(&self) -> StoreError {
        match self {
            StoreError::Newer { path, found, known } => {
                StoreError::Newer { path: path.clone(), found: *found, known: *known }
            }
            StoreError::Corrupt { path, detail } => StoreError::Corrupt { path: path.clone(), detail: detail.clone() },
            StoreError::Busy { path } => StoreError::Busy { path: path.clone() },
            StoreError::Full { path } => StoreError::Full { path: path.clone() },
            StoreError::ReadOnly { path } => StoreError::ReadOnly { path: path.clone() },
            StoreError::CannotOpen { path, detail } => {
                StoreError::CannotOpen { path: path.clone(), detail: detail.clone() }
            }
            StoreError::Copy { path, copy, detail } => {
                StoreError::Copy { path: path.clone(), copy: copy.clone(), detail: detail.clone() }
            }
            StoreError::Stopped { path } => StoreError::Stopped { path: path.clone() },
            StoreError::Refused { path, source } => {
                let code =
                    source.sqlite_error().copied().unwrap_or(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR));
                let again = rusqlite::Error::SqliteFailure(code, Some(source.to_string()));
                StoreError::Refused { path: path.clone(), source: again }
            }
        }
    }
}

/// Why a RUN names no run.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Nothing matches; holds the latest few runs.
    #[error("no run matches {text:?}{}", Listed("; the latest runs are", latest))]
    None {
        /// What was asked for.
        text: String,
        /// The latest runs, newest first.
        latest: Vec<RunRecord>,
    },
    /// Several match.
    #[error("{text:?} could be any of these, give more of its id, or its number{}", Listed("", matches))]
    Several {
        /// What was asked for.
        text: String,
        /// What it could be, newest first; at most ten.
        matches: Vec<RunRecord>,
    },
    /// The text has no form of a RUN.
    #[error(
        "{text:?} names no run: give a number, `last`, `last-failed`, at least 8 characters of a run's id or at least 7 of \
         its commit{}",
        Listed("; the latest runs are", latest)
    )]
    Form {
        /// What was asked for.
        text: String,
        /// The latest runs, newest first.
        latest: Vec<RunRecord>,
    },
    /// There is no run at all yet.
    #[error("there are no runs yet: `quire-ci run` makes the first")]
    Empty,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An intro and one indented line a run; nothing for no runs.
struct Listed<'a>(&'static str, &'a [RunRecord]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() {
            return Ok(());
        }
        write!(f, "{}:", self.0)?;
        for run in self.1 {
            let number = run.row.number.map_or_else(|| "-".to_owned(), |n| n.to_string());
            write!(f, "\n  {number:>4}  {}  {}", run.row.run_id, run.row.state)?;
            if let Some(sha) = &run.row.sha {
                write!(f, "  {}", sha.get(..10).unwrap_or(sha))?;
            }
            if let Some(repo) = run.row.repo.as_deref().filter(|repo| !repo.is_empty()) {
                write!(f, "  {repo}")?;
            }
        }
        Ok(())
    }
}
