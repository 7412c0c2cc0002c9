//! `worlds FROM..TO` plays the worlds of a range of seeds on one thread and tells how fast; `worlds SEED` tells one's story. With
//! `queue` before either, the worlds are those of a server.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use quire_fuzz::{Tally, bytes_of, queue_world, seeded, story};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let of_a_server = arguments.next_if(|argument| argument == "queue").is_some();
    let argument = arguments.next().unwrap_or_default();
    let number = |text: &str| text.replace('_', "").parse::<u64>().ok();
    if let Some(seed) = number(&argument) {
        let told = if of_a_server { queue_world::story(&queue_world::bytes_of(seed)) } else { story(&bytes_of(seed)) };
        println!("{told}");
        return ExitCode::SUCCESS;
    }
    match argument.split_once("..").and_then(|(from, to)| Some((number(from)?, number(to)?))) {
        Some((from, to)) if from < to && of_a_server => play_servers(from, to),
        Some((from, to)) if from < to => play(from, to),
        _ => {
            eprintln!("usage: worlds [queue] FROM..TO | SEED");
            ExitCode::from(2)
        }
    }
}

/// Plays each of these seeds; `None` where an invariant does not hold.
fn each<T>(from: u64, to: u64, seeded: fn(u64) -> T) -> Option<(Vec<T>, f64)> {
    let begin = Instant::now();
    let mut tallies = Vec::new();
    for seed in from..to {
        match catch_unwind(AssertUnwindSafe(|| seeded(seed))) {
            Ok(tally) => tallies.push(tally),
            Err(_) => {
                println!("seed {seed}: an invariant does not hold (above); {} worlds before it held", tallies.len());
                return None;
            }
        }
    }
    Some((tallies, begin.elapsed().as_secs_f64()))
}

fn play_servers(from: u64, to: u64) -> ExitCode {
    let Some((tallies, seconds)) = each(from, to, queue_world::seeded) else { return ExitCode::FAILURE };
    let sum = |of: fn(&queue_world::Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    println!(
        "{} worlds in {seconds:.1} s: {:.0} a second; in all {} facts, {} runs, {} faults, {} lives, {} points",
        tallies.len(),
        tallies.len() as f64 / seconds,
        sum(|tally| tally.facts),
        sum(|tally| tally.runs),
        sum(|tally| tally.faults),
        sum(|tally| tally.lives),
        sum(|tally| tally.points),
    );
    ExitCode::SUCCESS
}

fn play(from: u64, to: u64) -> ExitCode {
    let Some((tallies, seconds)) = each(from, to, seeded) else { return ExitCode::FAILURE };
    let median = |of: &dyn Fn(&Tally) -> usize| {
        let mut all: Vec<usize> = tallies.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    };
    let died = tallies.iter().filter(|tally| tally.lives > 1).count();
    let facts: usize = tallies.iter().map(|tally| tally.facts).sum();
    println!(
        "{} worlds in {seconds:.1} s: {:.0} a second; medians: {} facts, {} reads, {} faults, {} points; in all {facts} facts, \
         {died} worlds of several runs",
        tallies.len(),
        tallies.len() as f64 / seconds,
        median(&|tally| tally.facts),
        median(&|tally| tally.reads),
        median(&|tally| tally.faults),
        median(&|tally| tally.points),
    );
    ExitCode::SUCCESS
}
