//! Everything that writes rows. One transaction a batch; full-row puts that change nothing when they come again; a row that
//! has ended stays as it ended.

use quire_core::ids::RunId;
use quire_core::rows::{JobRow, RowCommand, RunRow, ShRow};
use quire_core::wire::FailureKind;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::bulk::Numbering;
use super::{Batch, Store, StoreError};

/// A run that begins here and now, before its stream tells anything.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Key.
    pub run_id: RunId,
    /// Whose numbers it counts in.
    pub repo: String,
    /// Unix milliseconds; the first event's time takes its place.
    pub at_ms: i64,
    /// Who drives it, for people.
    pub owner: Option<String>,
}

impl Store {
    /// Enters an active run and returns its number: the repository's largest so far plus one. A run that is there already
    /// keeps its row and number.
    pub fn reserve_run(&mut self, run: &NewRun) -> Result<u64, StoreError> {
        self.write(|writing| writing.run(|conn| reserve(conn, run)))
    }

    /// Puts `rows` of a run and how many bytes of its stream they tell of, in one transaction.
    pub fn apply(&mut self, run_id: &RunId, rows: &[RowCommand], stream_offset: u64) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.extend(rows.iter().cloned());
        self.apply_batch(run_id, &batch, stream_offset)
    }

    /// [`Store::apply`] of puts that were gathered before.
    pub fn apply_batch(&mut self, run_id: &RunId, batch: &Batch, stream_offset: u64) -> Result<(), StoreError> {
        self.write(|writing| writing.apply_batch(run_id, batch, stream_offset))
    }

    /// Ends a run whose directory is gone: its open rows are aborted at the largest time that its rows know. Does nothing
    /// to a run that has ended.
    pub fn close_without_stream(&mut self, run_id: &RunId, kind: FailureKind) -> Result<(), StoreError> {
        self.write(|writing| writing.close_without_stream(run_id, kind))
    }

    /// Removes a run's rows.
    pub fn delete_run(&mut self, run_id: &RunId) -> Result<(), StoreError> {
        self.conn
            .execute("DELETE FROM runs WHERE id = ?1", [run_id.as_str()])
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Notes how many bytes a run's directory takes.
    pub fn note_disk_bytes(&mut self, run_id: &RunId, bytes: u64) -> Result<(), StoreError> {
        self.write(|writing| writing.note_disk_bytes(run_id, bytes))
    }
}

fn reserve(conn: &Connection, run: &NewRun) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "INSERT INTO runs (id, repo, number, state, started_at_ms, owner)
         VALUES (:id, :repo, (SELECT coalesce(max(number), 0) + 1 FROM runs WHERE repo = :repo), 'active', :at_ms, :owner)
         ON CONFLICT (id) DO NOTHING",
    )?
    .execute(named_params! {
        ":id": run.run_id.as_str(), ":repo": run.repo, ":at_ms": run.at_ms, ":owner": run.owner,
    })?;
    let number: i64 =
        conn.query_row("SELECT number FROM runs WHERE id = ?1", [run.run_id.as_str()], |row| row.get(0))?;
    Ok(number.unsigned_abs())
}

/// SQLite's integers are signed; no count of ours comes near the limit.
pub(super) fn column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn put_batch(
    conn: &Connection,
    batch: &Batch,
    numbering: Numbering,
    put_commands: &str,
) -> rusqlite::Result<()> {
    if let Some(run) = &batch.run {
        put_run(conn, run, numbering)?;
    }
    if batch.jobs.is_empty() {
        return Ok(());
    }
    let mut put = conn.prepare_cached(PUT_JOB)?;
    for job in batch.jobs.values().filter_map(|puts| puts.job.as_ref()) {
        put_job(&mut put, job)?;
    }
    let mut put = conn.prepare_cached(put_commands)?;
    for command in batch.jobs.values().flat_map(|puts| puts.commands.values()) {
        put_sh(&mut put, command)?;
    }
    Ok(())
}

pub(super) fn put_offset(conn: &Connection, run_id: &RunId, stream_offset: u64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE runs SET stream_offset = ?2 WHERE id = ?1")?
        .execute((run_id.as_str(), column(stream_offset)))?;
    Ok(())
}

/// What the stream tells replaces what it told before; what it does not tell leaves the queue's facts as they are.
const PUT_RUN: &str = "
    INSERT INTO runs (id, repo, number, ref_name, sha, pushed_at_ms, executor, version, resumed_from, state, failure_kind,
                      error, started_at_ms, finished_at_ms, fingerprint)
    VALUES (:id, :repo, :number, :ref_name, :sha, :pushed_at_ms, :executor, :version, :resumed_from, :state, :failure_kind,
            :error, :started_at_ms, :finished_at_ms, :fingerprint)
    ON CONFLICT (id) DO UPDATE SET
        repo = excluded.repo, number = excluded.number, ref_name = coalesce(excluded.ref_name, ref_name),
        sha = coalesce(excluded.sha, sha), pushed_at_ms = coalesce(excluded.pushed_at_ms, pushed_at_ms),
        executor = coalesce(excluded.executor, executor), version = coalesce(excluded.version, version),
        resumed_from = coalesce(excluded.resumed_from, resumed_from), state = excluded.state,
        failure_kind = excluded.failure_kind, error = excluded.error, started_at_ms = excluded.started_at_ms,
        finished_at_ms = excluded.finished_at_ms, fingerprint = excluded.fingerprint
    WHERE runs.state IN ('pending', 'active') OR runs.state = excluded.state";

fn put_run(conn: &Connection, run: &RunRow, numbering: Numbering) -> rusqlite::Result<()> {
    let known: Option<(String, Option<i64>)> = conn
        .prepare_cached("SELECT repo, number FROM runs WHERE id = ?1")?
        .query_row([run.run_id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let repo = run.repo.as_deref().or(known.as_ref().map(|(repo, _)| repo.as_str())).unwrap_or("");
    let kept = known.as_ref().filter(|(known, _)| known == repo).and_then(|(_, number)| *number);
    let number = number_of(conn, run, repo, kept, numbering)?;
    let has_ended = run.state.is_over();
    // A run that died before its first event ended, as far as anyone can tell, when it was made.
    let finished_at_ms =
        run.finished_at_ms.or_else(|| has_ended.then(|| run.started_at_ms.unwrap_or_else(|| born_at_ms(&run.run_id))));
    conn.prepare_cached(PUT_RUN)?.execute(named_params! {
        ":id": run.run_id.as_str(), ":repo": repo, ":number": number, ":ref_name": run.ref_name, ":sha": run.sha,
        ":pushed_at_ms": run.pushed_at_ms, ":executor": run.executor, ":version": run.version,
        ":resumed_from": run.resumed_from.as_ref().map(RunId::as_str), ":state": run.state.as_str(),
        ":failure_kind": run.failure_kind.map(FailureKind::as_str), ":error": run.error,
        ":started_at_ms": run.started_at_ms, ":finished_at_ms": finished_at_ms, ":fingerprint": run.fingerprint,
    })?;
    Ok(())
}

/// The stream's number if no other run of the repository has it; else the one that the run has; else the next.
fn number_of(
    conn: &Connection,
    run: &RunRow,
    repo: &str,
    kept: Option<i64>,
    numbering: Numbering,
) -> rusqlite::Result<Option<i64>> {
    let told = run.number.filter(|number| *number > 0).and_then(|number| i64::try_from(number).ok());
    if let Some(told) = told {
        let taken = Some(told) != kept
            && conn.prepare_cached("SELECT 1 FROM runs WHERE repo = ?1 AND number = ?2 AND id <> ?3")?.exists((
                repo,
                told,
                run.run_id.as_str(),
            ))?;
        if !taken {
            return Ok(Some(told));
        }
    }
    match (kept, numbering) {
        (Some(kept), _) => Ok(Some(kept)),
        (None, Numbering::Later) => Ok(None),
        (None, Numbering::AtOnce) => next_number(conn, repo).map(Some),
    }
}

pub(super) fn next_number(conn: &Connection, repo: &str) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM runs WHERE repo = ?1")?
        .query_row([repo], |row| row.get(0))
}

/// The time in a UUIDv7, Unix milliseconds; zero for an id that is none.
fn born_at_ms(run_id: &RunId) -> i64 {
    let timestamp = uuid::Uuid::try_parse(run_id.as_str()).ok().and_then(|id| id.get_timestamp());
    let Some((seconds, nanos)) = timestamp.map(|timestamp| timestamp.to_unix()) else { return 0 };
    i64::try_from(seconds).unwrap_or(0).saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000))
}

const PUT_JOB: &str = "
    INSERT INTO jobs (run_id, job_id, position, state, exit_code, started_at_ms, finished_at_ms, allowed, flaky, replayed,
                      attempts, skip_reason, error, error_file, error_line)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (run_id, job_id) DO UPDATE SET
        position = excluded.position, state = excluded.state, exit_code = excluded.exit_code,
        started_at_ms = excluded.started_at_ms, finished_at_ms = excluded.finished_at_ms, allowed = excluded.allowed,
        flaky = excluded.flaky, replayed = excluded.replayed, attempts = excluded.attempts,
        skip_reason = excluded.skip_reason, error = excluded.error, error_file = excluded.error_file,
        error_line = excluded.error_line
    WHERE jobs.state IN ('pending', 'active') OR jobs.state = excluded.state";

fn put_job(put: &mut rusqlite::Statement<'_>, job: &JobRow) -> rusqlite::Result<()> {
    put.execute((
        job.run_id.as_str(),
        job.job_id.as_str(),
        job.position,
        job.state.as_str(),
        job.exit_code,
        job.started_at_ms,
        job.finished_at_ms,
        job.allowed,
        job.flaky,
        job.replayed,
        job.attempts,
        job.skip_reason.as_deref(),
        job.error.as_deref(),
        job.error_file.as_deref(),
        job.error_line,
    ))?;
    Ok(())
}

macro_rules! insert_sh {
    () => {
        "INSERT INTO sh_events (run_id, job_id, n, started_at_ms, finished_at_ms, exit_code, cmd, attempt, signal, cause,
                                error, no_eol, masked, truncated, detached, replayed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    };
}

/// Of commands that have no row yet.
pub(super) const INSERT_SH: &str = insert_sh!();

/// Of commands that may have one.
pub(super) const PUT_SH: &str = concat!(
    insert_sh!(),
    "ON CONFLICT (run_id, job_id, n) DO UPDATE SET
        started_at_ms = excluded.started_at_ms, finished_at_ms = excluded.finished_at_ms, exit_code = excluded.exit_code,
        cmd = excluded.cmd, attempt = excluded.attempt, signal = excluded.signal, cause = excluded.cause,
        error = excluded.error, no_eol = excluded.no_eol, masked = excluded.masked, truncated = excluded.truncated,
        detached = excluded.detached, replayed = excluded.replayed
     WHERE sh_events.finished_at_ms IS NULL OR excluded.finished_at_ms IS NOT NULL"
);

fn put_sh(put: &mut rusqlite::Statement<'_>, command: &ShRow) -> rusqlite::Result<()> {
    put.execute((
        command.run_id.as_str(),
        command.job_id.as_str(),
        command.n,
        command.started_at_ms,
        command.finished_at_ms,
        command.exit_code,
        command.cmd.as_str(),
        command.attempt,
        command.signal,
        command.cause.as_deref(),
        command.error.as_deref(),
        command.no_eol.as_deref(),
        command.masked,
        command.truncated,
        command.detached,
        command.replayed,
    ))?;
    Ok(())
}

/// Ends an open run for its stream's sake or without one: `error` for people, and not before `at_ms`. Whether it was open.
pub(super) fn close_rows(
    conn: &Connection,
    run_id: &RunId,
    kind: FailureKind,
    error: Option<&str>,
    at_ms: i64,
) -> rusqlite::Result<bool> {
    let id = run_id.as_str();
    let is_open = conn.prepare("SELECT 1 FROM runs WHERE id = ?1 AND state IN ('pending', 'active')")?.exists([id])?;
    if !is_open {
        return Ok(false);
    }
    let known_ms: i64 = conn.query_row(
        "SELECT max(
            coalesce((SELECT max(started_at_ms) FROM sh_events WHERE run_id = ?1), 0),
            coalesce((SELECT max(finished_at_ms) FROM sh_events WHERE run_id = ?1), 0),
            coalesce((SELECT max(started_at_ms) FROM jobs WHERE run_id = ?1), 0),
            coalesce((SELECT max(finished_at_ms) FROM jobs WHERE run_id = ?1), 0),
            coalesce((SELECT coalesce(started_at_ms, queued_at_ms) FROM runs WHERE id = ?1), 0))",
        [id],
        |row| row.get(0),
    )?;
    let at_ms = at_ms.max(known_ms);
    conn.execute(
        "UPDATE sh_events SET finished_at_ms = ?2, cause = 'crash' WHERE run_id = ?1 AND finished_at_ms IS NULL",
        (id, at_ms),
    )?;
    conn.execute(
        "UPDATE jobs SET state = 'aborted', finished_at_ms = ?2 WHERE run_id = ?1 AND state IN ('pending', 'active')",
        (id, at_ms),
    )?;
    conn.execute(
        "UPDATE runs SET state = 'failed', failure_kind = ?3, finished_at_ms = ?2, error = coalesce(?4, error) WHERE id = ?1",
        (id, at_ms, kind.as_str(), error),
    )?;
    Ok(true)
}
