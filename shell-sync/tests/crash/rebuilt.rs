//! Rows made anew are the rows that were: in place, in every column; from nothing, in every column that is a projection.

use quire_ci::record::DataDir;
use quire_ci::store::NewRun;
use quire_core::ids::RunId;
use rustix::process::Signal;

use crate::aftermath::tables;
use crate::world::{World, until};

/// Of `runs`, what no stream tells: the order in which the database learned of the runs, who started them, when they were
/// queued, and what their directories take, which is counted when it is first asked for.
const OWN: [&str; 4] = ["seq", "owner", "queued_at_ms", "disk_bytes"];

/// The columns of `runs` without these.
fn runs_without(world: &World, left_out: &[&str]) -> Vec<String> {
    let columns = world.rows("SELECT name FROM pragma_table_info('runs')");
    assert!(left_out.iter().all(|name| columns.iter().any(|column| column == name)), "{columns:?}");
    let columns: Vec<&str> = columns.iter().map(String::as_str).filter(|column| !left_out.contains(column)).collect();
    world.rows(&format!("SELECT {} FROM runs ORDER BY id", columns.join(", ")))
}

fn below_runs(world: &World) -> [Vec<String>; 2] {
    ["SELECT * FROM jobs ORDER BY run_id, job_id", "SELECT * FROM sh_events ORDER BY run_id, job_id, n"]
        .map(|query| world.rows(query))
}

const PIPELINE: &str = r#"
ci.job("build", function(rt) rt.all { "echo one", "echo two" } return { made = true } end)
ci.job("test", { "build" }, { retries = 1, timeout = "50s" }, function(rt)
  rt.spawn("sleep 300", { service = true })
  local want = rt.params.want
  if want == "failure" then rt.sh("exit 7") end
  if want == "flaky" then rt.sh("exit " .. (rt.attempt == 1 and 1 or 0)) end
  if want == "time-out" then rt.sh("sleep 300", { timeout = 0.05 }) end
  if want == "skip" then rt.skip("as asked") end
  if want == "long" then rt.sh("touch begun; sleep 300") end
  rt.sh { "printf", "open" }
end)
ci.job("after", { "test" }, { allow_failure = true }, function(rt) rt.sh("kill -9 $$") end)
ci.job("always", { "after" }, { needs = "finished" }, function(rt) rt.sh { "no-such-program-of-mine" } end)"#;

/// A run that goes on until this signal.
fn ended_by(world: &World, signal: Signal) {
    let _ = std::fs::remove_file(world.workspace().join("begun"));
    let running = world.start(&["run", "--param", "want=long"]);
    until("the command", || world.workspace().join("begun").exists().then_some(()));
    running.signal(signal);
    running.end();
}

#[test]
fn rows_made_anew_are_the_rows_that_were() {
    let world = World::new(PIPELINE);
    for (want, code) in [("nothing", 1), ("failure", 1), ("flaky", 1), ("time-out", 1), ("skip", 1)] {
        world.run(code, &["--param", &format!("want={want}"), "--keep-going"]);
    }
    world.run(0, &["build", "-j1", "--seed", "7"]);
    world.run(0, &["build", "--at", "HEAD"]);
    ended_by(&world, Signal::INT);
    ended_by(&world, Signal::KILL);
    let spec = r#"{"repo":"work/foo.git","number":41,"sha":"0123456789012345678901234567890123456789","ref":"refs/heads/x","pushed_at_ms":5,"jobs":["build"],"executor":"quire-ci"}"#;
    world.quire_reading(&["run", "--spec", "-"], spec).ends(0);
    world.pipeline("ci.job('a', function(rt) rt.sh('true') end) ci.job('b', { 'gone' }, function(rt) end)");
    world.run(2, &[]);
    world.pipeline("ci.job('a', function(rt)");
    world.run(2, &[]);
    world.pipeline(PIPELINE);
    world.run(0, &["build", "--quiet"]);
    // It touches no database.
    world.run(0, &["build", "--out-dir", &world.beside_text("elsewhere")]);
    world.quire(&["ls"]).ends(0);
    assert_eq!(
        world.rows("SELECT coalesce(failure_kind, state), count(*) FROM runs GROUP BY 1 ORDER BY 1"),
        ["aborted|1", "complete|4", "job|5", "orphaned|1", "pipeline|2"]
    );

    let were = tables(&world);
    for _ in 0..2 {
        world.quire(&["rebuild"]).ends(0);
        assert_eq!(tables(&world), were, "in place, every column of every row is kept");
    }
    let (runs, below) = (runs_without(&world, &OWN), below_runs(&world));
    for by in ["rebuild", "ls"] {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(world.data().join(format!("quire.db{end}")));
        }
        world.quire(&[by]).ends(0);
        assert_eq!(runs_without(&world, &OWN), runs, "from nothing, by {by}");
        assert_eq!(below_runs(&world), below, "from nothing, by {by}");
    }
}

/// What a stream that tells nothing cannot bring back: a run that died before its first event has number, repository and
/// start from the database alone.
#[test]
fn of_a_run_without_events_only_the_database_knows_number_and_repository() {
    let world = World::new("ci.job('a', function(rt) rt.sh('true') end)");
    world.run(0, &[]);
    let data = DataDir::open(&world.data()).unwrap();
    let dead = RunId::new("01a00000-0000-7000-8000-000000000000");
    drop(data.create_run(&dead).unwrap());
    let new = NewRun { run_id: dead, repo: "work".to_owned(), at_ms: 1, owner: Some("ann".to_owned()) };
    assert_eq!(data.open_store().unwrap().reserve_run(&new).unwrap(), 2);
    world.run(0, &[]);
    let told = "SELECT number, repo, state, failure_kind, owner FROM runs WHERE state = 'failed'";
    assert_eq!(world.rows(told), ["2|work|failed|orphaned|ann"]);
    let were = tables(&world);
    world.quire(&["rebuild"]).ends(0);
    assert_eq!(tables(&world), were);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.data().join(format!("quire.db{end}")));
    }
    world.quire(&["rebuild"]).ends(0);
    assert_eq!(world.rows(told), ["1||failed|orphaned|-"]);
    assert_eq!(
        world.rows("SELECT number FROM runs WHERE state = 'complete' ORDER BY id"),
        ["1", "3"],
        "told by streams"
    );
}
