//! What the rows of a stream must be: a naive model in two passes.
//!
//! It looks at the stream as a whole: it cuts it at the run's end, then takes each job's own events by themselves.

use std::collections::BTreeMap;

use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, RunState, ShRow};
use quire_core::wire::{Event, EventKind, FailureKind, JobFailure, JobOutcome, RunStarted};

/// The run whose rows are meant; a stream may name another.
pub(super) fn run_id() -> RunId {
    RunId::new("r")
}

/// The rows after some puts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) run: Option<RunRow>,
    pub(super) jobs: BTreeMap<JobId, JobRow>,
    pub(super) shs: BTreeMap<(JobId, u32), ShRow>,
}

impl Rows {
    /// Puts as the store does.
    pub(super) fn apply<'a>(&mut self, puts: impl IntoIterator<Item = &'a RowCommand>) {
        for put in puts {
            match put {
                RowCommand::PutRun(row) => self.run = Some(row.clone()),
                RowCommand::PutJob(row) => drop(self.jobs.insert(row.job_id.clone(), row.clone())),
                RowCommand::PutSh(row) => drop(self.shs.insert((row.job_id.clone(), row.n), row.clone())),
            }
        }
    }
}

fn job_of(event: &Event) -> Option<&JobId> {
    match &event.kind {
        EventKind::RunStarted(_) | EventKind::RunLogged(_) | EventKind::RunFinished(_) => None,
        EventKind::JobStarted(it) => Some(&it.job_id),
        EventKind::JobLogged(it) => Some(&it.job_id),
        EventKind::JobRetried(it) => Some(&it.job_id),
        EventKind::JobSkipped(it) => Some(&it.job_id),
        EventKind::JobFinished(it) => Some(&it.job_id),
        EventKind::ShStarted(it) => Some(&it.job_id),
        EventKind::ShFinished(it) => Some(&it.job_id),
    }
}

/// First pass: the run's end, its start and its jobs in order. Second pass: each job alone. `close`: the producer is known to be
/// dead.
pub(super) fn model(events: &[Event], close: Option<FailureKind>) -> Rows {
    let end = events.iter().position(|event| matches!(event.kind, EventKind::RunFinished(_)));
    let live = &events[..end.unwrap_or(events.len())];
    let start = live.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted(started) => Some(started),
        _ => None,
    });
    let mut order: Vec<JobId> = Vec::new();
    let mut listed = false;
    for event in live {
        let named: Vec<&JobId> = match &event.kind {
            EventKind::RunStarted(started) if !listed => {
                listed = true;
                started.jobs.iter().map(|job| &job.id).collect()
            }
            EventKind::ShFinished(_) => Vec::new(),
            _ => job_of(event).into_iter().collect(),
        };
        for id in named {
            if !order.contains(id) {
                order.push(id.clone());
            }
        }
    }
    let ends_ms = match end {
        Some(end) => Some(events[end].at_ms),
        None if close.is_some() => events.iter().map(|event| event.at_ms).max(),
        None => None,
    };
    let mut rows = Rows::default();
    for (position, id) in order.iter().enumerate() {
        let own: Vec<&Event> = live.iter().filter(|event| job_of(event) == Some(id)).collect();
        model_job(id, position, &own, ends_ms, &mut rows);
    }
    rows.run = model_run(events, start, end, close, ends_ms, &rows.jobs);
    rows
}

fn model_run(
    events: &[Event],
    start: Option<&RunStarted>,
    end: Option<usize>,
    close: Option<FailureKind>,
    ends_ms: Option<i64>,
    jobs: &BTreeMap<JobId, JobRow>,
) -> Option<RunRow> {
    if events.is_empty() && close.is_none() {
        return None;
    }
    let finish = end.map(|end| match &events[end].kind {
        EventKind::RunFinished(finished) => finished,
        _ => unreachable!("the end is a run_finished"),
    });
    let has = |state| jobs.values().any(|job| job.state == state && !(job.allowed && state == JobState::Failed));
    let (state, failure_kind) = match finish {
        Some(finished) => {
            (RunState::parse(finished.outcome.as_str()).expect("outcomes are states"), finished.failure_kind)
        }
        None if close.is_none() => (RunState::Active, None),
        None if start.is_some() || events.is_empty() => (RunState::Failed, close),
        None if has(JobState::Failed) => (RunState::Failed, Some(FailureKind::Job)),
        None if has(JobState::Aborted) => (RunState::Aborted, None),
        None => (RunState::Complete, None),
    };
    let started_at_ms = events.first().map(|event| event.at_ms);
    Some(RunRow {
        run_id: run_id(),
        number: start.and_then(|start| start.number),
        repo: start.and_then(|start| start.repo.clone()),
        ref_name: start.and_then(|start| start.ref_name.clone()),
        sha: start.and_then(|start| start.sha.clone()),
        pushed_at_ms: start.and_then(|start| start.pushed_at_ms),
        executor: start.map(|start| start.executor.clone()).filter(|text| !text.is_empty()),
        version: start.map(|start| start.version.clone()).filter(|text| !text.is_empty()),
        resumed_from: start.and_then(|start| start.resumed_from.clone()),
        state,
        failure_kind,
        error: finish.and_then(|finished| finished.error.as_ref()).map(told),
        started_at_ms,
        finished_at_ms: ends_ms.map(|end| end.max(started_at_ms.unwrap_or(end))),
        fingerprint: finish.and_then(|finished| finished.fingerprint.clone()),
    })
}

/// A run's row has one text for an error and its place.
fn told(error: &JobFailure) -> String {
    let place = match (&error.file, error.line) {
        (Some(file), _) if error.message.contains(file.as_str()) => String::new(),
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, _) => String::new(),
    };
    place + &error.message
}

fn model_job(id: &JobId, position: usize, own: &[&Event], run_ends_ms: Option<i64>, rows: &mut Rows) {
    let ends = |event: &&Event| matches!(event.kind, EventKind::JobFinished(_) | EventKind::JobSkipped(_));
    let end = own.iter().position(ends);
    let own = &own[..end.map_or(own.len(), |end| end + 1)];
    let starts = own.iter().find(|event| {
        use EventKind::{JobFinished, JobRetried, JobStarted, ShStarted};
        matches!(event.kind, JobStarted(_) | ShStarted(_) | JobRetried(_) | JobFinished(_))
    });
    let started_at_ms = starts.map(|event| event.at_ms);
    let mut attempts = 1;
    let mut shs: Vec<ShRow> = Vec::new();
    let mut failed_exit = None;
    let close_commands = |shs: &mut Vec<ShRow>, at_ms: i64| {
        for sh in shs.iter_mut().filter(|sh| sh.finished_at_ms.is_none()) {
            sh.finished_at_ms = Some(at_ms.max(sh.started_at_ms));
            sh.cause = Some("crash".to_owned());
        }
    };
    for event in own {
        match &event.kind {
            EventKind::ShStarted(started) => shs.push(ShRow {
                run_id: run_id(),
                job_id: id.clone(),
                n: shs.len() as u32 + 1,
                started_at_ms: event.at_ms,
                finished_at_ms: None,
                exit_code: None,
                cmd: started.cmd.clone(),
                attempt: attempts,
                signal: None,
                cause: None,
                error: None,
                no_eol: None,
                masked: false,
                truncated: false,
                detached: false,
                replayed: false,
            }),
            EventKind::ShFinished(finished) => {
                let meant = |sh: &&mut ShRow| finished.sh.is_none_or(|n| sh.n == n) && sh.finished_at_ms.is_none();
                if let Some(sh) = shs.iter_mut().find(meant) {
                    sh.finished_at_ms = Some(event.at_ms.max(sh.started_at_ms));
                    sh.exit_code = Some(finished.exit_code);
                    sh.signal = finished.signal;
                    sh.cause = finished.cause.map(|cause| cause.to_string());
                    sh.error = finished.error.as_ref().map(|error| error.message.clone());
                    let streams: Vec<String> = finished.no_eol.iter().map(ToString::to_string).collect();
                    sh.no_eol = (!streams.is_empty()).then(|| streams.join(","));
                    sh.masked = finished.masked;
                    sh.truncated = finished.truncated;
                    sh.detached = finished.detached;
                    sh.replayed = finished.replayed;
                    failed_exit = Some(finished.exit_code).filter(|code| *code != 0).or(failed_exit);
                }
            }
            EventKind::JobRetried(retried) => {
                close_commands(&mut shs, event.at_ms);
                attempts = retried.attempt.max(attempts.saturating_add(1));
                failed_exit = None;
            }
            EventKind::JobFinished(_) | EventKind::JobSkipped(_) => close_commands(&mut shs, event.at_ms),
            _ => {}
        }
    }
    let mut row = JobRow {
        run_id: run_id(),
        job_id: id.clone(),
        position: position as u32,
        state: if started_at_ms.is_some() { JobState::Active } else { JobState::Pending },
        exit_code: None,
        started_at_ms,
        finished_at_ms: None,
        allowed: false,
        flaky: false,
        replayed: false,
        attempts: if started_at_ms.is_some() { attempts } else { 0 },
        skip_reason: None,
        error: None,
        error_file: None,
        error_line: None,
    };
    let mut ends_ms = end.map(|end| own[end].at_ms);
    match end.map(|end| &own[end].kind) {
        Some(EventKind::JobFinished(finished)) => {
            row.state = JobState::parse(finished.outcome.as_str()).expect("outcomes are states");
            row.exit_code = failed_exit.filter(|_| finished.outcome == JobOutcome::Failed);
            (row.allowed, row.flaky, row.replayed) = (finished.allowed, finished.flaky, finished.replayed);
            row.error = finished.error.as_ref().map(|error| error.message.clone());
            row.error_file = finished.error.as_ref().and_then(|error| error.file.clone());
            row.error_line = finished.error.as_ref().and_then(|error| error.line);
        }
        Some(EventKind::JobSkipped(skipped)) => {
            row.state = JobState::Skipped;
            row.skip_reason = Some(skipped.reason.as_str().to_owned());
            row.error = skipped.text.clone();
        }
        _ => {
            if let Some(at_ms) = run_ends_ms {
                row.state = JobState::Aborted;
                close_commands(&mut shs, at_ms);
                ends_ms = Some(at_ms);
            }
        }
    }
    row.finished_at_ms = ends_ms.map(|end| end.max(started_at_ms.unwrap_or(end)));
    rows.jobs.insert(id.clone(), row);
    rows.shs.extend(shs.into_iter().map(|sh| ((id.clone(), sh.n), sh)));
}
