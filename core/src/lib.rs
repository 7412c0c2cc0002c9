//! quire-core: the pure engine of quire. Facts in, orders out; no clock, file, process, socket, thread, environment, stdout.

#![forbid(unsafe_code)]

pub mod capture;
pub mod cri;
pub mod digest;
pub mod engine;
pub mod ids;
pub mod pairing;
pub mod pipeline;
pub mod recorder;
pub mod redact;
pub mod rows;
pub mod scheduler;
pub mod script;
pub mod signal;
pub mod time;
pub mod wire;
