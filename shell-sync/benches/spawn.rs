//! 1000 x `true`, one after the other: spawned, captured, logged and waited for by the event loop, against a plain C loop of
//! posix_spawn (`spawn_loop.c`, compiled here by `cc -O2`) that reads both outputs and keeps nothing.
//!
//! `cargo bench --bench spawn [-- FOLDER…]`: logs go below each folder, by default the target folder's disk and /dev/shm. Rounds
//! take turns, so that a machine that is busy is busy for both; printed are medians and the median of the rounds' ratios.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use quire_ci::process::{Machine, Questions, Record, Setup, Surroundings, become_subreaper, drive};
use quire_ci::ui::View;
use quire_core::capture::{CaptureSpec, Tap};
use quire_core::engine::{Answer, CommandSpec, Input, Output, Scope};
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now};
use quire_core::wire::{Event, RunOutcome};

const COMMANDS: u32 = 1000;
const ROUNDS: usize = 11;
const PROGRAM: &str = "/usr/bin/true";

/// Orders one command after the other, then a sweep.
struct Sequence {
    job: JobId,
    next: u32,
    /// Facts that the open command still owes.
    owed: u32,
    orders: Vec<Output>,
}

impl Sequence {
    fn new() -> Sequence {
        let mut sequence = Sequence { job: JobId::from_record("bench"), next: 1, owed: 0, orders: Vec::new() };
        sequence.order_next();
        sequence
    }

    fn order_next(&mut self) {
        let sh = ShId { job: self.job.clone(), n: self.next };
        let command = CommandSpec {
            argv: vec![PROGRAM.as_bytes().to_vec()],
            cwd: String::new(),
            env: BTreeMap::from([("QUIRE_SH".to_owned(), Some(format!("bench/{sh}")))]),
            stdin: None,
        };
        let capture = CaptureSpec { merge: false, tap: Tap::Ends, output_limit: None, idle_limit: None };
        self.orders.push(Output::Spawn { sh, command, capture });
        self.next += 1;
        self.owed = 2;
    }
}

impl Machine for Sequence {
    fn handle(&mut self, _now: Now, input: Input) {
        match input {
            Input::Exited { .. } | Input::OutputEnded { .. } => self.owed -= 1,
            Input::Swept { .. } => return self.orders.push(Output::Done(RunOutcome::Complete)),
            other => panic!("{other:?}"),
        }
        match self.owed {
            0 if self.next <= COMMANDS => self.order_next(),
            0 => self.orders.push(Output::Sweep { scope: Scope::Run }),
            _ => (),
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.orders.pop()
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }
}

struct Logs(PathBuf);

impl Record for Logs {
    fn append(&mut self, _events: &[Event]) -> io::Result<()> {
        Ok(())
    }

    fn open_log(&mut self, sh: &ShId) -> io::Result<File> {
        File::create_new(self.0.join(format!("sh-{}.log", sh.n)))
    }
}

struct Nobody;

impl Questions for Nobody {
    fn answer(&mut self, _question: &Output) -> Option<Answer> {
        None
    }
}

impl View for Nobody {
    fn event(&mut self, _now: Now, _event: &Event) {}
    fn output(&mut self, _now: Now, _sh: &ShId, _entries: &[u8]) {}
    fn deadline(&self) -> Option<Mono> {
        None
    }
    fn tick(&mut self, _now: Now) {}
    fn notice(&mut self, _now: Now, _text: &str) {}

    fn dirty(&mut self, _: Now, _: u64, _: u64) {}

    fn end(&mut self, _: Now) {}
}

/// Seconds for the event loop, its logs in a new folder below `folder`. They stay: ext4 is slow to give out inodes that were freed
/// seconds ago.
fn ours(folder: &Path, round: usize, env: &BTreeMap<OsString, OsString>) -> f64 {
    let logs = folder.join(round.to_string());
    fs::create_dir(&logs).expect("a folder for the logs");
    let setup = Setup::new(RunId::new("bench"), folder.to_owned(), env.clone(), SecretSet::default());
    let (mut record, mut view, mut questions) = (Logs(logs), Nobody, Nobody);
    let surroundings = Surroundings {
        record: &mut record,
        view: &mut view,
        questions: &mut questions,
        signals: None,
        background: None,
    };
    let start = Instant::now();
    drive(&mut Sequence::new(), setup, surroundings).expect("an event loop");
    start.elapsed().as_secs_f64()
}

/// Seconds for the C loop, its own start included (about a millisecond).
fn plain(program: &Path) -> f64 {
    let start = Instant::now();
    let status = Command::new(program).arg(COMMANDS.to_string()).arg(PROGRAM).status().expect("the C loop starts");
    assert!(status.success(), "{status}");
    start.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    become_subreaper().expect("a kernel with subreapers");
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder in target");
    let program = root.path().join("spawn_loop");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/spawn_loop.c");
    let compiled = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).status().expect("a C compiler");
    assert!(compiled.success());

    // cargo adds --bench.
    let mut folders: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|word| word != "--bench").map(PathBuf::from).collect();
    if folders.is_empty() {
        folders = vec![root.path().to_owned(), PathBuf::from("/dev/shm")];
    }
    let env: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for folder in folders {
        let place = tempfile::tempdir_in(&folder).expect("a folder for logs");
        let (mut theirs, mut mine, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            theirs.push(plain(&program));
            mine.push(ours(place.path(), round, &env));
            ratios.push(mine[mine.len() - 1] / theirs[theirs.len() - 1]);
        }
        let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(&folder).output().expect("stat");
        println!(
            "{COMMANDS} x true, logs on {}: C loop {:.1} ms, event loop {:.1} ms, ratio {:.3}",
            String::from_utf8_lossy(&kind.stdout).trim(),
            median(&mut theirs) * 1e3,
            median(&mut mine) * 1e3,
            median(&mut ratios),
        );
    }
}
