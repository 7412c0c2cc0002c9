//! The loop around an engine: performs its orders, waits, reports facts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use quire_core::capture::CaptureSpec;
use quire_core::engine::{Answer, Ask, CommandSpec, GRACE, Input, Output, Scope, Signal};
use quire_core::ids::{RunId, ShId};
use quire_core::redact::SecretSet;
use quire_core::time::Mono;
use quire_core::wire::{Event, RunOutcome};

use super::background::Background;
use super::orders::{Hands, Machine, Next, Orders};
use super::reactor::{Reactor, Watched};
use super::record::Record;
use super::signals::{self, Signals};
use super::spawn::Launcher;
use super::sweep::Sweeper;
use crate::clock;
use crate::ui::View;

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
    let hands = Local { reactor, view, questions };
    Driver { machine, orders: Orders::default(), hands, record, signals, background, ended_by: None }.run()
}

/// This process itself performs what is ordered.
struct Local<'a> {
    reactor: Reactor,
    view: &'a mut dyn View,
    questions: &'a mut dyn Questions,
}

impl Hands for Local<'_> {
    fn spawn(&mut self, sh: ShId, command: CommandSpec, capture: &CaptureSpec, record: &mut dyn Record) {
        self.reactor.spawn(sh, command, capture, |sh| record.open_log(sh));
    }

    fn signal(&mut self, sh: &ShId, signal: Signal) {
        self.reactor.signal(sh, signal);
    }

    fn close_output(&mut self, sh: &ShId) {
        self.reactor.close_output(sh, self.view);
    }

    fn sweep(&mut self, scope: Scope) {
        self.reactor.sweep(scope, self.view);
    }

    fn set_secrets(&mut self, secrets: SecretSet) {
        self.reactor.set_secrets(secrets);
    }

    fn ask(&mut self, _ask: Ask, question: Output) -> Option<Answer> {
        self.questions.answer(&question)
    }

    fn written(&mut self, events: &[Event]) {
        let now = clock::now();
        for event in events {
            self.view.event(now, event);
        }
    }

    fn facts(&mut self) -> Vec<Input> {
        self.reactor.facts()
    }
}

struct Driver<'a> {
    machine: &'a mut dyn Machine,
    orders: Orders,
    hands: Local<'a>,
    record: &'a mut dyn Record,
    signals: Option<&'a mut Signals>,
    background: Option<Background>,
    ended_by: Option<i32>,
}

impl Driver<'_> {
    fn run(mut self) -> io::Result<Ended> {
        loop {
            let until = match self.orders.perform(self.machine, self.record, &mut self.hands) {
                Next::Done(outcome) => {
                    let record_failure = self.orders.into_record_failure();
                    return Ok(Ended { outcome, signal: self.ended_by, record_failure });
                }
                Next::LookUp => Some(Mono::default()),
                Next::Wait => {
                    let deadlines = [self.machine.next_deadline(), self.hands.view.deadline()];
                    deadlines.into_iter().flatten().min()
                }
            };
            self.hands.reactor.wait(until, self.hands.view)?;
            self.report_facts();
        }
    }

    fn report_facts(&mut self) {
        self.orders.report(self.machine, &mut self.hands);
        if self.hands.reactor.took(Watched::Signals) {
            let pending = self.signals.as_mut().map(|signals| signals.pending()).unwrap_or_default();
            for signal in pending {
                self.on_signal(signal);
            }
        }
        if self.hands.reactor.took(Watched::Background)
            && let Some(background) = self.background.take()
        {
            let found = background.finish();
            if let Some((modified, untracked)) = found.dirty {
                self.hands.view.dirty(clock::now(), modified, untracked);
            }
            self.fact(Input::Fingerprint(found.fingerprint));
        }
        let now = clock::now();
        if self.machine.next_deadline().is_some_and(|at| at <= now.mono) {
            self.machine.handle(now, Input::Tick);
        }
        if self.hands.view.deadline().is_some_and(|at| at <= now.mono) {
            self.hands.view.tick(now);
        }
    }

    fn on_signal(&mut self, signal: i32) {
        let now = clock::now();
        if signals::is_resize(signal) {
            return self.hands.view.tick(now);
        }
        if self.ended_by.is_none() {
            self.ended_by = Some(signal);
            let name = quire_core::signal::name(signal);
            self.hands.view.notice(now, &format!("{name}: ending the run's commands; once more to kill them at once"));
        } else {
            self.hands.reactor.hurry(self.hands.view);
        }
        self.fact(Input::Cancel);
    }

    fn fact(&mut self, input: Input) {
        self.machine.handle(clock::now(), input);
    }
}
