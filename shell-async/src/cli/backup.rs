//! `backup`: a copy of the data directory, made while the server runs.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use quire_ci::cli::{CliError, Exit};

use super::Context;
use crate::backup::{Copied, back_up};

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where the copy goes: a new folder, or an earlier copy, which is brought up to date
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
}

/// Makes the copy.
pub fn run(context: &Context, args: BackupArgs) -> Result<Exit, CliError> {
    let copied = back_up(&context.data_dir, &args.to)?;
    writeln!(anstream::stdout().lock(), "{} holds {}", args.to.display(), told(copied))?;
    Ok(Exit::Complete)
}

/// `the database and 41 runs (12 files, 3.4 MB, were new or had changed)`.
pub fn told(copied: Copied) -> String {
    let Copied { runs, files, bytes } = copied;
    let s = |count: u64| if count == 1 { "" } else { "s" };
    let size = quire_core::size::shown(bytes);
    format!("the database and {runs} run{} ({files} file{}, {size}, copied)", s(runs), s(files))
}
