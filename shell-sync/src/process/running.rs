//! One command that runs: its pipes, its capture, its log. Bytes go from pipe to log here and nowhere else.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use quire_core::capture::{Capture, Notice};
use quire_core::engine::{ExitStatus, Input};
use quire_core::ids::ShId;
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now};
use quire_core::wire::Stream;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::clock;
use crate::ui::View;

/// What a read may bring at once; a pipe that keeps filling its own buffer is widened to as much.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// What a pipe holds where nobody asked for more (pipe(7)).
const PIPE_BYTES: usize = 64 * 1024;

/// What all commands share while the loop attends to one of them.
pub(super) struct Desk<'a> {
    /// [`READ_BYTES`] to read into.
    pub buffer: &'a mut [u8],
    /// Log entries on their way to the file; empty between two calls.
    pub entries: &'a mut Vec<u8>,
    /// What there is to report.
    pub facts: &'a mut Vec<Input>,
    /// Sees what the log got.
    pub view: &'a mut dyn View,
}

/// A command from its start until nothing of it is left to do.
#[derive(Debug)]
pub(super) struct Running {
    pub sh: ShId,
    /// Leader of the command's process group.
    pub pid: Pid,
    /// Present until the leader is reaped: so long the number of its group names this group and no other.
    pidfd: Option<OwnedFd>,
    stdin: Option<Feed>,
    stdout: Option<OutputPipe>,
    stderr: Option<OutputPipe>,
    /// Present until its end is reported; what a pipe brings after that is dropped.
    output: Option<Output>,
}

#[derive(Debug)]
struct Feed {
    pipe: OwnedFd,
    bytes: Vec<u8>,
    written: usize,
}

#[derive(Debug)]
struct OutputPipe {
    fd: OwnedFd,
    widened: bool,
}

#[derive(Debug)]
struct Output {
    capture: Capture,
    log: Log,
}

/// A log file that is cut back to whole entries where a write fails, and then left alone.
#[derive(Debug)]
struct Log {
    file: Option<File>,
    bytes: u64,
}

impl Running {
    pub fn new(sh: ShId, pid: Pid, pidfd: OwnedFd, pipes: Pipes, capture: Capture) -> Running {
        let pipe = |fd| OutputPipe { fd, widened: false };
        Running {
            sh,
            pid,
            pidfd: Some(pidfd),
            stdin: pipes.stdin.map(|(pipe, bytes)| Feed { pipe, bytes, written: 0 }),
            stdout: Some(pipe(pipes.stdout)),
            stderr: pipes.stderr.map(pipe),
            output: Some(Output { capture, log: Log { file: None, bytes: 0 } }),
        }
    }

    /// Where its entries go from now on.
    pub fn log_to(&mut self, file: File) {
        if let Some(output) = &mut self.output {
            output.log.file = Some(file);
        }
    }

    /// The pipe to its standard input, while there are bytes for it.
    pub fn stdin(&self) -> Option<&OwnedFd> {
        self.stdin.as_ref().map(|feed| &feed.pipe)
    }

    /// Whether its leader has not been reaped yet.
    pub fn is_alive(&self) -> bool {
        self.pidfd.is_some()
    }

    /// Whether nothing is left to wait for.
    pub fn is_over(&self) -> bool {
        self.pidfd.is_none() && self.output.is_none() && self.stdout.is_none() && self.stderr.is_none()
    }

    pub fn set_secrets(&mut self, secrets: SecretSet) {
        if let Some(output) = &mut self.output {
            output.capture.set_secrets(secrets);
        }
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.output.as_ref()?.capture.deadline()
    }

    pub fn on_deadline(&mut self, now: Now, desk: &mut Desk<'_>) {
        let Some(output) = &mut self.output else { return };
        let notice = output.capture.on_deadline(now, desk.entries);
        output.log.write(&self.sh, now, desk);
        report(&self.sh, notice, desk);
    }

    /// The leader ended: reaps it.
    pub fn on_exit(&mut self, desk: &mut Desk<'_>) {
        let Some(pidfd) = &self.pidfd else { return };
        match reap(WaitId::PidFd(pidfd.as_fd())) {
            Ok(None) => return,
            Ok(Some(status)) => desk.facts.push(Input::Exited { sh: self.sh.clone(), status }),
            // Somebody else in this process reaped it: how it ended is lost, that it ended is not.
            Err(_) => desk.facts.push(Input::Exited { sh: self.sh.clone(), status: ExitStatus::Code(-1) }),
        }
        self.pidfd = None;
    }

    /// Writes what standard input takes now; `true` where more is to be written later.
    pub fn feed(&mut self) -> bool {
        let Some(feed) = &mut self.stdin else { return false };
        while let Some(rest) = feed.bytes.get(feed.written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&feed.pipe, rest) {
                Ok(count) => feed.written += count,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => (),
                // EPIPE: the command does not want the rest.
                Err(_) => break,
            }
        }
        self.stdin = None;
        false
    }

    /// A pipe has bytes, or its end.
    pub fn on_readable(&mut self, stream: Stream, flags: EventFlags, desk: &mut Desk<'_>) {
        let Some(pipe) = self.pipe(stream) else { return };
        let hung_up = flags.contains(EventFlags::HUP);
        if hung_up && !flags.contains(EventFlags::IN) {
            return self.end(stream, false, desk);
        }
        match rustix::io::read(&pipe.fd, &mut *desk.buffer) {
            Ok(0) => self.end(stream, false, desk),
            Ok(count) => {
                if count >= PIPE_BYTES && !pipe.widened {
                    pipe.widened = true;
                    // Refused where the user's pipes hold much already: then it stays as it is.
                    let _ = rustix::pipe::fcntl_setpipe_size(&pipe.fd, READ_BYTES);
                }
                self.take(stream, count, desk);
                // Without writers, less than was asked for is all there was.
                if hung_up && count < desk.buffer.len() {
                    self.end(stream, false, desk);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => (),
            Err(_) => self.end(stream, true, desk),
        }
    }

    /// Takes what is in the pipes now and ends the capture; the pipes stay, to be drained.
    pub fn close_output(&mut self, desk: &mut Desk<'_>) {
        self.stdin = None;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(pipe) = self.pipe(stream) else { continue };
            let mut left = rustix::io::ioctl_fionread(&pipe.fd).unwrap_or(0);
            while left > 0 {
                let Some(pipe) = self.pipe(stream) else { break };
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(desk.buffer.len());
                let Some(room) = desk.buffer.get_mut(..most) else { break };
                match rustix::io::read(&pipe.fd, room) {
                    Ok(count) if count > 0 => {
                        left = left.saturating_sub(count as u64);
                        self.take(stream, count, desk);
                    }
                    Err(Errno::INTR) => (),
                    Ok(_) | Err(_) => break,
                }
            }
            self.end_capture(stream, true, desk);
        }
    }

    fn pipe(&mut self, stream: Stream) -> Option<&mut OutputPipe> {
        match stream {
            Stream::Stdout => self.stdout.as_mut(),
            Stream::Stderr => self.stderr.as_mut(),
        }
    }

    /// The first `count` bytes of the buffer were read.
    fn take(&mut self, stream: Stream, count: usize, desk: &mut Desk<'_>) {
        let (Some(output), Some(bytes)) = (&mut self.output, desk.buffer.get(..count)) else { return };
        let now = clock::now();
        let notice = output.capture.push(stream, bytes, now, desk.entries);
        output.log.write(&self.sh, now, desk);
        report(&self.sh, notice, desk);
    }

    fn end(&mut self, stream: Stream, detached: bool, desk: &mut Desk<'_>) {
        match stream {
            Stream::Stdout => self.stdout = None,
            Stream::Stderr => self.stderr = None,
        }
        self.end_capture(stream, detached, desk);
    }

    fn end_capture(&mut self, stream: Stream, detached: bool, desk: &mut Desk<'_>) {
        let Some(mut output) = self.output.take() else { return };
        output.capture.end(stream, detached, desk.entries);
        output.log.write(&self.sh, clock::now(), desk);
        if output.capture.is_ended() {
            let captured = output.capture.into_captured();
            desk.facts.push(Input::OutputEnded { sh: self.sh.clone(), captured });
        } else {
            self.output = Some(output);
        }
    }
}

/// Our ends of a command's pipes, and the bytes for its standard input.
#[derive(Debug)]
pub(super) struct Pipes {
    pub stdin: Option<(OwnedFd, Vec<u8>)>,
    pub stdout: OwnedFd,
    pub stderr: Option<OwnedFd>,
}

impl Log {
    /// Writes the entries on the desk to the file, shows them, and clears them.
    fn write(&mut self, sh: &ShId, now: Now, desk: &mut Desk<'_>) {
        if !desk.entries.is_empty() {
            if let Some(file) = &mut self.file {
                match file.write_all(desk.entries) {
                    Ok(()) => {
                        self.bytes += desk.entries.len() as u64;
                        desk.view.output(now, sh, desk.entries);
                    }
                    Err(error) => {
                        // What was written of an entry is taken back; where even that fails, a reader meets a torn last line.
                        let _ = file.set_len(self.bytes);
                        self.file = None;
                        desk.facts.push(log_failed(sh, &error));
                    }
                }
            }
            desk.entries.clear();
        }
    }
}

/// The fact that a command's log cannot be written.
pub(super) fn log_failed(sh: &ShId, error: &io::Error) -> Input {
    Input::RecordFailed { message: format!("the log of {sh} cannot be written: {error}") }
}

fn report(sh: &ShId, notice: Option<Notice>, desk: &mut Desk<'_>) {
    match notice {
        Some(Notice::OutputLimit) => desk.facts.push(Input::OutputLimitReached { sh: sh.clone() }),
        Some(Notice::Idle) => desk.facts.push(Input::OutputIdle { sh: sh.clone() }),
        None => (),
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
