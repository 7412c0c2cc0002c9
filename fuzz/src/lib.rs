//! quire-fuzz: one world for all fuzzing of the core, and a property for each part that takes bytes.
//!
//! Every `run` is total over any bytes: it returns, or panics with what was violated. Who makes the bytes up is somebody else's:
//! libFuzzer (`fuzz_targets/`), quickcheck and the committed corpora (`tests/`).

pub mod replay;
pub mod targets;

/// Placeholder until the world is merged.
pub fn run(data: &[u8]) {
    assert!(data.len() < usize::MAX);
}
