//! The freedom that a shell has: when it writes, how many orders it performs and how many facts it tells at once.

/// How a shell goes about its work. The default is the plainest: one order, one fact, at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shell {
    /// Events are written only before the next other order, as a shell that gathers them does.
    pub gathers: bool,
    /// Most orders performed before it looks around.
    pub orders_at_once: usize,
    /// Most facts told before it asks for orders.
    pub facts_at_once: usize,
    /// Events that gather before their rows are committed.
    pub events_a_commit: usize,
    /// Bytes that a reader of the stream takes at once.
    pub bytes_a_read: usize,
}

impl Default for Shell {
    fn default() -> Shell {
        Shell { gathers: false, orders_at_once: usize::MAX, facts_at_once: 1, events_a_commit: 1, bytes_a_read: 4096 }
    }
}
