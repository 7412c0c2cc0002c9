//! A real server: the binary on a data directory of its own, real git pushes, its API over the socket.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quire_core::pairing::Pairing;
use quire_core::rows::RowCommand;
use quire_core::wire::{Decoded, FailureKind, Reader};
use serde_json::Value;

/// Longest wait for something that is to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub fn quire() -> &'static str {
    env!("CARGO_BIN_EXE_quire")
}

/// Without colours and without input, whatever the tests themselves were started with.
pub fn plain(command: &mut Command) -> &mut Command {
    for forced in ["CLICOLOR_FORCE", "FORCE_COLOR"] {
        command.env_remove(forced);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null())
}

/// A data directory, and the server on it, if it runs.
pub struct Server {
    pub dir: tempfile::TempDir,
    child: Option<Child>,
    /// Address and port: any that is free at the first start, the same at every later one.
    pub address: String,
    /// Lines that it printed since its last start.
    pub said: Arc<Mutex<Vec<String>>>,
    env: BTreeMap<String, String>,
}

impl Server {
    /// A server with this text as its `config.lua`.
    pub fn with(config: &str) -> Server {
        let mut server = Server::unstarted(config);
        server.start();
        server
    }

    pub fn unstarted(config: &str) -> Server {
        let dir = tempfile::Builder::new().prefix("quire-serve-").tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data")).unwrap();
        fs::write(dir.path().join("data/config.lua"), config).unwrap();
        Server { dir, child: None, address: "127.0.0.1:0".to_owned(), said: Arc::default(), env: BTreeMap::new() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Server {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(quire());
        command.args(["serve", "--listen", &self.address, "--data-dir"]).arg(self.data());
        plain(command.envs(&self.env).env_remove("QUIRE_DATA")).stdout(Stdio::piped());
        let log = fs::File::options().append(true).create(true).open(self.dir.path().join("stderr")).unwrap();
        command.stderr(log);
        command
    }

    /// Starts the server and waits until it says where it is.
    pub fn start(&mut self) {
        assert!(self.child.is_none());
        let mut child = self.command().spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let address = first.trim().rsplit("http://").next().unwrap_or_default().to_owned();
        assert!(first.contains("http://"), "{first:?}; {}", self.stderr());
        self.address = address;
        self.child = Some(child);
        let said = Arc::new(Mutex::new(vec![first]));
        self.said = Arc::clone(&said);
        std::thread::spawn(move || {
            lines.lines().map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line))
        });
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    pub fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id() as i32
    }

    /// Sends a signal to the server.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Kills the server, and nothing else.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the server to stop and waits for its end.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let status = wait_for("the server's end", || child.try_wait().unwrap());
        status.code()
    }

    /// Runs the program against this data directory.
    pub fn quire(&self, arguments: &[&str]) -> Output {
        plain(Command::new(quire()).args(arguments).env("QUIRE_DATA", self.data()).envs(&self.env)).output().unwrap()
    }

    /// Runs the program; it has to succeed.
    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.quire(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Makes a repository on the server, and a clone with this pipeline in its first commit, not yet pushed.
    pub fn repository(&self, name: &str, pipeline: &str) -> Clone {
        self.done(&["repo", "new", name]);
        let clone = self.dir.path().join(name.replace('/', "-")).with_extension("clone");
        let clone = Clone { path: clone, remote: self.data().join("repos").join(name) };
        fs::create_dir_all(clone.path.join(".quire")).unwrap();
        clone.git(&["init", "-q", "-b", "main"]);
        clone.git(&["remote", "add", "origin", clone.remote.to_str().unwrap()]);
        clone.write(".quire/ci.lua", pipeline);
        clone.commit("first");
        clone
    }

    /// An answer of the API: status and JSON.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut socket = UnixStream::connect(self.data().join("quire.sock")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body.as_bytes()).unwrap();
        let mut text = Vec::new();
        socket.read_to_end(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let (status, value) = self.api("GET", path, None);
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// All runs, newest first, of all pages.
    pub fn runs(&self) -> Vec<Value> {
        let mut runs = Vec::new();
        let mut next = String::new();
        loop {
            let page = self.get(&format!("/api/v1/runs?limit=200{next}"));
            runs.extend(page["runs"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(cursor) => next = format!("&before={cursor}"),
                None => return runs,
            }
        }
    }

    /// Waits until so many runs are there and none is waiting or going on.
    #[track_caller]
    pub fn quiet(&self, count: usize) -> Vec<Value> {
        wait_for("the queue to fall quiet", || {
            let runs = self.runs();
            let open = |run: &Value| matches!(run["state"].as_str(), Some("pending" | "active"));
            (runs.len() >= count && !runs.iter().any(open)).then_some(runs)
        })
    }

    /// Waits until the run is in this state.
    #[track_caller]
    pub fn until(&self, run: &str, state: &str) -> Value {
        wait_for(&format!("run {run} to be {state}"), || {
            let (_, value) = self.api("GET", &format!("/api/v1/runs/{run}"), None);
            (value["state"] == state).then_some(value)
        })
    }

    /// Every row of the database agrees with its run's stream, and every stream of a run that is over ends once.
    #[track_caller]
    pub fn agrees(&self) {
        let store = quire_ci::store::Store::open(&self.data().join("quire.db")).unwrap();
        for record in store.runs(&quire_ci::store::RunFilter::default()).unwrap() {
            let run_id = record.row.run_id.clone();
            let stream =
                fs::read(self.data().join("runs").join(run_id.as_str()).join("events.jsonl")).unwrap_or_default();
            if stream.is_empty() {
                continue;
            }
            let (mut pairing, mut rows) = (Pairing::new(run_id.clone()), Vec::new());
            let mut ends = 0;
            Reader::default().push(&stream, |line| match line.decoded.unwrap() {
                Decoded::Event(event) => {
                    ends += usize::from(matches!(event.kind, quire_core::wire::EventKind::RunFinished(_)));
                    pairing.push(&event, &mut rows);
                }
                Decoded::Unknown(kind) => panic!("{kind:?}"),
            });
            assert!(ends <= 1, "run {run_id} ends {ends} times");
            pairing.close(record.row.failure_kind.unwrap_or(FailureKind::Orphaned), &mut rows);
            let (mut run, mut jobs, mut commands) = (None, BTreeMap::new(), BTreeMap::new());
            for row in rows {
                match row {
                    RowCommand::PutRun(row) => run = Some(row),
                    RowCommand::PutJob(row) => drop(jobs.insert(row.job_id.clone(), row)),
                    RowCommand::PutSh(row) => drop(commands.insert((row.job_id.clone(), row.n), row)),
                }
            }
            assert_eq!(Some(&record.row), run.as_ref(), "run {run_id}");
            let found: BTreeMap<_, _> =
                store.jobs(&run_id).unwrap().into_iter().map(|row| (row.job_id.clone(), row)).collect();
            assert_eq!(found, jobs, "jobs of run {run_id}");
            let found: BTreeMap<_, _> = store
                .commands(&run_id, None)
                .unwrap()
                .into_iter()
                .map(|row| ((row.job_id.clone(), row.n), row))
                .collect();
            assert_eq!(found, commands, "commands of run {run_id}");
        }
    }
}

impl Drop for Server {
    /// Ends the server and whatever its runs have left.
    fn drop(&mut self) {
        self.kill();
        let runs = fs::read_dir(self.data().join("runs")).into_iter().flatten().flatten();
        let runs: std::collections::BTreeSet<_> =
            runs.filter_map(|entry| Some(quire_core::ids::RunId::new(entry.file_name().to_str()?))).collect();
        for (_, driver) in quire_ci::process::drivers(&runs) {
            driver.kill();
        }
        quire_ci::process::end_left_behind(&runs);
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.stderr());
        }
    }
}

/// A clone of a repository of the server.
pub struct Clone {
    pub path: PathBuf,
    pub remote: PathBuf,
}

impl Clone {
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = git(&self.path, arguments);
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes; what the pusher sees.
    pub fn push(&self, refs: &[&str]) -> String {
        let output = git(&self.path, &[&["push", "origin"], refs].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git push {refs:?}: {said}");
        said
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Asks again and again, until there is an answer.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.push_str(rest.get(..size).unwrap_or(rest));
        text = rest.get(size + 2..).unwrap_or_default();
    }
    whole
}
