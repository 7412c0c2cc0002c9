//! What is bounded: heads, bodies, connections, viewers, patience.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::client::{PATIENCE, Reply, request};
use crate::record::{LiveRun, REPO, entry};
use crate::server::{Server, Setup};

fn with(change: impl FnOnce(&mut Setup)) -> Server {
    let mut setup = Setup::default().open(REPO);
    change(&mut setup);
    setup.start()
}

#[test]
fn a_head_that_is_too_large() {
    let server = with(|_| {});
    let large = "x".repeat(40 << 10);
    assert_eq!(server.tcp.send("GET", "/healthz", &[("x-large", &large)], b"").status, 431);
    let many: Vec<(String, &str)> = (0..150).map(|n| (format!("x-{n}"), "y")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(server.tcp.send("GET", "/healthz", &many, b"").status, 431);
    assert_eq!(server.tcp.get("/healthz", &[("x-large", &large[..20 << 10])]).status, 200);
}

#[test]
fn a_body_that_is_too_large_or_of_no_use() {
    let server = with(|_| {});
    let large = format!("{{\"repo\":\"{}\"}}", "x".repeat(2 << 20));
    server.unix.post("/api/v1/runs", &[], &large).is_problem(413, "at most 1048576 bytes");
    // Chunked, so that its length is not told before.
    let mut stream = server.unix.connect();
    let head =
        request("POST", "/api/v1/runs", &[("content-type", "application/json"), ("transfer-encoding", "chunked")], b"");
    stream.write_all(&head).unwrap();
    let chunk = [format!("{:x}\r\n", 64 << 10).as_bytes(), &vec![b' '; 64 << 10], b"\r\n"].concat();
    for _ in 0..20 {
        stream.write_all(&chunk).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    Reply::read(stream, false).unwrap().whole().is_problem(413, "at most");
    server.unix.send("POST", "/api/v1/runs", &[], b"{}").whole().is_problem(415, "Content-Type: application/json");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    server.unix.send("POST", "/api/v1/runs", &form, b"repo=x").whole().is_problem(415, "application/json");
    server.unix.post("/api/v1/runs", &[], "{\"repo\":\n  nothing}").is_problem(400, "line 2 column");
    server.unix.post("/api/v1/runs", &[], "{}").is_problem(400, "missing field `repo`");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let server = with(|setup| setup.limits.connections = 2);
    // The first two are there once they were answered.
    let mut kept: Vec<_> = (0..2).map(|_| server.tcp.connect()).collect();
    for stream in &mut kept {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut begin = [0; 15];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
    }
    let full = server.tcp.get("/healthz", &[]);
    full.is_problem(503, "as many connections");
    assert_eq!(full.headers["retry-after"], "5");
    drop(kept);
    // There is room again once the server has noticed: each try is a whole exchange.
    assert!((0..10_000).any(|_| server.tcp.get("/healthz", &[]).status == 200));
}

#[test]
fn who_sends_its_head_too_slowly_is_left() {
    let server = with(|setup| setup.limits.header_time = Duration::from_millis(100));
    let mut slow = server.tcp.connect();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("the server ends it");
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[test]
fn one_viewer_too_many() {
    let server = with(|setup| {
        setup.limits.event_viewers = 1;
        setup.limits.log_viewers = 1;
    });
    let mut live = LiveRun::start(server.data(), 1);
    live.command();
    for path in [live.events_path(), live.log_path()] {
        let view = server.tcp.view(&path, &[]);
        let full = server.tcp.get(&path, &[("accept", "text/event-stream")]);
        full.is_problem(503, "as many watch");
        assert_eq!(full.headers["retry-after"], "5");
        // Not a live view: a seat is not needed.
        assert_eq!(server.tcp.get(&path, &[]).status, 200);
        drop(view);
        let is_free = (0..10_000).any(|_| {
            let reply = server.tcp.send("GET", &path, &[("accept", "text/event-stream")], b"");
            reply.status == 200
        });
        assert!(is_free, "a viewer that went away is noticed, though nothing was written");
    }
}

#[test]
fn who_takes_nothing_is_left_after_a_while() {
    let server = with(|setup| setup.limits.write_time = Duration::from_millis(200));
    let mut live = LiveRun::start(server.data(), 1);
    let mut log = live.command();
    let line = entry(&"x".repeat(1000));
    for _ in 0..4000 {
        log.write_all(&line).unwrap();
    }
    let mut stream = server.unix.connect();
    stream.write_all(&request("GET", &live.log_path(), &[("accept", "text/event-stream")], b"")).unwrap();
    // Nothing is read; the server hangs up all the same.
    let mut hung_up = [PollFd::new(&stream, PollFlags::RDHUP)];
    let patience = rustix::time::Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut hung_up, Some(&patience)).unwrap(), 1, "the server hangs up");
    assert_eq!(server.metric("quire_viewers{of=\"log\"}"), 0);
}

#[test]
fn a_quiet_view_says_that_it_is_alive() {
    let server = with(|setup| setup.limits.heartbeat = Duration::from_millis(30));
    let live = LiveRun::start(server.data(), 1);
    let mut view = server.tcp.view(&live.events_path(), &[]);
    let mut beats = 0;
    while beats < 3 {
        beats += u32::from(view.raw_line().unwrap() == ": alive");
    }
}

#[test]
fn views_end_when_the_server_stops() {
    let mut server = with(|_| {});
    let live = LiveRun::start(server.data(), 1);
    let mut view = server.tcp.view(&live.events_path(), &[]);
    assert_eq!(view.next().unwrap().kind, "run_started");
    server.stop();
    let rest = view.rest();
    assert_eq!(rest.len(), 1, "no end is told: the run goes on, and a viewer comes back");
}
