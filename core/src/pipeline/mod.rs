//! The pipeline as data: what the script defined, checked as a whole.
//!
//! Owns definitions, checks, the graph and diagnostics. Running Lua is [`crate::script`]'s, deciding what starts is
//! [`crate::scheduler`]'s.

mod check;
mod cycle;
mod definition;
mod diagnostic;
mod draw;
mod graph;
mod layers;
mod locate;
mod suggest;

pub use check::check;
pub use definition::{JobDefinition, JobOptions, Needs, RawJob, SOURCES};
pub(crate) use diagnostic::quoted;
pub use diagnostic::{Diagnostic, Part, Place};
pub use draw::GraphFormat;
pub use graph::Pipeline;
pub use layers::{Layout, Node, layers};
pub(crate) use locate::{Files, Lexer, Token};
pub use suggest::nearest;
pub(crate) use suggest::{did_you_mean, list};
