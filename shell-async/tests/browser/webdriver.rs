//! WebDriver: a chromedriver of its own for each browser, and the W3C commands that the tests need, spoken over HTTP.
//!
//! What a test expects of pages is not its business; nor is how long a test waits for something: that is `wait_for`'s.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::http;
use crate::support::{plain, wait_for};

/// What WebDriver calls an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Chromium alone on this machine: no window, no profile, nothing fetched that no test asked for.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
];

/// Keys that have no letter.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    Tab,
    Enter,
    Escape,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

impl Key {
    fn code(self) -> char {
        match self {
            Key::Tab => '\u{E004}',
            Key::Enter => '\u{E007}',
            Key::Escape => '\u{E00C}',
            Key::PageUp => '\u{E00E}',
            Key::PageDown => '\u{E00F}',
            Key::End => '\u{E010}',
            Key::Home => '\u{E011}',
            Key::Up => '\u{E013}',
            Key::Down => '\u{E015}',
        }
    }
}

/// A line of the browser's console: scripts' errors, violated policies, failed requests.
#[derive(Debug, Clone)]
pub struct Message {
    /// `SEVERE`, `WARNING`, `INFO`, …
    pub level: String,
    /// What it is about, and the address that it concerns.
    pub text: String,
}

/// Why a command was not carried out, in WebDriver's words.
#[derive(Debug)]
pub struct Refused {
    pub error: String,
    pub message: String,
}

/// Times that a driver is started: one that takes a port which another takes at that moment ends, or is silent for ever.
const STARTS: usize = 10;
const SILENT: Duration = Duration::from_secs(10);

/// A driver that listens, and its port.
fn listening(chromedriver: &Path, folder: &Path) -> (Child, String) {
    let said = folder.join("chromedriver.log");
    let read = || fs::read_to_string(&said).unwrap_or_default();
    for _ in 0..STARTS {
        let log = File::create(&said).unwrap();
        let mut command = Command::new(chromedriver);
        command.arg("--port=0").process_group(0).stdout(log.try_clone().unwrap()).stderr(log);
        let mut driver = plain(&mut command).env("HOME", folder).spawn().unwrap();
        let begun = Instant::now();
        let port = wait_for("chromedriver to listen", || {
            // First whether it is over: what it said before is whole then.
            let is_over = driver.try_wait().unwrap().is_some() || begun.elapsed() > SILENT;
            let said = read();
            // A line that is there in part has no end yet.
            let port = said.split_once("successfully on port ").and_then(|(_, rest)| rest.split_once('.'));
            match port {
                Some((port, _)) if !is_over => Some(Some(port.to_owned())),
                _ => is_over.then_some(None),
            }
        });
        if let Some(port) = port {
            return (driver, port);
        }
        // It may be over already.
        let _ = driver.kill();
        driver.wait().unwrap();
    }
    panic!("chromedriver was started {STARTS} times and never listened: {}", read());
}

/// A browser without a window. It ends with its driver when it is dropped.
pub struct Browser {
    driver: Child,
    /// `127.0.0.1:PORT` of the driver.
    address: String,
    session: String,
    /// Where it keeps its profile, and the driver what it says.
    folder: tempfile::TempDir,
}

impl Browser {
    /// With a new empty profile, 1280 by 800.
    pub fn open() -> Browser {
        let (chromium, chromedriver) = (installed("chromium"), installed("chromedriver"));
        let folder = tempfile::Builder::new().prefix("quire-browser-").tempdir().unwrap();
        let (driver, port) = listening(&chromedriver, folder.path());
        let mut browser = Browser { driver, address: String::new(), session: String::new(), folder };
        browser.address = format!("127.0.0.1:{port}");
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", browser.folder.path().join("profile").display()));
        arguments.push("--window-size=1280,800".to_owned());
        let begun = browser.post(
            "/session",
            &json!({ "capabilities": { "alwaysMatch": {
                "goog:chromeOptions": { "binary": chromium, "args": arguments },
                "goog:loggingPrefs": { "browser": "ALL" },
            }}}),
        );
        browser.session = begun["sessionId"].as_str().unwrap_or_default().to_owned();
        browser
    }

    // --- Pages

    #[track_caller]
    pub fn go(&self, address: &str) {
        self.ask("url", &json!({ "url": address }));
    }

    #[track_caller]
    pub fn back(&self) {
        self.ask("back", &json!({}));
    }

    #[track_caller]
    pub fn forward(&self) {
        self.ask("forward", &json!({}));
    }

    #[track_caller]
    pub fn reload(&self) {
        self.ask("refresh", &json!({}));
    }

    /// Path, query and fragment of where it is.
    #[track_caller]
    pub fn place(&self) -> String {
        let address = self.read("url");
        let address = address.as_str().unwrap();
        let path = address.split_once("://").map_or("", |(_, rest)| rest);
        path.find('/').map_or(String::new(), |at| path[at..].to_owned())
    }

    #[track_caller]
    pub fn title(&self) -> String {
        self.read("title").as_str().unwrap().to_owned()
    }

    /// The PNG of what a window of this size shows.
    #[track_caller]
    pub fn screenshot(&self) -> Vec<u8> {
        from_base64(self.read("screenshot").as_str().unwrap())
    }

    #[track_caller]
    pub fn cookies(&self) -> Vec<Value> {
        self.read("cookie").as_array().unwrap().clone()
    }

    // --- Elements

    /// The first element; waits until there is one.
    #[track_caller]
    pub fn find(&self, css: &str) -> Element<'_> {
        wait_for(css, || self.all(css).into_iter().next())
    }

    /// All elements, as they are now.
    #[track_caller]
    pub fn all(&self, css: &str) -> Vec<Element<'_>> {
        let found = self.ask("elements", &json!({ "using": "css selector", "value": css }));
        found.as_array().unwrap().iter().filter_map(|value| self.element(value)).collect()
    }

    /// Where the keyboard is.
    #[track_caller]
    pub fn focused(&self) -> Option<Element<'_>> {
        self.try_command("GET", "element/active", None).ok().and_then(|value| self.element(&value))
    }

    fn element(&self, value: &Value) -> Option<Element<'_>> {
        Some(Element { browser: self, id: value[ELEMENT].as_str()?.to_owned() })
    }

    /// Types at whatever has the focus.
    #[track_caller]
    pub fn keys(&self, keys: &[Key]) {
        self.strike(keys.iter().map(|key| key.code()));
    }

    #[track_caller]
    pub fn type_text(&self, text: &str) {
        self.strike(text.chars());
    }

    #[track_caller]
    fn strike(&self, keys: impl Iterator<Item = char>) {
        let strokes: Vec<Value> = keys
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        self.ask("actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }));
    }

    // --- Scripts

    /// Runs the body of a function; what it returns. No policy of the page holds it back.
    #[track_caller]
    pub fn script(&self, body: &str, arguments: &[Value]) -> Value {
        self.ask("execute/sync", &json!({ "script": body, "args": arguments }))
    }

    /// Runs the body of a function whose last argument takes the answer.
    #[track_caller]
    pub fn script_later(&self, body: &str, arguments: &[Value]) -> Value {
        self.ask("execute/async", &json!({ "script": body, "args": arguments }))
    }

    /// What an expression is now.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.script(&format!("return {expression};"), &[])
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        wait_for(expression, || (self.value(&format!("Boolean({expression})")) == true).then_some(()));
    }

    /// What all elements hold as text, as it stands in the document.
    #[track_caller]
    pub fn texts(&self, css: &str) -> Vec<String> {
        let texts = self
            .script("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent);", &[css.into()]);
        texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The first element's text; None without such an element.
    #[track_caller]
    pub fn text(&self, css: &str) -> Option<String> {
        self.texts(css).into_iter().next()
    }

    /// The first element's attribute.
    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let body = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null;";
        self.script(body, &[css.into(), name.into()]).as_str().map(str::to_owned)
    }

    // --- The window

    /// Puts the window away: its page is hidden.
    #[track_caller]
    pub fn hide(&self) {
        self.ask("window/minimize", &json!({}));
        self.until("document.hidden");
    }

    /// Brings it back.
    #[track_caller]
    pub fn show(&self) {
        self.ask("window/rect", &json!({ "width": 1280, "height": 800 }));
        self.until("!document.hidden");
    }

    // --- Chromium's own

    /// A command of the DevTools protocol.
    #[track_caller]
    pub fn cdp(&self, method: &str, parameters: Value) -> Value {
        self.ask("goog/cdp/execute", &json!({ "cmd": method, "params": parameters }))
    }

    /// `light` or `dark`, as the system would say it.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// A screen of this size, in CSS pixels.
    #[track_caller]
    pub fn screen(&self, width: u32, height: u32, scale: f64, is_phone: bool) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone });
        self.cdp("Emulation.setDeviceMetricsOverride", screen);
    }

    /// Pages run no scripts from their next load on; those of the tests still do.
    #[track_caller]
    pub fn without_scripts(&self) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    /// What the console got since it was asked last.
    #[track_caller]
    pub fn console(&self) -> Vec<Message> {
        let log = self.ask("se/log", &json!({ "type": "browser" }));
        let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let lines = log.as_array().unwrap().iter();
        lines.map(|line| Message { level: text(line, "level"), text: text(line, "message") }).collect()
    }

    /// No script failed and no policy was violated, since the console was read last.
    #[track_caller]
    pub fn assert_quiet(&self) {
        self.assert_quiet_but(&[]);
    }

    /// As [`Browser::assert_quiet`], but for messages that hold one of these texts.
    #[track_caller]
    pub fn assert_quiet_but(&self, expected: &[&str]) {
        let mut loud = self.console();
        loud.retain(|message| matches!(message.level.as_str(), "SEVERE" | "WARNING"));
        loud.retain(|message| !expected.iter().any(|text| message.text.contains(text)));
        assert!(loud.is_empty(), "the browser's console: {loud:#?}");
    }

    // --- Commands

    #[track_caller]
    fn read(&self, command: &str) -> Value {
        self.command("GET", command, None)
    }

    #[track_caller]
    fn ask(&self, command: &str, body: &Value) -> Value {
        self.command("POST", command, Some(body))
    }

    #[track_caller]
    fn command(&self, method: &str, command: &str, body: Option<&Value>) -> Value {
        self.try_command(method, command, body)
            .unwrap_or_else(|refused| panic!("{method} {command}: {}: {}", refused.error, refused.message))
    }

    /// A command of this session.
    pub fn try_command(&self, method: &str, command: &str, body: Option<&Value>) -> Result<Value, Refused> {
        self.speak(method, &format!("/session/{}/{command}", self.session), body)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.speak("POST", path, Some(body)).unwrap_or_else(|refused| {
            let said = fs::read_to_string(self.folder.path().join("chromedriver.log")).unwrap_or_default();
            panic!("{path}: {}: {}\n{said}", refused.error, refused.message)
        })
    }

    fn speak(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let body = body.map(Value::to_string);
        let answer = http::ask(&self.address, method, path, body.as_deref())
            .map_err(|error| Refused { error: "no answer".to_owned(), message: error.to_string() })?;
        let mut value: Value = serde_json::from_str(&answer.body)
            .map_err(|error| Refused { error: "no JSON".to_owned(), message: format!("{error}: {}", answer.body) })?;
        let value = value["value"].take();
        if answer.status == 200 {
            return Ok(value);
        }
        let word = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Err(Refused { error: word("error"), message: word("message") })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.session.is_empty() {
            let page = "return `${location.href}: ${document.title}\\n${document.body?.innerText?.slice(0, 2000)}`;";
            let shown = self.try_command("POST", "execute/sync", Some(&json!({ "script": page, "args": [] })));
            eprintln!("the browser shows {}", shown.as_ref().ok().and_then(Value::as_str).unwrap_or("nothing"));
        }
        if !self.session.is_empty() {
            // The driver ends its browser with its session.
            let _ = self.speak("DELETE", &format!("/session/{}", self.session), None);
        }
        if let Some(group) = i32::try_from(self.driver.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.driver.wait();
    }
}

/// An element of the page that is shown.
pub struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Element<'_> {
    #[track_caller]
    pub fn click(&self) {
        self.browser.ask(&format!("element/{}/click", self.id), &json!({}));
    }

    /// Its text as people see it.
    #[track_caller]
    pub fn text(&self) -> String {
        self.browser.read(&format!("element/{}/text", self.id)).as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.browser.read(&format!("element/{}/attribute/{name}", self.id)).as_str().map(str::to_owned)
    }
}

/// Where a program is. Without it there is no test of pages.
fn installed(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| Path::is_file(file)).unwrap_or_else(
        || {
            panic!(
                "{program} is not installed: the tests of the pages need chromium and chromedriver \
                 (`apt install chromium chromium-driver fonts-dejavu-core`, as .ci/run does)"
            )
        },
    )
}

/// RFC 4648, with padding.
fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[test]
fn base64_as_drivers_send_it() {
    for (text, bytes) in
        [("", &b""[..]), ("Zg==", b"f"), ("Zm9v", b"foo"), ("Zm9vYg==", b"foob"), ("+/8=", b"\xfb\xff")]
    {
        assert_eq!(from_base64(text), bytes, "{text}");
    }
}
