//! What pages of many runs ask: runs with their jobs, what there is of repositories, and whether anything has changed.
//!
//! No statement is run once for each run, and none walks past runs that the question leaves out.

use std::collections::{BTreeMap, BTreeSet};

use quire_core::ids::RunId;
use quire_core::rows::{JobRow, RunState};

use super::queries::{JOB_COLUMNS, RunFilter, RunRecord, job_row, run_id, word};
use super::{Store, StoreError};

/// Most runs of one commit that are told of.
const OF_SHA: u32 = 100;

/// Every repository's name by one step in an index: however many runs it has, only its first is looked at.
const RECORDED_REPOS: &str = "
    WITH RECURSIVE named (repo) AS (
        SELECT min(repo) FROM runs WHERE repo > ''
        UNION ALL
        SELECT (SELECT min(repo) FROM runs WHERE repo > named.repo) FROM named WHERE named.repo IS NOT NULL
    )
    SELECT repo FROM named WHERE repo IS NOT NULL";

const OPEN: &str = "SELECT id, state, repo FROM runs INDEXED BY runs_open WHERE state IN ('pending', 'active')";

const NEWEST: &str = "SELECT max(seq) FROM runs";

const VERSION: &str = "SELECT stream_offset, state, logs_removed_at_ms IS NOT NULL FROM runs WHERE id = ?1";

/// What lists of runs depend on: as long as it is equal, they are.
///
/// Not of it: what a run's stream tells while it goes on (for that [`Store::run_version`]), and what is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pulse {
    /// [`RunRecord::seq`] of the newest run.
    pub newest_seq: Option<i64>,
    /// The runs that wait or go on, by id, with their repositories.
    pub open: Vec<(RunId, String, RunState)>,
}

/// What a page of one run depends on: as long as it is equal, the page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunVersion {
    /// Bytes of its stream that its rows tell of.
    pub stream_offset: u64,
    /// Its state.
    pub state: RunState,
    /// Whether its logs, workspace and artifacts are gone.
    pub logs_removed: bool,
}

impl Store {
    /// The runs that `filter` names, newest first, each with its jobs in the order of its pipeline. Two statements, which
    /// may tell of two moments: of a run that ends between them the jobs have ended and the run has not.
    pub fn runs_with_jobs(&self, filter: &RunFilter) -> Result<Vec<(RunRecord, Vec<JobRow>)>, StoreError> {
        self.with_jobs(self.runs(filter)?)
    }

    /// The same of runs that were read already.
    pub fn with_jobs(&self, runs: Vec<RunRecord>) -> Result<Vec<(RunRecord, Vec<JobRow>)>, StoreError> {
        let ids: Vec<RunId> = runs.iter().map(|run| run.row.run_id.clone()).collect();
        let mut jobs = self.jobs_of_runs(&ids)?;
        let with_jobs = |run: RunRecord| {
            let jobs = jobs.remove(&run.row.run_id).unwrap_or_default();
            (run, jobs)
        };
        Ok(runs.into_iter().map(with_jobs).collect())
    }

    /// The jobs of runs, each run's in the order of its pipeline; runs without jobs, or that there are not, are absent.
    pub fn jobs_of_runs(&self, run_ids: &[RunId]) -> Result<BTreeMap<RunId, Vec<JobRow>>, StoreError> {
        let mut by_run: BTreeMap<RunId, Vec<JobRow>> = BTreeMap::new();
        if run_ids.is_empty() {
            return Ok(by_run);
        }
        let wanted: BTreeSet<&str> = run_ids.iter().map(RunId::as_str).collect();
        let wanted = serde_json::Value::from_iter(wanted).to_string();
        for job in self.rows(&jobs_of_runs(), [wanted], job_row)? {
            by_run.entry(job.run_id.clone()).or_default().push(job);
        }
        for jobs in by_run.values_mut() {
            // As they come they are ordered by id.
            jobs.sort_by_key(|job| job.position);
        }
        Ok(by_run)
    }

    /// The runs of a commit (its full id, in lower case) in whatever repository, newest first; at most 100.
    pub fn runs_of_sha(&self, sha: &str) -> Result<Vec<RunRecord>, StoreError> {
        self.runs_where("sha = ?1", [sha], OF_SHA)
    }

    /// The names of all repositories that have runs, ordered.
    pub fn recorded_repos(&self) -> Result<Vec<String>, StoreError> {
        self.rows(RECORDED_REPOS, [], |row| row.get(0))
    }

    /// What lists of runs depend on now. To be taken before the lists are read: then none is older than it.
    pub fn pulse(&self) -> Result<Pulse, StoreError> {
        let mut open = self.rows(OPEN, [], |row| Ok((run_id(row, 0)?, row.get(2)?, word(row, 1, RunState::parse)?)))?;
        open.sort_unstable();
        let newest_seq = self.rows(NEWEST, [], |row| row.get::<_, Option<i64>>(0))?.pop().flatten();
        Ok(Pulse { newest_seq, open })
    }

    /// The repositories of runs that are newer than the one with this `seq`.
    pub fn repos_since(&self, seq: i64) -> Result<Vec<String>, StoreError> {
        self.rows("SELECT DISTINCT repo FROM runs WHERE seq > ?1", [seq], |row| row.get(0))
    }

    /// What the page of a run depends on now; `None` if there is no such run.
    pub fn run_version(&self, run_id: &RunId) -> Result<Option<RunVersion>, StoreError> {
        let mut found = self.rows(VERSION, [run_id.as_str()], |row| {
            Ok(RunVersion {
                stream_offset: row.get::<_, i64>(0)?.unsigned_abs(),
                state: word(row, 1, RunState::parse)?,
                logs_removed: row.get(2)?,
            })
        })?;
        Ok(found.pop())
    }
}

/// The runs come as a JSON array: one statement, however many there are.
fn jobs_of_runs() -> String {
    format!(
        "SELECT {JOB_COLUMNS} FROM json_each(?1) AS wanted CROSS JOIN jobs
         WHERE jobs.run_id = wanted.value ORDER BY wanted.id, jobs.job_id"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pages_ask_walks_indices() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("quire.db")).unwrap();
        for (sql, expected) in [
            (OPEN, "SCAN runs USING INDEX runs_open"),
            (NEWEST, "SEARCH runs"),
            (VERSION, "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)"),
        ] {
            assert_eq!(store.plan(sql), expected, "{sql}");
        }
        let plan = store.plan(&jobs_of_runs());
        assert!(plan.contains("SEARCH jobs USING PRIMARY KEY (run_id=?)"), "{plan}");
        let plan = store.plan(RECORDED_REPOS);
        let steps = plan.matches("SEARCH runs USING COVERING INDEX runs_by_repo (repo>?)").count();
        assert!(steps == 2 && !plan.contains("SCAN runs"), "{plan}");
    }
}
