//! What outlives a shell that is killed: clocks, files, records, the row store, and the faults that still lie in wait.

use std::collections::BTreeMap;

use quire_core::ids::{RunId, ShId};
use quire_core::wire::FailureKind;

use super::clock::Clock;
use super::fault::{Fault, Plan};
use super::store::Store;

/// The shell was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Killed;

/// What a run directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunDir {
    /// `events.jsonl`.
    pub events: Vec<u8>,
    /// `jobs/<job-id>/sh-<n>.log`.
    pub logs: BTreeMap<ShId, Vec<u8>>,
    /// As what the run's rows were closed, if its stream does not tell its end.
    pub closed: Option<FailureKind>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Both clocks.
    pub clock: Clock,
    /// The workspace: path to text.
    pub files: BTreeMap<String, String>,
    /// Run directories.
    pub runs: BTreeMap<RunId, RunDir>,
    /// The database.
    pub store: Store,
    /// The database is busy up to this time, in milliseconds.
    pub busy_until_ms: u64,
    /// What still goes wrong.
    pub plan: Plan,
}

impl Machine {
    /// With an empty data directory.
    pub fn new(clock: Clock, files: BTreeMap<String, String>, plan: Plan) -> Machine {
        Machine { clock, files, runs: BTreeMap::new(), store: Store::default(), busy_until_ms: 0, plan }
    }

    /// A point between two effects: the shell may be killed here.
    ///
    /// # Errors
    /// Where it is.
    pub fn point(&mut self) -> Result<(), Killed> {
        self.reach();
        match self.plan.strike(|fault| matches!(fault, Fault::Crash(_)).then_some(())) {
            Some(()) => Err(Killed),
            None => Ok(()),
        }
    }

    /// A point at which so many bytes are to be written: how many are, where the shell is killed over it.
    pub fn write_point(&mut self, bytes: usize) -> Option<usize> {
        self.reach();
        let crash = |fault| match fault {
            Fault::Crash(written) => Some(usize::from(written) % (bytes + 1)),
            _ => None,
        };
        self.plan.strike(crash)
    }

    /// Faults that need no occasion strike.
    fn reach(&mut self) {
        self.plan.reach();
        let step = |fault| match fault {
            Fault::WallSteps(by_ms) => Some(by_ms),
            _ => None,
        };
        while let Some(by_ms) = self.plan.strike(step) {
            self.clock.step_wall(i64::from(by_ms));
        }
        let busy = |fault| match fault {
            Fault::DatabaseBusy(ms) => Some(ms),
            _ => None,
        };
        while let Some(ms) = self.plan.strike(busy) {
            self.busy_until_ms = self.busy_until_ms.max(self.clock.ms() + u64::from(ms));
        }
    }
}
