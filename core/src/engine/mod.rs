//! The engine: one run as a state machine. Facts in ([`Input`]), orders out ([`Output`]).
//!
//! - `definition`: the top level of the pipeline. `run`: how a run begins and ends. `job`: the phases of a job's attempt;
//!   `deferred`: its deferred functions.
//!   `replayed`: what an earlier run's record answers. `asking`: requests of scripts. `commands`: commands from request to end; `command`: one of them.
//! - `slots`, `timers`: small machines of their own. What may start is [`crate::scheduler`]'s.

mod asking;
mod command;
mod commands;
mod config;
mod deferred;
mod definition;
mod io;
mod job;
mod replayed;
mod run;
mod slots;
mod timers;

use std::collections::{BTreeMap, VecDeque};

pub use asking::READ_LIMIT;
pub use command::{in_shell, job_environment, quoted, speaks_sh};
pub use config::{Compiler, Config, FennelCompiler, Limits, Source};
pub use definition::{Defined, Defining, Definition};
pub use io::{Answer, Ask, CommandSpec, ExitStatus, GRACE, Input, Output, Scope, Signal, SpawnFailure};

use self::command::Command;
use self::job::Job;
use self::run::Phase;
use self::slots::{CommandId, Slots};
use self::timers::{Timer, Timers};
use crate::ids::ShId;
use crate::pipeline::Diagnostic;
use crate::recorder::{Recorder, RuntimeEvent};
use crate::redact::SecretSet;
use crate::replay::Answers;
use crate::scheduler::Scheduler;
use crate::time::{Mono, Now};
use crate::wire::RunOutcome;

/// Who waits for an answer of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Definition,
    Job(usize),
}

/// What a request counts as work of a script.
const REQUEST_EFFORT: u32 = 32;
/// What a whole slice counts: it takes as long as many requests.
const SLICE_EFFORT: u32 = 256;
/// Work after which the host gets to look around.
const TURN: u32 = SLICE_EFFORT;
/// Work after which deadlines do not wait for scripts to come to rest any more.
const PATIENCE: u32 = 16 * SLICE_EFFORT;
/// Work after which scripts that never come to rest let others have a turn: more than a script's whole budget of instructions.
const FAIR: u32 = 2_100 * SLICE_EFFORT;

/// One run.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    /// The time of the fact that is being worked on.
    now: Now,
    /// The latest time that is known.
    latest: Now,
    /// What happened and waits for scripts to come to rest.
    facts: VecDeque<(Now, Input)>,
    /// Cancels and failures of the record: they wait for nothing.
    urgent: VecDeque<(Now, Input)>,
    /// Work of scripts since the latest fact was taken.
    effort: u32,
    outputs: VecDeque<Output>,
    recorder: Recorder,
    secrets: SecretSet,
    phase: Phase,
    scheduler: Option<Scheduler>,
    defined: Option<Defined>,
    jobs: Vec<Job>,
    /// Jobs whose script can go on, in the order in which it became so.
    ready: VecDeque<usize>,
    commands: BTreeMap<CommandId, Command>,
    by_sh: BTreeMap<ShId, CommandId>,
    next_command: CommandId,
    slots: Slots,
    timers: Timers,
    asks: BTreeMap<Ask, Asker>,
    next_ask: u64,
    /// How often someone wanted the run to end.
    cancels: u32,
    record_failure: Option<String>,
    diagnostics: Vec<Diagnostic>,
    fingerprint: Option<Option<String>>,
}

impl Engine {
    /// A run that begins now.
    pub fn new(config: Config, now: Now) -> Engine {
        let definition = Definition::new(&config.source, &config.limits, config.seed);
        Engine {
            now,
            latest: now,
            facts: VecDeque::new(),
            urgent: VecDeque::new(),
            effort: 0,
            outputs: VecDeque::new(),
            recorder: Recorder::new(),
            secrets: config.secret_set.clone(),
            phase: Phase::Defining { definition: Box::new(definition), waiting: false },
            scheduler: None,
            defined: None,
            jobs: Vec::new(),
            ready: VecDeque::new(),
            commands: BTreeMap::new(),
            by_sh: BTreeMap::new(),
            next_command: 1,
            slots: Slots::new(config.slots),
            timers: Timers::default(),
            asks: BTreeMap::new(),
            next_ask: 1,
            cancels: 0,
            record_failure: None,
            diagnostics: Vec::new(),
            fingerprint: None,
            config,
        }
    }

    /// Records a fact. Nothing runs until [`Engine::poll_output`].
    pub fn handle(&mut self, now: Now, input: Input) {
        if now.mono >= self.latest.mono {
            self.latest = now;
        }
        match input {
            Input::Tick => {}
            Input::Cancel | Input::RecordFailed { .. } => self.urgent.push_back((now, input)),
            input => self.facts.push_back((now, input)),
        }
    }

    /// The next order, or `None` where there is nothing to do before the next fact or deadline. Lua runs in here, in slices:
    /// after one that did not finish, `None` is returned with a deadline of "now", so that its host can look around.
    ///
    /// Cancel, a failed record and deadlines take hold at the next slice's border. All other facts wait until no script can go
    /// on, so that it makes no difference how early they are drained; but a script that never rests does not keep them waiting
    /// for ever.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let mut turn = 0;
        if self.is_busy() && self.facts.is_empty() && self.outputs.is_empty() {
            self.now = self.latest;
        }
        loop {
            if let Some((now, input)) = self.urgent.pop_front() {
                // Ahead of orders too: a lost record takes them back.
                self.on_fact(now, input);
                continue;
            }
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if matches!(self.phase, Phase::Done) {
                self.facts.clear();
                return None;
            }
            if let Some(timer) = self.due_timer() {
                self.on_timer(timer);
            } else if let Some(command) = self.slots.grant() {
                self.start_command(command);
            } else if self.is_busy() && self.effort < FAIR {
                if turn >= TURN {
                    return None;
                }
                let effort = if self.run_slice() { REQUEST_EFFORT } else { SLICE_EFFORT };
                turn += effort;
                self.effort += effort;
            } else {
                self.effort = 0;
                if !self.start_something() {
                    match self.facts.pop_front() {
                        Some((now, fact)) => self.on_fact(now, fact),
                        None if self.is_busy() => {}
                        None => return None,
                    }
                }
            }
        }
    }

    /// When to call [`Engine::handle`] with [`Input::Tick`] at the latest. A point not after the last `now` means at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if matches!(self.phase, Phase::Done) {
            return None;
        }
        if self.is_busy() || !self.facts.is_empty() || !self.urgent.is_empty() || !self.outputs.is_empty() {
            return Some(self.now.mono);
        }
        self.timers.next()
    }

    /// What is wrong with the pipeline, where the run failed for that.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether a script could go on right now.
    fn is_busy(&self) -> bool {
        !self.ready.is_empty() || matches!(self.phase, Phase::Defining { waiting: false, .. })
    }

    /// The next timer that is due. Where scripts rest, what happened before it comes first. A script that goes on and on does
    /// not put off deadlines, but for those of commands of whose end a fact tells that waits.
    fn due_timer(&mut self) -> Option<Timer> {
        let first = self.timers.next()?;
        if first > self.now.mono && first <= self.latest.mono {
            if self.facts.is_empty() {
                self.now = self.latest;
            } else if self.effort >= PATIENCE {
                let overdue = self.timers.due(self.latest.mono).find(|timer| self.is_certain(*timer))?;
                self.timers.clear(overdue);
                self.now = self.latest;
                return Some(overdue);
            }
        }
        self.timers.pop_due(self.now.mono)
    }

    /// Whether no fact that waits can unset the timer.
    fn is_certain(&self, timer: Timer) -> bool {
        match timer {
            Timer::Job(job) | Timer::Deferred(job) => self.ready.contains(&job),
            Timer::Command(id) | Timer::Kill(id) | Timer::Close(id) => {
                let of_command = self.commands.get(&id).and_then(|command| command.sh.as_ref());
                !self.facts.iter().any(|(_, fact)| of_command.is_some() && ended_sh(fact) == of_command)
            }
        }
    }

    fn on_fact(&mut self, now: Now, input: Input) {
        if now.mono >= self.now.mono {
            self.now = now;
        }
        match input {
            Input::SpawnFailed { sh, failure } => self.on_spawn_failed(&sh, failure),
            Input::Exited { sh, status } => self.on_exited(&sh, status),
            Input::OutputEnded { sh, captured } => self.on_output_ended(&sh, captured),
            Input::OutputLimitReached { sh } => self.on_output_limit(&sh),
            Input::OutputIdle { sh } => self.on_output_idle(&sh),
            Input::Recalled { sh, captured } => self.on_recalled(&sh, captured),
            Input::Swept { scope } => self.on_swept(&scope),
            Input::Answered { ask, answer } => self.on_answered(ask, answer),
            Input::Fingerprint(fingerprint) => {
                self.fingerprint = Some(fingerprint);
                self.conclude();
            }
            Input::Cancel => self.on_cancel(),
            Input::RecordFailed { message } => self.on_record_failed(message),
            Input::Tick => {}
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Job(job) => self.on_job_timeout(job),
            Timer::Deferred(job) => self.on_deferred_timeout(job),
            Timer::Command(command) => self.on_command_timeout(command),
            Timer::Kill(command) => self.signal(command, Signal::Kill),
            Timer::Close(command) => self.close_output(command),
        }
    }

    /// Runs one slice of what is ready; whether it came to a point of rest.
    fn run_slice(&mut self) -> bool {
        match self.ready.pop_front() {
            Some(job) => self.run_job_slice(job),
            None => self.run_definition_slice(),
        }
    }

    /// Starts a job that a slot is free for, or ends a run that has none left.
    fn start_something(&mut self) -> bool {
        if !matches!(self.phase, Phase::Running) {
            return false;
        }
        let Some(scheduler) = &mut self.scheduler else { return false };
        let slots = &self.slots;
        let jobs = &self.jobs;
        let needs_no_slot =
            |index: &usize| jobs.get(*index).is_some_and(|job| matches!(job.answers, Answers::Whole(_)));
        if let Some(index) = scheduler.next_ready().filter(|index| slots.is_free() || needs_no_slot(index)) {
            scheduler.start(index);
            self.start_job(index);
            return true;
        }
        if scheduler.is_over() {
            self.end_run();
            return true;
        }
        false
    }

    /// Orders an event to be written, unless the record is lost.
    fn record(&mut self, event: RuntimeEvent) {
        if self.record_failure.is_none() {
            let secrets = &self.secrets;
            let event = self.recorder.record(self.now.wall, event, &|text| secrets.mask(text));
            self.outputs.push_back(Output::Emit(event));
        }
    }

    fn ask(&mut self, asker: Asker) -> Ask {
        let ask = Ask(self.next_ask);
        self.next_ask += 1;
        self.asks.insert(ask, asker);
        ask
    }

    fn done(&mut self, outcome: RunOutcome) {
        self.phase = Phase::Done;
        self.outputs.push_back(Output::Done(outcome));
    }
}

/// The command of whose end the fact tells.
fn ended_sh(fact: &Input) -> Option<&ShId> {
    match fact {
        Input::SpawnFailed { sh, .. } | Input::Exited { sh, .. } | Input::OutputEnded { sh, .. } => Some(sh),
        Input::OutputLimitReached { .. }
        | Input::OutputIdle { .. }
        | Input::Recalled { .. }
        | Input::Swept { .. }
        | Input::Answered { .. }
        | Input::Fingerprint(_)
        | Input::Cancel
        | Input::RecordFailed { .. }
        | Input::Tick => None,
    }
}
