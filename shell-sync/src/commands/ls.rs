//! `ls`: the runs, newest first.

use std::io::{BufWriter, Write};

use quire_core::rows::RunRow;

use super::history::{History, looks, record_error};
use crate::cli::{CliError, Context, Exit, LsArgs};
use crate::store::RunFilter;
use crate::ui::text::{one_line, pad, width};
use crate::ui::{Looks, RunSummary, Tone, span, words};

/// Lists the runs on standard output.
pub fn run(context: &Context, args: &LsArgs) -> Result<Exit, CliError> {
    let history = History::open(context)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let now_ms = crate::clock::now().wall.ms();
    let listed = write(&history, args, looks(context.color), now_ms, &mut out)?;
    out.flush()?;
    if listed == 0 && !args.json {
        writeln!(anstream::stderr().lock(), "there are no runs yet: `{} run` makes the first", context.program)?;
    }
    Ok(Exit::Complete)
}

/// Writes the runs; how many there were. `now_ms`: Unix milliseconds, for ages.
pub fn write(
    history: &History,
    args: &LsArgs,
    looks: Looks,
    now_ms: i64,
    out: &mut impl Write,
) -> Result<usize, CliError> {
    let filter = RunFilter { limit: Some(args.limit), ..RunFilter::default() };
    let runs = history.store().runs(&filter).map_err(record_error)?;
    if args.json {
        for run in &runs {
            let files = history.files(&run.row.run_id)?;
            let summary = RunSummary::of_row(&run.row, Some(files.path()));
            let line = serde_json::to_string(&summary).map_err(std::io::Error::from)?;
            writeln!(out, "{line}")?;
        }
        return Ok(runs.len());
    }
    let rows: Vec<Listed<'_>> =
        runs.iter().map(|run| Listed { run: &run.row, queued_at_ms: run.queued_at_ms, repo: None }).collect();
    table(&rows, looks, now_ms, out)?;
    Ok(rows.len())
}

/// A run in a list.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its row.
    pub run: &'a RunRow,
    /// When it was queued, which counts until it starts.
    pub queued_at_ms: Option<i64>,
    /// Its repository, where the list is of several.
    pub repo: Option<&'a str>,
}

/// Writes a line a run, in columns. `now_ms`: Unix milliseconds, for ages.
pub fn table(runs: &[Listed<'_>], looks: Looks, now_ms: i64, out: &mut impl Write) -> std::io::Result<()> {
    let rows: Vec<[String; 8]> = runs.iter().map(|listed| cells(listed, now_ms)).collect();
    let widths: [usize; 8] =
        std::array::from_fn(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
    for (row, listed) in rows.iter().zip(runs) {
        let (symbol, tone) = looks.run(listed.run.state);
        let cell = |column: usize| pad(&row[column], widths[column], looks.unicode);
        let number = format!("{:>1$}", row[0], widths[0]);
        let repo = if widths[7] > 0 { format!("  {}", cell(7)) } else { String::new() };
        let line = format!(
            "{} {number}{repo}  {}  {}  {}  {}  {:>took$}  {}",
            looks.paint(tone, symbol),
            looks.paint(Tone::Quiet, cell(1)),
            looks.paint(tone, cell(2)),
            cell(3),
            cell(4),
            row[6],
            row[5],
            took = widths[6],
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Number, begin of the id, state, ref, commit, age, duration, repository.
fn cells(listed: &Listed<'_>, now_ms: i64) -> [String; 8] {
    let run = listed.run;
    let dash = || "-".to_owned();
    let begun = run.started_at_ms.or(listed.queued_at_ms);
    let took = run.started_at_ms.map(|begin| run.finished_at_ms.unwrap_or(now_ms).saturating_sub(begin));
    let state = match run.failure_kind {
        Some(kind) if kind.as_str() != "job" => format!("{} ({kind})", run.state),
        _ => run.state.to_string(),
    };
    [
        run.number.map_or_else(dash, |number| number.to_string()),
        one_line(run.run_id.as_str()).chars().take(13).collect(),
        state,
        run.ref_name.as_deref().map_or_else(dash, words::short_ref),
        run.sha.as_deref().map_or_else(dash, words::short_sha),
        begun.map_or_else(dash, |at| span::age(now_ms.saturating_sub(at))),
        took.map_or_else(dash, span::duration),
        listed.repo.map(one_line).unwrap_or_default(),
    ]
}
