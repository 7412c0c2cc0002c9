//! The writer of a server: whole batches for readers, one commit for many pieces, and nothing lost to a database that is held.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use quire_ci::store::{Batch, GroupWriter, RunFilter, Store, StoreError};
use quire_core::ids::{JobId, RunId};
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::{JobRow, JobState, RowCommand, RunRow, RunState};
use rusqlite::Connection;

#[path = "support/disk.rs"]
#[allow(dead_code)]
mod disk;

const LONG: Duration = Duration::from_secs(60);

fn id(n: usize) -> RunId {
    RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000"))
}

fn new_run(n: usize) -> NewRun {
    NewRun {
        run_id: id(n),
        repo: "foo.git".to_owned(),
        ref_name: None,
        sha: "a".repeat(40),
        by: None,
        at_ms: 1,
        origin: Origin::Push,
        params: Default::default(),
        jobs: Vec::new(),
    }
}

fn run_row(n: usize) -> RowCommand {
    RowCommand::PutRun(RunRow {
        run_id: id(n),
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
        started_at_ms: Some(10),
        finished_at_ms: None,
        fingerprint: None,
    })
}

fn job_row(n: usize, job: &str, mark: i32) -> RowCommand {
    RowCommand::PutJob(JobRow {
        run_id: id(n),
        job_id: JobId::from_record(job),
        position: 0,
        state: JobState::Active,
        exit_code: Some(mark),
        started_at_ms: Some(11),
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
}

fn batch(rows: impl IntoIterator<Item = RowCommand>) -> Box<Batch> {
    let mut batch = Box::<Batch>::default();
    batch.extend(rows);
    batch
}

fn database(dir: &Path) -> std::path::PathBuf {
    dir.join("quire.db")
}

/// Hands a run over and waits for its number.
fn enter(writer: &GroupWriter, n: usize) -> Result<Vec<u64>, StoreError> {
    let (done, answer) = mpsc::channel();
    writer.write(move |writing| writing.enter(&[new_run(n)], &[], &[]), move |said| done.send(said).unwrap());
    answer.recv_timeout(LONG).unwrap()
}

#[test]
fn readers_never_see_half_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let writer = GroupWriter::start(&path).unwrap();
    let is_over = AtomicBool::new(false);
    let (seen, last) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let store = Store::open(&path).unwrap();
            let (mut seen, mut last) = (0, 0);
            while !is_over.load(Ordering::Acquire) {
                let jobs = store.jobs(&id(1)).unwrap();
                let marks: Vec<i32> = jobs.iter().map(|job| job.exit_code.unwrap()).collect();
                assert!(
                    matches!(marks[..], []) || matches!(marks[..], [a, b] if a == b && a >= last),
                    "{marks:?} {last}"
                );
                if marks.first().is_some_and(|mark| *mark != last) {
                    last = marks[0];
                    seen += 1;
                }
            }
            (seen, last)
        });
        let done = Arc::new(AtomicUsize::new(0));
        let (all, finished) = mpsc::channel();
        for mark in 1..=10_000 {
            let rows = batch([run_row(1), job_row(1, "a", mark), job_row(1, "b", mark)]);
            let (done, all) = (Arc::clone(&done), all.clone());
            let handed = writer.write_batch(id(1), rows, 1, move |said| {
                said.unwrap();
                if done.fetch_add(1, Ordering::AcqRel) + 1 == 10_000 {
                    all.send(()).unwrap();
                }
            });
            handed.unwrap();
        }
        finished.recv_timeout(LONG).unwrap();
        is_over.store(true, Ordering::Release);
        reader.join().unwrap()
    });
    assert!(seen > 1, "the reader came too late: {seen}");
    assert!(last <= 10_000);
    let jobs = Store::open(&path).unwrap().jobs(&id(1)).unwrap();
    assert_eq!(jobs.iter().map(|job| job.exit_code).collect::<Vec<_>>(), [Some(10_000), Some(10_000)]);
}

#[test]
fn work_that_fails_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let writer = GroupWriter::start(&path).unwrap();
    // Held, so that all of them come into one transaction.
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (done, answers) = mpsc::channel();
    // The last enters run 4, then fails over run 2: nothing of it may stay.
    for runs in [vec![1], vec![2], vec![1], vec![3], vec![4, 2]] {
        let (done, runs) = (done.clone(), runs.into_iter().map(new_run).collect::<Vec<_>>());
        writer.write(move |writing| writing.enter(&runs, &[], &[]), move |said| done.send(said.ok()).unwrap());
    }
    holder.execute_batch("COMMIT").unwrap();
    let got: Vec<_> = (0..5).map(|_| answers.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(got, [Some(vec![1]), Some(vec![2]), None, Some(vec![3]), None]);
    writer.stop();
    let store = Store::open(&path).unwrap();
    let ids: Vec<_> = store.open_runs().unwrap().into_iter().map(|run| run.run_id).collect();
    assert_eq!(ids, [id(1), id(2), id(3)]);
}

#[test]
fn a_busy_database_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let writer = GroupWriter::start(&path).unwrap();
    enter(&writer, 0).unwrap();
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (done, answers) = mpsc::channel();
    for n in 1..=50 {
        let done = done.clone();
        writer.write(
            move |writing| writing.enter(&[new_run(n)], &[], &[]),
            move |said| done.send(said.unwrap()).unwrap(),
        );
    }
    // It says so once its first attempt is over.
    while writer.pressure().failing.is_none() {
        std::thread::yield_now();
    }
    assert_eq!(writer.pressure().pieces, 50);
    assert!(answers.try_recv().is_err());
    holder.execute_batch("ROLLBACK").unwrap();
    for number in 2..=51 {
        assert_eq!(answers.recv_timeout(LONG).unwrap(), [number]);
    }
    assert_eq!(writer.pressure().failing, None);
    assert_eq!(enter(&writer, 99).unwrap(), [52]);
}

#[test]
fn pieces_are_done_and_told_in_the_order_in_which_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Arc::new(GroupWriter::start(&database(dir.path())).unwrap());
    let order = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    for n in 0..3000 {
        let (worked, told) = (Arc::clone(&order), Arc::clone(&order));
        writer.write(
            move |_| {
                worked.lock().unwrap().0.push(n);
                Ok(())
            },
            move |said| {
                said.unwrap();
                told.lock().unwrap().1.push(n);
            },
        );
    }
    writer.stop();
    let order = order.lock().unwrap();
    let all: Vec<i32> = (0..3000).collect();
    assert_eq!((&order.0, &order.1), (&all, &all));
}

#[test]
fn what_is_told_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let writer = GroupWriter::start(&path).unwrap();
    let reader = Mutex::new(Store::open(&path).unwrap());
    let (done, answers) = mpsc::channel();
    let reader = Arc::new(reader);
    for n in 0..100 {
        let (done, reader) = (done.clone(), Arc::clone(&reader));
        writer.write(
            move |writing| writing.enter(&[new_run(n)], &[], &[]),
            move |said| {
                said.unwrap();
                done.send(reader.lock().unwrap().run(&id(n)).unwrap().is_some()).unwrap();
            },
        );
    }
    assert!((0..100).all(|_| answers.recv_timeout(LONG).unwrap()));
}

#[test]
fn stopping_writes_what_waits_and_refuses_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let writer = GroupWriter::start(&path).unwrap();
    for n in 0..500 {
        writer.write(move |writing| writing.enter(&[new_run(n)], &[], &[]), |said| drop(said.unwrap()));
    }
    writer.stop();
    assert_eq!(Store::open(&path).unwrap().runs(&RunFilter::default()).unwrap().len(), 500);
    assert!(matches!(enter(&writer, 600), Err(StoreError::Stopped { .. })));
    writer.stop();
}

#[test]
fn a_broken_database_tells_each_piece_and_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let writer = GroupWriter::start(&path).unwrap();
    enter(&writer, 1).unwrap();
    // A table that is gone breaks the work, not the writer.
    let breaker = Connection::open(&path).unwrap();
    breaker.execute_batch("ALTER TABLE runs RENAME TO away").unwrap();
    assert!(matches!(enter(&writer, 2), Err(StoreError::Refused { .. })));
    breaker.execute_batch("ALTER TABLE away RENAME TO runs").unwrap();
    assert_eq!(enter(&writer, 3).unwrap(), [2]);
}

#[test]
fn a_full_disk_is_told_and_the_next_work_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk::Disk::mounted(dir.path().join("disk"), "2m");
    let path = database(&dir.path().join("disk"));
    let writer = GroupWriter::start(&path).unwrap();
    assert_eq!(enter(&writer, 1).unwrap(), [1]);
    disk.fill();
    let (done, answers) = mpsc::channel();
    for n in 2..=20 {
        let (done, big) = (done.clone(), NewRun { by: Some("x".repeat(100_000)), ..new_run(n) });
        writer.write(move |writing| writing.enter(&[big], &[], &[]), move |said| done.send((n, said)).unwrap());
    }
    let mut written = vec![id(1)];
    for _ in 2..=20 {
        match answers.recv_timeout(LONG).unwrap() {
            (n, Ok(_)) => written.push(id(n)),
            (_, Err(StoreError::Full { .. })) => {}
            (_, Err(other)) => panic!("{other}"),
        }
    }
    assert!(written.len() < 20);
    disk.empty();
    assert!(enter(&writer, 30).is_ok());
    written.push(id(30));
    let runs = Store::open(&path).unwrap().open_runs().unwrap();
    assert_eq!(runs.into_iter().map(|run| run.run_id).collect::<Vec<_>>(), written);
    writer.stop();
}

#[test]
fn a_batch_without_room_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let writer = GroupWriter::start(&path).unwrap();
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let large = || batch((0..30_000).map(|n| job_row(1, &format!("j{n}"), 0)).chain([run_row(1)]));
    let (done, answers) = mpsc::channel();
    let mut refused = None;
    for n in 0..4 {
        let done = done.clone();
        if let Err(batch) = writer.write_batch(id(1), large(), n + 1, move |said| done.send(said.is_ok()).unwrap()) {
            refused = Some((n, batch.len()));
        }
    }
    assert_eq!(refused, Some((3, 30_001)));
    holder.execute_batch("COMMIT").unwrap();
    assert!((0..3).all(|_| answers.recv_timeout(LONG).unwrap()));
    assert_eq!(Store::open(&path).unwrap().run(&id(1)).unwrap().unwrap().stream_offset, 3);
}
