//! What a simulated command does: its own text says it.
//!
//! Statements between `;`, run from left to right: `ok`, `print TEXT` (a line), `put TEXT` (no line end), `err TEXT`, `bytes N`,
//! `late N` (so many bytes wait in the pipe when it exits), `sleep SECONDS`, `fail CODE`, `signal N`, `deaf` (TERM does nothing
//! from here on), `term CODE` (exits so on TERM), `linger SECONDS` (something holds the output so long after the exit), `closes`
//! (its output ends now, it goes on), `fail_first N` (the first N commands of this very text fail), `cat`, `pwd`, `getenv NAME`,
//! `leak NAME FORM` (prints a declared secret, `raw`, `hex`, `base64` or `halves` with a pause between), `aside` (does nothing;
//! marks a command that its script does not wait for from the start), `serve` (does nothing; marks a service). As its only word
//! but `aside`, `missing`, `nocwd` or `broken`: it does not start.

use std::time::Duration;

use quire_core::engine::SpawnFailure;

/// One statement of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    Nothing,
    Print { stderr: bool, bytes: Vec<u8> },
    Late(usize),
    SleepMs(u64),
    Fail(i32),
    Signal(i32),
    Deaf,
    Term(i32),
    LingerMs(u64),
    Closes,
    FailFirst(usize),
    Cat,
    Pwd,
    GetEnv(String),
    Leak { name: String, form: Form },
}

/// How a secret is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Raw,
    Hex,
    Base64,
    Halves,
}

/// A command as its text tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub statements: Vec<Statement>,
    /// No script waits for it from the start.
    pub aside: bool,
    /// It takes no slot.
    pub service: bool,
}

/// The text of a command: what follows `-c` of a shell, else its words.
pub(super) fn text_of(argv: &[Vec<u8>]) -> String {
    let text = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
    match argv {
        [_, options @ .., line] if options.last().is_some_and(|word| word == b"-c") => text(line),
        words => words.iter().map(text).collect::<Vec<_>>().join(" "),
    }
}

/// Why a command of this text does not start, if it does not.
pub(super) fn start_failure(text: &str) -> Option<SpawnFailure> {
    match text.strip_prefix("aside; ").unwrap_or(text) {
        "missing" => Some(SpawnFailure::NotFound { searched: "/bin".into() }),
        "nocwd" => Some(SpawnFailure::Cwd { message: "no such directory".into() }),
        "broken" => Some(SpawnFailure::Other { message: "exec format error".into() }),
        _ => None,
    }
}

impl Script {
    /// # Panics
    /// Where a statement is none: a mistake in a test, or in the generator.
    pub fn parse(text: &str) -> Script {
        let mut script = Script { statements: Vec::new(), aside: false, service: false };
        for words in text.split(';') {
            let statement = statement(words.trim());
            script.aside |= words.trim() == "aside";
            script.service |= words.trim() == "serve";
            script.statements.push(statement);
        }
        script
    }
}

fn statement(words: &str) -> Statement {
    let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
    let print = |stderr, bytes| Statement::Print { stderr, bytes };
    let said = match verb {
        "ok" | "true" | "aside" | "serve" => Some(Statement::Nothing),
        "print" => Some(print(false, format!("{rest}\n").into_bytes())),
        "put" => Some(print(false, rest.as_bytes().to_vec())),
        "err" => Some(print(true, format!("{rest}\n").into_bytes())),
        "bytes" => rest.parse().ok().map(|count| print(false, vec![b'x'; count])),
        "late" => rest.parse().ok().map(Statement::Late),
        "sleep" => span_ms(rest).map(Statement::SleepMs),
        "linger" => span_ms(rest).map(Statement::LingerMs),
        "fail" => rest.parse().ok().map(Statement::Fail),
        "signal" => rest.parse().ok().map(Statement::Signal),
        "term" => rest.parse().ok().map(Statement::Term),
        "fail_first" => rest.parse().ok().map(Statement::FailFirst),
        "deaf" => Some(Statement::Deaf),
        "closes" => Some(Statement::Closes),
        "cat" => Some(Statement::Cat),
        "pwd" => Some(Statement::Pwd),
        "getenv" => Some(Statement::GetEnv(rest.to_owned())),
        "leak" => leak(rest),
        _ => None,
    };
    said.unwrap_or_else(|| panic!("no command {words:?}"))
}

fn span_ms(seconds: &str) -> Option<u64> {
    let span = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    u64::try_from(span.as_millis()).ok()
}

fn leak(rest: &str) -> Option<Statement> {
    let (name, form) = rest.split_once(' ')?;
    let form = match form {
        "raw" => Form::Raw,
        "hex" => Form::Hex,
        "base64" => Form::Base64,
        "halves" => Form::Halves,
        _ => return None,
    };
    Some(Statement::Leak { name: name.to_owned(), form })
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Standard base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * digit) & 63) as usize];
            out.push(if digit <= chunk.len() { letter } else { b'=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_statements() {
        let script = Script::parse("serve; print a b; sleep 0.5; err x; fail 3");
        assert!(script.service && !script.aside);
        assert_eq!(script.statements[1], Statement::Print { stderr: false, bytes: b"a b\n".to_vec() });
        assert_eq!(script.statements[2], Statement::SleepMs(500));
        assert_eq!(script.statements[4], Statement::Fail(3));
    }

    #[test]
    fn encodings_are_the_usual_ones() {
        for (bytes, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), encoded.as_bytes());
        }
        assert_eq!(hex(b"\x00\xffa"), b"00ff61");
    }
}
