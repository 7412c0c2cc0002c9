//! One table for all deadlines of a run.

use std::collections::{BTreeMap, BTreeSet};

use super::slots::CommandId;
use crate::time::Mono;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A job's attempt has used its time.
    Job(usize),
    /// A job's deferred functions have used theirs.
    Deferred(usize),
    /// A command has used its time.
    Command(CommandId),
    /// A command was asked to end and has not: kill it.
    Kill(CommandId),
    /// A command has exited and something holds its output.
    Close(CommandId),
}

/// Deadlines in order; each timer has at most one.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Mono, Timer)>,
    at: BTreeMap<Timer, Mono>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Mono) {
        self.clear(timer);
        self.order.insert((at, timer));
        self.at.insert(timer, at);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// When the timer is due, where it is set.
    pub(super) fn at(&self, timer: Timer) -> Option<Mono> {
        self.at.get(&timer).copied()
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The timers that are due, in order.
    pub(super) fn due(&self, now: Mono) -> impl Iterator<Item = Timer> + '_ {
        self.order.iter().take_while(move |(at, _)| *at <= now).map(|(_, timer)| *timer)
    }

    /// Takes the first timer that is due.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}
