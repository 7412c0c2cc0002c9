//! `completions`: a shell's completion script, made from the command line's definition.

use std::io::Write as _;

use clap::Args;
use clap_complete::Shell;

use crate::cli::{CliError, Exit};

/// Options of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for `command`.
pub fn run(args: CompletionsArgs, mut command: clap::Command) -> Result<Exit, CliError> {
    let name = command.get_name().to_owned();
    // Into memory first: the generator panics where a write fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    anstream::stdout().lock().write_all(&script)?;
    Ok(Exit::Complete)
}
