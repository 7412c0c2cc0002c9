//! The view where there is no terminal: lines as they come, each with its job before it.
//!
//! `job $ command`, `job | output`, `job: what became of it`. The bytes of a line are those that the build printed; where they
//! leave colours on, a reset stands before the line's end, so that no build colours the next prefix.

use std::io::Write;

use quire_core::ids::{JobId, ShId};
use quire_core::rows::{JobRow, JobState};
use quire_core::time::{Mono, Now};
use quire_core::wire::{Event, EventKind, Stream};

use super::entries::pieces;
use super::model::Model;
use super::options::Hints;
use super::style::{Looks, Tone};
use super::summary::{Summary, dir_tails, header, retried};
use super::{View, span, words};

/// Plain lines.
#[derive(Debug)]
pub struct PlainView<W: Write> {
    out: W,
    looks: Looks,
    hints: Hints,
    model: Model,
    buffer: Vec<u8>,
    /// The line that is written but not ended.
    open: Option<OpenLine>,
    broken: bool,
}

#[derive(Debug)]
struct OpenLine {
    sh: ShId,
    stream: Stream,
    coloured: bool,
}

impl<W: Write> PlainView<W> {
    /// Writes to `out`.
    pub fn new(out: W, looks: Looks, hints: Hints) -> PlainView<W> {
        PlainView { out, looks, hints, model: Model::new(), buffer: Vec::new(), open: None, broken: false }
    }

    /// Where it wrote to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn end_open_line(&mut self) {
        if let Some(line) = self.open.take() {
            end_line(&mut self.buffer, line.coloured);
        }
    }

    /// A text of ours about a job, line by line.
    fn say(&mut self, job: &JobId, mark: &str, text: &str) {
        self.end_open_line();
        for line in text.lines() {
            prefix(&mut self.buffer, self.looks, job, mark);
            self.buffer.extend_from_slice(line.as_bytes());
            end_line(&mut self.buffer, line.contains('\x1b'));
        }
    }

    fn say_all(&mut self, text: &str) {
        self.end_open_line();
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
    }

    fn say_ended(&mut self) {
        for id in self.model.take_ended() {
            let Some(job) = self.model.job(&id) else { continue };
            if job.is_unasked() {
                continue;
            }
            let (_, tone) = self.looks.job(job.row.state, job.row.allowed);
            let text = self.looks.paint(tone, ended(&job.row, job.duration_ms(0)));
            let why = words::why(job).map(|why| format!(": {why}")).unwrap_or_default();
            self.say(&id, ": ", &(text + &why));
        }
    }

    /// Writes what the call has to say, in one go.
    fn flush(&mut self) {
        if !self.broken && !self.buffer.is_empty() {
            self.broken = self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).is_err();
        }
        self.buffer.clear();
    }
}

impl<W: Write> View for PlainView<W> {
    fn event(&mut self, _now: Now, event: &Event) {
        self.model.event(event);
        match &event.kind {
            EventKind::RunStarted(_) => {
                if let Some(header) = header(&self.model, self.looks, None) {
                    self.say_all(&header);
                }
            }
            EventKind::RunLogged(logged) => {
                self.end_open_line();
                for line in logged.text.lines() {
                    self.say_all(line);
                }
            }
            EventKind::JobLogged(logged) => self.say(&logged.job_id, " | ", &logged.text),
            EventKind::JobRetried(event) => self.say(&event.job_id, ": ", &retried(&self.model, event)),
            EventKind::ShStarted(started) => self.say(&started.job_id, " $ ", &started.cmd),
            EventKind::ShFinished(finished) => {
                if let Some(error) = &finished.error {
                    self.say(&finished.job_id, ": ", &error.message);
                } else if finished.replayed {
                    self.say(&finished.job_id, ": ", "replayed");
                }
            }
            EventKind::JobStarted(_)
            | EventKind::JobSkipped(_)
            | EventKind::JobFinished(_)
            | EventKind::RunFinished(_) => {}
        }
        self.say_ended();
        self.flush();
    }

    fn output(&mut self, _now: Now, sh: &ShId, entries: &[u8]) {
        let mut before = Vec::new();
        prefix(&mut before, self.looks, &sh.job, " | ");
        for piece in pieces(entries) {
            let goes_on = self.open.as_ref().is_some_and(|line| line.stream == piece.stream && line.sh == *sh);
            if !goes_on {
                self.end_open_line();
                if piece.content.is_empty() && !piece.full {
                    continue;
                }
                self.buffer.extend_from_slice(&before);
            }
            self.buffer.extend_from_slice(piece.content);
            let coloured =
                self.open.as_ref().is_some_and(|line| line.coloured) || memchr::memchr(0x1b, piece.content).is_some();
            if piece.full {
                end_line(&mut self.buffer, coloured);
                self.open = None;
            } else {
                match &mut self.open {
                    Some(line) => line.coloured = coloured,
                    None => self.open = Some(OpenLine { sh: sh.clone(), stream: piece.stream, coloured }),
                }
            }
        }
        self.flush();
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn tick(&mut self, _now: Now) {}

    fn notice(&mut self, _now: Now, text: &str) {
        self.say_all(&super::text::one_line(text));
        self.flush();
    }

    fn dirty(&mut self, _now: Now, modified: u64, untracked: u64) {
        if let Some(words) = words::dirty(modified, untracked) {
            self.say_all(&format!("workspace: {words}"));
            self.flush();
        }
    }

    fn record_failed(&mut self, _now: Now) {
        self.model.record_failed();
        self.say_ended();
        self.flush();
    }

    fn end(&mut self, now: Now) {
        self.end_open_line();
        self.buffer.push(b'\n');
        let tails = dir_tails(self.hints.record_dir.as_deref());
        let summary = Summary::new(&self.model, self.looks, &self.hints, &tails);
        self.buffer.extend_from_slice(summary.text(now.wall.ms()).as_bytes());
        self.flush();
    }
}

/// `complete in 1.2s`, `skipped: build failed`.
fn ended(job: &JobRow, duration_ms: Option<i64>) -> String {
    let state = words::state(job);
    match (job.state, duration_ms) {
        (JobState::Skipped, _) => words::skip(job).map_or(state.clone(), |why| format!("{state}: {why}")),
        (_, Some(ms)) => format!("{state} in {}", span::duration(ms)),
        (_, None) => state,
    }
}

fn prefix(out: &mut Vec<u8>, looks: Looks, job: &JobId, mark: &str) {
    if looks.colour {
        out.extend_from_slice(looks.paint(Tone::Active, format_args!("{job}{mark}")).as_bytes());
    } else {
        out.extend_from_slice(job.as_str().as_bytes());
        out.extend_from_slice(mark.as_bytes());
    }
}

fn end_line(out: &mut Vec<u8>, coloured: bool) {
    if coloured && !out.ends_with(b"\x1b[0m") && !out.ends_with(b"\x1b[m") {
        out.extend_from_slice(b"\x1b[0m");
    }
    out.push(b'\n');
}
