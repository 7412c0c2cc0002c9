//! Runs that were: finding them, reading them, keeping and removing them.

use quire_core::wire::Stream;

use crate::recorded::entry;
use crate::world::World;

/// Three runs: one of each commit complete, and a failed one of the second.
fn three() -> (World, String, String) {
    let world = World::new(
        r#"ci.job("build", function(rt) rt.sh("echo out; echo err >&2; printf end"); rt.sh("echo second") end)
        ci.job("test", { "build" }, function(rt) if rt.params.fail then rt.sh("exit 7") end end)"#,
    );
    let first = world.git(&["rev-parse", "HEAD"]);
    world.run(0, &[]);
    world.write("more", "");
    world.commit("second");
    let second = world.git(&["rev-parse", "HEAD"]);
    world.run(1, &["--param", "fail=1"]);
    world.run(0, &[]);
    (world, first, second)
}

#[test]
fn a_run_is_found_by_number_word_id_and_commit() {
    let (world, first, second) = three();
    let ids: Vec<String> = world.runs().iter().map(|run| run.id()).collect();
    for (asked, found) in [
        ("1", 0),
        ("2", 1),
        ("3", 2),
        ("last", 2),
        ("last-failed", 1),
        (ids[1].as_str(), 1),
        (&ids[0][..ids[0].len() - 1], 0),
        (&first[..7], 0),
        (&second, 2),
        (&second[..10], 2),
    ] {
        let shown = world.quire(&["show", "--json", asked]).ends(0).json();
        assert_eq!(shown["run_id"], ids[found], "{asked}");
        let stream = world.quire(&["events", asked]).ends(0).stdout;
        assert_eq!(stream, world.runs()[found].bytes("events.jsonl"), "{asked}");
    }
    assert_eq!(world.quire(&["show", "--json"]).ends(0).json()["run_id"], ids[2], "the last where none is named");
    // What means several, none, or nothing is an error that lists what there is. Ids of one minute begin alike.
    world.quire(&["show", &ids[0][..8]]).ends(2).says(&[&ids[0], &ids[1], &ids[2]]);
    for unknown in ["44", "ffffffff", "nothing-at-all", "1234567"] {
        world.quire(&["show", unknown]).ends(2).says(&["error:", unknown, &ids[0], &ids[2]]);
    }
    world.quire(&["log", "last", "tset"]).ends(2).says(&["tset", "did you mean test", "build, test"]);
    world.quire(&["log", "last", "build/3"]).ends(2).says(&["no command 3", "build/1", "build/2"]);
    world.quire(&["log", "last", "build/0"]).ends(2).says(&["build/0"]);
    world.quire(&["log", "last", "test"]).ends(2).says(&["ran no command"]);
}

#[test]
fn a_log_is_printed_plain_raw_and_with_times() {
    let (world, ..) = three();
    let log = |args: &[&str]| {
        let all: Vec<&str> = std::iter::once("log").chain(args.iter().copied()).collect();
        world.quire(&all).ends(0).out()
    };
    // The two streams' own order is exact, the order between them that of reading.
    let lines = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(log(&["1", "build/1"])), ["end", "err", "out"]);
    assert_eq!(log(&["1", "build/1", "--raw"]), "out\nend");
    assert_eq!(log(&["1", "build/1", "--raw", "--stream", "stderr"]), "err\n");
    assert_eq!(log(&["1", "build/1", "--stream", "stderr"]), "err\n");
    let both = log(&["1", "build"]);
    assert!(
        both.contains("build/1 $") && both.contains("build/2 $ echo second") && both.ends_with("second\n"),
        "{both}"
    );
    assert!(log(&["2"]).contains("test/1 $ exit 7 (exit 7"));
    let timed = log(&["1", "build/2", "--timestamps"]);
    let on_disk = String::from_utf8(world.runs()[0].log("build", 2)).unwrap();
    let (at, ..) = entry(on_disk.trim_end().as_bytes()).unwrap();
    assert_eq!(timed, format!("{}Z second\n", &at[..23]));
    world.quire(&["log", "1", "build", "--raw"]).ends(2).says(&["JOB/N", "build/1", "build/2"]);
}

#[test]
fn ls_lists_newest_first_and_show_tells_all() {
    let (world, _, second) = three();
    let listed = world.quire(&["ls"]).ends(0).out();
    let numbers: Vec<&str> = listed.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(numbers, ["3", "2", "1"]);
    assert!(listed.contains(&second[..7]) && listed.contains("main"), "{listed}");
    let objects = world.quire(&["ls", "--json", "-n", "2"]).ends(0).out();
    assert_eq!(objects.lines().count(), 2);
    let shown = world.quire(&["show", "2"]).ends(0).out();
    for wanted in ["run 2", "test/1", "exit 7", "quire-ci log 2 test/1", "quire-ci run test", ".quire/ci.lua:3"] {
        assert!(shown.contains(wanted), "{wanted:?} is not in\n{shown}");
    }
}

#[test]
fn no_runs_yet_is_no_failure_of_ls() {
    let world = World::new("ci.job('a', function(rt) end)");
    world.quire(&["ls"]).ends(0).says(&["no runs yet", "quire-ci run"]);
    world.quire(&["show"]).ends(2).says(&["no runs yet"]);
    world.quire(&["rebuild"]).ends(0);
}

#[test]
fn a_rebuild_gives_the_rows_that_were_written_live() {
    let world = World::new(
        r#"ci.job("flaky", { retries = 1 }, function(rt) rt.sh("true"); if rt.attempt == 1 then rt.sh("exit 1") end end)
        ci.job("allowed", { allow_failure = true }, function(rt) rt.sh("kill -9 $$") end)
        ci.job("skipped", function(rt) rt.skip("why not") end)
        ci.job("cascade", { "skipped" }, function(rt) end)
        ci.job("parallel", function(rt) rt.all { "echo 1", "echo 2", { "no-such-program" } } end)
        ci.job("after", { "parallel" }, function(rt) end)"#,
    );
    world.run(1, &["--keep-going", "-j4"]);
    let live = world.projection();
    world.quire(&["rebuild"]).ends(0);
    assert_eq!(world.projection(), live);
    let states = world.rows("SELECT job_id || ' ' || state FROM jobs ORDER BY position");
    assert_eq!(
        states,
        ["flaky complete", "allowed failed", "skipped skipped", "cascade skipped", "parallel failed", "after skipped"]
    );
    assert_eq!(world.rows("SELECT flaky, attempts FROM jobs WHERE job_id = 'flaky'"), ["1|2"]);
    world.is_sound();
}

#[test]
fn the_last_fifty_runs_are_kept() {
    let world = World::new("ci.job('a', function(rt) rt.log(rt.params.n) end)");
    for n in 1..=54 {
        world.run(0, &["--quiet", "--param", &format!("n={n}")]);
    }
    let kept = world.runs();
    assert!((50..=51).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(kept.last().unwrap().event("job_logged", "a")["text"], "54");
    let rows: Vec<String> = kept.iter().map(|run| run.id()).collect();
    assert_eq!(world.rows("SELECT id FROM runs ORDER BY id"), rows, "rows go with their directories");
    assert_eq!(world.rows("SELECT max(number) FROM runs"), ["54"], "numbers are not given again");
    world.quire(&["prune", "--keep", "3", "--dry-run"]).ends(0);
    assert_eq!(world.runs().len(), kept.len());
    world.quire(&["prune", "--keep", "3"]).ends(0);
    assert_eq!(world.rows("SELECT number FROM runs ORDER BY number"), ["52", "53", "54"]);
    world.is_sound();
}

#[test]
fn runs_stay_within_reach_without_a_pipeline() {
    let (world, ..) = three();
    std::fs::remove_dir_all(world.workspace().join(".quire")).unwrap();
    assert_eq!(world.quire(&["ls"]).ends(0).out().lines().count(), 3);
    assert_eq!(world.quire(&["log", "last", "build/2"]).ends(0).out(), "second\n");
    assert_eq!(world.last().stream("build", 2, Stream::Stdout), b"second\n");
}
