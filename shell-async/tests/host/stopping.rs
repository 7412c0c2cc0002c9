//! Runs that are cancelled, and runs that cannot be recorded.

use std::fs;

use quire_ci::cli::Spec;
use quire_ci::record::RunLock;
use quire_core::ids::RunId;
use quire_core::wire::{Cause, EventKind, FailureKind, RunOutcome};

use crate::disk::Disk;
use crate::support::{World, events, until};

#[test]
fn a_cancelled_run_ends_its_commands_and_runs_what_was_deferred() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.defer(function() rt.sh("touch deferred") end)
          rt.sh("trap 'echo heard; exit 9' TERM; : > ready; while :; do sleep 0.01 || :; done")
        end)
        ci.job("b", { "a" }, function(rt) rt.sh("true") end)"#,
    );
    let going = world.start(Spec::default());
    until("the command runs", || world.path("ready").exists());
    going.cancel();
    let ran = going.end();
    assert_eq!((ran.ended.outcome, ran.ended.cancelled), (RunOutcome::Aborted, true));
    assert_eq!(ran.commands("a")[0].cause, Some(Cause::Cancel));
    assert_eq!(ran.stdout("a", 1), "heard\n");
    assert!(world.path("deferred").exists());
    assert!(
        matches!(&ran.events.last().unwrap().kind, EventKind::RunFinished(end) if end.outcome == RunOutcome::Aborted)
    );
}

#[test]
fn cancelled_again_it_is_killed() {
    let world = World::new(
        r#"ci.job("a", function(rt) rt.sh("trap 'touch heard' TERM; : > ready; while :; do sleep 0.01 || :; done") end)"#,
    );
    let going = world.start(Spec::default());
    until("the command runs", || world.path("ready").exists());
    going.cancel();
    until("TERM arrives", || world.path("heard").exists());
    going.cancel();
    let ran = going.end();
    assert_eq!(ran.ended.outcome, RunOutcome::Aborted);
    assert_eq!(ran.commands("a")[0].signal, Some(9));
}

#[test]
fn one_that_was_cancelled_before_it_began_starts_nothing() {
    let world = World::new(r#"ci.job("a", function(rt) rt.sh("touch ran") end)"#);
    let going = world.start(Spec::default());
    going.cancel();
    let ran = going.end();
    assert!(ran.ended.cancelled);
    assert!(matches!(&ran.events.last().unwrap().kind, EventKind::RunFinished(_)));
}

#[test]
fn nobody_has_to_be_there_who_could_cancel() {
    let world = World::new(r#"ci.job("a", function(rt) rt.sh("sleep 0.1") end)"#);
    let mut going = world.start(Spec::default());
    going.stops = smol::channel::unbounded().0;
    assert_eq!(going.end().ended.outcome, RunOutcome::Complete);
}

#[test]
fn a_script_that_is_busy_can_be_cancelled_and_keeps_nobody_waiting() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.sh("touch ready")
          for _ = 1, 1000000 do rt.env("HOME") for _ = 1, 100000 do end end
        end)"#,
    );
    let going = world.start(Spec::default());
    until("it is busy", || world.path("ready").exists());
    let other = World::new(r#"ci.job("a", function(rt) rt.sh("true") end)"#);
    assert_eq!(other.run().ended.outcome, RunOutcome::Complete);
    going.cancel();
    assert_eq!(going.end().ended.outcome, RunOutcome::Aborted);
}

#[test]
fn a_record_that_cannot_be_written_ends_the_run() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.sh("touch ready; while ! test -e go; do sleep 0.01; done")
          rt.log(string.rep("x", 5000))
          rt.sh("touch went-on")
        end)"#,
    );
    let disk = Disk::mounted(world.path("../disk"), "1m");
    let place = world.path("../disk").join("run");
    let going = world.start_in(&place, RunId::new("full"), Spec::default());
    until("the command runs", || world.path("ready").exists());
    disk.fill();
    world.write("go", "");
    let ran = going.end();
    assert_eq!(ran.ended.outcome, RunOutcome::Failed);
    assert!(ran.ended.record_failure.as_ref().is_some_and(|why| why.contains("No space left")), "{:?}", ran.ended);
    assert!(!world.path("went-on").exists());
    assert!(!ran.events.iter().any(|event| matches!(event.kind, EventKind::RunFinished(_))));
    assert_eq!(RunLock::noted_end(&ran.files.lock()), Some(FailureKind::Record));
}

#[test]
fn a_log_that_cannot_be_written_ends_the_run_too() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.sh("echo first")
          rt.sh("touch ready; while ! test -e go; do sleep 0.01; done; seq 100000")
          rt.sh("touch went-on")
        end)"#,
    );
    let disk = Disk::mounted(world.path("../disk"), "1m");
    let going = world.start_in(&world.path("../disk").join("run"), RunId::new("full"), Spec::default());
    until("the command runs", || world.path("ready").exists());
    disk.fill();
    world.write("go", "");
    let ran = going.end();
    assert!(ran.ended.record_failure.as_ref().is_some_and(|why| why.contains("the log of a/2")), "{:?}", ran.ended);
    assert!(!world.path("went-on").exists());
    let log = fs::read(ran.files.log(&crate::support::sh("a", 2)).unwrap()).unwrap();
    assert!(log.is_empty() || log.ends_with(b"\n"), "whole entries");
}

#[test]
fn a_directory_that_holds_a_run_is_refused() {
    let world = World::new(r#"ci.job("a", function(rt) rt.sh("true") end)"#);
    let ran = world.run();
    let again = ran.files.path().to_owned();
    let before = events(&ran.files).len();
    let dir = quire_ci::record::RunDir::take(&again).unwrap();
    let run = quire::host::HostRun {
        run_id: RunId::new("again"),
        dir,
        workspace: world.workspace(),
        spec: Spec::default(),
        slots: 0,
        notes: Vec::new(),
    };
    let error = smol::block_on(crate::support::pool().start(run, smol::channel::unbounded().1)).unwrap_err();
    assert!(error.to_string().contains("events.jsonl"), "{error}");
    assert_eq!(events(&ran.files).len(), before);
}
