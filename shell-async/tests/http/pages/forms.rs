//! Buttons: who has them, and what they do.

use super::html::Page;
use super::made::{self, ADMIN, READER, RUNNER, id, put, started};
use crate::record::{LiveRun, REPO, real_run};

const OURS: (&str, &str) = ("origin", "http://localhost");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// What the buttons of a page send, and where to.
fn buttons(page: &Page) -> Vec<(String, String)> {
    let (mut action, mut found) = (None, Vec::new());
    for tag in &page.tags {
        match &*tag.name {
            "form" => action = tag.get("action").filter(|_| tag.get("method") == Some("post")).map(str::to_owned),
            "button" => found.extend(action.clone().map(|action| (action, tag.get("name").unwrap().to_owned()))),
            _ => {}
        }
    }
    found
}

#[test]
fn buttons_are_for_those_who_may() {
    let server = made::server(true, true);
    let over = format!("/runs/{}", real_run(server.data(), 1));
    let going = format!("/runs/{}", LiveRun::start(server.data(), 2).id);
    let repo = format!("/repos/{REPO}");
    let of = |path: &str, who: &[(&str, &str)]| {
        let whole = server.tcp.get(path, who);
        assert_eq!(whole.status, 200);
        buttons(&Page::of(&whole))
    };
    for path in [&over, &going, &repo] {
        for who in [&[][..], &[READER]] {
            assert_eq!(of(path, who), [], "{path} {who:?}");
        }
    }
    let pair = |path: String, name: &str| (path, name.to_owned());
    for who in [RUNNER, ADMIN] {
        let retry = format!("{over}/retry");
        assert_eq!(of(&over, &[who]), [pair(retry.clone(), "retry-failed"), pair(retry, "retry")]);
        assert_eq!(of(&going, &[who]), [pair(format!("{going}/cancel"), "cancel")]);
        assert_eq!(of(&repo, &[who]), [pair(repo.clone(), "trigger")]);
    }
    assert!(Page::of(&server.tcp.get("/", &[RUNNER])).has("signed in as runner"));
    assert!(Page::at(&server.tcp, "/").has("not signed in"));
    // Of a laptop's runs there is nothing to repeat here.
    put(
        server.data(),
        3,
        &[&started(3, "").replace(REPO, "laptop"), r#"{"at_ms":2000,"type":"run_finished","outcome":"failed"}"#],
    );
    assert_eq!(buttons(&Page::at(&server.unix, &format!("/runs/{}", id(3)))), []);
    assert_eq!(buttons(&Page::at(&server.unix, "/repos/laptop")), []);
}

#[test]
fn a_button_leads_to_the_run() {
    let server = made::server(false, false);
    let over = format!("/runs/{}", real_run(server.data(), 1));
    let going = format!("/runs/{}", LiveRun::start(server.data(), 2).id);
    let press = |path: &str, body: &str, who: &[(&str, &str)]| {
        let headers = [&[FORM], who].concat();
        server.tcp.send("POST", path, &headers, body.as_bytes()).whole()
    };
    let queued = "/runs/0193a3a0-0000-7000-8000-00000000abcd";
    for (path, body, location) in [
        (format!("{going}/cancel"), "cancel=1", &*going),
        (format!("{over}/retry"), "retry=1", queued),
        (format!("/repos/{REPO}"), "ref=main&trigger=1", queued),
        (format!("/repos/{REPO}"), "ref=refs%2Ftags%2Fv1+x", queued),
    ] {
        for who in [RUNNER, ADMIN] {
            let led = press(&path, body, &[who, OURS]);
            assert_eq!((led.status, led.headers.get("location").map(String::as_str)), (303, Some(location)), "{path}");
        }
        let asked = server.asked.lock().unwrap().len();
        for (who, status) in [
            (&[RUNNER][..], 403),
            (&[RUNNER, ("origin", "http://evil.example")], 403),
            (&[RUNNER, ("origin", "null")], 403),
            (&[RUNNER, ("sec-fetch-site", "cross-site")], 403),
            (&[RUNNER, ("sec-fetch-site", "same-site")], 403),
            (&[READER, OURS], 403),
            (&[OURS], 404),
            (&[], 404),
        ] {
            let refused = press(&path, body, who);
            assert_eq!(refused.status, status, "{path} {who:?}");
            Page::of(&refused);
        }
        assert_eq!(server.asked.lock().unwrap().len(), asked, "nobody was asked");
    }
    let asked = server.asked.lock().unwrap().join("\n");
    for text in ["runner", "refs/tags/v1 x", "failed: false"] {
        assert!(asked.contains(text), "{text} in {asked}");
    }
    for (path, body, status) in [
        (format!("{over}/retry"), "retry-failed=1", 409),
        (format!("/repos/{REPO}"), "trigger=1", 400),
        (format!("/repos/{REPO}"), "ref=", 400),
        (format!("/repos/{REPO}"), "ref=gone", 404),
        (format!("/repos/{REPO}"), "ref=bad", 400),
        (format!("/repos/{REPO}"), "ref=busy", 503),
        (format!("/repos/{REPO}"), "ref=a&other=b", 400),
        ("/repos/none.git".to_owned(), "ref=a", 404),
        ("/runs/99/cancel".to_owned(), "", 404),
    ] {
        let failed = press(&path, body, &[ADMIN, OURS]);
        assert_eq!(failed.status, status, "{path} {body}");
        Page::of(&failed);
    }
}
