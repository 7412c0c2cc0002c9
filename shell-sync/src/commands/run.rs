//! `run`: placeholder of the wiring.

use crate::cli::{CliError, Context, Exit, RunArgs, Spec};

/// Runs the pipeline.
pub fn run(context: &Context, args: RunArgs) -> Result<Exit, CliError> {
    let spec = match args.wants_spec() {
        true => Some(Spec::read(std::io::stdin().lock())?),
        false => None,
    };
    let _request = args.request(spec)?;
    let _workspace = context.workspace()?;
    Err(CliError::machine("run is not wired up yet"))
}
