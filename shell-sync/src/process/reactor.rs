//! The one loop over everything that can happen to a run from outside: pipes, processes, signals, time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use quire_core::capture::{Capture, CaptureSpec};
use quire_core::engine::{CommandSpec, Input, Scope, Signal, SpawnFailure};
use quire_core::ids::ShId;
use quire_core::redact::SecretSet;
use quire_core::time::Mono;
use quire_core::wire::Stream;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};

use super::running::Running;
use super::spawn::{Launched, Launcher};
use super::streams::{Desk, READ_BYTES, Streams, log_failed};
use super::sweep::{Leaders, Sweeper, Watch};
use crate::clock;
use crate::ui::View;

/// How often ended orphans are reaped while commands run.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// Most events taken from the kernel at once.
const ROUND: usize = 64;

/// A descriptor of the driver's own that the loop watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watched {
    Signals,
    Background,
}

/// All commands of a run, and what wakes it.
pub(super) struct Reactor {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    launcher: Launcher,
    /// By an id that is never used again, so that a late event cannot meet another command.
    commands: BTreeMap<u64, Running>,
    ids: BTreeMap<ShId, u64>,
    next_id: u64,
    sweeper: Sweeper,
    secrets: SecretSet,
    buffer: Vec<u8>,
    entries: Vec<u8>,
    facts: Vec<Input>,
    ready: BTreeSet<Watched>,
    reap_at: Option<Mono>,
}

/// Which descriptor an event is of: the low two bits of its data, above them the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Stdout = 0,
    Stderr = 1,
    Stdin = 2,
    Process = 3,
}

/// The id that stands for the driver's own descriptors.
const OWN: u64 = 0;

fn key(id: u64, source: Source) -> epoll::EventData {
    epoll::EventData::new_u64(id << 2 | source as u64)
}

fn parse_key(data: epoll::EventData) -> (u64, Source) {
    let source = match data.u64() & 3 {
        0 => Source::Stdout,
        1 => Source::Stderr,
        2 => Source::Stdin,
        _ => Source::Process,
    };
    (data.u64() >> 2, source)
}

/// Borrows, field by field, what a command needs while it is attended to.
macro_rules! desk {
    ($reactor:expr, $view:expr) => {
        &mut Desk {
            buffer: &mut $reactor.buffer,
            entries: &mut $reactor.entries,
            facts: &mut $reactor.facts,
            view: $view,
        }
    };
}

macro_rules! watch {
    ($reactor:expr) => {
        &mut Ends { epoll: &$reactor.epoll, next_id: &mut $reactor.next_id }
    };
}

/// Watches for the ends of processes that are being swept.
struct Ends<'a> {
    epoll: &'a OwnedFd,
    next_id: &'a mut u64,
}

impl Watch for Ends<'_> {
    fn watch(&mut self, pidfd: &Arc<OwnedFd>) -> Result<u64, Errno> {
        let id = *self.next_id;
        epoll::add(self.epoll, pidfd, key(id, Source::Process), epoll::EventFlags::IN)?;
        *self.next_id += 1;
        Ok(id)
    }
}

impl Reactor {
    /// # Errors
    /// Where the kernel gives no epoll descriptor.
    pub fn new(launcher: Launcher, sweeper: Sweeper, secrets: SecretSet) -> io::Result<Reactor> {
        Ok(Reactor {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(ROUND),
            launcher,
            commands: BTreeMap::new(),
            ids: BTreeMap::new(),
            next_id: OWN + 1,
            sweeper,
            secrets,
            buffer: vec![0; READ_BYTES],
            entries: Vec::new(),
            facts: Vec::new(),
            ready: BTreeSet::new(),
            reap_at: None,
        })
    }

    /// Reports when the descriptor is readable, until it is closed.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn watch(&mut self, fd: BorrowedFd<'_>, watched: Watched) -> io::Result<()> {
        let source = match watched {
            Watched::Signals => Source::Stdin,
            Watched::Background => Source::Stdout,
        };
        Ok(epoll::add(&self.epoll, fd, key(OWN, source), epoll::EventFlags::IN)?)
    }

    /// The facts since the last call, in the order in which they became known.
    pub fn facts(&mut self) -> Vec<Input> {
        std::mem::take(&mut self.facts)
    }

    /// Whether the descriptor became readable since the last call.
    pub fn took(&mut self, watched: Watched) -> bool {
        self.ready.remove(&watched)
    }

    /// Starts a command. Its log is opened after that, while it begins to run.
    pub fn spawn(
        &mut self,
        sh: ShId,
        mut command: CommandSpec,
        spec: &CaptureSpec,
        open_log: impl FnOnce(&ShId) -> io::Result<File>,
    ) {
        let launched = match self.launcher.launch(&command, spec.merge) {
            Ok(launched) => launched,
            Err(failure) => return self.facts.push(Input::SpawnFailed { sh, failure }),
        };
        let pid = launched.pid;
        let capture = Capture::new(spec, self.secrets.clone(), clock::now());
        self.sweeper.started(pid, &sh.job);
        if let Err(error) = self.adopt(sh.clone(), launched, command.stdin.take(), capture) {
            // Unwatched it would run for ever: it is ended before anyone has seen it.
            let _ = kill_process_group(pid, rustix::process::Signal::KILL);
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
            let failure = SpawnFailure::Other { message: format!("cannot be watched: {error}") };
            return self.facts.push(Input::SpawnFailed { sh, failure });
        }
        match open_log(&sh) {
            Ok(file) => {
                if let Some(running) = self.command(&sh) {
                    running.streams.log_to(file);
                }
            }
            Err(error) => self.facts.push(log_failed(&sh, &error)),
        }
    }

    fn adopt(&mut self, sh: ShId, launched: Launched, input: Option<Vec<u8>>, capture: Capture) -> io::Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        let pidfd = pidfd_open(launched.pid, PidfdFlags::empty())?;
        let pipes = launched.pipes;
        let add = |fd: &OwnedFd, source, flags| epoll::add(&self.epoll, fd, key(id, source), flags);
        add(&pipes.stdout, Source::Stdout, epoll::EventFlags::IN)?;
        if let Some(stderr) = &pipes.stderr {
            add(stderr, Source::Stderr, epoll::EventFlags::IN)?;
        }
        add(&pidfd, Source::Process, epoll::EventFlags::IN)?;
        let mut running = Running::new(launched.pid, pidfd, Streams::new(sh.clone(), pipes, input, capture));
        if running.streams.feed()
            && let Some(stdin) = running.streams.stdin()
        {
            epoll::add(&self.epoll, stdin, key(id, Source::Stdin), epoll::EventFlags::OUT)?;
        }
        self.commands.insert(id, running);
        self.ids.insert(sh, id);
        Ok(())
    }

    fn command(&mut self, sh: &ShId) -> Option<&mut Running> {
        self.commands.get_mut(self.ids.get(sh)?)
    }

    /// Signals the command's group, unless its leader has been reaped: then the number may name another group, and what the
    /// command left is a sweep's.
    pub fn signal(&mut self, sh: &ShId, signal: Signal) {
        let signal = match signal {
            Signal::Int => rustix::process::Signal::INT,
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        if let Some(running) = self.command(sh).filter(|running| running.is_alive()) {
            // ESRCH: only its zombie is left, the fact is on the way.
            let _ = kill_process_group(running.pid, signal);
        }
    }

    /// Ends the command's capture with what is there now.
    pub fn close_output(&mut self, sh: &ShId, view: &mut dyn View) {
        if let Some(running) = self.ids.get(sh).and_then(|id| self.commands.get_mut(id)) {
            running.streams.close_output(desk!(self, view));
        }
        self.forget_ended();
    }

    /// Begins to end the processes of the scope.
    pub fn sweep(&mut self, scope: Scope, view: &mut dyn View) {
        let leaders = self.leaders();
        self.sweeper.sweep(scope, clock::now(), &leaders, watch!(self), desk!(self, view));
    }

    /// From now on sweeps kill at once.
    pub fn hurry(&mut self, view: &mut dyn View) {
        let leaders = self.leaders();
        self.sweeper.hurry(clock::now(), &leaders, watch!(self), desk!(self, view));
    }

    /// From the next byte on, masks these in every log.
    pub fn set_secrets(&mut self, secrets: SecretSet) {
        for running in self.commands.values_mut() {
            running.streams.set_secrets(secrets.clone());
        }
        self.secrets = secrets;
    }

    /// Waits until something happened or `until` is reached, and attends to it. Returns at once where facts are waiting.
    ///
    /// # Errors
    /// Where the kernel refuses to wait: never on a sound machine.
    pub fn wait(&mut self, until: Option<Mono>, view: &mut dyn View) -> io::Result<()> {
        let now = clock::now().mono;
        if !self.commands.is_empty() && self.reap_at.is_none() {
            self.reap_at = Some(now.plus(REAP_EVERY));
        }
        let captures = self.commands.values().filter_map(|running| running.streams.deadline());
        let own = [until, self.sweeper.deadline(), self.reap_at.filter(|_| !self.commands.is_empty())];
        let timeout = if self.facts.is_empty() {
            captures.chain(own.into_iter().flatten()).min().map(|at| timespec(at.since(now)))
        } else {
            Some(timespec(Duration::ZERO))
        };
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
        for index in 0..self.events.len() {
            let Some(event) = self.events.get(index).copied() else { break };
            self.attend(event, view);
        }
        self.on_deadline(view);
        self.forget_ended();
        Ok(())
    }

    fn attend(&mut self, event: epoll::Event, view: &mut dyn View) {
        let (id, source) = parse_key(event.data);
        if id == OWN {
            self.ready.insert(if source == Source::Stdin { Watched::Signals } else { Watched::Background });
            return;
        }
        let Some(running) = self.commands.get_mut(&id) else {
            let leaders = self.leaders();
            return self.sweeper.on_exit(id, clock::now(), &leaders, watch!(self), desk!(self, view));
        };
        match source {
            Source::Stdout => running.on_readable(Stream::Stdout, event.flags, desk!(self, view)),
            Source::Stderr => running.on_readable(Stream::Stderr, event.flags, desk!(self, view)),
            Source::Stdin => drop(running.streams.feed()),
            Source::Process => {
                if running.on_exit(desk!(self, view)) {
                    self.sweeper.ended(running.pid);
                }
            }
        }
    }

    fn on_deadline(&mut self, view: &mut dyn View) {
        let now = clock::now();
        for running in self.commands.values_mut() {
            if running.streams.deadline().is_some_and(|at| at <= now.mono) {
                running.streams.on_deadline(now, desk!(self, view));
            }
        }
        if self.sweeper.deadline().is_some_and(|at| at <= now.mono) {
            let leaders = self.leaders();
            self.sweeper.on_deadline(now, &leaders, watch!(self), desk!(self, view));
        }
        if self.reap_at.is_some_and(|at| at <= now.mono) {
            self.reap_at = None;
            self.sweeper.reap_orphans(&self.leaders());
        }
    }

    fn leaders(&self) -> Leaders {
        let alive = self.commands.values().filter(|running| running.is_alive());
        alive.map(|running| (running.pid, running.streams.sh().job.clone())).collect::<HashMap<_, _>>()
    }

    fn forget_ended(&mut self) {
        let ids = &mut self.ids;
        self.commands.retain(|_, running| {
            let over = running.is_over();
            if over {
                ids.remove(running.streams.sh());
            }
            !over
        });
    }
}

fn timespec(duration: Duration) -> Timespec {
    // A run that waits for a year will be woken once a year.
    Timespec::try_from(duration.min(Duration::from_secs(86_400 * 20))).unwrap_or_default()
}
