//! `retry`: runs an ended run again.

use std::io::Write as _;

use clap::Args;
use quire_ci::cli::{CliError, Exit};

use super::Context;
use super::answer::{self, RunArg, block_on};
use crate::api::{QueuedRun, RetryRequest};

/// Options of `retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    run: RunArg,

    /// Only what failed, and what comes after it; what completed is answered from the record
    #[arg(long)]
    failed: bool,
}

/// Asks the server for the run again, and says which run that is.
pub fn run(context: &Context, args: &RetryArgs) -> Result<Exit, CliError> {
    let client = context.client();
    let queued: QueuedRun = block_on(async {
        let run = answer::find(&client, &args.run.run, args.run.repo.repo.as_deref()).await?.run;
        let request = RetryRequest { failed: args.failed };
        Ok(client.post(&format!("{}/retry", answer::path(&run)), &request).await?)
    })?;
    writeln!(anstream::stdout().lock(), "{}", answer::queued(&queued))?;
    Ok(Exit::Complete)
}
