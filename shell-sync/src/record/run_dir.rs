//! The directory of a run that is going on: made, locked, and written to by this process.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use quire_core::ids::{JobId, ShId};
use quire_core::wire::FailureKind;

use super::error::RecordError;
use super::event_log::EventLog;
use super::lock::RunLock;
use super::run_files::RunFiles;

/// Begins the name of a run directory that is not locked yet.
pub(super) const UNBORN: &str = ".new-";

/// A run directory held by this process. Dropping it frees the lock.
#[derive(Debug)]
pub struct RunDir {
    files: RunFiles,
    jobs_with_folder: BTreeSet<JobId>,
    lock: RunLock,
}

impl RunDir {
    /// Makes the directory at `path`, whose parent exists. It appears under its name only when its lock is held, so that
    /// nobody takes it for that of a dead run.
    pub fn create(path: &Path) -> Result<RunDir, RecordError> {
        let write = |source| RecordError::write(path, source);
        let mut name = OsString::from(UNBORN);
        name.push(path.file_name().ok_or_else(|| write(io::Error::from(ErrorKind::InvalidInput)))?);
        let unborn = path.with_file_name(name);
        fs::create_dir(&unborn).map_err(write)?;
        let born = RunLock::take(&RunFiles::at(&unborn).lock()).and_then(|lock| match fs::rename(&unborn, path) {
            Ok(()) => Ok(lock),
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                Err(RecordError::Exists { path: path.to_owned() })
            }
            Err(error) => Err(write(error)),
        });
        if born.is_err() {
            let _ = fs::remove_dir_all(&unborn);
        }
        Ok(RunDir { files: RunFiles::at(path), jobs_with_folder: BTreeSet::new(), lock: born? })
    }

    /// Takes the directory at `path` for a run, made if need be (`--out-dir`). What it holds besides is left alone;
    /// [`RunDir::events`] refuses one that holds events.
    pub fn take(path: &Path) -> Result<RunDir, RecordError> {
        fs::create_dir_all(path).map_err(|source| RecordError::write(path, source))?;
        let files = RunFiles::at(path);
        let lock = RunLock::take(&files.lock())?;
        Ok(RunDir { files, jobs_with_folder: BTreeSet::new(), lock })
    }

    /// Where the files are.
    pub fn files(&self) -> &RunFiles {
        &self.files
    }

    /// Notes beside the stream how the run ended, where the stream cannot tell it.
    pub fn note_end(&mut self, kind: FailureKind) -> io::Result<()> {
        self.lock.note_end(kind)
    }

    /// Opens the event file; see [`EventLog::create`].
    pub fn events(&self) -> Result<EventLog, RecordError> {
        EventLog::create(&self.files.events())
    }

    /// Whether `path` is this run's event file itself, so that it must not be written a second time (`--events PATH`).
    pub fn is_events_file(&self, path: &Path) -> bool {
        let (Ok(mine), Ok(theirs)) = (fs::metadata(self.files.events()), fs::metadata(path)) else { return false };
        use std::os::unix::fs::MetadataExt;
        (mine.dev(), mine.ino()) == (theirs.dev(), theirs.ino())
    }

    /// Makes and opens the log of a command, empty.
    pub fn open_log(&mut self, sh: &ShId) -> Result<File, RecordError> {
        let path = self.place_of_log(sh)?;
        let mut open = OpenOptions::new();
        open.write(true).create_new(true);
        let opened = match open.open(&path) {
            // Left by a run that recorded no event. Never written into: it may be linked to the log of another run.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&path).and_then(|()| open.open(&path))
            }
            opened => opened,
        };
        opened.map_err(|source| RecordError::write(&path, source))
    }

    /// Makes the log of another run's command that of a command of this one: the same file where both are on one file system.
    /// It is written by no one any more, and stays while one of the two runs does.
    pub fn take_over(&mut self, log: &Path, sh: &ShId) -> Result<(), RecordError> {
        let path = self.place_of_log(sh)?;
        let linked = match fs::hard_link(log, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&path).and_then(|()| fs::hard_link(log, &path))
            }
            linked => linked,
        };
        match linked {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == ErrorKind::NotFound => Err(RecordError::read(log, source)),
            // Another file system, or one without links.
            Err(_) => fs::copy(log, &path).map(|_| ()).map_err(|source| RecordError::write(&path, source)),
        }
    }

    /// Where the log of a command belongs. The folder of its job is made with its first.
    fn place_of_log(&mut self, sh: &ShId) -> Result<PathBuf, RecordError> {
        let path = self.files.log(sh).ok_or_else(|| RecordError::JobName(sh.job.clone()))?;
        if !self.jobs_with_folder.contains(&sh.job) {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|source| RecordError::write(folder, source))?;
            }
            self.jobs_with_folder.insert(sh.job.clone());
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::lock::LockState;
    use super::super::lock::tests::becomes_free;
    use super::*;

    fn sh(job: &str, n: u32) -> ShId {
        ShId { job: JobId::from_record(job), n }
    }

    #[test]
    fn a_new_directory_is_locked_and_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r1");
        let run = RunDir::create(&path).unwrap();
        assert!(matches!(LockState::of(&run.files().lock()).unwrap(), LockState::Held(Some(_))));
        assert!(matches!(RunDir::create(&path), Err(RecordError::Exists { .. })));
        drop(run);
        becomes_free(&path.join("lock"));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["r1"]);
    }

    #[test]
    fn a_directory_of_the_users_choice_is_taken_unless_it_holds_events() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let run = RunDir::take(&path).unwrap();
        assert!(matches!(RunDir::take(&path), Err(RecordError::Held { .. })));
        run.events().unwrap().append(b"{}\n").unwrap();
        assert!(run.is_events_file(&path.join("../b/events.jsonl")));
        assert!(!run.is_events_file(&path.join("lock")));
        drop(run);
        assert!(matches!(RunDir::take(&path).unwrap().events(), Err(RecordError::NotEmpty { .. })));
    }

    #[test]
    fn logs_are_new_files_and_old_links_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let mut run = RunDir::create(&dir.path().join("r")).unwrap();
        run.open_log(&sh("build", 1)).unwrap().write_all(b"one").unwrap();
        fs::hard_link(dir.path().join("r/jobs/build/sh-1.log"), dir.path().join("kept")).unwrap();
        run.open_log(&sh("build", 1)).unwrap().write_all(b"two").unwrap();
        assert_eq!(fs::read(dir.path().join("kept")).unwrap(), b"one");
        assert_eq!(fs::read(dir.path().join("r/jobs/build/sh-1.log")).unwrap(), b"two");
        for bad in ["..", "", "a/b"] {
            assert!(matches!(run.open_log(&sh(bad, 1)), Err(RecordError::JobName(_))), "{bad}");
        }
    }
}
