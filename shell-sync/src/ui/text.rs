//! Text for one line of a terminal: what a build printed made harmless, measured, cut and padded.
//!
//! What builds print may hold any bytes. Nothing here lets them move the cursor, set titles or leave colours on: only
//! SGR sequences (colours, bold) pass, and only where asked for.

use quire_core::terminal::reorders;
use unicode_width::UnicodeWidthChar;

const RESET: &str = "\x1b[0m";
const TAB: usize = 8;

/// Makes one line of a build's output fit to be shown inside a line of ours: of text rewritten by carriage returns the last
/// part, tabs as spaces, invalid UTF-8 as U+FFFD, no control characters and no control sequences but, where `colour`, SGR
/// ones. A line that sets SGR ends with a reset.
pub fn harmless(line: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(last_part(line));
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    let mut coloured = false;
    let mut rest = text.as_ref();
    while let Some(c) = rest.chars().next() {
        if c == '\x1b' {
            let (length, is_sgr) = escape_sequence(rest.as_bytes());
            if is_sgr && colour {
                out.push_str(rest.get(..length).unwrap_or_default());
                coloured = true;
            }
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\t' {
            let spaces = TAB - column % TAB;
            out.extend(std::iter::repeat_n(' ', spaces));
            column += spaces;
        } else if !c.is_control() && !reorders(c) {
            out.push(c);
            column += c.width().unwrap_or(0);
        }
    }
    if coloured {
        out.push_str(RESET);
    }
    out
}

/// Appends a build's output as it is, but for escape sequences: of these only SGR ones pass, and only where `colour`. For a
/// terminal (`terminal`) other control characters than tab and carriage return go as well.
pub fn without_sequences(bytes: &[u8], colour: bool, terminal: bool, out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let length = match byte {
            0x1b => {
                let (length, is_sgr) = escape_sequence(rest);
                if is_sgr && colour {
                    out.extend_from_slice(rest.get(..length).unwrap_or_default());
                }
                length
            }
            _ if !terminal => {
                let length = memchr::memchr(0x1b, rest).unwrap_or(rest.len());
                out.extend_from_slice(rest.get(..length).unwrap_or_default());
                length
            }
            // A control character of the second set (U+0080 to U+009F) in UTF-8.
            0xc2 if rest.get(1).is_some_and(|byte| (0x80..=0x9f).contains(byte)) => 2,
            _ => {
                if byte == b'\t' || byte == b'\r' || !byte.is_ascii_control() {
                    out.push(byte);
                }
                1
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// As [`harmless`] without colours, for texts of ours that quote others: commands, messages, ids. Line ends become spaces.
pub fn one_line(text: &str) -> String {
    let text = text.trim();
    // Most are plain.
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return text.to_owned();
    }
    let flat: String = text.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }).collect();
    harmless(flat.as_bytes(), false)
}

/// Columns that a text takes; SGR sequences take none.
pub fn width(text: &str) -> usize {
    visible(text).map(|(_, c)| c.width().unwrap_or(0)).sum()
}

/// Cuts a text to `columns`, the last of them an ellipsis (`…`, or `.` without Unicode) where something was cut.
pub fn fit(text: &str, columns: usize, unicode: bool) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut used = 0;
    let mut end = 0;
    for (at, c) in visible(text) {
        let wide = c.width().unwrap_or(0);
        if used + wide > columns - 1 {
            break;
        }
        used += wide;
        end = at + c.len_utf8();
    }
    let mut out = text.get(..end).unwrap_or_default().to_owned();
    out.push(if unicode { '…' } else { '.' });
    if text.contains('\x1b') {
        out.push_str(RESET);
    }
    out
}

/// [`fit`], then spaces up to `columns`.
pub fn pad(text: &str, columns: usize, unicode: bool) -> String {
    let mut out = fit(text, columns, unicode);
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// The last part of a line that carriage returns rewrote; a trailing one is a line end of its own kind.
fn last_part(line: &[u8]) -> &[u8] {
    line.rsplit(|&byte| byte == b'\r').find(|part| !part.is_empty()).unwrap_or_default()
}

/// The length in bytes of the escape sequence that `bytes` begins with (ECMA-48: CSI, the string sequences OSC, DCS, SOS, PM,
/// APC, and short ones), and whether it is an SGR one. An unfinished one reaches to the end. Ends where a character ends.
fn escape_sequence(bytes: &[u8]) -> (usize, bool) {
    let length = match bytes.get(1) {
        Some(b'[') => {
            let end = bytes.iter().skip(2).position(|byte| !matches!(byte, 0x20..=0x3f)).map(|at| at + 2);
            match end {
                Some(at) if matches!(bytes.get(at), Some(0x40..=0x7e)) => at + 1,
                Some(at) => at,
                None => bytes.len(),
            }
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = memchr::memchr(0x07, bytes).map(|at| at + 1);
            let st = memchr::memmem::find(bytes, b"\x1b\\").map(|at| at + 2);
            bell.into_iter().chain(st).min().unwrap_or(bytes.len())
        }
        Some(0x20..=0x2f) => {
            let end = bytes.iter().skip(1).position(|byte| !matches!(byte, 0x20..=0x2f)).map(|at| at + 1);
            match end {
                Some(at) if matches!(bytes.get(at), Some(0x30..=0x7e)) => at + 1,
                Some(at) => at,
                None => bytes.len(),
            }
        }
        Some(0x30..=0x7e) => 2,
        _ => 1,
    };
    let sequence = bytes.get(..length).unwrap_or_default();
    let is_sgr = sequence
        .strip_prefix(b"\x1b[")
        .and_then(|rest| rest.strip_suffix(b"m"))
        .is_some_and(|parameters| parameters.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')));
    (length, is_sgr)
}

/// The characters of a text that are shown, with their offsets: all outside escape sequences.
fn visible(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let c = rest.chars().next()?;
            if c == '\x1b' {
                at += escape_sequence(rest.as_bytes()).0;
                continue;
            }
            let here = at;
            at += c.len_utf8();
            return Some((here, c));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_colours_passes() {
        for (given, plain, coloured) in [
            (&b"plain text"[..], "plain text", "plain text"),
            (b"\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m\x1b[0m"),
            (b"\x1b[38;5;9mx", "x", "\x1b[38;5;9mx\x1b[0m"),
            (b"up\x1b[2Aup", "upup", "upup"),
            (b"\x1b[2J\x1b[Hclear", "clear", "clear"),
            (b"\x1b[?25lhide", "hide", "hide"),
            (b"\x1b[>4;1mxterm keys", "xterm keys", "xterm keys"),
            (b"\x1b]0;title\x07after", "after", "after"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", "link"),
            (b"\x1b]0;never ends", "", ""),
            (b"\x1b[31", "", ""),
            (b"\x1b[3\xc3\xa4", "ä", "ä"),
            (b"\x1bcreset", "reset", "reset"),
            (b"\x1b(Bcharset", "charset", "charset"),
            (b"end\x1b", "end", "end"),
            (b"bell\x07 nul\0 bs\x08", "bell nul bs", "bell nul bs"),
            (b"\xc2\x9b31mC1", "31mC1", "31mC1"),
            (b"10%\r20%\r30%", "30%", "30%"),
            (b"10%\r20%\r", "20%", "20%"),
            (b"crlf\r", "crlf", "crlf"),
            (b"\r", "", ""),
            (b"a\tb", "a       b", "a       b"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}"),
            ("\u{202e}abc".as_bytes(), "abc", "abc"),
        ] {
            assert_eq!(harmless(given, false), plain, "{given:?}");
            assert_eq!(harmless(given, true), coloured, "{given:?}");
        }
    }

    #[test]
    fn bytes_pass_but_sequences_do_not() {
        for (given, colour, terminal, left) in [
            (&b"a\xff\0\x1b[31mb\x1b[2Jc\x07"[..], false, false, &b"a\xff\0bc\x07"[..]),
            (b"a\xff\0\x1b[31mb\x1b[2Jc\x07", true, true, b"a\xff\x1b[31mbc"),
            (b"1\t2\r3\xc2\x9b5n", false, true, b"1\t2\r35n"),
            ("\u{e4}\u{20ac}".as_bytes(), false, true, "\u{e4}\u{20ac}".as_bytes()),
        ] {
            let mut out = Vec::new();
            without_sequences(given, colour, terminal, &mut out);
            assert_eq!(out, left, "{given:?}");
        }
    }

    #[test]
    fn widths_are_columns() {
        for (text, columns) in [("", 0), ("abc", 3), ("日本", 4), ("e\u{301}", 1), ("\x1b[1mbold\x1b[0m", 4)] {
            assert_eq!(width(text), columns, "{text:?}");
        }
    }

    #[test]
    fn cutting_never_takes_more_than_there_is() {
        for (text, columns, unicode, cut) in [
            ("abcdef", 6, true, "abcdef"),
            ("abcdef", 4, true, "abc…"),
            ("abcdef", 4, false, "abc."),
            ("abcdef", 1, true, "…"),
            ("abcdef", 0, true, ""),
            ("日本語", 4, true, "日…"),
            ("\x1b[1mbold face\x1b[0m", 5, true, "\x1b[1mbold…\x1b[0m"),
        ] {
            assert_eq!(fit(text, columns, unicode), cut, "{text:?} {columns}");
            assert!(width(cut) <= columns);
        }
        assert_eq!(pad("日本語", 6, true), "日本語");
        assert_eq!(pad("日本語", 5, true), "日本…");
        assert_eq!(pad("日本語", 4, true), "日… ");
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line(" a\nb\r\nc\t\x1b[2Jd\n"), "a b  c  d");
    }

    quickcheck::quickcheck! {
        fn any_bytes_become_a_line_without_control(line: Vec<u8>, columns: usize) -> bool {
            let columns = columns % 100;
            let text = harmless(&line, false);
            !text.chars().any(char::is_control) && width(&fit(&text, columns, true)) <= columns
        }
    }
}
