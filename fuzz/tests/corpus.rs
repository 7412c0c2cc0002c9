//! Replays the committed corpora: what the fuzzer found worth keeping, and every finding that was mended.

use std::path::Path;

use quire_fuzz::replay::files;
use quire_fuzz::targets::{cri, decode, log, pairing, pipeline, queue, redact};

/// Fewest files of a corpus.
const FEWEST: usize = 12;
/// Most bytes of all corpora: they are cloned with the repository.
const MOST_BYTES: usize = 500_000;

/// A property of any bytes: it returns or panics.
type Property = fn(&[u8]);

/// Every target by name, as `fuzz_targets/` and `corpus/` have it.
const TARGETS: &[(&str, Property)] = &[
    ("cri", cri::run),
    ("decode", decode::run),
    ("log", log::run),
    ("pairing", pairing::run),
    ("pipeline", pipeline::run),
    ("queue", queue::run),
    ("redact", redact::run),
    ("world", quire_fuzz::run),
];

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(of: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder(of)).unwrap_or_else(|error| panic!("{of}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a folder's entry").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

#[test]
fn the_corpora_are_small() {
    let size = |name: &str| -> usize {
        files(&folder("corpus").join(name)).expect("a corpus").iter().map(|(_, data)| data.len()).sum()
    };
    let bytes: usize = TARGETS.iter().map(|(name, _)| size(name)).sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes; minimise as fuzz/README.md says");
}

#[track_caller]
fn replay(name: &str) {
    let (_, run) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of this name");
    let inputs = files(&folder("corpus").join(name)).expect("a corpus");
    assert!(inputs.len() >= FEWEST, "the corpus {name} has {} files", inputs.len());
    for (path, data) in inputs {
        // Shown where it fails.
        println!("{}", path.display());
        run(&data);
    }
}

#[test]
fn cri_replays() {
    replay("cri");
}

#[test]
fn decode_replays() {
    replay("decode");
}

#[test]
fn log_replays() {
    replay("log");
}

#[test]
fn pairing_replays() {
    replay("pairing");
}

#[test]
fn pipeline_replays() {
    replay("pipeline");
}

#[test]
fn queue_replays() {
    replay("queue");
}

#[test]
fn redact_replays() {
    replay("redact");
}

#[test]
fn world_replays() {
    replay("world");
}
