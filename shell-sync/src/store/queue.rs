//! The queue's rows: runs that wait, what became of them, what a push did not run (CONTRACT 2: queue facts).

use std::collections::BTreeMap;

use quire_core::ids::RunId;
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::RunState;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::puts::next_number;
use super::queries::{RUN_COLUMNS, run_id, word};
use super::{RunRecord, Store, StoreError, Writing};

/// How many rows of what pushes did not run are kept of a repository.
const NOT_RUN_KEPT: i64 = 1000;

/// A run that is not over, with all that its dispatch needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRun {
    /// Its id.
    pub run_id: RunId,
    /// Repository name.
    pub repo: String,
    /// Its number in its repository.
    pub number: u64,
    /// Full ref name.
    pub ref_name: Option<String>,
    /// Full commit id; empty only for a run that no queue entered.
    pub sha: String,
    /// [`RunState::Pending`] or [`RunState::Active`], in what [`Store::open_runs`] gives.
    pub state: RunState,
    /// Why it came to be; `None` for a run that no queue entered.
    pub origin: Option<Origin>,
    /// Who caused it, for people.
    pub by: Option<String>,
    /// Who wants its end, for people.
    pub ended_by: Option<String>,
    /// `rt.params`.
    pub params: BTreeMap<String, String>,
    /// Jobs asked for; empty for all.
    pub jobs: Vec<String>,
    /// When the push came, Unix milliseconds; a retry has that of the run that it repeats, a trigger none.
    pub pushed_at_ms: Option<i64>,
    /// When it was entered, Unix milliseconds.
    pub queued_at_ms: Option<i64>,
    /// When its first event was, Unix milliseconds.
    pub started_at_ms: Option<i64>,
    /// Its place in the order of the queue.
    pub seq: i64,
}

/// A ref of a push, or something else that was asked for, that got no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRunRecord {
    /// Repository name.
    pub repo: String,
    /// Full ref name.
    pub ref_name: String,
    /// Its commit, where there is one.
    pub sha: Option<String>,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Who pushed, for people.
    pub by: Option<String>,
    /// Why, for people.
    pub reason: String,
}

impl Writing<'_> {
    /// Enters `runs` as pending, each with the next number of its repository; ends those of `superseded` (each with the run
    /// that takes its place) that still wait; notes `not_run`. Returns the numbers, in the order of `runs`.
    pub fn enter(
        &mut self,
        runs: &[NewRun],
        superseded: &[(RunId, RunId)],
        not_run: &[NotRunRecord],
    ) -> Result<Vec<u64>, StoreError> {
        self.run(|conn| {
            let mut numbers = Vec::with_capacity(runs.len());
            for run in runs {
                numbers.push(enter_run(conn, run)?);
            }
            for (run_id, by) in superseded {
                supersede(conn, run_id, by)?;
            }
            note_not_run(conn, not_run)?;
            Ok(numbers)
        })
    }

    /// Notes when what caused these runs was pushed: before they were entered, where it waited in the spool.
    pub fn note_pushed(&mut self, runs: &[RunId], pushed_at_ms: i64) -> Result<(), StoreError> {
        self.run(|conn| {
            let mut put = conn.prepare_cached("UPDATE runs SET pushed_at_ms = ?2 WHERE id = ?1")?;
            runs.iter().try_for_each(|run_id| put.execute((run_id.as_str(), pushed_at_ms)).map(drop))
        })
    }

    /// Ends a run that waits: aborted. False if it does not wait (any more).
    pub fn abort_pending(&mut self, run_id: &RunId, by: Option<&str>, at_ms: i64) -> Result<bool, StoreError> {
        self.run(|conn| {
            conn.prepare_cached(
                "UPDATE runs SET state = 'aborted', finished_at_ms = max(?3, queued_at_ms), ended_by = coalesce(?2, ended_by)
                 WHERE id = ?1 AND state = 'pending'",
            )?
            .execute((run_id.as_str(), by, at_ms))
            .map(|changed| changed > 0)
        })
    }

    /// Notes who wants the end of a run that is not over; the first who wanted it stays. False if it is over.
    pub fn note_stop(&mut self, run_id: &RunId, by: &str) -> Result<bool, StoreError> {
        self.run(|conn| {
            conn.prepare_cached(
                "UPDATE runs SET ended_by = coalesce(ended_by, ?2) WHERE id = ?1 AND state IN ('pending', 'active')",
            )?
            .execute((run_id.as_str(), by))
            .map(|changed| changed > 0)
        })
    }
}

impl Store {
    /// Whether this push of a ref has a run: a push may be told of twice, where its teller did not hear the answer.
    pub fn has_push(&self, repo: &str, ref_name: &str, sha: &str, pushed_at_ms: i64) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM runs WHERE sha = ?3 AND repo = ?1 AND ref_name = ?2 AND pushed_at_ms = ?4 LIMIT 1";
        Ok(!self.rows(sql, (repo, ref_name, sha, pushed_at_ms), |_| Ok(()))?.is_empty())
    }

    /// The runs that are not over, in the order in which they were queued.
    pub fn open_runs(&self) -> Result<Vec<QueuedRun>, StoreError> {
        let sql = format!("SELECT {QUEUE_COLUMNS} FROM runs WHERE state IN ('pending', 'active') ORDER BY seq");
        self.rows(&sql, [], queued_run)
    }

    /// A run, over or not, as a dispatch needs it.
    pub fn queued_run(&self, run_id: &RunId) -> Result<Option<QueuedRun>, StoreError> {
        let sql = format!("SELECT {QUEUE_COLUMNS} FROM runs WHERE id = ?1");
        Ok(self.rows(&sql, [run_id.as_str()], queued_run)?.pop())
    }

    /// Whether a repository has had any run.
    pub fn repo_has_runs(&self, repo: &str) -> Result<bool, StoreError> {
        Ok(!self.rows("SELECT 1 FROM runs WHERE repo = ?1 LIMIT 1", [repo], |_| Ok(()))?.is_empty())
    }

    /// What pushes to a repository did not run, newest first.
    pub fn not_run(&self, repo: &str, limit: u32) -> Result<Vec<NotRunRecord>, StoreError> {
        self.rows(
            "SELECT repo, ref_name, sha, at_ms, by_whom, reason FROM not_run WHERE repo = ?1 ORDER BY seq DESC LIMIT ?2",
            (repo, limit),
            |row| {
                Ok(NotRunRecord {
                    repo: row.get(0)?,
                    ref_name: row.get(1)?,
                    sha: row.get(2)?,
                    at_ms: row.get(3)?,
                    by: row.get(4)?,
                    reason: row.get(5)?,
                })
            },
        )
    }

    /// The newest run of a ref that has ended and was not superseded.
    pub fn newest_ended(&self, repo: &str, ref_name: &str) -> Result<Option<RunRecord>, StoreError> {
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs WHERE repo = ?1 AND ref_name = ?2
                AND state NOT IN ('pending', 'active', 'superseded') ORDER BY seq DESC LIMIT 1"
        );
        Ok(self.run_records(&sql, (repo, ref_name))?.pop())
    }
}

const QUEUE_COLUMNS: &str = "id, repo, number, ref_name, sha, state, origin, by_whom, ended_by, params, wanted_jobs, \
     pushed_at_ms, queued_at_ms, seq, retry_of, retry_failed, started_at_ms";

fn queued_run(row: &Row<'_>) -> rusqlite::Result<QueuedRun> {
    let origin = match row.get::<_, Option<String>>(6)?.as_deref() {
        None => None,
        Some("push") => Some(Origin::Push),
        Some("trigger") => Some(Origin::Trigger),
        Some(_) => {
            Some(Origin::Retry { of: run_id(row, 14)?, failed: row.get::<_, Option<bool>>(15)?.unwrap_or(false) })
        }
    };
    Ok(QueuedRun {
        run_id: run_id(row, 0)?,
        repo: row.get(1)?,
        number: row.get::<_, Option<i64>>(2)?.unwrap_or(0).unsigned_abs(),
        ref_name: row.get(3)?,
        sha: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
        state: word(row, 5, RunState::parse)?,
        origin,
        by: row.get(7)?,
        ended_by: row.get(8)?,
        params: json(row, 9)?,
        jobs: json(row, 10)?,
        pushed_at_ms: row.get(11)?,
        queued_at_ms: row.get(12)?,
        seq: row.get(13)?,
        started_at_ms: row.get(16)?,
    })
}

/// A column of JSON; the default where it is NULL.
pub(super) fn json<T: serde::de::DeserializeOwned + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(T::default()) };
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// NULL for what is empty.
fn json_unless_empty<T: serde::Serialize>(value: &T, is_empty: bool) -> rusqlite::Result<Option<String>> {
    if is_empty { Ok(None) } else { to_json(value).map(Some) }
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn enter_run(conn: &Connection, run: &NewRun) -> rusqlite::Result<u64> {
    let (origin, retry_of, retry_failed) = match &run.origin {
        Origin::Push => ("push", None, None),
        Origin::Trigger => ("trigger", None, None),
        Origin::Retry { of, failed } => ("retry", Some(of.as_str()), Some(*failed)),
    };
    let number = next_number(conn, &run.repo)?;
    conn.prepare_cached(
        "INSERT INTO runs (id, repo, number, ref_name, sha, pushed_at_ms, state, queued_at_ms, origin, by_whom, params,
                           wanted_jobs, retry_of, retry_failed)
         VALUES (:id, :repo, :number, :ref_name, :sha,
                 CASE :origin WHEN 'push' THEN :at_ms
                              WHEN 'retry' THEN (SELECT pushed_at_ms FROM runs WHERE id = :retry_of) END,
                 'pending', :at_ms, :origin, :by, :params, :wanted_jobs, :retry_of, :retry_failed)",
    )?
    .execute(named_params! {
        ":id": run.run_id.as_str(), ":repo": run.repo, ":number": number, ":ref_name": run.ref_name, ":sha": run.sha,
        ":at_ms": run.at_ms, ":origin": origin, ":by": run.by,
        ":params": json_unless_empty(&run.params, run.params.is_empty())?,
        ":wanted_jobs": json_unless_empty(&run.jobs, run.jobs.is_empty())?,
        ":retry_of": retry_of, ":retry_failed": retry_failed,
    })?;
    Ok(number.unsigned_abs())
}

/// Ends a waiting run at the time at which `by` was entered.
fn supersede(conn: &Connection, run_id: &RunId, by: &RunId) -> rusqlite::Result<()> {
    let taker: Option<(Option<i64>, Option<i64>)> = conn
        .prepare_cached("SELECT number, queued_at_ms FROM runs WHERE id = ?1")?
        .query_row([by.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (number, at_ms) = taker.unwrap_or_default();
    let ended_by = number.map_or_else(|| format!("run {by}"), |number| format!("run {number}"));
    conn.prepare_cached(
        "UPDATE runs SET state = 'superseded', finished_at_ms = max(coalesce(?3, 0), queued_at_ms), ended_by = ?2
         WHERE id = ?1 AND state = 'pending'",
    )?
    .execute((run_id.as_str(), ended_by, at_ms))?;
    Ok(())
}

/// Notes them, and forgets the oldest of their repositories.
fn note_not_run(conn: &Connection, not_run: &[NotRunRecord]) -> rusqlite::Result<()> {
    let mut repos: Vec<&str> = not_run.iter().map(|record| record.repo.as_str()).collect();
    repos.sort_unstable();
    repos.dedup();
    for record in not_run {
        conn.prepare_cached(
            "INSERT INTO not_run (repo, ref_name, sha, at_ms, by_whom, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((&record.repo, &record.ref_name, &record.sha, record.at_ms, &record.by, &record.reason))?;
    }
    for repo in repos {
        conn.prepare_cached(
            "DELETE FROM not_run WHERE repo = ?1
                AND seq <= (SELECT seq FROM not_run WHERE repo = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute((repo, NOT_RUN_KEPT))?;
    }
    Ok(())
}
