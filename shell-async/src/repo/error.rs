//! What can be wrong with repositories, and what a person is told about it.

use std::io;
use std::path::{Path, PathBuf};

use quire_ci::cli::{CliError, ErrorKind};
use quire_ci::git::GitError;

use super::name::{BadName, RepoName};

/// Why something about a repository could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepoError {
    /// The name is none.
    #[error("{text:?} cannot be a repository's name: {why}")]
    Name {
        /// What was given.
        text: String,
        /// Why.
        why: BadName,
    },
    /// What stands where the name leads is no folder of the data directory's own.
    #[error("{} leads out of the data directory", path.display())]
    Outside {
        /// The symlink, or what is no folder.
        path: PathBuf,
    },
    /// There is one already.
    #[error("there is a repository {name} already")]
    Exists {
        /// Its name.
        name: RepoName,
    },
    /// There is none.
    #[error("there is no repository {name}")]
    Unknown {
        /// What was asked for.
        name: RepoName,
        /// What there is.
        known: Vec<RepoName>,
    },
    /// A folder is no bare repository.
    #[error("{} is no bare git repository", path.display())]
    NotBare {
        /// The folder.
        path: PathBuf,
        /// It has a work tree.
        work_tree: bool,
    },
    /// A repository made here holds commits: it is not removed just so.
    #[error("{name} was made here: removing it removes its commits")]
    WouldDelete {
        /// Which.
        name: RepoName,
    },
    /// Another quire tells its server about pushes to this repository.
    #[error("pushes to this repository are told to another quire, as {repo} of {}", data.display())]
    OtherHook {
        /// The hook.
        path: PathBuf,
        /// Its data directory.
        data: PathBuf,
        /// Its name for the repository.
        repo: String,
    },
    /// Both a hook that is not ours and one that was set aside before.
    #[error("there are two hooks that are not quire's: {} and {}", hook.display(), aside.display())]
    TwoHooks {
        /// The one in place.
        hook: PathBuf,
        /// The one that was set aside.
        aside: PathBuf,
    },
    /// git said no.
    #[error("{0}")]
    Git(#[from] GitError),
    /// The machine said no.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried: `make`, `read`, `write`, `remove`.
        what: &'static str,
        /// What it was tried with.
        path: PathBuf,
        /// As the machine says it.
        error: String,
        /// A right was missing.
        denied: bool,
    },
}

impl RepoError {
    /// For `map_err`.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RepoError {
        move |error| RepoError::Io {
            what,
            path: path.to_owned(),
            denied: error.kind() == io::ErrorKind::PermissionDenied,
            error: error.to_string(),
        }
    }
}

/// Most names that an error lists.
const LISTED: usize = 30;

impl From<RepoError> for CliError {
    fn from(error: RepoError) -> CliError {
        let kind = match &error {
            RepoError::Unknown { .. } => ErrorKind::NotFound,
            RepoError::Git(_) | RepoError::Io { .. } | RepoError::Outside { .. } => ErrorKind::Machine,
            _ => ErrorKind::Usage,
        };
        let help = match &error {
            RepoError::Name { .. } => Some("write NAME.git or GROUP/NAME.git: work/foo.git".to_owned()),
            RepoError::Outside { .. } => Some("put a folder in its place, or choose another group".to_owned()),
            RepoError::Exists { name } => {
                Some(format!("choose another name, or remove it first: quire repo rm {name}"))
            }
            RepoError::Unknown { name, known } => Some(match known.as_slice() {
                [] => format!("there are none yet; make it: quire repo new {name}"),
                known => {
                    let listed: Vec<&str> = known.iter().take(LISTED).map(RepoName::as_str).collect();
                    let more = known.len().saturating_sub(LISTED);
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    format!("there are: {}{more}", listed.join(", "))
                }
            }),
            RepoError::NotBare { work_tree: true, .. } => {
                Some("quire takes repositories that are pushed to; make one of it: git clone --bare".to_owned())
            }
            RepoError::NotBare { .. } => Some("name the folder that holds HEAD, objects and refs".to_owned()),
            RepoError::WouldDelete { name } => Some(format!("if that is what you want: quire repo rm --yes {name}")),
            RepoError::OtherHook { data, repo, .. } => {
                Some(format!("take it out there first: quire repo rm {repo} --data-dir {}", data.display()))
            }
            RepoError::TwoHooks { .. } => Some("make one of the two, and remove the other".to_owned()),
            RepoError::Git(_) => None,
            RepoError::Io { denied: true, .. } => Some("do this as the user that owns it, or as root".to_owned()),
            RepoError::Io { .. } => None,
        };
        let error_text = error.to_string();
        let place = match error {
            RepoError::OtherHook { path, .. } => Some(path.display().to_string()),
            _ => None,
        };
        CliError { help, place, ..CliError::new(kind, error_text) }
    }
}
