//! Whole runs of the release binary against their limits: the bars of docs/performance.md that are about a process as a whole.
//!
//! `cargo bench -p quire-ci --bench bars [-- DIR]`. DIR (default: a folder in the target directory) is where workspaces and
//! records go: name one on the file system that is to be measured. Both sides of a ratio take turns; medians are printed.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 11;

fn main() {
    let arg = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let base = arg.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let dir = base.join(format!("quire-bars-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    println!("in {}", dir.display());
    let tools = Tools {
        dir: dir.clone(),
        spawn_loop: compile(&dir, "benches/spawn_loop.c"),
        streamer: compile(&dir, "../core/benches/streamer.c"),
    };
    tools.many_commands();
    tools.one_command();
    tools.many_jobs();
    tools.resume();
    tools.sleeps();
    tools.output();
    fs::remove_dir_all(&dir).unwrap();
}

struct Tools {
    dir: PathBuf,
    spawn_loop: PathBuf,
    streamer: PathBuf,
}

/// What one process cost.
struct Cost {
    wall: f64,
    /// Of the process itself, its children not counted; sampled, so up to some milliseconds short.
    own_cpu: f64,
    peak_kib: u64,
}

impl Tools {
    /// 1000 x `true` in one job.
    fn many_commands(&self) {
        let job = r#"ci.job("a", function(rt) for i = 1, 1000 do rt.sh { "true" } end end)"#;
        let (workspace, data) = self.workspace("commands", job);
        let pairs = rounds(|| {
            let ours = run(&workspace, &data, &[]).wall;
            (ours, timed(Command::new(&self.spawn_loop).args(["1000", "/bin/true"])).wall)
        });
        report("1000 x true", "C posix_spawn loop", &pairs);
        let runs = data.join("runs");
        let last = fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
        println!("    logs of the last run: {}", fs::read_dir(last.join("jobs/a")).unwrap().count());
    }

    fn one_command(&self) {
        let (workspace, data) = self.workspace("one", r#"ci.job("a", function(rt) rt.sh("true") end)"#);
        run(&workspace, &data, &[]);
        let sh = || timed(Command::new("sh").args(["-c", "true"])).wall;
        let pairs = rounds(|| (run(&workspace, &data, &[]).wall, sh()));
        report("one true, database there", "sh -c true", &pairs);
        let mut count = 0;
        let pairs = rounds(|| {
            count += 1;
            (run(&workspace, &data.join(format!("first-{count}")), &[]).wall, sh())
        });
        report("one true, first run", "sh -c true", &pairs);
    }

    fn many_jobs(&self) {
        let jobs = r#"for i = 1, 100 do ci.job("j" .. i, function(rt) rt.sh { "true" } end) end"#;
        let (workspace, data) = self.workspace("jobs", jobs);
        let pairs = rounds(|| {
            let ours = run(&workspace, &data, &["-j2"]).wall;
            (ours, timed(Command::new(&self.spawn_loop).args(["100", "/bin/true"])).wall)
        });
        report("100 jobs of true, -j2", "C posix_spawn loop of 100", &pairs);
    }

    /// A resume of 200 commands whose last one failed, against that command alone.
    fn resume(&self) {
        let jobs = |count: usize| {
            format!(
                "ci.job('a', function(rt) for i = 1, {count} do rt.sh('echo out of ' .. i) end rt.sh {{ 'false' }} end)"
            )
        };
        let (long, long_data) = self.workspace("resume", &jobs(199));
        let (short, short_data) = self.workspace("resumed", &jobs(0));
        run_to_failure(&long, &long_data, &[]);
        let pairs = rounds(|| {
            let ours = run_to_failure(&long, &long_data, &["--resume", "1"]);
            (ours, run_to_failure(&short, &short_data, &[]))
        });
        report("resume at command 200", "a run of that command", &pairs);
        let more = median(pairs.iter().map(|(ours, alone)| ours - alone)) * 1e3;
        println!("    more than that command alone: {more:.1} ms");
    }

    fn sleeps(&self) {
        let jobs = r#"for i = 1, 20 do ci.job("s" .. i, function(rt) rt.sh { "sleep", "0.2" } end) end"#;
        let (workspace, data) = self.workspace("sleeps", jobs);
        let pairs = rounds(|| (run(&workspace, &data, &["-j20"]).wall, 0.2));
        report("20 x sleep 0.2, -j20", "0.2 s", &pairs);
    }

    /// 200 MB of 80-byte lines; and 2 GB for the memory.
    fn output(&self) {
        let line = "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 abcd";
        let producer = |bytes: u64| format!("yes '{}' | head -c {bytes}", &line[..79]);
        let job = |bytes: u64| format!("ci.job('a', function(rt) rt.sh([[{}]]) end)", producer(bytes));
        let (workspace, data) = self.workspace("output", &job(200_000_000));
        let log = self.dir.join("streamed.log");
        let mut secrets: Vec<String> = Vec::new();
        for i in 0..10 {
            std::fs::write(self.dir.join(format!("secret-{i}")), format!("s3cr3t-{i}-{}", "x9Kq".repeat(i + 1)))
                .unwrap();
            secrets.extend([
                "--secret".to_owned(),
                format!("S{i}=file:{}", self.dir.join(format!("secret-{i}")).display()),
            ]);
        }
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let mut peaks = Vec::new();
        let mut plain = Vec::new();
        let mut masked = Vec::new();
        for _ in 0..5 {
            let mut child =
                Command::new("sh").args(["-c", &producer(200_000_000)]).stdout(Stdio::piped()).spawn().unwrap();
            let mut streamer = Command::new(&self.streamer);
            streamer.stdin(child.stdout.take().unwrap()).stdout(fs::File::create(&log).unwrap()).stderr(Stdio::null());
            let limit = measured(streamer.spawn().unwrap()).own_cpu;
            child.wait().unwrap();
            fs::remove_file(&log).unwrap();
            let ours = run(&workspace, &data, &[]);
            peaks.push(ours.peak_kib);
            plain.push((ours.own_cpu, limit));
            masked.push((run(&workspace, &data, &secrets).own_cpu, limit));
            // 200 MB a run: not fifty of them.
            fs::remove_dir_all(&data).unwrap();
        }
        report("200 MB of lines, CPU", "C streamer, CPU", &plain);
        report("the same, 10 secrets", "C streamer, CPU", &masked);
        let (workspace, data) = self.workspace("output-2g", &job(2_000_000_000));
        let large = run(&workspace, &data, &[]).peak_kib;
        peaks.sort_unstable();
        println!("resident at most: {} KiB with 200 MB (median), {large} KiB with 2 GB", peaks[peaks.len() / 2]);
    }

    fn workspace(&self, name: &str, jobs: &str) -> (PathBuf, PathBuf) {
        let folder = self.dir.join(name);
        fs::create_dir_all(folder.join(".quire")).unwrap();
        fs::write(folder.join(".quire/ci.lua"), format!("local ci = require \"quire.ci\"\n{jobs}\n")).unwrap();
        let git = |args: &[&str]| {
            let status = Command::new("git").arg("-C").arg(&folder).args(args).stdout(Stdio::null()).status().unwrap();
            assert!(status.success(), "git {args:?}");
        };
        git(&["init", "-q"]);
        git(&["add", "-A"]);
        git(&["-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "one"]);
        (folder, self.dir.join(format!("{name}-data")))
    }
}

fn run(workspace: &Path, data: &Path, more: &[&str]) -> Cost {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quire-ci"));
    command.arg("run").arg("-q").arg("-w").arg(workspace).arg("--data-dir").arg(data).args(more);
    timed(&mut command)
}

/// Seconds of a run that fails.
fn run_to_failure(workspace: &Path, data: &Path, more: &[&str]) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quire-ci"));
    command.arg("run").arg("-q").arg("-w").arg(workspace).arg("--data-dir").arg(data).args(more);
    let begin = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    begin.elapsed().as_secs_f64()
}

fn timed(command: &mut Command) -> Cost {
    let begin = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let cost = measured(child);
    Cost { wall: begin.elapsed().as_secs_f64().min(cost.wall), ..cost }
}

/// Waits for the process and looks at it meanwhile: run time of its own threads, and its high-water mark.
fn measured(mut child: Child) -> Cost {
    let begin = Instant::now();
    let pid = child.id();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let watcher = std::thread::spawn(move || {
        let (mut cpu, mut peak) = (0.0f64, 0u64);
        loop {
            if let Some((now_cpu, now_peak)) = look(pid) {
                cpu = cpu.max(now_cpu);
                peak = peak.max(now_peak);
            }
            if stopped.recv_timeout(Duration::from_millis(3)) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                return (cpu, peak);
            }
        }
    });
    let status = child.wait().unwrap();
    let wall = begin.elapsed().as_secs_f64();
    drop(stop);
    let (own_cpu, peak_kib) = watcher.join().unwrap();
    assert!(status.success(), "{status}");
    Cost { wall, own_cpu, peak_kib }
}

fn look(pid: u32) -> Option<(f64, u64)> {
    let mut nanoseconds = 0u64;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some((nanoseconds as f64 / 1e9, peak.trim().trim_end_matches(" kB").parse().ok()?))
}

fn rounds(mut round: impl FnMut() -> (f64, f64)) -> Vec<(f64, f64)> {
    round();
    (0..ROUNDS).map(|_| round()).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(what: &str, limit: &str, pairs: &[(f64, f64)]) {
    let ours = median(pairs.iter().map(|pair| pair.0)) * 1e3;
    let theirs = median(pairs.iter().map(|pair| pair.1)) * 1e3;
    let ratio = median(pairs.iter().map(|pair| pair.0 / pair.1));
    println!("{what:<26} {ours:8.1} ms   {limit:<26} {theirs:8.1} ms   ratio {ratio:.2}");
}

/// Compiles a C program beside the benches.
fn compile(dir: &Path, source: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let program = dir.join(source.file_stem().unwrap());
    let status = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(&source).status().unwrap();
    assert!(status.success(), "cc {}", source.display());
    program
}
