//! Whole pipelines: what a run records, prints and hands from job to job.

use std::collections::BTreeMap;
use std::fs;

use quire_ci::cli::{Spec, SpecLimits};
use quire_core::wire::{Cause, EventKind, JobOutcome, RunOutcome, Stream};

use crate::support::World;

#[test]
fn jobs_run_beside_one_another_and_hand_on_what_they_return() {
    // Each of the first two waits for the other.
    let world = World::new(
        r#"
        local function meet(mine, other)
          return function(rt)
            rt.sh("touch " .. mine .. "; while ! test -e " .. other .. "; do sleep 0.01; done")
            return { said = rt.out("echo " .. mine) }
          end
        end
        ci.job("a", meet("a", "b"))
        ci.job("b", meet("b", "a"))
        ci.job("both", { "a", "b" }, function(rt)
          rt.sh("echo " .. rt.jobs("a").said .. rt.jobs("b").said)
        end)"#,
    );
    let ran = world.run();
    assert_eq!(ran.ended.outcome, RunOutcome::Complete, "{:#?}", ran.events);
    assert_eq!((ran.ended.cancelled, &ran.ended.record_failure), (false, &None));
    assert_eq!(ran.ended.notes, Vec::<String>::new());
    assert_eq!(ran.stdout("both", 1), "ab\n");
    let EventKind::RunStarted(started) = &ran.events.first().unwrap().kind else { panic!("{:#?}", ran.events) };
    assert_eq!(started.executor, "host");
    assert!(matches!(&ran.events.last().unwrap().kind, EventKind::RunFinished(_)));
}

#[test]
fn a_failing_command_fails_its_job_and_the_run() {
    let world = World::new(
        r#"ci.job("a", function(rt) rt.sh("echo so >&2; exit 3") end)
        ci.job("b", { "a" }, function(rt) rt.sh("true") end)
        ci.job("c", function(rt) rt.sh { "no-such-program" } end)"#,
    );
    let ran = world.run_with(Spec { keep_going: true, ..Spec::default() });
    assert_eq!(ran.ended.outcome, RunOutcome::Failed);
    assert_eq!(ran.commands("a")[0].exit_code, 3);
    assert_eq!(ran.logged("a", 1, Stream::Stderr), "so\n");
    let skipped = |event: &quire_core::wire::Event| matches!(&event.kind, EventKind::JobSkipped(skipped) if skipped.job_id.as_str() == "b");
    assert!(ran.events.iter().any(skipped));
    assert_eq!(ran.commands("c")[0].exit_code, 127);
    assert!(ran.commands("c")[0].error.as_ref().unwrap().message.contains("no-such-program"));
}

#[test]
fn secrets_are_masked_and_the_environment_is_short() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.sh("echo $TOKEN-$GIVEN-$CARGO_MANIFEST_DIR-$QUIRE_JOB_ID", { env = { TOKEN = rt.secret("TOKEN") } })
          local made = rt.out("echo made-here")
          rt.mask(made)
          rt.sh("echo " .. made .. "; printf made-; sleep 0.05; echo here")
        end)"#,
    );
    let ran = world.run_with(Spec {
        secrets: BTreeMap::from([("TOKEN".to_owned(), "hunter22".to_owned())]),
        env: BTreeMap::from([("GIVEN".to_owned(), "given".to_owned())]),
        ..Spec::default()
    });
    assert_eq!(ran.stdout("a", 1), "***-given--a\n");
    assert!(ran.commands("a")[0].masked);
    assert_eq!(ran.stdout("a", 3), "***\n***\n");
    let stream = fs::read_to_string(ran.files.events()).unwrap();
    assert!(!stream.contains("hunter22"), "{stream}");
}

#[test]
fn merged_output_keeps_its_order_and_bytes_for_standard_input_arrive() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.sh("for i in $(seq 300); do echo out $i; echo err $i >&2; done", { merge = true })
          local many = string.rep("0123456789abcdef", 100000)
          assert(rt.sh({ "wc", "-c" }, { stdin = many }).stdout:match("%d+") == "1600000")
          rt.sh({ "true" }, { stdin = many })
          assert(rt.sh({ "cat" }, { stdin = "" }).stdout == "")
        end)"#,
    );
    let ran = world.run();
    assert_eq!(ran.ended.outcome, RunOutcome::Complete, "{:#?}", ran.events);
    let expected: String = (1..=300).map(|n| format!("out {n}\nerr {n}\n")).collect();
    assert_eq!(ran.stdout("a", 1), expected);
}

#[test]
fn much_output_is_kept_to_the_last_byte() {
    let world =
        World::new(r#"ci.job("a", function(rt) rt.sh("seq 200000; seq 100000 >&2; printf tail; printf end >&2") end)"#);
    let ran = world.run();
    let lines = |last: u32, tail: &str| (1..=last).map(|n| format!("{n}\n")).collect::<String>() + tail;
    assert!(ran.stdout("a", 1) == lines(200_000, "tail"));
    assert!(ran.logged("a", 1, Stream::Stderr) == lines(100_000, "end"));
    assert_eq!(ran.commands("a")[0].no_eol, [Stream::Stdout, Stream::Stderr]);
}

#[test]
fn limits_end_a_command() {
    let world = World::new(
        r#"
        ci.job("timeout", function(rt) rt.sh("sleep 1000", { timeout = 0.2 }) end)
        ci.job("output", function(rt) rt.sh { "yes" } end)
        ci.job("idle", function(rt) rt.sh("echo here; sleep 1000") end)"#,
    );
    let limits = SpecLimits { job_ms: None, idle_ms: Some(1500), output_bytes: Some(100_000) };
    let ran = world.run_with(Spec { limits, keep_going: true, ..Spec::default() });
    assert_eq!(ran.ended.outcome, RunOutcome::Failed);
    for (job, cause) in [("timeout", Cause::Timeout), ("output", Cause::Limit), ("idle", Cause::Limit)] {
        let finished = ran.commands(job)[0];
        assert_eq!((finished.signal, finished.cause.as_ref()), (Some(15), Some(&cause)), "{job}: {finished:?}");
        assert_eq!(ran.job(job).outcome, JobOutcome::Failed);
    }
    assert_eq!(ran.stdout("output", 1).len(), 100_000);
    assert_eq!(ran.stdout("idle", 1), "here\n");
}

#[test]
fn scripts_ask_the_workspace() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.write_file("made/one.txt", "one")
          rt.sh("printf two > made/two.txt")
          assert(rt.read_file("made/two.txt") == "two")
          assert(not pcall(rt.read_file, "/etc/passwd"))
        end)"#,
    );
    let ran = world.run();
    assert_eq!(ran.ended.outcome, RunOutcome::Complete, "{:#?}", ran.events);
    assert_eq!(world.read("made/one.txt"), "one");
}

#[test]
fn a_pipeline_that_does_not_compile_is_a_run_and_none_is_an_error() {
    let ran = World::new("ci.job(").run();
    assert_eq!(ran.ended.outcome, RunOutcome::Failed);
    let EventKind::RunFinished(finished) = &ran.events.last().unwrap().kind else { panic!("{:#?}", ran.events) };
    assert!(finished.error.as_ref().is_some_and(|error| error.message.contains("ci.lua")) || finished.error.is_some());

    let world = World::new("");
    fs::remove_file(world.path(".quire/ci.lua")).unwrap();
    let error = world.start(Spec::default()).try_end().unwrap_err().to_string();
    assert!(error.contains("no pipeline"), "{error}");
}
