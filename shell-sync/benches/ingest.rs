//! How fast a recorded stream becomes rows, against what it costs at least: parse each line, and insert the final rows
//! with prepared statements in one transaction into the same schema, with the same settings.
//!
//! `cargo bench -p quire-ci --bench ingest` prints medians of five, taken in turns, and their ratio: in time that passed, and
//! in time of the processor, which a busy machine disturbs less; then what opening a database costs, and what the row
//! writer's sender does. `TMPDIR` chooses the file system.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use quire_ci::record::{DataDir, Retention, ingest};
use quire_ci::store::{NewRun, Numbering, RowWriter, Store};
use quire_core::ids::{JobId, RunId};
use quire_core::pairing::Pairing;
use quire_core::wire::{
    Event, EventKind, JobFinished, JobListed, JobLogged, JobOutcome, JobStarted, Reader, RunFinished, RunOutcome,
    RunStarted, ShFinished, ShStarted, encode,
};
use rusqlite::{Connection, TransactionBehavior};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

const ROUNDS: usize = 5;
const JOBS: usize = 20;
const COMMANDS: usize = 66_660;

fn main() {
    let dir = tempfile::tempdir().expect("a directory for databases");
    let run_id = RunId::new("019a0000-0000-7000-8000-000000000000");
    let events = events(&run_id);
    let mut bytes = Vec::new();
    events.iter().for_each(|event| encode(event, &mut bytes));
    let stream = dir.path().join("events.jsonl");
    fs::write(&stream, &bytes).expect("the stream is written");
    println!("{} events, {COMMANDS} commands, {} bytes, in {}", events.len(), bytes.len(), dir.path().display());

    let (mut ours, mut least, mut decoding, mut pairing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        ours.push(time(|| put_ours(&fresh(dir.path(), "ours", round), &run_id, &stream)));
        least.push(time(|| put_least(&fresh(dir.path(), "least", round), &run_id, &stream)));
        decoding.push(time(|| decode_only(&bytes)));
        pairing.push(time(|| pair_only(&run_id, &events)));
    }
    let (ours, least) = (median(ours), median(least));
    println!("stream to rows        {ours}");
    println!("parse and insert      {least}");
    println!("ratio                 {:8.2}       {:8.2}       (bar 1.5)", ours.wall / least.wall, ours.cpu / least.cpu);
    println!("  of which decoding   {}", median(decoding));
    println!("  of which pairing    {}", median(pairing));

    let (mut first, mut again) = (Vec::new(), Vec::new());
    for round in 0..25 {
        let path = dir.path().join(format!("open-{round}.db"));
        first.push(time(|| drop(Store::open(&path).expect("it opens"))));
        Store::open(&path).and_then(|mut store| store.reserve_run(&new_run(&run_id))).expect("it takes a run");
        again.push(time(|| drop(Store::open(&path).expect("it opens"))));
    }
    println!("first open            {}", median(first));
    println!("existing open         {}", median(again));

    let data = DataDir::open(&dir.path().join("data")).expect("a data directory");
    let mut store = data.open_store().expect("it opens");
    for n in 0..50 {
        let run_id = RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000"));
        let run = data.create_run(&run_id).expect("a run directory");
        run.events()
            .and_then(|mut log| log.append(b"{\"at_ms\":1,\"type\":\"run_finished\",\"outcome\":\"complete\"}\n"))
            .expect("an event");
    }
    let mut chores = data.chores(Retention::default());
    chores(&mut store, &|| false);
    let mut idle = Vec::new();
    for _ in 0..25 {
        chores = data.chores(Retention::default());
        idle.push(time(|| drop(chores(&mut store, &|| false))));
    }
    println!("chores, none due      {} (50 runs)", median(idle));

    let path = dir.path().join("sender.db");
    let writer = RowWriter::start(&path, new_run(&run_id), None);
    writer.number(Duration::from_secs(10));
    let some: Vec<Event> = events.into_iter().take(20_000).collect();
    let count = u32::try_from(some.len()).unwrap_or(1);
    let sending = time(|| some.into_iter().zip(1..).for_each(|(event, end)| writer.send(event, end)));
    println!("sending an event      {:.3} us", sending.wall * 1e3 / f64::from(count));
    println!("finishing after them  {}", time(|| drop(writer.finish())));
}

/// Milliseconds.
#[derive(Clone, Copy)]
struct Spent {
    wall: f64,
    cpu: f64,
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:8.2} ms, cpu {:8.2} ms", self.wall, self.cpu)
    }
}

fn cpu_ms() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 * 1e3 + spent.tv_nsec as f64 / 1e6
}

fn time(work: impl FnOnce()) -> Spent {
    let (start, cpu) = (Instant::now(), cpu_ms());
    work();
    Spent { wall: start.elapsed().as_secs_f64() * 1e3, cpu: cpu_ms() - cpu }
}

/// The medians of each clock.
fn median(times: Vec<Spent>) -> Spent {
    let middle = |of: fn(&Spent) -> f64| {
        let mut values: Vec<f64> = times.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Spent { wall: middle(|spent| spent.wall), cpu: middle(|spent| spent.cpu) }
}

fn new_run(run_id: &RunId) -> NewRun {
    NewRun { run_id: run_id.clone(), repo: "r".to_owned(), at_ms: 0, owner: None }
}

/// An empty database of our schema, so that neither side pays for making it.
fn fresh(dir: &Path, side: &str, round: usize) -> std::path::PathBuf {
    let path = dir.join(format!("{side}-{round}.db"));
    drop(Store::open(&path).expect("it opens"));
    path
}

fn put_ours(database: &Path, run_id: &RunId, stream: &Path) {
    let mut store = Store::open(database).expect("it opens");
    let mut bulk = store.bulk(Numbering::AtOnce).expect("nobody else writes");
    let read = ingest(&mut bulk, run_id, stream, None).expect("the stream is good");
    bulk.commit().expect("it commits");
    assert!(read.has_run_finished && read.bad_count == 0);
}

fn decode_only(bytes: &[u8]) {
    Reader::default().push(bytes, |line| drop(black_box(line)));
}

fn pair_only(run_id: &RunId, events: &[Event]) {
    let mut pairing = Pairing::new(run_id.clone());
    let mut rows = Vec::new();
    for event in events {
        pairing.push(event, &mut rows);
        black_box(&rows);
        rows.clear();
    }
}

/// As little as one can know of a line.
#[derive(Deserialize)]
struct Least<'a> {
    at_ms: i64,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    job_id: &'a str,
    #[serde(borrow)]
    cmd: Option<Cow<'a, str>>,
    exit_code: Option<i32>,
    sh: Option<u32>,
}

fn put_least(database: &Path, run_id: &RunId, stream: &Path) {
    let mut conn = Connection::open(database).expect("it opens");
    conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL").expect("settings");
    conn.query_row("PRAGMA wal_autocheckpoint = 256", [], |_| Ok(())).expect("settings");
    let bytes = fs::read(stream).expect("the stream is there");
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).expect("nobody else writes");
    let id = run_id.as_str();
    tx.execute("INSERT INTO runs (id, number, state, started_at_ms) VALUES (?1, 1, 'active', 0)", [id]).expect("a run");
    {
        let mut job = tx
            .prepare(
                "INSERT INTO jobs (run_id, job_id, position, state, started_at_ms, allowed, flaky, replayed, attempts)
                 VALUES (?1, ?2, ?3, 'active', ?4, 0, 0, 0, 1)",
            )
            .expect("a statement");
        let mut end = tx
            .prepare("UPDATE jobs SET state = 'complete', finished_at_ms = ?3 WHERE run_id = ?1 AND job_id = ?2")
            .expect("a statement");
        let mut sh = tx
            .prepare(
                "INSERT INTO sh_events (run_id, job_id, n, started_at_ms, finished_at_ms, exit_code, cmd, attempt, masked,
                 truncated, detached, replayed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, 0, 0, 0, 0)",
            )
            .expect("a statement");
        let mut jobs: HashMap<&str, HashMap<u32, (i64, Cow<'_, str>)>> = HashMap::new();
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event: Least<'_> = serde_json::from_slice(line).expect("a good line");
            match event.kind {
                "job_started" => {
                    job.execute((id, event.job_id, u32::try_from(jobs.len()).unwrap_or(0), event.at_ms))
                        .map(drop)
                        .expect("a job");
                    jobs.insert(event.job_id, HashMap::new());
                }
                "sh_started" => {
                    let n = counts.entry(event.job_id).or_default();
                    *n += 1;
                    let open = jobs.get_mut(event.job_id).expect("a job that began");
                    open.insert(*n, (event.at_ms, event.cmd.expect("a command")));
                }
                "sh_finished" => {
                    let open = jobs.get_mut(event.job_id).expect("a job that began");
                    let n = event.sh.unwrap_or_else(|| *open.keys().next().expect("an open command"));
                    let (started, cmd) = open.remove(&n).expect("an open command");
                    sh.execute((id, event.job_id, n, started, event.at_ms, event.exit_code, &*cmd)).expect("a row");
                }
                "job_finished" => drop(end.execute((id, event.job_id, event.at_ms)).expect("an end")),
                "run_finished" => {
                    tx.execute(
                        "UPDATE runs SET state = 'complete', finished_at_ms = ?2 WHERE id = ?1",
                        (id, event.at_ms),
                    )
                    .map(drop)
                    .expect("an end");
                }
                _ => {}
            }
        }
    }
    tx.commit().expect("it commits");
}

/// One run: jobs side by side, each command with its start, a line that the script logs, and its end.
fn events(run_id: &RunId) -> Vec<Event> {
    let jobs: Vec<JobId> = (0..JOBS).map(|n| JobId::from_record(&format!("job-{n}"))).collect();
    let mut kinds = vec![EventKind::RunStarted(RunStarted {
        run_id: run_id.clone(),
        version: "0.1.0".to_owned(),
        executor: "host".to_owned(),
        sha: Some("a".repeat(40)),
        ref_name: Some("refs/heads/main".to_owned()),
        seed: Some(7),
        jobs: jobs.iter().map(|id| JobListed { id: id.clone(), inputs: vec!["quire/push".to_owned()] }).collect(),
        number: Some(1),
        repo: Some("work/foo.git".to_owned()),
        pushed_at_ms: None,
        params: Default::default(),
        resumed_from: None,
        args: Vec::new(),
        pipeline: None,
    })];
    kinds.extend(jobs.iter().map(|job_id| EventKind::JobStarted(JobStarted { job_id: job_id.clone() })));
    for n in 0..COMMANDS / JOBS {
        let each = |make: &dyn Fn(&JobId) -> EventKind, kinds: &mut Vec<EventKind>| kinds.extend(jobs.iter().map(make));
        let cmd = format!("cargo test --package quire-core --lib case_{n} -- --exact");
        each(&|id| EventKind::ShStarted(sh_started(id, &cmd)), &mut kinds);
        each(&|id| EventKind::JobLogged(JobLogged { job_id: id.clone(), text: format!("case {n}") }), &mut kinds);
        each(&|id| EventKind::ShFinished(sh_finished(id)), &mut kinds);
    }
    kinds.extend(jobs.iter().map(|id| EventKind::JobFinished(job_finished(id))));
    kinds.push(EventKind::RunFinished(RunFinished {
        outcome: RunOutcome::Complete,
        failure_kind: None,
        error: None,
        fingerprint: None,
    }));
    kinds.into_iter().zip(1_700_000_000_000..).map(|(kind, at_ms)| Event { at_ms, kind }).collect()
}

fn sh_started(id: &JobId, cmd: &str) -> ShStarted {
    let (job_id, cmd) = (id.clone(), cmd.to_owned());
    ShStarted { job_id, cmd, key: None, cwd: None, env: Default::default(), shell: None }
}

fn sh_finished(job_id: &JobId) -> ShFinished {
    ShFinished {
        job_id: job_id.clone(),
        exit_code: 0,
        sh: None,
        signal: None,
        error: None,
        cause: None,
        no_eol: Vec::new(),
        masked: false,
        truncated: false,
        detached: false,
        replayed: false,
    }
}

fn job_finished(job_id: &JobId) -> JobFinished {
    JobFinished {
        job_id: job_id.clone(),
        outcome: JobOutcome::Complete,
        output: None,
        masked: false,
        replayed: false,
        allowed: false,
        flaky: false,
        error: None,
    }
}
