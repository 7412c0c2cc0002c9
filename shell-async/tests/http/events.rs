//! Event streams: stored and live, from the start and from anywhere.

use std::fs;

use crate::client::Told;
use crate::record::{LiveRun, REPO, real_run};
use crate::server::{Server, Setup};

fn server() -> Server {
    Setup::default().open(REPO).start()
}

#[test]
fn every_event_once_wherever_the_connection_was_cut() {
    let server = server();
    let id = real_run(server.data(), 1);
    let path = format!("/api/v1/runs/{id}/events");
    let stored = fs::read_to_string(server.data().join("runs").join(&id).join("events.jsonl")).unwrap();
    let stored: Vec<&str> = stored.lines().collect();
    let all = server.tcp.view(&path, &[]).rest();
    let (end, events) = all.split_last().unwrap();
    assert_eq!(events.iter().map(|told| &*told.data).collect::<Vec<_>>(), stored);
    for told in events {
        assert_eq!(told.value()["type"], told.kind);
    }
    assert_eq!((&*end.kind, &*end.data), ("end", r#"{"state":"failed"}"#));
    for (at, told) in all.iter().enumerate() {
        let id = told.id.to_string();
        let rest = match told.kind.as_str() {
            "end" => &all[at..],
            _ => &all[at + 1..],
        };
        assert_eq!(server.tcp.view(&path, &[("last-event-id", &id)]).rest(), rest, "{at}");
        if at % 5 == 0 {
            assert_eq!(server.tcp.view(&format!("{path}?after={id}"), &[]).rest(), rest, "{at}");
            // A browser that comes back by itself keeps its query: the header is newer.
            assert_eq!(server.tcp.view(&format!("{path}?after=0"), &[("last-event-id", &id)]).rest(), rest, "{at}");
        }
    }
    for bad in ["1", "9999999", "x", "-1"] {
        let headers = [("accept", "text/event-stream"), ("last-event-id", bad)];
        server.tcp.get(&path, &headers).is_problem(400, "no id that this stream gave");
    }
}

#[test]
fn stored_lines_as_they_are() {
    let server = server();
    let mut live = LiveRun::start(server.data(), 1);
    live.torn(b"{\"at_ms\":3,");
    let whole = server.tcp.get(&live.events_path(), &[]);
    assert_eq!((whole.status, &*whole.headers["content-type"]), (200, "application/x-ndjson"));
    let stored = fs::read(live.folder.join("events.jsonl")).unwrap();
    assert_eq!(whole.body, stored[..stored.len() - 11], "whole lines only");
    let first = whole.body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let after = server.tcp.get(&format!("{}?after={first}", live.events_path()), &[]);
    assert_eq!(after.body, whole.body[first..]);
    let part = server.tcp.get(&live.events_path(), &[("range", "bytes=0-9")]);
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[..10]));
    server.tcp.get(&format!("{}?after=99999", live.events_path()), &[]).is_problem(400, "after is 99999");
}

#[test]
fn a_live_view_follows_until_the_row_says_that_it_is_over() {
    let server = server();
    let mut live = LiveRun::start(server.data(), 1);
    let mut view = server.tcp.view(&live.events_path(), &[]);
    let kinds: Vec<String> = (0..2).map(|_| view.next().unwrap().kind).collect();
    assert_eq!(kinds, ["run_started", "job_started"]);
    // A line that is torn is told once it is whole; one that is no event is stepped over; an unknown type is told.
    live.torn(br#"{"at_ms":3,"type":"job_log"#);
    live.torn(b"ged\",\"job_id\":\"build\",\"text\":\"a\"}\nnonsense\n");
    live.torn(b"{\"at_ms\":4,\"type\":\"later_kind\",\r\"x\":1}\n");
    assert_eq!(view.next().unwrap().value()["text"], "a");
    let later = view.next().unwrap();
    assert_eq!((&*later.kind, &*later.data), ("later_kind", "{\"at_ms\":4,\"type\":\"later_kind\", \"x\":1}"));
    // The last event is no end: the row is.
    let last = r#"{"at_ms":5,"type":"run_finished","outcome":"complete"}"#;
    live.event_without_rows(last);
    assert_eq!(view.next().unwrap().kind, "run_finished");
    live.put(last);
    let end = view.next().unwrap();
    assert_eq!((&*end.kind, &*end.data), ("end", r#"{"state":"complete"}"#));
    assert_eq!(view.next(), None);
}

#[test]
fn who_comes_late_sees_the_same() {
    let server = server();
    let mut live = LiveRun::start(server.data(), 1);
    let mut early = server.tcp.view(&live.events_path(), &[]);
    let mut seen: Vec<Told> = (0..2).filter_map(|_| early.next()).collect();
    for n in 0..50 {
        live.event(&format!(r#"{{"at_ms":3,"type":"run_logged","text":"{n}"}}"#));
    }
    let late = server.tcp.view(&live.events_path(), &[]);
    live.ends();
    seen.extend(early.rest());
    assert_eq!(late.rest(), seen);
    assert_eq!(seen.len(), 2 + 50 + 2 + 1);
}

#[test]
fn a_run_that_waits_has_a_view_that_waits() {
    let server = server();
    // Its directory comes later than its viewer.
    let id = quire_core::ids::RunId::new("0193a3a0-0000-7000-9000-000000000001");
    let run = quire_ci::store::NewRun { run_id: id.clone(), repo: REPO.to_owned(), at_ms: 1, owner: None };
    server.app.data.open_store().unwrap().reserve_run(&run).unwrap();
    let mut view = server.tcp.view(&format!("/api/v1/runs/{id}/events"), &[]);
    let mut live = LiveRun::start(server.data(), 1);
    assert_eq!(view.next().unwrap().kind, "run_started");
    live.ends();
    assert_eq!(view.rest().last().unwrap().kind, "end");
}

#[test]
fn a_run_that_was_killed_ends_without_a_last_event() {
    let server = server();
    let live = LiveRun::start(server.data(), 1);
    let view = server.tcp.view(&live.events_path(), &[]);
    let failed = quire_core::wire::FailureKind::Orphaned;
    let mut store = server.app.data.open_store().unwrap();
    store.close_without_stream(&quire_core::ids::RunId::new(&live.id), failed).unwrap();
    let all = view.rest();
    let end = all.last().unwrap();
    assert_eq!((&*end.kind, &*end.data), ("end", r#"{"state":"failed"}"#));
}
