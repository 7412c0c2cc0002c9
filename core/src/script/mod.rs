//! The Lua VM of one job as a sans-IO machine.

pub mod pattern;
pub mod stdlib;
