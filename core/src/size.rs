//! Sizes as people write them.

/// A size in bytes: digits, then nothing or a unit in either case: k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (of 1024), with
/// or without a B.
///
/// # Errors
/// It is none, or more than 64 bits hold: what to write.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of bytes, or one with K, M, G or T: 500M".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match unit.strip_suffix('i') {
        Some(prefix) => (prefix, 1024u64),
        None => (unit, 1000),
    };
    let power = match prefix {
        "" if base == 1000 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    number.checked_mul(base.pow(power)).ok_or_else(wrong)
}

/// Bytes for people, in powers of 1000; cut, never rounded up: `1.2 GB`.
pub fn shown(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) => match bytes % unit / (unit / 10) {
            0 => format!("{} {name}", bytes / unit),
            tenths => format!("{}.{tenths} {name}", bytes / unit),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("12", 12),
            ("1K", 1000),
            ("500M", 500_000_000),
            ("2GiB", 2 << 30),
            ("3kb", 3000),
            ("1Ki", 1024),
            ("7B", 7),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "1X", "1i", "1iB", "1BB", "-1", "1.5G", "99999999999999999999", "99999999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
