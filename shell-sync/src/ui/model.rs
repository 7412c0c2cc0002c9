//! The run as people see it: jobs, their states, what runs now and what failed. No I/O, no clock.
//!
//! It is fed with events while a run goes on, or with rows when a past run is shown. Events go through quire-core's pairing
//! first, so that both ways tell the same.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use quire_core::ids::{JobId, RunId};
use quire_core::pairing::Pairing;
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, ShRow};
use quire_core::wire::{Event, EventKind, FailureKind};

/// Failed commands remembered of a job: one of them is what failed it, nearly always the last.
const FAILED_KEPT: usize = 8;

/// A run.
#[derive(Debug, Default)]
pub struct Model {
    pairing: Option<Pairing>,
    puts: Vec<RowCommand>,
    run: Option<RunRow>,
    jobs: Vec<Job>,
    index: BTreeMap<JobId, usize>,
    /// Indices of jobs that go on, in the order in which they began.
    running: Vec<usize>,
    ended: Vec<usize>,
}

/// A job of a run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its row.
    pub row: JobRow,
    /// Commands begun, of all attempts.
    pub commands: u32,
    /// Commands that an earlier run's record answered.
    pub replayed: u32,
    /// Commands that run now, by index.
    pub open: BTreeMap<u32, ShRow>,
    failed: VecDeque<ShRow>,
}

impl Job {
    /// How long it took, or has taken at `now_ms`, in milliseconds; `None` before it began.
    pub fn duration_ms(&self, now_ms: i64) -> Option<i64> {
        let started = self.row.started_at_ms?;
        Some(self.row.finished_at_ms.unwrap_or(now_ms).saturating_sub(started).max(0))
    }

    /// The command that failed the attempt which began last, as far as rows tell it: the last one that ended with the job's
    /// exit code; while the job goes on, the last that failed.
    pub fn failing_command(&self) -> Option<&ShRow> {
        let mut failed = self.failed.iter().rev().filter(|sh| sh.attempt == self.row.attempts);
        match (self.row.state, self.row.exit_code) {
            (JobState::Pending | JobState::Complete | JobState::Skipped, _) => None,
            (JobState::Active, _) => failed.next(),
            (JobState::Failed | JobState::Aborted, Some(code)) => failed.find(|sh| sh.exit_code == Some(code)),
            (JobState::Failed | JobState::Aborted, None) => {
                failed.find(|sh| sh.exit_code.is_none() || sh.cause.is_some())
            }
        }
    }

    /// The last command that failed in an attempt (from 1).
    pub fn failed_in_attempt(&self, attempt: u32) -> Option<&ShRow> {
        self.failed.iter().rev().find(|sh| sh.attempt == attempt)
    }

    /// Whether it ended, however.
    pub fn is_ended(&self) -> bool {
        is_terminal(self.row.state)
    }

    /// Whether it stands in the list only because it was not asked for.
    pub fn is_unasked(&self) -> bool {
        self.row.state == JobState::Skipped && self.row.skip_reason.as_deref() == Some("not_selected")
    }
}

impl Model {
    /// A run of which nothing is known yet.
    pub fn new() -> Model {
        Model::default()
    }

    /// A past run, from its rows.
    pub fn from_rows(run: RunRow, jobs: Vec<JobRow>, commands: impl IntoIterator<Item = ShRow>) -> Model {
        let mut model = Model::new();
        model.put(RowCommand::PutRun(run));
        jobs.into_iter().for_each(|job| model.put(RowCommand::PutJob(job)));
        commands.into_iter().for_each(|sh| model.put(RowCommand::PutSh(sh)));
        model.ended.clear();
        model
    }

    /// Takes the next event of the run.
    pub fn event(&mut self, event: &Event) {
        let pairing = self.pairing.get_or_insert_with(|| {
            Pairing::new(match &event.kind {
                EventKind::RunStarted(started) => started.run_id.clone(),
                _ => RunId::new(""),
            })
        });
        let mut puts = std::mem::take(&mut self.puts);
        pairing.push(event, &mut puts);
        puts.drain(..).for_each(|put| self.put(put));
        self.puts = puts;
    }

    /// The run ended without an event that says so: its record could not be written.
    pub fn record_failed(&mut self) {
        let Some(pairing) = &mut self.pairing else { return };
        let mut puts = Vec::new();
        pairing.close(FailureKind::Record, &mut puts);
        puts.into_iter().for_each(|put| self.put(put));
    }

    /// Takes a row in the place of the one with its key.
    pub fn put(&mut self, put: RowCommand) {
        match put {
            RowCommand::PutRun(run) => self.run = Some(run),
            RowCommand::PutJob(row) => self.put_job(row),
            RowCommand::PutSh(row) => self.put_sh(row),
        }
    }

    /// The run's row, once there is one.
    pub fn run(&self) -> Option<&RunRow> {
        self.run.as_ref()
    }

    /// The jobs in the pipeline's order.
    pub fn jobs(&self) -> Vec<&Job> {
        let mut jobs: Vec<&Job> = self.jobs.iter().collect();
        jobs.sort_by_key(|job| job.row.position);
        jobs
    }

    /// A job by its id.
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(*self.index.get(id)?)
    }

    /// The jobs that go on, the one that began first at the front.
    pub fn running(&self) -> impl ExactSizeIterator<Item = &Job> {
        self.running.iter().map(|&index| &self.jobs[index])
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        self.count(|row| row.state == JobState::Pending)
    }

    /// How many jobs' rows are such.
    pub fn count(&self, such: impl Fn(&JobRow) -> bool) -> usize {
        self.jobs.iter().filter(|job| such(&job.row)).count()
    }

    /// The jobs that ended since this was last asked.
    pub fn take_ended(&mut self) -> Vec<JobId> {
        self.ended.drain(..).map(|index| self.jobs[index].row.job_id.clone()).collect()
    }

    /// How long the run took, or has taken at `now_ms`, in milliseconds.
    pub fn duration_ms(&self, now_ms: i64) -> Option<i64> {
        let run = self.run.as_ref()?;
        Some(run.finished_at_ms.unwrap_or(now_ms).saturating_sub(run.started_at_ms?).max(0))
    }

    fn put_job(&mut self, row: JobRow) {
        let index = self.index_of(&row.job_id);
        let was = self.jobs.get(index).map(|job| job.row.state);
        let now = row.state;
        match self.jobs.get_mut(index) {
            Some(job) => job.row = row,
            None => {
                self.jobs.push(Job { row, commands: 0, replayed: 0, open: BTreeMap::new(), failed: VecDeque::new() })
            }
        }
        if was != Some(now) {
            self.running.retain(|&running| running != index);
            if now == JobState::Active {
                self.running.push(index);
            }
            if is_terminal(now) {
                self.ended.push(index);
            }
        }
    }

    /// The place of a job; one that is not there yet gets the next.
    fn index_of(&mut self, id: &JobId) -> usize {
        match self.index.get(id) {
            Some(&index) => index,
            None => {
                let index = self.jobs.len();
                self.index.insert(id.clone(), index);
                index
            }
        }
    }

    /// A command's row always follows its job's; one without is dropped.
    fn put_sh(&mut self, row: ShRow) {
        let Some(job) = self.index.get(&row.job_id).and_then(|&index| self.jobs.get_mut(index)) else { return };
        job.commands = job.commands.max(row.n);
        if row.finished_at_ms.is_none() {
            job.open.insert(row.n, row);
            return;
        }
        job.open.remove(&row.n);
        job.replayed += u32::from(row.replayed);
        if row.exit_code != Some(0) {
            if job.failed.len() == FAILED_KEPT {
                job.failed.pop_front();
            }
            job.failed.push_back(row);
        }
    }
}

fn is_terminal(state: JobState) -> bool {
    match state {
        JobState::Pending | JobState::Active => false,
        JobState::Complete | JobState::Failed | JobState::Skipped | JobState::Aborted => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quire_core::wire::{Decoded, decode};

    fn model(lines: &[&str]) -> Model {
        let mut model = Model::new();
        for line in lines {
            match decode(format!("{{{line}}}").as_bytes()) {
                Ok(Decoded::Event(event)) => model.event(&event),
                other => panic!("{line}: {other:?}"),
            }
        }
        model
    }

    fn job<'a>(model: &'a Model, id: &str) -> &'a Job {
        model.job(&JobId::from_record(id)).unwrap()
    }

    const TWO: &str = r#""at_ms":0,"type":"run_started","run_id":"r","version":"","executor":"host","jobs":[{"id":"a","inputs":[]},{"id":"b","inputs":[]}]"#;

    #[test]
    fn jobs_run_in_the_order_of_their_start_and_stand_in_that_of_the_pipeline() {
        let mut model = model(&[
            TWO,
            r#""at_ms":5,"type":"job_started","job_id":"b""#,
            r#""at_ms":6,"type":"job_started","job_id":"a""#,
            r#""at_ms":7,"type":"sh_started","job_id":"a","cmd":"x""#,
            r#""at_ms":8,"type":"sh_started","job_id":"a","cmd":"y""#,
        ]);
        let ids = |jobs: Vec<&Job>| jobs.iter().map(|job| job.row.job_id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(model.running().collect()), ["b", "a"]);
        assert_eq!(ids(model.jobs()), ["a", "b"]);
        assert_eq!(job(&model, "a").open.values().map(|sh| sh.cmd.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(job(&model, "b").duration_ms(1005), Some(1000));
        assert_eq!(job(&model, "b").duration_ms(-9), Some(0), "a clock that steps back makes nothing negative");
        assert!(model.take_ended().is_empty());
        let finished = decode(br#"{"at_ms":9,"type":"run_finished","outcome":"aborted"}"#);
        let Ok(Decoded::Event(finished)) = finished else { panic!("{finished:?}") };
        model.event(&finished);
        assert_eq!(model.take_ended().len(), 2, "a run's end ends what is open");
        assert!(model.take_ended().is_empty());
        assert_eq!(model.running().len(), 0);
    }

    #[test]
    fn the_command_that_failed_a_job_is_the_last_with_its_exit_code() {
        let ran = |n: i64, code: i32| {
            [
                format!(r#""at_ms":{n},"type":"sh_started","job_id":"a","cmd":"c{n}""#),
                format!(r#""at_ms":{n},"type":"sh_finished","job_id":"a","exit_code":{code}"#),
            ]
        };
        let retried = || vec![r#""at_ms":9,"type":"job_retried","job_id":"a","attempt":2"#.to_owned()];
        let failed = r#""at_ms":99,"type":"job_finished","job_id":"a","outcome":"failed""#;
        for (lines, command) in [
            ([ran(1, 0), ran(2, 1)].concat(), Some("c2")),
            ([ran(1, 1), ran(2, 0)].concat(), Some("c1")),
            ([ran(1, 1), ran(2, 2)].concat(), Some("c2")),
            ([ran(1, 1).to_vec(), retried(), ran(2, 0).to_vec()].concat(), None),
            ([ran(1, 1).to_vec(), retried(), ran(2, 1).to_vec()].concat(), Some("c2")),
            (Vec::new(), None),
        ] {
            let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            lines.push(failed);
            let model = model(&lines);
            assert_eq!(job(&model, "a").failing_command().map(|sh| sh.cmd.as_str()), command, "{lines:?}");
        }
    }

    #[test]
    fn a_job_that_completed_failed_over_nothing() {
        let model = model(&[
            r#""at_ms":1,"type":"sh_started","job_id":"a","cmd":"grep x""#,
            r#""at_ms":2,"type":"sh_finished","job_id":"a","exit_code":1"#,
            r#""at_ms":3,"type":"job_finished","job_id":"a","outcome":"complete""#,
        ]);
        assert!(job(&model, "a").failing_command().is_none());
        assert_eq!(job(&model, "a").commands, 1);
    }

    #[test]
    fn rows_tell_the_same_as_events() {
        let lines = [
            TWO,
            r#""at_ms":1,"type":"job_started","job_id":"a""#,
            r#""at_ms":1,"type":"sh_started","job_id":"a","cmd":"x""#,
            r#""at_ms":7,"type":"sh_finished","job_id":"a","exit_code":137,"signal":9"#,
            r#""at_ms":8,"type":"job_finished","job_id":"a","outcome":"failed""#,
            r#""at_ms":8,"type":"job_skipped","job_id":"b","reason":"not_selected""#,
            r#""at_ms":9,"type":"run_finished","outcome":"failed","failure_kind":"job""#,
        ];
        let live = model(&lines);
        let jobs: Vec<JobRow> = live.jobs().iter().map(|job| job.row.clone()).collect();
        let commands = job(&live, "a").failing_command().cloned();
        let past = Model::from_rows(live.run().unwrap().clone(), jobs, commands);
        assert_eq!(past.duration_ms(0), Some(9));
        for id in ["a", "b"] {
            assert_eq!(job(&past, id).row, job(&live, id).row);
            assert_eq!(job(&past, id).commands, job(&live, id).commands);
            assert_eq!(job(&past, id).failing_command(), job(&live, id).failing_command());
        }
        assert!(job(&past, "b").is_unasked());
    }

    #[test]
    fn a_command_without_a_job_is_dropped() {
        let mut model = Model::new();
        let other = self::model(&[r#""at_ms":1,"type":"sh_started","job_id":"a","cmd":"x""#]);
        let sh = job(&other, "a").open.values().next().unwrap().clone();
        model.put(RowCommand::PutSh(sh));
        assert!(model.jobs().is_empty());
    }
}
