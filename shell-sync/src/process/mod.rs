//! Processes: one event loop over all children of a run. Performs the engine's orders, reports facts.
//!
//! - `orders`: an engine's orders performed one by one, for whichever loop; `record`: what that needs of the run's record.
//! - `drive`: this crate's loop around an engine; what it needs of the rest of the shell are three small traits.
//! - `reactor`: epoll over pipes, pidfds, signals and deadlines. `running`: one command that runs.
//! - `spawn`: how a command is started. `streams`: its bytes, from pipe to log. `sweep`: ending what commands left;
//!   `left_behind`: what a dead run left; `strays`: what no run is known by in a server. `procfs`: what /proc tells of others. A server's loop uses these too.
//! - `adopted`: processes of others that drive runs.
//! - `signals`, `background`: what else wakes the loop.
//! - `foreground`: after the loop, a person's shell.

mod adopted;
mod background;
mod drive;
mod foreground;
mod left_behind;
mod orders;
mod procfs;
mod reactor;
mod record;
mod running;
mod signals;
mod spawn;
mod strays;
mod streams;
mod sweep;

pub use adopted::{Adopted, DRIVES, drivers};
pub use background::{Background, Discovered};
pub use drive::{Ended, Questions, Setup, Surroundings, drive};
pub use foreground::wait_in_foreground;
pub use left_behind::{LeftBehind, end_left_behind};
pub use orders::{Hands, Machine, Next, Orders};
pub use record::{Recalled, Record};
pub use signals::Signals;
pub use spawn::{Launcher, Planned};
pub use strays::{Strays, end_children_of_this_thread_but};
pub use streams::{Desk, Pipes, READ_BYTES, Streams, log_failed};
pub use sweep::{Leaders, Sweeper, Watch, become_subreaper};
