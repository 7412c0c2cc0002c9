//! Processes: one event loop over all children of a run. Performs the engine's orders, reports facts.
//!
//! - `drive`: the loop around an engine; what it needs of the rest of the shell are three small traits.
//! - `reactor`: epoll over pipes, pidfds, signals and deadlines. `running`: one command's bytes, from pipe to log.
//! - `spawn`: starting a command. `sweep`: ending what commands left; `left_behind`: what a
//!   dead run left. `procfs`: what /proc tells of others.
//! - `signals`, `background`: what else wakes the loop.
//! - `foreground`: after the loop, a person's shell.

mod background;
mod drive;
mod foreground;
mod left_behind;
mod procfs;
mod reactor;
mod running;
mod signals;
mod spawn;
mod sweep;

pub use background::{Background, Discovered};
pub use drive::{Ended, Machine, Questions, Recalled, Record, Setup, Surroundings, drive};
pub use foreground::wait_in_foreground;
pub use left_behind::{LeftBehind, end_left_behind};
pub use signals::Signals;
pub use sweep::become_subreaper;
