//! The same pipelines as in quire-ci, with the same record; many at once.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use quire_ci::cli::{Spec, SpecResume};
use quire_core::wire::{EventKind, RunOutcome};
use serde_json::Value;

use crate::support::World;

/// A run of the same pipeline by quire-ci; its stream's lines.
fn by_quire_ci(world: &World, spec: &str) -> Vec<Value> {
    let place = world.path("../by-quire-ci");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quire"));
    command.args(["ci", "run", "-j4", "--spec", "-", "-w"]).arg(world.workspace()).arg("--out-dir").arg(&place);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(spec.as_bytes()).unwrap();
    child.wait().unwrap();
    lines(&place.join("events.jsonl"))
}

/// The stream's lines, without what is another's in every run: times, ids, pids.
fn lines(events: &Path) -> Vec<Value> {
    let text = fs::read_to_string(events).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        let fields = line.as_object_mut().unwrap();
        for field in ["at_ms", "run_id", "executor"] {
            fields.remove(field);
        }
    }
    lines
}

#[test]
fn the_record_is_the_same_as_quire_ci_s() {
    let world = World::new(
        r#"
        local ci_files = ci.glob("*.txt")
        ci.job("a", { env = { A = "1" }, retries = 1 }, function(rt)
          rt.log("files", table.concat(ci_files, ","), math.random(1000), rt.params.p)
          rt.write_file("made.txt", "made")
          rt.sh("echo $A; echo err >&2; printf no-eol")
          local failed = rt.sh({ "sh", "-c", "exit 4" }, { check = false })
          assert(failed.exit == 4)
          rt.sh("kill -9 $$", { check = false })
          rt.sh("cd / ; pwd", { cwd = ".quire" })
          local ok, why = pcall(rt.sh, "sleep 100", { timeout = 0.1 })
          assert(not ok)
          rt.sh("(sleep 100 &) ; echo detached")
          rt.sh("test -e twice || { touch twice; exit 1; }")
          return { digest = rt.out("cat made.txt"), n = 1 }
        end)
        ci.job("b", { "a" }, function(rt) rt.skip("because") end)
        ci.job("c", { "b" }, function(rt) rt.sh("true") end)
        ci.job("d", { "a" }, { allow_failure = true, needs = "finished" }, function(rt)
          rt.defer(function() rt.sh("echo deferred") end)
          rt.sh { "no-such-program", "x y" }
        end)"#,
    );
    world.write("one.txt", "1");
    let spec = r#"{"seed":7,"params":{"p":"v"},"secrets":{"T":"hunter22"},"repo":"work/foo.git","number":3,"sha":"0123456789012345678901234567890123456789","ref":"refs/heads/main","keep_going":true}"#;
    let ran = world.run_with(Spec::read(spec.as_bytes()).unwrap());
    let ours = lines(&ran.files.events());
    for made in ["twice", "made.txt"] {
        fs::remove_file(world.path(made)).unwrap_or_else(|error| panic!("{made}: {error}: {ours:#?}"));
    }
    assert!(ours.len() > 30, "{ours:#?}");
    let theirs = by_quire_ci(&world, spec);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
    for n in 1..=8 {
        let log =
            |text: String| text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>();
        let path = format!("jobs/a/sh-{n}.log");
        let read = |folder: &Path| fs::read_to_string(folder.join(&path)).unwrap();
        let (mut ours, mut theirs) = (log(read(ran.files.path())), log(read(&world.path("../by-quire-ci"))));
        // Between the two streams the order is that of reading.
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{path}");
    }
}

#[test]
fn a_run_goes_on_with_an_earlier_one() {
    let world = World::new(
        r#"
        local function note(what) return "echo " .. what .. " >> ran; echo out of " .. what end
        ci.job("build", function(rt) rt.sh(note("build")) return { made = rt.out(note("made")) } end)
        ci.job("test", { "build" }, function(rt)
          rt.sh(note("first"))
          rt.log(rt.jobs("build").made)
          rt.sh(note("second") .. "; test -e ok")
        end)"#,
    );
    let first = world.run();
    assert_eq!(first.ended.outcome, RunOutcome::Failed);
    assert_eq!(world.read("ran"), "build\nmade\nfirst\nsecond\n");
    world.write("ok", "");
    let EventKind::RunStarted(started) = &first.events[0].kind else { panic!("{:?}", first.events) };
    let dir = first.files.path().to_string_lossy().into_owned();
    let resume = Some(SpecResume { run_id: started.run_id.to_string(), dir, failed: false });
    let second = world.run_with(Spec { resume, ..Spec::default() });
    assert_eq!(second.ended.outcome, RunOutcome::Complete, "{:#?} {:?}", second.events, second.ended);
    assert_eq!(world.read("ran"), "build\nmade\nfirst\nsecond\nsecond\n");
    assert!(second.job("build").replayed);
    assert_eq!(second.stdout("build", 2), "out of made\n");
    assert!(second.commands("test")[0].replayed && !second.commands("test")[1].replayed);
}

#[test]
fn fifty_runs_at_once() {
    let world = World::new(
        r#"
        ci.job("a", function(rt) rt.sh("echo " .. rt.params.n .. "; sleep 0.2") return { n = rt.params.n } end)
        for i = 1, 3 do
          ci.job("b" .. i, { "a" }, function(rt) rt.sh("seq 1000; echo " .. rt.jobs("a").n) end)
        end"#,
    );
    let begun: Vec<_> = (0..50)
        .map(|n| world.start(Spec { params: [("n".to_owned(), n.to_string())].into(), ..Spec::default() }))
        .collect();
    for (n, going) in begun.into_iter().enumerate() {
        let ran = going.end();
        assert_eq!(ran.ended.outcome, RunOutcome::Complete, "{:#?}", ran.events);
        assert_eq!(ran.stdout("a", 1), format!("{n}\n"));
        assert!(ran.stdout("b3", 1).ends_with(&format!("\n1000\n{n}\n")));
    }
}

#[test]
fn every_example_completes() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut tried = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let example = entry.unwrap().path();
        if example.join(".quire").exists() {
            let ran = World::copy_of(&example).run();
            assert_eq!(ran.ended.outcome, RunOutcome::Complete, "{}: {:#?}", example.display(), ran.events);
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried}");
}
