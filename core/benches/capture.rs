//! CPU time of capturing 200 MB of 80-byte lines, as a ratio to a C program that only adds the prefixes (`streamer.c`, compiled
//! here with `cc -O2`). Both read the same file 64 KiB at a time and write to /dev/null, in turns; medians of five.
//!
//! Needs Linux (CPU time comes from /proc) and a C compiler. Run with `cargo bench -p quire-core --bench capture`; a word behind
//! `--` picks the cases whose name holds it.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros)]

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quire_core::capture::{Capture, CaptureSpec, Tap};
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now, Wall};
use quire_core::wire::Stream;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BYTES: usize = 200_000_000;
const READ: usize = 64 * 1024;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let streamer = dir.join("streamer");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/streamer.c");
    if !Command::new("cc").args(["-O2", "-o"]).arg(&streamer).arg(source).status()?.success() {
        return Err("cc cannot compile streamer.c".into());
    }
    let log = dir.join("build.log");
    write_lines(&log, build_log)?;
    let hex = dir.join("hex.log");
    write_lines(&hex, hex_dump)?;
    let same = dir.join("same.log");
    write_lines(&same, |_| "a".repeat(79))?;

    let none = SecretSet::default();
    let ten = secrets(&[(8, 1), (12, 1), (16, 1), (20, 1), (24, 1), (32, 1), (36, 1), (40, 1), (40, 1), (64, 1)])?;
    let tiny = secrets(&[(4, 1), (6, 1), (40, 1)])?;
    let keys = secrets(&[(64, 30); 3])?;
    let near = SecretSet::new([&b"Compiling"[..], b"target/debug/"])?;
    let begun = SecretSet::new([["a".repeat(40), "b".to_owned()].concat().as_bytes()])?;
    let cases = [
        ("no secrets", &log, &none),
        ("10 secrets", &log, &ten),
        ("10 secrets, a hex dump", &hex, &ten),
        ("secrets of 4 and 6 bytes", &log, &tiny),
        ("3 keys of 30 lines", &log, &keys),
        ("a secret in every line", &log, &near),
        ("one begun at every byte", &same, &begun),
    ];
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let cases: Vec<_> = cases.into_iter().filter(|case| case.0.contains(&word)).collect();
    let mut limit = Vec::new();
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        limit.push(run_streamer(&streamer, &log)?);
        for ((_, file, secrets), times) in cases.iter().zip(&mut times) {
            times.push(run_capture(file, secrets)?);
        }
    }
    let limit = median(limit);
    println!("{:<26} {:>8.1} ms CPU", "C, prefixes only", limit / 1e6);
    for ((name, _, _), times) in cases.iter().zip(times) {
        let time = median(times);
        println!("{name:<26} {:>8.1} ms CPU  {:.2} x", time / 1e6, time / limit);
    }
    [log, hex, same].iter().try_for_each(fs::remove_file)?;
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// xorshift: the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A file of [`BYTES`] bytes in lines of 80.
fn write_lines(path: &Path, line: fn(&mut Random) -> String) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut random = Random(1);
    for _ in 0..BYTES / 80 {
        writeln!(file, "{:.<79.79}", line(&mut random))?;
    }
    Ok(file.flush()?)
}

fn build_log(random: &mut Random) -> String {
    let (kind, a, b) = (random.next() % 4, random.next(), random.next());
    match kind {
        0 => format!("   Compiling crate-{} v{}.{}.0 (/workspace/target/debug/deps)", a % 1000, b % 10, a % 30),
        1 => format!("test module_{}::tests::case_{} ... ok in target/debug/ Compiling", a % 100, b % 1000),
        2 => format!(
            "[{:>3}/1200] cc -O2 -c src/file{}.c -o target/debug/file{}.o # Compiling",
            a % 1200,
            b % 999,
            b % 999
        ),
        _ => format!("downloading https://example.org/pkg-{a:016x}.tar.gz to target/debug/ Compiling"),
    }
}

fn hex_dump(random: &mut Random) -> String {
    (0..5).map(|_| format!("{:016x}", random.next())).collect()
}

/// Random secrets of so many characters a line, so many lines.
fn secrets(shapes: &[(usize, usize)]) -> Result<SecretSet> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/$-_%";
    let mut random = Random(42);
    let mut line = |length: usize| -> Vec<u8> {
        (0..length).map(|_| ALPHABET[(random.next() >> 32) as usize % ALPHABET.len()]).collect()
    };
    let secrets =
        shapes.iter().map(|&(length, lines)| (0..lines).map(|_| line(length)).collect::<Vec<_>>().join(&b'\n'));
    let secrets: Vec<Vec<u8>> = secrets.collect();
    Ok(SecretSet::new(secrets.iter().map(Vec::as_slice))?)
}

/// Nanoseconds of CPU, user and system.
fn run_streamer(program: &Path, input: &Path) -> Result<f64> {
    let child = Command::new(program).stdin(File::open(input)?).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    Ok(String::from_utf8(child.wait_with_output()?.stderr)?.trim().parse()?)
}

/// Nanoseconds of CPU, user and system: what a shell does with a command's output.
fn run_capture(input: &Path, secrets: &SecretSet) -> Result<f64> {
    let mut input = File::open(input)?;
    let mut output = File::options().write(true).open("/dev/null")?;
    let before = cpu_ns()?;
    let origin = Instant::now();
    let now = || -> Result<Now> {
        let mono = Mono(u64::try_from(origin.elapsed().as_nanos())?);
        let wall = Wall(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?);
        Ok(Now { mono, wall })
    };
    let spec = CaptureSpec { merge: true, tap: Tap::Ends, output_limit: Some(u64::MAX), idle_limit: None };
    let mut capture = Capture::new(&spec, secrets.clone(), now()?);
    let (mut buffer, mut log) = (vec![0; READ], Vec::new());
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let notice = capture.push(Stream::Stdout, &buffer[..count], now()?, &mut log);
        assert_eq!(notice, None);
        output.write_all(&log)?;
        log.clear();
    }
    capture.end(Stream::Stdout, false, &mut log);
    output.write_all(&log)?;
    assert!(capture.into_captured().stdout_truncated);
    Ok(cpu_ns()? - before)
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> Result<f64> {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(schedstat.split(' ').next().ok_or("schedstat is empty")?.parse()?)
}
