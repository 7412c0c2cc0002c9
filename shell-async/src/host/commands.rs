//! What an engine orders besides events, performed: commands started, signalled and swept, questions answered.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use async_io::Async;
use quire_ci::clock;
use quire_ci::process::{
    Desk, Hands, Launcher, Leaders, READ_BYTES, Record, Streams, Sweeper, Watch, end_children_of_this_thread_but,
    log_failed,
};
use quire_ci::ui::View;
use quire_ci::workspace::Files;
use quire_core::capture::{Capture, CaptureSpec};
use quire_core::engine::{Answer, Ask, CommandSpec, GRACE, Input, Output, Scope, Signal, SpawnFailure};
use quire_core::ids::{RunId, ShId};
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now};
use quire_core::wire::Event;
use rustix::io::Errno;
use rustix::process::{Pid, kill_process_group};
use smol::{LocalExecutor, Task};

use super::attend::Command;
use super::inbox::{Inbox, Told};

/// What all runs of a thread share.
#[derive(Debug)]
pub(super) struct Room {
    pub executor: LocalExecutor<'static>,
    /// To read into: one for all, so that a command that sleeps costs no more than its descriptors.
    buffer: RefCell<Vec<u8>>,
    entries: RefCell<Vec<u8>>,
    /// Leaders started by this thread that have not been reaped.
    leaders: RefCell<HashSet<Pid>>,
}

impl Room {
    pub fn new() -> Room {
        Room {
            executor: LocalExecutor::new(),
            buffer: RefCell::new(vec![0; READ_BYTES]),
            entries: RefCell::default(),
            leaders: RefCell::default(),
        }
    }

    /// A leader was reaped.
    pub fn forget(&self, leader: Pid) {
        self.leaders.borrow_mut().remove(&leader);
    }

    /// Lends the desk.
    pub fn with_desk<T>(&self, facts: &mut Vec<Input>, view: &mut Notes, work: impl FnOnce(&mut Desk<'_>) -> T) -> T {
        let (mut buffer, mut entries) = (self.buffer.borrow_mut(), self.entries.borrow_mut());
        // Left by one that panicked.
        entries.clear();
        work(&mut Desk { buffer: &mut buffer, entries: &mut entries, facts, view })
    }
}

/// Nobody watches a run here; what people should know is kept for its end.
#[derive(Debug, Default)]
pub(super) struct Notes(pub Vec<String>);

impl View for Notes {
    fn event(&mut self, _now: Now, _event: &Event) {}

    fn output(&mut self, _now: Now, _sh: &ShId, _entries: &[u8]) {}

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn tick(&mut self, _now: Now) {}

    fn notice(&mut self, _now: Now, text: &str) {
        self.0.push(text.to_owned());
    }
}

/// The commands of one run, and its sweeps.
#[derive(Debug)]
pub(super) struct Commands {
    room: Rc<Room>,
    inbox: Rc<Inbox>,
    launcher: Launcher,
    files: Files,
    secrets: SecretSet,
    running: BTreeMap<ShId, Running>,
    sweeper: Sweeper,
    /// By the id under which the end of a swept process is reported.
    watches: BTreeMap<u64, Task<()>>,
    next_watch: u64,
    pub notes: Notes,
}

#[derive(Debug)]
struct Running {
    command: Rc<Command>,
    /// Ends with the run at the latest, whatever still holds a pipe then.
    _attended: Task<()>,
}

impl Commands {
    pub fn new(room: Rc<Room>, inbox: Rc<Inbox>, run_id: RunId, launcher: Launcher, files: Files) -> Commands {
        Commands {
            room,
            inbox,
            launcher,
            files,
            secrets: SecretSet::default(),
            running: BTreeMap::new(),
            sweeper: Sweeper::new(run_id, false, GRACE),
            watches: BTreeMap::new(),
            next_watch: 0,
            notes: Notes::default(),
        }
    }

    /// When [`Commands::attend`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        self.sweeper.deadline()
    }

    /// Attends to what was told since the last call, and to sweeps whose time has come.
    pub fn attend(&mut self) {
        for told in self.inbox.told() {
            match told {
                Told::Reaped(pid) => self.sweeper.ended(pid),
                Told::Over(sh) => drop(self.running.remove(&sh)),
                Told::Broken => panic!("a task of the run has panicked"),
                Told::Ended(id) => {
                    self.watches.remove(&id);
                    self.with_sweeper(|sweeper, leaders, watch, desk| {
                        sweeper.on_exit(id, clock::now(), leaders, watch, desk)
                    });
                }
            }
        }
        let now = clock::now();
        if self.sweeper.deadline().is_some_and(|at| at <= now.mono) {
            self.with_sweeper(|sweeper, leaders, watch, desk| sweeper.on_deadline(now, leaders, watch, desk));
        }
    }

    /// From now on sweeps kill at once.
    pub fn hurry(&mut self) {
        self.with_sweeper(|sweeper, leaders, watch, desk| sweeper.hurry(clock::now(), leaders, watch, desk));
    }

    fn with_sweeper(&mut self, work: impl FnOnce(&mut Sweeper, &Leaders, &mut dyn Watch, &mut Desk<'_>)) {
        let alive = self.running.iter().filter(|(_, running)| running.command.is_alive.get());
        let leaders: Leaders =
            alive.map(|(sh, running)| (running.command.pid, sh.job.clone())).collect::<HashMap<_, _>>();
        let Commands { room, inbox, sweeper, watches, next_watch, notes, .. } = self;
        let mut ends = Ends { room, inbox, watches, next_watch };
        inbox.with_facts(|facts| {
            room.with_desk(facts, notes, |desk| work(sweeper, &leaders, &mut ends, desk));
        });
    }

    /// Starts a command; what is told of it comes from a task of its own.
    fn start(&mut self, sh: &ShId, spec: &mut CommandSpec, capture: &CaptureSpec) -> Result<Rc<Command>, SpawnFailure> {
        let input = spec.stdin.clone();
        let (command, [stdin, stdout, stderr], pipes, explain) = self.launcher.plan(spec, capture.merge)?.parts();
        let pipes = pipes.try_map(Async::new_nonblocking).map_err(|error| explain(&error))?;
        let mut command = async_process::Command::from(command);
        let spawned = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn();
        // Its ends of the pipes are its own now.
        drop(command);
        let (child, pipes) = match spawned {
            Ok(child) => (child, pipes),
            Err(error) => {
                // It may have been started all the same, and could not be watched for want of a descriptor; some are free now.
                drop(pipes);
                let leaders = self.room.leaders.borrow();
                end_children_of_this_thread_but(|pid| leaders.contains(&pid));
                return Err(explain(&error));
            }
        };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child's pid is a positive pid_t");
        self.room.leaders.borrow_mut().insert(pid);
        self.sweeper.started(pid, &sh.job);
        let capture = Capture::new(capture, self.secrets.clone(), clock::now());
        let mut streams = Streams::new(sh.clone(), pipes, input, capture);
        streams.feed();
        let command = Rc::new(Command {
            pid,
            is_alive: Cell::new(true),
            streams: RefCell::new(streams),
            room: Rc::clone(&self.room),
            inbox: Rc::clone(&self.inbox),
        });
        let attended = self.room.executor.spawn(Rc::clone(&command).attend(child));
        self.running.insert(sh.clone(), Running { command: Rc::clone(&command), _attended: attended });
        Ok(command)
    }
}

impl Hands for Commands {
    fn spawn(&mut self, sh: ShId, mut command: CommandSpec, capture: &CaptureSpec, record: &mut dyn Record) {
        let command = match self.start(&sh, &mut command, capture) {
            Ok(command) => command,
            Err(failure) => return self.inbox.fact(Input::SpawnFailed { sh, failure }),
        };
        // Opened while it begins to run.
        match record.open_log(&sh) {
            Ok(file) => command.streams.borrow_mut().log_to(file),
            Err(error) => self.inbox.fact(log_failed(&sh, &error)),
        }
    }

    fn signal(&mut self, sh: &ShId, signal: Signal) {
        let signal = match signal {
            Signal::Int => rustix::process::Signal::INT,
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        if let Some(running) = self.running.get(sh).filter(|running| running.command.is_alive.get()) {
            // ESRCH: only its zombie is left, the fact is on the way.
            let _ = kill_process_group(running.command.pid, signal);
        }
    }

    fn close_output(&mut self, sh: &ShId) {
        if let Some(running) = self.running.get(sh) {
            running.command.with_desk(|streams, desk| streams.close_output(desk));
        }
    }

    fn sweep(&mut self, scope: Scope) {
        self.with_sweeper(|sweeper, leaders, watch, desk| sweeper.sweep(scope, clock::now(), leaders, watch, desk));
    }

    fn set_secrets(&mut self, secrets: SecretSet) {
        for running in self.running.values() {
            running.command.streams.borrow_mut().set_secrets(secrets.clone());
        }
        self.secrets = secrets;
    }

    /// On a thread that may wait for the disk; the answer is a fact.
    fn ask(&mut self, ask: Ask, question: Output) -> Option<Answer> {
        let (files, inbox) = (self.files.clone(), Rc::clone(&self.inbox));
        let answered = async move {
            if let Some(answer) = smol::unblock(move || files.answer(&question)).await {
                inbox.fact(Input::Answered { ask, answer });
            }
        };
        self.room.executor.spawn(answered).detach();
        None
    }

    fn written(&mut self, _events: &[Event]) {}

    fn facts(&mut self) -> Vec<Input> {
        self.inbox.facts()
    }
}

/// Watches for the ends of processes that are being swept.
struct Ends<'a> {
    room: &'a Room,
    inbox: &'a Rc<Inbox>,
    watches: &'a mut BTreeMap<u64, Task<()>>,
    next_watch: &'a mut u64,
}

impl Watch for Ends<'_> {
    fn watch(&mut self, pidfd: &Arc<OwnedFd>) -> Result<u64, Errno> {
        let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::NOMEM);
        let pidfd = Async::new_nonblocking(Arc::clone(pidfd)).map_err(failed)?;
        let (id, inbox) = (*self.next_watch, Rc::clone(self.inbox));
        *self.next_watch += 1;
        let task = self.room.executor.spawn(async move {
            // Readable, or unwatchable: looked at either way.
            let _ = pidfd.readable().await;
            drop(pidfd);
            inbox.tell(Told::Ended(id));
        });
        self.watches.insert(id, task);
        Ok(id)
    }
}
