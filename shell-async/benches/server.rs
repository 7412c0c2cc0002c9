//! The server's bars, on the real binary with real git and real processes. Each figure stands beside the bar that it is held
//! against; nothing is asserted but that no line is lost.
//!
//! `cargo bench -p quire --bench server`, on a machine that does nothing else; some two minutes.

#![allow(clippy::unwrap_used, dead_code, missing_docs, reason = "a bench of the tests' own server, used in part")]

#[path = "../tests/serve/support.rs"]
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{Clone, Server, wait_for};

fn main() {
    if std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        return;
    }
    println!(
        "version {}, {} CPUs",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    first_command("quire-ci", "return { max_runs = 4, min_free = 0 }", 25.0, Some(100.0));
    first_command("host", r#"return { max_runs = 4, min_free = 0, executor = "host", trusted = true }"#, 10.0, None);
    line_to_viewer();
    thousand_runs();
    sleeping_host_runs();
}

/// A repository of 200 files with this pipeline and so many commits, each of which changes three files; they are pushed but not
/// told of.
fn repository(server: &Server, name: &str, pipeline: &str, commits: usize) -> (Clone, Vec<String>) {
    let clone = server.repository(name, pipeline);
    for n in 0..200 {
        clone.write(&format!("src/part{}/file{n}.txt", n % 20), &format!("{n}\n").repeat(200));
    }
    let mut shas = vec![clone.commit("200 files")];
    for commit in 1..commits {
        for n in 0..3 {
            let n = (commit * 3 + n) % 200;
            clone.write(&format!("src/part{}/file{n}.txt", n % 20), &format!("{commit}\n").repeat(200));
        }
        shas.push(clone.commit("three files"));
    }
    let hook = clone.remote.join("hooks/post-receive");
    let aside = clone.remote.join("hooks/post-receive.aside");
    fs::rename(&hook, &aside).unwrap();
    clone.push(&["main"]);
    fs::rename(&aside, &hook).unwrap();
    (clone, shas)
}

/// Tells the server of a push, as the hook does; the ids of its runs.
fn push(server: &Server, repo: &str, sha: &str, branch: &str) -> Vec<String> {
    let zero = "0".repeat(40);
    let body = json!({"at_ms": now_ms() as i64, "type": "pushed", "repo": repo, "by": "bench",
        "refs": [{"ref": format!("refs/heads/{branch}"), "before": zero, "after": sha}]});
    let (status, answer) = server.api("POST", "/api/v1/push", Some(&body));
    assert_eq!(status, 200, "{answer}");
    answer["refs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|pushed| Some(pushed["run"]["id"].as_str()?.to_owned()))
        .collect()
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let at = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

fn report(what: &str, mut values: Vec<f64>, bars: &str) {
    values.sort_by(f64::total_cmp);
    println!(
        "{what}: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms of {} ({bars})",
        percentile(&values, 50.0),
        percentile(&values, 99.0),
        values[values.len() - 1],
        values.len()
    );
}

/// From the event's bytes on the socket to the time in the first `sh_started`.
fn first_command(executor: &str, config: &str, p50: f64, p99: Option<f64>) {
    let server = Server::with(config);
    let pipeline = r#"
        local ci = require "quire.ci"
        ci.job("one", function(rt) rt.sh("true") end)
    "#;
    let (_clone, shas) = repository(&server, "foo.git", pipeline, 101);
    let mut latencies = Vec::new();
    for (n, sha) in shas.iter().enumerate() {
        let begun = now_ms();
        let run_id = push(&server, "foo.git", sha, "main").remove(0);
        let events = server.data().join("runs").join(&run_id).join("events.jsonl");
        let started = wait_for("the first command", || {
            let text = fs::read_to_string(&events).ok()?;
            let line = text.lines().find(|line| line.contains("\"sh_started\""))?;
            serde_json::from_str::<Value>(line).ok()?["at_ms"].as_f64()
        });
        server.until(&run_id, "complete");
        // Pushes do not come that close to one another: what is made ahead is there, and is not of this very second, in which
        // git would compare contents.
        wait_for("the next workspace", || server.data().join("cache/workspaces/foo.git").exists().then_some(()));
        std::thread::sleep(Duration::from_millis(1100));
        if n > 0 {
            // The stream's clock has whole milliseconds, cut: half of one is added.
            latencies.push(started + 0.5 - begun);
        }
    }
    let bars = match p99 {
        Some(p99) => format!("bars: p50 <= {p50} ms, p99 <= {p99} ms"),
        None => format!("bar: p50 <= {p50} ms"),
    };
    report(&format!("event read -> first sh_started, {executor}"), latencies, &bars);
}

/// A command prints the time, and a viewer compares it with its own.
fn line_to_viewer() {
    let server = Server::with("return { max_runs = 4, min_free = 0 }");
    let (_clone, shas) = repository(
        &server,
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("print", function(rt)
          rt.sh("n=0; while [ $n -lt 400 ]; do date +%s%N; n=$((n+1)); sleep 0.02; done", { shell = "bash" })
        end)
    "#,
        1,
    );
    let run_id = push(&server, "foo.git", &shas[0], "main").remove(0);
    server.until(&run_id, "active");
    let path = format!("/api/v1/runs/{run_id}/jobs/print/1/log");
    let mut socket = UnixStream::connect(server.data().join("quire.sock")).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut latencies = Vec::new();
    for line in BufReader::new(socket).lines() {
        let line = line.unwrap();
        if line.starts_with("event: end") {
            break;
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let Ok(entry) = serde_json::from_str::<Value>(data) else { continue };
        let Some(printed) = entry["text"].as_str().and_then(|text| text.trim().parse::<f64>().ok()) else { continue };
        latencies.push(now_ms() - printed / 1e6);
    }
    // The first ones were there before the viewer came.
    let live = latencies.split_off(20.min(latencies.len()));
    report("child writes a line -> viewer has it", live, "bar: p99 <= 60 ms");
}

/// 1,000 runs queued, 100 of them at a time: what the server takes meanwhile, and whether a line is lost.
fn thousand_runs() {
    const RUNS: usize = 1000;
    const LINES: usize = 100;
    let server = Server::with(r#"return { max_runs = 100, min_free = 0, supersede = "off" }"#);
    let (_clone, shas) = repository(
        &server,
        "foo.git",
        &format!(
            r#"
        local ci = require "quire.ci"
        ci.job("print", function(rt)
          rt.sh("n=0; while [ $n -lt {LINES} ]; do echo line $n; n=$((n+1)); done; while [ ! -e ../../../go ]; do sleep 0.2; done")
        end)
    "#
        ),
        1,
    );
    let begun = Instant::now();
    for n in 0..RUNS {
        push(&server, "foo.git", &shas[0], &format!("b{n}"));
    }
    let queued = begun.elapsed();
    wait_long("100 runs", || (server.get("/healthz")["running"] == 100).then_some(()));
    let waiting = server.get("/healthz");
    println!(
        "1000 pushes queued in {:.2} s; then {} wait, {} go on, and the server's own memory is {:.1} MB resident (bar: <= 40 MB)",
        queued.as_secs_f64(),
        waiting["waiting"],
        waiting["running"],
        resident(server.pid())
    );
    fs::write(server.data().join("go"), "").unwrap();
    let begun = Instant::now();
    let mut most: f64 = 0.0;
    wait_long("1000 runs", || {
        most = most.max(resident(server.pid()));
        let health = server.get("/healthz");
        (health["waiting"] == 0 && health["running"] == 0).then_some(())
    });
    let took = begun.elapsed();
    let mut lines = 0;
    for entry in fs::read_dir(server.data().join("runs")).unwrap().flatten() {
        lines += count_lines(&entry.path().join("jobs/print/sh-1.log"));
    }
    let complete = server.runs().iter().filter(|run| run["state"] == "complete").count();
    assert_eq!((complete, lines), (RUNS, RUNS * LINES), "no line is lost");
    server.agrees();
    println!(
        "1000 runs, 100 at a time, from a standing start: {:.1} s, {lines} lines of {} (bar: none lost), most memory {most:.1} MB resident",
        took.as_secs_f64(),
        RUNS * LINES
    );
}

/// 500 runs inside the server, each with a command that sleeps.
fn sleeping_host_runs() {
    const RUNS: usize = 500;
    let server = Server::with(
        r#"return { max_runs = 500, min_free = 0, supersede = "off", executor = "host", trusted = true, drain = 1 }"#,
    );
    let (_clone, shas) = repository(
        &server,
        "foo.git",
        r#"
        local ci = require "quire.ci"
        ci.job("sleep", function(rt) rt.sh("touch ../../../begun-$QUIRE_RUN_NUMBER; exec sleep 1000") end)
    "#,
        1,
    );
    let before = resident(server.pid());
    for n in 0..RUNS {
        push(&server, "foo.git", &shas[0], &format!("b{n}"));
    }
    wait_long("500 commands", || {
        let begun = fs::read_dir(server.data()).unwrap().flatten();
        let begun = begun.filter(|entry| entry.file_name().to_string_lossy().starts_with("begun-")).count();
        (begun == RUNS).then_some(())
    });
    println!(
        "500 active host runs that sleep: {:.1} MB resident, {before:.1} MB before them (bar: under 300 MB)",
        resident(server.pid())
    );
}

/// Resident memory of a process, in 10^6 bytes.
fn resident(pid: i32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    kib * 1024.0 / 1e6
}

fn count_lines(path: &Path) -> usize {
    let mut text = Vec::new();
    fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text)).unwrap();
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn wait_long(what: &str, mut ask: impl FnMut() -> Option<()>) {
    let begun = Instant::now();
    while ask().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(600), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
