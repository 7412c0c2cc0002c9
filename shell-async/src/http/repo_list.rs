//! The repositories on disk, as they were read last: to look at all of hundreds takes some twenty system calls each, to see that
//! nothing has changed takes one.
//!
//! Where repositories are, and what they are called, is `crate::repo`'s.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use quire_ci::git;

use crate::repo::{Repo, RepoError, Repos};

/// What was changed this short a time before it was read may change again with the same times on it: it is not kept.
const SETTLED: Duration = Duration::from_secs(2);

/// A repository on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// What its HEAD names.
    pub(super) head: Option<String>,
}

impl Found {
    pub(super) fn of(repo: &Repo) -> Found {
        Found { name: repo.name.to_string(), head: git::default_branch(&repo.git_dir) }
    }
}

/// The list as it was read last.
#[derive(Debug, Default)]
pub(super) struct RepoList(Mutex<Option<Arc<Read>>>);

#[derive(Debug)]
struct Read {
    found: Vec<Found>,
    /// What it was read from: as long as none of it changes, it is the same.
    sources: Vec<(PathBuf, Stamp)>,
}

/// What changes whenever a file or a folder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    dev: u64,
    ino: u64,
    /// Seconds and nanoseconds.
    ctime: (i64, i64),
}

impl RepoList {
    /// The repositories below `data`, by name. It waits for the disk.
    pub(super) fn all(&self, data: &Path) -> Result<Vec<Found>, RepoError> {
        let kept = self.kept().clone();
        if let Some(read) = kept.filter(|read| read.is_current()) {
            return Ok(read.found.clone());
        }
        let now = SystemTime::now();
        let repos = Repos::of(data);
        // First what tells of changes, then the list: what changes in between is read again.
        let folders = stamps(folders(&data.join("repos")));
        let listed = repos.list()?;
        let sources = [folders, stamps(listed.iter().flat_map(heads))].concat();
        let found: Vec<Found> = listed.iter().map(Found::of).collect();
        let is_settled = sources.iter().all(|(_, stamp)| stamp.is_before(now));
        *self.kept() = is_settled.then(|| Arc::new(Read { found: found.clone(), sources }));
        Ok(found)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Arc<Read>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read {
    fn is_current(&self) -> bool {
        self.sources.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
    }
}

impl Stamp {
    /// Of what is not there, zeros.
    fn of(path: &Path) -> Stamp {
        let meta = fs::symlink_metadata(path);
        meta.map_or(Stamp { dev: 0, ino: 0, ctime: (0, 0) }, |meta| Stamp {
            dev: meta.dev(),
            ino: meta.ino(),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    fn is_before(self, now: SystemTime) -> bool {
        let settled = now.checked_sub(SETTLED).and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        settled.is_some_and(|settled| self.ctime.0 < settled.as_secs().cast_signed())
    }
}

fn stamps(paths: impl IntoIterator<Item = PathBuf>) -> Vec<(PathBuf, Stamp)> {
    let stamped = |path: PathBuf| {
        let stamp = Stamp::of(&path);
        (path, stamp)
    };
    paths.into_iter().map(stamped).collect()
}

/// The folder of all, and the folders of groups in it: names come and go there.
fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let groups = entries.map(|entry| entry.path()).filter(|path| path.extension().is_none_or(|end| end != "git"));
    std::iter::once(root.to_owned()).chain(groups).collect()
}

/// The files that say what HEAD names. One that was taken in and has moved is seen by its HEAD.
fn heads(repo: &Repo) -> impl Iterator<Item = PathBuf> + use<> {
    let tables = repo.git_dir.join("reftable/tables.list");
    let tables = fs::symlink_metadata(&tables).is_ok().then_some(tables);
    std::iter::once(repo.git_dir.join("HEAD")).chain(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with this HEAD, written long ago as far as its own times go.
    fn make(data: &Path, name: &str, head: &str) {
        let path = data.join("repos").join(name);
        for part in ["objects", "refs"] {
            fs::create_dir_all(path.join(part)).unwrap();
        }
        // As git does: another file takes the name.
        fs::write(path.join("HEAD.lock"), format!("ref: refs/heads/{head}\n")).unwrap();
        fs::rename(path.join("HEAD.lock"), path.join("HEAD")).unwrap();
    }

    #[test]
    fn what_changes_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let list = RepoList::default();
        let told = || {
            let all = list.all(dir.path()).unwrap();
            all.into_iter().map(|found| (found.name, found.head.unwrap_or_default())).collect::<Vec<_>>()
        };
        let pair = |name: &str, head: &str| (name.to_owned(), format!("refs/heads/{head}"));
        assert_eq!(told(), []);
        make(dir.path(), "a.git", "main");
        make(dir.path(), "group/b.git", "main");
        assert_eq!(told(), [pair("a.git", "main"), pair("group/b.git", "main")]);
        assert!(list.kept().is_none(), "it is too new to be kept");
        // As if it had settled.
        let repos = Repos::of(dir.path()).list().unwrap();
        let sources = stamps(folders(&dir.path().join("repos")).into_iter().chain(repos.iter().flat_map(heads)));
        let found = repos.iter().map(Found::of).collect();
        *list.kept() = Some(Arc::new(Read { found, sources }));
        assert!(list.kept().as_ref().unwrap().is_current());
        make(dir.path(), "group/b.git", "trunk");
        assert_eq!(told(), [pair("a.git", "main"), pair("group/b.git", "trunk")]);
        make(dir.path(), "group/c.git", "main");
        assert_eq!(told().len(), 3);
        fs::remove_dir_all(dir.path().join("repos/a.git")).unwrap();
        assert_eq!(told(), [pair("group/b.git", "trunk"), pair("group/c.git", "main")]);
    }
}
