//! Repositories: which there are, and how they stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use quire_ci::store::NotRunRecord;
use quire_core::access::Action;

use super::answers::{self, Answer};
use super::failure::Failure;
use super::repo_list::Found;
use super::respond::Call;
use super::view;
use crate::api::{NotRun, Repo, RepoPage};
use crate::repo::{RepoName, Repos};

/// Most refs without a run that are told of a repository.
const NOT_RUN: u32 = 100;

/// `GET /api/v1/repos`.
pub(super) async fn list(call: &Call) -> Result<Answer, Failure> {
    let mut repos = Vec::new();
    for found in visible(call).await? {
        repos.push(repo(call, found).await?);
    }
    Ok(answers::json(StatusCode::OK, &RepoPage { repos }))
}

/// `GET /api/v1/repos/{name}`.
pub(super) async fn show(call: &Call) -> Result<Answer, Failure> {
    let found = named(call, call.named.part("name")).await?;
    let name = found.name.clone();
    let noted = call.site.app.readers.ask(move |store| store.not_run(&name, NOT_RUN)).await?;
    let not_run = noted.into_iter().map(|noted| {
        let NotRunRecord { repo: _, ref_name, sha, at_ms, by, reason } = noted;
        NotRun { ref_name, sha, at_ms, by, reason }
    });
    let repo = Repo { not_run: not_run.collect(), ..repo(call, found).await? };
    Ok(answers::json(StatusCode::OK, &repo))
}

/// The repository of this name, if who asks may see it.
pub(super) async fn named(call: &Call, name: &str) -> Result<Found, Failure> {
    call.may(Action::SeeRepo, Some(name))?;
    exists(call, name).await
}

/// The repository of this name.
pub(super) async fn exists(call: &Call, name: &str) -> Result<Found, Failure> {
    let unknown = || {
        Failure::not_found(format!(
            "there is no repository {name:?}: `quire repo list` lists them, `quire repo new` makes one"
        ))
    };
    let parsed = RepoName::parse(name).map_err(|_| unknown())?;
    let repos = Repos::of(call.site.app.data.path());
    smol::unblock(move || repos.find(&parsed).map(|repo| Found::of(&repo))).await.map_err(|_| unknown())
}

/// Whether runs of this repository can be started here: local runs are recorded under a name, too.
pub(super) async fn is_served(call: &Call, name: &str) -> bool {
    exists(call, name).await.is_ok()
}

/// The names of the repositories that who asks may see, in order, each with its default branch: those that are served, and
/// those of which there are runs (a laptop's).
pub(super) async fn listed(call: &Call) -> Result<Vec<(String, Option<String>)>, Failure> {
    let mut listed = BTreeMap::new();
    for found in visible(call).await? {
        let branch = default_branch(call, &found);
        listed.insert(found.name, branch);
    }
    let recorded = call.site.app.readers.ask(|store| store.recorded_repos()).await?;
    let sees_all = call.may(Action::SeeRepo, None).is_ok();
    for name in recorded {
        if !listed.contains_key(&name) && (sees_all || call.may(Action::SeeRepo, Some(&name)).is_ok()) {
            listed.insert(name, None);
        }
    }
    Ok(listed.into_iter().collect())
}

/// The repositories that who asks may see, by name.
pub(super) async fn visible(call: &Call) -> Result<Vec<Found>, Failure> {
    let site = Arc::clone(&call.site);
    let listed = smol::unblock(move || site.repo_list.all(site.app.data.path())).await;
    let mut all = listed.map_err(|error| Failure::unavailable(error.to_string()))?;
    if call.may(Action::SeeRepo, None).is_err() {
        all.retain(|found| call.may(Action::SeeRepo, Some(&found.name)).is_ok());
    }
    Ok(all)
}

/// The branch whose runs stand for the repository.
pub(super) fn default_branch(call: &Call, found: &Found) -> Option<String> {
    call.config.repo(&found.name).default_branch.or_else(|| found.head.clone())
}

async fn repo(call: &Call, found: Found) -> Result<Repo, Failure> {
    let (app, config) = (&call.site.app, call.config.repo(&found.name));
    let default_branch = default_branch(call, &found);
    let latest = match default_branch.clone() {
        Some(branch) => {
            let name = found.name.clone();
            app.readers.ask(move |store| store.newest_ended(&name, &branch)).await?
        }
        None => None,
    };
    let standing = app.desk.waiting();
    let (waiting, running) = standing.repos.get(&found.name).copied().unwrap_or_default();
    Ok(Repo {
        public: config.public,
        name: found.name,
        default_branch,
        executor: config.executor.as_str().to_owned(),
        waiting,
        running,
        latest: latest.map(|run| view::run(run, &call.config, &standing)),
        not_run: Vec::new(),
    })
}
