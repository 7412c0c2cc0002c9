//! What may start, what will not run, and how it all ended: the decisions about jobs as wholes.
//!
//! Owns the state of each job of a run. It knows nothing of commands, time or Lua; the engine asks it for the next job and
//! tells it how jobs end.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::pipeline::{Needs, Pipeline};
use crate::wire::{RunOutcome, SkipReason};

/// How a job ended, as far as other jobs care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It completed.
    Complete,
    /// It failed, and may.
    Allowed,
    /// It failed.
    Failed,
    /// It did not run, or chose not to go on.
    Skipped,
    /// It was cancelled.
    Aborted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Running,
    Ended(End),
}

/// A job that will not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Which.
    pub index: usize,
    /// Why, for programs.
    pub reason: SkipReason,
    /// Why, for people.
    pub text: String,
}

/// What a pending job's inputs allow.
enum Verdict {
    Wait,
    Ready,
    Skip(SkipReason, String),
}

/// The jobs of one run.
#[derive(Debug)]
pub struct Scheduler {
    pipeline: Arc<Pipeline>,
    states: Vec<State>,
    keep_going: bool,
    /// The first job that failed, unless it may.
    failed: Option<usize>,
    /// A job will fail and has not ended yet.
    failing: bool,
    aborted: bool,
}

impl Scheduler {
    /// All jobs pending but those not among `selected`; these are the skips to tell at once.
    pub fn new(pipeline: Arc<Pipeline>, selected: &BTreeSet<usize>, keep_going: bool) -> (Scheduler, Vec<Skip>) {
        let mut states = vec![State::Pending; pipeline.jobs.len()];
        let mut skips = Vec::new();
        for (index, state) in states.iter_mut().enumerate() {
            if !selected.contains(&index) {
                *state = State::Ended(End::Skipped);
                let text = if pipeline.is_manual(index) { "runs only when asked for" } else { "not asked for" };
                skips.push(Skip { index, reason: SkipReason::NotSelected, text: text.to_owned() });
            }
        }
        (Scheduler { pipeline, states, keep_going, failed: None, failing: false, aborted: false }, skips)
    }

    /// The first job in declaration order that may start.
    pub fn next_ready(&self) -> Option<usize> {
        let held_back = self.failing && !self.keep_going;
        let may_start = |index: &usize| {
            !held_back || self.pipeline.jobs.get(*index).is_some_and(|job| job.options.needs == Needs::Finished)
        };
        (0..self.states.len()).filter(may_start).find(|index| {
            self.states.get(*index) == Some(&State::Pending) && matches!(self.verdict(*index), Verdict::Ready)
        })
    }

    /// A job that runs will fail, and may not: nothing starts any more that its end would skip.
    pub fn will_fail(&mut self) {
        self.failing = true;
    }

    /// The job runs now.
    pub fn start(&mut self, index: usize) {
        self.set(index, State::Running);
    }

    /// The job ended; the jobs that will not run because of it.
    #[must_use]
    pub fn end(&mut self, index: usize, end: End) -> Vec<Skip> {
        self.set(index, State::Ended(end));
        if end == End::Failed && self.failed.is_none() {
            self.failed = Some(index);
        }
        self.settle()
    }

    /// The run is cancelled: nothing starts any more.
    #[must_use]
    pub fn cancel(&mut self) -> Vec<Skip> {
        self.aborted = true;
        self.settle()
    }

    /// How the job ended, if it has.
    pub fn end_of(&self, index: usize) -> Option<End> {
        match self.states.get(index) {
            Some(State::Ended(end)) => Some(*end),
            _ => None,
        }
    }

    /// Whether every job has ended.
    pub fn is_over(&self) -> bool {
        self.states.iter().all(|state| matches!(state, State::Ended(_)))
    }

    /// How the run ended.
    pub fn outcome(&self) -> RunOutcome {
        if self.aborted {
            RunOutcome::Aborted
        } else if self.failed.is_some() {
            RunOutcome::Failed
        } else {
            RunOutcome::Complete
        }
    }

    fn set(&mut self, index: usize, state: State) {
        if let Some(slot) = self.states.get_mut(index) {
            *slot = state;
        }
    }

    /// Skips what can no longer run, until nothing changes.
    fn settle(&mut self) -> Vec<Skip> {
        let mut skips = Vec::new();
        loop {
            let before = skips.len();
            for index in 0..self.states.len() {
                if self.states.get(index) != Some(&State::Pending) {
                    continue;
                }
                if let Verdict::Skip(reason, text) = self.verdict(index) {
                    self.set(index, State::Ended(End::Skipped));
                    skips.push(Skip { index, reason, text });
                }
            }
            if skips.len() == before {
                return skips;
            }
        }
    }

    fn verdict(&self, index: usize) -> Verdict {
        if self.aborted {
            return Verdict::Skip(SkipReason::RunAborted, "the run was cancelled".to_owned());
        }
        let Some(job) = self.pipeline.jobs.get(index) else { return Verdict::Wait };
        let needs = job.options.needs;
        let inputs = self.pipeline.job_inputs(index);
        let all_ended = inputs.iter().all(|input| self.end_of(*input).is_some());
        if needs == Needs::Finished {
            return if all_ended { Verdict::Ready } else { Verdict::Wait };
        }
        let name = |input: &usize| self.pipeline.jobs.get(*input).map_or("", |job| job.id.as_str());
        let ended =
            |ends: &[End]| inputs.iter().find(|input| self.end_of(**input).is_some_and(|end| ends.contains(&end)));
        if let Some(input) = ended(&[End::Failed, End::Aborted]) {
            return Verdict::Skip(SkipReason::InputFailed, format!("{} failed", name(input)));
        }
        if needs == Needs::Complete
            && let Some(input) = ended(&[End::Skipped])
        {
            return Verdict::Skip(SkipReason::InputSkipped, format!("{} was skipped", name(input)));
        }
        if let Some(failed) = self.failed
            && !self.keep_going
        {
            return Verdict::Skip(SkipReason::RunFailed, format!("{} failed first", name(&failed)));
        }
        if all_ended { Verdict::Ready } else { Verdict::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{JobOptions, Place, RawJob, check};
    use std::collections::BTreeMap;

    /// `"build: ; test: build; notify: test finished"`.
    fn pipeline(text: &str) -> Arc<Pipeline> {
        let jobs = text.split(';').enumerate().map(|(line, job)| {
            let (id, rest) = job.split_once(':').expect("id: inputs");
            let mut words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            let needs = words.last().and_then(|word| Needs::parse(word));
            if needs.is_some() {
                words.pop();
            }
            RawJob {
                id: id.trim().into(),
                inputs: (!words.is_empty()).then_some(words),
                options: JobOptions { needs: needs.unwrap_or(Needs::Complete), ..JobOptions::default() },
                place: Place { file: "ci.lua".into(), line: line as u32 + 1, column: None },
            }
        });
        Arc::new(check(jobs.collect(), None, Vec::new(), &BTreeMap::new()).expect("valid"))
    }

    fn scheduler(text: &str, keep_going: bool) -> Scheduler {
        let pipeline = pipeline(text);
        let all = (0..pipeline.jobs.len()).collect();
        Scheduler::new(pipeline, &all, keep_going).0
    }

    /// Ends the next ready jobs as told; what ran and what was skipped, in order.
    fn play(text: &str, keep_going: bool, ends: &[End]) -> (Vec<String>, RunOutcome) {
        let mut scheduler = scheduler(text, keep_going);
        let name = |s: &Scheduler, i: usize| s.pipeline.jobs[i].id.to_string();
        let mut told = Vec::new();
        for end in ends {
            let Some(next) = scheduler.next_ready() else { break };
            scheduler.start(next);
            told.push(name(&scheduler, next));
            for skip in scheduler.end(next, *end) {
                told.push(format!("{}-{}", name(&scheduler, skip.index), skip.reason.as_str()));
            }
        }
        assert!(scheduler.is_over() || ends.len() < 9, "{told:?}");
        (told, scheduler.outcome())
    }

    #[test]
    fn ready_jobs_start_in_declaration_order() {
        use End::Complete;
        let (told, outcome) = play("b: a; a: ; c: ", false, &[Complete; 9]);
        assert_eq!((told.join(" "), outcome), ("a b c".into(), RunOutcome::Complete));
    }

    #[test]
    fn failures_and_skips_cascade_as_needs_say() {
        use End::{Allowed, Complete, Failed, Skipped};
        use RunOutcome as Run;
        for (text, keep_going, ends, expected, outcome) in [
            ("a: ; b: a; c: b", false, &[Failed][..], "a b-input_failed c-input_skipped", Run::Failed),
            ("a: ; b: a; c: b", false, &[Allowed, Complete, Complete], "a b c", Run::Complete),
            ("a: ; b: a; c: b", false, &[Skipped], "a b-input_skipped c-input_skipped", Run::Complete),
            ("a: ; b: a unfailed", false, &[Skipped, Complete], "a b", Run::Complete),
            ("a: ; b: a unfailed", false, &[Failed], "a b-input_failed", Run::Failed),
            ("a: ; b: a finished", false, &[Failed, Complete], "a b", Run::Failed),
            ("a: ; b: ; c: b finished", false, &[Failed, Complete], "a b-run_failed c", Run::Failed),
            ("a: ; b: ; c: a", true, &[Failed, Complete], "a c-input_failed b", Run::Failed),
            ("a: ; b: ", false, &[Failed], "a b-run_failed", Run::Failed),
        ] {
            let (told, ended) = play(text, keep_going, ends);
            assert_eq!((told.join(" ").as_str(), ended), (expected, outcome), "{text}");
        }
    }

    #[test]
    fn what_is_not_selected_is_skipped_at_once() {
        let pipeline = pipeline("a: ; m: quire/manual; b: m");
        let selected = pipeline.select(&[]).expect("all");
        let (scheduler, skips) = Scheduler::new(pipeline, &selected, false);
        let told: Vec<_> = skips.iter().map(|skip| (skip.index, skip.text.as_str())).collect();
        assert_eq!(told, [(1, "runs only when asked for"), (2, "not asked for")]);
        assert_eq!(scheduler.next_ready(), Some(0));
    }

    #[test]
    fn a_cancelled_run_starts_nothing() {
        let mut scheduler = scheduler("a: ; b: a; c: b finished", true);
        scheduler.start(0);
        let skips = scheduler.cancel();
        assert!(skips.iter().all(|skip| skip.reason == SkipReason::RunAborted));
        assert_eq!(skips.len(), 2);
        assert_eq!(scheduler.end(0, End::Aborted), []);
        assert_eq!((scheduler.is_over(), scheduler.outcome()), (true, RunOutcome::Aborted));
    }
}
