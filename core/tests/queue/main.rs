//! The queue through its public API: what it orders, fact by fact; and, over any sequence of facts, what always holds.

#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod model;
mod properties;
mod reasons;
mod rules;
