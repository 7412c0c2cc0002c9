//! `shell`: a person's shell where a command failed, in its directory and environment, with the command in its history.
//!
//! - `recorded`: what the record tells of the command; `watch`: what a run that goes on remembers of it (`--shell-on-fail`).
//! - `repeat`, `typed`: what it takes to repeat it. `session`, `startup`: the shell.

mod recorded;
mod repeat;
mod session;
mod startup;
mod typed;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use quire_core::engine::{Config, Source, job_environment};
use quire_core::ids::ShId;
use quire_core::pipeline::JobOptions;
use quire_core::redact::SecretSet;
use quire_core::rows::{JobRow, JobState, ShRow};
use quire_core::wire::ShStarted;

use self::repeat::Repeat;
use self::typed::Typed;
use super::colour;
use super::history::{FoundRun, History, record_error};
use super::run::base_environment;
use crate::cli::{CliError, Context, Exit, SecretArg, ShellArgs, styled};
use crate::git;
use crate::process::Signals;
use crate::ui::{Model, words};

pub use self::watch::{FailedCommand, Watched};

/// Opens a shell for a command of the record.
pub fn run(context: &Context, args: &ShellArgs) -> Result<Exit, CliError> {
    let history = History::open(context)?;
    let found = history.run(&args.run)?;
    let row = command(&history, &found, args.job.as_deref())?;
    let (secrets, hidden) = secrets(&args.secrets)?;
    let sh = ShId { job: row.job_id.clone(), n: row.n };
    let started = started(&found, &sh)?;
    check_secrets(&secrets, &started, &sh)?;
    let place = Place::find(context, &found, args.clean)?;
    let repeat = place.repeat(&found, &row, started, &secrets, &hidden);
    is_there(&repeat.directory, &sh)?;
    drop(history);
    let mut signals = Signals::install().map_err(listening)?;
    Ok(match session::open(&repeat, &mut signals, colour(context.color))? {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Complete,
    })
}

/// Opens a shell for the command that failed a run of this process, which has ended; `workspace` and `env` are the run's. What
/// keeps it from opening is told, and changes nothing of how the run ended.
pub fn after_run(
    context: &Context,
    failed: Option<FailedCommand>,
    workspace: &Path,
    env: BTreeMap<OsString, OsString>,
    signals: &mut Signals,
) {
    let open = |failed: FailedCommand| {
        let sh = ShId { job: failed.row.job_id.clone(), n: failed.row.n };
        let mut repeat = Repeat {
            run: failed.run,
            sh: sh.to_string(),
            ending: words::ending(&failed.row),
            typed: Typed::started(&failed.spec.argv),
            directory: repeat::directory(workspace, &failed.spec.cwd),
            env,
            given: BTreeSet::new(),
            unset: BTreeSet::new(),
            notes: Vec::new(),
        };
        repeat.give_started(&failed.spec);
        is_there(&repeat.directory, &sh)?;
        session::open(&repeat, signals, colour(context.color))
    };
    let told = match failed.map(open) {
        None => "no shell opens: no command failed a job\n".to_owned(),
        Some(Err(error)) => error.render(&styled),
        Some(Ok(_)) => return,
    };
    let _ = anstream::stderr().lock().write_all(told.as_bytes());
}

/// `--shell-on-fail` wants a person there.
pub fn needs_terminal() -> Result<(), CliError> {
    match std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        true => Ok(()),
        false => Err(CliError::usage("a shell needs a terminal: standard input and output are not both one")
            .at("--shell-on-fail")
            .help("run without it; quire-ci shell opens one for the failed command later")),
    }
}

/// The command that `JOB[/N]` means, or the one that failed the only job which failed.
fn command(history: &History, found: &FoundRun, asked: Option<&str>) -> Result<ShRow, CliError> {
    let jobs = history.jobs(&found.row)?;
    let asked = match asked {
        Some(asked) => asked.to_owned(),
        None => failed_job(&words::run_name(&found.row), &jobs)?,
    };
    let commands = history.asked(&found.row, Some(&asked))?;
    let last = commands.last().cloned();
    let model = Model::from_rows(found.row.clone(), jobs, commands);
    let failing = last.as_ref().and_then(|last| model.job(&last.job_id)).and_then(|job| job.failing_command().cloned());
    failing.or(last).ok_or_else(|| CliError::not_found(format!("there is no command {asked}")))
}

/// The job that failed the run, where there is one only.
fn failed_job(run: &str, jobs: &[JobRow]) -> Result<String, CliError> {
    let named = |such: &dyn Fn(&JobRow) -> bool| -> Vec<&str> {
        jobs.iter().filter(|row| row.state == JobState::Failed && such(row)).map(|row| row.job_id.as_str()).collect()
    };
    let mut failed = named(&|row| !row.allowed);
    if failed.is_empty() {
        failed = named(&|_| true);
    }
    match failed.as_slice() {
        [job] => Ok((*job).to_owned()),
        [] => {
            let all: Vec<&str> = jobs.iter().map(|row| row.job_id.as_str()).collect();
            let error = CliError::not_found(format!("no job of {run} failed"));
            Err(if all.is_empty() { error } else { error.help(format!("name the one you mean: {}", all.join(", "))) })
        }
        several => {
            let what = format!("{} jobs of {run} failed", several.len());
            Err(CliError::not_found(what).help(format!("name the one you mean: {}", several.join(", "))))
        }
    }
}

/// What the record says of the command's start.
fn started(found: &FoundRun, sh: &ShId) -> Result<ShStarted, CliError> {
    let events = found.files.events();
    let told = recorded::started(&events, sh).map_err(|error| match error.kind() {
        ErrorKind::NotFound => CliError::not_found("the run's event file has gone").at(events.display()),
        _ => record_error(format!("cannot read {}: {error}", events.display())),
    })?;
    told.ok_or_else(|| CliError::not_found(format!("the record does not tell how {sh} began")).at(events.display()))
}

/// The values that `--secret` gives, by the variable's name; and the variables that they came from, which the shell does not
/// inherit.
fn secrets(given: &[String]) -> Result<(BTreeMap<String, OsString>, Vec<String>), CliError> {
    let folder = std::env::current_dir().unwrap_or_default();
    let (mut values, mut hidden) = (BTreeMap::new(), Vec::new());
    for text in given {
        let SecretArg { name, source } = SecretArg::parse(text).map_err(|what| CliError::usage(what).at("--secret"))?;
        let value = source.resolve(&name, |variable| std::env::var_os(variable), &folder)?;
        hidden.extend(source.env_name().map(str::to_owned));
        if values.insert(name.clone(), OsString::from_vec(value)).is_some() {
            return Err(CliError::usage(format!("the secret {name:?} is given twice")).at("--secret"));
        }
    }
    Ok((values, hidden))
}

/// A secret that no variable asks for is a misunderstanding.
fn check_secrets(secrets: &BTreeMap<String, OsString>, started: &ShStarted, sh: &ShId) -> Result<(), CliError> {
    let is_masked = |value: &Option<String>| value.as_ref().is_some_and(|value| value.contains(SecretSet::MASK));
    let masked: Vec<&str> =
        started.env.iter().filter(|(_, value)| is_masked(value)).map(|(name, _)| name.as_str()).collect();
    let Some(unasked) = secrets.keys().find(|name| !masked.contains(&name.as_str())) else { return Ok(()) };
    let help = match masked.is_empty() {
        true => "no variable that it was given holds a secret".to_owned(),
        false => format!("variables of it that hold a secret: {}", masked.join(", ")),
    };
    Err(CliError::usage(format!("{sh} was given no secret in a variable {unasked}")).at("--secret").help(help))
}

/// Where the commands of a past run ran.
struct Place {
    workspace: PathBuf,
    clean: bool,
    notes: Vec<String>,
}

impl Place {
    /// The run's own checkout where it was kept, with the environment that such runs have; else the workspace as it is now.
    fn find(context: &Context, found: &FoundRun, clean: bool) -> Result<Place, CliError> {
        let folder = context.folder()?;
        let checkout = found.files.path().join("workspace");
        let mut notes = Vec::new();
        if found.row.executor.as_deref() == Some("container") {
            notes.push("the command ran in a container; this shell does not".to_owned());
        }
        if checkout.is_dir() {
            let below = git::Repository::find(&folder)
                .and_then(|repository| folder.strip_prefix(&repository.top).map(Path::to_owned).ok());
            return Ok(Place { workspace: checkout.join(below.unwrap_or_default()), clean: true, notes });
        }
        if let (Some(then), Some(now)) = (&found.row.sha, git::head(&folder).sha)
            && *then != now
        {
            let (then, now) = (words::short_sha(then), words::short_sha(&now));
            notes.push(format!("the run was of commit {then}, and the workspace is at {now} now"));
        }
        Ok(Place { workspace: folder, clean, notes })
    }

    fn repeat(
        self,
        found: &FoundRun,
        row: &ShRow,
        started: ShStarted,
        secrets: &BTreeMap<String, OsString>,
        hidden: &[String],
    ) -> Repeat {
        let env = base_environment(self.clean, hidden);
        let text =
            |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        let mut config = Config::new(found.row.run_id.clone(), Source::default());
        config.env = env.iter().filter_map(text).collect();
        config.number = found.row.number;
        config.sha.clone_from(&found.row.sha);
        config.ref_name.clone_from(&found.row.ref_name);
        let mut repeat = Repeat {
            run: words::run_name(&found.row),
            sh: format!("{}/{}", row.job_id, row.n),
            ending: words::ending(row),
            typed: Typed::recorded(&started.cmd, started.shell.as_deref()),
            directory: repeat::directory(&self.workspace, started.cwd.as_deref().unwrap_or_default()),
            env,
            given: BTreeSet::new(),
            unset: BTreeSet::new(),
            notes: self.notes,
        };
        repeat.give(job_environment(&config, &row.job_id, &JobOptions::default()));
        repeat.give_recorded(started, secrets);
        repeat
    }
}

/// The directory may have been made by the run and be gone with it.
fn is_there(directory: &Path, sh: &ShId) -> Result<(), CliError> {
    let what = match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "it is a directory no more".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => "it has gone".to_owned(),
        Err(error) => error.to_string(),
    };
    let help = match directory.to_string_lossy().contains(SecretSet::MASK) {
        true => "*** in its name stands for a secret that the record does not hold",
        false => "make it again by hand, or open a shell as soon as the command fails: quire-ci run --shell-on-fail",
    };
    Err(CliError::not_found(format!("the directory of {sh} cannot be entered: {what}"))
        .at(directory.display())
        .help(help))
}

fn listening(error: std::io::Error) -> CliError {
    CliError::machine(format!("signals cannot be listened to: {error}"))
}
