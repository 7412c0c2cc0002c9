//! The world's two clocks. Time passes only where the world says so.

use quire_core::time::{Mono, Now, Wall};

/// A monotonic clock in whole milliseconds from 0, and a wall clock that may step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    ms: u64,
    /// Wall clock less monotonic clock, in milliseconds.
    wall_ms: i64,
}

impl Clock {
    /// At 0 on the monotonic clock and at this many Unix milliseconds on the other.
    pub fn starting_at(wall_ms: i64) -> Clock {
        Clock { ms: 0, wall_ms }
    }

    /// The monotonic clock, in milliseconds.
    pub fn ms(&self) -> u64 {
        self.ms
    }

    /// Both clocks, as a shell reads them.
    pub fn now(&self) -> Now {
        let wall_ms = i64::try_from(self.ms).unwrap_or(i64::MAX).saturating_add(self.wall_ms);
        Now { mono: Mono(self.ms.saturating_mul(1_000_000)), wall: Wall::from_ms(wall_ms) }
    }

    /// It is at least this late, on the monotonic clock.
    pub fn pass_to(&mut self, ms: u64) {
        self.ms = self.ms.max(ms);
    }

    /// So many milliseconds pass.
    pub fn pass(&mut self, ms: u64) {
        self.ms = self.ms.saturating_add(ms);
    }

    /// Somebody sets the wall clock so many milliseconds forward, or back.
    pub fn step_wall(&mut self, by_ms: i64) {
        self.wall_ms = self.wall_ms.saturating_add(by_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wall_clock_steps_back() {
        let mut clock = Clock::starting_at(1_000);
        clock.pass(5);
        clock.pass_to(3);
        clock.step_wall(-500);
        assert_eq!(clock.now(), Now { mono: Mono(5_000_000), wall: Wall::from_ms(505) });
    }
}
