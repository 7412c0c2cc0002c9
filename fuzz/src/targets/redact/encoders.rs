//! Encoders and decoders of our own, written from the formats and not from the product.

/// Spellings that [`spell`] knows.
pub(super) const SPELLINGS: usize = 16;
/// The spelling that is the longest line of a secret, as it is.
pub(super) const LONGEST_LINE: usize = 15;

/// Fewest bytes of a form.
const FORM_MIN: usize = 4;
/// Fewest bytes of a line of a secret that is one by itself, and of a line of wrapped base64.
const LINE_MIN: usize = 8;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A secret between other bytes, as some program writes it.
pub(super) fn spell(spelling: usize, before: &[u8], secret: &[u8], behind: &[u8]) -> Vec<u8> {
    let all = [before, secret, behind].concat();
    match spelling % SPELLINGS {
        0..=4 => all,
        5 => base64(&all, BASE64, true),
        6 => base64(&all, BASE64_URL, false),
        7 => all.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        8 => all.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect(),
        9 => percent(&all, b"-_.~"),
        10 => percent(&all, b"-_.!~*'()"),
        11 => json(&all),
        12 => replaced(&all, |byte| if byte == b'\'' { Some(br"'\''".to_vec()) } else { None }),
        13 => replaced(&all, |byte| br#"$`"\"#.contains(&byte).then(|| vec![b'\\', byte])),
        14 => base64(&all, BASE64, true).chunks(76).collect::<Vec<_>>().join(&b'\n'),
        _ => all.split(|byte| *byte == b'\n').max_by_key(|line| line.len()).unwrap_or_default().to_vec(),
    }
}

/// A secret as it is masked: line ends at its end are no part of it.
pub(super) fn without_line_ends(secret: &[u8]) -> &[u8] {
    let end = secret.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    &secret[..end]
}

fn replaced(bytes: &[u8], by: impl Fn(u8) -> Option<Vec<u8>>) -> Vec<u8> {
    bytes.iter().flat_map(|byte| by(*byte).unwrap_or_else(|| vec![*byte])).collect()
}

fn percent(bytes: &[u8], kept: &[u8]) -> Vec<u8> {
    replaced(bytes, |byte| {
        let stays = byte.is_ascii_alphanumeric() || kept.contains(&byte);
        (!stays).then(|| format!("%{byte:02X}").into_bytes())
    })
}

/// The inside of a JSON string; what is no UTF-8 stays as it is.
fn json(bytes: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    let quoted = serde_json::Value::from(text).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

fn base64(bytes: &[u8], alphabet: &[u8; 64], padded: bool) -> Vec<u8> {
    let (mut text, mut bits, mut known) = (Vec::new(), 0_u32, 0);
    let digit = |bits: u32| alphabet[(bits & 63) as usize];
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        known += 8;
        while known >= 6 {
            known -= 6;
            text.push(digit(bits >> known));
        }
    }
    if known > 0 {
        text.push(digit(bits << (6 - known)));
    }
    while padded && text.len() % 4 != 0 {
        text.push(b'=');
    }
    text
}

/// Every form can be read back, in one of the ways that there are, to the secret or a line of it; base64 and hex, which may stand
/// within other data, to a part of it that no bytes around it change.
pub(super) fn check_forms(secrets: &[Vec<u8>], forms: &[Vec<u8>]) {
    let mut meant: Vec<&[u8]> = Vec::new();
    for secret in secrets {
        let text = without_line_ends(secret);
        meant.extend([secret.as_slice(), text]);
        let lines = text.split(|byte| *byte == b'\n').map(without_line_ends).filter(|_| text.contains(&b'\n'));
        meant.extend(lines.flat_map(|line| [line, line.trim_ascii()]).filter(|line| line.len() >= LINE_MIN));
    }
    let base64: Vec<[Vec<u8>; 2]> = meant.iter().flat_map(|secret| base64_around(secret)).collect();
    let with_spaces: Vec<Vec<u8>> = meant.iter().map(|secret| plus_as_space(secret)).collect();
    for form in forms {
        assert!(form.len() >= FORM_MIN, "a form of {} bytes", form.len());
        let is_meant = |bytes: &[u8]| meant.contains(&bytes);
        let read_back = is_meant(form)
            || [unhex, unpercent, unjson, unsingle, unbackslash, undollar]
                .into_iter()
                .any(|read| is_meant(&read(form)))
            || with_spaces.contains(&plus_as_space(&unpercent(form)))
            || base64.iter().any(|pair| pair.iter().all(|text| holds(text, form)));
        assert!(read_back, "a form that is none: {}", form.escape_ascii());
    }
}

fn unhex(text: &[u8]) -> Vec<u8> {
    text.chunks(2).map_while(hex_byte).collect()
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()
}

fn unpercent(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((first, after)) = rest.split_first() {
        let byte = after.get(..2).filter(|_| *first == b'%').and_then(hex_byte);
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    out
}

/// A form's `+` is a space or itself.
fn plus_as_space(text: &[u8]) -> Vec<u8> {
    replaced(text, |byte| (byte == b'+').then(|| vec![b' ']))
}

fn unjson(text: &[u8]) -> Vec<u8> {
    // Bytes that are no UTF-8 cannot be in JSON, but programs write them: one character each, and back.
    let latin: String = text.iter().map(|byte| char::from(*byte)).collect();
    let read = |text: &str| serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
    if let Some(read) = std::str::from_utf8(text).ok().and_then(read) {
        return read.into_bytes();
    }
    let raw: Option<Vec<u8>> = read(&latin).and_then(|text| text.chars().map(|c| u8::try_from(c).ok()).collect());
    raw.unwrap_or_default()
}

/// What a shell makes of the inside of single quotes: `'\''` and `'"'"'` are one.
fn unsingle(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((first, after)) = rest.split_first() {
        let behind = [&br"'\''"[..], br#"'"'"'"#].into_iter().find_map(|quote| rest.strip_prefix(quote));
        out.push(*first);
        rest = behind.unwrap_or(after);
    }
    out
}

/// What a shell makes of it outside of quotes, and inside of double ones.
fn unbackslash(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.split_first().filter(|_| *first == b'\\');
        let (byte, behind) = escaped.unwrap_or((first, after));
        out.push(*byte);
        rest = behind;
    }
    out
}

/// `$'…'`.
fn undollar(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let Some((second, behind)) = after.split_first().filter(|_| *first == b'\\') else {
            out.push(*first);
            continue;
        };
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let named = b"abtnvfrE".iter().position(|name| name == second).map(|at| b"\x07\x08\t\n\x0b\x0c\r\x1b"[at]);
        (rest, _) = match octal {
            Some(byte) => (&after[3..], out.push(byte)),
            None => (behind, out.push(named.unwrap_or(*second))),
        };
    }
    out
}

/// What is in base64 whatever stands around a secret, and whatever stands before it where it ends the data: pairs of texts, of
/// which both have what is meant.
fn base64_around(secret: &[u8]) -> Vec<[Vec<u8>; 2]> {
    let mut pairs = Vec::new();
    for alphabet in [BASE64, BASE64_URL] {
        for shift in 0..3 {
            for behind in [0, 2] {
                pairs.push([0, 0xff].map(|filler| {
                    let data = [&[filler; 2][..shift], secret, &[filler; 2][..behind]].concat();
                    base64(&data, alphabet, behind == 0)
                }));
            }
        }
    }
    pairs
}

pub(super) fn holds(text: &[u8], form: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = form.first().and_then(|first| rest.iter().position(|byte| byte == first)) {
        if rest[at..].starts_with(form) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
