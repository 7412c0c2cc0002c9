//! `cancel`: ends a run.

use std::io::Write as _;

use clap::Args;
use quire_ci::cli::{CliError, Exit};

use super::Context;
use super::answer::{self, RunArg, block_on};
use crate::api::Cancelled;

/// Options of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    run: RunArg,
}

/// Asks the server to end a run, and says what is being done.
pub fn run(context: &Context, args: &CancelArgs) -> Result<Exit, CliError> {
    let client = context.client();
    let (run, done) = block_on(async {
        // By its id: `last` may be another one by then.
        let run = answer::find(&client, &args.run.run, args.run.repo.repo.as_deref()).await?.run;
        let done: Cancelled = client.order(&format!("{}/cancel", answer::path(&run))).await?;
        Ok((run, done))
    })?;
    let name = answer::name(&run);
    let said = match done.state.as_str() {
        "aborted" => format!("{name} is over: it had not begun"),
        "ending" => format!("{name} is being ended: its commands have 10 s; a second cancel gives them none"),
        "hurried" => format!("{name} is being ended now: its commands are killed"),
        other => format!("{name}: {other}"),
    };
    writeln!(anstream::stdout().lock(), "{said}")?;
    Ok(Exit::Complete)
}
