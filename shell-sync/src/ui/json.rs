//! The summary for programs: one JSON object, the last thing that `--json` writes.
//!
//! Times are Unix milliseconds, durations milliseconds. What is not known is null; fields may be added, none changes meaning.
//!
//! ```json
//! {"run_id":"…","number":41,"outcome":"failed","failure_kind":"job","error":null,"repo":"…","ref":"refs/heads/main","sha":"…",
//!  "executor":"host","resumed_from":null,"started_at_ms":90,"finished_at_ms":260,"duration_ms":170,"record_dir":"…",
//!  "jobs":[{"id":"test","state":"failed","exit_code":101,"started_at_ms":100,"finished_at_ms":250,"duration_ms":150,
//!    "attempts":1,"allowed":false,"flaky":false,"replayed":false,"skip_reason":null,
//!    "error":{"message":"…","file":".quire/ci.lua","line":7},"commands":2}]}
//! ```
//! `outcome` is the run's state: `complete`, `failed` or `aborted` once it has ended. `show --json` adds to each job `sh`, its
//! commands: `{"n":1,"attempt":1,"cmd":"…","exit_code":0,"signal":null,"cause":null,"error":null,"started_at_ms":100,
//! "finished_at_ms":110,"duration_ms":10,"replayed":false}`. A skipped job's `error` holds the reason for people.

use std::path::Path;

use quire_core::rows::{RunRow, ShRow};
use serde::Serialize;

use super::model::{Job, Model};

/// A run.
#[derive(Debug, Serialize)]
pub struct RunSummary<'a> {
    run_id: &'a str,
    number: Option<u64>,
    outcome: &'a str,
    failure_kind: Option<&'static str>,
    error: Option<&'a str>,
    repo: Option<&'a str>,
    #[serde(rename = "ref")]
    ref_name: Option<&'a str>,
    sha: Option<&'a str>,
    executor: Option<&'a str>,
    resumed_from: Option<&'a str>,
    started_at_ms: Option<i64>,
    finished_at_ms: Option<i64>,
    duration_ms: Option<i64>,
    record_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobSummary<'a>>>,
}

#[derive(Debug, Serialize)]
struct JobSummary<'a> {
    id: &'a str,
    state: &'static str,
    exit_code: Option<i32>,
    started_at_ms: Option<i64>,
    finished_at_ms: Option<i64>,
    duration_ms: Option<i64>,
    attempts: u32,
    allowed: bool,
    flaky: bool,
    replayed: bool,
    skip_reason: Option<&'a str>,
    error: Option<ErrorSummary<'a>>,
    commands: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sh: Option<Vec<ShSummary<'a>>>,
}

#[derive(Debug, Serialize)]
struct ErrorSummary<'a> {
    message: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
}

#[derive(Debug, Serialize)]
struct ShSummary<'a> {
    n: u32,
    attempt: u32,
    cmd: &'a str,
    exit_code: Option<i32>,
    signal: Option<i32>,
    cause: Option<&'a str>,
    error: Option<&'a str>,
    started_at_ms: i64,
    finished_at_ms: Option<i64>,
    duration_ms: Option<i64>,
    replayed: bool,
}

impl<'a> RunSummary<'a> {
    /// Of what the model knows; `None` while that is nothing. `commands`: the rows to list under their jobs.
    pub fn new(model: &'a Model, record_dir: Option<&Path>, commands: Option<&'a [ShRow]>) -> Option<RunSummary<'a>> {
        let run = RunSummary::of_row(model.run()?, record_dir);
        let jobs = model.jobs().into_iter().map(|job| JobSummary::new(job, commands)).collect();
        Some(RunSummary { jobs: Some(jobs), ..run })
    }

    /// Of a run's row alone, without jobs: what `ls --json` prints.
    pub fn of_row(run: &'a RunRow, record_dir: Option<&Path>) -> RunSummary<'a> {
        let took = run.finished_at_ms.zip(run.started_at_ms);
        RunSummary {
            run_id: run.run_id.as_str(),
            number: run.number,
            outcome: run.state.as_str(),
            failure_kind: run.failure_kind.map(|kind| kind.as_str()),
            error: run.error.as_deref(),
            repo: run.repo.as_deref(),
            ref_name: run.ref_name.as_deref(),
            sha: run.sha.as_deref(),
            executor: run.executor.as_deref(),
            resumed_from: run.resumed_from.as_ref().map(|id| id.as_str()),
            started_at_ms: run.started_at_ms,
            finished_at_ms: run.finished_at_ms,
            duration_ms: took.map(|(end, begin)| end.saturating_sub(begin).max(0)),
            record_dir: record_dir.map(|dir| dir.to_string_lossy().into_owned()),
            jobs: None,
        }
    }
}

impl<'a> JobSummary<'a> {
    fn new(job: &'a Job, commands: Option<&'a [ShRow]>) -> JobSummary<'a> {
        let row = &job.row;
        JobSummary {
            id: row.job_id.as_str(),
            state: row.state.as_str(),
            exit_code: row.exit_code,
            started_at_ms: row.started_at_ms,
            finished_at_ms: row.finished_at_ms,
            duration_ms: row.finished_at_ms.and_then(|end| job.duration_ms(end)),
            attempts: row.attempts,
            allowed: row.allowed,
            flaky: row.flaky,
            replayed: row.replayed,
            skip_reason: row.skip_reason.as_deref(),
            error: row.error.as_deref().map(|message| ErrorSummary {
                message,
                file: row.error_file.as_deref(),
                line: row.error_line,
            }),
            commands: job.commands,
            sh: commands.map(|all| all.iter().filter(|sh| sh.job_id == row.job_id).map(ShSummary::new).collect()),
        }
    }
}

impl<'a> ShSummary<'a> {
    fn new(row: &'a ShRow) -> ShSummary<'a> {
        ShSummary {
            n: row.n,
            attempt: row.attempt,
            cmd: &row.cmd,
            exit_code: row.exit_code,
            signal: row.signal,
            cause: row.cause.as_deref(),
            error: row.error.as_deref(),
            started_at_ms: row.started_at_ms,
            finished_at_ms: row.finished_at_ms,
            duration_ms: row.finished_at_ms.map(|end| end.saturating_sub(row.started_at_ms).max(0)),
            replayed: row.replayed,
        }
    }
}

/// The summary as one line, newline included; empty where nothing is known.
pub fn json_summary(model: &Model, record_dir: Option<&Path>, commands: Option<&[ShRow]>) -> String {
    let line = RunSummary::new(model, record_dir, commands).and_then(|summary| serde_json::to_string(&summary).ok());
    line.map(|line| line + "\n").unwrap_or_default()
}
