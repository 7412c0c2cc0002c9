//! Identifiers as types: what names a run, a job and a command, and which texts may.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is no job id (CONTRACT 6). The message completes "a job id …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobIdError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more than 100 characters.
    #[error("has at most 100 characters, this one has {0}")]
    TooLong(usize),
    /// The text starts with `.` or `-`.
    #[error("must not start with {0:?}")]
    Start(char),
    /// The text has a character outside letters, digits, `-`, `_`, `.`.
    #[error("has only letters, digits, '-', '_' and '.', not {0:?}")]
    Character(char),
}

/// The name of a job: 1-100 of ASCII letters, digits, `-`, `_`, `.`, not starting with `.` or `-` (CONTRACT 6).
///
/// Cheap to clone. A stream may carry ids that no pipeline could define; those enter through [`JobId::from_record`] and must
/// never become part of a path unless [`JobId::is_valid`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Arc<str>);

impl JobId {
    /// Checks and wraps `text`.
    pub fn new(text: &str) -> Result<JobId, JobIdError> {
        let count = text.chars().count();
        if count == 0 {
            return Err(JobIdError::Empty);
        }
        if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
            return Err(JobIdError::Character(c));
        }
        if let Some(c) = text.chars().next().filter(|c| matches!(c, '.' | '-')) {
            return Err(JobIdError::Start(c));
        }
        if count > 100 {
            return Err(JobIdError::TooLong(count));
        }
        Ok(JobId(text.into()))
    }

    /// Wraps an id read from a record, whatever it is.
    pub fn from_record(text: &str) -> JobId {
        JobId(text.into())
    }

    /// Whether a pipeline could have defined this id, so that it may name a folder.
    pub fn is_valid(&self) -> bool {
        JobId::new(&self.0).is_ok()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The id of a run: a UUIDv7 where quire made it, any text where a stream brought it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Arc<str>);

impl RunId {
    /// Wraps `text`.
    pub fn new(text: &str) -> RunId {
        RunId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// One command of a job: `n` counts the job's `sh_started` from 1 (CONTRACT 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShId {
    /// The job.
    pub job: JobId,
    /// 1-based index of the command in its job.
    pub n: u32,
}

impl fmt::Display for ShId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_are_safe_folder_names() {
        for good in ["a", "build", "test-1.2_x", "A", &"x".repeat(100)] {
            assert!(JobId::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", JobIdError::Empty),
            ("..", JobIdError::Start('.')),
            (".git", JobIdError::Start('.')),
            ("-rf", JobIdError::Start('-')),
            ("a/b", JobIdError::Character('/')),
            ("a b", JobIdError::Character(' ')),
            ("ä", JobIdError::Character('ä')),
            (&"x".repeat(101), JobIdError::TooLong(101)),
        ] {
            assert_eq!(JobId::new(bad), Err(why), "{bad}");
        }
    }
}
