//! Colours and symbols: always beside words, never instead of them.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use quire_core::rows::{JobState, RunState};

/// How a text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// What went well.
    Good,
    /// What went wrong.
    Bad,
    /// What is to be looked at, but stops nothing.
    Warning,
    /// What goes on.
    Active,
    /// What matters less.
    Quiet,
    /// Headings and names.
    Strong,
}

/// Whether to write colours, and whether the reader's terminal shows Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looks {
    /// Write SGR sequences.
    pub colour: bool,
    /// Write characters beyond ASCII.
    pub unicode: bool,
}

impl Looks {
    /// The text in the colours of its tone.
    pub fn paint(self, tone: Tone, text: impl Display) -> String {
        if !self.colour {
            return text.to_string();
        }
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Warning => AnsiColor::Yellow.on_default(),
            Tone::Active => AnsiColor::Cyan.on_default(),
            Tone::Quiet => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// One or the other of two ways to draw the same thing.
    pub fn pick<T>(self, unicode: T, ascii: T) -> T {
        if self.unicode { unicode } else { ascii }
    }

    /// Symbol and tone of a job's state; an allowed failure has its own.
    pub fn job(self, state: JobState, allowed: bool) -> (char, Tone) {
        match state {
            JobState::Pending => (self.pick('·', '.'), Tone::Quiet),
            JobState::Active => (self.pick('●', '*'), Tone::Active),
            JobState::Complete => (self.pick('✓', '+'), Tone::Good),
            JobState::Failed if allowed => (self.pick('⚠', '!'), Tone::Warning),
            JobState::Failed => (self.pick('✗', 'x'), Tone::Bad),
            JobState::Skipped => (self.pick('○', '-'), Tone::Quiet),
            JobState::Aborted => (self.pick('■', '#'), Tone::Warning),
        }
    }

    /// Symbol and tone of a run's state.
    pub fn run(self, state: RunState) -> (char, Tone) {
        match state {
            RunState::Pending => self.job(JobState::Pending, false),
            RunState::Active => self.job(JobState::Active, false),
            RunState::Complete => self.job(JobState::Complete, false),
            RunState::Failed => self.job(JobState::Failed, false),
            RunState::Aborted => self.job(JobState::Aborted, false),
            RunState::Superseded => self.job(JobState::Skipped, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_asked_for() {
        let coloured = Looks { colour: true, unicode: true };
        assert_eq!(Looks::default().paint(Tone::Bad, "no"), "no");
        assert_eq!(coloured.paint(Tone::Good, "yes"), "\x1b[32myes\x1b[0m");
    }

    #[test]
    fn states_differ_without_colour_and_without_unicode() {
        for looks in [Looks::default(), Looks { colour: false, unicode: true }] {
            let mut symbols: Vec<char> = JobState::ALL.iter().map(|&state| looks.job(state, false).0).collect();
            symbols.push(looks.job(JobState::Failed, true).0);
            let count = symbols.len();
            symbols.sort_unstable();
            symbols.dedup();
            assert_eq!(symbols.len(), count);
            assert!(looks.unicode || symbols.iter().all(char::is_ascii));
        }
    }
}
