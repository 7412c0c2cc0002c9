//! One transaction over many rows, of one run or of all: what catching up and rebuilding write through.

use std::path::Path;

use quire_core::ids::RunId;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params_from_iter};

use super::puts::{INSERT_SH, PUT_SH, next_number, put_batch, put_offset};
use super::{Batch, Store, StoreError};

/// When a run whose stream tells no number, or one that another run has, gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// With its first row: the next one.
    AtOnce,
    /// By [`Bulk::number_the_rest`], after those whose stream tells theirs.
    Later,
}

impl Store {
    /// Begins a transaction for many rows. Dropped without [`Bulk::commit`] it changes nothing.
    pub fn bulk(&mut self, numbering: Numbering) -> Result<Bulk<'_>, StoreError> {
        let Store { conn, path } = self;
        match conn.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(tx) => Ok(Bulk { tx, path, numbering }),
            Err(error) => Err(StoreError::new(path, error)),
        }
    }
}

/// One transaction over many rows, of one run or of all.
#[derive(Debug)]
pub struct Bulk<'a> {
    tx: Transaction<'a>,
    path: &'a Path,
    numbering: Numbering,
}

impl Bulk<'_> {
    /// Puts rows.
    pub fn put(&mut self, batch: &Batch) -> Result<(), StoreError> {
        put_batch(&self.tx, batch, self.numbering, PUT_SH).map_err(|error| self.failed(error))
    }

    /// [`Bulk::put`] of commands that have no row yet, which is quicker; an error if one has.
    pub fn put_new_commands(&mut self, batch: &Batch) -> Result<(), StoreError> {
        put_batch(&self.tx, batch, self.numbering, INSERT_SH).map_err(|error| self.failed(error))
    }

    /// Whether a command of the run has a row.
    pub fn has_commands(&self, run_id: &RunId) -> Result<bool, StoreError> {
        self.tx
            .prepare_cached("SELECT 1 FROM sh_events WHERE run_id = ?1 LIMIT 1")
            .and_then(|mut ask| ask.exists([run_id.as_str()]))
            .map_err(|error| self.failed(error))
    }

    /// Notes how many bytes of the run's stream its rows tell of.
    pub fn put_offset(&mut self, run_id: &RunId, stream_offset: u64) -> Result<(), StoreError> {
        put_offset(&self.tx, run_id, stream_offset).map_err(|error| self.failed(error))
    }

    /// How many bytes of the run's stream its rows tell of; zero for a run without row.
    pub fn offset(&self, run_id: &RunId) -> Result<u64, StoreError> {
        self.tx
            .prepare_cached("SELECT stream_offset FROM runs WHERE id = ?1")
            .and_then(|mut ask| ask.query_row([run_id.as_str()], |row| row.get::<_, i64>(0)).optional())
            .map(|offset| offset.unwrap_or(0).unsigned_abs())
            .map_err(|error| self.failed(error))
    }

    /// Forgets what the run's stream told, keeping its queue facts, so that it can be told anew. A run that waits in the
    /// queue, or never left it, is left alone.
    pub fn forget_projection(&mut self, run_id: &RunId) -> Result<(), StoreError> {
        forget_projection(&self.tx, run_id).map_err(|error| self.failed(error))
    }

    /// Whether a queue entered the run and its stream has told nothing yet.
    pub fn is_queued_and_never_began(&self, run_id: &RunId) -> Result<bool, StoreError> {
        self.tx
            .prepare_cached("SELECT 1 FROM runs WHERE id = ?1 AND started_at_ms IS NULL AND queued_at_ms IS NOT NULL")
            .and_then(|mut ask| ask.exists([run_id.as_str()]))
            .map_err(|error| self.failed(error))
    }

    /// Notes that an ended run, if it had commands, has no logs any more, unless that is noted.
    pub fn note_logs_removed(&mut self, run_id: &RunId, at_ms: i64) -> Result<(), StoreError> {
        self.tx
            .prepare_cached(
                "UPDATE runs SET logs_removed_at_ms = ?2
                 WHERE id = ?1 AND logs_removed_at_ms IS NULL AND state NOT IN ('pending', 'active')
                    AND EXISTS (SELECT 1 FROM sh_events WHERE run_id = ?1)",
            )
            .and_then(|mut put| put.execute((run_id.as_str(), at_ms)))
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Removes the rows of runs that began and whose id `keep` refuses; returns how many.
    pub fn remove_begun_unless(&mut self, keep: impl Fn(&str) -> bool) -> Result<u64, StoreError> {
        remove_begun_unless(&self.tx, keep).map_err(|error| self.failed(error))
    }

    /// Gives a number to each run that has none, in the order of ids.
    pub fn number_the_rest(&mut self) -> Result<(), StoreError> {
        number_the_rest(&self.tx).map_err(|error| self.failed(error))
    }

    /// Makes it all true at once.
    pub fn commit(self) -> Result<(), StoreError> {
        let Bulk { tx, path, .. } = self;
        tx.commit().map_err(|error| StoreError::new(path, error))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::new(self.path, error)
    }
}

/// What is not told by the stream, or not by it alone.
const KEPT: [&str; 18] = [
    "seq",
    "repo",
    "number",
    "ref_name",
    "sha",
    "pushed_at_ms",
    "queued_at_ms",
    "owner",
    "disk_bytes",
    "origin",
    "by_whom",
    "ended_by",
    "params",
    "wanted_jobs",
    "retry_of",
    "retry_failed",
    "logs_removed_at_ms",
    "workspace_kept",
];
/// Of those, what the stream tells of a run that no queue entered.
const TOLD_UNLESS_QUEUED: [&str; 3] = ["ref_name", "sha", "pushed_at_ms"];

/// The row is taken out and put back as queued, since an ended row may not change its state.
fn forget_projection(conn: &Connection, run_id: &RunId) -> rusqlite::Result<()> {
    let id = run_id.as_str();
    let columns = KEPT.map(|column| match TOLD_UNLESS_QUEUED.contains(&column) {
        true => format!("iif(queued_at_ms IS NULL, NULL, {column})"),
        false => column.to_owned(),
    });
    let kept: Option<Vec<Value>> = conn
        .prepare_cached(&format!(
            "SELECT {} FROM runs WHERE id = ?1 AND state NOT IN ('pending', 'superseded')",
            columns.join(", ")
        ))?
        .query_row([id], |row| (0..KEPT.len()).map(|column| row.get(column)).collect())
        .optional()?;
    let Some(kept) = kept else { return Ok(()) };
    conn.prepare_cached("DELETE FROM runs WHERE id = ?1")?.execute([id])?;
    let places = vec!["?"; KEPT.len()].join(", ");
    conn.prepare_cached(&format!(
        "INSERT INTO runs ({}, state, started_at_ms, id) VALUES ({places}, 'active', 0, ?)",
        KEPT.join(", ")
    ))?
    .execute(params_from_iter(kept.into_iter().chain([Value::from(id.to_owned())])))?;
    Ok(())
}

fn remove_begun_unless(conn: &Connection, keep: impl Fn(&str) -> bool) -> rusqlite::Result<u64> {
    let mut begun =
        conn.prepare("SELECT id FROM runs WHERE started_at_ms IS NOT NULL AND state NOT IN ('pending', 'superseded')")?;
    let ids: Vec<String> = begun.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut remove = conn.prepare("DELETE FROM runs WHERE id = ?1")?;
    let mut removed = 0;
    for id in ids.iter().filter(|id| !keep(id)) {
        remove.execute([id])?;
        removed += 1;
    }
    Ok(removed)
}

fn number_the_rest(conn: &Connection) -> rusqlite::Result<()> {
    let mut without = conn.prepare("SELECT id, repo FROM runs WHERE number IS NULL ORDER BY id")?;
    let rest: Vec<(String, String)> =
        without.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (id, repo) in rest {
        let number = next_number(conn, &repo)?;
        conn.execute("UPDATE runs SET number = ?2 WHERE id = ?1", (id, number))?;
    }
    Ok(())
}
