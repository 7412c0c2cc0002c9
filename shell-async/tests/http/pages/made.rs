//! Records that a test writes, and servers with people who may different things.

use std::fs;
use std::future::ready;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use quire::http::{Credentials, SignedIn, Told};
use quire_ci::store::Store;
use quire_core::access::{Identity, Via};
use quire_core::config::{Role, Rule};
use quire_core::ids::RunId;
use quire_core::pairing::Pairing;
use quire_core::wire::{Decoded, decode};

use crate::record::REPO;
use crate::server::{Server, Setup};

/// Sessions of people: `admin`; `reader` and `runner`, who have this role in the repository.
#[derive(Debug)]
struct People;

impl Credentials for People {
    fn token<'a>(&'a self, _: &'a str) -> Told<'a, Option<Identity>> {
        Box::pin(ready(Ok(None)))
    }

    fn session<'a>(&'a self, session: &'a str) -> Told<'a, Option<Identity>> {
        let via = match session {
            "admin" => Some(Via::Session),
            "reader" | "runner" => Some(Via::Proxy),
            _ => None,
        };
        Box::pin(ready(Ok(via.map(|via| Identity::Known { name: session.to_owned(), via }))))
    }

    fn sign_in<'a>(&'a self, _: &'a str) -> Told<'a, Option<SignedIn>> {
        let none = SignedIn { session: String::new(), lasts: Duration::from_secs(1) };
        Box::pin(ready(Ok(Some(none).filter(|_| false))))
    }
}

pub const ADMIN: (&str, &str) = ("cookie", "quire_session=admin");
pub const READER: (&str, &str) = ("cookie", "quire_session=reader");
pub const RUNNER: (&str, &str) = ("cookie", "quire_session=runner");

/// A server with the repository, seen by all where it is `public`, its logs too where they are open.
pub fn server(public: bool, open_logs: bool) -> Server {
    let mut setup = Setup { credentials: Arc::new(People), ..Setup::default() };
    let roles = [("reader".to_owned(), Role::Read), ("runner".to_owned(), Role::Run)].into();
    let rule = Rule { public: Some(public), open_logs: Some(open_logs), roles, ..Rule::default() };
    setup.config.repos.insert(REPO.to_owned(), rule);
    let server = setup.start();
    server.repository(REPO);
    server
}

/// The id of the run with this number.
pub fn id(number: u64) -> String {
    format!("0193a3a0-0000-7000-a000-{number:012}")
}

/// `run_started` of a run of the repository, with what else is to be in it.
pub fn started(number: u64, more: &str) -> String {
    let id = id(number);
    format!(
        r#"{{"at_ms":1000,"type":"run_started","run_id":"{id}","version":"0.1.0","executor":"host","number":{number},"repo":"{REPO}","ref":"refs/heads/main"{more}}}"#
    )
}

/// Writes a record, and its rows. Lines that are empty are none.
pub fn put(data: &Path, number: u64, lines: &[&str]) -> String {
    let id = id(number);
    let run_id = RunId::new(&id);
    let folder = data.join("runs").join(&id);
    fs::create_dir_all(&folder).unwrap();
    let stream: String = lines.iter().flat_map(|text| text.lines()).map(|line| format!("{}\n", line.trim())).collect();
    fs::write(folder.join("events.jsonl"), &stream).unwrap();
    let (mut pairing, mut rows) = (Pairing::new(run_id.clone()), Vec::new());
    for line in stream.lines().filter(|line| !line.is_empty()) {
        match decode(line.as_bytes()) {
            Ok(Decoded::Event(event)) => pairing.push(&event, &mut rows),
            other => panic!("{line}: {other:?}"),
        };
    }
    Store::open(&data.join("quire.db")).unwrap().apply(&run_id, &rows, stream.len() as u64).unwrap();
    id
}

/// The log of a command: `(stream, P or F, text)`, a second apart.
pub fn log(data: &Path, run: &str, job: &str, n: u32, entries: &[(&str, &str, &str)]) {
    let folder = data.join("runs").join(run).join("jobs").join(job);
    fs::create_dir_all(&folder).unwrap();
    let lines = entries.iter().enumerate().map(|(at, (stream, tag, text))| {
        let (minute, second) = (at / 60 % 60, at % 60);
        format!("1970-01-01T00:{minute:02}:{second:02}.500000000Z {stream} {tag} {text}\n")
    });
    fs::write(folder.join(format!("sh-{n}.log")), lines.collect::<String>()).unwrap();
}

/// Makes the repository a real one, with a commit of each subject (and author); gives their ids, the oldest first.
pub fn commits(server: &Server, all: &[(&str, &str)]) -> Vec<String> {
    let git_dir = server.data().join("repos").join(REPO);
    let git = |args: &[&str], author: &str| {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&git_dir).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), author).env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        }
        let out = command.output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    fs::remove_dir_all(&git_dir).unwrap();
    git(&["init", "--bare", "--quiet", "--initial-branch=main", git_dir.to_str().unwrap()], "a");
    let mut made: Vec<String> = Vec::new();
    for (at, (subject, author)) in all.iter().enumerate() {
        let file = server.data().join("blob");
        fs::write(&file, at.to_string()).unwrap();
        let blob = git(&["hash-object", "-w", file.to_str().unwrap()], "a");
        fs::write(&file, format!("100644 blob {blob}\tsrc <{at}>.rs\n")).unwrap();
        let index = ["-c", "core.bare=true", "mktree"];
        let tree = {
            let mut command = Command::new("git");
            let input = fs::File::open(&file).unwrap();
            let out = command.arg("--git-dir").arg(&git_dir).args(index).stdin(input).output().unwrap();
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        let parent = made.last().cloned();
        let mut args = vec!["commit-tree", &tree, "-m", subject];
        if let Some(parent) = &parent {
            args.extend(["-p", parent]);
        }
        let sha = git(&args, author);
        git(&["update-ref", "refs/heads/main", &sha], "a");
        made.push(sha);
    }
    made
}

/// JSON text without its quotes.
pub fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}
