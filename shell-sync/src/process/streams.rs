//! One command's bytes: from its pipes to its log, and to its standard input. They go this way and no other, whichever loop
//! tells that there are some.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use quire_core::capture::{Capture, Notice};
use quire_core::engine::Input;
use quire_core::ids::ShId;
use quire_core::redact::SecretSet;
use quire_core::time::{Mono, Now};
use quire_core::wire::Stream;
use rustix::io::Errno;

use crate::clock;
use crate::ui::View;

/// What a read may bring at once; a pipe that keeps filling its own buffer is widened to as much.
pub const READ_BYTES: usize = 256 * 1024;
/// What a pipe holds where nobody asked for more (pipe(7)).
const PIPE_BYTES: usize = 64 * 1024;

/// What all commands share while one of them is attended to.
pub struct Desk<'a> {
    /// [`READ_BYTES`] to read into.
    pub buffer: &'a mut [u8],
    /// Log entries on their way to the file; empty between two calls.
    pub entries: &'a mut Vec<u8>,
    /// What there is to report.
    pub facts: &'a mut Vec<Input>,
    /// Sees what the log got.
    pub view: &'a mut dyn View,
}

/// Our ends of a command's pipes, which never block.
#[derive(Debug)]
pub struct Pipes<P> {
    /// Where the bytes for its standard input go, if there are any.
    pub stdin: Option<P>,
    /// Its output.
    pub stdout: P,
    /// Absent where both outputs go into one pipe.
    pub stderr: Option<P>,
}

impl<P> Pipes<P> {
    /// The same pipes as another loop holds them.
    ///
    /// # Errors
    /// The first of `hold`.
    pub fn try_map<Q>(self, hold: impl Fn(P) -> io::Result<Q>) -> io::Result<Pipes<Q>> {
        Ok(Pipes {
            stdin: self.stdin.map(&hold).transpose()?,
            stdout: hold(self.stdout)?,
            stderr: self.stderr.map(&hold).transpose()?,
        })
    }
}

/// A command's pipes, capture and log, from its start until its pipes have ended.
#[derive(Debug)]
pub struct Streams<P> {
    sh: ShId,
    stdin: Option<Feed<P>>,
    stdout: Option<OutputPipe<P>>,
    stderr: Option<OutputPipe<P>>,
    /// Present until its end is reported; what a pipe brings after that is dropped.
    output: Option<Output>,
}

#[derive(Debug)]
struct Feed<P> {
    pipe: P,
    bytes: Vec<u8>,
    written: usize,
}

#[derive(Debug)]
struct OutputPipe<P> {
    pipe: P,
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

impl<P: AsFd> Streams<P> {
    /// Of a command that was just started, with the bytes for its standard input.
    pub fn new(sh: ShId, pipes: Pipes<P>, input: Option<Vec<u8>>, capture: Capture) -> Streams<P> {
        let output = |pipe| OutputPipe { pipe, widened: false };
        Streams {
            sh,
            stdin: pipes.stdin.zip(input).map(|(pipe, bytes)| Feed { pipe, bytes, written: 0 }),
            stdout: Some(output(pipes.stdout)),
            stderr: pipes.stderr.map(output),
            output: Some(Output { capture, log: Log { file: None, bytes: 0 } }),
        }
    }

    /// Whose they are.
    pub fn sh(&self) -> &ShId {
        &self.sh
    }

    /// Where log entries go from now on; until then they go nowhere.
    pub fn log_to(&mut self, file: File) {
        if let Some(output) = &mut self.output {
            output.log.file = Some(file);
        }
    }

    /// The pipe to standard input, while there are bytes for it.
    pub fn stdin(&self) -> Option<&P> {
        self.stdin.as_ref().map(|feed| &feed.pipe)
    }

    /// The pipe of an output, until it has ended.
    pub fn pipe(&self, stream: Stream) -> Option<&P> {
        let pipe = match stream {
            Stream::Stdout => self.stdout.as_ref(),
            Stream::Stderr => self.stderr.as_ref(),
        };
        pipe.map(|output| &output.pipe)
    }

    /// Whether both pipes have ended and that was reported.
    pub fn are_over(&self) -> bool {
        self.output.is_none() && self.stdout.is_none() && self.stderr.is_none()
    }

    /// Masks these from the next byte on.
    pub fn set_secrets(&mut self, secrets: SecretSet) {
        if let Some(output) = &mut self.output {
            output.capture.set_secrets(secrets);
        }
    }

    /// When [`Streams::on_deadline`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        self.output.as_ref()?.capture.deadline()
    }

    /// The deadline has come.
    pub fn on_deadline(&mut self, now: Now, desk: &mut Desk<'_>) {
        let Some(output) = &mut self.output else { return };
        let notice = output.capture.on_deadline(now, desk.entries);
        output.log.write(&self.sh, now, desk);
        report(&self.sh, notice, desk);
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

    /// Reads once from a pipe that may have bytes, or its end; how many bytes there were. Nothing tells, of a pipe that has not
    /// ended by then, that there is more.
    pub fn read(&mut self, stream: Stream, desk: &mut Desk<'_>) -> usize {
        let Some(output) = self.output_pipe(stream) else { return 0 };
        match rustix::io::read(&output.pipe, &mut *desk.buffer) {
            Ok(0) => self.end(stream, false, desk),
            Ok(count) => {
                if count >= PIPE_BYTES && !output.widened {
                    output.widened = true;
                    // Refused where the user's pipes hold much already: then it stays as it is.
                    let _ = rustix::pipe::fcntl_setpipe_size(&output.pipe, READ_BYTES);
                }
                self.take(stream, count, desk);
                return count;
            }
            Err(Errno::AGAIN | Errno::INTR) => (),
            Err(_) => self.end(stream, true, desk),
        }
        0
    }

    /// The pipe has ended; `detached` where it may have had more to bring.
    pub fn end(&mut self, stream: Stream, detached: bool, desk: &mut Desk<'_>) {
        match stream {
            Stream::Stdout => self.stdout = None,
            Stream::Stderr => self.stderr = None,
        }
        self.end_capture(stream, detached, desk);
    }

    /// Takes what is in the pipes now and ends the capture; the pipes stay, to be drained.
    pub fn close_output(&mut self, desk: &mut Desk<'_>) {
        self.stdin = None;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(output) = self.output_pipe(stream) else { continue };
            let mut left = rustix::io::ioctl_fionread(&output.pipe).unwrap_or(0);
            while left > 0 {
                let Some(output) = self.output_pipe(stream) else { break };
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(desk.buffer.len());
                let Some(room) = desk.buffer.get_mut(..most) else { break };
                match rustix::io::read(&output.pipe, room) {
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

    fn output_pipe(&mut self, stream: Stream) -> Option<&mut OutputPipe<P>> {
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
pub fn log_failed(sh: &ShId, error: &io::Error) -> Input {
    Input::RecordFailed { message: format!("the log of {sh} cannot be written: {error}") }
}

fn report(sh: &ShId, notice: Option<Notice>, desk: &mut Desk<'_>) {
    match notice {
        Some(Notice::OutputLimit) => desk.facts.push(Input::OutputLimitReached { sh: sh.clone() }),
        Some(Notice::Idle) => desk.facts.push(Input::OutputIdle { sh: sh.clone() }),
        None => (),
    }
}
