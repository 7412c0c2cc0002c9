//! The ways in which tools write a byte string: each function adds every form that its encoding knows.

use std::collections::BTreeSet;

/// Forms found so far.
pub(super) type Forms = BTreeSet<Vec<u8>>;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Shortest part of a wrapped encoding that is a form: as for the lines of a secret.
const WRAPPED_MIN: usize = super::forms::LINE_MIN;

/// base64 and base64url with 0, 1 or 2 bytes before the secret in its group of three: the characters that it alone determines,
/// and, where it ends the data, also the last character with and without padding. Wrapped as `base64` (76) and PEM (64) do it.
pub(super) fn base64(bytes: &[u8], forms: &mut Forms) {
    for alphabet in [BASE64, BASE64_URL] {
        for shift in 0..3 {
            let mut data = vec![0; shift];
            data.extend_from_slice(bytes);
            let mut text = base64_digits(&data, alphabet);
            let (from, to) = ((8 * shift).div_ceil(6), 8 * data.len() / 6);
            forms.insert(text[from..to].to_vec());
            forms.insert(text[from..].to_vec());
            text.resize(text.len().next_multiple_of(4), b'=');
            forms.insert(text[from..].to_vec());
            for width in [64, 76] {
                if shift == 0 && text.len() > width {
                    let lines = text.chunks(width).filter(|line| line.len() >= WRAPPED_MIN);
                    forms.extend(lines.map(<[u8]>::to_vec));
                }
            }
        }
    }
}

/// Unpadded digits, the last one filled up with zero bits.
fn base64_digits(data: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let group = |three: &[u8]| {
        let bits = [16, 8, 0].iter().zip(three).fold(0u32, |bits, (shift, &byte)| bits | u32::from(byte) << shift);
        let digits = [18, 12, 6, 0].map(|shift| alphabet[(bits >> shift & 63) as usize]);
        digits.into_iter().take(three.len() + 1)
    };
    data.chunks(3).flat_map(group).collect()
}

/// Hexadecimal in both cases.
pub(super) fn hex(bytes: &[u8], forms: &mut Forms) {
    for digits in [LOWER, UPPER] {
        forms.insert(bytes.iter().flat_map(|&byte| hex_pair(byte, digits)).collect());
    }
}

fn hex_pair(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// Percent-encoding in both cases, by what the common encoders leave as it is; spaces of forms as `+`.
pub(super) fn percent(bytes: &[u8], forms: &mut Forms) {
    const KEPT: [&[u8]; 6] = [
        b"-_.!~*'()",            // encodeURIComponent
        b"-_.~",                 // RFC 3986
        b"-_.~/",                // a path
        b"-_.!~*'();/?:@&=+$,#", // encodeURI
        b"-_.*",                 // URLSearchParams
        b"-_.",
    ];
    for digits in [LOWER, UPPER] {
        for kept in KEPT {
            for space in [&b"%20"[..], b"+"] {
                let mut text = Vec::with_capacity(3 * bytes.len());
                for &byte in bytes {
                    match byte {
                        b' ' => text.extend_from_slice(space),
                        _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => text.push(byte),
                        _ => {
                            text.push(b'%');
                            text.extend_from_slice(&hex_pair(byte, digits));
                        }
                    }
                }
                forms.insert(text);
            }
        }
    }
}

/// The inside of a JSON string: with and without `\/`, with non-ASCII characters as they are or as `\uXXXX` in both cases, with
/// the characters as `\u00XX` that HTML-safe encoders write so.
pub(super) fn json(bytes: &[u8], forms: &mut Forms) {
    const AS_NUMBERS: [&[u8]; 3] = [b"", b"<>&", b"<>&'\"+`"];
    for digits in [LOWER, UPPER] {
        for as_numbers in AS_NUMBERS {
            for slash in [&b"/"[..], b"\\/"] {
                let ascii = |byte: u8, text: &mut Vec<u8>| match byte {
                    _ if as_numbers.contains(&byte) => unicode_escape(u16::from(byte), digits, text),
                    b'"' => text.extend_from_slice(b"\\\""),
                    b'\\' => text.extend_from_slice(b"\\\\"),
                    b'/' => text.extend_from_slice(slash),
                    b'\n' => text.extend_from_slice(b"\\n"),
                    b'\r' => text.extend_from_slice(b"\\r"),
                    b'\t' => text.extend_from_slice(b"\\t"),
                    8 => text.extend_from_slice(b"\\b"),
                    12 => text.extend_from_slice(b"\\f"),
                    0..32 => unicode_escape(u16::from(byte), digits, text),
                    _ => text.push(byte),
                };
                let mut text = Vec::new();
                bytes.iter().for_each(|&byte| ascii(byte, &mut text));
                forms.insert(text);
                if let Ok(string) = std::str::from_utf8(bytes) {
                    let mut text = Vec::new();
                    for c in string.chars() {
                        match u8::try_from(c) {
                            Ok(byte) if byte < 0x7f => ascii(byte, &mut text),
                            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|&u| unicode_escape(u, digits, &mut text)),
                        }
                    }
                    forms.insert(text);
                }
            }
        }
    }
}

fn unicode_escape(unit: u16, digits: &[u8; 16], text: &mut Vec<u8>) {
    text.extend_from_slice(b"\\u");
    for byte in unit.to_be_bytes() {
        text.extend_from_slice(&hex_pair(byte, digits));
    }
}

/// Shell quoting, without the quotes around it: `'it'\''s'`, `'it'"'"'s'`, `"…"` and bare with backslashes, `$'…'`.
pub(super) fn shell(bytes: &[u8], forms: &mut Forms) {
    let escaped = |escape: &dyn Fn(u8, &mut Vec<u8>)| {
        let mut text = Vec::with_capacity(2 * bytes.len());
        bytes.iter().for_each(|&byte| escape(byte, &mut text));
        text
    };
    let replacing = |special: u8, by: &[u8]| {
        escaped(&|byte, text| if byte == special { text.extend_from_slice(by) } else { text.push(byte) })
    };
    let backslashed = |special: &[u8]| {
        escaped(&|byte, text| {
            if special.contains(&byte) {
                text.push(b'\\');
            }
            text.push(byte);
        })
    };
    forms.insert(replacing(b'\'', br"'\''"));
    forms.insert(replacing(b'\'', br#"'"'"'"#));
    forms.insert(backslashed(br#"$`"\"#));
    forms.insert(backslashed(br#"$`"\!"#));
    // As `printf %q` writes: every character that means something to a shell, the comma of brace expansion included.
    forms.insert(backslashed(b" \t!\"#$&'()*,;<>?[\\]^`{|}~"));
    forms.insert(backslashed(b" \t!\"$&'()*,;<>?[\\]^`{|}"));
    for non_ascii_as_octal in [false, true] {
        forms.insert(escaped(&|byte, text| match byte {
            7..=13 => text.extend_from_slice(&[b'\\', b"abtnvfr"[usize::from(byte - 7)]]),
            0x1b => text.extend_from_slice(b"\\E"),
            b'\'' | b'\\' => text.extend_from_slice(&[b'\\', byte]),
            0x80.. if !non_ascii_as_octal => text.push(byte),
            0..32 | 0x7f.. => text.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => text.push(byte),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encode: fn(&[u8], &mut Forms), bytes: &str, expected: &[&str]) {
        let mut forms = Forms::new();
        encode(bytes.as_bytes(), &mut forms);
        for form in expected {
            let found: Vec<_> = forms.iter().map(|form| String::from_utf8_lossy(form)).collect();
            assert!(forms.contains(form.as_bytes()), "{form} is not in {found:?}");
        }
    }

    #[test]
    fn base64_at_three_shifts() {
        // `secret!` alone, after one byte, after two: what stays the same whatever that byte is, and what ends the data.
        check(base64, "secret!", &["c2VjcmV0I", "c2VjcmV0IQ", "c2VjcmV0IQ=="]);
        check(base64, "secret!", &["NlY3JldC", "NlY3JldCE", "NlY3JldCE="]);
        check(base64, "secret!", &["zZWNyZXQh"]);
        check(base64, "??>>??", &["Pz8+Pj8/", "Pz8-Pj8_"]);
    }

    #[test]
    fn long_base64_is_wrapped() {
        let wrapped = "eHh4".repeat(19);
        check(base64, &"x".repeat(66), &[&wrapped, &"eHh4".repeat(16), "eHh4eHh4eHh4"]);
    }

    #[test]
    fn hex_in_both_cases() {
        check(hex, "k\n/~", &["6b0a2f7e", "6B0A2F7E"]);
    }

    #[test]
    fn percent_as_encoders_differ() {
        let secret = "a b+c/d*e'(~ä";
        check(percent, secret, &["a%20b%2Bc%2Fd*e'(~%C3%A4", "a%20b%2bc%2fd*e'(~%c3%a4"]); // encodeURIComponent
        check(percent, secret, &["a%20b%2Bc%2Fd%2Ae%27%28~%C3%A4"]); // RFC 3986
        check(percent, secret, &["a%20b%2Bc/d%2Ae%27%28~%C3%A4"]); // a path
        check(percent, secret, &["a%20b+c/d*e'(~%C3%A4"]); // encodeURI
        check(percent, secret, &["a+b%2Bc%2Fd*e%27%28%7E%C3%A4"]); // URLSearchParams
    }

    #[test]
    fn json_as_encoders_differ() {
        let secret = "a\"b\\c/d\n<é🦀\u{1f}";
        check(json, secret, &["a\\\"b\\\\c/d\\n<é🦀\\u001f", "a\\\"b\\\\c\\/d\\n<é🦀\\u001F"]);
        check(json, secret, &["a\\\"b\\\\c/d\\n<\\u00e9\\ud83e\\udd80\\u001f"]);
        check(json, secret, &["a\\\"b\\\\c\\/d\\n<\\u00e9\\ud83e\\udd80\\u001f"]);
        check(json, secret, &["a\\\"b\\\\c/d\\n\\u003cé🦀\\u001f"]);
        check(json, secret, &["a\\u0022b\\\\c/d\\n\\u003C\\u00E9\\uD83E\\uDD80\\u001F"]);
    }

    #[test]
    fn shells_quote_in_many_ways() {
        let secret = "it's $5 \\o/\n";
        check(shell, secret, &["it'\\''s $5 \\o/\n", "it'\"'\"'s $5 \\o/\n", "it's \\$5 \\\\o/\n"]);
        check(shell, secret, &["it\\'s\\ \\$5\\ \\\\o/\n", "it\\'s $5 \\\\o/\\n"]);
        check(shell, "ä\x07'\x01", &["ä\\a\\'\\001", "\\303\\244\\a\\'\\001"]);
        check(shell, "a#b~c!d", &["a\\#b\\~c\\!d", "a#b~c\\!d"]);
    }
}
