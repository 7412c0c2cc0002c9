//! Records: of real runs, and of one that goes on for as long as a test wishes.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quire_ci::store::Store;
use quire_core::ids::RunId;
use quire_core::pairing::Pairing;
use quire_core::wire::{Decoded, decode};

/// A pipeline with a job that passes, one that fails, one that is skipped; text that is hard on every format.
const PIPELINE: &str = r#"local ci = require "quire.ci"
ci.job("build", function(rt)
  rt.log("building")
  rt.sh("printf 'one\\ntwo <&>\\r\\n\\nlast'; printf 'oops \\303\\050\\n' >&2")
  rt.sh("seq 1 3000")
  rt.sh("true")
end)
ci.job("test", { "build" }, function(rt) rt.sh("exit 3") end)
ci.job("deploy", { "test" }, function(rt) rt.sh("true") end)
"#;

pub const REPO: &str = "work/foo.git";
pub const SHA: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Runs the pipeline for real, and takes its record into the server's database. Gives the run's id.
pub fn real_run(data: &Path, number: u64) -> String {
    let workspace = tempfile::tempdir().unwrap();
    fs::create_dir(workspace.path().join(".quire")).unwrap();
    fs::write(workspace.path().join(".quire/ci.lua"), PIPELINE).unwrap();
    let id = format!("0193a3a0-0000-7000-8000-{number:012}");
    let spec = format!(
        r#"{{"run_id":"{id}","number":{number},"repo":"{REPO}","sha":"{SHA}","ref":"refs/heads/main","pushed_at_ms":1750000000000}}"#
    );
    let run_dir = data.join("runs").join(&id);
    let quire = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quire"));
        command.args(args).env_remove("QUIRE_DATA").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(spec.as_bytes()).unwrap_or_default();
        child.wait_with_output().unwrap()
    };
    let workspace = workspace.path().to_str().unwrap();
    let ran = quire(&["ci", "run", "-w", workspace, "--out-dir", run_dir.to_str().unwrap(), "--spec", "-"]);
    assert_eq!(ran.status.code(), Some(1), "{}", String::from_utf8_lossy(&ran.stderr));
    let rebuilt = quire(&["ci", "rebuild", "--data-dir", data.to_str().unwrap()]);
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    id
}

/// A run whose events and logs a test writes.
pub struct LiveRun {
    pub id: String,
    pub folder: PathBuf,
    events: File,
    store: Store,
    pairing: Pairing,
    offset: u64,
}

impl LiveRun {
    /// Begins, with a job `build`, and with the rows that say so.
    pub fn start(data: &Path, number: u64) -> LiveRun {
        let id = format!("0193a3a0-0000-7000-9000-{number:012}");
        let folder = data.join("runs").join(&id);
        fs::create_dir_all(&folder).unwrap();
        let mut live = LiveRun {
            events: File::create(folder.join("events.jsonl")).unwrap(),
            store: Store::open(&data.join("quire.db")).unwrap(),
            pairing: Pairing::new(RunId::new(&id)),
            offset: 0,
            folder,
            id,
        };
        live.event(&format!(
            r#"{{"at_ms":1,"type":"run_started","run_id":"{}","version":"0.1.0","number":{number},"repo":"{REPO}","ref":"refs/heads/main","jobs":[{{"id":"build","inputs":["quire/push"]}}]}}"#,
            live.id
        ));
        live.event(r#"{"at_ms":2,"type":"job_started","job_id":"build"}"#);
        live
    }

    /// A line is written, and its rows put.
    pub fn event(&mut self, line: &str) {
        self.event_without_rows(line);
        self.put(line);
    }

    pub fn event_without_rows(&mut self, line: &str) {
        self.events.write_all(format!("{line}\n").as_bytes()).unwrap();
        self.offset += line.len() as u64 + 1;
    }

    /// The rows of an event.
    pub fn put(&mut self, line: &str) {
        let Ok(Decoded::Event(event)) = decode(line.as_bytes()) else { return };
        let mut rows = Vec::new();
        self.pairing.push(&event, &mut rows);
        self.store.apply(&RunId::new(&self.id), &rows, self.offset).unwrap();
    }

    /// Bytes without a newline, as a writer leaves them in between.
    pub fn torn(&mut self, bytes: &[u8]) {
        self.events.write_all(bytes).unwrap();
    }

    /// A command starts; its log is there.
    pub fn command(&mut self) -> File {
        self.event(r#"{"at_ms":3,"type":"sh_started","job_id":"build","cmd":"make"}"#);
        self.log(1)
    }

    pub fn log(&self, n: u32) -> File {
        let folder = self.folder.join("jobs/build");
        fs::create_dir_all(&folder).unwrap();
        OpenOptions::new().create(true).append(true).open(folder.join(format!("sh-{n}.log"))).unwrap()
    }

    pub fn command_ends(&mut self) {
        self.event(r#"{"at_ms":9,"type":"sh_finished","job_id":"build","exit_code":0}"#);
    }

    pub fn ends(&mut self) {
        self.event(r#"{"at_ms":10,"type":"job_finished","job_id":"build","outcome":"complete"}"#);
        self.event(r#"{"at_ms":11,"type":"run_finished","outcome":"complete"}"#);
    }

    pub fn log_path(&self) -> String {
        format!("/api/v1/runs/{}/jobs/build/1/log", self.id)
    }

    pub fn events_path(&self) -> String {
        format!("/api/v1/runs/{}/events", self.id)
    }
}

/// One entry of a log.
pub fn entry(text: &str) -> Vec<u8> {
    format!("2026-11-22T02:13:04.123456789Z stdout F {text}\n").into_bytes()
}
