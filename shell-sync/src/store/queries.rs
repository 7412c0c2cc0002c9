//! Everything that reads rows. Runs come newest first: in the order in which the database learned of them.

use quire_core::ids::{JobId, RunId, ShId};
use quire_core::rows::{JobRow, JobState, RunRow, RunState, ShRow};
use quire_core::wire::FailureKind;
use rusqlite::types::{Type, Value};
use rusqlite::{OptionalExtension, Params, Row, ToSql, named_params};

use super::{Store, StoreError};

/// A run as the database has it: what its stream tells, and what only the database knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// What its stream tells. Number and repository are the database's, also where the stream tells none.
    pub row: RunRow,
    /// When it entered the queue, Unix milliseconds.
    pub queued_at_ms: Option<i64>,
    /// Who drives it, for people.
    pub owner: Option<String>,
    /// Bytes of its stream that the rows tell of.
    pub stream_offset: u64,
    /// Bytes of its directory; counted once after its end.
    pub disk_bytes: Option<u64>,
    /// Why it came to be: `push`, `trigger` or `retry`; `None` for a run that no server queued.
    pub origin: Option<String>,
    /// Who caused it, for people.
    pub by_whom: Option<String>,
    /// Who ended it, or which run took its place, for people.
    pub ended_by: Option<String>,
    /// The ended run that somebody wanted again.
    pub retry_of: Option<RunId>,
    /// When its logs, workspace and artifacts were removed, Unix milliseconds.
    pub logs_removed_at_ms: Option<i64>,
    /// Whether its directory still holds the workspace that it ended with.
    pub workspace_kept: bool,
    /// Its place in the order of runs: what [`RunFilter::before`] takes.
    pub seq: i64,
}

/// Which runs to list. The default lists all.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this repository.
    pub repo: Option<String>,
    /// Of this full ref name.
    pub ref_name: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
    /// Older than the run with this [`RunRecord::seq`]: the next page.
    pub before: Option<i64>,
    /// At most so many; `None` for all.
    pub limit: Option<u32>,
}

pub(super) const RUN_COLUMNS: &str = "seq, id, repo, number, ref_name, sha, pushed_at_ms, executor, version, resumed_from, state, \
     failure_kind, error, queued_at_ms, started_at_ms, finished_at_ms, fingerprint, owner, stream_offset, disk_bytes, \
     origin, by_whom, ended_by, retry_of, logs_removed_at_ms, workspace_kept";

pub(super) const JOB_COLUMNS: &str = "run_id, job_id, position, state, exit_code, started_at_ms, finished_at_ms, allowed, flaky, \
     replayed, attempts, skip_reason, error, error_file, error_line";

impl Store {
    /// The runs that `filter` names, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, StoreError> {
        self.listed(RUN_COLUMNS, filter, run_record)
    }

    /// The runs that `filter` names of any of `repos`, newest first; [`RunFilter::repo`] is not looked at.
    pub fn runs_of_repos(&self, repos: &[String], filter: &RunFilter) -> Result<Vec<RunRecord>, StoreError> {
        // Places alone first: those an index tells, where a row would be read from anywhere.
        let mut places: Vec<i64> = Vec::new();
        for repo in repos {
            let of_repo = RunFilter { repo: Some(repo.clone()), ..filter.clone() };
            places.append(&mut self.listed("seq", &of_repo, |row| row.get(0))?);
        }
        places.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        places.dedup();
        if let Some(limit) = filter.limit {
            places.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE seq = ?1");
        let mut found = Vec::with_capacity(places.len());
        for seq in places {
            found.append(&mut self.run_records(&sql, [seq])?);
        }
        Ok(found)
    }

    /// One run.
    pub fn run(&self, run_id: &RunId) -> Result<Option<RunRecord>, StoreError> {
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE id = ?1");
        Ok(self.run_records(&sql, [run_id.as_str()])?.pop())
    }

    /// The jobs of a run in the order of its pipeline.
    pub fn jobs(&self, run_id: &RunId) -> Result<Vec<JobRow>, StoreError> {
        let sql = format!("SELECT {JOB_COLUMNS} FROM jobs WHERE run_id = ?1 ORDER BY position, job_id");
        self.rows(&sql, [run_id.as_str()], job_row)
    }

    /// The commands of a run, or of one of its jobs: by the order of jobs, then by `n`.
    pub fn commands(&self, run_id: &RunId, job_id: Option<&JobId>) -> Result<Vec<ShRow>, StoreError> {
        self.rows(
            "SELECT sh.run_id, sh.job_id, sh.n, sh.started_at_ms, sh.finished_at_ms, sh.exit_code, sh.cmd, sh.attempt,
                    sh.signal, sh.cause, sh.error, sh.no_eol, sh.masked, sh.truncated, sh.detached, sh.replayed
             FROM jobs CROSS JOIN sh_events AS sh ON sh.run_id = jobs.run_id AND sh.job_id = jobs.job_id
             WHERE jobs.run_id = :run AND (:job IS NULL OR jobs.job_id = :job)
             ORDER BY jobs.position, jobs.job_id, sh.n",
            named_params! { ":run": run_id.as_str(), ":job": job_id.map(JobId::as_str) },
            sh_row,
        )
    }

    /// One command.
    pub fn command(&self, run_id: &RunId, sh: &ShId) -> Result<Option<ShRow>, StoreError> {
        let mut found = self.rows(
            "SELECT run_id, job_id, n, started_at_ms, finished_at_ms, exit_code, cmd, attempt, signal, cause, error, no_eol,
                    masked, truncated, detached, replayed
             FROM sh_events WHERE run_id = ?1 AND job_id = ?2 AND n = ?3",
            (run_id.as_str(), sh.job.as_str(), sh.n),
            sh_row,
        )?;
        Ok(found.pop())
    }

    /// The ids of the runs that are active: those that someone drives, or drove until it died.
    pub fn active_runs(&self) -> Result<Vec<RunId>, StoreError> {
        self.rows("SELECT id FROM runs WHERE state = 'active' ORDER BY seq", [], |row| run_id(row, 0))
    }

    /// The ids of the runs that wait, in the order in which they were queued.
    pub fn pending_runs(&self) -> Result<Vec<RunId>, StoreError> {
        self.rows("SELECT id FROM runs WHERE state = 'pending' ORDER BY seq", [], |row| run_id(row, 0))
    }

    /// The ids of all runs, ordered by id.
    pub fn run_ids(&self) -> Result<Vec<RunId>, StoreError> {
        self.rows("SELECT id FROM runs ORDER BY id", [], |row| run_id(row, 0))
    }

    /// Runs by a condition, newest first; at most `limit`.
    pub(super) fn runs_where(
        &self,
        condition: &str,
        values: impl Params,
        limit: u32,
    ) -> Result<Vec<RunRecord>, StoreError> {
        // The plus keeps SQLite from walking all runs in order instead of using the condition's index.
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs WHERE {condition} ORDER BY +seq DESC LIMIT {limit}");
        self.run_records(&sql, values)
    }

    /// The distinct values of the commit column in `[from, to)`; at most `limit`.
    pub(super) fn shas_between(&self, from: &str, to: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        self.rows("SELECT DISTINCT sha FROM runs WHERE sha >= ?1 AND sha < ?2 LIMIT ?3", (from, to, limit), |row| {
            row.get(0)
        })
    }

    /// Whether the database has a run.
    pub(crate) fn has_run(&self, run_id: &RunId) -> Result<bool, StoreError> {
        self.conn
            .prepare_cached("SELECT 1 FROM runs WHERE id = ?1")
            .and_then(|mut ask| ask.query_row([run_id.as_str()], |_| Ok(())).optional())
            .map(|found| found.is_some())
            .map_err(|error| self.failed(error))
    }

    fn listed<T>(
        &self,
        columns: &str,
        filter: &RunFilter,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let (sql, values) = listing(columns, filter);
        let values: Vec<(&str, &dyn ToSql)> = values.iter().map(|(name, value)| (*name, value as &dyn ToSql)).collect();
        self.rows(&sql, values.as_slice(), map)
    }

    pub(super) fn run_records(&self, sql: &str, values: impl Params) -> Result<Vec<RunRecord>, StoreError> {
        self.rows(sql, values, run_record)
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        values: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut ask = self.conn.prepare_cached(sql).map_err(|error| self.failed(error))?;
        ask.query_map(values, map).and_then(Iterator::collect).map_err(|error| self.failed(error))
    }
}

/// The statement that lists runs, and its values. Only what is asked for becomes a condition: one that is always true would
/// keep SQLite from the index.
fn listing(columns: &str, filter: &RunFilter) -> (String, Vec<(&'static str, Value)>) {
    let mut sql = format!("SELECT {columns} FROM runs WHERE seq < :before");
    let mut values = vec![
        (":before", Value::from(filter.before.unwrap_or(i64::MAX))),
        (":limit", Value::from(filter.limit.map_or(-1, i64::from))),
    ];
    if let Some(repo) = &filter.repo {
        sql.push_str(" AND repo = :repo");
        values.push((":repo", Value::from(repo.clone())));
    }
    if let Some(ref_name) = &filter.ref_name {
        sql.push_str(" AND ref_name = :ref_name");
        values.push((":ref_name", Value::from(ref_name.clone())));
    }
    if let Some(state) = filter.state {
        sql.push_str(" AND state = :state");
        values.push((":state", Value::from(state.as_str().to_owned())));
    }
    sql.push_str(" ORDER BY seq DESC LIMIT :limit");
    (sql, values)
}

fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let repo: String = row.get(2)?;
    let unsigned = |count: i64| count.unsigned_abs();
    Ok(RunRecord {
        seq: row.get(0)?,
        row: RunRow {
            run_id: run_id(row, 1)?,
            number: row.get::<_, Option<i64>>(3)?.map(unsigned),
            repo: Some(repo).filter(|repo| !repo.is_empty()),
            ref_name: row.get(4)?,
            sha: row.get(5)?,
            pushed_at_ms: row.get(6)?,
            executor: row.get(7)?,
            version: row.get(8)?,
            resumed_from: row.get::<_, Option<String>>(9)?.map(|id| RunId::new(&id)),
            state: word(row, 10, RunState::parse)?,
            failure_kind: optional_word(row, 11, FailureKind::parse)?,
            error: row.get(12)?,
            started_at_ms: row.get(14)?,
            finished_at_ms: row.get(15)?,
            fingerprint: row.get(16)?,
        },
        queued_at_ms: row.get(13)?,
        owner: row.get(17)?,
        stream_offset: unsigned(row.get(18)?),
        disk_bytes: row.get::<_, Option<i64>>(19)?.map(unsigned),
        origin: row.get(20)?,
        by_whom: row.get(21)?,
        ended_by: row.get(22)?,
        retry_of: row.get::<_, Option<String>>(23)?.map(|id| RunId::new(&id)),
        logs_removed_at_ms: row.get(24)?,
        workspace_kept: row.get::<_, Option<bool>>(25)?.unwrap_or(false),
    })
}

pub(super) fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        run_id: run_id(row, 0)?,
        job_id: job_id(row, 1)?,
        position: row.get(2)?,
        state: word(row, 3, JobState::parse)?,
        exit_code: row.get(4)?,
        started_at_ms: row.get(5)?,
        finished_at_ms: row.get(6)?,
        allowed: row.get(7)?,
        flaky: row.get(8)?,
        replayed: row.get(9)?,
        attempts: row.get(10)?,
        skip_reason: row.get(11)?,
        error: row.get(12)?,
        error_file: row.get(13)?,
        error_line: row.get(14)?,
    })
}

fn sh_row(row: &Row<'_>) -> rusqlite::Result<ShRow> {
    Ok(ShRow {
        run_id: run_id(row, 0)?,
        job_id: job_id(row, 1)?,
        n: row.get(2)?,
        started_at_ms: row.get(3)?,
        finished_at_ms: row.get(4)?,
        exit_code: row.get(5)?,
        cmd: row.get(6)?,
        attempt: row.get(7)?,
        signal: row.get(8)?,
        cause: row.get(9)?,
        error: row.get(10)?,
        no_eol: row.get(11)?,
        masked: row.get(12)?,
        truncated: row.get(13)?,
        detached: row.get(14)?,
        replayed: row.get(15)?,
    })
}

pub(super) fn run_id(row: &Row<'_>, column: usize) -> rusqlite::Result<RunId> {
    Ok(RunId::new(row.get_ref(column)?.as_str()?))
}

fn job_id(row: &Row<'_>, column: usize) -> rusqlite::Result<JobId> {
    Ok(JobId::from_record(row.get_ref(column)?.as_str()?))
}

/// The schema's CHECKs allow only words that this version knows; another one means that someone changed the schema.
pub(super) fn word<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, format!("unknown word {text:?}").into())
    })
}

pub(super) fn optional_word<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    if row.get_ref(column)?.data_type() == Type::Null { Ok(None) } else { word(row, column, parse).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the index that has all of it: another one would be walked past all runs that a part of the filter leaves out.
    #[test]
    fn every_list_of_runs_walks_its_own_index_and_sorts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("quire.db")).unwrap();
        let some = || Some("x".to_owned());
        for (mask, index) in [
            "INTEGER PRIMARY KEY (rowid<?)",
            "INDEX runs_by_repo (repo=? AND rowid<?)",
            "INDEX runs_by_ref (ref_name=? AND rowid<?)",
            "INDEX runs_by_repo_ref (repo=? AND ref_name=? AND rowid<?)",
            "INDEX runs_by_state (state=? AND rowid<?)",
            "INDEX runs_by_repo_state (repo=? AND state=? AND rowid<?)",
            "INDEX runs_by_ref_state (ref_name=? AND state=? AND rowid<?)",
            "INDEX runs_by_repo_ref_state (repo=? AND ref_name=? AND state=? AND rowid<?)",
        ]
        .iter()
        .enumerate()
        {
            let filter = RunFilter {
                repo: (mask & 1 != 0).then(some).flatten(),
                ref_name: (mask & 2 != 0).then(some).flatten(),
                state: (mask & 4 != 0).then_some(RunState::Failed),
                ..RunFilter::default()
            };
            let (sql, _) = listing(RUN_COLUMNS, &filter);
            assert_eq!(store.plan(&sql), format!("SEARCH runs USING {index}"), "{filter:?}");
            let (sql, _) = listing("seq", &filter);
            let index = index.replacen("INDEX", "COVERING INDEX", usize::from(mask != 0));
            assert_eq!(store.plan(&sql), format!("SEARCH runs USING {index}"), "{filter:?}");
        }
        for condition in ["number = ?1", "id >= ?1 AND id < ?2", "sha = ?1"] {
            let plan = store.plan(&format!("SELECT repo FROM runs WHERE {condition} ORDER BY +seq DESC LIMIT 10"));
            assert!(plan.starts_with("SEARCH runs USING INDEX"), "{condition}: {plan}");
        }
    }

    impl Store {
        /// How a statement is carried out: a step a line.
        pub(in crate::store) fn plan(&self, sql: &str) -> String {
            let mut explain = self.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = explain.raw_query().mapped(|row| row.get::<_, String>(3));
            steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("\n")
        }
    }
}
