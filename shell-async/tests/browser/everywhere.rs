//! Each page for everyone: in both schemes, on a phone, without scripts, signed in and not.

use serde_json::json;

use crate::axe;
use crate::hooks::{
    self, at_home, changes_page, commit, commit_page, job, log_page, repo_page, run_page, signed_in, visit,
};
use crate::http;
use crate::pipelines::{GREEN, MIXED, PRIVATE, PUBLIC, REPO, pushed};
use crate::support::{Clone, Server};
use crate::webdriver::Browser;

/// A repository with a run that is complete and one that failed, and the paths of all kinds of pages about it.
struct Told {
    clone: Clone,
    /// What, and where.
    pages: Vec<(&'static str, String)>,
}

fn told(server: &Server) -> Told {
    let clone = server.repository(REPO, GREEN);
    let complete = pushed(server, &clone);
    let good = clone.git(&["rev-parse", "HEAD"]);
    clone.write(".quire/ci.lua", MIXED);
    let bad = clone.commit("Count to three");
    let failed = pushed(server, &clone);
    assert_eq!((&complete["state"], &failed["state"]), (&json!("complete"), &json!("failed")));
    let pages = vec![
        ("home", "/".to_owned()),
        ("the repository", repo_page(REPO)),
        ("a run that failed", run_page(&failed)),
        ("a run that is complete", run_page(&complete)),
        ("a log", log_page(&failed, "build", 1)),
        ("a long log", log_page(&failed, "build", 2)),
        ("a commit", commit_page(&bad)),
        ("changes", changes_page(REPO, &good, &bad)),
        ("no page", "/runs/none".to_owned()),
    ];
    Told { clone, pages }
}

#[test]
fn every_page_is_accessible_in_both_schemes_and_fits_a_phone() {
    let server = Server::with(PUBLIC);
    let told = told(&server);
    let browser = Browser::open();
    let mut wrong = Vec::new();
    for (screen, (width, height), is_phone) in [("desk", (1280, 800), false), ("phone", (390, 844), true)] {
        browser.screen(width, height, 1.0, is_phone);
        for (what, path) in &told.pages {
            let mut backgrounds = Vec::new();
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                visit(&browser, &server, path);
                browser.find(hooks::MAIN);
                backgrounds.push(browser.value("getComputedStyle(document.documentElement).backgroundColor"));
                let violations = axe::violations(&browser);
                wrong.extend(violations.into_iter().map(|told| format!("{what}, {scheme}, {screen}: {told}")));
                let sizes =
                    browser.value("[document.documentElement.scrollWidth, document.documentElement.clientWidth]");
                if sizes[0].as_u64() > sizes[1].as_u64() {
                    wrong.push(format!("{what}, {scheme}, {screen}: {} pixels wide on {}", sizes[0], sizes[1]));
                }
            }
            if backgrounds[0] == backgrounds[1] {
                wrong.push(format!("{what}: both schemes have the background {}", backgrounds[0]));
            }
            browser.assert_quiet_but(&["404"]);
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_page_is_read_without_scripts() {
    let server = Server::with(PUBLIC);
    let told = told(&server);
    let sha = told.clone.git(&["rev-parse", "HEAD"]);
    let browser = Browser::open();
    browser.without_scripts();
    let path = |what: &str| told.pages.iter().find(|(name, _)| *name == what).unwrap().1.clone();

    visit(&browser, &server, "/");
    assert!(browser.text(&at_home(REPO)).unwrap().contains(REPO));
    visit(&browser, &server, &path("the repository"));
    assert!(browser.text(&commit(&sha)).unwrap().contains("Count to three"));
    visit(&browser, &server, &path("a run that failed"));
    assert!(browser.title().starts_with("failed"), "{}", browser.title());
    let failure = browser.text(hooks::FAILURE).unwrap();
    for text in ["exit 3", "error: the sum is 5, not 4"] {
        assert!(failure.contains(text), "{text} is not in {failure}");
    }
    for (id, state) in [("build", "complete"), ("test", "failed"), ("deploy", "skipped")] {
        assert_eq!(browser.attribute(&job(id), "data-state").as_deref(), Some(state), "{id}");
    }
    assert!(!browser.all(hooks::GRAPH).is_empty());

    visit(&browser, &server, &path("a log"));
    assert_eq!(browser.texts(hooks::ROW_TEXT), ["one", "red and bold", "oops"]);
    assert_eq!(browser.all("#log .row[data-stream=stderr]").len(), 1);

    // From window to window by links: every line comes, once.
    visit(&browser, &server, &format!("{}?from=1", path("a long log")));
    let mut seen = browser.texts(hooks::ROW_TEXT);
    while seen.last().is_some_and(|last| last != "1200") {
        let link = browser.all(hooks::LATER).into_iter().next();
        link.unwrap_or_else(|| panic!("no way on after line {:?}", seen.last())).click();
        seen.extend(browser.texts(hooks::ROW_TEXT));
    }
    assert_eq!(seen, (1..=1200).map(|n| n.to_string()).collect::<Vec<_>>());
    browser.find(hooks::EARLIER).click();
    assert!(!browser.texts(hooks::ROW_TEXT).contains(&"1200".to_owned()));
    browser.assert_quiet();
}

#[test]
fn public_pages_set_no_cookie_and_private_ones_are_not_there() {
    let public = Server::with(PUBLIC);
    let shown = told(&public);
    let browser = Browser::open();
    for (what, path) in &shown.pages {
        let answer = http::get(&public.address, path);
        assert_eq!(answer.status, if *what == "no page" { 404 } else { 200 }, "{what}");
        assert_eq!(answer.header("set-cookie"), None, "{what}");
        visit(&browser, &public, path);
        assert_eq!(browser.cookies(), Vec::<serde_json::Value>::new(), "{what}");
    }
    browser.assert_quiet_but(&["404"]);

    let private = Server::with(PRIVATE);
    let hidden = told(&private);
    for (what, path) in hidden.pages.iter().filter(|(what, _)| *what != "home") {
        assert_eq!(http::get(&private.address, path).status, 404, "{what}");
        visit(&browser, &private, path);
        let text = browser.find(hooks::MAIN).text();
        assert!(text.contains("login link"), "{what} does not say how to sign in: {text}");
    }
    visit(&browser, &private, "/");
    assert!(browser.all(&at_home(REPO)).is_empty(), "home shows a private repository");
    browser.assert_quiet_but(&["404"]);

    let browser = signed_in(&private);
    assert_eq!(browser.cookies().len(), 1);
    for (_, path) in &hidden.pages {
        visit(&browser, &private, path);
        browser.find(hooks::MAIN);
    }
    visit(&browser, &private, "/");
    assert_eq!(browser.all(&at_home(REPO)).len(), 1);
    browser.assert_quiet_but(&["404"]);
}
