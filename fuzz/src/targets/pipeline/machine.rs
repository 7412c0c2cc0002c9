//! The simplest machine that a run can be driven on: what it orders is done at once, and time passes with every order.
//!
//! Faults, delays and the freedom of a shell to do things in another order are the world's.

use std::collections::BTreeMap;

use quire_core::capture::Capture;
use quire_core::engine::{Answer, Ask, Config, Defined, Engine, ExitStatus, Input, Limits, Output, Source};
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::pairing::Pairing;
use quire_core::pipeline::Diagnostic;
use quire_core::redact::SecretSet;
use quire_core::script::Request;
use quire_core::time::{Mono, Now, Wall};
use quire_core::wire::{Decoded, Event, EventKind, RunOutcome, Stream, decode, encode};

/// Orders after which a run is cancelled, again and again: a script may go on for ever.
const PATIENCE: u32 = 300;
/// Orders and looks at the clock after which a run must have ended. A deferred function may go on for 60 s after a cancel.
const MOST_TURNS: u32 = 20_000;
/// How much time passes with an order.
const TURN_MS: u64 = 50;

/// The run's seed.
pub(super) const SEED: u64 = 7;

/// Runs the pipeline to its end, checks the stream that it leaves, and that it is the pipeline that was defined.
pub(super) fn check_run(source: &Source, limits: Limits, defined: Result<&Defined, &[Diagnostic]>) {
    let mut config = Config::new(RunId::new("r"), source.clone());
    (config.limits, config.slots, config.seed, config.executor_forced) = (limits, 2, SEED, true);
    let mut machine = Machine::new(config);
    let outcome = machine.play();
    let mut pairing = Pairing::new(RunId::new("r"));
    let mut puts = Vec::new();
    for event in &machine.events {
        assert!(!pairing.is_finished(), "an event after the run's end");
        pairing.push(event, &mut puts);
        let mut line = Vec::new();
        encode(event, &mut line);
        assert_eq!(decode(&line), Ok(Decoded::Event(event.clone())), "an event is not read as it was written");
        if let (EventKind::RunStarted(started), Ok(defined)) = (&event.kind, defined)
            && !machine.cancelled_early
        {
            let ids: Vec<JobId> = started.jobs.iter().map(|job| job.id.clone()).collect();
            assert_eq!(ids, defined.pipeline.ids(), "the same text defines something else");
        }
    }
    assert!(pairing.is_finished(), "a run ends {outcome} without telling");
    assert!(pairing.irregularities().is_empty(), "{:?} in {:#?}", pairing.irregularities(), machine.events);
    if let (Err(problems), false) = (defined, machine.cancelled_early) {
        assert_eq!(machine.engine.diagnostics(), problems, "the same text has other errors");
    }
}

/// What the machine says to a question of a script.
pub(super) fn answer(request: &Request) -> Answer {
    match request {
        Request::Glob(patterns) => glob(patterns),
        Request::Hash(_) => Answer::Hash(Ok("0".repeat(64))),
        Request::Read(path) => read(path),
        other => unreachable!("a top level does not ask {other:?}"),
    }
}

fn glob(patterns: &[String]) -> Answer {
    Answer::Glob(match patterns {
        [_] => Ok(vec!["a".to_owned(), "b/c".to_owned()]),
        _ => Err("no such folder".to_owned()),
    })
}

fn read(path: &str) -> Answer {
    Answer::Read(if path.len() < 8 { Ok(path.as_bytes().to_vec()) } else { Err("no such file".to_owned()) })
}

struct Machine {
    engine: Engine,
    secrets: SecretSet,
    ms: u64,
    running: BTreeMap<ShId, Capture>,
    events: Vec<Event>,
    /// Before its first event.
    cancelled_early: bool,
}

impl Machine {
    fn new(config: Config) -> Machine {
        let secrets = config.secret_set.clone();
        let engine = Engine::new(config, now(0));
        Machine { engine, secrets, ms: 0, running: BTreeMap::new(), events: Vec::new(), cancelled_early: false }
    }

    fn play(&mut self) -> RunOutcome {
        for turn in 1..=MOST_TURNS {
            if turn % PATIENCE == 0 {
                self.tell(Input::Cancel);
            }
            match self.engine.poll_output() {
                Some(Output::Done(outcome)) => return outcome,
                Some(order) => {
                    self.ms += TURN_MS;
                    self.perform(order);
                }
                None => {
                    let next = self.engine.next_deadline().map(|next| next.0.div_ceil(1_000_000));
                    match next {
                        Some(next) => self.ms = self.ms.max(next),
                        None => self.tell(Input::Cancel),
                    }
                    self.tell(Input::Tick);
                }
            }
        }
        panic!("the run does not end: {:#?}", self.engine);
    }

    fn tell(&mut self, input: Input) {
        self.cancelled_early |= input == Input::Cancel && self.events.is_empty();
        self.engine.handle(now(self.ms), input);
    }

    fn perform(&mut self, order: Output) {
        match order {
            Output::Emit(event) => self.events.push(event),
            Output::Spawn { sh, command, capture } => {
                let mut capture = Capture::new(&capture, self.secrets.clone(), now(self.ms));
                let words = command.argv.join(&b' ');
                let notice = capture.push(Stream::Stdout, &words, now(self.ms), &mut Vec::new());
                assert_eq!(notice, None, "a capture without limits gives notice");
                self.running.insert(sh.clone(), capture);
                // What a `y` begins goes on until it is told to end.
                if command.argv.last().is_none_or(|word| !word.starts_with(b"y")) {
                    let code = i32::from(command.argv.last().is_some_and(|word| word.starts_with(b"f")));
                    self.end(sh, ExitStatus::Code(code));
                }
            }
            Output::Recall { .. } => unreachable!("no run is resumed"),
            Output::Signal { sh, .. } => self.end(sh, ExitStatus::Signal(15)),
            Output::CloseOutput { .. } => {}
            Output::Sweep { scope } => self.tell(Input::Swept { scope }),
            Output::SetSecrets(secrets) => {
                self.running.values_mut().for_each(|capture| capture.set_secrets(secrets.clone()));
                self.secrets = secrets;
            }
            Output::Read { ask, path, .. } => self.answer(ask, read(&path)),
            Output::Write { ask, .. } => self.answer(ask, Answer::Write(Ok(()))),
            Output::Glob { ask, patterns } => self.answer(ask, glob(&patterns)),
            Output::Hash { ask, .. } => self.answer(ask, Answer::Hash(Ok("0".repeat(64)))),
            Output::Done(_) => unreachable!("it ends the loop"),
        }
    }

    fn answer(&mut self, ask: Ask, answer: Answer) {
        self.tell(Input::Answered { ask, answer });
    }

    fn end(&mut self, sh: ShId, status: ExitStatus) {
        if let Some(mut capture) = self.running.remove(&sh) {
            capture.end(Stream::Stdout, false, &mut Vec::new());
            capture.end(Stream::Stderr, false, &mut Vec::new());
            self.tell(Input::Exited { sh: sh.clone(), status });
            self.tell(Input::OutputEnded { sh, captured: capture.into_captured() });
        }
    }
}

fn now(ms: u64) -> Now {
    let wall = Wall::from_ms(i64::try_from(ms).unwrap_or(i64::MAX));
    Now { mono: Mono(ms.saturating_mul(1_000_000)), wall }
}
