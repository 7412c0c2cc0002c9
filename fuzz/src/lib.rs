//! quire-fuzz: one simulated world for all fuzzing of the core, and a property for each part that takes bytes.
//!
//! Every `run` is total over any bytes: it returns, or panics with what was violated. Who makes the bytes up is somebody else's:
//! libFuzzer (`fuzz_targets/`), quickcheck and the committed corpora (`tests/`).
//!
//! [`run`] takes any bytes and plays what they say: a pipeline, commands, faults, all around a real engine. [`seeded`] gives it
//! the bytes of a seed. What is played and what must hold is in [`world`].

#![forbid(unsafe_code)]

pub mod queue_world;
pub mod replay;
pub mod targets;
pub mod world;

pub use world::play::{Tally, story};

/// Bytes that a seed is expanded into at most.
const SEED_BYTES: usize = 512;

/// Decodes any bytes into a scenario and plays it.
///
/// # Panics
/// Where an invariant does not hold: with its name, the bytes that replay it and the end of the story.
pub fn run(bytes: &[u8]) {
    world::play::play(bytes);
}

/// The bytes of a seed: the same ones everywhere and for ever.
pub fn bytes_of(seed: u64) -> Vec<u8> {
    world::bytes::expand(seed, SEED_BYTES)
}

/// Plays what a seed says.
///
/// # Panics
/// As [`run`].
pub fn seeded(seed: u64) -> Tally {
    world::play::play(&bytes_of(seed))
}
