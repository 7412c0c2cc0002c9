//! Runs that go on with an earlier one: what is answered, what runs, and when that is refused.

use quire_core::wire::Stream;
use rustix::process::Signal;

use crate::recorded::RunRecord;
use crate::world::{World, until};

/// Each command leaves a line in `ran`, which git ignores, so that it is seen what really ran.
const PIPELINE: &str = r#"
local function note(what) return "echo " .. what .. " >> ran; echo out of " .. what end
ci.job("build", function(rt) rt.sh(note("build")) return { made = rt.out(note("made")) } end)
ci.job("test", { "build" }, function(rt)
  rt.sh(note("first"))
  rt.log(rt.jobs("build").made, math.random(1000000))
  rt.sh(note("second") .. "; test -e ok")
  rt.sh(note("third"))
end)
ci.job("other", function(rt) rt.sh(note("other")) end)"#;

fn world() -> World {
    let world = World::new(PIPELINE);
    world.write(".gitignore", "ran\nok\n");
    world.commit("ignore");
    world
}

/// What ran since the last call.
fn ran(world: &World) -> Vec<String> {
    let path = world.workspace().join("ran");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn what_succeeded_is_answered_and_the_rest_runs() {
    let world = world();
    world.run(1, &["-k"]);
    assert_eq!(ran(&world), ["build", "first", "made", "other", "second"]);
    let said = world.run(1, &["--resume"]);
    assert_eq!(ran(&world), ["second"]);
    said.tells(&["resumes", "test: failed", "2 jobs and 4 commands replayed, 1 command run", "complete, replayed"]);
    world.write("ok", "");
    let said = world.run(0, &["--resume", "--json"]).json();
    assert_eq!(ran(&world), ["second", "third"]);
    let first = &world.runs()[0];
    let last = world.last();
    assert_eq!(said["resumed_from"], world.runs()[1].id());
    // What was replayed twice still has its bytes, its seed and its output.
    assert_eq!(last.stream("build", 2, Stream::Stdout), b"out of made\n");
    let logged = |run: &RunRecord| {
        let events = String::from_utf8(run.bytes("events.jsonl")).unwrap();
        let line = events.lines().find(|line| line.contains("job_logged")).map(str::to_owned);
        line.and_then(|line| line.split_once("\"text\":").map(|(_, text)| text.to_owned())).unwrap()
    };
    assert_eq!(logged(first), logged(&last));
    assert_eq!(
        world.rows(&format!("SELECT job_id, n, replayed FROM sh_events WHERE run_id = '{}'", last.id())),
        ["build|1|1", "build|2|1", "other|1|1", "test|1|1", "test|2|0", "test|3|0"]
    );
    assert_eq!(
        world.rows(&format!(
            "SELECT job_id, state, replayed FROM jobs WHERE run_id = '{}' ORDER BY position",
            last.id()
        )),
        ["build|complete|1", "test|complete|0", "other|complete|1"]
    );
    world.is_sound();
    // A run never changes after its end, and what is complete is not resumed.
    world.quire(&["run", "--resume"]).ends(2).says(&["run 3 cannot be resumed: it is complete", "quire-ci ls"]);
    assert_eq!(world.runs().len(), 3, "a refusal is no run");
}

#[test]
fn failed_jobs_run_afresh() {
    let world = world();
    world.run(1, &["-k"]);
    ran(&world);
    world.write("ok", "");
    world.run(0, &["--failed"]).tells(&["2 jobs and 3 commands replayed, 3 commands run"]);
    assert_eq!(ran(&world), ["first", "second", "third"]);
    world.is_sound();
    // `last-failed` is meant where none is named: the run before.
    world.run(0, &["--failed"]);
    assert_eq!(ran(&world), ["first", "second", "third"]);
}

#[test]
fn a_change_is_refused_with_its_reason_and_overruled_by_force() {
    let world = world();
    world.run(1, &["-k"]);
    ran(&world);
    let refused = |reason: &str| {
        for option in ["--resume", "--failed"] {
            world.quire(&["run", option]).ends(2).says(&["run 1 cannot be resumed: ", reason, "--force"]);
        }
        assert_eq!((ran(&world).len(), world.runs().len()), (0, 1), "nothing ran, nothing is recorded");
    };
    world.write("new", "");
    refused("files of the work tree have changed since it began");
    std::fs::remove_file(world.workspace().join("new")).unwrap();
    world.write(".quire/lib.lua", "");
    world.commit("more");
    refused("HEAD was ");
    world.git(&["reset", "-q", "--hard", "HEAD~1"]);
    world.quire(&["run", "--resume", "--", "-v"]).ends(2).says(&["it was given other arguments: none"]);
    world.quire(&["run", "--resume", "--param", "a=1"]).ends(2).says(&["another value of the parameter a"]);
    // A changed pipeline: its jobs are not answered whole, but command by command, as long as they are the same.
    world.pipeline(&PIPELINE.replace(r#"note("first")"#, r#"note("changed")"#));
    refused("the pipeline has changed since; and files of the work tree have changed");
    let said = world.run(1, &["-k", "--resume", "--force"]);
    said.tells(&["resumed all the same: the pipeline has changed since", "3 commands replayed, 2 commands run"]);
    said.tells(&[
        "the record answers nothing from command 1 on: recorded `echo first",
        ", now `echo changed",
        ".quire/ci.lua:6",
    ]);
    assert_eq!(ran(&world), ["changed", "second"]);
    world.is_sound();
}

#[test]
fn options_that_make_no_sense_together_are_refused() {
    let world = world();
    world.quire(&["run", "--resume"]).ends(2).says(&["error:", "no run"]);
    for line in [
        &["run", "--force"][..],
        &["run", "--resume", "--failed"],
        &["run", "--resume", "--at", "HEAD"],
        &["run", "--failed", "--seed", "1"],
        &["run", "--resume", "nothing-at-all"],
    ] {
        world.quire(line).ends(2).says(&["error:"]);
    }
    assert_eq!(world.runs().len(), 0);
}

#[test]
fn without_git_nothing_tells_whether_the_workspace_is_the_same() {
    let world = World::without_git("plain", PIPELINE);
    world.run(1, &["-k"]);
    world.quire(&["run", "--resume"]).ends(2).says(&["it is no git work tree", "--force"]);
    ran(&world);
    world.run(1, &["--resume", "--force"]);
    assert_eq!(ran(&world), ["second"]);
}

#[test]
fn arguments_parameters_and_selection_are_those_of_the_run_that_is_resumed() {
    let world = World::new(
        r#"ci.job("a", function(rt) rt.sh("echo " .. rt.args[1] .. rt.params.p) rt.sh("exit 1") end)
        ci.job("b", function(rt) rt.sh("touch b") end)"#,
    );
    world.run(1, &["a", "--param", "p=x", "--", "-v"]);
    world.run(1, &["--resume"]).tells(&["1 command replayed, 1 command run", "1 not asked for"]);
    assert!(!world.workspace().join("b").exists());
    // What held a secret is not in the record.
    world.write("s", "hunter22");
    world.commit("s");
    let secret = ["--secret", "S=file:s"];
    world.run(1, &[&["a", "--param", "p=hunter22"][..], &secret, &["--", "-v"]].concat());
    world.quire(&[&["run", "--resume"][..], &secret].concat()).ends(2).says(&["the parameter p held a secret"]);
    world.run(1, &[&["--resume", "--param", "p=hunter22"][..], &secret].concat());
    let said = world.quire(&["events"]).ends(0).out();
    assert!(!said.contains("hunter22") && said.contains("\"cmd\":\"echo -v***\""), "{said}");
}

#[test]
fn a_run_that_was_killed_goes_on_where_it_was() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          for i = 1, 5 do rt.sh("echo " .. i .. " >> ran; echo out " .. i) end
          rt.sh("echo slow >> ran; test -e ok || sleep 1000")
          rt.sh("echo last >> ran")
        end)"#,
    );
    world.write(".gitignore", "ran\nok\n");
    world.commit("ignore");
    let running = world.start(&["run"]);
    until("the slow command", || {
        std::fs::read_to_string(world.workspace().join("ran")).ok()?.contains("slow").then_some(())
    });
    world.quire(&["run", "--resume"]).ends(2).says(&["run 1 cannot be resumed: it is still running"]);
    running.signal(Signal::KILL);
    running.end();
    ran(&world);
    world.write("ok", "");
    world.run(0, &["--resume"]).tells(&["5 commands replayed, 2 commands run"]);
    assert_eq!(ran(&world), ["last", "slow"]);
    assert_eq!(world.last().stream("a", 3, Stream::Stdout), b"out 3\n");
    world.is_sound();
}

#[test]
fn a_file_changed_after_a_crash_is_named() {
    let world = World::new(r#"ci.job("a", function(rt) rt.sh("true") rt.sh("echo on; sleep 1000") end)"#);
    world.write("file", "");
    world.commit("file");
    let running = world.start(&["run"]);
    until("the command", || (world.runs().pop()?.log("a", 2) != b"").then_some(()));
    running.signal(Signal::KILL);
    running.end();
    world.write("file", "changed");
    world.quire(&["run", "--resume"]).ends(2).says(&["run 1 cannot be resumed: file was changed after its last event"]);
}

#[test]
fn a_log_that_is_gone_or_damaged_answers_nothing() {
    let world = World::new(r#"ci.job("a", function(rt) for i = 1, 3 do rt.sh("echo " .. i) end rt.sh("exit 1") end)"#);
    world.run(1, &[]);
    let run = world.last();
    std::fs::write(run.0.join("jobs/a/sh-3.log"), "no entry\n").unwrap();
    world.run(1, &["--resume"]).tells(&["2 commands replayed, 2 commands run", "the log of command 3 cannot be read"]);
    std::fs::remove_file(run.0.join("jobs/a/sh-2.log")).unwrap();
    world.run(1, &["--resume", "1"]).tells(&["1 command replayed, 3 commands run", "its log is gone"]);
    assert_eq!(world.last().stream("a", 2, Stream::Stdout), b"2\n");
}

#[test]
fn a_run_of_an_earlier_boot_is_refused() {
    let world = world();
    world.run(1, &["-k"]);
    let lock = world.last().0.join("lock");
    let text = std::fs::read_to_string(&lock).unwrap();
    let boot = text.trim_end().rsplit(' ').next().unwrap();
    std::fs::write(&lock, text.replace(boot, "another-boot")).unwrap();
    world
        .quire(&["run", "--resume"])
        .ends(2)
        .says(&["run 1 cannot be resumed: the machine was started again", "--force"]);
}

#[test]
fn a_run_of_a_checkout_is_not_resumed_in_the_work_tree() {
    let world = world();
    world.run(1, &["--at", "HEAD"]);
    world.quire(&["run", "--resume"]).ends(2).says(&["run 1 cannot be resumed: it ran in a checkout of its own"]);
}

#[test]
fn the_record_of_a_resumed_run_may_be_elsewhere() {
    let world = world();
    world.run(1, &["-k"]);
    ran(&world);
    let out = world.beside_text("out");
    world.run(1, &["-k", "--resume", "1", "--out-dir", &out]);
    assert_eq!((ran(&world), world.runs().len()), (vec!["second".to_owned()], 1));
    let log = |dir: &std::path::Path| std::fs::read(dir.join("jobs/build/sh-2.log")).unwrap();
    assert_eq!(log(&world.beside("out")), log(&world.last().0));
}

#[test]
fn what_answers_is_not_removed_meanwhile() {
    let mut world = World::new(r#"ci.job("a", function(rt) rt.sh("echo 1") rt.sh(rt.env("SECOND") or "false") end)"#);
    world.write(".gitignore", "held\n");
    world.commit("ignore");
    world.run(1, &[]);
    world.run(1, &[]);
    world.set("SECOND", "touch held; sleep 1000");
    let running = world.start(&["run", "--resume", "1"]);
    until("the command", || world.workspace().join("held").exists().then_some(()));
    world.quire(&["prune", "--keep", "1"]).ends(0);
    let left: Vec<bool> = world.runs().iter().map(|run| run.0.join("jobs/a/sh-1.log").exists()).collect();
    assert_eq!(left, [true, true], "the second went, the first stayed");
    running.signal(Signal::INT);
    running.end();
}

#[test]
fn a_server_names_the_run_by_its_directory() {
    let world = world();
    world.run(1, &["-k"]);
    ran(&world);
    let run = world.last();
    let out = world.beside_text("out");
    let spec = format!(r#"{{"keep_going":true,"resume":{{"run_id":"{}","dir":"{}"}}}}"#, run.id(), run.0.display());
    world.quire_reading(&["run", "--spec", "-", "--out-dir", &out], &spec).ends(1);
    assert_eq!(ran(&world), ["second"]);
    let gone = r#"{"keep_going":true,"resume":{"run_id":"x","dir":"/nowhere"}}"#;
    let out = world.beside_text("out2");
    let said = world.quire_reading(&["run", "--spec", "-", "--out-dir", &out], gone).ends(1);
    said.tells(&["run x cannot be resumed: ", "everything runs"]);
    assert_eq!(ran(&world), ["build", "first", "made", "other", "second"]);
}
