//! From a log back to the exact bytes of one stream.

use super::parse::{ParseError, parse};
use crate::wire::Stream;

/// The exact bytes of `stream` in a whole log, after masking. `no_eol`: the event names the stream as one whose last line had no
/// newline. A torn last line of the log, left by a crash, counts as far as it goes.
pub fn stream_bytes(log: &[u8], stream: Stream, no_eol: bool) -> Result<Vec<u8>, ParseError> {
    let mut reader = StreamBytes::new(stream);
    let mut out = Vec::with_capacity(log.len());
    reader.push(log, &mut out)?;
    reader.finish(no_eol, &mut out);
    Ok(out)
}

/// The same for a log given piece by piece, in memory bounded by one entry.
#[derive(Debug)]
pub struct StreamBytes {
    stream: Stream,
    /// The line of the log that is not yet whole.
    pending: Vec<u8>,
    /// 1-based number of the log's line that comes next.
    number: u64,
    /// The stream's latest entry ended a line; whether a newline follows is known with the next one, or at the end.
    newline_due: bool,
}

impl StreamBytes {
    /// At the start of a log.
    pub fn new(stream: Stream) -> StreamBytes {
        StreamBytes { stream, pending: Vec::new(), number: 1, newline_due: false }
    }

    /// Takes the next bytes of the log, appends the stream's bytes to `out`.
    ///
    /// A line that is no entry is stepped over; the first such line of the call is the error, given once all was taken.
    pub fn push(&mut self, log: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
        let mut first_error = None;
        let mut rest = log;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let read = if self.pending.is_empty() {
                self.entry(line, out)
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(line);
                self.entry(&whole, out)
            };
            if let Err(error) = read {
                let number = self.number;
                first_error.get_or_insert(ParseError { message: format!("line {number}: {}", error.message) });
            }
            self.number += 1;
        }
        self.pending.extend_from_slice(rest);
        first_error.map_or(Ok(()), Err)
    }

    /// Whether what was given so far ends within an entry.
    pub fn is_torn(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The log ends. `no_eol` as for [`stream_bytes`].
    pub fn finish(mut self, no_eol: bool, out: &mut Vec<u8>) {
        let torn = std::mem::take(&mut self.pending);
        if let Ok(entry) = parse(&torn)
            && entry.stream == self.stream
        {
            self.content(entry.content, out);
            self.newline_due = false;
        }
        if self.newline_due && !no_eol {
            out.push(b'\n');
        }
    }

    fn entry(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
        let entry = parse(line)?;
        if entry.stream == self.stream {
            self.content(entry.content, out);
            self.newline_due = entry.full;
        }
        Ok(())
    }

    fn content(&mut self, content: &[u8], out: &mut Vec<u8>) {
        if self.newline_due {
            out.push(b'\n');
        }
        out.extend_from_slice(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"2026-11-22T02:13:04.000000001Z stdout P a\n\
        2026-11-22T02:13:04.000000002Z stderr F x\n\
        2026-11-22T02:13:04.000000002Z stdout F b\n\
        2026-11-22T02:13:04.000000003Z stdout F \n\
        2026-11-22T02:13:04.000000004Z stdout P c\n\
        2026-11-22T02:13:04.000000004Z stdout F \n\
        2026-11-22T02:13:04.000000005Z stderr F y z\n";

    #[test]
    fn each_stream_comes_back_at_every_split() {
        for (stream, no_eol, bytes) in [
            (Stream::Stdout, false, &b"ab\n\nc\n"[..]),
            (Stream::Stdout, true, b"ab\n\nc"),
            (Stream::Stderr, false, b"x\ny z\n"),
            (Stream::Stderr, true, b"x\ny z"),
        ] {
            assert_eq!(stream_bytes(LOG, stream, no_eol).unwrap(), bytes);
            for split in 0..=LOG.len() {
                let (mut reader, mut out) = (StreamBytes::new(stream), Vec::new());
                reader.push(&LOG[..split], &mut out).unwrap();
                reader.push(&LOG[split..], &mut out).unwrap();
                reader.finish(no_eol, &mut out);
                assert_eq!(out, bytes, "split at {split}");
            }
        }
    }

    #[test]
    fn a_torn_log_gives_what_it_holds() {
        let whole = stream_bytes(LOG, Stream::Stdout, true).unwrap();
        let mut longest = 0;
        for cut in 0..=LOG.len() {
            let bytes = stream_bytes(&LOG[..cut], Stream::Stdout, true).unwrap();
            assert!(whole.starts_with(&bytes) && bytes.len() >= longest, "cut at {cut}");
            longest = bytes.len();
        }
    }

    #[test]
    fn a_bad_line_is_named_and_stepped_over() {
        let mut log = b"2026-11-22T02:13:04.000000001Z stdout F a\ngarbage\n".to_vec();
        log.extend_from_slice(b"2026-11-22T02:13:04.000000001Z stdout F b\n");
        let (mut reader, mut out) = (StreamBytes::new(Stream::Stdout), Vec::new());
        let error = reader.push(&log, &mut out).unwrap_err();
        assert_eq!(error.message, "line 2: a log entry is cut before its content");
        reader.finish(false, &mut out);
        assert_eq!(out, b"a\nb\n");
    }
}
