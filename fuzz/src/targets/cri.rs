//! Target `cri`: bytes framed into a log and back, and any bytes as a log.
//!
//! Holds: both streams come back exactly; entries have legal sizes and are cut between characters; each bears the time of its
//! line's first byte, raised to the entry before; without idle lines the entries of a stream do not depend on how it was cut; a
//! log is read alike however it is cut, and what is taken for an entry is one to the byte.

use std::collections::VecDeque;

use quire_core::cri::{Entry, Framer, ParseError, StreamBytes, parse, stream_bytes};
use quire_core::time::{Mono, Wall};
use quire_core::wire::Stream;

use super::input::{Input, cut};

const MAX: usize = Framer::MAX_CONTENT;
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];
/// Most bytes that one input makes up.
const MOST: usize = 8 * MAX;

/// Checks a log made by what the bytes tell, and the bytes as a log.
pub fn run(data: &[u8]) {
    frame(&steps(data));
    read(data);
}

/// What a shell may do to a framer.
#[derive(Debug)]
enum Step {
    Push(Stream, Vec<u8>, Wall),
    Wait(u64),
}

fn steps(data: &[u8]) -> Vec<Step> {
    let (mut input, mut steps, mut wall, mut left) = (Input::new(data), Vec::new(), 0_i64, MOST);
    while !input.is_empty() {
        let head = input.byte();
        if head % 8 == 7 {
            let nanoseconds = u64::from(input.byte()) << [0, 10, 20, 22][usize::from(head >> 6)];
            steps.push(Step::Wait(nanoseconds));
            continue;
        }
        wall = match head >> 4 & 3 {
            0 => wall,
            1 => wall.saturating_add(i64::from(input.byte())),
            2 => wall.saturating_sub(i64::from(input.byte())),
            _ => i64::from_le_bytes(std::array::from_fn(|_| input.byte())),
        };
        let bytes = piece(head % 8, &mut input);
        let bytes = &bytes[..bytes.len().min(left)];
        left -= bytes.len();
        steps.push(Step::Push(STREAMS[usize::from(head >> 3 & 1)], bytes.to_vec(), Wall(wall)));
    }
    steps
}

fn piece(kind: u8, input: &mut Input<'_>) -> Vec<u8> {
    match kind {
        0 => b"\n".to_vec(),
        1 | 2 => {
            let length = input.below(32);
            input.take(length).to_vec()
        }
        3 => vec![b'x'; MAX - 8 + input.below(16)],
        4 => {
            // Characters of which one lies across the place where an entry is full.
            let character = input.pick(&["ä", "€", "🦀", "\u{301}"]);
            let mut bytes = vec![b'y'; input.below(4)];
            bytes.extend(character.repeat(MAX / character.len() + input.below(3)).bytes());
            bytes
        }
        5 => {
            input.pick(&[&b"\xf0\x9f\xa6"[..], b"\x80\x80", b"\xed\xa0\x80", b"\xc3", b"\xa4", b"\r\n", b"\0"]).to_vec()
        }
        _ => {
            let byte = input.byte();
            vec![byte; input.below(64)]
        }
    }
}

/// What is known of one stream that is being framed.
#[derive(Debug, Default)]
struct Printed {
    bytes: Vec<u8>,
    /// When the first byte of each line was read, of those that no entry has ended.
    begun: VecDeque<Wall>,
    /// The last line goes on.
    open: bool,
}

impl Printed {
    fn push(&mut self, bytes: &[u8], at: Wall) {
        self.bytes.extend_from_slice(bytes);
        for byte in bytes {
            if !self.open {
                self.begun.push_back(at);
            }
            self.open = *byte != b'\n';
        }
    }
}

fn frame(steps: &[Step]) {
    let (mut framer, mut log, mut mono) = (Framer::new(), Vec::new(), 0_u64);
    let mut printed = [Printed::default(), Printed::default()];
    let mut waits = false;
    for step in steps {
        match step {
            Step::Push(stream, bytes, at) => {
                framer.push(*stream, bytes, Mono(mono), *at, &mut log);
                printed[*stream as usize].push(bytes, *at);
            }
            Step::Wait(nanoseconds) => {
                mono = mono.saturating_add(*nanoseconds);
                let before = log.len();
                framer.idle(Mono(mono), &mut log);
                waits |= log.len() > before;
                assert!(framer.deadline().is_none_or(|deadline| deadline > Mono(mono)), "an idle line stays");
            }
        }
    }
    let no_eol = STREAMS.map(|stream| framer.finish(stream, &mut log));
    assert_eq!(framer.deadline(), None);
    let entries = entries(&log);
    check_times(&entries, &mut printed);
    for (stream, printed) in STREAMS.into_iter().zip(&printed) {
        let no_eol = no_eol[stream as usize];
        assert_eq!(no_eol, printed.open, "no_eol of {stream}");
        let back = stream_bytes(&log, stream, no_eol).expect("a log that was just written");
        assert!(back == printed.bytes, "{stream} does not come back");
        let own: Vec<(bool, &[u8])> =
            entries.iter().filter(|entry| entry.stream == stream).map(|entry| (entry.full, entry.content)).collect();
        check_sizes(&own, waits);
        if !waits {
            let (mut again, mut framer) = (Vec::new(), Framer::new());
            for piece in cut(&printed.bytes) {
                framer.push(stream, piece, Mono(0), Wall(0), &mut again);
            }
            framer.finish(stream, &mut again);
            let again = self::entries(&again);
            assert!(own == again.iter().map(|entry| (entry.full, entry.content)).collect::<Vec<_>>(), "cuts matter");
        }
    }
}

fn entries(log: &[u8]) -> Vec<Entry<'_>> {
    let whole = log.strip_suffix(b"\n").unwrap_or(log);
    assert!(log.is_empty() || whole.len() < log.len(), "the last entry has no newline");
    let lines = whole.split(|byte| *byte == b'\n').filter(|_| !log.is_empty());
    lines.map(|line| parse(line).expect("an entry that was just written")).collect()
}

fn check_times(entries: &[Entry<'_>], printed: &mut [Printed; 2]) {
    let mut latest = Wall(i64::MIN);
    for entry in entries {
        let begun = &mut printed[entry.stream as usize].begun;
        latest = latest.max(*begun.front().expect("an entry has a line"));
        assert_eq!(entry.at, latest, "an entry's time");
        if entry.full {
            begun.pop_front();
        }
    }
    assert!(printed.iter().all(|printed| printed.begun.is_empty()), "a line has no entry that ends it");
}

/// Nothing is longer than an entry may be; where no line was idle, an entry that does not end its line is full, but for a
/// character that does not fit. What is no character after all counts as one as far as the byte that is too much.
fn check_sizes(own: &[(bool, &[u8])], waits: bool) {
    for (index, (full, content)) in own.iter().enumerate() {
        assert!(content.len() <= MAX, "an entry of {} bytes", content.len());
        if *full || waits || content.len() == MAX {
            continue;
        }
        let missing = MAX - content.len();
        let next = own.get(index + 1).and_then(|(_, content)| content.get(..=missing));
        let begins_character = next.is_some_and(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) => text.chars().count() == 1,
            Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
        });
        assert!(begins_character, "an entry is cut {missing} bytes too early");
    }
}

fn read(log: &[u8]) {
    for stream in STREAMS {
        let whole = bytes_of(&[log], stream);
        assert!(bytes_of(&cut(log), stream) == whole, "cuts change what {stream} reads");
        assert!(bytes_of(&log.chunks(1).collect::<Vec<_>>(), stream) == whole, "cuts change what {stream} reads");
        let at_once = stream_bytes(log, stream, false);
        assert_eq!(at_once.as_ref().err(), whole.1.as_ref(), "the first error");
        assert!(at_once.is_err() || at_once.as_ref() == Ok(&whole.0));
    }
    for line in log.split(|byte| *byte == b'\n') {
        if let Ok(entry) = parse(line) {
            let (mut framer, mut again) = (Framer::new(), Vec::new());
            framer.push(entry.stream, b"\n", Mono(0), entry.at, &mut again);
            let tag = if entry.full { "F" } else { "P" };
            let time = again.split(|byte| *byte == b' ').next().unwrap_or_default();
            let head = [time, format!(" {} {tag} ", entry.stream).as_bytes()].concat();
            assert!(line.strip_prefix(&head[..]) == Some(entry.content), "an entry is not what it was read from");
        }
    }
}

/// A stream's bytes of a log in pieces, and the first error.
fn bytes_of(pieces: &[&[u8]], stream: Stream) -> (Vec<u8>, Option<ParseError>) {
    let (mut reader, mut out, mut first) = (StreamBytes::new(stream), Vec::new(), None);
    for piece in pieces {
        if let Err(error) = reader.push(piece, &mut out) {
            first.get_or_insert(error);
        }
    }
    reader.finish(false, &mut out);
    (out, first)
}
