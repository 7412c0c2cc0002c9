//! Views that say little: only failures and the summary, or nothing but one JSON object.

use std::io::Write;

use quire_core::ids::ShId;
use quire_core::rows::JobState;
use quire_core::time::{Mono, Now};
use quire_core::wire::Event;

use super::json::json_summary;
use super::model::Model;
use super::options::Hints;
use super::style::Looks;
use super::summary::{Summary, dir_tails};
use super::text::one_line;
use super::{View, words};

/// Failures as they come, then the summary. Costs nothing per line of output.
#[derive(Debug)]
pub struct QuietView<W: Write> {
    out: W,
    looks: Looks,
    hints: Hints,
    model: Model,
    said: bool,
}

impl<W: Write> QuietView<W> {
    /// Writes to `out`.
    pub fn new(out: W, looks: Looks, hints: Hints) -> QuietView<W> {
        QuietView { out, looks, hints, model: Model::new(), said: false }
    }

    /// A view never fails a run: where no one reads any more, nothing is written.
    fn write(&mut self, text: &str) {
        self.said = true;
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl<W: Write> View for QuietView<W> {
    fn event(&mut self, _now: Now, event: &Event) {
        self.model.event(event);
        for id in self.model.take_ended() {
            let Some(job) = self.model.job(&id).filter(|job| job.row.state == JobState::Failed) else { continue };
            let (symbol, tone) = self.looks.job(job.row.state, job.row.allowed);
            let title = self.looks.paint(tone, format_args!("{symbol} {id} {}", words::state(&job.row)));
            let why = words::why(job).map(|why| format!(": {why}")).unwrap_or_default();
            self.write(&format!("{title}{why}\n"));
        }
    }

    fn output(&mut self, _now: Now, _sh: &ShId, _entries: &[u8]) {}

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn tick(&mut self, _now: Now) {}

    fn notice(&mut self, _now: Now, text: &str) {
        self.write(&(one_line(text) + "\n"));
    }

    fn dirty(&mut self, _now: Now, _modified: u64, _untracked: u64) {}

    fn record_failed(&mut self, _now: Now) {
        self.model.record_failed();
    }

    fn end(&mut self, now: Now) {
        let tails = dir_tails(self.hints.record_dir.as_deref());
        let text = Summary::new(&self.model, self.looks, &self.hints, &tails).text(now.wall.ms());
        let gap = if self.said { "\n" } else { "" };
        self.write(&format!("{gap}{text}"));
    }
}

/// Writes the summary as JSON to `out` at the end; what goes on is shown by another view, if at all.
pub struct JsonView<W: Write> {
    out: W,
    hints: Hints,
    model: Model,
    notices: Box<dyn Write>,
    live: Option<Box<dyn View>>,
}

impl<W: Write> JsonView<W> {
    /// The object goes to `out`, notices to `notices`; `live` shows the run meanwhile.
    pub fn new(out: W, hints: Hints, notices: Box<dyn Write>, live: Option<Box<dyn View>>) -> JsonView<W> {
        JsonView { out, hints, model: Model::new(), notices, live }
    }
}

impl<W: Write> View for JsonView<W> {
    fn event(&mut self, now: Now, event: &Event) {
        self.model.event(event);
        self.model.take_ended();
        if let Some(live) = &mut self.live {
            live.event(now, event);
        }
    }

    fn output(&mut self, now: Now, sh: &ShId, entries: &[u8]) {
        if let Some(live) = &mut self.live {
            live.output(now, sh, entries);
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.live.as_ref().and_then(|live| live.deadline())
    }

    fn tick(&mut self, now: Now) {
        if let Some(live) = &mut self.live {
            live.tick(now);
        }
    }

    fn notice(&mut self, now: Now, text: &str) {
        match &mut self.live {
            Some(live) => live.notice(now, text),
            None => {
                let _ = writeln!(self.notices, "{}", one_line(text));
            }
        }
    }

    fn dirty(&mut self, now: Now, modified: u64, untracked: u64) {
        if let Some(live) = &mut self.live {
            live.dirty(now, modified, untracked);
        }
    }

    fn record_failed(&mut self, now: Now) {
        self.model.record_failed();
        if let Some(live) = &mut self.live {
            live.record_failed(now);
        }
    }

    fn end(&mut self, now: Now) {
        if let Some(live) = &mut self.live {
            live.end(now);
        }
        let line = json_summary(&self.model, self.hints.record_dir.as_deref(), None);
        let _ = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
    }
}
