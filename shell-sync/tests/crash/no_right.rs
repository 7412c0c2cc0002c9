//! No right to write: the run directory or the database cannot be written any more, or the database is another file's bytes.
//! (A data directory that is read-only from the start is tests/e2e's.)

use std::fs;
use std::path::{Path, PathBuf};

use quire_core::wire::Stream;
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use crate::disk::Disk;
use crate::world::{Running, World, until};

/// A file that is read-only for all, root too, as long as this lives.
struct ReadOnly(PathBuf);

impl ReadOnly {
    #[track_caller]
    fn make(path: PathBuf) -> ReadOnly {
        mount_bind(&path, &path).expect("this test mounts and needs the right to: run it as root");
        let made = ReadOnly(path);
        mount_remount(&made.0, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
        fs::OpenOptions::new().write(true).open(&made.0).expect_err("it can be written");
        made
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// One command that waits for `go`, one before and many after.
const STEPS: &str = r#"
ci.job("a", { timeout = "50s" }, function(rt)
  rt.spawn("setsid sleep 300", { service = true })
  rt.sh("echo one")
  rt.sh("touch begun; until test -e go; do sleep 0.01; done")
  for n = 1, 20 do rt.sh { "echo", tostring(n) } end
end)
ci.job("b", { "a" }, function(rt) rt.sh("touch went-on; echo end") end)"#;

fn begun(world: &World) -> Running {
    for name in ["begun", "go", "went-on"] {
        let _ = fs::remove_file(world.workspace().join(name));
    }
    let running = world.start(&["run"]);
    until("the command", || world.workspace().join("begun").exists().then_some(()));
    running
}

fn went_on(world: &World) -> bool {
    world.workspace().join("went-on").exists()
}

#[test]
fn a_run_directory_that_becomes_read_only() {
    let world = World::new(STEPS);
    let running = begun(&world);
    let place = world.last().0.join("jobs");
    let disk = Disk::mounted(place.clone(), "64k");
    fs::create_dir(place.join("a")).unwrap();
    disk.make_read_only();
    world.write("go", "");
    let said = running.end().ends(2);
    said.says(&["error:", "record", "Read-only file system"]);
    assert_eq!(world.processes(), []);
    assert!(!went_on(&world), "what cannot be recorded is not run");
    drop(disk);
    let run = world.last();
    run.is_readable();
    assert_eq!(run.stream("a", 2, Stream::Stdout), b"one\n");
    assert_eq!(world.rows("SELECT state, failure_kind FROM runs"), ["failed|record"]);
    world.is_sound();
    let next = begun(&world);
    world.write("go", "");
    next.end().ends(0);
}

/// Once the run has ended well, the database can be brought up to date by `mend`, and has all its rows.
#[track_caller]
fn is_undisturbed(world: &World, running: Running, mend: &[&[&str]]) {
    world.write("go", "");
    running.end().ends(0);
    assert!(went_on(world));
    let run = world.last();
    assert_eq!(run.outcome().as_deref(), Some("complete"));
    assert_eq!(run.stream("a", 2, Stream::Stdout), b"one\n");
    assert_eq!(run.stream("b", 1, Stream::Stdout), b"end\n");
    for args in mend {
        world.quire(args).ends(0);
    }
    let id = run.id();
    assert_eq!(world.rows(&format!("SELECT state FROM runs WHERE id = '{id}'")), ["complete"]);
    assert_eq!(world.rows(&format!("SELECT count(*), sum(exit_code) FROM sh_events WHERE run_id = '{id}' AND n > 1 OR run_id = '{id}' AND job_id = 'b'")), ["23|0"]);
    world.is_sound();
}

#[test]
fn a_database_that_is_read_only_before_a_run() {
    let world = World::new(STEPS);
    world.write("go", "");
    world.run(0, &[]);
    let read_only = ReadOnly::make(world.data().join("quire.db"));
    let running = begun(&world);
    world.write("go", "");
    let said = running.end().ends(0);
    assert!(said.out().contains("rows") && said.out().contains("catch up"), "{}", said.out());
    drop(read_only);
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.rows("SELECT number, state FROM runs ORDER BY number"), ["1|complete", "2|complete"]);
    world.is_sound();
}

#[test]
fn a_database_that_becomes_read_only_during_a_run() {
    let world = World::new(STEPS);
    let running = begun(&world);
    let read_only = ReadOnly::make(world.data().join("quire.db"));
    world.write("go", "");
    running.end().ends(0);
    drop(read_only);
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.rows("SELECT state FROM runs"), ["complete"]);
    assert_eq!(world.last().outcome().as_deref(), Some("complete"));
    world.is_sound();
}

/// Writes garbage where the database is.
fn overwrite(database: &Path) {
    fs::write(database, b"these are no rows at all, and more than a hundred bytes".repeat(1000)).unwrap();
}

#[test]
fn a_database_that_is_overwritten_during_a_run() {
    let world = World::new(STEPS);
    world.write("go", "");
    world.run(0, &[]);
    let running = begun(&world);
    overwrite(&world.data().join("quire.db"));
    is_undisturbed(&world, running, &[&["rebuild"]]);
}

#[test]
fn a_database_that_is_replaced_during_a_run() {
    let world = World::new(STEPS);
    world.write("go", "");
    world.run(0, &[]);
    let running = begun(&world);
    let other = world.data().join("other");
    overwrite(&other);
    fs::rename(&other, world.data().join("quire.db")).unwrap();
    is_undisturbed(&world, running, &[&["rebuild"]]);
}

#[test]
fn a_database_that_is_removed_during_a_run() {
    let world = World::new(STEPS);
    let running = begun(&world);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    is_undisturbed(&world, running, &[&["ls"]]);
}
