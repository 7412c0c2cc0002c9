//! The event loop with real processes, driven by a scripted machine in the engine's place.

mod commands;
mod record;
mod support;
mod sweeping;
