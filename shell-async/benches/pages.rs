//! The bars of the pages: what the server takes for one, and when a browser shows it. Nothing is asserted but that each page
//! is there.
//!
//! `TMPDIR=/dev/shm cargo bench -p quire --bench pages`, on a machine that does nothing else; two minutes and 2 GB. Chromium and
//! chromedriver are needed. Beside each time stands what the processor took for a request, the client of this bench included:
//! a busy machine disturbs that less.

#![allow(clippy::unwrap_used, dead_code, missing_docs, reason = "a bench of the tests' own server, used in part")]

#[path = "../tests/http/client.rs"]
mod client;
#[path = "pages/data.rs"]
mod data;
#[path = "../tests/browser/http.rs"]
mod http;
#[path = "../tests/http/server.rs"]
mod server;
#[path = "../tests/serve/support.rs"]
mod support;
#[path = "../tests/browser/webdriver.rs"]
mod webdriver;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use client::Place;
use data::{LAST_WORD, MANY, NAMES};
use quire_ci::store::Store;
use quire_core::config::{Rule, ServerConfig};
use quire_core::ids::RunId;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use server::Setup;
use webdriver::Browser;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a window.
const ROWS: u64 = 500;

fn main() {
    if std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        return;
    }
    let load = || fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    println!("version {}, {cpus} CPUs, load {}", env!("CARGO_PKG_VERSION"), load());
    let public = Rule { public: Some(true), open_logs: Some(true), ..Rule::default() };
    let config = ServerConfig { defaults: public, ..ServerConfig::default() };
    let server = Setup { config, ..Setup::default() }.start();
    let Place::Tcp(address) = server.tcp else { panic!("the server listens to TCP") };
    let begun = Instant::now();
    let mut store = Store::open(&server.data().join("quire.db")).unwrap();
    let sha = data::repositories(server.data());
    server.app.desk.publish(data::runs(&mut store, &sha));
    let run = data::run_of_300(server.data(), &mut store, &sha);
    let (long, lines) = data::run_of_long_logs(server.data(), &mut store, &sha);
    println!("made in {:.0} s; the long log has {lines} lines", begun.elapsed().as_secs_f64());

    let mut table = Table::new(Kept::connect(&address.to_string()));
    let run_page = format!("/runs/{run}");
    table.page("run of 300 commands", &run_page, false, "p50 <= 3 ms");
    table.page("the same, gzip", &run_page, true, "p50 <= 3 ms, <= 60 KB");
    table.page("home, 500 repositories", "/", false, "p50 <= 10 ms");
    table.page("the same, gzip", "/", true, "p50 <= 10 ms");
    let logs = [("1 GB", 1, lines), ("100 MB, 2,000,000 lines", NAMES + 1, MANY)];
    for (what, first, lines) in logs {
        logs_of(&mut table, &long, what, first, lines);
    }
    let find = format!("{}/rows?find={LAST_WORD}&from=1", log(&long, 1));
    let found = format!("data-match=\"{lines}\"");
    table.row("a word of the last line of 1 GB, from the first", "-", 3, false, |_| find.clone(), Some(&found));
    println!("load {}", load());

    let pages = [
        ("home", "/".to_owned()),
        ("run of 300 commands", run_page),
        ("log, 500 rows of 1 GB", format!("{}?from={}", log(&long, 1), lines / 2)),
        ("no page: what a browser takes at least", "/nothing".to_owned()),
    ];
    first_paints(&format!("http://{address}"), &pages);
    println!("load {}", load());
}

fn log(run: &RunId, n: u32) -> String {
    format!("/runs/{run}/jobs/long/{n}")
}

/// Windows of one log: the first of each of its names, for which an index is made; then anywhere.
fn logs_of(table: &mut Table, run: &RunId, what: &str, first: u32, lines: u64) {
    let window = |n: u32, from: u64, rows: &str| format!("{}{rows}?from={from}&count={ROWS}", log(run, n));
    let opened = |at: usize| window(first + at as u32, lines / 2, "/rows");
    table.row(&format!("{what}: first opening"), "-", NAMES as usize, false, opened, None);
    let mut random = Random(7);
    let mut anywhere = |rows: &'static str| {
        let places: Vec<u64> = (0..200).map(|_| random.below(lines - ROWS) + 1).collect();
        move |at: usize| window(first, places[at % places.len()], rows)
    };
    let (rows, page) = (anywhere("/rows"), anywhere(""));
    table.row(&format!("{what}: 500 rows anywhere"), "<= 30 ms", 200, false, &rows, None);
    table.row("the same, gzip", "<= 30 ms", 200, true, &rows, None);
    table.row("the whole page of them, gzip", "<= 30 ms", 200, true, page, None);
}

/// A connection that stays.
struct Kept {
    stream: TcpStream,
    host: String,
    bytes: Vec<u8>,
}

/// An answer's size on the wire, and what it took.
struct Got {
    len: usize,
    ms: f64,
    cpu_ms: f64,
}

impl Kept {
    fn connect(host: &str) -> Kept {
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        Kept { stream, host: host.to_owned(), bytes: Vec::new() }
    }

    /// Asks, and reads the whole answer; its body is in `bytes` then.
    fn get(&mut self, path: &str, gzip: bool) -> Got {
        let coding = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\n{coding}\r\n", self.host);
        self.bytes.clear();
        let mut piece = vec![0; 1 << 18];
        let (begun, cpu) = (Instant::now(), cpu_ms());
        self.stream.write_all(head.as_bytes()).unwrap();
        let mut whole = None;
        while whole.is_none_or(|whole| self.bytes.len() < whole) {
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "{path}: the connection ended");
            self.bytes.extend_from_slice(&piece[..count]);
            whole = whole.or_else(|| whole_len(&self.bytes));
        }
        let got = Got { len: self.bytes.len(), ms: begun.elapsed().as_secs_f64() * 1000.0, cpu_ms: cpu_ms() - cpu };
        assert!(self.bytes.starts_with(b"HTTP/1.1 200 "), "{path}: {:.300}", String::from_utf8_lossy(&self.bytes));
        got
    }
}

/// Bytes of the answer that begins so, once its head is there.
fn whole_len(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some(end + length.expect("pages are sent whole").parse::<usize>().unwrap())
}

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1e6
}

/// The figures, one line each.
struct Table {
    kept: Kept,
}

impl Table {
    fn new(kept: Kept) -> Table {
        println!("\n| server | bar | p50 ms | p99 ms | CPU ms | KB |\n|---|---|---|---|---|---|");
        Table { kept }
    }

    fn page(&mut self, what: &str, path: &str, gzip: bool, bar: &str) {
        for _ in 0..5 {
            self.kept.get(path, gzip);
        }
        self.row(what, bar, 200, gzip, |_| path.to_owned(), None);
    }

    /// Asks so many times for what `path` says; each answer has `part`.
    fn row(
        &mut self,
        what: &str,
        bar: &str,
        times: usize,
        gzip: bool,
        path: impl Fn(usize) -> String,
        part: Option<&str>,
    ) {
        let mut got = Vec::new();
        for at in 0..times {
            got.push(self.kept.get(&path(at), gzip));
            if let Some(part) = part {
                assert!(String::from_utf8_lossy(&self.kept.bytes).contains(part), "{part} is not in {}", path(at));
            }
        }
        let ms = sorted(got.iter().map(|got| got.ms));
        let cpu = sorted(got.iter().map(|got| got.cpu_ms));
        let kb = sorted(got.iter().map(|got| got.len as f64 / 1000.0));
        let (p50, p99) = (percentile(&ms, 50.0), percentile(&ms, 99.0));
        let (cpu, kb) = (percentile(&cpu, 50.0), percentile(&kb, 50.0));
        println!("| {what} | {bar} | {p50:.1} | {p99:.1} | {cpu:.1} | {kb:.1} |");
    }
}

/// When a browser shows something of each page: the browser is warm, the page is not, its style and script are as said.
fn first_paints(base: &str, pages: &[(&str, String)]) {
    let browser = Browser::open();
    browser.cdp("Network.enable", json!({}));
    println!(
        "\n| first contentful paint | bar | cache off ms | on ms | of that until the answer ms |\n|---|---|---|---|---|"
    );
    for (what, path) in pages {
        let [off, on] = [true, false].map(|disabled| {
            browser.cdp("Network.setCacheDisabled", json!({ "cacheDisabled": disabled }));
            (0..11).map(|_| painted(&browser, &format!("{base}{path}"))).skip(1).collect::<Vec<_>>()
        });
        let median = |of: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| percentile(&sorted(of.iter().map(which)), 50.0);
        println!(
            "| {what} | <= 150 ms | {:.0} | {:.0} | {:.0} |",
            median(&off, |(paint, _)| *paint),
            median(&on, |(paint, _)| *paint),
            median(&on, |(_, answered)| *answered)
        );
    }
}

/// Milliseconds from the beginning of a navigation to the first paint of content, and to the end of the answer.
fn painted(browser: &Browser, address: &str) -> (f64, f64) {
    browser.go("about:blank");
    browser.go(address);
    let told = support::wait_for("the first paint", || {
        let told = browser.script(
            "const paint = performance.getEntriesByType('paint').find((one) => one.name === 'first-contentful-paint');
             return paint && [paint.startTime, performance.getEntriesByType('navigation')[0].responseEnd];",
            &[],
        );
        (told != Value::Null).then_some(told)
    });
    (told[0].as_f64().unwrap(), told[1].as_f64().unwrap())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let at = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}
