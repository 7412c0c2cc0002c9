//! What happened in a world, as tests and people read it.

use std::collections::BTreeMap;

use quire_core::engine::{CommandSpec, Input, Output, Scope};
use quire_core::ids::{JobId, ShId};
use quire_core::pipeline::Diagnostic;
use quire_core::time::Now;
use quire_core::wire::{Event, EventKind, RunOutcome, encode};

use super::given::World;
use super::simulation::Simulation;

/// What happened in one run.
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
    /// How it ended.
    pub outcome: RunOutcome,
    /// What was wrong with the pipeline.
    pub diagnostics: Vec<Diagnostic>,
    /// What each command's log holds, without times.
    pub logs: BTreeMap<ShId, String>,
    /// Each command's log as it is.
    pub raw_logs: BTreeMap<ShId, Vec<u8>>,
    /// What the workspace holds now.
    pub files: BTreeMap<String, String>,
    /// Most commands that ran at once.
    pub most_running: usize,
    /// Commands that were to be started.
    pub spawned: BTreeMap<ShId, CommandSpec>,
}

impl Story {
    /// Of a run that has come to its end.
    pub(super) fn of(simulation: &mut Simulation) -> Story {
        let script = simulation.script();
        let events = simulation.recorded().cloned().collect();
        let orders = std::mem::take(&mut simulation.orders);
        let spawned = orders.iter().filter_map(|order| match order {
            Output::Spawn { sh, command, .. } => Some((sh.clone(), command.clone())),
            _ => None,
        });
        Story {
            events,
            script,
            spawned: spawned.collect(),
            orders,
            facts: std::mem::take(&mut simulation.facts),
            outcome: simulation.done.unwrap_or(RunOutcome::Failed),
            diagnostics: simulation.engine.diagnostics().to_vec(),
            logs: simulation.dir().logs.iter().map(|(sh, log)| (sh.clone(), contents(log))).collect(),
            raw_logs: simulation.dir().logs.clone(),
            files: simulation.machine.files.clone(),
            most_running: simulation.most_running,
        }
    }

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
    ///
    /// # Panics
    /// Where none does.
    pub fn ms(&self, start: &str) -> u64 {
        let found = self.script.iter().find(|(_, line)| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start:?} in {:#?}", self.script)).0
    }

    /// Whether a line begins so.
    pub fn has(&self, start: &str) -> bool {
        self.script.iter().any(|(_, line)| line.starts_with(start))
    }
}

/// A log's contents without times.
fn contents(log: &[u8]) -> String {
    let entries = log.split(|byte| *byte == b'\n').filter(|entry| !entry.is_empty());
    let contents = entries.map(|entry| String::from_utf8_lossy(entry).splitn(4, ' ').nth(3).unwrap_or("").to_owned());
    contents.collect::<Vec<_>>().join("\n")
}

/// An event as one line without its time: kind, job, the rest of its fields with `'` for `"`; no replay key.
pub fn line(event: &Event) -> String {
    let mut event = event.clone();
    if let EventKind::ShStarted(started) = &mut event.kind {
        assert!(started.key.take().is_some_and(|key| key.len() == 32), "a command has a key");
    }
    let mut bytes = Vec::new();
    encode(&event, &mut bytes);
    let text = String::from_utf8_lossy(&bytes).trim_end().replace('"', "'");
    let (_, text) = text.split_once("'type':'").unwrap_or_default();
    let (kind, rest) = text.split_once('\'').unwrap_or_default();
    let rest = rest.strip_suffix('}').unwrap_or(rest);
    match rest.strip_prefix(",'job_id':'").and_then(|rest| rest.split_once('\'')) {
        Some((job, rest)) => format!("{kind} {job} {}", rest.trim_start_matches(',')).trim_end().to_owned(),
        None => format!("{kind} {}", rest.trim_start_matches(',')).trim_end().to_owned(),
    }
}

/// An order as one line: an event as [`line()`] has it, anything else behind a `!`.
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

/// Compares the events with the lines of `expected`.
///
/// # Panics
/// Where they differ.
#[track_caller]
pub fn check(world: World, expected: &str) -> Story {
    let story = world.run();
    compare(&story.lines(), expected);
    story
}

/// Compares events and orders with the lines of `expected`.
///
/// # Panics
/// Where they differ.
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

/// `ms` as both clocks show it in [`World::run`], if nobody sets one.
pub fn at(ms: u64) -> Now {
    let mut clock = super::clock::Clock::starting_at(1_000);
    clock.pass_to(ms);
    clock.now()
}
