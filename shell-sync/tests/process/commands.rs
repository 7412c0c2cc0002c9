//! One command after another: how it starts, what it reads and prints, how it ends.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use quire_core::engine::{ExitStatus, Input, Output, Signal, SpawnFailure};
use quire_core::wire::Stream;

use crate::support::{Script, World, alone, command, sh, shell, with};

#[test]
fn exit_codes_and_signal_deaths() {
    let mut world = World::new();
    let run = world.run([
        shell(1, "exit 0"),
        shell(2, "exit 3"),
        shell(3, "exit 255"),
        shell(4, "kill -KILL $$"),
        shell(5, "kill -TERM $$"),
        shell(6, "ulimit -c 0; kill -ABRT $$"),
        shell(7, "kill -SEGV $$"),
    ]);
    for (n, expected) in [
        (1, ExitStatus::Code(0)),
        (2, ExitStatus::Code(3)),
        (3, ExitStatus::Code(255)),
        (4, ExitStatus::Signal(9)),
        (5, ExitStatus::Signal(15)),
        (6, ExitStatus::Signal(6)),
        (7, ExitStatus::Signal(11)),
    ] {
        assert_eq!(run.status(&sh("a", n)), Some(expected), "command {n}");
    }
}

#[test]
fn what_cannot_start_says_why_and_reports_nothing_else() {
    let mut world = World::new();
    fs::write(world.path("plain"), "text").unwrap();
    let run = world.run([
        with(command(1, &["no-such-program"]), |command, _| {
            command.env.insert("PATH".to_owned(), Some("/one:/two".to_owned()));
        }),
        with(command(2, &["true"]), |command, _| command.cwd = "missing".to_owned()),
        command(3, &["./plain"]),
    ]);
    let mut failures: Vec<&SpawnFailure> = Vec::new();
    for fact in &run.facts {
        match fact {
            Input::SpawnFailed { failure, .. } => failures.push(failure),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(failures[0], &SpawnFailure::NotFound { searched: "/one:/two".to_owned() });
    assert!(matches!(failures[1], SpawnFailure::Cwd { message } if message.contains("missing: No such file")));
    assert!(matches!(failures[2], SpawnFailure::Other { message } if message.contains("Permission denied")));
    assert_eq!(failures.len(), 3);
}

#[test]
fn a_script_is_called_by_the_name_that_was_written() {
    let mut world = World::new();
    fs::create_dir(world.path("sub")).unwrap();
    fs::write(world.path("sub/script"), "#!/bin/sh\necho $0\n").unwrap();
    fs::set_permissions(world.path("sub/script"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = world.run([
        command(1, &["sub/script"]),
        with(command(2, &["./script"]), |command, _| command.cwd = "sub".to_owned()),
        with(command(3, &["script"]), |command, _| {
            command.env.insert("PATH".to_owned(), Some("sub".to_owned()));
        }),
    ]);
    assert_eq!(run.stdout(&sh("a", 1)), "sub/script\n");
    assert_eq!(run.stdout(&sh("a", 2)), "./script\n");
    assert_eq!(run.stdout(&sh("a", 3)), format!("{}\n", world.path("sub/script").display()));
}

#[test]
fn a_command_finds_its_directory_its_environment_and_nothing_of_ours() {
    let mut world = World::new();
    fs::create_dir(world.path("sub")).unwrap();
    world.setup.env.insert("KEPT".into(), "kept".into());
    world.setup.env.insert("DROPPED".into(), "dropped".into());
    let change = |order| {
        with(order, |command, _| {
            command.cwd = "sub".to_owned();
            command.env.insert("DROPPED".to_owned(), None);
            command.env.insert("ADDED".to_owned(), Some("a b".to_owned()));
        })
    };
    let run = world.run([
        change(shell(1, "pwd; echo $KEPT-$DROPPED-$ADDED-$QUIRE_SH")),
        shell(2, "ls /proc/self/fd"),
        shell(3, "test $(cut -d' ' -f5 /proc/$$/stat) = $$"),
        shell(4, "grep -q 'SigBlk:.0000000000000000' /proc/self/status"),
        shell(5, "kill -PIPE $$"),
    ]);
    let sub = fs::canonicalize(world.path("sub")).unwrap();
    assert_eq!(run.stdout(&sh("a", 1)), format!("{}\nkept--a b-018f-run/a/1\n", sub.display()));
    // What whoever started this process left open for its children is not ours. ls itself has the folder open.
    let inherited = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|entry| {
        let number = entry.file_name().into_string().unwrap();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let flags = u32::from_str_radix(info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim(), 8).ok()?;
        (flags & 0o2_000_000 == 0).then_some(number)
    });
    let known: BTreeSet<String> = inherited.chain(["0", "1", "2"].map(str::to_owned)).collect();
    let found: BTreeSet<String> = run.stdout(&sh("a", 2)).lines().map(str::to_owned).collect();
    assert_eq!(found.difference(&known).count(), 1, "{found:?} beyond {known:?}");
    assert_eq!(run.status(&sh("a", 3)), Some(ExitStatus::Code(0)), "a group of its own");
    assert_eq!(run.status(&sh("a", 4)), Some(ExitStatus::Code(0)), "no signal is blocked");
    assert_eq!(run.status(&sh("a", 5)), Some(ExitStatus::Signal(13)), "a broken pipe ends it, as anywhere");
}

#[test]
fn bytes_for_standard_input_arrive_whole() {
    let mut world = World::new();
    let megabyte: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let feed = |order, bytes: &[u8]| with(order, |command, _| command.stdin = Some(bytes.to_vec()));
    let run = world.run([
        feed(command(1, &["cat"]), b"a few\n"),
        feed(command(2, &["cat"]), &megabyte),
        feed(command(3, &["cat"]), b""),
        // Reads a part and ends: the rest is nobody's, and no error.
        feed(command(4, &["head", "-c", "3"]), &megabyte),
        feed(command(5, &["true"]), &megabyte),
    ]);
    assert_eq!(run.captured(&sh("a", 1)).stdout, b"a few\n");
    assert!(run.captured(&sh("a", 2)).stdout == megabyte);
    assert!(world.logged(&sh("a", 2), Stream::Stdout, &run) == megabyte);
    assert_eq!(run.captured(&sh("a", 3)).stdout, b"");
    assert_eq!(run.captured(&sh("a", 4)).stdout, megabyte[..3]);
    for n in 1..=5 {
        assert_eq!(run.status(&sh("a", n)), Some(ExitStatus::Code(0)), "command {n}");
    }
}

#[test]
fn both_streams_are_kept_apart_and_whole() {
    let mut world = World::new();
    let run = world.run([shell(1, "seq 100000; seq 50000 >&2; printf tail; printf end >&2")]);
    let lines = |last: u32, tail: &str| (1..=last).map(|n| format!("{n}\n")).collect::<String>() + tail;
    let captured = run.captured(&sh("a", 1));
    assert!(captured.stdout == lines(100_000, "tail").as_bytes());
    assert!(captured.stderr == lines(50_000, "end").as_bytes());
    assert_eq!(captured.no_eol, [Stream::Stdout, Stream::Stderr]);
    assert!(world.logged(&sh("a", 1), Stream::Stdout, &run) == captured.stdout);
    assert!(world.logged(&sh("a", 1), Stream::Stderr, &run) == captured.stderr);
    assert!(world.shown == world.log(&sh("a", 1)), "the view saw what the log got");
}

#[test]
fn merged_streams_keep_their_order() {
    let mut world = World::new();
    let text = "for i in $(seq 500); do echo out $i; echo err $i >&2; done";
    let run = world.run([with(shell(1, text), |_, capture| capture.merge = true)]);
    let expected: String = (1..=500).map(|n| format!("out {n}\nerr {n}\n")).collect();
    assert_eq!(run.stdout(&sh("a", 1)), expected);
    assert_eq!(run.captured(&sh("a", 1)).stderr, b"");
}

#[test]
fn a_signal_reaches_the_whole_group_and_no_other() {
    let mut world = World::new();
    // The first command prints when it is ready; then it is signalled, and the second one is not.
    let script =
        Script::new([shell(1, "trap '' HUP; sleep 1000 & wait"), shell(2, "sleep 0.1; echo whole")]).react(|fact| {
            match fact {
                Input::OutputEnded { sh: of, .. } if of.n == 2 => vec![
                    Output::Signal { sh: sh("a", 1), signal: Signal::Term },
                    // Ended long ago: must hit nobody.
                    Output::Signal { sh: sh("a", 2), signal: Signal::Kill },
                    Output::Signal { sh: sh("a", 9), signal: Signal::Kill },
                ],
                _ => Vec::new(),
            }
        });
    let run = world.drive(script, None, None);
    assert_eq!(run.status(&sh("a", 1)), Some(ExitStatus::Signal(15)));
    // The sleep in the background held the pipe: its end tells that the group was hit.
    assert!(!run.captured(&sh("a", 1)).detached);
    assert_eq!(run.stdout(&sh("a", 2)), "whole\n");
}

#[test]
fn a_background_process_that_holds_the_pipe_does_not_hang_the_run() {
    let _turn = alone();
    let mut world = World::new();
    let script = Script::new([shell(1, "(printf early; exec sleep 1000) & echo $!; exit 4")])
        .last([Output::Sweep { scope: quire_core::engine::Scope::Job(crate::support::job("a")) }]);
    let run = world.drive(script, None, None);
    assert_eq!(run.status(&sh("a", 1)), Some(ExitStatus::Code(4)));
    let captured = run.captured(&sh("a", 1));
    assert!(captured.detached);
    let printed = String::from_utf8_lossy(&captured.stdout).replace("early", "");
    assert!(!crate::support::lives(&printed), "swept with its job");
}

#[test]
fn what_is_written_after_the_end_is_drained_to_nowhere() {
    let _turn = alone();
    let mut world = World::new();
    // Two megabytes fill every pipe: it ends only if someone goes on reading.
    let late = "(sleep 0.4; head -c 2000000 /dev/zero; touch drained) & echo now";
    let script = Script::new([shell(1, late)]).react(|fact| match fact {
        Input::OutputEnded { sh: of, .. } if of.n == 1 => {
            vec![shell(2, "while ! test -e drained; do sleep 0.01; done")]
        }
        _ => Vec::new(),
    });
    let run = world.drive(script, None, None);
    assert!(run.captured(&sh("a", 1)).detached);
    assert_eq!(world.logged(&sh("a", 1), Stream::Stdout, &run), b"now\n");
    assert_eq!(run.status(&sh("a", 2)), Some(ExitStatus::Code(0)));
}

#[test]
fn a_thousand_commands_leave_no_descriptor_open() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let mut world = World::new();
    world.run([command(1, &["true"])]);
    let mut at_last = 0;
    let first = command(1, &["true"]);
    let mut counts = Vec::new();
    let script = Script::new([first]).react(|fact| match fact {
        Input::Exited { sh: of, .. } if of.n < 1000 => {
            at_last = of.n + 1;
            counts.push(open());
            vec![command(of.n + 1, &["true"])]
        }
        _ => Vec::new(),
    });
    let run = world.drive(script, None, None);
    assert_eq!(run.facts.len(), 2000);
    assert_eq!(at_last, 1000);
    // Other tests of this process open and close theirs meanwhile: a leak of one a command would show all the same.
    let (early, late) = (counts[10], counts[990]);
    assert!(late < early + 200, "{early} descriptors, then {late}");
}

#[test]
fn limits_of_a_capture_are_reported_and_the_command_can_be_ended() {
    let mut world = World::new();
    let order = with(command(1, &["yes"]), |_, capture| capture.output_limit = Some(100_000));
    let script = Script::new([order]).react(|fact| match fact {
        Input::OutputLimitReached { sh } => vec![Output::Signal { sh: sh.clone(), signal: Signal::Term }],
        _ => Vec::new(),
    });
    let run = world.drive(script, None, None);
    assert_eq!(run.status(&sh("a", 1)), Some(ExitStatus::Signal(15)));

    let order = with(command(2, &["sleep", "1000"]), |_, capture| {
        capture.idle_limit = Some(std::time::Duration::from_millis(50));
    });
    let script = Script::new([order]).react(|fact| match fact {
        Input::OutputIdle { sh } => vec![Output::Signal { sh: sh.clone(), signal: Signal::Kill }],
        _ => Vec::new(),
    });
    let run = world.drive(script, None, None);
    assert_eq!(run.status(&sh("a", 2)), Some(ExitStatus::Signal(9)));
}
