//! The server as people use it: the real binary, real git, real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backups;
mod cgroups;
mod clients;
mod pushes;
mod restarts;
mod streams;
mod support;
