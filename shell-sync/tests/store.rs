//! The store with real SQLite: what the schema refuses, what puts leave alone, how runs are numbered, listed and named.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Barrier;

use quire_ci::store::{NewRun, RunFilter, SelectError, Store, StoreError};
use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, RunState, ShRow};
use quire_core::wire::FailureKind;
use rusqlite::Connection;

fn id(n: u32) -> RunId {
    RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000"))
}

fn new_run(n: u32, repo: &str) -> NewRun {
    NewRun { run_id: id(n), repo: repo.to_owned(), at_ms: 1000, owner: Some("me".to_owned()) }
}

fn run_row(n: u32, state: RunState) -> RunRow {
    let has_ended = !matches!(state, RunState::Pending | RunState::Active);
    RunRow {
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
        failure_kind: None,
        error: None,
        started_at_ms: Some(10),
        finished_at_ms: has_ended.then_some(20),
        fingerprint: None,
    }
}

fn job_row(n: u32, job: &str, state: JobState) -> JobRow {
    let has_ended = !matches!(state, JobState::Pending | JobState::Active);
    JobRow {
        run_id: id(n),
        job_id: JobId::from_record(job),
        position: 0,
        state,
        exit_code: None,
        started_at_ms: Some(11),
        finished_at_ms: has_ended.then_some(19),
        allowed: false,
        flaky: false,
        replayed: false,
        attempts: 1,
        skip_reason: None,
        error: None,
        error_file: None,
        error_line: None,
    }
}

fn sh_row(run: u32, job: &str, n: u32, exit_code: Option<i32>) -> ShRow {
    ShRow {
        run_id: id(run),
        job_id: JobId::from_record(job),
        n,
        started_at_ms: 12,
        finished_at_ms: exit_code.map(|_| 13),
        exit_code,
        cmd: "true".to_owned(),
        attempt: 1,
        signal: None,
        cause: None,
        error: None,
        no_eol: None,
        masked: false,
        truncated: false,
        detached: false,
        replayed: false,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("quire.db")).unwrap()
}

#[test]
fn what_is_put_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let run = RunRow {
        number: Some(7),
        repo: Some("work/foo.git".to_owned()),
        ref_name: Some("refs/heads/main".to_owned()),
        sha: Some("a".repeat(40)),
        pushed_at_ms: Some(5),
        executor: Some("host".to_owned()),
        version: Some("0.1.0".to_owned()),
        resumed_from: Some(id(9)),
        failure_kind: Some(FailureKind::Job),
        error: Some("it\nbroke".to_owned()),
        fingerprint: Some("f".to_owned()),
        ..run_row(1, RunState::Failed)
    };
    let job = JobRow {
        exit_code: Some(-1),
        allowed: true,
        flaky: true,
        replayed: true,
        attempts: 3,
        error: Some("e".to_owned()),
        error_file: Some(".quire/ci.lua".to_owned()),
        error_line: Some(7),
        ..job_row(1, "build", JobState::Failed)
    };
    let skipped = JobRow {
        position: 1,
        started_at_ms: None,
        attempts: 0,
        skip_reason: Some("a word of tomorrow".to_owned()),
        ..job_row(1, "a-later-one", JobState::Skipped)
    };
    let command = ShRow {
        signal: Some(9),
        cause: Some("timeout".to_owned()),
        error: Some("e".to_owned()),
        no_eol: Some("stdout,stderr".to_owned()),
        masked: true,
        truncated: true,
        detached: true,
        replayed: true,
        ..sh_row(1, "build", 2, Some(137))
    };
    let open_command = sh_row(1, "build", 10, None);
    let rows = [
        RowCommand::PutRun(run.clone()),
        RowCommand::PutJob(job.clone()),
        RowCommand::PutJob(skipped.clone()),
        RowCommand::PutSh(open_command.clone()),
        RowCommand::PutSh(command.clone()),
    ];
    for _ in 0..2 {
        store.apply(&id(1), &rows, 77).unwrap();
        let read = store.run(&id(1)).unwrap().unwrap();
        assert_eq!((read.row, read.stream_offset, read.owner), (run.clone(), 77, None));
        assert_eq!(store.jobs(&id(1)).unwrap(), [job.clone(), skipped.clone()]);
        assert_eq!(store.commands(&id(1), None).unwrap(), [command.clone(), open_command.clone()]);
        assert_eq!(store.commands(&id(1), Some(&skipped.job_id)).unwrap(), []);
    }
    store.delete_run(&id(1)).unwrap();
    assert!(store.jobs(&id(1)).unwrap().is_empty() && store.commands(&id(1), None).unwrap().is_empty());
}

#[test]
fn what_has_ended_stays_as_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let ended = [
        RowCommand::PutRun(run_row(1, RunState::Aborted)),
        RowCommand::PutJob(job_row(1, "a", JobState::Aborted)),
        RowCommand::PutSh(sh_row(1, "a", 1, Some(3))),
    ];
    store.apply(&id(1), &ended, 10).unwrap();
    let late = [
        RowCommand::PutRun(run_row(1, RunState::Active)),
        RowCommand::PutJob(job_row(1, "a", JobState::Complete)),
        RowCommand::PutSh(sh_row(1, "a", 1, None)),
    ];
    store.apply(&id(1), &late, 11).unwrap();
    assert_eq!(store.run(&id(1)).unwrap().unwrap().row.state, RunState::Aborted);
    assert_eq!(store.jobs(&id(1)).unwrap()[0].state, JobState::Aborted);
    assert_eq!(store.commands(&id(1), None).unwrap()[0].exit_code, Some(3));

    let direct = Connection::open(store.path()).unwrap();
    for sql in [
        "UPDATE runs SET state = 'active', finished_at_ms = NULL",
        "UPDATE runs SET state = 'complete'",
        "UPDATE jobs SET state = 'active', finished_at_ms = NULL",
        "UPDATE sh_events SET finished_at_ms = NULL, exit_code = NULL",
    ] {
        let error = direct.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("ended"), "{sql}: {error}");
    }
}

#[test]
fn the_schema_refuses_rows_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.apply(&id(1), &[RowCommand::PutRun(run_row(1, RunState::Active))], 0).unwrap();
    store.apply(&id(1), &[RowCommand::PutJob(job_row(1, "a", JobState::Active))], 0).unwrap();
    let direct = Connection::open(store.path()).unwrap();
    direct.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let run = |columns: &str, values: &str| format!("INSERT INTO runs (id, {columns}) VALUES ('x', {values})");
    let job = |state: &str, started: &str, finished: &str| {
        format!(
            "INSERT INTO jobs (run_id, job_id, position, state, started_at_ms, finished_at_ms, allowed, flaky, replayed,
             attempts) VALUES ('{}', 'x', 0, '{state}', {started}, {finished}, 0, 0, 0, 0)",
            id(1)
        )
    };
    let sh = |job: &str, n: &str, finished: &str, exit: &str, cause: &str| {
        format!(
            "INSERT INTO sh_events (run_id, job_id, n, started_at_ms, finished_at_ms, exit_code, cmd, attempt, cause, masked,
             truncated, detached, replayed) VALUES ('{}', '{job}', {n}, 5, {finished}, {exit}, 'c', 1, {cause}, 0, 0, 0, 0)",
            id(1)
        )
    };
    let table = [
        // Which times may be NULL in which state.
        (run("state", "'pending'"), false),
        (run("state, queued_at_ms", "'pending', 1"), true),
        (run("state, queued_at_ms, started_at_ms", "'pending', 1, 2"), false),
        (run("state", "'active'"), false),
        (run("state, started_at_ms", "'active', 1"), true),
        (run("state, started_at_ms, finished_at_ms", "'active', 1, 2"), false),
        (run("state, started_at_ms", "'complete', 1"), false),
        (run("state, finished_at_ms", "'complete', 1"), false),
        (run("state, started_at_ms, finished_at_ms", "'complete', 1, 1"), true),
        (run("state, finished_at_ms", "'failed', 1"), true),
        (run("state, finished_at_ms", "'aborted', 1"), true),
        (run("state, started_at_ms", "'failed', 1"), false),
        (run("state, finished_at_ms", "'superseded', 1"), true),
        (run("state, started_at_ms, finished_at_ms", "'superseded', 1, 1"), false),
        (run("state, started_at_ms, finished_at_ms", "'failed', 2, 1"), false),
        (run("state, finished_at_ms", "'odd', 1"), false),
        (run("state, finished_at_ms, failure_kind", "'failed', 1, 'odd'"), false),
        (run("state, started_at_ms, failure_kind", "'active', 1, 'job'"), false),
        (run("state, started_at_ms", "'active', 'noon'"), false),
        (run("state, started_at_ms, number", "'active', 1, 0"), false),
        (run("state, started_at_ms, number", "'active', 1, 1"), false),
        (run("state, started_at_ms, number, repo", "'active', 1, 1, 'other'"), true),
        (job("pending", "NULL", "NULL"), true),
        (job("pending", "1", "NULL"), false),
        (job("active", "NULL", "NULL"), false),
        (job("active", "1", "NULL"), true),
        (job("complete", "NULL", "1"), false),
        (job("complete", "1", "NULL"), false),
        (job("complete", "1", "0"), false),
        (job("failed", "1", "1"), true),
        (job("skipped", "NULL", "1"), true),
        (job("skipped", "1", "1"), true),
        (job("skipped", "1", "NULL"), false),
        (job("aborted", "NULL", "1"), true),
        (job("superseded", "NULL", "1"), false),
        (sh("a", "1", "NULL", "NULL", "NULL"), true),
        (sh("a", "1", "NULL", "0", "NULL"), false),
        (sh("a", "1", "6", "0", "NULL"), true),
        (sh("a", "1", "4", "0", "NULL"), false),
        (sh("a", "1", "6", "NULL", "NULL"), false),
        (sh("a", "1", "6", "NULL", "'crash'"), true),
        (sh("a", "1", "6", "NULL", "'cancel'"), false),
        (sh("a", "1", "6", "0", "'odd'"), false),
        (sh("a", "0", "6", "0", "NULL"), false),
        (sh("nobody", "1", "6", "0", "NULL"), false),
    ];
    for (sql, allowed) in table {
        direct.execute_batch("SAVEPOINT one").unwrap();
        let outcome = direct.execute(&sql, []);
        assert_eq!(outcome.is_ok(), allowed, "{sql}: {outcome:?}");
        direct.execute_batch("ROLLBACK TO one; RELEASE one").unwrap();
    }
    // The store's own error is typed.
    let orphan = RowCommand::PutSh(sh_row(1, "nobody", 1, None));
    assert!(matches!(store.apply(&id(1), &[orphan], 0), Err(StoreError::Refused { .. })));
}

#[test]
fn numbers_count_by_repository_and_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    assert_eq!(store.reserve_run(&new_run(1, "a")).unwrap(), 1);
    assert_eq!(store.reserve_run(&new_run(2, "a")).unwrap(), 2);
    assert_eq!(store.reserve_run(&new_run(3, "b")).unwrap(), 1);
    assert_eq!(store.reserve_run(&new_run(2, "a")).unwrap(), 2);
    let number = |store: &Store, n| store.run(&id(n)).unwrap().unwrap().row.number;
    // A stream that tells no number or repository changes neither.
    store.apply(&id(2), &[RowCommand::PutRun(run_row(2, RunState::Active))], 1).unwrap();
    let kept = store.run(&id(2)).unwrap().unwrap();
    assert_eq!((kept.row.number, kept.row.repo.as_deref(), kept.owner.as_deref()), (Some(2), Some("a"), Some("me")));
    // One that was not reserved gets the next; one that tells a free number keeps it; a taken one gives way.
    let told =
        |n, number| RowCommand::PutRun(RunRow { number, repo: Some("a".to_owned()), ..run_row(n, RunState::Active) });
    store.apply(&id(4), &[told(4, None)], 1).unwrap();
    store.apply(&id(5), &[told(5, Some(9))], 1).unwrap();
    store.apply(&id(6), &[told(6, Some(9))], 1).unwrap();
    store.apply(&id(7), &[told(7, Some(0))], 1).unwrap();
    store.apply(&id(8), &[told(8, Some(u64::MAX))], 1).unwrap();
    assert_eq!([4, 5, 6, 7, 8].map(|n| number(&store, n)), [3, 9, 10, 11, 12].map(Some));
    // The repository may come late, with the number that counts there.
    store.apply(&id(10), &[RowCommand::PutRun(run_row(10, RunState::Active))], 1).unwrap();
    assert_eq!(number(&store, 10), Some(1));
    store.apply(&id(10), &[told(10, Some(20))], 2).unwrap();
    assert_eq!(number(&store, 10), Some(20));
}

#[test]
fn two_programs_at_once_make_one_database_and_take_different_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(4);
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (barrier, dir) = (&barrier, dir.path());
                scope.spawn(move || {
                    barrier.wait();
                    let mut store = open(dir);
                    (0..25).map(|n| store.reserve_run(&new_run(thread * 100 + n, "a")).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<u64>>());
    let mut left: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    left.sort();
    assert_eq!(left, ["quire.db"]);
}

#[test]
fn a_database_that_cannot_be_used_says_why_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quire.db");
    drop(open(dir.path()));
    let direct = Connection::open(&path).unwrap();
    direct.pragma_update(None, "user_version", 99).unwrap();
    drop(direct);
    let newer = Store::open(&path).unwrap_err();
    assert!(matches!(newer, StoreError::Newer { found: 99, known: 2, .. }));
    assert!(newer.to_string().contains("upgrade quire") && newer.to_string().contains("quire.db"), "{newer}");

    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, "no database at all, and long enough to be sure of it".repeat(100)).unwrap();
    let corrupt = Store::open(&garbage).unwrap_err();
    assert!(matches!(corrupt, StoreError::Corrupt { .. }), "{corrupt:?}");
    assert!(corrupt.to_string().contains("quire-ci rebuild"), "{corrupt}");

    let missing = Store::open(&dir.path().join("no/such/quire.db")).unwrap_err();
    assert!(matches!(missing, StoreError::CannotOpen { .. }), "{missing:?}");

    // A crash right after the file was made leaves an empty one: as good as none.
    let empty = dir.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(Store::open(&empty).unwrap().reserve_run(&new_run(1, "a")).unwrap(), 1);
}

#[test]
fn a_held_write_lock_is_busy_after_the_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let holder = Connection::open(store.path()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.wait_at_most(std::time::Duration::ZERO).unwrap();
    let busy = store.reserve_run(&new_run(1, "a")).unwrap_err();
    assert!(matches!(busy, StoreError::Busy { .. }) && busy.is_passing());
    assert!(store.runs(&RunFilter::default()).unwrap().is_empty(), "reading goes on");
    holder.execute_batch("COMMIT").unwrap();
    assert_eq!(store.reserve_run(&new_run(1, "a")).unwrap(), 1);
}

#[test]
fn a_thousand_runs_come_newest_first_by_page_and_filter() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for n in 0..1000 {
        // Ids fall as if the clock stepped back all the time: the order is that of arrival.
        let n_id = 5000 - n;
        let repo = if n % 2 == 0 { "a" } else { "b" };
        let state = if n % 10 == 0 { RunState::Failed } else { RunState::Complete };
        let ref_name = Some(format!("refs/heads/{}", n % 3));
        let row = RunRow { repo: Some(repo.to_owned()), ref_name, ..run_row(n_id, state) };
        store.apply(&id(n_id), &[RowCommand::PutRun(row)], 0).unwrap();
    }
    let all = store.runs(&RunFilter::default()).unwrap();
    assert_eq!(all.len(), 1000);
    assert_eq!(all[0].row.run_id, id(4001));
    assert!(all.windows(2).all(|pair| pair[0].seq > pair[1].seq));
    let page = |before| store.runs(&RunFilter { limit: Some(10), before, ..RunFilter::default() }).unwrap();
    let first = page(None);
    assert_eq!([first, page(Some(all[9].seq))].concat(), all[..20]);
    for (repo, state, ref_name) in [
        (Some("a"), None, None),
        (None, Some(RunState::Failed), None),
        (Some("b"), Some(RunState::Complete), None),
        (Some("a"), None, Some("refs/heads/1")),
        (None, None, Some("refs/heads/2")),
        (Some("b"), Some(RunState::Failed), Some("refs/heads/1")),
    ] {
        let filter = RunFilter {
            repo: repo.map(str::to_owned),
            state,
            ref_name: ref_name.map(str::to_owned),
            ..RunFilter::default()
        };
        let wanted: Vec<_> = all
            .iter()
            .filter(|run| repo.is_none_or(|repo| run.row.repo.as_deref() == Some(repo)))
            .filter(|run| state.is_none_or(|state| run.row.state == state))
            .filter(|run| ref_name.is_none_or(|name| run.row.ref_name.as_deref() == Some(name)))
            .cloned()
            .collect();
        assert_eq!(store.runs(&filter).unwrap(), wanted, "{filter:?}");
    }
}

#[test]
fn a_run_is_named_by_number_word_id_or_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    assert!(matches!(store.select("last"), Err(SelectError::Empty)));
    let sha = |n: u32| Some(format!("{n:07}{}", "c".repeat(33)));
    for (n, sha, state) in [
        (1, sha(1), RunState::Complete),
        (2, sha(2), RunState::Failed),
        (3, sha(1), RunState::Complete),
        (0x30, Some("abcdef0123".to_owned()), RunState::Active),
        (0x31, Some("abcdef0999".to_owned()), RunState::Complete),
    ] {
        store.reserve_run(&new_run(n, "r")).unwrap();
        store.apply(&id(n), &[RowCommand::PutRun(RunRow { sha, ..run_row(n, state) })], 0).unwrap();
    }
    let ok = |text: &str, n: u32| assert_eq!(store.select(text).unwrap(), id(n), "{text}");
    ok("1", 1);
    ok("000002", 2);
    ok("last", 0x31);
    ok("last-failed", 2);
    ok("019a0000-0003", 3);
    ok("019A0000-0003", 3);
    ok(id(2).as_str(), 2);
    ok("0000001", 3);
    ok("0000002ccc", 2);
    ok("abcdef01", 0x30);
    let several = |text: &str, count: usize| match store.select(text) {
        Err(error @ SelectError::Several { .. }) => {
            let shown = error.to_string();
            let SelectError::Several { matches, .. } = error else { unreachable!() };
            assert_eq!(matches.len(), count, "{text}");
            assert!(matches.iter().all(|run| shown.contains(run.row.run_id.as_str())), "{shown}");
            assert!(matches.windows(2).all(|pair| pair[0].seq > pair[1].seq));
        }
        other => panic!("{text}: {other:?}"),
    };
    several("019a0000", 5);
    several("019a0000-003", 2);
    several("abcdef0", 2);
    for text in ["9", "7777777", "ffffffff-1"] {
        let error = store.select(text).unwrap_err();
        assert!(matches!(&error, SelectError::None { latest, .. } if latest.len() == 5), "{text}: {error:?}");
        assert!(error.to_string().contains(id(0x31).as_str()), "{error}");
    }
    for text in ["", "abc", "019a", "lost", "'; DROP TABLE runs", "%"] {
        let error = store.select(text).unwrap_err();
        assert!(matches!(&error, SelectError::Form { .. }), "{text}: {error:?}");
        assert!(error.to_string().contains("last-failed"), "{error}");
    }
    // The same number in another repository makes it ambiguous.
    store.reserve_run(&new_run(0x77, "other")).unwrap();
    assert!(matches!(store.select("1"), Err(SelectError::Several { matches, .. }) if matches.len() == 2));
}

#[test]
fn a_run_whose_directory_is_gone_is_closed_by_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let rows = [
        RowCommand::PutRun(run_row(1, RunState::Active)),
        RowCommand::PutJob(job_row(1, "a", JobState::Active)),
        RowCommand::PutSh(ShRow { started_at_ms: 50, ..sh_row(1, "a", 1, None) }),
        RowCommand::PutSh(sh_row(1, "a", 2, Some(0))),
    ];
    store.apply(&id(1), &rows, 5).unwrap();
    for _ in 0..2 {
        store.close_without_stream(&id(1), FailureKind::Orphaned).unwrap();
        let run = store.run(&id(1)).unwrap().unwrap().row;
        assert_eq!((run.state, run.failure_kind), (RunState::Failed, Some(FailureKind::Orphaned)));
        assert_eq!(run.finished_at_ms, Some(50));
        assert_eq!(store.jobs(&id(1)).unwrap()[0].state, JobState::Aborted);
        let commands = store.commands(&id(1), None).unwrap();
        assert_eq!(commands[0].cause.as_deref(), Some("crash"));
        assert_eq!((commands[0].finished_at_ms, commands[1].finished_at_ms), (Some(50), Some(13)));
    }
}
