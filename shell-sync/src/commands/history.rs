//! Past runs: what every verb that reads the record opens first, and how it finds what it was asked for.

use std::fmt::Display;
use std::io::Write as _;

use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, RunRow, ShRow};

use super::colour;
use crate::cli::{CliError, Color, Context, ErrorKind, suggest};
use crate::record::{DataDir, RunFiles};
use crate::store::{SelectError, Store};
use crate::ui::{Looks, Sink, Surroundings, words};

/// Most names that an error lists.
const LISTED: usize = 30;

/// A data directory with its database, dead runs closed.
#[derive(Debug)]
pub struct History {
    data: DataDir,
    store: Store,
}

/// A run that was found.
#[derive(Debug)]
pub struct FoundRun {
    /// Its row.
    pub row: RunRow,
    /// Its files, there or not.
    pub files: RunFiles,
}

impl History {
    /// Opens the data directory that was named, else the workspace's. What was closed or cannot be brought up to date is told
    /// on standard error, and keeps no one from reading.
    pub fn open(context: &Context) -> Result<History, CliError> {
        let (history, notes) = History::of(context.data()?)?;
        let mut err = anstream::stderr().lock();
        for note in notes {
            let _ = writeln!(err, "{note}");
        }
        Ok(history)
    }

    /// Opens a data directory; also what people should know about its dead runs.
    pub fn of(data: DataDir) -> Result<(History, Vec<String>), CliError> {
        let mut store = data.open_store().map_err(record_error)?;
        let notes = match data.recover(&mut store) {
            Ok(recovered) => recovered.notes(),
            Err(error) => vec![format!("warning: runs that died could not be closed: {error}")],
        };
        Ok((History { data, store }, notes))
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The run that RUN means.
    pub fn run(&self, text: &str) -> Result<FoundRun, CliError> {
        let run_id = self.store.select(text).map_err(|error| match error {
            SelectError::Store(error) => record_error(error),
            error => CliError::not_found(error.to_string()),
        })?;
        let record = self.store.run(&run_id).map_err(record_error)?;
        let row = record.ok_or_else(|| CliError::not_found(format!("run {run_id} was removed just now")))?.row;
        let files = self.files(&run_id)?;
        Ok(FoundRun { row, files })
    }

    /// The files of a run.
    pub fn files(&self, run_id: &RunId) -> Result<RunFiles, CliError> {
        self.data.run(run_id).map_err(record_error)
    }

    /// The jobs of a run in the pipeline's order.
    pub fn jobs(&self, run: &RunRow) -> Result<Vec<JobRow>, CliError> {
        self.store.jobs(&run.run_id).map_err(record_error)
    }

    /// The commands of a run, or of one job of it, in order.
    pub fn commands(&self, run: &RunRow, job: Option<&JobId>) -> Result<Vec<ShRow>, CliError> {
        self.store.commands(&run.run_id, job).map_err(record_error)
    }

    /// The commands that `JOB[/N]` means ([`choose`]).
    pub fn asked(&self, run: &RunRow, asked: Option<&str>) -> Result<Vec<ShRow>, CliError> {
        let Some(text) = asked else { return choose(run, &[], self.commands(run, None)?, None) };
        let (job, _) = parse_asked(text)?;
        let jobs = self.jobs(run)?;
        let row = jobs.iter().find(|row| row.job_id.as_str() == job);
        let commands = row.map(|row| self.commands(run, Some(&row.job_id))).transpose()?;
        choose(run, &jobs, commands.unwrap_or_default(), asked)
    }
}

/// The commands that `JOB[/N]` means among these of a run, all of them where none is given: at least one. What is unknown is an
/// error that lists what there is.
pub fn choose(
    run: &RunRow,
    jobs: &[JobRow],
    mut commands: Vec<ShRow>,
    asked: Option<&str>,
) -> Result<Vec<ShRow>, CliError> {
    let name = words::run_name(run);
    let Some(asked) = asked else {
        let none = || {
            let error = CliError::not_found(format!("{name} ran no command"));
            run.error.as_ref().map_or(error.clone(), |why| error.help(why.clone()))
        };
        return if commands.is_empty() { Err(none()) } else { Ok(commands) };
    };
    let (job, n) = parse_asked(asked)?;
    let Some(row) = jobs.iter().find(|row| row.job_id.as_str() == job) else {
        return Err(unknown_job(&name, job, jobs));
    };
    commands.retain(|sh| sh.job_id == row.job_id);
    if commands.is_empty() {
        let why = words::skip(row).map(|why| format!(": {why}")).unwrap_or_default();
        return Err(CliError::not_found(format!(
            "job {job} of {name} ran no command; it is {}{why}",
            words::state(row)
        )));
    }
    if let Some(n) = n {
        if !commands.iter().any(|sh| sh.n == n) {
            return Err(CliError::not_found(format!("job {job} of {name} has no command {n}")).help(listing(&commands)));
        }
        commands.retain(|sh| sh.n == n);
    }
    Ok(commands)
}

/// What there is, one command a line.
pub fn listing(commands: &[ShRow]) -> String {
    let mut text = "its commands are:".to_owned();
    for sh in commands.iter().take(LISTED) {
        text += &format!("\n  {}/{}  {}", sh.job_id, sh.n, crate::ui::text::one_line(&sh.cmd));
    }
    if commands.len() > LISTED {
        text += &format!("\n  and {} more", commands.len() - LISTED);
    }
    text
}

/// Colours and characters for standard output.
pub fn looks(color: Color) -> Looks {
    Surroundings::of(Sink::Stdout).looks(colour(color))
}

/// An error of the record or the database; its text says what to do.
pub fn record_error(error: impl Display) -> CliError {
    CliError::new(ErrorKind::Record, error.to_string())
}

/// `JOB` or `JOB/N`.
pub fn parse_asked(asked: &str) -> Result<(&str, Option<u32>), CliError> {
    let Some((job, n)) = asked.split_once('/') else { return Ok((asked, None)) };
    match n.parse() {
        Ok(n) if n > 0 => Ok((job, Some(n))),
        _ => Err(CliError::usage(format!("{asked:?} names no command")).help("write JOB or JOB/N, N from 1: test/2")),
    }
}

fn unknown_job(run: &str, job: &str, jobs: &[JobRow]) -> CliError {
    let known: Vec<&str> = jobs.iter().map(|row| row.job_id.as_str()).collect();
    let listed: Vec<&str> = known.iter().copied().take(LISTED).collect();
    let there_is = match known.len() {
        0 => "it has no jobs".to_owned(),
        n if n > LISTED => format!("its jobs are: {} and {} more", listed.join(", "), n - LISTED),
        _ => format!("its jobs are: {}", listed.join(", ")),
    };
    let help = match suggest(job, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}? {there_is}"),
        None => there_is,
    };
    CliError::not_found(format!("{run} has no job {job:?}")).help(help)
}
