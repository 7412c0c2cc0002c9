//! The data plane of one command: a tap of raw bytes for the script, then masking, then CRI framing.
//!
//! The shell feeds what it read and writes what comes out; output never goes through the engine.

mod kept;
mod reads;

use std::fmt;
use std::time::Duration;

pub(crate) use kept::Kept;
use reads::Reads;

use crate::cri::Framer;
use crate::redact::{Piece, Redactor, SecretSet};
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
#[derive(Clone, PartialEq, Eq, Default)]
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

impl fmt::Debug for Captured {
    /// Tells lengths of what is not masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured")
            .field("stdout_bytes", &self.stdout.len())
            .field("stderr_bytes", &self.stderr.len())
            .field("stdout_truncated", &self.stdout_truncated)
            .field("stderr_truncated", &self.stderr_truncated)
            .field("no_eol", &self.no_eol)
            .field("masked", &self.masked)
            .field("detached", &self.detached)
            .finish()
    }
}

/// Tap, masking and framing of one command's output. A stream costs memory as it prints: the tap's bytes, one entry and the
/// longest form of a secret at most.
#[derive(Debug)]
pub struct Capture {
    stdout: Output,
    stderr: Output,
    framer: Framer,
    /// Bytes of output that may still come, where there is a limit.
    room: Option<u64>,
    /// The limit was reached, and told.
    limited: bool,
    idle_limit: Option<Duration>,
    /// When to tell of silence; `None` once told.
    idle_at: Option<Mono>,
    /// When the latest bytes came.
    latest: Mono,
    detached: bool,
}

/// One of the two streams.
#[derive(Debug)]
struct Output {
    stream: Stream,
    kept: Kept,
    redactor: Redactor,
    reads: Reads,
    ended: bool,
    no_eol: bool,
}

impl Capture {
    /// For one command that starts now.
    pub fn new(spec: &CaptureSpec, secrets: SecretSet, now: Now) -> Capture {
        let output = |stream, ended| Output {
            stream,
            kept: Kept::new(spec.tap),
            redactor: Redactor::new(secrets.clone()),
            reads: Reads::default(),
            ended,
            no_eol: false,
        };
        Capture {
            stdout: output(Stream::Stdout, false),
            stderr: output(Stream::Stderr, spec.merge),
            framer: Framer::new(),
            room: spec.output_limit,
            limited: false,
            idle_limit: spec.idle_limit,
            idle_at: spec.idle_limit.map(|limit| now.mono.plus(limit)),
            latest: now.mono,
            detached: false,
        }
    }

    /// From the next byte on, mask these.
    pub fn set_secrets(&mut self, secrets: SecretSet) {
        self.stdout.redactor.set_secrets(secrets.clone());
        self.stderr.redactor.set_secrets(secrets);
    }

    /// Takes bytes read from a stream; appends log entries to `log`. Bytes of a stream that has ended go nowhere; so do those
    /// past the output limit.
    #[must_use]
    pub fn push(&mut self, stream: Stream, bytes: &[u8], now: Now, log: &mut Vec<u8>) -> Option<Notice> {
        if self.output(stream).ended || bytes.is_empty() {
            return None;
        }
        self.latest = now.mono;
        if let (Some(_), Some(limit)) = (self.idle_at, self.idle_limit) {
            self.idle_at = Some(now.mono.plus(limit));
        }
        let within = match &mut self.room {
            None => bytes,
            Some(room) => {
                let length = usize::try_from(*room).unwrap_or(usize::MAX).min(bytes.len());
                *room -= length as u64;
                bytes.get(..length).unwrap_or(bytes)
            }
        };
        let (output, framer) = self.output_and_framer(stream);
        output.take(within, now, framer, log);
        if within.len() == bytes.len() || self.limited {
            return None;
        }
        self.limited = true;
        Some(Notice::OutputLimit)
    }

    /// When [`Capture::on_deadline`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        [self.framer.deadline(), self.idle_at].into_iter().flatten().min()
    }

    /// Writes idle lines, tells of silence.
    #[must_use]
    pub fn on_deadline(&mut self, now: Now, log: &mut Vec<u8>) -> Option<Notice> {
        self.framer.idle(now.mono, log);
        self.idle_at.take_if(|at| *at <= now.mono).map(|_| Notice::Idle)
    }

    /// A stream ended; `detached` where it was closed by order before its end. Idempotent.
    pub fn end(&mut self, stream: Stream, detached: bool, log: &mut Vec<u8>) {
        let latest = self.latest;
        let (output, framer) = self.output_and_framer(stream);
        if !output.ended {
            output.end(latest, framer, log);
            self.detached |= detached;
        }
    }

    /// Whether both streams (the one, under `merge`) have ended.
    pub fn is_ended(&self) -> bool {
        self.stdout.ended && self.stderr.ended
    }

    /// The answer; call once [`Capture::is_ended`].
    pub fn into_captured(self) -> Captured {
        let masked = self.stdout.redactor.masked() || self.stderr.redactor.masked();
        let outputs = [&self.stdout, &self.stderr];
        let no_eol = outputs.into_iter().filter(|output| output.no_eol).map(|output| output.stream).collect();
        let (stdout, stdout_truncated) = self.stdout.kept.into_bytes();
        let (stderr, stderr_truncated) = self.stderr.kept.into_bytes();
        Captured { stdout, stderr, stdout_truncated, stderr_truncated, no_eol, masked, detached: self.detached }
    }

    fn output(&self, stream: Stream) -> &Output {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    fn output_and_framer(&mut self, stream: Stream) -> (&mut Output, &mut Framer) {
        match stream {
            Stream::Stdout => (&mut self.stdout, &mut self.framer),
            Stream::Stderr => (&mut self.stderr, &mut self.framer),
        }
    }
}

impl Output {
    fn take(&mut self, bytes: &[u8], now: Now, framer: &mut Framer, log: &mut Vec<u8>) {
        self.kept.push(bytes);
        if self.redactor.passes_through() {
            framer.push(self.stream, bytes, now.mono, now.wall, log);
            return;
        }
        let Output { stream, redactor, reads, .. } = self;
        reads.push(redactor.taken() + bytes.len() as u64, now.wall);
        redactor.feed(bytes, |piece| frame(*stream, piece, reads, now.mono, framer, log));
        reads.forget(redactor.passed());
    }

    fn end(&mut self, latest: Mono, framer: &mut Framer, log: &mut Vec<u8>) {
        let Output { stream, redactor, reads, .. } = self;
        redactor.flush(|piece| frame(*stream, piece, reads, latest, framer, log));
        self.no_eol = framer.finish(self.stream, log);
        self.ended = true;
    }
}

/// Frames what masking let out, each byte with the time at which it was read.
fn frame(stream: Stream, piece: Piece<'_>, reads: &mut Reads, mono: Mono, framer: &mut Framer, log: &mut Vec<u8>) {
    let (mut offset, mut rest) = (piece.offset, piece.bytes);
    while !rest.is_empty() {
        let (end, at) = reads.at(offset).expect("a byte is let out after its read was noted");
        let within = if piece.mask { rest.len() } else { usize::try_from(end - offset).unwrap_or(usize::MAX) };
        let (now, later) = rest.split_at(within.min(rest.len()));
        framer.push(stream, now, mono, at, log);
        offset += now.len() as u64;
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::{parse, stream_bytes};
    use crate::time::Wall;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    const SPEC: CaptureSpec = CaptureSpec { merge: false, tap: Tap::Ends, output_limit: None, idle_limit: None };
    const IDLE: u64 = Framer::IDLE_NS;

    fn now(mono: u64, wall: i64) -> Now {
        Now { mono: Mono(mono), wall: Wall(wall) }
    }

    fn secrets(secrets: &[&str]) -> SecretSet {
        SecretSet::new(secrets.iter().map(|secret| secret.as_bytes())).unwrap()
    }

    /// The entries as text, times as nanoseconds.
    fn shown(log: &[u8]) -> Vec<String> {
        let lines = log.split_inclusive(|&byte| byte == b'\n').map(|line| parse(&line[..line.len() - 1]).unwrap());
        let tag = |full| if full { "F" } else { "P" };
        lines.map(|e| format!("{} {} {} {}", e.at.0, e.stream, tag(e.full), e.content.escape_ascii())).collect()
    }

    #[test]
    fn taps_raw_bytes_and_logs_masked_ones() {
        let mut capture = Capture::new(&SPEC, secrets(&["hunter22"]), now(0, 0));
        let mut log = Vec::new();
        assert_eq!(capture.push(Stream::Stdout, b"pw hunt", now(1, 1), &mut log), None);
        assert_eq!(capture.push(Stream::Stderr, b"note: hunter2", now(2, 2), &mut log), None);
        assert_eq!(capture.push(Stream::Stdout, b"er22\n", now(3, 3), &mut log), None);
        capture.end(Stream::Stdout, false, &mut log);
        assert!(!capture.is_ended());
        capture.end(Stream::Stderr, true, &mut log);
        capture.end(Stream::Stderr, true, &mut log);
        assert!(capture.is_ended());
        assert_eq!(shown(&log), ["1 stdout F pw ***", "2 stderr F note: hunter2"]);
        assert!(!format!("{capture:?}").contains(&format!("{:?}", b"hunter22")));
        let captured = capture.into_captured();
        let expected = Captured {
            stdout: b"pw hunter22\n".to_vec(),
            stderr: b"note: hunter2".to_vec(),
            no_eol: vec![Stream::Stderr],
            masked: true,
            detached: true,
            ..Captured::default()
        };
        assert_eq!(captured, expected);
        assert!(format!("{captured:?}").contains("stdout_bytes: 12"));
    }

    #[test]
    fn a_line_bears_its_first_bytes_time_though_it_was_held_back() {
        let mut capture = Capture::new(&SPEC, secrets(&["abcdefgh", "x\ny\nz--"]), now(0, 0));
        let mut log = Vec::new();
        for (at, bytes) in [(1, "ab"), (2, "cd"), (3, "e\nabcd"), (4, "efgh!\n"), (5, "x\n"), (6, "y\n"), (7, "Z\n")] {
            assert_eq!(capture.push(Stream::Stdout, bytes.as_bytes(), now(0, at), &mut log), None);
        }
        assert_eq!(
            shown(&log),
            ["1 stdout F abcde", "3 stdout F ***!", "5 stdout F x", "6 stdout F y", "7 stdout F Z"]
        );
    }

    #[test]
    fn the_output_limit_is_told_once_and_exact() {
        let spec = CaptureSpec { output_limit: Some(10), ..SPEC };
        let mut capture = Capture::new(&spec, SecretSet::default(), now(0, 0));
        let mut log = Vec::new();
        assert_eq!(capture.push(Stream::Stdout, b"123456\n", now(0, 0), &mut log), None);
        assert_eq!(capture.push(Stream::Stderr, b"abc", now(0, 0), &mut log), None);
        assert_eq!(capture.push(Stream::Stderr, b"d", now(0, 0), &mut log), Some(Notice::OutputLimit));
        assert_eq!(capture.push(Stream::Stdout, b"7", now(0, 0), &mut log), None);
        capture.end(Stream::Stdout, false, &mut log);
        capture.end(Stream::Stderr, false, &mut log);
        assert_eq!(shown(&log), ["0 stdout F 123456", "0 stderr F abc"]);
        let captured = capture.into_captured();
        assert_eq!((captured.stdout, captured.stderr), (b"123456\n".to_vec(), b"abc".to_vec()));
        assert!(!captured.stdout_truncated && !captured.stderr_truncated);

        let mut capture = Capture::new(&spec, SecretSet::default(), now(0, 0));
        let notice = capture.push(Stream::Stdout, b"123456789012345", now(0, 0), &mut log);
        assert_eq!(notice, Some(Notice::OutputLimit));
        capture.end(Stream::Stdout, false, &mut log);
        assert_eq!(capture.into_captured().stdout, b"1234567890");
    }

    #[test]
    fn silence_is_told_once_idle_lines_are_written() {
        let spec = CaptureSpec { idle_limit: Some(Duration::from_secs(1)), ..SPEC };
        let mut capture = Capture::new(&spec, SecretSet::default(), now(5, 0));
        let mut log = Vec::new();
        let second = 1_000_000_000;
        assert_eq!(capture.deadline(), Some(Mono(second + 5)));
        assert_eq!(capture.push(Stream::Stderr, b"wait", now(7, 1), &mut log), None);
        assert_eq!(capture.deadline(), Some(Mono(7 + IDLE)));
        assert_eq!(capture.on_deadline(now(7 + IDLE, 2), &mut log), None);
        assert_eq!(shown(&log), ["1 stderr P wait"]);
        assert_eq!(capture.deadline(), Some(Mono(second + 7)));
        assert_eq!(capture.push(Stream::Stdout, b"\n", now(second, 3), &mut log), None);
        assert_eq!(capture.on_deadline(now(second + 7, 4), &mut log), None);
        assert_eq!(capture.on_deadline(now(2 * second, 5), &mut log), Some(Notice::Idle));
        assert_eq!(capture.deadline(), None);
        assert_eq!(capture.push(Stream::Stdout, b"\n", now(2 * second, 5), &mut log), None);
        assert_eq!(capture.on_deadline(now(9 * second, 6), &mut log), None);
    }

    #[test]
    fn what_is_held_back_wakes_nobody() {
        let mut capture = Capture::new(&SPEC, secrets(&["hunter22"]), now(0, 0));
        let mut log = Vec::new();
        assert_eq!(capture.push(Stream::Stdout, b"\nhunt", now(0, 0), &mut log), None);
        assert_eq!(capture.deadline(), None);
        assert_eq!(capture.push(Stream::Stdout, b"ing h", now(1, 1), &mut log), None);
        assert_eq!(capture.deadline(), Some(Mono(1 + IDLE)));
        assert_eq!(capture.on_deadline(now(1 + IDLE, 2), &mut log), None);
        assert_eq!(shown(&log), ["0 stdout F ", "0 stdout P hunting "]);
        capture.end(Stream::Stdout, false, &mut log);
        assert_eq!(shown(&log)[2..], ["0 stdout F h"]);
    }

    #[test]
    fn merged_output_is_one_stream() {
        let spec = CaptureSpec { merge: true, ..SPEC };
        let mut capture = Capture::new(&spec, SecretSet::default(), now(0, 0));
        let mut log = Vec::new();
        assert_eq!(capture.push(Stream::Stdout, b"both", now(0, 0), &mut log), None);
        assert!(!capture.is_ended());
        capture.end(Stream::Stdout, false, &mut log);
        assert!(capture.is_ended());
        assert_eq!(capture.into_captured().no_eol, [Stream::Stdout]);
    }

    #[test]
    fn a_secret_declared_later_is_masked_from_then_on() {
        let mut capture = Capture::new(&SPEC, SecretSet::default(), now(0, 0));
        let mut log = Vec::new();
        assert_eq!(capture.push(Stream::Stdout, b"tok-123 ", now(0, 0), &mut log), None);
        capture.set_secrets(secrets(&["tok-123"]));
        assert_eq!(capture.push(Stream::Stdout, b"tok-123 tok-", now(0, 1), &mut log), None);
        capture.set_secrets(SecretSet::default());
        assert_eq!(capture.push(Stream::Stdout, b"123\ntok-123\n", now(0, 2), &mut log), None);
        assert_eq!(shown(&log), ["0 stdout F tok-123 *** tok-123", "2 stdout F tok-123"]);
    }

    /// What a shell may do to a capture, in any order.
    #[derive(Debug, Clone)]
    enum Step {
        Push(Stream, Vec<u8>),
        Wait(u32),
    }

    impl Arbitrary for Step {
        fn arbitrary(g: &mut Gen) -> Step {
            if u8::arbitrary(g).is_multiple_of(5) {
                return Step::Wait(u32::arbitrary(g) % 300_000_000);
            }
            let pieces = ["s3cret-", "-word", "\n", "\r\n", "s3", "czNjcmV0L", "Xdvcm", "\0", "\u{fc}", " "];
            let bytes = (0..u8::arbitrary(g) % 9).filter_map(|_| g.choose(&pieces)).flat_map(|s| s.bytes()).collect();
            Step::Push(if bool::arbitrary(g) { Stream::Stdout } else { Stream::Stderr }, bytes)
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Step>> {
            match self.clone() {
                Step::Push(stream, bytes) => Box::new(bytes.shrink().map(move |bytes| Step::Push(stream, bytes))),
                Step::Wait(_) => quickcheck::empty_shrinker(),
            }
        }
    }

    /// Runs the steps; gives the log, what each stream printed and the answer.
    fn run(steps: &[Step], secrets: &SecretSet) -> (Vec<u8>, [Vec<u8>; 2], Captured) {
        let mut capture = Capture::new(&SPEC, secrets.clone(), now(0, 0));
        let (mut log, mut printed, mut clock) = (Vec::new(), [Vec::new(), Vec::new()], 0u32);
        for step in steps {
            clock = clock.saturating_add(1);
            let at = now(u64::from(clock), i64::from(clock));
            match step {
                Step::Push(stream, bytes) => {
                    assert_eq!(capture.push(*stream, bytes, at, &mut log), None);
                    printed[*stream as usize].extend_from_slice(bytes);
                }
                Step::Wait(ns) => {
                    clock = clock.saturating_add(*ns);
                    assert_eq!(capture.on_deadline(now(u64::from(clock), i64::from(clock)), &mut log), None);
                }
            }
        }
        capture.end(Stream::Stderr, false, &mut log);
        capture.end(Stream::Stdout, false, &mut log);
        (log, printed, capture.into_captured())
    }

    quickcheck! {
        fn log_and_event_give_back_the_masked_bytes(steps: Vec<Step>) -> bool {
            let secrets = secrets(&["s3cret-\n-word", "s3cret--word"]);
            let (log, printed, captured) = run(&steps, &secrets);
            let masked = [0, 1].map(|i| secrets.mask_bytes(&printed[i]));
            assert_eq!(captured.masked, masked.iter().any(Option::is_some));
            assert_eq!([captured.stdout, captured.stderr], printed);
            [Stream::Stdout, Stream::Stderr].into_iter().all(|stream| {
                let expected = masked[stream as usize].as_ref().unwrap_or(&printed[stream as usize]);
                stream_bytes(&log, stream, captured.no_eol.contains(&stream)).as_ref() == Ok(expected)
            })
        }

        fn secrets_that_are_not_met_change_no_entry(steps: Vec<Step>) -> bool {
            // Without waiting, as what is held back is not written when its line is idle; and one stream, as holding back
            // may let the other go first.
            let steps: Vec<Step> = steps.into_iter().filter_map(|step| match step {
                Step::Push(_, bytes) => Some(Step::Push(Stream::Stdout, bytes)),
                Step::Wait(_) => None,
            }).collect();
            run(&steps, &secrets(&["s3cret-s3cret-s3cret-NO", "\n\r\ns3NO"])).0 == run(&steps, &SecretSet::default()).0
        }
    }
}
