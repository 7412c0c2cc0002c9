//! What `run` is asked for on its command line, and in a spec.

use std::fs;

use quire_core::wire::Stream;
use serde_json::Value;

use crate::recorded::RunRecord;
use crate::world::World;

const TWO: &str = r#"
ci.job("a", function(rt) rt.sh("echo from a"); return { n = 1 } end)
ci.job("b", { "a" }, function(rt) rt.sh("echo from b; exit 3") end)"#;

#[test]
fn events_on_stdout_are_the_record_and_text_moves_to_stderr() {
    let world = World::new(TWO);
    let done = world.run(1, &["--events", "stdout"]);
    assert_eq!(done.stdout, world.last().bytes("events.jsonl"));
    done.says(&["a | from a", "✗ b failed", "whole log:"]);
    // And to a file.
    let copy = world.beside_text("copy.jsonl");
    let done = world.run(1, &["--events", &copy]);
    assert_eq!(fs::read(&copy).unwrap(), world.last().bytes("events.jsonl"));
    assert!(done.out().contains("a | from a"));
    // One that cannot be written stops nothing before it began, and one that ends early costs only the copy.
    world.run(2, &["--events", "no/such/folder/events.jsonl"]).says(&["error:", "no/such/folder"]);
    let done = world.run(1, &["--events", "/dev/full"]);
    assert!(done.out().contains("--events") && done.out().contains("No space left"), "{}", done.out());
    assert_eq!(world.last().outcome().as_deref(), Some("failed"));
    world.is_sound();
}

#[test]
fn a_stdout_that_is_closed_costs_only_the_copy() {
    let world =
        World::new(r#"ci.job("a", function(rt) for n = 1, 300 do rt.log(("x"):rep(1000)) end rt.sh("true") end)"#);
    let mut command = world
        .command("sh", &["-c", "{ \"$0\" run --events stdout 2> /dev/null; echo $? > code; } | head -n 2 > /dev/null"]);
    let status = command.arg(env!("CARGO_BIN_EXE_quire-ci")).status().unwrap();
    assert!(status.success());
    assert_eq!(world.read("code"), "0\n");
    assert_eq!(world.last().outcome().as_deref(), Some("complete"));
}

#[test]
fn out_dir_is_the_run_directory_and_no_database_is_touched() {
    let world = World::new(TWO);
    let place = world.beside_text("out");
    let events = format!("{place}/events.jsonl");
    let done = world.run(1, &["--out-dir", &place, "--events", &events]);
    let run = RunRecord(place.clone().into());
    assert_eq!(run.of_type("run_started").len(), 1, "written once");
    assert_eq!(run.outcome().as_deref(), Some("failed"));
    assert_eq!(run.stream("b", 1, Stream::Stdout), b"from b\n");
    assert!(!world.beside("state").exists(), "no state directory, no database");
    assert!(!run.files().iter().any(|(path, _)| path.to_string_lossy().contains("quire.db")));
    // Without a database `quire-ci log` cannot help: the file is named.
    assert!(done.out().contains("jobs/b/sh-1.log"), "{}", done.out());
    // Taken: refused, and left as it is.
    let record = || run.files().into_iter().filter(|(path, _)| !path.ends_with("lock")).collect::<Vec<_>>();
    let before = record();
    world.run(2, &["--out-dir", &place]).says(&["error:", "events.jsonl", "--out-dir"]);
    assert!(record() == before, "what is recorded is left as it is");
}

#[test]
fn a_torn_line_alone_is_cut_away() {
    let world = World::new(r#"ci.job("a", function(rt) rt.sh("echo hi") end)"#);
    let place = world.beside("out");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("events.jsonl"), "{\"at_ms\":1,\"type\":\"run_st").unwrap();
    world.run(0, &["--out-dir", place.to_str().unwrap()]);
    let run = RunRecord(place);
    assert_eq!(run.events()[0]["type"], "run_started");
    run.is_readable();
}

#[test]
fn json_is_one_object_and_nothing_else() {
    let world = World::new(TWO);
    for (args, code) in [(&["--json"][..], 1), (&["--json", "a"], 0), (&["--json", "--quiet"], 1)] {
        let done = world.run(code, args);
        let summary = done.json();
        assert_eq!(done.out().lines().count(), 1);
        assert_eq!(summary["outcome"], if code == 0 { "complete" } else { "failed" });
        assert_eq!(summary["run_id"].as_str(), Some(world.last().id().as_str()));
        assert_eq!(summary["jobs"][0]["id"], "a");
        assert_eq!(summary["jobs"][0]["commands"], 1);
    }
    let shown = world.quire(&["show", "--json", "1"]).ends(0).json();
    assert_eq!((&shown["number"], &shown["jobs"][1]["exit_code"]), (&Value::from(1), &Value::from(3)));
    assert_eq!(shown["jobs"][1]["sh"][0]["cmd"], "echo from b; exit 3");
    world.run(2, &["--json", "--events", "stdout"]).says(&["standard output"]);
    // A pipeline that does not compile has its object too.
    world.pipeline("ci.job(");
    let done = world.run(2, &["--json"]);
    assert_eq!(done.json()["failure_kind"], "pipeline");
    done.says(&["error:", ".quire/ci.lua:3"]);
}

#[test]
fn what_a_summary_says_to_type_works_as_it_stands() {
    let world = World::new(TWO);
    let (work, data) = (world.workspace().to_str().unwrap().to_owned(), world.beside_text("da ta"));
    let elsewhere = world.beside("home");
    let said = |args: &[&str]| {
        let mut command = world.command(env!("CARGO_BIN_EXE_quire-ci"), args);
        let done = command.current_dir(&elsewhere).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    for verb in ["run", "show"] {
        let text = said(&[verb, "-w", &work, "--data-dir", &data]);
        let line = text.lines().find_map(|line| line.trim().strip_prefix("whole log:")).unwrap();
        let line = line.trim().replacen("quire-ci", env!("CARGO_BIN_EXE_quire-ci"), 1);
        let done = world.command("sh", &["-c", &line]).current_dir(&elsewhere).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stdout), "from b\n", "{verb}: {line}");
    }
}

#[test]
fn args_and_params_reach_the_script() {
    let world = World::new(
        r#"ci.job("a", function(rt)
          rt.log(rt.json.encode { args = rt.args, to = rt.params.to, eq = rt.params.eq, none = rt.params.none == nil })
        end)"#,
    );
    let done = world.run(0, &["--param", "to=staging", "--param", "eq=a=b c", "--", "-x", "two words", "--json"]);
    let logged = world.last().event("job_logged", "a");
    let told: Value = serde_json::from_str(logged["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        told,
        serde_json::json!({ "args": ["-x", "two words", "--json"], "to": "staging", "eq": "a=b c", "none": true })
    );
    assert!(done.out().contains("staging"));
    assert_eq!(world.last().of_type("run_started")[0]["params"]["to"], "staging");
}

#[test]
fn the_source_of_a_secret_is_hidden_from_commands() {
    let mut world = World::new(
        r#"ci.job("a", function(rt)
          assert(rt.env("MY_TOKEN") == nil and rt.env("OTHER") == "seen")
          assert(rt.secret("TOKEN") == "token-value-1" and rt.secret("KEY") == "key value 2")
          rt.sh("env | grep -c ^MY_TOKEN= || :; test \"$OTHER\" = seen")
        end)"#,
    );
    world.set("MY_TOKEN", "token-value-1");
    world.set("OTHER", "seen");
    world.write("key", "key value 2\n");
    world.run(0, &["--secret", "TOKEN=env:MY_TOKEN", "--secret", "KEY=file:key"]);
    assert_eq!(world.last().stream("a", 1, Stream::Stdout), b"0\n");
}

#[test]
fn what_commands_find_in_their_environment() {
    let mut world = World::new(
        r#"ci.job("a", function(rt) rt.sh { "env" }; rt.sh({ "env" }, { env = { CI = "mine", HOME = false } }) end)"#,
    );
    world.set("OTHER", "seen");
    let names = |n: u32| {
        let text = String::from_utf8(world.last().stream("a", n, Stream::Stdout)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    world.run(0, &[]);
    let (mine, run) = (names(1), world.last());
    let wanted = [
        "CI=true".to_owned(),
        "OTHER=seen".to_owned(),
        "QUIRE_JOB_ID=a".to_owned(),
        format!("QUIRE_RUN_ID={}", run.id()),
        "QUIRE_RUN_NUMBER=1".to_owned(),
        format!("QUIRE_SHA={}", world.git(&["rev-parse", "HEAD"])),
        "QUIRE_REF=refs/heads/main".to_owned(),
        "CLICOLOR_FORCE=1".to_owned(),
    ];
    for wanted in wanted {
        assert!(mine.contains(&wanted), "{wanted} is not in {mine:?}");
    }
    assert!(mine.iter().any(|line| line.starts_with(&format!("QUIRE_SH={}/a/", run.id()))));
    let changed = names(2);
    assert!(changed.contains(&"CI=mine".to_owned()) && !changed.iter().any(|line| line.starts_with("HOME=")));
    // --clean: the documented short list, and what quire itself adds.
    world.run(0, &["--clean"]);
    let clean = names(1);
    let documented = quire_ci::commands::run::CLEAN_ENVIRONMENT;
    let added = ["CI", "CLICOLOR_FORCE", "FORCE_COLOR", "CARGO_TERM_COLOR", "PYTHONUNBUFFERED"];
    for line in &clean {
        let name = line.split('=').next().unwrap();
        let is_known = documented.contains(&name)
            || added.contains(&name)
            || name.starts_with("LC_")
            || name.starts_with("QUIRE_");
        assert!(is_known, "{line}");
    }
    assert!(clean.iter().any(|line| line.starts_with("PATH=")));
}

#[test]
fn an_image_is_refused_naming_the_flag_that_overrides_it() {
    let world = World::new("ci.image('debian:13')\nci.job('a', function(rt) rt.sh('echo here') end)");
    world.run(2, &[]).tells(&["error:", "debian:13", "--executor host"]);
    world.run(2, &["--executor", "container"]).says(&["error:", "--executor host"]);
    world.run(0, &["--executor", "host"]);
    assert_eq!(world.last().stream("a", 1, Stream::Stdout), b"here\n");
    world.is_sound();
}

#[test]
fn some_jobs_run_with_all_that_they_need() {
    let world = World::new(
        r#"ci.job("a", function(rt) end)
        ci.job("b", { "a" }, function(rt) end)
        ci.job("c", { "a" }, function(rt) end)
        ci.job("deploy", { "b", "quire/manual" }, function(rt) end)"#,
    );
    let states = || {
        world.rows("SELECT job_id || ' ' || state || coalesce(' ' || skip_reason, '') FROM jobs WHERE run_id = (SELECT id FROM runs ORDER BY seq DESC LIMIT 1) ORDER BY position")
    };
    world.run(0, &[]);
    assert_eq!(states(), ["a complete", "b complete", "c complete", "deploy skipped not_selected"]);
    world.run(0, &["deploy"]);
    assert_eq!(states(), ["a complete", "b complete", "c skipped not_selected", "deploy complete"]);
    world.run(2, &["deplpy"]).says(&["deplpy", "deploy"]);
}

#[test]
fn a_first_failure_ends_the_start_of_others_unless_told_to_keep_going() {
    let world = World::new(
        r#"ci.job("bad", function(rt) error("as it is") end)
        ci.job("other", function(rt) rt.sh("true") end)
        ci.job("report", { "bad" }, { needs = "finished" }, function(rt) rt.sh("true") end)"#,
    );
    let states = || {
        world.rows("SELECT job_id || ' ' || state FROM jobs WHERE run_id = (SELECT id FROM runs ORDER BY seq DESC LIMIT 1) ORDER BY position")
    };
    world.run(1, &["-j1"]);
    assert_eq!(states(), ["bad failed", "other skipped", "report complete"]);
    world.run(1, &["-j1", "--keep-going"]);
    assert_eq!(states(), ["bad failed", "other complete", "report complete"]);
}

#[test]
fn a_spec_says_all_that_a_server_wants() {
    let mut world = World::new(
        r#"ci.job("a", function(rt)
          assert(rt.push.sha == "1234567890" and rt.push.branch == "feature" and rt.push.pushed_at_ms == 99)
          assert(rt.params.p == "v" and rt.secret("S") == "spec-secret")
          assert(rt.env("GIVEN") == "yes" and rt.env("OTHER") == nil)
          rt.sh("echo $GIVEN spec-secret")
        end)
        ci.job("b", function(rt) end)"#,
    );
    world.set("OTHER", "not on a server");
    let id = "0190b0e0-bbbb-7000-8000-000000000000";
    let spec = format!(
        r#"{{"run_id":"{id}","number":41,"repo":"work/foo.git","sha":"1234567890","ref":"refs/heads/feature","pushed_at_ms":99,
        "executor":"quire-ci","seed":7,"params":{{"p":"v"}},"env":{{"GIVEN":"yes"}},"secrets":{{"S":"spec-secret"}},"jobs":["a"],
        "keep_going":true,"limits":{{"job_ms":3600000}},"of_a_newer_server":{{}}}}"#
    );
    let place = world.beside_text("rundir");
    let events = format!("{place}/events.jsonl");
    let done = world.quire_reading(&["run", "--out-dir", &place, "--events", &events, "--spec", "-"], &spec);
    let done = done.ends(0);
    let run = RunRecord(place.into());
    let started = run.of_type("run_started").remove(0);
    for (name, value) in [
        ("run_id", id),
        ("repo", "work/foo.git"),
        ("sha", "1234567890"),
        ("ref", "refs/heads/feature"),
        ("executor", "quire-ci"),
    ] {
        assert_eq!(started[name], value);
    }
    assert_eq!((&started["number"], &started["seed"], &started["pushed_at_ms"]), (&41.into(), &7.into(), &99.into()));
    assert_eq!(run.stream("a", 1, Stream::Stdout), b"yes ***\n");
    assert!(!done.out().contains("spec-secret"));
    assert_eq!(run.event("job_skipped", "b")["reason"], "not_selected");
    assert!(!world.beside("state").exists());
    // Whatever is wrong with it is told, and quotes nothing back.
    for (spec, said) in
        [("", "ends too early"), ("{\"secrets\":{\"S\":\"spec-secret\"},}", "not JSON"), ("{\"jobs\":1}", "wrong type")]
    {
        let done = world.quire_reading(&["run", "--spec", "-"], spec).ends(2);
        done.says(&["error:", "--spec -", said]);
        assert!(!done.err().contains("spec-secret"));
    }
    world.quire_reading(&["run", "--spec", "-"], r#"{"secrets":{"S":"abc"}}"#).ends(2).says(&["4"]);
}

#[test]
fn limits_of_a_spec_hold() {
    let world = World::new(
        r#"ci.job("loud", function(rt) rt.sh("yes") end)
        ci.job("silent", function(rt) rt.sh("sleep 1000") end)"#,
    );
    let spec = r#"{"limits":{"output_bytes":100000,"idle_ms":300},"keep_going":true}"#;
    world.quire_reading(&["run", "--quiet", "--spec", "-"], spec).ends(1);
    let run = world.last();
    assert_eq!(run.event("sh_finished", "loud")["cause"], "limit");
    assert!(run.stream("loud", 1, Stream::Stdout).len() <= 200_000);
    assert!(run.event("sh_finished", "silent")["cause"].is_string());
    assert_eq!(world.processes(), []);
    world.is_sound();
}
