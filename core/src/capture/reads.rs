//! When bytes were read that masking holds back: an entry bears the time of its line's first byte, however late it is let out.

use std::collections::VecDeque;

use crate::time::Wall;

/// The reads of one stream whose bytes are not all let out. Bounded by the bytes held back.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Offset in the stream behind the read's last byte, and its time.
    reads: VecDeque<(u64, Wall)>,
}

impl Reads {
    /// The stream up to `end` was read at `at`.
    pub(super) fn push(&mut self, end: u64, at: Wall) {
        match self.reads.back_mut() {
            Some(last) if last.1 == at => last.0 = end,
            _ => self.reads.push_back((end, at)),
        }
    }

    /// The time of the byte at `offset` and the offset behind the read that brought it. Forgets reads before it.
    pub(super) fn at(&mut self, offset: u64) -> Option<(u64, Wall)> {
        self.forget(offset);
        self.reads.front().copied()
    }

    /// Forgets reads whose bytes all lie before `offset`.
    pub(super) fn forget(&mut self, offset: u64) {
        while self.reads.front().is_some_and(|&(end, _)| end <= offset) {
            self.reads.pop_front();
        }
    }
}
