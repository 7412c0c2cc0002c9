//! The live view of a page: which version there is, at once, and when it changes.

use std::io::Write as _;

use quire::server::Waiting;
use quire_core::ids::RunId;

use super::html::Page;
use super::made;
use crate::client::View;
use crate::record::{LiveRun, REPO, entry};
use crate::server::Server;

fn word(view: &mut View) -> String {
    let told = view.next().expect("a version");
    assert_eq!((&*told.kind, told.id), ("", 0));
    told.data
}

/// Versions up to the end, and the last.
fn rest(view: View) -> (Vec<String>, String) {
    let mut told = view.rest();
    let end = told.pop().unwrap();
    assert_eq!(end.kind, "end");
    assert!(told.iter().all(|told| told.kind.is_empty()), "{told:?}");
    (told.into_iter().map(|told| told.data).collect(), end.data)
}

/// Reads until the view tells the version that the page has now.
fn catches_up(server: &Server, path: &str, view: &mut View) -> String {
    loop {
        let told = word(view);
        if told == Page::at(&server.tcp, path).version() {
            return told;
        }
    }
}

#[test]
fn a_run_is_followed_to_its_end() {
    let server = made::server(true, true);
    let mut live = LiveRun::start(server.data(), 1);
    for path in [format!("/runs/{}", live.id), format!("/runs/{}/jobs/build", live.id)] {
        let page = Page::at(&server.tcp, &path);
        assert!(page.is_live());
        let mut view = server.tcp.view(&path, &[]);
        assert_eq!(word(&mut view), page.version(), "what is known is told at once");
        live.event(r#"{"at_ms":3,"type":"job_logged","job_id":"build","text":"a"}"#);
        let second = catches_up(&server, &path, &mut view);
        assert_ne!(second, page.version());
        let mut other = server.tcp.view(&path, &[]);
        assert_eq!(word(&mut other), second, "who comes later is told the same");
    }
    let path = format!("/runs/{}", live.id);
    let view = server.tcp.view(&path, &[]);
    let follower = std::thread::spawn(move || rest(view));
    for _ in 0..20 {
        live.event(r#"{"at_ms":3,"type":"job_logged","job_id":"build","text":"a"}"#);
    }
    live.ends();
    let (told, end) = follower.join().unwrap();
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "nothing is told twice: {told:?}");
    let page = Page::at(&server.tcp, &path);
    assert!(!page.is_live());
    assert_eq!(end, page.version());
    assert_eq!(rest(server.tcp.view(&path, &[])), (Vec::new(), end), "what is over is so at once");
}

#[test]
fn why_a_run_waits_is_part_of_its_page() {
    let server = made::server(true, true);
    let mut live = LiveRun::start(server.data(), 1);
    let path = format!("/runs/{}", live.id);
    let before = Page::at(&server.tcp, &path).version().to_owned();
    let reasons = [(RunId::new(&live.id), "the branch <main> is busy".to_owned())].into();
    server.app.desk.publish(Waiting { reasons, ..Waiting::default() });
    let page = Page::at(&server.tcp, &path);
    assert!(page.has("the branch <main> is busy"));
    assert_ne!(page.version(), before);
    let mut view = server.tcp.view(&path, &[]);
    assert_eq!(word(&mut view), page.version());
    live.ends();
    let (_, end) = rest(view);
    let page = Page::at(&server.tcp, &path);
    assert_eq!(end, page.version());
    assert!(!page.has("is busy"), "what is over does not wait");
}

#[test]
fn a_log_is_followed_to_its_end() {
    let server = made::server(true, true);
    let mut live = LiveRun::start(server.data(), 1);
    let mut log = live.command();
    let path = format!("/runs/{}/jobs/build/1", live.id);
    let page = Page::at(&server.tcp, &path);
    assert!(page.is_live() && page.has("no lines yet"));
    let mut view = server.tcp.view(&path, &[]);
    assert_eq!(word(&mut view), page.version());
    log.write_all(&entry("hi")).unwrap();
    let second = catches_up(&server, &path, &mut view);
    assert_ne!(second, page.version());
    assert!(Page::at(&server.tcp, &path).has("hi"));
    let mut other = server.tcp.view(&path, &[]);
    assert_eq!(word(&mut other), second);
    // Another job's log changes nothing here, nor does an event.
    live.event(r#"{"at_ms":3,"type":"job_logged","job_id":"build","text":"a"}"#);
    log.write_all(&entry("there")).unwrap();
    live.command_ends();
    let (told, end) = rest(view);
    assert!(told.len() <= 1, "{told:?}");
    let page = Page::at(&server.tcp, &path);
    assert!(!page.is_live());
    assert_eq!(end, page.version());
    assert!(page.has("lines 1–2 of 2"));
    assert_eq!(rest(server.tcp.view(&path, &[])), (Vec::new(), end));
}

#[test]
fn lists_are_followed() {
    let server = made::server(true, true);
    let sha = "0123456789abcdef0123456789abcdef01234567";
    made::put(server.data(), 9, &[&made::started(9, &format!(r#","sha":"{sha}""#))]);
    let paths = ["/".to_owned(), format!("/repos/{REPO}"), format!("/repos/{REPO}?ref=*"), format!("/commits/{sha}")];
    let mut views: Vec<(String, View)> = Vec::new();
    for path in &paths {
        let page = Page::at(&server.tcp, path);
        assert!(page.is_live());
        let mut view = server.tcp.view(path, &[]);
        assert_eq!(word(&mut view), page.version(), "{path}");
        views.push((page.version().to_owned(), view));
    }
    let mut live = LiveRun::start(server.data(), 1);
    for (path, (before, view)) in paths.iter().zip(&mut views) {
        let after = catches_up(&server, path, view);
        assert_ne!(after, *before, "{path}");
        let mut other = server.tcp.view(path, &[]);
        assert_eq!(word(&mut other), after);
    }
    live.ends();
    for (path, (_, view)) in paths.iter().zip(&mut views) {
        catches_up(&server, path, view);
    }
}

#[test]
fn nobody_follows_what_nobody_may_see() {
    let server = made::server(false, false);
    let live = LiveRun::start(server.data(), 1);
    for path in [format!("/runs/{}", live.id), format!("/repos/{REPO}"), format!("/runs/{}/jobs/build/1", live.id)] {
        let refused = server.tcp.get(&path, &[("accept", "text/event-stream")]);
        assert_eq!(refused.status, 404, "{path}");
    }
}
