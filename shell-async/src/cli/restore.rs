//! `restore`: a copy becomes a data directory again.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use quire_ci::cli::{CliError, Exit};

use super::Context;
use super::backup::told;
use crate::backup::restore;

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The copy
    #[arg(value_name = "DIR")]
    pub from: PathBuf,
}

/// Puts the copy in the place of the data directory.
pub fn run(context: &Context, args: RestoreArgs) -> Result<Exit, CliError> {
    let copied = restore(&args.from, &context.data_dir)?;
    let mut out = anstream::stdout().lock();
    writeln!(out, "{} holds {}", context.data_dir.display(), told(copied))?;
    writeln!(out, "what was going on is closed, and what waited starts, with: {} serve", context.call())?;
    Ok(Exit::Complete)
}
