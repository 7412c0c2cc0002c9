//! A scripted machine, a workspace with a record of plain files, and the loop around them.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use quire_ci::process::{
    Background, Machine, Questions, Record, Setup, Signals, Surroundings, become_subreaper, drive,
};
use quire_ci::ui::View;
use quire_core::capture::{CaptureSpec, Captured, Tap};
use quire_core::cri::stream_bytes;
use quire_core::engine::{Answer, CommandSpec, ExitStatus, Input, Output};
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now};
use quire_core::wire::{Event, RunOutcome, Stream};

pub const RUN: &str = "018f-run";

pub fn job(id: &str) -> JobId {
    JobId::new(id).unwrap()
}

pub fn sh(job_id: &str, n: u32) -> ShId {
    ShId { job: job(job_id), n }
}

/// A command of job `a`, tagged as the engine tags it.
pub fn command(n: u32, argv: &[&str]) -> Output {
    command_of("a", n, argv)
}

pub fn command_of(job_id: &str, n: u32, argv: &[&str]) -> Output {
    let tag = format!("{RUN}/{job_id}/{n}");
    Output::Spawn {
        sh: sh(job_id, n),
        command: CommandSpec {
            argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            cwd: String::new(),
            env: BTreeMap::from([("QUIRE_SH".to_owned(), Some(tag))]),
            stdin: None,
        },
        capture: CaptureSpec { merge: false, tap: Tap::Whole, output_limit: None, idle_limit: None },
    }
}

/// A command line of job `a` for the shell.
pub fn shell(n: u32, text: &str) -> Output {
    command(n, &["sh", "-e", "-c", text])
}

/// Changes what a spawn order says.
pub fn with(mut order: Output, change: impl FnOnce(&mut CommandSpec, &mut CaptureSpec)) -> Output {
    if let Output::Spawn { command, capture, .. } = &mut order {
        change(command, capture);
    }
    order
}

/// What a test does with each fact: further orders.
type React<'a> = Box<dyn FnMut(&Input) -> Vec<Output> + 'a>;

/// Gives out its orders, keeps the 200 ms rule, ends when every command has ended and every sweep is done.
pub struct Script<'a> {
    orders: VecDeque<Output>,
    last: Vec<Output>,
    react: React<'a>,
    /// Of each open command: exited, output ended.
    open: BTreeMap<ShId, (bool, bool)>,
    close_at: BTreeMap<ShId, Mono>,
    sweeps: usize,
    pub facts: Vec<Input>,
}

impl<'a> Script<'a> {
    pub fn new(orders: impl IntoIterator<Item = Output>) -> Script<'a> {
        Script {
            orders: orders.into_iter().collect(),
            last: Vec::new(),
            react: Box::new(|_| Vec::new()),
            open: BTreeMap::new(),
            close_at: BTreeMap::new(),
            sweeps: 0,
            facts: Vec::new(),
        }
    }

    /// Orders for when every command has ended.
    pub fn last(mut self, orders: impl IntoIterator<Item = Output>) -> Script<'a> {
        self.last = orders.into_iter().collect();
        self
    }

    pub fn react(mut self, react: impl FnMut(&Input) -> Vec<Output> + 'a) -> Script<'a> {
        self.react = Box::new(react);
        self
    }
}

impl Machine for Script<'_> {
    fn handle(&mut self, now: Now, input: Input) {
        match &input {
            Input::SpawnFailed { sh, .. } => drop(self.open.remove(sh)),
            Input::Exited { sh, .. } => {
                let state = self.open.get_mut(sh).expect("an open command exits");
                assert!(!state.0, "{sh} exited twice");
                state.0 = true;
                if !state.1 {
                    self.close_at.insert(sh.clone(), now.mono.plus(Duration::from_millis(200)));
                }
            }
            Input::OutputEnded { sh, .. } => {
                let state = self.open.get_mut(sh).expect("an open command's output ends");
                assert!(!state.1, "the output of {sh} ended twice");
                state.1 = true;
                self.close_at.remove(sh);
            }
            Input::Swept { .. } => self.sweeps -= 1,
            _ => (),
        }
        self.open.retain(|_, state| *state != (true, true));
        let due: Vec<ShId> =
            self.close_at.iter().filter(|(_, at)| **at <= now.mono).map(|(sh, _)| sh.clone()).collect();
        for sh in due {
            self.close_at.remove(&sh);
            self.orders.push_back(Output::CloseOutput { sh });
        }
        self.orders.extend((self.react)(&input));
        self.facts.push(input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        if self.orders.is_empty() && self.open.is_empty() && self.sweeps == 0 {
            self.orders.extend(std::mem::take(&mut self.last));
            if self.orders.is_empty() {
                return Some(Output::Done(RunOutcome::Complete));
            }
        }
        let order = self.orders.pop_front()?;
        match &order {
            Output::Spawn { sh, .. } => drop(self.open.insert(sh.clone(), (false, false))),
            Output::Sweep { .. } => self.sweeps += 1,
            _ => (),
        }
        Some(order)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.close_at.values().min().copied()
    }
}

/// A workspace, and a record of plain files beside it.
pub struct World {
    root: tempfile::TempDir,
    pub setup: Setup,
    pub events: Vec<Event>,
    pub shown: Vec<u8>,
    pub notices: Vec<String>,
    /// Where logs go in place of files that grow.
    pub log_device: Option<PathBuf>,
    /// How many events the record takes before it fails.
    pub room: usize,
}

/// What a run left to look at.
pub struct Run {
    pub facts: Vec<Input>,
    pub signal: Option<i32>,
}

impl World {
    pub fn new() -> World {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("work space")).unwrap();
        fs::create_dir(root.path().join("logs")).unwrap();
        let env: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let setup = Setup::new(RunId::new(RUN), root.path().join("work space"), env, SecretSet::default());
        World {
            root,
            setup,
            events: Vec::new(),
            shown: Vec::new(),
            notices: Vec::new(),
            log_device: None,
            room: usize::MAX,
        }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.setup.workspace.join(relative)
    }

    pub fn run(&mut self, orders: impl IntoIterator<Item = Output>) -> Run {
        self.drive(Script::new(orders), None, None)
    }

    pub fn drive(
        &mut self,
        mut script: Script<'_>,
        signals: Option<&mut Signals>,
        background: Option<Background>,
    ) -> Run {
        let mut view = Shown { output: &mut self.shown, notices: &mut self.notices };
        let mut record = Files {
            events: &mut self.events,
            logs: self.root.path().join("logs"),
            device: self.log_device.clone(),
            room: self.room,
        };
        let surroundings =
            Surroundings { record: &mut record, view: &mut view, questions: &mut Echo, signals, background };
        let ended = drive(&mut script, self.setup.clone(), surroundings).unwrap();
        // The script says complete; what could not be recorded has failed all the same.
        let is_recorded = ended.record_failure.is_none();
        assert_eq!(ended.outcome, if is_recorded { RunOutcome::Complete } else { RunOutcome::Failed });
        Run { facts: script.facts, signal: ended.signal }
    }

    pub fn log(&self, sh: &ShId) -> Vec<u8> {
        fs::read(self.root.path().join("logs").join(sh.to_string().replace('/', "-"))).unwrap()
    }

    /// A stream of the command as its log gives it back.
    pub fn logged(&self, sh: &ShId, stream: Stream, run: &Run) -> Vec<u8> {
        stream_bytes(&self.log(sh), stream, run.captured(sh).no_eol.contains(&stream)).unwrap()
    }
}

impl Run {
    pub fn status(&self, sh: &ShId) -> Option<ExitStatus> {
        self.facts.iter().find_map(|fact| match fact {
            Input::Exited { sh: of, status } if of == sh => Some(*status),
            _ => None,
        })
    }

    pub fn captured(&self, sh: &ShId) -> &Captured {
        let found = self.facts.iter().find_map(|fact| match fact {
            Input::OutputEnded { sh: of, captured } if of == sh => Some(captured),
            _ => None,
        });
        found.expect("the output of the command ended")
    }

    pub fn stdout(&self, sh: &ShId) -> String {
        String::from_utf8(self.captured(sh).stdout.clone()).unwrap()
    }
}

struct Shown<'a> {
    output: &'a mut Vec<u8>,
    notices: &'a mut Vec<String>,
}

impl View for Shown<'_> {
    fn event(&mut self, _now: Now, _event: &Event) {}

    fn output(&mut self, _now: Now, _sh: &ShId, entries: &[u8]) {
        self.output.extend_from_slice(entries);
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn tick(&mut self, _now: Now) {
        self.notices.push("tick".to_owned());
    }

    fn notice(&mut self, _now: Now, text: &str) {
        self.notices.push(text.to_owned());
    }

    fn dirty(&mut self, _now: Now, modified: u64, untracked: u64) {
        self.notices.push(format!("{modified} modified, {untracked} untracked"));
    }

    fn end(&mut self, _now: Now) {}
}

struct Files<'a> {
    events: &'a mut Vec<Event>,
    logs: PathBuf,
    device: Option<PathBuf>,
    room: usize,
}

impl Record for Files<'_> {
    fn append(&mut self, events: &[Event]) -> io::Result<()> {
        if self.events.len() + events.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.events.extend_from_slice(events);
        Ok(())
    }

    fn open_log(&mut self, sh: &ShId) -> io::Result<File> {
        let path = self.device.clone().unwrap_or_else(|| self.logs.join(sh.to_string().replace('/', "-")));
        fs::OpenOptions::new().create(true).append(true).open(path)
    }
}

struct Echo;

impl Questions for Echo {
    fn answer(&mut self, question: &Output) -> Option<Answer> {
        match question {
            Output::Read { path, .. } => Some(Answer::Read(Ok(path.clone().into_bytes()))),
            _ => None,
        }
    }
}

/// Tests that leave processes behind, or end such, take turns: orphans come to the test process, not to one test.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    become_subreaper().unwrap();
    turn
}

/// Whether the process is there and no zombie.
pub fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}
