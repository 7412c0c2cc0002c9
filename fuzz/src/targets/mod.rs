//! One property function for each part of the core that takes bytes from outside; each `run` is a fuzz target.

mod input;

pub mod cri;
pub mod decode;
pub mod log;
pub mod pairing;
pub mod pipeline;
pub mod queue;
pub mod redact;
