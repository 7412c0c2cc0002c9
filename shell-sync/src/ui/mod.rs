//! What a person sees of a run while it goes on, and after.
//!
//! [`choose`] gives the view that fits the flags and the place; the driver tells it what was recorded. All views keep a
//! [`Model`] of the run and end with the same summary, which `show` prints for past runs too. Views own no clock and never
//! fail a run: a terminal that has gone away is written to no more.

mod bars;
mod entries;
mod json;
mod live;
mod model;
mod options;
mod plain;
mod quiet;
mod screen;
pub mod span;
mod style;
mod summary;
mod terminal;
pub mod text;
pub mod words;

use quire_core::ids::ShId;
use quire_core::time::{Mono, Now};
use quire_core::wire::Event;

pub use entries::{LastLines, Piece, Tail, pieces};
pub use json::{RunSummary, json_summary};
pub use model::{Job, Model};
pub use options::{Colour, Hints, Mode, Options, Sink, Surroundings};
pub use plain::PlainView;
pub use quiet::{JsonView, QuietView};
pub use screen::{Screen, Size, Terminal};
pub use style::{Looks, Tone};
pub use summary::{DirTails, LogTails, Summary, dir_tails, header};
pub use terminal::TerminalView;

/// Someone who watches a run. The driver tells it everything that was recorded, after it was recorded.
pub trait View {
    /// An event was written to the record.
    fn event(&mut self, now: Now, event: &Event);
    /// Whole CRI entries were written to the command's log.
    fn output(&mut self, now: Now, sh: &ShId, entries: &[u8]);
    /// When [`View::tick`] wants to be called next, on the clock of [`crate::clock::now`].
    fn deadline(&self) -> Option<Mono>;
    /// Redraws what time changes.
    fn tick(&mut self, now: Now);
    /// A fact of the shell for people, outside the record: a warning of the store, "waiting for processes to end".
    fn notice(&mut self, now: Now, text: &str);
    /// How many files differ from the commit that the run is of, and how many git does not know; told at most once.
    fn dirty(&mut self, _now: Now, _modified: u64, _untracked: u64) {}
    /// The record could not be written to its end: no event tells how the run and what was open in it ended.
    fn record_failed(&mut self, _now: Now) {}
    /// The record is closed: leaves the terminal clean and shows the summary. Called once, last.
    fn end(&mut self, _now: Now) {}
}

/// The view that fits the flags and the place where its text is read.
pub fn choose(options: &Options) -> Box<dyn View> {
    let hints = options.hints.clone();
    let looks = |sink| Surroundings::of(sink).looks(options.colour);
    let sink = options.sink;
    match kind(options.mode, sink, |sink| Surroundings::of(sink).is_live()) {
        Kind::Live => Box::new(TerminalView::new(Terminal(sink), looks(sink), hints, true)),
        Kind::Plain => Box::new(PlainView::new(Terminal(sink), looks(sink), hints)),
        Kind::Quiet => Box::new(QuietView::new(Terminal(sink), looks(sink), hints)),
        Kind::Json { live } => {
            let screen = || TerminalView::new(Terminal(Sink::Stderr), looks(Sink::Stderr), hints.clone(), false);
            let live = live.then(|| Box::new(screen()) as Box<dyn View>);
            Box::new(JsonView::new(Terminal(Sink::Stdout), hints, Box::new(Terminal(Sink::Stderr)), live))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Live,
    Plain,
    Quiet,
    Json { live: bool },
}

fn kind(mode: Mode, sink: Sink, is_live: impl Fn(Sink) -> bool) -> Kind {
    match mode {
        Mode::Normal if is_live(sink) => Kind::Live,
        Mode::Normal => Kind::Plain,
        Mode::Quiet => Kind::Quiet,
        Mode::Json => Kind::Json { live: is_live(Sink::Stderr) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_view_needs_a_terminal_where_it_writes() {
        for (mode, sink, terminals, expected) in [
            (Mode::Normal, Sink::Stdout, &[Sink::Stdout][..], Kind::Live),
            (Mode::Normal, Sink::Stdout, &[Sink::Stderr], Kind::Plain),
            (Mode::Normal, Sink::Stderr, &[Sink::Stderr], Kind::Live),
            (Mode::Quiet, Sink::Stdout, &[Sink::Stdout, Sink::Stderr], Kind::Quiet),
            (Mode::Json, Sink::Stdout, &[Sink::Stdout], Kind::Json { live: false }),
            (Mode::Json, Sink::Stdout, &[Sink::Stderr], Kind::Json { live: true }),
        ] {
            assert_eq!(kind(mode, sink, |sink| terminals.contains(&sink)), expected, "{mode:?} {sink:?} {terminals:?}");
        }
    }
}
