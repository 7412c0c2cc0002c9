//! A commit's page: all its runs, in whatever repository, for ever at the same address.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use hyper::StatusCode;
use quire_ci::git::Subject;
use quire_ci::store::RunRecord;
use quire_core::access::Action;
use quire_core::rows::JobRow;

use super::super::answers::{self, Answer};
use super::super::failure::Failure;
use super::super::repos;
use super::super::respond::Call;
use super::commits;
use super::frame::{self, Crumb, Frame};
use super::lists::{self, Scope};
use super::table::Table;
use super::told::{self, When};

/// Runs with their jobs.
type Runs = Vec<(RunRecord, Vec<JobRow>)>;

#[derive(Template)]
#[template(path = "commit.html")]
struct CommitPage {
    frame: Frame,
    sha: String,
    subject: Option<Subject>,
    when: Option<When>,
    repos: Vec<OfRepo>,
}

struct OfRepo {
    name: Option<(String, String)>,
    table: Table,
}

/// `GET /commits/{sha}`. The begin of an id leads to the whole.
pub(in super::super) async fn commit(call: &Call) -> Result<Answer, Failure> {
    let wanted = call.named.part("sha").to_ascii_lowercase();
    let unknown = || Failure::not_found(format!("no run that you may see is of a commit {wanted:?}"));
    if !wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) || wanted.len() < 7 {
        return Err(unknown());
    }
    let scope = Scope::visible(call, &repos::listed(call).await?);
    let version = lists::version(&call.site, &scope).await?;
    let sha = wanted.clone();
    let read = call.site.app.readers.ask(move |store| {
        let mut runs = store.runs_of_sha(&sha)?;
        if runs.is_empty() {
            // The newest run of a commit may be one that who asks may not see: all runs of each.
            let shas: BTreeSet<String> =
                store.matching(&sha, None)?.into_iter().filter_map(|run| run.row.sha).collect();
            for full in shas.iter().filter(|full| full.starts_with(&sha)) {
                runs.extend(store.runs_of_sha(full)?);
            }
        }
        store.with_jobs(runs)
    });
    let mut runs = read.await?;
    runs.retain(|(run, _)| call.may(Action::ReadRun, run.row.repo.as_deref()).is_ok());
    let full = runs.first().and_then(|(run, _)| run.row.sha.clone()).ok_or_else(unknown)?;
    if full != call.named.part("sha") {
        return Ok(answers::elsewhere(&told::commit_path(&full)));
    }
    if call.wants_event_stream() {
        return lists::watched(call, scope);
    }
    let mut subject = None;
    let mut by_repo: Vec<(Option<String>, Runs)> = Vec::new();
    for run in runs {
        let repo = run.0.row.repo.clone();
        match by_repo.iter_mut().find(|(known, _)| *known == repo) {
            Some((_, own)) => own.push(run),
            None => by_repo.push((repo, vec![run])),
        }
    }
    let crumbs = vec![Crumb { href: told::commit_path(&full), text: told::short_sha(&full) }];
    let frame = Frame::new(call, format!("commit {}", told::short_sha(&full)), crumbs).live(version, true);
    let mut repos = Vec::new();
    for (repo, runs) in by_repo {
        if let Some(repo) = repo.as_deref().filter(|_| subject.is_none()) {
            subject = commits::subjects(call, repo, std::slice::from_ref(&full)).await.remove(&full);
        }
        let table = Table::new(&runs, &BTreeMap::new(), false, true, frame.now_ms);
        repos.push(OfRepo { name: repo.map(|name| (told::repo_path(&name), name)), table });
    }
    let when = subject.as_ref().map(|subject| When::new(subject.at_ms, frame.now_ms));
    frame::answer(call, StatusCode::OK, &CommitPage { sha: full, subject, when, repos, frame })
}
