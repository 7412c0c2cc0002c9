//! What the pages are asked for: five hundred repositories with their runs, a run of 300 commands, logs of a gigabyte.
//!
//! Rows are put through the store, as the server puts them; streams and logs are written as a run leaves them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quire::server::Waiting;
use quire_ci::clock;
use quire_ci::git::init_bare;
use quire_ci::store::{Batch, Store};
use quire_core::ids::RunId;
use quire_core::pairing::Pairing;
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::{RowCommand, RunRow, RunState};
use quire_core::wire::{Decoded, FailureKind, decode};

pub const REPOS: usize = 500;
/// Runs of each repository.
pub const RUNS: usize = 200;
/// Runs that go on, and runs that wait, each of another repository.
pub const GOING: usize = 20;
pub const WAITING: usize = 100;
pub const JOBS: usize = 30;
/// Commands of each job.
pub const COMMANDS: usize = 10;
/// Bytes of the long log.
pub const LONG: u64 = 1_000_000_000;
/// Lines of the log of many lines, of 50 bytes each.
pub const MANY: u64 = 2_000_000;
/// What only the last line of the long log has.
pub const LAST_WORD: &str = "needle-in-the-last-line";
/// Names that each of the two logs has: an index is made for each.
pub const NAMES: u32 = 3;

/// Name of a repository.
pub fn repo(n: usize) -> String {
    format!("team-{:02}/service-{n:03}.git", n % 20)
}

fn run_id(n: usize) -> RunId {
    RunId::new(&format!("0193a3a0-{:04x}-7000-8000-{n:012x}", n % 65536))
}

/// Makes the repositories on disk: each with the same commit, whose id it gives.
pub fn repositories(data: &Path) -> String {
    let first = data.join("repos").join(repo(0));
    init_bare(&first, false).unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&first).args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]);
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let tree = git(&["mktree"]);
    let sha = git(&["commit-tree", &tree, "-m", "Read the header before the body"]);
    git(&["update-ref", "refs/heads/main", &sha]);
    for n in 1..REPOS {
        copy(&first, &data.join("repos").join(repo(n)));
    }
    sha
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Enters the runs of all repositories, one of each after the other: half of them of the default branch, the rest of nine
/// others. Of the newest, some go on and some wait; what the queue would say of these.
pub fn runs(store: &mut Store, sha: &str) -> Waiting {
    let now = clock::now().wall.ms();
    let mut waiting = Waiting::default();
    for round in 0..RUNS {
        let begun = now - ((RUNS - round) as i64) * 600_000;
        let entered: Vec<NewRun> = (0..REPOS).map(|n| new_run(round, n, sha, begun + n as i64 * 1000)).collect();
        store
            .write(|writing| {
                let numbers = writing.enter(&entered, &[], &[])?;
                for (n, (run, number)) in entered.iter().zip(numbers).enumerate() {
                    let state = match (round + 1 == RUNS, n) {
                        (true, n) if n < GOING => RunState::Active,
                        (true, n) if n < GOING + WAITING => {
                            let reason = format!("waits for a place: {GOING} runs go on, max_runs is {GOING}");
                            waiting.reasons.insert(run.run_id.clone(), reason);
                            waiting.repos.insert(run.repo.clone(), (1, 0));
                            continue;
                        }
                        _ if (round * 7 + n) % 9 == 0 => RunState::Failed,
                        _ => RunState::Complete,
                    };
                    if state == RunState::Active {
                        waiting.repos.insert(run.repo.clone(), (0, 1));
                    }
                    let mut batch = Batch::default();
                    batch.push(RowCommand::PutRun(row(run, number, state)));
                    writing.apply_batch(&run.run_id, &batch, 4000)?;
                }
                Ok(())
            })
            .unwrap();
    }
    waiting
}

fn new_run(round: usize, n: usize, sha: &str, at_ms: i64) -> NewRun {
    let branch =
        if (round + n).is_multiple_of(2) { "main".to_owned() } else { format!("topic-{}", (round * 31 + n) % 9) };
    NewRun {
        run_id: run_id(round * REPOS + n),
        repo: repo(n),
        ref_name: Some(format!("refs/heads/{branch}")),
        sha: sha.to_owned(),
        by: Some("ann".to_owned()),
        at_ms,
        origin: Origin::Push,
        params: BTreeMap::new(),
        jobs: Vec::new(),
    }
}

fn row(run: &NewRun, number: u64, state: RunState) -> RunRow {
    RunRow {
        run_id: run.run_id.clone(),
        number: Some(number),
        repo: Some(run.repo.clone()),
        ref_name: run.ref_name.clone(),
        sha: Some(run.sha.clone()),
        pushed_at_ms: Some(run.at_ms),
        executor: Some("quire-ci".to_owned()),
        version: Some("0.1.0".to_owned()),
        resumed_from: None,
        state,
        failure_kind: (state == RunState::Failed).then_some(FailureKind::Job),
        error: None,
        started_at_ms: Some(run.at_ms + 20),
        finished_at_ms: (state != RunState::Active).then_some(run.at_ms + 90_000),
        fingerprint: None,
    }
}

/// A run that is over, made of the lines of its stream.
struct Made {
    id: RunId,
    folder: PathBuf,
    stream: String,
    at_ms: i64,
}

impl Made {
    fn enter(data: &Path, store: &mut Store, n: usize, sha: &str, jobs: &[(String, Vec<String>)]) -> Made {
        let at_ms = clock::now().wall.ms() - 3_600_000;
        let run = NewRun { run_id: run_id(n), ..new_run(0, 0, sha, at_ms) };
        let number = store.write(|writing| writing.enter(std::slice::from_ref(&run), &[], &[])).unwrap().remove(0);
        let folder = data.join("runs").join(run.run_id.as_str());
        fs::create_dir_all(&folder).unwrap();
        let listed: Vec<String> =
            jobs.iter().map(|(id, inputs)| format!(r#"{{"id":"{id}","inputs":{inputs:?}}}"#)).collect();
        let mut made = Made { id: run.run_id, folder, stream: String::new(), at_ms };
        made.event(&format!(
            r#""type":"run_started","run_id":"{}","version":"0.1.0","executor":"quire-ci","number":{number},"repo":"{}","ref":"refs/heads/main","sha":"{sha}","jobs":[{}]"#,
            made.id,
            run.repo,
            listed.join(",")
        ));
        made
    }

    /// The next event, a while after the one before.
    fn event(&mut self, fields: &str) {
        self.at_ms += 150;
        self.stream.push_str(&format!("{{\"at_ms\":{},{fields}}}\n", self.at_ms));
    }

    fn log(&self, job: &str, n: u32) -> PathBuf {
        let folder = self.folder.join("jobs").join(job);
        fs::create_dir_all(&folder).unwrap();
        folder.join(format!("sh-{n}.log"))
    }

    /// Leaves the stream, and the rows that it tells.
    fn end(self, store: &mut Store) -> RunId {
        fs::write(self.folder.join("events.jsonl"), &self.stream).unwrap();
        let (mut pairing, mut rows) = (Pairing::new(self.id.clone()), Vec::new());
        for line in self.stream.lines() {
            let Ok(Decoded::Event(event)) = decode(line.as_bytes()) else { panic!("no event: {line}") };
            pairing.push(&event, &mut rows);
        }
        store.apply(&self.id, &rows, self.stream.len() as u64).unwrap();
        self.id
    }
}

fn entry(n: u64, text: &str) -> String {
    format!("2026-11-22T02:{:02}:{:02}.{:09}Z stdout F {text}\n", n / 6_000_000 % 60, n / 100_000 % 60, n % 100_000)
}

/// A run of 300 commands in 30 jobs, five in a row that need the five before. One job failed, with a log of 2,000 lines.
pub fn run_of_300(data: &Path, store: &mut Store, sha: &str) -> RunId {
    let name =
        |job: usize| format!("{}-{}", ["build", "test", "lint", "package", "publish", "report"][job / 5], job % 5);
    let inputs = |job: usize| match job {
        0..5 => vec!["quire/push".to_owned()],
        _ => [job - 5, (job - 5) / 5 * 5]
            .map(&name)
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect(),
    };
    let jobs: Vec<(String, Vec<String>)> = (0..JOBS).map(|job| (name(job), inputs(job))).collect();
    let mut made = Made::enter(data, store, RUNS * REPOS, sha, &jobs);
    let failed = JOBS - 1;
    for (at, (job, _)) in jobs.iter().enumerate() {
        made.event(&format!(r#""type":"job_started","job_id":"{job}""#));
        made.event(&format!(r#""type":"job_logged","job_id":"{job}","text":"with the cache of the run before""#));
        for n in 1..=COMMANDS {
            let fails = at == failed && n == COMMANDS;
            made.event(&format!(
                r#""type":"sh_started","job_id":"{job}","cmd":"cargo test --locked --package part-{n} --features 'a <b> & c' -- --nocapture""#
            ));
            let exit_code = if fails { 101 } else { 0 };
            made.event(&format!(r#""type":"sh_finished","job_id":"{job}","exit_code":{exit_code}"#));
        }
        let outcome = if at == failed {
            r#""failed","error":{"message":"`cargo test` failed with exit code 101","file":".quire/ci.lua","line":31}"#
        } else {
            r#""complete""#
        };
        made.event(&format!(r#""type":"job_finished","job_id":"{job}","outcome":{outcome}"#));
    }
    made.event(r#""type":"run_finished","outcome":"failed","failure_kind":"job""#);
    let mut log = String::new();
    for n in 1..=2000 {
        log.push_str(&entry(
            n,
            &match n {
                1500 => "error[E0308]: mismatched types".to_owned(),
                1501 => "   --> src/part/reader.rs:31:9".to_owned(),
                _ => format!("\u{1b}[32mtest\u{1b}[0m part_{n}::reads_what_was_written ... \u{1b}[32mok\u{1b}[0m"),
            },
        ));
    }
    fs::write(made.log(&jobs[failed].0, COMMANDS as u32), log).unwrap();
    made.end(store)
}

/// A run of one job `long`, whose first commands all printed the gigabyte and the others the two million lines. Gives the lines
/// of the long log, too.
pub fn run_of_long_logs(data: &Path, store: &mut Store, sha: &str) -> (RunId, u64) {
    let job = ("long".to_owned(), vec!["quire/push".to_owned()]);
    let mut made = Made::enter(data, store, RUNS * REPOS + 1, sha, &[job]);
    made.event(r#""type":"job_started","job_id":"long""#);
    for _ in 0..2 * NAMES {
        made.event(r#""type":"sh_started","job_id":"long","cmd":"make world""#);
        made.event(r#""type":"sh_finished","job_id":"long","exit_code":0"#);
    }
    made.event(r#""type":"job_finished","job_id":"long","outcome":"complete""#);
    made.event(r#""type":"run_finished","outcome":"complete""#);

    let writer = |n| BufWriter::with_capacity(1 << 20, File::create(made.log("long", n)).unwrap());
    let (mut log, mut written, mut lines) = (writer(1), 0, 0);
    while written < LONG {
        lines += 1;
        let line =
            entry(lines, &format!("   Compiling part-{lines} v1.2.3 (/home/ann/work/of/many/parts/part-{lines:09})"));
        log.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
    }
    lines += 1;
    log.write_all(entry(lines, LAST_WORD).as_bytes()).unwrap();
    log.into_inner().unwrap();
    let mut log = writer(NAMES + 1);
    for n in 1..=MANY {
        log.write_all(entry(n, &format!("{n:>9}")).as_bytes()).unwrap();
    }
    log.into_inner().unwrap();
    for of in [1, NAMES + 1] {
        for other in 1..NAMES {
            fs::hard_link(made.log("long", of), made.log("long", of + other)).unwrap();
        }
    }
    (made.end(store), lines)
}
