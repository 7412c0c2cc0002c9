//! The data plane of one command: a tap of raw bytes for the script, then masking, then CRI framing.
//!
//! The shell feeds what it read and writes what comes out; output never goes through the engine.

use std::time::Duration;

use crate::redact::SecretSet;
use crate::time::{Mono, Now};
use crate::wire::Stream;

/// How to capture a command, part of the order to spawn it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureSpec {
    /// One pipe for both outputs: everything is `stdout`, in exact order.
    pub merge: bool,
    /// Which part of an output the script's answer keeps, where it has more than [`CaptureSpec::TAP_BYTES`].
    pub tap: Tap,
    /// Most bytes of output, both streams together, before masking; at more the command is to be ended.
    pub output_limit: Option<u64>,
    /// Longest silence before the command is to be ended.
    pub idle_limit: Option<Duration>,
}

/// What is kept of one output for the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tap {
    /// 512 KiB of the head and 512 KiB of the tail; reading a truncated answer raises.
    Ends,
    /// The first 1 MiB.
    Head,
    /// The last 1 MiB.
    Tail,
    /// All of it (`rt.out`): refused past a cap of 16 MiB, by truncation.
    Whole,
}

impl CaptureSpec {
    /// Most bytes a stream that the script is given (but for [`Tap::Whole`]).
    pub const TAP_BYTES: usize = 1024 * 1024;
}

/// What a capture asks of the shell besides writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The output limit is reached: tell the engine (once). Nothing more is logged.
    OutputLimit,
    /// The idle limit is reached: tell the engine (once).
    Idle,
}

/// What a command printed, as the engine needs it: a fact, once both streams have ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// Raw bytes for the script.
    pub stdout: Vec<u8>,
    /// Raw bytes for the script.
    pub stderr: Vec<u8>,
    /// `stdout` lacks bytes.
    pub stdout_truncated: bool,
    /// `stderr` lacks bytes.
    pub stderr_truncated: bool,
    /// Streams whose last line had no newline, stdout first.
    pub no_eol: Vec<Stream>,
    /// The log holds a mask.
    pub masked: bool,
    /// A stream was closed by order before its end.
    pub detached: bool,
}

/// Tap, masking and framing of one command's output.
#[derive(Debug)]
pub struct Capture {}

impl Capture {
    /// For one command that starts now.
    pub fn new(_spec: &CaptureSpec, _secrets: SecretSet, _now: Now) -> Capture {
        todo!()
    }

    /// From the next byte on, mask these.
    pub fn set_secrets(&mut self, _secrets: SecretSet) {
        todo!()
    }

    /// Takes bytes read from a stream; appends log entries to `log`.
    #[must_use]
    pub fn push(&mut self, _stream: Stream, _bytes: &[u8], _now: Now, _log: &mut Vec<u8>) -> Option<Notice> {
        todo!()
    }

    /// When [`Capture::on_deadline`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        todo!()
    }

    /// Writes idle lines, tells of silence.
    #[must_use]
    pub fn on_deadline(&mut self, _now: Now, _log: &mut Vec<u8>) -> Option<Notice> {
        todo!()
    }

    /// A stream ended; `detached` where it was closed by order before its end. Idempotent.
    pub fn end(&mut self, _stream: Stream, _detached: bool, _log: &mut Vec<u8>) {
        todo!()
    }

    /// Whether both streams (the one, under `merge`) have ended.
    pub fn is_ended(&self) -> bool {
        todo!()
    }

    /// The answer; call once [`Capture::is_ended`].
    pub fn into_captured(self) -> Captured {
        todo!()
    }
}
