//! One transaction under way, and what can be written in it: by [`Store::write`] one alone, by
//! [`GroupWriter`](super::GroupWriter) several in one commit.

use std::path::Path;

use quire_core::ids::RunId;
use quire_core::wire::FailureKind;
use rusqlite::{Connection, TransactionBehavior};

use super::bulk::Numbering;
use super::puts::{PUT_SH, close_rows, column, put_batch, put_offset};
use super::{Batch, Store, StoreError};

/// A transaction under way. What is written is true, and seen by others, only once it is committed.
#[derive(Debug)]
pub struct Writing<'a> {
    conn: &'a Connection,
    path: &'a Path,
}

impl Store {
    /// Does `work` in one transaction: all of it, or nothing if it fails.
    pub fn write<T>(&mut self, work: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Store { conn, path } = self;
        let failed = |error| StoreError::new(path, error);
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let answer = work(&mut Writing::new(&tx, path))?;
        tx.commit().map_err(failed)?;
        Ok(answer)
    }
}

impl<'a> Writing<'a> {
    /// On a connection that is in a transaction.
    pub(super) fn new(conn: &'a Connection, path: &'a Path) -> Writing<'a> {
        Writing { conn, path }
    }

    /// Runs statements.
    pub(super) fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        work(self.conn).map_err(|error| StoreError::new(self.path, error))
    }

    /// Puts the gathered rows of a run and how many bytes of its stream they tell of.
    pub fn apply_batch(&mut self, run_id: &RunId, batch: &Batch, stream_offset: u64) -> Result<(), StoreError> {
        self.run(|conn| {
            put_batch(conn, batch, Numbering::AtOnce, PUT_SH)?;
            put_offset(conn, run_id, stream_offset)
        })
    }

    /// Ends a run whose directory is gone: its open rows are aborted at the largest time that its rows know. Does nothing
    /// to a run that has ended.
    pub fn close_without_stream(&mut self, run_id: &RunId, kind: FailureKind) -> Result<(), StoreError> {
        self.run(|conn| close_rows(conn, run_id, kind, None, 0)).map(drop)
    }

    /// Ends a run that got no stream, or none that goes on: failed, at `at_ms` or the largest time that its rows know, with
    /// `error` for people. Whether it was open; one that has ended stays as it is.
    pub fn fail_without_stream(
        &mut self,
        run_id: &RunId,
        kind: FailureKind,
        error: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        self.run(|conn| close_rows(conn, run_id, kind, Some(error), at_ms))
    }

    /// Notes how many bytes a run's directory takes.
    pub fn note_disk_bytes(&mut self, run_id: &RunId, bytes: u64) -> Result<(), StoreError> {
        self.run(|conn| {
            conn.prepare_cached("UPDATE runs SET disk_bytes = ?2 WHERE id = ?1")?
                .execute((run_id.as_str(), column(bytes)))
                .map(drop)
        })
    }

    /// Notes whether a run's directory holds the workspace that it ended with.
    pub fn note_workspace(&mut self, run_id: &RunId, kept: bool) -> Result<(), StoreError> {
        self.run(|conn| {
            conn.prepare_cached("UPDATE runs SET workspace_kept = ?2 WHERE id = ?1")?
                .execute((run_id.as_str(), kept))
                .map(drop)
        })
    }

    /// Notes that a run's logs, workspace and artifacts are gone, and how many bytes are left of its directory.
    pub fn note_logs_removed(&mut self, run_id: &RunId, at_ms: i64, bytes_left: u64) -> Result<(), StoreError> {
        self.run(|conn| {
            conn.prepare_cached(
                "UPDATE runs SET logs_removed_at_ms = ?2, disk_bytes = ?3, workspace_kept = 0
                 WHERE id = ?1 AND state NOT IN ('pending', 'active')",
            )?
            .execute((run_id.as_str(), at_ms, column(bytes_left)))
            .map(drop)
        })
    }
}
