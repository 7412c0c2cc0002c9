//! Pairing: wire events in, row commands out. CONTRACT 1's pairing rules, total over any sequence.
//!
//! Owns the projection of a stream onto rows: what a Started opens, a Finished closes. The rows of one job are
//! `job`'s; SQL, batches and offsets are the store's. Memory is bounded by the jobs and the open commands.

mod job;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::ids::{JobId, RunId};
use crate::rows::{JobState, RowCommand, RunRow, RunState};
use crate::wire::{Event, EventKind, FailureKind, JobFailure, RunFinished, RunOutcome, RunStarted};
use job::Job;

/// What was irregular in a stream: counted, never fatal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Irregularities {
    /// `sh_finished` with nothing open, or naming a command that is not open.
    pub unmatched_finish: u64,
    /// `sh_started`, `job_finished` or `job_retried` of a job not started.
    pub implied_start: u64,
    /// A second `run_started` or `job_started`.
    pub repeated_start: u64,
    /// Events of a job after its end, or after `run_finished`.
    pub after_end: u64,
    /// Commands aborted because their job or run ended over them.
    pub aborted_commands: u64,
}

impl Irregularities {
    /// Whether nothing was irregular.
    pub fn is_empty(&self) -> bool {
        *self == Irregularities::default()
    }
}

/// How far the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No event yet.
    Empty,
    /// Events, but no `run_started`: the base format.
    Base,
    /// `run_started` was seen.
    Started,
    /// `run_finished` was seen, or the run was closed.
    Ended,
}

/// The state machine that pairs Started with Finished.
///
/// Every put is a full row and a parent's put comes before its children's, so a batch may be applied twice, or the whole
/// stream again from the start, and gives the same rows. A row that has ended is not put again. No `finished_at_ms` is
/// before its `started_at_ms`, whatever the clock did.
#[derive(Debug)]
pub struct Pairing {
    phase: Phase,
    run: RunRow,
    /// In order of position.
    jobs: Vec<Job>,
    positions: BTreeMap<JobId, usize>,
    /// Largest `at_ms` seen.
    largest_ms: i64,
    irregularities: Irregularities,
}

impl Pairing {
    /// For the stream of one run. The id is the caller's (a base-format stream does not tell it).
    pub fn new(run_id: RunId) -> Pairing {
        let run = RunRow {
            run_id,
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
        };
        Pairing {
            phase: Phase::Empty,
            run,
            jobs: Vec::new(),
            positions: BTreeMap::new(),
            largest_ms: i64::MIN,
            irregularities: Irregularities::default(),
        }
    }

    /// Takes the next event; appends the puts that it causes, parents before children.
    pub fn push(&mut self, event: &Event, out: &mut Vec<RowCommand>) {
        let at_ms = event.at_ms;
        self.largest_ms = self.largest_ms.max(at_ms);
        if self.phase == Phase::Ended {
            self.irregularities.after_end += 1;
            return;
        }
        if self.phase == Phase::Empty {
            self.run.started_at_ms = Some(at_ms);
            self.phase = Phase::Base;
            // The two events that put the run's row themselves.
            if !matches!(event.kind, EventKind::RunStarted(_) | EventKind::RunFinished(_)) {
                out.push(RowCommand::PutRun(self.run.clone()));
            }
        }
        match &event.kind {
            EventKind::RunStarted(started) => self.run_started(started, out),
            EventKind::RunLogged(_) => {}
            EventKind::JobStarted(started) => {
                if let Some(job) = self.live_job(&started.job_id, out)
                    && !self.jobs[job].start(at_ms, out)
                {
                    self.irregularities.repeated_start += 1;
                }
            }
            EventKind::JobLogged(logged) => {
                self.live_job(&logged.job_id, out);
            }
            EventKind::JobRetried(retried) => {
                if let Some(job) = self.started_job(&retried.job_id, at_ms, out) {
                    self.irregularities.aborted_commands += self.jobs[job].retry(at_ms, retried.attempt, out);
                }
            }
            EventKind::JobSkipped(skipped) => {
                if let Some(job) = self.live_job(&skipped.job_id, out) {
                    self.irregularities.aborted_commands += self.jobs[job].skip(at_ms, skipped, out);
                }
            }
            EventKind::JobFinished(finished) => {
                if let Some(job) = self.started_job(&finished.job_id, at_ms, out) {
                    self.irregularities.aborted_commands += self.jobs[job].finish(at_ms, finished, out);
                }
            }
            EventKind::ShStarted(started) => {
                if let Some(job) = self.started_job(&started.job_id, at_ms, out) {
                    self.jobs[job].sh_started(at_ms, &started.cmd, out);
                }
            }
            EventKind::ShFinished(finished) => match self.positions.get(&finished.job_id) {
                Some(&job) if self.jobs[job].has_ended() => self.irregularities.after_end += 1,
                Some(&job) if self.jobs[job].sh_finished(at_ms, finished, out) => {}
                Some(_) | None => self.irregularities.unmatched_finish += 1,
            },
            EventKind::RunFinished(finished) => self.run_finished(at_ms, finished, out),
        }
    }

    /// The producer is known to be dead: aborts what is open at the largest time seen and ends the run. Does nothing to a
    /// run that has ended.
    ///
    /// The run ends `failed`, of this kind; a base-format stream, which never tells its end, with its worst job outcome
    /// instead. A stream without any event gives a failed run without times.
    pub fn close(&mut self, kind: FailureKind, out: &mut Vec<RowCommand>) {
        let (state, failure_kind) = match self.phase {
            Phase::Ended => return,
            Phase::Empty | Phase::Started => (RunState::Failed, Some(kind)),
            Phase::Base => self.worst_outcome(),
        };
        self.run.state = state;
        self.run.failure_kind = failure_kind;
        self.end(self.largest_ms, out);
    }

    /// Whether `run_finished` was seen, or `close` called.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// What was irregular so far.
    pub fn irregularities(&self) -> &Irregularities {
        &self.irregularities
    }

    /// Takes the run's facts. A `run_started` that is not the first event is taken as well: the jobs that it lists anew
    /// follow those that are known.
    fn run_started(&mut self, started: &RunStarted, out: &mut Vec<RowCommand>) {
        if self.phase == Phase::Started {
            self.irregularities.repeated_start += 1;
            return;
        }
        self.phase = Phase::Started;
        let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        self.run.number = started.number;
        self.run.repo.clone_from(&started.repo);
        self.run.ref_name.clone_from(&started.ref_name);
        self.run.sha.clone_from(&started.sha);
        self.run.pushed_at_ms = started.pushed_at_ms;
        self.run.executor = said(&started.executor);
        self.run.version = said(&started.version);
        self.run.resumed_from.clone_from(&started.resumed_from);
        out.push(RowCommand::PutRun(self.run.clone()));
        for listed in &started.jobs {
            if !self.positions.contains_key(&listed.id) {
                self.add_job(&listed.id, out);
            }
        }
    }

    fn run_finished(&mut self, at_ms: i64, finished: &RunFinished, out: &mut Vec<RowCommand>) {
        self.run.state = match finished.outcome {
            RunOutcome::Complete => RunState::Complete,
            RunOutcome::Failed => RunState::Failed,
            RunOutcome::Aborted => RunState::Aborted,
        };
        self.run.failure_kind = finished.failure_kind;
        self.run.error = finished.error.as_ref().map(with_place);
        self.run.fingerprint.clone_from(&finished.fingerprint);
        self.irregularities.aborted_commands += self.end(at_ms, out);
    }

    /// Puts the run's last row and aborts what is not ended; how many commands that were.
    fn end(&mut self, at_ms: i64, out: &mut Vec<RowCommand>) -> u64 {
        self.phase = Phase::Ended;
        self.run.finished_at_ms = self.run.started_at_ms.map(|started| started.max(at_ms));
        out.push(RowCommand::PutRun(self.run.clone()));
        self.jobs.iter_mut().filter(|job| !job.has_ended()).map(|job| job.abort(at_ms, out)).sum()
    }

    /// How a run that does not tell its end ended, once its open jobs are aborted.
    fn worst_outcome(&self) -> (RunState, Option<FailureKind>) {
        if self.jobs.iter().any(Job::fails_run) {
            (RunState::Failed, Some(FailureKind::Job))
        } else if self.jobs.iter().any(|job| job.state() == JobState::Aborted || !job.has_ended()) {
            (RunState::Aborted, None)
        } else {
            (RunState::Complete, None)
        }
    }

    /// The index of a job that has not ended, a new one where it is not known. An event of a job that has ended is counted.
    fn live_job(&mut self, id: &JobId, out: &mut Vec<RowCommand>) -> Option<usize> {
        match self.positions.get(id) {
            Some(&job) if self.jobs[job].has_ended() => {
                self.irregularities.after_end += 1;
                None
            }
            Some(&job) => Some(job),
            None => Some(self.add_job(id, out)),
        }
    }

    /// As [`Pairing::live_job`], but the job is taken as started now where it was not.
    fn started_job(&mut self, id: &JobId, at_ms: i64, out: &mut Vec<RowCommand>) -> Option<usize> {
        let job = self.live_job(id, out)?;
        if self.jobs[job].start(at_ms, out) {
            self.irregularities.implied_start += 1;
        }
        Some(job)
    }

    fn add_job(&mut self, id: &JobId, out: &mut Vec<RowCommand>) -> usize {
        let position = self.jobs.len();
        self.positions.insert(id.clone(), position);
        self.jobs.push(Job::new(&self.run.run_id, id, u32::try_from(position).unwrap_or(u32::MAX), out));
        position
    }
}

/// An error of the run in one text: its row has no columns for the place.
fn with_place(error: &JobFailure) -> String {
    match (&error.file, error.line) {
        (Some(file), _) if error.message.contains(file.as_str()) => error.message.clone(),
        (Some(file), Some(line)) => format!("{file}:{line}: {}", error.message),
        (Some(file), None) => format!("{file}: {}", error.message),
        (None, _) => error.message.clone(),
    }
}
