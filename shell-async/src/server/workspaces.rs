//! A run's workspace: a checkout of its commit in its own run directory, or the one that the run which it goes on with has kept.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use quire_ci::cli::SpecResume;
use quire_ci::git::{self, Checkout};
use quire_ci::record::RunFiles;
use quire_ci::store::QueuedRun;
use quire_core::queue::Origin;

use super::app::App;

/// Where a run finds what it works on.
#[derive(Debug)]
pub struct Workspace {
    /// The folder.
    pub path: PathBuf,
    /// The run whose record answers, where its workspace was taken over.
    pub resume: Option<SpecResume>,
    /// What people should know, for the record.
    pub notes: Vec<String>,
}

/// Makes the run's directory, with an event file that can be watched, and its workspace in it. What an earlier try has left there
/// is removed: it recorded nothing.
///
/// # Errors
/// For people: what could not be made, and why.
pub fn make(app: &App, run: &QueuedRun) -> Result<(RunFiles, Workspace), String> {
    let files = app.data.run(&run.run_id).map_err(|error| error.to_string())?;
    let told = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(files.path()).map_err(|error| told(files.path(), error))?;
    let events = files.events();
    File::options().append(true).create(true).open(&events).map_err(|error| told(&events, error))?;
    let path = files.path().join("workspace");
    git::remove_tree(&path).map_err(|error| told(&path, error))?;
    let mut notes = Vec::new();
    if let Some(Origin::Retry { of, failed: true }) = &run.origin {
        match take_over(app, of, &path) {
            Ok(resume) => return Ok((files, Workspace { path, resume: Some(resume), notes })),
            Err(why) => notes.push(format!("{why}; running everything")),
        }
    }
    let repo = app.repo_path(&run.repo)?;
    notes.extend(check_out(app, run, &repo, &path)?.notes);
    Ok((files, Workspace { path, resume: None, notes }))
}

/// Checks the run's commit out: the repository's spare moved to it, where there is one that will do.
fn check_out(app: &App, run: &QueuedRun, repo: &Path, path: &Path) -> Result<Checkout, String> {
    if app.spares.take(&run.repo, path) {
        match git::move_checkout(repo, &run.sha, run.ref_name.as_deref(), path) {
            Ok(Some(checkout)) => return Ok(checkout),
            // What is wrong with it, a fresh one tells as well.
            Ok(None) | Err(_) => git::remove_tree(path).map_err(|error| format!("{}: {error}", path.display()))?,
        }
    }
    git::checkout_bare(repo, &run.sha, run.ref_name.as_deref(), path).map_err(|error| error.to_string())
}

/// The workspace of a run that has ended becomes another's: renamed, so that it is used once.
fn take_over(app: &App, of: &quire_core::ids::RunId, into: &Path) -> Result<SpecResume, String> {
    let files = app.data.run(of).map_err(|error| error.to_string())?;
    match fs::rename(files.path().join("workspace"), into) {
        Ok(()) => {
            Ok(SpecResume { run_id: of.to_string(), dir: files.path().to_string_lossy().into_owned(), failed: true })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("the workspace of run {of} is gone or was used since"))
        }
        Err(error) => Err(format!("the workspace of run {of} cannot be taken over: {error}")),
    }
}

/// Removes a run's workspace.
///
/// # Errors
/// Where something in it cannot be removed.
pub fn remove(files: &RunFiles) -> io::Result<()> {
    git::remove_tree(&files.path().join("workspace"))
}
