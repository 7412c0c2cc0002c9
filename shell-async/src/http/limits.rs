//! What is bounded: bytes, times, connections and viewers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The bounds of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once; one more is told to come back.
    pub connections: usize,
    /// Most viewers of events at once.
    pub event_viewers: usize,
    /// Most viewers of logs at once.
    pub log_viewers: usize,
    /// Most bytes of a request's head.
    pub header_bytes: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Longest time for a request's head, and longest idleness of a connection.
    pub header_time: Duration,
    /// Most bytes of a request's body.
    pub body_bytes: usize,
    /// Most bytes of a push: it may have very many refs.
    pub push_bytes: usize,
    /// Longest time until an answer begins.
    pub answer_time: Duration,
    /// Longest time for which a client may take nothing of what is sent to it.
    pub write_time: Duration,
    /// How often a quiet live view says that it is alive.
    pub heartbeat: Duration,
    /// How many bytes of a live log may have come since its viewer did, and not have been read, before some are left out.
    pub behind_bytes: u64,
    /// How much of the end of such a log is told then.
    pub near_bytes: u64,
    /// Longest line of a stream, and longest entry of a log, that a live view tells.
    pub line_bytes: usize,
    /// How long connections may go on once the server stops.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1024,
            event_viewers: 512,
            log_viewers: 512,
            header_bytes: 32 << 10,
            headers: 100,
            header_time: Duration::from_secs(10),
            body_bytes: 1 << 20,
            push_bytes: 16 << 20,
            answer_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            behind_bytes: 8 << 20,
            near_bytes: 256 << 10,
            line_bytes: 4 << 20,
            stop_time: Duration::from_secs(5),
        }
    }
}

/// Counts those who are here at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats {
    taken: Arc<AtomicUsize>,
}

/// One who is here; leaves when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    taken: Arc<AtomicUsize>,
}

impl Seats {
    /// A seat, unless `most` are taken.
    pub(super) fn take(&self, most: usize) -> Option<Seat> {
        let more = |taken: usize| (taken < most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Seat { taken: Arc::clone(&self.taken) })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are() {
        let seats = Seats::default();
        let first = seats.take(2);
        let second = seats.take(2);
        assert!(first.is_some() && second.is_some() && seats.take(2).is_none());
        drop(first);
        assert_eq!(seats.taken(), 1);
        assert!(seats.take(2).is_some());
    }
}
