//! Performing an engine's orders one by one, whichever loop waits for facts: an event is in the record before the next order is
//! begun, and once the record cannot be written nothing more is started.

use quire_core::capture::CaptureSpec;
use quire_core::engine::{Answer, Ask, CommandSpec, Engine, Input, Output, Scope, Signal, SpawnFailure};
use quire_core::ids::ShId;
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now};
use quire_core::wire::{Event, RunOutcome};

use super::record::{Recalled, Record};
use crate::clock;

/// What performing orders needs of an engine: the three calls of the core's contract.
pub trait Machine {
    /// Records a fact.
    fn handle(&mut self, now: Now, input: Input);
    /// The next order.
    fn poll_output(&mut self) -> Option<Output>;
    /// When to report [`Input::Tick`] at the latest.
    fn next_deadline(&self) -> Option<Mono>;
}

impl Machine for Engine {
    fn handle(&mut self, now: Now, input: Input) {
        Engine::handle(self, now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        Engine::poll_output(self)
    }

    fn next_deadline(&self) -> Option<Mono> {
        Engine::next_deadline(self)
    }
}

/// Who performs what is not for the record. Facts are noted, and given out by [`Hands::facts`].
pub trait Hands {
    /// Starts a command; its log is one of `record`'s.
    fn spawn(&mut self, sh: ShId, command: CommandSpec, capture: &CaptureSpec, record: &mut dyn Record);
    /// Signals the command's group.
    fn signal(&mut self, sh: &ShId, signal: Signal);
    /// Ends the command's capture with what is there now.
    fn close_output(&mut self, sh: &ShId);
    /// Begins to end the processes of the scope.
    fn sweep(&mut self, scope: Scope);
    /// Masks these from the next byte on.
    fn set_secrets(&mut self, secrets: SecretSet);
    /// The answer to a [`Output::Read`], [`Output::Write`], [`Output::Glob`] or [`Output::Hash`]; `None` where it comes later, as
    /// a fact.
    fn ask(&mut self, ask: Ask, question: Output) -> Option<Answer>;
    /// These events are in the record, unless it could not be written.
    fn written(&mut self, events: &[Event]);
    /// The facts since the last call, in the order in which they became known.
    fn facts(&mut self) -> Vec<Input>;
}

/// Most orders performed without a look at what happened meanwhile: a script that asks and asks must not keep signals waiting.
const ORDERS_AT_ONCE: usize = 256;

/// What a loop does after performing orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ends.
    Done(RunOutcome),
    /// Looks for facts without waiting: the engine has more to say.
    LookUp,
    /// Waits for a fact or a deadline.
    Wait,
}

/// The orders of one run.
#[derive(Debug, Default)]
pub struct Orders {
    /// Events ordered and not yet in the record; empty before any other order is performed and before the loop waits.
    unwritten: Vec<Event>,
    /// Why the record failed: nothing more is written to it, and nothing more is started.
    record_failure: Option<String>,
}

impl Orders {
    /// Performs what the engine orders, until it has nothing more to say now, or for so long that a signal might wait.
    pub fn perform(&mut self, machine: &mut dyn Machine, record: &mut dyn Record, hands: &mut dyn Hands) -> Next {
        for _ in 0..ORDERS_AT_ONCE {
            match machine.poll_output() {
                Some(Output::Emit(event)) => self.unwritten.push(event),
                Some(order) => {
                    self.write_events(machine, record, hands);
                    if let Some(outcome) = self.perform_one(order, machine, record, hands) {
                        return Next::Done(outcome);
                    }
                    self.report(machine, hands);
                }
                None if self.unwritten.is_empty() => return Next::Wait,
                // Writing may fail, and then the engine has more to say.
                None => self.write_events(machine, record, hands),
            }
        }
        self.write_events(machine, record, hands);
        Next::LookUp
    }

    /// Tells the engine the facts since the last call.
    pub fn report(&mut self, machine: &mut dyn Machine, hands: &mut dyn Hands) {
        for fact in hands.facts() {
            if let Input::RecordFailed { message } = &fact {
                self.record_failure.get_or_insert_with(|| message.clone());
            }
            machine.handle(clock::now(), fact);
        }
    }

    /// Why the record could not be written, if it could not: an event, or a command's log.
    pub fn into_record_failure(self) -> Option<String> {
        self.record_failure
    }

    /// Performs one order; the last one tells how the run ended.
    fn perform_one(
        &mut self,
        order: Output,
        machine: &mut dyn Machine,
        record: &mut dyn Record,
        hands: &mut dyn Hands,
    ) -> Option<RunOutcome> {
        match order {
            Output::Emit(event) => self.unwritten.push(event),
            Output::Spawn { sh, .. } if self.record_failure.is_some() => {
                let failure = SpawnFailure::Other { message: "not started: the record cannot be written".to_owned() };
                machine.handle(clock::now(), Input::SpawnFailed { sh, failure });
            }
            Output::Spawn { sh, command, capture } => hands.spawn(sh, command, &capture, record),
            Output::Recall { sh, from, tap, no_eol } => {
                let captured = record.recall(Recalled { sh: &sh, from: &from, tap, no_eol: &no_eol });
                machine.handle(clock::now(), Input::Recalled { sh, captured });
            }
            Output::Signal { sh, signal } => hands.signal(&sh, signal),
            Output::CloseOutput { sh } => hands.close_output(&sh),
            Output::Sweep { scope } => hands.sweep(scope),
            Output::SetSecrets(secrets) => hands.set_secrets(secrets),
            Output::Read { ask, .. }
            | Output::Write { ask, .. }
            | Output::Glob { ask, .. }
            | Output::Hash { ask, .. } => {
                if let Some(answer) = hands.ask(ask, order) {
                    machine.handle(clock::now(), Input::Answered { ask, answer });
                }
            }
            // The engine had ended when its last event could not be written: what is not recorded did not end well.
            Output::Done(_) if self.record_failure.is_some() => return Some(RunOutcome::Failed),
            Output::Done(outcome) => return Some(outcome),
        }
        None
    }

    /// Writes what was ordered to be written, then shows it.
    fn write_events(&mut self, machine: &mut dyn Machine, record: &mut dyn Record, hands: &mut dyn Hands) {
        if self.unwritten.is_empty() {
            return;
        }
        let events = std::mem::take(&mut self.unwritten);
        if self.record_failure.is_none()
            && let Err(error) = record.append(&events)
        {
            let message = error.to_string();
            self.record_failure = Some(message.clone());
            machine.handle(clock::now(), Input::RecordFailed { message });
        }
        hands.written(&events);
    }
}
