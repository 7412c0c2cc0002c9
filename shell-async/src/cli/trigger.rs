//! `trigger`: runs a commit without a push.

use std::collections::BTreeMap;
use std::io::Write as _;

use clap::Args;
use quire_ci::cli::{CliError, Exit};

use super::Context;
use super::answer::{self, block_on};
use crate::api::{QueuedRun, Repo, TriggerRequest};
use crate::client::encoded;

/// Options of `trigger`.
#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// The repository
    #[arg(value_name = "REPO")]
    repo: String,

    /// A branch, a tag or a full ref name [default: the repository's default branch, unless --sha is given]
    #[arg(value_name = "REF")]
    ref_name: Option<String>,

    /// A revision: this commit instead of the newest of REF
    #[arg(long, value_name = "REV")]
    sha: Option<String>,

    /// Give the pipeline a parameter, rt.params.KEY (repeatable)
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = param)]
    params: Vec<(String, String)>,

    /// Run this job and what it needs (repeatable) [default: all]
    #[arg(long = "job", value_name = "JOB")]
    jobs: Vec<String>,
}

fn param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Asks the server for a run, and says which run that is.
pub fn run(context: &Context, args: TriggerArgs) -> Result<Exit, CliError> {
    let mut params = BTreeMap::new();
    for (key, value) in args.params {
        if params.insert(key.clone(), value).is_some() {
            return Err(CliError::usage(format!("parameter {key} is given twice")).at("--param").help("give it once"));
        }
    }
    let client = context.client();
    let queued: QueuedRun = block_on(async {
        let ref_name = match (args.ref_name, &args.sha) {
            (None, None) => Some(default_branch(&client, &args.repo).await?),
            (ref_name, _) => ref_name,
        };
        let request = TriggerRequest { repo: args.repo, ref_name, sha: args.sha, params, jobs: args.jobs };
        Ok(client.post("/runs", &request).await?)
    })?;
    writeln!(anstream::stdout().lock(), "{}", answer::queued(&queued))?;
    Ok(Exit::Complete)
}

async fn default_branch(client: &crate::client::Client, repo: &str) -> Result<String, CliError> {
    let known: Repo = client.get(&format!("/repos/{}", encoded(repo))).await?;
    let none = || CliError::usage(format!("{repo} has no default branch")).help("name a branch or a tag");
    known.default_branch.ok_or_else(none)
}
