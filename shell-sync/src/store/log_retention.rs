//! What retention of a server's logs asks: which ended runs still have some, how much, and which may not be touched.

use std::collections::BTreeSet;

use quire_core::ids::RunId;

use super::queries::{RUN_COLUMNS, run_id};
use super::{RunRecord, Store, StoreError};

/// What a run with logs is, as runs_with_logs has it; the index is used only where a statement says the same.
macro_rules! with_logs {
    () => {
        "finished_at_ms IS NOT NULL AND logs_removed_at_ms IS NULL AND state <> 'superseded'"
    };
}

/// An ended run whose logs are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithLogs {
    /// Its id.
    pub run_id: RunId,
    /// When it ended, Unix milliseconds.
    pub finished_at_ms: i64,
    /// Bytes of its directory, where they were counted.
    pub disk_bytes: Option<u64>,
    /// Its place in the order of runs.
    pub seq: i64,
}

impl Store {
    /// Ended runs whose logs are still there, oldest end first: at most `limit`, those that follow `after` in this order.
    pub fn with_logs(&self, after: Option<&WithLogs>, limit: u32) -> Result<Vec<WithLogs>, StoreError> {
        let (at_ms, seq) = after.map_or((i64::MIN, i64::MIN), |run| (run.finished_at_ms, run.seq));
        self.rows(
            concat!(
                "SELECT id, finished_at_ms, disk_bytes, seq FROM runs INDEXED BY runs_with_logs WHERE ",
                with_logs!(),
                " AND (finished_at_ms, seq) > (?1, ?2) ORDER BY finished_at_ms, seq LIMIT ?3"
            ),
            (at_ms, seq, limit),
            |row| {
                Ok(WithLogs {
                    run_id: run_id(row, 0)?,
                    finished_at_ms: row.get(1)?,
                    disk_bytes: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
                    seq: row.get(3)?,
                })
            },
        )
    }

    /// Bytes of the directories of all ended runs whose logs are still there, as far as they were counted.
    pub fn bytes_with_logs(&self) -> Result<u64, StoreError> {
        let sums = self.rows(
            concat!("SELECT coalesce(sum(disk_bytes), 0) FROM runs INDEXED BY runs_with_logs WHERE ", with_logs!()),
            [],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(sums.first().copied().unwrap_or(0).unsigned_abs())
    }

    /// Ended runs whose logs are still there and whose directory was never counted.
    pub fn uncounted(&self) -> Result<Vec<RunId>, StoreError> {
        self.rows(
            concat!(
                "SELECT id FROM runs INDEXED BY runs_with_logs WHERE ",
                with_logs!(),
                " AND disk_bytes IS NULL ORDER BY finished_at_ms"
            ),
            [],
            |row| run_id(row, 0),
        )
    }

    /// The runs that others, which are not over, take up again: their logs and workspaces are needed.
    pub fn needed_by_open_runs(&self) -> Result<BTreeSet<RunId>, StoreError> {
        let pairs = self.rows(
            "SELECT coalesce(resumed_from, ''), coalesce(retry_of, '') FROM runs WHERE state IN ('pending', 'active')",
            [],
            |row| Ok([run_id(row, 0)?, run_id(row, 1)?]),
        )?;
        Ok(pairs.into_iter().flatten().filter(|run_id| !run_id.as_str().is_empty()).collect())
    }

    /// All runs whose workspace is still there, oldest first.
    pub fn kept_workspaces(&self) -> Result<Vec<RunRecord>, StoreError> {
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs INDEXED BY runs_with_workspace WHERE workspace_kept = 1 ORDER BY seq"
        );
        self.run_records(&sql, [])
    }

    /// The runs of a ref, or without ref, whose workspace is still there, oldest first.
    pub fn kept_workspaces_of_ref(&self, repo: &str, ref_name: Option<&str>) -> Result<Vec<RunRecord>, StoreError> {
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs INDEXED BY runs_with_workspace
             WHERE workspace_kept = 1 AND repo = ?1 AND ref_name IS ?2 ORDER BY seq"
        );
        self.run_records(&sql, (repo, ref_name))
    }
}
