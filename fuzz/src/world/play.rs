//! Playing a scenario: run after run on one machine, until one comes to its end or the faults are through.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::clock::Clock;
use super::fault::Plan;
use super::invariants;
use super::machine::{Killed, Machine};
use super::resume::resume;
use super::rows::recover;
use super::scenario::Scenario;
use super::simulation::Simulation;
use super::violated;
use quire_core::wire::RunOutcome;

/// Runs of one world.
const MOST_LIVES: usize = 4;
/// The wall clock at the start, in Unix milliseconds.
const BEGIN_MS: i64 = 1_795_000_000_000;

/// What a world came to, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Facts that the engines were told, passing of time included.
    pub facts: usize,
    /// Reads of commands' output.
    pub reads: usize,
    /// Faults that struck.
    pub faults: usize,
    /// Runs.
    pub lives: usize,
    /// Points between effects.
    pub points: usize,
}

/// A world that is played.
#[derive(Debug)]
pub struct Play {
    scenario: Scenario,
    simulation: Option<Simulation>,
    /// The stories of runs that are over, if they are wanted.
    told: Option<String>,
    tally: Tally,
}

impl Play {
    /// Of what these bytes say.
    pub fn new(bytes: &[u8]) -> Play {
        Play::of(Scenario::decode(bytes))
    }

    /// Of this scenario.
    pub fn of(scenario: Scenario) -> Play {
        Play { scenario, simulation: None, told: None, tally: Tally::default() }
    }

    /// Plays it to the end.
    ///
    /// # Panics
    /// Where an invariant does not hold.
    pub fn play(&mut self) -> Tally {
        let mut world = self.scenario.world.clone();
        let files = std::mem::take(&mut world.files);
        let plan = std::mem::take(&mut world.plan);
        let mut machine = Machine::new(Clock::starting_at(BEGIN_MS), files, plan);
        for life in 1.. {
            if life == MOST_LIVES {
                machine.plan.end();
            }
            let simulation = self.simulation.insert(Simulation::new(world, machine));
            let outcome = simulation.play();
            let bytes_a_read = simulation.world.shell.bytes_a_read;
            let run_id = simulation.world.config.run_id.clone();
            // Whoever does it may be killed over it; the next one does it then.
            while recover(&mut simulation.machine, &run_id, bytes_a_read) == Err(Killed) {}
            invariants::check(simulation, &self.scenario.pipeline);
            self.tally.lives = life;
            self.tally.facts += simulation.facts.len();
            self.tally.reads += simulation.reads;
            if let Some(told) = &mut self.told {
                told.push_str(&tale(simulation, usize::MAX));
            }
            // A run that was killed always has a next one; one that ended badly only where it was the first.
            let is_gone_on_with = self.scenario.resumes.is_some() && outcome != Some(RunOutcome::Complete) && life == 1;
            if outcome.is_some() && !is_gone_on_with {
                break;
            }
            let blank = Machine::new(Clock::starting_at(0), Default::default(), Plan::default());
            machine = std::mem::replace(&mut simulation.machine, blank);
            world = self.scenario.again(life);
            if let Some(extent) = self.scenario.resumes {
                resume(&machine, &run_id, extent, &mut world);
            }
            world.files.clear();
            world.plan = Plan::default();
        }
        if let Some(simulation) = &self.simulation {
            self.tally.faults = simulation.machine.plan.struck() as usize;
            self.tally.points = simulation.machine.plan.point() as usize;
        }
        self.tally
    }

    /// The end of what happened so far.
    fn end_of_the_story(&self) -> String {
        let told = self.simulation.as_ref().map(|simulation| tale(simulation, 30));
        format!("{}\n{}", self.scenario.told(), told.unwrap_or_default())
    }
}

/// The last lines of a run's story.
fn tale(simulation: &Simulation, lines: usize) -> String {
    let script = simulation.script();
    let skipped = script.len().saturating_sub(lines);
    let mut told = format!("run {}, {skipped} lines before:\n", simulation.world.config.run_id);
    for (ms, line) in &script[skipped..] {
        told.push_str(&format!("{ms:>8} {line}\n"));
    }
    let ended = simulation.done.map_or("killed, or stopped here".to_owned(), |outcome| format!("done: {outcome}"));
    told.push_str(&format!("{:>8} {ended}\n", simulation.machine.clock.ms()));
    told
}

/// Plays what these bytes say, and where it says so a second time, which must go the same way.
///
/// # Panics
/// Where an invariant does not hold: with its name, the bytes that replay it and the end of the story.
pub fn play(bytes: &[u8]) -> Tally {
    let mut play = Play::new(bytes);
    let played = catch_unwind(AssertUnwindSafe(|| {
        let tally = play.play();
        if play.scenario.twice {
            the_same_bytes_give_the_same_orders(&play, bytes);
        }
        tally
    }));
    match played {
        Ok(tally) => tally,
        Err(panicked) => {
            let said = panicked.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panicked.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            let story = play.end_of_the_story();
            panic!("{said}\n\nreplayed by quire_fuzz::run(b\"{}\")\n\n{story}", bytes.escape_ascii());
        }
    }
}

fn the_same_bytes_give_the_same_orders(first: &Play, bytes: &[u8]) {
    let mut second = Play::new(bytes);
    second.play();
    if let (Some(first), Some(second)) = (&first.simulation, &second.simulation) {
        let differing = first.orders.iter().zip(&second.orders).find(|(first, second)| first != second);
        if differing.is_some() || first.orders.len() != second.orders.len() || first.machine != second.machine {
            violated("the_same_bytes_give_the_same_orders", &differing);
        }
    }
}

/// The whole story of what these bytes say.
///
/// # Panics
/// Where an invariant does not hold.
pub fn story(bytes: &[u8]) -> String {
    let mut play = Play::new(bytes);
    play.told = Some(String::new());
    let tally = play.play();
    format!("{}\n{}\n{tally:?}\n", play.scenario.told(), play.told.unwrap_or_default())
}
