//! A workspace of its own with a state directory of its own, and quire-ci in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use crate::recorded::{RunRecord, rows};

/// Nothing here takes a tenth of this; what does hangs.
const GUARD: Duration = Duration::from_secs(60);

/// In the environment of everything that a world starts.
const MARK: &str = "E2E_WORLD";

/// A world; when it ends, nothing that was started in it may be left.
pub struct World {
    dir: tempfile::TempDir,
    workspace: PathBuf,
    env: Vec<(String, String)>,
}

/// How a quire-ci ended and what it said.
#[derive(Debug)]
pub struct Done {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// A quire-ci that runs.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl World {
    /// A git repository with one commit that holds this pipeline.
    #[track_caller]
    pub fn new(pipeline: &str) -> World {
        let world = World::without_git("work", pipeline);
        world.git(&["init", "-q", "-b", "main", "."]);
        world.commit("first");
        world
    }

    /// A folder of this name with this pipeline, and no repository.
    pub fn without_git(name: impl AsRef<OsStr>, pipeline: &str) -> World {
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().join(name.as_ref());
        fs::create_dir_all(workspace.join(".quire")).unwrap();
        fs::create_dir_all(dir.path().join("home")).unwrap();
        let world = World { dir, workspace, env: Vec::new() };
        world.pipeline(pipeline);
        world
    }

    /// Writes another pipeline. `ci` is there already.
    pub fn pipeline(&self, text: &str) {
        self.write(".quire/ci.lua", format!("local ci = require \"quire.ci\"\n{text}\n"));
    }

    /// Sets a variable for every quire-ci from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The workspace.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// A place beside the workspace.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A place beside the workspace, as an argument.
    pub fn beside_text(&self, name: &str) -> String {
        self.beside(name).to_str().unwrap().to_owned()
    }

    /// Writes a file of the workspace.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.workspace.join(name), content).unwrap();
    }

    /// Reads a file of the workspace.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.workspace.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs git in the workspace.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let done = self.command("git", args).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Commits all that is in the workspace.
    #[track_caller]
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["-c", "user.name=e2e", "-c", "user.email=e2e@localhost", "commit", "-q", "-m", message]);
    }

    /// A program in the workspace, in an environment that owes nothing to who runs the tests.
    pub fn command(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.workspace).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.beside("home")).env("XDG_STATE_HOME", self.beside("state"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("LANG", "C.UTF-8").env(MARK, self.dir.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts quire-ci.
    #[track_caller]
    pub fn start(&self, args: &[&str]) -> Running {
        Running::of(self.command(env!("CARGO_BIN_EXE_quire-ci"), args), self.dir.path())
    }

    /// Runs quire-ci to its end.
    #[track_caller]
    pub fn quire(&self, args: &[&str]) -> Done {
        self.start(args).end()
    }

    /// Runs quire-ci with something on its standard input.
    #[track_caller]
    pub fn quire_reading(&self, args: &[&str], input: &str) -> Done {
        let mut command = self.command(env!("CARGO_BIN_EXE_quire-ci"), args);
        command.stdin(Stdio::piped());
        let mut running = Running::of(command, self.dir.path());
        running.child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        running.end()
    }

    /// `quire-ci run` with these arguments, which has to end with this code.
    #[track_caller]
    pub fn run(&self, code: i32, args: &[&str]) -> Done {
        let all: Vec<&str> = std::iter::once("run").chain(args.iter().copied()).collect();
        self.quire(&all).ends(code)
    }

    /// The data directory of the workspace.
    #[track_caller]
    pub fn data(&self) -> PathBuf {
        let found = fs::read_dir(self.beside("state/quire")).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<PathBuf> = found.collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    /// The run directories of the workspace, oldest first; none as long as there are none.
    #[track_caller]
    pub fn runs(&self) -> Vec<RunRecord> {
        let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut runs: Vec<PathBuf> =
            below(self.beside("state/quire")).flat_map(|data| below(data.join("runs"))).collect();
        // What begins with a dot is on its way to be one, or on its way out.
        runs.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
        runs.sort();
        runs.into_iter().map(RunRecord).collect()
    }

    /// The newest run.
    #[track_caller]
    pub fn last(&self) -> RunRecord {
        self.runs().pop().expect("a run directory")
    }

    /// What a query of the workspace's database gives, a line a row.
    #[track_caller]
    pub fn rows(&self, query: &str) -> Vec<String> {
        rows(&self.data().join("quire.db"), query)
    }

    /// Every row of the projection, without what belongs to the database alone.
    #[track_caller]
    pub fn projection(&self) -> Vec<String> {
        let mut all = self.rows(
            "SELECT id, number, repo, state, failure_kind, started_at_ms, finished_at_ms, sha, ref_name, stream_offset FROM runs ORDER BY id",
        );
        all.extend(self.rows("SELECT * FROM jobs ORDER BY run_id, position"));
        all.extend(self.rows("SELECT * FROM sh_events ORDER BY run_id, job_id, n"));
        all
    }

    /// Whatever happened: what is recorded can be read, its rows can be made anew and are the same, and the verbs that
    /// look at it work.
    #[track_caller]
    pub fn is_sound(&self) {
        for run in self.runs() {
            run.is_readable();
        }
        self.quire(&["ls"]).ends(0);
        let rows = self.projection();
        self.quire(&["rebuild"]).ends(0);
        assert_eq!(self.projection(), rows, "rows rebuilt are the rows that were");
        for run in self.runs() {
            let id = run.id();
            self.quire(&["show", &id]).ends(0);
            self.quire(&["show", "--json", &id]).ends(0);
            let stream = self.quire(&["events", &id]).ends(0).stdout;
            assert_eq!(stream, run.bytes("events.jsonl"));
            let log = self.quire(&["log", &id]);
            let ran_none = log.err().contains("ran no command");
            assert!(log.code == Some(0) || ran_none, "{log:?}");
        }
    }

    /// The living processes that were started in this world, but for the git that looks at the work tree: a quire-ci that ends
    /// early does not wait for it, and it ends by itself.
    pub fn processes(&self) -> Vec<(Pid, String)> {
        let mark = format!("{MARK}={}", self.dir.path().display());
        let mut found = processes_with(mark.as_bytes());
        found.retain(|(_, words)| !words.contains(" status --porcelain=v2 "));
        found
    }

    /// Waits until nothing of this world runs any more.
    #[track_caller]
    pub fn falls_quiet(&self) {
        until("no process of this world", || self.processes().is_empty().then_some(()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let begun = Instant::now();
        let mut left = self.processes();
        // What is on its way to become that git is a quire-ci until it is one.
        while left.iter().any(|(_, words)| words.contains("quire-ci")) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(2));
            left = self.processes();
        }
        for (pid, _) in &left {
            let _ = kill_process(*pid, Signal::KILL);
        }
        if !std::thread::panicking() {
            assert_eq!(left, [], "processes outlived the test");
        }
    }
}

impl Running {
    /// Starts a program whose outputs go to files in `folder`.
    #[track_caller]
    pub fn of(mut command: Command, folder: &Path) -> Running {
        let place = tempfile::Builder::new().prefix("said-").tempdir_in(folder).unwrap().keep();
        let (out, err) = (place.join("stdout"), place.join("stderr"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Running { child: command.spawn().unwrap(), out, err }
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// What it said to standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    /// What it said to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap()).into_owned()
    }

    /// A number of `/proc/PID/status`, such as `VmHWM` in kB, while it lives.
    pub fn status(&self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_pid())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Done {
        if !ends_within(self.pid(), GUARD) {
            let said = (self.stdout(), self.stderr());
            let _ = self.child.kill();
            let _ = self.child.wait();
            panic!("it hangs; it said {said:?}");
        }
        let status = self.child.wait().unwrap();
        let (stdout, stderr) = (fs::read(&self.out).unwrap(), fs::read(&self.err).unwrap());
        Done { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

impl Done {
    /// It has to have ended with this code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Done {
        let end = |text: String| {
            text.lines().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        assert_eq!((self.code, self.signal), (Some(code), None), "{}\n{}", end(self.out()), end(self.err()));
        self
    }

    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as one JSON object.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.out()))
    }

    /// Standard output and error together have to hold each of these: what is wrong with a pipeline stands in the view of its run.
    #[track_caller]
    pub fn tells(&self, wanted: &[&str]) {
        let all = self.out() + &self.err();
        for wanted in wanted {
            assert!(all.contains(wanted), "{wanted:?} is not in\n{all}");
        }
    }

    /// Standard error has to hold each of these.
    #[track_caller]
    pub fn says(&self, wanted: &[&str]) {
        for wanted in wanted {
            assert!(self.err().contains(wanted), "{wanted:?} is not in\n{}", self.err());
        }
    }
}

/// Looks again and again until there is something; what never comes is a failure.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < GUARD, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the process ends within a time; it may be a child that nobody has waited for.
pub fn ends_within(pid: Pid, guard: Duration) -> bool {
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let guard = Timespec::try_from(guard).unwrap();
    loop {
        match poll(&mut fds, Some(&guard)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The living processes whose environment has this entry, with what they run.
pub fn processes_with(entry: &[u8]) -> Vec<(Pid, String)> {
    processes_where(|found| found == entry)
}

/// The living processes whose environment has an entry that is meant, with what they run.
pub fn processes_where(is_meant: impl Fn(&[u8]) -> bool) -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for name in fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name()) {
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        let read = |file: &str| {
            let mut bytes = Vec::new();
            let _ =
                File::open(format!("/proc/{}/{file}", pid.as_raw_pid())).map(|mut file| file.read_to_end(&mut bytes));
            bytes
        };
        // A process that has ended has an empty environment, waited for or not.
        if read("environ").split(|byte| *byte == 0).any(&is_meant) {
            let words = read("cmdline")
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect::<Vec<_>>();
            found.push((pid, words.join(" ")));
        }
    }
    found
}
