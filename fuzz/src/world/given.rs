//! What a run is given in its world, and what will happen to it.

use std::collections::BTreeMap;

use quire_core::engine::{Config, Input, Source};
use quire_core::ids::{RunId, ShId};
use quire_core::redact::SecretSet;
use quire_core::replay::{Extent, Here, Recorded};
use quire_core::wire::Event;

use super::clock::Clock;
use super::fault::Plan;
use super::machine::{Machine, RunDir};
use super::shell::Shell;
use super::simulation::Simulation;
use super::story::Story;

/// When something from outside happens.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// At this many milliseconds.
    Ms(u64),
    /// Right after the first event whose line (as [`super::line`] has it) begins so is recorded.
    Line(&'static str),
}

/// What a run is given, and what will happen to it.
#[derive(Debug, Clone)]
pub struct World {
    /// What the engine is told.
    pub config: Config,
    /// What the workspace holds: path to text.
    pub files: BTreeMap<String, String>,
    /// How long a sweep takes, in milliseconds.
    pub sweep_ms: u64,
    /// How long an answer takes, in milliseconds.
    pub answer_ms: u64,
    /// What comes from outside.
    pub outside: Vec<(When, Input)>,
    /// The event that cannot be written, from 0.
    pub unwritable: Option<usize>,
    /// Every second command's output ends before it exits.
    pub output_first: bool,
    /// How long a slice of a busy script takes, in milliseconds.
    pub slice_ms: u64,
    /// Commands that no script waits for from the start say so (`aside`), services too (`serve`): slots are checked.
    pub marked: bool,
    /// Logs of the run that this one goes on with.
    pub earlier_logs: BTreeMap<ShId, Vec<u8>>,
    /// How the shell goes about its work.
    pub shell: Shell,
    /// What goes wrong.
    pub plan: Plan,
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
            output_first: false,
            slice_ms: 0,
            marked: false,
            earlier_logs: BTreeMap::new(),
            shell: Shell::default(),
            plan: Plan::default(),
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

    /// Cancelled at these times, in milliseconds.
    pub fn cancelled(self, at_ms: &[u64]) -> World {
        at_ms.iter().fold(self, |world, at| world.with(When::Ms(*at), Input::Cancel))
    }

    /// With a declared secret.
    ///
    /// # Panics
    /// Where it is too short to be one.
    pub fn secret(mut self, name: &str, value: &str) -> World {
        self.config.secrets.insert(name.into(), value.into());
        let set = SecretSet::new(self.config.secrets.values().map(Vec::as_slice));
        self.config.secret_set = set.expect("a world's secrets are long enough");
        self
    }

    /// With a file in the workspace.
    pub fn file(mut self, path: &str, content: &str) -> World {
        self.files.insert(path.into(), content.into());
        self
    }

    /// Goes on with an earlier run, which left these events and logs; whatever speaks against it is overruled.
    pub fn resuming(mut self, events: &[Event], logs: &BTreeMap<ShId, Vec<u8>>, extent: Extent) -> World {
        let mut recorded = Recorded::default();
        events.iter().for_each(|event| recorded.push(event));
        let here = Here { sha: self.config.sha.clone(), ..Here::default() };
        let refusals = recorded.refusals(&self.config, &here);
        let lost = recorded.logs().filter(|sh| !logs.contains_key(sh)).collect();
        let run_id = recorded.started().map_or("", |started| started.run_id.as_str());
        self.config.run_id = RunId::new(&format!("{run_id}+"));
        recorded.resume(extent, &refusals, lost, &mut self.config);
        self.earlier_logs = logs.clone();
        self
    }

    /// Whatever this changes.
    pub fn set(mut self, change: impl FnOnce(&mut World)) -> World {
        change(&mut self);
        self
    }

    /// Plays the run to its end, on a machine of its own whose wall clock begins a second after the epoch.
    ///
    /// # Panics
    /// Where an invariant does not hold.
    pub fn run(mut self) -> Story {
        let files = std::mem::take(&mut self.files);
        let mut machine = Machine::new(Clock::starting_at(1_000), files, std::mem::take(&mut self.plan));
        if let Some(replay) = &self.config.replay {
            let logs = std::mem::take(&mut self.earlier_logs);
            machine.runs.insert(replay.run_id().clone(), RunDir { logs, ..RunDir::default() });
        }
        let mut simulation = Simulation::new(self, machine);
        simulation.play();
        Story::of(&mut simulation)
    }
}
