//! The simulated world: a real engine, and everything around it that a shell and its machine would be.
//!
//! - What there is: [`clock`], `process` (which do what their text says: `command`), files, [`store`]; together a [`machine`].
//! - Who acts: `simulation` is a shell's loop, `perform` its hands; its freedom is in [`shell`], who writes rows is in [`rows`].
//! - What goes wrong: [`fault`]. What must hold: [`model`] for rows, [`invariants`], and what the parts above say of themselves.
//! - What is played: [`given`] by hand with its [`story`]; or a [`scenario`] from any bytes.

pub mod bytes;
pub mod clock;
mod command;
pub mod fault;
pub mod given;
pub mod invariants;
pub mod machine;
pub mod model;
mod perform;
pub mod pipeline;
pub mod play;
mod process;
mod resume;
pub mod rows;
pub mod scenario;
pub mod shell;
pub mod simulation;
pub mod store;
pub mod story;

use std::fmt::Debug;

pub use given::{When, World};
pub use story::{Story, at, check, check_orders, line, order_line, sh};

/// An invariant does not hold.
///
/// # Panics
/// Always, with the invariant's name and what was found.
#[track_caller]
pub(crate) fn violated(invariant: &str, found: &dyn Debug) -> ! {
    panic!("{invariant} does not hold: {found:?}")
}
