//! The time of an entry: RFC 3339, UTC, always nine fraction digits and `Z`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::time::Wall;

/// Bytes of a formatted time.
pub(super) const LEN: usize = "2026-11-22T02:13:04.123456789Z".len();

/// Formats a time. Every [`Wall`] lies between the years 1677 and 2262.
pub(super) fn format(at: Wall) -> [u8; LEN] {
    let time = Timestamp::from_nanosecond(i128::from(at.0)).expect("64 bits of nanoseconds are within jiff's range");
    let time = Offset::UTC.to_datetime(time);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let mut put = |end: usize, digits: usize, value: u32| {
        let mut value = value;
        for byte in text[end - digits..end].iter_mut().rev() {
            *byte = b'0' + u8::try_from(value % 10).expect("one digit");
            value /= 10;
        }
    };
    put(4, 4, u32::from(time.year().unsigned_abs()));
    put(7, 2, u32::from(time.month().unsigned_abs()));
    put(10, 2, u32::from(time.day().unsigned_abs()));
    put(13, 2, u32::from(time.hour().unsigned_abs()));
    put(16, 2, u32::from(time.minute().unsigned_abs()));
    put(19, 2, u32::from(time.second().unsigned_abs()));
    put(29, 9, time.subsec_nanosecond().unsigned_abs());
    text
}

/// Parses what [`format`] gives, and nothing else; `None` for any other text and for times that a [`Wall`] cannot hold.
pub(super) fn parse(text: &[u8; LEN]) -> Option<Wall> {
    const SHAPE: &[u8; LEN] = b"0000-00-00T00:00:00.000000000Z";
    let shaped = text.iter().zip(SHAPE).all(|(&c, &want)| if want == b'0' { c.is_ascii_digit() } else { c == want });
    if !shaped {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].iter().fold(0i32, |n, &c| n * 10 + i32::from(c - b'0'));
    let small = |from: usize, to: usize| i8::try_from(number(from, to)).ok();
    let time = DateTime::new(
        i16::try_from(number(0, 4)).ok()?,
        small(5, 7)?,
        small(8, 10)?,
        small(11, 13)?,
        small(14, 16)?,
        small(17, 19)?,
        number(20, 29),
    )
    .ok()?;
    let time = Offset::UTC.to_timestamp(time).ok()?;
    i64::try_from(time.as_nanosecond()).ok().map(Wall)
}

/// Reads the times of entries that follow each other: of most, the second is that of the entry before.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    /// The latest second that is a [`Wall`] from its first nanosecond to its last: as text up to the point, and its first one.
    second: Option<([u8; SECOND], i64)>,
}

/// Bytes of a formatted time before its fraction.
const SECOND: usize = "2026-11-22T02:13:04.".len();

impl Times {
    /// As [`parse`], and quicker.
    #[inline]
    pub(super) fn parse(&mut self, text: &[u8; LEN]) -> Option<Wall> {
        let (second, fraction) = text.split_first_chunk::<SECOND>()?;
        let Some((latest, begin)) = &self.second else { return self.keep(text, second) };
        if latest != second {
            return self.keep(text, second);
        }
        let (zone, digits) = fraction.split_last()?;
        let (mut nanoseconds, mut wrong) = (0i64, *zone != b'Z');
        for digit in digits {
            wrong |= !digit.is_ascii_digit();
            nanoseconds = nanoseconds * 10 + i64::from(digit & 0x0f);
        }
        (!wrong).then_some(Wall(begin + nanoseconds))
    }

    fn keep(&mut self, text: &[u8; LEN], second: &[u8; SECOND]) -> Option<Wall> {
        let at = parse(text)?;
        let begin = at.0.checked_sub(at.0.rem_euclid(1_000_000_000));
        let whole = begin.filter(|begin| begin.checked_add(999_999_999).is_some());
        self.second = whole.map(|begin| (*second, begin));
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    #[test]
    fn known_times() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (1_795_313_584_123_456_789, "2026-11-22T02:13:04.123456789Z"),
            (1_709_164_800_000_000_007, "2024-02-29T00:00:00.000000007Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ] {
            let formatted = format(Wall(at));
            assert_eq!(String::from_utf8_lossy(&formatted), text);
            assert_eq!(parse(&formatted), Some(Wall(at)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "2026-11-22t02:13:04.123456789Z",
            "2026-11-22T02:13:04.123456789z",
            "2026-11-22 02:13:04.123456789Z",
            "2026-11-22T02:13:04,123456789Z",
            "2026-13-22T02:13:04.123456789Z",
            "2026-02-29T02:13:04.123456789Z",
            "2026-11-22T24:13:04.123456789Z",
            "2026-11-22T02:13:60.123456789Z",
            "2026-11-22T02:13:04.12345678 Z",
            "2262-04-11T23:47:16.854775808Z",
            "9999-11-22T02:13:04.123456789Z",
            "+026-11-22T02:13:04.123456789Z",
        ] {
            assert_eq!(parse(text.as_bytes().try_into().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_alike_with_a_memory() {
        let mut times = Times::default();
        for text in [
            "2026-11-22T02:13:04.123456789Z",
            "2026-11-22T02:13:04.000000000Z",
            "2026-11-22T02:13:04.999999999Z",
            "2026-11-22T02:13:04.12345678:Z",
            "2026-11-22T02:13:04.1234567 9Z",
            "2026-11-22T02:13:04.123456789z",
            "2026-11-22T02:13:05.000000001Z",
            "2026-02-29T02:13:05.000000001Z",
            "1969-12-31T23:59:59.999999999Z",
            "1969-12-31T23:59:59.000000001Z",
            "2262-04-11T23:47:16.854775807Z",
            "2262-04-11T23:47:16.854775808Z",
            "1677-09-21T00:12:43.145224192Z",
            "1677-09-21T00:12:43.145224191Z",
            "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00000000000Z",
        ] {
            let text = text.as_bytes().try_into().unwrap();
            assert_eq!(times.parse(text), parse(text), "{}", String::from_utf8_lossy(text));
        }
    }

    quickcheck! {
        fn times_near_each_other_are_read_alike(at: i64, steps: Vec<i32>) -> bool {
            let mut times = Times::default();
            steps.iter().all(|step| {
                let at = Wall(at.saturating_add(i64::from(*step)));
                times.parse(&format(at)) == Some(at)
            })
        }

        fn every_time_comes_back(at: i64) -> bool {
            parse(&format(Wall(at))) == Some(Wall(at))
        }
    }
}
