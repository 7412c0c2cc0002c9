//! A log in pieces to its entries, with their places in the file.

use super::{Entry, parse, stamp};

/// Bytes of the longest line that is read as an entry, its head included. A [`super::Framer`] writes none near it; it bounds what
/// of a damaged log is held.
pub(super) const LONGEST_LINE: usize = 1 << 18;

/// Cuts consecutive bytes of a log into entries. Lines that are none are stepped over, and what comes after the last newline
/// does not count yet.
#[derive(Debug)]
pub(super) struct Entries {
    /// Offset in the file behind the last whole line.
    offset: u64,
    /// What follows it, as long as it is not too long.
    torn: Vec<u8>,
    torn_length: u64,
    times: stamp::Times,
}

impl Entries {
    /// For bytes that begin at this offset, where a line begins.
    pub(super) fn new(offset: u64) -> Entries {
        Entries { offset, torn: Vec::new(), torn_length: 0, times: stamp::Times::default() }
    }

    /// Offset behind the last whole line.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next bytes; gives each entry that they complete, and its offset.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(u64, Entry<'_>)) {
        let mut rest = bytes;
        if self.torn_length > 0 {
            let end = memchr::memchr(b'\n', rest);
            let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.hold(piece);
            if end.is_none() {
                return;
            }
            rest = after.get(1..).unwrap_or_default();
            if let Some(entry) = parse::parse_next(&self.torn, &mut self.times) {
                take(self.offset, entry);
            }
            self.torn.clear();
            self.offset += std::mem::take(&mut self.torn_length) + 1;
        }
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if line.len() <= LONGEST_LINE
                && let Some(entry) = parse::parse_next(line, &mut self.times)
            {
                take(self.offset, entry);
            }
            self.offset += length(line) + 1;
        }
        self.hold(rest);
    }

    fn hold(&mut self, piece: &[u8]) {
        self.torn_length += length(piece);
        if self.torn_length <= LONGEST_LINE as u64 {
            self.torn.extend_from_slice(piece);
        } else {
            self.torn = Vec::new();
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}
