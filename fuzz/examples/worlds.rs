//! `worlds FROM..TO` plays the worlds of a range of seeds on one thread and tells how fast; `worlds SEED` tells one's story.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use quire_fuzz::{Tally, bytes_of, seeded, story};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let number = |text: &str| text.replace('_', "").parse::<u64>().ok();
    if let Some(seed) = number(&argument) {
        println!("{}", story(&bytes_of(seed)));
        return ExitCode::SUCCESS;
    }
    match argument.split_once("..").and_then(|(from, to)| Some((number(from)?, number(to)?))) {
        Some((from, to)) if from < to => play(from, to),
        _ => {
            eprintln!("usage: worlds FROM..TO | SEED");
            ExitCode::from(2)
        }
    }
}

fn play(from: u64, to: u64) -> ExitCode {
    let begin = Instant::now();
    let mut tallies = Vec::new();
    for seed in from..to {
        match catch_unwind(AssertUnwindSafe(|| seeded(seed))) {
            Ok(tally) => tallies.push(tally),
            Err(_) => {
                println!("seed {seed}: an invariant does not hold (above); {} worlds before it held", tallies.len());
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
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
