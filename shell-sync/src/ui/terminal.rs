//! The view on a terminal: what ended is printed for good, what goes on is redrawn under it.
//!
//! The live area is whole lines with the cursor under them. To redraw, the cursor goes up by as many rows as they take, and
//! everything is written in one go; no alternate screen, no hidden cursor, so that whatever happens the terminal is usable.
//! At most [`FRAMES_PER_SECOND`] frames are drawn, and only those that differ.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quire_core::ids::{JobId, ShId};
use quire_core::rows::JobState;
use quire_core::time::{Mono, Now};
use quire_core::wire::{Event, EventKind, JobRetried, ShFinished};

use super::View;
use super::entries::Tail;
use super::live::{Moment, OUTPUT_LINES, ended};
use super::model::Model;
use super::options::Hints;
use super::screen::{Screen, Size};
use super::style::{Looks, Tone};
use super::summary::{Summary, dir_tails, header, last_lines, retried, whole_log};
use super::text::{one_line, pad, width};
use super::words;

/// Most redraws in a second.
pub const FRAMES_PER_SECOND: u32 = 15;
const FRAME: Duration = Duration::from_millis(1000 / FRAMES_PER_SECOND as u64);
/// How often the times shown are brought up to date.
const SECOND: Duration = Duration::from_secs(1);
/// Lines of a failed command's output printed when its job fails.
const FAILED_LINES: usize = 40;
/// Ends of failed commands' outputs kept for each job until it ends.
const FAILED_TAILS: usize = 4;
/// What waits to be printed for good is printed before the next frame is due once it is this long, in bytes.
const PENDING_MOST: usize = 64 * 1024;

/// Live on a terminal.
#[derive(Debug)]
pub struct TerminalView<S: Screen> {
    screen: S,
    looks: Looks,
    hints: Hints,
    /// Whether the end shows the summary.
    summary: bool,
    model: Model,
    outputs: BTreeMap<JobId, JobOutput>,
    dirty_words: Option<String>,
    /// The header waits for the dirty counts, at most until something else is printed.
    header_due: bool,
    /// Text to be printed for good, every line ended.
    pending: String,
    /// The failed command whose output is the last thing printed for good.
    just_shown: Option<ShId>,
    drawn: Drawn,
    changed: bool,
    last_draw: Option<Mono>,
    ended: bool,
    broken: bool,
}

/// The live area as it stands on the terminal.
#[derive(Debug, Default)]
struct Drawn {
    lines: Vec<String>,
    columns: usize,
}

/// What a job printed, as far as it may have to be shown.
#[derive(Debug, Default)]
struct JobOutput {
    /// By command: those that run, those that failed, and the last that printed.
    tails: BTreeMap<u32, Tail>,
    latest: u32,
    failed: VecDeque<u32>,
}

impl JobOutput {
    fn push(&mut self, n: u32, entries: &[u8], is_open: impl Fn(u32) -> bool) {
        if self.latest != n {
            let before = std::mem::replace(&mut self.latest, n);
            if !is_open(before) && !self.failed.contains(&before) {
                self.tails.remove(&before);
            }
        }
        self.tails.entry(n).or_default().push(entries);
    }

    fn finished(&mut self, n: u32, well: bool) {
        if well {
            if self.latest != n {
                self.tails.remove(&n);
            }
            return;
        }
        if let Some(tail) = self.tails.get_mut(&n) {
            tail.shrink();
            self.failed.push_back(n);
        }
        if self.failed.len() > FAILED_TAILS {
            let oldest = self.failed.pop_front();
            oldest.filter(|&oldest| oldest != self.latest).map(|oldest| self.tails.remove(&oldest));
        }
    }
}

impl<S: Screen> TerminalView<S> {
    /// Draws on `screen`. Without `summary` it only cleans up at the end.
    pub fn new(screen: S, looks: Looks, hints: Hints, summary: bool) -> TerminalView<S> {
        TerminalView {
            screen,
            looks,
            hints,
            summary,
            model: Model::new(),
            outputs: BTreeMap::new(),
            dirty_words: None,
            header_due: false,
            pending: String::new(),
            just_shown: None,
            drawn: Drawn::default(),
            changed: false,
            last_draw: None,
            ended: false,
            broken: false,
        }
    }

    /// The screen.
    pub fn screen(&self) -> &S {
        &self.screen
    }

    /// Prints a text for good, with the next frame.
    fn print(&mut self, text: &str) {
        self.just_shown = None;
        self.pending += text;
        self.pending.push('\n');
        self.changed = true;
    }

    /// The header goes above the first text that is printed for good.
    fn take_pending(&mut self) -> String {
        let text = std::mem::take(&mut self.pending);
        match std::mem::take(&mut self.header_due).then(|| self.header()).flatten() {
            Some(header) => format!("{header}\n{text}"),
            None => text,
        }
    }

    fn header(&self) -> Option<String> {
        header(&self.model, self.looks, self.dirty_words.as_deref())
    }

    fn print_of(&mut self, job: &JobId, text: &str) {
        let rule = self.looks.pick('│', '|');
        for line in text.lines() {
            let line = format!(
                "{} {} {}",
                self.looks.paint(Tone::Strong, job),
                self.looks.paint(Tone::Quiet, rule),
                one_line(line)
            );
            self.print(&line);
        }
    }

    fn print_ended(&mut self) {
        for id in self.model.take_ended() {
            let output = self.outputs.remove(&id);
            let name = self.name_width();
            let Some(job) = self.model.job(&id).filter(|job| !job.is_unasked()) else { continue };
            let line = ended(job, self.looks, name);
            let job_is_skipped = job.row.state == JobState::Skipped;
            let command = job.failing_command().filter(|_| job.row.state == JobState::Failed).map(|sh| sh.n);
            // What a failure keeps from running is told under it and hides nothing.
            let above = self.just_shown.take().filter(|_| job_is_skipped);
            self.print(&line);
            self.just_shown = above;
            if let Some(n) = command {
                self.print_output(ShId { job: id, n }, output.as_ref(), FAILED_LINES);
            }
        }
    }

    /// The end of what a failed command printed, and how to see the rest.
    fn print_output(&mut self, sh: ShId, output: Option<&JobOutput>, most: usize) {
        let last = output.and_then(|output| output.tails.get(&sh.n)).map(|tail| tail.lines(most)).unwrap_or_default();
        for line in last_lines(&last, self.looks, "  ") {
            self.print(&line);
        }
        if let Some(how) = whole_log(&self.hints, self.model.run(), &sh).filter(|_| last.cut) {
            let what = self.looks.paint(Tone::Quiet, "whole log:");
            self.print(&format!("  {what} {how}"));
        }
        self.just_shown = Some(sh);
    }

    fn retried(&mut self, event: &JobRetried) {
        let symbol = self.looks.paint(Tone::Warning, self.looks.pick('↻', '~'));
        let id = pad(event.job_id.as_str(), self.name_width(), self.looks.unicode);
        let line = format!("{symbol} {id}  {}", retried(&self.model, event));
        self.print(&line);
        let failed = self.model.job(&event.job_id);
        let failed = failed.and_then(|job| job.failed_in_attempt(event.attempt.saturating_sub(1))).map(|sh| sh.n);
        let output = self.outputs.remove(&event.job_id);
        if let Some(n) = failed {
            self.print_output(ShId { job: event.job_id.clone(), n }, output.as_ref(), FAILED_LINES);
        }
    }

    fn finished(&mut self, event: &ShFinished, open_before: &[u32]) {
        let Some(output) = self.outputs.get_mut(&event.job_id) else { return };
        let still = self.model.job(&event.job_id).map(|job| &job.open);
        let closed = open_before.iter().filter(|n| still.is_none_or(|open| !open.contains_key(n)));
        closed.for_each(|&n| output.finished(n, event.exit_code == 0));
    }

    /// Width of the column of names: that of the longest, within reason.
    fn name_width(&self) -> usize {
        self.model
            .jobs()
            .iter()
            .filter(|job| !job.is_unasked())
            .map(|job| width(job.row.job_id.as_str()))
            .max()
            .unwrap_or(0)
            .min(24)
    }

    fn frame(&self, size: Size, now: Now) -> Vec<String> {
        if self.ended || self.model.run().is_none() {
            return Vec::new();
        }
        let header = (self.header_due && self.pending.is_empty()).then(|| self.header()).flatten();
        let first = self.model.running().next().and_then(|job| self.outputs.get(&job.row.job_id));
        let output = first.and_then(|output| output.tails.get(&output.latest)).map(|tail| tail.lines(OUTPUT_LINES));
        Moment {
            model: &self.model,
            looks: self.looks,
            header: header.as_deref(),
            output: output.unwrap_or_default(),
            now_ms: now.wall.ms(),
        }
        .frame(size)
    }

    /// Draws if something changed and the last frame is old enough.
    fn draw_if_due(&mut self, now: Now) {
        let last = *self.last_draw.get_or_insert(now.mono);
        if self.changed && (now.mono >= last.plus(FRAME) || self.pending.len() > PENDING_MOST) {
            self.draw(now);
        }
    }

    fn draw(&mut self, now: Now) {
        let size = self.screen.size();
        let lines = self.frame(size, now);
        self.last_draw = Some(now.mono);
        self.changed = false;
        if self.pending.is_empty() && lines == self.drawn.lines && size.columns == self.drawn.columns {
            return;
        }
        let mut text = self.drawn.back_to_top(size);
        if !self.pending.is_empty() {
            // These lines may be as long as they like, so what stands here is cleared first.
            if !self.drawn.lines.is_empty() {
                text += "\x1b[J";
            }
            text += &self.take_pending();
        }
        for line in &lines {
            text += line;
            text += "\x1b[K\n";
        }
        text += "\x1b[J";
        self.drawn = Drawn { lines, columns: size.columns };
        self.write(&text);
    }

    fn write(&mut self, text: &str) {
        if !self.broken {
            self.broken = self.screen.write_all(text.as_bytes()).and_then(|()| self.screen.flush()).is_err();
        }
    }
}

impl Drawn {
    /// Moves the cursor to where the live area begins. A terminal that became narrower has wrapped its lines.
    fn back_to_top(&self, size: Size) -> String {
        let columns = size.columns.max(1);
        let rows: usize = self.lines.iter().map(|line| width(line).div_ceil(columns).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A") }
    }
}

impl<S: Screen> View for TerminalView<S> {
    fn event(&mut self, now: Now, event: &Event) {
        let open: Vec<u32> = match &event.kind {
            EventKind::ShFinished(finished) if self.outputs.contains_key(&finished.job_id) => {
                self.model.job(&finished.job_id).map(|job| job.open.keys().copied().collect()).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        self.model.event(event);
        match &event.kind {
            EventKind::RunStarted(_) => self.header_due = true,
            EventKind::RunLogged(logged) => logged.text.lines().for_each(|line| self.print(&one_line(line))),
            EventKind::JobLogged(logged) => self.print_of(&logged.job_id, &logged.text),
            EventKind::JobRetried(event) => self.retried(event),
            EventKind::ShFinished(event) => self.finished(event, &open),
            EventKind::JobStarted(_)
            | EventKind::JobSkipped(_)
            | EventKind::JobFinished(_)
            | EventKind::ShStarted(_)
            | EventKind::RunFinished(_) => {}
        }
        self.print_ended();
        self.changed = true;
        self.draw_if_due(now);
    }

    fn output(&mut self, now: Now, sh: &ShId, entries: &[u8]) {
        let job = self.model.job(&sh.job);
        let is_open = |n| job.is_some_and(|job| job.open.contains_key(&n));
        match self.outputs.get_mut(&sh.job) {
            Some(output) => output.push(sh.n, entries, is_open),
            None => self.outputs.entry(sh.job.clone()).or_default().push(sh.n, entries, is_open),
        }
        self.changed |= self.model.running().next().is_some_and(|job| job.row.job_id == sh.job);
        self.draw_if_due(now);
    }

    fn deadline(&self) -> Option<Mono> {
        let last = self.last_draw.filter(|_| !self.ended && !self.broken)?;
        Some(last.plus(if self.changed { FRAME } else { SECOND }))
    }

    fn tick(&mut self, now: Now) {
        if self.deadline().is_some_and(|deadline| deadline <= now.mono) {
            self.draw(now);
        }
    }

    fn notice(&mut self, now: Now, text: &str) {
        let text = self.looks.paint(Tone::Warning, one_line(text));
        self.print(&text);
        self.draw_if_due(now);
    }

    fn dirty(&mut self, now: Now, modified: u64, untracked: u64) {
        self.dirty_words = words::dirty(modified, untracked);
        if !self.header_due
            && let Some(words) = &self.dirty_words
        {
            let line = format!("workspace: {words}");
            self.print(&line);
        }
        self.changed = true;
        self.draw_if_due(now);
    }

    fn record_failed(&mut self, _now: Now) {
        self.model.record_failed();
        self.print_ended();
    }

    fn end(&mut self, now: Now) {
        self.ended = true;
        if self.summary {
            let tails = dir_tails(self.hints.record_dir.as_deref());
            let summary = Summary::new(&self.model, self.looks, &self.hints, &tails)
                .columns(self.screen.size().columns)
                .already_shown(self.just_shown.as_ref());
            let text = summary.text(now.wall.ms());
            self.pending.push('\n');
            self.pending += &text;
        }
        self.draw(now);
    }
}

impl<S: Screen> Drop for TerminalView<S> {
    /// A run that ends without [`View::end`] leaves no live area behind. After a panic the area stays: the panic's message
    /// stands under it.
    fn drop(&mut self) {
        if !self.ended && !std::thread::panicking() {
            self.ended = true;
            self.draw(Now::default());
        }
    }
}
