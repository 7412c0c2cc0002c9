//! Runs inside the server against their limits: memory of many that wait, time of many commands in one.
//!
//! `cargo bench -p quire --bench host [-- DIR]`. DIR (default: a folder in the target directory) is where workspaces and records
//! go. Medians are printed.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quire::host::{HostPool, HostRun, Stop};
use quire_ci::cli::Spec;
use quire_ci::record::RunDir;
use quire_core::ids::RunId;
use quire_core::wire::RunOutcome;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::channel::{self, Sender};

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 500;
const BAR_MB: f64 = 300.0;
const ROUNDS: usize = 11;

/// Each in a process of its own, so that none finds what another has left in memory.
const PARTS: [(&str, Part); 3] = [("commands", many_commands), ("one", one_job_sleeps), ("four", four_jobs_sleep)];

type Part = fn(&HostPool, &Path);

/// Names the part that a process is to do.
const PART: &str = "QUIRE_HOST_BENCH";

fn main() {
    let arg = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let base = arg.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let Ok(part) = std::env::var(PART) else {
        println!("in {}", base.display());
        for (part, _) in PARTS {
            let mut command = Command::new(std::env::current_exe().unwrap());
            assert!(command.arg(&base).env(PART, part).status().unwrap().success());
        }
        return;
    };
    let dir = base.join(format!("quire-host-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    quire_ci::process::become_subreaper().unwrap();
    let pool = HostPool::new(1).unwrap();
    for (_, perform) in PARTS.iter().filter(|(name, _)| *name == part) {
        perform(&pool, &dir);
    }
    fs::remove_dir_all(&dir).unwrap();
}

fn one_job_sleeps(pool: &HostPool, dir: &Path) {
    let pipeline = r#"ci.job("a", function(rt) rt.sh { "sleep", "1000" } end)"#;
    sleeping(pool, dir, "one job", pipeline, 1);
}

fn four_jobs_sleep(pool: &HostPool, dir: &Path) {
    let pipeline = r#"ci.job("a", function(rt) rt.sh("echo begun") return { n = 1 } end)
        for _, id in ipairs { "b", "c", "d" } do
          ci.job(id, { "a" }, function(rt) rt.sh("echo " .. rt.jobs("a").n) rt.sh { "sleep", "1000" } end)
        end"#;
    sleeping(pool, dir, "four jobs, three commands at once", pipeline, 3);
}

/// 1000 x `true` in one job, here and by quire-ci, turn by turn.
fn many_commands(pool: &HostPool, dir: &Path) {
    let job = r#"ci.job("a", function(rt) for i = 1, 1000 do rt.sh { "true" } end end)"#;
    let workspace = workspace(dir, "commands", job);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let (ended, _stops) = start(pool, &workspace, &dir.join(format!("here-{round}")));
        assert_eq!(smol::block_on(ended), RunOutcome::Complete);
        here.push(begun.elapsed());
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quire"));
        command.args(["ci", "run", "-q", "-j4", "--clean", "-w"]).arg(&workspace);
        command.arg("--out-dir").arg(dir.join(format!("there-{round}"))).stdout(Stdio::null());
        assert!(command.status().unwrap().success());
        there.push(begun.elapsed());
    }
    let (here, there) = (median(here), median(there));
    println!(
        "1000 x true: {:.0} ms in the server, {:.0} ms by quire-ci, {:.2} times",
        here * 1e3,
        there * 1e3,
        here / there
    );
}

/// Many runs of a pipeline whose last commands are all sleeping.
fn sleeping(pool: &HostPool, dir: &Path, what: &str, pipeline: &str, commands: usize) {
    let workspace = workspace(dir, &what.replace(' ', "-"), pipeline);
    let before = resident();
    let begun = Instant::now();
    let places: Vec<PathBuf> = (0..RUNS).map(|n| dir.join(format!("{}-{n}", what.replace(' ', "-")))).collect();
    let runs: Vec<_> = places.iter().map(|place| start(pool, &workspace, place)).collect();
    let wanted = RUNS * commands;
    while sleepers() < wanted {
        assert!(begun.elapsed() < Duration::from_secs(120), "only {} of {wanted} sleep", sleepers());
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = begun.elapsed();
    let now = resident();
    println!(
        "{RUNS} runs that sleep ({what}): {now:.0} MB resident, {before:.0} MB before (bar {BAR_MB:.0} MB), started in {:.1} s",
        took.as_secs_f64()
    );
    let cpu = cpu();
    std::thread::sleep(Duration::from_secs(3));
    println!("    CPU while they sleep: {:.1} ms a second", (self::cpu() - cpu) / 3.0);
    let begun = Instant::now();
    for (_, stops) in &runs {
        stops.try_send(Stop::Cancel).unwrap();
    }
    for (ended, _) in runs {
        assert_eq!(smol::block_on(ended), RunOutcome::Aborted);
    }
    println!("    all cancelled in {:.1} s; {:.0} MB resident after", begun.elapsed().as_secs_f64(), resident());
}

fn start(pool: &HostPool, workspace: &Path, place: &Path) -> (smol::Task<RunOutcome>, Sender<Stop>) {
    let (stops, stopped) = channel::unbounded();
    let run = HostRun {
        run_id: RunId::new(&uuid::Uuid::now_v7().to_string()),
        dir: RunDir::create(place).unwrap(),
        workspace: workspace.to_owned(),
        spec: Spec::default(),
        slots: 4,
        notes: Vec::new(),
    };
    let ended = pool.start(run, stopped);
    (smol::spawn(async move { ended.await.unwrap().outcome }), stops)
}

fn workspace(dir: &Path, name: &str, pipeline: &str) -> PathBuf {
    let workspace = dir.join(format!("workspace-{name}"));
    fs::create_dir_all(workspace.join(".quire")).unwrap();
    fs::write(workspace.join(".quire/ci.lua"), format!("local ci = require(\"quire.ci\")\n{pipeline}")).unwrap();
    workspace
}

/// Children of this process whose program is `sleep`.
fn sleepers() -> usize {
    let own = std::process::id().to_string();
    let is_one = |entry: &fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        stat.contains(" (sleep) ") && stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(&own)
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_one).count()
}

/// VmRSS, in megabytes of a million bytes.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// CPU time of this process, in milliseconds.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
}
