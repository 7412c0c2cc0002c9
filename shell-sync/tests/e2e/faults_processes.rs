//! What the forerunner got wrong about processes: how they end, and what they leave behind.

use quire_core::wire::Stream;
use rustix::process::Signal;

use crate::world::{Running, World, until};

#[test]
fn a_death_by_signal_is_told_as_one() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          local result = rt.sh("kill -9 $$", { check = false })
          assert(result.exit == 137 and result.signal == 9)
          rt.sh("kill -TERM $$")
        end)"#,
    );
    let said = world.run(1, &[]);
    assert!(said.out().contains("SIGTERM"), "{}", said.out());
    assert_eq!(world.rows("SELECT n, exit_code, signal FROM sh_events"), ["1|137|9", "2|143|15"]);
    assert_eq!(world.rows("SELECT exit_code FROM jobs"), ["143"]);
    let finished = &world.last().of_type("sh_finished")[0];
    assert_eq!((finished["exit_code"].as_i64(), finished["signal"].as_i64()), (Some(137), Some(9)));
}

#[test]
fn what_a_command_leaves_in_the_background_hangs_nothing() {
    // It holds the pipes open, once as a plain grandchild, once with a session and an environment of its own.
    for start in
        ["sleep 1000 &", "setsid sleep 1000 &", "env -i PATH=\"$PATH\" E2E_WORLD=\"$E2E_WORLD\" setsid sleep 1000 &"]
    {
        let text = format!("ci.job('a', function(rt) rt.sh([[{start} echo started]]); rt.sh('echo next') end)");
        let world = World::new(&text);
        let said = world.run(0, &[]);
        let run = world.last();
        assert_eq!(run.stream("a", 1, Stream::Stdout), b"started\n", "{}", said.out());
        assert_eq!(run.of_type("sh_finished")[0]["detached"], true, "{start}");
        // It ended with its job.
        assert_eq!(world.processes(), [], "{start}");
    }
}

#[test]
fn a_service_ends_with_its_job() {
    let world = World::new(
        r#"ci.job("a", { timeout = "50s" }, function(rt)
          rt.spawn("trap 'echo stopped > stopped; exit 0' TERM; echo up > up; while :; do sleep 0.01; done", { service = true })
          rt.sh("until test -e up; do sleep 0.01; done")
        end)"#,
    );
    world.run(0, &[]);
    assert_eq!(world.read("stopped"), "stopped\n");
    assert_eq!(world.processes(), []);
}

/// A run that has begun a command, an orphan beside it, and a deferred function.
const LONG: &str = r#"
ci.job("long", function(rt)
  rt.defer(function() rt.sh("echo deferred > deferred") end)
  rt.sh("setsid sleep 1000 & echo begun; touch begun; sleep 1000")
  rt.write_file("went-on", "")
end)
ci.job("after", { "long" }, function(rt) rt.sh("touch after") end)"#;

#[track_caller]
fn begun(world: &World, running: &Running) {
    until("the command", || world.workspace().join("begun").exists().then_some(()));
    assert!(running.status("VmRSS").is_some(), "it ended: {}{}", running.stdout(), running.stderr());
}

#[test]
fn an_interrupted_run_ends_its_commands_and_its_record() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let world = World::new(LONG);
        let running = world.start(&["run"]);
        begun(&world, &running);
        running.signal(signal);
        let said = running.end().ends(code);
        assert_eq!(world.processes(), [], "{signal:?}");
        assert!(said.out().contains("once more to kill them at once"), "{}", said.out());
        assert_eq!(world.read("deferred"), "deferred\n");
        for never in ["went-on", "after"] {
            assert!(!world.workspace().join(never).exists(), "{never}");
        }
        let run = world.last();
        assert_eq!(run.outcome().as_deref(), Some("aborted"));
        let first = run.of_type("sh_finished").remove(0);
        assert_eq!((first["cause"].as_str(), first["signal"].as_i64()), (Some("cancel"), Some(15)));
        assert_eq!(run.event("job_finished", "long")["outcome"], "aborted");
        assert_eq!(run.event("job_skipped", "after")["reason"], "run_aborted");
        assert_eq!(run.stream("long", 1, Stream::Stdout), b"begun\n");
        assert_eq!(world.rows("SELECT state FROM runs"), ["aborted"]);
        world.is_sound();
    }
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let world = World::new(
        r#"ci.job("stubborn", function(rt)
          rt.defer(function() rt.sh("echo deferred > deferred") end)
          rt.sh("trap 'touch asked' TERM; touch begun; while :; do sleep 0.01 || :; done")
        end)"#,
    );
    let running = world.start(&["run"]);
    begun(&world, &running);
    running.signal(Signal::INT);
    until("the first signal's effect", || world.workspace().join("asked").exists().then_some(()));
    running.signal(Signal::INT);
    running.end().ends(130);
    assert_eq!(world.processes(), []);
    let run = world.last();
    assert_eq!(run.outcome().as_deref(), Some("aborted"));
    assert_eq!(run.of_type("sh_finished")[0]["signal"], 9);
    assert!(!world.workspace().join("deferred").exists(), "a second signal runs nothing more");
    world.is_sound();
}

#[test]
fn an_endless_script_can_be_interrupted() {
    let world =
        World::new(r#"ci.job("busy", function(rt) rt.write_file("begun", ""); while true do rt.glob("*") end end)"#);
    let running = world.start(&["run"]);
    begun(&world, &running);
    running.signal(Signal::INT);
    running.end().ends(130);
    assert_eq!(world.last().outcome().as_deref(), Some("aborted"));
}

#[test]
fn a_time_out_ends_a_command_and_what_it_started() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          local ok, err = pcall(rt.sh, "sleep 1000 & echo said; sleep 1000", { timeout = 0.2 })
          assert(not ok and err.timeout)
        end)
        ci.job("b", { timeout = 0.2 }, function(rt)
          rt.defer(function() rt.sh("echo deferred > deferred") end)
          pcall(rt.sh, "sleep 1000")
          rt.sh("echo never")
        end)"#,
    );
    world.run(1, &["--keep-going"]);
    let run = world.last();
    assert_eq!(run.event("sh_finished", "a")["cause"], "timeout");
    assert_eq!(run.stream("a", 1, Stream::Stdout), b"said\n");
    assert_eq!(run.event("job_finished", "a")["outcome"], "complete");
    assert_eq!(run.event("job_finished", "b")["outcome"], "failed");
    assert_eq!(world.read("deferred"), "deferred\n");
    assert_eq!(world.processes(), []);
    world.is_sound();
}
