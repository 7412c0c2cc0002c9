//! Repositories: which there are, and how they stand.

use hyper::StatusCode;
use quire_ci::git;
use quire_ci::record::DataDir;
use quire_ci::store::NotRunRecord;
use quire_core::access::Action;

use super::answers::{self, Answer};
use super::failure::Failure;
use super::respond::Call;
use super::view;
use crate::api::{NotRun, Repo, RepoPage};
use crate::repo::{RepoError, RepoName, Repos};

/// Most refs without a run that are told of a repository.
const NOT_RUN: u32 = 100;

/// A repository on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// What its HEAD names.
    head: Option<String>,
}

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

/// The repositories that who asks may see, by name.
pub(super) async fn visible(call: &Call) -> Result<Vec<Found>, Failure> {
    let mut all = all(&call.site.app.data).await?;
    all.retain(|found| call.may(Action::SeeRepo, Some(&found.name)).is_ok());
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

async fn all(data: &DataDir) -> Result<Vec<Found>, Failure> {
    let repos = Repos::of(data.path());
    let listed = smol::unblock(move || Ok::<_, RepoError>(repos.list()?.iter().map(Found::of).collect())).await;
    listed.map_err(|error| Failure::unavailable(error.to_string()))
}

impl Found {
    fn of(repo: &crate::repo::Repo) -> Found {
        Found { name: repo.name.to_string(), head: git::default_branch(&repo.git_dir) }
    }
}
