//! The rows of runs, as far as a queue cares. A row that has ended stays as it ended.

use std::collections::BTreeMap;

use quire_core::ids::RunId;
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::RunState;

use crate::world::violated;

/// A row of `runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) run_id: RunId,
    pub(super) repo: String,
    pub(super) ref_name: Option<String>,
    pub(super) number: u64,
    pub(super) pushed: bool,
    pub(super) state: RunState,
    pub(super) superseded_by: Option<RunId>,
}

impl Row {
    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.state, RunState::Pending | RunState::Active)
    }
}

/// All rows, in the order in which they were entered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Store {
    rows: Vec<Row>,
    places: BTreeMap<RunId, usize>,
    last_numbers: BTreeMap<String, u64>,
}

impl Store {
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn row(&self, run_id: &RunId) -> Option<&Row> {
        self.rows.get(*self.places.get(run_id)?)
    }

    fn row_mut(&mut self, run_id: &RunId) -> Option<&mut Row> {
        self.rows.get_mut(*self.places.get(run_id)?)
    }

    /// One transaction: new rows, and the ends of those whose place they take. The numbers of the new ones.
    pub(super) fn enter(&mut self, runs: &[NewRun], superseded: &[(RunId, RunId)]) -> Vec<u64> {
        let mut numbers = Vec::new();
        for run in runs {
            let number = self.last_numbers.entry(run.repo.clone()).or_default();
            *number += 1;
            if self.places.insert(run.run_id.clone(), self.rows.len()).is_some() {
                violated("a_run_is_entered_once", run);
            }
            self.rows.push(Row {
                run_id: run.run_id.clone(),
                repo: run.repo.clone(),
                ref_name: run.ref_name.clone(),
                number: *number,
                pushed: run.origin == Origin::Push,
                state: RunState::Pending,
                superseded_by: None,
            });
            numbers.push(*number);
        }
        for (old, new) in superseded {
            // A row that is not there or waits no longer is left as it is.
            if let Some(row) = self.row_mut(old).filter(|row| row.state == RunState::Pending) {
                row.state = RunState::Superseded;
                row.superseded_by = Some(new.clone());
            }
        }
        numbers
    }

    /// A run that was never dispatched ends.
    pub(super) fn abort(&mut self, run_id: &RunId) {
        match self.row_mut(run_id) {
            Some(row) if row.state == RunState::Pending => row.state = RunState::Aborted,
            found => violated("what_is_aborted_waits", &(run_id, found)),
        }
    }

    /// A process has begun its run.
    pub(super) fn begin(&mut self, run_id: &RunId) {
        match self.row_mut(run_id) {
            Some(row) if row.state == RunState::Pending => row.state = RunState::Active,
            Some(row) if row.state == RunState::Active => {}
            found => violated("what_begins_waited", &(run_id, found)),
        }
    }

    /// A process has ended its run.
    pub(super) fn end(&mut self, run_id: &RunId, state: RunState) {
        match self.row_mut(run_id) {
            Some(row) if !row.has_ended() => row.state = state,
            found => violated("a_run_ends_once", &(run_id, state, found)),
        }
    }
}
