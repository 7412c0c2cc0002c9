//! What commands leave behind: it neither hangs a run nor outlives it, and children of the server's own are let alone.

use std::process::{Command, Stdio};

use quire_ci::cli::Spec;
use quire_core::wire::RunOutcome;

use crate::support::{World, alone, lives, pool, until};

/// A command line that leaves a daemon and writes its pid to `file` before it ends: a session of its own, its parent gone,
/// nothing of ours open. `prefix` goes before the program.
fn daemon(prefix: &str, file: &str) -> String {
    let inner = format!("echo $$ > {file}.new; mv {file}.new {file}; exec sleep 1000");
    format!("setsid {prefix} sh -c '{inner}' </dev/null >/dev/null 2>&1 & while ! test -e {file}; do sleep 0.01; done")
}

#[test]
fn a_background_process_that_holds_the_pipe_does_not_hang_the_run() {
    let world = World::new(
        r#"ci.job("a", function(rt) rt.sh("(printf early; exec sleep 1000) & echo $! > pid; echo now") end)"#,
    );
    let ran = world.run();
    assert_eq!(ran.ended.outcome, RunOutcome::Complete);
    assert!(ran.commands("a")[0].detached);
    assert_eq!(ran.stdout("a", 1).replace("early", ""), "now\n");
    assert!(!lives(&world.read("pid")), "swept with its job");
}

#[test]
fn what_is_written_after_the_end_is_drained_to_nowhere() {
    // Two megabytes fill every pipe: it ends only if someone goes on reading.
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.sh("(sleep 0.5; head -c 2000000 /dev/zero; touch drained) & echo now")
          rt.sh("while ! test -e drained; do sleep 0.01; done")
        end)"#,
    );
    let ran = world.run();
    assert_eq!(ran.ended.outcome, RunOutcome::Complete);
    assert_eq!(ran.stdout("a", 1), "now\n");
}

#[test]
fn a_daemon_ends_with_its_job_and_other_jobs_daemons_do_not() {
    let world = World::new(&format!(
        r#"
        ci.job("a", function(rt) rt.sh([[{}]]) end)
        ci.job("group", function(rt) rt.sh([[{}]]) end)
        ci.job("other", function(rt)
          rt.sh([[{}]])
          rt.sh("while ! test -e look; do sleep 0.01; done; kill -0 $(cat other)")
        end)
        ci.job("look", {{ "a", "group" }}, function(rt)
          for _, file in ipairs {{ "own", "of-group" }} do
            rt.sh("if grep -qv ' Z ' /proc/$(cat " .. file .. ")/stat 2>/dev/null; then echo it lives; exit 1; fi")
          end
          rt.sh("touch look")
        end)"#,
        daemon("", "own"),
        // No setsid: the group is all that tells whose it is.
        daemon("", "of-group").replace("setsid", "env -i PATH=$PATH"),
        daemon("", "other"),
    ));
    let ran = world.run();
    assert_eq!(ran.ended.outcome, RunOutcome::Complete, "{:#?}", ran.events);
    for file in ["own", "of-group", "other"] {
        assert!(!lives(&world.read(file)), "{file}");
    }
}

#[test]
fn one_that_does_not_heed_term_is_killed_when_the_run_is_hurried() {
    let inner = "trap \"\" TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.01; done";
    let text = format!(
        "setsid sh -c '{inner}' </dev/null >/dev/null 2>&1 & while ! test -e pid; do sleep 0.01; done; sleep 1000"
    );
    let world = World::new(&format!("ci.job(\"a\", function(rt) rt.sh([[{text}]]) end)"));
    let going = world.start(Spec::default());
    until("the daemon is there", || world.path("pid").exists());
    going.cancel();
    going.cancel();
    let ran = going.end();
    assert_eq!(ran.ended.outcome, RunOutcome::Aborted);
    assert!(!lives(&world.read("pid")));
}

#[test]
fn children_of_the_server_are_let_alone_and_their_status_is_theirs() {
    let _turn = alone();
    // Of a thread that ends, so that it becomes a child of the first thread as an orphan does.
    let mut child = std::thread::spawn(|| {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exit 7"]).stdin(Stdio::piped()).env_remove("QUIRE_SH");
        command.spawn().unwrap()
    })
    .join()
    .unwrap();
    let world = World::new(&format!("ci.job(\"a\", function(rt) rt.sh([[{}]]) end)", daemon("", "pid")));
    world.run();
    assert!(!lives(&world.read("pid")));
    assert_eq!(child.try_wait().unwrap(), None);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn what_left_group_and_environment_is_a_stray() {
    let _turn = alone();
    let world =
        World::new(&format!("ci.job(\"a\", function(rt) rt.sh([[{}]]) end)", daemon("env -i PATH=$PATH", "pid")));
    world.run();
    let pid = world.read("pid");
    assert!(lives(&pid), "nothing tells that it is the run's");
    let stray: u32 = pid.trim().parse().unwrap();
    // Other tests run runs; it does nothing while they go on.
    until("the stray has ended", || {
        pool().end_strays(|pid| pid != stray);
        !lives(&pid)
    });
}
