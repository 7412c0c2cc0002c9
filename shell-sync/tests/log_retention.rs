//! A server's data directory: which logs go and which stay, and what a rebuild keeps of what only the queue knew.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use quire_ci::record::{DataDir, PrunedLogs, RecordError, Retention, RunDir};
use quire_ci::store::{NewRun as LocalRun, RunRecord, Store};
use quire_core::config::Logs;
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::RunState;
use quire_core::wire::FailureKind;

const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 1_000 * DAY_MS;
/// Of each run's log.
const BYTES: usize = 1_000_000;

fn id(n: u32) -> RunId {
    RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000"))
}

struct Server {
    _dir: tempfile::TempDir,
    data: DataDir,
    store: Store,
}

impl Server {
    fn new() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(dir.path().join("server.lock"), "").unwrap();
        let store = data.open_store().unwrap();
        Server { _dir: dir, data, store }
    }

    fn enter(&mut self, n: u32, origin: Origin) {
        let run = NewRun {
            run_id: id(n),
            repo: "foo.git".to_owned(),
            ref_name: Some("refs/heads/main".to_owned()),
            sha: "a".repeat(40),
            by: Some("ann".to_owned()),
            at_ms: 7,
            origin,
            params: [("to".to_owned(), "prod".to_owned())].into(),
            jobs: vec!["build".to_owned()],
        };
        self.store.write(|writing| writing.enter(&[run], &[], &[])).unwrap();
    }

    /// A run that ended so many days ago, as its stream tells; its lock is held until what is returned is dropped.
    fn ended(&mut self, n: u32, days_ago: i64) -> RunDir {
        self.enter(n, Origin::Push);
        let mut run = self.data.create_run(&id(n)).unwrap();
        let at_ms = NOW_MS - days_ago * DAY_MS;
        let stream = format!(
            "{{\"at_ms\":{at_ms},\"type\":\"sh_started\",\"job_id\":\"build\",\"cmd\":\"make\"}}\n\
             {{\"at_ms\":{at_ms},\"type\":\"run_finished\",\"outcome\":\"failed\",\"failure_kind\":\"job\"}}\n"
        );
        run.events().unwrap().append(stream.as_bytes()).unwrap();
        let mut log = run.open_log(&ShId { job: JobId::from_record("build"), n: 1 }).unwrap();
        std::io::Write::write_all(&mut log, &vec![b'x'; BYTES]).unwrap();
        let path = run.files().path();
        for folder in ["workspace/target", "artifacts"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        fs::write(path.join("quire-ci.log"), "hello").unwrap();
        fs::write(path.join("workspace/target/cache"), "x").unwrap();
        fs::set_permissions(path.join("workspace/target"), fs::Permissions::from_mode(0o555)).unwrap();
        self.catch_up(n);
        run
    }

    /// Reads the stream into rows, as a server does.
    fn catch_up(&mut self, n: u32) {
        let files = self.data.run(&id(n)).unwrap();
        let mut bulk = self.store.bulk(quire_ci::store::Numbering::AtOnce).unwrap();
        quire_ci::record::ingest(&mut bulk, &id(n), &files.events(), None).unwrap();
        bulk.commit().unwrap();
    }

    fn prune(&mut self, keep: Logs, dry_run: bool) -> PrunedLogs {
        self.data.prune_logs(&mut self.store, &keep, NOW_MS, dry_run, &|| false).unwrap()
    }

    fn run(&self, n: u32) -> RunRecord {
        self.store.run(&id(n)).unwrap().unwrap()
    }

    fn names(&self, n: u32) -> Vec<String> {
        names(self.data.run(&id(n)).unwrap().path())
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn days(days: u64) -> Logs {
    Logs { keep: Duration::from_secs(days * 86_400), max_bytes: u64::MAX }
}

const ALL: [&str; 6] = ["artifacts", "events.jsonl", "jobs", "lock", "quire-ci.log", "workspace"];
const LEFT: [&str; 2] = ["events.jsonl", "lock"];

#[test]
fn logs_go_when_they_are_old_and_rows_and_streams_stay() {
    let mut server = Server::new();
    for (n, days_ago) in [(1, 100), (2, 91), (3, 89)] {
        drop(server.ended(n, days_ago));
    }
    let would = server.prune(days(90), true);
    assert_eq!((would.runs.clone(), would.problems.as_slice()), (vec![id(1), id(2)], [].as_slice()));
    assert_eq!(server.names(1), ALL);
    assert_eq!(server.run(1).disk_bytes, None, "a dry run writes nothing");

    let done = server.prune(days(90), false);
    assert_eq!(done.runs, would.runs);
    assert_eq!(done.bytes, would.bytes);
    assert!(done.bytes >= 2 * BYTES as u64, "{done:?}");
    assert_eq!(
        (server.names(1), server.names(2), server.names(3)),
        (LEFT.map(String::from).into(), LEFT.map(String::from).into(), ALL.map(String::from).into())
    );
    let run = server.run(1);
    assert_eq!((run.row.state, run.logs_removed_at_ms), (RunState::Failed, Some(NOW_MS)));
    assert!(run.disk_bytes.unwrap() < BYTES as u64);
    assert_eq!(server.store.commands(&id(1), None).unwrap().len(), 1);
    assert!(server.run(3).disk_bytes.unwrap() >= BYTES as u64);
    assert_eq!(server.prune(days(90), false), PrunedLogs::default());
}

#[test]
fn above_the_size_workspaces_go_first_then_the_oldest_logs() {
    let mut server = Server::new();
    for n in 1..=4 {
        drop(server.ended(n, 10 - i64::from(n)));
    }
    let big = server.data.run(&id(4)).unwrap().path().join("workspace/big");
    fs::write(&big, vec![b'x'; 3 * BYTES]).unwrap();
    server.store.write(|writing| writing.note_workspace(&id(4), true)).unwrap();
    let keep = |bytes: usize| Logs { max_bytes: bytes as u64, ..days(90) };
    assert_eq!(server.prune(keep(20 * BYTES), false), PrunedLogs::default());

    let bytes = 5 * BYTES;
    let would = server.prune(keep(bytes), true);
    assert_eq!((would.runs.as_slice(), would.workspaces.as_slice()), ([].as_slice(), [id(4)].as_slice()));
    let done = server.prune(keep(bytes), false);
    assert_eq!((done.runs, done.workspaces), (would.runs, would.workspaces));
    assert_eq!(server.names(4), ["artifacts", "events.jsonl", "jobs", "lock", "quire-ci.log"]);
    assert!(!server.run(4).workspace_kept);

    let done = server.prune(keep(3 * BYTES), false);
    assert_eq!(done.runs, [id(1), id(2)]);
    assert_eq!(
        server.store.bytes_with_logs().unwrap(),
        server.run(3).disk_bytes.unwrap() + server.run(4).disk_bytes.unwrap()
    );
    assert_eq!(server.prune(keep(0), false).runs, [id(3), id(4)]);
}

#[test]
fn what_is_held_or_needed_or_goes_on_stays() {
    let mut server = Server::new();
    let held = server.ended(1, 100);
    drop(server.ended(2, 100));
    drop(server.ended(3, 100));
    server.enter(4, Origin::Retry { of: id(2), failed: true });
    server.enter(5, Origin::Push);
    assert_eq!(server.prune(days(90), false).runs, [id(3)]);
    assert_eq!(server.prune(Logs { keep: Duration::ZERO, max_bytes: 0 }, false).runs, []);
    assert_eq!((server.names(1), server.names(2)), (ALL.map(String::from).into(), ALL.map(String::from).into()));
    drop(held);
    server.store.write(|writing| writing.abort_pending(&id(4), None, 8)).unwrap();
    let mut gone = server.prune(days(90), false).runs;
    gone.sort();
    assert_eq!(gone, [id(1), id(2), id(4)], "the aborted one never had any");
    assert_eq!(server.run(5).row.state, RunState::Pending);
}

#[test]
fn a_pass_stops_when_it_is_told_to() {
    let mut server = Server::new();
    for n in 1..=3 {
        drop(server.ended(n, 100));
    }
    let done = server.data.prune_logs(&mut server.store, &days(90), NOW_MS, false, &|| true).unwrap();
    assert_eq!(done.runs, [id(1)]);
    let removed = |server: &mut Server| server.data.remove_workspaces(&mut server.store, &|| false).unwrap();
    assert_eq!(removed(&mut server), []);
    server.store.write(|writing| writing.note_workspace(&id(3), true)).unwrap();
    assert_eq!(server.data.remove_workspaces(&mut server.store, &|| true).unwrap(), []);
    assert_eq!(removed(&mut server), [id(3)]);
    assert!(!server.names(3).contains(&"workspace".to_owned()));
}

#[test]
fn a_removal_that_was_cut_short_is_ended_by_the_next() {
    let mut server = Server::new();
    drop(server.ended(1, 100));
    fs::remove_dir_all(server.data.run(&id(1)).unwrap().path().join("jobs")).unwrap();
    assert_eq!(server.prune(days(90), false).runs, [id(1)]);
    assert_eq!(server.names(1), LEFT);
}

#[test]
fn a_rebuild_keeps_what_only_the_queue_knew() {
    let mut server = Server::new();
    drop(server.ended(1, 100));
    drop(server.ended(2, 10));
    for n in 3..=7 {
        server.enter(n, Origin::Retry { of: id(1), failed: n == 3 });
    }
    server.store.write(|writing| writing.note_stop(&id(2), "bob")).unwrap();
    server.store.write(|writing| writing.abort_pending(&id(4), Some("bob"), 9)).unwrap();
    server.store.write(|writing| writing.fail_without_stream(&id(5), FailureKind::Internal, "no checkout", 9)).unwrap();
    server.store.write(|writing| writing.enter(&[], &[(id(6), id(7))], &[])).unwrap();
    // Dispatched, but nothing told yet.
    for n in [3, 5] {
        drop(server.data.create_run(&id(n)).unwrap());
    }
    fs::write(server.data.run(&id(3)).unwrap().events(), "{\"at_ms\":1,\"ty").unwrap();
    server.enter(8, Origin::Trigger);
    server.store.write(|writing| writing.abort_pending(&id(8), None, 9)).unwrap();
    // Run 3 takes run 1 up again; nothing of it may go until that is over.
    assert_eq!(server.prune(days(90), false).runs, [id(4), id(5), id(8)]);
    server.store.write(|writing| writing.note_workspace(&id(2), true)).unwrap();

    let before: Vec<RunRecord> = (1..=8).map(|n| server.run(n)).collect();
    let queued: Vec<_> = (1..=8).map(|n| server.store.queued_run(&id(n)).unwrap()).collect();
    for _ in 0..2 {
        let rebuilt = server.data.rebuild().unwrap();
        assert_eq!((rebuilt.runs, rebuilt.removed, rebuilt.problems.as_slice()), (2, 0, [].as_slice()));
        assert_eq!((1..=8).map(|n| server.run(n)).collect::<Vec<_>>(), before);
        assert_eq!((1..=8).map(|n| server.store.queued_run(&id(n)).unwrap()).collect::<Vec<_>>(), queued);
    }
}

#[test]
fn a_rebuild_finds_removed_logs_where_the_rows_are_lost() {
    let mut server = Server::new();
    drop(server.ended(1, 100));
    drop(server.ended(2, 1));
    server.prune(days(90), false);
    for name in ["quire.db", "quire.db-wal", "quire.db-shm"] {
        let _ = fs::remove_file(server.data.path().join(name));
    }
    server.data.rebuild().unwrap();
    server.store = server.data.open_store().unwrap();
    assert!(server.run(1).logs_removed_at_ms.is_some_and(|at_ms| at_ms > 0));
    assert_eq!(server.run(2).logs_removed_at_ms, None);
}

#[test]
fn runs_of_a_server_are_not_removed_as_local_ones_are() {
    let mut server = Server::new();
    for n in 1..=3 {
        drop(server.ended(n, 1));
    }
    let keep = Retention { max_runs: 1, max_bytes: 1 };
    let refused = server.data.prune(&mut server.store, &keep, false, &|| false).unwrap_err();
    assert!(matches!(refused, RecordError::Servers { .. }));
    assert!(
        refused.to_string().contains("is a server's data directory, which keeps all runs: `quire prune --data-dir")
    );
    let chores = server.data.chores(keep);
    assert_eq!(chores(&mut server.store, &|| false), Vec::<String>::new());
    assert_eq!(server.data.run_ids().unwrap().len(), 3);
    // A local run there is no matter of the queue.
    let local = LocalRun { run_id: id(9), repo: String::new(), at_ms: 1, owner: None };
    assert_eq!(server.store.reserve_run(&local).unwrap(), 1);
}
