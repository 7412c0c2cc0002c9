//! Pairing against a naive model in two passes, over any sequence of events, and what must hold of its puts on the way.
//!
//! The model looks at the stream as a whole: it cuts it at the run's end, then takes each job's own events by themselves.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use quickcheck::{Arbitrary, Gen, quickcheck};
use quire_core::ids::{JobId, RunId};
use quire_core::pairing::Pairing;
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, RunState, ShRow};
use quire_core::wire::{
    Cause, Event, EventKind, FailureKind, JobFailure, JobFinished, JobListed, JobLogged, JobOutcome, JobRetried,
    JobSkipped, JobStarted, RunFinished, RunLogged, RunOutcome, RunStarted, ShFailure, ShFinished, ShStarted,
    SkipReason, Stream,
};

/// A stream of anything, of few jobs and few times so that they meet.
#[derive(Debug, Clone)]
struct AnyStream(Vec<Event>);

impl Arbitrary for AnyStream {
    fn arbitrary(g: &mut Gen) -> AnyStream {
        let mut events: Vec<Event> = Vec::<u8>::arbitrary(g).iter().map(|_| any_event(g)).collect();
        if bool::arbitrary(g) {
            events.insert(0, Event { at_ms: 0, kind: EventKind::RunStarted(run_started(g)) });
        }
        AnyStream(events)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = AnyStream>> {
        let events = self.0.clone();
        Box::new((0..events.len()).map(move |without| {
            let mut fewer = events.clone();
            fewer.remove(without);
            AnyStream(fewer)
        }))
    }
}

fn any_event(g: &mut Gen) -> Event {
    let job_id = *g.choose(&["a", "b", "c"]).unwrap();
    let job_id = JobId::from_record(job_id);
    let text = || "text".to_owned();
    let failure = JobFailure { message: text(), file: Some("ci.lua".to_owned()), line: Some(3) };
    let error = Some(failure).filter(|_| bool::arbitrary(g));
    let kind = match u8::arbitrary(g) % 40 {
        0 => EventKind::RunStarted(run_started(g)),
        1 => EventKind::RunLogged(RunLogged { text: text() }),
        2 => EventKind::JobLogged(JobLogged { job_id, text: text() }),
        3..=7 => EventKind::JobStarted(JobStarted { job_id }),
        8 | 9 => EventKind::JobRetried(JobRetried { job_id, attempt: u32::arbitrary(g) % 4, error }),
        10 => EventKind::JobSkipped(JobSkipped { job_id, reason: SkipReason::Condition, text: Some(text()) }),
        11 | 12 => EventKind::JobFinished(JobFinished {
            job_id,
            outcome: *g.choose(JobOutcome::ALL).unwrap(),
            output: None,
            masked: false,
            replayed: bool::arbitrary(g),
            allowed: bool::arbitrary(g),
            flaky: bool::arbitrary(g),
            error,
        }),
        13 if bool::arbitrary(g) => EventKind::RunFinished(RunFinished {
            outcome: *g.choose(RunOutcome::ALL).unwrap(),
            failure_kind: Some(*g.choose(FailureKind::ALL).unwrap()),
            error,
            fingerprint: Some(text()),
        }),
        13..=26 => EventKind::ShStarted(ShStarted {
            job_id,
            cmd: format!("cmd {}", u8::arbitrary(g)),
            key: None,
            cwd: None,
            env: BTreeMap::new(),
            shell: None,
        }),
        _ => EventKind::ShFinished(ShFinished {
            job_id,
            exit_code: *g.choose(&[0, 0, 1, 137, -1]).unwrap(),
            sh: Some(u32::arbitrary(g) % 6).filter(|_| u8::arbitrary(g) % 3 == 0),
            signal: Some(9).filter(|_| bool::arbitrary(g)),
            error: Some(ShFailure { message: text() }).filter(|_| bool::arbitrary(g)),
            cause: g.choose(Cause::ALL).copied().filter(|_| bool::arbitrary(g)),
            no_eol: vec![Stream::Stdout, Stream::Stderr][..usize::arbitrary(g) % 3].to_vec(),
            masked: bool::arbitrary(g),
            truncated: bool::arbitrary(g),
            detached: bool::arbitrary(g),
            replayed: bool::arbitrary(g),
        }),
    };
    Event { at_ms: i64::from(u8::arbitrary(g) % 50), kind }
}

fn run_started(g: &mut Gen) -> RunStarted {
    let jobs = ["c", "a", "d", "a"][..usize::arbitrary(g) % 5].iter();
    RunStarted {
        run_id: RunId::new("r"),
        version: "0.1.0".to_owned(),
        executor: "host".to_owned(),
        sha: Some("sha".to_owned()),
        ref_name: Some("refs/heads/main".to_owned()),
        seed: None,
        jobs: jobs.map(|id| JobListed { id: JobId::from_record(id), inputs: Vec::new() }).collect(),
        number: Some(u64::arbitrary(g)),
        repo: Some("repo".to_owned()),
        pushed_at_ms: Some(1),
        params: BTreeMap::new(),
        resumed_from: Some(RunId::new("q")),
        args: Vec::new(),
        pipeline: None,
    }
}

/// The rows after some puts.
#[derive(Debug, Default, PartialEq)]
struct Rows {
    run: Option<RunRow>,
    jobs: BTreeMap<JobId, JobRow>,
    shs: BTreeMap<(JobId, u32), ShRow>,
}

impl Rows {
    /// Puts as the store does.
    fn apply(&mut self, puts: &[RowCommand]) {
        for put in puts {
            match put {
                RowCommand::PutRun(row) => self.run = Some(row.clone()),
                RowCommand::PutJob(row) => drop(self.jobs.insert(row.job_id.clone(), row.clone())),
                RowCommand::PutSh(row) => drop(self.shs.insert((row.job_id.clone(), row.n), row.clone())),
            }
        }
    }
}

/// All puts of a stream, closed or not.
fn puts(events: &[Event], close: bool) -> Vec<RowCommand> {
    let mut pairing = Pairing::new(RunId::new("r"));
    let mut puts = Vec::new();
    for event in events {
        pairing.push(event, &mut puts);
    }
    if close {
        pairing.close(FailureKind::Orphaned, &mut puts);
    }
    puts
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

/// First pass: the run's end, its start and its jobs in order. Second pass: each job alone.
fn model(events: &[Event], close: bool) -> Rows {
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
        None if close => events.iter().map(|event| event.at_ms).max(),
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
    close: bool,
    ends_ms: Option<i64>,
    jobs: &BTreeMap<JobId, JobRow>,
) -> Option<RunRow> {
    if events.is_empty() && !close {
        return None;
    }
    let finish = end.map(|end| match &events[end].kind {
        EventKind::RunFinished(finished) => finished,
        _ => unreachable!("the end is a run_finished"),
    });
    let has = |state| jobs.values().any(|job| job.state == state && !(job.allowed && state == JobState::Failed));
    let (state, failure_kind) = match finish {
        Some(finished) => (RunState::parse(finished.outcome.as_str()).unwrap(), finished.failure_kind),
        None if !close => (RunState::Active, None),
        None if start.is_some() || events.is_empty() => (RunState::Failed, Some(FailureKind::Orphaned)),
        None if has(JobState::Failed) => (RunState::Failed, Some(FailureKind::Job)),
        None if has(JobState::Aborted) => (RunState::Aborted, None),
        None => (RunState::Complete, None),
    };
    let started_at_ms = events.first().map(|event| event.at_ms);
    Some(RunRow {
        run_id: RunId::new("r"),
        number: start.and_then(|start| start.number),
        repo: start.and_then(|start| start.repo.clone()),
        ref_name: start.and_then(|start| start.ref_name.clone()),
        sha: start.and_then(|start| start.sha.clone()),
        pushed_at_ms: start.and_then(|start| start.pushed_at_ms),
        executor: start.map(|start| start.executor.clone()),
        version: start.map(|start| start.version.clone()),
        resumed_from: start.and_then(|start| start.resumed_from.clone()),
        state,
        failure_kind,
        error: finish.and_then(|finished| finished.error.as_ref()).map(|_| "ci.lua:3: text".to_owned()),
        started_at_ms,
        finished_at_ms: ends_ms.map(|end| end.max(started_at_ms.unwrap_or(end))),
        fingerprint: finish.and_then(|finished| finished.fingerprint.clone()),
    })
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
                run_id: RunId::new("r"),
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
                    sh.no_eol = match finished.no_eol.len() {
                        0 => None,
                        1 => Some("stdout".to_owned()),
                        _ => Some("stdout,stderr".to_owned()),
                    };
                    sh.masked = finished.masked;
                    sh.truncated = finished.truncated;
                    sh.detached = finished.detached;
                    sh.replayed = finished.replayed;
                    failed_exit = Some(finished.exit_code).filter(|code| *code != 0).or(failed_exit);
                }
            }
            EventKind::JobRetried(retried) => {
                close_commands(&mut shs, event.at_ms);
                attempts = retried.attempt.max(attempts + 1);
                failed_exit = None;
            }
            EventKind::JobFinished(_) | EventKind::JobSkipped(_) => close_commands(&mut shs, event.at_ms),
            _ => {}
        }
    }
    let mut row = JobRow {
        run_id: RunId::new("r"),
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
            row.state = JobState::parse(finished.outcome.as_str()).unwrap();
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

fn is_open(state: JobState) -> bool {
    matches!(state, JobState::Pending | JobState::Active)
}

quickcheck! {
    fn pairing_gives_the_models_rows(stream: AnyStream, close: bool) -> bool {
        let mut rows = Rows::default();
        rows.apply(&puts(&stream.0, close));
        let expected = model(&stream.0, close);
        assert_eq!(rows, expected);
        true
    }

    /// Crash anywhere, then the whole stream again over the rows that are there.
    fn a_restart_from_the_start_gives_the_same_rows(stream: AnyStream, close: bool, at: usize, row: usize) -> bool {
        let all = puts(&stream.0, close);
        let before = puts(&stream.0[..at % (stream.0.len() + 1)], false);
        let mut rows = Rows::default();
        rows.apply(&before[..row % (before.len() + 1)]);
        rows.apply(&all);
        let mut once = Rows::default();
        once.apply(&all);
        rows == once
    }

    fn rows_end_once_after_their_parents_and_never_before_they_began(stream: AnyStream, close: bool) -> bool {
        let mut rows = Rows::default();
        for put in puts(&stream.0, close) {
            match &put {
                RowCommand::PutRun(row) => {
                    assert!(rows.run.as_ref().is_none_or(|old| old.state == RunState::Active), "a run ended twice");
                    assert!(row.finished_at_ms.is_none() || row.started_at_ms <= row.finished_at_ms);
                    assert_eq!(row.finished_at_ms.is_none() && !stream.0.is_empty(), row.state == RunState::Active);
                }
                RowCommand::PutJob(row) => {
                    assert!(rows.run.is_some());
                    assert!(rows.jobs.get(&row.job_id).is_none_or(|old| is_open(old.state)), "a job ended twice");
                    assert!(row.finished_at_ms.is_none() || row.started_at_ms <= row.finished_at_ms);
                    assert_eq!(row.finished_at_ms.is_none(), is_open(row.state));
                }
                RowCommand::PutSh(row) => {
                    assert!(rows.jobs.contains_key(&row.job_id));
                    let old = rows.shs.get(&(row.job_id.clone(), row.n));
                    assert!(old.is_none_or(|old| old.finished_at_ms.is_none()), "a command ended twice");
                    assert!(row.finished_at_ms.is_none_or(|end| row.started_at_ms <= end));
                    assert!(row.exit_code.is_none() || row.finished_at_ms.is_some());
                }
            }
            rows.apply(&[put]);
        }
        true
    }

    fn a_run_that_has_ended_leaves_nothing_open(stream: AnyStream) -> bool {
        let mut rows = Rows::default();
        rows.apply(&puts(&stream.0, true));
        rows.run.is_some_and(|run| run.state != RunState::Active)
            && rows.jobs.values().all(|job| !is_open(job.state))
            && rows.shs.values().all(|sh| sh.finished_at_ms.is_some())
    }
}
