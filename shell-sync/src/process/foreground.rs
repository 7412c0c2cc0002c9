//! Waiting for a child that has the terminal: a person works in it, and this process stays out of the way.

use std::io;
use std::process::Child;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGTERM};

use super::signals::Signals;

/// How long after a HUP another is sent: a shell that was just about to read from its terminal notices none before something is typed.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Waits for the child's end. INT is for the child, which gets it from the terminal itself; TERM and HUP are handed on as HUP,
/// which ends an interactive shell too. The first of these two that came, if one did.
///
/// # Errors
/// Where the kernel gives no handle of the child or refuses to wait.
pub fn wait_in_foreground(child: &mut Child, signals: &mut Signals) -> io::Result<Option<i32>> {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let mut ended_by = None;
    loop {
        let ended = {
            let mut fds = [PollFd::new(&handle, PollFlags::IN), PollFd::from_borrowed_fd(signals.fd(), PollFlags::IN)];
            match poll(&mut fds, ended_by.map(|_| &AGAIN)) {
                Ok(_) => fds.first().is_some_and(|fd| !fd.revents().is_empty()),
                Err(Errno::INTR) => false,
                Err(error) => return Err(error.into()),
            }
        };
        if ended {
            child.wait()?;
            return Ok(ended_by);
        }
        if let Some(signal) = signals.pending().into_iter().find(|signal| [SIGTERM, SIGHUP].contains(signal)) {
            ended_by.get_or_insert(signal);
        }
        if ended_by.is_some() {
            // Not waited for yet, so the pid is still its own.
            let _ = kill_process(pid, Signal::HUP);
        }
    }
}
