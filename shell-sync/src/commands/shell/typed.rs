//! A command as a person types it again: in `sh`'s tradition, or in fish.

use quire_core::engine::{in_shell, quoted, speaks_sh};
use quire_core::redact::SecretSet;

/// A command to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// As the pipeline wrote it: a line for `sh` and its kin.
    pub written: String,
    /// What was started, or the same under `sh -e -c`.
    pub argv: Vec<Vec<u8>>,
}

impl Typed {
    /// From the record, which does not tell a list from a line: a list stands there as it would be typed.
    pub fn recorded(cmd: &str, shell: Option<&str>) -> Typed {
        let shell = shell.unwrap_or("sh");
        let argv = in_shell(shell, cmd.as_bytes());
        Typed { written: if speaks_sh(shell) { cmd.to_owned() } else { quoted(&argv) }, argv }
    }

    /// From what was started.
    pub fn started(argv: &[Vec<u8>]) -> Typed {
        let line = match argv {
            [shell, .., line] => std::str::from_utf8(shell)
                .ok()
                .filter(|shell| speaks_sh(shell) && in_shell(shell, line) == argv)
                .map(|_| String::from_utf8_lossy(line).into_owned()),
            _ => None,
        };
        Typed { written: line.unwrap_or_else(|| quoted(argv)), argv: argv.to_vec() }
    }

    /// The shell and its flags, where a line was run by one: `sh -e -c`.
    pub fn ran_by(&self) -> Option<String> {
        let (_, shell) = self.argv.split_last()?;
        (quoted(&self.argv) != self.written).then(|| quoted(shell))
    }

    /// Whether a part of it is a secret that the record hides.
    pub fn is_masked(&self) -> bool {
        self.written.contains(SecretSet::MASK)
    }

    /// What goes into a shell's history, the one to be recalled first at the end: in `sh`'s kin the line as it was written, before
    /// it the same under the shell that ran it; in fish, which may not understand the line, the other way round.
    pub fn history(&self, fish: bool) -> Vec<String> {
        let exact = if fish { quoted_for_fish(&self.argv) } else { quoted(&self.argv) };
        match (self.ran_by(), fish) {
            (None, _) => vec![exact],
            (Some(_), false) => vec![exact, self.written.clone()],
            (Some(_), true) => vec![self.written.clone(), exact],
        }
    }
}

/// An argv as a person would type it for fish, where a backslash escapes within single quotes too.
fn quoted_for_fish(argv: &[Vec<u8>]) -> String {
    let word = |word: &Vec<u8>| {
        let text = String::from_utf8_lossy(word);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_line_is_recalled_as_written_and_as_it_ran() {
        for (typed, ran_by, history) in [
            (Typed::recorded("make x", None), Some("sh -e -c"), &["sh -e -c 'make x'", "make x"][..]),
            (
                Typed::recorded("a | b", Some("bash")),
                Some("bash -eo pipefail -c"),
                &["bash -eo pipefail -c 'a | b'", "a | b"],
            ),
            (Typed::recorded("print(1)", Some("python3")), None, &["python3 -c 'print(1)'"]),
            (Typed::started(&argv(&["sh", "-e", "-c", "it's"])), Some("sh -e -c"), &[r"sh -e -c 'it'\''s'", "it's"]),
            (Typed::started(&argv(&["cargo", "test", "a b"])), None, &["cargo test 'a b'"]),
            (Typed::started(&argv(&["python3", "-c", "1 + 1"])), None, &["python3 -c '1 + 1'"]),
            (Typed::started(&argv(&["sh", "-c", "x y"])), None, &["sh -c 'x y'"]),
            (Typed::started(&argv(&["true"])), None, &["true"]),
        ] {
            assert_eq!(typed.history(false), history, "{typed:?}");
            assert_eq!(typed.ran_by().as_deref(), ran_by, "{typed:?}");
        }
    }

    #[test]
    fn fish_is_given_what_it_understands_first() {
        let line = Typed::recorded(r"printf 'a\n' > it's", None);
        assert_eq!(line.history(true), [r"printf 'a\n' > it's", r"sh -e -c 'printf \'a\\n\' > it\'s'"]);
        assert_eq!(Typed::started(&argv(&["echo", r"\", "100%"])).history(true), [r"echo '\\' '100%'"]);
    }

    #[test]
    fn a_mask_is_seen() {
        assert!(Typed::recorded("curl -H ***", None).is_masked());
        assert!(!Typed::recorded("ls **", None).is_masked());
    }
}
