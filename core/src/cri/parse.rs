//! One line of a log to one entry. Exact: what a [`super::Framer`] writes, and nothing else.

use super::{HEAD_LEN, stamp};
use crate::time::Wall;
use crate::wire::Stream;

/// One entry, borrowed from a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When its line's first byte was read, raised to the time of the entry before it.
    pub at: Wall,
    /// Which output.
    pub stream: Stream,
    /// Whether the line ends with this entry (`F`) or goes on in the stream's next one (`P`).
    pub full: bool,
    /// The bytes, without the newline.
    pub content: &'a [u8],
}

/// Why a line of a log is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// For people.
    pub message: String,
}

/// Parses one entry, given without its newline. The content may hold any byte but a newline, and be of any length.
pub fn parse(line: &[u8]) -> Result<Entry<'_>, ParseError> {
    let error = |message: &str| Err(ParseError { message: message.to_owned() });
    let Some((head, content)) = line.split_at_checked(HEAD_LEN) else {
        return error("a log entry is cut before its content");
    };
    let Some((time, rest)) = head.split_first_chunk::<{ stamp::LEN }>() else {
        return error("a log entry is cut within its time");
    };
    let Some(at) = stamp::parse(time) else {
        return error("a log entry begins with a time like 2026-11-22T02:13:04.123456789Z");
    };
    let Some((stream, full)) = stream_and_flag(rest) else {
        return error("after its time a log entry has stdout or stderr, then P or F, with one space around each");
    };
    if memchr::memchr(b'\n', content).is_some() {
        return error("a log entry is one line");
    }
    Ok(Entry { at, stream, full, content })
}

/// As [`parse`], for lines that follow each other and hold no newline; says not what is wrong, and is quicker.
#[inline]
pub(super) fn parse_next<'a>(line: &'a [u8], times: &mut stamp::Times) -> Option<Entry<'a>> {
    let (head, content) = line.split_at_checked(HEAD_LEN)?;
    let (time, rest) = head.split_first_chunk::<{ stamp::LEN }>()?;
    let (stream, full) = stream_and_flag(rest)?;
    let at = times.parse(time)?;
    Some(Entry { at, stream, full, content })
}

#[inline]
fn stream_and_flag(rest: &[u8]) -> Option<(Stream, bool)> {
    match rest {
        b" stdout F " => Some((Stream::Stdout, true)),
        b" stdout P " => Some((Stream::Stdout, false)),
        b" stderr F " => Some((Stream::Stderr, true)),
        b" stderr P " => Some((Stream::Stderr, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], stream: Stream, full: bool, content: &[u8]) {
        let at = Wall(1_795_313_584_123_456_789);
        assert_eq!(parse(line), Ok(Entry { at, stream, full, content }), "{}", String::from_utf8_lossy(line));
    }

    #[test]
    fn content_is_bytes() {
        check(b"2026-11-22T02:13:04.123456789Z stdout F hi", Stream::Stdout, true, b"hi");
        check(b"2026-11-22T02:13:04.123456789Z stderr P hi", Stream::Stderr, false, b"hi");
        check(b"2026-11-22T02:13:04.123456789Z stdout F ", Stream::Stdout, true, b"");
        check(b"2026-11-22T02:13:04.123456789Z stdout F  two  spaces ", Stream::Stdout, true, b" two  spaces ");
        check(b"2026-11-22T02:13:04.123456789Z stdout P \0\xff\r", Stream::Stdout, false, b"\0\xff\r");
    }

    #[test]
    fn tolerant_of_nothing_else() {
        for line in [
            &b""[..],
            b"hi",
            b"2026-11-22T02:13:04.123456789Z stdout F",
            b"2026-11-22T02:13:04.123456789Z  stdout F hi",
            b"2026-11-22T02:13:04.123456789Z stdout f hi",
            b"2026-11-22T02:13:04.123456789Z stdout F\thi",
            b"2026-11-22T02:13:04.123456789Z stdin  F hi",
            b"2026-11-22T02:13:04.123456789Z stdout F:tag hi",
            b"2026-11-22T02:13:04.12345678Z stdout F hi and more",
            b"2026-11-22T02:13:04.123456789+00:00 stdout F hi",
            b" 2026-11-22T02:13:04.123456789Z stdout F hi",
            b"2026-11-22T02:13:04.123456789Z stdout F a\nb",
        ] {
            assert!(parse(line).is_err(), "{}", String::from_utf8_lossy(line));
        }
    }
}
