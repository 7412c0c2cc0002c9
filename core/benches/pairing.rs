//! Pairing of 200,000 events, alone and with reading before it: the median of slices of
//! 1000 events.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench measures time"
)]

use std::hint::black_box;
use std::time::Instant;

use quire_core::ids::RunId;
use quire_core::pairing::Pairing;
use quire_core::rows::RowCommand;
use quire_core::wire::{Decoded, Event, Reader};

const EVENTS: usize = 200_000;
const ROUNDS: usize = 7;
const SLICE: usize = 1000;
/// Puts that a store takes in one transaction, about.
const BATCH: usize = 100;

fn main() {
    let stream = stream();
    let mut events = Vec::with_capacity(EVENTS);
    read(&stream, |_, event| events.extend(event));
    assert_eq!(events.len(), EVENTS);
    let pairing = median(|slices| pair(&events, slices));
    let reading = median(|slices| {
        let mut timer = Timer::start(slices);
        read(&stream, |count, event| {
            drop(black_box(event));
            timer.tick(count);
        });
    });
    let both = median(|slices| read_and_pair(&stream, slices));
    println!("{EVENTS} events, {} bytes", stream.len());
    println!("pairing only      {pairing:>8.1} ns an event");
    println!("reading only      {reading:>8.1} ns an event");
    println!("reading + pairing {both:>8.1} ns an event");
}

/// Times slices of [`SLICE`] events, so that what else the machine does spoils few of them.
struct Timer<'a> {
    slices: &'a mut Vec<f64>,
    since: Instant,
}

impl Timer<'_> {
    fn start(slices: &mut Vec<f64>) -> Timer<'_> {
        Timer { slices, since: Instant::now() }
    }

    /// After the `count`th event.
    fn tick(&mut self, count: usize) {
        if count.is_multiple_of(SLICE) {
            self.slices.push(self.since.elapsed().as_nanos() as f64 / SLICE as f64);
            self.since = Instant::now();
        }
    }
}

/// 100 jobs whose commands, two open at a time, fill the stream.
fn stream() -> Vec<u8> {
    let mut stream = String::new();
    let mut at_ms = 1_763_776_000_000_u64;
    let mut line = |rest: String| {
        at_ms += 1;
        stream.push_str(&format!("{{\"at_ms\":{at_ms},\"type\":{rest}}}\n"));
    };
    for job in 0..100 {
        let id = format!("\"job_id\":\"job-{job}\"");
        line(format!("\"job_started\",{id}"));
        for _ in 0..(EVENTS / 100 - 4) / 4 {
            line(format!("\"sh_started\",{id},\"cmd\":\"cargo test --workspace\""));
            line(format!("\"sh_started\",{id},\"cmd\":\"cargo clippy --all-targets\""));
            line(format!("\"sh_finished\",{id},\"exit_code\":0"));
            line(format!("\"sh_finished\",{id},\"exit_code\":0"));
        }
        line(format!("\"job_logged\",{id},\"text\":\"done\""));
        line(format!("\"job_logged\",{id},\"text\":\"all of it\""));
        line(format!("\"job_finished\",{id},\"outcome\":\"complete\""));
    }
    stream.into_bytes()
}

/// Hands over each event with its count from 1.
fn read(stream: &[u8], mut each: impl FnMut(usize, Option<Event>)) {
    let (mut reader, mut count) = (Reader::default(), 0);
    for bytes in stream.chunks(64 * 1024) {
        reader.push(bytes, |line| {
            count += 1;
            each(count, if let Ok(Decoded::Event(event)) = line.decoded { Some(event) } else { None });
        });
    }
}

fn pair(events: &[Event], slices: &mut Vec<f64>) {
    let (mut pairing, mut puts) = (Pairing::new(RunId::new("r")), Vec::new());
    let mut timer = Timer::start(slices);
    for (count, event) in (1..).zip(events) {
        push(&mut pairing, event, &mut puts);
        timer.tick(count);
    }
}

fn read_and_pair(stream: &[u8], slices: &mut Vec<f64>) {
    let (mut pairing, mut puts) = (Pairing::new(RunId::new("r")), Vec::new());
    let mut timer = Timer::start(slices);
    read(stream, |count, event| {
        event.iter().for_each(|event| push(&mut pairing, event, &mut puts));
        timer.tick(count);
    });
}

fn push(pairing: &mut Pairing, event: &Event, puts: &mut Vec<RowCommand>) {
    pairing.push(event, puts);
    if puts.len() >= BATCH {
        black_box(&*puts);
        puts.clear();
    }
}

/// Median over the slices of all rounds, nanoseconds an event.
fn median(work: impl Fn(&mut Vec<f64>)) -> f64 {
    let mut slices = Vec::new();
    for _ in 0..ROUNDS {
        work(&mut slices);
    }
    slices.sort_by(f64::total_cmp);
    slices[slices.len() / 2]
}
