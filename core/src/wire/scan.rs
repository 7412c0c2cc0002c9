//! The quick way through a plain line: known fields without white space between them, as quire writes most of its lines.
//!
//! Never judges: a value that is no plain text, integer or `true` it hands to the JSON parser, and a line that it is not sure of
//! it leaves to the parser as a whole, which also words every error. It exists because it takes little more than half of the
//! parser's time, and a rebuild reads millions of lines.

use std::borrow::Cow;

use serde::Deserialize;

use super::fields::{Field, Fields, Text};

/// Reads the whole line into `fields`, or gives `None` with some fields read.
pub(super) fn scan<'de>(line: &'de str, fields: &mut Fields<'de>) -> Option<()> {
    let mut cursor = Cursor { line, at: 0 };
    cursor.take(b'{')?;
    loop {
        let field = Field::parse(cursor.text()?);
        cursor.take(b':')?;
        if !fields.is_of_kind(field) || !fields.see(field) {
            return None;
        }
        cursor.value(field, fields)?;
        match cursor.next()? {
            b',' => {}
            b'}' => return (cursor.at == line.len()).then_some(()),
            _ => return None,
        }
    }
}

struct Cursor<'de> {
    line: &'de str,
    at: usize,
}

impl<'de> Cursor<'de> {
    fn value(&mut self, field: Field, fields: &mut Fields<'de>) -> Option<()> {
        match field {
            Field::AtMs => fields.at_ms = Some(self.integer()?),
            Field::Type => fields.set_kind(self.any_text()?),
            Field::JobId => fields.job_id = Some(self.any_text()?),
            Field::Cmd => fields.cmd = Some(self.any_text()?),
            Field::Key => fields.key = Some(self.any_text()?),
            Field::Cwd => fields.given.get_or_insert_default().cwd = Some(self.any_text()?),
            Field::Env => fields.given.get_or_insert_default().env = Some(self.parsed()?),
            Field::Shell => fields.given.get_or_insert_default().shell = Some(self.any_text()?),
            Field::ExitCode => fields.exit_code = Some(self.integer()?.try_into().ok()?),
            Field::Sh => fields.sh = Some(self.integer()?.try_into().ok()?),
            Field::Signal => fields.signal = Some(self.integer()?.try_into().ok()?),
            Field::Error => fields.error = Some(self.parsed()?),
            Field::NoEol => {
                fields.no_eol = self.parsed::<Vec<Text<'de>>>()?.into_iter().map(|Text(text)| text).collect()
            }
            Field::Cause => fields.cause = Some(self.any_text()?),
            Field::Outcome => fields.outcome = Some(self.any_text()?),
            Field::Text => fields.text = Some(self.any_text()?),
            Field::Reason => fields.reason = Some(self.any_text()?),
            Field::FailureKind => fields.failure_kind = Some(self.any_text()?),
            Field::Masked | Field::Truncated | Field::Detached | Field::Replayed | Field::Allowed | Field::Flaky => {
                self.line.get(self.at..)?.starts_with("true").then_some(())?;
                self.at += "true".len();
                fields.set(field);
            }
            _ => return None,
        }
        Some(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.line.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    /// A quoted text without escapes; JSON forbids control characters in it.
    fn text(&mut self) -> Option<&'de str> {
        self.take(b'"')?;
        let rest = self.line.as_bytes().get(self.at..)?;
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        let text = self.line.get(self.at..self.at + length)?;
        self.at += length;
        self.take(b'"')?;
        Some(text)
    }

    /// A quoted text: borrowed where it is plain, else the parser's.
    fn any_text(&mut self) -> Option<Cow<'de, str>> {
        let start = self.at;
        self.text().map(Cow::Borrowed).or_else(|| {
            self.at = start;
            self.parsed().map(|Text(text)| text)
        })
    }

    /// What the parser makes of the value that begins here; only for values that show their end themselves.
    fn parsed<T: Deserialize<'de>>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.line.get(self.at..)?).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }

    /// An integer of at most 18 digits without needless zeros; what follows it is looked at by the caller.
    fn integer(&mut self) -> Option<i64> {
        let rest = self.line.as_bytes().get(self.at..)?;
        let (negative, digits) = match rest.split_first()? {
            (b'-', digits) => (true, digits),
            _ => (false, rest),
        };
        let (mut value, mut count) = (0_i64, 0_usize);
        for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()).take(18) {
            value = value * 10 + i64::from(digit - b'0');
            count += 1;
        }
        if count == 0 || (digits.first() == Some(&b'0') && (count > 1 || negative)) {
            return None;
        }
        self.at += count + usize::from(negative);
        Some(if negative { -value } else { value })
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::{TestResult, quickcheck};

    use super::*;

    fn scanned(line: &str) -> Option<String> {
        let mut fields = Fields::default();
        scan(line, &mut fields).map(|()| format!("{fields:?}"))
    }

    fn parsed(line: &str) -> Option<String> {
        let mut fields = Fields::default();
        fields.parse(line).ok().map(|()| format!("{fields:?}"))
    }

    const PLAIN: &[&str] = &[
        r#"{"at_ms":100,"type":"job_started","job_id":"build"}"#,
        r#"{"at_ms":-100,"type":"sh_started","job_id":"bäü","cmd":"echo hi","key":"abc"}"#,
        r#"{"at_ms":1,"type":"sh_started","job_id":"b","cmd":"x","key":"k","cwd":"sub dir","env":{"A":"1","B":null},"shell":"bash"}"#,
        r#"{"at_ms":0,"type":"sh_finished","job_id":"b","exit_code":-1,"sh":2,"signal":9,"cause":"x","masked":true,"truncated":true,"detached":true,"replayed":true}"#,
        r#"{"at_ms":250,"type":"job_finished","job_id":"b","outcome":"complete","allowed":true,"flaky":true}"#,
        r#"{"at_ms":120,"type":"job_logged","job_id":"b","text":"…"}"#,
        r#"{"at_ms":120,"type":"run_logged","text":"a\n\"b\" \u00e4 \\"}"#,
        r#"{"at_ms":1,"type":"sh_finished","job_id":"b","exit_code":0,"no_eol":["stdout","std\u0065rr"],"error":{"message":"x\n","file":null}}"#,
        r#"{"at_ms":9,"type":"job_skipped","job_id":"b","reason":"pipeline","text":""}"#,
        r#"{"at_ms":9,"type":"run_finished","outcome":"failed","failure_kind":"job"}"#,
    ];

    #[test]
    fn plain_lines_are_taken_and_read_as_the_parser_reads_them() {
        for line in PLAIN {
            assert!(scanned(line).is_some(), "{line}");
            assert_eq!(scanned(line), parsed(line), "{line}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for line in [
            "",
            "{}",
            r#"{"at_ms":1}x"#,
            r#"{"at_ms":1,}"#,
            r#"{"at_ms":01}"#,
            r#"{"at_ms":-0}"#,
            r#"{"at_ms":-}"#,
            r#"{"at_ms":1.0}"#,
            r#"{"at_ms":1e3}"#,
            r#"{"at_ms":1234567890123456789}"#,
            r#"{"at_ms": 1}"#,
            r#"{"at_ms":1,"at_ms":1}"#,
            r#"{"at_ms":1,"type":"job_started","job_id":"a","cmd":"x"}"#,
            r#"{"at_ms":1,"type":"sh_finished","exit_code":2147483648}"#,
            r#"{"type":"run_logged","text":"\x"}"#,
            r#"{"type":"run_logged","te\u0078t":"x"}"#,
            r#"{"type":"job_finished","output":1}"#,
            r#"{"type":"sh_finished","error":"x"}"#,
            "{\"type\":\"run_logged\",\"text\":\"\t\"}",
            r#"{"type":"sh_finished","masked":false}"#,
            r#"{"type":"sh_finished","masked":truth}"#,
            r#"{"at_ms":1,"type":"later","x":1}"#,
        ] {
            assert_eq!(scanned(line), None, "{line}");
        }
    }

    quickcheck! {
        /// Whatever befalls a line, the scan says what the parser says or nothing.
        fn a_mangled_line_is_never_read_otherwise(which: usize, edits: Vec<(usize, u8, bool)>) -> TestResult {
            const BYTES: &[u8] = b"\"\\{}:,-0129.eE tru\x00\n\xc3";
            let mut line = PLAIN[which % PLAIN.len()].as_bytes().to_vec();
            for (at, byte, replace) in edits.iter().take(3) {
                let at = at % line.len();
                let byte = BYTES[usize::from(*byte) % BYTES.len()];
                if *replace { line[at] = byte } else { line.insert(at, byte) }
            }
            let Ok(line) = String::from_utf8(line) else { return TestResult::discard() };
            TestResult::from_bool(scanned(&line).is_none_or(|scanned| Some(scanned) == parsed(&line)))
        }
    }
}
