//! quire-ci's library: everything that touches the machine for a local run, and that the server shares.
//!
//! A shell parses arguments, holds handles, reads clocks, performs one order, reports one fact. What decides is quire-core's.

pub mod cli;
pub mod clock;
pub mod commands;
pub mod git;
pub mod process;
pub mod record;
pub mod store;
pub mod ui;
pub mod workspace;
