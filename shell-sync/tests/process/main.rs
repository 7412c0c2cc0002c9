//! The event loop with real processes, driven by a scripted machine in the engine's place.

// Marked as tests so that helpers may unwrap like the tests that they serve.
#[cfg(test)]
mod commands;
#[cfg(test)]
mod record;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sweeping;
