//! Replay: what an earlier run recorded answers a new run of the same pipeline, so that what succeeded need not run again.
//!
//! - [`Recorded`] is what a stream tells of the earlier run. [`Recorded::refusals`] says why it may not be resumed here and
//!   now, [`Recorded::resume`] makes of it what [`crate::engine::Config::replay`] takes.
//! - [`Replay`] plans, once the jobs are known, how each is answered: whole, command by command, or not at all.
//! - [`Recall`] turns a command's recorded log into the answer that its script was given.
//!
//! Replay restores what scripts know, not the workspace: whether that is the one which the record left is what a refusal is about.

mod plan;
mod recall;
mod recorded;
mod refusal;

pub(crate) use plan::{Answers, Next, WholeStep};
pub use plan::{Extent, Replay};
pub use recall::Recall;
pub use recorded::Recorded;
pub use refusal::{Here, Refusal};
