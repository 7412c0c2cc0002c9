//! A server's way into the store: orders to write wait in line, and are committed in groups.

use std::collections::VecDeque;

use quire_core::ids::RunId;
use quire_core::queue::{Ask, NewRun};
use quire_core::rows::RunState;

use super::machine::Machine;
use crate::world::fault::Fault;
use crate::world::machine::Killed;

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Enter { ask: Ask, runs: Vec<NewRun>, superseded: Vec<(RunId, RunId)> },
    Abort { ask: Ask, run_id: RunId },
    Begin(RunId),
    End(RunId, RunState),
}

/// What was written, or will not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrote {
    Entered { ask: Ask, numbers: Vec<u64> },
    EnterFailed { ask: Ask },
    Aborted { ask: Ask },
    Ended(RunId, RunState),
}

/// The line.
#[derive(Debug, Default)]
pub(super) struct Writer {
    line: VecDeque<Write>,
}

impl Writer {
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn push(&mut self, write: Write) {
        self.line.push_back(write);
    }

    /// One transaction of what is at the front. Where it fails, nothing is entered; all else is tried again.
    pub(super) fn commit(&mut self, machine: &mut Machine) -> Result<Vec<Wrote>, Killed> {
        machine.point()?;
        let count = self.line.len().min(machine.pace.commit_of);
        let group: Vec<Write> = self.line.drain(..count).collect();
        let fails = |fault| matches!(fault, Fault::CommitFails).then_some(());
        if machine.plan.strike(fails).is_some() {
            machine.tell(|| "the transaction fails".to_owned());
            return Ok(self.fail(group));
        }
        let wrote = group.iter().filter_map(|write| apply(machine, write)).collect();
        let unacknowledged = |fault| matches!(fault, Fault::CommitUnacknowledged).then_some(());
        if machine.plan.strike(unacknowledged).is_some() {
            return Err(Killed);
        }
        machine.point()?;
        Ok(wrote)
    }

    fn fail(&mut self, group: Vec<Write>) -> Vec<Wrote> {
        let (mut failed, mut again) = (Vec::new(), VecDeque::new());
        for write in group {
            match write {
                Write::Enter { ask, .. } => failed.push(Wrote::EnterFailed { ask }),
                write => again.push_back(write),
            }
        }
        again.append(&mut self.line);
        self.line = again;
        failed
    }
}

fn apply(machine: &mut Machine, write: &Write) -> Option<Wrote> {
    machine.tell(|| format!("written: {}", line(write)));
    match write {
        Write::Enter { ask, runs, superseded } => {
            Some(Wrote::Entered { ask: *ask, numbers: machine.store.enter(runs, superseded) })
        }
        Write::Abort { ask, run_id } => {
            machine.store.abort(run_id);
            Some(Wrote::Aborted { ask: *ask })
        }
        Write::Begin(run_id) => {
            machine.store.begin(run_id);
            None
        }
        Write::End(run_id, state) => {
            machine.store.end(run_id, *state);
            Some(Wrote::Ended(run_id.clone(), *state))
        }
    }
}

fn line(write: &Write) -> String {
    match write {
        Write::Enter { ask, runs, superseded } => {
            let runs: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
            format!("request {} with {runs:?}, superseding {superseded:?}", ask.0)
        }
        Write::Abort { run_id, .. } => format!("{run_id} aborted"),
        Write::Begin(run_id) => format!("{run_id} active"),
        Write::End(run_id, state) => format!("{run_id} {state}"),
    }
}
