//! The part of one output that a script is given: the first and the last bytes, in bounded memory that grows with use.

use std::fmt;

use super::{CaptureSpec, Tap};

/// Bytes of a [`Tap::Whole`] at most.
const WHOLE_BYTES: usize = 16 * 1024 * 1024;

/// Keeps the head of a stream, then, behind it, the tail.
pub(crate) struct Kept {
    head: Vec<u8>,
    head_most: usize,
    /// A ring once it is full.
    tail: Vec<u8>,
    tail_most: usize,
    /// Where the ring's oldest byte is.
    oldest: usize,
    /// A byte of the stream was let go.
    truncated: bool,
}

impl fmt::Debug for Kept {
    /// Tells lengths only: the bytes are not masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kept { head, tail, truncated, .. } = self;
        f.debug_struct("Kept")
            .field("head", &head.len())
            .field("tail", &tail.len())
            .field("truncated", truncated)
            .finish_non_exhaustive()
    }
}

impl Kept {
    pub(crate) fn new(tap: Tap) -> Kept {
        const TAP: usize = CaptureSpec::TAP_BYTES;
        let (head_most, tail_most) = match tap {
            Tap::Ends => (TAP / 2, TAP / 2),
            Tap::Head => (TAP, 0),
            Tap::Tail => (0, TAP),
            Tap::Whole => (WHOLE_BYTES, 0),
        };
        Kept { head: Vec::new(), head_most, tail: Vec::new(), tail_most, oldest: 0, truncated: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let rest = fill(&mut self.head, self.head_most, bytes);
        let mut rest = fill(&mut self.tail, self.tail_most, rest);
        if rest.is_empty() {
            return;
        }
        self.truncated = true;
        if rest.len() > self.tail_most {
            rest = &rest[rest.len() - self.tail_most..];
        }
        while !rest.is_empty() {
            let room = &mut self.tail[self.oldest..];
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.oldest = (self.oldest + now.len()) % self.tail_most;
            rest = later;
        }
    }

    /// The bytes, and whether the stream had more.
    pub(crate) fn into_bytes(mut self) -> (Vec<u8>, bool) {
        self.tail.rotate_left(self.oldest);
        if self.head.is_empty() {
            return (self.tail, self.truncated);
        }
        self.head.reserve_exact(self.tail.len());
        self.head.append(&mut self.tail);
        (self.head, self.truncated)
    }
}

/// Appends what fits into `most` bytes, returns the rest. Never allocates more than `most`.
fn fill<'a>(buffer: &mut Vec<u8>, most: usize, bytes: &'a [u8]) -> &'a [u8] {
    let (now, rest) = bytes.split_at(bytes.len().min(most - buffer.len()));
    let needed = buffer.len() + now.len();
    if needed > buffer.capacity() {
        let doubled = needed.max(2 * buffer.capacity()).min(most);
        buffer.reserve_exact(doubled - buffer.len());
    }
    buffer.extend_from_slice(now);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAP: usize = CaptureSpec::TAP_BYTES;

    /// Keeps the first `total` of `bytes` pushed `step` at a time; checks that it is head and tail of these lengths.
    fn check(bytes: &[u8], tap: Tap, total: usize, step: usize, head: usize, tail: usize) {
        let bytes = &bytes[..total];
        let mut kept = Kept::new(tap);
        bytes.chunks(step).for_each(|chunk| kept.push(chunk));
        assert!(kept.head.capacity() <= kept.head_most && kept.tail.capacity() <= kept.tail_most);
        let (found, truncated) = kept.into_bytes();
        assert_eq!(found.len(), head + tail, "{tap:?} {total} {step}");
        assert!(found == [&bytes[..head], &bytes[total - tail..]].concat(), "{tap:?} {total} {step}");
        assert_eq!(truncated, head + tail < total);
    }

    #[test]
    fn head_and_tail() {
        let bytes: Vec<u8> = (0u8..251).cycle().take(16 * TAP + 1).collect();
        for step in [1000, 65_536, 700_000, 5_000_000] {
            for total in [0, 1, TAP / 2 - 1, TAP / 2, TAP / 2 + 1, TAP - 1, TAP] {
                for tap in [Tap::Ends, Tap::Head, Tap::Tail, Tap::Whole] {
                    check(&bytes, tap, total, step, total, 0);
                }
            }
            for total in [TAP + 1, TAP + 77_777, 2 * TAP + 3, 4 * TAP] {
                check(&bytes, Tap::Ends, total, step, TAP / 2, TAP / 2);
                check(&bytes, Tap::Head, total, step, TAP, 0);
                check(&bytes, Tap::Tail, total, step, 0, TAP);
                check(&bytes, Tap::Whole, total, step, total, 0);
            }
        }
        check(&bytes, Tap::Whole, 16 * TAP + 1, 1_000_000, 16 * TAP, 0);
    }

    #[test]
    fn nothing_costs_nothing() {
        let kept = Kept::new(Tap::Ends);
        assert_eq!((kept.head.capacity(), kept.tail.capacity()), (0, 0));
    }
}
