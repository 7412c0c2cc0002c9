//! What failed, first: of each failed job the command, the rows around the first that looks like the error, and the last.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use quire_ci::store::RunRecord;
use quire_ci::ui::{Model, text, words};
use quire_core::excerpt::Finder;
use quire_core::ids::ShId;
use quire_core::rows::{JobRow, ShRow};
use quire_core::terminal;
use quire_core::time::Wall;

use super::super::respond::Call;
use super::super::site::Site;
use super::indexes::Log;
use super::rows::{self, Looks, Times};
use super::told;

/// Jobs told in full.
const IN_FULL: usize = 3;
/// Rows on either side of the error.
const AROUND: u64 = 10;
/// Rows from the end.
const LAST: u64 = 20;
/// Bytes that are looked through for the error.
const SEARCHED_BYTES: u64 = 256 << 20;
/// Answers kept.
const KEPT: usize = 4096;

/// A failed job.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) job: String,
    pub(super) anchor: String,
    pub(super) place: Option<String>,
    pub(super) why: Option<String>,
    pub(super) command: Option<FailedCommand>,
}

/// The command that failed it.
#[derive(Debug)]
pub(super) struct FailedCommand {
    pub(super) cmd: String,
    pub(super) ending: String,
    pub(super) took: Option<String>,
    pub(super) parts: Vec<Part>,
    /// It has a log, in which there is nothing.
    pub(super) printed_nothing: bool,
}

/// Rows of its log.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) title: &'static str,
    pub(super) line: u64,
    pub(super) href: String,
    /// HTML.
    pub(super) rows: String,
}

/// Which row of a log that is over looks like the error: it is looked for once.
#[derive(Debug, Default)]
pub(in super::super) struct Errors(Mutex<HashMap<PathBuf, Option<u64>>>);

/// What failed in a run, in the order of the pipeline.
pub(super) async fn of(call: &Call, run: &RunRecord, jobs: &[JobRow], commands: &[ShRow]) -> Vec<Failed> {
    let failed = jobs.iter().filter(|job| job.is_broken()).take(IN_FULL);
    let mut told = Vec::new();
    for job in failed {
        let own = commands.iter().filter(|sh| sh.job_id == job.job_id).cloned();
        let model = Model::from_rows(run.row.clone(), vec![job.clone()], own);
        let Some(known) = model.job(&job.job_id) else { continue };
        let why = words::error_beside(known).map(str::to_owned);
        let command = match known.failing_command() {
            Some(sh) => Some(command(call, run, sh).await),
            None => None,
        };
        told.push(Failed {
            job: job.job_id.to_string(),
            anchor: format!("#job-{}", told::part(job.job_id.as_str())),
            place: words::place(job),
            why,
            command,
        });
    }
    told
}

async fn command(call: &Call, run: &RunRecord, sh: &ShRow) -> FailedCommand {
    let id = ShId { job: sh.job_id.clone(), n: sh.n };
    let path = call.site.app.data.run(&run.row.run_id).ok().and_then(|files| files.log(&id));
    let path = path.filter(|_| run.logs_removed_at_ms.is_none());
    let has_log = path.is_some();
    let parts = match path {
        Some(path) => {
            let site = Arc::clone(&call.site);
            let href = told::log_path(&sh.run_id, &sh.job_id, sh.n);
            let begin = Wall::from_ms(sh.started_at_ms);
            // A log that cannot be read is told where it is opened.
            smol::unblock(move || parts(&site, path, &href, begin)).await.unwrap_or_default()
        }
        None => Vec::new(),
    };
    FailedCommand {
        cmd: text::one_line(&sh.cmd),
        ending: words::ending(sh),
        took: words::sh_duration(sh),
        printed_nothing: has_log && parts.is_empty(),
        parts,
    }
}

fn parts(site: &Site, path: PathBuf, href: &str, begin: Wall) -> io::Result<Vec<Part>> {
    let log = site.pages.indexes.open(&path)?;
    if log.total == 0 {
        return Ok(Vec::new());
    }
    let error = site.pages.errors.of(&log, path)?;
    let last_from = log.total.saturating_sub(LAST - 1).max(1);
    let written = |title, line: u64, from: u64, to: u64| {
        let base = format!("{href}?from={}", from.saturating_sub(AROUND).max(1));
        let raw = format!("{href}/raw");
        let looks = Looks { base: &base, has_ids: false, times: Times::None, begin, error, needle: None, raw: &raw };
        let mut html = String::new();
        for row in log.window(from, to - from + 1)? {
            rows::write(&row, None, &looks, &mut html);
        }
        Ok::<_, io::Error>(Part { title, line, href: format!("{base}#L{line}"), rows: html })
    };
    let Some(error) = error else {
        return Ok(vec![written("The last lines", last_from, last_from, log.total)?]);
    };
    let (from, to) = (error.saturating_sub(AROUND).max(1), (error + AROUND).min(log.total));
    if to + 1 >= last_from {
        return Ok(vec![written("What looks like the error, to the end", error, from.min(last_from), log.total)?]);
    }
    Ok(vec![
        written("What looks like the error", error, from, to)?,
        written("The last lines", last_from, last_from, log.total)?,
    ])
}

impl Errors {
    /// The row that looks like the error. The commands asked about have failed: their logs grow no more.
    fn of(&self, log: &Log, path: PathBuf) -> io::Result<Option<u64>> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&path) {
            return Ok(*known);
        }
        let (mut finder, mut looked) = (Finder::default(), 0);
        log.each(1, u64::MAX, |row| {
            looked += row.content.len() as u64 + 40;
            finder.line(row.number, &terminal::plain(&row.content));
            !finder.is_done() && looked < SEARCHED_BYTES
        })?;
        let found = finder.found();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(path, found);
        Ok(found)
    }
}
