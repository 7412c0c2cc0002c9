//! Events, logs, questions and signals: what the loop does besides commands.

use std::fs;
use std::process::Command;

use quire_ci::process::{Background, Discovered, Signals};
use quire_core::engine::{Answer, Ask, Input, Output, Scope, Signal, SpawnFailure};
use quire_core::redact::SecretSet;
use quire_core::wire::{Event, EventKind, RunLogged, Stream};

use crate::support::{Script, World, alone, command, sh, shell};

fn logged(text: &str) -> Output {
    Output::Emit(Event { at_ms: 1, kind: EventKind::RunLogged(RunLogged { text: text.to_owned() }) })
}

#[test]
fn events_are_written_before_the_next_order_and_in_order() {
    let mut world = World::new();
    let run = world.run([logged("1"), logged("2"), command(1, &["true"]), logged("3")]);
    let texts: Vec<&str> = world
        .events
        .iter()
        .map(|event| match &event.kind {
            EventKind::RunLogged(logged) => logged.text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["1", "2", "3"]);
    assert_eq!(run.facts.len(), 2);
}

#[test]
fn a_record_that_fails_stops_everything_that_would_go_unrecorded() {
    let mut world = World::new();
    world.room = 1;
    let run = world.run([logged("1"), command(1, &["true"]), logged("2"), command(2, &["true"]), logged("3")]);
    let failed = run.facts.iter().position(|fact| matches!(fact, Input::RecordFailed { .. }));
    let refused = run.facts.iter().position(|fact| {
        matches!(fact, Input::SpawnFailed { sh, failure: SpawnFailure::Other { message } }
            if sh.n == 2 && message.contains("the record cannot be written"))
    });
    assert!(failed.is_some() && failed < refused, "{:?}", run.facts);
    assert_eq!(run.facts.iter().filter(|fact| matches!(fact, Input::RecordFailed { .. })).count(), 1);
    assert_eq!(world.events.len(), 1, "the record stays a beginning without gaps");
}

#[test]
fn a_log_that_cannot_be_written_is_told() {
    let mut world = World::new();
    world.log_device = Some("/dev/full".into());
    let run = world.run([shell(1, "seq 100000"), command(2, &["true"])]);
    let failures = run.facts.iter().filter(|fact| {
        matches!(fact, Input::RecordFailed { message } if message.contains("the log of a/1") && message.contains("No space"))
    });
    assert_eq!(failures.count(), 1);
    assert!(run.facts.iter().any(|fact| matches!(fact, Input::OutputEnded { sh, .. } if sh.n == 1)));

    world.log_device = Some("/no/such/folder/log".into());
    let run = world.run([command(1, &["true"])]);
    assert!(matches!(&run.facts[0], Input::RecordFailed { message } if message.contains("No such file")));
}

#[test]
fn on_a_full_disk_a_log_ends_with_a_whole_entry() {
    // Only root may mount; elsewhere /dev/full above has to do.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut world = World::new();
    let disk = world.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |program: &str, arguments: &[&str]| Command::new(program).args(arguments).arg(&disk).status().unwrap();
    assert!(mount("mount", &["-t", "tmpfs", "-o", "size=64k", "none"]).success());
    world.log_device = Some(disk.join("log"));
    let run = world.run([shell(1, "seq 1000; sleep 0.05; seq 100000")]);
    let log = fs::read(disk.join("log"));
    assert!(mount("umount", &[]).success());
    let log = log.unwrap();
    assert!(log.starts_with(b"2") && log.ends_with(b"\n"), "{} bytes", log.len());
    assert_eq!(log, world.shown, "what was shown is what is there");
    let failures = run.facts.iter().filter(|fact| matches!(fact, Input::RecordFailed { .. }));
    assert_eq!(failures.count(), 1);
}

#[test]
fn secrets_are_masked_from_the_order_on() {
    let mut world = World::new();
    let secrets = SecretSet::new([&b"hunter22"[..]]).unwrap();
    let run = world.run([Output::SetSecrets(secrets), shell(1, "echo my hunter22")]);
    assert_eq!(world.logged(&sh("a", 1), Stream::Stdout, &run), b"my ***\n");
    assert!(run.captured(&sh("a", 1)).masked);
}

#[test]
fn questions_are_answered() {
    let mut world = World::new();
    let run = world.run([Output::Read { ask: Ask(7), path: "file".to_owned(), limit: 10 }]);
    assert_eq!(run.facts, [Input::Answered { ask: Ask(7), answer: Answer::Read(Ok(b"file".to_vec())) }]);
}

#[test]
fn the_work_beside_the_run_reports_once() {
    let mut world = World::new();
    let found = Discovered { fingerprint: Some("state".to_owned()), dirty: Some((3, 1)) };
    let background = Background::start(move || found).unwrap();
    // The command ends when the fingerprint has come.
    let script = Script::new([command(1, &["sleep", "1000"])]).react(|fact| match fact {
        Input::Fingerprint(_) => vec![Output::Signal { sh: sh("a", 1), signal: Signal::Term }],
        _ => Vec::new(),
    });
    let run = world.drive(script, None, Some(background));
    assert_eq!(run.facts[0], Input::Fingerprint(Some("state".to_owned())));
    assert_eq!(run.facts.iter().filter(|fact| matches!(fact, Input::Fingerprint(_))).count(), 1);
    assert_eq!(world.notices, ["3 modified, 1 untracked"]);
}

#[test]
fn the_first_signal_cancels_and_the_second_hurries() {
    let _turn = alone();
    let mut world = World::new();
    let mut signals = Signals::install().unwrap();
    let own = std::process::id();
    // Deaf to TERM: with ten seconds of grace, it is the second signal that ends it.
    let deaf = "trap '' TERM; kill -INT $OWN; while :; do sleep 0.01; done";
    world.setup.env.insert("OWN".into(), own.to_string().into());
    let mut cancelled = 0;
    let script = Script::new([shell(1, deaf)]).react(|fact| match fact {
        Input::Cancel => {
            cancelled += 1;
            match cancelled {
                1 => vec![Output::Sweep { scope: Scope::Run }, command(2, &["sh", "-c", "kill -TERM $OWN"])],
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    });
    let run = world.drive(script, Some(&mut signals), None);
    assert_eq!(run.signal, Some(2));
    assert_eq!(run.status(&sh("a", 1)), Some(quire_core::engine::ExitStatus::Signal(9)));
    assert!(world.notices[0].contains("SIGINT"), "{:?}", world.notices);
}
