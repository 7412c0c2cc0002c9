//! What pages of many runs ask of the store.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Instant;

use quire_ci::store::{Pulse, RepoOverview, RunFilter, RunLine, RunVersion, Store};
use quire_core::ids::{JobId, RunId};
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, RunState};
use quire_core::wire::FailureKind;

const REPO: &str = "work/foo.git";
const MAIN: &str = "refs/heads/main";

fn id(n: u32) -> RunId {
    RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000"))
}

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("quire.db")).unwrap()
}

/// Enters a run, which then waits.
fn enter(store: &mut Store, n: u32, repo: &str, ref_name: Option<&str>, sha: &str) {
    let run = NewRun {
        run_id: id(n),
        repo: repo.to_owned(),
        ref_name: ref_name.map(str::to_owned),
        sha: sha.to_owned(),
        by: None,
        at_ms: 1000 + i64::from(n),
        origin: Origin::Push,
        params: Default::default(),
        jobs: Vec::new(),
    };
    store.write(|writing| writing.enter(&[run], &[], &[])).unwrap();
}

/// Puts a run and its jobs, in the order of its pipeline.
fn put(store: &mut Store, n: u32, state: RunState, jobs: &[&str]) {
    let has_ended = !matches!(state, RunState::Pending | RunState::Active);
    let run = RunRow {
        run_id: id(n),
        number: None,
        repo: None,
        ref_name: None,
        sha: None,
        pushed_at_ms: None,
        executor: None,
        version: None,
        resumed_from: None,
        state,
        failure_kind: (state == RunState::Failed).then_some(FailureKind::Job),
        error: None,
        started_at_ms: Some(5000),
        finished_at_ms: has_ended.then_some(6000),
        fingerprint: None,
    };
    let jobs = jobs.iter().zip(0..).map(|(job, position)| {
        RowCommand::PutJob(JobRow {
            run_id: id(n),
            job_id: JobId::from_record(job),
            position,
            state: JobState::Complete,
            exit_code: None,
            started_at_ms: Some(5000),
            finished_at_ms: Some(5500),
            allowed: false,
            flaky: false,
            replayed: false,
            attempts: 1,
            skip_reason: None,
            error: None,
            error_file: None,
            error_line: None,
        })
    });
    let rows: Vec<RowCommand> = std::iter::once(RowCommand::PutRun(run)).chain(jobs).collect();
    store.apply(&id(n), &rows, 7).unwrap();
}

#[test]
fn runs_come_with_their_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for n in 1..=5 {
        enter(&mut store, n, REPO, Some(if n == 3 { "refs/heads/x" } else { MAIN }), "a");
    }
    put(&mut store, 1, RunState::Complete, &["z", "a"]);
    put(&mut store, 2, RunState::Failed, &["build", "test", "deploy"]);
    put(&mut store, 3, RunState::Complete, &["other"]);
    let shown = |filter: RunFilter| {
        let found = store.runs_with_jobs(&filter).unwrap();
        let one = found.iter().map(|(run, jobs)| {
            assert!(jobs.iter().all(|job| job.run_id == run.row.run_id));
            assert_eq!(*jobs, store.jobs(&run.row.run_id).unwrap());
            let jobs: Vec<&str> = jobs.iter().map(|job| job.job_id.as_str()).collect();
            format!("{}:{}", run.row.number.unwrap(), jobs.join(","))
        });
        one.collect::<Vec<_>>().join(" ")
    };
    let of_repo = || RunFilter { repo: Some(REPO.to_owned()), ..RunFilter::default() };
    let of_main = || RunFilter { ref_name: Some(MAIN.to_owned()), ..of_repo() };
    assert_eq!(shown(of_repo()), "5: 4: 3:other 2:build,test,deploy 1:z,a");
    assert_eq!(shown(of_main()), "5: 4: 2:build,test,deploy 1:z,a");
    let before = store.run(&id(4)).unwrap().map(|run| run.seq);
    assert_eq!(shown(RunFilter { before, limit: Some(1), ..of_main() }), "2:build,test,deploy");
    assert_eq!(shown(RunFilter { repo: Some("none.git".to_owned()), ..RunFilter::default() }), "");

    let jobs = store.jobs_of_runs(&[id(2), id(9), id(1), id(4), id(2)]).unwrap();
    assert_eq!(jobs.keys().collect::<Vec<_>>(), [&id(1), &id(2)]);
    assert_eq!(jobs[&id(2)], store.jobs(&id(2)).unwrap());
    assert!(store.jobs_of_runs(&[]).unwrap().is_empty());
}

#[test]
fn runs_of_a_commit_and_repositories_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    assert_eq!(store.recorded_repos().unwrap(), [""; 0]);
    for (n, repo, sha) in [(1, "", "a"), (2, "b", "a"), (3, "a", "b"), (4, "b", "a"), (5, "b/c", "c"), (6, "é", "c")] {
        enter(&mut store, n, repo, None, sha);
    }
    assert_eq!(store.recorded_repos().unwrap(), ["a", "b", "b/c", "é"]);
    let found: Vec<RunId> = store.runs_of_sha("a").unwrap().into_iter().map(|run| run.row.run_id).collect();
    assert_eq!(found, [id(4), id(2), id(1)]);
    assert_eq!(store.runs_of_sha("none").unwrap(), []);
    for n in 100..=200 {
        enter(&mut store, n, "b", None, "a");
    }
    assert_eq!(store.runs_of_sha("a").unwrap().len(), 100);
}

#[test]
fn an_overview_tells_how_repositories_stand() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let branches = ["main", "x", "y", "x", "z", "main", "w", "y", "main"];
    for (n, branch) in (1..).zip(branches) {
        enter(&mut store, n, REPO, Some(&format!("refs/heads/{branch}")), &format!("{n:040x}"));
    }
    enter(&mut store, 10, REPO, None, "d");
    enter(&mut store, 20, "busy.git", Some("refs/heads/old"), "e");
    for n in 21..=32 {
        enter(&mut store, n, "busy.git", Some(MAIN), "e");
    }
    put(&mut store, 1, RunState::Complete, &[]);
    put(&mut store, 6, RunState::Failed, &[]);
    put(&mut store, 8, RunState::Complete, &[]);
    put(&mut store, 7, RunState::Active, &[]);
    let main = || Some(MAIN.to_owned());
    let asked = [("none.git".to_owned(), main()), (REPO.to_owned(), main()), ("busy.git".to_owned(), main())];
    let told = store.overview(&asked).unwrap();
    let numbers = |lines: &[RunLine]| lines.iter().map(|line| line.number.unwrap()).collect::<Vec<_>>();
    assert_eq!(told[0], RepoOverview { repo: "none.git".to_owned(), ..RepoOverview::default() });
    let line = told[1].default_run.as_ref().unwrap();
    let record = store.run(&id(6)).unwrap().unwrap();
    let expected = RunLine {
        seq: record.seq,
        run_id: id(6),
        number: Some(6),
        ref_name: main(),
        sha: Some(format!("{:040x}", 6)),
        state: RunState::Failed,
        failure_kind: Some(FailureKind::Job),
        queued_at_ms: Some(1006),
        started_at_ms: Some(5000),
        finished_at_ms: Some(6000),
    };
    assert_eq!(*line, expected);
    assert_eq!(store.newest_ended(REPO, MAIN).unwrap().unwrap().row.run_id, line.run_id);
    // Newest first; x is one too many.
    assert_eq!(numbers(&told[1].others), [8, 7, 5]);
    assert_eq!(numbers(&told[1].open), [2, 3, 4, 5, 7, 9, 10]);
    assert_eq!((told[2].default_run.as_ref(), &told[2].others[..], told[2].open.len()), (None, &[][..], 13));
    // Without a default branch all are others.
    let told = store.overview(&[(REPO.to_owned(), None)]).unwrap();
    assert_eq!((told[0].default_run.as_ref(), numbers(&told[0].others)), (None, vec![9, 8, 7]));
    // An ended run that is older than those looked through.
    put(&mut store, 21, RunState::Aborted, &[]);
    enter(&mut store, 33, "busy.git", Some(MAIN), "e");
    let told = store.overview(&[("busy.git".to_owned(), main())]).unwrap();
    assert_eq!(told[0].default_run.as_ref().map(|line| line.run_id.clone()), Some(id(21)));
}

#[test]
fn a_pulse_and_a_version_change_with_what_they_stand_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    assert_eq!(store.pulse().unwrap(), Pulse::default());
    assert_eq!(store.run_version(&id(2)).unwrap(), None);
    enter(&mut store, 2, REPO, Some(MAIN), "a");
    enter(&mut store, 1, REPO, Some(MAIN), "a");
    let newest_seq = store.run(&id(1)).unwrap().map(|run| run.seq);
    let pulse = |open: &[(RunId, RunState)]| {
        let open = open.iter().map(|(run_id, state)| (run_id.clone(), REPO.to_owned(), *state));
        Pulse { newest_seq, open: open.collect() }
    };
    let version = |stream_offset, state, logs_removed| Some(RunVersion { stream_offset, state, logs_removed });
    assert_eq!(store.pulse().unwrap(), pulse(&[(id(1), RunState::Pending), (id(2), RunState::Pending)]));
    assert_eq!(store.run_version(&id(2)).unwrap(), version(0, RunState::Pending, false));
    put(&mut store, 2, RunState::Active, &[]);
    assert_eq!(store.pulse().unwrap(), pulse(&[(id(1), RunState::Pending), (id(2), RunState::Active)]));
    assert_eq!(store.run_version(&id(2)).unwrap(), version(7, RunState::Active, false));
    put(&mut store, 2, RunState::Failed, &[]);
    assert_eq!(store.pulse().unwrap(), pulse(&[(id(1), RunState::Pending)]));
    store.write(|writing| writing.note_logs_removed(&id(2), 9000, 1)).unwrap();
    assert_eq!(store.run_version(&id(2)).unwrap(), version(7, RunState::Failed, true));
    assert_eq!(store.repos_since(0).unwrap(), [REPO]);
    assert_eq!(store.repos_since(newest_seq.unwrap()).unwrap(), [""; 0]);
}

/// How long this thread has had a processor, milliseconds.
fn busy_ms() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// `cargo test -p quire-ci --test store_pages -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn how_long_pages_of_500_repositories_with_200_runs_each_take() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let repo = |n: usize| format!("team/repository-{n:03}.git");
    let mut n = 0;
    for round in 0..200 {
        let runs: Vec<NewRun> = (0..500)
            .map(|of| {
                n += 1;
                NewRun {
                    run_id: RunId::new(&format!("019a{n:08x}-7000-8000-000000000000")),
                    repo: repo(of),
                    ref_name: Some(format!("refs/heads/{}", ["main", "x", "main", "y", "z"][(round + of) % 5])),
                    sha: format!("{n:040x}"),
                    by: None,
                    at_ms: n,
                    origin: Origin::Push,
                    params: Default::default(),
                    jobs: Vec::new(),
                }
            })
            .collect();
        store.write(|writing| writing.enter(&runs, &[], &[])).unwrap();
    }
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    raw.execute(
        "UPDATE runs SET state = 'complete', started_at_ms = queued_at_ms, finished_at_ms = queued_at_ms + 5
         WHERE seq <= 99800",
        [],
    )
    .unwrap();
    let repos: Vec<(String, Option<String>)> = (0..500).map(|n| (repo(n), Some(MAIN.to_owned()))).collect();
    for _ in 0..5 {
        let time = |name: &str, ask: &dyn Fn() -> usize| {
            let (begun, busy) = (Instant::now(), busy_ms());
            let count = ask();
            println!(
                "{name}: {count} in {:.2} ms, of which {:.2} ms at work",
                begun.elapsed().as_secs_f64() * 1e3,
                busy_ms() - busy
            );
        };
        time("overview", &|| store.overview(&repos).unwrap().iter().filter(|one| one.default_run.is_some()).count());
        time("recorded repositories", &|| store.recorded_repos().unwrap().len());
        time("pulse", &|| store.pulse().unwrap().open.len());
        time("50 runs with jobs", &|| {
            store.runs_with_jobs(&RunFilter { limit: Some(50), ..RunFilter::default() }).unwrap().len()
        });
    }
}
