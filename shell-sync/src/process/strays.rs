//! Orphans of nobody's in a server: what left a run's group and environment comes to the server, and is told from its own
//! children by nothing but that nobody asks for it.

use std::collections::HashSet;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use super::procfs;
use super::running::reap;
use super::sweep::TAG;

/// Children of this process's first thread that no one asks for. Whoever starts processes there, or lets a thread end that has
/// started some, must wait for each as soon as it ends.
#[derive(Debug, Default)]
pub struct Strays {
    /// Ended when they were looked at last. With the time of their start, as everywhere.
    ended: HashSet<(Pid, u64)>,
    asked: HashSet<(Pid, u64)>,
}

impl Strays {
    /// Reaps those that had ended by the last call already: who waits for a child of its own has done so by now, if there is some
    /// time between two calls.
    pub fn reap(&mut self) {
        let mut ended = HashSet::new();
        for pid in children() {
            let Some(stat) = procfs::stat(pid).filter(|stat| stat.zombie) else { continue };
            match self.ended.contains(&(pid, stat.started)) {
                true => drop(reap(WaitId::Pid(pid))),
                false => drop(ended.insert((pid, stat.started))),
            }
        }
        self.ended = ended;
    }

    /// Asks those that live to end, and kills those that it had asked before. Not those that carry a run's tag, nor those that
    /// are the caller's own. For a time at which no run goes on here. How many there were.
    pub fn end(&mut self, is_own: impl Fn(u32) -> bool) -> usize {
        let mut asked = HashSet::new();
        for pid in children() {
            let Some(stat) = procfs::stat(pid).filter(|stat| !stat.zombie) else { continue };
            let is_own = is_own(pid.as_raw_pid().unsigned_abs());
            if is_own || procfs::environment_value(pid, TAG).is_some() || procfs::is_between_programs(pid) {
                continue;
            }
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // Still the one that was found: so the descriptor names it, and will name no other.
            if procfs::stat(pid).map(|stat| stat.started) != Some(stat.started) {
                continue;
            }
            let key = (pid, stat.started);
            // ESRCH: it has ended by itself.
            let _ = match self.asked.contains(&key) {
                true => pidfd_send_signal(&pidfd, Signal::KILL),
                false => pidfd_send_signal(&pidfd, Signal::TERM).and_then(|()| pidfd_send_signal(&pidfd, Signal::CONT)),
            };
            asked.insert(key);
        }
        self.asked = asked;
        self.asked.len()
    }
}

/// Orphans come to the first thread.
fn children() -> Vec<Pid> {
    procfs::Children::of_thread(getpid(), getpid()).map(|list| list.now()).unwrap_or_default()
}

/// Kills and reaps the children of the calling thread that are none of these: for one that was started and then could not be
/// watched, so that nobody knows its number.
pub fn end_children_of_this_thread_but(known: impl Fn(Pid) -> bool) {
    let Some(list) = procfs::Children::of_thread(getpid(), rustix::thread::gettid()) else { return };
    for pid in list.now().into_iter().filter(|pid| !known(*pid)) {
        // A child of ours that nobody has reaped: the number is its own.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    }
}
