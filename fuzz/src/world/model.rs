//! What the rows of a run must be, asked of its recorded events one question at a time. It knows nothing of the pairing: no
//! state is carried from event to event, each column is looked for in the list.
//!
//! Only for streams that an engine writes: those begin with `run_started` and are in a possible order.

use std::collections::BTreeMap;

use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, JobState, RunRow, RunState, ShRow};
use quire_core::wire::{
    Cause, Event, EventKind, FailureKind, JobFinished, JobOutcome, RunOutcome, RunStarted, ShFinished,
};

use super::store::Rows;

/// The rows after these events; `closed`: the producer is dead and the run was ended so, if the stream does not tell its end.
pub fn rows(run_id: &RunId, events: &[Event], closed: Option<FailureKind>, offset: u64) -> Rows {
    let stream = Stream { run_id, events, closed };
    let Some(started) = events.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted(started) => Some(started),
        _ => None,
    }) else {
        let run = closed.map(|kind| RunRow { failure_kind: Some(kind), state: RunState::Failed, ..blank_run(run_id) });
        return Rows { run, offset, ..Rows::default() };
    };
    let ids = || started.jobs.iter().map(|listed| &listed.id);
    let commands = ids().flat_map(|id| stream.commands(id)).map(|row| ((row.job_id.clone(), row.n), row));
    Rows {
        run: Some(stream.run(started)),
        jobs: ids().zip(0..).map(|(id, position)| (id.clone(), stream.job(id, position))).collect(),
        commands: commands.collect(),
        offset,
    }
}

struct Stream<'a> {
    run_id: &'a RunId,
    events: &'a [Event],
    closed: Option<FailureKind>,
}

/// What of a job's events the columns of its commands come from.
enum OfCommand<'a> {
    Started(&'a str),
    Finished(&'a ShFinished),
    Retried,
    Ended,
}

fn blank_run(run_id: &RunId) -> RunRow {
    RunRow {
        run_id: run_id.clone(),
        number: None,
        repo: None,
        ref_name: None,
        sha: None,
        pushed_at_ms: None,
        executor: None,
        version: None,
        resumed_from: None,
        state: RunState::Active,
        failure_kind: None,
        error: None,
        started_at_ms: None,
        finished_at_ms: None,
        fingerprint: None,
    }
}

impl Stream<'_> {
    /// When what is open ended with the run, if the run is over.
    fn over_at_ms(&self) -> Option<i64> {
        let told = self.events.iter().find(|event| matches!(event.kind, EventKind::RunFinished(_)));
        let largest = self.events.iter().map(|event| event.at_ms).max();
        told.map(|event| event.at_ms).or(largest.filter(|_| self.closed.is_some()))
    }

    fn run(&self, started: &RunStarted) -> RunRow {
        let started_at_ms = self.events.first().map(|event| event.at_ms);
        let finished = self.events.iter().find_map(|event| match &event.kind {
            EventKind::RunFinished(finished) => Some(finished),
            _ => None,
        });
        let (state, failure_kind) = match (finished, self.closed) {
            (Some(finished), _) => {
                let state = match finished.outcome {
                    RunOutcome::Complete => RunState::Complete,
                    RunOutcome::Failed => RunState::Failed,
                    RunOutcome::Aborted => RunState::Aborted,
                };
                (state, finished.failure_kind)
            }
            (None, Some(kind)) => (RunState::Failed, Some(kind)),
            (None, None) => (RunState::Active, None),
        };
        let error = finished.and_then(|finished| finished.error.as_ref());
        RunRow {
            number: started.number,
            repo: started.repo.clone(),
            ref_name: started.ref_name.clone(),
            sha: started.sha.clone(),
            pushed_at_ms: started.pushed_at_ms,
            executor: Some(started.executor.clone()),
            version: Some(started.version.clone()),
            resumed_from: started.resumed_from.clone(),
            state,
            failure_kind,
            error: error.map(|error| match (&error.file, error.line) {
                (Some(file), Some(line)) if !error.message.contains(file) => {
                    format!("{file}:{line}: {}", error.message)
                }
                (Some(file), None) if !error.message.contains(file) => format!("{file}: {}", error.message),
                _ => error.message.clone(),
            }),
            started_at_ms,
            finished_at_ms: self.over_at_ms().max(started_at_ms.filter(|_| self.over_at_ms().is_some())),
            fingerprint: finished.and_then(|finished| finished.fingerprint.clone()),
            ..blank_run(self.run_id)
        }
    }

    fn job(&self, id: &JobId, position: u32) -> JobRow {
        let mut row = JobRow {
            run_id: self.run_id.clone(),
            job_id: id.clone(),
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
        let started = self.events.iter().find(|e| matches!(&e.kind, EventKind::JobStarted(job) if job.job_id == *id));
        if let Some(started) = started {
            row.state = JobState::Active;
            row.started_at_ms = Some(started.at_ms);
            let retries = self.events.iter().filter_map(|event| match &event.kind {
                EventKind::JobRetried(retried) if retried.job_id == *id => Some(retried.attempt),
                _ => None,
            });
            row.attempts = retries.max().unwrap_or(1);
        }
        let mut ended_at_ms = self.over_at_ms();
        let end = self.events.iter().find(|event| match &event.kind {
            EventKind::JobFinished(job) => job.job_id == *id,
            EventKind::JobSkipped(job) => job.job_id == *id,
            _ => false,
        });
        match end.map(|event| (event.at_ms, &event.kind)) {
            Some((at_ms, EventKind::JobSkipped(skipped))) => {
                row.state = JobState::Skipped;
                row.skip_reason = Some(skipped.reason.as_str().to_owned());
                row.error.clone_from(&skipped.text);
                ended_at_ms = Some(at_ms);
            }
            Some((at_ms, EventKind::JobFinished(finished))) => {
                self.finished_job(&mut row, finished);
                ended_at_ms = Some(at_ms);
            }
            _ if ended_at_ms.is_some() => row.state = JobState::Aborted,
            _ => {}
        }
        row.finished_at_ms = ended_at_ms.map(|at_ms| row.started_at_ms.map_or(at_ms, |started| started.max(at_ms)));
        row
    }

    fn finished_job(&self, row: &mut JobRow, finished: &JobFinished) {
        row.state = match finished.outcome {
            JobOutcome::Complete => JobState::Complete,
            JobOutcome::Failed => JobState::Failed,
            JobOutcome::Aborted => JobState::Aborted,
        };
        row.allowed = finished.allowed;
        row.flaky = finished.flaky;
        row.replayed = finished.replayed;
        row.error = finished.error.as_ref().map(|error| error.message.clone());
        row.error_file = finished.error.as_ref().and_then(|error| error.file.clone());
        row.error_line = finished.error.as_ref().and_then(|error| error.line);
        if row.state == JobState::Failed {
            // The last command of the last attempt that ended badly.
            let of_job = self.of_commands(&row.job_id);
            let last_attempt = of_job.rsplit(|(_, what)| matches!(what, OfCommand::Retried)).next().unwrap_or_default();
            row.exit_code = last_attempt.iter().rev().find_map(|(_, what)| match what {
                OfCommand::Finished(finished) if finished.exit_code != 0 => Some(finished.exit_code),
                _ => None,
            });
        }
    }

    fn of_commands(&self, id: &JobId) -> Vec<(i64, OfCommand<'_>)> {
        let mut found = Vec::new();
        for event in self.events {
            let what = match &event.kind {
                EventKind::ShStarted(started) if started.job_id == *id => OfCommand::Started(&started.cmd),
                EventKind::ShFinished(finished) if finished.job_id == *id => OfCommand::Finished(finished),
                EventKind::JobRetried(retried) if retried.job_id == *id => OfCommand::Retried,
                EventKind::JobFinished(finished) if finished.job_id == *id => OfCommand::Ended,
                EventKind::JobSkipped(skipped) if skipped.job_id == *id => OfCommand::Ended,
                _ => continue,
            };
            found.push((event.at_ms, what));
        }
        found
    }

    fn commands(&self, id: &JobId) -> Vec<ShRow> {
        let events = self.of_commands(id);
        let ends = ends(&events);
        let (mut rows, mut attempt, mut n) = (Vec::new(), 1, 0);
        for (at_ms, what) in &events {
            match what {
                OfCommand::Retried => attempt += 1,
                OfCommand::Started(cmd) => {
                    n += 1;
                    rows.push(self.command(id, n, *at_ms, cmd, attempt, ends.get(&n).copied()));
                }
                OfCommand::Finished(_) | OfCommand::Ended => {}
            }
        }
        rows
    }

    fn command(
        &self,
        id: &JobId,
        n: u32,
        started_at_ms: i64,
        cmd: &str,
        attempt: u32,
        end: Option<(i64, &ShFinished)>,
    ) -> ShRow {
        let row = ShRow {
            run_id: self.run_id.clone(),
            job_id: id.clone(),
            n,
            started_at_ms,
            finished_at_ms: None,
            exit_code: None,
            cmd: cmd.to_owned(),
            attempt,
            signal: None,
            cause: None,
            error: None,
            no_eol: None,
            masked: false,
            truncated: false,
            detached: false,
            replayed: false,
        };
        match (end, self.over_at_ms()) {
            (Some((at_ms, end)), _) => ShRow {
                finished_at_ms: Some(at_ms.max(started_at_ms)),
                exit_code: Some(end.exit_code),
                signal: end.signal,
                cause: end.cause.map(|cause| cause.as_str().to_owned()),
                error: end.error.as_ref().map(|error| error.message.clone()),
                no_eol: (!end.no_eol.is_empty())
                    .then(|| end.no_eol.iter().map(|stream| stream.as_str()).collect::<Vec<_>>().join(",")),
                masked: end.masked,
                truncated: end.truncated,
                detached: end.detached,
                replayed: end.replayed,
                ..row
            },
            (None, Some(at_ms)) => ShRow {
                finished_at_ms: Some(at_ms.max(started_at_ms)),
                cause: Some(Cause::Crash.as_str().to_owned()),
                ..row
            },
            (None, None) => row,
        }
    }
}

/// Which command each end is of: the one that it names, else the only one that is open.
fn ends<'a>(events: &[(i64, OfCommand<'a>)]) -> BTreeMap<u32, (i64, &'a ShFinished)> {
    let (mut ends, mut open, mut n) = (BTreeMap::new(), Vec::new(), 0);
    for (at_ms, what) in events {
        match what {
            OfCommand::Started(_) => {
                n += 1;
                open.push(n);
            }
            OfCommand::Finished(finished) => {
                if let Some(n) = finished.sh.or(open.first().copied()) {
                    open.retain(|other| *other != n);
                    ends.insert(n, (*at_ms, *finished));
                }
            }
            OfCommand::Retried | OfCommand::Ended => {}
        }
    }
    ends
}
