//! Decoding of one event against serde_json's `IgnoredAny` over the same bytes: the median of alternating rounds, as a ratio.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench measures time"
)]

use std::hint::black_box;
use std::time::Instant;

use quire_core::wire::decode;
use serde::de::IgnoredAny;

const ROUNDS: usize = 301;
const REPEATS: usize = 200;

/// Lines as a run writes them, from the shortest to the richest.
const LINES: &[(&str, &str)] = &[
    ("job_started", r#"{"at_ms":1763776000100,"type":"job_started","job_id":"build"}"#),
    ("sh_started", r#"{"at_ms":1763776000110,"type":"sh_started","job_id":"build","cmd":"cargo build --release"}"#),
    ("sh_finished", r#"{"at_ms":1763776000190,"type":"sh_finished","job_id":"build","exit_code":0}"#),
    ("job_finished", r#"{"at_ms":1763776000250,"type":"job_finished","job_id":"build","outcome":"complete"}"#),
    (
        "sh_started with key",
        r#"{"at_ms":1763776000110,"type":"sh_started","job_id":"build","cmd":"printf \"%s\\n\" x","key":"6f1ed002ab5595859014ebf0951522d9"}"#,
    ),
    (
        "sh_finished with all",
        r#"{"at_ms":190,"type":"sh_finished","job_id":"build","exit_code":137,"sh":2,"signal":9,"error":{"message":"killed"},"cause":"timeout","no_eol":["stdout"],"masked":true,"truncated":true,"detached":true,"replayed":true}"#,
    ),
    ("job_logged", r#"{"at_ms":1763776000120,"type":"job_logged","job_id":"build","text":"compiling 17 crates"}"#),
];

fn main() {
    println!("{:<22} {:>10} {:>12} {:>7}", "event", "decode ns", "ignored ns", "ratio");
    for (name, line) in LINES {
        report(name, &[line]);
    }
    let base: Vec<&str> = LINES[..4].iter().map(|(_, line)| *line).collect();
    report("base format, mean", &base);
    let all: Vec<&str> = LINES.iter().map(|(_, line)| *line).collect();
    report("all, mean", &all);
}

fn report(name: &str, lines: &[&str]) {
    let (mut decoding, mut ignoring) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        decoding.push(nanoseconds(lines, |line| {
            black_box(decode(black_box(line.as_bytes()))).expect("every line is an event");
        }));
        ignoring.push(nanoseconds(lines, |line| {
            black_box(serde_json::from_slice::<IgnoredAny>(black_box(line.as_bytes()))).expect("every line is JSON");
        }));
    }
    let (decoding, ignoring) = (median(decoding), median(ignoring));
    println!("{name:<22} {decoding:>10.1} {ignoring:>12.1} {:>7.2}", decoding / ignoring);
}

fn nanoseconds(lines: &[&str], each: impl Fn(&str)) -> f64 {
    let start = Instant::now();
    for _ in 0..REPEATS {
        lines.iter().for_each(|line| each(line));
    }
    start.elapsed().as_nanos() as f64 / (REPEATS * lines.len()) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
