//! How quick a server's database is with a million runs, three million jobs and ten million commands in it.
//!
//! `cargo bench -p quire-ci --bench million` makes the database, which takes some minutes and some gigabytes where `TMPDIR`
//! is (`QUIRE_BENCH_DB=PATH` keeps it there and uses it again), and then asks: lists of 50 runs by each combination of
//! filters and from random places, what the server asks at its start and now and then, and what the writer does. Each list is asked for a
//! thousand times with random values; the bar is a p99 of 15 ms. Beside it stands what the processor took, which a busy machine
//! disturbs less.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use quire_ci::store::{Batch, GroupWriter, RunFilter, Store, Writing};
use quire_core::ids::{JobId, RunId};
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, RunState};
use quire_core::wire::FailureKind;
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};

const RUNS: u64 = 1_000_000;
const REQUESTS: usize = 1000;
const REPOS: u64 = 50;
const BAR_MS: f64 = 15.0;

fn main() {
    let dir = tempfile::tempdir().expect("a directory for the database");
    let kept = std::env::var_os("QUIRE_BENCH_DB").map(PathBuf::from);
    let path = kept.unwrap_or_else(|| dir.path().join("quire.db"));
    if !path.exists() {
        let begun = Instant::now();
        fill(&path);
        println!("made in {:.0} s", begun.elapsed().as_secs_f64());
    }
    let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    println!("{} of {} MB", path.display(), size / 1_000_000);
    let store = Store::open(&path).expect("it opens");
    let newest = store.runs(&RunFilter { limit: Some(1), ..RunFilter::default() }).expect("it answers");
    let newest = newest.first().map_or(0, |run| run.seq).unsigned_abs();

    let is_good = lists(&store, newest);
    server_asks(&store);
    drop(store);
    writes(&path);
    if !is_good {
        println!("a list is slower than the bar of {BAR_MS} ms");
        std::process::exit(1);
    }
}

/// Runs over 50 repositories, the first of which has half of them; ten refs each, the default branch with half of them.
/// Repository 49 never failed but thrice; 300 runs wait and 100 go on, at the end.
fn fill(path: &Path) {
    drop(Store::open(path).expect("it is made"));
    let conn = Connection::open(path).expect("it opens");
    conn.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; PRAGMA foreign_keys = OFF;",
    )
    .expect("it is set");
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {RUNS})");
    let id = "printf('%08x-%04x-7000-8000-%012x', i / 65536, i % 65536, i)";
    let repo = format!("iif(i % 2 = 0, 0, (i * 7919 / 2) % {REPOS})");
    let state = format!(
        "CASE WHEN i > {RUNS} - 100 THEN 'active' WHEN i > {RUNS} - 400 THEN 'pending'
              WHEN {repo} = 49 THEN iif(i IN (1001, 1101, 1201) OR i < 200, 'failed', 'complete')
              WHEN i % 100003 = 7 THEN 'aborted' WHEN i % 11 = 0 THEN 'superseded' WHEN i % 5 = 0 THEN 'failed' ELSE 'complete' END"
    );
    conn.execute_batch(&format!(
        "BEGIN;
         {numbers}
         INSERT INTO runs (seq, id, repo, number, ref_name, sha, state, failure_kind, queued_at_ms, started_at_ms, finished_at_ms,
                           executor, version, owner, stream_offset, disk_bytes, origin, by_whom, logs_removed_at_ms)
         SELECT i, {id}, 'work/repo-' || repo || '.git', i,
                iif((i / 3) % 2 = 0, 'refs/heads/main', 'refs/heads/branch-' || ((i * 31) % 9)),
                printf('%040x', i * 2654435761), state, iif(state = 'failed', 'job', NULL), i * 1000,
                iif(state IN ('pending', 'superseded'), NULL, i * 1000 + 20),
                iif(state IN ('pending', 'active'), NULL, i * 1000 + 60000), 'quire-ci', '0.1.0', 'server', 4000,
                iif(state IN ('pending', 'active', 'superseded'), NULL, 300000), 'push', 'ann',
                iif(state NOT IN ('pending', 'active', 'superseded') AND i < {RUNS} / 2, i * 1000 + 7776000000, NULL)
         FROM (SELECT i, {repo} AS repo, {state} AS state FROM n);
         {numbers}, j(k) AS (VALUES (0), (1), (2))
         INSERT INTO jobs (run_id, job_id, position, state, started_at_ms, finished_at_ms, allowed, flaky, replayed, attempts)
         SELECT {id}, 'job-' || k, k, 'complete', i * 1000 + 20, i * 1000 + 60000, 0, 0, 0, 1 FROM n CROSS JOIN j;
         {numbers}, j(k, c) AS (SELECT k, c FROM (SELECT value AS k FROM json_each('[0,1,2]'))
                                           CROSS JOIN (SELECT value AS c FROM json_each('[1,2,3,4]')) WHERE k = 2 OR c < 4)
         INSERT INTO sh_events (run_id, job_id, n, started_at_ms, finished_at_ms, exit_code, cmd, attempt, masked, truncated,
                                detached, replayed)
         SELECT {id}, 'job-' || k, c, i * 1000 + 20, i * 1000 + 900, 0, 'cargo test --workspace --package p' || c, 1, 0, 0, 0, 0
         FROM n CROSS JOIN j;
         COMMIT;"
    ))
    .expect("it is filled");
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("it is a WAL again");
}

/// Asks for each combination of filters; whether all are quick enough.
fn lists(store: &Store, newest: u64) -> bool {
    let states = ["pending", "active", "complete", "failed", "aborted", "superseded"];
    let mut is_good = true;
    heading("lists of 50 runs, ms");
    let mut ask = |name: &str, filter: &mut dyn FnMut(&mut Random) -> RunFilter| {
        let mut random = Random(7);
        let times = (0..REQUESTS).map(|_| {
            let filter = RunFilter { limit: Some(50), ..filter(&mut random) };
            time(|| drop(store.runs(&filter).expect("it answers")))
        });
        is_good &= report(name, times.collect()) <= BAR_MS;
    };
    for mask in 0..16 {
        let words = [(1, "repo"), (2, "ref"), (4, "state"), (8, "before")];
        let named: Vec<&str> = words.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, word)| *word).collect();
        ask(&if named.is_empty() { "all".to_owned() } else { named.join(" + ") }, &mut |random| RunFilter {
            repo: (mask & 1 != 0).then(|| repo(random.below(REPOS + 1))),
            ref_name: (mask & 2 != 0).then(|| branch(random.below(10))),
            state: (mask & 4 != 0).then(|| RunState::parse(states[random.below(6) as usize])).flatten(),
            before: (mask & 8 != 0).then(|| random.below(newest + 1).cast_signed()),
            limit: None,
        });
    }
    let state = |state| RunFilter { state: Some(state), ..RunFilter::default() };
    ask("pending", &mut |_| state(RunState::Pending));
    ask("aborted, ten of a million", &mut |_| state(RunState::Aborted));
    ask("failed, of a repository with few", &mut |_| RunFilter { repo: Some(repo(49)), ..state(RunState::Failed) });
    ask("failed, of its branch", &mut |_| RunFilter {
        repo: Some(repo(49)),
        ref_name: Some(branch(9)),
        ..state(RunState::Failed)
    });
    ask("pending of a branch of any repository", &mut |_| RunFilter {
        ref_name: Some("refs/heads/main".to_owned()),
        ..state(RunState::Pending)
    });
    is_good
}

fn server_asks(store: &Store) {
    heading("what else is asked, ms");
    let mut random = Random(9);
    let repos: Vec<String> = (0..20).map(repo).collect();
    let mut ask = |name: &str, times: usize, work: &mut dyn FnMut(&mut Random)| {
        report(name, (0..times).map(|_| time(|| work(&mut random))).collect());
    };
    ask("a run with its jobs and commands", REQUESTS, &mut |random| {
        let run_id = run_id(random.below(RUNS) + 1);
        let found = store.run(&run_id).and_then(|_| store.jobs(&run_id)).and_then(|_| store.commands(&run_id, None));
        assert_eq!(found.expect("it answers").len(), 10);
    });
    ask("50 runs of any of 20 repositories", 100, &mut |_| {
        let filter = RunFilter { limit: Some(50), ..RunFilter::default() };
        drop(store.runs_of_repos(&repos, &filter).expect("it answers"));
    });
    ask("newest ended of a branch", REQUESTS, &mut |random| {
        drop(store.newest_ended(&repo(random.below(REPOS)), &branch(random.below(10))).expect("it answers"));
    });
    ask("whether a repository has runs", REQUESTS, &mut |random| {
        store.repo_has_runs(&repo(random.below(REPOS + 1))).expect("it answers");
    });
    let all: Vec<(String, Option<String>)> = (0..REPOS).map(|n| (repo(n), Some(branch(0)))).collect();
    ask("the overview of all repositories", 100, &mut |_| {
        assert_eq!(store.overview(&all).expect("it answers").len(), all.len());
    });
    ask("the names of all repositories", 100, &mut |_| drop(store.recorded_repos().expect("it answers")));
    ask("50 runs of a branch with their jobs", 100, &mut |random| {
        let (repo, ref_name) = (Some(repo(random.below(REPOS))), Some(branch(random.below(10))));
        let filter = RunFilter { repo, ref_name, limit: Some(50), ..RunFilter::default() };
        drop(store.runs_with_jobs(&filter).expect("it answers"));
    });
    ask("the pulse", REQUESTS, &mut |_| drop(store.pulse().expect("it answers")));
    ask("all that is not over (400)", 100, &mut |_| drop(store.open_runs().expect("it answers")));
    ask("retention: the oldest 500 with logs", 100, &mut |_| drop(store.with_logs(None, 500).expect("it answers")));
    ask("retention: the size of all logs", 10, &mut |_| {
        store.bytes_with_logs().expect("it answers");
    });
    ask("retention: what was not counted", 10, &mut |_| drop(store.uncounted().expect("it answers")));
}

/// What the writer does: one piece at a time, and as many as come.
fn writes(path: &Path) {
    let writer = GroupWriter::start(path).expect("it starts");
    heading("the writer, ms");
    let stamp = uuid::Uuid::now_v7().simple().to_string();
    let run_id = |n: usize| RunId::new(&format!("{stamp}-{n}"));
    let mut times = Vec::new();
    for n in 0..REQUESTS {
        let run = NewRun {
            run_id: run_id(n),
            repo: repo(1),
            ref_name: Some(branch(9)),
            sha: "a".repeat(40),
            by: None,
            at_ms: 1,
            origin: Origin::Push,
            params: Default::default(),
            jobs: Vec::new(),
        };
        let (done, answer) = mpsc::channel();
        times.push(time(|| {
            writer.write(
                move |writing| writing.enter(&[run], &[], &[]),
                move |said| done.send(said.is_ok()).expect("it is awaited"),
            );
            assert_eq!(answer.recv(), Ok(true));
        }));
    }
    report("a lone run entered and committed", times);
    let batches = 20_000;
    let (done, answer) = mpsc::channel();
    let (spent, _) = time(|| {
        for n in 0..batches {
            let mut batch = Box::<Batch>::default();
            batch.extend(rows(&run_id(n % 100), i64::try_from(n).unwrap_or(0)));
            let done = done.clone();
            let mut handed = Some(batch);
            while let Some(batch) = handed.take() {
                let done = done.clone();
                let said = writer.write_batch(run_id(n % 100), batch, 1, move |said| {
                    done.send(said.is_ok()).expect("it is awaited")
                });
                if let Err(batch) = said {
                    std::thread::yield_now();
                    handed = Some(batch);
                }
            }
            drop(done);
        }
        assert!((0..batches).all(|_| answer.recv() == Ok(true)));
    });
    println!(
        "{batches} batches of 3 rows over 100 runs          {:.0} ms, {:.0} rows a second",
        spent,
        batches as f64 * 3e3 / spent
    );
    // Not to be in the way of another round with the same database.
    let ids: Vec<RunId> = (0..REQUESTS).map(run_id).collect();
    let close = move |writing: &mut Writing<'_>| {
        ids.iter().try_for_each(|run_id| writing.close_without_stream(run_id, FailureKind::Orphaned))
    };
    writer.write(close, |said| said.expect("they are closed"));
    writer.stop();
}

fn rows(run_id: &RunId, mark: i64) -> [RowCommand; 3] {
    let job = |name: &str| {
        RowCommand::PutJob(JobRow {
            run_id: run_id.clone(),
            job_id: JobId::from_record(name),
            position: 0,
            state: JobState::Active,
            exit_code: None,
            started_at_ms: Some(mark),
            finished_at_ms: None,
            allowed: false,
            flaky: false,
            replayed: false,
            attempts: 1,
            skip_reason: None,
            error: None,
            error_file: None,
            error_line: None,
        })
    };
    let run = RowCommand::PutRun(RunRow {
        run_id: run_id.clone(),
        number: None,
        repo: None,
        ref_name: None,
        sha: None,
        pushed_at_ms: None,
        executor: None,
        version: None,
        resumed_from: None,
        state: RunState::Active,
        failure_kind: None,
        error: None,
        started_at_ms: Some(1),
        finished_at_ms: None,
        fingerprint: None,
    });
    [run, job("build"), job("test")]
}

fn repo(n: u64) -> String {
    format!("work/repo-{n}.git")
}

fn branch(n: u64) -> String {
    if n == 9 { "refs/heads/main".to_owned() } else { format!("refs/heads/branch-{n}") }
}

fn run_id(i: u64) -> RunId {
    RunId::new(&format!("{:08x}-{:04x}-7000-8000-{i:012x}", i / 65536, i % 65536))
}

/// Milliseconds that passed, and that this thread used the processor.
fn time(work: impl FnOnce()) -> (f64, f64) {
    let cpu_ms = || {
        let spent = clock_gettime(ClockId::ThreadCPUTime);
        spent.tv_sec as f64 * 1e3 + spent.tv_nsec as f64 / 1e6
    };
    let (begun, cpu) = (Instant::now(), cpu_ms());
    work();
    (begun.elapsed().as_secs_f64() * 1e3, cpu_ms() - cpu)
}

fn heading(text: &str) {
    println!("{text:<44} {:>9} {:>9} {:>9} {:>9}", "p50", "p99", "max", "p99 cpu");
}

/// Prints the times; the p99 of what passed.
fn report(name: &str, times: Vec<(f64, f64)>) -> f64 {
    let (mut wall, mut cpu): (Vec<f64>, Vec<f64>) = times.into_iter().unzip();
    wall.sort_unstable_by(f64::total_cmp);
    cpu.sort_unstable_by(f64::total_cmp);
    let at = |times: &[f64], share: f64| {
        let place = (times.len() as f64 * share) as usize;
        times.get(place).or(times.last()).copied().unwrap_or(0.0)
    };
    println!(
        "{name:<44} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
        at(&wall, 0.5),
        at(&wall, 0.99),
        at(&wall, 1.0),
        at(&cpu, 0.99)
    );
    at(&wall, 0.99)
}

/// A small generator (xorshift64*), so that each round asks the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(2_685_821_657_736_338_717) >> 11) % bound.max(1)
    }
}
