//! A data directory, a git to push with, and a stand-in for the server: it listens on the socket and answers as it is told.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

/// The program that is tested.
pub const QUIRE: &str = env!("CARGO_BIN_EXE_quire");

/// A place for a test.
pub struct World {
    _temp: TempDir,
    /// Everything is below it.
    pub root: PathBuf,
    /// The data directory.
    pub data: PathBuf,
}

impl World {
    /// With an empty data directory.
    pub fn new() -> World {
        let temp = tempfile::tempdir().unwrap();
        // Other users come through it.
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = temp.path().canonicalize().unwrap();
        let data = root.join("d");
        fs::create_dir_all(data.join("spool")).unwrap();
        World { _temp: temp, root, data }
    }

    /// quire with these arguments about this data directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(QUIRE);
        command.args(args).env("QUIRE_DATA", &self.data).env("XDG_STATE_HOME", self.root.join("state"));
        command.env_remove("QUIRE_BY").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8").current_dir(&self.root);
        command.stdin(Stdio::null());
        command
    }

    /// Its exit code, standard output and standard error.
    pub fn quire(&self, args: &[&str]) -> (i32, String, String) {
        told(&self.command(args).output().unwrap())
    }

    /// As [`World::quire`], of a command that goes well: its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let (code, out, err) = self.quire(args);
        assert_eq!(code, 0, "quire {args:?}\n{out}\n{err}");
        out
    }

    /// A work tree `tree` with one commit, ready to push.
    pub fn tree(&self) -> PathBuf {
        let tree = self.root.join("tree");
        git(&self.root, &["init", "-q", "-b", "main", "tree"]);
        fs::write(tree.join("a"), "1").unwrap();
        commit(&tree);
        tree
    }

    /// The events in the spool.
    pub fn spooled(&self) -> Vec<serde_json::Value> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(self.data.join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }
}

/// Exit code, standard output, standard error.
pub fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// git as nobody in particular.
pub fn git_command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]);
    command.args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("LC_ALL", "C.UTF-8").current_dir(folder);
    command.env_remove("QUIRE_BY").stdin(Stdio::null());
    command
}

/// Runs git, which goes well; all that it printed.
pub fn git(folder: &Path, args: &[&str]) -> String {
    let output = git_command(folder, args).output().unwrap();
    let (code, out, err) = told(&output);
    assert_eq!(code, 0, "git {args:?}: {out}{err}");
    (out + &err).trim_end().to_owned()
}

/// Commits all files.
pub fn commit(tree: &Path) -> String {
    git(tree, &["add", "-A"]);
    git(tree, &["commit", "-q", "--allow-empty", "-m", "x"]);
    git(tree, &["rev-parse", "HEAD"])
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET /api/v1/runs?…`.
    pub line: String,
    /// As they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the stand-in answers.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Content type.
    pub kind: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Cut the connection off in the middle of the body's encoding.
    pub torn: bool,
}

impl Answer {
    /// 200 and JSON.
    pub fn json(body: serde_json::Value) -> Answer {
        Answer { status: 200, kind: "application/json", body: body.to_string().into(), torn: false }
    }

    /// A problem.
    pub fn problem(status: u16, detail: &str) -> Answer {
        let body = serde_json::json!({"type": "about:blank", "title": "No", "status": status, "detail": detail});
        Answer { status, kind: "application/problem+json", body: body.to_string().into(), torn: false }
    }

    /// 200 and bytes.
    pub fn bytes(kind: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status: 200, kind, body: body.into(), torn: false }
    }
}

/// The stand-in. It listens until it is dropped.
pub struct Server {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Listens on the data directory's socket and answers by `answer`.
    pub fn start(data: &Path, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
        let socket = data.join("quire.sock");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (known, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (known, answer) = (Arc::clone(&known), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &known, answer.as_ref()));
            }
        });
        Server { socket, asked }
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

fn serve(stream: UnixStream, known: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        match header.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let asked = Asked { line, headers, body: String::from_utf8(body).unwrap() };
    let Answer { status, kind, body, torn } = answer(&asked);
    // Known before it is answered: who got the answer may ask what is known.
    known.lock().unwrap().push(asked);
    let mut stream = stream;
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    if !body.is_empty() {
        let _ = stream.write_all(format!("{:x}\r\n", body.len()).as_bytes());
        let _ = stream.write_all(&body);
        let _ = stream.write_all(b"\r\n");
    }
    if !torn {
        let _ = stream.write_all(b"0\r\n\r\n");
    }
}
