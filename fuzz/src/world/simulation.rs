//! The simulated shell around a real engine: takes orders, lets time pass, tells facts. No threads, no sleeps.

use std::collections::{BTreeMap, BTreeSet};

use quire_core::capture::{Capture, Notice};
use quire_core::engine::{Engine, Input, Output};
use quire_core::ids::{JobId, ShId};
use quire_core::redact::SecretSet;
use quire_core::time::Now;
use quire_core::wire::{Event, EventKind, FailureKind, RunOutcome, encode};

use super::fault::Fault;
use super::given::{When, World};
use super::machine::{Killed, Machine, RunDir};
use super::process::Process;
use super::rows::RowWriter;
use super::story::{line, order_line};
use super::violated;

/// More looks around than any run of a world needs.
const MOST_LOOKS: usize = 1_000_000;
/// More time than any run of a world needs, in milliseconds.
const MOST_MS: u64 = 24 * 3_600_000;
/// More orders without a look around than any engine has.
const MOST_ORDERS: usize = 1_000_000;

/// What will happen by itself.
#[derive(Debug)]
pub(super) enum Happening {
    /// A command goes on, unless it has been ended (its life is over) meanwhile.
    Step(ShId),
    /// What a command has printed is read.
    Read(ShId),
    /// What held a command's output lets go.
    LetGo(ShId),
    /// A fact, and the order that caused it.
    Fact(Input, usize),
}

/// One run in its world: one life of a shell.
#[derive(Debug)]
pub struct Simulation {
    pub(super) world: World,
    pub(super) machine: Machine,
    pub(super) engine: Engine,
    begun_ms: u64,
    /// How long this shell was held up, by scripts or faults, in milliseconds.
    pub(super) held_up_ms: u64,
    seq: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    pub(super) processes: BTreeMap<ShId, Process>,
    /// Those whose output has not ended.
    pub(super) with_output: BTreeSet<ShId>,
    /// How often each command text was started.
    pub(super) started: BTreeMap<String, usize>,
    pub(super) secrets: SecretSet,
    /// Entries on their way to a log.
    pub(super) entries: Vec<u8>,
    /// Orders to write an event that wait, by their place in `orders`.
    unwritten: Vec<usize>,
    events_written: usize,
    lines: Vec<u8>,
    rows: RowWriter,
    /// Nothing is written to the record any more.
    pub(super) record_failed: bool,
    cancels: u32,
    /// The engine has nothing more to say for now.
    quiet: bool,
    /// Why nothing may be started any more.
    pub(super) nothing_starts: Option<&'static str>,
    /// Commands that the record holds, by job.
    recorded_commands: BTreeMap<JobId, u32>,
    /// Commands without an end in the record.
    open: BTreeSet<ShId>,
    pub(super) most_running: usize,
    pub(super) orders: Vec<Output>,
    /// What was recorded or performed: when, and which order that was.
    told: Vec<(u64, usize)>,
    pub(super) facts: Vec<(Now, Input, usize)>,
    /// Commands whose logs were taken over: from which, and whether their jobs are answered whole.
    pub(super) recalled: BTreeMap<ShId, (ShId, bool)>,
    /// Reads of output.
    pub(super) reads: usize,
    pub(super) done: Option<RunOutcome>,
}

impl Simulation {
    /// Before the first order.
    pub fn new(world: World, mut machine: Machine) -> Simulation {
        machine.runs.insert(world.config.run_id.clone(), RunDir::default());
        let engine = Engine::new(world.config.clone(), machine.clock.now());
        let mut simulation = Simulation {
            engine,
            begun_ms: machine.clock.ms(),
            held_up_ms: 0,
            seq: 0,
            queue: BTreeMap::new(),
            processes: BTreeMap::new(),
            with_output: BTreeSet::new(),
            started: BTreeMap::new(),
            secrets: world.config.secret_set.clone(),
            entries: Vec::new(),
            unwritten: Vec::new(),
            events_written: 0,
            lines: Vec::new(),
            rows: RowWriter::new(world.config.run_id.clone()),
            record_failed: false,
            cancels: 0,
            quiet: false,
            nothing_starts: None,
            recorded_commands: BTreeMap::new(),
            open: BTreeSet::new(),
            most_running: 0,
            orders: Vec::new(),
            told: Vec::new(),
            facts: Vec::new(),
            recalled: BTreeMap::new(),
            reads: 0,
            done: None,
            world,
            machine,
        };
        for (when, input) in simulation.world.outside.clone() {
            if let When::Ms(ms) = when {
                simulation.push(simulation.ms() + ms, Happening::Fact(input, 0));
            }
        }
        simulation
    }

    /// To the last order; `None` where the shell was killed before.
    ///
    /// # Panics
    /// Where an invariant does not hold.
    pub fn play(&mut self) -> Option<RunOutcome> {
        let ended = self.play_to_the_end();
        if ended.is_ok() {
            self.check_end();
        }
        ended.ok()
    }

    fn play_to_the_end(&mut self) -> Result<RunOutcome, Killed> {
        for _ in 0..MOST_LOOKS {
            self.drain()?;
            if let Some(outcome) = self.done {
                if self.record_failed {
                    self.rows.close(FailureKind::Record);
                }
                self.rows.write(&mut self.machine, 0)?;
                return Ok(outcome);
            }
            self.rows.write(&mut self.machine, self.world.shell.events_a_commit)?;
            self.look_around()?;
        }
        violated("after_the_last_fault_the_world_falls_quiet", &"the run never ends")
    }

    fn check_end(&mut self) {
        let violated = |detail: &dyn std::fmt::Debug| violated("nothing_is_left_at_the_end", detail);
        if let Some(order) = self.engine.poll_output() {
            violated(&("an order follows the end", order));
        }
        if self.engine.next_deadline().is_some() {
            violated(&"something is waited for after the end");
        }
        if let Some((sh, _)) = self.processes.iter().find(|(_, it)| !it.exited || it.capture.is_some()) {
            violated(&(sh, "is left"));
        }
        let is_told = self.open.is_empty() && self.rows.pairing.is_finished();
        if !is_told && !self.record_failed {
            violated(&("without an end in the record", &self.open));
        }
        let took = self.ms() - self.begun_ms;
        if took > MOST_MS {
            super::violated("after_the_last_fault_the_world_falls_quiet", &("it took so many ms", took));
        }
        if !self.rows.pairing.irregularities().is_empty() {
            violated(&self.rows.pairing.irregularities());
        }
    }

    /// The monotonic clock, in milliseconds.
    pub(super) fn ms(&self) -> u64 {
        self.machine.clock.ms()
    }

    /// The run's directory.
    pub(super) fn dir(&mut self) -> &mut RunDir {
        self.machine.runs.entry(self.world.config.run_id.clone()).or_default()
    }

    /// Recorded events, as they were ordered.
    pub(super) fn recorded(&self) -> impl Iterator<Item = &Event> {
        self.told.iter().filter_map(|(_, order)| match self.orders.get(*order) {
            Some(Output::Emit(event)) => Some(event),
            _ => None,
        })
    }

    /// What was recorded and performed, as lines with their times in ms.
    pub(super) fn script(&self) -> Vec<(u64, String)> {
        let told = self.told.iter().filter_map(|(ms, order)| Some((*ms, order_line(self.orders.get(*order)?))));
        told.collect()
    }

    /// How many facts the engine was told.
    pub fn facts(&self) -> &[(Now, Input, usize)] {
        &self.facts
    }

    pub(super) fn push(&mut self, ms: u64, happening: Happening) {
        self.seq += 1;
        self.queue.insert((ms, self.seq), happening);
    }

    pub(super) fn fact(&mut self, input: Input, cause: usize) {
        if matches!(input, Input::Cancel) {
            self.cancels += 1;
            if self.cancels > 1 && self.quiet {
                self.nothing_starts = Some("it was cancelled twice");
            }
        }
        if matches!(input, Input::RecordFailed { .. }) {
            self.nothing_starts = Some("the record was lost");
        }
        if let Input::Exited { sh, .. } | Input::OutputEnded { sh, .. } = &input
            && let Some(process) = self.processes.get_mut(sh)
        {
            process.facts_of_end += 1;
            if matches!(input, Input::Exited { .. }) {
                process.exit_told_ms = Some(self.machine.clock.ms());
            }
        }
        let now = self.machine.clock.now();
        self.facts.push((now, input.clone(), cause));
        self.engine.handle(now, input);
    }

    /// Performs orders until there are no more, or it is time to look around.
    fn drain(&mut self) -> Result<(), Killed> {
        self.quiet = false;
        for performed in 0..MOST_ORDERS {
            if performed >= self.world.shell.orders_at_once {
                self.write_events()?;
                return Ok(());
            }
            let place = self.orders.len();
            match self.engine.poll_output() {
                None => {
                    if !self.write_events()? {
                        self.quiet = true;
                        return Ok(());
                    }
                }
                Some(order @ Output::Emit(_)) => {
                    self.orders.push(order);
                    self.unwritten.push(place);
                    if !self.world.shell.gathers {
                        self.write_events()?;
                    }
                }
                Some(order) => {
                    self.write_events()?;
                    self.machine.point()?;
                    self.told.push((self.ms(), place));
                    let performed = self.perform(&order, place + 1);
                    self.orders.push(order);
                    performed?;
                    self.machine.point()?;
                }
            }
            if self.done.is_some() {
                return Ok(());
            }
        }
        violated("after_the_last_fault_the_world_falls_quiet", &"the engine never stops ordering")
    }

    /// Appends the events that wait to the record; whether the engine may have more to say for it. If one cannot be written,
    /// none that was to be written with it stays.
    fn write_events(&mut self) -> Result<bool, Killed> {
        let mut batch = std::mem::take(&mut self.unwritten);
        if batch.is_empty() || self.record_failed {
            return Ok(false);
        }
        let begin = self.dir().events.len();
        let mut failed = false;
        for (written, place) in batch.iter().enumerate() {
            let Some(Output::Emit(event)) = self.orders.get(*place) else { continue };
            let mut lines = std::mem::take(&mut self.lines);
            lines.clear();
            encode(event, &mut lines);
            let cut = self.machine.write_point(lines.len());
            self.dir().events.extend_from_slice(&lines[..cut.unwrap_or(lines.len())]);
            self.lines = lines;
            if cut.is_some() {
                return Err(Killed);
            }
            let is_full = |fault| matches!(fault, Fault::EventUnwritten).then_some(());
            if self.world.unwritable == Some(self.events_written + written) {
                let end = self.dir().events.len() - self.lines.len();
                self.dir().events.truncate(end);
                batch.truncate(written);
                failed = true;
                break;
            }
            if self.machine.plan.strike(is_full).is_some() {
                self.dir().events.truncate(begin);
                batch.clear();
                failed = true;
                break;
            }
        }
        let mut end = u64::try_from(begin).unwrap_or(u64::MAX);
        for place in &batch {
            end = self.recorded_one(*place, end);
        }
        self.events_written += batch.len();
        batch.clear();
        self.unwritten = batch;
        if failed {
            self.record_failed = true;
            self.fact(Input::RecordFailed { message: "disk full".into() }, 0);
        }
        Ok(true)
    }

    /// An event is in the record: who follows it learns of it. Returns where its line ends.
    fn recorded_one(&mut self, place: usize, begin: u64) -> u64 {
        if self.done.is_some() {
            violated("nothing_is_left_at_the_end", &"an event is recorded after the end");
        }
        let Some(Output::Emit(event)) = self.orders.get(place) else { return begin };
        self.lines.clear();
        encode(event, &mut self.lines);
        let end = begin + self.lines.len() as u64;
        self.rows.send(event, end);
        match &event.kind {
            EventKind::ShStarted(started) => {
                let n = self.recorded_commands.entry(started.job_id.clone()).or_default();
                *n += 1;
                self.open.insert(ShId { job: started.job_id.clone(), n: *n });
            }
            EventKind::ShFinished(finished) => {
                let of_job = |sh: &&ShId| sh.job == finished.job_id && finished.sh.is_none_or(|n| n == sh.n);
                match self.open.iter().find(of_job).cloned() {
                    Some(sh) => self.open.remove(&sh),
                    None => violated("what_ends_was_open", finished),
                };
            }
            _ => {}
        }
        self.told.push((self.machine.clock.ms(), place));
        if self.world.outside.iter().any(|(when, _)| matches!(when, When::Line(_))) {
            let text = line(event);
            let now = |(when, _): &mut (When, Input)| matches!(when, When::Line(start) if text.starts_with(*start));
            let due: Vec<(When, Input)> = self.world.outside.extract_if(.., now).collect();
            for (_, input) in due {
                self.fact(input, 0);
            }
        }
        end
    }

    /// Whether the record holds the start of this command.
    pub(super) fn is_recorded(&self, sh: &ShId) -> bool {
        self.recorded_commands.get(&sh.job).is_some_and(|n| sh.n <= *n)
    }

    /// To what comes next: a deadline of the engine's, of a capture's, or something that happens; and tells of it.
    fn look_around(&mut self) -> Result<(), Killed> {
        self.machine.point()?;
        while self.machine.plan.strike(|fault| matches!(fault, Fault::Cancel).then_some(())).is_some() {
            self.fact(Input::Cancel, 0);
        }
        let engine = self.engine.next_deadline().map(|mono| mono.0.div_ceil(1_000_000));
        let is_busy = engine.is_some_and(|at| at <= self.ms());
        if is_busy || !self.quiet {
            self.machine.clock.pass(self.world.slice_ms);
            self.held_up_ms += self.world.slice_ms;
            if self.world.slice_ms > 0 || !self.quiet {
                self.happen_while_due(MOST_ORDERS)?;
            }
            if is_busy {
                self.fact(Input::Tick, 0);
            }
            return Ok(());
        }
        let (capture, happening) = (self.capture_deadline(), self.next_happening());
        let Some(next) = [engine, capture, happening].into_iter().flatten().min() else {
            violated("after_the_last_fault_the_world_falls_quiet", &"the run waits for nothing")
        };
        self.machine.clock.pass_to(next);
        let late = |fault| match fault {
            Fault::LookLate(ms) => Some(ms),
            _ => None,
        };
        if let Some(ms) = self.machine.plan.strike(late) {
            self.machine.clock.pass(u64::from(ms));
            self.held_up_ms += u64::from(ms);
        }
        if self.world.shell.facts_at_once <= 1 {
            return if engine == Some(next) {
                self.fact(Input::Tick, 0);
                Ok(())
            } else {
                self.happen()
            };
        }
        self.happen_while_due(self.world.shell.facts_at_once)?;
        if engine.is_some_and(|at| at <= self.ms()) {
            self.fact(Input::Tick, 0);
        }
        Ok(())
    }

    fn happen_while_due(&mut self, most: usize) -> Result<(), Killed> {
        for _ in 0..most {
            if !self.is_due() {
                break;
            }
            self.happen()?;
        }
        Ok(())
    }

    fn next_happening(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((ms, _), _)| *ms)
    }

    fn capture_deadline(&self) -> Option<u64> {
        let open = self.with_output.iter().filter_map(|sh| self.processes.get(sh));
        let captures = open.filter_map(|process| process.capture.as_ref());
        captures.filter_map(Capture::deadline).min().map(|mono| mono.0.div_ceil(1_000_000))
    }

    /// Whether something that is not the engine's is due.
    fn is_due(&self) -> bool {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= self.ms());
        due(self.next_happening()) || due(self.capture_deadline())
    }

    /// The next thing that is due, captures first.
    fn happen(&mut self) -> Result<(), Killed> {
        if self.capture_deadline().is_some_and(|at| at <= self.ms()) {
            return self.look_at_captures();
        }
        match self.queue.pop_first() {
            Some((_, Happening::Fact(input, cause))) => self.fact(input, cause),
            Some((_, Happening::Step(sh))) => self.step(&sh)?,
            Some((_, Happening::Read(sh))) => self.read(&sh)?,
            Some((_, Happening::LetGo(sh))) => self.let_go(&sh)?,
            None => {}
        }
        Ok(())
    }

    fn look_at_captures(&mut self) -> Result<(), Killed> {
        let now = self.machine.clock.now();
        let is_due = |sh: &&ShId| {
            let capture = self.processes.get(*sh).and_then(|process| process.capture.as_ref());
            capture.and_then(Capture::deadline).is_some_and(|at| at <= now.mono)
        };
        let due: Vec<ShId> = self.with_output.iter().filter(is_due).cloned().collect();
        for sh in due {
            let Some(Process { capture: Some(capture), cause, .. }) = self.processes.get_mut(&sh) else { continue };
            let (notice, cause) = (capture.on_deadline(now, &mut self.entries), *cause);
            self.write_log(&sh)?;
            if notice == Some(Notice::Idle) {
                self.fact(Input::OutputIdle { sh }, cause);
            }
        }
        Ok(())
    }
}
