//! States in which a machine that lost its power may leave files that were not synced: shorter than they were, empty, gone, or
//! ending in zeros. Nothing of it keeps anyone from reading what is left, or from running.

use std::fs;
use std::path::Path;

use quire_core::wire::Stream;

use crate::recorded::RunRecord;
use crate::world::World;

const PIPELINE: &str = r#"
ci.job("a", function(rt) rt.sh("echo one; echo two"); rt.sh("echo three") end)
ci.job("b", { "a" }, function(rt) rt.sh("echo four") end)"#;

fn cut(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// As [`cut`], and then zeros to the old length: blocks that the file had and that were never written.
fn cut_to_zeros(path: &Path, length: u64) {
    let whole = fs::metadata(path).unwrap().len();
    cut(path, length);
    cut(path, whole);
}

/// Every verb works on what is left, a run works, and rows made anew stay as they are.
#[track_caller]
fn goes_on(world: &World) {
    world.quire(&["ls"]).ends(0);
    for run in world.runs() {
        for verb in ["show", "events"] {
            world.quire(&[verb, &run.id()]).ends(0);
        }
        let log = world.quire(&["log", &run.id()]);
        assert!(log.code == Some(0) || log.err().contains("ran no command"), "{log:?}");
    }
    world.run(0, &[]);
    assert_eq!(world.last().stream("b", 1, Stream::Stdout), b"four\n");
    world.quire(&["rebuild"]).ends(0);
    let rows = world.projection();
    world.quire(&["rebuild"]).ends(0);
    assert_eq!(world.projection(), rows);
}

fn state_of(world: &World, run: &RunRecord) -> Vec<String> {
    world.rows(&format!("SELECT state, failure_kind FROM runs WHERE id = '{}'", run.id()))
}

#[test]
fn a_stream_that_lost_its_end() {
    for zeros in [false, true] {
        let world = World::new(PIPELINE);
        world.run(0, &[]);
        let run = world.last();
        let events = run.0.join("events.jsonl");
        let length = fs::metadata(&events).unwrap().len() / 2;
        if zeros {
            cut_to_zeros(&events, length)
        } else {
            cut(&events, length)
        }
        // The rows know of an end that the stream no longer tells. They are not looked at again, until someone asks for it.
        world.quire(&["ls"]).ends(0);
        assert_eq!(state_of(&world, &run), ["complete|-"]);
        goes_on(&world);
        assert_eq!(state_of(&world, &run), ["failed|orphaned"], "the stream is what counts");
    }
}

#[test]
fn rows_that_lost_more_than_the_stream_catch_up() {
    let world = World::new(PIPELINE);
    world.run(0, &[]);
    let run = world.last();
    let rows = world.projection();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.projection(), rows);
    // A database that was made and never written.
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    cut(&world.data().join("quire.db"), 0);
    goes_on(&world);
    assert_eq!(state_of(&world, &run), ["complete|-"]);
}

#[test]
fn a_database_of_zeros_is_told_and_made_anew() {
    let world = World::new(PIPELINE);
    world.run(0, &[]);
    let run = world.last();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    cut_to_zeros(&world.data().join("quire.db"), 0);
    world.run(0, &[]);
    world.quire(&["ls"]).ends(2).says(&["damaged", "quire-ci rebuild"]);
    world.quire(&["rebuild"]).ends(0);
    goes_on(&world);
    assert_eq!(state_of(&world, &run), ["complete|-"]);
}

#[test]
fn a_log_that_ends_in_zeros_gives_what_is_before_them() {
    let world = World::new(PIPELINE);
    world.run(0, &[]);
    let run = world.last();
    let log = run.0.join("jobs/a/sh-1.log");
    let first = fs::read(&log).unwrap().iter().position(|byte| *byte == b'\n').unwrap() as u64 + 1;
    cut_to_zeros(&log, first);
    let said = world.quire(&["log", "last", "a/1"]).ends(0);
    assert!(said.out().starts_with("one\n") && !said.out().contains("two"), "{:?}", said.out());
    cut(&log, 0);
    assert_eq!(world.quire(&["log", "last", "a/1", "--raw"]).ends(0).stdout, b"");
    fs::remove_file(&log).unwrap();
    let said = world.quire(&["log", "last", "a"]).ends(0);
    assert!(said.out().contains("three"), "{said:?}");
    goes_on(&world);
}

#[test]
fn a_run_directory_without_its_files() {
    let world = World::new(PIPELINE);
    world.run(0, &[]);
    let run = world.last();
    for name in ["events.jsonl", "lock"] {
        fs::remove_file(run.0.join(name)).unwrap();
        goes_on(&world);
    }
    assert_eq!(state_of(&world, &run), ["failed|orphaned"]);
}
