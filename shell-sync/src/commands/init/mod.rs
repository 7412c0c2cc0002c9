//! `init`: writes a pipeline that fits the repository and passes right away.
//!
//! What a repository is built with is seen in its files, one module a tool; only tools that this machine has are used. What was
//! seen and left out is said, so that nobody takes a thin pipeline for all there is.

mod cargo;
mod go;
mod lua;
mod make;
mod node;
mod plan;
mod probe;
mod python;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use self::plan::{Plan, Section};
use self::probe::{Machine, Probe};
use crate::cli::{CliError, Context, Exit};
use crate::git::Repository;
use crate::workspace::PIPELINES;

/// Options of `init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Write over a .quire/ci.lua that is there
    #[arg(long)]
    force: bool,

    /// Print the pipeline and write nothing
    #[arg(long, conflicts_with = "force")]
    print: bool,
}

/// Writes the pipeline into the workspace that was named, else to the top of the repository, else here.
pub fn run(context: &Context, args: InitArgs) -> Result<Exit, CliError> {
    let root = target(context)?;
    let plan = Plan::new(detect(&Probe::new(&root, &Machine)));
    let text = lua::render(&plan, &context.program);
    let mut out = anstream::stdout().lock();
    if args.print {
        out.write_all(text.as_bytes())?;
        return Ok(Exit::Complete);
    }
    let file = write(&root, &text, args.force)?;
    let jobs: Vec<&str> = plan.jobs().map(|job| job.id.as_str()).collect();
    writeln!(out, "wrote {} with {} job{}: {}", file.display(), jobs.len(), plural(jobs.len()), jobs.join(", "))?;
    for section in plan.sections() {
        for note in &section.notes {
            writeln!(out, "note: {note}")?;
        }
    }
    let at = context.workspace.as_ref().map(|dir| format!(" -w {}", dir.display())).unwrap_or_default();
    writeln!(out, "next: {} run{at}", context.program)?;
    Ok(Exit::Complete)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn detect(probe: &Probe<'_>) -> Vec<Section> {
    [cargo::detect, node::detect, python::detect, go::detect, make::detect]
        .iter()
        .filter_map(|detect| detect(probe))
        .collect()
}

fn target(context: &Context) -> Result<PathBuf, CliError> {
    let (folder, named) = match &context.workspace {
        Some(folder) => (folder.clone(), true),
        None => (context.working_directory()?, false),
    };
    let folder = folder.canonicalize().map_err(|error| {
        CliError::usage(format!("the workspace cannot be opened: {error}"))
            .at(folder.display())
            .help("name a folder that exists")
    })?;
    if !folder.is_dir() {
        return Err(CliError::usage("the workspace is not a folder").at(folder.display()).help("name a folder"));
    }
    match Repository::find(&folder) {
        Some(repository) if !named => Ok(repository.top),
        _ => Ok(folder),
    }
}

/// Writes `.quire/ci.lua` and returns its path. An existing pipeline is written over only where `force` says so, and one in
/// Fennel never: two would be an error.
fn write(root: &Path, text: &str, force: bool) -> Result<PathBuf, CliError> {
    let [file, fennel] = PIPELINES.map(|name| root.join(name));
    if fennel.symlink_metadata().is_ok() {
        return Err(CliError::usage("there is a pipeline in Fennel already, and two would be an error")
            .at(fennel.display())
            .help("remove it first, or keep it"));
    }
    let told = |error: io::Error| CliError::machine(format!("cannot write the pipeline: {error}")).at(file.display());
    fs::create_dir_all(root.join(".quire")).map_err(told)?;
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let mut handle = options.open(&file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CliError::usage("there is a pipeline already")
            .at(file.display())
            .help("see what would be written with --print, or write over it with --force"),
        _ => told(error),
    })?;
    handle.write_all(text.as_bytes()).map_err(told)?;
    Ok(file)
}
