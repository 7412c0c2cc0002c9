//! A pipeline's script as a sans-IO machine: it runs in slices, asks by yielding, and is resumed with answers.
//!
//! Owns the sandbox. What the answers are, and when, is the engine's.

mod advice;
mod evaluate;
mod fennel;
pub mod pattern;
mod program;
mod request;
mod stdlib;
mod vm;

pub(crate) use evaluate::evaluate;
pub use fennel::{INSTALL as INSTALL_FENNEL, compile_fennel, fennel_version};
pub use program::{MODULES, Program};
pub use request::{CommandText, Reply, Request, ShRequest, ShResult};
pub use vm::{Definitions, Failure, JobFacts, Step, Vm};
