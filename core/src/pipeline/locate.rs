//! Finds the column of a word: Lua tells on which line a call stands, its text tells where on it.
//!
//! A light reading of Lua and Fennel: strings, comments, brackets, and the bodies of functions, which are passed over: what a
//! job runs is not what it is called with. Where nothing is found there is no column, never a wrong guess. The server's
//! configuration is found its way through with the same [`Lexer`].

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Place};

/// Most bytes of a call that are looked at.
const REACH: usize = 64 * 1024;
/// Most bytes of an excerpt.
const EXCERPT: usize = 4096;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// A quoted text (`"id"`, `'id'`, `[[id]]`, Fennel's `:id`); the n-th, from 0.
    Text(&'a str, usize),
    /// A quoted text, or a bare word such as the key of an option.
    Word(&'a str),
    /// `{}`, or Fennel's `[]`.
    EmptyTable,
}

/// The files of a pipeline, with the starts of their lines found once.
pub(crate) struct Files<'a> {
    texts: &'a BTreeMap<String, String>,
    starts: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(texts: &'a BTreeMap<String, String>) -> Files<'a> {
        Files { texts, starts: BTreeMap::new() }
    }

    /// The text of the call at `place` from its line on, and the offset of that line.
    fn line_of(&mut self, place: &Place) -> Option<(&'a str, &[usize], usize)> {
        let (name, text) = self.texts.get_key_value(&place.file)?;
        let starts = self.starts.entry(name).or_insert_with(|| line_starts(text, is_fennel(name)));
        let start = *starts.get(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
        Some((text, starts, start))
    }

    /// The source line at a place, without its newline, at most 4 KiB of it.
    pub(crate) fn excerpt(&mut self, place: &Place) -> Option<String> {
        let (text, _, start) = self.line_of(place)?;
        let rest = text.get(start..)?;
        let line = if is_fennel(&place.file) { rest.lines().next() } else { rest.split(['\n', '\r']).next() };
        let line = line.unwrap_or_default();
        Some(line.get(..line.floor_char_boundary(EXCERPT)).unwrap_or_default().to_owned())
    }

    /// Line and column of `wanted` in the call that begins on the line of `place`, or `place` as it is.
    pub(super) fn locate(&mut self, place: &Place, wanted: Wanted<'_>) -> Place {
        self.find(place, wanted).unwrap_or_else(|| place.clone())
    }

    fn find(&mut self, place: &Place, wanted: Wanted<'_>) -> Option<Place> {
        let fennel = is_fennel(&place.file);
        let (text, starts, start) = self.line_of(place)?;
        let end = text.floor_char_boundary(start.saturating_add(REACH));
        let at = start + search(Lexer::new(text.get(start..end)?, fennel), wanted)?;
        place_of(&place.file, text, starts, at)
    }

    /// The place of a byte of a file.
    pub(crate) fn place_at(&mut self, file: &str, at: usize) -> Option<Place> {
        let first = Place { file: file.to_owned(), line: 1, column: None };
        let (text, starts, _) = self.line_of(&first)?;
        place_of(file, text, starts, at)
    }

    /// Completes a diagnostic: its column where the message quotes what stands on the line, its excerpt, and its help where
    /// the message gives it behind a semicolon.
    pub(super) fn complete(&mut self, mut diagnostic: Diagnostic) -> Diagnostic {
        if let Some(place) = &mut diagnostic.place {
            if place.column.is_none() {
                if let Some(token) = near(&diagnostic.message) {
                    place.column = self.only(place, token);
                } else if let Some(word) = first_quoted(&diagnostic.message) {
                    *place = self.locate(place, Wanted::Word(word));
                    if place.column.is_none() && place.file.ends_with(".fnl") {
                        // A word of Fennel has its fields in it: `ci.job`.
                        place.column = self.only(place, &format!(".{word}")).map(|column| column + 1);
                    }
                }
            }
            if diagnostic.excerpt.is_none() {
                diagnostic.excerpt = self.excerpt(place).filter(|line| !line.trim().is_empty());
            }
        }
        if diagnostic.help.is_none()
            && let Some((message, help)) = diagnostic.message.split_once("; ")
            && message.matches(['"', '\'', '`']).count().is_multiple_of(2)
        {
            diagnostic.help = Some(help.to_owned());
            diagnostic.message = message.to_owned();
        }
        diagnostic
    }

    /// The column of `token` on the line of `place`, if it stands there once.
    fn only(&mut self, place: &Place, token: &str) -> Option<u32> {
        let line = self.excerpt(place)?;
        let mut found = line.match_indices(token);
        let (at, _) = found.next()?;
        let before = line.get(..at)?;
        if found.next().is_some() { None } else { u32::try_from(before.chars().count() + 1).ok() }
    }
}

fn place_of(file: &str, text: &str, starts: &[usize], at: usize) -> Option<Place> {
    let line = starts.partition_point(|line| *line <= at);
    let before = text.get(*starts.get(line.checked_sub(1)?)?..at)?;
    Some(Place {
        file: file.to_owned(),
        line: u32::try_from(line).ok()?,
        column: u32::try_from(before.chars().count() + 1).ok(),
    })
}

fn is_fennel(file: &str) -> bool {
    file.ends_with(".fnl")
}

/// Where the lines begin, counted as the compiler does that tells their numbers: for Lua each `\n` and each `\r` ends a line, and
/// one of both together end one; for Fennel it is `\n`.
fn line_starts(text: &str, fennel: bool) -> Vec<usize> {
    let (bytes, mut starts, mut at) = (text.as_bytes(), vec![0], 0);
    let other = if fennel { b'\n' } else { b'\r' };
    while let Some(end) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'\n', other, rest)) {
        at += end + 1;
        let pair = bytes.get(at - 1..=at);
        if !fennel && matches!(pair, Some(b"\r\n" | b"\n\r")) {
            at += 1;
        }
        starts.push(at);
    }
    starts
}

/// The token at which Lua's compiler stumbled: `… near 'x'` at the end of a message.
fn near(message: &str) -> Option<&str> {
    let (_, token) = message.rsplit_once(" near '")?;
    token.strip_suffix('\'').filter(|token| !token.is_empty())
}

/// The first word that a message quotes, with `"` or `'`.
fn first_quoted(message: &str) -> Option<&str> {
    let start = message.find(['"', '\''])?;
    let quote = message.get(start..)?.chars().next()?;
    let rest = message.get(start + 1..)?;
    rest.get(..rest.find(quote)?).filter(|word| !word.is_empty())
}

/// A piece of Lua or Fennel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// What is quoted, without its quotes, escapes as they stand; Fennel's `:key`.
    Text(&'a str),
    /// A name, a keyword, a number; in Fennel with all that may be in a symbol.
    Word(&'a str),
    /// A bracket that opens.
    Open(u8),
    /// A bracket that closes.
    Close,
    /// The end of a line.
    LineEnd,
    /// Anything else, byte by byte.
    Other(u8),
}

/// Walks the call to its end, the first line end at which no bracket that it opened is open; passes over bodies of functions.
fn search(lexer: Lexer<'_>, wanted: Wanted<'_>) -> Option<usize> {
    let fennel = lexer.fennel;
    let mut depth = 0_i64;
    let mut seen = 0;
    // Inside a body: for Lua the blocks still open, for Fennel the depth at which it ends.
    let mut body: Option<i64> = None;
    let mut previous = (Token::LineEnd, 0);
    for (token, at) in lexer {
        depth += match token {
            Token::Open(_) => 1,
            Token::Close => -1,
            _ => 0,
        };
        if let Some(inside) = &mut body {
            *inside += match token {
                Token::Word("function" | "do" | "if" | "repeat") if !fennel => 1,
                Token::Word("end" | "until") if !fennel => -1,
                _ => 0,
            };
            if (fennel && depth <= *inside) || (!fennel && *inside <= 0) {
                body = None;
            }
            continue;
        }
        match (token, wanted) {
            (Token::Word("function"), _) if !fennel => body = Some(1),
            (Token::Word("fn" | "lambda" | "λ" | "hashfn"), _) if fennel && matches!(previous.0, Token::Open(_)) => {
                body = Some(depth - 1);
            }
            (Token::Open(_), _) if fennel && previous == (Token::Other(b'#'), at.saturating_sub(1)) => {
                body = Some(depth - 1);
            }
            (Token::LineEnd, _) if depth <= 0 => return None,
            (Token::LineEnd, _) => continue,
            (Token::Text(text), Wanted::Text(id, n)) if text == id => {
                if seen == n {
                    return Some(at);
                }
                seen += 1;
            }
            (Token::Text(word) | Token::Word(word), Wanted::Word(wanted)) if word == wanted => return Some(at),
            (Token::Close, Wanted::EmptyTable) if matches!(previous.0, Token::Open(b'{' | b'[')) => {
                return Some(previous.1);
            }
            _ => {}
        }
        previous = (token, at);
    }
    None
}

/// Tokens with their offsets. Syntax is ASCII, so every cut lies on a character border.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    fennel: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, fennel: bool) -> Lexer<'a> {
        Lexer { text, at: 0, fennel }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes bytes up to the first that is not `inside`.
    fn take_while(&mut self, inside: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !inside(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Takes a text up to its quote; Lua's also ends with the line.
    fn quoted(&mut self, quote: u8) -> Token<'a> {
        self.at += 1;
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let ends = !escaped && (byte == quote || (byte == b'\n' && !self.fennel));
            escaped = !escaped && byte == b'\\';
            ends
        });
        let length = end.unwrap_or(rest.len());
        self.at += length + usize::from(rest.as_bytes().get(length) == Some(&quote));
        Token::Text(rest.get(..length).unwrap_or_default())
    }

    /// Takes Lua's `[[…]]` or `[==[…]==]`, where one begins here.
    fn long_text(&mut self) -> Option<Token<'a>> {
        let inner = self.rest().strip_prefix('[')?;
        let level = inner.bytes().take_while(|byte| *byte == b'=').count();
        let content = inner.get(level..)?.strip_prefix('[')?;
        let close = format!("]{}]", "=".repeat(level));
        let length = content.find(&close).unwrap_or(content.len());
        self.at += (level + 2 + length + close.len()).min(self.rest().len());
        content.get(..length).map(Token::Text)
    }

    fn comment(&mut self) -> bool {
        let marker = if self.fennel { ";" } else { "--" };
        if !self.rest().starts_with(marker) {
            return false;
        }
        self.at += marker.len();
        if self.fennel || self.long_text().is_none() {
            self.take_while(|byte| byte != b'\n');
        }
        true
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = (Token<'a>, usize);

    fn next(&mut self) -> Option<(Token<'a>, usize)> {
        while !self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).is_empty() || self.comment() {}
        let at = self.at;
        let first = *self.rest().as_bytes().first()?;
        let word = match self.fennel {
            true => |byte: u8| !byte.is_ascii_whitespace() && !b"()[]{}\"';,`#".contains(&byte),
            false => |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80,
        };
        let token = match first {
            b'"' => self.quoted(first),
            b'\'' if !self.fennel => self.quoted(first),
            b'[' if !self.fennel
                && let Some(text) = self.long_text() =>
            {
                text
            }
            _ if word(first) => {
                let word = self.take_while(word);
                match word.strip_prefix(':').filter(|key| self.fennel && !key.is_empty()) {
                    Some(key) => Token::Text(key),
                    None => Token::Word(word),
                }
            }
            _ => {
                self.at += 1;
                match first {
                    b'\n' => Token::LineEnd,
                    b'(' | b'[' | b'{' => Token::Open(first),
                    b')' | b']' | b'}' => Token::Close,
                    other => Token::Other(other),
                }
            }
        };
        Some((token, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: &str, text: &str, line: u32, wanted: Wanted<'_>) -> Option<(u32, u32)> {
        let texts = BTreeMap::from([(file.to_owned(), text.to_owned())]);
        let place = Place { file: file.into(), line, column: None };
        let found = Files::new(&texts).locate(&place, wanted);
        found.column.map(|column| (found.line, column))
    }

    type Case<'a> = (u32, Wanted<'a>, Option<(u32, u32)>);

    fn check(file: &str, text: &str, cases: &[Case<'_>]) {
        for (line, wanted, expected) in cases {
            assert_eq!(find(file, text, *line, *wanted), *expected, "{wanted:?} from line {line} of\n{text}");
        }
    }

    use Wanted::{EmptyTable, Text, Word};

    #[test]
    fn lua() {
        check(
            "ci.lua",
            "ci.job(\"a\", {'b', \"a\"}, function(rt)\n  rt.sh(\"x\")\nend)\nci.job(\"x\", {\"y\"}, f)",
            &[
                (1, Text("a", 0), Some((1, 8))),
                (1, Text("a", 1), Some((1, 19))),
                (1, Text("a", 2), None),
                (1, Text("b", 0), Some((1, 14))),
                (1, Text("x", 0), None),
                (1, Text("y", 0), None),
                (4, Text("x", 0), Some((4, 8))),
                (9, Text("x", 0), None),
                (0, Text("x", 0), None),
            ],
        );
    }

    #[test]
    fn calls_of_many_lines_and_bodies_with_blocks() {
        let text = "local function add(name)\n  ci.job(\n    name, -- \"no\"\n    {\n      [[lint]], --[==[ \"no\" ]] ]==] \"ü\", \"öö\",\n    }, {\n      \
                    timeot = 3 },\n    function(rt) if x then for i in y do rt.sh(\"no\") end end end, \"late\")\nend\nci.job(\"other\")";
        check(
            "ci.lua",
            text,
            &[
                (2, Text("lint", 0), Some((5, 7))),
                (2, Text("öö", 0), Some((5, 42))),
                (2, Text("no", 0), None),
                (2, Text("late", 0), Some((8, 67))),
                (2, Word("timeot"), Some((7, 7))),
                (2, Text("timeot", 0), None),
                (2, Text("other", 0), None),
                (2, EmptyTable, None),
            ],
        );
    }

    #[test]
    fn several_calls_on_a_line() {
        check(
            "ci.lua",
            "ci.job('a', f()) ci.job('b', function() return {} end) ci.job('c', { -- x\n}, f)",
            &[(1, Text("c", 0), Some((1, 63))), (1, EmptyTable, Some((1, 68)))],
        );
    }

    #[test]
    fn strings_do_not_confuse() {
        check(
            "ci.lua",
            "ci.job('it\\'s (', \"--\", { 'b\\\\', 'c' })\nci.job('d')",
            &[(1, Text("c", 0), Some((1, 34))), (1, Text("d", 0), None), (1, Text("--", 0), Some((1, 19)))],
        );
        check(
            "ci.lua",
            "x('open\ny('b')\nz [==[ never closed",
            &[(1, Text("b", 0), Some((2, 3))), (2, Text("b", 0), Some((2, 3))), (3, Text("b", 0), None)],
        );
    }

    #[test]
    fn fennel() {
        let text = "(each [_ v (ipairs vs)]\n  (ci.job (.. :t- v) [:biuld \"it's\"] ; :no\n    {:timeot 3 :env {}} (fn [rt] (rt.sh :no)) #(rt.sh :no) :late))\n(ci.job :x [] f)";
        check(
            "ci.fnl",
            text,
            &[
                (2, Text("biuld", 0), Some((2, 23))),
                (2, Text("it's", 0), Some((2, 30))),
                (2, Word("timeot"), Some((3, 6))),
                (2, Text("no", 0), None),
                (2, Text("late", 0), Some((3, 60))),
                (2, Text("x", 0), None),
                (4, Text("x", 0), Some((4, 9))),
                (4, EmptyTable, Some((4, 12))),
            ],
        );
    }

    #[test]
    fn diagnostics_are_completed() {
        let texts = BTreeMap::from([("ci.lua".to_owned(), "-- one\r\nlocal x = ci.jbo()\r\n".to_owned())]);
        let place = |line| Place { file: "ci.lua".into(), line, column: None };
        let complete = |message: &str, line| Files::new(&texts).complete(Diagnostic::new(message).at(place(line)));
        let found = complete("attempt to call a nil value (field 'jbo')", 2);
        assert_eq!(found.place, Some(Place { column: Some(14), ..place(2) }));
        assert_eq!(found.excerpt.as_deref(), Some("local x = ci.jbo()"));
        let found = complete("it's odd", 1);
        assert_eq!((found.place, found.excerpt.as_deref()), (Some(place(1)), Some("-- one")));
        assert_eq!(complete("x", 77).excerpt, None);
        assert_eq!(complete("x", 3).excerpt, None);
        // What the compiler stumbled over, where it stands on the line once.
        for (message, column) in [
            ("'=' expected near 'ci'", Some(11)),
            ("unexpected symbol near ')'", Some(18)),
            ("unexpected symbol near 'c'", None),
            ("unfinished string near '\"x'", None),
            ("')' expected near <eof>", None),
        ] {
            let found = complete(message, 2).place.and_then(|place| place.column);
            assert_eq!(found, column, "{message}");
        }
        let found = complete("unknown option \"a; b\" of ci.job; its options are x; y", 1);
        assert_eq!(found.message, "unknown option \"a; b\" of ci.job; its options are x; y");
        let found = complete("ci has no 'jbo'; it has glob; job", 2);
        assert_eq!((found.message.as_str(), found.help.as_deref()), ("ci has no 'jbo'", Some("it has glob; job")));
        assert_eq!(found.place, Some(Place { column: Some(14), ..place(2) }));
        let texts = BTreeMap::from([("ci.fnl".to_owned(), "(ci.jbo :a)".to_owned())]);
        let fennel = Place { file: "ci.fnl".into(), line: 1, column: None };
        let found = Files::new(&texts).complete(Diagnostic::new("ci has no 'jbo'").at(fennel.clone()));
        assert_eq!(found.place, Some(Place { column: Some(5), ..fennel }));
        let long = BTreeMap::from([("ci.lua".to_owned(), "ü".repeat(10_000))]);
        assert_eq!(Files::new(&long).excerpt(&place(1)).map(|line| line.len()), Some(4096));
    }

    #[test]
    fn lines_are_counted_as_the_compiler_counts_them() {
        for (file, text, lines) in [
            ("ci.lua", "a\nb\r\nc\rd\n\re\r\rf\n\ng", &["a", "b", "c", "d", "e", "", "f", "", "g"][..]),
            ("ci.fnl", "a\nb\r\nc\rd\n", &["a", "b", "c\rd", ""]),
        ] {
            let texts = BTreeMap::from([(file.to_owned(), text.to_owned())]);
            let place = |line| Place { file: file.into(), line, column: None };
            let excerpts: Vec<String> = (1..).map_while(|line| Files::new(&texts).excerpt(&place(line))).collect();
            assert_eq!(excerpts, lines, "{file}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        fn property(file: bool, text: String, wanted: String) -> bool {
            let file = if file { "ci.lua" } else { "ci.fnl" };
            find(file, &text, 1, Text(&wanted, 0)).is_none_or(|(line, column)| {
                let start = line_starts(&text, file == "ci.fnl")[line as usize - 1];
                text[start..].chars().take_while(|c| *c != '\n').count() >= column as usize
            })
        }
        quickcheck::quickcheck(property as fn(bool, String, String) -> bool);
    }
}
