//! Everything that is wrong when quire-ci is called: each gives a clear error or works, ends with the right code, and loses
//! nothing of what was recorded.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use quire_core::wire::Stream;

use crate::disk::Disk;
use crate::recorded::rows;
use crate::world::World;

/// A pipeline that does not compile: `validate` says so and ends with 1; `run` says so, ends with 2, and is a run all the same.
#[track_caller]
fn check_broken(text: &str, said: &[&str]) {
    let world = World::new(text);
    world.quire(&["validate"]).ends(1).says(said);
    world.run(2, &[]).tells(said);
    let run = world.last();
    let kinds: Vec<String> = run.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!((kinds.first().unwrap().as_str(), kinds.last().unwrap().as_str()), ("run_started", "run_finished"));
    assert!(!kinds.iter().any(|kind| kind.starts_with("job") || kind.starts_with("sh")), "{kinds:?}");
    let finished = run.events().pop().unwrap();
    assert_eq!((finished["outcome"].as_str(), finished["failure_kind"].as_str()), (Some("failed"), Some("pipeline")));
    assert!(!finished["error"].is_null());
    assert_eq!(world.rows("SELECT state, failure_kind FROM runs"), ["failed|pipeline"]);
    world.is_sound();
}

#[test]
fn broken_lua() {
    check_broken("ci.job('a', function(rt)\n  rt.sh('x'\nend)", &["error:", ".quire/ci.lua:4"]);
    check_broken("local x = nothing.there", &["error:", ".quire/ci.lua:2", "nothing"]);
    check_broken("os.execute('true')", &[".quire/ci.lua:2", "os"]);
    check_broken("error({})", &["error:"]);
}

#[test]
fn a_wrong_type_to_ci_job() {
    check_broken("ci.job(12, function(rt) end)", &[".quire/ci.lua:2"]);
    check_broken("ci.job('a', 'b', function(rt) end)", &[".quire/ci.lua:2"]);
    check_broken("ci.job('a', { timeout = {} }, function(rt) end)", &[".quire/ci.lua:2", "timeout"]);
    check_broken("ci.job('a', { retrys = 1 }, function(rt) end)", &[".quire/ci.lua:2", "retrys", "retries"]);
    check_broken("ci.job('a', { 'quire/push' })", &[".quire/ci.lua:2"]);
}

#[test]
fn a_cycle_and_everything_else_that_is_wrong_with_a_graph_at_once() {
    check_broken(
        "ci.job('a', { 'b' }, function(rt) end)\nci.job('b', { 'a' }, function(rt) end)\nci.job('c', { 'gone' }, function(rt) end)\nci.job('..', function(rt) end)",
        &[
            "wait for each other: a -> b -> a",
            ".quire/ci.lua:2",
            "\"gone\"",
            ".quire/ci.lua:4",
            "\"..\"",
            ".quire/ci.lua:5",
        ],
    );
}

#[test]
fn a_pipeline_without_jobs() {
    let world = World::new("");
    world.quire(&["validate"]).ends(1).says(&["error:", "no job"]);
    world.run(2, &[]).tells(&["error:", "no job"]);
    world.is_sound();
}

#[test]
fn no_pipeline_at_all() {
    let world = World::new("");
    fs::remove_dir_all(world.workspace().join(".quire")).unwrap();
    for args in [&["run"][..], &["validate"], &[]] {
        let done = world.quire(args);
        assert_eq!(done.code, Some(2), "{done:?}");
        done.says(&["error:", "quire-ci init"]);
    }
    assert!(!world.beside("state").exists());
}

#[test]
fn an_undeclared_secret() {
    let world = World::new("ci.job('a', function(rt) rt.sh { 'echo', rt.secret('TOKEN') } end)");
    let said = world.run(1, &[]);
    assert!(said.out().contains("TOKEN") && said.out().contains("--secret TOKEN=env:"), "{}", said.out());
    let error = &world.last().event("job_finished", "a")["error"];
    assert_eq!((error["file"].as_str(), error["line"].as_i64()), (Some(".quire/ci.lua"), Some(2)));
    // One that was asked for and is not there: nothing is run.
    let said = world.run(2, &["--secret", "TOKEN=env:NOT_SET"]);
    said.says(&["NOT_SET", "TOKEN"]);
    world.run(2, &["--secret", "TOKEN=file:not/there"]).says(&["not/there", "TOKEN"]);
    world.run(2, &["--secret", "TOKEN=plain-value"]).says(&["NAME=env:VAR"]);
    assert!(!world.run(2, &["--secret", "TOKEN=plain-value"]).err().contains("plain-value"));
    assert_eq!(world.runs().len(), 1);
    world.is_sound();
}

#[test]
fn a_missing_program_and_a_missing_folder() {
    for (text, said, exit) in [
        ("rt.sh { 'no-such-program-of-mine' }", "no-such-program-of-mine", 127),
        ("rt.sh('no-such-program-of-mine')", "no-such-program-of-mine", 127),
        ("rt.sh('true', { cwd = 'no/such/folder' })", "no/such/folder", 126),
        ("rt.sh('true', { shell = 'no-such-shell' })", "no-such-shell", 127),
    ] {
        let world = World::new(&format!("ci.job('a', function(rt) {text} end)"));
        let done = world.run(1, &[]);
        assert!(done.out().contains(said), "{text}: {}", done.out());
        assert_eq!(world.rows("SELECT exit_code FROM sh_events"), [exit.to_string()], "{text}");
        world.is_sound();
    }
}

#[test]
fn a_data_directory_that_cannot_be_made() {
    let world = World::new("ci.job('a', function(rt) rt.write_file('ran', '') end)");
    world.write("file", "");
    for place in ["file/below", "/proc/quire-e2e"] {
        for args in [&["run"][..], &["ls"], &["rebuild"], &["log"]] {
            let mut args = args.to_vec();
            args.extend(["--data-dir", place]);
            world.quire(&args).ends(2).says(&["error:", place]);
        }
    }
    world.run(2, &["--out-dir", "file/below"]).says(&["error:", "file/below"]);
    assert!(!world.workspace().join("ran").exists());
}

#[test]
fn a_data_directory_that_is_read_only() {
    let world = World::new("ci.job('a', function(rt) rt.sh('echo said; touch ran') end)");
    let disk = Disk::mounted(world.beside("state"), "4m");
    world.run(0, &[]);
    fs::remove_file(world.workspace().join("ran")).unwrap();
    disk.make_read_only();
    world.run(2, &[]).says(&["error:", "Read-only file system"]);
    assert!(!world.workspace().join("ran").exists(), "what cannot be recorded is not run");
    // What is there can still be read, and nobody says that it could be written.
    let listed = world.quire(&["ls"]);
    assert!(listed.code == Some(0) || listed.err().contains("read-only"), "{listed:?}");
    assert_eq!(world.last().stream("a", 1, Stream::Stdout), b"said\n");
}

#[test]
fn a_disk_that_is_full_ends_the_run_and_tears_nothing() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.sh("echo before")
          rt.defer(function() rt.sh("touch deferred") end)
          rt.sh("yes 'and so on, until the disk is full'")
        end)
        ci.job("b", { "a" }, function(rt) rt.sh("touch went-on") end)"#,
    );
    let disk = Disk::mounted(world.beside("state"), "1m");
    let said = world.run(2, &[]);
    said.says(&["error:", "record", "make room"]);
    let all = said.out() + &said.err();
    assert!(all.contains("No space left on device"), "{all}");
    assert!(!world.workspace().join("went-on").exists());
    assert_eq!(world.processes(), []);
    let run = world.last();
    run.is_readable();
    assert_eq!(run.stream("a", 1, Stream::Stdout), b"before\n");
    let begin = run.stream("a", 2, Stream::Stdout);
    let line = b"and so on, until the disk is full\n";
    assert!(begin.len() > 100_000, "{} bytes", begin.len());
    assert!(begin.chunks(line.len()).all(|chunk| line.starts_with(chunk)), "a log is a beginning of what was printed");
    // Once there is room, all that was recorded is there.
    disk.resize("8m");
    let listed = world.quire(&["ls"]).ends(0);
    assert!(listed.out().contains("failed"), "{}", listed.out());
    world.is_sound();
    world.pipeline("ci.job('a', function(rt) rt.sh('true') end)");
    world.run(0, &[]);
}

#[test]
fn a_disk_that_is_full_from_the_beginning() {
    let world = World::new("ci.job('a', function(rt) rt.sh('touch ran') end)");
    let disk = Disk::mounted(world.beside("state"), "1m");
    world.run(0, &[]);
    fs::remove_file(world.workspace().join("ran")).unwrap();
    disk.fill();
    world.run(2, &[]).says(&["error:", "No space left on device"]);
    assert!(!world.workspace().join("ran").exists(), "what cannot be recorded is not run");
    disk.empty();
    world.run(0, &[]);
    world.is_sound();
}

#[test]
fn a_database_from_a_newer_version() {
    let world = World::new("ci.job('a', function(rt) rt.sh('echo said') end)");
    world.run(0, &[]);
    let database = world.data().join("quire.db");
    let version: i64 = rows(&database, "PRAGMA user_version")[0].parse().unwrap();
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", version + 7).unwrap();
    // The run is not kept from running, and its record is whole.
    let said = world.run(0, &[]);
    assert!(said.out().contains("newer quire"), "{}", said.out());
    let run = world.last();
    assert_eq!(run.outcome().as_deref(), Some("complete"));
    assert_eq!(run.stream("a", 1, Stream::Stdout), b"said\n");
    for args in [&["ls"][..], &["show"], &["log"], &["rebuild"], &["prune"]] {
        world.quire(args).ends(2).says(&["newer quire", "upgrade quire"]);
    }
    assert_eq!(rows(&database, "SELECT count(*) FROM runs"), ["1"], "nothing was written to it");
    // With the quire that knows it the rows catch up.
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", version).unwrap();
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.rows("SELECT number, state FROM runs ORDER BY number"), ["1|complete", "2|complete"]);
    world.is_sound();
}

#[test]
fn a_damaged_database() {
    let world = World::new("ci.job('a', function(rt) rt.sh('echo said') end)");
    world.run(0, &[]);
    let database = world.data().join("quire.db");
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    fs::write(&database, b"no database, but longer than a hundred bytes".repeat(100)).unwrap();
    let said = world.run(0, &[]);
    assert!(said.out().contains("rebuild"), "{}", said.out());
    world.quire(&["ls"]).ends(2).says(&["damaged", "quire-ci rebuild"]);
    let said = world.quire(&["rebuild"]).ends(0);
    assert!(said.out().contains("2 runs read") && said.out().contains("quire.db.damaged-"), "{}", said.out());
    assert_eq!(world.rows("SELECT state FROM runs"), ["complete", "complete"]);
    world.is_sound();
}

#[test]
fn two_runs_at_once_in_one_workspace() {
    let world = World::new(
        r#"ci.job("a", { timeout = "50s" }, function(rt)
          rt.sh("echo " .. rt.params.me .. "; touch here-" .. rt.params.me .. "; until test -e here-one -a -e here-two; do sleep 0.01; done")
          for n = 1, 20 do rt.sh { "echo", rt.params.me .. n } end
        end)"#,
    );
    let one = world.start(&["run", "--param", "me=one"]);
    let two = world.start(&["run", "--param", "me=two"]);
    one.end().ends(0);
    two.end().ends(0);
    assert_eq!(world.rows("SELECT number, state FROM runs ORDER BY number"), ["1|complete", "2|complete"]);
    assert_eq!(world.rows("SELECT count(*) FROM sh_events GROUP BY run_id"), ["21", "21"]);
    for run in world.runs() {
        let me = run.of_type("run_started")[0]["params"]["me"].as_str().unwrap().to_owned();
        assert_eq!(run.stream("a", 1, Stream::Stdout), format!("{me}\n").into_bytes());
        assert_eq!(run.stream("a", 21, Stream::Stdout), format!("{me}20\n").into_bytes());
    }
    world.is_sound();
}

#[test]
fn no_git_at_all() {
    let mut world = World::without_git(
        "plain",
        "ci.job('a', function(rt) assert(rt.push.sha == nil); rt.sh('echo ${QUIRE_SHA-none}') end)",
    );
    world.run(0, &[]);
    assert_eq!(world.last().stream("a", 1, Stream::Stdout), b"none\n");
    assert!(world.last().of_type("run_started")[0]["sha"].is_null());
    world.run(2, &["--at", "HEAD"]).says(&["error:", "repository"]);
    world.is_sound();
    // And no git program: a PATH without one.
    let bin = world.beside("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["sh", "true"] {
        let found =
            ["/bin", "/usr/bin"].iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), bin.join(program)).unwrap();
    }
    world.git(&["init", "-q", "."]);
    world.set("PATH", bin.to_str().unwrap());
    world.run(0, &[]);
}

#[test]
fn a_repository_without_a_commit() {
    let world = World::without_git("unborn", "ci.job('a', function(rt) rt.sh('true') end)");
    world.git(&["init", "-q", "-b", "trunk", "."]);
    world.run(0, &[]);
    let started = world.last().of_type("run_started").remove(0);
    assert!(started["sha"].is_null());
    world.is_sound();
}

#[test]
fn a_path_with_spaces_and_every_letter() {
    let names: [&OsStr; 3] =
        [OsStr::new("my work ünï 日本 'q' \"d\" $x"), OsStr::new("-rf"), OsStr::from_bytes(b"not \xff utf-8")];
    for name in names {
        let world = World::without_git(
            name,
            "ci.job('a ä' and 'a', function(rt) rt.sh('pwd; ls'); rt.write_file('mit Ü.txt', rt.read_file('ein ß')) end)",
        );
        world.git(&["init", "-q", "-b", "main", "."]);
        world.write("ein ß", "content");
        world.commit("first");
        world.run(0, &[]);
        assert_eq!(world.read("mit Ü.txt"), "content");
        let said = world.last().stream("a", 1, Stream::Stdout);
        assert!(said.windows(name.len()).any(|window| window == name.as_bytes()), "{name:?}");
        world.run(0, &["--at", "HEAD"]);
        world.is_sound();
    }
}

#[test]
fn unknown_options_and_verbs_are_usage_errors() {
    let world = World::new("ci.job('a', function(rt) end)");
    for args in
        [&["runn"][..], &["run", "--nope"], &["run", "-j0"], &["run", "--param", "x"], &["run", "--spec", "file"]]
    {
        world.quire(args).ends(2).says(&["error:"]);
    }
    world.run(2, &["biuld"]).says(&["error:", "biuld", "jobs: a"]);
    assert!(!world.beside("state").exists(), "nothing was recorded");
}
