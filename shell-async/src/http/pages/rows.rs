//! Rows of a log as HTML: what a terminal would show of each, all of it escaped. Colours are classes; nothing that a build prints
//! becomes markup, an address, or anything else than text with a colour.

use std::fmt::Write as _;

use quire_core::cri::Row;
use quire_core::search::Needle;
use quire_core::terminal::{Colour, Line, Style};
use quire_core::time::Wall;
use quire_core::wire::Stream;

use super::palette::nearest;
use super::told;

/// Columns of a row that are shown; the rest is a link away.
pub(super) const MOST_COLUMNS: usize = 10_000;

/// Which time stands before a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Times {
    #[default]
    None,
    /// Of the day, UTC.
    Absolute,
    /// Since the command began.
    Relative,
    /// Since the row before.
    Delta,
}

impl Times {
    pub(super) const ALL: [(Times, &'static str); 4] =
        [(Times::None, "none"), (Times::Absolute, "absolute"), (Times::Relative, "relative"), (Times::Delta, "delta")];

    pub(super) fn parse(word: &str) -> Option<Times> {
        Times::ALL.into_iter().find(|(_, known)| *known == word).map(|(times, _)| times)
    }

    pub(super) fn as_str(self) -> &'static str {
        Times::ALL.into_iter().find(|(times, _)| *times == self).map_or("none", |(_, word)| word)
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks<'a> {
    /// What a row's number leads to, before `#L12`.
    pub(super) base: &'a str,
    /// Whether rows can be named: only once in a page.
    pub(super) has_ids: bool,
    pub(super) times: Times,
    /// When the command began.
    pub(super) begin: Wall,
    /// The row that looks like the error.
    pub(super) error: Option<u64>,
    pub(super) needle: Option<&'a Needle>,
    /// Where all of a row can be had, before `?row=12`.
    pub(super) raw: &'a str,
}

/// Appends a row. `before` is the time of the row before it.
pub(super) fn write(row: &Row, before: Option<Wall>, looks: &Looks<'_>, out: &mut String) {
    let number = row.number;
    out.push_str("<div class=\"row");
    if looks.error == Some(number) {
        out.push_str(" error");
    }
    out.push('"');
    if looks.has_ids {
        let _ = write!(out, " id=\"L{number}\"");
    }
    if row.stream == Stream::Stderr {
        out.push_str(" data-stream=\"stderr\"");
    }
    let _ = write!(
        out,
        "><a class=\"n\" href=\"{}#L{number}\" data-n=\"{number}\" aria-label=\"line {number}{}\"></a>",
        looks.base,
        if row.stream == Stream::Stderr { ", standard error" } else { "" }
    );
    let time = match looks.times {
        Times::None => None,
        Times::Absolute => Some(of_day(row.at)),
        Times::Relative => Some(span(row.at, looks.begin)),
        Times::Delta => Some(before.map_or_else(|| "+0.000".to_owned(), |before| span(row.at, before))),
    };
    if let Some(time) = time {
        let _ = write!(out, "<span class=\"at\">{time}</span>");
    }
    out.push_str("<span class=\"t\">");
    let line = Line::of(&row.content, row.style, MOST_COLUMNS);
    text(&line, looks.needle, out);
    let more = line.cut + row.left_out;
    if more > 0 {
        let _ = write!(
            out,
            "<span class=\"more\"> … {more} more, <a href=\"{}?row={number}\">all of this line</a></span>",
            looks.raw
        );
    }
    out.push_str("</span></div>");
}

fn text(line: &Line, needle: Option<&Needle>, out: &mut String) {
    let Some(needle) = needle else {
        for span in &line.spans {
            styled(&span.text, span.style, out);
        }
        return;
    };
    let plain: String = line.spans.iter().map(|span| span.text.as_str()).collect();
    let mut places = needle.places(&plain).into_iter().peekable();
    let mut begin = 0;
    for span in &line.spans {
        let end = begin + span.text.len();
        let mut at = begin;
        while let Some(place) = places.peek().filter(|place| place.start < end).cloned() {
            let piece = |from: usize, to: usize| span.text.get(from - begin..to - begin).unwrap_or_default();
            let (from, to) = (place.start.max(at), place.end.min(end));
            styled(piece(at, from), span.style, out);
            out.push_str("<mark>");
            styled(piece(from, to), span.style, out);
            out.push_str("</mark>");
            at = to;
            if place.end > end {
                break;
            }
            places.next();
        }
        styled(span.text.get(at - begin..).unwrap_or_default(), span.style, out);
        begin = end;
    }
}

fn styled(text: &str, style: Style, out: &mut String) {
    if text.is_empty() {
        return;
    }
    if style == Style::default() {
        escape(text, out);
        return;
    }
    out.push_str("<span class=\"");
    let mut is_first = true;
    let mut class = |out: &mut String, letter: char, number: Option<u8>| {
        if !std::mem::take(&mut is_first) {
            out.push(' ');
        }
        out.push(letter);
        if let Some(number) = number {
            let _ = write!(out, "{number}");
        }
    };
    for (is_on, letter) in [
        (style.bold, 'b'),
        (style.dim, 'd'),
        (style.italic, 'i'),
        (style.underline, 'u'),
        (style.strike, 'x'),
        (style.inverse, 'v'),
    ] {
        if is_on {
            class(out, letter, None);
        }
    }
    if let Some(colour) = style.fg {
        class(out, 'f', Some(number(colour)));
    }
    if let Some(colour) = style.bg {
        class(out, 'g', Some(number(colour)));
    }
    out.push_str("\">");
    escape(text, out);
    out.push_str("</span>");
}

fn number(colour: Colour) -> u8 {
    match colour {
        Colour::Basic(n) | Colour::Palette(n) => n,
        Colour::Rgb(red, green, blue) => nearest(red, green, blue),
    }
}

/// Appends text as HTML. What remains of control characters goes: HTML has no word for them.
pub(super) fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '&' | '<' | '>' | '"' | '\'') || (c.is_control() && c != '\t'))
    {
        let (clean, from) = rest.split_at(at);
        out.push_str(clean);
        let mut chars = from.chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&quot;"),
            Some('\'') => out.push_str("&#39;"),
            Some(_) | None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// `11-27 01:29:29.123`, UTC.
fn of_day(at: Wall) -> String {
    let exact = told::exact(at.ms());
    let day = exact.get(5..19).unwrap_or_default().replace('T', " ");
    format!("{day}.{:03}", at.ms().rem_euclid(1000))
}

/// `+12.345`, `+1:02.345`, in seconds, minutes, hours.
fn span(at: Wall, from: Wall) -> String {
    let ms = at.ms().saturating_sub(from.ms()).max(0);
    let (hours, minutes, seconds, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    match (hours, minutes) {
        (0, 0) => format!("+{seconds}.{ms:03}"),
        (0, _) => format!("+{minutes}:{seconds:02}.{ms:03}"),
        (_, _) => format!("+{hours}:{minutes:02}:{seconds:02}.{ms:03}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(content: &[u8], needle: Option<&str>) -> String {
        let needle = needle.map(Needle::new);
        let mut out = String::new();
        text(&Line::of(content, Style::default(), 100), needle.as_ref(), &mut out);
        out
    }

    #[test]
    fn nothing_printed_becomes_markup() {
        for (content, html) in [
            (&b"plain"[..], "plain"),
            (b"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            (b"a & \"b\" 'c'", "a &amp; &quot;b&quot; &#39;c&#39;"),
            (b"\x1b[31mred\x1b[0m", "<span class=\"f1\">red</span>"),
            (b"\x1b[1;4;48;5;200mx", "<span class=\"b u g200\">x</span>"),
            (b"\x1b[38;2;255;0;0mx", "<span class=\"f196\">x</span>"),
            (b"\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1b]0;title\x07x", "x"),
        ] {
            assert_eq!(shown(content, None), html, "{}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn what_is_sought_is_marked_across_colours() {
        assert_eq!(shown(b"one two one", Some("one")), "<mark>one</mark> two <mark>one</mark>");
        assert_eq!(
            shown(b"a\x1b[31mbc\x1b[0md", Some("abcd")),
            "<mark>a</mark><mark><span class=\"f1\">bc</span></mark><mark>d</mark>"
        );
        assert_eq!(shown(b"A<B", Some("a<b")), "<mark>A&lt;B</mark>");
        assert_eq!(shown(b"none", Some("x")), "none");
    }

    #[test]
    fn times_of_rows() {
        let at = |ms: i64| Wall::from_ms(1_795_000_000_000 + ms);
        assert_eq!(span(at(12_345), at(0)), "+12.345");
        assert_eq!(span(at(62_345), at(0)), "+1:02.345");
        assert_eq!(span(at(3_662_345), at(0)), "+1:01:02.345");
        assert_eq!(span(at(0), at(5)), "+0.000");
        assert_eq!(of_day(Wall::from_ms(1_795_313_584_123)), "11-22 02:13:04.123");
        for (times, word) in Times::ALL {
            assert_eq!(Times::parse(word), Some(times));
            assert_eq!(times.as_str(), word);
        }
        assert_eq!(Times::parse("moon"), None);
    }
}
