//! The pipeline as data: what the script defined, checked as a whole.
//!
//! Owns definitions, the graph and diagnostics. Running Lua is [`crate::script`]'s, deciding what starts is
//! [`crate::scheduler`]'s.

mod definition;
mod diagnostic;
mod graph;

pub use definition::{JobDefinition, JobOptions, Needs, RawJob, SOURCES};
pub use diagnostic::{Diagnostic, Place};
pub use graph::{GraphFormat, Pipeline, check};
