//! Logs that no browser can hold.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::hooks::{self, log_page, row, submit, visit};
use crate::pipelines::{PUBLIC, REPO, log_file, pushed};
use crate::support::{PATIENCE, Server};
use crate::webdriver::{Browser, Key};

const LINES: u64 = 2_000_000;
/// Rows that a page may hold at once, whatever the log's length.
const MOST_ROWS: u64 = 5000;

const PIPELINE: &str = r#"local ci = require "quire.ci"
ci.job("long", function(rt)
  rt.sh("echo replaced")
  rt.sh("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo after")
end)
"#;

fn text(n: u64) -> String {
    format!("line {n:>7} of a log that is longer than a page")
}

/// What a command would have left that printed so much: its record is the same but for the size of one file, and writing it
/// takes a second instead of many.
fn write_long_log(file: &Path) {
    let mut log = BufWriter::with_capacity(1 << 20, File::create(file).unwrap());
    for n in 1..=LINES {
        let second = n / 100_000;
        writeln!(log, "2026-11-22T02:13:{second:02}.{:09}Z stdout F {}", n % 100_000, text(n)).unwrap();
    }
    log.into_inner().unwrap();
}

#[track_caller]
fn until_row(browser: &Browser, n: u64) {
    browser.until(&format!("document.getElementById('L{n}')"));
    assert_eq!(browser.text(&format!("{} .t", row(n))).as_deref(), Some(text(n).as_str()));
}

#[track_caller]
fn assert_window(browser: &Browser) {
    let window = browser
        .value(&format!("((n) => [n.length, n.every((x, i) => i === 0 || x === n[i - 1] + 1)])({})", hooks::NUMBERS));
    assert_eq!(window[1], json!(true), "rows are missing or out of order");
    assert!(window[0].as_u64().unwrap() <= MOST_ROWS, "{window} rows at once");
}

/// Scrolls until this row is there.
#[track_caller]
fn scroll_to(browser: &Browser, n: u64, key: Key) {
    let begun = Instant::now();
    while browser.all(&row(n)).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "row {n} never came");
        browser.keys(&[key]);
    }
    until_row(browser, n);
    assert_window(browser);
}

#[test]
fn two_million_lines_are_read_from_the_middle() {
    let server = Server::with(PUBLIC);
    let clone = server.repository(REPO, PIPELINE);
    let run = pushed(&server, &clone);
    assert_eq!(run["state"], "complete", "{run}");
    write_long_log(&log_file(&server, &run, "long", 1));
    let browser = Browser::open();
    let page = log_page(&run, "long", 1);

    visit(&browser, &server, &format!("{page}#L1500000"));
    until_row(&browser, 1_500_000);
    browser.until(
        "(({ top, bottom }) => top >= 0 && bottom <= innerHeight)(document.getElementById('L1500000').getBoundingClientRect())",
    );
    assert_window(&browser);
    scroll_to(&browser, 1_501_200, Key::PageDown);
    scroll_to(&browser, 1_499_000, Key::PageUp);

    browser.find(hooks::LAST).click();
    until_row(&browser, LINES);
    assert_window(&browser);
    submit(&browser, hooks::GO_TO, "7");
    until_row(&browser, 7);
    until_row(&browser, 1);
    assert_window(&browser);

    submit(&browser, hooks::FIND, "line 1999999 of");
    until_row(&browser, 1_999_999);
    assert_window(&browser);
    browser.assert_quiet();
}

#[test]
fn a_line_of_a_megabyte_holds_nothing_up() {
    let server = Server::with(PUBLIC);
    let clone = server.repository(REPO, PIPELINE);
    let run = pushed(&server, &clone);
    let browser = Browser::open();
    visit(&browser, &server, &log_page(&run, "long", 2));
    browser.until("document.getElementById('L2')");
    assert_eq!(browser.text(&format!("{} .t", row(2))).as_deref(), Some("after"));
    let shown = browser.text(&format!("{} .t", row(1))).unwrap_or_default();
    assert!(shown.starts_with("xxxx"), "{:.80}", shown);
    // Whoever reads can go on: keys are answered, and the page does not become as wide as the line.
    browser.keys(&[Key::PageDown, Key::Home, Key::End]);
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), json!(true));
    browser.assert_quiet();
}
