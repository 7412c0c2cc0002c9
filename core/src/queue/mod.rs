//! The queue: which pushes become runs, which runs wait and why, what starts next, what is superseded or ended. A pure machine.
//!
//! [`Queue::handle`] takes a fact and decides all that follows from it; [`Queue::poll_output`] gives the orders one by one. So it
//! does not matter when they are fetched. State that must outlive the process is the database's; the shell writes what
//! [`Output::Enter`] orders before anyone is told, and a new life begins with [`Input::Restored`].
//!
//! - `push`: which refs of a push run. `run`: the states of a run as types.
//! - `entering`: what is on its way into the database, and the waiting runs that it takes the place of.
//! - `lines`: what waits, and whose turn it is. `running`: what goes on. `why`: all that in words.

mod entering;
mod io;
mod lines;
mod policy;
mod push;
mod retry;
mod run;
mod running;
mod why;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::RunId;

use entering::{Batch, Entrance, Settled};
use lines::Lines;
use run::{Cancel, Entering, Ordered, Ticket, Waiting};
use running::RunningRuns;

pub use io::{Ask, Input, NewRun, NotRun, Origin, Output, PushedRef, RefKind, Request, StoppedBy, Tip, Verdict};
pub use policy::{Limits, RepoPolicy, Supersede};
pub use retry::{NotRetried, may_retry};
pub use why::{Counts, WaitingRun, Why};

/// A push of more refs than these runs the default branch only.
pub const MANY_REFS: usize = 10;

/// What [`Input::Configured`] said last.
#[derive(Debug, Clone)]
struct Settings {
    limits: Limits,
    repos: BTreeMap<String, RepoPolicy>,
}

/// All runs of a server that are not over, and what becomes of them. Total: whatever it is told, it does not panic; what it is
/// told of a run or a request that it does not know is ignored.
#[derive(Debug, Default)]
pub struct Queue {
    /// `None` before the first configuration: nothing is dispatched.
    settings: Option<Settings>,
    draining: bool,
    free_bytes: Option<u64>,
    tickets: Ticket,
    entrance: Entrance,
    lines: Lines,
    running: RunningRuns,
    outputs: VecDeque<Output>,
}

impl Queue {
    /// Without runs, and without a configuration.
    pub fn new() -> Queue {
        Queue::default()
    }

    /// Takes a fact, and decides what follows from it.
    ///
    /// A request whose [`Ask`] is not answered yet, or that brings the id of a run that is here already, is ignored.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Restored { run_id, repo, ref_name, number, pushed, running } => {
                if !self.knows(&run_id) {
                    let ordered = Ordered { run_id, repo, ref_name, pushed, ticket: self.tickets.next() };
                    self.restore(Waiting { ordered, number: Some(number) }, running);
                }
            }
            Input::Pushed { request, repo, first, default_branch, refs } => {
                let verdicts = push::verdicts(first, default_branch.as_deref(), refs);
                self.push(request, repo, default_branch, verdicts);
            }
            Input::Triggered { request, run } => self.trigger(&request, run),
            Input::CancelWanted { request, run_id } => self.cancel(request, run_id),
            Input::Entered { ask, numbers } => self.entered(ask, &numbers),
            Input::EnterFailed { ask } => {
                let settled = self.entrance.failed(ask);
                self.settle(settled);
            }
            Input::Ended { run_id, state: _ } => self.running.remove(&run_id),
            Input::Disk { free_bytes } => self.free_bytes = Some(free_bytes),
            Input::Configured { limits, repos } => {
                self.lines.forget_turns(|repo| repos.contains_key(repo) || self.running.of(repo) > 0);
                self.settings = Some(Settings { limits, repos });
            }
            Input::Draining => self.draining = true,
        }
        self.dispatch();
    }

    /// The next order; `None`: nothing to do for now.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn order(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn policy(&self, repo: &str) -> RepoPolicy {
        self.settings.as_ref().and_then(|settings| settings.repos.get(repo)).cloned().unwrap_or_default()
    }

    fn knows(&self, run_id: &RunId) -> bool {
        self.lines.contains(run_id) || self.running.contains(run_id) || self.entrance.contains(run_id)
    }

    /// Whether the request can be told apart from all others, and so can its runs.
    fn is_new<'a>(&self, ask: Ask, mut runs: impl Iterator<Item = &'a RunId>) -> bool {
        let mut seen = BTreeSet::new();
        !self.entrance.expects(ask) && runs.all(|run_id| !self.knows(run_id) && seen.insert(run_id))
    }

    fn restore(&mut self, run: Waiting, running: bool) {
        if running {
            self.lines.served(&run.ordered.repo);
            self.running.insert(run.dispatched());
        } else {
            self.lines.join(run);
        }
    }

    fn push(&mut self, request: Request, repo: String, default_branch: Option<String>, verdicts: Vec<Verdict>) {
        let ask = request.ask;
        if !self.is_new(ask, verdicts.iter().filter_map(|verdict| verdict.run.as_ref().ok())) {
            return;
        }
        let supersedes = self.policy(&repo).supersede == Supersede::Queued;
        let (mut runs, mut superseded) = (Vec::new(), Vec::new());
        let mut batch = Batch { runs: Vec::new(), supersedes, default_branch };
        for verdict in &verdicts {
            let (Ok(run_id), Some(sha)) = (&verdict.run, &verdict.sha) else { continue };
            if supersedes && RefKind::of(&verdict.ref_name) == RefKind::Branch {
                let waiting = self.lines.take_pushed(&repo, &verdict.ref_name);
                let replaced = self.entrance.replace(ask, &repo, &verdict.ref_name, waiting);
                superseded.extend(replaced.into_iter().map(|old| (old, run_id.clone())));
            }
            batch.runs.push(Entering::new(Ordered {
                run_id: run_id.clone(),
                repo: repo.clone(),
                ref_name: Some(verdict.ref_name.clone()),
                pushed: true,
                ticket: self.tickets.next(),
            }));
            runs.push(NewRun {
                run_id: run_id.clone(),
                repo: repo.clone(),
                ref_name: Some(verdict.ref_name.clone()),
                sha: sha.clone(),
                by: request.by.clone(),
                at_ms: request.at_ms,
                origin: Origin::Push,
                params: BTreeMap::new(),
                jobs: Vec::new(),
            });
        }
        self.entrance.expect(ask, batch);
        self.order(Output::Enter { ask, runs, superseded, verdicts });
    }

    fn trigger(&mut self, request: &Request, run: NewRun) {
        if !self.is_new(request.ask, std::iter::once(&run.run_id)) {
            return;
        }
        let ordered = Ordered {
            run_id: run.run_id.clone(),
            repo: run.repo.clone(),
            ref_name: run.ref_name.clone(),
            pushed: false,
            ticket: self.tickets.next(),
        };
        let batch = Batch { runs: vec![Entering::new(ordered)], supersedes: false, default_branch: None };
        self.entrance.expect(request.ask, batch);
        let ref_name = run.ref_name.clone().unwrap_or_default();
        let verdicts = vec![Verdict { ref_name, sha: Some(run.sha.clone()), run: Ok(run.run_id.clone()) }];
        self.order(Output::Enter { ask: request.ask, runs: vec![run], superseded: Vec::new(), verdicts });
    }

    fn cancel(&mut self, request: Request, run_id: RunId) {
        let Request { ask, by, at_ms: _ } = request;
        if let Some(run) = self.lines.leave(&run_id) {
            self.order(Output::Abort { ask, run_id: run.ordered.run_id, by });
        } else if self.running.stop(&run_id) {
            self.order(Output::Stop { ask: Some(ask), run_id, by: StoppedBy::Person(by) });
        } else if let Err(Cancel { ask, .. }) = self.entrance.cancel(&run_id, Cancel { ask, by }) {
            self.order(Output::NothingToCancel { ask, run_id });
        }
    }

    fn entered(&mut self, ask: Ask, numbers: &[u64]) {
        let Some(entered) = self.entrance.entered(ask, numbers) else { return };
        self.settle(entered.settled);
        for new in entered.newcomers {
            for run_id in self.running.stop_older(&new) {
                self.order(Output::Stop { ask: None, run_id, by: StoppedBy::Run(new.run_id.clone()) });
            }
        }
    }

    /// What became of runs whose orders were answered.
    fn settle(&mut self, settled: Vec<Settled>) {
        for settled in settled {
            match settled {
                Settled::Waits(run) => self.lines.join(run),
                Settled::Cancelled { run_id, first, others } => {
                    self.order(Output::Abort { ask: first.ask, run_id: run_id.clone(), by: first.by });
                    self.nothing_to_cancel(&run_id, others);
                }
                Settled::Gone { run_id, cancels } => self.nothing_to_cancel(&run_id, cancels),
            }
        }
    }

    fn nothing_to_cancel(&mut self, run_id: &RunId, cancels: Vec<Cancel>) {
        for cancel in cancels {
            self.order(Output::NothingToCancel { ask: cancel.ask, run_id: run_id.clone() });
        }
    }

    /// Starts what may start.
    fn dispatch(&mut self) {
        while let Some(run) = self.next_run() {
            let running = run.dispatched();
            self.order(Output::Dispatch { run_id: running.ordered.run_id.clone() });
            self.running.insert(running);
        }
    }

    fn next_run(&mut self) -> Option<Waiting> {
        if self.halted().is_some() || self.places()? <= self.running.len() {
            return None;
        }
        let (running, settings) = (&self.running, self.settings.as_ref()?);
        self.lines.serve(|repo| {
            let limit = settings.repos.get(repo).and_then(|policy| policy.max_runs);
            limit.is_none_or(|limit| running.of(repo) < as_count(limit))
        })
    }

    /// How many runs may go on at once; `None` before the first configuration.
    fn places(&self) -> Option<usize> {
        self.settings.as_ref().map(|settings| as_count(settings.limits.max_runs.max(1)))
    }
}

fn as_count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
