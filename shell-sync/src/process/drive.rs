//! The loop around an engine: takes its orders one by one, performs each, reports facts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use quire_core::capture::{Captured, Tap};
use quire_core::engine::{Answer, Engine, GRACE, Input, Output, SpawnFailure};
use quire_core::ids::{RunId, ShId};
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now};
use quire_core::wire::{Event, RunOutcome, Stream};

use super::background::Background;
use super::reactor::{Reactor, Watched};
use super::signals::{self, Signals};
use super::spawn::Launcher;
use super::sweep::Sweeper;
use crate::clock;
use crate::ui::View;

/// What the driver needs of an engine: the three calls of the core's contract.
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

/// Where a run is recorded.
pub trait Record {
    /// Appends the events, in order and whole. They are on their way to the disk when this returns, and only then the next order
    /// is performed. Events that follow one another without another order between them come in one call.
    ///
    /// # Errors
    /// Where not all were written. The driver does not call again: what the record holds is a run's beginning without gaps.
    fn append(&mut self, events: &[Event]) -> io::Result<()>;

    /// Creates a command's empty log, writable at its end.
    ///
    /// # Errors
    /// Where it cannot be created; the run ends then as for an event.
    fn open_log(&mut self, sh: &ShId) -> io::Result<File>;

    /// Makes the log of `recalled.from`, a command of the run that this one resumes, the log of `recalled.sh`, and reads from it
    /// what is asked for.
    ///
    /// # Errors
    /// For people: why there is no such log, or why it cannot be taken over or read.
    fn recall(&mut self, recalled: Recalled<'_>) -> Result<Captured, String> {
        Err(format!("there is no earlier run that has {}", recalled.from))
    }
}

/// The fields of a [`Output::Recall`].
#[derive(Debug, Clone, Copy)]
pub struct Recalled<'a> {
    /// The command of this run.
    pub sh: &'a ShId,
    /// The command of the earlier run.
    pub from: &'a ShId,
    /// What the answer keeps of its output; nothing where nobody wants it.
    pub tap: Option<Tap>,
    /// As its end was recorded.
    pub no_eol: &'a [Stream],
}

/// Who answers what scripts ask of the workspace.
pub trait Questions {
    /// The answer to a [`Output::Read`], [`Output::Write`], [`Output::Glob`] or [`Output::Hash`]; `None` for any other order.
    fn answer(&mut self, question: &Output) -> Option<Answer>;
}

/// Facts about the run that only the shell knows.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The run: what its commands carry in `QUIRE_SH` begins with it.
    pub run_id: RunId,
    /// Where commands start; absolute.
    pub workspace: PathBuf,
    /// What commands find in their environment before their own is added.
    pub env: BTreeMap<OsString, OsString>,
    /// What every log masks from the first byte on; [`Output::SetSecrets`] brings more.
    pub secrets: SecretSet,
    /// Whether every process that comes to this one as an orphan is of this run and ends with it: true in a quire-ci that has
    /// called [`super::become_subreaper`], false in a server.
    pub owns_orphans: bool,
    /// How long a swept process has between TERM and KILL.
    pub grace: Duration,
}

impl Setup {
    /// For a quire-ci: its orphans are the run's.
    pub fn new(run_id: RunId, workspace: PathBuf, env: BTreeMap<OsString, OsString>, secrets: SecretSet) -> Setup {
        Setup { run_id, workspace, env, secrets, owns_orphans: true, grace: GRACE }
    }
}

/// The rest of the shell, as the driver sees it.
pub struct Surroundings<'a> {
    /// Where the run is recorded.
    pub record: &'a mut dyn Record,
    /// Who watches.
    pub view: &'a mut dyn View,
    /// Who answers scripts.
    pub questions: &'a mut dyn Questions,
    /// INT, TERM, HUP and WINCH, where this process listens to them.
    pub signals: Option<&'a mut Signals>,
    /// What becomes [`Input::Fingerprint`]; present where the engine's configuration says that one follows.
    pub background: Option<Background>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// As the engine says.
    pub outcome: RunOutcome,
    /// The first signal that asked for the end, if one did: exit code 128 + this.
    pub signal: Option<i32>,
    /// Why the record could not be written, if it could not: an event, or a command's log.
    pub record_failure: Option<String>,
}

/// Performs a run from its first order to its last.
///
/// # Errors
/// Where the kernel refuses an event loop. Everything else is a fact for the engine.
pub fn drive(machine: &mut dyn Machine, setup: Setup, surroundings: Surroundings<'_>) -> io::Result<Ended> {
    let launcher = Launcher::new(setup.workspace, setup.env);
    let sweeper = Sweeper::new(setup.run_id, setup.owns_orphans, setup.grace);
    let mut reactor = Reactor::new(launcher, sweeper, setup.secrets)?;
    let Surroundings { record, view, questions, signals, background } = surroundings;
    if let Some(signals) = &signals {
        reactor.watch(signals.fd(), Watched::Signals)?;
    }
    if let Some(background) = &background {
        reactor.watch(background.fd(), Watched::Background)?;
    }
    Driver {
        machine,
        reactor,
        record,
        view,
        questions,
        signals,
        background,
        unwritten: Vec::new(),
        record_failure: None,
        ended_by: None,
    }
    .run()
}

/// Most orders performed without a look at what happened meanwhile: a script that asks and asks must not keep signals waiting.
const ORDERS_AT_ONCE: usize = 256;

/// What the loop does after performing orders.
enum Next {
    /// Ends.
    Done(RunOutcome),
    /// Looks for facts without waiting: the engine has more to say.
    LookUp,
    /// Waits for a fact or a deadline.
    Wait,
}

struct Driver<'a> {
    machine: &'a mut dyn Machine,
    reactor: Reactor,
    record: &'a mut dyn Record,
    view: &'a mut dyn View,
    questions: &'a mut dyn Questions,
    signals: Option<&'a mut Signals>,
    background: Option<Background>,
    /// Events ordered and not yet in the record; empty before any other order is performed and before the loop waits.
    unwritten: Vec<Event>,
    /// Why the record failed: nothing more is written to it, and nothing more is started.
    record_failure: Option<String>,
    ended_by: Option<i32>,
}

impl Driver<'_> {
    fn run(mut self) -> io::Result<Ended> {
        loop {
            let until = match self.perform_orders() {
                Next::Done(outcome) => {
                    return Ok(Ended { outcome, signal: self.ended_by, record_failure: self.record_failure });
                }
                Next::LookUp => Some(Mono::default()),
                Next::Wait => {
                    let deadlines = [self.machine.next_deadline(), self.view.deadline()];
                    deadlines.into_iter().flatten().min()
                }
            };
            self.reactor.wait(until, self.view)?;
            self.report_facts();
        }
    }

    /// Performs what the engine orders, until it has nothing more to say now, or for so long that a signal might wait.
    fn perform_orders(&mut self) -> Next {
        for _ in 0..ORDERS_AT_ONCE {
            match self.machine.poll_output() {
                Some(Output::Emit(event)) => self.unwritten.push(event),
                Some(order) => {
                    self.write_events();
                    if let Some(outcome) = self.perform(order) {
                        return Next::Done(outcome);
                    }
                    self.drain_reactor();
                }
                None if self.unwritten.is_empty() => return Next::Wait,
                // Writing may fail, and then the engine has more to say.
                None => self.write_events(),
            }
        }
        self.write_events();
        Next::LookUp
    }

    /// Performs one order; the last one tells how the run ended.
    fn perform(&mut self, order: Output) -> Option<RunOutcome> {
        match order {
            Output::Emit(event) => self.unwritten.push(event),
            Output::Spawn { sh, .. } if self.record_failure.is_some() => {
                let failure = SpawnFailure::Other { message: "not started: the record cannot be written".to_owned() };
                self.fact(Input::SpawnFailed { sh, failure });
            }
            Output::Spawn { sh, command, capture } => {
                let record = &mut *self.record;
                self.reactor.spawn(sh, command, &capture, |sh| record.open_log(sh));
            }
            Output::Recall { sh, from, tap, no_eol } => {
                let captured = self.record.recall(Recalled { sh: &sh, from: &from, tap, no_eol: &no_eol });
                self.fact(Input::Recalled { sh, captured });
            }
            Output::Signal { sh, signal } => self.reactor.signal(&sh, signal),
            Output::CloseOutput { sh } => self.reactor.close_output(&sh, self.view),
            Output::Sweep { scope } => self.reactor.sweep(scope, self.view),
            Output::SetSecrets(secrets) => self.reactor.set_secrets(secrets),
            Output::Read { ask, .. }
            | Output::Write { ask, .. }
            | Output::Glob { ask, .. }
            | Output::Hash { ask, .. } => {
                if let Some(answer) = self.questions.answer(&order) {
                    self.fact(Input::Answered { ask, answer });
                }
            }
            // The engine had ended when its last event could not be written: what is not recorded did not end well.
            Output::Done(_) if self.record_failure.is_some() => return Some(RunOutcome::Failed),
            Output::Done(outcome) => return Some(outcome),
        }
        None
    }

    /// Writes what was ordered to be written, then shows it.
    fn write_events(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let events = std::mem::take(&mut self.unwritten);
        if self.record_failure.is_none()
            && let Err(error) = self.record.append(&events)
        {
            let message = error.to_string();
            self.record_failure = Some(message.clone());
            self.fact(Input::RecordFailed { message });
        }
        let now = clock::now();
        for event in &events {
            self.view.event(now, event);
        }
    }

    fn report_facts(&mut self) {
        self.drain_reactor();
        if self.reactor.took(Watched::Signals) {
            let pending = self.signals.as_mut().map(|signals| signals.pending()).unwrap_or_default();
            for signal in pending {
                self.on_signal(signal);
            }
        }
        if self.reactor.took(Watched::Background)
            && let Some(background) = self.background.take()
        {
            let found = background.finish();
            if let Some((modified, untracked)) = found.dirty {
                self.view.dirty(clock::now(), modified, untracked);
            }
            self.fact(Input::Fingerprint(found.fingerprint));
        }
        let now = clock::now();
        if self.machine.next_deadline().is_some_and(|at| at <= now.mono) {
            self.machine.handle(now, Input::Tick);
        }
        if self.view.deadline().is_some_and(|at| at <= now.mono) {
            self.view.tick(now);
        }
    }

    fn on_signal(&mut self, signal: i32) {
        let now = clock::now();
        if signals::is_resize(signal) {
            return self.view.tick(now);
        }
        if self.ended_by.is_none() {
            self.ended_by = Some(signal);
            let name = quire_core::signal::name(signal);
            self.view.notice(now, &format!("{name}: ending the run's commands; once more to kill them at once"));
        } else {
            self.reactor.hurry(self.view);
        }
        self.fact(Input::Cancel);
    }

    fn drain_reactor(&mut self) {
        for fact in self.reactor.facts() {
            if let Input::RecordFailed { message } = &fact {
                self.record_failure.get_or_insert_with(|| message.clone());
            }
            self.fact(fact);
        }
    }

    fn fact(&mut self, input: Input) {
        self.machine.handle(clock::now(), input);
    }
}
