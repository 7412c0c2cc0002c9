//! From a recorded log to what the script was given: the exact bytes of both streams, cut as the script asks for them.

use crate::capture::{Captured, Kept, Tap};
use crate::cri::StreamBytes;
use crate::wire::Stream;

/// Reads one command's log, given piece by piece, in memory bounded by what is kept and one entry.
#[derive(Debug)]
pub struct Recall {
    streams: [(StreamBytes, Kept); 2],
    no_eol: Vec<Stream>,
    piece: Vec<u8>,
    bad: Option<String>,
}

impl Recall {
    /// `tap`: which part is kept of a long output. `no_eol`: as the command's end was recorded.
    pub fn new(tap: Tap, no_eol: Vec<Stream>) -> Recall {
        let of = |stream| (StreamBytes::new(stream), Kept::new(tap));
        Recall { streams: [of(Stream::Stdout), of(Stream::Stderr)], no_eol, piece: Vec::new(), bad: None }
    }

    /// Takes the next bytes of the log.
    pub fn push(&mut self, log: &[u8]) {
        for (reader, kept) in &mut self.streams {
            self.piece.clear();
            if let Err(error) = reader.push(log, &mut self.piece) {
                self.bad.get_or_insert(error.message);
            }
            kept.push(&self.piece);
        }
    }

    /// What the command printed.
    ///
    /// # Errors
    /// A log with a line that is no entry, a torn last line too: not what a command that ended has left.
    pub fn finish(self) -> Result<Captured, String> {
        let Recall { streams: [stdout, stderr], no_eol, bad, .. } = self;
        if let Some(bad) = bad {
            return Err(bad);
        }
        if stdout.0.is_torn() {
            return Err("its last line is torn".to_owned());
        }
        let ended = |(reader, mut kept): (StreamBytes, Kept), stream| {
            let mut rest = Vec::new();
            reader.finish(no_eol.contains(&stream), &mut rest);
            kept.push(&rest);
            kept.into_bytes()
        };
        let (stdout, stdout_truncated) = ended(stdout, Stream::Stdout);
        let (stderr, stderr_truncated) = ended(stderr, Stream::Stderr);
        Ok(Captured { stdout, stderr, stdout_truncated, stderr_truncated, no_eol, ..Captured::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"2026-11-22T02:13:04.000000001Z stdout P a\n\
        2026-11-22T02:13:04.000000002Z stderr F x\n\
        2026-11-22T02:13:04.000000002Z stdout F b\n";

    fn recall(pieces: &[&[u8]]) -> Result<Captured, String> {
        let mut recall = Recall::new(Tap::Ends, vec![Stream::Stderr]);
        pieces.iter().for_each(|piece| recall.push(piece));
        recall.finish()
    }

    #[test]
    fn both_streams_come_back_however_the_log_is_cut() {
        let expected = Captured {
            stdout: b"ab\n".to_vec(),
            stderr: b"x".to_vec(),
            no_eol: vec![Stream::Stderr],
            ..Captured::default()
        };
        for split in 0..=LOG.len() {
            let (head, tail) = LOG.split_at(split);
            assert_eq!(recall(&[head, tail]).as_ref(), Ok(&expected), "split at {split}");
        }
        assert_eq!(recall(&[]), Ok(Captured { no_eol: vec![Stream::Stderr], ..Captured::default() }));
    }

    #[test]
    fn a_damaged_log_answers_nothing() {
        for cut in 1..LOG.len() {
            if LOG.get(cut - 1) != Some(&b'\n') {
                assert!(recall(&[&LOG[..cut]]).is_err(), "cut at {cut}");
            }
        }
        assert!(recall(&[b"\0\0\0\n", LOG]).is_err());
    }
}
