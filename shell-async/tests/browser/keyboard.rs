//! Pages without a mouse.

use serde_json::{Value, json};

use crate::hooks::{self, log_page, repo_page, run_page, visit};
use crate::pipelines::{MIXED, PUBLIC, REPO, pushed};
use crate::support::{Server, wait_for};
use crate::webdriver::{Browser, Key};

/// The address that the focus would lead to, and whether people see where it is.
const FOCUS: &str = "((e) => {
  const style = getComputedStyle(e);
  const box = e.getBoundingClientRect();
  const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
  return {
    path: e.href ? (typeof e.href === 'string' ? new URL(e.href) : new URL(e.href.baseVal, location)).pathname : '',
    hash: e.href ? (typeof e.href === 'string' ? new URL(e.href) : new URL(e.href.baseVal, location)).hash : '',
    name: e.localName,
    seen: outlined && box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
    html: e.outerHTML.slice(0, 300),
  };
})(document.activeElement)";

/// Tabs on until a link leads there; each stop is visible.
#[track_caller]
fn tab_to(browser: &Browser, path: &str) {
    for _ in 0..200 {
        browser.keys(&[Key::Tab]);
        let focus = browser.value(FOCUS);
        if focus["name"] != "body" {
            assert_eq!(
                focus["seen"],
                json!(true),
                "at {}: the focus is not visible: {}",
                browser.place(),
                focus["html"]
            );
        }
        if focus["path"] == path && focus["hash"] == "" {
            return;
        }
    }
    panic!("at {}: no stop leads to {path}", browser.place());
}

#[track_caller]
fn follow(browser: &Browser, path: &str) {
    tab_to(browser, path);
    browser.keys(&[Key::Enter]);
    wait_for(path, || (browser.place() == path).then_some(()));
    browser.find(hooks::MAIN);
}

#[test]
fn from_home_to_a_line_of_a_log_by_keys_alone() {
    let server = Server::with(PUBLIC);
    let clone = server.repository(REPO, MIXED);
    let run = pushed(&server, &clone);
    let browser = Browser::open();
    visit(&browser, &server, "/");
    follow(&browser, &repo_page(REPO));
    follow(&browser, &run_page(&run));
    follow(&browser, &log_page(&run, "build", 2));

    // Keys scroll; the field for a number is a stop, and takes one.
    browser.find(hooks::ROW);
    let top = browser.value("scrollY");
    browser.keys(&[Key::PageDown, Key::Down, Key::Up]);
    wait_for("the page to scroll", || (browser.value("scrollY") != top).then_some(()));
    wait_for("the field for a number", || {
        browser.keys(&[Key::Tab]);
        browser
            .value(&format!("document.activeElement === document.querySelector('{}')", hooks::GO_TO))
            .as_bool()?
            .then_some(())
    });
    browser.type_text("1100");
    browser.keys(&[Key::Enter]);
    browser.until("document.getElementById('L1100')");
    browser.keys(&[Key::Escape]);
    browser.assert_quiet();
}

#[test]
fn the_first_stop_of_each_page_skips_to_its_content() {
    let server = Server::with(PUBLIC);
    let clone = server.repository(REPO, MIXED);
    let run = pushed(&server, &clone);
    let browser = Browser::open();
    for path in ["/".to_owned(), repo_page(REPO), run_page(&run), log_page(&run, "build", 1)] {
        visit(&browser, &server, &path);
        browser.keys(&[Key::Tab]);
        let is_skip = format!("document.activeElement.matches(\"{}\")", hooks::SKIP_LINK);
        assert_eq!(browser.value(&is_skip), json!(true), "{path}");
        let focus: Value = browser.value(FOCUS);
        assert_eq!(focus["seen"], json!(true), "{path}: {focus}");
        browser.keys(&[Key::Enter]);
        browser.until("document.activeElement.id === 'main'");
    }
    browser.assert_quiet();
}
