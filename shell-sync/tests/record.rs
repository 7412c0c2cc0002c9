//! The record with real files and real SQLite: live rows equal caught-up rows equal rebuilt rows, whatever was cut where;
//! dead runs are closed, old ones go; a database in trouble neither fails nor delays a run.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use quickcheck::{Arbitrary, Gen, quickcheck};
use quire_ci::record::{DataDir, RecordError, Retention, RunDir, ingest};
use quire_ci::store::{NewRun, Numbering, RowWriter, RunFilter, RunRecord, Store, StoreError};
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::pairing::Pairing;
use quire_core::rows::{JobRow, JobState, RunState, ShRow};
use quire_core::wire::{
    Event, EventKind, FailureKind, JobFinished, JobListed, JobLogged, JobOutcome, JobRetried, JobSkipped, JobStarted,
    RunFinished, RunLogged, RunOutcome, RunStarted, ShFinished, ShStarted, SkipReason, encode,
};
use rusqlite::Connection;

const WAIT: Duration = Duration::from_secs(20);

fn id(n: u32) -> RunId {
    RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000"))
}

fn new_run(n: u32) -> NewRun {
    NewRun { run_id: id(n), repo: "r".to_owned(), at_ms: 1000, owner: None }
}

fn job(name: &str) -> JobId {
    JobId::from_record(name)
}

fn run_started(number: Option<u64>, jobs: &[&str]) -> EventKind {
    EventKind::RunStarted(RunStarted {
        run_id: id(1),
        version: "0.1.0".to_owned(),
        executor: "host".to_owned(),
        sha: Some("a".repeat(40)),
        ref_name: Some("refs/heads/main".to_owned()),
        seed: Some(7),
        jobs: jobs.iter().map(|name| JobListed { id: job(name), inputs: vec!["quire/push".to_owned()] }).collect(),
        number,
        repo: Some("r".to_owned()),
        pushed_at_ms: None,
        params: BTreeMap::new(),
        resumed_from: None,
        args: Vec::new(),
        pipeline: None,
    })
}

fn job_started(name: &str) -> EventKind {
    EventKind::JobStarted(JobStarted { job_id: job(name) })
}

fn sh_started(name: &str) -> EventKind {
    EventKind::ShStarted(ShStarted {
        job_id: job(name),
        cmd: format!("make {name} \"ä\""),
        key: None,
        cwd: None,
        env: BTreeMap::new(),
        shell: None,
    })
}

fn sh_finished(name: &str, exit_code: i32, sh: Option<u32>) -> EventKind {
    EventKind::ShFinished(ShFinished {
        job_id: job(name),
        exit_code,
        sh,
        signal: None,
        error: None,
        cause: None,
        no_eol: Vec::new(),
        masked: false,
        truncated: false,
        detached: false,
        replayed: false,
    })
}

fn job_finished(name: &str, outcome: JobOutcome) -> EventKind {
    EventKind::JobFinished(JobFinished {
        job_id: job(name),
        outcome,
        output: None,
        masked: false,
        replayed: false,
        allowed: false,
        flaky: false,
        error: None,
    })
}

fn run_finished(outcome: RunOutcome, failure_kind: Option<FailureKind>) -> EventKind {
    EventKind::RunFinished(RunFinished { outcome, failure_kind, error: None, fingerprint: Some("f".to_owned()) })
}

/// A run with parallel commands, a retry, a skip, a failure, and a clock that steps back.
fn whole_run(number: Option<u64>) -> Vec<Event> {
    let kinds = [
        run_started(number, &["build", "lint", "test"]),
        EventKind::RunLogged(RunLogged { text: "hello".to_owned() }),
        job_started("build"),
        sh_started("build"),
        sh_started("build"),
        job_started("lint"),
        sh_finished("build", 0, Some(2)),
        sh_started("lint"),
        sh_finished("lint", 3, None),
        EventKind::JobRetried(JobRetried { job_id: job("lint"), attempt: 2, error: None }),
        EventKind::JobLogged(JobLogged { job_id: job("lint"), text: "again".to_owned() }),
        sh_started("lint"),
        sh_finished("build", 0, None),
        sh_finished("lint", 0, None),
        job_finished("lint", JobOutcome::Complete),
        sh_started("build"),
        sh_finished("build", 1, None),
        job_finished("build", JobOutcome::Failed),
        EventKind::JobSkipped(JobSkipped { job_id: job("test"), reason: SkipReason::InputFailed, text: None }),
        run_finished(RunOutcome::Failed, Some(FailureKind::Job)),
    ];
    let times = |n: usize| if n % 7 == 6 { 1000 } else { 2000 + n as i64 };
    kinds.into_iter().enumerate().map(|(n, kind)| Event { at_ms: times(n), kind }).collect()
}

fn bytes(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| encode(event, &mut bytes));
    bytes
}

/// All that the rows tell of a run; not what only the database knows.
type Rows = (RunRecord, Vec<JobRow>, Vec<ShRow>);

fn rows(store: &Store, run_id: &RunId) -> Rows {
    let mut run = store.run(run_id).unwrap().expect("the run has a row");
    run.seq = 0;
    run.disk_bytes = None;
    run.owner = None;
    (run, store.jobs(run_id).unwrap(), store.commands(run_id, None).unwrap())
}

/// Puts events one by one, as they would come live at their slowest.
fn put_live(store: &mut Store, run_id: &RunId, events: &[Event]) {
    let mut pairing = Pairing::new(run_id.clone());
    let mut line = Vec::new();
    for event in events {
        encode(event, &mut line);
        let mut rows = Vec::new();
        pairing.push(event, &mut rows);
        store.apply(run_id, &rows, line.len() as u64).unwrap();
    }
}

fn put_recorded(store: &mut Store, run_id: &RunId, events: &Path, dead: Option<FailureKind>) {
    let mut bulk = store.bulk(Numbering::AtOnce).unwrap();
    ingest(&mut bulk, run_id, events, dead).unwrap();
    bulk.commit().unwrap();
}

fn record(run: &RunDir, events: &[Event]) {
    let mut log = run.events().unwrap();
    for event in events {
        log.append(&bytes(std::slice::from_ref(event))).unwrap();
    }
}

fn data_dir() -> (tempfile::TempDir, DataDir) {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(&dir.path().join("data")).unwrap();
    (dir, data)
}

#[test]
fn a_stream_cut_at_any_byte_catches_up_to_the_same_rows() {
    let (dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    let run_id = id(1);
    let events = whole_run(Some(4));
    put_live(&mut store, &run_id, &events);
    let live = rows(&store, &run_id);
    assert_eq!(live.0.row.number, Some(4));
    assert_eq!((live.1.len(), live.2.len()), (3, 5));
    assert!(live.2.iter().all(|sh| sh.finished_at_ms.is_some_and(|finished| finished >= sh.started_at_ms)));

    let stream = bytes(&events);
    let path = dir.path().join("events.jsonl");
    for cut in 0..=stream.len() {
        store.delete_run(&run_id).unwrap();
        let mut bulk = store.bulk(Numbering::AtOnce).unwrap();
        fs::write(&path, &stream[..cut]).unwrap();
        ingest(&mut bulk, &run_id, &path, None).unwrap();
        fs::write(&path, &stream).unwrap();
        ingest(&mut bulk, &run_id, &path, Some(FailureKind::Orphaned)).unwrap();
        bulk.commit().unwrap();
        assert_eq!(rows(&store, &run_id), live, "cut at {cut}");
    }
    put_recorded(&mut store, &run_id, &path, Some(FailureKind::Orphaned));
    assert_eq!(rows(&store, &run_id), live, "read again");
}

#[test]
fn a_stream_that_lost_its_end_takes_its_rows_back() {
    let (dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    let events = whole_run(Some(4));
    let path = dir.path().join("events.jsonl");
    for cut in [0, 1, 5, 12] {
        store.delete_run(&id(1)).unwrap();
        put_live(&mut store, &id(1), &events[..15]);
        fs::write(&path, bytes(&events[..cut])).unwrap();
        put_recorded(&mut store, &id(1), &path, Some(FailureKind::Orphaned));
        let left = rows(&store, &id(1));
        assert_eq!(left.0.row.number, Some(4), "a number that was given stays given");
        store.delete_run(&id(1)).unwrap();
        store.reserve_run(&NewRun { at_ms: 2000, ..new_run(1) }).unwrap();
        put_recorded(&mut store, &id(1), &path, Some(FailureKind::Orphaned));
        let mut anew = rows(&store, &id(1));
        anew.0.row.number = Some(4);
        assert_eq!(left, anew, "cut after {cut} events");
    }
}

#[test]
fn bad_lines_are_stepped_over_and_named() {
    let (dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    let events = whole_run(None);
    let mut stream = bytes(&events[..4]);
    stream.extend_from_slice(
        b"{\"at_ms\":1,\"type\":\"sh_finished\"\n\n{\"at_ms\":5,\"type\":\"of_tomorrow\"}\n\xff\xfe\n",
    );
    stream.extend_from_slice(&bytes(&events[4..]));
    let path = dir.path().join("events.jsonl");
    fs::write(&path, &stream).unwrap();
    let mut bulk = store.bulk(Numbering::AtOnce).unwrap();
    let read = ingest(&mut bulk, &id(1), &path, None).unwrap();
    bulk.commit().unwrap();
    assert_eq!(read.bad_lines.iter().map(|bad| bad.line).collect::<Vec<_>>(), [5, 6, 8]);
    assert!(read.bad_lines[0].to_string().contains("events.jsonl:5: "), "{}", read.bad_lines[0]);
    assert!(read.has_run_finished && read.offset == stream.len() as u64 && read.bad_count == 3);
    let mut with_bad = rows(&store, &id(1));
    put_live(&mut store, &id(2), &events);
    let mut without = rows(&store, &id(2));
    for (run, jobs, commands) in [&mut with_bad, &mut without] {
        run.row.run_id = id(0);
        run.row.number = None;
        run.stream_offset = 0;
        jobs.iter_mut().for_each(|job| job.run_id = id(0));
        commands.iter_mut().for_each(|sh| sh.run_id = id(0));
    }
    assert_eq!(with_bad, without);
}

/// Any sequence of events over a few jobs.
#[derive(Debug, Clone)]
struct AnyEvents(Vec<Event>);

impl Arbitrary for AnyEvents {
    fn arbitrary(g: &mut Gen) -> AnyEvents {
        let count = usize::arbitrary(g) % 40;
        AnyEvents((0..count).map(|_| Event { at_ms: i64::from(i8::arbitrary(g)), kind: any_kind(g) }).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = AnyEvents>> {
        let events = self.0.clone();
        Box::new((0..events.len()).map(move |without| {
            let mut fewer = events.clone();
            fewer.remove(without);
            AnyEvents(fewer)
        }))
    }
}

fn any_kind(g: &mut Gen) -> EventKind {
    let name = *g.choose(&["a", "b", ""]).unwrap();
    let sh = *g.choose(&[None, Some(0), Some(1), Some(2)]).unwrap();
    let outcome = *g.choose(JobOutcome::ALL).unwrap();
    match u8::arbitrary(g) % 12 {
        0 => run_started(*g.choose(&[None, Some(0), Some(1), Some(u64::MAX)]).unwrap(), &["b", "a", "a"]),
        1 => run_finished(*g.choose(RunOutcome::ALL).unwrap(), g.choose(FailureKind::ALL).copied()),
        2 | 3 => job_started(name),
        4 => job_finished(name, outcome),
        5 => EventKind::JobRetried(JobRetried { job_id: job(name), attempt: u32::from(u8::arbitrary(g)), error: None }),
        6 => EventKind::JobSkipped(JobSkipped { job_id: job(name), reason: SkipReason::Pipeline, text: None }),
        7..10 => sh_started(name),
        _ => sh_finished(name, i32::arbitrary(g), sh),
    }
}

quickcheck! {
    /// The schema takes every row that pairing can make, and gathering puts changes nothing.
    fn any_stream_has_rows_and_the_same_live_gathered_and_in_two_parts(events: AnyEvents, cut: usize) -> bool {
        let (dir, data) = data_dir();
        let mut store = data.open_store().unwrap();
        let AnyEvents(events) = events;
        let dead = Some(FailureKind::Orphaned);
        let path = dir.path().join("events.jsonl");
        let stream = bytes(&events);

        store.reserve_run(&new_run(1)).unwrap();
        put_live(&mut store, &id(1), &events);
        fs::write(&path, &stream).unwrap();
        put_recorded(&mut store, &id(1), &path, dead);
        let live = rows(&store, &id(1));

        store.delete_run(&id(1)).unwrap();
        store.reserve_run(&new_run(1)).unwrap();
        put_recorded(&mut store, &id(1), &path, dead);
        let gathered = rows(&store, &id(1));

        store.delete_run(&id(1)).unwrap();
        store.reserve_run(&new_run(1)).unwrap();
        fs::write(&path, &stream[..cut % (stream.len() + 1)]).unwrap();
        put_recorded(&mut store, &id(1), &path, None);
        fs::write(&path, &stream).unwrap();
        put_recorded(&mut store, &id(1), &path, dead);
        let in_parts = rows(&store, &id(1));
        live == gathered && live == in_parts
    }
}

#[test]
fn the_writer_writes_the_rows_of_a_run_that_goes_on() {
    let (_dir, data) = data_dir();
    let run = data.create_run(&id(1)).unwrap();
    let writer = RowWriter::start(&data.database(), new_run(1), Some(data.chores(Retention::default())));
    let number = writer.number(WAIT);
    assert_eq!(number, Some(1));
    let events = whole_run(number);
    let mut log = run.events().unwrap();
    for event in &events {
        let end = log.append(&bytes(std::slice::from_ref(event))).unwrap();
        writer.send(event.clone(), end);
    }
    let finished = writer.finish();
    assert_eq!(finished, quire_ci::store::Finished::default());
    let mut store = data.open_store().unwrap();
    let live = rows(&store, &id(1));
    assert_eq!(live.0.stream_offset, log.len());
    assert_eq!(live.0.row.state, RunState::Failed);
    drop(run);
    assert_eq!(data.recover(&mut store).unwrap(), quire_ci::record::Recovered::default());
    drop(store);
    let rebuilt = data.rebuild().unwrap();
    assert_eq!((rebuilt.runs, rebuilt.removed), (1, 0));
    assert_eq!(rows(&data.open_store().unwrap(), &id(1)), live);
}

#[test]
fn rows_appear_while_the_run_goes_on() {
    let (_dir, data) = data_dir();
    let writer = RowWriter::start(&data.database(), new_run(1), None);
    let events = whole_run(writer.number(WAIT));
    let store = data.open_store().unwrap();
    for (n, event) in events[..4].iter().enumerate() {
        writer.send(event.clone(), n as u64 + 1);
    }
    while store.run(&id(1)).unwrap().is_none_or(|run| run.stream_offset < 4) {
        std::thread::yield_now();
    }
    let (run, jobs, commands) = rows(&store, &id(1));
    assert_eq!(run.row.state, RunState::Active);
    assert_eq!((jobs.len(), commands.len()), (3, 1));
    assert_eq!(commands[0].finished_at_ms, None);
    writer.close(FailureKind::Record);
    assert_eq!(writer.finish().behind, None);
    let (run, jobs, commands) = rows(&store, &id(1));
    assert_eq!((run.row.state, run.row.failure_kind), (RunState::Failed, Some(FailureKind::Record)));
    assert!(jobs.iter().all(|job| job.state == JobState::Aborted));
    assert_eq!(commands[0].cause.as_deref(), Some("crash"));
}

#[test]
fn a_database_locked_by_another_delays_only_the_rows() {
    let (_dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    let holder = Connection::open(data.database()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let run = data.create_run(&id(1)).unwrap();
    let writer = RowWriter::start(&data.database(), new_run(1), None);
    assert_eq!(writer.number(Duration::from_millis(1)), None);
    let events = whole_run(None);
    let mut log = run.events().unwrap();
    for event in &events {
        let end = log.append(&bytes(std::slice::from_ref(event))).unwrap();
        writer.send(event.clone(), end);
    }
    let behind = writer.finish().behind.expect("nothing could be written");
    assert!(behind.contains("locked") && behind.contains("catch up"), "{behind}");
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.run(&id(1)).unwrap(), None);

    // The run still holds its lock: it is left alone. Then its rows catch up.
    assert!(data.recover(&mut store).unwrap().caught_up.is_empty());
    drop(run);
    assert_eq!(data.recover(&mut store).unwrap().caught_up, [id(1)]);
    let caught_up = rows(&store, &id(1));
    assert_eq!(caught_up.0.row.number, Some(1));
    put_live(&mut store, &id(2), &whole_run(None));
    assert_eq!(caught_up.1.len(), rows(&store, &id(2)).1.len());
}

#[test]
fn a_database_that_cannot_be_used_costs_a_run_only_its_rows() {
    for spoil in ["newer", "garbage", "directory", "missing"] {
        let (_dir, data) = data_dir();
        let path = match spoil {
            "newer" => {
                drop(data.open_store().unwrap());
                Connection::open(data.database()).unwrap().pragma_update(None, "user_version", 99).unwrap();
                data.database()
            }
            "garbage" => {
                fs::write(data.database(), "not a database".repeat(1000)).unwrap();
                data.database()
            }
            "directory" => {
                fs::create_dir(data.database()).unwrap();
                data.database()
            }
            _ => data.path().join("no/such/place/quire.db"),
        };
        let writer = RowWriter::start(&path, new_run(1), Some(data.chores(Retention::default())));
        assert_eq!(writer.number(WAIT), None, "{spoil}");
        for (n, event) in whole_run(None).into_iter().enumerate() {
            writer.send(event, n as u64);
        }
        let finished = writer.finish();
        assert!(finished.behind.is_some_and(|text| text.contains("quire.db")), "{spoil}");
    }
}

#[test]
fn runs_whose_producer_died_are_closed_and_their_streams_left_alone() {
    let (_dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    let events = whole_run(None);
    // One that the database knows, one that it does not, one that died before its first event, one whose directory is
    // gone, one that lives, and one that ended while the database was away.
    for n in [1, 3, 4, 5] {
        store.reserve_run(&new_run(n)).unwrap();
    }
    let torn = [bytes(&events[..4]), b"{\"at_ms\":17,\"ty".to_vec()].concat();
    for n in [1, 2] {
        let run = data.create_run(&id(n)).unwrap();
        run.events().unwrap().append(&torn).unwrap();
    }
    drop(data.create_run(&id(3)).unwrap());
    let alive = data.create_run(&id(5)).unwrap();
    record(&alive, &events[..4]);
    record(&data.create_run(&id(6)).unwrap(), &events);

    let recovered = data.recover(&mut store).unwrap();
    assert_eq!(recovered.caught_up, [id(6)]);
    let mut closed = recovered.closed.clone();
    closed.sort();
    assert_eq!(closed, [1, 2, 3, 4].map(id));
    assert_eq!(recovered.notes().len(), 4);
    for n in [1, 2, 3, 4] {
        let (run, jobs, commands) = rows(&store, &id(n));
        assert_eq!((run.row.state, run.row.failure_kind), (RunState::Failed, Some(FailureKind::Orphaned)), "{n}");
        assert!(jobs.iter().all(|job| job.state == JobState::Aborted), "{n}");
        assert!(commands.iter().all(|sh| sh.cause.as_deref() == Some("crash")), "{n}");
        assert_eq!(commands.len(), usize::from(n < 3), "{n}");
        if n < 3 {
            assert_eq!(fs::read(data.run(&id(n)).unwrap().events()).unwrap(), torn);
        }
    }
    assert_eq!(rows(&store, &id(5)).0.row.state, RunState::Active);
    assert_eq!(rows(&store, &id(6)).0.row.state, RunState::Failed);
    let numbers: Vec<_> = [1, 3, 4, 5, 2, 6].map(|n| rows(&store, &id(n)).0.row.number).into();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6].map(Some));
    // Nothing is left to do.
    let again = data.recover(&mut store).unwrap();
    assert_eq!(again, quire_ci::record::Recovered::default());
}

#[test]
fn a_rebuild_gives_the_rows_that_were_there() {
    let (_dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    for n in [3, 1, 2] {
        let run = data.create_run(&id(n)).unwrap();
        let events = whole_run(Some(store.reserve_run(&new_run(n)).unwrap()));
        let length = if n == 2 { 9 } else { events.len() };
        record(&run, &events[..length]);
        put_live(&mut store, &id(n), &events[..length]);
    }
    // Closed by who knew better than `orphaned`.
    drop(data.create_run(&id(4)).unwrap());
    store.reserve_run(&new_run(4)).unwrap();
    put_recorded(&mut store, &id(4), Path::new("/nowhere"), Some(FailureKind::Record));
    data.recover(&mut store).unwrap();
    // A queued run, and one whose directory was removed by hand.
    let direct = Connection::open(data.database()).unwrap();
    direct.execute("INSERT INTO runs (id, repo, state, queued_at_ms) VALUES ('q', 'r', 'pending', 1)", []).unwrap();
    drop(direct);
    store.reserve_run(&new_run(9)).unwrap();
    let alive = data.create_run(&id(8)).unwrap();
    let going_on = whole_run(Some(store.reserve_run(&new_run(8)).unwrap()));
    record(&alive, &going_on[..7]);
    put_live(&mut store, &id(8), &going_on[..7]);

    let before: Vec<Rows> = [1, 2, 3, 4, 8].map(|n| rows(&store, &id(n))).into();
    let order = |store: &Store| {
        let runs = store.runs(&RunFilter::default()).unwrap();
        runs.into_iter().map(|run| run.row.run_id).filter(|run_id| *run_id != id(9)).collect::<Vec<_>>()
    };
    let order_before = order(&store);
    let rebuilt = data.rebuild().unwrap();
    assert_eq!((rebuilt.runs, rebuilt.removed, rebuilt.set_aside), (5, 1, None));
    let after: Vec<Rows> = [1, 2, 3, 4, 8].map(|n| rows(&store, &id(n))).into();
    assert_eq!(after, before);
    assert_eq!(order(&store), order_before);
    assert_eq!(store.run(&RunId::new("q")).unwrap().unwrap().row.state, RunState::Pending);

    // The run that goes on writes on as if nothing had been.
    put_live(&mut store, &id(8), &going_on);
    let (run, jobs, commands) = rows(&store, &id(8));
    assert_eq!((run.row.state, jobs.len(), commands.len()), (RunState::Failed, 3, 5));
}

#[test]
fn a_damaged_database_is_set_aside_and_numbers_come_from_the_streams() {
    let (_dir, data) = data_dir();
    // Numbers as told, in an order other than that of ids; one tells none.
    for (n, number) in [(1, None), (2, Some(2)), (3, Some(1))] {
        record(&data.create_run(&id(n)).unwrap(), &whole_run(number));
    }
    fs::write(data.database(), "x".repeat(10_000)).unwrap();
    assert!(matches!(data.open_store(), Err(StoreError::Corrupt { .. })));
    let rebuilt = data.rebuild().unwrap();
    assert_eq!(fs::read(rebuilt.set_aside.unwrap()).unwrap().len(), 10_000);
    let store = data.open_store().unwrap();
    assert_eq!([1, 2, 3].map(|n| rows(&store, &id(n)).0.row.number), [Some(3), Some(2), Some(1)]);
    // A newer database is not touched.
    Connection::open(data.database()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(data.rebuild(), Err(RecordError::Store(StoreError::Newer { .. }))));
}

#[test]
fn retention_keeps_the_newest_and_what_is_in_use() {
    let (_dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    let never = || false;
    for n in 1..=6 {
        let mut run = data.create_run(&id(n)).unwrap();
        let number = store.reserve_run(&new_run(n)).unwrap();
        fs::write(run.files().path().join("big"), vec![1; 100_000]).unwrap();
        drop(run.open_log(&ShId { job: job("build"), n: 1 }).unwrap());
        if n != 2 {
            put_live(&mut store, &id(n), &whole_run(Some(number)));
        }
        if n == 1 {
            fs::create_dir(run.files().path().join("cache")).unwrap();
            fs::write(run.files().path().join("cache/file"), "x").unwrap();
            let locked = std::os::unix::fs::PermissionsExt::from_mode(0o500);
            fs::set_permissions(run.files().path().join("cache"), locked).unwrap();
        }
    }
    // Run 2 goes on; run 3 has ended but its process still holds the lock.
    let held = quire_ci::record::RunLock::take(&data.run(&id(3)).unwrap().lock()).unwrap();
    let keep = Retention { max_runs: 2, max_bytes: u64::MAX };
    let ids =
        |pruned: &quire_ci::record::Pruned| pruned.runs.iter().map(|run| run.row.run_id.clone()).collect::<Vec<_>>();
    let would = data.prune(&mut store, &keep, true, &never).unwrap();
    assert_eq!(ids(&would), [4, 3, 1].map(id));
    assert_eq!(store.run_ids().unwrap().len(), 6, "a dry run removes nothing");
    let did = data.prune(&mut store, &keep, false, &never).unwrap();
    assert_eq!(ids(&did), [4, 1].map(id));
    assert!(did.bytes >= 200_000 && did.problems.is_empty(), "{did:?}");
    assert_eq!(data.run_ids().unwrap(), [2, 3, 5, 6].map(id));
    assert_eq!(store.run_ids().unwrap(), [2, 3, 5, 6].map(id));
    drop(held);
    // By size: only the newest, which is kept always, and the one that goes on.
    let keep = Retention { max_runs: 50, max_bytes: 1 };
    let did = data.prune(&mut store, &keep, false, &|| true).unwrap();
    assert_eq!(ids(&did), [id(5)], "enough after one");
    data.prune(&mut store, &keep, false, &never).unwrap();
    assert_eq!(store.run_ids().unwrap(), [2, 6].map(id));
    assert_eq!(data.prune(&mut store, &Retention::default(), false, &never).unwrap().runs, []);
}

#[test]
fn a_removal_cut_short_is_ended_by_the_next_opening() {
    let (_dir, data) = data_dir();
    let mut store = data.open_store().unwrap();
    record(&data.create_run(&id(1)).unwrap(), &whole_run(None));
    data.recover(&mut store).unwrap();
    fs::rename(data.runs().join(id(1).as_str()), data.runs().join(format!(".gone-{}", id(1)))).unwrap();
    fs::create_dir(data.runs().join(".new-young")).unwrap();
    data.recover(&mut store).unwrap();
    assert_eq!(store.run_ids().unwrap(), []);
    let left: Vec<_> = fs::read_dir(data.runs()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".new-young"]);
}

#[test]
fn two_runs_at_once_in_one_workspace_both_have_their_rows() {
    let (_dir, data) = data_dir();
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=4)
            .map(|n| {
                let data = &data;
                scope.spawn(move || {
                    let run = data.create_run(&id(n)).unwrap();
                    let chores = data.chores(Retention::default());
                    let writer = RowWriter::start(&data.database(), new_run(n), Some(chores));
                    let number = writer.number(WAIT);
                    let mut log = run.events().unwrap();
                    for event in whole_run(number) {
                        let end = log.append(&bytes(std::slice::from_ref(&event))).unwrap();
                        writer.send(event, end);
                    }
                    assert_eq!(writer.finish().behind, None);
                    number.unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let store = data.open_store().unwrap();
    for n in 1..=4 {
        let (run, jobs, commands) = rows(&store, &id(n));
        assert_eq!((run.row.state, jobs.len(), commands.len()), (RunState::Failed, 3, 5));
    }
}
