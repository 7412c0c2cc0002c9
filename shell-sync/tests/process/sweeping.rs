//! What commands leave behind is ended: with the job, or at the latest with the run.

use std::fs;
use std::time::Duration;

use quire_ci::process::Strays;
use quire_core::engine::{Input, Output, Scope};

use crate::support::{Script, World, alone, command_of, job, lives, shell};

/// A command line that leaves a daemon and writes its pid to `file` before it ends: a session of its own, its parent gone,
/// nothing of ours open. `prefix` goes before the program.
fn daemon(prefix: &str, file: &str) -> String {
    let inner = format!("echo $$ > {file}.new; mv {file}.new {file}; exec sleep 1000");
    format!("setsid {prefix} sh -c '{inner}' </dev/null >/dev/null 2>&1 & while ! test -e {file}; do sleep 0.01; done")
}

fn pid(world: &World, file: &str) -> String {
    fs::read_to_string(world.path(file)).unwrap()
}

fn job_sweep(id: &str) -> Output {
    Output::Sweep { scope: Scope::Job(job(id)) }
}

#[test]
fn a_daemon_ends_with_its_job_and_other_jobs_daemons_do_not() {
    let _turn = alone();
    let mut world = World::new();
    let other = command_of("b", 1, &["sh", "-c", &daemon("", "other")]);
    let script = Script::new([shell(1, &daemon("", "own")), other]).last([job_sweep("a")]);
    world.drive(script, None, None);
    assert!(!lives(&pid(&world, "own")));
    assert!(lives(&pid(&world, "other")));
    world.run([Output::Sweep { scope: Scope::Run }]);
    assert!(!lives(&pid(&world, "other")));
}

#[test]
fn a_process_that_left_its_environment_ends_with_its_group() {
    let _turn = alone();
    let mut world = World::new();
    // No setsid: the group is all that tells whose it is.
    let text = daemon("", "pid").replace("setsid", "env -i PATH=$PATH");
    world.drive(Script::new([shell(1, &text)]).last([job_sweep("a")]), None, None);
    assert!(!lives(&pid(&world, "pid")));
}

#[test]
fn a_process_that_left_group_and_environment_ends_with_the_run() {
    let _turn = alone();
    let mut world = World::new();
    let text = daemon("env -i PATH=$PATH", "pid");
    world.drive(Script::new([shell(1, &text)]).last([job_sweep("a")]), None, None);
    assert!(lives(&pid(&world, "pid")), "nothing tells that it is the job's");
    world.run([Output::Sweep { scope: Scope::Run }]);
    assert!(!lives(&pid(&world, "pid")));
}

#[test]
fn children_of_a_daemon_end_with_it_whatever_they_carry() {
    let _turn = alone();
    let mut world = World::new();
    let inner = "setsid env -i sleep 1001 & echo $! > child; echo $$ > pid; wait";
    let text = format!(
        "setsid sh -c '{inner}' </dev/null >/dev/null 2>&1 & while ! test -s pid || ! test -s child; do sleep 0.01; done"
    );
    world.drive(Script::new([shell(1, &text)]).last([job_sweep("a")]), None, None);
    assert!(!lives(&pid(&world, "pid")));
    assert!(!lives(&pid(&world, "child")));
}

#[test]
fn what_does_not_heed_term_is_killed_after_the_grace() {
    let _turn = alone();
    let mut world = World::new();
    world.setup.grace = Duration::from_millis(100);
    let inner = "trap \"echo heard >> term\" TERM; echo $$ > pid; while :; do sleep 0.01; done";
    let text = format!("setsid sh -c '{inner}' </dev/null >/dev/null 2>&1 & while ! test -s pid; do sleep 0.01; done");
    let script = Script::new([shell(1, &text)]).last([job_sweep("a")]);
    let run = world.drive(script, None, None);
    assert!(!lives(&pid(&world, "pid")));
    assert_eq!(fs::read_to_string(world.path("term")).unwrap(), "heard\n", "TERM came first, and once");
    assert_eq!(run.facts.last(), Some(&Input::Swept { scope: Scope::Job(job("a")) }));
}

#[test]
fn a_process_that_runs_away_by_forking_is_caught() {
    let _turn = alone();
    let mut world = World::new();
    world.setup.grace = Duration::from_millis(300);
    // Each generation starts the next in a session of its own and ends; TERM alone would always come late.
    fs::write(world.path("flee"), "echo $$ > pid\nsetsid sh ./flee </dev/null >/dev/null 2>&1 &\n").unwrap();
    let text = "sh ./flee; while ! test -s pid; do sleep 0.01; done";
    world.drive(Script::new([shell(1, text)]).last([job_sweep("a")]), None, None);
    assert!(!lives(&pid(&world, "pid")));
    fs::remove_file(world.path("pid")).unwrap();
    // Nothing is left that could write it again; a process needs less than this command to do so.
    world.run([shell(2, "sleep 0.1")]);
    assert!(!world.path("pid").exists());
}

#[test]
fn ended_orphans_are_reaped_while_a_command_runs() {
    let _turn = alone();
    let mut world = World::new();
    // A zombie has its place in /proc until it is reaped.
    let text = "(true & echo $! > pid); while test -e /proc/$(cat pid); do sleep 0.01; done";
    let run = world.run([shell(1, text)]);
    assert_eq!(run.status(&crate::support::sh("a", 1)), Some(quire_core::engine::ExitStatus::Code(0)));
}

#[test]
fn a_stopped_process_is_ended_too() {
    let _turn = alone();
    let mut world = World::new();
    let inner = "echo $$ > pid; kill -STOP $$; exec sleep 1000";
    let text = format!(
        "setsid sh -c '{inner}' </dev/null >/dev/null 2>&1 & while ! test -s pid; do sleep 0.01; done; \
         while ! grep -q 'State:.T' /proc/$(cat pid)/status; do sleep 0.01; done"
    );
    world.drive(Script::new([shell(1, &text)]).last([job_sweep("a")]), None, None);
    assert!(!lives(&pid(&world, "pid")));
}

#[test]
fn a_sweep_ends_commands_that_still_run() {
    let _turn = alone();
    let mut world = World::new();
    let running = shell(1, "echo $$ > pid; exec sleep 1000");
    let script =
        Script::new([running, shell(2, "while ! test -s pid; do sleep 0.01; done")]).react(|fact| match fact {
            Input::Exited { sh, .. } if sh.n == 2 => vec![job_sweep("a")],
            _ => Vec::new(),
        });
    let run = world.drive(script, None, None);
    assert_eq!(run.status(&crate::support::sh("a", 1)), Some(quire_core::engine::ExitStatus::Signal(15)));
    assert!(run.facts.contains(&Input::Swept { scope: Scope::Job(job("a")) }));
}

#[test]
fn where_nothing_is_left_a_sweep_is_done_at_once() {
    let _turn = alone();
    let mut world = World::new();
    let scopes: Vec<Scope> = (0..100).map(|n| Scope::Job(job(&format!("job-{n}")))).chain([Scope::Run]).collect();
    let run = world.run(scopes.iter().map(|scope| Output::Sweep { scope: scope.clone() }));
    let expected: Vec<Input> = scopes.into_iter().map(|scope| Input::Swept { scope }).collect();
    assert_eq!(run.facts, expected);
    assert_eq!(world.notices, [] as [&str; 0]);
}

#[test]
fn a_stray_that_has_ended_is_reaped_at_the_second_look() {
    let _turn = alone();
    let mut world = World::new();
    world.setup.owns_orphans = false;
    let text = daemon("env -i PATH=$PATH", "pid").replace("sleep 1000", "sleep 0.1");
    world.run([shell(1, &text)]);
    let is_there = |pid: &str| std::path::Path::new(&format!("/proc/{}", pid.trim())).exists();
    let pid = pid(&world, "pid");
    while lives(&pid) {
        std::thread::yield_now();
    }
    let mut strays = Strays::default();
    strays.reap();
    assert!(is_there(&pid), "whose child it is may be about to ask");
    strays.reap();
    assert!(!is_there(&pid));
}
