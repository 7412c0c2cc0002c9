//! Pages that change while they are looked at.

use serde_json::{Value, json};

use crate::hooks::{self, cell, job, log_page, repo_page, run_page, signed_in, until_state, visit};
use crate::http;
use crate::pipelines::{Feed, PRIVATE, PUBLIC, REPO, begun};
use crate::support::{Server, wait_for};
use crate::webdriver::Browser;

/// What a page forgets when it is loaded again.
const MARK: &str = "window.sameLoad = true";
const MARKED: &str = "window.sameLoad === true";

/// The rows that are shown are these, once each, in this order.
#[track_caller]
fn assert_rows(browser: &Browser, expected: &[String]) {
    let last = expected.len();
    browser.until(&format!("document.getElementById('L{last}')"));
    assert_eq!(browser.texts(hooks::ROW_TEXT), expected);
    assert_eq!(browser.value(hooks::NUMBERS), json!((1..=last).collect::<Vec<_>>()));
}

fn lines(from: usize, to: usize) -> impl Iterator<Item = String> {
    (from..=to).map(|n| format!("line {n}"))
}

#[test]
fn a_run_and_its_log_from_the_first_line_to_the_end() {
    let server = Server::with(PRIVATE);
    let feed = Feed::new(&server);
    let clone = server.repository(REPO, &feed.pipeline());
    let run = begun(&server, &clone);
    let sha = clone.git(&["rev-parse", "HEAD"]);
    let (of_run, of_log, of_repo) = (signed_in(&server), Browser::open(), Browser::open());
    // A session is a browser's own: the others are given its cookie, as a link can be used once.
    for other in [&of_log, &of_repo] {
        visit(other, &server, "/");
        let cookie = of_run.cookies().into_iter().find(|cookie| cookie["name"] == "quire_session").unwrap();
        other.try_command("POST", "cookie", Some(&json!({ "cookie": cookie }))).unwrap();
    }

    visit(&of_run, &server, &run_page(&run));
    visit(&of_log, &server, &log_page(&run, "slow", 1));
    visit(&of_repo, &server, &repo_page(REPO));
    until_state(&of_run, "active");
    of_run.until(&format!("document.querySelector('{}').dataset.state === 'active'", job("slow")));
    of_repo.until(&format!("document.querySelector(\"{}\").dataset.state === 'active'", cell(&sha, "slow")));
    for browser in [&of_run, &of_log, &of_repo] {
        browser.value(MARK);
    }

    let mut expected = Vec::new();
    for part in [1..=1, 2..=40, 41..=41] {
        for line in lines(*part.start(), *part.end()) {
            feed.line(&line);
            expected.push(line);
        }
        assert_rows(&of_log, &expected);
    }
    assert_eq!(of_log.value(hooks::LOG_ENDED), json!(false));
    feed.end();
    expected.push("end".to_owned());
    of_log.until(hooks::LOG_ENDED);
    assert_rows(&of_log, &expected);

    until_state(&of_run, "complete");
    for id in ["slow", "after"] {
        of_run.until(&format!("document.querySelector('{}').dataset.state === 'complete'", job(id)));
        of_repo.until(&format!("document.querySelector(\"{}\").dataset.state === 'complete'", cell(&sha, id)));
    }
    assert!(!of_run.all(hooks::TIMELINE).is_empty() && !of_run.all(hooks::GRAPH).is_empty());
    for browser in [&of_run, &of_log, &of_repo] {
        assert_eq!(browser.value(MARKED), json!(true), "it was loaded again");
        browser.assert_quiet();
    }
}

#[test]
fn a_run_is_cancelled_and_retried_by_button() {
    let server = Server::with(PRIVATE);
    let feed = Feed::new(&server);
    let clone = server.repository(REPO, &feed.pipeline());
    let run = begun(&server, &clone);
    let browser = signed_in(&server);
    visit(&browser, &server, &run_page(&run));
    until_state(&browser, "active");
    browser.find(hooks::CANCEL).click();
    until_state(&browser, "aborted");
    assert_eq!(browser.place(), run_page(&run));
    assert_eq!(server.get(&format!("/api/v1{}", run_page(&run)))["state"], "aborted");
    assert!(browser.all(hooks::CANCEL).is_empty(), "what is over cannot be cancelled");

    feed.end();
    browser.find(hooks::RETRY).click();
    wait_for("the new run", || (browser.place() != run_page(&run)).then_some(()));
    until_state(&browser, "complete");
    assert_eq!(server.quiet(2).len(), 2);
    browser.assert_quiet();
}

#[test]
fn who_may_not_act_has_no_buttons() {
    let server = Server::with(PUBLIC);
    let feed = Feed::new(&server);
    let clone = server.repository(REPO, &feed.pipeline());
    let run = begun(&server, &clone);
    let browser = Browser::open();
    visit(&browser, &server, &run_page(&run));
    until_state(&browser, "active");
    for button in [hooks::CANCEL, hooks::RETRY, hooks::RETRY_FAILED] {
        assert!(browser.all(button).is_empty(), "{button}");
    }
    feed.end();
    until_state(&browser, "complete");
    browser.assert_quiet();
}

#[test]
fn a_log_goes_on_over_a_restart_of_the_server_without_gap_or_repeat() {
    let mut server = Server::with(PUBLIC);
    let feed = Feed::new(&server);
    let clone = server.repository(REPO, &feed.pipeline());
    let run = begun(&server, &clone);
    let browser = Browser::open();
    visit(&browser, &server, &repo_page(REPO));
    visit(&browser, &server, &log_page(&run, "slow", 1));
    browser.value(MARK);
    let mut expected: Vec<String> = lines(1, 10).collect();
    expected.iter().for_each(|line| feed.line(line));
    assert_rows(&browser, &expected);

    server.kill();
    for line in lines(11, 20) {
        feed.line(&line);
        expected.push(line);
    }
    server.start();
    assert_rows(&browser, &expected);
    for line in lines(21, 30) {
        feed.line(&line);
        expected.push(line);
    }
    assert_rows(&browser, &expected);
    assert_eq!(browser.value(MARKED), json!(true), "it was loaded again");

    browser.back();
    browser.find(hooks::COMMITS);
    assert_eq!(browser.place(), repo_page(REPO));
    browser.forward();
    assert_rows(&browser, &expected);
    feed.end();
    expected.push("end".to_owned());
    browser.until(hooks::LOG_ENDED);
    assert_rows(&browser, &expected);
    // That the server was away is a failed request; nothing else may fail.
    browser.assert_quiet_but(&[
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_EMPTY_RESPONSE",
        "ERR_CONNECTION_RESET",
    ]);
}

#[test]
fn a_hidden_page_follows_nothing() {
    let server = Server::with(PUBLIC);
    let feed = Feed::new(&server);
    let clone = server.repository(REPO, &feed.pipeline());
    let run = begun(&server, &clone);
    let browser = Browser::open();
    visit(&browser, &server, &log_page(&run, "slow", 1));
    feed.line("line 1");
    assert_rows(&browser, &["line 1".to_owned()]);
    wait_for("a viewer", || (viewers(&server) == 1).then_some(()));
    browser.hide();
    wait_for("no viewer", || (viewers(&server) == 0).then_some(()));
    feed.line("line 2");
    browser.show();
    assert_rows(&browser, &["line 1".to_owned(), "line 2".to_owned()]);
    wait_for("the viewer to be back", || (viewers(&server) == 1).then_some(()));
    feed.end();
    browser.until(hooks::LOG_ENDED);
    wait_for("no viewer of what is over", || (viewers(&server) == 0).then_some(()));
    browser.assert_quiet();
}

/// Live views that the server counts.
fn viewers(server: &Server) -> u64 {
    let page = http::get(&server.address, "/metrics").body;
    let counts = page.lines().filter(|line| line.starts_with("quire_viewers"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn a_burst_of_jobs_leaves_each_once() {
    let server = Server::with(PUBLIC);
    let pipeline = r#"local ci = require "quire.ci"
for n = 1, 30 do ci.job("j" .. n, function(rt) for i = 1, 5 do rt.sh("echo " .. i) end end) end
"#;
    let clone = server.repository(REPO, pipeline);
    let run = begun(&server, &clone);
    let browser = Browser::open();
    visit(&browser, &server, &run_page(&run));
    until_state(&browser, "complete");
    let ids = browser.value("[...document.querySelectorAll('[id]')].map((e) => e.id)");
    let ids: Vec<&str> = ids.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(ids.len(), once.len(), "ids come twice: {ids:?}");
    for n in 1..=30 {
        let commands = browser.all(&format!("{} li[data-n]", job(&format!("j{n}"))));
        assert_eq!(commands.len(), 5, "j{n}");
    }
    browser.assert_quiet();
}
