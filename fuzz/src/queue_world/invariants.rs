//! What must hold in the world of a server, by name: during one life of it, and of the rows in the end.

use std::collections::{BTreeMap, BTreeSet};

use quire_core::ids::RunId;
use quire_core::queue::{Ask, Input, NewRun, Output, Queue, RefKind, StoppedBy, Supersede, Verdict, Why};
use quire_core::rows::RunState;

use super::machine::Machine;
use super::scenario::Action;
use super::store::Row;
use crate::world::violated;

/// What one life of a server has been told and has ordered.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Requests without an answer, with the pushes among them.
    pub(super) asked: BTreeMap<Ask, Option<Action>>,
    dispatched: BTreeSet<RunId>,
    /// Dispatched or adopted, and their ends not told.
    running: BTreeSet<RunId>,
    aborted: BTreeSet<RunId>,
    configured: bool,
    draining: bool,
    free_bytes: Option<u64>,
}

impl Watch {
    /// A fact, before the queue is told.
    pub(super) fn fact(&mut self, input: &Input) {
        match input {
            Input::Restored { run_id, running: true, .. } => {
                self.running.insert(run_id.clone());
            }
            Input::Ended { run_id, .. } => {
                self.running.remove(run_id);
            }
            Input::Configured { .. } => self.configured = true,
            Input::Draining => self.draining = true,
            Input::Disk { free_bytes } => self.free_bytes = Some(*free_bytes),
            Input::Restored { .. }
            | Input::Pushed { .. }
            | Input::Triggered { .. }
            | Input::CancelWanted { .. }
            | Input::Entered { .. }
            | Input::EnterFailed { .. } => {}
        }
    }

    /// An order, before it is performed.
    pub(super) fn order(&mut self, order: &Output, queue: &Queue, machine: &Machine) {
        match order {
            Output::Enter { runs, superseded, verdicts, .. } => {
                verdicts_and_runs_agree(runs, verdicts);
                self.what_is_superseded_was_never_dispatched(runs, superseded);
            }
            Output::Dispatch { run_id } => {
                self.nothing_is_dispatched_while_halted(machine);
                self.bounds_are_kept(run_id, machine);
                self.only_what_waits_is_dispatched(run_id, machine);
                first_come_is_first_served(run_id, queue, machine);
                if !self.dispatched.insert(run_id.clone()) {
                    violated("nothing_is_dispatched_twice_by_one_life", run_id);
                }
                self.running.insert(run_id.clone());
            }
            Output::Abort { run_id, .. } => self.only_what_waits_is_aborted(run_id, machine),
            Output::Stop { run_id, by, .. } => {
                if !self.running.contains(run_id) {
                    violated("only_what_runs_is_stopped", run_id);
                }
                if let StoppedBy::Run(new) = by {
                    a_newer_push_off_the_default_branch_stops(run_id, new, machine);
                }
            }
            Output::NothingToCancel { run_id, .. } => self.what_can_be_cancelled_is(run_id, machine),
        }
    }

    /// The request is answered.
    pub(super) fn answered(&mut self, ask: Ask) {
        if self.asked.remove(&ask).is_none() {
            violated("a_request_is_answered_once", &ask);
        }
    }

    pub(super) fn every_request_is_answered(&self) {
        if !self.asked.is_empty() {
            violated("every_request_is_answered", &self.asked);
        }
    }

    fn what_is_superseded_was_never_dispatched(&self, runs: &[NewRun], superseded: &[(RunId, RunId)]) {
        for (old, new) in superseded {
            let is_own = runs.iter().any(|run| run.run_id == *new) && runs.iter().all(|run| run.run_id != *old);
            if self.dispatched.contains(old) || self.running.contains(old) || self.aborted.contains(old) || !is_own {
                violated("what_is_superseded_was_never_dispatched", &(old, new));
            }
        }
    }

    fn nothing_is_dispatched_while_halted(&self, machine: &Machine) {
        let is_short = self.free_bytes.is_some_and(|free_bytes| free_bytes < machine.limits.min_free_bytes);
        if !self.configured || self.draining || is_short {
            violated("nothing_is_dispatched_while_halted", &self);
        }
    }

    fn bounds_are_kept(&self, run_id: &RunId, machine: &Machine) {
        let at_most = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let repo = machine.store.row(run_id).map(|row| row.repo.as_str());
        let of_repo = self.running.iter().filter_map(|run_id| machine.store.row(run_id));
        let of_repo = of_repo.filter(|row| Some(row.repo.as_str()) == repo).count();
        let limit = repo.and_then(|repo| machine.repos.get(repo)?.max_runs).map_or(usize::MAX, at_most);
        if self.running.len() >= at_most(machine.limits.max_runs.max(1)) || of_repo >= limit {
            violated("bounds_are_kept", &(run_id, &self.running));
        }
    }

    fn only_what_waits_is_dispatched(&self, run_id: &RunId, machine: &Machine) {
        let waits = machine.store.row(run_id).is_some_and(|row| row.state == RunState::Pending);
        if !waits || self.aborted.contains(run_id) || machine.processes.contains_key(run_id) {
            violated("only_what_waits_is_dispatched", &(run_id, machine.store.row(run_id)));
        }
    }

    fn only_what_waits_is_aborted(&mut self, run_id: &RunId, machine: &Machine) {
        let waits = machine.store.row(run_id).is_some_and(|row| row.state == RunState::Pending);
        if !waits || self.running.contains(run_id) || !self.aborted.insert(run_id.clone()) {
            violated("only_what_waits_is_aborted", &(run_id, machine.store.row(run_id)));
        }
    }

    fn what_can_be_cancelled_is(&self, run_id: &RunId, machine: &Machine) {
        let is_open = machine.store.row(run_id).is_some_and(|row| !row.has_ended());
        if is_open && !self.aborted.contains(run_id) {
            violated("what_can_be_cancelled_is", &machine.store.row(run_id));
        }
    }

    /// Where nothing is on its way between them, the queue says what the store says.
    pub(super) fn the_queue_agrees_with_the_store(&self, queue: &Queue, machine: &Machine) {
        let open = machine.store.rows().iter().filter(|row| !row.has_ended());
        let (running, waiting): (Vec<&Row>, Vec<&Row>) =
            open.partition(|row| machine.processes.contains_key(&row.run_id));
        let told: BTreeMap<&RunId, Option<u64>> = queue.waiting().map(|run| (run.run_id, run.number)).collect();
        let stored: BTreeMap<&RunId, Option<u64>> = waiting.iter().map(|row| (&row.run_id, Some(row.number))).collect();
        if told != stored {
            violated("the_queue_agrees_with_the_store", &(told, stored));
        }
        let counts = queue.counts();
        let told: usize = counts.values().map(|counts| counts.running).sum();
        if told != running.len() {
            violated("the_queue_agrees_with_the_store", &(counts, running));
        }
        one_push_of_a_branch_waits(&waiting, machine);
        nothing_waits_without_a_reason(queue, machine);
    }
}

/// Pushes of one branch take each other's place. One that ran when the newer one came waits again only where a server was killed
/// before it had begun.
fn one_push_of_a_branch_waits(waiting: &[&Row], machine: &Machine) {
    let mut seen = BTreeSet::new();
    for row in waiting {
        let queued = machine.repos.get(&row.repo).is_none_or(|policy| policy.supersede == Supersede::Queued);
        let is_branch = row.ref_name.as_deref().is_some_and(|name| RefKind::of(name) == RefKind::Branch);
        let ran = machine.dispatched.contains(&row.run_id);
        if queued && is_branch && row.pushed && !ran && !seen.insert((&row.repo, &row.ref_name)) {
            violated("one_push_of_a_branch_waits", row);
        }
    }
}

/// Whoever waits does so for something that is so.
fn nothing_waits_without_a_reason(queue: &Queue, machine: &Machine) {
    let places = usize::try_from(machine.limits.max_runs.max(1)).unwrap_or(usize::MAX);
    let counts = queue.counts();
    let running: usize = counts.values().map(|counts| counts.running).sum();
    if queue.halted().is_some() || running >= places {
        return;
    }
    for (repo, counts) in &counts {
        let limit = machine.repos.get(*repo).and_then(|policy| policy.max_runs);
        let has_room = limit.is_none_or(|limit| counts.running < usize::try_from(limit).unwrap_or(usize::MAX));
        if counts.waiting > 0 && has_room {
            violated("nothing_waits_without_a_reason", &(repo, counts));
        }
    }
}

/// In one repository: none that came before is left in line.
fn first_come_is_first_served(run_id: &RunId, queue: &Queue, machine: &Machine) {
    let Some(served) = machine.store.row(run_id) else { return };
    let mut in_line = queue.waiting().filter(|run| run.why != Why::Replaced && run.repo == served.repo);
    if let Some(passed_over) = in_line.find(|run| run.number.is_some_and(|number| number < served.number)) {
        violated("first_come_is_first_served", &(run_id, passed_over));
    }
}

fn verdicts_and_runs_agree(runs: &[NewRun], verdicts: &[Verdict]) {
    let ordered = runs.iter().map(|run| &run.run_id);
    let told = verdicts.iter().filter_map(|verdict| verdict.run.as_ref().ok());
    if !ordered.eq(told) {
        violated("verdicts_and_runs_agree", &(runs, verdicts));
    }
}

fn a_newer_push_off_the_default_branch_stops(old: &RunId, new: &RunId, machine: &Machine) {
    let rows = machine.store.row(old).zip(machine.store.row(new));
    let is_right = rows.is_some_and(|(old, new)| {
        is_newer_push(old, new)
            && machine.default_branch(&old.repo).is_some_and(|it| Some(it) != old.ref_name.as_deref())
    });
    if !is_right {
        violated("a_newer_push_off_the_default_branch_stops", &rows);
    }
}

fn is_newer_push(old: &Row, new: &Row) -> bool {
    let is_branch = old.ref_name.as_deref().is_some_and(|name| RefKind::of(name) == RefKind::Branch);
    let same = old.repo == new.repo && old.ref_name == new.ref_name;
    is_branch && same && old.pushed && new.pushed && old.number < new.number
}

/// When the world is quiet.
pub(super) fn check_rows(machine: &Machine) {
    every_run_has_ended(machine);
    numbers_are_unique_and_increase(machine);
    a_superseded_run_never_had_a_process(machine);
    every_process_belongs_to_a_run_that_it_ended(machine);
}

fn every_run_has_ended(machine: &Machine) {
    if let Some(row) = machine.store.rows().iter().find(|row| !row.has_ended()) {
        violated("every_run_has_ended", row);
    }
}

fn numbers_are_unique_and_increase(machine: &Machine) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for row in machine.store.rows() {
        if last.insert(&row.repo, row.number).is_some_and(|before| before >= row.number) {
            violated("numbers_are_unique_and_increase", row);
        }
    }
}

fn a_superseded_run_never_had_a_process(machine: &Machine) {
    for row in machine.store.rows().iter().filter(|row| row.state == RunState::Superseded) {
        let new = row.superseded_by.as_ref().and_then(|new| machine.store.row(new));
        if machine.processes.contains_key(&row.run_id) || !new.is_some_and(|new| is_newer_push(row, new)) {
            violated("a_superseded_run_never_had_a_process", &(row, new));
        }
    }
}

fn every_process_belongs_to_a_run_that_it_ended(machine: &Machine) {
    for (run_id, process) in &machine.processes {
        let state = machine.store.row(run_id).map(|row| row.state);
        let expected = match process.gone {
            Some(Some(state)) => Some(state),
            Some(None) => Some(RunState::Failed),
            None => None,
        };
        if expected.is_none() || state != expected {
            violated("every_process_belongs_to_a_run_that_it_ended", &(run_id, process, state));
        }
    }
}
