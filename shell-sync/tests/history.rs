//! The verbs that read the record, over a data directory with one run in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;

use quire_ci::cli::{EventsArgs, LogArgs, LsArgs, ShowArgs};
use quire_ci::commands::history::History;
use quire_ci::commands::{events, log, ls, show};
use quire_ci::record::DataDir;
use quire_ci::ui::Looks;
use quire_core::cri::Framer;
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::time::{Mono, Wall};
use quire_core::wire::Stream;

const RUN: &str = "0190b0e0-aaaa-7000-8000-000000000000";
const STREAM: &str = r#"{"at_ms":1000,"type":"run_started","run_id":"0190b0e0-aaaa-7000-8000-000000000000","version":"0.1.0","executor":"host","sha":"1a2b3c4d5e6f","ref":"refs/heads/main","number":41,"jobs":[{"id":"build","inputs":["quire/push"]},{"id":"test","inputs":["build"]},{"id":"deploy","inputs":["test"]}]}
{"at_ms":1000,"type":"job_started","job_id":"build"}
{"at_ms":1000,"type":"sh_started","job_id":"build","cmd":"make"}
{"at_ms":1200,"type":"sh_finished","job_id":"build","exit_code":0}
{"at_ms":1200,"type":"job_finished","job_id":"build","outcome":"complete"}
{"at_ms":1200,"type":"job_started","job_id":"test"}
{"at_ms":1200,"type":"sh_started","job_id":"test","cmd":"./prepare"}
{"at_ms":1300,"type":"sh_finished","job_id":"test","exit_code":0}
{"at_ms":1300,"type":"sh_started","job_id":"test","cmd":"./test"}
{"at_ms":4200,"type":"sh_finished","job_id":"test","exit_code":3,"no_eol":["stdout"]}
{"at_ms":4200,"type":"job_finished","job_id":"test","outcome":"failed","error":{"message":"`./test` failed with exit code 3","file":".quire/ci.lua","line":7}}
{"at_ms":4200,"type":"job_skipped","job_id":"deploy","reason":"input_failed","text":"test failed"}
{"at_ms":4210,"type":"run_finished","outcome":"failed","failure_kind":"job"}
"#;

/// Exactly what `./test` printed to stdout.
const STDOUT: &[u8] = b"one\n\n\xff\x00 three\x1b[31m red\nprompt> ";

struct World {
    dir: tempfile::TempDir,
    history: History,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let mut run = data.create_run(&RunId::new(RUN)).unwrap();
    run.events().unwrap().append(STREAM.as_bytes()).unwrap();
    for (job, n, stdout) in [("build", 1, &b"built\n"[..]), ("test", 1, b""), ("test", 2, STDOUT)] {
        let sh = ShId { job: JobId::new(job).unwrap(), n };
        drop(run.open_log(&sh).unwrap());
        let mut log = Vec::new();
        let mut framer = Framer::new();
        let at = Wall(1_700_000_000_123_456_789);
        framer.push(Stream::Stdout, stdout, Mono(0), at, &mut log);
        framer.push(Stream::Stderr, if n == 2 { b"warning\n" } else { b"" }, Mono(0), at, &mut log);
        framer.finish(Stream::Stdout, &mut log);
        framer.finish(Stream::Stderr, &mut log);
        fs::write(run.files().log(&sh).unwrap(), log).unwrap();
    }
    drop(run);
    // Opening recovers the run: its rows come from the stream.
    let (history, _) = History::of(data).unwrap();
    World { dir, history }
}

fn log_args(job: Option<&str>) -> LogArgs {
    LogArgs { run: "last".to_owned(), job: job.map(str::to_owned), raw: false, stream: None, timestamps: false }
}

fn log_text(args: &LogArgs, looks: Looks, terminal: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let result = log::write(&world().history, args, looks, terminal, &mut out);
    result.map(|()| out).map_err(|error| error.to_string())
}

#[track_caller]
fn check_log(args: LogArgs, expected: &[u8]) {
    let text = log_text(&args, Looks::default(), false).unwrap();
    assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(expected));
    assert_eq!(text, expected);
}

#[test]
fn one_command_is_its_lines_and_nothing_else() {
    check_log(log_args(Some("build")), b"built\n");
    check_log(log_args(Some("test/1")), b"");
    check_log(log_args(Some("test/2")), b"one\n\n\xff\x00 three red\nwarning\nprompt> \n");
}

#[test]
fn several_commands_stand_under_headings() {
    let one = b"-- test/1 $ ./prepare (exit 0, 0.1s)\n\n-- test/2 $ ./test (exit 3, 2.9s)\none\n\n\xff\x00 three red\nwarning\nprompt> \n";
    check_log(log_args(Some("test")), one);
    check_log(log_args(None), &[b"-- build/1 $ make (exit 0, 0.2s)\nbuilt\n\n", &one[..]].concat());
}

#[test]
fn streams_times_and_exact_bytes() {
    let two = || log_args(Some("test/2"));
    check_log(LogArgs { stream: Some("stderr".to_owned()), ..two() }, b"warning\n");
    let at = "2023-11-14T22:13:20.123Z";
    let timed = format!("{at} warning\n");
    check_log(LogArgs { stream: Some("stderr".to_owned()), timestamps: true, ..two() }, timed.as_bytes());
    check_log(LogArgs { raw: true, ..two() }, STDOUT);
    check_log(LogArgs { raw: true, stream: Some("stderr".to_owned()), ..two() }, b"warning\n");
    check_log(LogArgs { raw: true, ..log_args(Some("build")) }, b"built\n");
}

#[test]
fn a_terminal_gets_colours_and_no_other_control() {
    let looks = Looks { colour: true, unicode: true };
    let text = log_text(&log_args(Some("test/2")), looks, true).unwrap();
    assert_eq!(text, b"one\n\n\xff three\x1b[31m red\x1b[0m\nwarning\nprompt> \n");
}

#[test]
fn what_is_not_there_is_told_with_what_there_is() {
    let in_run = |run: &str, job: Option<&str>| LogArgs { run: run.to_owned(), ..log_args(job) };
    for (args, said) in [
        (
            in_run("last", Some("tset")),
            "run 41 has no job \"tset\"\nhelp: did you mean test? its jobs are: build, test, deploy\n",
        ),
        (
            in_run("41", Some("test/3")),
            "job test of run 41 has no command 3\nhelp: its commands are:\n  test/1  ./prepare\n  test/2  ./test\n",
        ),
        (in_run("41", Some("test/x")), "\"test/x\" names no command\nhelp: write JOB or JOB/N, N from 1: test/2\n"),
        (in_run("41", Some("deploy")), "job deploy of run 41 ran no command; it is skipped: test failed\n"),
        (
            LogArgs { raw: true, ..in_run("41", Some("test")) },
            "--raw prints the bytes of one command: name it as JOB/N\nhelp: its commands are:\n  test/1  ./prepare\n  test/2  ./test\n",
        ),
    ] {
        assert_eq!(log_text(&args, Looks::default(), false), Err(format!("error: {}", said.trim_end())));
    }
    let unknown = log_text(&in_run("42", None), Looks::default(), false).unwrap_err();
    assert!(unknown.contains("no run matches \"42\"") && unknown.contains(RUN), "{unknown}");
}

#[test]
fn a_torn_or_damaged_log_is_shown_as_far_as_it_goes() {
    let world = world();
    let path = world.history.run("41").unwrap().files.log(&ShId { job: JobId::new("build").unwrap(), n: 1 }).unwrap();
    fs::write(
        &path,
        b"2023-11-14T22:13:20.123456789Z stdout F one\nnonsense\n2023-11-14T22:13:20.123456789Z stdout F tw",
    )
    .unwrap();
    let mut out = Vec::new();
    log::write(&world.history, &log_args(Some("build")), Looks::default(), false, &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), "one\ntw\n");
    fs::remove_file(&path).unwrap();
    out.clear();
    log::write(&world.history, &log_args(Some("build")), Looks::default(), false, &mut out).unwrap();
    assert_eq!(out, b"");
}

#[test]
fn ls_lists_runs() {
    let world = world();
    let mut out = Vec::new();
    let args = LsArgs { limit: 5, json: false };
    assert_eq!(ls::write(&world.history, &args, Looks::default(), 201_000, &mut out).unwrap(), 1);
    assert_eq!(String::from_utf8(out).unwrap(), "x 41  0190b0e0-aaaa  failed  main  1a2b3c4  3.2s  3m ago\n");
    let mut out = Vec::new();
    ls::write(&world.history, &LsArgs { limit: 5, json: true }, Looks::default(), 201_000, &mut out).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&run["run_id"], &run["number"], &run["outcome"]), (&RUN.into(), &41.into(), &"failed".into()));
    assert_eq!((&run["ref"], &run["duration_ms"], run.get("jobs")), (&"refs/heads/main".into(), &3210.into(), None));
}

#[test]
fn show_tells_the_whole_run() {
    let world = world();
    let place = show::Place { looks: Looks::default(), columns: None, program: "quire-ci", now_ms: 201_000 };
    let mut out = Vec::new();
    let args = |json| ShowArgs { run: "0190b0e0".to_owned(), json };
    show::write(&world.history, &args(false), &place, &mut out).unwrap();
    let data = world.dir.path().display();
    let expected = format!(
        "\
run 41, main @ 1a2b3c4, 3m ago, 3 jobs

  job     state     time  0s                                  3.2s
+ build   complete  0.2s  ===
x test    failed    3.0s    ======================================
- deploy  skipped      -  test failed

  build/1  exit 0  0.2s  make
  test/1   exit 0  0.1s  ./prepare
  test/2   exit 3  2.9s  ./test

x test failed at .quire/ci.lua:7
  test/2 $ ./test
  exit 3 after 2.9s
  | one
  | 
  | \u{fffd} three red
  | warning
  | prompt> 
  whole log: quire-ci log 41 test/2
  again:     quire-ci run test
  shell:     quire-ci shell 41 test
  resume:    quire-ci run --resume 41
  browser:   quire serve --data-dir {data}

x run 41 failed in 3.2s: 1 failed, 1 complete, 1 skipped
"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut out = Vec::new();
    show::write(&world.history, &args(true), &place, &mut out).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let test = &run["jobs"][1];
    assert_eq!((&test["id"], &test["exit_code"], &test["commands"]), (&"test".into(), &3.into(), &2.into()));
    assert_eq!((&test["error"]["file"], &test["error"]["line"]), (&".quire/ci.lua".into(), &7.into()));
    assert_eq!((&test["sh"][1]["cmd"], &test["sh"][1]["duration_ms"]), (&"./test".into(), &2900.into()));
    assert_eq!(run["jobs"][2]["skip_reason"], "input_failed");
}

#[test]
fn events_come_byte_for_byte() {
    let mut out = Vec::new();
    events::write(&world().history, &EventsArgs { run: "last".to_owned() }, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), STREAM);
}
