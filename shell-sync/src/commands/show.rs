//! `show`: a past run in full, from its rows and the ends of its logs.

use std::io::{BufWriter, Write};

use quire_core::rows::ShRow;

use super::history::{FoundRun, History, looks};
use crate::cli::{CliError, Context, Exit, ShowArgs};
use crate::ui::{Hints, LogTails, Looks, Model, Screen as _, Sink, Summary, Surroundings, Terminal, dir_tails, header};
use crate::ui::{json_summary, span};

/// Shows a run on standard output.
pub fn run(context: &Context, args: &ShowArgs) -> Result<Exit, CliError> {
    let history = History::open(context)?;
    let place = Place {
        looks: looks(context.color),
        columns: Surroundings::of(Sink::Stdout).terminal.then(|| Terminal(Sink::Stdout).size().columns),
        program: &context.call(),
        now_ms: crate::clock::now().wall.ms(),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    write(&history, args, &place, &mut out)?;
    out.flush()?;
    Ok(Exit::Complete)
}

/// Where and when the text is read.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Colours and characters.
    pub looks: Looks,
    /// Columns of the terminal, if it is one.
    pub columns: Option<usize>,
    /// How people call this program.
    pub program: &'a str,
    /// Unix milliseconds.
    pub now_ms: i64,
}

/// Writes the summary of a run with its commands, or its JSON.
pub fn write(history: &History, args: &ShowArgs, place: &Place<'_>, out: &mut impl Write) -> Result<(), CliError> {
    let FoundRun { row, files } = history.run(&args.run)?;
    let commands = history.commands(&row, None)?;
    let jobs = history.jobs(&row)?;
    let begun = row.started_at_ms;
    let model = Model::from_rows(row, jobs, commands.iter().cloned());
    if args.json {
        out.write_all(json_summary(&model, Some(files.path()), Some(&commands)).as_bytes())?;
        return Ok(());
    }
    let hints = Hints {
        log: Some(format!("{} log", place.program)),
        rerun: Some(format!("{} run", place.program)),
        shell: Some(format!("{} shell", place.program)),
        browser: super::run::in_a_browser(files.path()),
        record_dir: Some(files.path().to_owned()),
    };
    text(&model, &commands, &hints, &dir_tails(Some(files.path())), place, begun, out)?;
    Ok(())
}

/// Writes head and summary of a run with these commands. `begun_at_ms`: Unix milliseconds, for its age.
pub fn text(
    model: &Model,
    commands: &[ShRow],
    hints: &Hints,
    tails: &dyn LogTails,
    place: &Place<'_>,
    begun_at_ms: Option<i64>,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let age = begun_at_ms.map(|begun| span::age(place.now_ms.saturating_sub(begun)));
    let head = header(model, place.looks, age.as_deref()).unwrap_or_default();
    writeln!(out, "{head}\n")?;
    let mut summary = Summary::new(model, place.looks, hints, tails).commands(commands);
    if let Some(columns) = place.columns {
        summary = summary.columns(columns);
    }
    out.write_all(summary.text(place.now_ms).as_bytes())
}
