//! Drivers of runs that are no children of this process: a server that was started anew finds those that an earlier one started.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use quire_core::ids::RunId;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::procfs;
use crate::record::Holder;

/// The variable that names the run which a quire-ci was started to drive, in its environment and in no other's: until it holds
/// the run's lock, nothing else tells whose it is.
pub const DRIVES: &str = "QUIRE_DRIVES";

/// Most looks while some process is just being given a new program: a moment later it may show whose it is.
const UNDECIDED_LOOKS: u32 = 200;

/// One process and no other, whatever becomes of its number.
#[derive(Debug)]
pub struct Adopted {
    pidfd: OwnedFd,
}

impl Adopted {
    /// The process that holds a run's lock. `None` where it is gone, or its number is another's by now.
    ///
    /// # Errors
    /// Where the kernel has no pidfds, or none left.
    pub fn of(holder: &Holder) -> io::Result<Option<Adopted>> {
        let Some(pid) = i32::try_from(holder.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        Adopted::of_pid(pid, holder.start_ticks)
    }

    /// A child of this process that nobody has waited for yet.
    ///
    /// # Errors
    /// Where the kernel has no pidfds, or none left.
    pub fn of_child(pid: u32) -> io::Result<Adopted> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        Ok(Adopted { pidfd: pidfd_open(pid, PidfdFlags::empty())? })
    }

    fn of_pid(pid: Pid, started: u64) -> io::Result<Option<Adopted>> {
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Still the one that was meant: so the descriptor names it, and will name no other.
        let is_meant = procfs::stat(pid).is_some_and(|stat| stat.started == started);
        Ok(is_meant.then_some(Adopted { pidfd }))
    }

    /// Asks it to end its run; again: at once.
    pub fn terminate(&self) {
        // ESRCH: it has ended.
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
    }

    /// Ends it, and leaves its run to whoever closes it.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl AsFd for Adopted {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The processes that were started to drive these runs ([`DRIVES`]).
pub fn drivers(runs: &BTreeSet<RunId>) -> BTreeMap<RunId, Adopted> {
    let mut found = BTreeMap::new();
    if runs.is_empty() {
        return found;
    }
    for _ in 0..UNDECIDED_LOOKS {
        let mut undecided = false;
        for pid in procfs::processes() {
            let Some(run_id) = procfs::environment_value(pid, DRIVES) else {
                undecided |= procfs::is_between_programs(pid);
                continue;
            };
            let run_id = RunId::new(&String::from_utf8_lossy(&run_id));
            let Some(stat) = procfs::stat(pid).filter(|stat| runs.contains(&run_id) && !stat.zombie) else { continue };
            if let Ok(Some(adopted)) = Adopted::of_pid(pid, stat.started) {
                found.insert(run_id, adopted);
            }
        }
        if !undecided {
            break;
        }
        std::thread::yield_now();
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_driver_is_found_by_its_tag_and_ended() {
        let run_id = RunId::new("adopted-1");
        let mut child = Command::new("sleep").arg("1000").env(DRIVES, run_id.as_str()).spawn().unwrap();
        let found = drivers(&BTreeSet::from([run_id.clone(), RunId::new("adopted-2")]));
        assert_eq!(found.keys().collect::<Vec<_>>(), [&run_id]);
        found[&run_id].kill();
        child.wait().unwrap();
        assert!(drivers(&BTreeSet::from([run_id])).is_empty());
    }

    #[test]
    fn a_number_that_is_used_again_is_not_adopted() {
        let own = Holder::this_process();
        assert!(Adopted::of(&own).unwrap().is_some());
        let earlier = Holder { start_ticks: own.start_ticks + 1, ..own };
        assert!(Adopted::of(&earlier).unwrap().is_none());
    }
}
