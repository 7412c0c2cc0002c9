//! What the forerunner got wrong about logs: order, times, bytes, and that they are there while a command runs.

use std::fs;

use quire_core::wire::Stream;

use crate::recorded::entry;
use crate::world::{World, until};

#[test]
fn both_streams_are_logged_in_the_order_in_which_they_came() {
    // Each write is made only once the one before is in the log.
    let world = World::new(
        r#"ci.job("a", { timeout = "50s" }, function(rt)
          rt.sh([[
            seen() { until grep -qs "$1" "$RUNS"/*/jobs/a/sh-1.log; do sleep 0.005; done; }
            echo first; seen first; echo second >&2; seen second; echo third; seen third; echo fourth >&2
          ]], { env = { RUNS = rt.env("RUNS") } })
        end)"#,
    );
    let data = world.beside_text("data");
    let mut command = world.command(env!("CARGO_BIN_EXE_quire-ci"), &["run", "--data-dir", &data]);
    let done = command.env("RUNS", format!("{data}/runs")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let run = fs::read_dir(world.beside("data/runs")).unwrap().next().unwrap().unwrap().path();
    let log = fs::read(run.join("jobs/a/sh-1.log")).unwrap();
    let entries: Vec<_> =
        log.split_inclusive(|byte| *byte == b'\n').map(|line| entry(&line[..line.len() - 1]).unwrap()).collect();
    let told: Vec<(&str, &[u8])> =
        entries.iter().map(|(_, stream, _, content)| (stream.as_str(), content.as_slice())).collect();
    assert_eq!(told, [("stdout", &b"first"[..]), ("stderr", b"second"), ("stdout", b"third"), ("stderr", b"fourth")]);
    let times: Vec<&String> = entries.iter().map(|(at, ..)| at).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "a time for each: {times:?}");
}

/// A command's output comes back byte by byte, from the files and from `log --raw`.
#[track_caller]
fn check_exact(bytes: &[u8]) {
    let world = World::new(
        r#"ci.job("a", function(rt) rt.sh { "cat", "input" }; rt.sh("cat input >&2", { merge = false }) end)"#,
    );
    world.write("input", bytes);
    world.run(0, &["--quiet"]);
    let run = world.last();
    for (n, stream) in [(1, Stream::Stdout), (2, Stream::Stderr)] {
        assert!(run.stream("a", n, stream) == bytes, "{stream:?} of {} bytes", bytes.len());
        let raw = world.quire(&["log", "last", &format!("a/{n}"), "--raw", "--stream", stream.as_str()]).ends(0);
        assert!(raw.stdout == bytes, "raw {stream:?} of {} bytes", bytes.len());
    }
    world.is_sound();
}

#[test]
fn output_comes_back_byte_by_byte() {
    let all: Vec<u8> = (0..=255).collect();
    check_exact(&all);
    check_exact(b"no newline at the end");
    check_exact(b"\n\n  \r\n\0\n\xff\xfe\xc3\n");
    check_exact(&[&b"x".repeat(50_000)[..], b"\n", &"ä".repeat(40_000).into_bytes()].concat());
}

#[test]
fn nothing_printed_is_an_empty_log() {
    let world = World::new(r#"ci.job("a", function(rt) rt.sh("true") end)"#);
    world.run(0, &[]);
    assert!(world.last().0.join("jobs/a/sh-1.log").exists());
    assert_eq!(world.quire(&["log", "last", "a/1", "--raw"]).ends(0).stdout, b"");
}

#[test]
fn a_log_is_on_the_disk_while_its_command_runs() {
    let world = World::new(
        r#"ci.job("a", { timeout = "50s" }, function(rt) rt.sh("echo whole; printf part; until test -e go; do sleep 0.01; done; echo ly") end)"#,
    );
    let running = world.start(&["run"]);
    // The line that is not ended yet is there as well, soon.
    until("the first lines", || {
        let log = String::from_utf8(world.runs().pop()?.log("a", 1)).unwrap();
        (log.contains(" stdout F whole\n") && log.contains(" stdout P part\n")).then_some(())
    });
    let seen = world.quire(&["log", "last", "a"]).ends(0);
    assert_eq!(seen.out(), "whole\npart\n");
    world.write("go", "");
    running.end().ends(0);
    assert_eq!(world.last().stream("a", 1, Stream::Stdout), b"whole\npartly\n");
}

#[test]
fn memory_stays_flat_whatever_is_printed() {
    let world = World::new(
        r#"ci.job("a", { timeout = "55s" }, function(rt)
          rt.sh("yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 | head -c 200000000")
          rt.sh("until test -e go; do sleep 0.01; done")
        end)"#,
    );
    let running = world.start(&["run", "--quiet"]);
    until("the second command", || {
        let run = world.runs().pop()?;
        (run.of_type("sh_started").len() == 2).then_some(())
    });
    let peak = running.status("VmHWM").unwrap();
    world.write("go", "");
    running.end().ends(0);
    let run = world.last();
    let log = fs::metadata(run.0.join("jobs/a/sh-1.log")).unwrap().len();
    assert!(log > 200_000_000, "{log} bytes");
    assert!(peak < 24 * 1024, "{peak} kB resident at the most");
}
