//! Runs: lists and single ones.

use hyper::StatusCode;
use quire_ci::store::{RunFilter, RunRecord};
use quire_core::access::Action;
use quire_core::rows::RunState;

use super::answers::{self, Answer};
use super::failure::Failure;
use super::find;
use super::respond::Call;
use super::{repos, view};
use crate::api::RunPage;

/// Runs in a page where the request says nothing, and at most.
const PAGE: u64 = 50;
const MOST: u64 = 200;

/// `GET /api/v1/runs`.
pub(super) async fn list(call: &Call) -> Result<Answer, Failure> {
    let limit = call.query.number("limit")?.unwrap_or(PAGE);
    if !(1..=MOST).contains(&limit) {
        return Err(Failure::bad(format!("limit must be 1 to {MOST}, not {limit}")));
    }
    let before = call.query.get("before").map(|text| {
        let seq = text.parse().ok().filter(|seq: &i64| *seq >= 0);
        seq.ok_or_else(|| Failure::bad("before must be the `next` of a page that was given before"))
    });
    let state = call.query.get("state").map(|word| {
        let unknown = || {
            let words = "pending, active, complete, failed, aborted or superseded";
            Failure::bad(format!("state must be {words}, not {word:?}"))
        };
        RunState::parse(word).ok_or_else(unknown)
    });
    let filter = RunFilter {
        repo: call.query.get("repo").map(str::to_owned),
        ref_name: call.query.get("ref").map(full_ref_name),
        state: state.transpose()?,
        before: before.transpose()?,
        // One more tells whether there is a next page.
        limit: u32::try_from(limit + 1).ok(),
    };
    if let Some(repo) = &filter.repo {
        call.may(Action::ReadRun, Some(repo))?;
    }
    let mut found = visible(call, filter).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let next = found.last().filter(|_| !is_last).map(|run| run.seq.to_string());
    let waiting = call.site.app.desk.waiting();
    let runs = found.into_iter().map(|run| view::run(run, &call.config, &waiting)).collect();
    Ok(answers::json(StatusCode::OK, &RunPage { runs, next }))
}

/// `GET /api/v1/runs/{run}`.
pub(super) async fn show(call: &Call) -> Result<Answer, Failure> {
    let found = find::run(call, Action::ReadRun).await?;
    let run_id = found.row.run_id.clone();
    // One connection, but three statements: what they see may differ by a batch, and jobs are read before their commands.
    let read = call
        .site
        .app
        .readers
        .ask(move |store| Ok((store.run(&run_id)?, store.jobs(&run_id)?, store.commands(&run_id, None)?)));
    let (again, jobs, commands) = read.await?;
    let run = view::run(again.unwrap_or(found), &call.config, &call.site.app.desk.waiting());
    Ok(answers::json(StatusCode::OK, &view::detail(run, jobs, commands)))
}

/// The newest runs of a filter that who asks may see.
pub(super) async fn visible(call: &Call, filter: RunFilter) -> Result<Vec<RunRecord>, Failure> {
    let readers = &call.site.app.readers;
    if filter.repo.is_some() || call.may(Action::ReadRun, None).is_ok() {
        return Ok(readers.ask(move |store| store.runs(&filter)).await?);
    }
    // Few repositories are seen by who does not see all: the newest of each, and of those the newest.
    let repos: Vec<String> = repos::visible(call).await?.into_iter().map(|repo| repo.name).collect();
    Ok(readers.ask(move |store| store.runs_of_repos(&repos, &filter)).await?)
}

/// A branch may be given by its short name.
pub(super) fn full_ref_name(text: &str) -> String {
    if text.starts_with("refs/") { text.to_owned() } else { format!("refs/heads/{text}") }
}
