//! The machine's clocks.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quire_core::time::{Mono, Now, Wall};

/// Reads both clocks.
pub fn now() -> Now {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let mono = ORIGIN.get_or_init(Instant::now).elapsed();
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
    };
    Now { mono: Mono(u64::try_from(mono.as_nanos()).unwrap_or(u64::MAX)), wall: Wall(wall) }
}
