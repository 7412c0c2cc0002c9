//! How each job of the new run is answered: whole, command by command up to where the record ends, or not at all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::recorded::{RecordedEnd, RecordedJob, RecordedSh, Step};
use crate::capture::Captured;
use crate::ids::{JobId, RunId, ShId};
use crate::pipeline::Pipeline;
use crate::wire::{JobOutcome, ShFinished, ShStarted};

/// How much of an earlier run answers the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that succeeded, in failed jobs too (`--resume`).
    Resume,
    /// Jobs that completed; failed ones and all downstream of them run afresh (`--failed`).
    Failed,
}

/// An earlier run, ready to answer a new one.
#[derive(Debug, Clone)]
pub struct Replay {
    pub(super) run_id: RunId,
    pub(super) jobs: BTreeMap<JobId, RecordedJob>,
    pub(super) extent: Extent,
    /// The pipeline, its arguments and parameters are those of the record, so that a job's function would do the same.
    pub(super) is_same: bool,
    /// Commands whose logs are not there any more.
    pub(super) lost: BTreeSet<ShId>,
}

/// How a job is answered.
#[derive(Debug)]
pub(crate) enum Answers {
    /// From its recorded output; its script does not run.
    Whole(WholeJob),
    /// Its script runs, and its first commands are answered.
    Commands(Cursor),
    /// Not at all.
    Nothing,
}

/// A job that is answered whole.
#[derive(Debug)]
pub(crate) struct WholeJob {
    /// What is recorded again, in order.
    pub steps: VecDeque<WholeStep>,
    /// What downstream sees.
    pub output: Option<Value>,
}

/// One thing that is recorded again.
#[derive(Debug)]
pub(crate) enum WholeStep {
    Logged(String),
    /// `from` where there is a log to take over.
    Started {
        started: ShStarted,
        from: Option<ShId>,
    },
    /// `n`: index in the new run, where earlier attempts are left out.
    Ended {
        n: u32,
        finished: ShFinished,
    },
}

impl Replay {
    /// The earlier run.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Plans for the jobs of the pipeline, in its order. Takes what is known of them.
    pub(crate) fn plan(&mut self, pipeline: &Pipeline) -> Vec<Answers> {
        let whole = self.whole(pipeline);
        let afresh = self.afresh(pipeline);
        let mut answers = Vec::with_capacity(pipeline.jobs.len());
        for (index, job) in pipeline.jobs.iter().enumerate() {
            let recorded = self.jobs.remove(&job.id).filter(|_| !afresh.contains(&index));
            answers.push(match recorded {
                Some(recorded) if whole.contains(&index) => Answers::Whole(WholeJob::new(&job.id, recorded)),
                Some(recorded) => Answers::Commands(Cursor::new(&job.id, recorded, &self.lost)),
                None => Answers::Nothing,
            });
        }
        answers
    }

    /// Jobs that completed with an output that is there, as did all before them.
    fn whole(&self, pipeline: &Pipeline) -> BTreeSet<usize> {
        let is_whole = |id: &JobId| {
            let Some(job) = self.jobs.get(id) else { return false };
            let is_kept = |n: &u32| !self.lost.contains(&ShId { job: id.clone(), n: *n });
            let has_completed = match &job.end {
                Some(RecordedEnd::Finished(end)) => end.outcome == JobOutcome::Complete && !end.masked,
                _ => false,
            };
            self.is_same && has_completed && job.commands.keys().all(is_kept)
        };
        let mut whole: BTreeSet<usize> =
            pipeline.jobs.iter().enumerate().filter(|(_, job)| is_whole(&job.id)).map(|(index, _)| index).collect();
        loop {
            let before = whole.len();
            let kept = |index: &usize| pipeline.job_inputs(*index).iter().all(|input| whole.contains(input));
            whole = whole.iter().copied().filter(kept).collect();
            if whole.len() == before {
                return whole;
            }
        }
    }

    fn afresh(&self, pipeline: &Pipeline) -> BTreeSet<usize> {
        if self.extent == Extent::Resume {
            return BTreeSet::new();
        }
        let has_failed =
            |id: &JobId| self.jobs.get(id).is_none_or(|job| job.end.as_ref().is_none_or(RecordedEnd::has_failed));
        let failed = pipeline.jobs.iter().enumerate().filter(|(_, job)| has_failed(&job.id)).map(|(index, _)| index);
        pipeline.downstream(&failed.collect())
    }
}

impl WholeJob {
    fn new(id: &JobId, mut recorded: RecordedJob) -> WholeJob {
        let output = match recorded.end {
            Some(RecordedEnd::Finished(end)) => end.output,
            _ => None,
        };
        let earlier = recorded.commands.keys().next().map_or(0, |first| first - 1);
        let mut steps = VecDeque::new();
        for step in recorded.steps {
            match step {
                Step::Logged(text) => steps.push_back(WholeStep::Logged(text)),
                Step::Started(n) => {
                    let Some(sh) = recorded.commands.get(&n) else { continue };
                    let from = has_log(sh).then(|| ShId { job: id.clone(), n });
                    steps.push_back(WholeStep::Started { started: sh.started.clone(), from });
                }
                Step::Ended(n) => {
                    let finished = recorded.commands.remove(&n).and_then(|sh| sh.finished);
                    steps.extend(finished.map(|finished| WholeStep::Ended { n: n - earlier, finished }));
                }
            }
        }
        WholeJob { steps, output }
    }
}

/// Whether the command ever started, so that it has a log.
pub(super) fn has_log(sh: &RecordedSh) -> bool {
    sh.finished.as_ref().is_some_and(|end| end.error.is_none())
}

/// The commands of one job that the record answers: its first ones, in the order in which they began, up to one that may not be
/// answered. They end in the order in which they ended.
#[derive(Debug)]
pub(crate) struct Cursor {
    job: JobId,
    ahead: VecDeque<(u32, RecordedSh)>,
    /// The command at which the record ends, and why, where people could wonder.
    end: Option<(u32, String, &'static str)>,
    /// What has not ended again, in the order in which it ended.
    order: VecDeque<u32>,
    asked: BTreeMap<u32, Asked>,
}

/// A command that was asked for and has not been answered.
#[derive(Debug)]
struct Asked {
    /// The engine's number of it.
    command: u64,
    finished: ShFinished,
    captured: Option<Captured>,
}

/// What the record has for the next command.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// This one's log.
    Answer { from: ShId, finished: ShFinished },
    /// Another command: the record answers nothing from here on.
    Differs { n: u32, expected: String },
    /// Nothing from this command on, for a reason to be told.
    Ends { n: u32, cmd: String, why: &'static str },
    /// Nothing.
    Over,
}

impl Cursor {
    fn new(id: &JobId, recorded: RecordedJob, lost: &BTreeSet<ShId>) -> Cursor {
        let mut ahead = VecDeque::new();
        let mut end = None;
        for (n, sh) in recorded.commands {
            match answerable(&sh, lost.contains(&ShId { job: id.clone(), n })) {
                Ok(()) => ahead.push_back((n, sh)),
                Err(why) => {
                    end = why.map(|why| (n, sh.started.cmd, why));
                    break;
                }
            }
        }
        let ended = recorded.steps.iter().filter_map(|step| match step {
            Step::Ended(n) => Some(*n),
            Step::Logged(_) | Step::Started(_) => None,
        });
        let order = ended.filter(|n| ahead.iter().any(|(ahead, _)| ahead == n)).collect();
        Cursor { job: id.clone(), ahead, end, order, asked: BTreeMap::new() }
    }

    /// The script asks for a command with this key; `command` is the engine's number of it.
    pub(crate) fn next(&mut self, command: u64, key: &str) -> Next {
        let Some((n, sh)) = self.ahead.pop_front() else {
            return self.end.take().map_or(Next::Over, |(n, cmd, why)| Next::Ends { n, cmd, why });
        };
        match sh.finished {
            Some(finished) if sh.started.key.as_deref() == Some(key) => {
                self.asked.insert(n, Asked { command, finished: finished.clone(), captured: None });
                Next::Answer { from: ShId { job: self.job.clone(), n }, finished }
            }
            _ => {
                self.stop();
                Next::Differs { n, expected: sh.started.cmd }
            }
        }
    }

    /// The record answers nothing from here on.
    fn stop(&mut self) {
        self.ahead.clear();
        self.end = None;
    }

    /// What the command printed is there.
    pub(crate) fn recalled(&mut self, command: u64, captured: Captured) {
        if let Some(asked) = self.asked.values_mut().find(|asked| asked.command == command) {
            asked.captured = Some(captured);
        }
    }

    /// The command's log could not be read: it runs, as does all that follows.
    pub(crate) fn lost(&mut self, command: u64) {
        self.asked.retain(|_, asked| asked.command != command);
        self.stop();
    }

    /// Nothing may be held back any more for this command: its script waits for it, or wants it to end.
    pub(crate) fn release(&mut self, command: u64) {
        let Some(n) = self.asked.iter().find(|(_, asked)| asked.command == command).map(|(n, _)| *n) else { return };
        let position = self.order.iter().position(|ended| *ended == n).unwrap_or(0);
        let mut index = 0;
        self.order.retain(|ended| {
            index += 1;
            index > position || self.asked.contains_key(ended)
        });
    }

    /// The next command to end: the engine's number of it, its recorded end, what it printed.
    pub(crate) fn pop_ended(&mut self) -> Option<(u64, ShFinished, Captured)> {
        loop {
            let n = *self.order.front()?;
            match self.asked.get(&n) {
                Some(Asked { captured: Some(_), .. }) => {
                    self.order.pop_front();
                    let Asked { command, finished, captured } = self.asked.remove(&n)?;
                    return Some((command, finished, captured?));
                }
                Some(_) => return None,
                // It will be asked for, and ended before the others: they are held back.
                None if self.ahead.iter().any(|(ahead, _)| *ahead == n) => return None,
                None => {
                    self.order.pop_front();
                }
            }
        }
    }
}

/// Whether the record may answer for the command; if not, why, where people could wonder.
fn answerable(sh: &RecordedSh, is_lost: bool) -> Result<(), Option<&'static str>> {
    let Some(end) = &sh.finished else { return Err(None) };
    if end.exit_code != 0 || end.signal.is_some() || end.error.is_some() || end.cause.is_some() {
        return Err(None);
    }
    if end.masked {
        return Err(Some("its output held a secret, which the record does not have"));
    }
    if end.truncated {
        return Err(Some("its output was longer than what the script was given of it"));
    }
    if sh.started.key.is_none() {
        return Err(Some("the record does not tell what it was made of"));
    }
    if is_lost {
        return Err(Some("its log is gone"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::recorded::tests::recorded;

    fn cursor(lines: &str) -> Cursor {
        let job = JobId::from_record("a");
        let mut recorded = recorded(lines);
        Cursor::new(&job, recorded.jobs.remove(&job).unwrap_or_default(), &BTreeSet::new())
    }

    fn is_answer(next: Next, n: u32) -> bool {
        matches!(next, Next::Answer { from, .. } if from.n == n)
    }

    fn ended(cursor: &mut Cursor) -> Vec<u64> {
        std::iter::from_fn(|| cursor.pop_ended()).map(|(command, ..)| command).collect()
    }

    const PARALLEL: &str = r#""type":"sh_started","job_id":"a","cmd":"one","key":"1"
        "type":"sh_started","job_id":"a","cmd":"two","key":"2"
        "type":"sh_started","job_id":"a","cmd":"three","key":"3"
        "type":"sh_finished","job_id":"a","exit_code":0,"sh":3
        "type":"sh_finished","job_id":"a","exit_code":0,"sh":1
        "type":"sh_finished","job_id":"a","exit_code":0"#;

    #[test]
    fn commands_end_in_the_order_in_which_they_ended() {
        let mut cursor = cursor(PARALLEL);
        for (command, key) in [(11, "1"), (12, "2"), (13, "3")] {
            assert!(is_answer(cursor.next(command, key), (command - 10) as u32));
            cursor.recalled(command, Captured::default());
            let expected: &[u64] = if command == 13 { &[13, 11, 12] } else { &[] };
            assert_eq!(ended(&mut cursor), expected);
        }
        assert_eq!(cursor.next(14, "4"), Next::Over);
    }

    #[test]
    fn a_script_that_waits_is_not_held_back_by_what_it_has_not_asked_for() {
        let mut cursor = cursor(PARALLEL);
        assert!(is_answer(cursor.next(11, "1"), 1));
        cursor.recalled(11, Captured::default());
        assert!(ended(&mut cursor).is_empty());
        cursor.release(11);
        assert_eq!(ended(&mut cursor), [11]);
    }

    #[test]
    fn another_command_ends_the_record_and_frees_what_was_held_back() {
        let mut cursor = cursor(PARALLEL);
        assert!(is_answer(cursor.next(11, "1"), 1));
        cursor.recalled(11, Captured::default());
        assert_eq!(cursor.next(12, "x"), Next::Differs { n: 2, expected: "two".into() });
        assert_eq!(ended(&mut cursor), [11]);
        assert_eq!(cursor.next(13, "3"), Next::Over);
    }

    #[test]
    fn the_record_ends_at_what_it_cannot_answer() {
        let command = |rest: &str| {
            let lines = format!(
                "\"type\":\"sh_started\",\"job_id\":\"a\",\"cmd\":\"x\",\"key\":\"1\"\n\
                \"type\":\"sh_finished\",\"job_id\":\"a\",{rest}"
            );
            cursor(&lines).next(1, "1")
        };
        assert!(is_answer(command(r#""exit_code":0,"no_eol":["stdout"],"detached":true,"replayed":true"#), 1));
        for silent in [
            r#""exit_code":1"#,
            r#""exit_code":137,"signal":9"#,
            r#""exit_code":127,"error":{"message":"no"}"#,
            r#""exit_code":0,"cause":"limit""#,
        ] {
            assert_eq!(command(silent), Next::Over, "{silent}");
        }
        for told in [r#""exit_code":0,"masked":true"#, r#""exit_code":0,"truncated":true"#] {
            assert!(matches!(command(told), Next::Ends { n: 1, .. }), "{told}");
        }
        assert_eq!(cursor(r#""type":"sh_started","job_id":"a","cmd":"x","key":"1""#).next(1, "1"), Next::Over);
    }
}
