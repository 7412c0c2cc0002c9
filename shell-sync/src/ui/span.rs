//! Spans of time in words: durations as `0.2s`, `12.3s`, `1m02s`, `3h05m`; ages as `3m ago`.

/// A duration in milliseconds; negative ones (a clock stepped back) are zero.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let tenths = ms.saturating_add(50) / 100;
    if tenths < 600 {
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    whole(ms.saturating_add(500) / 1000)
}

/// A duration that goes on: whole seconds, rounded down, so that it changes once a second.
pub fn elapsed(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    if seconds < 60 { format!("{seconds}s") } else { whole(seconds) }
}

/// How long ago something was, in one unit.
pub fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (count, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3600 => (seconds / 60, "m"),
        3600..86_400 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{count}{unit} ago")
}

fn whole(seconds: i64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    if minutes < 60 { format!("{minutes}m{seconds:02}s") } else { format!("{}h{:02}m", minutes / 60, minutes % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (ms, text) in [
            (-5, "0.0s"),
            (0, "0.0s"),
            (49, "0.0s"),
            (200, "0.2s"),
            (12_345, "12.3s"),
            (59_949, "59.9s"),
            (59_950, "1m00s"),
            (62_000, "1m02s"),
            (3_599_499, "59m59s"),
            (3_599_500, "1h00m"),
            (11_100_000, "3h05m"),
            (i64::MAX, "2562047788015h12m"),
        ] {
            assert_eq!(duration(ms), text, "{ms}");
        }
    }

    #[test]
    fn what_goes_on() {
        for (ms, text) in [(-1, "0s"), (999, "0s"), (59_999, "59s"), (60_000, "1m00s"), (3_600_000, "1h00m")] {
            assert_eq!(elapsed(ms), text, "{ms}");
        }
    }

    #[test]
    fn ages() {
        for (ms, text) in [(-1, "0s ago"), (59_999, "59s ago"), (200_000, "3m ago"), (7_300_000, "2h ago")] {
            assert_eq!(age(ms), text, "{ms}");
        }
        assert_eq!(age(3 * 86_400_000), "3d ago");
    }
}
