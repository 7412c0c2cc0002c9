//! The simulated world of a server: a real queue, a shell that does what it orders, and what outlives that shell.
//!
//! - What there is: `store` (the rows of runs), `machine` (clock, store, runs' processes, spool: all that a killed server leaves).
//! - Who acts: `server` is one life of a server's shell, `writer` its way into the store; `scenario` says who pushes, asks and
//!   fails, and when.
//! - What must hold: `invariants`. `play` lives life after life until the world is quiet.

mod agenda;
mod invariants;
mod machine;
pub mod play;
mod scenario;
mod server;
mod store;
mod writer;

pub use play::{Tally, bytes_of, play, seeded, story};
