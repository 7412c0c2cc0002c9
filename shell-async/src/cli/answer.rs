//! What the verbs that look at runs of a server have in common: which run is meant, and how to call again about it.

use clap::Args;
use quire_ci::cli::CliError;
use quire_ci::ui::{Hints, words};

use super::Context;
use crate::api::{QueuedRun, Run, RunDetail};
use crate::client::{Client, ClientError, encoded, query, rows};

/// Which run.
#[derive(Debug, Clone, Args)]
pub struct RunArg {
    /// A run: its number, last, last-failed, or the beginning of its id or of its commit's
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,

    #[command(flatten)]
    pub repo: RepoArg,
}

/// Which repository.
#[derive(Debug, Clone, Args)]
pub struct RepoArg {
    /// Of this repository: numbers count in each
    #[arg(long, value_name = "NAME")]
    pub repo: Option<String>,
}

/// The run that is meant, from the server.
pub async fn find(client: &Client, run: &str, repo: Option<&str>) -> Result<RunDetail, ClientError> {
    client.get(&format!("/runs/{}{}", encoded(run), query(&[("repo", repo)]))).await
}

/// Path of a run that was found: by its id, which names no other.
pub fn path(run: &Run) -> String {
    format!("/runs/{}", encoded(&run.id))
}

/// Path of a command's log.
pub fn log_path(run: &Run, job: &str, n: u32) -> String {
    format!("{}/jobs/{}/{n}/log", path(run), encoded(job))
}

/// What people are told to call: the server's own runs are neither run again here nor have they shells.
pub fn hints(context: &Context, run: &Run) -> Hints {
    let repo = run.repo.as_deref().map(|repo| format!(" --repo {repo}")).unwrap_or_default();
    Hints { log: Some(format!("{} log{repo}", context.call())), ..Hints::default() }
}

/// `run 41 of work/foo.git`.
pub fn name(run: &Run) -> String {
    let name = words::run_name(&rows::run(run));
    run.repo.as_deref().map_or(name.clone(), |repo| format!("{name} of {repo}"))
}

/// `run 42 queued: URL`, and why it waits.
pub fn queued(run: &QueuedRun) -> String {
    let waits = run.waits.as_deref().map(|waits| format!(" ({waits})")).unwrap_or_default();
    quire_ci::ui::text::one_line(&format!("run {} queued: {}{waits}", run.number, run.url))
}

/// Runs a verb's requests to their end.
pub fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    smol::block_on(work)
}
