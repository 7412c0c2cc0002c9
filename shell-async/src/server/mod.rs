//! The running server.
//!
//! - `serve`: from its start to its end. `owner`: the one task that owns the queue; `gather`: what it needs to know of a request; `askers`: from whom.
//! - `executor`: one dispatched run; `workspaces`: what it works on; `child`: the quire-ci that drives it; `hosted`: those inside this process; `follow`: its rows.
//! - `keeping`: what stays and what goes. `spares`: workspaces made ahead. `spooled`: pushes that came while it was down. `secrets`: values for drivers.
//! - `app`: what every part of it holds. `desk`: the way to the owner of the queue, and what can be asked of it.
//! - `readers`: the connections that only read. `watcher`: what wakes those who follow files. `signals`: what people want of it.

mod app;
mod askers;
mod child;
mod desk;
mod executor;
mod follow;
mod gather;
mod hosted;
mod keeping;
mod owner;
mod readers;
mod secrets;
mod serve;
mod signals;
mod spares;
mod spooled;
mod watcher;
mod workspaces;

pub use app::{App, Settings};
pub use askers::Askers;
pub use desk::{Desk, DeskAsk, Refused, Waiting};
pub use readers::Readers;
pub use serve::serve;
pub use spares::Spares;
pub use watcher::{Watch, Watcher};
