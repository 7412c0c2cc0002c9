//! Ending what a dead run left running. A quire-ci that is killed cannot end its commands; who closes its run does.
//!
//! Found by the run's tag in their environment, with all below them. A process that lost both its parent and its environment
//! is beyond finding: once its subreaper is dead nothing ties it to the run.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use quire_core::ids::RunId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::procfs;
use super::sweep::TAG;

/// Between TERM and KILL. Shorter than a living run's: whoever looks at the record waits for it, and nobody records what these
/// processes still do.
const GRACE: Duration = Duration::from_secs(2);
/// So many looks in a row have to find nothing: one may miss what was started behind its back by what ended before its eyes.
const EMPTY_LOOKS: u32 = 3;
/// Most looks that find nothing but what is between two programs: far longer than a program takes to be set up.
const UNDECIDED_LOOKS: u32 = 200;
/// How long a process that was killed has to disappear (it hangs in the kernel).
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);

/// A process that a dead run had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// The run.
    pub run_id: RunId,
    /// The process.
    pub pid: i32,
    /// The program's name, at most 15 bytes.
    pub name: String,
    /// It could not be ended.
    pub remains: bool,
}

/// Ends what these runs, whose producers are dead, left running: TERM, 2 s, KILL, until a look finds nothing more. This process
/// and those above it are spared: someone may look at the record from a shell that the run had started. Ordered by run and pid.
pub fn end_left_behind(runs: &BTreeSet<RunId>) -> Vec<LeftBehind> {
    let mut targets = Targets { spared: lineage(), found: BTreeMap::new(), undecided: false };
    let begun = Instant::now();
    for (signal, until) in [(Signal::TERM, begun + GRACE), (Signal::KILL, begun + GRACE + GIVE_UP_AFTER)] {
        if targets.end(runs, signal, until) {
            break;
        }
    }
    let mut left: Vec<LeftBehind> = targets.found.into_values().map(|target| target.told).collect();
    left.sort_by(|a, b| (&a.run_id, a.pid).cmp(&(&b.run_id, b.pid)));
    left
}

/// This process and all above it.
fn lineage() -> HashSet<Pid> {
    let above = |pid: &Pid| procfs::stat(*pid)?.parent;
    // Bounded: pids that come again could make a circle of what is read one by one.
    std::iter::successors(Some(getpid()), above).take(1000).collect()
}

struct Targets {
    spared: HashSet<Pid>,
    /// By pid and start time.
    found: BTreeMap<(i32, u64), Target>,
    /// The last look met one that was just being given a new program: a moment later it may show whose it is.
    undecided: bool,
}

struct Target {
    told: LeftBehind,
    pid: Pid,
    pidfd: Option<OwnedFd>,
}

impl Targets {
    /// Sends the signal to all that is there and to what appears, until nothing is left: true; or the time is over: false.
    fn end(&mut self, runs: &BTreeSet<RunId>, signal: Signal, until: Instant) -> bool {
        let mut asked = HashSet::new();
        let (mut empty, mut undecided) = (0, 0);
        loop {
            let there = self.look(runs);
            for target in self.found.values_mut() {
                target.told.remains = false;
            }
            if there.is_empty() {
                (empty, undecided) = if self.undecided { (0, undecided + 1) } else { (empty + 1, undecided) };
                if empty == EMPTY_LOOKS || undecided == UNDECIDED_LOOKS {
                    return true;
                }
                std::thread::yield_now();
                continue;
            }
            (empty, undecided) = (0, 0);
            let is_first = asked.is_empty();
            let living: HashSet<Pid> = there.iter().filter_map(|key| Some(self.found.get(key)?.pid)).collect();
            for key in &there {
                let Some(target) = self.found.get_mut(key) else { continue };
                target.told.remains = true;
                // What one that was asked to end starts on its way is its own to end: it may be tidying up.
                let is_tidying = signal == Signal::TERM
                    && !is_first
                    && procfs::stat(target.pid)
                        .and_then(|stat| stat.parent)
                        .is_some_and(|parent| living.contains(&parent));
                if !is_tidying && asked.insert(*key) {
                    target.signal(signal);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.wait(&there, left);
        }
    }

    /// The processes of the runs that live.
    fn look(&mut self, runs: &BTreeSet<RunId>) -> Vec<(i32, u64)> {
        self.undecided = false;
        let mut open: Vec<(Pid, RunId)> = Vec::new();
        for pid in procfs::processes() {
            match run_of(pid, runs) {
                Some(run_id) => open.push((pid, run_id)),
                None => self.undecided |= procfs::is_between_programs(pid),
            }
        }
        let mut there = BTreeSet::new();
        while let Some((pid, run_id)) = open.pop() {
            let Some(stat) = procfs::stat(pid).filter(|_| !self.spared.contains(&pid)) else { continue };
            let key = (pid.as_raw_pid(), stat.started);
            if (stat.zombie && procfs::threads(pid) <= 1) || !there.insert(key) {
                continue;
            }
            self.found.entry(key).or_insert_with(|| Target::of(pid, stat.started, run_id.clone()));
            open.extend(procfs::children(pid).into_iter().map(|child| (child, run_id.clone())));
        }
        there.into_iter().collect()
    }

    /// Waits until one of these has ended.
    fn wait(&self, there: &[(i32, u64)], left: Duration) {
        let pidfds = there.iter().filter_map(|key| self.found.get(key)?.pidfd.as_ref());
        let mut fds: Vec<PollFd<'_>> = pidfds.map(|pidfd| PollFd::new(pidfd, PollFlags::IN)).collect();
        // Looked at again before the time is over: what ends may have started something on its way.
        let at_most = Timespec::try_from(left.min(Duration::from_millis(100))).unwrap_or_default();
        let _ = poll(&mut fds, Some(&at_most));
    }
}

impl Target {
    fn of(pid: Pid, started: u64, run_id: RunId) -> Target {
        // Still the one that was found: so the descriptor names it, and will name no other.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok();
        let pidfd = pidfd.filter(|_| procfs::stat(pid).is_some_and(|stat| stat.started == started));
        let told = LeftBehind { run_id, pid: pid.as_raw_pid(), name: procfs::name(pid), remains: false };
        Target { told, pid, pidfd }
    }

    /// What cannot be signalled remains, and is told.
    fn signal(&self, signal: Signal) {
        let Some(pidfd) = &self.pidfd else { return };
        let sent: Result<(), Errno> = pidfd_send_signal(pidfd, signal);
        if sent.is_ok() && signal == Signal::TERM {
            // One that is stopped takes its TERM only when it goes on.
            let _ = pidfd_send_signal(pidfd, Signal::CONT);
        }
    }
}

/// The run whose tag the process carries, if it is one of these.
fn run_of(pid: Pid, runs: &BTreeSet<RunId>) -> Option<RunId> {
    let tag = procfs::environment_value(pid, TAG)?;
    let run_id = tag.split(|byte| *byte == b'/').next()?;
    runs.get(&RunId::new(std::str::from_utf8(run_id).ok()?)).cloned()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn runs(ids: &[&str]) -> BTreeSet<RunId> {
        ids.iter().map(|id| RunId::new(id)).collect()
    }

    /// Looks until it is so; gives up after a while, and what follows fails.
    fn soon(is_so: impl Fn() -> bool) {
        let asked = Instant::now();
        while !is_so() && asked.elapsed() < Duration::from_secs(30) {
            std::thread::yield_now();
        }
    }

    fn tagged(run: &str, text: &str) -> std::process::Child {
        let mut command = Command::new("sh");
        command.args(["-c", text]).env(TAG, format!("{run}/job/1")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        // A spawn returns a moment before the kernel shows the new program's environment.
        let pid = Pid::from_child(&child);
        soon(|| procfs::environment_value(pid, TAG).is_some());
        child
    }

    #[test]
    fn only_processes_of_the_runs_that_are_named_are_ended() {
        let (dead, living) = (format!("dead-{}", std::process::id()), format!("living-{}", std::process::id()));
        // Waits without starting another program: one that is just being started shows no environment.
        let mut left = tagged(&dead, "read line");
        let mut other = tagged(&living, "read line");
        let ended = end_left_behind(&runs(&[&dead, "no-such-run"]));
        assert_eq!(ended.len(), 1, "{ended:?}");
        assert_eq!((ended[0].pid, ended[0].remains), (left.id().cast_signed(), false));
        assert_eq!(left.wait().unwrap().code(), None);
        assert_eq!(other.try_wait().unwrap(), None);
        drop(other.stdin.take());
        other.wait().unwrap();
        assert_eq!(end_left_behind(&runs(&[&dead])), []);
    }

    /// It happened once in a thousand kills: what was just being given a new program showed no tag, and stayed.
    #[test]
    fn what_is_between_two_programs_does_not_get_away() {
        for round in 0..40 {
            let dead = format!("between-{round}-{}", std::process::id());
            let mut command = Command::new("sh");
            command.args(["-c", "for n in 1 2 3 4 5 6; do setsid sleep 1000 & done"]).env(TAG, format!("{dead}/a/1"));
            let mut left = command.spawn().unwrap();
            end_left_behind(&runs(&[&dead]));
            left.wait().unwrap();
            assert_eq!(end_left_behind(&runs(&[&dead])), [], "round {round}");
        }
    }

    #[test]
    fn what_is_below_them_goes_with_them() {
        let dead = format!("below-{}", std::process::id());
        let mut left = tagged(&dead, "env -i sleep 1000 & wait");
        soon(|| !procfs::children(Pid::from_child(&left)).is_empty());
        assert_eq!(end_left_behind(&runs(&[&dead])).len(), 2);
        left.wait().unwrap();
    }
}
