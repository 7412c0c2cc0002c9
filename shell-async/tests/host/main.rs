//! Runs inside the server, with real processes.

// Marked as tests so that helpers may unwrap like the tests that they serve.
#[cfg(test)]
mod alike;
#[cfg(test)]
#[path = "../../../shell-sync/tests/support/disk.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod disk;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod pipelines;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
