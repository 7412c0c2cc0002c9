//! `events`: a run's stream as it is recorded, or as it comes.

use std::io::{self, Write as _};

use clap::Args;
use hyper::header::ACCEPT;
use quire_ci::cli::{CliError, Exit};

use super::Context;
use super::answer::{self, RunArg, block_on};
use crate::client::{Client, Follow, Next};

/// Options of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    run: RunArg,

    /// Go on until the run is over
    #[arg(short, long)]
    follow: bool,
}

/// Prints the stream on standard output.
pub fn run(context: &Context, args: &EventsArgs) -> Result<Exit, CliError> {
    let client = context.client();
    block_on(async {
        let detail = answer::find(&client, &args.run.run, args.run.repo.repo.as_deref()).await?;
        let path = format!("{}/events", answer::path(&detail.run));
        match args.follow {
            true => follow(&client, path).await,
            false => stored(&client, &path).await,
        }
    })?;
    Ok(Exit::Complete)
}

async fn stored(client: &Client, path: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    client
        .bytes(path, &[(ACCEPT, "application/x-ndjson")], |bytes| {
            out.write_all(bytes)?;
            Ok::<_, CliError>(())
        })
        .await?;
    out.flush()?;
    Ok(())
}

async fn follow(client: &Client, path: String) -> Result<(), CliError> {
    let mut events = Follow::of(client, path);
    let mut out = io::stdout().lock();
    loop {
        match events.next().await? {
            Next::Message(message) if message.event == "end" => return Ok(()),
            Next::Message(message) if message.event == "missed" => {
                writeln!(
                    anstream::stderr().lock(),
                    "warning: a line was too long to be told live: quire events shows it"
                )?;
            }
            Next::Message(message) => {
                writeln!(out, "{}", message.data)?;
                out.flush()?;
            }
            Next::Closed => {}
        }
    }
}
