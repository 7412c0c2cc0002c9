//! When a run is killed, and where that turned out to be.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A number from which everything random of one kill follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The next number of its sequence, below `bound` (splitmix64).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn micros(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from + self.below(to - from))
    }
}

/// When to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long after the start.
    After(Duration),
    /// Once the record has so many events, and then so long.
    Events(usize, Duration),
    /// Once the last job has begun, and then so long.
    Last(Duration),
    /// Once the record has its `run_finished`, and then so long.
    Finished(Duration),
    /// So long after a command of the long run began: lines that are older than half a second are there.
    Long(Duration),
}

impl Moment {
    /// The moment that follows from a seed: start-up, the middle by time and by events, the end, and long runs take turns.
    pub fn of(seed: &mut Seed) -> Moment {
        match seed.below(10) {
            0..=2 => Moment::After(seed.micros(0, 30_000)),
            3 => Moment::After(seed.micros(30_000, 500_000)),
            4 | 5 => {
                let events = 1 + seed.below(60);
                Moment::Events(usize::try_from(events).unwrap(), seed.micros(0, 5_000))
            }
            6 => Moment::Last(seed.micros(0, 60_000)),
            7 | 8 => Moment::Finished(seed.micros(0, 900)),
            _ => Moment::Long(seed.micros(550_000, 900_000)),
        }
    }

    /// Whether it falls into the start of a run.
    pub fn is_early(self) -> bool {
        matches!(self, Moment::After(delay) if delay < Duration::from_millis(30))
    }

    /// Whether it is a long run that is killed.
    pub fn is_long(self) -> bool {
        matches!(self, Moment::Long(_))
    }
}

/// How far a run had come when it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No run directory yet.
    Unborn,
    /// A run directory, and no event.
    Silent,
    /// Events, and no command yet.
    Begun,
    /// This many commands open.
    Running(usize),
    /// Some commands have ended, none is open.
    Between,
    /// `run_finished` is recorded.
    Recorded,
    /// It had ended by itself.
    Over,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Unborn => f.write_str("before the run directory"),
            Phase::Silent => f.write_str("before run_started"),
            Phase::Begun => f.write_str("before the first command"),
            Phase::Running(1) => f.write_str("with one command open"),
            Phase::Running(2 | 3) => f.write_str("with two or three commands open"),
            Phase::Running(_) => f.write_str("with four or more commands open"),
            Phase::Between => f.write_str("between commands"),
            Phase::Recorded => f.write_str("after run_finished, before the exit"),
            Phase::Over => f.write_str("after the exit"),
        }
    }
}

/// How kills were spread over the phases of a run, and what was looked at.
#[derive(Debug, Default)]
pub struct Tally {
    phases: BTreeMap<String, u32>,
    pub events: usize,
    pub commands: usize,
    pub logs: usize,
    pub old_lines: u64,
    pub torn_events: usize,
    pub torn_logs: usize,
    pub left_running: usize,
    pub late: Duration,
}

impl Tally {
    pub fn count(&mut self, phase: Phase) {
        *self.phases.entry(phase.to_string()).or_default() += 1;
    }

    pub fn merge(&mut self, other: Tally) {
        for (phase, count) in other.phases {
            *self.phases.entry(phase).or_default() += count;
        }
        self.events += other.events;
        self.commands += other.commands;
        self.logs += other.logs;
        self.old_lines += other.old_lines;
        self.torn_events += other.torn_events;
        self.torn_logs += other.torn_logs;
        self.left_running += other.left_running;
        self.late = self.late.max(other.late);
    }

    /// How many kills hit a run before its end.
    pub fn hits(&self) -> u32 {
        self.phases.iter().filter(|(phase, _)| **phase != Phase::Over.to_string()).map(|(_, count)| count).sum()
    }
}
