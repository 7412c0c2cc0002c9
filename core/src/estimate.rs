//! How long something that goes on will still take, by how long it took before: a run by its ref's runs, a job by its own.

/// How many of the newest durations count: few, so that an estimate follows a pipeline that changed.
const LOOKED_AT: usize = 5;

/// What is to be expected of something that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// How long all of it takes, milliseconds.
    pub total_ms: i64,
    /// How much of that is left, milliseconds; 0 where it is overdue.
    pub left_ms: i64,
    /// Whether it goes on for longer than `total_ms`.
    pub is_overdue: bool,
}

/// From `durations_ms` of those that completed, newest first (of which five count), and since when this one goes on.
/// `None` where none has completed.
///
/// The median, not the mean: one run with a cold cache or a busy machine takes many times as long, and one that found nothing
/// to do takes no time; neither says anything of the next. Of an even count the longer of the two in the middle: to be done
/// early disappoints nobody. Negative times, of a clock that stepped back, count as none.
pub fn estimate(durations_ms: &[i64], elapsed_ms: i64) -> Option<Estimate> {
    let mut newest: Vec<i64> = durations_ms.iter().take(LOOKED_AT).map(|ms| (*ms).max(0)).collect();
    newest.sort_unstable();
    let total_ms = *newest.get(newest.len() / 2)?;
    let left_ms = total_ms.saturating_sub(elapsed_ms.max(0));
    Some(Estimate { total_ms, left_ms: left_ms.max(0), is_overdue: left_ms < 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_newest_five() {
        let some = |total_ms, left_ms, is_overdue| Some(Estimate { total_ms, left_ms, is_overdue });
        for (durations, elapsed, expected) in [
            (&[][..], 0, None),
            (&[10], 4, some(10, 6, false)),
            (&[10], 10, some(10, 0, false)),
            (&[10], 11, some(10, 0, true)),
            (&[10, 20], 0, some(20, 20, false)),
            (&[10, 900, 12], 0, some(12, 12, false)),
            (&[30, 10, 50, 20, 40, 1, 1, 1, 1], 5, some(30, 25, false)),
            (&[-5], 0, some(0, 0, false)),
            (&[10], -7, some(10, 10, false)),
            (&[i64::MAX], i64::MIN, some(i64::MAX, i64::MAX, false)),
            (&[i64::MIN], i64::MAX, some(0, 0, true)),
        ] {
            assert_eq!(estimate(durations, elapsed), expected, "{durations:?} {elapsed}");
        }
    }

    #[test]
    fn an_estimate_is_a_duration_that_was_and_what_is_left_of_it() {
        fn property(durations: Vec<i64>, elapsed: i64) -> bool {
            let clamped: Vec<i64> = durations.iter().take(5).map(|ms| (*ms).max(0)).collect();
            match estimate(&durations, elapsed) {
                None => durations.is_empty(),
                Some(found) => {
                    let below = clamped.iter().filter(|ms| **ms < found.total_ms).count();
                    let above = clamped.iter().filter(|ms| **ms > found.total_ms).count();
                    clamped.contains(&found.total_ms)
                        && 2 * below <= clamped.len()
                        && 2 * above < clamped.len()
                        && (0..=found.total_ms).contains(&found.left_ms)
                        && found.is_overdue == (elapsed > found.total_ms)
                }
            }
        }
        quickcheck::quickcheck(property as fn(Vec<i64>, i64) -> bool);
    }
}
