//! `log`: what commands of a run of the server printed. Logs of any length pass through in bounded memory.

mod follow;

use std::io::{self, BufWriter, Write};

use clap::Args;
use quire_ci::cli::{CliError, Exit};
use quire_ci::commands::history::{choose, listing, looks};
use quire_ci::commands::log::{Entries, Printer, heading};
use quire_ci::ui::{Sink, Surroundings};
use quire_core::wire::Stream;

use super::Context;
use super::answer::{self, RunArg, block_on};
use crate::api::RunDetail;
use crate::client::{Client, rows};

/// Options of `log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    #[command(flatten)]
    run: RunArg,

    /// A job, or one command of it: JOB/N counts from 1
    #[arg(value_name = "JOB[/N]")]
    job: Option<String>,

    /// Go on until the run is over
    #[arg(short, long, conflicts_with_all = ["raw", "timestamps", "stream"])]
    follow: bool,

    /// Print the exact bytes of a stream (stdout unless --stream names the other)
    #[arg(long, conflicts_with = "timestamps")]
    raw: bool,

    /// Print this stream only
    #[arg(long, value_name = "STREAM", value_parser = ["stdout", "stderr"])]
    stream: Option<String>,

    /// Begin each line with the time at which it came
    #[arg(short, long)]
    timestamps: bool,
}

/// Prints logs on standard output.
pub fn run(context: &Context, args: &LogArgs) -> Result<Exit, CliError> {
    let client = context.client();
    block_on(async {
        let detail = answer::find(&client, &args.run.run, args.run.repo.repo.as_deref()).await?;
        if args.follow {
            return follow::follow(context, &client, &detail, args.job.as_deref()).await;
        }
        let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        print(context, &client, &detail, args, &mut out).await?;
        out.flush()?;
        Ok(())
    })?;
    Ok(Exit::Complete)
}

/// The logs that are asked for: one as it is, several each under a heading.
async fn print(
    context: &Context,
    client: &Client,
    detail: &RunDetail,
    args: &LogArgs,
    out: &mut impl Write,
) -> Result<(), CliError> {
    let (jobs, commands) = rows::jobs(detail);
    let commands = choose(&rows::run(&detail.run), &jobs, commands, args.job.as_deref())?;
    let log = |sh: &quire_core::rows::ShRow| answer::log_path(&detail.run, sh.job_id.as_str(), sh.n);
    if args.raw {
        let [sh] = commands.as_slice() else {
            let error = CliError::usage("--raw prints the bytes of one command: name it as JOB/N");
            return Err(error.help(listing(&commands)));
        };
        let path = format!("{}?stream={}", log(sh), args.stream.as_deref().unwrap_or("stdout"));
        return client.bytes(&path, &[], |bytes| Ok::<_, CliError>(out.write_all(bytes)?)).await;
    }
    let looks = looks(context.color);
    let stream = args.stream.as_deref().and_then(Stream::parse);
    let mut printer = Printer::new(looks, Surroundings::of(Sink::Stdout).terminal, stream, args.timestamps);
    for (nth, sh) in commands.iter().enumerate() {
        if commands.len() > 1 {
            if nth > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", heading(sh, looks))?;
        }
        let mut entries = Entries::default();
        client
            .bytes(&log(sh), &[], |bytes| {
                entries.push(bytes, |whole| printer.print(whole, out))?;
                Ok::<_, CliError>(())
            })
            .await?;
        entries.end(|whole| printer.print(whole, out))?;
        printer.end_line(out)?;
    }
    Ok(())
}
