//! Logs: bytes, ranges, exact streams, and lines live.

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::mpsc;

use serde_json::json;

use crate::client::{PATIENCE, Place, View, request};
use crate::record::{LiveRun, REPO, entry, real_run};
use crate::server::{Server, Setup};

fn server() -> Server {
    Setup::default().open(REPO).start()
}

#[test]
fn bytes_and_ranges() {
    let server = server();
    let id = real_run(server.data(), 1);
    let path = format!("/api/v1/runs/{id}/jobs/build/2/log");
    let stored = fs::read(server.data().join("runs").join(&id).join("jobs/build/sh-2.log")).unwrap();
    assert!(stored.len() > 128 << 10, "more than two pieces");
    let whole = server.tcp.get(&path, &[]);
    assert_eq!((whole.status, &*whole.headers["accept-ranges"]), (200, "bytes"));
    assert_eq!(whole.body, stored);
    let len = stored.len();
    for (range, first, last) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=5-9".to_owned(), 5, 9),
        ("bytes=60000-130000".to_owned(), 60_000, 130_000),
        (format!("bytes={}-", len - 3), len - 3, len - 1),
        ("bytes=-7".to_owned(), len - 7, len - 1),
        (format!("bytes=-{}", len * 2), 0, len - 1),
        (format!("bytes=10-{}", len * 2), 10, len - 1),
    ] {
        let part = server.tcp.get(&path, &[("range", &range)]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.headers["content-range"], format!("bytes {first}-{last}/{len}"));
        assert_eq!(part.body, stored[first..=last], "{range}");
    }
    for ignored in ["bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "nonsense"] {
        assert_eq!(server.tcp.get(&path, &[("range", ignored)]).body.len(), len, "{ignored}");
    }
    let if_range = [("range", "bytes=0-0"), ("if-range", "\"x\"")];
    assert_eq!(server.tcp.get(&path, &if_range).status, 200);
    for beyond in [format!("bytes={len}-"), "bytes=-0".to_owned()] {
        let none = server.tcp.get(&path, &[("range", &beyond)]);
        none.is_problem(416, "none of them in this range");
        assert_eq!(none.headers["content-range"], format!("bytes */{len}"));
    }
    let head = server.tcp.send("HEAD", &path, &[("range", "bytes=0-0")], b"").whole();
    assert_eq!((head.status, &*head.headers["content-length"]), (200, &*len.to_string()));
}

#[test]
fn exact_bytes_of_each_stream() {
    let server = server();
    let id = real_run(server.data(), 1);
    let get = |n: u32, query: &str| server.tcp.get(&format!("/api/v1/runs/{id}/jobs/build/{n}/log{query}"), &[]);
    assert_eq!(get(1, "?stream=stdout").body, b"one\ntwo <&>\r\n\nlast");
    assert_eq!(get(1, "?stream=stderr").body, b"oops \xc3\x28\n");
    let numbers: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    assert_eq!(get(2, "?stream=stdout").text(), numbers);
    assert_eq!(get(2, "?stream=stderr").body, b"");
    assert_eq!(get(3, "").body, b"");
    get(1, "?stream=both").is_problem(400, "stdout or stderr");
    for path in ["build/9/log", "build/0/log", "build/x/log", "none/1/log", "..%2F../1/log"] {
        server.tcp.get(&format!("/api/v1/runs/{id}/jobs/{path}"), &[]).is_problem(404, "the run has no command");
    }
}

#[test]
fn lines_of_a_log_wherever_the_connection_was_cut() {
    let server = server();
    let id = real_run(server.data(), 1);
    let path = format!("/api/v1/runs/{id}/jobs/build/1/log");
    let all = server.tcp.view(&path, &[]).rest();
    let (end, lines) = all.split_last().unwrap();
    assert_eq!(end.value(), json!({"exit_code": 0, "signal": null, "cause": null}));
    let of = |stream: &str| -> Vec<String> {
        let lines = lines.iter().map(|told| told.value()).filter(|line| line["stream"] == stream);
        lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("stdout"), ["one", "two <&>\r", "", "last"]);
    assert_eq!(of("stderr"), ["oops \u{fffd}("]);
    assert!(lines.iter().all(|told| told.kind.is_empty() && told.value()["partial"] == false));
    for (at, told) in lines.iter().enumerate() {
        let rest = server.tcp.view(&path, &[("last-event-id", &told.id.to_string())]).rest();
        assert_eq!(rest, all[at + 1..], "{at}");
    }
    let long = server.tcp.view(&format!("/api/v1/runs/{id}/jobs/build/2/log"), &[]).rest();
    assert_eq!(long.len(), 3001);
}

#[test]
fn a_live_log_is_told_entry_by_entry() {
    let server = server();
    let mut live = LiveRun::start(server.data(), 1);
    let mut log = live.command();
    let mut view = server.tcp.view(&live.log_path(), &[]);
    for n in 0..20 {
        let text = entry(&n.to_string());
        let (head, tail) = text.split_at(7 + n);
        log.write_all(head).unwrap();
        log.write_all(tail).unwrap();
        assert_eq!(view.next().unwrap().value()["text"], n.to_string());
    }
    log.write_all(&entry("torn")[..40]).unwrap();
    let stored = server.tcp.get(&live.log_path(), &[]);
    assert_eq!(
        stored.body.len(),
        (0..20).map(|n: u32| entry(&n.to_string()).len()).sum::<usize>(),
        "whole entries only"
    );
    log.write_all(&entry("torn")[40..]).unwrap();
    assert_eq!(view.next().unwrap().value()["text"], "torn");
    live.command_ends();
    let end = view.next().unwrap();
    assert_eq!((&*end.kind, &end.value()["exit_code"]), ("end", &json!(0)));
    assert_eq!(view.next(), None);
}

#[test]
fn a_command_whose_row_follows_is_waited_for() {
    let server = server();
    let mut live = LiveRun::start(server.data(), 1);
    let started = r#"{"at_ms":3,"type":"sh_started","job_id":"build","cmd":"make"}"#;
    live.event_without_rows(started);
    let (place, path) = (server.tcp.clone(), live.log_path());
    let viewer = std::thread::spawn(move || place.view(&path, &[]).rest());
    live.put(started);
    live.log(1).write_all(&entry("hi")).unwrap();
    live.command_ends();
    assert_eq!(viewer.join().unwrap().len(), 2);
}

/// Reads a view of a live log to its end; what was missed is fetched by range. Gives the log as far as it was told, and how
/// many bytes were missed.
fn read_with_ranges(place: &Place, path: &str, mut view: View, on_missed: impl Fn()) -> (Vec<u8>, u64) {
    let (mut read, mut missed) = (Vec::new(), 0);
    while let Some(told) = view.next() {
        match told.kind.as_str() {
            "missed" => {
                let (from, to) = (told.value()["from"].as_u64().unwrap(), told.value()["to"].as_u64().unwrap());
                assert_eq!((from, to), (read.len() as u64, told.id));
                missed += told.value()["bytes"].as_u64().unwrap();
                let range = format!("bytes={from}-{}", to - 1);
                read.extend(place.get(path, &[("range", &range)]).body);
                on_missed();
            }
            "end" => break,
            _ => {
                let line = told.value();
                let text = format!("{} stdout F {}\n", line["time"].as_str().unwrap(), line["text"].as_str().unwrap());
                read.extend_from_slice(text.as_bytes());
                assert_eq!(read.len() as u64, told.id);
            }
        }
    }
    (read, missed)
}

fn server_of_little_patience() -> Server {
    let mut setup = Setup::default().open(REPO);
    setup.limits.behind_bytes = 256 << 10;
    setup.limits.near_bytes = 16 << 10;
    setup.start()
}

/// More than any socket's buffers hold.
fn write_much(log: &mut fs::File) {
    let line = entry(&"x".repeat(1000));
    for _ in 0..8000 {
        log.write_all(&line).unwrap();
    }
}

#[test]
fn who_falls_behind_is_told_what_it_missed_and_slows_nobody() {
    let server = server_of_little_patience();
    let mut live = LiveRun::start(server.data(), 1);
    let mut log = live.command();
    log.write_all(&entry("first")).unwrap();
    // It reads nothing while the build goes on.
    let view = server.unix.view(&live.log_path(), &[]);
    write_much(&mut log);
    let (told, is_told) = mpsc::channel();
    let (place, path) = (server.unix.clone(), live.log_path());
    let reader =
        std::thread::spawn(move || read_with_ranges(&place, &path, view, || told.send(()).unwrap_or_default()));
    // The command goes on until then, so nothing else ends the reading.
    is_told.recv_timeout(PATIENCE).expect("the viewer is told that it missed something");
    live.command_ends();
    let (read, missed) = reader.join().unwrap();
    assert_eq!(read, fs::read(live.folder.join("jobs/build/sh-1.log")).unwrap(), "what was missed stays readable");
    assert!(missed > 256 << 10, "{missed}");
}

#[test]
fn a_backlog_is_told_whole() {
    let server = server_of_little_patience();
    let mut live = LiveRun::start(server.data(), 1);
    let mut log = live.command();
    write_much(&mut log);
    let late = server.unix.view(&live.log_path(), &[]);
    let (place, path) = (server.unix.clone(), live.log_path());
    let reader = std::thread::spawn(move || read_with_ranges(&place, &path, late, || ()));
    log.write_all(&entry("last")).unwrap();
    live.command_ends();
    let (read, missed) = reader.join().unwrap();
    assert_eq!((read, missed), (fs::read(live.folder.join("jobs/build/sh-1.log")).unwrap(), 0));
}

#[test]
fn who_reads_a_byte_at_a_time_gets_every_byte() {
    let server = server();
    let mut live = LiveRun::start(server.data(), 1);
    let mut log = live.command();
    // A client of ours reads bytes one by one, here over a connection without a buffer of its own.
    let mut stream = server.unix.connect();
    stream.write_all(&request("GET", &live.log_path(), &[("accept", "text/event-stream")], b"")).unwrap();
    for n in 0..200 {
        log.write_all(&entry(&n.to_string())).unwrap();
    }
    live.command_ends();
    let mut read = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).unwrap() == 1 {
        read.push(byte[0]);
    }
    let text = String::from_utf8(read).unwrap();
    assert_eq!(text.matches("\"partial\":false").count(), 200);
    assert!(text.contains("event: end\n"));
}

#[test]
fn removed_logs_are_gone() {
    let server = server();
    let id = real_run(server.data(), 1);
    let run_id = quire_core::ids::RunId::new(&id);
    let mut store = server.app.data.open_store().unwrap();
    store.write(|writing| writing.note_logs_removed(&run_id, 1_750_000_000_000, 10)).unwrap();
    server.tcp.get(&format!("/api/v1/runs/{id}/jobs/build/1/log"), &[]).is_problem(410, "were removed");
    assert_eq!(server.tcp.json(&format!("/api/v1/runs/{id}"))["logs_removed_at_ms"], 1_750_000_000_000_i64);
    assert_eq!(server.tcp.get(&format!("/api/v1/runs/{id}/events"), &[]).status, 200);
}
