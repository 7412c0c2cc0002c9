//! quire-ci when things go wrong under it: killed at any moment, no room, no right to write, a record cut or changed anywhere.

// Marked as tests so that helpers may unwrap like the tests that they serve.
#[cfg(test)]
mod aftermath;
#[cfg(test)]
mod cuts;
#[cfg(test)]
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../support/disk.rs"]
mod disk;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod lateness;
#[cfg(test)]
mod model;
#[cfg(test)]
mod moments;
#[cfg(test)]
mod no_right;
#[cfg(test)]
mod no_room;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod rebuilt;
#[cfg(test)]
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../support/recorded.rs"]
mod recorded;
#[cfg(test)]
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../support/world.rs"]
mod world;
#[cfg(test)]
mod writer;
