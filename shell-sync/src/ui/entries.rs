//! Log entries on their way to people: split, joined to lines, and of a long stream only the end kept.

use std::collections::VecDeque;

use quire_core::cri;
use quire_core::wire::Stream;

/// What showing an entry needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// When, as the log has it: `2026-11-22T02:13:04.123456789Z`.
    pub at: &'a [u8],
    /// Which output.
    pub stream: Stream,
    /// Whether the line ends here.
    pub full: bool,
    /// The bytes, without the newline.
    pub content: &'a [u8],
}

/// The pieces of whole entries; what is no entry is left out. Our own framing (a time of 30 characters, a stream of six) is
/// seen by its fixed places, which costs a tenth of parsing; any other goes through [`cri::parse`].
pub fn pieces(entries: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = entries;
    let lines = std::iter::from_fn(move || {
        let end = match memchr::memchr(b'\n', rest) {
            Some(at) => at + 1,
            None if rest.is_empty() => return None,
            None => rest.len(),
        };
        let (line, following) = rest.split_at_checked(end)?;
        rest = following;
        Some(line.strip_suffix(b"\n").unwrap_or(line))
    });
    lines.filter_map(|line| {
        by_place(line).or_else(|| {
            let entry = cri::parse(line).ok()?;
            let at = line.split(|&byte| byte == b' ').next().unwrap_or_default();
            Some(Piece { at, stream: entry.stream, full: entry.full, content: entry.content })
        })
    })
}

fn by_place(line: &[u8]) -> Option<Piece<'_>> {
    let (head, content) = line.split_at_checked(40)?;
    let (at, tags) = head.split_at_checked(30)?;
    if at.last() != Some(&b'Z') {
        return None;
    }
    let (stream, full) = match tags {
        b" stdout F " => (Stream::Stdout, true),
        b" stdout P " => (Stream::Stdout, false),
        b" stderr F " => (Stream::Stderr, true),
        b" stderr P " => (Stream::Stderr, false),
        _ => return None,
    };
    Some(Piece { at, stream, full, content })
}

/// The end of a command's log: whole entries, at least [`Tail::KEPT`] bytes of them where there were as many, at most twice.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
    /// Something was left out.
    cut: bool,
}

impl Tail {
    /// Some hundred lines.
    pub const KEPT: usize = 32 * 1024;

    /// Takes whole entries. Of a long chunk only the end is touched.
    pub fn push(&mut self, entries: &[u8]) {
        if entries.len() >= Tail::KEPT {
            self.bytes.clear();
            self.bytes.extend_from_slice(end_of(entries, Tail::KEPT));
            self.cut |= self.bytes.len() < entries.len();
        } else {
            if self.bytes.len() + entries.len() > 2 * Tail::KEPT {
                let kept = end_of(&self.bytes, Tail::KEPT).len();
                self.bytes.drain(..self.bytes.len() - kept);
                self.cut = true;
            }
            self.bytes.extend_from_slice(entries);
        }
    }

    /// Gives back memory that a command which ended no longer needs.
    pub fn shrink(&mut self) {
        let kept = end_of(&self.bytes, Tail::KEPT).len();
        self.cut |= kept < self.bytes.len();
        self.bytes.drain(..self.bytes.len() - kept);
        self.bytes.shrink_to_fit();
    }

    /// The last lines, at most `most` of them.
    pub fn lines(&self, most: usize) -> LastLines {
        LastLines::of(&self.bytes, most, self.cut)
    }
}

/// The end of `entries`, at most `most` bytes (more only if one entry is longer), beginning with an entry.
fn end_of(entries: &[u8], most: usize) -> &[u8] {
    let Some(from) = entries.len().checked_sub(most) else { return entries };
    if from == 0 {
        return entries;
    }
    let before = entries.get(from - 1..).unwrap_or_default();
    match memchr::memchr(b'\n', before) {
        Some(at) if from + at < entries.len() => entries.get(from + at..).unwrap_or_default(),
        _ => {
            let body = entries.strip_suffix(b"\n").unwrap_or(entries);
            let begin = memchr::memrchr(b'\n', body).map_or(0, |at| at + 1);
            entries.get(begin..).unwrap_or_default()
        }
    }
}

/// The last lines of a log, both streams, in the order in which they began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastLines {
    /// Each without its newline.
    pub lines: Vec<Vec<u8>>,
    /// Lines came before these.
    pub cut: bool,
}

impl LastLines {
    /// Longest line kept, in bytes: of a longer one its end.
    const LONGEST: usize = 16 * 1024;

    /// The last lines of whole entries, at most `most`. `cut`: entries are missing at the front.
    pub fn of(entries: &[u8], most: usize, cut: bool) -> LastLines {
        let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
        let mut cut = cut;
        // Where the open line of each stream stands, counted from the back of `lines`.
        let mut open: [Option<usize>; 2] = [None, None];
        for piece in pieces(entries) {
            let [mine, other] = match piece.stream {
                Stream::Stdout => [0, 1],
                Stream::Stderr => [1, 0],
            };
            let line = open[mine].and_then(|back| lines.len().checked_sub(back + 1)).and_then(|at| lines.get_mut(at));
            match line {
                Some(line) => {
                    line.extend_from_slice(piece.content);
                    if line.len() > LastLines::LONGEST {
                        line.drain(..line.len() - LastLines::LONGEST);
                    }
                }
                None => {
                    lines.push_back(piece.content.to_vec());
                    open[mine] = Some(0);
                    open[other] = open[other].map(|back| back + 1);
                }
            }
            if piece.full {
                open[mine] = None;
            }
            if lines.len() > most {
                lines.pop_front();
                cut = true;
            }
        }
        LastLines { lines: lines.into(), cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stream: &str, tag: &str, content: &str) -> String {
        format!("2026-11-22T10:00:00.000000001Z {stream} {tag} {content}\n")
    }

    fn text(lines: &LastLines) -> Vec<&str> {
        lines.lines.iter().map(|line| std::str::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn pieces_by_place() {
        let log = entry("stdout", "F", "a b") + &entry("stderr", "P", "") + "nonsense\n" + &entry("stdout", "F", "");
        let seen: Vec<_> = pieces(log.as_bytes()).map(|piece| (piece.stream, piece.full, piece.content)).collect();
        assert_eq!(
            seen,
            [(Stream::Stdout, true, &b"a b"[..]), (Stream::Stderr, false, &b""[..]), (Stream::Stdout, true, &b""[..])]
        );
    }

    #[test]
    fn partial_entries_join_per_stream() {
        let log = entry("stdout", "P", "one ")
            + &entry("stderr", "P", "warn")
            + &entry("stdout", "F", "line")
            + &entry("stderr", "F", "ing")
            + &entry("stdout", "F", "next");
        let all = LastLines::of(log.as_bytes(), 10, false);
        assert_eq!(text(&all), ["one line", "warning", "next"]);
        assert!(!all.cut);
        let last = LastLines::of(log.as_bytes(), 2, false);
        assert_eq!(text(&last), ["warning", "next"]);
        assert!(last.cut);
    }

    #[test]
    fn a_line_goes_on_after_its_begin_was_dropped() {
        let log = entry("stdout", "P", "lost ") + &entry("stderr", "F", "a") + &entry("stderr", "F", "b");
        let log = log + &entry("stdout", "F", "found");
        assert_eq!(text(&LastLines::of(log.as_bytes(), 2, false)), ["b", "found"]);
    }

    #[test]
    fn a_tail_is_bounded_and_keeps_the_end() {
        for size in [1, 7, 100, 5000] {
            let mut tail = Tail::default();
            let mut chunk = String::new();
            for line in 0..20_000 {
                chunk += &entry("stdout", "F", &format!("line {line}"));
                if line % size == size - 1 {
                    tail.push(chunk.as_bytes());
                    chunk.clear();
                }
                assert!(tail.bytes.len() <= 2 * Tail::KEPT);
            }
            tail.push(chunk.as_bytes());
            tail.shrink();
            let last = tail.lines(3);
            assert_eq!(text(&last), ["line 19997", "line 19998", "line 19999"], "{size}");
            assert!(last.cut);
            assert_eq!(tail.lines(1000).lines.len(), Tail::KEPT / entry("stdout", "F", "line 19999").len());
        }
    }

    #[test]
    fn the_end_of_entries_begins_with_an_entry() {
        for (entries, most, end) in [
            ("aa\nbb\n", 6, "aa\nbb\n"),
            ("aa\nbb\n", 9, "aa\nbb\n"),
            ("aa\nbb\n", 5, "bb\n"),
            ("aa\nbb\n", 3, "bb\n"),
            ("aa\nbb\n", 2, "bb\n"),
            ("aa\nbbbbbb\n", 1, "bbbbbb\n"),
            ("bbbbbb\n", 1, "bbbbbb\n"),
            ("", 1, ""),
        ] {
            assert_eq!(end_of(entries.as_bytes(), most), end.as_bytes(), "{entries:?} {most}");
        }
    }
}
