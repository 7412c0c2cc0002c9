//! What goes on: runs that were dispatched or adopted and are not over.

use std::collections::BTreeMap;

use crate::ids::RunId;

use super::entering::Newcomer;
use super::run::Running;

/// Running runs, counted by repository.
#[derive(Debug, Default)]
pub(super) struct RunningRuns {
    runs: BTreeMap<RunId, Running>,
    /// No count is 0.
    counts: BTreeMap<String, usize>,
}

impl RunningRuns {
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn contains(&self, run_id: &RunId) -> bool {
        self.runs.contains_key(run_id)
    }

    /// How many of a repository.
    pub(super) fn of(&self, repo: &str) -> usize {
        self.counts.get(repo).copied().unwrap_or(0)
    }

    /// How many of each repository that has any.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.counts.iter().map(|(repo, count)| (repo.as_str(), *count))
    }

    pub(super) fn insert(&mut self, run: Running) {
        *self.counts.entry(run.ordered.repo.clone()).or_default() += 1;
        self.runs.insert(run.ordered.run_id.clone(), run);
    }

    /// It is over.
    pub(super) fn remove(&mut self, run_id: &RunId) {
        let Some(run) = self.runs.remove(run_id) else { return };
        if let Some(count) = self.counts.get_mut(&run.ordered.repo) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&run.ordered.repo);
            }
        }
    }

    /// Its end is ordered; whether it goes on at all.
    pub(super) fn stop(&mut self, run_id: &RunId) -> bool {
        let run = self.runs.get_mut(run_id);
        run.map(|run| run.stopping = true).is_some()
    }

    /// What runs for older pushes of the newcomer's branch, and is not being ended: its end is ordered.
    pub(super) fn stop_older(&mut self, new: &Newcomer) -> Vec<RunId> {
        let older = self.runs.values_mut().filter(|run| {
            !run.stopping && run.ordered.is_pushed(&new.repo, &new.ref_name) && run.ordered.ticket < new.ticket
        });
        let stop = |run: &mut Running| {
            run.stopping = true;
            run.ordered.run_id.clone()
        };
        older.map(stop).collect()
    }
}
