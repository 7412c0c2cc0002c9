//! From rows to the API's types. Every column is named here, so that a new one is not forgotten.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quire_ci::store::RunRecord;
use quire_core::config::ServerConfig;
use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, RunRow, ShRow};
use quire_core::wire::FailureKind;

use crate::api::{Command, Job, Run, RunDetail};
use crate::server::Waiting;

/// What is encoded in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a run can be looked at.
pub fn run_url(config: &ServerConfig, run_id: &RunId) -> String {
    let base = match &config.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", config.listen),
    };
    format!("{base}/runs/{}", segment(run_id.as_str()))
}

/// Path of a command's log in the API.
pub fn log_path(run_id: &RunId, job_id: &JobId, n: u32) -> String {
    format!("/api/v1/runs/{}/jobs/{}/{n}/log", segment(run_id.as_str()), segment(job_id.as_str()))
}

/// Path of a run in the API.
pub(super) fn run_path(run_id: &str) -> String {
    format!("/api/v1/runs/{}", segment(run_id))
}

/// One segment of a path, or a value of a query, encoded.
pub(super) fn segment(text: &str) -> String {
    Cow::from(utf8_percent_encode(text, SEGMENT)).into_owned()
}

/// A run as lists show it.
pub(super) fn run(record: RunRecord, config: &ServerConfig, waiting: &Waiting) -> Run {
    let RunRecord {
        row,
        queued_at_ms,
        owner: _,
        stream_offset: _,
        disk_bytes: _,
        origin,
        by_whom,
        ended_by,
        retry_of: _,
        logs_removed_at_ms,
        workspace_kept: _,
        seq: _,
    } = record;
    let RunRow {
        run_id,
        number,
        repo,
        ref_name,
        sha,
        pushed_at_ms,
        executor,
        version: _,
        resumed_from,
        state,
        failure_kind,
        error,
        started_at_ms,
        finished_at_ms,
        fingerprint: _,
    } = row;
    Run {
        url: run_url(config, &run_id),
        waits: finished_at_ms.is_none().then(|| waiting.reasons.get(&run_id).cloned()).flatten(),
        id: run_id.as_str().to_owned(),
        number,
        repo,
        ref_name,
        sha,
        state: state.as_str().to_owned(),
        failure_kind: failure_kind.map(|kind| FailureKind::as_str(kind).to_owned()),
        error,
        origin,
        by: by_whom,
        ended_by,
        executor,
        resumed_from: resumed_from.map(|id| id.as_str().to_owned()),
        pushed_at_ms,
        queued_at_ms,
        started_at_ms,
        finished_at_ms,
        logs_removed_at_ms,
    }
}

/// A run with its jobs and commands; both in the order of the pipeline.
pub(super) fn detail(run: Run, jobs: Vec<JobRow>, commands: Vec<ShRow>) -> RunDetail {
    let mut commands = commands.into_iter().peekable();
    let jobs = jobs
        .into_iter()
        .map(|row| {
            let mut own = Vec::new();
            while let Some(sh) = commands.next_if(|sh| sh.job_id == row.job_id) {
                own.push(command(sh));
            }
            job(row, own)
        })
        .collect();
    RunDetail { run, jobs }
}

fn job(row: JobRow, commands: Vec<Command>) -> Job {
    let JobRow {
        run_id: _,
        job_id,
        position: _,
        state,
        exit_code,
        started_at_ms,
        finished_at_ms,
        allowed,
        flaky,
        replayed,
        attempts,
        skip_reason,
        error,
        error_file,
        error_line,
    } = row;
    Job {
        id: job_id.as_str().to_owned(),
        state: state.as_str().to_owned(),
        exit_code,
        allowed,
        flaky,
        replayed,
        attempts,
        skip_reason,
        error,
        error_file,
        error_line,
        started_at_ms,
        finished_at_ms,
        commands,
    }
}

fn command(row: ShRow) -> Command {
    let log = log_path(&row.run_id, &row.job_id, row.n);
    let ShRow {
        run_id: _,
        job_id: _,
        n,
        started_at_ms,
        finished_at_ms,
        exit_code,
        cmd,
        attempt,
        signal,
        cause,
        error,
        no_eol: _,
        masked: _,
        truncated: _,
        detached: _,
        replayed,
    } = row;
    Command { n, cmd, attempt, exit_code, signal, cause, error, replayed, started_at_ms, finished_at_ms, log }
}
