//! What the rows of a stream have to be, the slow and simple way: lines are lists of events, a job is the list of its events,
//! and every row is worked out from those lists at the end. Independent of the code that pairs events.

use quire_core::ids::JobId;
use quire_core::wire::{
    Decoded, Event, EventKind, JobFailure, JobOutcome, RunFinished, RunOutcome, RunStarted, ShFinished, decode,
};

/// The projected columns, as [`crate::recorded::rows`] prints them: `runs`, `jobs` and `sh_events`.
pub const QUERIES: [&str; 3] = [
    "SELECT id, repo, ref_name, sha, pushed_at_ms, executor, version, resumed_from, state, failure_kind, error,
        started_at_ms, finished_at_ms, fingerprint, stream_offset FROM runs ORDER BY id",
    "SELECT run_id, position, job_id, state, exit_code, started_at_ms, finished_at_ms, allowed, flaky, replayed, attempts,
        skip_reason, error, error_file, error_line FROM jobs ORDER BY run_id, position",
    "SELECT j.run_id, j.job_id, s.n, s.started_at_ms, s.finished_at_ms, s.exit_code, s.cmd, s.attempt, s.signal, s.cause,
        s.error, s.no_eol, s.masked, s.truncated, s.detached, s.replayed
        FROM jobs j JOIN sh_events s USING (run_id, job_id) ORDER BY j.run_id, j.position, s.n",
];

/// The rows of one run, and the numbers of the lines that are no events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Modelled {
    pub tables: [Vec<String>; 3],
    pub bad_lines: Vec<u64>,
}

impl Modelled {
    /// The same rows under another id.
    pub fn under(&self, old: &str, new: &str) -> Modelled {
        let renamed = |rows: &Vec<String>| rows.iter().map(|row| row.replacen(old, new, 1)).collect();
        Modelled { tables: self.tables.each_ref().map(renamed), bad_lines: self.bad_lines.clone() }
    }
}

/// The rows of this stream under this id; `born_at_ms` is the time in the id, `closed` that its producer is known to be dead.
pub fn rows_of(run_id: &str, born_at_ms: i64, stream: &[u8], closed: bool) -> Modelled {
    let whole = stream.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut modelled = Modelled::default();
    let mut events = Vec::new();
    for (number, line) in (1..).zip(stream[..whole].split_inclusive(|byte| *byte == b'\n')) {
        match decode(&line[..line.len() - 1]) {
            Ok(Decoded::Event(event)) => events.push(event),
            Ok(Decoded::Unknown(_)) => (),
            Err(_) => modelled.bad_lines.push(number),
        }
    }
    let run = Run::of(&events, closed);
    let Some(row) = run.row(run_id, born_at_ms, whole, closed) else { return modelled };
    modelled.tables[0].push(row);
    for (position, id) in run.jobs.iter().enumerate() {
        let job = Job::of(id, &run);
        modelled.tables[1].push(job.row(run_id, position));
        modelled.tables[2].extend(job.commands.iter().map(|command| command.row(run_id, id)));
    }
    modelled
}

/// A run by its events, those after its end left out.
struct Run<'a> {
    events: Vec<&'a Event>,
    started: Option<&'a RunStarted>,
    finished: Option<(i64, &'a RunFinished)>,
    /// In the order of their positions.
    jobs: Vec<JobId>,
    /// When everything ends that has not ended.
    ends_ms: Option<i64>,
}

impl<'a> Run<'a> {
    fn of(all: &'a [Event], closed: bool) -> Run<'a> {
        let end = all.iter().position(|event| matches!(event.kind, EventKind::RunFinished(_)));
        let events: Vec<&Event> = all[..end.map_or(all.len(), |end| end + 1)].iter().collect();
        let mut run = Run { events, started: None, finished: None, jobs: Vec::new(), ends_ms: None };
        let known = |id: &JobId, jobs: &mut Vec<JobId>| {
            if !jobs.contains(id) {
                jobs.push(id.clone());
            }
        };
        for event in &run.events {
            match &event.kind {
                EventKind::RunStarted(started) if run.started.is_none() => {
                    run.started = Some(started);
                    started.jobs.iter().for_each(|listed| known(&listed.id, &mut run.jobs));
                }
                EventKind::RunFinished(finished) => run.finished = Some((event.at_ms, finished)),
                // A command's end alone makes no job.
                EventKind::ShFinished(_) => (),
                _ => job_of(event).into_iter().for_each(|id| known(id, &mut run.jobs)),
            }
        }
        let largest = run.events.iter().map(|event| event.at_ms).max();
        run.ends_ms = run.finished.map(|(at_ms, _)| at_ms).or(largest.filter(|_| closed));
        run
    }

    fn row(&self, run_id: &str, born_at_ms: i64, offset: usize, closed: bool) -> Option<String> {
        let first = self.events.first().map(|event| event.at_ms);
        let (state, kind) = match (self.finished, self.started, first) {
            (None, _, None) if !closed => return None,
            (Some((_, finished)), ..) => {
                let state = match finished.outcome {
                    RunOutcome::Complete => "complete",
                    RunOutcome::Failed => "failed",
                    RunOutcome::Aborted => "aborted",
                };
                (state, finished.failure_kind.map(|kind| kind.to_string()))
            }
            _ if !closed => ("active", None),
            (None, None, Some(_)) => self.worst(),
            _ => ("failed", Some("orphaned".to_owned())),
        };
        let ended = self.ends_ms.or_else(|| closed.then_some(born_at_ms)).map(|end| end.max(first.unwrap_or(end)));
        let error = self.finished.and_then(|(_, finished)| finished.error.as_ref()).map(placed);
        let text =
            |of: fn(&RunStarted) -> &str| self.started.map(of).filter(|text| !text.is_empty()).map(str::to_owned);
        let told = |of: fn(&RunStarted) -> Option<String>| self.started.and_then(of);
        Some(cells(&[
            Some(run_id.to_owned()),
            Some(told(|started| started.repo.clone()).unwrap_or_default()),
            told(|started| started.ref_name.clone()),
            told(|started| started.sha.clone()),
            told(|started| started.pushed_at_ms.map(|at| at.to_string())),
            text(|started| &started.executor),
            text(|started| &started.version),
            told(|started| started.resumed_from.as_ref().map(ToString::to_string)),
            Some(state.to_owned()),
            kind,
            error,
            number(first),
            number(ended),
            self.finished.and_then(|(_, finished)| finished.fingerprint.clone()),
            Some(offset.to_string()),
        ]))
    }

    /// A stream of the base format never tells its end: its worst job does.
    fn worst(&self) -> (&'static str, Option<String>) {
        let jobs: Vec<Job<'_>> = self.jobs.iter().map(|id| Job::of(id, self)).collect();
        match jobs.iter().any(|job| job.state == "failed" && !job.allowed) {
            true => ("failed", Some("job".to_owned())),
            false if jobs.iter().any(|job| job.state == "aborted") => ("aborted", None),
            false => ("complete", None),
        }
    }
}

fn job_of(event: &Event) -> Option<&JobId> {
    match &event.kind {
        EventKind::RunStarted(_) | EventKind::RunLogged(_) | EventKind::RunFinished(_) => None,
        EventKind::JobStarted(of) => Some(&of.job_id),
        EventKind::JobLogged(of) => Some(&of.job_id),
        EventKind::JobRetried(of) => Some(&of.job_id),
        EventKind::JobSkipped(of) => Some(&of.job_id),
        EventKind::JobFinished(of) => Some(&of.job_id),
        EventKind::ShStarted(of) => Some(&of.job_id),
        EventKind::ShFinished(of) => Some(&of.job_id),
    }
}

fn placed(error: &JobFailure) -> String {
    let place = match (&error.file, error.line) {
        (Some(file), _) if error.message.contains(file.as_str()) => String::new(),
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, _) => String::new(),
    };
    place + &error.message
}

struct Job<'a> {
    id: JobId,
    state: &'static str,
    exit_code: Option<i32>,
    started_ms: Option<i64>,
    finished_ms: Option<i64>,
    allowed: bool,
    flaky: bool,
    replayed: bool,
    attempts: u32,
    skip_reason: Option<String>,
    error: Option<String>,
    place: (Option<String>, Option<u32>),
    commands: Vec<Command<'a>>,
}

impl<'a> Job<'a> {
    fn of(id: &JobId, run: &Run<'a>) -> Job<'a> {
        let mut own: Vec<&'a Event> = run.events.iter().copied().filter(|event| job_of(event) == Some(id)).collect();
        let ends = |event: &&Event| matches!(event.kind, EventKind::JobFinished(_) | EventKind::JobSkipped(_));
        own.truncate(own.iter().position(ends).map_or(own.len(), |end| end + 1));
        let end = own.last().copied().filter(ends);
        let starts = |event: &&&Event| {
            !matches!(event.kind, EventKind::JobLogged(_) | EventKind::JobSkipped(_) | EventKind::ShFinished(_))
        };
        let started_ms = own.iter().find(starts).map(|event| event.at_ms);
        let mut job = Job {
            id: id.clone(),
            state: if started_ms.is_some() { "active" } else { "pending" },
            exit_code: None,
            started_ms,
            finished_ms: end.map(|event| event.at_ms).or(run.ends_ms),
            allowed: false,
            flaky: false,
            replayed: false,
            attempts: u32::from(started_ms.is_some()),
            skip_reason: None,
            error: None,
            place: (None, None),
            commands: Vec::new(),
        };
        let mut last_failed = None;
        for event in &own {
            match &event.kind {
                EventKind::ShStarted(started) => {
                    job.commands.push(Command::new(job.commands.len() + 1, event.at_ms, &started.cmd, job.attempts))
                }
                EventKind::ShFinished(finished) => {
                    let is_meant = |command: &&mut Command<'_>| {
                        command.ended.is_none() && finished.sh.is_none_or(|n| command.n == n as usize)
                    };
                    if let Some(command) = job.commands.iter_mut().find(is_meant) {
                        command.ended = Some((event.at_ms, Some(finished)));
                        last_failed = Some(finished.exit_code).filter(|code| *code != 0).or(last_failed);
                    }
                }
                EventKind::JobRetried(retried) => {
                    job.attempts = retried.attempt.max(job.attempts + 1);
                    job.abort_commands(event.at_ms);
                    last_failed = None;
                }
                _ => (),
            }
        }
        match end.map(|event| &event.kind) {
            Some(EventKind::JobFinished(finished)) => {
                job.state = match finished.outcome {
                    JobOutcome::Complete => "complete",
                    JobOutcome::Failed => "failed",
                    JobOutcome::Aborted => "aborted",
                };
                job.exit_code = last_failed.filter(|_| finished.outcome == JobOutcome::Failed);
                (job.allowed, job.flaky, job.replayed) = (finished.allowed, finished.flaky, finished.replayed);
                if let Some(error) = &finished.error {
                    job.error = Some(error.message.clone());
                    job.place = (error.file.clone(), error.line);
                }
            }
            Some(EventKind::JobSkipped(skipped)) => {
                job.state = "skipped";
                job.skip_reason = Some(skipped.reason.as_str().to_owned());
                job.error.clone_from(&skipped.text);
            }
            _ if run.ends_ms.is_some() => job.state = "aborted",
            _ => (),
        }
        if let Some(at_ms) = job.finished_ms {
            job.abort_commands(at_ms);
            job.finished_ms = Some(at_ms.max(started_ms.unwrap_or(at_ms)));
        }
        job
    }

    fn abort_commands(&mut self, at_ms: i64) {
        for command in self.commands.iter_mut().filter(|command| command.ended.is_none()) {
            command.ended = Some((at_ms, None));
        }
    }

    fn row(&self, run_id: &str, position: usize) -> String {
        cells(&[
            Some(run_id.to_owned()),
            number(Some(position)),
            Some(self.id.to_string()),
            Some(self.state.to_owned()),
            number(self.exit_code),
            number(self.started_ms),
            number(self.finished_ms),
            flag(self.allowed),
            flag(self.flaky),
            flag(self.replayed),
            number(Some(self.attempts)),
            self.skip_reason.clone(),
            self.error.clone(),
            self.place.0.clone(),
            number(self.place.1),
        ])
    }
}

struct Command<'a> {
    n: usize,
    started_ms: i64,
    cmd: &'a str,
    attempt: u32,
    /// When, and by which event; without one it was aborted.
    ended: Option<(i64, Option<&'a ShFinished>)>,
}

impl<'a> Command<'a> {
    fn new(n: usize, started_ms: i64, cmd: &'a str, attempts: u32) -> Command<'a> {
        Command { n, started_ms, cmd, attempt: attempts, ended: None }
    }

    fn row(&self, run_id: &str, job_id: &JobId) -> String {
        let by = self.ended.and_then(|(_, by)| by);
        let cause = match self.ended {
            Some((_, None)) => Some("crash".to_owned()),
            _ => by.and_then(|by| by.cause).map(|cause| cause.to_string()),
        };
        let no_eol: Vec<&str> =
            by.map(|by| by.no_eol.iter().map(|stream| stream.as_str()).collect()).unwrap_or_default();
        cells(&[
            Some(run_id.to_owned()),
            Some(job_id.to_string()),
            number(Some(self.n)),
            number(Some(self.started_ms)),
            number(self.ended.map(|(at_ms, _)| at_ms.max(self.started_ms))),
            number(by.map(|by| by.exit_code)),
            Some(self.cmd.to_owned()),
            number(Some(self.attempt)),
            number(by.and_then(|by| by.signal)),
            cause,
            by.and_then(|by| by.error.as_ref()).map(|error| error.message.clone()),
            Some(no_eol.join(",")).filter(|text| !text.is_empty()),
            flag(by.is_some_and(|by| by.masked)),
            flag(by.is_some_and(|by| by.truncated)),
            flag(by.is_some_and(|by| by.detached)),
            flag(by.is_some_and(|by| by.replayed)),
        ])
    }
}

fn number<T: ToString>(number: Option<T>) -> Option<String> {
    number.map(|number| number.to_string())
}

fn flag(is_set: bool) -> Option<String> {
    number(Some(u8::from(is_set)))
}

fn cells(cells: &[Option<String>]) -> String {
    cells.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect::<Vec<_>>().join("|")
}
