//! The incremental reader: bytes cut anywhere in, decoded lines out.
//!
//! Owns the splitting into lines and their numbers and offsets. Where the bytes come from, and what to do about a bad line,
//! is the caller's.

use super::decode::{DecodeError, Decoded, decode};

/// Capacity kept for pending bytes once a longer line is done with.
const KEPT_CAPACITY: usize = 64 * 1024;

/// One whole line of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// 1-based line number.
    pub number: u64,
    /// Offset in the stream of the byte after the line's newline: where a reader that restarts goes on.
    pub end: u64,
    /// What it holds. A blank line is a decode error.
    pub decoded: Result<Decoded, DecodeError>,
}

/// Splits a stream into lines and decodes each. A torn last line stays pending and is never an error.
///
/// Every byte is searched once, however the stream is cut; memory is bounded by the longest line. A `\r` before the newline
/// is white space.
#[derive(Debug, Default)]
pub struct Reader {
    /// The start of a line whose newline has not come. Holds no newline.
    pending: Vec<u8>,
    /// Offset in the stream of the next line's first byte.
    offset: u64,
    /// Whole lines before it.
    lines: u64,
}

impl Reader {
    /// A reader that begins at byte `offset`, which is line `number` (1-based) of the stream.
    pub fn starting_at(offset: u64, number: u64) -> Reader {
        Reader { pending: Vec::new(), offset, lines: number.saturating_sub(1) }
    }

    /// Takes the next bytes and hands every line that they complete to `each`.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line)) {
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            let piece = &bytes[start..newline];
            start = newline + 1;
            if self.pending.is_empty() {
                each(self.line(piece));
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(piece);
                each(self.line(&whole));
                whole.clear();
                whole.shrink_to(KEPT_CAPACITY);
                self.pending = whole;
            }
        }
        self.pending.extend_from_slice(&bytes[start..]);
    }

    /// Bytes of the line that is not yet whole.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    fn line(&mut self, text: &[u8]) -> Line {
        self.lines += 1;
        self.offset += text.len() as u64 + 1;
        Line { number: self.lines, end: self.offset, decoded: decode(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"{\"at_ms\":1,\"type\":\"job_started\",\"job_id\":\"b\xc3\xa4\"}\n\
        \n\
        {\"at_ms\":2,\"type\":\"later\",\"x\":[1]}\r\n\
        {\"at_ms\":3,\"type\":\"run_logged\",\"text\":\"\\n\"}\n\
        torn \xff\n\
        {\"at_ms\":4,\"ty";

    fn read(pieces: &[&[u8]]) -> (Vec<Line>, Vec<u8>) {
        let mut reader = Reader::default();
        let mut lines = Vec::new();
        for piece in pieces {
            reader.push(piece, |line| lines.push(line));
        }
        (lines, reader.pending().to_vec())
    }

    #[test]
    fn lines_have_numbers_and_the_offset_to_go_on_from() {
        let (lines, pending) = read(&[STREAM]);
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let ends: Vec<u64> = memchr::memchr_iter(b'\n', STREAM).map(|at| at as u64 + 1).collect();
        assert_eq!(lines.iter().map(|line| line.end).collect::<Vec<_>>(), ends);
        assert_eq!(pending, b"{\"at_ms\":4,\"ty");
        assert!(matches!(lines[0].decoded, Ok(Decoded::Event(_))));
        assert_eq!(lines[1].decoded.as_ref().unwrap_err().message, "the line is blank");
        assert_eq!(lines[2].decoded, Ok(Decoded::Unknown("later".to_owned())));
        assert!(matches!(lines[3].decoded, Ok(Decoded::Event(_))));
        assert!(lines[4].decoded.is_err());
    }

    #[test]
    fn any_cut_gives_the_same_lines() {
        let whole = read(&[STREAM]);
        for at in 0..=STREAM.len() {
            assert_eq!(read(&[&STREAM[..at], &STREAM[at..]]), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn a_reader_goes_on_where_another_stopped() {
        let (lines, pending) = read(&[STREAM]);
        for stop in &lines {
            let mut reader = Reader::starting_at(stop.end, stop.number + 1);
            let mut rest = Vec::new();
            reader.push(&STREAM[stop.end as usize..], |line| rest.push(line));
            assert_eq!(rest, lines[stop.number as usize..]);
            assert_eq!(reader.pending(), pending);
        }
    }

    #[test]
    fn a_long_line_leaves_no_memory_behind() {
        let mut reader = Reader::default();
        let mut lines = 0;
        for _ in 0..64 {
            reader.push(&[b'x'; 16 * 1024], |_| lines += 1);
        }
        assert_eq!(reader.pending().len(), 64 * 16 * 1024);
        reader.push(b"\n", |_| lines += 1);
        assert_eq!(lines, 1);
        assert!(reader.pending.capacity() <= KEPT_CAPACITY);
    }
}
