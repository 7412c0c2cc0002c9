//! What outlives a server that is killed: the clock, the row store, the processes of runs, the spool, and faults that lie in wait.

use std::collections::{BTreeMap, BTreeSet};

use quire_core::ids::RunId;
use quire_core::queue::{Limits, RepoPolicy};
use quire_core::rows::RunState;

use super::agenda::Agenda;
use super::scenario::{Action, MIN_FREE_BYTES, Pace, Scenario};
use super::store::Store;
use crate::world::clock::Clock;
use crate::world::fault::{Fault, Plan};
use crate::world::machine::Killed;

/// What happens whether a server lives or not.
#[derive(Debug, Clone)]
pub(super) enum Outside {
    Acts(Action),
    /// A run's process has written its first event.
    Begins(RunId),
    /// A run's process comes to its end by itself.
    Ends(RunId),
    /// A server is started where none lives.
    Starts,
}

/// A run's process: it holds the run's lock while it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its first event is in the record.
    pub(super) begun: bool,
    /// It is gone; with the state that its record tells, if that tells an end.
    pub(super) gone: Option<Option<RunState>>,
    pub(super) terms: u32,
}

/// One machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) clock: Clock,
    pub(super) plan: Plan,
    pub(super) store: Store,
    pub(super) processes: BTreeMap<RunId, Process>,
    pub(super) agenda: Agenda<Outside>,
    /// Pushes that nobody answered.
    pub(super) spool: Vec<Action>,
    pub(super) limits: Limits,
    pub(super) repos: BTreeMap<String, RepoPolicy>,
    pub(super) free_bytes: u64,
    pub(super) busy_until_ms: u64,
    pub(super) pace: Pace,
    /// Runs that any server has dispatched.
    pub(super) dispatched: BTreeSet<RunId>,
    /// Processes that were ever started.
    started: usize,
    ids: u64,
    /// Every id that a run could have got.
    runs: Vec<RunId>,
    pub(super) story: Option<Vec<String>>,
}

impl Machine {
    pub(super) fn new(scenario: Scenario) -> Machine {
        let mut agenda = Agenda::new();
        for (ms, action) in scenario.actions {
            agenda.put(ms, Outside::Acts(action));
        }
        Machine {
            clock: Clock::starting_at(1_795_000_000_000),
            plan: Plan::new(scenario.faults),
            store: Store::default(),
            processes: BTreeMap::new(),
            agenda,
            spool: Vec::new(),
            limits: scenario.limits,
            repos: scenario.repos,
            free_bytes: u64::MAX,
            busy_until_ms: 0,
            pace: scenario.pace,
            dispatched: BTreeSet::new(),
            started: 0,
            ids: 0,
            runs: Vec::new(),
            story: None,
        }
    }

    pub(super) fn ms(&self) -> u64 {
        self.clock.ms()
    }

    /// A number that nothing had before.
    pub(super) fn fresh(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(super) fn fresh_run(&mut self) -> RunId {
        let run_id = RunId::new(&format!("run-{}", self.fresh()));
        self.runs.push(run_id.clone());
        run_id
    }

    /// A line of the story, if that is wanted.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        let ms = self.ms();
        if let Some(story) = &mut self.story {
            story.push(format!("{ms:>8} {}", line()));
        }
    }

    /// A point between two effects: the server may be killed here.
    pub(super) fn point(&mut self) -> Result<(), Killed> {
        self.plan.reach();
        let busy = |fault| match fault {
            Fault::DatabaseBusy(ms) => Some(ms),
            _ => None,
        };
        while let Some(ms) = self.plan.strike(busy) {
            self.busy_until_ms = self.busy_until_ms.max(self.ms() + u64::from(ms));
        }
        match self.plan.strike(|fault| matches!(fault, Fault::Crash(_)).then_some(())) {
            Some(()) => Err(Killed),
            None => Ok(()),
        }
    }

    /// How late an answer is.
    pub(super) fn late_ms(&mut self) -> u64 {
        let late = |fault| match fault {
            Fault::AnswerLate(ms) => Some(ms),
            _ => None,
        };
        self.plan.strike(late).map_or(0, u64::from)
    }

    /// How late the end of a process is found out.
    pub(super) fn exit_late_ms(&mut self) -> u64 {
        let late = |fault| match fault {
            Fault::ExitLate(ms) => Some(ms),
            _ => None,
        };
        self.plan.strike(late).map_or(0, u64::from)
    }

    /// A process for the run begins its life.
    pub(super) fn spawn(&mut self, run_id: &RunId) {
        let (now, pace) = (self.ms(), self.pace);
        let lasts_ms = pace.lasts_ms[self.started % pace.lasts_ms.len()];
        self.started += 1;
        self.processes.insert(run_id.clone(), Process { begun: false, gone: None, terms: 0 });
        self.agenda.put(now + pace.begins_ms, Outside::Begins(run_id.clone()));
        self.agenda.put(now + pace.begins_ms + lasts_ms, Outside::Ends(run_id.clone()));
    }

    /// The process is asked to end: it does when it has cleaned up, and at once when it is asked again.
    pub(super) fn term(&mut self, run_id: &RunId) -> bool {
        let Some(process) = self.processes.get_mut(run_id).filter(|process| process.gone.is_none()) else {
            return false;
        };
        process.terms += 1;
        let cleans_up_ms = if process.terms > 1 { 0 } else { self.pace.term_ms };
        let ms = self.clock.ms() + cleans_up_ms;
        self.agenda.put(ms, Outside::Ends(run_id.clone()));
        true
    }

    /// The process writes its first event, if it lives.
    pub(super) fn begins(&mut self, run_id: &RunId) -> bool {
        let process = self.processes.get_mut(run_id).filter(|process| process.gone.is_none() && !process.begun);
        process.map(|process| process.begun = true).is_some()
    }

    /// The process writes its last event and is gone, if it lives.
    pub(super) fn ends(&mut self, run_id: &RunId) -> Option<RunState> {
        let process = self.processes.get_mut(run_id).filter(|process| process.gone.is_none())?;
        let state = if process.terms > 0 { RunState::Aborted } else { RunState::Complete };
        process.begun = true;
        process.gone = Some(Some(state));
        Some(state)
    }

    /// The process is killed, if it lives.
    pub(super) fn kill(&mut self, run_id: &RunId) -> bool {
        let process = self.processes.get_mut(run_id).filter(|process| process.gone.is_none());
        process.map(|process| process.gone = Some(None)).is_some()
    }

    /// One of the processes that live is killed.
    pub(super) fn kill_one(&mut self, nth: usize) -> Option<RunId> {
        let living = self.processes.iter().filter(|(_, process)| process.gone.is_none());
        let living: Vec<RunId> = living.map(|(run_id, _)| run_id.clone()).collect();
        let run_id = living.get(nth % living.len().max(1))?;
        self.kill(run_id).then(|| run_id.clone())
    }

    /// The run whose id was given out so many before the last one.
    pub(super) fn run_back(&self, back: usize) -> RunId {
        let at = self.runs.len().checked_sub(back + 1).and_then(|at| self.runs.get(at));
        at.cloned().unwrap_or(RunId::new("never"))
    }

    pub(super) fn fill(&mut self, full: bool) {
        self.free_bytes = if full { MIN_FREE_BYTES - 1 } else { MIN_FREE_BYTES };
    }

    /// Somebody writes the configuration.
    pub(super) fn configure(&mut self, max_runs: u32, repo: &str, repo_runs: Option<u32>) {
        self.limits.max_runs = max_runs;
        if let Some(policy) = self.repos.get_mut(repo) {
            policy.max_runs = repo_runs;
        }
    }

    /// One repository has none.
    pub(super) fn default_branch(&self, repo: &str) -> Option<&str> {
        (repo != "r3.git").then_some("refs/heads/main")
    }
}
