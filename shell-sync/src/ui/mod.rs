//! What a person sees of a run while it goes on, and after.

use quire_core::ids::ShId;
use quire_core::time::{Mono, Now};
use quire_core::wire::Event;

/// Someone who watches a run. The driver tells it everything that was recorded, after it was recorded.
pub trait View {
    /// An event was written to the record.
    fn event(&mut self, now: Now, event: &Event);
    /// Whole CRI entries were written to the command's log.
    fn output(&mut self, now: Now, sh: &ShId, entries: &[u8]);
    /// When [`View::tick`] wants to be called next, on the clock of [`crate::clock::now`].
    fn deadline(&self) -> Option<Mono>;
    /// Redraws what time changes.
    fn tick(&mut self, now: Now);
    /// A fact of the shell for people, outside the record: a warning of the store, "waiting for processes to end".
    fn notice(&mut self, now: Now, text: &str);
}
