//! What a person is told when something went wrong, and the exit code of each kind (CONTRACT 5), in one place.

use std::fmt::{self, Write as _};
use std::io;

use anstyle::{AnsiColor, Style};
use quire_core::pipeline::{Diagnostic, Part};

use crate::record::RecordError;
use crate::store::StoreError;

/// What sort of trouble it is. The exit code follows from it and from nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line asks for something that cannot be.
    Usage,
    /// A run, a job or a command that was named does not exist.
    NotFound,
    /// The pipeline is missing or wrong.
    Pipeline,
    /// The record or the database cannot be read or written.
    Record,
    /// The machine refused something else: a file, a program, git.
    Machine,
    /// Who reads our output has gone.
    BrokenPipe,
}

impl ErrorKind {
    /// The process's exit code.
    pub fn exit_code(self) -> i32 {
        match self {
            ErrorKind::Usage | ErrorKind::NotFound | ErrorKind::Pipeline | ErrorKind::Record | ErrorKind::Machine => 2,
            ErrorKind::BrokenPipe => 128 + 13,
        }
    }
}

/// An error as a person reads it: what was wrong, where, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// What was wrong, in one sentence without a full stop.
    pub message: String,
    /// Where: a file, an option, a folder.
    pub place: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Errors of the pipeline or of the configuration. They are shown one after the other; of several the message is the last line, one stands alone.
    pub diagnostics: Vec<Diagnostic>,
}

impl CliError {
    /// An error that knows only what was wrong.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> CliError {
        CliError { kind, message: message.into(), place: None, help: None, diagnostics: Vec::new() }
    }

    /// The command line asks for something that cannot be.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError::new(ErrorKind::Usage, message)
    }

    /// Something that was named does not exist.
    pub fn not_found(message: impl Into<String>) -> CliError {
        CliError::new(ErrorKind::NotFound, message)
    }

    /// The machine refused something.
    pub fn machine(message: impl Into<String>) -> CliError {
        CliError::new(ErrorKind::Machine, message)
    }

    /// All that is wrong with a pipeline.
    pub fn pipeline(diagnostics: Vec<Diagnostic>) -> CliError {
        let count = diagnostics.len();
        let message = format!("the pipeline has {count} error{}", if count == 1 { "" } else { "s" });
        CliError { diagnostics, ..CliError::new(ErrorKind::Pipeline, message) }
    }

    /// All that is wrong with the server's configuration.
    pub fn configuration(diagnostics: Vec<Diagnostic>) -> CliError {
        let count = diagnostics.len();
        let message = format!("the configuration has {count} error{}", if count == 1 { "" } else { "s" });
        CliError { diagnostics, ..CliError::new(ErrorKind::Usage, message) }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> CliError {
        self.place = Some(place.to_string());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> CliError {
        self.help = Some(help.into());
        self
    }

    /// The text for stderr, newline-terminated; empty where nobody is left to read it. `style` gets each part and returns it as
    /// it shall appear: [`styled`], or [`plain`].
    pub fn render(&self, style: &dyn Fn(Part, &str) -> String) -> String {
        if self.kind == ErrorKind::BrokenPipe {
            return String::new();
        }
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            let _ = writeln!(text, "{}", diagnostic.render(style));
        }
        if self.diagnostics.len() != 1 {
            let message = style(Part::Message, &format!(": {}", self.message));
            let _ = writeln!(text, "{}{message}", style(Part::Severity, "error"));
        }
        if let Some(place) = &self.place {
            let _ = writeln!(text, "  {} {}", style(Part::Gutter, "-->"), style(Part::Place, place));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "{}{}", style(Part::HelpLabel, "help"), style(Part::Help, &format!(": {help}")));
        }
        text
    }
}

/// A part as it is.
pub fn plain(_part: Part, text: &str) -> String {
    text.to_owned()
}

/// A part in its colour, by ANSI sequences; what writes it takes them out where they do not belong.
pub fn styled(part: Part, text: &str) -> String {
    let style = match part {
        Part::Severity => AnsiColor::Red.on_default().bold(),
        Part::Warning => AnsiColor::Yellow.on_default().bold(),
        Part::Message => Style::new().bold(),
        Part::Gutter => AnsiColor::Blue.on_default(),
        Part::Caret => AnsiColor::Red.on_default(),
        Part::HelpLabel => AnsiColor::Green.on_default().bold(),
        Part::Place | Part::Excerpt | Part::Help => Style::new(),
    };
    format!("{style}{text}{style:#}")
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(&plain).trim_end())
    }
}

impl std::error::Error for CliError {}

/// For `?` on what is written to standard output. Errors that know their file are made with [`CliError::machine`].
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> CliError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::new(ErrorKind::BrokenPipe, "the reader of the output has gone"),
            _ => CliError::machine(format!("cannot write the output: {error}")),
        }
    }
}

/// Its text says what to do already.
impl From<RecordError> for CliError {
    fn from(error: RecordError) -> CliError {
        CliError::new(ErrorKind::Record, error.to_string())
    }
}

/// Its text says what to do already.
impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        CliError::new(ErrorKind::Record, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_what_to_do() {
        let error = CliError::usage("there is no such thing").at("--thing").help("leave it out");
        assert_eq!(error.render(&plain), "error: there is no such thing\n  --> --thing\nhelp: leave it out\n");
        assert_eq!(CliError::machine("no").render(&plain), "error: no\n");
    }

    #[test]
    fn one_diagnostic_stands_alone() {
        let one = Diagnostic::new("no such job").help("jobs: a");
        assert_eq!(CliError::pipeline(vec![one.clone()]).render(&plain), format!("{one}\n"));
        let two = CliError::pipeline(vec![one.clone(), one.clone()]).render(&plain);
        assert_eq!(two, format!("{one}\n{one}\nerror: the pipeline has 2 errors\n"));
    }

    #[test]
    fn colours_are_around_the_same_text() {
        let coloured = CliError::usage("no").help("yes").render(&styled);
        assert!(coloured.contains("\u{1b}["), "{coloured}");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), "error: no\nhelp: yes\n");
    }

    #[test]
    fn a_gone_reader_is_told_nothing() {
        let error = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((error.render(&plain).as_str(), error.kind.exit_code()), ("", 141));
    }

    #[test]
    fn exit_codes_follow_the_contract() {
        for kind in [ErrorKind::Usage, ErrorKind::NotFound, ErrorKind::Pipeline, ErrorKind::Record, ErrorKind::Machine]
        {
            assert_eq!(kind.exit_code(), 2, "{kind:?}");
        }
    }
}
