//! One job's rows: the job, and the commands of it that are open.
//!
//! The caller asks nothing of a job that has ended.

use std::collections::VecDeque;

use crate::ids::{JobId, RunId};
use crate::rows::{JobRow, JobState, RowCommand, ShRow};
use crate::wire::{Cause, JobFailure, JobFinished, JobOutcome, JobSkipped, ShFinished};

#[derive(Debug)]
pub(super) struct Job {
    row: JobRow,
    /// Open commands in order of `n`, which is the order of their start.
    open: VecDeque<ShRow>,
    /// Commands begun so far, over all attempts.
    commands: u32,
    /// Exit code of the last command of this attempt that ended with another than 0. The stream does not tell which command
    /// a script failed over; since a script that is told of a failure raises unless it asked not to be, it is the last one.
    failed_exit: Option<i32>,
}

impl Job {
    /// A job that is pending.
    pub(super) fn new(run_id: &RunId, job_id: &JobId, position: u32, out: &mut Vec<RowCommand>) -> Job {
        let row = JobRow {
            run_id: run_id.clone(),
            job_id: job_id.clone(),
            position,
            state: JobState::Pending,
            exit_code: None,
            started_at_ms: None,
            finished_at_ms: None,
            allowed: false,
            flaky: false,
            replayed: false,
            attempts: 0,
            skip_reason: None,
            error: None,
            error_file: None,
            error_line: None,
        };
        let job = Job { row, open: VecDeque::new(), commands: 0, failed_exit: None };
        job.put(out);
        job
    }

    pub(super) fn state(&self) -> JobState {
        self.row.state
    }

    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.row.state, JobState::Pending | JobState::Active)
    }

    /// Whether it failed, and not allowedly.
    pub(super) fn fails_run(&self) -> bool {
        self.row.is_broken()
    }

    /// Starts a pending job; whether it was pending.
    pub(super) fn start(&mut self, at_ms: i64, out: &mut Vec<RowCommand>) -> bool {
        if self.row.state != JobState::Pending {
            return false;
        }
        self.row.state = JobState::Active;
        self.row.started_at_ms = Some(at_ms);
        self.row.attempts = 1;
        self.put(out);
        true
    }

    /// Begins the next attempt. Returns how many commands were open, as do all that follow.
    pub(super) fn retry(&mut self, at_ms: i64, attempt: u32, out: &mut Vec<RowCommand>) -> u64 {
        self.row.attempts = self.row.attempts.saturating_add(1).max(attempt);
        self.failed_exit = None;
        self.put(out);
        self.abort_commands(at_ms, out)
    }

    pub(super) fn skip(&mut self, at_ms: i64, skipped: &JobSkipped, out: &mut Vec<RowCommand>) -> u64 {
        self.row.skip_reason = Some(skipped.reason.as_str().to_owned());
        self.row.error.clone_from(&skipped.text);
        self.end(JobState::Skipped, at_ms, out)
    }

    pub(super) fn finish(&mut self, at_ms: i64, finished: &JobFinished, out: &mut Vec<RowCommand>) -> u64 {
        self.row.allowed = finished.allowed;
        self.row.flaky = finished.flaky;
        self.row.replayed = finished.replayed;
        if let Some(JobFailure { message, file, line }) = &finished.error {
            self.row.error = Some(message.clone());
            self.row.error_file.clone_from(file);
            self.row.error_line = *line;
        }
        let state = match finished.outcome {
            JobOutcome::Complete => JobState::Complete,
            JobOutcome::Failed => JobState::Failed,
            JobOutcome::Aborted => JobState::Aborted,
        };
        if state == JobState::Failed {
            self.row.exit_code = self.failed_exit;
        }
        self.end(state, at_ms, out)
    }

    /// The run ends over the job.
    pub(super) fn abort(&mut self, at_ms: i64, out: &mut Vec<RowCommand>) -> u64 {
        self.end(JobState::Aborted, at_ms, out)
    }

    pub(super) fn sh_started(&mut self, at_ms: i64, cmd: &str, out: &mut Vec<RowCommand>) {
        self.commands = self.commands.saturating_add(1);
        let row = ShRow {
            run_id: self.row.run_id.clone(),
            job_id: self.row.job_id.clone(),
            n: self.commands,
            started_at_ms: at_ms,
            finished_at_ms: None,
            exit_code: None,
            cmd: cmd.to_owned(),
            attempt: self.row.attempts,
            signal: None,
            cause: None,
            error: None,
            no_eol: None,
            masked: false,
            truncated: false,
            detached: false,
            replayed: false,
        };
        out.push(RowCommand::PutSh(row.clone()));
        self.open.push_back(row);
    }

    /// Ends the command that `sh` names, or the oldest that is open; whether there is such a one.
    pub(super) fn sh_finished(&mut self, at_ms: i64, finished: &ShFinished, out: &mut Vec<RowCommand>) -> bool {
        let row = match finished.sh {
            Some(n) => self.open.binary_search_by_key(&n, |row| row.n).ok().and_then(|at| self.open.remove(at)),
            None => self.open.pop_front(),
        };
        let Some(row) = row else { return false };
        if finished.exit_code != 0 {
            self.failed_exit = Some(finished.exit_code);
        }
        let no_eol: Vec<&str> = finished.no_eol.iter().map(|stream| stream.as_str()).collect();
        out.push(RowCommand::PutSh(ShRow {
            finished_at_ms: Some(row.started_at_ms.max(at_ms)),
            exit_code: Some(finished.exit_code),
            signal: finished.signal,
            cause: finished.cause.map(|cause| cause.as_str().to_owned()),
            error: finished.error.as_ref().map(|error| error.message.clone()),
            no_eol: Some(no_eol.join(",")).filter(|words| !words.is_empty()),
            masked: finished.masked,
            truncated: finished.truncated,
            detached: finished.detached,
            replayed: finished.replayed,
            ..row
        }));
        true
    }

    /// The job's last row; a job that never started has no start.
    fn end(&mut self, state: JobState, at_ms: i64, out: &mut Vec<RowCommand>) -> u64 {
        self.row.state = state;
        self.row.finished_at_ms = Some(self.row.started_at_ms.map_or(at_ms, |started| started.max(at_ms)));
        self.put(out);
        self.abort_commands(at_ms, out)
    }

    fn abort_commands(&mut self, at_ms: i64, out: &mut Vec<RowCommand>) -> u64 {
        let count = self.open.len() as u64;
        out.extend(self.open.drain(..).map(|row| {
            RowCommand::PutSh(ShRow {
                finished_at_ms: Some(row.started_at_ms.max(at_ms)),
                cause: Some(Cause::Crash.as_str().to_owned()),
                ..row
            })
        }));
        count
    }

    fn put(&self, out: &mut Vec<RowCommand>) {
        out.push(RowCommand::PutJob(self.row.clone()));
    }
}
