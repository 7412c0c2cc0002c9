//! `-j`: which commands may run at once.
//!
//! First come, first served; but a command that its script waits for starts at once when every slot is held by commands that
//! no script waits for (CONTRACT 6), so a spawned server never starves the test that needs it.

use std::collections::{BTreeSet, VecDeque};

/// The engine's own number of a command, given before it starts.
pub(super) type CommandId = u64;

/// The slots and the queue before them.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    queue: VecDeque<CommandId>,
    holders: BTreeSet<CommandId>,
    waited: BTreeSet<CommandId>,
}

impl Slots {
    pub(super) fn new(limit: u32) -> Slots {
        Slots {
            limit: usize::try_from(limit.max(1)).unwrap_or(usize::MAX),
            queue: VecDeque::new(),
            holders: BTreeSet::new(),
            waited: BTreeSet::new(),
        }
    }

    /// The command wants a slot.
    pub(super) fn request(&mut self, command: CommandId) {
        self.queue.push_back(command);
    }

    /// A script waits for the command.
    pub(super) fn waited_for(&mut self, command: CommandId) {
        self.waited.insert(command);
    }

    /// The command ended, or will never start.
    pub(super) fn release(&mut self, command: CommandId) {
        self.queue.retain(|queued| *queued != command);
        self.holders.remove(&command);
        self.waited.remove(&command);
    }

    /// Whether a new job's command would start at once.
    pub(super) fn is_free(&self) -> bool {
        self.queue.is_empty() && self.holders.len() < self.limit
    }

    /// The next command to start.
    pub(super) fn grant(&mut self) -> Option<CommandId> {
        let position = if self.holders.len() < self.limit {
            0
        } else if self.holders.is_disjoint(&self.waited) {
            self.queue.iter().position(|queued| self.waited.contains(queued))?
        } else {
            return None;
        };
        let granted = self.queue.remove(position)?;
        self.holders.insert(granted);
        Some(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_come_first_served() {
        let mut slots = Slots::new(2);
        for command in 1..=4 {
            slots.request(command);
            slots.waited_for(command);
        }
        assert_eq!((slots.grant(), slots.grant(), slots.grant()), (Some(1), Some(2), None));
        slots.release(2);
        assert_eq!((slots.grant(), slots.grant()), (Some(3), None));
        slots.release(4);
        slots.release(1);
        assert_eq!((slots.grant(), slots.is_free()), (None, true));
    }

    #[test]
    fn a_waited_command_passes_slots_held_by_unwaited_ones() {
        let mut slots = Slots::new(1);
        slots.request(1);
        assert_eq!(slots.grant(), Some(1));
        slots.request(2);
        assert_eq!(slots.grant(), None);
        slots.request(3);
        slots.waited_for(3);
        assert_eq!((slots.grant(), slots.grant()), (Some(3), None));
        slots.release(3);
        slots.waited_for(2);
        assert_eq!(slots.grant(), Some(2));
    }
}
