//! Which run a path means: RUN as on the command line, among the runs that who asks may see.

use quire_ci::store::{RunFilter, RunRecord};
use quire_core::access::Action;
use quire_core::rows::RunState;

use super::failure::Failure;
use super::respond::Call;
use super::runs;

/// The run that the path names, if who asks may do this with it.
pub(super) async fn run(call: &Call, action: Action) -> Result<RunRecord, Failure> {
    let text = call.named.part("run");
    let repo = call.query.get("repo");
    if let Some(repo) = repo {
        call.may(Action::ReadRun, Some(repo))?;
    }
    let newest = |state| RunFilter { repo: repo.map(str::to_owned), state, limit: Some(1), ..RunFilter::default() };
    let mut found = match text {
        "last" => runs::visible(call, newest(None)).await?,
        "last-failed" => runs::visible(call, newest(Some(RunState::Failed))).await?,
        _ => {
            let (text, repo) = (text.to_owned(), repo.map(str::to_owned));
            call.site.app.readers.ask(move |store| store.matching(&text, repo.as_deref())).await?
        }
    };
    found.retain(|run| call.may(Action::ReadRun, run.row.repo.as_deref()).is_ok());
    match found.pop() {
        Some(run) if found.is_empty() => {
            call.may(action, run.row.repo.as_deref())?;
            Ok(run)
        }
        Some(run) => {
            found.push(run);
            found.sort_by_key(|run| std::cmp::Reverse(run.seq));
            Err(several(text, &found))
        }
        None => Err(Failure::not_found(format!(
            "no run that you may see matches {text:?}: give its number (with `?repo=` where several repositories have it), \
             `last`, `last-failed`, at least 8 characters of its id or at least 7 of its commit"
        ))),
    }
}

fn several(text: &str, found: &[RunRecord]) -> Failure {
    let listed: Vec<String> = found
        .iter()
        .map(|run| {
            let number = run.row.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            format!("{} ({} {number})", run.row.run_id, run.row.repo.as_deref().unwrap_or("no repository"))
        })
        .collect();
    Failure::conflict(format!("{text:?} could be any of these, give `?repo=` or more of an id: {}", listed.join(", ")))
}
