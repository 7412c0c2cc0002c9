//! What the forerunner got wrong about events, rows and jobs: each fault is a test.

use std::fs;

use crate::world::{World, until};

#[test]
fn a_thousand_fast_commands_are_a_thousand_rows_and_logs() {
    let world = World::new(r#"ci.job("many", function(rt) for n = 1, 1000 do rt.sh { "echo", tostring(n) } end end)"#);
    world.run(0, &["--quiet"]);
    let run = world.last();
    assert_eq!(world.rows("SELECT count(*), min(n), max(n), sum(exit_code) FROM sh_events"), ["1000|1|1000|0"]);
    assert_eq!(run.of_type("sh_finished").len(), 1000);
    for n in [1, 2, 10, 999, 1000] {
        let log = String::from_utf8(run.log("many", n)).unwrap();
        assert!(log.ends_with(&format!(" stdout F {n}\n")), "{log}");
    }
    // And listed as they ran, sh-2 before sh-10.
    let listed = world.quire(&["log", "last", "many"]).ends(0).out();
    let numbers: Vec<u32> = listed.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers, (1..=1000).collect::<Vec<u32>>());
}

/// A run directory that was brought from elsewhere; its rows come with the next look at the directory.
#[track_caller]
fn brought(world: &World, id: &str, stream: &str) {
    let folder = world.data().join("runs").join(id);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("events.jsonl"), stream).unwrap();
}

const ID: &str = "0190b0e0-aaaa-7000-8000-000000000000";

const HEAD: &str = concat!(
    r#"{"at_ms":1000,"type":"run_started","run_id":"0190b0e0-aaaa-7000-8000-000000000000","version":"9","executor":"host","jobs":[{"id":"a","inputs":["quire/push"]},{"id":"b","inputs":["a"]}]}"#,
    "\n",
    r#"{"at_ms":1001,"type":"job_started","job_id":"a"}"#,
    "\n",
    r#"{"at_ms":1002,"type":"sh_started","job_id":"a","cmd":"one"}"#,
    "\n",
    r#"{"at_ms":1003,"type":"sh_finished","job_id":"a","exit_code":0}"#,
    "\n",
);

fn world_with(stream: &str) -> World {
    let world = World::new(r#"ci.job("own", function(rt) rt.sh("true") end)"#);
    world.run(0, &["--quiet"]);
    brought(&world, ID, stream);
    world
}

fn rows_of(world: &World) -> (Vec<String>, Vec<String>, Vec<String>) {
    let of = |query: &str| world.rows(&query.replace("ID", &format!("'{ID}'")));
    (
        of("SELECT state, failure_kind FROM runs WHERE id = ID"),
        of("SELECT job_id, state, started_at_ms, finished_at_ms FROM jobs WHERE run_id = ID ORDER BY position"),
        of("SELECT n, exit_code, cause, started_at_ms, finished_at_ms FROM sh_events WHERE run_id = ID ORDER BY n"),
    )
}

#[test]
fn a_torn_last_line_loses_only_itself() {
    let world = world_with(&format!("{HEAD}{}", r#"{"at_ms":1004,"type":"job_fini"#));
    let said = world.quire(&["show", ID]).ends(0);
    said.says(&[ID, "died"]);
    let (run, jobs, commands) = rows_of(&world);
    assert_eq!(run, ["failed|orphaned"]);
    assert_eq!(jobs, ["a|aborted|1001|1003", "b|aborted|-|1003"]);
    assert_eq!(commands, ["1|0|-|1002|1003"]);
    world.is_sound();
}

#[test]
fn an_unknown_event_and_a_bad_line_are_stepped_over() {
    let rest = concat!(
        r#"{"at_ms":1004,"type":"weather_changed","to":{"deep":[1,2]}}"#,
        "\n{]\n",
        r#"{"at_ms":1005,"type":"job_finished","job_id":"a","outcome":"complete","of_a_newer_quire":1}"#,
        "\n",
        r#"{"at_ms":1006,"type":"job_skipped","job_id":"b","reason":"of_a_newer_quire"}"#,
        "\n",
        r#"{"at_ms":1007,"type":"run_finished","outcome":"complete"}"#,
        "\n",
    );
    let world = world_with(&format!("{HEAD}{rest}"));
    let said = world.quire(&["ls"]).ends(0);
    said.says(&["events.jsonl:6:", "stepped over"]);
    let (run, jobs, commands) = rows_of(&world);
    assert_eq!(run, ["complete|-"]);
    assert_eq!(jobs, ["a|complete|1001|1005", "b|skipped|-|1006"]);
    assert_eq!(commands.len(), 1);
    // A second look says nothing new, and a rebuild gives the same.
    assert_eq!(world.quire(&["ls"]).ends(0).err(), "");
    let rows = world.projection();
    world.quire(&["rebuild"]).ends(0);
    assert_eq!(world.projection(), rows);
}

#[test]
fn an_unfinished_job_stops_no_ingest() {
    let rest = r#"{"at_ms":1004,"type":"sh_started","job_id":"a","cmd":"two"}"#;
    let world = world_with(&format!("{HEAD}{rest}\n"));
    world.quire(&["ls"]).ends(0).says(&["died"]);
    let (run, jobs, commands) = rows_of(&world);
    assert_eq!(run, ["failed|orphaned"]);
    assert_eq!(jobs, ["a|aborted|1001|1004", "b|aborted|-|1004"]);
    assert_eq!(commands, ["1|0|-|1002|1003", "2|-|crash|1004|1004"]);
    world.is_sound();
}

#[test]
fn reading_again_changes_nothing() {
    let world = World::new(
        r#"ci.job("a", function(rt) rt.sh("true") end)
        ci.job("b", { "a" }, { allow_failure = true }, function(rt) rt.sh("exit 4") end)
        ci.job("c", { "a" }, function(rt) rt.skip("not today") end)"#,
    );
    world.run(0, &[]);
    let live = world.projection();
    for _ in 0..2 {
        world.quire(&["rebuild"]).ends(0);
        assert_eq!(world.projection(), live);
    }
    // From nothing at all, too.
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    world.quire(&["ls"]).ends(0);
    assert_eq!(world.projection(), live);
}

#[test]
fn a_clock_that_steps_back_breaks_nothing() {
    let rest = concat!(
        r#"{"at_ms":400,"type":"sh_started","job_id":"a","cmd":"two"}"#,
        "\n",
        r#"{"at_ms":300,"type":"sh_finished","job_id":"a","exit_code":0}"#,
        "\n",
        r#"{"at_ms":200,"type":"job_finished","job_id":"a","outcome":"complete"}"#,
        "\n",
        r#"{"at_ms":150,"type":"job_started","job_id":"b"}"#,
        "\n",
        r#"{"at_ms":120,"type":"job_finished","job_id":"b","outcome":"complete"}"#,
        "\n",
        r#"{"at_ms":100,"type":"run_finished","outcome":"complete"}"#,
        "\n",
    );
    let world = world_with(&format!("{HEAD}{rest}"));
    world.quire(&["rebuild"]).ends(0);
    let (run, jobs, commands) = rows_of(&world);
    assert_eq!(run, ["complete|-"]);
    assert_eq!((jobs.len(), commands.len()), (2, 2));
    let negative = "SELECT (SELECT count(*) FROM runs WHERE finished_at_ms < started_at_ms)
        + (SELECT count(*) FROM jobs WHERE finished_at_ms < started_at_ms)
        + (SELECT count(*) FROM sh_events WHERE finished_at_ms < started_at_ms)";
    assert_eq!(world.rows(negative), ["0"]);
    world.is_sound();
}

#[test]
fn job_ids_that_would_leave_their_folder_are_refused() {
    for (id, shown) in [("..", "\"..\""), ("", "\"\""), ("a/b", "\"a/b\""), (".hidden", "\".hidden\"")] {
        let world = World::new(&format!("ci.job({id:?}, function(rt) rt.sh('true') end)"));
        let said = world.run(2, &[]);
        said.tells(&["error:", shown, ".quire/ci.lua:2"]);
        world.quire(&["validate"]).ends(1);
        let run = world.last();
        assert_eq!(run.outcome().as_deref(), Some("failed"));
        assert!(!run.0.join("jobs").exists());
        world.is_sound();
    }
}

#[test]
fn an_id_of_a_foreign_stream_leaves_no_folder_either() {
    let rest = concat!(
        r#"{"at_ms":1004,"type":"job_started","job_id":"../../../x"}"#,
        "\n",
        r#"{"at_ms":1004,"type":"sh_started","job_id":"../../../x","cmd":"evil"}"#,
        "\n",
    );
    let world = world_with(&format!("{HEAD}{rest}"));
    let before = world.data().join("x");
    let said = world.quire(&["log", ID]).ends(0);
    assert!(said.out().contains("evil"), "{}", said.out());
    assert!(!before.exists() && !world.data().join("runs/x").exists());
    world.is_sound();
}

#[test]
fn an_endless_loop_at_the_top_ends_in_run_and_in_validate() {
    let world = World::new("while true do pcall(function() while true do end end) end");
    world.run(2, &[]).tells(&["endless loop"]);
    assert_eq!(world.last().outcome().as_deref(), Some("failed"));
    world.quire(&["validate"]).ends(1).says(&["endless loop"]);
}

#[test]
fn an_endless_loop_in_a_job_ends() {
    let world = World::new(
        r#"ci.job("loop", function(rt) while true do pcall(function() while true do end end) end end)
        ci.job("in-coroutine", function(rt) coroutine.wrap(function() while true do end end)() end)"#,
    );
    world.quire(&["validate"]).ends(0);
    world.run(1, &["--keep-going"]).tells(&["✗ loop failed", "✗ in-coroutine failed", "endless loop"]);
    assert_eq!(world.last().outcome().as_deref(), Some("failed"));
}

#[test]
fn outputs_reach_dependents() {
    let world = World::new(
        r#"ci.job("a", function(rt) return { text = "ä\n", list = { 1, 2.5, { deep = true } }, out = rt.out("echo found") } end)
        ci.job("b", { "a" }, function(rt)
          local a = rt.jobs("a")
          assert(a.text == "ä\n" and a.list[2] == 2.5 and a.list[3].deep == true and a.out == "found")
          return { from = a.out }
        end)
        ci.job("c", { "b" }, function(rt) assert(rt.jobs("a").out == "found" and rt.jobs("b").from == "found") end)"#,
    );
    world.run(0, &[]);
    assert_eq!(world.last().event("job_finished", "b")["output"]["from"], "found");
}

#[test]
fn a_failing_command_makes_the_run_red() {
    let world = World::new(
        r#"ci.job("test", function(rt) rt.sh("false"); rt.write_file("after", "") end)
        ci.job("next", { "test" }, function(rt) end)"#,
    );
    let said = world.run(1, &[]);
    assert!(said.out().contains("✗ test failed at .quire/ci.lua:2"), "{}", said.out());
    assert!(!world.workspace().join("after").exists());
    let run = world.last();
    assert_eq!(run.event("job_finished", "test")["error"]["line"], 2);
    assert_eq!(run.event("job_skipped", "next")["reason"], "input_failed");
    assert_eq!(world.rows("SELECT state, failure_kind FROM runs"), ["failed|job"]);
    assert_eq!(
        world.rows("SELECT job_id, state, exit_code FROM jobs ORDER BY position"),
        ["test|failed|1", "next|skipped|-"]
    );
    // In the middle of a shell's command line as well.
    world.pipeline(r#"ci.job("test", function(rt) rt.sh("false; true") end)"#);
    world.run(1, &[]);
    world.is_sound();
}

#[test]
fn independent_jobs_run_at_once_and_in_order() {
    // Each of the four waits for all the others: one at a time they would wait for ever.
    let world = World::new(
        r#"for _, id in ipairs { "one", "two", "three", "four" } do
          ci.job(id, { timeout = "50s" }, function(rt)
            rt.sh("touch here-" .. id .. "; until test -e here-one -a -e here-two -a -e here-three -a -e here-four; do sleep 0.01; done")
          end)
        end"#,
    );
    world.run(0, &["-j4"]);
    let started = world.last().of_type("job_started");
    let order: Vec<&str> = started.iter().map(|event| event["job_id"].as_str().unwrap()).collect();
    assert_eq!(order, ["one", "two", "three", "four"]);
    // And one at a time where that is asked for: in the order of the pipeline.
    world.pipeline(
        r#"for _, id in ipairs { "one", "two", "three" } do
          ci.job(id, function(rt) rt.sh("test ! -e busy; touch busy; sleep 0.02; rm busy; echo " .. id .. " >> order") end)
        end"#,
    );
    world.run(0, &["-j1"]);
    assert_eq!(world.read("order"), "one\ntwo\nthree\n");
}

#[test]
fn a_command_that_never_started_has_a_row() {
    let world = World::new(
        r#"ci.job("none", function(rt) rt.sh { "no-such-program-of-mine", "x" } end)
        ci.job("folder", function(rt) rt.sh({ "true" }, { cwd = "no/such/folder" }) end)
        ci.job("denied", function(rt) rt.sh { "./plain-file" } end)
        ci.job("caught", function(rt) assert(rt.sh({ "no-such-program-of-mine" }, { check = false }).exit == 127) end)"#,
    );
    world.write("plain-file", "no program");
    let said = world.run(1, &["--keep-going"]);
    assert!(said.out().contains("no-such-program-of-mine") && said.out().contains("no/such/folder"), "{}", said.out());
    let codes = world.rows("SELECT job_id, n, exit_code, error IS NOT NULL FROM sh_events ORDER BY job_id");
    assert_eq!(codes, ["caught|1|127|1", "denied|1|126|1", "folder|1|126|1", "none|1|127|1"]);
    let error = world.last().event("sh_finished", "none")["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("no-such-program-of-mine") && error.contains("/bin"), "the PATH that was searched: {error}");
    world.is_sound();
}

#[test]
fn rows_appear_while_the_run_goes_on() {
    let world = World::new(
        r#"ci.job("a", { timeout = "50s" }, function(rt) rt.sh("true"); rt.sh("until test -e go; do sleep 0.01; done") end)"#,
    );
    let running = world.start(&["run"]);
    until("the rows of the first command and the second", || {
        let database = fs::read_dir(world.beside("state/quire")).ok()?.next()?.ok()?.path().join("quire.db");
        database.exists().then_some(())?;
        let rows = world.rows("SELECT n, exit_code FROM sh_events ORDER BY n");
        (rows == ["1|0", "2|-"]).then_some(())
    });
    assert_eq!(world.rows("SELECT state FROM runs"), ["active"]);
    // Who looks meanwhile sees it running and closes nothing.
    let listed = world.quire(&["ls"]).ends(0);
    assert!(listed.out().contains("active") && listed.err().is_empty(), "{listed:?}");
    world.write("go", "");
    running.end().ends(0);
    assert_eq!(world.rows("SELECT state FROM runs"), ["complete"]);
}
