//! A naive queue: a list of runs that is never shortened, and answers; every state is derived from these by looking through all.

use std::collections::BTreeMap;

use quire_core::ids::RunId;
use quire_core::queue::{
    Ask, Input, Limits, MANY_REFS, NotRun, Output, PushedRef, RefKind, RepoPolicy, Request, StoppedBy, Supersede, Tip,
};

/// What was done with a run that was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Dispatched,
    Aborted,
    Ended,
}

/// A run that was ever ordered; its place in the list is its place in time.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub repo: String,
    ref_name: Option<String>,
    pushed: bool,
    /// `None`: it was there at the start.
    ask: Option<Ask>,
    /// Pushes that would take its place.
    by: Vec<Ask>,
    cancels: Vec<Ask>,
    pub fate: Option<Fate>,
    stopping: bool,
}

/// What is expected of one step: dispatches in order, all else in any.
#[derive(Debug, Default)]
pub struct Expected {
    pub dispatched: Vec<RunId>,
    pub others: Vec<Output>,
}

#[derive(Debug, Default)]
pub struct Model {
    pub runs: Vec<Run>,
    /// Requests that enter something: whether they are entered, once that is known.
    pub answers: BTreeMap<Ask, Option<bool>>,
    /// Pushes that stop what runs, with the default branch.
    stoppers: BTreeMap<Ask, Option<String>>,
    settings: Option<(Limits, BTreeMap<String, RepoPolicy>)>,
    pub draining: bool,
    free_bytes: Option<u64>,
    served: BTreeMap<String, usize>,
    turn: usize,
}

impl Model {
    pub fn open_asks(&self) -> Vec<Ask> {
        self.answers.iter().filter(|(_, answer)| answer.is_none()).map(|(ask, _)| *ask).collect()
    }

    pub fn running(&self) -> Vec<RunId> {
        self.going().map(|run| run.id.clone()).collect()
    }

    fn going(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.fate == Some(Fate::Dispatched))
    }

    fn answer(&self, ask: Ask) -> Option<bool> {
        self.answers.get(&ask).copied().flatten()
    }

    fn own_answer(&self, run: &Run) -> Option<bool> {
        run.ask.map_or(Some(true), |ask| self.answer(ask))
    }

    fn is_superseded(&self, run: &Run) -> bool {
        run.by.iter().any(|ask| self.answer(*ask) == Some(true))
    }

    pub fn is_in_line(&self, run: &Run) -> bool {
        let failed = |ask: &Ask| self.answer(*ask) == Some(false);
        self.own_answer(run) == Some(true) && run.fate.is_none() && run.by.iter().all(failed)
    }

    /// On its way, or in the database and waiting for whether it is superseded.
    fn is_hanging(&self, run: &Run) -> bool {
        let undecided = !self.is_superseded(run) && !self.is_in_line(run);
        self.own_answer(run).is_none() || (self.own_answer(run) == Some(true) && run.fate.is_none() && undecided)
    }

    fn is_here(&self, run: &Run) -> bool {
        self.is_hanging(run) || self.is_in_line(run) || run.fate == Some(Fate::Dispatched)
    }

    pub fn is_halted(&self) -> bool {
        let Some((limits, _)) = &self.settings else { return true };
        self.draining || self.free_bytes.is_some_and(|free| free < limits.min_free_bytes)
    }

    pub fn policy(&self, repo: &str) -> RepoPolicy {
        self.settings.as_ref().and_then(|(_, repos)| repos.get(repo)).cloned().unwrap_or_default()
    }

    pub fn is_full(&self, repo: &str) -> bool {
        let of_repo = self.going().filter(|run| run.repo == repo).count();
        self.policy(repo).max_runs.is_some_and(|max| of_repo >= max as usize)
    }

    pub fn max_runs(&self) -> usize {
        self.settings.as_ref().map_or(0, |(limits, _)| limits.max_runs.max(1) as usize)
    }

    pub fn step(&mut self, input: &Input) -> Expected {
        let mut expected = Expected::default();
        match input {
            Input::Restored { run_id, repo, ref_name, pushed, running, .. } => {
                if self.runs.iter().all(|run| run.id != *run_id || !self.is_here(run)) {
                    let run = self.add(run_id, repo, ref_name.as_deref(), *pushed, None);
                    if *running {
                        run.fate = Some(Fate::Dispatched);
                        self.serve(repo);
                    }
                }
            }
            Input::Pushed { request, repo, first, default_branch, refs } => {
                self.push(request, repo, *first, default_branch.as_deref(), refs);
            }
            Input::Triggered { request, run } => {
                if !self.open_asks().contains(&request.ask) {
                    self.answers.insert(request.ask, None);
                    self.add(&run.run_id, &run.repo, run.ref_name.as_deref(), false, Some(request.ask));
                }
            }
            Input::CancelWanted { request, run_id } => {
                let at = self.runs.iter().position(|run| run.id == *run_id && self.is_here(run));
                expected.others.extend(self.cancel(request, run_id, at));
            }
            Input::Entered { ask, .. } => {
                if self.answers.get(ask) == Some(&None) {
                    self.answers.insert(*ask, Some(true));
                    expected.others = self.stop_older(*ask);
                }
            }
            Input::EnterFailed { ask } => {
                if self.answers.get(ask) == Some(&None) {
                    self.answers.insert(*ask, Some(false));
                }
            }
            Input::Ended { run_id, .. } => {
                for run in self.runs.iter_mut().filter(|run| run.id == *run_id) {
                    run.fate = run.fate.map(|fate| if fate == Fate::Dispatched { Fate::Ended } else { fate });
                }
            }
            Input::Disk { free_bytes } => self.free_bytes = Some(*free_bytes),
            Input::Configured { limits, repos } => {
                self.settings = Some((limits.clone(), repos.clone()));
                let here = |repo: &str| {
                    self.runs
                        .iter()
                        .any(|run| run.repo == repo && (self.is_in_line(run) || run.fate == Some(Fate::Dispatched)))
                };
                let kept: Vec<String> =
                    self.served.keys().filter(|repo| repos.contains_key(*repo) || here(repo)).cloned().collect();
                self.served.retain(|repo, _| kept.contains(repo));
            }
            Input::Draining => self.draining = true,
        }
        expected.others.extend(self.settle());
        while let Some(at) = self.next() {
            let run = &mut self.runs[at];
            run.fate = Some(Fate::Dispatched);
            expected.dispatched.push(run.id.clone());
            let repo = run.repo.clone();
            self.serve(&repo);
        }
        expected
    }

    fn serve(&mut self, repo: &str) {
        self.turn += 1;
        self.served.insert(repo.to_owned(), self.turn);
    }

    fn add(&mut self, id: &RunId, repo: &str, ref_name: Option<&str>, pushed: bool, ask: Option<Ask>) -> &mut Run {
        let (by, cancels) = (Vec::new(), Vec::new());
        let (repo, ref_name) = (repo.to_owned(), ref_name.map(str::to_owned));
        self.runs.push(Run { id: id.clone(), repo, ref_name, pushed, ask, by, cancels, fate: None, stopping: false });
        self.runs.last_mut().unwrap()
    }

    fn push(
        &mut self,
        request: &Request,
        repo: &str,
        first: bool,
        default_branch: Option<&str>,
        refs: &[(PushedRef, RunId)],
    ) {
        if self.open_asks().contains(&request.ask) {
            return;
        }
        let queued = self.policy(repo).supersede == Supersede::Queued;
        let before = self.runs.len();
        for (pushed, run_id) in refs {
            if verdict(pushed, first, default_branch, refs).is_err() {
                continue;
            }
            if queued && RefKind::of(&pushed.ref_name) == RefKind::Branch {
                for at in 0..before {
                    let run = &self.runs[at];
                    let is_older = run.pushed && run.repo == repo && run.ref_name.as_ref() == Some(&pushed.ref_name);
                    let waits = (self.is_hanging(run) || self.is_in_line(run)) && !self.is_superseded(run);
                    if is_older && waits && !run.by.contains(&request.ask) {
                        self.runs[at].by.push(request.ask);
                    }
                }
            }
            self.answers.insert(request.ask, None);
            self.add(run_id, repo, Some(&pushed.ref_name), true, Some(request.ask));
        }
        if queued {
            self.stoppers.insert(request.ask, default_branch.map(str::to_owned));
        }
    }

    fn cancel(&mut self, request: &Request, run_id: &RunId, at: Option<usize>) -> Option<Output> {
        let (ask, by, run_id) = (request.ask, request.by.clone(), run_id.clone());
        let Some(at) = at else { return Some(Output::NothingToCancel { ask, run_id }) };
        if self.is_hanging(&self.runs[at]) {
            self.runs[at].cancels.push(ask);
            None
        } else if self.is_in_line(&self.runs[at]) {
            self.runs[at].fate = Some(Fate::Aborted);
            Some(Output::Abort { ask, run_id, by })
        } else {
            self.runs[at].stopping = true;
            Some(Output::Stop { ask: Some(ask), run_id, by: StoppedBy::Person(by) })
        }
    }

    fn stop_older(&mut self, ask: Ask) -> Vec<Output> {
        let mut stops = Vec::new();
        let Some(Some(default_branch)) = self.stoppers.get(&ask) else { return stops };
        let is_new = |run: &Run| run.ask == Some(ask) && run.ref_name.as_ref() != Some(default_branch);
        let new: Vec<(usize, Run)> = self.runs.iter().cloned().enumerate().filter(|(_, run)| is_new(run)).collect();
        for (new_at, new) in new {
            if RefKind::of(new.ref_name.as_deref().unwrap()) != RefKind::Branch {
                continue;
            }
            for old in &mut self.runs[..new_at] {
                let same = old.pushed && old.repo == new.repo && old.ref_name == new.ref_name;
                if same && old.fate == Some(Fate::Dispatched) && !old.stopping {
                    old.stopping = true;
                    let (run_id, by) = (old.id.clone(), StoppedBy::Run(new.id.clone()));
                    stops.push(Output::Stop { ask: None, run_id, by });
                }
            }
        }
        stops
    }

    /// Cancels that waited for an answer.
    fn settle(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        for at in 0..self.runs.len() {
            if self.is_hanging(&self.runs[at]) || self.runs[at].cancels.is_empty() {
                continue;
            }
            let in_line = self.is_in_line(&self.runs[at]);
            let run = &mut self.runs[at];
            for (nth, ask) in std::mem::take(&mut run.cancels).into_iter().enumerate() {
                let run_id = run.id.clone();
                if in_line && nth == 0 {
                    run.fate = Some(Fate::Aborted);
                    outputs.push(Output::Abort { ask, run_id, by: None });
                } else {
                    outputs.push(Output::NothingToCancel { ask, run_id });
                }
            }
        }
        outputs
    }

    fn next(&self) -> Option<usize> {
        if self.is_halted() || self.going().count() >= self.max_runs() {
            return None;
        }
        let may = |run: &Run| self.is_in_line(run) && !self.is_full(&run.repo);
        let candidates = self.runs.iter().enumerate().filter(|(_, run)| may(run));
        let key = |(at, run): (usize, &Run)| (self.served.get(&run.repo).copied().unwrap_or(0), at);
        candidates.map(key).min().map(|(_, at)| at)
    }
}

/// The rules for refs as one list.
fn verdict(
    pushed: &PushedRef,
    first: bool,
    default_branch: Option<&str>,
    refs: &[(PushedRef, RunId)],
) -> Result<(), NotRun> {
    let could = |it: &PushedRef| matches!(it.tip, Tip::Pipeline { .. }) && RefKind::of(&it.ref_name) != RefKind::Other;
    let is_default = |it: &PushedRef| Some(it.ref_name.as_str()) == default_branch;
    if !could(pushed) {
        return Err(NotRun::NoPipeline);
    }
    let alone = refs.iter().filter(|(it, _)| could(it)).count() == 1 && !refs.iter().any(|(it, _)| is_default(it));
    if is_default(pushed) || (refs.len() <= MANY_REFS && (!first || alone)) { Ok(()) } else { Err(NotRun::FirstPush) }
}
