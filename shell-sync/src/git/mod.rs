//! Facts from git: sha and ref of HEAD, dirty counts and fingerprint, fresh checkouts; of bare repositories what a push means.
//!
//! What every run needs at once ([`head`]) is read from git's files without a process; what takes longer ([`watch`]) is found
//! beside the jobs. Nothing here writes into the user's repository.

mod asker;
mod bare;
mod checkout;
mod head;
mod history;
mod status;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

pub use asker::Asker;
pub use bare::{
    Revision, checkout_bare, default_branch, hooks_folder, init_bare, is_bare_repository, move_checkout, resolve_bare,
    tips,
};
pub use checkout::{Checkout, checkout, remove_tree};
pub use head::{Head, Repository, head};
pub use history::{Changes, Commit, FileChange, Subject, changes, subjects};
pub use status::{WorkTree, newer_file, watch, work_tree};

/// What git tells its children about the repository that it works on (`git rev-parse --local-env-vars`), and what bends paths.
/// Without these gone, a quire-ci that a hook starts would look at the hook's repository and index wherever it is pointed.
const REPOSITORY_VARIABLES: [&str; 19] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Why git gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The folder is in no repository.
    #[error("{folder} is in no git repository")]
    NoRepository {
        /// Where was looked, and above.
        folder: String,
    },
    /// There is no `git` to start, or it cannot start.
    #[error("git cannot be started: {0}")]
    NoGit(String),
    /// git said no.
    #[error("git {what} failed: {said}")]
    Failed {
        /// The subcommand.
        what: String,
        /// Its standard error, or how it ended.
        said: String,
    },
    /// The revision is not one.
    #[error("git knows no revision {0:?}")]
    UnknownRevision(String),
    /// A file of the checkout cannot be made.
    #[error("cannot make {path}: {error}")]
    Io {
        /// Which.
        path: String,
        /// As the machine says it.
        error: String,
    },
}

/// A git that works on the repository found from `folder`, asks nobody anything, takes no locks that it can do without, speaks
/// English, and runs nothing that the repository's configuration names (hooks, a file system monitor).
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    for name in REPOSITORY_VARIABLES {
        command.env_remove(name);
    }
    command
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end and returns what it printed.
fn output(command: &mut Command, what: &str) -> Result<Vec<u8>, GitError> {
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => GitError::NoGit("there is no git in PATH".to_owned()),
        _ => GitError::NoGit(error.to_string()),
    })?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let said = if said.is_empty() { output.status.to_string() } else { said };
            Err(GitError::Failed { what: what.to_owned(), said })
        }
    }
}

/// Shorthand of [`git`] and [`output`]; the first argument names it in errors.
fn ask<A: AsRef<OsStr>>(folder: &Path, args: &[A]) -> Result<Vec<u8>, GitError> {
    let mut command = git(folder);
    command.args(args);
    output(&mut command, &args.first().map(|arg| arg.as_ref().to_string_lossy()).unwrap_or_default())
}

/// One line of output as text.
fn line(output: &[u8]) -> String {
    String::from_utf8_lossy(output.strip_suffix(b"\n").unwrap_or(output)).into_owned()
}
