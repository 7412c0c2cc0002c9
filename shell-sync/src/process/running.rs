//! One command that runs: its process, and its streams.

use std::os::fd::{AsFd, OwnedFd};

use quire_core::engine::{ExitStatus, Input};
use quire_core::wire::Stream;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::streams::{Desk, Streams};

/// A command from its start until nothing of it is left to do.
#[derive(Debug)]
pub(super) struct Running {
    /// Leader of the command's process group.
    pub pid: Pid,
    /// Present until the leader is reaped: so long the number of its group names this group and no other.
    pidfd: Option<OwnedFd>,
    pub streams: Streams<OwnedFd>,
}

impl Running {
    pub fn new(pid: Pid, pidfd: OwnedFd, streams: Streams<OwnedFd>) -> Running {
        Running { pid, pidfd: Some(pidfd), streams }
    }

    /// Whether its leader has not been reaped yet.
    pub fn is_alive(&self) -> bool {
        self.pidfd.is_some()
    }

    /// Whether nothing is left to wait for.
    pub fn is_over(&self) -> bool {
        self.pidfd.is_none() && self.streams.are_over()
    }

    /// The leader ended: reaps it. Whether that was so.
    pub fn on_exit(&mut self, desk: &mut Desk<'_>) -> bool {
        let Some(pidfd) = &self.pidfd else { return false };
        let status = match reap(WaitId::PidFd(pidfd.as_fd())) {
            Ok(None) => return false,
            Ok(Some(status)) => status,
            // Somebody else in this process reaped it: how it ended is lost, that it ended is not.
            Err(_) => ExitStatus::Code(-1),
        };
        desk.facts.push(Input::Exited { sh: self.streams.sh().clone(), status });
        self.pidfd = None;
        true
    }

    /// A pipe has bytes, or its end.
    pub fn on_readable(&mut self, stream: Stream, flags: EventFlags, desk: &mut Desk<'_>) {
        let hung_up = flags.contains(EventFlags::HUP);
        if hung_up && !flags.contains(EventFlags::IN) {
            return self.streams.end(stream, false, desk);
        }
        let count = self.streams.read(stream, desk);
        // Without writers, less than was asked for is all there was.
        if hung_up && count > 0 && count < desk.buffer.len() {
            self.streams.end(stream, false, desk);
        }
    }
}

/// Reaps a child of ours that has ended; `None` where it has not.
pub(super) fn reap(child: WaitId<'_>) -> Result<Option<ExitStatus>, Errno> {
    let status = rustix::io::retry_on_intr(|| waitid(child.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG))?;
    Ok(status.map(|status| match status.terminating_signal() {
        Some(signal) => ExitStatus::Signal(signal),
        None => ExitStatus::Code(status.exit_status().unwrap_or(-1)),
    }))
}
