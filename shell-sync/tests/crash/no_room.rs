//! No room for the record: the run ends, says so, and what was recorded before is whole. (A disk that is full from the start, and
//! one that a command's output fills, are tests/e2e's.)

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use quire_core::wire::Stream;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::aftermath::only_known_files;
use crate::disk::Disk;
use crate::recorded::RunRecord;
use crate::world::{Done, World, until};

/// The run ended as one that could not be recorded.
#[track_caller]
fn is_told(said: &Done, why: &str) {
    assert_eq!((said.code, said.signal), (Some(2), None), "{said:?}");
    said.says(&["error:", "record", "make room"]);
    let all = said.out() + &said.err();
    assert!(all.contains(why), "{why} is not told: {all}");
}

/// What is in the file is whole lines, and no end of the run.
#[track_caller]
fn is_a_whole_beginning(run: &RunRecord) {
    let stream = run.bytes("events.jsonl");
    assert!(stream.is_empty() || stream.ends_with(b"\n"), "torn: {:?}", String::from_utf8_lossy(&stream));
    run.is_readable();
    assert_eq!(run.outcome(), None);
}

#[test]
fn a_disk_that_is_full_at_an_event() {
    for filled_by in ["the event", "a command's event"] {
        let world = World::new(
            r#"ci.job("a", { timeout = "50s" }, function(rt)
              rt.defer(function() rt.sh("touch deferred") end)
              rt.spawn("setsid sleep 300", { service = true })
              rt.sh("echo one; until test -e go; do sleep 0.01; done")
              -- More than what the last page of the file has left.
              if rt.params.by == "the event" then rt.log(string.rep("x", 5000)) end
              for n = 1, 50 do rt.sh { "sh", "-c", "touch ran-" .. n, string.rep("x", 100) } end
              rt.sh("touch went-on")
            end)"#,
        );
        let disk = Disk::mounted(world.beside("state"), "1m");
        let running = world.start(&["run", "--param", &format!("by={filled_by}")]);
        until("its first line", || world.runs().pop()?.log("a", 2).ends_with(b"one\n").then_some(()));
        disk.fill();
        world.write("go", "");
        is_told(&running.end(), "No space left on device");
        assert_eq!(world.processes(), []);
        let run = world.last();
        is_a_whole_beginning(&run);
        assert!(!world.workspace().join("went-on").exists());
        let ran = (1..=50).filter(|n| world.workspace().join(format!("ran-{n}")).exists()).count();
        // The two before, and those that ran.
        assert!(ran + 2 <= run.of_type("sh_started").len(), "{ran} ran, {:?}", run.of_type("sh_started"));
        assert_eq!(run.stream("a", 2, Stream::Stdout), b"one\n");

        disk.empty();
        let listed = world.quire(&["ls"]).ends(0);
        listed.says(&[&run.id(), "could not be recorded to its end"]);
        assert_eq!(world.rows("SELECT state, failure_kind FROM runs"), ["failed|record"]);
        world.is_sound();
        world.pipeline("ci.job('a', function(rt) rt.sh('true') end)");
        world.run(0, &[]);
        assert!(!only_known_files(&world.data()));
    }
}

/// A process that may make no file longer than this finds the disk full at that byte, whatever the file. Started through a shell
/// that waits until the limit is set.
#[track_caller]
fn run_with_files_of_at_most(world: &World, bytes: u64) -> Done {
    let script = "trap '' XFSZ; read -r _; exec \"$@\"";
    let mut command = world.command("sh", &["-c", script, "sh", env!("CARGO_BIN_EXE_quire-ci"), "run"]);
    // Not into files: those would have the limit too.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let limit = Rlimit { current: Some(bytes), maximum: None };
    prlimit(Some(Pid::from_child(&child)), Resource::Fsize, limit).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let (code, signal) = (output.status.code(), output.status.signal());
    Done { code, signal, stdout: output.stdout, stderr: output.stderr }
}

#[test]
fn a_file_that_may_not_grow_at_every_byte_of_the_stream() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.log("said")
          rt.sh { "touch", "ran-1" }
          rt.sh { "touch", "ran-2" }
          return { text = "out" }
        end)
        ci.job("b", { "a" }, function(rt) rt.sh { "touch", "ran-3" } end)"#,
    );
    world.run(0, &["--quiet"]);
    let whole = world.last();
    let length = whole.bytes("events.jsonl").len() as u64;
    let kinds = |run: &RunRecord| -> Vec<String> {
        run.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    let mut seen: u64 = 0;
    // Without a database that can be written there is no number: so much shorter is the stream.
    let numberless = length - ",\"number\":1".len() as u64;
    for limit in (0..numberless).step_by(37) {
        for n in 1..=3 {
            let _ = std::fs::remove_file(world.workspace().join(format!("ran-{n}")));
        }
        let known = world.runs().len();
        let said = run_with_files_of_at_most(&world, limit);
        assert_eq!((said.code, said.signal), (Some(2), None), "at most {limit} bytes: {said:?}");
        said.says(&["error:", "File too large"]);
        let ran = (1..=3).filter(|n| world.workspace().join(format!("ran-{n}")).exists()).count();
        if world.runs().len() == known {
            // Not even its lock could be written.
            assert!(limit < 100 && ran == 0);
            continue;
        }
        seen += 1;
        let run = world.last();
        is_a_whole_beginning(&run);
        assert!(run.bytes("events.jsonl").len() as u64 <= limit);
        assert!(kinds(&whole).starts_with(&kinds(&run)), "{:?}", kinds(&run));
        assert!(ran <= run.of_type("sh_started").len(), "{ran} commands ran, at most {limit} bytes");
    }
    assert!(seen > 20, "{seen} of {length} bytes");
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.rows("SELECT count(*) FROM runs WHERE state = 'failed'"), [seen.to_string()]);
    world.is_sound();
    world.run(0, &[]);
    assert!(!only_known_files(&world.data()), "nothing half made is left");
    // Nor does the database have to tell why they failed, but where not even the lock could be added to.
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    world.quire(&["rebuild"]).ends(0);
    let noted = world.rows("SELECT count(*) FROM runs WHERE failure_kind = 'record'").remove(0);
    assert!(noted.parse::<u64>().unwrap() >= seen - 2, "{noted} of {seen}");
}
