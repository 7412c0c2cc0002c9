//! The live area as text: what goes on now, in as many lines and columns as there are. Pure: a frame of a moment.

use super::entries::LastLines;
use super::model::{Job, Model};
use super::screen::Size;
use super::style::{Looks, Tone};
use super::text::{fit, harmless, one_line, pad, width};
use super::{span, words};

/// Lines of output under the job that has run longest.
pub const OUTPUT_LINES: usize = 6;

/// What a frame shows besides the model.
pub struct Moment<'a> {
    /// The run.
    pub model: &'a Model,
    /// How.
    pub looks: Looks,
    /// The line above all, until it is printed for good.
    pub header: Option<&'a str>,
    /// The last lines of the longest-running job.
    pub output: LastLines,
    /// Unix milliseconds.
    pub now_ms: i64,
}

impl Moment<'_> {
    /// The lines of the frame: each at most a column less than there are, all together at most a row less, so that the cursor
    /// stands under them and nothing wraps or scrolls.
    pub fn frame(&self, size: Size) -> Vec<String> {
        let budget = size.rows.saturating_sub(1);
        let mut lines = Vec::new();
        if budget >= 4 {
            lines.extend(self.header.map(str::to_owned));
        }
        let room = budget.saturating_sub(lines.len() + 1);
        lines.extend(self.jobs(room));
        if budget > 0 {
            lines.push(self.status());
        }
        let columns = size.columns.saturating_sub(1);
        lines.iter().map(|line| fit(line, columns, self.looks.unicode)).collect()
    }

    /// The longest-running job with its output, then the others as far as there is room.
    fn jobs(&self, room: usize) -> Vec<String> {
        let name = self.model.running().map(|job| width(job.row.job_id.as_str())).max().unwrap_or(0).min(24);
        let mut jobs = self.model.running();
        let mut lines = Vec::new();
        if room == 0 {
            return lines;
        }
        let Some(first) = jobs.next() else { return lines };
        lines.push(self.job(first, name));
        let others = jobs.len();
        let output = OUTPUT_LINES.min((room - 1).saturating_sub(others).max((room - 1) / 2));
        let skipped = self.output.lines.len().saturating_sub(output);
        let rule = self.looks.paint(Tone::Quiet, self.looks.pick('│', '|'));
        for line in self.output.lines.iter().skip(skipped) {
            lines.push(format!("  {rule} {}", harmless(line, self.looks.colour)));
        }
        let left = room - lines.len();
        let shown = if others <= left { others } else { left.saturating_sub(1) };
        lines.extend(jobs.take(shown).map(|job| self.job(job, name)));
        if shown < others && left > 0 {
            let more = format!("  {} and {} more", self.looks.pick("…", "..."), others - shown);
            lines.push(self.looks.paint(Tone::Quiet, more));
        }
        lines
    }

    /// `● test   12s  cargo test (+1)`
    fn job(&self, job: &Job, name: usize) -> String {
        let (symbol, tone) = self.looks.job(job.row.state, job.row.allowed);
        let symbol = self.looks.paint(tone, symbol);
        let id = pad(&one_line(job.row.job_id.as_str()), name, self.looks.unicode);
        let elapsed = span::elapsed(job.duration_ms(self.now_ms).unwrap_or(0));
        let mut line = format!("{symbol} {id} {:>6}", self.looks.paint(Tone::Quiet, format_args!("{elapsed:>6}")));
        if job.row.attempts > 1 {
            line += &format!("  attempt {}", job.row.attempts);
        }
        if let Some(sh) = job.open.values().next() {
            line += &format!("  {}", one_line(&sh.cmd));
        }
        if job.open.len() > 1 {
            line += &format!(" (+{})", job.open.len() - 1);
        }
        line
    }

    /// `2 running, 3 done, 1 failed, 5 waiting, 12s`
    fn status(&self) -> String {
        let running = self.model.running().len();
        let failed = self.model.count(quire_core::rows::JobRow::is_broken);
        let waiting = self.model.waiting();
        let all = self.model.jobs().iter().filter(|job| !job.is_unasked()).count();
        let done = all.saturating_sub(running + failed + waiting);
        let mut parts = Vec::new();
        for (count, word, tone) in [
            (running, "running", Tone::Quiet),
            (failed, "failed", Tone::Bad),
            (done, "done", Tone::Quiet),
            (waiting, "waiting", Tone::Quiet),
        ] {
            if count > 0 {
                parts.push(self.looks.paint(tone, format_args!("{count} {word}")));
            }
        }
        let long = span::elapsed(self.model.duration_ms(self.now_ms).unwrap_or(0));
        parts.push(self.looks.paint(Tone::Quiet, long));
        format!("  {}", parts.join(self.looks.pick(" · ", ", ")))
    }
}

/// The line of a job that ended, printed for good above the live area: `✓ build  complete in 1.2s`.
pub fn ended(job: &Job, looks: Looks, name: usize) -> String {
    let (symbol, tone) = looks.job(job.row.state, job.row.allowed);
    let id = pad(&one_line(job.row.job_id.as_str()), name, looks.unicode);
    let mut state = words::state(&job.row);
    if let Some(ms) = job.duration_ms(0) {
        state += &format!(" in {}", span::duration(ms));
    }
    let why = words::skip(&job.row).or_else(|| words::why(job)).map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} {id}  {}{why}", looks.paint(tone, symbol), looks.paint(tone, state))
}
