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

/// The longest time that [`parse`] reads, and that a pipeline may ask for; not included.
const MOST_SECONDS: f64 = 1e9;

/// A time as pipelines and configurations write it: `90s`, `10m`, `1h30m`, `500ms`, `90d`. `None`: it is none, it is nothing, or
/// it is 1e9 seconds or more.
pub fn parse(text: &str) -> Option<Duration> {
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = behind;
    }
    from_seconds(seconds)
}

/// So many seconds; `None` where that is nothing, less than nothing, or 1e9 or more.
pub fn from_seconds(seconds: f64) -> Option<Duration> {
    if seconds > 0.0 && seconds < MOST_SECONDS { Duration::try_from_secs_f64(seconds).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, ms) in [
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("90d", 7_776_000_000),
            ("1m1m", 120_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "m", "10 m", "1x", "-1s", "0s", "1..5s", ".5s", "1e3s", "20000d", "10m ", "10M", "1sé"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        fn property(text: String) -> bool {
            parse(&text).is_none_or(|time| time > Duration::ZERO)
        }
        quickcheck::quickcheck(property as fn(String) -> bool);
    }
}
