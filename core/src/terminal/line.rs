//! A row laid out: spans of text, each of one style.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use super::Style;
use super::grid::Grid;
use super::sgr::applied;
use super::straight::Straight;
use super::surface::Surface;
use super::tokens::{Token, Tokens};

const TAB: usize = 8;
/// Columns of the terminal that rows are thought to be written for: a sequence moves the cursor no further right, unless there
/// is text.
const WIDTH: usize = 240;

/// Text of one style. Holds no control character and none that turns the text's direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Never empty.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// What a terminal would show of one row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// From left to right; neighbours differ in style.
    pub spans: Vec<Span>,
    /// The style after the row: the one in which its stream's next row begins.
    pub end: Style,
    /// Columns left out at the right, beyond the most that were asked for.
    pub cut: u64,
}

impl Line {
    /// Lays out a row that begins in the style `begin`. `content` may be any bytes; what is no UTF-8 becomes U+FFFD.
    ///
    /// Takes time linear in `content`, and memory for at most `most_columns` columns. What sequences erase becomes plain blanks.
    pub fn of(content: &[u8], begin: Style, most_columns: usize) -> Line {
        lay(content, Some(begin), most_columns)
    }
}

/// A row's text without styles, whole: for search and excerpts. As what [`Line::of`] shows.
pub fn plain(content: &[u8]) -> Cow<'_, str> {
    let content = without_returns(content);
    if content.iter().all(|byte| matches!(byte, 0x20..=0x7e))
        && let Ok(text) = std::str::from_utf8(content)
    {
        return Cow::Borrowed(text);
    }
    let mut spans = lay(content, None, usize::MAX).spans;
    Cow::Owned(spans.pop().map(|span| span.text).unwrap_or_default())
}

/// `begin`: `None` to ignore all styles.
fn lay(content: &[u8], begin: Option<Style>, most_columns: usize) -> Line {
    let content = without_returns(content);
    let straight = memchr::memchr2(b'\r', 0x08, content).is_none();
    let line = if straight { lay_into(Straight::new(most_columns), content, begin) } else { None };
    let line = line.or_else(|| lay_into(Grid::new(most_columns), content, begin));
    line.unwrap_or_default()
}

/// Carriage returns at a row's end change nothing.
fn without_returns(content: &[u8]) -> &[u8] {
    let end = content.iter().rposition(|&byte| byte != b'\r').map_or(0, |at| at + 1);
    content.get(..end).unwrap_or_default()
}

/// `None`: the surface cannot do what the row asks for.
fn lay_into(mut surface: impl Surface, content: &[u8], begin: Option<Style>) -> Option<Line> {
    let mut style = begin.unwrap_or_default();
    for token in Tokens::of(content) {
        let cursor = surface.cursor();
        let done = match token {
            Token::Text(bytes) => {
                put_text(&mut surface, bytes, style);
                true
            }
            Token::Style(parameters) => {
                if begin.is_some() {
                    style = applied(parameters, style);
                }
                true
            }
            Token::Tab => surface.move_to(cursor.saturating_add(TAB - cursor % TAB)),
            Token::Return => surface.move_to(0),
            Token::Backspace => surface.move_to(cursor.saturating_sub(1)),
            Token::Left(count) => surface.move_to(cursor.saturating_sub(count)),
            Token::Column(column) => surface.move_to(column.min(rightmost(&surface))),
            Token::Right(count) => surface.move_to(cursor.saturating_add(count).min(rightmost(&surface))),
            Token::Erase(part) => surface.erase(part),
        };
        if !done {
            return None;
        }
    }
    let cut = u64::try_from(surface.cut()).unwrap_or(u64::MAX);
    Some(Line { spans: surface.into_spans(), end: style, cut })
}

/// How far a sequence may move the cursor.
fn rightmost(surface: &impl Surface) -> usize {
    surface.extent().max(surface.cursor()).max(WIDTH - 1)
}

fn put_text(surface: &mut impl Surface, bytes: &[u8], style: Style) {
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        let mut rest = valid;
        while !rest.is_empty() {
            let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
            let (text, after) = rest.split_at(ascii);
            surface.put_ascii(text, style);
            let others = after.bytes().position(|byte| byte.is_ascii()).unwrap_or(after.len());
            let (text, after) = after.split_at(others);
            text.chars().for_each(|c| put_char(surface, c, style));
            rest = after;
        }
        if !chunk.invalid().is_empty() {
            surface.put(char::REPLACEMENT_CHARACTER, 1, style);
        }
    }
}

fn put_char(surface: &mut impl Surface, c: char, style: Style) {
    if c.is_control() || reorders(c) {
        return;
    }
    match c.width() {
        None | Some(0) => surface.mark(c),
        Some(width) => surface.put(c, width.min(2), style),
    }
}

/// Characters that turn the direction of what follows them: they would let a build rearrange what stands around its text.
pub fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::surface::MOST_MARKS;
    use crate::terminal::{Colour, scan_style};
    use quickcheck::{Arbitrary, Gen, quickcheck};

    const PLAIN: Style = Style::PLAIN;

    fn text(line: &Line) -> String {
        line.spans.iter().map(|span| span.text.as_str()).collect()
    }

    #[test]
    fn rows_look_as_in_a_terminal() {
        for (row, shown) in [
            (&b""[..], ""),
            (b"plain text ", "plain text "),
            (b"crlf\r", "crlf"),
            (b"crlf\r\r", "crlf"),
            (b"\r", ""),
            (b"10%\r20%\r100%", "100%"),
            (b"100%\r20%", "20%%"),
            (b"100%\r\x1b[K20%", "20%"),
            (b"100%\r20%\x1b[K", "20%"),
            (b"100%\r20%\x1b[J", "20%"),
            (b"100%\x1b[2K\r20%", "20%"),
            (b"100%\x1b[2K20%", "    20%"),
            (b"abcdef\x1b[3D\x1b[1Kx", "   xef"),
            (b"abcdef\x1b[1Kx", "      x"),
            (b"abc\x08\x08x", "axc"),
            (b"\x08\x08x", "x"),
            (b"abc\x1b[Gx\x1b[3Gy", "xby"),
            (b"ab\x1b[2Cx\x1b[9Dy", "yb  x"),
            (b"a\tb", "a       b"),
            (b"a\tb\rx\ty", "x       y"),
            (b"1234567890\r\tx", "12345678x0"),
            (b"a\t", "a"),
            (b"\x1b[31mred\x1b[0m", "red"),
            (b"up\x1b[2Aup", "upup"),
            (b"\x1b[2J\x1b[Hclear", "clear"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1b]0;never ends", "0;never ends"),
            (b"\x1b[8mconcealed", "concealed"),
            (b"bell\x07 nul\0 del\x7f", "bell nul del"),
            (b"\xc2\x9b31mC1", "31mC1"),
            (b"\xff\xfe\xe2\x82", "\u{fffd}\u{fffd}\u{fffd}"),
            ("\u{202e}a\u{2066}b\u{200f}c".as_bytes(), "abc"),
            ("日本\rx".as_bytes(), "x 本"),
            ("日本\x08x".as_bytes(), "日 x"),
            ("日本\x08\x08\x08x".as_bytes(), " x本"),
            ("日本\x08\x1b[K".as_bytes(), "日 "),
            ("日本\r\x1b[1K".as_bytes(), "  本"),
            ("e\u{301}\u{301}".as_bytes(), "e\u{301}\u{301}"),
            ("e\u{301}\rx".as_bytes(), "x"),
            ("ab\r\x1b[1Ce\x08\x1b[C\u{301}".as_bytes(), "ae\u{301}"),
            ("\u{301}x".as_bytes(), "x"),
        ] {
            let line = Line::of(row, PLAIN, 1000);
            assert_eq!(text(&line), shown, "{:?}", String::from_utf8_lossy(row));
            assert_eq!((plain(row).as_ref(), line.cut), (shown, 0), "{:?}", String::from_utf8_lossy(row));
        }
    }

    #[test]
    fn styles_stay_with_their_text() {
        let red = Style { fg: Some(Colour::Basic(1)), ..PLAIN };
        let bold = Style { bold: true, ..PLAIN };
        for (row, begin, spans, end) in [
            ("ab", red, vec![("ab", red)], red),
            ("a\x1b[mb", red, vec![("a", red), ("b", PLAIN)], PLAIN),
            ("a\x1b[1mb\x1b[mc", PLAIN, vec![("a", PLAIN), ("b", bold), ("c", PLAIN)], PLAIN),
            ("\x1b[31mold\r\x1b[m\x1b[1mn", PLAIN, vec![("n", bold), ("ld", red)], bold),
            ("\x1b[31ma\tb", PLAIN, vec![("a", red), ("       ", PLAIN), ("b", red)], red),
            ("\x1b[31m\x1b[K", PLAIN, vec![], red),
        ] {
            let spans = spans.into_iter().map(|(text, style)| Span { text: text.to_owned(), style }).collect();
            assert_eq!(Line::of(row.as_bytes(), begin, 100), Line { spans, end, cut: 0 }, "{row:?}");
        }
    }

    #[test]
    fn columns_beyond_the_most_are_counted() {
        for (row, most, shown, cut) in [
            ("abcdef", 4, "abcd", 2),
            ("abcdef", 0, "", 6),
            ("abcdef", 6, "abcdef", 0),
            ("日本", 3, "日 ", 1),
            ("日本\u{301}", 3, "日 ", 1),
            ("a\tb", 4, "a   ", 5),
            ("abcdef\rxy", 4, "xycd", 2),
            ("abcdef\rxy\x1b[K", 4, "xy", 0),
            ("abcdef\x1b[2D\x1b[Kx", 3, "abc", 2),
            ("ab\x1b[999Cx", 3, "ab ", 237),
        ] {
            let line = Line::of(row.as_bytes(), PLAIN, most);
            assert_eq!((text(&line).as_str(), line.cut), (shown, cut), "{row:?}");
        }
    }

    #[test]
    fn a_long_row_that_goes_back_again_and_again_takes_little() {
        let row = "\r\x1b[1K50% 日\x1b[9999C\x1b[1K\x08e\u{301}".repeat(50_000);
        let line = Line::of(row.as_bytes(), PLAIN, 300);
        assert!(text(&line).trim_start().starts_with('e') && line.cut == 0);
    }

    /// Rows in which much happens.
    #[derive(Debug, Clone)]
    struct Bytes(Vec<u8>);

    impl Arbitrary for Bytes {
        fn arbitrary(g: &mut Gen) -> Bytes {
            const PIECES: &[&str] = &[
                "a",
                "bc",
                " ",
                "ä",
                "日",
                "\u{301}",
                "\u{202e}",
                "\r",
                "\x08",
                "\t",
                "\x1b",
                "\x1b[",
                "\x1b]",
                "\x07",
                "\x1b\\",
                "m",
                "\x1b[1m",
                "\x1b[m",
                "\x1b[31;4m",
                "\x1b[38;5;9m",
                "\x1b[K",
                "\x1b[1K",
                "\x1b[2K",
                "\x1b[3G",
                "\x1b[2C",
                "\x1b[D",
                "0",
                ";",
                "\x1b(B",
                "\x18",
                "\0",
            ];
            let piece = |g: &mut Gen| match u8::arbitrary(g) {
                0..=9 => vec![u8::arbitrary(g)],
                _ => g.choose(PIECES).map(|piece| piece.as_bytes().to_vec()).unwrap_or_default(),
            };
            Bytes((0..u8::arbitrary(g) % 30).flat_map(|_| piece(g)).collect())
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Bytes>> {
            Box::new(self.0.shrink().map(Bytes))
        }
    }

    /// Cells and all columns, erased one by one.
    #[derive(Default)]
    struct Model {
        cells: Vec<(String, Style)>,
        cursor: usize,
    }

    impl Model {
        fn blank(&mut self, column: usize) {
            if let Some(cell) = self.cells.get_mut(column) {
                *cell = (" ".to_owned(), Style::default());
            }
        }

        fn part(&mut self, column: usize) {
            if self.cells.get(column).is_some_and(|cell| cell.0.is_empty()) {
                self.blank(column);
                self.blank(column - 1);
            }
        }

        fn of(content: &[u8], begin: Style) -> Vec<Span> {
            let (mut model, mut style) = (Model::default(), begin);
            for token in Tokens::of(content) {
                model.token(token, &mut style);
            }
            let mut spans = Vec::new();
            model.cells.iter().for_each(|(text, style)| crate::terminal::surface::append(&mut spans, text, *style));
            spans
        }

        fn token(&mut self, token: Token<'_>, style: &mut Style) {
            use crate::terminal::tokens::Erase;
            let rightmost = self.cells.len().max(self.cursor).max(WIDTH - 1);
            match token {
                Token::Text(bytes) => {
                    String::from_utf8_lossy(bytes).chars().for_each(|c| self.put(c, *style));
                }
                Token::Return => self.cursor = 0,
                Token::Backspace => self.cursor = self.cursor.saturating_sub(1),
                Token::Tab => self.cursor = (self.cursor / 8 + 1) * 8,
                Token::Style(parameters) => *style = applied(parameters, *style),
                Token::Column(column) => self.cursor = column.min(rightmost),
                Token::Right(count) => self.cursor = (self.cursor + count).min(rightmost),
                Token::Left(count) => self.cursor = self.cursor.saturating_sub(count),
                Token::Erase(Erase::Right) => {
                    self.part(self.cursor);
                    self.cells.truncate(self.cursor);
                }
                Token::Erase(Erase::Left) if self.cursor + 1 < self.cells.len() => {
                    self.part(self.cursor + 1);
                    (0..=self.cursor).for_each(|column| self.blank(column));
                }
                Token::Erase(_) => self.cells.clear(),
            }
        }

        fn put(&mut self, c: char, style: Style) {
            let width = c.width().unwrap_or(0).min(2);
            if c.is_control() || reorders(c) {
            } else if width == 0 {
                let mut at = self.cursor;
                while at > 0 && self.cells.get(at - 1).is_some_and(|cell| cell.0.is_empty()) {
                    at -= 1;
                }
                let cell = at.checked_sub(1).and_then(|at| self.cells.get_mut(at));
                // What is blank for never having been written takes no mark; a blank that was written does.
                if let Some(cell) = cell.filter(|cell| cell.0 != " ") {
                    cell.0.push(c);
                }
            } else {
                let to = self.cursor + width;
                while self.cells.len() < to {
                    self.cells.push((" ".to_owned(), Style::default()));
                }
                self.part(self.cursor);
                self.part(to);
                self.cells[self.cursor] = (c.to_string(), style);
                (self.cursor + 1..to).for_each(|column| self.cells[column] = (String::new(), style));
                self.cursor = to;
            }
        }
    }

    /// Where marks stand on written blanks or are too many, the model says nothing.
    fn is_modelled(row: &str) -> bool {
        let marks = row.matches('\u{301}').count();
        marks <= MOST_MARKS && (marks == 0 || !row.contains(' '))
    }

    quickcheck! {
        fn rows_are_the_models(row: Bytes) -> bool {
            let begin = Style { italic: true, ..Style::default() };
            !is_modelled(&String::from_utf8_lossy(&row.0)) || Line::of(&row.0, begin, usize::MAX).spans == Model::of(&row.0, begin)
        }

        fn both_ways_to_lay_out_a_row_agree(row: Bytes, most: u8) -> bool {
            let begin = Some(Style::default());
            let straight = lay_into(Straight::new(usize::from(most) % 40), &row.0, begin);
            straight.is_none() || straight == lay_into(Grid::new(usize::from(most) % 40), &row.0, begin)
        }

        fn a_narrow_line_is_a_wide_ones_beginning(row: Bytes, most: u8) -> bool {
            let most = usize::from(most) % 40;
            let (narrow, wide) = (Line::of(&row.0, Style::default(), most), Line::of(&row.0, Style::default(), usize::MAX));
            let columns = |line: &Line| text(line).chars().filter_map(UnicodeWidthChar::width).map(|width| width.min(2)).sum::<usize>();
            columns(&narrow) == columns(&wide).min(most)
                && columns(&wide).saturating_sub(most) == usize::try_from(narrow.cut).unwrap()
                && text(&wide).starts_with(text(&narrow).trim_end())
        }

        fn text_is_harmless_and_plain(row: Vec<u8>, rest: Bytes) -> bool {
            let row = [row, rest.0].concat();
            let line = Line::of(&row, Style::default(), usize::MAX);
            let shown = text(&line);
            plain(&row) == shown
                && !shown.chars().any(|c| c.is_control() || reorders(c))
                && line.spans.iter().all(|span| !span.text.is_empty())
                && line.spans.windows(2).all(|pair| pair[0].style != pair[1].style)
        }

        fn the_quick_way_to_the_style_agrees(row: Bytes) -> bool {
            let begin = Style { strike: true, ..Style::default() };
            scan_style(&row.0, begin) == Line::of(&row.0, begin, 7).end
        }
    }
}
