//! The verbs that look at runs, against a stand-in for the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{Answer, Asked, Server, World};

const ID: &str = "0199aaaa-1111-7222-8333-444455556666";
const LOG: &str = "2026-11-22T10:00:00.000000001Z stdout F hello\n2026-11-22T10:00:00.100000000Z stderr P oh\n\
    2026-11-22T10:00:00.200000000Z stderr F  no\n";

fn run(number: u64, state: &str) -> Value {
    json!({
        "id": ID, "number": number, "repo": "work/foo.git", "ref": "refs/heads/main",
        "sha": "a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5a1b2c3d4e5", "state": state, "failure_kind": null, "error": null,
        "origin": "push", "by": "ann", "ended_by": null, "executor": "quire-ci", "resumed_from": null,
        "pushed_at_ms": 1000, "queued_at_ms": 1000, "started_at_ms": 2000,
        "finished_at_ms": if state == "active" { Value::Null } else { json!(5000) },
        "waits": null, "logs_removed_at_ms": null, "url": "http://h/runs/41",
    })
}

fn command(n: u32, exit_code: i32) -> Value {
    json!({
        "n": n, "cmd": format!("make {n}"), "attempt": 1, "exit_code": exit_code, "signal": null, "cause": null, "error": null,
        "replayed": false, "started_at_ms": 2000, "finished_at_ms": 3000, "log": format!("/api/v1/runs/{ID}/jobs/build/{n}/log"),
    })
}

fn detail() -> Value {
    let mut detail = run(41, "failed");
    let job = |id: &str, state: &str, commands: Vec<Value>| {
        json!({
            "id": id, "state": state, "exit_code": if state == "failed" { json!(2) } else { Value::Null }, "allowed": false,
            "flaky": false, "replayed": false, "attempts": 1, "skip_reason": null, "error": null, "error_file": null,
            "error_line": null, "started_at_ms": 2000, "finished_at_ms": 4000, "commands": commands,
        })
    };
    let skipped = {
        let mut skipped = job("test", "skipped", vec![]);
        skipped["error"] = json!("build failed");
        skipped
    };
    detail["jobs"] = json!([job("build", "failed", vec![command(1, 0), command(2, 2)]), skipped]);
    detail
}

fn sse(events: &[(&str, &str, &str)]) -> Vec<u8> {
    events
        .iter()
        .map(|(id, event, data)| format!("event: {event}\nid: {id}\ndata: {data}\n\n"))
        .collect::<String>()
        .into()
}

#[test]
fn a_server_that_is_down_is_told_for_every_verb() {
    let world = World::new();
    for verb in [
        &["ls"][..],
        &["show"],
        &["log"],
        &["log", "-f"],
        &["events"],
        &["cancel", "1"],
        &["retry"],
        &["trigger", "a.git"],
    ] {
        let (code, out, err) = world.quire(verb);
        assert_eq!((code, out.as_str()), (2, ""), "{verb:?}");
        assert!(err.contains("error: the quire server is not running"), "{err}");
        assert!(err.contains("quire.sock") && err.contains("quire serve --data-dir"), "{err}");
    }
}

#[test]
fn lists_are_asked_for_page_by_page() {
    let world = World::new();
    let server = Server::start(&world.data, |asked| {
        let first = !asked.line.contains("before=");
        let numbers = if first { 10..110 } else { 0..10 };
        let runs: Vec<Value> = numbers.rev().map(|number| run(number, "complete")).collect();
        Answer::json(json!({"runs": runs, "next": if first { json!("c&1") } else { Value::Null }}))
    });
    let out = world.ok(&["ls", "-n", "105", "--repo", "work/foo.git", "--ref", "main", "--state", "complete"]);
    assert_eq!(out.lines().count(), 105, "{out}");
    let first = out.lines().next().unwrap();
    assert!(
        first.contains("109") && first.contains("complete") && first.contains("a1b2c3d") && first.contains("3.0s"),
        "{first}"
    );
    assert!(!first.contains("foo.git"), "{first}");
    let lines: Vec<String> = server.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/runs?repo=work%2Ffoo.git&ref=main&state=complete&limit=100",
            "GET /api/v1/runs?repo=work%2Ffoo.git&ref=main&state=complete&limit=5&before=c%261",
        ]
    );
    let out = world.ok(&["ls", "-n", "1"]);
    assert!(out.contains("work/foo.git"), "{out}");
    let out = world.ok(&["ls", "-n", "2", "--json"]);
    let numbers: Vec<u64> =
        out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [109, 108]);
}

#[test]
fn a_run_is_shown_as_quire_ci_shows_its_own() {
    let world = World::new();
    let server = Server::start(&world.data, |asked| match asked.line.as_str() {
        line if line.ends_with("/log") => Answer::bytes("text/plain", LOG),
        _ => Answer::json(detail()),
    });
    let out = world.ok(&["show", "last-failed", "--repo", "work/foo.git"]);
    for part in [
        "run 41",
        "main @ a1b2c3d",
        "build",
        "skipped",
        "build failed",
        "hello",
        "oh no",
        "quire log --repo work/foo.git 41 build/2",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(out.ends_with("repository: work/foo.git\nby: ann\nhttp://h/runs/41\n"), "{out}");
    let asked = server.asked();
    assert_eq!(asked[0].line, "GET /api/v1/runs/last-failed?repo=work%2Ffoo.git");
    assert_eq!(asked[1].line, format!("GET /api/v1/runs/{ID}/jobs/build/2/log"));
    assert_eq!(asked[1].header("range"), Some("bytes=-32768"));
    let out = world.ok(&["show", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["jobs"][0]["commands"][1]["n"], 2);
}

#[test]
fn logs_are_printed() {
    let world = World::new();
    let _server = Server::start(&world.data, |asked| match asked.line.as_str() {
        line if line.contains("?stream=") => Answer::bytes("application/octet-stream", &b"\xff\0raw"[..]),
        line if line.ends_with("/log") => Answer::bytes("text/plain", LOG),
        _ => Answer::json(detail()),
    });
    assert_eq!(world.ok(&["log", "41", "build/2"]), "hello\noh no\n");
    let out = world.ok(&["log"]);
    assert_eq!(out.matches("hello\noh no\n").count(), 2, "{out}");
    assert!(out.contains("build/1 $ make 1 (exit 0, 1.0s)"), "{out}");
    assert_eq!(world.ok(&["log", "41", "build/2", "--stream", "stdout", "-t"]), "2026-11-22T10:00:00.000Z hello\n");
    let raw = world.command(&["log", "41", "build/1", "--raw", "--stream", "stderr"]).output().unwrap();
    assert_eq!(raw.stdout, b"\xff\0raw");
    for (args, said) in [
        (&["log", "41", "biuld"][..], "did you mean build?"),
        (&["log", "41", "build/3"], "has no command 3"),
        (&["log", "41", "test"], "ran no command"),
        (&["log", "41", "build", "--raw"], "name it as JOB/N"),
        (&["log", "41", "build/x"], "names no command"),
    ] {
        let (code, _, err) = world.quire(args);
        assert!(code == 2 && err.contains(said), "{args:?}: {err}");
    }
}

#[test]
fn refusals_are_told() {
    let world = World::new();
    let server = Server::start(&world.data, |_| Answer::problem(404, "there is no run 7\nthe newest is 41"));
    let (code, out, err) = world.quire(&["show", "7"]);
    assert_eq!((code, out.as_str(), err.as_str()), (2, "", "error: there is no run 7\nhelp: the newest is 41\n"));
    drop(server);
    let _server = Server::start(&world.data, |_| Answer::bytes("text/html", "<html>"));
    let (code, _, err) = world.quire(&["show", "7"]);
    assert!(code == 2 && err.contains("makes no sense"), "{err}");
}

#[test]
fn orders_are_given() {
    let world = World::new();
    let queued = json!({"id": "x", "number": 42, "url": "http://h/42", "waits": "2 runs are before it"});
    let server = Server::start(&world.data, move |asked| {
        let (method, path) = asked.line.split_once(' ').unwrap();
        match (method, path) {
            ("POST", path) if path.ends_with("/cancel") => Answer::json(json!({"id": ID, "state": "ending"})),
            ("POST", _) => Answer::json(queued.clone()),
            (_, path) if path.starts_with("/api/v1/repos/") => Answer::json(json!({
                "name": "work/foo.git", "default_branch": "refs/heads/trunk", "public": false, "executor": "quire-ci",
                "waiting": 0, "running": 0, "latest": null,
            })),
            _ => Answer::json(detail()),
        }
    });
    let out = world.ok(&["cancel", "41"]);
    assert!(out.starts_with("run 41 of work/foo.git is being ended"), "{out}");
    assert_eq!(server.asked().last().unwrap().line, format!("POST /api/v1/runs/{ID}/cancel"));
    assert_eq!(world.ok(&["retry", "--failed"]), "run 42 queued: http://h/42 (2 runs are before it)\n");
    assert_eq!(server.asked().last().unwrap().json(), json!({"failed": true}));
    world.ok(&["trigger", "work/foo.git", "v1", "--job", "a", "--job", "b", "--param", "to=x=y"]);
    assert_eq!(
        server.asked().last().unwrap().json(),
        json!({"repo": "work/foo.git", "ref": "v1", "sha": null, "params": {"to": "x=y"}, "jobs": ["a", "b"]})
    );
    world.ok(&["trigger", "work/foo.git"]);
    assert_eq!(server.asked().last().unwrap().json()["ref"], "refs/heads/trunk");
    world.ok(&["trigger", "work/foo.git", "--sha", "main~1"]);
    let asked = server.asked().last().unwrap().json();
    assert_eq!((&asked["ref"], &asked["sha"]), (&Value::Null, &json!("main~1")));
    let (code, _, err) = world.quire(&["trigger", "a.git", "--param", "a=1", "--param", "a=2"]);
    assert!(code == 2 && err.contains("given twice"), "{err}");
}

const STARTED: &str = r#"{"at_ms":1,"type":"run_started","run_id":"r","number":41,"version":"0","executor":"host","jobs":[{"id":"build","inputs":[]}]}"#;
const FINISHED: &str = r#"{"at_ms":9,"type":"run_finished","outcome":"complete"}"#;

#[test]
fn events_are_followed_over_a_lost_connection() {
    let world = World::new();
    let turn = Arc::new(AtomicUsize::new(0));
    let server = Server::start(&world.data, move |asked| {
        if !asked.line.contains("/events") {
            return Answer::json(detail());
        }
        if asked.header("accept") == Some("application/x-ndjson") {
            return Answer::bytes("application/x-ndjson", format!("{STARTED}\n"));
        }
        match turn.fetch_add(1, Ordering::SeqCst) {
            // Cut off in the middle of an event.
            0 => {
                let mut body = sse(&[("10", "run_started", STARTED)]);
                body.extend(b"id: 20\ndata: {\"at_ms\"");
                Answer { torn: true, ..Answer::bytes("text/event-stream", body) }
            }
            1 => Answer::problem(503, "the server is stopping"),
            _ => Answer::bytes(
                "text/event-stream",
                sse(&[("20", "run_finished", FINISHED), ("20", "end", r#"{"state":"complete"}"#)]),
            ),
        }
    });
    assert_eq!(world.ok(&["events", "-f"]), format!("{STARTED}\n{FINISHED}\n"));
    let ids: Vec<Option<String>> =
        server.asked().iter().skip(1).map(|asked| asked.header("last-event-id").map(str::to_owned)).collect();
    assert_eq!(ids, [None, Some("10".to_owned()), Some("10".to_owned())]);
    assert_eq!(world.ok(&["events"]), format!("{STARTED}\n"));
}

#[test]
fn a_run_is_followed_with_its_logs() {
    let world = World::new();
    let event = |text: &str| format!("{{\"at_ms\":5,{text}}}");
    let stream: Vec<String> = vec![
        STARTED.to_owned(),
        event(r#""type":"job_started","job_id":"build""#),
        event(r#""type":"sh_started","job_id":"build","cmd":"make a""#),
        event(r#""type":"sh_started","job_id":"build","cmd":"make b""#),
        event(r#""type":"sh_finished","job_id":"build","exit_code":0,"sh":2"#),
        event(r#""type":"sh_finished","job_id":"build","exit_code":0"#),
        event(r#""type":"job_finished","job_id":"build","outcome":"complete""#),
        FINISHED.to_owned(),
    ];
    let log = |asked: &Asked| {
        let n = if asked.line.contains("/build/1/") { 1 } else { 2 };
        let line = |text: &str| {
            format!(r#"{{"time":"2026-11-22T10:00:00.000000001Z","stream":"stdout","partial":false,"text":"{text}"}}"#)
        };
        let (one, two) = (line(&format!("{n} one")), line(&format!("{n} two")));
        Answer::bytes("text/event-stream", sse(&[("1", "", &one), ("2", "", &two), ("2", "end", "{}")]))
    };
    let _server = Server::start(&world.data, move |asked| match asked.line.as_str() {
        line if line.ends_with("/log") => log(asked),
        line if line.ends_with("/events") => {
            let mut events: Vec<(&str, &str, &str)> = stream.iter().map(|event| ("1", "x", event.as_str())).collect();
            events.push(("1", "end", "{}"));
            Answer::bytes("text/event-stream", sse(&events))
        }
        _ => Answer::json(detail()),
    });
    let out = world.ok(&["log", "-f"]);
    for n in [1, 2] {
        let at = |text: &str| out.find(text).unwrap_or_else(|| panic!("{text}: {out}"));
        assert!(at(&format!("build | {n} one\n")) < at(&format!("build | {n} two\n")), "{out}");
        assert!(at(&format!("build | {n} two\n")) < at("build: complete"), "{out}");
    }
    assert!(out.contains("build $ make a") && out.contains("run 41 complete"), "{out}");
    let out = world.ok(&["log", "41", "build/2", "-f"]);
    assert_eq!(out, "build | 2 one\nbuild | 2 two\n");
    let (code, _, _) = world.quire(&["log", "-f", "--raw"]);
    assert_eq!(code, 2);
}

#[test]
fn help_completions_and_the_linked_in_quire_ci() {
    let world = World::new();
    let out = world.ok(&["log", "--help"]);
    assert!(out.contains("Examples:") && out.contains("quire log -f"), "{out}");
    assert!(world.ok(&["--help"]).contains("quire repo new work/foo.git"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.ok(&["completions", shell]).contains("trigger"), "{shell}");
    }
    assert!(world.ok(&["ci", "--help"]).contains("quire ci run"));
    let (code, _, err) = world.quire(&["--data-dir", "x", "ci", "nonsense"]);
    assert!(code == 2 && err.contains("nonsense"), "{err}");
}
