//! Bytes of both streams in, entries out: one log for one command.

use std::time::Duration;

use super::{HEAD_LEN, stamp};
use crate::time::{Mono, Wall};
use crate::wire::Stream;

/// Frames both streams of one command into one log.
///
/// Holds at most [`Framer::MAX_CONTENT`] bytes a stream. Apart from times, and as long as [`Framer::idle`] writes nothing, the
/// entries of a stream do not depend on how its bytes were cut into pushes.
#[derive(Debug)]
pub struct Framer {
    stdout: Line,
    stderr: Line,
    heads: Heads,
}

/// What is known of a stream's last line.
#[derive(Debug, Default)]
struct Line {
    /// Its bytes that no entry holds yet.
    held: Vec<u8>,
    /// When its first byte was read; `None` between lines.
    begun: Option<Wall>,
    /// When its latest byte was read.
    touched: Mono,
}

/// Writes the part of an entry before its content; keeps the latest one, as most entries of a read have the same.
#[derive(Debug)]
struct Heads {
    /// Time of the latest entry.
    at: Wall,
    /// `head` bears this time.
    formatted: Option<Wall>,
    head: [u8; HEAD_LEN],
}

impl Framer {
    /// Longest content of an entry, in bytes.
    pub const MAX_CONTENT: usize = 16_384;
    /// How long an open line may be idle before it is written as a `P` entry.
    pub const IDLE_NS: u64 = 200_000_000;

    /// For a new log.
    pub fn new() -> Framer {
        let head = [b' '; HEAD_LEN];
        let heads = Heads { at: Wall(i64::MIN), formatted: None, head };
        Framer { stdout: Line::default(), stderr: Line::default(), heads }
    }

    /// Takes bytes of a stream, read at `mono`/`at`; appends the entries that they complete to `out`.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], mono: Mono, at: Wall, out: &mut Vec<u8>) {
        let (line, heads) = self.line(stream);
        let mut rest = bytes;
        // The head of all lines that are whole, until an entry is written by another way.
        let mut head: Option<[u8; HEAD_LEN]> = None;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if line.begun.is_none() && end <= Self::MAX_CONTENT {
                out.extend_from_slice(head.get_or_insert_with(|| *heads.head(at, stream, true)));
                out.extend_from_slice(rest.get(..=end).unwrap_or(rest));
            } else {
                head = None;
                let (content, _) = rest.split_at(end);
                line.add(content, mono, at, stream, heads, out);
                line.end(stream, heads, out);
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            line.add(rest, mono, at, stream, heads, out);
        }
    }

    /// When [`Framer::idle`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        let of = |line: &Line| (!line.held.is_empty()).then(|| line.idle_at());
        [of(&self.stdout), of(&self.stderr)].into_iter().flatten().min()
    }

    /// Writes open lines that have been idle long enough.
    pub fn idle(&mut self, mono: Mono, out: &mut Vec<u8>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (line, heads) = self.line(stream);
            if let Some(at) = line.begun
                && !line.held.is_empty()
                && line.idle_at() <= mono
            {
                heads.entry(at, stream, false, &[&line.held], out);
                line.held.clear();
            }
        }
    }

    /// Ends a stream; `true` where its last line had no newline (it is closed with an `F` entry, empty if need be).
    pub fn finish(&mut self, stream: Stream, out: &mut Vec<u8>) -> bool {
        let (line, heads) = self.line(stream);
        let open = line.begun.is_some();
        if open {
            line.end(stream, heads, out);
        }
        line.held = Vec::new();
        open
    }

    fn line(&mut self, stream: Stream) -> (&mut Line, &mut Heads) {
        match stream {
            Stream::Stdout => (&mut self.stdout, &mut self.heads),
            Stream::Stderr => (&mut self.stderr, &mut self.heads),
        }
    }
}

impl Default for Framer {
    fn default() -> Framer {
        Framer::new()
    }
}

impl Line {
    fn idle_at(&self) -> Mono {
        self.touched.plus(Duration::from_nanos(Framer::IDLE_NS))
    }

    /// Adds content, writing `P` entries while there is more than fits into one.
    fn add(&mut self, content: &[u8], mono: Mono, at: Wall, stream: Stream, heads: &mut Heads, out: &mut Vec<u8>) {
        if !content.is_empty() {
            self.touched = mono;
        }
        let at = *self.begun.get_or_insert(at);
        let mut rest = content;
        while self.held.len() + rest.len() > Framer::MAX_CONTENT {
            let cut = cut(&self.held, rest);
            match cut.checked_sub(self.held.len()) {
                Some(taken) => {
                    let (now, later) = rest.split_at(taken);
                    heads.entry(at, stream, false, &[&self.held, now], out);
                    self.held.clear();
                    rest = later;
                }
                None => {
                    heads.entry(at, stream, false, &[&self.held[..cut]], out);
                    self.held.drain(..cut);
                }
            }
        }
        self.held.extend_from_slice(rest);
    }

    /// Ends the line with an `F` entry.
    fn end(&mut self, stream: Stream, heads: &mut Heads, out: &mut Vec<u8>) {
        if let Some(at) = self.begun.take() {
            heads.entry(at, stream, true, &[&self.held], out);
            self.held.clear();
        }
    }
}

impl Heads {
    /// The head of the log's next entry; its time does not step back.
    #[inline]
    fn head(&mut self, at: Wall, stream: Stream, full: bool) -> &[u8; HEAD_LEN] {
        self.at = self.at.max(at);
        if self.formatted != Some(self.at) {
            self.head[..stamp::LEN].copy_from_slice(&stamp::format(self.at));
            self.formatted = Some(self.at);
        }
        let rest: &[u8; HEAD_LEN - stamp::LEN] = match (stream, full) {
            (Stream::Stdout, true) => b" stdout F ",
            (Stream::Stdout, false) => b" stdout P ",
            (Stream::Stderr, true) => b" stderr F ",
            (Stream::Stderr, false) => b" stderr P ",
        };
        self.head[stamp::LEN..].copy_from_slice(rest);
        &self.head
    }

    fn entry(&mut self, at: Wall, stream: Stream, full: bool, parts: &[&[u8]], out: &mut Vec<u8>) {
        out.extend_from_slice(self.head(at, stream, full));
        for part in parts {
            out.extend_from_slice(part);
        }
        out.push(b'\n');
    }
}

/// Where to cut content of more than [`Framer::MAX_CONTENT`] bytes, given in two parts: there, or up to 3 bytes earlier where
/// that keeps a UTF-8 sequence whole. Looks at no byte behind the first that does not fit, so that every split cuts alike.
fn cut(held: &[u8], rest: &[u8]) -> usize {
    const MAX: usize = Framer::MAX_CONTENT;
    let byte = |i: usize| held.get(i).or_else(|| rest.get(i - held.len())).copied().unwrap_or(0);
    let around = [byte(MAX - 3), byte(MAX - 2), byte(MAX - 1), byte(MAX)];
    let continues = |byte: u8| byte & 0xc0 == 0x80;
    if !continues(around[3]) {
        return MAX;
    }
    let Some(back) = (1..=3).find(|back| !continues(around[3 - back])) else { return MAX };
    match std::str::from_utf8(&around[3 - back..]) {
        Ok(_) => MAX - back,
        Err(error) if error.error_len().is_none() => MAX - back,
        Err(_) => MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::{parse, stream_bytes};
    use quickcheck::{Arbitrary, Gen, quickcheck};

    const MAX: usize = Framer::MAX_CONTENT;

    /// The entries' streams, tags and contents.
    fn entries(log: &[u8]) -> Vec<(Stream, bool, Vec<u8>)> {
        let lines = log.split_inclusive(|&b| b == b'\n').map(|line| &line[..line.len() - 1]);
        lines.map(|line| parse(line).unwrap()).map(|e| (e.stream, e.full, e.content.to_vec())).collect()
    }

    /// Frames `parts` as one stream, all read at one time.
    fn framed(parts: &[&[u8]]) -> (Vec<u8>, bool) {
        let (mut framer, mut log) = (Framer::new(), Vec::new());
        for part in parts {
            framer.push(Stream::Stdout, part, Mono(0), Wall(7), &mut log);
        }
        let no_eol = framer.finish(Stream::Stdout, &mut log);
        (log, no_eol)
    }

    #[test]
    fn lines_become_entries() {
        let (mut framer, mut log) = (Framer::new(), Vec::new());
        let at = Wall(1_795_313_584_123_456_789);
        framer.push(Stream::Stdout, b"hi\n\n \xff\0\r\n", Mono(0), at, &mut log);
        framer.push(Stream::Stderr, b"oops", Mono(0), at, &mut log);
        assert!(!framer.finish(Stream::Stdout, &mut log));
        assert!(framer.finish(Stream::Stderr, &mut log));
        assert!(!framer.finish(Stream::Stderr, &mut log));
        let expected = b"2026-11-22T02:13:04.123456789Z stdout F hi\n\
            2026-11-22T02:13:04.123456789Z stdout F \n\
            2026-11-22T02:13:04.123456789Z stdout F  \xff\0\r\n\
            2026-11-22T02:13:04.123456789Z stderr F oops\n";
        assert_eq!(String::from_utf8_lossy(&log), String::from_utf8_lossy(expected));
    }

    #[test]
    fn an_entry_bears_the_time_of_its_lines_first_byte_and_never_steps_back() {
        let (mut framer, mut log) = (Framer::new(), Vec::new());
        framer.push(Stream::Stdout, b"a", Mono(0), Wall(10), &mut log);
        framer.push(Stream::Stderr, b"x\n", Mono(1), Wall(20), &mut log);
        framer.push(Stream::Stdout, b"b\nc", Mono(2), Wall(30), &mut log);
        framer.idle(Mono(2 + Framer::IDLE_NS), &mut log);
        framer.push(Stream::Stdout, b"d\n", Mono(3 + Framer::IDLE_NS), Wall(40), &mut log);
        framer.push(Stream::Stdout, b"e\nf\n", Mono(4 + Framer::IDLE_NS), Wall(5), &mut log);
        let times: Vec<i64> = log.split(|&b| b == b'\n').filter_map(|line| parse(line).ok()).map(|e| e.at.0).collect();
        // x, ab (raised), c by idleness, d (its line began with c), e and f (the clock stepped back).
        assert_eq!(times, [20, 20, 30, 30, 30, 30]);
    }

    #[test]
    fn an_idle_line_is_written_and_goes_on() {
        let (mut framer, mut log) = (Framer::new(), Vec::new());
        assert_eq!(framer.deadline(), None);
        framer.push(Stream::Stdout, b"pass", Mono(5), Wall(1), &mut log);
        framer.push(Stream::Stdout, b"word: ", Mono(9), Wall(1), &mut log);
        framer.push(Stream::Stderr, b"x", Mono(7), Wall(1), &mut log);
        assert_eq!(framer.deadline(), Some(Mono(7 + Framer::IDLE_NS)));
        framer.idle(Mono(8 + Framer::IDLE_NS), &mut log);
        assert_eq!(framer.deadline(), Some(Mono(9 + Framer::IDLE_NS)));
        framer.idle(Mono(9 + Framer::IDLE_NS), &mut log);
        assert_eq!(framer.deadline(), None);
        framer.push(Stream::Stdout, b"\n", Mono(10 + Framer::IDLE_NS), Wall(1), &mut log);
        assert!(framer.finish(Stream::Stderr, &mut log));
        let out = |full, content: &[u8]| (Stream::Stdout, full, content.to_vec());
        let err = |full, content: &[u8]| (Stream::Stderr, full, content.to_vec());
        assert_eq!(entries(&log), [err(false, b"x"), out(false, b"password: "), out(true, b""), err(true, b"")]);
        assert_eq!(stream_bytes(&log, Stream::Stderr, true).unwrap(), b"x");
    }

    /// Checks the lengths of the entries of `line`, at many splits and, given with a newline, too.
    fn check_cuts(line: &[u8], lengths: &[usize]) {
        let (whole, no_eol) = framed(&[line]);
        let found: Vec<usize> = entries(&whole).iter().map(|e| e.2.len()).collect();
        assert_eq!(found, lengths);
        assert!(no_eol);
        let (ended, no_eol) = framed(&[line, b"\n"]);
        assert_eq!(ended, whole);
        assert!(!no_eol);
        for split in (0..20).chain(MAX - 20..MAX + 20) {
            let (a, b) = line.split_at(split.min(line.len()));
            assert_eq!(framed(&[a, b]).0, whole, "split at {split}");
            for (b, c) in (1..5).filter_map(|n| b.split_at_checked(n)) {
                assert_eq!(framed(&[a, b, c]).0, whole, "split at {split}");
            }
        }
        assert_eq!(framed(&line.chunks(1).collect::<Vec<_>>()).0, whole);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let with = |from: usize, text: &[u8], total: usize| {
            let mut line = vec![b'x'; total];
            line[from..from + text.len()].copy_from_slice(text);
            line
        };
        check_cuts(&with(0, b"", MAX), &[MAX]);
        check_cuts(&with(0, b"", MAX + 1), &[MAX, 1]);
        check_cuts(&with(0, b"", 2 * MAX), &[MAX, MAX]);
        check_cuts(&with(0, b"", 2 * MAX + 1), &[MAX, MAX, 1]);
        // A sequence that ends with the entry, and ones that would be cut after 1, 2 and 3 bytes.
        check_cuts(&with(MAX - 4, "🦀".as_bytes(), MAX + 9), &[MAX, 9]);
        check_cuts(&with(MAX - 1, "ä".as_bytes(), MAX + 9), &[MAX - 1, 10]);
        check_cuts(&with(MAX - 2, "€".as_bytes(), MAX + 9), &[MAX - 2, 11]);
        check_cuts(&with(MAX - 3, "🦀".as_bytes(), MAX + 9), &[MAX - 3, 12]);
        check_cuts(&with(MAX - 3, "🦀".as_bytes(), MAX + 1), &[MAX - 3, 4]);
        // What is no UTF-8 is cut where it is: a stray continuation, a surrogate, an overlong form, four continuations.
        check_cuts(&with(MAX, b"\x80", MAX + 9), &[MAX, 9]);
        check_cuts(&with(MAX - 2, b"\xed\xa0\x80", MAX + 9), &[MAX, 9]);
        check_cuts(&with(MAX - 1, b"\xc0\x80", MAX + 9), &[MAX, 9]);
        check_cuts(&with(MAX - 4, b"\xf0\x9f\x9f\x9f\x9f", MAX + 9), &[MAX, 9]);
    }

    /// Pushes, idle calls and time steps in any order.
    #[derive(Debug, Clone)]
    enum Step {
        Push(Stream, Vec<u8>, i8),
        Idle(u32),
    }

    impl Arbitrary for Step {
        fn arbitrary(g: &mut Gen) -> Step {
            if u8::arbitrary(g).is_multiple_of(4) {
                return Step::Idle(u32::arbitrary(g) % 400_000_000);
            }
            let piece = |g: &mut Gen| -> Vec<u8> {
                match u8::arbitrary(g) % 9 {
                    0 | 1 => b"\n".to_vec(),
                    2 => b"\r\n".to_vec(),
                    3 => vec![0],
                    4 => "€🦀ä".repeat(usize::from(u8::arbitrary(g) % 4)).into_bytes(),
                    5 => vec![b'x'; MAX - 8 + usize::from(u8::arbitrary(g) % 16)],
                    6 => "🦀".repeat(MAX / 3).into_bytes(),
                    _ => Vec::arbitrary(g),
                }
            };
            let bytes: Vec<u8> = (0..u8::arbitrary(g) % 6).flat_map(|_| piece(g)).collect();
            let keep = usize::arbitrary(g) % (bytes.len() + 1);
            let stream = if bool::arbitrary(g) { Stream::Stdout } else { Stream::Stderr };
            Step::Push(stream, bytes[keep / 2..].to_vec(), i8::arbitrary(g))
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Step>> {
            match self.clone() {
                Step::Push(stream, bytes, at) => Box::new(bytes.shrink().map(move |b| Step::Push(stream, b, at))),
                Step::Idle(_) => quickcheck::empty_shrinker(),
            }
        }
    }

    quickcheck! {
        fn exact_bytes_come_back(steps: Vec<Step>) -> bool {
            let (mut framer, mut log) = (Framer::new(), Vec::new());
            let (mut stdout, mut stderr) = (Vec::<u8>::new(), Vec::<u8>::new());
            let mut mono = 0;
            for step in &steps {
                match step {
                    Step::Push(stream, bytes, at) => {
                        framer.push(*stream, bytes, Mono(mono), Wall(i64::from(*at)), &mut log);
                        match stream { Stream::Stdout => &mut stdout, Stream::Stderr => &mut stderr }.extend(bytes);
                    }
                    Step::Idle(ns) => {
                        mono += u64::from(*ns);
                        framer.idle(Mono(mono), &mut log);
                        assert!(framer.deadline().is_none_or(|deadline| deadline > Mono(mono)));
                    }
                }
            }
            let no_eol = [framer.finish(Stream::Stdout, &mut log), framer.finish(Stream::Stderr, &mut log)];
            let parsed: Vec<_> = log.split_inclusive(|&b| b == b'\n').map(|l| parse(&l[..l.len() - 1]).unwrap()).collect();
            assert!(parsed.iter().all(|e| e.content.len() <= MAX));
            assert!(parsed.is_sorted_by_key(|e| e.at));
            assert_eq!(no_eol, [&stdout, &stderr].map(|bytes| bytes.last().is_some_and(|&b: &u8| b != b'\n')));
            stream_bytes(&log, Stream::Stdout, no_eol[0]).unwrap() == stdout
                && stream_bytes(&log, Stream::Stderr, no_eol[1]).unwrap() == stderr
        }

        fn splits_change_nothing(steps: Vec<Step>) -> bool {
            let parts: Vec<&[u8]> = steps.iter().filter_map(|s| match s { Step::Push(_, b, _) => Some(&b[..]), _ => None }).collect();
            framed(&parts) == framed(&[&parts.concat()])
        }
    }

    #[test]
    fn every_split_of_a_short_text_gives_the_same_log() {
        let text = "one\n\r\n\n\0two 🦀\nthree".as_bytes();
        let whole = framed(&[text]);
        for i in 0..=text.len() {
            for j in i..=text.len() {
                assert_eq!(framed(&[&text[..i], &text[i..j], &text[j..]]), whole, "{i} {j}");
            }
        }
    }
}
