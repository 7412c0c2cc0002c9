//! Deferred functions of a job: last in first out, 60 s in all, whatever became of the job's function.

use std::time::Duration;

use super::Engine;
use super::command::CommandState;
use super::job::{JobPhase, Verdict};
use super::slots::CommandId;
use super::timers::Timer;
use crate::recorder::RuntimeEvent;
use crate::script::{Failure, Vm};
use crate::time::shown;

/// Longest time of all deferred functions of a job together.
const DEFERRED_TIME: Duration = Duration::from_secs(60);

impl Engine {
    /// The job's function is over, and what it left has ended: what it deferred runs.
    pub(super) fn begin_deferred(&mut self, index: usize) {
        if self.cancels > 1 || self.record_failure.is_some() {
            return self.end_deferred(index);
        }
        if let Some(job) = self.jobs.get_mut(index) {
            job.deferred_from = self.next_command;
        }
        self.timers.set(Timer::Deferred(index), self.now.mono.plus(DEFERRED_TIME));
        self.next_deferred(index);
    }

    /// The clock of the deferred functions stands still while a command of theirs waits for a slot: a cleanup is not lost
    /// because other jobs are busy.
    pub(super) fn set_deferred_clock(&mut self, index: usize) {
        let Some(job) = self.jobs.get_mut(index).filter(|job| job.phase.is_deferred()) else { return };
        let is_queued =
            |id: &CommandId| self.commands.get(id).is_some_and(|command| matches!(command.state, CommandState::Queued));
        let waits = job.open.iter().any(is_queued);
        if let Some(at) = self.timers.at(Timer::Deferred(index)).filter(|_| waits) {
            job.deferred_left = Some(at.since(self.now.mono));
            self.timers.clear(Timer::Deferred(index));
        } else if let Some(left) = job.deferred_left.take_if(|_| !waits) {
            self.timers.set(Timer::Deferred(index), self.now.mono.plus(left));
        }
    }

    /// Readies the next deferred function, last in first out.
    pub(super) fn next_deferred(&mut self, index: usize) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.phase = JobPhase::Deferred;
        let started = job.vm.as_mut().map_or(Ok(false), Vm::start_deferred);
        match started {
            Ok(true) => self.ready.push_back(index),
            Ok(false) => {
                job.phase = JobPhase::AwaitingDeferred;
                self.advance(index);
            }
            Err(failure) => self.on_script_failed(index, failure),
        }
    }

    pub(super) fn end_deferred(&mut self, index: usize) {
        if let Some(job) = self.jobs.get_mut(index) {
            job.deferred_left = None;
        }
        self.timers.clear(Timer::Deferred(index));
        self.stop_open(index, JobPhase::StoppingDeferred);
    }

    pub(super) fn on_deferred_timeout(&mut self, index: usize) {
        let Some(job) = self.jobs.get(index).filter(|job| job.phase.is_deferred()) else { return };
        let message = format!("the deferred functions ran longer than {} and were ended", shown(DEFERRED_TIME));
        let place = Some(job.definition.place.clone());
        self.fail_deferred(index, Failure { message, place });
        self.abandon_deferred(index);
    }

    /// Deferred functions that run do not go on, and none follows.
    pub(super) fn abandon_deferred(&mut self, index: usize) {
        if self.jobs.get(index).is_some_and(|job| job.phase.is_deferred()) {
            self.abandon_script(index);
            self.end_deferred(index);
        }
    }

    /// A deferred function never hides the first error; its own error is the first where there is none.
    pub(super) fn fail_deferred(&mut self, index: usize, failure: Failure) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        if matches!(job.verdict, Some(Verdict::Returned(_) | Verdict::Skipped(_))) {
            job.verdict = Some(Verdict::Failed(failure));
            return;
        }
        let text = match failure.place {
            Some(place) => format!("a deferred function failed at {place}: {}", failure.message),
            None => format!("a deferred function failed: {}", failure.message),
        };
        let id = job.definition.id.clone();
        self.record(RuntimeEvent::JobLogged(id, text));
    }
}
