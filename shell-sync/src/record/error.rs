//! What can go wrong with the record's files, said so that a person knows what to do.

use std::io;
use std::path::{Path, PathBuf};

use quire_core::ids::JobId;

use super::lock::Holder;
use crate::store::StoreError;

/// Why the record cannot be written or read. Each text says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No state directory is known for this user.
    #[error(
        "there is no place for records: set HOME or XDG_STATE_HOME to an absolute path, or name one with --data-dir"
    )]
    NoHome,
    /// The workspace's own path cannot be found out.
    #[error("the workspace {} cannot be resolved ({source}): check that it exists and may be entered", path.display())]
    Workspace {
        /// The workspace.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or directory cannot be made or written.
    #[error(
        "cannot write {} ({source}): free space there or correct its rights, or name another directory with --data-dir or \
         --out-dir", path.display()
    )]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or directory cannot be read.
    #[error("cannot read {} ({source})", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory records another run already.
    #[error("{} holds events of an earlier run: name an empty or new directory with --out-dir", path.display())]
    NotEmpty {
        /// The event file.
        path: PathBuf,
    },
    /// The run directory exists.
    #[error("the run directory {} exists already: run ids are given once", path.display())]
    Exists {
        /// The run directory.
        path: PathBuf,
    },
    /// A living process records there.
    #[error("{} is in use by {}: wait for it to end, or name another directory", path.display(), who(holder.as_ref()))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, where it says so.
        holder: Option<Holder>,
    },
    /// A run id that may not name a directory.
    #[error("the run id {0:?} may not name a directory: run ids have no '/', do not start with '.', and are short")]
    RunName(String),
    /// A job id that may not name a directory.
    #[error(
        "the job id {0:?} may not name a directory: it has only letters, digits, '-', '_' and '.', and starts with neither '.' nor '-'"
    )]
    JobName(JobId),
    /// Runs are to be removed from a server's directory as if they were local ones.
    #[error(
        "{} is a server's data directory, which keeps all runs: `quire prune --data-dir {}` removes old logs and workspaces \
         there", path.display(), path.display()
    )]
    Servers {
        /// The data directory.
        path: PathBuf,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RecordError {
    pub(super) fn write(path: &Path, source: io::Error) -> RecordError {
        RecordError::Write { path: path.to_owned(), source }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> RecordError {
        RecordError::Read { path: path.to_owned(), source }
    }
}

fn who(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |holder| format!("process {}", holder.pid))
}
