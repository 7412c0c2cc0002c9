//! Diagnostics: what is wrong with a pipeline, where, and what to write instead.
//!
//! Owns their layout as text. Finding the column of a word in a file is [`super::locate`]'s, colour is the shell's: it passes
//! a style to [`Diagnostic::render`].

use std::fmt;

/// Most characters of a source line that are shown.
const WINDOW: usize = 100;
/// Characters shown before the column where a long line is cut.
const BEFORE: usize = 40;
/// Spaces shown for a tab.
const TAB: usize = 4;

/// A place in a file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Relative to the workspace, `/`-separated.
    pub file: String,
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters, where it is known.
    pub column: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", printable(&self.file), self.line)?;
        self.column.map_or(Ok(()), |column| write!(f, ":{column}"))
    }
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostic {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where, as far as it is known.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
    /// The source line at the place.
    pub excerpt: Option<String>,
}

/// A part of a rendered diagnostic, for a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The word `error`.
    Severity,
    /// The word `warning`.
    Warning,
    /// What is wrong.
    Message,
    /// Arrows, bars and line numbers.
    Gutter,
    /// File, line and column.
    Place,
    /// The source line.
    Excerpt,
    /// The carets under it.
    Caret,
    /// The word `help`.
    HelpLabel,
    /// What to do.
    Help,
}

impl Diagnostic {
    /// A diagnostic that is only a message.
    pub fn new(message: impl Into<String>) -> Diagnostic {
        Diagnostic { message: message.into(), place: None, help: None, excerpt: None }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Diagnostic {
        self.place = Some(place);
        self
    }

    /// The same with help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The diagnostic as lines without a last newline; `style` gets each part and returns it as it shall appear. Control
    /// characters of the source are shown as `\u{fffd}`, so that a file cannot steer the terminal.
    pub fn render(&self, style: &dyn Fn(Part, &str) -> String) -> String {
        self.render_as(Part::Severity, "error", style)
    }

    /// The same as a warning: what is told does not stop anything.
    pub fn render_warning(&self, style: &dyn Fn(Part, &str) -> String) -> String {
        self.render_as(Part::Warning, "warning", style)
    }

    fn render_as(&self, severity: Part, word: &str, style: &dyn Fn(Part, &str) -> String) -> String {
        let gutter = |text: &str| style(Part::Gutter, text);
        let mut lines = Vec::new();
        let mut message = self.message.lines().map(printable);
        lines.push(format!(
            "{}{}",
            style(severity, word),
            style(Part::Message, &format!(": {}", message.next().unwrap_or_default()))
        ));
        let indent = " ".repeat(word.len() + 2);
        lines.extend(message.map(|line| style(Part::Message, &format!("{indent}{line}"))));
        let number = self.place.as_ref().filter(|_| self.excerpt.is_some()).map(|place| place.line.to_string());
        let width = number.as_ref().map_or(1, String::len);
        let blank = " ".repeat(width + 1);
        if let Some(place) = &self.place {
            lines.push(format!("{blank}{} {}", gutter("-->"), style(Part::Place, &place.to_string())));
        }
        if let (Some(place), Some(excerpt), Some(number)) = (&self.place, &self.excerpt, &number) {
            let view = View::new(excerpt, place.column);
            lines.push(gutter(&format!("{blank} |")));
            let bar = gutter(&format!(" {number} |"));
            lines.push(match view.text.is_empty() {
                true => bar,
                false => format!("{bar} {}", style(Part::Excerpt, &view.text)),
            });
            lines.push(match view.carets {
                Some((from, count)) => format!(
                    "{} {}{}",
                    gutter(&format!("{blank} |")),
                    " ".repeat(from),
                    style(Part::Caret, &"^".repeat(count))
                ),
                None => gutter(&format!("{blank} |")),
            });
        }
        if let Some(help) = &self.help {
            let mut help = help.lines().map(printable);
            let first = help.next().unwrap_or_default();
            lines.push(format!(
                "{blank} {} {}{}",
                gutter("="),
                style(Part::HelpLabel, "help"),
                style(Part::Help, &format!(": {first}"))
            ));
            lines.extend(help.map(|line| format!("{blank}         {}", style(Part::Help, &line))));
        }
        lines.join("\n")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&|_, text| text.to_owned()))
    }
}

/// `text` in double quotes, shown as [`named`] does.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", named(text))
}

/// `text` as a person wrote it, control characters escaped, at most 120 characters of it.
pub(crate) fn named(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        match c {
            _ if count == 120 => {
                out.push('…');
                break;
            }
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The part of a source line that is shown, and where its carets stand.
struct View {
    text: String,
    /// First caret, in characters of `text`, and their count.
    carets: Option<(usize, usize)>,
}

impl View {
    fn new(line: &str, column: Option<u32>) -> View {
        let source: Vec<char> = line.trim_end().chars().collect();
        let marked = column.and_then(|column| {
            let from = usize::try_from(column).ok()?.checked_sub(1).filter(|from| *from < source.len())?;
            Some((from, token_length(source.get(from..)?)))
        });
        let mut shown = Vec::new();
        let (mut first, mut last) = (0, 0);
        for (at, c) in source.iter().enumerate() {
            if marked.is_some_and(|(from, _)| from == at) {
                first = shown.len();
            }
            match c {
                '\t' => shown.extend([' '; TAB]),
                c if c.is_control() => shown.push('\u{fffd}'),
                c => shown.push(*c),
            }
            if marked.is_some_and(|(from, count)| at < from + count) {
                last = shown.len();
            }
        }
        let start = if shown.len() > WINDOW && marked.is_some() { first.saturating_sub(BEFORE) } else { 0 };
        let end = shown.len().min(start + WINDOW);
        let cut_before = start > 0;
        let mut text: String = if cut_before { "…".into() } else { String::new() };
        text.extend(shown.iter().take(end).skip(start));
        if end < shown.len() {
            text.push('…');
        }
        let carets =
            marked.map(|_| (first - start + usize::from(cut_before), last.min(end).saturating_sub(first).max(1)));
        View { text, carets }
    }
}

/// Length in characters of what stands at the start of `rest`: a quoted text, a Fennel `:key`, an empty table, a word, or one character.
fn token_length(rest: &[char]) -> usize {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    let until = |end: char| rest.iter().skip(1).position(|c| *c == end).map(|at| at + 2);
    match rest.first() {
        Some(quote @ ('"' | '\'')) => until(*quote).unwrap_or(rest.len()),
        Some(':') => 1 + rest.iter().skip(1).take_while(|c| word(c) || "-_.!?/".contains(**c)).count(),
        Some(open @ ('{' | '[')) => {
            let inner = rest.iter().skip(1).take_while(|c| c.is_whitespace()).count();
            let close = if *open == '{' { '}' } else { ']' };
            if rest.get(inner + 1) == Some(&close) { inner + 2 } else { 1 }
        }
        Some(c) if word(c) => rest.iter().take_while(|c| word(c)).count(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u32, column: Option<u32>) -> Place {
        Place { file: ".quire/ci.lua".into(), line, column }
    }

    fn check(diagnostic: &Diagnostic, expected: &[&str]) {
        assert_eq!(diagnostic.to_string(), expected.join("\n"), "\n{diagnostic}\n");
    }

    fn with(line: u32, column: Option<u32>, excerpt: &str) -> Diagnostic {
        Diagnostic { excerpt: Some(excerpt.into()), ..Diagnostic::new("x").at(place(line, column)) }
    }

    #[test]
    fn a_whole_diagnostic() {
        let diagnostic = Diagnostic {
            message: "unknown input \"biuld\"".into(),
            place: Some(place(7, Some(17))),
            help: Some("did you mean \"build\"? jobs: build, lint".into()),
            excerpt: Some("ci.job(\"test\", {\"biuld\"}, function(rt)".into()),
        };
        check(
            &diagnostic,
            &[
                "error: unknown input \"biuld\"",
                "  --> .quire/ci.lua:7:17",
                "   |",
                " 7 | ci.job(\"test\", {\"biuld\"}, function(rt)",
                "   |                 ^^^^^^^",
                "   = help: did you mean \"build\"? jobs: build, lint",
            ],
        );
    }

    #[test]
    fn a_warning_says_so() {
        let diagnostic = Diagnostic::new("a\nb").at(place(7, None));
        let text = diagnostic.render_warning(&|_, text| text.to_owned());
        assert_eq!(text, "warning: a\n         b\n  --> .quire/ci.lua:7");
    }

    #[test]
    fn parts_may_be_missing() {
        check(&Diagnostic::new("no pipeline"), &["error: no pipeline"]);
        check(
            &Diagnostic::new("no pipeline").help("write\none"),
            &["error: no pipeline", "   = help: write", "           one"],
        );
        check(&Diagnostic::new("a\nb").at(place(12, None)), &["error: a", "       b", "  --> .quire/ci.lua:12"]);
        check(
            &with(120, None, "x = 1"),
            &["error: x", "    --> .quire/ci.lua:120", "     |", " 120 | x = 1", "     |"],
        );
        check(&with(3, Some(1), ""), &["error: x", "  --> .quire/ci.lua:3:1", "   |", " 3 |", "   |"]);
    }

    #[test]
    fn carets_stand_under_what_is_meant() {
        for (excerpt, column, shown, carets) in [
            ("\tci.job('ä', {'ö'})", 15, "    ci.job('ä', {'ö'})", "                 ^^^"),
            ("ä\t\tö 'x'", 6, "ä        ö 'x'", "           ^^^"),
            ("ä\t\tö 'x'", 4, "ä        ö 'x'", "         ^"),
            ("(ci.job :test [:biuld]", 16, "(ci.job :test [:biuld]", "               ^^^^^^"),
            ("ci.job('a', { }, f)", 13, "ci.job('a', { }, f)", "            ^^^"),
            ("ci.job('a', {1}, f)", 13, "ci.job('a', {1}, f)", "            ^"),
            ("  timeot = 3,", 3, "  timeot = 3,", "  ^^^^^^"),
            ("a 'open", 3, "a 'open", "  ^^^^^"),
            ("a\u{1b}[31m b", 8, "a\u{fffd}[31m b", "       ^"),
        ] {
            let text = with(1, Some(column), excerpt).to_string();
            let lines: Vec<&str> = text.lines().skip(3).collect();
            assert_eq!(lines, [format!(" 1 | {shown}"), format!("   | {carets}")], "{excerpt}");
        }
        // A column that the line does not have is not drawn.
        assert!(with(1, Some(50), "short").to_string().ends_with("\n   |"));
        assert!(with(1, Some(0), "short").to_string().ends_with("\n   |"));
    }

    #[test]
    fn long_lines_are_cut_around_the_column() {
        let line = format!("{}\"here\"{}", "x".repeat(300), "y".repeat(300));
        let text = with(1, Some(301), &line).to_string();
        let lines: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(
            lines,
            [format!(" 1 | …{}\"here\"{}…", "x".repeat(40), "y".repeat(54)), format!("   |  {}^^^^^^", " ".repeat(40)),]
        );
        let text = with(1, None, &line).to_string();
        assert_eq!(text.lines().nth(3), Some(&*format!(" 1 | {}…", "x".repeat(100))));
        // Carets end where the shown part ends.
        let text = with(1, Some(1), &format!("\"{}\"", "z".repeat(500))).to_string();
        assert_eq!(text.lines().nth(4), Some(&*format!("   | {}", "^".repeat(100))));
    }

    #[test]
    fn a_style_sees_every_part_and_nothing_else() {
        let diagnostic = with(2, Some(1), "word").help("fix it");
        let styled = diagnostic.render(&|part, text| format!("<{part:?}:{text}>"));
        assert_eq!(
            styled.lines().collect::<Vec<_>>(),
            [
                "<Severity:error><Message:: x>",
                "  <Gutter:-->> <Place:.quire/ci.lua:2:1>",
                "<Gutter:   |>",
                "<Gutter: 2 |> <Excerpt:word>",
                "<Gutter:   |> <Caret:^^^^>",
                "   <Gutter:=> <HelpLabel:help><Help:: fix it>",
            ]
        );
    }

    #[test]
    fn quoting_shows_control_characters() {
        assert_eq!(quoted("a\"b"), "\"a\"b\"");
        assert_eq!(quoted("a\n\u{1b}"), "\"a\\n\\u{1b}\"");
        assert_eq!(quoted(&"é".repeat(300)).chars().count(), 123);
    }
}
