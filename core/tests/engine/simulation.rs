//! The simulated shell: a virtual clock, commands whose text says what they do, files in a map. No threads, no sleeps.
//!
//! A command is statements between `;`, run from left to right: `ok`, `print TEXT` (a line), `put TEXT` (no line end), `err TEXT`,
//! `bytes N`, `late N` (so many bytes wait in the pipe when it exits), `sleep SECONDS`, `fail CODE`, `signal N`, `deaf` (TERM
//! does nothing from here on), `term CODE` (exits so on TERM), `linger SECONDS` (something holds the output so long after the
//! exit), `closes` (its output ends now, it goes on), `fail_first N` (the first N commands of this very text fail), `cat`,
//! `pwd`, `getenv NAME`. As its only word, `missing`, `nocwd` or `broken`: it does not start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quire_core::capture::{Capture, CaptureSpec, Captured, Notice};
use quire_core::engine::{Answer, CommandSpec, Engine, ExitStatus, Input, Output, Scope, Signal, SpawnFailure};
use quire_core::ids::ShId;
use quire_core::pairing::Pairing;
use quire_core::redact::SecretSet;
use quire_core::replay::Recall;
use quire_core::wire::{Event, EventKind, RunOutcome, Stream};

use crate::world::{Story, When, World, at, line, order_line};

/// What will happen by itself.
#[derive(Debug)]
enum Happening {
    /// A command goes on, unless it has been ended (its life is over) meanwhile.
    Step(ShId),
    /// What held a command's output lets go.
    LetGo(ShId),
    /// A fact, and the order that caused it.
    Fact(Input, usize),
}

#[derive(Debug)]
struct Process {
    statements: Vec<String>,
    next: usize,
    spec: CommandSpec,
    capture: Option<Capture>,
    log: Vec<u8>,
    cause: usize,
    deaf: bool,
    on_term: Option<i32>,
    linger_ms: u64,
    late: usize,
    exited: bool,
}

/// The world and the engine in it.
pub struct Simulation {
    world: World,
    engine: Engine,
    ms: u64,
    seq: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    processes: BTreeMap<ShId, Process>,
    /// How often each command text was started.
    started: BTreeMap<String, usize>,
    secrets: SecretSet,
    unwritten: Vec<Event>,
    written: usize,
    broken: bool,
    done: Option<RunOutcome>,
    story: Story,
    pairing: Pairing,
    open: BTreeSet<ShId>,
}

impl Simulation {
    /// Before the first order.
    pub fn new(world: World) -> Simulation {
        let story = Story {
            events: Vec::new(),
            script: Vec::new(),
            orders: Vec::new(),
            facts: Vec::new(),
            outcome: RunOutcome::Failed,
            diagnostics: Vec::new(),
            logs: BTreeMap::new(),
            raw_logs: BTreeMap::new(),
            files: world.files.clone(),
            most_running: 0,
            spawned: BTreeMap::new(),
        };
        let mut simulation = Simulation {
            engine: Engine::new(world.config.clone(), at(0)),
            ms: 0,
            seq: 0,
            queue: BTreeMap::new(),
            processes: BTreeMap::new(),
            started: BTreeMap::new(),
            secrets: world.config.secret_set.clone(),
            unwritten: Vec::new(),
            written: 0,
            broken: false,
            done: None,
            story,
            pairing: Pairing::new(world.config.run_id.clone()),
            open: BTreeSet::new(),
            world,
        };
        for (when, input) in simulation.world.outside.clone() {
            if let When::Ms(ms) = when {
                simulation.push(ms, Happening::Fact(input, 0));
            }
        }
        simulation
    }

    /// To the last order.
    pub fn play(mut self) -> Story {
        for _ in 0..1_000_000 {
            self.drain();
            if let Some(outcome) = self.done {
                self.story.outcome = outcome;
                self.check_end();
                return self.story;
            }
            self.advance();
        }
        panic!("the run never ends: {:#?}", self.story.script.iter().rev().take(20).collect::<Vec<_>>());
    }

    fn check_end(&mut self) {
        assert_eq!(self.engine.poll_output(), None, "nothing follows the end");
        assert_eq!(self.engine.next_deadline(), None, "nothing is waited for after the end");
        self.story.diagnostics = self.engine.diagnostics().to_vec();
        for (sh, process) in &self.processes {
            assert!(process.exited && process.capture.is_none(), "{sh} is left");
        }
        if !self.broken {
            assert_eq!(self.open, BTreeSet::new(), "every command has its end in the record");
            assert!(self.pairing.is_finished(), "the run has its end in the record");
        }
        assert!(self.pairing.irregularities().is_empty(), "{:?}", self.pairing.irregularities());
    }

    fn push(&mut self, ms: u64, happening: Happening) {
        self.seq += 1;
        self.queue.insert((ms, self.seq), happening);
    }

    fn fact(&mut self, input: Input, cause: usize) {
        self.story.facts.push((at(self.ms), input.clone(), cause));
        self.engine.handle(at(self.ms), input);
    }

    /// Performs orders until there are no more.
    fn drain(&mut self) {
        for _ in 0..1_000_000 {
            let Some(order) = self.engine.poll_output() else {
                if self.write_events() {
                    return;
                }
                continue;
            };
            self.story.orders.push(order.clone());
            if let Output::Emit(event) = order {
                self.unwritten.push(event);
                if !self.world.gathers {
                    self.write_events();
                }
                continue;
            }
            self.write_events();
            self.story.script.push((self.ms, order_line(&order)));
            self.perform(order);
        }
        panic!("the engine never stops ordering");
    }

    /// Whether the engine has nothing more to say for it.
    fn write_events(&mut self) -> bool {
        let mut quiet = true;
        for event in std::mem::take(&mut self.unwritten) {
            if self.broken {
                continue;
            }
            quiet = false;
            if self.world.unwritable == Some(self.written) {
                self.broken = true;
                self.fact(Input::RecordFailed { message: "disk full".into() }, 0);
                continue;
            }
            self.written += 1;
            self.record(event);
        }
        quiet
    }

    fn record(&mut self, event: Event) {
        assert!(self.done.is_none(), "nothing is recorded after the end");
        self.pairing.push(&event, &mut Vec::new());
        match &event.kind {
            EventKind::ShStarted(started) => {
                let n = self.story.events.iter().filter(
                    |event| matches!(&event.kind, EventKind::ShStarted(other) if other.job_id == started.job_id),
                );
                let n = u32::try_from(n.count()).unwrap() + 1;
                self.open.insert(ShId { job: started.job_id.clone(), n });
            }
            EventKind::ShFinished(finished) => {
                let of_job = |sh: &&ShId| sh.job == finished.job_id && finished.sh.is_none_or(|n| n == sh.n);
                let sh = self.open.iter().find(of_job).cloned().expect("what ends is open");
                self.open.remove(&sh);
            }
            _ => {}
        }
        let text = line(&event);
        let mut now = Vec::new();
        self.world.outside.retain(|(when, input)| match when {
            When::Line(start) if text.starts_with(start) => {
                now.push(input.clone());
                false
            }
            _ => true,
        });
        self.story.script.push((self.ms, text));
        self.story.events.push(event);
        for input in now {
            self.fact(input, 0);
        }
    }

    /// To what comes next: a deadline of the engine's, of a capture's, or something that happens.
    fn advance(&mut self) {
        let engine = self.engine.next_deadline().map(|mono| mono.0.div_ceil(1_000_000));
        let captures =
            self.processes.values().filter(|process| !process.exited).filter_map(|process| process.capture.as_ref());
        let capture = captures.filter_map(Capture::deadline).min().map(|mono| mono.0.div_ceil(1_000_000));
        let happening = self.queue.first_key_value().map(|((ms, _), _)| *ms);
        let next = [engine, capture, happening].into_iter().flatten().min();
        let next = next.unwrap_or_else(|| panic!("the run waits for nothing: {:#?}", self.story.script));
        if engine.is_some_and(|at| at <= self.ms) {
            self.ms += self.world.slice_ms;
            while self.queue.first_key_value().is_some_and(|((ms, _), _)| *ms <= self.ms && self.world.slice_ms > 0) {
                self.happen();
            }
            return self.fact(Input::Tick, 0);
        }
        self.ms = self.ms.max(next);
        if engine == Some(next) {
            self.fact(Input::Tick, 0);
        } else if capture == Some(next) {
            self.look_at_captures();
        } else {
            self.happen();
        }
    }

    fn happen(&mut self) {
        match self.queue.pop_first() {
            Some((_, Happening::Fact(input, cause))) => self.fact(input, cause),
            Some((_, Happening::Step(sh))) => self.step(&sh),
            Some((_, Happening::LetGo(sh))) => {
                let late = self.processes.get(&sh).map_or(0, |process| process.late);
                self.print(&sh, Stream::Stdout, &vec![b'x'; late]);
                self.end_output(&sh, false);
            }
            None => {}
        }
    }

    fn look_at_captures(&mut self) {
        let now = at(self.ms);
        let mut facts = Vec::new();
        for (sh, process) in &mut self.processes {
            let Process { capture: Some(capture), log, cause, .. } = process else { continue };
            if capture.on_deadline(now, log) == Some(Notice::Idle) {
                facts.push((Input::OutputIdle { sh: sh.clone() }, *cause));
            }
        }
        for (fact, cause) in facts {
            self.fact(fact, cause);
        }
    }

    fn perform(&mut self, order: Output) {
        let cause = self.story.orders.len();
        let answered = self.ms + self.world.answer_ms;
        let answer = |simulation: &mut Simulation, ask, answer| {
            simulation.push(answered, Happening::Fact(Input::Answered { ask, answer }, cause));
        };
        match order {
            Output::Emit(_) => unreachable!("events are written"),
            Output::Spawn { sh, command, capture } => self.spawn(sh, command, &capture, cause),
            Output::Recall { sh, from, tap, no_eol } => {
                assert!(self.broken || self.open.contains(&sh), "{sh} is replayed before that is recorded");
                let log = self.world.earlier_logs.get(&from).cloned();
                let captured = match (&log, tap) {
                    (None, _) => Err("no such file".to_owned()),
                    (Some(_), None) => Ok(Captured::default()),
                    (Some(log), Some(tap)) => {
                        let mut recall = Recall::new(tap, no_eol);
                        recall.push(log);
                        recall.finish()
                    }
                };
                self.story.raw_logs.extend(log.map(|log| (sh.clone(), log)));
                self.push(answered, Happening::Fact(Input::Recalled { sh, captured }, cause));
            }
            Output::Signal { sh, signal } => self.signal(&sh, signal),
            Output::CloseOutput { sh } => self.end_output(&sh, true),
            Output::Sweep { scope } => {
                let within = |sh: &ShId| match &scope {
                    Scope::Job(job) => sh.job == *job,
                    Scope::Run => true,
                };
                for (sh, process) in &self.processes {
                    assert!(process.exited || !within(sh), "{sh} still runs when its scope is swept");
                }
                self.push(self.ms + self.world.sweep_ms, Happening::Fact(Input::Swept { scope }, cause));
            }
            Output::SetSecrets(secrets) => {
                for capture in self.processes.values_mut().filter_map(|process| process.capture.as_mut()) {
                    capture.set_secrets(secrets.clone());
                }
                self.secrets = secrets;
            }
            Output::Read { ask, path, .. } => {
                let content = self.story.files.get(&path).map(|text| text.clone().into_bytes());
                answer(self, ask, Answer::Read(content.ok_or_else(|| "no such file".to_owned())));
            }
            Output::Write { ask, path, content } => {
                self.story.files.insert(path, String::from_utf8(content).unwrap());
                answer(self, ask, Answer::Write(Ok(())));
            }
            Output::Glob { ask, patterns } => {
                let matches = |path: &&String| patterns.iter().any(|p| path.starts_with(p.trim_end_matches('*')));
                let found = self.story.files.keys().filter(matches).cloned().collect();
                answer(self, ask, Answer::Glob(Ok(found)));
            }
            Output::Hash { ask, patterns } => {
                answer(self, ask, Answer::Hash(Ok(format!("hash of {}", patterns.join(" ")))))
            }
            Output::Done(outcome) => self.done = Some(outcome),
        }
    }

    fn spawn(&mut self, sh: ShId, spec: CommandSpec, capture: &CaptureSpec, cause: usize) {
        if self.broken {
            assert!(self.world.gathers, "{sh} is started after the record was lost");
            let failure = SpawnFailure::Other { message: "the record is lost".into() };
            return self.fact(Input::SpawnFailed { sh, failure }, cause);
        }
        assert!(self.open.contains(&sh), "{sh} is started before that is recorded");
        assert_eq!(spec.env["QUIRE_SH"], Some(format!("r-1/{sh}")));
        let words: Vec<String> = spec.argv.iter().map(|word| String::from_utf8(word.clone()).unwrap()).collect();
        let text = match words.as_slice() {
            [_, options @ .., line] if options.last().is_some_and(|word| word == "-c") => line.clone(),
            words => words.join(" "),
        };
        assert!(self.story.spawned.insert(sh.clone(), spec.clone()).is_none(), "{sh} is started twice");
        *self.started.entry(text.clone()).or_default() += 1;
        let failure = match text.as_str() {
            "missing" => Some(SpawnFailure::NotFound { searched: "/bin".into() }),
            "nocwd" => Some(SpawnFailure::Cwd { message: "no such directory".into() }),
            "broken" => Some(SpawnFailure::Other { message: "exec format error".into() }),
            _ => None,
        };
        if let Some(failure) = failure {
            return self.push(self.ms, Happening::Fact(Input::SpawnFailed { sh, failure }, cause));
        }
        let process = Process {
            statements: text.split(';').map(|statement| statement.trim().to_owned()).collect(),
            next: 0,
            spec,
            capture: Some(Capture::new(capture, self.secrets.clone(), at(self.ms))),
            log: Vec::new(),
            cause,
            deaf: false,
            on_term: None,
            linger_ms: 0,
            late: 0,
            exited: false,
        };
        self.processes.insert(sh.clone(), process);
        let running = self.processes.values().filter(|process| !process.exited).count();
        self.story.most_running = self.story.most_running.max(running);
        self.push(self.ms, Happening::Step(sh));
    }

    /// Runs a command's statements up to a sleep or its end.
    fn step(&mut self, sh: &ShId) {
        loop {
            let Some(process) = self.processes.get_mut(sh).filter(|process| !process.exited) else { return };
            let Some(statement) = process.statements.get(process.next).cloned() else {
                return self.exit(sh, ExitStatus::Code(0));
            };
            process.next += 1;
            let (verb, rest) = statement.split_once(' ').unwrap_or((&statement, ""));
            let number = || rest.parse::<i32>().unwrap();
            let span_ms = || u64::try_from(Duration::from_secs_f64(rest.parse().unwrap()).as_millis()).unwrap();
            match verb {
                "ok" | "true" => {}
                "print" => self.print(sh, Stream::Stdout, format!("{rest}\n").as_bytes()),
                "put" => self.print(sh, Stream::Stdout, rest.as_bytes()),
                "err" => self.print(sh, Stream::Stderr, format!("{rest}\n").as_bytes()),
                "bytes" => self.print(sh, Stream::Stdout, &vec![b'x'; rest.parse().unwrap()]),
                "cat" => {
                    let stdin = process.spec.stdin.clone().unwrap_or_default();
                    self.print(sh, Stream::Stdout, &stdin);
                }
                "pwd" => {
                    let cwd = process.spec.cwd.clone();
                    self.print(sh, Stream::Stdout, cwd.as_bytes());
                }
                "getenv" => {
                    let value = process.spec.env.get(rest).cloned().flatten().unwrap_or_else(|| "(unset)".into());
                    self.print(sh, Stream::Stdout, value.as_bytes());
                }
                "deaf" => process.deaf = true,
                "term" => process.on_term = Some(number()),
                "late" => process.late = rest.parse().unwrap(),
                "linger" => process.linger_ms = span_ms(),
                "closes" => self.end_output(sh, false),
                "sleep" => return self.push(self.ms + span_ms(), Happening::Step(sh.clone())),
                "fail" => return self.exit(sh, ExitStatus::Code(number())),
                "signal" => return self.exit(sh, ExitStatus::Signal(number())),
                "fail_first" => {
                    let text = process.statements.join("; ");
                    if self.started.get(&text).copied().unwrap_or(0) <= rest.parse().unwrap() {
                        return self.exit(sh, ExitStatus::Code(1));
                    }
                }
                other => panic!("no command {other:?}"),
            }
        }
    }

    fn print(&mut self, sh: &ShId, stream: Stream, bytes: &[u8]) {
        let now = at(self.ms);
        let Some(Process { capture: Some(capture), log, cause, .. }) = self.processes.get_mut(sh) else { return };
        if capture.push(stream, bytes, now, log) == Some(Notice::OutputLimit) {
            let cause = *cause;
            self.fact(Input::OutputLimitReached { sh: sh.clone() }, cause);
        }
    }

    fn signal(&mut self, sh: &ShId, signal: Signal) {
        let Some(process) = self.processes.get(sh) else {
            return assert!(
                self.broken || self.story.spawned.contains_key(sh),
                "{signal:?} to {sh}, which was never started"
            );
        };
        let status = match signal {
            _ if process.exited => return,
            Signal::Kill => ExitStatus::Signal(9),
            _ if process.deaf => return,
            Signal::Term => process.on_term.map_or(ExitStatus::Signal(15), ExitStatus::Code),
            Signal::Int => ExitStatus::Signal(2),
        };
        self.exit(sh, status);
    }

    fn exit(&mut self, sh: &ShId, status: ExitStatus) {
        let Some(process) = self.processes.get_mut(sh) else { return };
        process.exited = true;
        let (cause, linger_ms) = (process.cause, process.linger_ms);
        let output_first = self.world.output_first && sh.n.is_multiple_of(2);
        if linger_ms > 0 {
            self.push(self.ms + linger_ms, Happening::LetGo(sh.clone()));
        } else if output_first {
            self.end_output(sh, false);
        }
        self.push(self.ms, Happening::Fact(Input::Exited { sh: sh.clone(), status }, cause));
        if linger_ms == 0 && !output_first {
            self.push(self.ms, Happening::LetGo(sh.clone()));
        }
    }

    fn end_output(&mut self, sh: &ShId, detached: bool) {
        let Some(process) = self.processes.get_mut(sh) else { return };
        let Some(mut capture) = process.capture.take() else { return };
        capture.end(Stream::Stdout, detached, &mut process.log);
        capture.end(Stream::Stderr, detached, &mut process.log);
        let entries = process.log.split(|byte| *byte == b'\n').filter(|entry| !entry.is_empty());
        let contents =
            entries.map(|entry| String::from_utf8_lossy(entry).splitn(4, ' ').nth(3).unwrap_or("").to_owned());
        let log = contents.collect::<Vec<_>>().join("\n");
        let cause = process.cause;
        self.story.logs.insert(sh.clone(), log);
        self.story.raw_logs.insert(sh.clone(), process.log.clone());
        let captured = capture.into_captured();
        self.push(self.ms, Happening::Fact(Input::OutputEnded { sh: sh.clone(), captured }, cause));
    }
}
