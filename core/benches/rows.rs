//! Rows of a large log: indexing, reading, laying out, looking for the error. Gigabytes a second of log, the best of some rounds.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench measures time"
)]

use std::hint::black_box;
use std::time::Instant;

use quire_core::cri::{Checkpoint, Framer, Row, RowIndex, Rows};
use quire_core::excerpt::strength;
use quire_core::terminal::{Line, plain};
use quire_core::time::{Mono, Wall};
use quire_core::wire::Stream;

const BYTES: usize = 64 << 20;
const ROUNDS: usize = 7;
const PIECE: usize = 1 << 18;

fn main() {
    println!("{:<26} {:>8} {:>8} {:>8} {:>8} {:>8}", "log", "index", "rows", "plain", "styled", "excerpt");
    let text = "   Compiling some-crate v1.2.3 (/home/user/project/crates/some-crate) with all the features on";
    report("plain, 95 bytes", text);
    report("plain, 20 bytes", "ok: 17 of 20 files  ");
    report(
        "coloured",
        "\x1b[0m\x1b[0;32m    Finished\x1b[0m `test` profile [unoptimized] target(s) in \x1b[1m0.52s\x1b[0m",
    );
    report("progress", "10%\r20%\r30%\r40%\x1b[K\r50%\r60%\r70%\r80%\r90%\r100%");
    report("not ASCII", "✓ läuft durch die Straße und 日本語 is fine as well, for all that we know of it");
    report("candidates", "test errors::an_error_is_shown ... ok (0 failed, no errors in error.rs)");
}

fn report(name: &str, line: &str) {
    let log = log(line);
    let rows = rows(&log);
    let index = best(log.len(), || {
        let mut index = RowIndex::new();
        log.chunks(PIECE).for_each(|piece| index.push(piece));
        black_box(index.rows());
    });
    let read = best(log.len(), || {
        let (mut rows, mut out) = (Rows::at(Checkpoint::START, 1 << 20), Vec::new());
        for piece in log.chunks(PIECE) {
            out.clear();
            rows.push(piece, &mut out);
        }
    });
    let unstyled = best(log.len(), || rows.iter().for_each(|row| _ = black_box(plain(&row.content))));
    let styled = best(log.len(), || rows.iter().for_each(|row| _ = black_box(Line::of(&row.content, row.style, 4096))));
    let texts: Vec<_> = rows.iter().map(|row| plain(&row.content)).collect();
    let excerpt = best(texts.iter().map(|text| text.len()).sum(), || {
        texts.iter().for_each(|text| _ = black_box(strength(text)));
    });
    println!("{name:<26} {index:>8.2} {read:>8.2} {unstyled:>8.2} {styled:>8.2} {excerpt:>8.2}");
}

fn log(line: &str) -> Vec<u8> {
    let (mut framer, mut log, mut at) = (Framer::new(), Vec::with_capacity(BYTES), 0);
    let lines = format!("{line}\n").repeat(10);
    while log.len() < BYTES {
        framer.push(Stream::Stdout, lines.as_bytes(), Mono(at), Wall(at as i64), &mut log);
        at += 1_000_000;
    }
    log
}

fn rows(log: &[u8]) -> Vec<Row> {
    let (mut rows, mut out) = (Rows::at(Checkpoint::START, 1 << 20), Vec::new());
    rows.push(log, &mut out);
    out
}

/// Gigabytes a second.
fn best(bytes: usize, run: impl Fn()) -> f64 {
    let round = || {
        let start = Instant::now();
        run();
        bytes as f64 / start.elapsed().as_nanos() as f64
    };
    (0..ROUNDS).map(|_| round()).fold(0.0, f64::max)
}
