//! The row store: three tables, full-row puts, transactions. A row that has ended stays as it ended.

use std::collections::BTreeMap;

use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, RunState, ShRow};

use super::violated;

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Store {
    runs: BTreeMap<RunId, Rows>,
}

/// The rows of one run, by their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The run's own.
    pub run: Option<RunRow>,
    /// Of its jobs.
    pub jobs: BTreeMap<JobId, JobRow>,
    /// Of its commands.
    pub commands: BTreeMap<(JobId, u32), ShRow>,
    /// Bytes of the stream that these rows tell of.
    pub offset: u64,
}

impl Rows {
    /// Whether the run is over, as far as its row tells.
    pub fn has_ended(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !matches!(run.state, RunState::Pending | RunState::Active))
    }
}

impl Store {
    /// The rows of a run.
    pub fn rows(&self, run_id: &RunId) -> Rows {
        self.runs.get(run_id).cloned().unwrap_or_default()
    }

    /// How many bytes of the run's stream the rows tell of.
    pub fn offset(&self, run_id: &RunId) -> u64 {
        self.runs.get(run_id).map_or(0, |rows| rows.offset)
    }

    /// Whether the run's row tells that it is over.
    pub fn has_ended(&self, run_id: &RunId) -> bool {
        self.runs.get(run_id).is_some_and(Rows::has_ended)
    }

    /// One transaction: the puts in order, and how far they tell the stream.
    pub fn commit(&mut self, run_id: &RunId, puts: &[RowCommand], offset: u64) {
        let rows = self.runs.entry(run_id.clone()).or_default();
        for put in puts {
            rows.put(put);
        }
        rows.offset = offset;
    }
}

impl Rows {
    /// The run's and the jobs' rows are there before what refers to them; a row that has ended is not opened again, and only
    /// replaced by one of the same state.
    fn put(&mut self, put: &RowCommand) {
        match put {
            RowCommand::PutRun(row) => {
                let open = |state| matches!(state, RunState::Pending | RunState::Active);
                if self.run.as_ref().is_none_or(|old| open(old.state) || old.state == row.state) {
                    self.run = Some(row.clone());
                }
            }
            RowCommand::PutJob(row) => {
                if self.run.is_none() {
                    violated("a_parent_is_put_before_its_children", &format!("{row:?} has no run"));
                }
                let open = |state| matches!(state, JobState::Pending | JobState::Active);
                let old = self.jobs.get(&row.job_id);
                if old.is_none_or(|old| open(old.state) || old.state == row.state) {
                    self.jobs.insert(row.job_id.clone(), row.clone());
                }
            }
            RowCommand::PutSh(row) => {
                if !self.jobs.contains_key(&row.job_id) {
                    violated("a_parent_is_put_before_its_children", &format!("{row:?} has no job"));
                }
                let key = (row.job_id.clone(), row.n);
                let old = self.commands.get(&key);
                if old.is_none_or(|old| old.finished_at_ms.is_none() || row.finished_at_ms.is_some()) {
                    self.commands.insert(key, row.clone());
                }
            }
        }
    }
}
