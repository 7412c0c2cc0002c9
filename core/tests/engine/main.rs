//! The engine through its public API, in a simulated world: what a pipeline does, event by event and order by order.

#![allow(clippy::unwrap_used, reason = "a test")]

mod cancel;
mod commands;
mod deferred;
mod definition;
mod jobs;
mod properties;
mod record;
mod replay;
mod scripts;
mod secrets;
mod spawned;
