//! What will happen, in order of time; at one time, in the order in which it was put down.

use std::collections::BTreeMap;

/// Things to happen, by milliseconds of the monotonic clock.
#[derive(Debug, Clone)]
pub(super) struct Agenda<T> {
    things: BTreeMap<(u64, u64), T>,
    count: u64,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Agenda<T> {
        Agenda { things: BTreeMap::new(), count: 0 }
    }

    pub(super) fn put(&mut self, ms: u64, thing: T) {
        self.count += 1;
        self.things.insert((ms, self.count), thing);
    }

    /// When the next thing happens.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.things.first_key_value().map(|((ms, _), _)| *ms)
    }

    pub(super) fn take(&mut self) -> Option<T> {
        self.things.pop_first().map(|(_, thing)| thing)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.things.is_empty()
    }
}
