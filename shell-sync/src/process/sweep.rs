//! Ending what commands left behind: TERM, grace, KILL, again until a pass finds nothing.
//!
//! This process is a child subreaper, so whatever loses its parent becomes a child of this process's first thread. All that a
//! job left therefore hangs below children of that thread that are no running commands: where there are none, a sweep costs
//! one small read. Helpers of the shell that run beside commands (git) must be started from another thread.
//!
//! In a server many runs share that thread, and it may have children of its own. There only what carries a run's tag, or is in
//! a group of one of its commands, is the run's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use quire_core::engine::{Input, Scope};
use quire_core::ids::{JobId, RunId};
use quire_core::time::{Mono, Now};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, getpid, pidfd_open, pidfd_send_signal, test_kill_process_group,
};

use super::procfs;
use super::running::reap;
use super::streams::Desk;

/// The variable that names a command's run, job and index in the environment of all its processes (CONTRACT 6).
pub(super) const TAG: &str = "QUIRE_SH";
/// How long a sweep waits before it says what it waits for.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// How long a process that was killed has to disappear before the sweep gives it up (it hangs in the kernel).
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Makes this process the parent of every process below it that loses its own. For the binary to call, before any command.
///
/// # Errors
/// Where the kernel refuses.
pub fn become_subreaper() -> std::io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(getpid()))?)
}

/// The running commands' leaders, and whose they are.
pub type Leaders = HashMap<Pid, JobId>;

/// All sweeps of a run. Whose loop it is tells it the time, the ends of the processes that it watches, and which leaders live.
#[derive(Debug)]
pub struct Sweeper {
    run: RunId,
    /// Whether every orphan that comes to this process is of this run.
    owns_orphans: bool,
    grace: Duration,
    /// The process groups that commands were started in, until their job is swept. A number that is used again is overwritten.
    groups: HashMap<Pid, JobId>,
    sweeps: Vec<Sweep>,
    /// What comes to this process as an orphan is a child of its first thread.
    children: Option<procfs::Children>,
}

#[derive(Debug)]
struct Sweep {
    scope: Scope,
    /// By the id under which the loop watches the process.
    targets: BTreeMap<u64, Target>,
    /// Those that cannot be signalled, or did not go when killed.
    given_up: HashSet<Process>,
    killing: bool,
    /// When to kill; once killing, when to give up.
    deadline: Mono,
    tell_at: Option<Mono>,
    /// It found something: what ran away from it may be between two programs when it looks.
    met: bool,
}

#[derive(Debug)]
struct Target {
    process: Process,
    pidfd: Arc<OwnedFd>,
}

/// One process and no other, ever: its number and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    pid: Pid,
    started: u64,
}

/// What a sweep needs of the loop.
pub trait Watch {
    /// Watches for the end of the process, which the loop reports with [`Sweeper::on_exit`] under this id.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn watch(&mut self, pidfd: &Arc<OwnedFd>) -> Result<u64, Errno>;
}

impl Sweeper {
    /// For one run; `owns_orphans` as in [`super::Setup`], `grace` between TERM and KILL.
    pub fn new(run: RunId, owns_orphans: bool, grace: Duration) -> Sweeper {
        let children = procfs::Children::of_thread(getpid(), getpid());
        Sweeper { run, owns_orphans, grace, groups: HashMap::new(), sweeps: Vec::new(), children }
    }

    /// A command of the job was started as the leader of a group.
    pub fn started(&mut self, group: Pid, job: &JobId) {
        self.groups.insert(group, job.clone());
    }

    /// The leader of the group was reaped. A group that is empty now is forgotten: its number may come again as someone else's.
    pub fn ended(&mut self, group: Pid) {
        if test_kill_process_group(group).is_err() {
            self.groups.remove(&group);
        }
    }

    /// Begins to sweep; the fact that it is done comes at once where nothing is left.
    pub fn sweep(&mut self, scope: Scope, now: Now, leaders: &Leaders, watch: &mut dyn Watch, desk: &mut Desk<'_>) {
        let killing = self.grace.is_zero();
        let sweep = Sweep {
            met: false,
            scope,
            targets: BTreeMap::new(),
            given_up: HashSet::new(),
            killing,
            deadline: now.mono.plus(if killing { GIVE_UP_AFTER } else { self.grace }),
            tell_at: Some(now.mono.plus(TELL_AFTER)),
        };
        self.sweeps.push(sweep);
        self.advance(self.sweeps.len() - 1, now, leaders, watch, desk);
    }

    /// From now on nothing is given time to end by itself.
    pub fn hurry(&mut self, now: Now, leaders: &Leaders, watch: &mut dyn Watch, desk: &mut Desk<'_>) {
        self.grace = Duration::ZERO;
        for sweep in self.sweeps.iter_mut().filter(|sweep| !sweep.killing) {
            sweep.deadline = now.mono;
        }
        self.on_deadline(now, leaders, watch, desk);
    }

    /// When [`Sweeper::on_deadline`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        self.sweeps.iter().map(|sweep| sweep.tell_at.map_or(sweep.deadline, |tell| tell.min(sweep.deadline))).min()
    }

    /// Kills, gives up, or tells what it waits for, where it is time to.
    pub fn on_deadline(&mut self, now: Now, leaders: &Leaders, watch: &mut dyn Watch, desk: &mut Desk<'_>) {
        for index in (0..self.sweeps.len()).rev() {
            let Some(sweep) = self.sweeps.get_mut(index) else { continue };
            if sweep.tell_at.is_some_and(|at| at <= now.mono) {
                sweep.tell_at = None;
                desk.view.notice(now, &format!("waiting for the end of {}", sweep.names()));
            }
            if sweep.deadline > now.mono {
                continue;
            }
            if sweep.killing {
                desk.view.notice(now, &format!("cannot end {}; it is left behind", sweep.names()));
                sweep.given_up.extend(sweep.targets.values().map(|target| target.process));
                sweep.targets.clear();
            } else {
                sweep.killing = true;
                sweep.deadline = now.mono.plus(GIVE_UP_AFTER);
                for target in sweep.targets.values() {
                    // ESRCH: it has ended, its event is on the way.
                    let _ = pidfd_send_signal(&target.pidfd, Signal::KILL);
                }
            }
            self.advance(index, now, leaders, watch, desk);
        }
    }

    /// The process watched under `id` ended.
    pub fn on_exit(&mut self, id: u64, now: Now, leaders: &Leaders, watch: &mut dyn Watch, desk: &mut Desk<'_>) {
        let Some(index) = self.sweeps.iter().position(|sweep| sweep.targets.contains_key(&id)) else { return };
        let Some(sweep) = self.sweeps.get_mut(index) else { return };
        if let Some(target) = sweep.targets.remove(&id)
            && !leaders.contains_key(&target.process.pid)
        {
            // No child of ours: its parent reaps it.
            let _ = reap(WaitId::PidFd(target.pidfd.as_fd()));
        }
        if sweep.targets.is_empty() {
            self.advance(index, now, leaders, watch, desk);
        }
    }

    /// Reaps orphans that have ended, so that they do not pile up while a long command runs.
    pub fn reap_orphans(&self, leaders: &Leaders) {
        if self.owns_orphans {
            for orphan in self.orphans(leaders) {
                let _ = reap(WaitId::Pid(orphan));
            }
        }
    }

    /// Children of this process that lost their own parent, ended ones included.
    fn orphans(&self, leaders: &Leaders) -> Vec<Pid> {
        let children = self.children.as_ref().map(procfs::Children::now).unwrap_or_else(|| {
            let own = Some(getpid());
            let of_ours = |pid: &Pid| procfs::stat(*pid).is_some_and(|stat| stat.parent == own);
            procfs::processes().into_iter().filter(of_ours).collect()
        });
        children.into_iter().filter(|pid| !leaders.contains_key(pid)).collect()
    }

    /// Looks for processes of the scope and signals new ones; where none is left, the sweep is done.
    fn advance(&mut self, index: usize, now: Now, leaders: &Leaders, watch: &mut dyn Watch, desk: &mut Desk<'_>) {
        loop {
            let Some(sweep) = self.sweeps.get(index) else { return };
            let found = Search {
                sweeper: self,
                scope: &sweep.scope,
                leaders,
                ended: HashSet::new(),
                undecided: false,
                wary: sweep.met,
            }
            .processes();
            let Some(sweep) = self.sweeps.get_mut(index) else { return };
            sweep.met |= !found.is_empty();
            let mut vanished = false;
            for process in found {
                vanished |= sweep.signal(process, now, watch, desk) == Signalled::Vanished;
            }
            if !sweep.targets.is_empty() {
                return;
            }
            // One that went before it was signalled may have left a child that we have not seen.
            if !vanished {
                break;
            }
        }
        let scope = self.sweeps.remove(index).scope;
        if let Scope::Job(job) = &scope {
            self.groups.retain(|_, owner| owner != job);
        }
        desk.facts.push(Input::Swept { scope });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signalled {
    /// It is waited for, or given up.
    Settled,
    /// It had ended by itself.
    Vanished,
}

impl Sweep {
    fn signal(&mut self, process: Process, now: Now, watch: &mut dyn Watch, desk: &mut Desk<'_>) -> Signalled {
        let known = self.given_up.contains(&process) || self.targets.values().any(|target| target.process == process);
        if known {
            return Signalled::Settled;
        }
        match self.try_signal(process, watch) {
            Ok(()) => Signalled::Settled,
            Err(Errno::SRCH) => Signalled::Vanished,
            Err(error) => {
                self.given_up.insert(process);
                let name = procfs::name(process.pid);
                let error = std::io::Error::from(error);
                desk.view.notice(now, &format!("cannot end {name} ({}): {error}", process.pid.as_raw_pid()));
                Signalled::Settled
            }
        }
    }

    fn try_signal(&mut self, process: Process, watch: &mut dyn Watch) -> Result<(), Errno> {
        let pidfd = Arc::new(pidfd_open(process.pid, PidfdFlags::empty())?);
        // Still the one that was found: so the descriptor names it, and will name no other.
        if procfs::stat(process.pid).map(|stat| stat.started) != Some(process.started) {
            return Err(Errno::SRCH);
        }
        if self.killing {
            pidfd_send_signal(&pidfd, Signal::KILL)?;
        } else {
            pidfd_send_signal(&pidfd, Signal::TERM)?;
            // One that is stopped takes its TERM only when it goes on. ESRCH: its TERM was quick.
            let _ = pidfd_send_signal(&pidfd, Signal::CONT);
        }
        let id = watch.watch(&pidfd)?;
        self.targets.insert(id, Target { process, pidfd });
        Ok(())
    }

    /// What is waited for, for people.
    fn names(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        for target in self.targets.values().take(3) {
            names.push(format!("{} ({})", procfs::name(target.process.pid), target.process.pid.as_raw_pid()));
        }
        if self.targets.len() > names.len() {
            names.push(format!("{} more", self.targets.len() - names.len()));
        }
        let whose = match &self.scope {
            Scope::Job(job) => format!("job {job}"),
            Scope::Run => "the run".to_owned(),
        };
        format!("{}, started by {whose}", names.join(", "))
    }
}

/// One look at what there is.
struct Search<'a> {
    sweeper: &'a Sweeper,
    scope: &'a Scope,
    leaders: &'a Leaders,
    /// Those that ended while we looked: their children may have come to us behind our back.
    ended: HashSet<Pid>,
    /// One that nothing claims was just being given a new program: a moment later it may be claimed.
    undecided: bool,
    /// Looks again even where nothing is undecided.
    wary: bool,
}

/// How often a look that found nothing but undecided processes is taken again: longer than a program takes to be set up. One
/// that was started without an environment stays undecided, so there is an end.
const UNDECIDED_LOOKS: u32 = 200;

impl Search<'_> {
    /// The living processes of the scope.
    fn processes(mut self) -> Vec<Process> {
        let mut looks = 0;
        loop {
            let ended = self.ended.len();
            self.undecided = self.wary;
            let found = self.pass();
            if !found.is_empty() {
                return found;
            }
            if self.ended.len() == ended {
                looks += 1;
                if !self.undecided || looks > UNDECIDED_LOOKS {
                    return found;
                }
                std::thread::yield_now();
            }
        }
    }

    fn pass(&mut self) -> Vec<Process> {
        let of_scope = |job: &JobId| match self.scope {
            Scope::Job(scope) => scope == job,
            Scope::Run => true,
        };
        let leaders = self.leaders.iter().filter(|(_, job)| of_scope(job));
        let mut open: Vec<(Pid, bool)> = leaders.map(|(pid, _)| (*pid, true)).collect();
        let all_ours = self.sweeper.owns_orphans && *self.scope == Scope::Run;
        for orphan in self.sweeper.orphans(self.leaders) {
            let reaped = self.sweeper.owns_orphans && matches!(reap(WaitId::Pid(orphan)), Ok(Some(_)));
            if reaped {
                self.ended.insert(orphan);
            } else {
                open.push((orphan, all_ours));
            }
        }
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        while let Some((pid, inherited)) = open.pop() {
            if !seen.insert(pid) {
                continue;
            }
            let stat = procfs::stat(pid);
            let Some(stat) = stat.filter(|stat| !stat.zombie || procfs::threads(pid) > 1) else {
                self.reap_of_ours(pid, stat);
                self.ended.insert(pid);
                continue;
            };
            let belongs = match self.claim(pid, &stat) {
                _ if inherited => true,
                Claim::Scope => true,
                Claim::Other => continue,
                Claim::Nobody if self.sweeper.owns_orphans => {
                    self.undecided |= procfs::is_without_environment(pid);
                    false
                }
                // Most likely a child of the server's own, with much below it that is not to be searched for every job.
                Claim::Nobody => {
                    self.undecided |= procfs::is_between_programs(pid);
                    continue;
                }
            };
            if belongs {
                found.push(Process { pid, started: stat.started });
            }
            open.extend(procfs::children(pid).into_iter().map(|child| (child, belongs)));
            // One that ended while it was looked at showed neither whose it was nor its children.
            if !belongs && procfs::stat(pid).is_none_or(|stat| stat.zombie) {
                self.ended.insert(pid);
            }
        }
        found
    }

    /// Reaps an orphan that ended in a group of one of the run's commands; where all orphans are the run's, that is done already.
    fn reap_of_ours(&self, pid: Pid, stat: Option<procfs::Stat>) {
        let Some(stat) = stat.filter(|stat| stat.parent == Some(getpid()) && !self.leaders.contains_key(&pid)) else {
            return;
        };
        if self.group(pid, &stat).is_some() {
            let _ = reap(WaitId::Pid(pid));
        }
    }

    /// The job in whose group a process is.
    fn group(&self, pid: Pid, stat: &procfs::Stat) -> Option<&JobId> {
        // Who leads a group and is no command of ours has its number from one that is gone.
        stat.group.filter(|group| *group != pid).and_then(|group| self.sweeper.groups.get(&group))
    }

    /// Whose a process is by what it carries: the tag in its environment, else the group that it was started in.
    fn claim(&self, pid: Pid, stat: &procfs::Stat) -> Claim {
        let run = &self.sweeper.run;
        let tag = procfs::environment_value(pid, TAG);
        let rest = tag.as_deref().and_then(|tag| tag.strip_prefix(run.as_str().as_bytes())?.strip_prefix(b"/"));
        let group = self.group(pid, stat);
        let job = rest.and_then(|rest| rest.split(|byte| *byte == b'/').next());
        match (self.scope, job.or(group.map(|job| job.as_str().as_bytes()))) {
            (_, None) => Claim::Nobody,
            (Scope::Run, Some(_)) => Claim::Scope,
            (Scope::Job(scope), Some(job)) if job == scope.as_str().as_bytes() => Claim::Scope,
            (Scope::Job(_), Some(_)) => Claim::Other,
        }
    }
}

enum Claim {
    /// A process of the scope.
    Scope,
    /// A process of another job of this run, and all below it.
    Other,
    /// Nothing says whose it is.
    Nobody,
}
