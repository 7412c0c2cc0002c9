//! What decides how a run is shown: flags, the environment, and where the text goes.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::style::Looks;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set; CLICOLOR_FORCE asks for them anywhere.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How much is shown while the run goes on, and the form of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A live view on a terminal, else plain lines; then the summary.
    #[default]
    Normal,
    /// `--quiet`: only failures and the summary.
    Quiet,
    /// `--json`: the summary as one object on stdout; a live view where stderr is a terminal.
    Json,
}

/// Where the text for people goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sink {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error: where stdout carries events.
    Stderr,
}

/// The command lines that the view tells people to use.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// How to see logs, without run and job: `quire-ci log`. `None` where the run is in no database: then the file is named.
    pub log: Option<String>,
    /// How to run one job again, without the job: `quire-ci run`.
    pub rerun: Option<String>,
    /// How to open a shell where a command failed, without run and job: `quire-ci shell`. `None` as for `log`.
    pub shell: Option<String>,
    /// How to look at the record in a browser: `quire serve --data-dir DIR`. `None` as for `log`.
    pub browser: Option<String>,
    /// The run directory.
    pub record_dir: Option<PathBuf>,
}

/// How to show a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How much.
    pub mode: Mode,
    /// Colours.
    pub colour: Colour,
    /// Where to; `Json` always shows on stderr.
    pub sink: Sink,
    /// What to tell people to use.
    pub hints: Hints,
}

/// Facts about the place where the text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// It is a terminal.
    pub terminal: bool,
    /// `TERM` is `dumb`: no cursor movement, no colours.
    pub dumb: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_colour: bool,
    /// `CLICOLOR_FORCE` is set, neither empty nor `0`.
    pub force_colour: bool,
    /// The locale is a UTF-8 one.
    pub utf8: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of(sink: Sink) -> Surroundings {
        let terminal = match sink {
            Sink::Stdout => std::io::stdout().is_terminal(),
            Sink::Stderr => std::io::stderr().is_terminal(),
        };
        Surroundings::from(terminal, |name| std::env::var_os(name))
    }

    /// From an environment: of `LC_ALL`, `LC_CTYPE` and `LANG` the first that is set and not empty tells the locale.
    fn from(terminal: bool, var: impl Fn(&str) -> Option<OsString>) -> Surroundings {
        let text =
            |name| var(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().to_lowercase());
        let locale = text("LC_ALL").or_else(|| text("LC_CTYPE")).or_else(|| text("LANG")).unwrap_or_default();
        Surroundings {
            terminal,
            dumb: text("TERM").is_some_and(|term| term == "dumb"),
            no_colour: text("NO_COLOR").is_some(),
            force_colour: text("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// Whether the cursor can be moved.
    pub fn is_live(self) -> bool {
        self.terminal && !self.dumb
    }

    /// Colours and characters to use. NO_COLOR goes before CLICOLOR_FORCE, `--color` before both.
    pub fn looks(self, colour: Colour) -> Looks {
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if self.no_colour => false,
            Colour::Auto => self.force_colour || self.is_live(),
        };
        Looks { colour, unicode: self.utf8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(terminal: bool, vars: &[(&str, &str)]) -> Surroundings {
        Surroundings::from(terminal, |name| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn colours() {
        for (terminal, vars, flag, colour) in [
            (true, &[][..], Colour::Auto, true),
            (false, &[], Colour::Auto, false),
            (true, &[("NO_COLOR", "1")], Colour::Auto, false),
            (true, &[("NO_COLOR", "")], Colour::Auto, true),
            (true, &[("NO_COLOR", "1")], Colour::Always, true),
            (false, &[], Colour::Always, true),
            (true, &[("CLICOLOR_FORCE", "1")], Colour::Never, false),
            (false, &[("CLICOLOR_FORCE", "1")], Colour::Auto, true),
            (false, &[("CLICOLOR_FORCE", "0")], Colour::Auto, false),
            (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], Colour::Auto, false),
            (true, &[("TERM", "dumb")], Colour::Auto, false),
        ] {
            assert_eq!(surroundings(terminal, vars).looks(flag).colour, colour, "{terminal} {vars:?} {flag:?}");
        }
    }

    #[test]
    fn characters() {
        for (vars, unicode) in [
            (&[][..], false),
            (&[("LANG", "C")], false),
            (&[("LANG", "en_GB.UTF-8")], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8")], true),
            (&[("LC_ALL", ""), ("LANG", "C.UTF-8")], true),
        ] {
            assert_eq!(surroundings(true, vars).looks(Colour::Auto).unicode, unicode, "{vars:?}");
        }
    }
}
