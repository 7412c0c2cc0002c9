//! Addresses and hooks of the pages: the one place that knows how their parts are called.

use serde_json::Value;

use crate::support::{Server, wait_for};
use crate::webdriver::{Browser, Key};

pub const STATE: &str = "document.documentElement.dataset.state";
pub const ICON: &str = "link[rel=icon]";
pub const MAIN: &str = "#main";
pub const SKIP_LINK: &str = "a[href='#main']";

pub const FAILURE: &str = "#failure";
pub const GRAPH: &str = "#graph svg";
pub const TIMELINE: &str = "#timeline svg";
pub const CANCEL: &str = "button[name=cancel]";
pub const RETRY: &str = "button[name=retry]";
pub const RETRY_FAILED: &str = "button[name=retry-failed]";

pub const ROW: &str = "#log .row";
pub const ROW_TEXT: &str = "#log .row .t";
pub const GO_TO: &str = "#goto input";
pub const FIND: &str = "#find input";
/// Links to the windows around the one that is shown.
pub const EARLIER: &str = "#earlier:not([hidden])";
pub const LATER: &str = "#later:not([hidden])";
pub const LAST: &str = "a[data-from=end]";
pub const LOG_ENDED: &str = "document.getElementById('log')?.dataset.end === 'true'";
/// Numbers of the rows that are shown, in their order.
pub const NUMBERS: &str = "[...document.querySelectorAll('#log .row')].map((row) => Number(row.id.slice(1)))";

/// The commits of a repository.
pub const COMMITS: &str = "table.commits tr[data-sha]";

/// A repository among those at home.
pub fn at_home(repo: &str) -> String {
    format!("[data-repo='{repo}']")
}

/// A commit among those of a repository.
pub fn commit(sha: &str) -> String {
    format!("table.commits tr[data-sha^='{sha}']")
}

/// The cell of a job of a commit.
pub fn cell(sha: &str, job: &str) -> String {
    format!("{} td[data-job='{job}']", commit(sha))
}

pub fn job(job: &str) -> String {
    format!("#job-{job}")
}

pub fn row(number: u64) -> String {
    format!("#L{number}")
}

pub fn repo_page(repo: &str) -> String {
    format!("/repos/{repo}")
}

pub fn run_page(run: &Value) -> String {
    format!("/runs/{}", run["id"].as_str().unwrap())
}

pub fn log_page(run: &Value, job: &str, n: u32) -> String {
    format!("{}/jobs/{job}/{n}", run_page(run))
}

pub fn commit_page(sha: &str) -> String {
    format!("/commits/{sha}")
}

pub fn changes_page(repo: &str, from: &str, to: &str) -> String {
    format!("/changes/{repo}?from={from}&to={to}")
}

/// Goes to a path of the server.
#[track_caller]
pub fn visit(browser: &Browser, server: &Server, path: &str) {
    browser.go(&format!("http://{}{path}", server.address));
}

/// Writes into a field instead of what stands there, and sends it off.
#[track_caller]
pub fn submit(browser: &Browser, field: &str, text: &str) {
    browser.find(field).click();
    browser.script("document.querySelector(arguments[0]).select();", &[field.into()]);
    browser.type_text(text);
    browser.keys(&[Key::Enter]);
}

/// A browser that is signed in as who runs the server, at home.
#[track_caller]
pub fn signed_in(server: &Server) -> Browser {
    let browser = Browser::open();
    visit(&browser, server, &login(server));
    assert_eq!(browser.place(), "/");
    browser
}

/// Path of the login link that the server printed at its start.
#[track_caller]
fn login(server: &Server) -> String {
    wait_for("a login link", || {
        let said = server.said.lock().unwrap();
        said.iter().find_map(|line| Some(format!("/login/{}", line.split_once("/login/")?.1.trim())))
    })
}

/// Waits until the page of a run says that it is in this state, everywhere where it says it.
#[track_caller]
pub fn until_state(browser: &Browser, state: &str) {
    browser.until(&format!("{STATE} === '{state}' && document.title.startsWith('{state}')"));
    browser.until(&format!("document.querySelector('{ICON}').getAttribute('href').includes('-{state}-')"));
}
