//! What a stream tells of an earlier run, as far as a replay needs it: of each job its last attempt.

use std::collections::BTreeMap;

use crate::ids::JobId;
use crate::wire::{
    Event, EventKind, JobFinished, JobOutcome, RunFinished, RunStarted, ShFinished, ShStarted, SkipReason,
};

/// An earlier run. Give it the run's events in order; it takes any sequence (CONTRACT 1, pairing rules).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    pub(super) started: Option<RunStarted>,
    pub(super) finished: Option<RunFinished>,
    pub(super) jobs: BTreeMap<JobId, RecordedJob>,
}

/// The last attempt of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RecordedJob {
    /// Commands that began, over all attempts.
    begun: u32,
    /// What happened in the attempt, in order.
    pub steps: Vec<Step>,
    /// Its commands, by their index in the job.
    pub commands: BTreeMap<u32, RecordedSh>,
    pub end: Option<RecordedEnd>,
}

/// One thing of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Logged(String),
    Started(u32),
    Ended(u32),
}

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RecordedSh {
    pub started: ShStarted,
    /// Missing where the run ended over it.
    pub finished: Option<ShFinished>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RecordedEnd {
    Finished(JobFinished),
    Skipped(SkipReason),
}

impl RecordedEnd {
    /// It did not complete, and that counts.
    pub fn has_failed(&self) -> bool {
        match self {
            RecordedEnd::Finished(end) => end.outcome != JobOutcome::Complete && !end.allowed,
            RecordedEnd::Skipped(_) => false,
        }
    }
}

impl Recorded {
    /// Takes the next event.
    pub fn push(&mut self, event: &Event) {
        if self.finished.is_some() {
            return;
        }
        match &event.kind {
            EventKind::RunStarted(started) => {
                self.started.get_or_insert_with(|| started.clone());
            }
            EventKind::RunFinished(finished) => self.finished = Some(finished.clone()),
            EventKind::RunLogged(_) => {}
            EventKind::JobStarted(started) => {
                self.open_job(&started.job_id);
            }
            EventKind::JobLogged(logged) => {
                if let Some(job) = self.open_job(&logged.job_id) {
                    job.steps.push(Step::Logged(logged.text.clone()));
                }
            }
            EventKind::JobRetried(retried) => {
                if let Some(job) = self.open_job(&retried.job_id) {
                    *job = RecordedJob { begun: job.begun, ..RecordedJob::default() };
                }
            }
            EventKind::JobSkipped(skipped) => {
                if let Some(job) = self.open_job(&skipped.job_id) {
                    job.end = Some(RecordedEnd::Skipped(skipped.reason.clone()));
                }
            }
            EventKind::JobFinished(finished) => {
                if let Some(job) = self.open_job(&finished.job_id) {
                    job.end = Some(RecordedEnd::Finished(finished.clone()));
                }
            }
            EventKind::ShStarted(started) => {
                if let Some(job) = self.open_job(&started.job_id) {
                    job.begun += 1;
                    job.steps.push(Step::Started(job.begun));
                    job.commands.insert(job.begun, RecordedSh { started: started.clone(), finished: None });
                }
            }
            EventKind::ShFinished(finished) => {
                if let Some(job) = self.open_job(&finished.job_id) {
                    job.end_command(finished);
                }
            }
        }
    }

    /// The job, unless it has ended: what comes after is ignored.
    fn open_job(&mut self, id: &JobId) -> Option<&mut RecordedJob> {
        let job = self.jobs.entry(id.clone()).or_default();
        job.end.is_none().then_some(job)
    }

    /// How the run began, if the stream tells it.
    pub fn started(&self) -> Option<&RunStarted> {
        self.started.as_ref()
    }

    /// How the run ended, if the stream tells it.
    pub fn finished(&self) -> Option<&RunFinished> {
        self.finished.as_ref()
    }
}

impl RecordedJob {
    fn end_command(&mut self, finished: &ShFinished) {
        let is_open = |(_, sh): &(&u32, &RecordedSh)| sh.finished.is_none();
        let n = match finished.sh {
            Some(n) => Some(n),
            None => self.commands.iter().find(is_open).map(|(n, _)| *n),
        };
        let Some(n) = n else { return };
        if let Some(sh) = self.commands.get_mut(&n).filter(|sh| sh.finished.is_none()) {
            sh.finished = Some(finished.clone());
            self.steps.push(Step::Ended(n));
        }
    }
}

#[cfg(test)]
pub(in crate::replay) mod tests {
    use super::*;
    use crate::wire::{Decoded, decode};

    pub(in crate::replay) fn recorded(lines: &str) -> Recorded {
        let mut recorded = Recorded::default();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line = format!("{{\"at_ms\":1,{line}}}");
            let Ok(Decoded::Event(event)) = decode(line.as_bytes()) else { panic!("{line}") };
            recorded.push(&event);
        }
        recorded
    }

    #[test]
    fn the_last_attempt_counts_and_indices_go_on() {
        let recorded = recorded(
            r#""type":"sh_started","job_id":"a","cmd":"one"
            "type":"sh_finished","job_id":"a","exit_code":1
            "type":"job_retried","job_id":"a","attempt":2
            "type":"sh_started","job_id":"a","cmd":"two"
            "type":"sh_started","job_id":"a","cmd":"three"
            "type":"job_logged","job_id":"a","text":"hm"
            "type":"sh_finished","job_id":"a","exit_code":0,"sh":3
            "type":"sh_finished","job_id":"a","exit_code":7
            "type":"sh_finished","job_id":"a","exit_code":8
            "type":"job_finished","job_id":"a","outcome":"complete"
            "type":"sh_started","job_id":"a","cmd":"late"
            "type":"run_finished","outcome":"complete"
            "type":"job_started","job_id":"b""#,
        );
        let job = &recorded.jobs[&JobId::from_record("a")];
        let logged = Step::Logged("hm".into());
        assert_eq!(job.steps, [Step::Started(2), Step::Started(3), logged, Step::Ended(3), Step::Ended(2)]);
        let ends: Vec<_> = job.commands.values().map(|sh| sh.finished.as_ref().map(|end| end.exit_code)).collect();
        assert_eq!(ends, [Some(7), Some(0)]);
        assert!(recorded.jobs.len() == 1 && recorded.finished().is_some() && recorded.started().is_none());
    }
}
