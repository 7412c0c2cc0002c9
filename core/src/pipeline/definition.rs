//! What `ci.job` was told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::diagnostic::Place;
use crate::ids::JobId;
use crate::wire::wire_words;

/// What starts a job besides other jobs: `quire/push` (a push, or a plain run here) and `quire/manual` (only when asked for).
pub const SOURCES: &[&str] = &["quire/push", "quire/manual"];

wire_words! {
    /// What a job needs of its inputs before it runs.
    Needs {
        /// All completed, or failed allowedly; a skip cascades.
        Complete = "complete",
        /// None failed; skipped will do.
        Unfailed = "unfailed",
        /// All ended, however.
        Finished = "finished",
    }
}

/// Options of a job, types already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOptions {
    /// Per attempt.
    pub timeout: Option<Duration>,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// A failure does not fail the run.
    pub allow_failure: bool,
    /// What it needs of its inputs.
    pub needs: Needs,
    /// For all its commands; `None` removes a variable.
    pub env: BTreeMap<String, Option<String>>,
    /// For all its commands, relative to the workspace.
    pub cwd: Option<String>,
    /// `sh` (default) or another shell for string commands.
    pub shell: Option<String>,
    /// For people.
    pub desc: Option<String>,
}

impl Default for JobOptions {
    fn default() -> JobOptions {
        JobOptions {
            timeout: None,
            retries: 0,
            allow_failure: false,
            needs: Needs::Complete,
            env: BTreeMap::new(),
            cwd: None,
            shell: None,
            desc: None,
        }
    }
}

/// A call of `ci.job` as it was made: ids and inputs not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawJob {
    /// As written.
    pub id: String,
    /// As written; `None` where none were given.
    pub inputs: Option<Vec<String>>,
    /// Checked for types by the script.
    pub options: JobOptions,
    /// Where `ci.job` was called.
    pub place: Place,
}

/// A job of a checked pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDefinition {
    /// Its id.
    pub id: JobId,
    /// Job ids and sources as written (the default filled in).
    pub inputs: Vec<String>,
    /// Its options.
    pub options: JobOptions,
    /// Where it is defined.
    pub place: Place,
}
