//! A quire-ci that is killed: what it recorded stays, what it left running ends, its run is closed.

use quire_core::wire::Stream;
use rustix::process::Signal;

use crate::world::{World, until};

const LONG: &str = r#"
ci.job("done", function(rt) rt.sh("echo done") end)
ci.job("long", { "done" }, function(rt)
  rt.sh("setsid sleep 1000 > /dev/null 2>&1 & echo begun; sleep 1000")
end)
ci.job("after", { "long" }, function(rt) end)"#;

/// A world whose quire-ci was killed once "begun" was in its log.
fn killed() -> World {
    let world = World::new(LONG);
    let running = world.start(&["run"]);
    until("the command's output", || {
        let log = world.runs().pop()?.log("long", 1);
        log.ends_with(b"begun\n").then_some(())
    });
    running.signal(Signal::KILL);
    assert_eq!(running.end().signal, Some(9));
    world
}

#[test]
fn the_next_look_closes_a_killed_run_and_ends_what_it_left() {
    let world = killed();
    assert!(!world.processes().is_empty(), "a killed quire-ci cannot end its commands");
    let said = world.quire(&["ls"]).ends(0);
    assert!(said.out().contains("failed (orphaned)"), "{}", said.out());
    said.says(&[&world.last().id(), "died", "sleep"]);
    assert_eq!(world.processes(), [], "what it left running was ended before the run was closed");
    assert_eq!(
        world.rows("SELECT job_id, state FROM jobs ORDER BY position"),
        ["done|complete", "long|aborted", "after|aborted"]
    );
    assert_eq!(
        world.rows("SELECT job_id, exit_code, cause FROM sh_events ORDER BY job_id"),
        ["done|0|-", "long|-|crash"]
    );
    let run = world.last();
    assert_eq!(run.outcome(), None, "a stream is never written by who closes it");
    assert_eq!(run.stream("long", 1, Stream::Stdout), b"begun\n");
    assert!(world.quire(&["log", "last", "long"]).ends(0).out().starts_with("begun"));
    assert_eq!(world.quire(&["ls"]).ends(0).err(), "", "told once");
    world.is_sound();
}

#[test]
fn the_next_run_does_so_too() {
    let world = killed();
    let dead = world.last().id();
    world.pipeline(r#"ci.job("quick", function(rt) rt.sh("true") end)"#);
    let said = world.run(0, &[]);
    assert!(said.out().contains(&dead), "{}", said.out());
    assert_eq!(world.processes(), []);
    assert_eq!(
        world.rows("SELECT number, state, failure_kind FROM runs ORDER BY number"),
        ["1|failed|orphaned", "2|complete|-"]
    );
    world.is_sound();
}

#[test]
fn what_a_killed_run_left_and_will_not_end_is_killed() {
    let world = World::new(
        r#"ci.job("a", function(rt) rt.sh("exec > /dev/null 2>&1; trap 'touch asked' TERM; touch begun; while :; do sleep 0.01 || :; done") end)"#,
    );
    let running = world.start(&["run"]);
    until("the command", || world.workspace().join("begun").exists().then_some(()));
    running.signal(Signal::KILL);
    running.end();
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.processes(), []);
    assert!(world.workspace().join("asked").exists(), "it was asked first");
}

#[test]
fn a_run_that_lives_is_left_alone() {
    let world = World::new(
        r#"ci.job("a", { timeout = "50s" }, function(rt) rt.sh("touch begun; until test -e go; do sleep 0.01; done") end)"#,
    );
    let running = world.start(&["run"]);
    until("the command", || world.workspace().join("begun").exists().then_some(()));
    let there = world.processes().len();
    for args in [&["ls"][..], &["show"], &["rebuild"], &["prune", "--keep", "0"], &["ls"]] {
        world.quire(args).ends(0);
    }
    assert!(world.processes().len() >= there.min(2));
    assert_eq!(world.rows("SELECT state FROM runs"), ["active"]);
    world.write("go", "");
    running.end().ends(0);
    world.is_sound();
}

#[test]
fn kills_at_any_moment_lose_nothing_that_was_recorded() {
    let world = World::new(r#"ci.job("a", function(rt) for n = 1, 10000 do rt.sh { "echo", tostring(n) } end end)"#);
    for round in 0..8 {
        let running = world.start(&["run", "--quiet"]);
        until("some events", || {
            let runs = world.runs();
            (runs.len() == round + 1).then_some(())?;
            (runs.last()?.events().len() > 7 * round).then_some(())
        });
        running.signal(Signal::KILL);
        running.end();
        let run = world.last();
        run.is_readable();
        // What a stream says has ended has its log, whole.
        for n in 1..=run.of_type("sh_finished").len() as u32 {
            assert_eq!(run.stream("a", n, Stream::Stdout), format!("{n}\n").into_bytes());
        }
    }
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.rows("SELECT DISTINCT state, failure_kind FROM runs"), ["failed|orphaned"]);
    world.falls_quiet();
    world.is_sound();
}
