//! A run in a simulated world: what it is given, what will happen to it, and what happened.

use std::collections::BTreeMap;

use quire_core::engine::{CommandSpec, Config, Input, Output, Scope, Source};
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::pipeline::Diagnostic;
use quire_core::redact::SecretSet;
use quire_core::replay::{Extent, Here, Recorded};
use quire_core::time::{Mono, Now, Wall};
use quire_core::wire::{Event, EventKind, RunOutcome, encode};

use crate::simulation::Simulation;

/// When something from outside happens.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// At this time.
    Ms(u64),
    /// Right after the first event whose line begins so is recorded.
    Line(&'static str),
}

/// What a run is given, and what will happen to it.
#[derive(Debug, Clone)]
pub struct World {
    pub config: Config,
    /// What the workspace holds.
    pub files: BTreeMap<String, String>,
    /// How long a sweep takes.
    pub sweep_ms: u64,
    /// How long an answer takes.
    pub answer_ms: u64,
    /// What comes from outside.
    pub outside: Vec<(When, Input)>,
    /// The event that cannot be written, from 0.
    pub unwritable: Option<usize>,
    /// Events are written only before the next other order, as a shell that gathers them does.
    pub gathers: bool,
    /// Every second command's output ends before it exits.
    pub output_first: bool,
    /// How long a slice of a busy script takes.
    pub slice_ms: u64,
    /// Logs of the run that this one resumes.
    pub earlier_logs: BTreeMap<ShId, Vec<u8>>,
}

/// What happened.
#[derive(Debug)]
pub struct Story {
    /// The recorded events.
    pub events: Vec<Event>,
    /// Recorded events and performed orders with their times in ms.
    pub script: Vec<(u64, String)>,
    /// All orders as they came.
    pub orders: Vec<Output>,
    /// All facts as they were reported, with the number of orders that had come before the order that caused them.
    pub facts: Vec<(Now, Input, usize)>,
    pub outcome: RunOutcome,
    pub diagnostics: Vec<Diagnostic>,
    /// What each command's log holds, without times.
    pub logs: BTreeMap<ShId, String>,
    /// Each command's log as it is.
    pub raw_logs: BTreeMap<ShId, Vec<u8>>,
    pub files: BTreeMap<String, String>,
    /// Most commands that ran at once.
    pub most_running: usize,
    /// Commands that were started.
    pub spawned: BTreeMap<ShId, CommandSpec>,
}

impl World {
    /// A run of this pipeline, `ci` already required, with two slots.
    pub fn new(pipeline: &str) -> World {
        let text = format!("local ci = require 'quire.ci'; {pipeline}").into_bytes();
        let source = Source { file: ".quire/ci.lua".into(), text, ..Source::default() };
        World {
            config: Config {
                version: "0.1.0".into(),
                sha: Some("5ha".into()),
                ref_name: Some("refs/heads/main".into()),
                number: Some(41),
                seed: 7,
                slots: 2,
                env: BTreeMap::from([("HOME".into(), "/home/ann".into())]),
                workspace: "/work".into(),
                ..Config::new(RunId::new("r-1"), source)
            },
            files: BTreeMap::new(),
            sweep_ms: 0,
            answer_ms: 0,
            outside: Vec::new(),
            unwritable: None,
            gathers: false,
            output_first: false,
            slice_ms: 0,
            earlier_logs: BTreeMap::new(),
        }
    }

    /// A job `a` whose function this is.
    pub fn job(body: &str) -> World {
        World::new(&format!("ci.job('a', function(rt) {body}\nend)"))
    }

    /// With so many slots.
    pub fn slots(mut self, slots: u32) -> World {
        self.config.slots = slots;
        self
    }

    /// With this happening from outside.
    pub fn with(mut self, when: When, input: Input) -> World {
        self.outside.push((when, input));
        self
    }

    /// Cancelled at these times.
    pub fn cancelled(self, at_ms: &[u64]) -> World {
        at_ms.iter().fold(self, |world, at| world.with(When::Ms(*at), Input::Cancel))
    }

    /// With a declared secret.
    pub fn secret(mut self, name: &str, value: &str) -> World {
        self.config.secrets.insert(name.into(), value.into());
        self.config.secret_set = SecretSet::new(self.config.secrets.values().map(Vec::as_slice)).unwrap();
        self
    }

    /// With a file in the workspace.
    pub fn file(mut self, path: &str, content: &str) -> World {
        self.files.insert(path.into(), content.into());
        self
    }

    /// Goes on with an earlier run, which has these logs left.
    pub fn resuming(mut self, events: &[Event], logs: &BTreeMap<ShId, Vec<u8>>, extent: Extent) -> World {
        let mut recorded = Recorded::default();
        events.iter().for_each(|event| recorded.push(event));
        let here = Here { sha: Some("5ha".into()), ..Here::default() };
        let refusals = recorded.refusals(&self.config, &here);
        let lost = recorded.logs().filter(|sh| !logs.contains_key(sh)).collect();
        recorded.resume(extent, &refusals, lost, &mut self.config);
        self.earlier_logs = logs.clone();
        self
    }

    /// Whatever this changes.
    pub fn set(mut self, change: impl FnOnce(&mut World)) -> World {
        change(&mut self);
        self
    }

    /// Plays the run to its end.
    pub fn run(self) -> Story {
        Simulation::new(self).play()
    }
}

/// `ms` as both clocks show it.
pub fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), wall: Wall::from_ms(1_000 + i64::try_from(ms).unwrap()) }
}

/// An event as one line without its time: kind, job, the rest of its fields with `'` for `"`; no replay key.
pub fn line(event: &Event) -> String {
    let mut event = event.clone();
    if let EventKind::ShStarted(started) = &mut event.kind {
        assert!(started.key.take().is_some_and(|key| key.len() == 32), "a command has a key");
    }
    let mut bytes = Vec::new();
    encode(&event, &mut bytes);
    let text = String::from_utf8(bytes).unwrap().trim_end().replace('"', "'");
    let (_, text) = text.split_once("'type':'").unwrap();
    let (kind, rest) = text.split_once('\'').unwrap();
    let rest = rest.strip_suffix('}').unwrap();
    match rest.strip_prefix(",'job_id':'").and_then(|rest| rest.split_once('\'')) {
        Some((job, rest)) => format!("{kind} {job} {}", rest.trim_start_matches(',')).trim_end().to_owned(),
        None => format!("{kind} {}", rest.trim_start_matches(',')).trim_end().to_owned(),
    }
}

/// An order as one line: an event as [`line`] has it, anything else behind a `!`.
pub fn order_line(order: &Output) -> String {
    let scope = |scope: &Scope| match scope {
        Scope::Job(job) => job.to_string(),
        Scope::Run => "the run".to_owned(),
    };
    match order {
        Output::Emit(event) => line(event),
        Output::Spawn { sh, .. } => format!("! spawn {sh}"),
        Output::Recall { sh, from, .. } => format!("! recall {sh} from {from}"),
        Output::Signal { sh, signal } => format!("! {signal:?} {sh}"),
        Output::CloseOutput { sh } => format!("! close {sh}"),
        Output::Sweep { scope: what } => format!("! sweep {}", scope(what)),
        Output::SetSecrets(_) => "! set secrets".to_owned(),
        Output::Read { path, .. } => format!("! read {path}"),
        Output::Write { path, .. } => format!("! write {path}"),
        Output::Glob { patterns, .. } => format!("! glob {}", patterns.join(" ")),
        Output::Hash { patterns, .. } => format!("! hash {}", patterns.join(" ")),
        Output::Done(outcome) => format!("! done {outcome}"),
    }
}

impl Story {
    /// Events of jobs and commands and the run's end, without times: all but `run_started`.
    pub fn lines(&self) -> Vec<&str> {
        let lines = self.script.iter().map(|(_, line)| line.as_str());
        lines.filter(|line| !line.starts_with('!') && !line.starts_with("run_started")).collect()
    }

    /// Events and orders in one, each order behind a `!`, without `run_started`.
    pub fn with_orders(&self) -> Vec<&str> {
        self.script.iter().map(|(_, line)| line.as_str()).filter(|line| !line.starts_with("run_started")).collect()
    }

    /// When the first line that begins so came, in ms.
    pub fn ms(&self, start: &str) -> u64 {
        let found = self.script.iter().find(|(_, line)| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start:?} in {:#?}", self.script)).0
    }

    /// Whether a line begins so.
    pub fn has(&self, start: &str) -> bool {
        self.script.iter().any(|(_, line)| line.starts_with(start))
    }
}

/// Compares the events with the lines of `expected`.
#[track_caller]
pub fn check(world: World, expected: &str) -> Story {
    let story = world.run();
    compare(&story.lines(), expected);
    story
}

/// Compares events and orders with the lines of `expected`.
#[track_caller]
pub fn check_orders(world: World, expected: &str) -> Story {
    let story = world.run();
    compare(&story.with_orders(), expected);
    story
}

#[track_caller]
fn compare(got: &[&str], expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(got == expected, "got:\n  {}\n\nexpected:\n  {}", got.join("\n  "), expected.join("\n  "));
}

/// The id of a command.
pub fn sh(job: &str, n: u32) -> ShId {
    ShId { job: JobId::from_record(job), n }
}
