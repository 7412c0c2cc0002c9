//! Workspaces made ahead: one checkout a repository, of what it ran last, which no build has touched.
//!
//! The next run takes it and writes only what differs, which is most of the time between a push and its first command. They are
//! a cache: gone at any time, the first to go where disk is short, and never more than [`MOST`].

use std::fs::{self, DirBuilder, DirEntry};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use quire_ci::git;

/// Most of them at a time; the oldest goes.
const MOST: usize = 50;
/// Begins the name of one that is not whole yet.
const UNBORN: &str = ".new-";

/// The folder of spares.
#[derive(Debug)]
pub struct Spares {
    folder: PathBuf,
}

impl Spares {
    /// Those of a data directory.
    pub fn of(data: &Path) -> Spares {
        Spares { folder: data.join("cache/workspaces") }
    }

    /// Moves a repository's spare to `into`, which is not there yet; false where there is none.
    pub fn take(&self, repo: &str, into: &Path) -> bool {
        fs::rename(self.place(repo), into).is_ok()
    }

    /// Makes a spare for a repository that has none, of this commit.
    ///
    /// # Errors
    /// For people: what could not be made, and why.
    pub fn make(&self, repo: &str, git_dir: &Path, sha: &str) -> Result<(), String> {
        let place = self.place(repo);
        if place.exists() {
            return Ok(());
        }
        let told = |error: io::Error| format!("{}: {error}", self.folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(told)?;
        self.make_room().map_err(told)?;
        let unborn = self.folder.join(format!("{UNBORN}{}", uuid::Uuid::now_v7().simple()));
        git::checkout_bare(git_dir, sha, None, &unborn).map_err(|error| error.to_string())?;
        if fs::rename(&unborn, &place).is_err() {
            // Another was quicker.
            git::remove_tree(&unborn).map_err(told)?;
        }
        Ok(())
    }

    /// Removes what a server that died was making.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub fn sweep(&self) -> io::Result<()> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let is_unborn = |entry: &DirEntry| entry.file_name().as_encoded_bytes().starts_with(UNBORN.as_bytes());
        entries.filter(is_unborn).try_for_each(|entry| git::remove_tree(&entry.path()))
    }

    /// Removes all of them.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        git::remove_tree(&self.folder)
    }

    fn make_room(&self) -> io::Result<()> {
        let mut spares = Vec::new();
        let is_whole = |entry: &DirEntry| !entry.file_name().as_encoded_bytes().starts_with(UNBORN.as_bytes());
        for entry in fs::read_dir(&self.folder)?.flatten().filter(is_whole) {
            let made = entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            spares.push((made, entry.path()));
        }
        spares.sort();
        let too_many = (spares.len() + 1).saturating_sub(MOST);
        spares.iter().take(too_many).try_for_each(|(_, path)| git::remove_tree(path))
    }

    /// No name of a repository has an `@`.
    fn place(&self, repo: &str) -> PathBuf {
        self.folder.join(repo.replace('/', "@"))
    }
}
