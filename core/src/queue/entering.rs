//! What is on its way into the database, request by request, and the waiting runs that it takes the place of.
//!
//! A transaction may fail, and then what it superseded waits again: so such runs are kept aside until it is answered.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::RunId;

use super::io::{Ask, RefKind};
use super::run::{Aside, Cancel, Entering, Ticket, Waiting};

/// What one request enters.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) runs: Vec<Entering>,
    /// It is a push that takes the place of older runs.
    pub(super) supersedes: bool,
    /// Where it does not end what runs.
    pub(super) default_branch: Option<String>,
}

/// What became of a run once the orders that it hung on were answered.
#[derive(Debug)]
pub(super) enum Settled {
    /// It waits.
    Waits(Waiting),
    /// Somebody wanted its end meanwhile, and now it can be had; the others come too late.
    Cancelled { run_id: RunId, first: Cancel, others: Vec<Cancel> },
    /// It was superseded, or never came to be: nothing is left to cancel.
    Gone { run_id: RunId, cancels: Vec<Cancel> },
}

/// A run that is in the database now, and ends those that run for older pushes of its branch.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) run_id: RunId,
    pub(super) repo: String,
    pub(super) ref_name: String,
    pub(super) ticket: Ticket,
}

/// The answer to a transaction that succeeded.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) settled: Vec<Settled>,
    /// Only those off the default branch whose policy it is.
    pub(super) newcomers: Vec<Newcomer>,
}

/// Requests that are not answered, and runs that hang on them.
#[derive(Debug, Default)]
pub(super) struct Entrance {
    batches: BTreeMap<Ask, Batch>,
    aside: BTreeMap<RunId, Aside>,
}

impl Entrance {
    /// The request's answer is waited for; unless it enters nothing.
    pub(super) fn expect(&mut self, ask: Ask, batch: Batch) {
        if !batch.runs.is_empty() {
            self.batches.insert(ask, batch);
        }
    }

    pub(super) fn expects(&self, ask: Ask) -> bool {
        self.batches.contains_key(&ask)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.aside.is_empty()
    }

    pub(super) fn contains(&self, run_id: &RunId) -> bool {
        self.aside.contains_key(run_id) || self.is_entering(run_id)
    }

    pub(super) fn is_entering(&self, run_id: &RunId) -> bool {
        self.batches.values().flat_map(|batch| &batch.runs).any(|run| run.ordered.run_id == *run_id)
    }

    /// Runs that wait unless a newer one takes their place.
    pub(super) fn aside(&self) -> impl Iterator<Item = &Waiting> {
        self.aside.values().map(|run| &run.waiting)
    }

    /// A push takes the place of older ones of its ref: of these that wait, and of all that hang on answers already. Their ids,
    /// those queued first at the front.
    pub(super) fn replace(&mut self, ask: Ask, repo: &str, ref_name: &str, waiting: Vec<Waiting>) -> Vec<RunId> {
        let mut replaced: Vec<(Ticket, RunId)> = Vec::new();
        for run in waiting {
            let run_id = run.ordered.run_id.clone();
            self.aside.insert(run_id, run.set_aside(BTreeSet::new(), Vec::new()));
        }
        let aside = self.aside.values_mut().map(|run| (&run.waiting.ordered, &mut run.by));
        let entering = self.batches.values_mut().flat_map(|batch| &mut batch.runs);
        let entering = entering.filter(|run| !run.replaced).map(|run| (&run.ordered, &mut run.by));
        for (ordered, by) in aside.chain(entering) {
            if ordered.is_pushed(repo, ref_name) && by.insert(ask) {
                replaced.push((ordered.ticket, ordered.run_id.clone()));
            }
        }
        replaced.sort();
        replaced.into_iter().map(|(_, run_id)| run_id).collect()
    }

    /// Notes that somebody wants an end to a run; gives it back if the run is not here.
    pub(super) fn cancel(&mut self, run_id: &RunId, cancel: Cancel) -> Result<(), Cancel> {
        let mut entering = self.batches.values_mut().flat_map(|batch| &mut batch.runs);
        let cancels = match self.aside.get_mut(run_id) {
            Some(run) => Some(&mut run.cancels),
            None => entering.find(|run| run.ordered.run_id == *run_id).map(|run| &mut run.cancels),
        };
        match cancels {
            Some(cancels) => {
                cancels.push(cancel);
                Ok(())
            }
            None => Err(cancel),
        }
    }

    /// The request is in the database.
    pub(super) fn entered(&mut self, ask: Ask, numbers: &[u64]) -> Option<Entered> {
        let batch = self.batches.remove(&ask)?;
        let mut settled = Vec::new();
        for (run_id, run) in self.aside.extract_if(.., |_, run| run.by.contains(&ask)) {
            settled.push(Settled::Gone { run_id, cancels: run.cancels });
        }
        for run in self.batches.values_mut().flat_map(|batch| &mut batch.runs) {
            run.replaced |= run.by.contains(&ask);
        }
        let mut newcomers = Vec::new();
        let mut numbers = numbers.iter().copied();
        for run in batch.runs {
            let number = numbers.next();
            if batch.supersedes
                && let Some(newcomer) = newcomer(&run, batch.default_branch.as_deref())
            {
                newcomers.push(newcomer);
            }
            settled.extend(self.arrive(run, number));
        }
        Some(Entered { settled, newcomers })
    }

    /// The request is not in the database and will not be.
    pub(super) fn failed(&mut self, ask: Ask) -> Vec<Settled> {
        let Some(batch) = self.batches.remove(&ask) else { return Vec::new() };
        let vanished = |run: Entering| Settled::Gone { run_id: run.ordered.run_id, cancels: run.cancels };
        let mut settled: Vec<Settled> = batch.runs.into_iter().map(vanished).collect();
        for run in self.batches.values_mut().flat_map(|batch| &mut batch.runs) {
            run.by.remove(&ask);
        }
        let freed = |_: &RunId, run: &mut Aside| run.by.remove(&ask) && run.by.is_empty();
        settled.extend(self.aside.extract_if(.., freed).map(|(_, run)| settle(run)));
        settled
    }

    /// A run is in the database now.
    fn arrive(&mut self, run: Entering, number: Option<u64>) -> Option<Settled> {
        if run.replaced {
            return Some(Settled::Gone { run_id: run.ordered.run_id, cancels: run.cancels });
        }
        let aside = Waiting { ordered: run.ordered, number }.set_aside(run.by, run.cancels);
        if aside.by.is_empty() {
            return Some(settle(aside));
        }
        self.aside.insert(aside.waiting.ordered.run_id.clone(), aside);
        None
    }
}

/// A run that hangs on no answer any more.
fn settle(run: Aside) -> Settled {
    let mut cancels = run.cancels.into_iter();
    match cancels.next() {
        None => Settled::Waits(run.waiting),
        Some(first) => Settled::Cancelled { run_id: run.waiting.ordered.run_id, first, others: cancels.collect() },
    }
}

/// Without a default branch nothing is known to be off it.
fn newcomer(run: &Entering, default_branch: Option<&str>) -> Option<Newcomer> {
    let ref_name = run.ordered.ref_name.clone()?;
    let is_off_default = default_branch.is_some_and(|default| default != ref_name);
    (is_off_default && RefKind::of(&ref_name) == RefKind::Branch).then(|| Newcomer {
        run_id: run.ordered.run_id.clone(),
        repo: run.ordered.repo.clone(),
        ref_name,
        ticket: run.ordered.ticket,
    })
}
