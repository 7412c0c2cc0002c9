//! Time as an argument: the core never reads a clock, the shell hands it a [`Now`] with every fact.

use std::time::Duration;

/// A point on the shell's monotonic clock, in nanoseconds since an origin of the shell's choosing. Deadlines live here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// The point `after` later; saturates.
    pub fn plus(self, after: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Wall-clock time in nanoseconds since the Unix epoch. `at_ms` of events and the times in logs come from here; it may step back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub i64);

impl Wall {
    /// From milliseconds since the Unix epoch; saturates.
    pub fn from_ms(ms: i64) -> Wall {
        Wall(ms.saturating_mul(1_000_000))
    }

    /// Whole milliseconds since the Unix epoch, rounded down: the wire's `at_ms`.
    pub fn ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

/// Both clocks, read together by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For what is recorded.
    pub wall: Wall,
}

/// A duration for people: `250ms`, `1.5s`, `12s`, `1m02s`, `2h05m`.
pub fn shown(duration: Duration) -> String {
    let ms = duration.as_millis();
    let s = duration.as_secs();
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 if !ms.is_multiple_of(1_000) => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        1_000..60_000 => format!("{s}s"),
        60_000..3_600_000 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
    }
}
