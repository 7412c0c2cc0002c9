//! What a line must have around a word for it to tell an error.

use super::Strength;
use super::Strength::{Strong, Weak};

/// A needle found in a line, and what is on both sides of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) line: &'a str,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
}

type Rule = fn(Place<'_>) -> Option<Strength>;

/// Words that tell errors, and what decides whether one does where it stands. Most lines have none of them.
pub(super) const NEEDLES: &[(&str, Rule)] = &[
    ("error", lower_error),
    ("Error", name),
    ("ERROR", upper_error),
    ("xception", name),
    ("FAIL", fail),
    ("failed", failed),
    ("failing", counted),
    ("failures", counted),
    ("panicked at", |_| Some(Strong)),
    ("panic:", |place| if place.begins() { Some(Strong) } else { None }),
    ("fatal:", |place| if place.begins() || place.follows_colon() { Some(Strong) } else { None }),
    ("FATAL", upper_error),
    ("undefined reference to", |_| Some(Strong)),
    ("ndefined symbol", |_| Some(Strong)),
    ("Traceback (most recent call last)", |_| Some(Strong)),
    ("egmentation fault", |_| Some(Strong)),
    ("not ok ", not_ok),
    ("✕", mark),
    ("✖", mark),
    ("✗", mark),
    ("✘", mark),
    ("×", mark),
    ("●", mark),
    ("command not found", |_| Some(Strong)),
    (": not found", |place| if place.after.is_empty() { Some(Weak) } else { None }),
    ("No such file or directory", |_| Some(Weak)),
    ("Permission denied", |_| Some(Weak)),
    (
        "*** ",
        |place| if place.before.starts_with("make") || place.before.starts_with("gmake") { Some(Weak) } else { None },
    ),
    ("npm ERR!", |place| if place.begins() { Some(Weak) } else { None }),
];

/// What is told by a line's beginning alone.
pub(super) fn at_begin(line: &str) -> Option<Strength> {
    let pytest = line.strip_prefix("E   ").is_some_and(|rest| rest.contains(|c: char| !c.is_whitespace()));
    if pytest {
        return Some(Strong);
    }
    (line == "Killed").then_some(Weak)
}

/// Lines that tell of errors but are none: tests that passed, warnings, commands shown.
pub(super) fn is_harmless(line: &str) -> bool {
    let text = line.trim();
    const BEGINS: &[&str] = &[
        "ok ",
        "✓",
        "✔",
        "√",
        "PASS",
        "--- PASS",
        "=== RUN",
        "+ ",
        "warning",
        "Warning",
        "WARNING",
        "Compiling ",
        "● Console",
    ];
    const ENDS: &[&str] = &["... ok", "... ignored", " PASSED", " PASS"];
    BEGINS.iter().any(|begin| text.starts_with(begin))
        || ENDS.iter().any(|end| text.ends_with(end))
        || line.contains(" PASSED ")
}

impl Place<'_> {
    /// Nothing but times, numbers and frames stands before.
    fn begins(&self) -> bool {
        let mut last = ' ';
        self.before.chars().all(|c| {
            let fits = !c.is_alphabetic() || (matches!(c, 'T' | 'Z') && last.is_ascii_digit());
            last = c;
            fits
        }) && self.is_apart()
    }

    /// The word is no later part of a longer one, of a path, of an option or of a quotation.
    fn is_apart(&self) -> bool {
        let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '\\' | '"' | '\'' | '`');
        !self.before.ends_with(inner)
    }

    /// As in `file:3:5: error`.
    fn follows_colon(&self) -> bool {
        self.before.ends_with(": ")
    }

    /// A colon follows the word, and then nothing or a space.
    fn has_colon(&self) -> bool {
        self.after.strip_prefix(':').is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    }

    /// A number of zero stands right before, or alone after it.
    fn is_none(&self) -> bool {
        let before = self.before.trim_end();
        let zero_before = number_at_end(before) == Some(0);
        let no = before.ends_with("no") || before.ends_with("No") || before.ends_with("without");
        let zero_after =
            self.after.trim_start_matches(|c: char| c == ':' || c == '=' || c.is_whitespace()).trim_end() == "0";
        zero_before || no || zero_after
    }

    fn word_before(&self) -> &str {
        self.before.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default()
    }
}

/// The number that a text ends with.
fn number_at_end(text: &str) -> Option<u64> {
    let begin = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    text.get(begin..).and_then(|digits| digits.parse().ok())
}

fn lower_error(place: Place<'_>) -> Option<Strength> {
    let after = place.after;
    if after.starts_with('s') || after.starts_with("(s)") {
        return counted(place);
    }
    if !place.is_apart() || place.is_none() {
        return None;
    }
    // rustc's, and the annotations of CI services: error[E0308]: …, [error] …, ##[error]…, ::error file=…::…
    if after.starts_with("[E") || (place.before.ends_with('[') && after.starts_with(']') && place.begins()) {
        return Some(Strong);
    }
    if place.before == "::" && after.starts_with([':', ' ']) {
        return Some(Strong);
    }
    if place.has_colon() {
        let kind = matches!(place.word_before(), "fatal" | "Fatal" | "Parse" | "internal" | "syntax" | "runtime");
        return Some(if place.begins() || place.follows_colon() || kind { Strong } else { Weak });
    }
    // error TS2322:, error CS1002:, error LNK2019:
    let code = after.strip_prefix(' ').and_then(|rest| rest.split([':', ' ']).next()).unwrap_or_default();
    let letters = code.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.len() < code.len() && !letters.is_empty() && letters.chars().all(|c| c.is_ascii_uppercase()) {
        return Some(Strong);
    }
    // eslint: line and column, then two spaces around the word.
    let is_place = |word: &str| word.split_once(':').is_some_and(|(line, column)| is_number(line) && is_number(column));
    if after.starts_with("  ") && is_place(place.word_before()) {
        return Some(Strong);
    }
    let told = after.starts_with(" occurred") || after.starts_with(" while ");
    told.then_some(Weak)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Names of errors and exceptions: `Error:`, `ValueError:`, `java.io.IOException: …`.
fn name(place: Place<'_>) -> Option<Strength> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '\\');
    let before = place.before.trim_end_matches(is_name);
    let start = Place { before, ..place };
    let alone = before.len() == place.before.len();
    if place.after.starts_with('s') || place.after.starts_with("(s)") || place.is_none() {
        return counted(place);
    }
    if place.after.starts_with(" in thread \"") || (before == "CMake " && place.after.starts_with(" at ")) {
        return Some(Strong);
    }
    // Elixir, Ruby.
    if place.after.starts_with(')') && before.ends_with('(') && (place.after == ")" || before.starts_with("** ")) {
        return Some(Strong);
    }
    let thrown =
        ["Caused by: ", "Uncaught ", "Unhandled ", "Unhandled exception: "].iter().any(|it| before.ends_with(it));
    let leads = start.begins() || start.follows_colon() || thrown;
    if place.has_colon() || place.after.starts_with(" [ERR_") {
        return Some(if leads || before.ends_with(") ") { Strong } else { Weak });
    }
    (place.after.trim_end().is_empty() && !alone && leads).then_some(Strong)
}

fn upper_error(place: Place<'_>) -> Option<Strength> {
    let word_goes_on = place.after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
    if word_goes_on || !place.is_apart() || place.is_none() {
        return None;
    }
    Some(if place.begins() || (place.follows_colon() && place.has_colon()) { Strong } else { Weak })
}

fn fail(place: Place<'_>) -> Option<Strength> {
    let (word, after) = match place.after {
        rest if rest.starts_with("ED") => ("FAILED", rest.get(2..).unwrap_or_default()),
        rest if rest.starts_with("URE") => ("FAILURE", rest.get(3..).unwrap_or_default()),
        rest => ("FAIL", rest),
    };
    let place = Place { after, ..place };
    if after.starts_with(|c: char| c.is_alphanumeric() || c == '_') || place.is_none() {
        return None;
    }
    let begins = place.before.trim().is_empty();
    let strong = match word {
        "FAILED" => {
            place.before.ends_with("... ")
                || place.before == "[  "
                || place.before.contains("::")
                || (begins && (after.starts_with(": ") || after.starts_with(' ')) && !after.starts_with(" ("))
        }
        "FAIL" => place.before.ends_with("--- ") || (begins && after.starts_with([' ', ':', '\t'])),
        _ => false,
    };
    if !(strong || begins || place.is_apart()) {
        return None;
    }
    Some(if strong { Strong } else { Weak })
}

fn failed(place: Place<'_>) -> Option<Strength> {
    if place.line.contains("Assertion `") || place.line.contains("Assertion failed") {
        return Some(Strong);
    }
    counted(place)
}

/// Where a number that is not zero stands before the word.
fn counted(place: Place<'_>) -> Option<Strength> {
    let before = place.before.strip_suffix(' ')?;
    let number = number_at_end(before)?;
    (number > 0 && !place.is_none()).then_some(Weak)
}

fn not_ok(place: Place<'_>) -> Option<Strength> {
    let excused = place.after.contains("# TODO") || place.after.contains("# SKIP");
    (place.before.trim().is_empty() && is_number(place.after.get(..1).unwrap_or_default()) && !excused)
        .then_some(Strong)
}

/// Marks of failed tests, at a line's beginning.
fn mark(place: Place<'_>) -> Option<Strength> {
    (place.before.trim().is_empty() && place.after.starts_with(' ')).then_some(Strong)
}
