//! All forms of one secret: what must not be seen in a log.

use super::SecretError;
use super::encodings::{Forms, base64, hex, json, percent, shell};

/// Fewest bytes of a secret, and of a form.
const FORM_MIN: usize = 4;
/// Fewest bytes of a line of a multi-line secret that is masked by itself.
pub(super) const LINE_MIN: usize = 8;

/// Adds every form of `secret` to `forms`.
///
/// Line ends at its end, as files have them, are not secret: encoded ones are masked with it, but a real one stays, so that
/// the lines of a log stay lines. A line is masked with and without the white space around it.
pub(super) fn add_forms(secret: &[u8], forms: &mut Forms) -> Result<(), SecretError> {
    let text = trim_line_ends(secret);
    if text.len() < FORM_MIN {
        return Err(SecretError::TooShort(text.len()));
    }
    let mut found = Forms::new();
    add_verbatim(text, &mut found);
    add_encoded(text, &mut found);
    if text.len() < secret.len() {
        add_encoded(secret, &mut found);
    }
    if text.contains(&b'\n') {
        let lines = text.split(|&byte| byte == b'\n').map(trim_line_ends);
        for line in lines.flat_map(|line| [line, line.trim_ascii()]).filter(|line| line.len() >= LINE_MIN) {
            add_verbatim(line, &mut found);
            add_encoded(line, &mut found);
        }
    }
    forms.extend(found.into_iter().filter(|form| form.len() >= FORM_MIN));
    Ok(())
}

/// Forms that hold a line end as it is.
fn add_verbatim(bytes: &[u8], forms: &mut Forms) {
    forms.insert(bytes.to_vec());
    shell(bytes, forms);
}

/// Forms that hold a line end encoded.
fn add_encoded(bytes: &[u8], forms: &mut Forms) {
    base64(bytes, forms);
    hex(bytes, forms);
    percent(bytes, forms);
    json(bytes, forms);
}

fn trim_line_ends(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms_of(secret: &[u8]) -> Forms {
        let mut forms = Forms::new();
        add_forms(secret, &mut forms).unwrap();
        forms
    }

    #[test]
    fn short_secrets_are_refused() {
        for (secret, length) in [(&b""[..], 0), (b"abc", 3), (b"abc\n", 3), (b"\n\n\n\n\n", 0), (b"abc\r\n", 3)] {
            assert_eq!(add_forms(secret, &mut Forms::new()), Err(SecretError::TooShort(length)));
        }
        assert!(add_forms(b"abcd", &mut Forms::new()).is_ok());
    }

    #[test]
    fn short_forms_are_dropped() {
        for secret in [&b"abcd"[..], b"a\nb\nc\nd", b"\0\0\0\0"] {
            assert!(forms_of(secret).iter().all(|form| form.len() >= FORM_MIN));
        }
    }

    #[test]
    fn a_last_line_end_is_masked_only_where_it_is_encoded() {
        let forms = forms_of(b"tokentoken\n");
        for form in [
            "tokentoken",
            "dG9rZW50b2tlbgo=",
            "dG9rZW50b2tlb",
            "tokentoken\\n",
            "tokentoken%0A",
            "746f6b656e746f6b656e0a",
        ] {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
        assert!(!forms.contains(&b"tokentoken\n"[..]));
    }

    #[test]
    fn lines_of_8_bytes_are_forms_by_themselves() {
        let forms = forms_of(b"first line\r\n  indented\nshort\n  short\n");
        for form in ["first line", "  indented", "indented", "Zmlyc3QgbGluZ", "first%20line", "696e64656e746564"] {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
        assert!(forms.contains(&b"first line\r\n  indented\nshort\n  short"[..]));
        assert!(!forms.contains(&b"short"[..]) && !forms.contains(&b"  short"[..]));
    }
}
