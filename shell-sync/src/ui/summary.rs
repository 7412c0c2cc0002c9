//! The end of a run for people: a table with a time line, every failure with what is needed to go on, and the verdict.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use quire_core::ids::ShId;
use quire_core::rows::{JobState, RunRow, RunState, ShRow};
use quire_core::wire::{FailureKind, JobRetried};

use super::bars::bar;
use super::entries::LastLines;
use super::model::{Job, Model};
use super::options::Hints;
use super::style::{Looks, Tone};
use super::text::{fit, harmless, one_line, pad, width};
use super::{span, words};
use crate::record::RunFiles;

/// Lines of a failed command's log that the summary shows.
const TAIL_LINES: usize = 12;
/// Failures told in full; of more only a line each.
const FAILURES_IN_FULL: usize = 8;
/// Commands listed one by one.
const COMMANDS_LISTED: usize = 60;
/// Widest time line.
const WIDEST_BAR: usize = 40;
/// A narrower one says nothing.
const NARROWEST_BAR: usize = 8;
/// Between columns.
const GAP: usize = 2;

/// Where the ends of logs come from.
pub trait LogTails {
    /// The last lines of a command's log, at most `lines`; `None` where there is no such log.
    fn tail(&self, sh: &ShId, lines: usize) -> Option<LastLines>;
}

/// The logs of a run directory; of none, no lines.
#[derive(Debug, Clone, Default)]
pub struct DirTails {
    dir: Option<PathBuf>,
}

/// The logs of the run directory `dir`.
pub fn dir_tails(dir: Option<&Path>) -> DirTails {
    DirTails { dir: dir.map(Path::to_owned) }
}

impl LogTails for DirTails {
    fn tail(&self, sh: &ShId, lines: usize) -> Option<LastLines> {
        const READ: u64 = 64 * 1024;
        let mut file = std::fs::File::open(RunFiles::at(self.dir.as_deref()?).log(sh)?).ok()?;
        let length = file.metadata().ok()?.len();
        let from = length.saturating_sub(READ);
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        file.take(READ).read_to_end(&mut bytes).ok()?;
        let whole = if from == 0 { 0 } else { memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1) };
        Some(LastLines::of(bytes.get(whole..)?, lines, from > 0))
    }
}

/// The summary of a run.
pub struct Summary<'a> {
    model: &'a Model,
    looks: Looks,
    hints: &'a Hints,
    tails: &'a dyn LogTails,
    columns: Option<usize>,
    already_shown: Option<&'a ShId>,
    commands: &'a [ShRow],
}

impl<'a> Summary<'a> {
    /// Of what the model knows, for a place of any width.
    pub fn new(model: &'a Model, looks: Looks, hints: &'a Hints, tails: &'a dyn LogTails) -> Summary<'a> {
        Summary { model, looks, hints, tails, columns: None, already_shown: None, commands: &[] }
    }

    /// For a terminal of this width: longer lines are cut.
    pub fn columns(mut self, columns: usize) -> Summary<'a> {
        self.columns = Some(columns);
        self
    }

    /// A command whose last lines stand right above: they are not told again.
    pub fn already_shown(mut self, sh: Option<&'a ShId>) -> Summary<'a> {
        self.already_shown = sh;
        self
    }

    /// Lists these commands under the table.
    pub fn commands(mut self, commands: &'a [ShRow]) -> Summary<'a> {
        self.commands = commands;
        self
    }

    /// Table, commands, failures and verdict, every line ended. `now_ms` (Unix milliseconds) is the end of what has none.
    pub fn text(&self, now_ms: i64) -> String {
        let mut lines = self.table(now_ms);
        lines.extend(self.command_list());
        lines.extend(self.failures(now_ms));
        lines.extend(self.run_error());
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(self.verdict(now_ms));
        let mut out = String::new();
        for line in lines {
            match self.columns {
                Some(columns) => out += &fit(&line, columns, self.looks.unicode),
                None => out += &line,
            }
            out.push('\n');
        }
        out
    }

    /// A line a job, those that were not asked for left out.
    fn table(&self, now_ms: i64) -> Vec<String> {
        let jobs: Vec<&Job> = self.model.jobs().into_iter().filter(|job| !job.is_unasked()).collect();
        if jobs.is_empty() {
            return Vec::new();
        }
        let rows: Vec<Row> = jobs.iter().map(|job| self.row(job, now_ms)).collect();
        let widest = |of: fn(&Row) -> &str, least: usize| rows.iter().map(|row| width(of(row))).fold(least, usize::max);
        let mut name = widest(|row| &row.name, 3);
        if let Some(columns) = self.columns {
            name = name.min((columns / 3).max(8));
        }
        let state = widest(|row| &row.state, 5);
        let time = widest(|row| &row.time, 4);
        let used = 2 + name + GAP + state + GAP + time + GAP;
        let left = self.columns.unwrap_or(100).saturating_sub(used);
        let bars = if left < NARROWEST_BAR { 0 } else { left.min(WIDEST_BAR) };
        let total = self.model.duration_ms(now_ms).unwrap_or(0);
        let gap = " ".repeat(GAP);

        let unicode = self.looks.unicode;
        let scale = span::duration(total);
        let scale = if bars > width(&scale) + 2 { format!("0s{scale:>0$}", bars - 2) } else { String::new() };
        let head = format!("  {}{gap}{:state$}{gap}{:>time$}{gap}{scale}", pad("job", name, unicode), "state", "time");
        let mut lines = vec![self.looks.paint(Tone::Quiet, head.trim_end())];
        for row in &rows {
            let symbol = self.looks.paint(row.tone, row.symbol);
            let state = self.looks.paint(row.tone, pad(&row.state, state, unicode));
            let last = match (&row.why, row.span) {
                (Some(why), _) if self.columns.is_none() || left >= NARROWEST_BAR => self.looks.paint(Tone::Quiet, why),
                (None, Some((from, to))) if bars > 0 => self.looks.paint(row.tone, bar(from, to, total, bars, unicode)),
                _ => String::new(),
            };
            let line =
                format!("{symbol} {}{gap}{state}{gap}{:>time$}{gap}{last}", pad(&row.name, name, unicode), row.time);
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    fn row(&self, job: &Job, now_ms: i64) -> Row {
        let (symbol, tone) = self.looks.job(job.row.state, job.row.allowed);
        let begin = self.model.run().and_then(|run| run.started_at_ms);
        let duration = job.duration_ms(now_ms);
        let offset = job.row.started_at_ms.zip(begin).map(|(at, begin)| at.saturating_sub(begin).max(0));
        Row {
            symbol,
            tone,
            name: one_line(job.row.job_id.as_str()),
            state: match job.replayed {
                replayed if replayed > 0 && !job.row.replayed => {
                    format!("{}, {replayed} of {} replayed", words::state(&job.row), job.commands)
                }
                _ => words::state(&job.row),
            },
            time: duration.map_or_else(|| "-".to_owned(), span::duration),
            span: offset.zip(duration).map(|(from, long)| (from, from.saturating_add(long))),
            why: words::skip(&job.row),
        }
    }

    /// `build/1  exit 0  1.2s  cargo build`; of very many those that ended well are left out.
    fn command_list(&self) -> Vec<String> {
        if self.commands.is_empty() {
            return Vec::new();
        }
        let listed: Vec<&ShRow> = match self.commands.len() {
            0..=COMMANDS_LISTED => self.commands.iter().collect(),
            _ => self.commands.iter().filter(|sh| sh.exit_code != Some(0)).take(COMMANDS_LISTED).collect(),
        };
        let rows: Vec<[String; 4]> = listed
            .iter()
            .map(|sh| {
                let id = one_line(&format!("{}/{}", sh.job_id, sh.n));
                let time = words::sh_duration(sh).unwrap_or_else(|| "-".to_owned());
                [id, words::ending_or_replay(sh), time, one_line(&sh.cmd)]
            })
            .collect();
        let widest =
            |column: usize, most: usize| rows.iter().map(|row| width(&row[column]).min(most)).max().unwrap_or(0);
        let [id, end, time] = [widest(0, 40), widest(1, 30), widest(2, 10)];
        let mut lines = vec![String::new()];
        for (row, sh) in rows.iter().zip(&listed) {
            let unicode = self.looks.unicode;
            let tone = if sh.exit_code == Some(0) { Tone::Quiet } else { Tone::Warning };
            let how = self.looks.paint(tone, pad(&row[1], end, unicode));
            lines.push(format!("  {}  {how}  {:>time$}  {}", pad(&row[0], id, unicode), row[2], row[3]));
        }
        let left_out = self.commands.len() - listed.len();
        if left_out > 0 {
            let more = format!("  {} and {left_out} more; --json lists them all", self.looks.pick("…", "..."));
            lines.push(self.looks.paint(Tone::Quiet, more));
        }
        lines
    }

    fn failures(&self, now_ms: i64) -> Vec<String> {
        let failed = self.model.jobs().into_iter().filter(|job| job.row.state == JobState::Failed);
        let mut lines = Vec::new();
        for (nth, job) in failed.enumerate() {
            if nth < FAILURES_IN_FULL {
                lines.push(String::new());
                lines.extend(self.failure(job, now_ms));
            } else {
                if nth == FAILURES_IN_FULL {
                    lines.push(String::new());
                }
                lines.push(self.failure_title(job));
            }
        }
        if !lines.is_empty() {
            lines.extend(self.resume());
            lines.extend(self.hints.browser.as_ref().map(|how| self.hint("browser", how)));
        }
        lines
    }

    /// The line that tells how to go on with a run that failed, where its record is found again by its number.
    fn resume(&self) -> Option<String> {
        let run = self.model.run().filter(|run| run.state == RunState::Failed)?;
        let (rerun, _) = self.hints.rerun.as_ref().zip(self.hints.log.as_ref())?;
        Some(self.hint("resume", &format!("{rerun} --resume {}", run.number?)))
    }

    /// `✗ test failed at .quire/ci.lua:7: message`
    fn failure_title(&self, job: &Job) -> String {
        let (symbol, tone) = self.looks.job(job.row.state, job.row.allowed);
        let title = format!("{symbol} {} {}", one_line(job.row.job_id.as_str()), words::state(&job.row));
        let place = words::place(&job.row).map(|place| format!(" at {place}")).unwrap_or_default();
        format!("{}{place}", self.looks.paint(tone, title))
    }

    fn failure(&self, job: &Job, now_ms: i64) -> Vec<String> {
        let mut lines = vec![self.failure_title(job)];
        let command = job.failing_command();
        if let Some(error) = words::error_beside(job) {
            lines.extend(error.lines().map(|line| format!("  {}", harmless(line.as_bytes(), false))));
        }
        if let Some(sh) = command {
            lines.extend(self.command(sh, now_ms));
        }
        if let Some(rerun) = self.hints.rerun.as_ref().filter(|_| job.row.job_id.is_valid()) {
            lines.push(self.hint("again", &format!("{rerun} {}", job.row.job_id)));
        }
        let number = self.model.run().and_then(|run| run.number);
        if let (Some(shell), Some(number), Some(_)) = (&self.hints.shell, number, command) {
            lines.push(self.hint("shell", &format!("{shell} {number} {}", job.row.job_id)));
        }
        lines
    }

    fn command(&self, sh: &ShRow, now_ms: i64) -> Vec<String> {
        let id = ShId { job: sh.job_id.clone(), n: sh.n };
        let long = span::duration(sh.finished_at_ms.unwrap_or(now_ms).saturating_sub(sh.started_at_ms));
        let after = if sh.error.is_none() { format!(" after {long}") } else { String::new() };
        let command = self.looks.paint(Tone::Strong, one_line(&sh.cmd));
        let mut lines =
            vec![format!("  {} $ {command}", one_line(&id.to_string())), format!("  {}{after}", words::ending(sh))];
        if self.already_shown != Some(&id)
            && let Some(last) = self.tails.tail(&id, TAIL_LINES)
        {
            lines.extend(last_lines(&last, self.looks, "  "));
        }
        if let Some(how) = self.whole_log(&id) {
            lines.push(how);
        }
        lines
    }

    /// The line that tells how to see all of a command's log.
    fn whole_log(&self, sh: &ShId) -> Option<String> {
        whole_log(self.hints, self.model.run(), sh).map(|how| self.hint("whole log", &how))
    }

    fn hint(&self, what: &str, how: &str) -> String {
        format!("  {} {how}", self.looks.paint(Tone::Quiet, format_args!("{:10}", format!("{what}:"))))
    }

    /// What failed the run itself: a pipeline that does not compile, a record that cannot be written.
    fn run_error(&self) -> Vec<String> {
        let Some(error) = self.model.run().and_then(|run| run.error.as_deref()) else { return Vec::new() };
        let mut lines = vec![String::new()];
        lines.extend(error.lines().map(|line| harmless(line.as_bytes(), false)));
        lines
    }

    /// `✗ run 41 failed in 14.2s: 1 failed, 2 complete`
    fn verdict(&self, now_ms: i64) -> Option<String> {
        let run = self.model.run()?;
        let (symbol, tone) = self.looks.run(run.state);
        let mut text = format!("{symbol} {} {}", words::run_name(run), run.state);
        if let Some(kind) = run.failure_kind.filter(|&kind| kind != FailureKind::Job) {
            text += &format!(" ({kind})");
        }
        let mut text = self.looks.paint(tone, text);
        if let Some(ms) = self.model.duration_ms(now_ms) {
            let long = if run.state == RunState::Active { "for" } else { "in" };
            text += &format!(" {long} {}", span::duration(ms));
        }
        let counts = self.counts();
        if !counts.is_empty() {
            text += &format!(": {}", counts.join(", "));
        }
        text += &self.replayed().map(|replayed| format!(" ({replayed})")).unwrap_or_default();
        Some(text)
    }

    /// `2 jobs and 5 commands replayed, 1 command run`; nothing for a run that resumes none.
    fn replayed(&self) -> Option<String> {
        self.model.run()?.resumed_from.as_ref()?;
        let jobs = self.model.count(|row| row.replayed);
        let commands: u32 = self.model.jobs().iter().map(|job| job.replayed).sum();
        let begun: u32 = self.model.jobs().iter().map(|job| job.commands).sum();
        let commands_of = |count: u32| words::count(count as usize, "command", "commands");
        let whole = if jobs == 0 { String::new() } else { format!("{} and ", words::count(jobs, "job", "jobs")) };
        Some(format!("{whole}{} replayed, {} run", commands_of(commands), commands_of(begun.saturating_sub(commands))))
    }

    /// `1 failed`, `1 failed but allowed`, `2 complete` …, what matters most first.
    fn counts(&self) -> Vec<String> {
        let count = |state: JobState| self.model.count(|row| row.state == state);
        let allowed = self.model.count(|row| row.state == JobState::Failed && row.allowed);
        let unasked = self.model.jobs().iter().filter(|job| job.is_unasked()).count();
        let flaky = self.model.count(|row| row.flaky && row.state == JobState::Complete);
        [
            (count(JobState::Failed) - allowed, "failed"),
            (allowed, "failed but allowed"),
            (count(JobState::Aborted), "aborted"),
            (count(JobState::Complete) - flaky, "complete"),
            (flaky, "complete but flaky"),
            (count(JobState::Skipped) - unasked, "skipped"),
            (unasked, "not asked for"),
            (count(JobState::Active), "active"),
            (count(JobState::Pending), "pending"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect()
    }
}

struct Row {
    symbol: char,
    tone: Tone,
    name: String,
    state: String,
    time: String,
    /// Start and end after the run's start, in milliseconds.
    span: Option<(i64, i64)>,
    why: Option<String>,
}

/// The last lines of a log, quoted under `indent`.
pub fn last_lines(last: &LastLines, looks: Looks, indent: &str) -> Vec<String> {
    let rule = looks.paint(Tone::Quiet, looks.pick('│', '|'));
    if last.lines.is_empty() {
        return vec![format!("{indent}{}", looks.paint(Tone::Quiet, "(no output)"))];
    }
    let cut = last.cut.then(|| format!("{indent}{}", looks.paint(Tone::Quiet, looks.pick("┆ …", ": ..."))));
    let lines = last.lines.iter().map(|line| format!("{indent}{rule} {}", harmless(line, looks.colour)));
    cut.into_iter().chain(lines).collect()
}

/// How to see all of a command's log: a command line, or the file where the run is in no database.
pub fn whole_log(hints: &Hints, run: Option<&RunRow>, sh: &ShId) -> Option<String> {
    if !sh.job.is_valid() {
        return None;
    }
    match &hints.log {
        Some(log) => {
            let name = run.and_then(|run| run.number).map_or_else(|| "last".to_owned(), |number| number.to_string());
            Some(format!("{log} {name} {sh}"))
        }
        None => Some(RunFiles::at(hints.record_dir.as_deref()?).log(sh)?.display().to_string()),
    }
}

/// The line above a run: `run 41 · main @ 1a2b3c4 · 3 modified, 1 untracked · 12 jobs`. `note`: what stands before the jobs. The
/// jobs are counted once one has begun or ended: before that it is not known which were asked for.
pub fn header(model: &Model, looks: Looks, note: Option<&str>) -> Option<String> {
    let run = model.run()?;
    let mut parts = vec![looks.paint(Tone::Strong, words::run_name(run))];
    match (run.ref_name.as_deref(), run.sha.as_deref()) {
        (Some(name), Some(sha)) => parts.push(format!("{} @ {}", words::short_ref(name), words::short_sha(sha))),
        (Some(name), None) => parts.push(words::short_ref(name)),
        (None, Some(sha)) => parts.push(words::short_sha(sha)),
        (None, None) => {}
    }
    parts.extend(note.map(str::to_owned));
    let jobs = model.jobs().iter().filter(|job| !job.is_unasked()).count();
    if jobs > 0 && model.waiting() < model.jobs().len() {
        parts.push(words::count(jobs, "job", "jobs"));
    }
    if let Some(from) = &run.resumed_from {
        parts.push(format!("resumes {}", one_line(from.as_str()).chars().take(13).collect::<String>()));
    }
    Some(parts.join(looks.pick(" · ", ", ")))
}

/// `attempt 2 begins; attempt 1: exit 1: cargo test`
pub fn retried(model: &Model, retried: &JobRetried) -> String {
    let before = retried.attempt.saturating_sub(1);
    let mut text = format!("attempt {} begins", retried.attempt);
    let job: Option<&Job> = model.job(&retried.job_id);
    match (job.and_then(|job| job.failed_in_attempt(before)), &retried.error) {
        (Some(sh), _) => text += &format!("; attempt {before}: {}: {}", words::ending(sh), one_line(&sh.cmd)),
        (None, Some(error)) => text += &format!("; attempt {before}: {}", one_line(&error.message)),
        (None, None) => {}
    }
    text
}
