//! HTTP ranges (RFC 9110, section 14): one range of bytes.

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All: there is no range, or one that a server may ignore (several, another unit, malformed).
    Whole,
    /// From the first to the last of these bytes, both included.
    Part { first: u64, last: u64 },
    /// Bytes that are not there.
    Nothing,
}

/// Reads a `Range` header for something of `len` bytes.
pub(super) fn wanted(header: Option<&str>, len: u64) -> Wanted {
    let Some(range) = header.and_then(single) else { return Wanted::Whole };
    let (first, last) = match range {
        // The last so many bytes.
        (None, Some(0)) => return Wanted::Nothing,
        (None, Some(count)) => (len.saturating_sub(count), u64::MAX),
        (Some(first), last) => (first, last.unwrap_or(u64::MAX)),
        (None, None) => return Wanted::Whole,
    };
    match (first < len, last < first) {
        (_, true) => Wanted::Whole,
        (false, _) => Wanted::Nothing,
        (true, false) => Wanted::Part { first, last: last.min(len - 1) },
    }
}

/// The two numbers of `bytes=first-last`, either of which may be missing.
fn single(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some((number(first)?, number(last)?))
}

/// Nothing, or a number; one that is too large for us is beyond every end.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, want) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-", part(0, 9)),
            ("bytes=3-5", part(3, 5)),
            ("bytes=9-9", part(9, 9)),
            ("bytes=9-99", part(9, 9)),
            ("bytes=9-99999999999999999999999", part(9, 9)),
            ("Bytes = 3-5", part(3, 5)),
            ("bytes=-1", part(9, 9)),
            ("bytes=-10", part(0, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=5-3", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), want, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::Nothing);
    }
}
