//! Pairing of 200,000 events, alone and with reading before it: the median of some rounds, per event.

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
use quire_core::wire::{Decoded, Event, Reader};

const EVENTS: usize = 200_000;
const ROUNDS: usize = 15;
/// Puts that a store takes in one transaction, about.
const BATCH: usize = 100;

fn main() {
    let stream = stream();
    let events = read(&stream);
    assert_eq!(events.len(), EVENTS);
    let pairing = median(|| pair(&events));
    let reading = median(|| read_each(&stream, |event| drop(black_box(event))));
    let both = median(|| read_and_pair(&stream));
    println!("{EVENTS} events, {} bytes", stream.len());
    println!("pairing only      {:>8.1} ns an event", pairing / EVENTS as f64);
    println!("reading only      {:>8.1} ns an event", reading / EVENTS as f64);
    println!("reading + pairing {:>8.1} ns an event, {:.1} ms in all", both / EVENTS as f64, both / 1e6);
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

fn read(stream: &[u8]) -> Vec<Event> {
    let mut events = Vec::with_capacity(EVENTS);
    read_each(stream, |event| events.push(event));
    events
}

fn read_each(stream: &[u8], mut each: impl FnMut(Event)) {
    let mut reader = Reader::default();
    for bytes in stream.chunks(64 * 1024) {
        reader.push(bytes, |line| {
            if let Ok(Decoded::Event(event)) = line.decoded {
                each(event);
            }
        });
    }
}

fn pair(events: &[Event]) {
    let (mut pairing, mut puts) = (Pairing::new(RunId::new("r")), Vec::new());
    for event in events {
        pairing.push(event, &mut puts);
        if puts.len() >= BATCH {
            black_box(&puts);
            puts.clear();
        }
    }
}

fn read_and_pair(stream: &[u8]) {
    let (mut pairing, mut puts) = (Pairing::new(RunId::new("r")), Vec::new());
    read_each(stream, |event| {
        pairing.push(&event, &mut puts);
        if puts.len() >= BATCH {
            black_box(&puts);
            puts.clear();
        }
    });
}

/// Nanoseconds.
fn median(work: impl Fn()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_nanos() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
