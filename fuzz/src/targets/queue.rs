//! The queue in a server's world: the bytes say who pushes, asks and cancels, how long all takes, and what goes wrong. What holds
//! is in `queue_world/invariants.rs`.

use crate::queue_world;

/// Plays the world that these bytes say.
///
/// # Panics
/// Where an invariant does not hold.
pub fn run(data: &[u8]) {
    queue_world::play(data);
}
