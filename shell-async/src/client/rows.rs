//! The API's answers as the rows that quire-ci's views show: a run looks the same wherever it ran.

use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, JobState, RunRow, RunState, ShRow};
use quire_core::wire::FailureKind;

use crate::api::{Command, Job, Run, RunDetail};

/// A run's row. A state that is not known is shown as `active`: it is not known to be over.
pub fn run(run: &Run) -> RunRow {
    RunRow {
        run_id: RunId::new(&run.id),
        number: run.number,
        repo: run.repo.clone(),
        ref_name: run.ref_name.clone(),
        sha: run.sha.clone(),
        pushed_at_ms: run.pushed_at_ms,
        executor: run.executor.clone(),
        version: None,
        resumed_from: run.resumed_from.as_deref().map(RunId::new),
        state: RunState::parse(&run.state).unwrap_or(RunState::Active),
        failure_kind: run.failure_kind.as_deref().and_then(FailureKind::parse),
        error: run.error.clone(),
        started_at_ms: run.started_at_ms,
        finished_at_ms: run.finished_at_ms,
        fingerprint: None,
    }
}

/// Rows of a run's jobs and commands, in order.
pub fn jobs(detail: &RunDetail) -> (Vec<JobRow>, Vec<ShRow>) {
    let run_id = RunId::new(&detail.run.id);
    let jobs = detail.jobs.iter().zip(0..).map(|(row, position)| job(&run_id, row, position)).collect();
    let of_job = |job: &Job| {
        let id = JobId::from_record(&job.id);
        job.commands.iter().map(|row| command(&run_id, &id, row)).collect::<Vec<_>>()
    };
    (jobs, detail.jobs.iter().flat_map(of_job).collect())
}

fn job(run_id: &RunId, job: &Job, position: u32) -> JobRow {
    JobRow {
        run_id: run_id.clone(),
        job_id: JobId::from_record(&job.id),
        position,
        state: JobState::parse(&job.state).unwrap_or(JobState::Active),
        exit_code: job.exit_code,
        started_at_ms: job.started_at_ms,
        finished_at_ms: job.finished_at_ms,
        allowed: job.allowed,
        flaky: job.flaky,
        replayed: job.replayed,
        attempts: job.attempts,
        skip_reason: job.skip_reason.clone(),
        error: job.error.clone(),
        error_file: job.error_file.clone(),
        error_line: job.error_line,
    }
}

fn command(run_id: &RunId, job_id: &JobId, command: &Command) -> ShRow {
    ShRow {
        run_id: run_id.clone(),
        job_id: job_id.clone(),
        n: command.n,
        started_at_ms: command.started_at_ms,
        finished_at_ms: command.finished_at_ms,
        exit_code: command.exit_code,
        cmd: command.cmd.clone(),
        attempt: command.attempt,
        signal: command.signal,
        cause: command.cause.clone(),
        error: command.error.clone(),
        no_eol: None,
        masked: false,
        truncated: false,
        detached: false,
        replayed: command.replayed,
    }
}
