//! Playing a scenario: life after life of a server on one machine, until the world is quiet.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::invariants;
use super::machine::{Machine, Outside};
use super::scenario::{Action, Scenario};
use super::server::{End, Server};
use crate::world::bytes::expand;

/// From a server's end to the next one's start, in milliseconds.
const DOWN_MS: u64 = 20;
/// Bytes that a seed is expanded into.
const SEED_BYTES: usize = 300;

/// What a world came to, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Facts that queues were told.
    pub facts: usize,
    /// Rows in the end.
    pub runs: usize,
    /// Faults that struck.
    pub faults: usize,
    /// Lives of a server.
    pub lives: usize,
    /// Points between effects.
    pub points: usize,
}

/// Plays what these bytes say.
///
/// # Panics
/// Where an invariant does not hold: with its name, the bytes that replay it and the end of the story.
pub fn play(bytes: &[u8]) -> Tally {
    match catch_unwind(AssertUnwindSafe(|| live(&mut Machine::new(Scenario::decode(bytes))))) {
        Ok(tally) => tally,
        Err(panicked) => {
            let said = panicked.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panicked.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            let story = end_of_the_story(bytes);
            let bytes = bytes.escape_ascii();
            panic!("{said}\n\nreplayed by quire_fuzz::queue_world::play(b\"{bytes}\")\n\n{story}");
        }
    }
}

/// Told by playing it once more: the same bytes go the same way.
fn end_of_the_story(bytes: &[u8]) -> String {
    let mut machine = Machine::new(Scenario::decode(bytes));
    machine.story = Some(Vec::new());
    let played = catch_unwind(AssertUnwindSafe(|| live(&mut machine)));
    let story = machine.story.unwrap_or_default();
    let end = if played.is_ok() { "\nand the second time it held" } else { "" };
    format!("{}{end}", story[story.len().saturating_sub(60)..].join("\n"))
}

/// The bytes of a seed: the same ones everywhere and for ever.
pub fn bytes_of(seed: u64) -> Vec<u8> {
    expand(seed, SEED_BYTES)
}

/// Plays what a seed says.
///
/// # Panics
/// As [`play`].
pub fn seeded(seed: u64) -> Tally {
    play(&bytes_of(seed))
}

/// The whole story of what these bytes say.
///
/// # Panics
/// Where an invariant does not hold.
pub fn story(bytes: &[u8]) -> String {
    let mut machine = Machine::new(Scenario::decode(bytes));
    machine.story = Some(Vec::new());
    let tally = live(&mut machine);
    format!("{}\n{tally:?}\n", machine.story.unwrap_or_default().join("\n"))
}

fn live(machine: &mut Machine) -> Tally {
    let mut tally = Tally::default();
    loop {
        let mut server = Server::new(machine);
        let end = server.live();
        tally.facts += server.facts;
        tally.lives += 1;
        if end == Ok(End::Quiet) {
            break;
        }
        be_down(machine);
    }
    invariants::check_rows(machine);
    tally.runs = machine.store.rows().len();
    tally.faults = machine.plan.struck() as usize;
    tally.points = machine.plan.point() as usize;
    tally
}

/// No server lives for a while: processes go on, and pushes are kept.
fn be_down(machine: &mut Machine) {
    let ms = machine.ms() + DOWN_MS;
    machine.agenda.put(ms, Outside::Starts);
    while let Some(ms) = machine.agenda.next_ms() {
        machine.clock.pass_to(ms);
        match machine.agenda.take() {
            Some(Outside::Starts) | None => return,
            Some(Outside::Begins(run_id)) => {
                machine.begins(&run_id);
            }
            Some(Outside::Ends(run_id)) => {
                machine.ends(&run_id);
            }
            Some(Outside::Acts(action)) => act(machine, action),
        }
    }
}

fn act(machine: &mut Machine, action: Action) {
    match action {
        push @ Action::Pushes { .. } => machine.spool.push(push),
        Action::Kills(nth) => {
            machine.kill_one(nth);
        }
        Action::FillsDisk(full) => machine.fill(full),
        Action::Configures { max_runs, repo, repo_runs } => machine.configure(max_runs, &repo, repo_runs),
        // There is nobody to ask.
        Action::Triggers { .. } | Action::Cancels(_) | Action::Restarts => {}
    }
}
