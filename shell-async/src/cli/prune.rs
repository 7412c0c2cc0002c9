//! `prune`: what the server does by itself from time to time, now.

use std::io::Write as _;

use clap::Args;
use quire_ci::cli::{CliError, Exit};
use quire_ci::clock;
use quire_ci::record::DataDir;

use super::{Context, config};

/// Options of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Removes logs and workspaces that are older or larger than the configuration keeps.
pub fn run(context: &Context, args: PruneArgs) -> Result<Exit, CliError> {
    let keep = config::read(&context.data_dir)?.config.logs;
    let data = DataDir::open(&context.data_dir)?;
    let mut store = data.open_store()?;
    let pruned = data.prune_logs(&mut store, &keep, clock::now().wall.ms(), args.dry_run, &|| false)?;
    let mut err = anstream::stderr().lock();
    for problem in &pruned.problems {
        writeln!(err, "warning: {problem}")?;
    }
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let (logs, workspaces) = (pruned.runs.len(), pruned.workspaces.len());
    let size = quire_core::size::shown(pruned.bytes);
    let verb = if args.dry_run { "would remove" } else { "removed" };
    writeln!(
        anstream::stdout().lock(),
        "{verb} the logs of {logs} run{} and the workspace of {workspaces} more, {size}; events and rows stay",
        s(logs)
    )?;
    Ok(Exit::Complete)
}
