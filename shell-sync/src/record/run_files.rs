//! A run directory as readers see it: where its files are.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use quire_core::ids::{JobId, ShId};
use quire_core::wire::FailureKind;

use super::error::RecordError;
use super::lock::RunLock;

/// The paths in one run directory. Makes nothing, checks nothing: what is asked for may not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFiles {
    path: PathBuf,
}

impl RunFiles {
    /// Of the run directory at `path`.
    pub fn at(path: impl Into<PathBuf>) -> RunFiles {
        RunFiles { path: path.into() }
    }

    /// The run directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The event file.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The kind of failure with which the run is to be closed if its stream tells no end: what the run itself noted, else that
    /// it died.
    pub fn end_without_stream(&self) -> FailureKind {
        RunLock::noted_end(&self.lock()).unwrap_or(FailureKind::Orphaned)
    }

    /// The directory of a job's logs; `None` for an id that may not name one.
    pub fn job(&self, job_id: &JobId) -> Option<PathBuf> {
        job_id.is_valid().then(|| self.path.join("jobs").join(job_id.as_str()))
    }

    /// The log of a command; `None` for an id that may not name a directory.
    pub fn log(&self, sh: &ShId) -> Option<PathBuf> {
        Some(self.job(&sh.job)?.join(format!("sh-{}.log", sh.n)))
    }

    /// The jobs that have a log directory, ordered by id.
    pub fn jobs(&self) -> Result<Vec<JobId>, RecordError> {
        let mut jobs: Vec<JobId> =
            names(&self.path.join("jobs"))?.iter().filter_map(|name| JobId::new(name).ok()).collect();
        jobs.sort();
        Ok(jobs)
    }

    /// The logs of a job with the index of their command, in the order of commands: `sh-2` before `sh-10`.
    pub fn logs(&self, job_id: &JobId) -> Result<Vec<(u32, PathBuf)>, RecordError> {
        let Some(folder) = self.job(job_id) else { return Ok(Vec::new()) };
        let mut logs: Vec<(u32, PathBuf)> =
            names(&folder)?.iter().filter_map(|name| Some((log_index(name)?, folder.join(name)))).collect();
        logs.sort();
        Ok(logs)
    }
}

/// `n` of `sh-<n>.log` as quire writes it.
fn log_index(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("sh-")?.strip_suffix(".log")?;
    let n: u32 = digits.parse().ok()?;
    (n > 0 && n.to_string() == digits).then_some(n)
}

/// The names in a folder that are text; none for a folder that is not there.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, RecordError> {
    let read = |source| RecordError::read(folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(read)?.file_name().into_string().ok());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_listed_in_the_order_of_commands() {
        let dir = tempfile::tempdir().unwrap();
        let files = RunFiles::at(dir.path());
        let job = JobId::new("build").unwrap();
        assert!(files.logs(&job).unwrap().is_empty());
        let folder = files.job(&job).unwrap();
        fs::create_dir_all(&folder).unwrap();
        for name in ["sh-10.log", "sh-2.log", "sh-1.log", "sh-02.log", "sh-0.log", "sh-x.log", "note", "sh-3.log~"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let found: Vec<u32> = files.logs(&job).unwrap().into_iter().map(|(n, _)| n).collect();
        assert_eq!(found, [1, 2, 10]);
        assert_eq!(files.jobs().unwrap(), [job]);
    }

    #[test]
    fn no_path_leaves_the_run_directory() {
        let files = RunFiles::at("/r");
        for bad in ["..", "", "a/b", "/etc", "-x"] {
            assert_eq!(files.log(&ShId { job: JobId::from_record(bad), n: 1 }), None, "{bad}");
        }
        let good = ShId { job: JobId::from_record("a"), n: 3 };
        assert_eq!(files.log(&good), Some(PathBuf::from("/r/jobs/a/sh-3.log")));
    }
}
