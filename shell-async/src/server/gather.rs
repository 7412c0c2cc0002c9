//! What git and the database know of a request, gathered before the queue hears of it.

use std::path::Path;
use std::sync::Arc;

use quire_ci::git;
use quire_core::ids::RunId;
use quire_core::queue::{NewRun, Origin, PushedRef, Tip, may_retry};
use smol::channel::{self, Sender};

use super::app::App;
use super::desk::Refused;
use super::owner::Fact;
use crate::api::{PushAnswer, PushEvent, RetryRequest, TriggerRequest};

/// A push, and who waits for what becomes of it.
#[derive(Debug)]
pub struct PushOrder {
    /// The event.
    pub event: PushEvent,
    /// Gets the answer.
    pub reply: Sender<Result<PushAnswer, Refused>>,
}

/// A push with all that the queue needs to know.
#[derive(Debug)]
pub struct GatheredPush {
    /// Repository name.
    pub repo: String,
    /// Who pushed.
    pub by: Option<String>,
    /// When.
    pub at_ms: i64,
    /// The repository has had no run yet.
    pub first: bool,
    /// Its default branch.
    pub default_branch: Option<String>,
    /// Its refs, each with the id for its run.
    pub refs: Vec<(PushedRef, RunId)>,
    /// Gets the answer.
    pub reply: Sender<Result<PushAnswer, Refused>>,
}

/// Looks at the pushes of one repository, one after the other.
pub fn worker(app: Arc<App>, facts: Sender<Fact>) -> Sender<PushOrder> {
    let (orders, arrive) = channel::unbounded::<PushOrder>();
    smol::spawn(async move {
        while let Ok(PushOrder { event, reply }) = arrive.recv().await {
            match push(&app, event, reply.clone()).await {
                Ok(gathered) => {
                    let _ = facts.try_send(Fact::Push(gathered));
                }
                Err(refused) => {
                    let _ = reply.try_send(Err(refused));
                }
            }
        }
    })
    .detach();
    orders
}

async fn push(
    app: &App,
    event: PushEvent,
    reply: Sender<Result<PushAnswer, Refused>>,
) -> Result<GatheredPush, Refused> {
    // One from the spool was looked at by nobody yet.
    event.check().map_err(Refused::Bad)?;
    let path = app.repo_path(&event.repo).map_err(Refused::NotFound)?;
    let configured = app.settings.now().repo(&event.repo).default_branch;
    let name = event.repo.clone();
    let first = app.readers.ask(move |store| Ok(!store.repo_has_runs(&name)?)).await.map_err(unanswered)?;
    let PushEvent { at_ms, repo, by, refs, .. } = event;
    let named = refs.iter().map(|change| (change.ref_name.clone(), change.after.clone())).collect();
    let tips = app.askers.tips(path.clone(), named).await;
    let tips = tips.map_err(|error| Refused::Unavailable(error.to_string()))?;
    let default_branch = match configured {
        Some(branch) => Some(branch),
        None => smol::unblock(move || git::default_branch(&path)).await,
    };
    let refs = refs.into_iter().zip(tips).map(|(change, tip)| (PushedRef { ref_name: change.ref_name, tip }, new_id()));
    Ok(GatheredPush { repo, by, at_ms, first, default_branch, refs: refs.collect(), reply })
}

/// Finds the commit that somebody wants a run of.
pub async fn trigger(app: &App, request: TriggerRequest, by: Option<String>) -> Result<NewRun, Refused> {
    let TriggerRequest { repo, ref_name, sha, params, jobs } = request;
    let path = app.repo_path(&repo).map_err(Refused::NotFound)?;
    let configured = app.settings.now().repo(&repo).default_branch;
    let (named, revision) = (ref_name.clone(), sha.clone());
    let found = smol::unblock(move || commit(&path, named, revision, configured)).await?;
    let (sha, ref_name) = found;
    let at_ms = quire_ci::clock::now().wall.ms();
    Ok(NewRun { run_id: new_id(), repo, ref_name, sha, by, at_ms, origin: Origin::Trigger, params, jobs })
}

fn commit(
    path: &Path,
    ref_name: Option<String>,
    revision: Option<String>,
    configured: Option<String>,
) -> Result<(String, Option<String>), Refused> {
    let wanted = revision.clone().or_else(|| ref_name.clone()).or(configured).or_else(|| git::default_branch(path));
    let wanted = wanted.ok_or_else(|| Refused::Bad("name a ref or a revision".to_owned()))?;
    let found = git::resolve_bare(path, &wanted).map_err(|error| Refused::NotFound(error.to_string()))?;
    let sha = found.sha;
    let named = match (&revision, ref_name) {
        // A commit by name and a ref besides: the run counts as one of that ref.
        (Some(_), Some(name)) => {
            Some(git::resolve_bare(path, &name).ok().and_then(|named| named.ref_name).unwrap_or(name))
        }
        _ => found.ref_name,
    };
    let told = named.clone().unwrap_or_else(|| wanted.clone());
    let tips =
        git::tips(path, &[(told.clone(), sha.clone())]).map_err(|error| Refused::Unavailable(error.to_string()))?;
    match tips.into_iter().next() {
        Some(Tip::Pipeline { sha }) => Ok((sha, named)),
        _ => Err(Refused::Conflict(format!(
            "{told} has no pipeline: neither .quire/ci.lua nor .quire/ci.fnl is in {}",
            sha.get(..10).unwrap_or(&sha)
        ))),
    }
}

/// Finds the run that somebody wants again.
pub async fn retry(app: &App, run_id: RunId, request: RetryRequest, by: Option<String>) -> Result<NewRun, Refused> {
    let wanted = run_id.clone();
    let (record, run) = app
        .readers
        .ask(move |store| Ok((store.run(&wanted)?, store.queued_run(&wanted)?)))
        .await
        .map_err(unanswered)?;
    let (Some(record), Some(run)) = (record, run) else {
        return Err(Refused::NotFound(format!("there is no run {run_id}")));
    };
    may_retry(record.row.state, request.failed, !run.sha.is_empty())
        .map_err(|why| Refused::Conflict(why.to_string()))?;
    app.repo_path(&run.repo).map_err(Refused::NotFound)?;
    Ok(NewRun {
        run_id: new_id(),
        repo: run.repo,
        ref_name: run.ref_name,
        sha: run.sha,
        by,
        at_ms: quire_ci::clock::now().wall.ms(),
        origin: Origin::Retry { of: run_id, failed: request.failed },
        params: run.params,
        jobs: run.jobs,
    })
}

fn new_id() -> RunId {
    RunId::new(&uuid::Uuid::now_v7().to_string())
}

fn unanswered(error: quire_ci::store::StoreError) -> Refused {
    Refused::Unavailable(format!("the database does not answer: {error}"))
}
