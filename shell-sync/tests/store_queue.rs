//! What a server's queue writes and asks, tokens and sessions, and the way of a database of version 1 to the newest.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Barrier;

use quire_ci::store::{Batch, Hashed, NewToken, NotRunRecord, RunFilter, Store, StoreError};
use quire_core::ids::RunId;
use quire_core::queue::{NewRun, Origin};
use quire_core::rows::{RowCommand, RunRow, RunState};
use quire_core::wire::FailureKind;
use rusqlite::Connection;

const REPO: &str = "work/foo.git";
const MAIN: &str = "refs/heads/main";

fn id(n: u32) -> RunId {
    RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000"))
}

fn new_run(n: u32, origin: Origin) -> NewRun {
    NewRun {
        run_id: id(n),
        repo: REPO.to_owned(),
        ref_name: Some(MAIN.to_owned()),
        sha: format!("{n:040x}"),
        by: Some("ann".to_owned()),
        at_ms: 1000 + i64::from(n),
        origin,
        params: BTreeMap::new(),
        jobs: Vec::new(),
    }
}

fn pushed(n: u32) -> NewRun {
    new_run(n, Origin::Push)
}

fn row(n: u32, state: RunState) -> RunRow {
    let has_ended = !matches!(state, RunState::Pending | RunState::Active);
    RunRow {
        run_id: id(n),
        number: None,
        repo: None,
        ref_name: None,
        sha: None,
        pushed_at_ms: None,
        executor: Some("quire-ci".to_owned()),
        version: None,
        resumed_from: None,
        state,
        failure_kind: None,
        error: None,
        started_at_ms: Some(5000),
        finished_at_ms: has_ended.then_some(6000),
        fingerprint: None,
    }
}

fn put(store: &mut Store, n: u32, state: RunState) {
    store.apply(&id(n), &[RowCommand::PutRun(row(n, state))], 1).unwrap();
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("quire.db")).unwrap()
}

fn enter(store: &mut Store, runs: &[NewRun], superseded: &[(RunId, RunId)]) -> Result<Vec<u64>, StoreError> {
    store.write(|writing| writing.enter(runs, superseded, &[]))
}

fn state(store: &Store, n: u32) -> RunState {
    store.run(&id(n)).unwrap().unwrap().row.state
}

#[test]
fn what_is_entered_is_all_that_a_dispatch_needs() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let other = NewRun { repo: "other.git".to_owned(), ref_name: None, ..new_run(3, Origin::Trigger) };
    let asked = NewRun {
        params: BTreeMap::from([("to".to_owned(), "prod \"x\"".to_owned())]),
        jobs: vec!["build".to_owned(), "test".to_owned()],
        ..new_run(2, Origin::Trigger)
    };
    assert_eq!(enter(&mut store, &[pushed(1), asked.clone(), other], &[]).unwrap(), [1, 2, 1]);
    let retry = NewRun { by: None, ..new_run(4, Origin::Retry { of: id(1), failed: true }) };
    assert_eq!(enter(&mut store, &[retry], &[]).unwrap(), [3]);

    let open = store.open_runs().unwrap();
    assert_eq!(open.iter().map(|run| run.run_id.clone()).collect::<Vec<_>>(), [id(1), id(2), id(3), id(4)]);
    let run = &open[1];
    assert_eq!((run.repo.as_str(), run.number, run.ref_name.as_deref()), (REPO, 2, Some(MAIN)));
    assert_eq!(
        (&run.sha, run.state, &run.params, &run.jobs),
        (&asked.sha, RunState::Pending, &asked.params, &asked.jobs)
    );
    assert_eq!((run.origin.clone(), run.by.as_deref()), (Some(Origin::Trigger), Some("ann")));
    assert_eq!((run.pushed_at_ms, run.queued_at_ms), (None, Some(1002)));
    assert_eq!(open[0].pushed_at_ms, Some(1001));
    assert_eq!(open[3].pushed_at_ms, Some(1001), "a retry has its run's");
    assert_eq!(open[3].origin, Some(Origin::Retry { of: id(1), failed: true }));
    assert_eq!(store.queued_run(&id(2)).unwrap().as_ref(), Some(run));
    assert_eq!(store.queued_run(&id(9)).unwrap(), None);
    assert!(store.repo_has_runs(REPO).unwrap());
    assert!(!store.repo_has_runs("none.git").unwrap());

    let record = store.run(&id(4)).unwrap().unwrap();
    assert_eq!((record.origin.as_deref(), record.by_whom, record.retry_of), (Some("retry"), None, Some(id(1))));
}

#[test]
fn an_order_is_entered_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    enter(&mut store, &[pushed(1)], &[]).unwrap();
    let again = enter(&mut store, &[pushed(2), pushed(1)], &[(id(1), id(2))]);
    assert!(matches!(again, Err(StoreError::Refused { .. })), "{again:?}");
    assert_eq!(store.run(&id(2)).unwrap(), None);
    assert_eq!(state(&store, 1), RunState::Pending);
    assert_eq!(enter(&mut store, &[pushed(3)], &[]).unwrap(), [2]);
}

#[test]
fn only_what_waits_is_superseded_or_aborted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    enter(&mut store, &[pushed(1), pushed(2), pushed(3), pushed(4)], &[]).unwrap();
    put(&mut store, 2, RunState::Active);
    assert_eq!(enter(&mut store, &[pushed(5)], &[(id(1), id(5)), (id(2), id(5))]).unwrap(), [5]);
    let superseded = store.run(&id(1)).unwrap().unwrap();
    assert_eq!((superseded.row.state, superseded.row.finished_at_ms), (RunState::Superseded, Some(1005)));
    assert_eq!(superseded.ended_by.as_deref(), Some("run 5"));
    assert_eq!(state(&store, 2), RunState::Active);

    let mut abort = |n, by, at_ms| store.write(|writing| writing.abort_pending(&id(n), by, at_ms)).unwrap();
    assert!(abort(3, Some("bob"), 2000));
    assert!(!abort(3, Some("eve"), 3000));
    assert!(!abort(2, None, 2000));
    assert!(abort(4, None, 5), "the clock stepped back");
    let aborted = store.run(&id(3)).unwrap().unwrap();
    assert_eq!((aborted.row.state, aborted.row.finished_at_ms), (RunState::Aborted, Some(2000)));
    assert_eq!(aborted.ended_by.as_deref(), Some("bob"));
    assert_eq!(store.run(&id(4)).unwrap().unwrap().row.finished_at_ms, Some(1004));

    let mut stop = |n, by| store.write(|writing| writing.note_stop(&id(n), by)).unwrap();
    assert!(stop(2, "ann") && stop(2, "bob"));
    assert!(!stop(3, "ann"));
    put(&mut store, 2, RunState::Aborted);
    assert_eq!(store.run(&id(2)).unwrap().unwrap().ended_by.as_deref(), Some("ann"));
}

#[test]
fn a_queued_run_goes_on_as_its_stream_tells() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    enter(&mut store, &[pushed(1), pushed(2)], &[]).unwrap();
    put(&mut store, 1, RunState::Active);
    let run = store.run(&id(1)).unwrap().unwrap();
    assert_eq!(
        (run.row.number, run.row.repo.as_deref(), run.row.ref_name.as_deref()),
        (Some(1), Some(REPO), Some(MAIN))
    );
    assert_eq!((run.origin.as_deref(), run.by_whom.as_deref()), (Some("push"), Some("ann")));
    let states: Vec<RunState> = store.open_runs().unwrap().into_iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Active, RunState::Pending]);
    put(&mut store, 1, RunState::Complete);
    // Short runs may begin and end in one batch.
    put(&mut store, 2, RunState::Failed);
    assert_eq!(store.open_runs().unwrap(), []);
}

#[test]
fn a_run_without_stream_fails_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    enter(&mut store, &[pushed(1), pushed(2)], &[]).unwrap();
    let mut fail = |n, text, at_ms| {
        store.write(|writing| writing.fail_without_stream(&id(n), FailureKind::Internal, text, at_ms)).unwrap()
    };
    assert!(fail(1, "cannot check out", 9000));
    assert!(!fail(1, "again", 9999));
    assert!(fail(2, "no", 3));
    let run = store.run(&id(1)).unwrap().unwrap().row;
    assert_eq!((run.state, run.failure_kind), (RunState::Failed, Some(FailureKind::Internal)));
    assert_eq!(
        (run.error.as_deref(), run.finished_at_ms, run.started_at_ms),
        (Some("cannot check out"), Some(9000), None)
    );
    assert_eq!(store.run(&id(2)).unwrap().unwrap().row.finished_at_ms, Some(1002));
}

#[test]
fn the_schema_lets_no_run_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for (n, before) in
        [RunState::Pending, RunState::Active, RunState::Complete, RunState::Superseded].iter().enumerate()
    {
        let n = u32::try_from(n).unwrap();
        enter(&mut store, &[pushed(n)], &[]).unwrap();
        match before {
            RunState::Pending => {}
            RunState::Superseded => drop(enter(&mut store, &[pushed(100)], &[(id(n), id(100))]).unwrap()),
            state => put(&mut store, n, *state),
        }
    }
    let conn = Connection::open(dir.path().join("quire.db")).unwrap();
    let states = ["pending", "active", "complete", "failed", "aborted", "superseded"];
    let allowed: [&[&str]; 4] =
        [&["active", "complete", "failed", "aborted", "superseded"], &["complete", "failed", "aborted"], &[], &[]];
    for (n, allowed) in allowed.iter().enumerate() {
        for (to, started, finished) in states.iter().flat_map(|to| {
            [(to, None, None), (to, Some(6000), None), (to, None, Some(7000)), (to, Some(6000), Some(7000))]
        }) {
            let run_id = id(u32::try_from(n).unwrap());
            let before: String =
                conn.query_row("SELECT state FROM runs WHERE id = ?1", [run_id.as_str()], |row| row.get(0)).unwrap();
            if before == *to {
                continue;
            }
            let tx = conn.unchecked_transaction().unwrap();
            let sql = "UPDATE runs SET state = ?2, started_at_ms = ?3, finished_at_ms = ?4 WHERE id = ?1";
            let done = tx.execute(sql, (run_id.as_str(), to, started, finished));
            tx.rollback().unwrap();
            assert!(done.is_err() || allowed.contains(to), "{before} -> {to} went through");
        }
    }
}

#[test]
fn what_was_not_run_is_kept_up_to_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let record = |repo: &str, n: i64| NotRunRecord {
        repo: repo.to_owned(),
        ref_name: format!("refs/heads/b{n}"),
        sha: (n % 2 == 0).then(|| "a".repeat(40)),
        at_ms: n,
        by: None,
        reason: "the push had 600 refs".to_owned(),
    };
    store.write(|writing| writing.enter(&[], &[], &[record("other.git", 0)])).unwrap();
    for begin in [0, 600, 1200] {
        let many: Vec<_> = (begin..begin + 600).map(|n| record(REPO, n)).collect();
        store.write(|writing| writing.enter(&[], &[], &many)).unwrap();
    }
    let kept = store.not_run(REPO, 5000).unwrap();
    assert_eq!((kept.len(), &kept[0], &kept[999]), (1000, &record(REPO, 1799), &record(REPO, 800)));
    assert_eq!(store.not_run(REPO, 3).unwrap().len(), 3);
    assert_eq!(store.not_run("other.git", 3).unwrap(), [record("other.git", 0)]);
}

#[test]
fn the_newest_of_a_ref_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    enter(&mut store, &(1..=6).map(pushed).collect::<Vec<_>>(), &[]).unwrap();
    put(&mut store, 1, RunState::Failed);
    put(&mut store, 2, RunState::Failed);
    put(&mut store, 3, RunState::Complete);
    put(&mut store, 4, RunState::Active);
    enter(&mut store, &[pushed(7)], &[(id(5), id(7))]).unwrap();
    assert_eq!(store.newest_ended(REPO, MAIN).unwrap().unwrap().row.run_id, id(3));
    assert_eq!(store.newest_ended(REPO, "refs/heads/x").unwrap(), None);

    let other = NewRun { repo: "other.git".to_owned(), ..pushed(8) };
    enter(&mut store, &[other, pushed(9)], &[]).unwrap();
    let repos = [REPO.to_owned(), "other.git".to_owned(), "none.git".to_owned()];
    let newest = store.runs_of_repos(&repos, &RunFilter { limit: Some(3), ..RunFilter::default() }).unwrap();
    assert_eq!(newest.iter().map(|run| run.row.run_id.clone()).collect::<Vec<_>>(), [id(9), id(8), id(7)]);
}

#[test]
fn workspaces_that_are_kept_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    enter(&mut store, &[pushed(1), NewRun { ref_name: None, ..pushed(2) }], &[]).unwrap();
    for n in [2, 1] {
        put(&mut store, n, RunState::Failed);
        store.write(|writing| writing.note_workspace(&id(n), true)).unwrap();
    }
    let ids = |runs: Vec<quire_ci::store::RunRecord>| runs.into_iter().map(|run| run.row.run_id).collect::<Vec<_>>();
    assert_eq!(ids(store.kept_workspaces().unwrap()), [id(1), id(2)]);
    assert_eq!(ids(store.kept_workspaces_of_ref(REPO, Some(MAIN)).unwrap()), [id(1)]);
    assert_eq!(ids(store.kept_workspaces_of_ref(REPO, None).unwrap()), [id(2)]);
    store.write(|writing| writing.note_workspace(&id(1), false)).unwrap();
    assert_eq!(ids(store.kept_workspaces().unwrap()), [id(2)]);
}

#[test]
fn tokens_are_found_by_hash_until_they_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let secret = "qt_correct-horse-battery-staple";
    let token = NewToken {
        name: "laptop".to_owned(),
        hash: Hashed::of(secret),
        identity: "ann".to_owned(),
        role: "run".to_owned(),
        repos: vec!["work/*".to_owned()],
        created_at_ms: 10,
        expires_at_ms: Some(100),
    };
    let created = store.write(|writing| writing.create_token(&token)).unwrap().unwrap();
    let again = NewToken { hash: Hashed::of("another"), ..token.clone() };
    assert_eq!(store.write(|writing| writing.create_token(&again)).unwrap(), None);
    let found = store.token(&token.hash, 99).unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.identity.as_str()), (created, "laptop", "ann"));
    assert_eq!((found.role.as_str(), &found.repos, found.last_used_at_ms), ("run", &token.repos, None));
    assert_eq!(store.token(&token.hash, 100).unwrap(), None);
    assert_eq!(store.token(&Hashed::of("wrong"), 99).unwrap(), None);
    store.write(|writing| writing.touch_token(created, 50).and_then(|()| writing.touch_token(created, 40))).unwrap();
    assert_eq!(store.tokens().unwrap()[0].last_used_at_ms, Some(50));
    assert!(store.write(|writing| writing.remove_token("laptop")).unwrap());
    assert!(!store.write(|writing| writing.remove_token("laptop")).unwrap());
    assert_eq!(store.tokens().unwrap(), []);
}

#[test]
fn no_secret_is_in_the_database_and_a_login_works_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let clear = ["qt_aaaaaaaaaaaaaaaaaaaaaaaa", "session-bbbbbbbbbbbbbbbbbbbbb", "login-ccccccccccccccccccccccc"];
    let [_, session, login] = clear.map(Hashed::of);
    store.write(|writing| writing.create_login(&login, "admin", 0, 100)).unwrap();
    let barrier = Barrier::new(4);
    let let_in: Vec<Option<String>> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut store = open(dir.path());
                    barrier.wait();
                    store.write(|writing| writing.consume_login(&login, 50)).unwrap()
                })
            })
            .collect();
        tries.into_iter().map(|tried| tried.join().unwrap()).collect()
    });
    assert_eq!(let_in.iter().flatten().collect::<Vec<_>>(), ["admin"]);
    let late = Hashed::of("late");
    store.write(|writing| writing.create_login(&late, "admin", 0, 100)).unwrap();
    assert_eq!(store.write(|writing| writing.consume_login(&late, 100)).unwrap(), None);

    store.write(|writing| writing.create_session(&session, "admin", 0, 1000)).unwrap();
    assert_eq!(store.session(&session, 999).unwrap().as_deref(), Some("admin"));
    assert_eq!(store.session(&session, 1000).unwrap(), None);
    assert!(store.write(|writing| writing.remove_session(&session)).unwrap());
    assert_eq!(store.session(&session, 0).unwrap(), None);
    drop(store);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for secret in clear {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
}

/// A database as the first version made it, with a run, its job and its command.
fn version_1(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(include_str!("../../migrations/0001_runs.sql")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         INSERT INTO runs (id, repo, number, state, started_at_ms, finished_at_ms) VALUES ('r1', '', 7, 'failed', 1, 2);
         INSERT INTO runs (id, repo, number, state, started_at_ms) VALUES ('r2', '', 8, 'active', 1);
         INSERT INTO jobs VALUES ('r1', 'build', 0, 'failed', 1, 1, 2, 0, 0, 0, 1, NULL, NULL, NULL, NULL);
         INSERT INTO sh_events VALUES ('r1', 'build', 1, 1, 2, 1, 'false', 1, NULL, NULL, NULL, NULL, 0, 0, 0, 0);
         PRAGMA user_version = 1;",
    )
    .unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    names.sort();
    names
}

#[test]
fn a_database_of_version_1_is_copied_and_its_rows_survive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quire.db");
    version_1(&path);
    let mut store = open(dir.path());
    let runs = store.runs(&RunFilter::default()).unwrap();
    let told: Vec<_> = runs.iter().map(|run| (run.row.run_id.as_str(), run.row.number, run.row.state)).collect();
    assert_eq!(told, [("r2", Some(8), RunState::Active), ("r1", Some(7), RunState::Failed)]);
    assert_eq!((runs[1].origin.clone(), runs[1].logs_removed_at_ms, runs[1].workspace_kept), (None, None, false));
    assert_eq!(store.commands(&RunId::new("r1"), None).unwrap()[0].cmd, "false");
    assert_eq!(enter(&mut store, &[NewRun { repo: String::new(), ..pushed(1) }], &[]).unwrap(), [9]);
    drop(store);

    assert_eq!(names(dir.path()), ["quire.db", "quire.db.v1"]);
    let copy = Connection::open(dir.path().join("quire.db.v1")).unwrap();
    let version: i64 = copy.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let whole: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let rows: i64 = copy.query_row("SELECT count(*) FROM runs JOIN jobs ON id = run_id", [], |row| row.get(0)).unwrap();
    assert_eq!((version, whole.as_str(), rows), (1, "ok", 1));
}

#[test]
fn a_copy_that_is_there_stays_and_programs_that_migrate_at_once_agree() {
    let dir = tempfile::tempdir().unwrap();
    version_1(&dir.path().join("quire.db"));
    fs::write(dir.path().join("quire.db.v1"), "mine").unwrap();
    drop(open(dir.path()));
    assert_eq!(fs::read(dir.path().join("quire.db.v1")).unwrap(), b"mine");

    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        version_1(&dir.path().join("quire.db"));
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    assert_eq!(open(dir.path()).runs(&RunFilter::default()).unwrap().len(), 2);
                });
            }
        });
        assert_eq!(names(dir.path()), ["quire.db", "quire.db.v1"]);
        let copy = Connection::open(dir.path().join("quire.db.v1")).unwrap();
        let version: i64 = copy.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
    }
}

#[test]
fn rows_of_a_superseded_run_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    enter(&mut store, &[pushed(1)], &[]).unwrap();
    enter(&mut store, &[pushed(2)], &[(id(1), id(2))]).unwrap();
    let mut batch = Batch::default();
    batch.push(RowCommand::PutRun(row(1, RunState::Complete)));
    store.apply_batch(&id(1), &batch, 3).unwrap();
    assert_eq!(state(&store, 1), RunState::Superseded);
}
