//! `ls`: the runs of the server, newest first.

use std::io::{self, BufWriter, Write as _};

use clap::Args;
use clap::builder::PossibleValuesParser;
use quire_ci::cli::{CliError, Exit};
use quire_ci::clock;
use quire_ci::commands::history::looks;
use quire_ci::commands::ls::{Listed, table};
use quire_core::rows::{RunRow, RunState};

use super::Context;
use super::answer::{RepoArg, block_on};
use crate::api::{Run, RunPage};
use crate::client::{Client, ClientError, query, rows};

/// Most runs that are asked for at once.
const PAGE: usize = 100;

/// Options of `ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    #[command(flatten)]
    repo: RepoArg,

    /// Of this branch, or full ref name
    #[arg(long = "ref", value_name = "REF")]
    ref_name: Option<String>,

    /// In this state
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Option<String>,

    /// Show the newest N runs
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Print one JSON object a run
    #[arg(long)]
    json: bool,
}

fn states() -> PossibleValuesParser {
    RunState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().into()
}

/// Lists the runs on standard output.
pub fn run(context: &Context, args: &LsArgs) -> Result<Exit, CliError> {
    let runs = block_on(async { Ok(fetch(&context.client(), args).await?) })?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        for run in &runs {
            writeln!(out, "{}", serde_json::to_string(run).map_err(io::Error::from)?)?;
        }
        out.flush()?;
        return Ok(Exit::Complete);
    }
    let rows: Vec<RunRow> = runs.iter().map(rows::run).collect();
    let listed = |(run, row)| {
        let run: &Run = run;
        let repo = run.repo.as_deref().filter(|_| args.repo.repo.is_none());
        Listed { run: row, queued_at_ms: run.queued_at_ms, repo }
    };
    let listed: Vec<Listed<'_>> = runs.iter().zip(&rows).map(listed).collect();
    table(&listed, looks(context.color), clock::now().wall.ms(), &mut out)?;
    out.flush()?;
    if runs.is_empty() {
        writeln!(anstream::stderr().lock(), "there are no such runs: a push makes one, and so does `quire trigger`")?;
    }
    Ok(Exit::Complete)
}

/// As many runs as are wanted, page by page.
async fn fetch(client: &Client, args: &LsArgs) -> Result<Vec<Run>, ClientError> {
    let mut runs = Vec::new();
    let mut before: Option<String> = None;
    while runs.len() < args.limit {
        let limit = (args.limit - runs.len()).min(PAGE).to_string();
        let asked = query(&[
            ("repo", args.repo.repo.as_deref()),
            ("ref", args.ref_name.as_deref()),
            ("state", args.state.as_deref()),
            ("limit", Some(&limit)),
            ("before", before.as_deref()),
        ]);
        let page: RunPage = client.get(&format!("/runs{asked}")).await?;
        let is_empty = page.runs.is_empty();
        runs.extend(page.runs);
        match page.next {
            Some(next) if !is_empty => before = Some(next),
            _ => break,
        }
    }
    runs.truncate(args.limit);
    Ok(runs)
}
