//! The versions of pages that list runs: which runs there are, and how those stand that are not over.
//!
//! Only of what the reader may see: nobody learns from a version that something goes on elsewhere.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use quire_ci::store::{RunFilter, Store, StoreError};
use quire_core::access::Action;
use quire_core::ids::RunId;
use quire_core::rows::RunState;

use super::super::answers::Answer;
use super::super::failure::Failure;
use super::super::respond::Call;
use super::super::site::Site;
use super::live::{self, Version};
use super::overviews::Named;

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Runs of all repositories.
    All,
    /// Those of some, each with its default branch.
    Repos(Vec<Named>),
    /// Those of one, with their jobs.
    Repo(String),
}

impl Scope {
    /// All that who asks may see: these repositories, where that is not simply all.
    pub(super) fn visible(call: &Call, listed: &[Named]) -> Scope {
        match call.may(Action::ReadRun, None) {
            Ok(()) => Scope::All,
            Err(_) => Scope::Repos(listed.to_vec()),
        }
    }
}

/// Tells live whether the lists show something else.
pub(super) fn watched(call: &Call, scope: Scope) -> Result<Answer, Failure> {
    let version = Watched { site: Arc::clone(&call.site), scope };
    Ok(live::answer(call, version, None, live::seat(call)?))
}

/// A word for what lists show now.
pub(super) async fn version(site: &Arc<Site>, scope: &Scope) -> Result<String, Failure> {
    let (scope, waiting) = (scope.clone(), site.app.desk.waiting());
    let asked = Arc::clone(site);
    let hasher = site.app.readers.ask(move |store| {
        let mut hasher = DefaultHasher::new();
        waiting.halted.hash(&mut hasher);
        match &scope {
            Scope::All => {
                store.pulse()?.hash(&mut hasher);
                waiting.reasons.hash(&mut hasher);
            }
            Scope::Repos(names) => {
                for of in asked.pages.overviews.of(store, names)? {
                    of.digest.hash(&mut hasher);
                    for run in &of.overview.open {
                        waiting.reasons.get(&run.run_id).hash(&mut hasher);
                    }
                }
            }
            Scope::Repo(name) => {
                let open = of_repo(store, name, &waiting.reasons, &mut hasher)?;
                for job in store.jobs_of_runs(&open)?.values().flatten() {
                    (job.job_id.as_str(), job.state.as_str()).hash(&mut hasher);
                }
            }
        }
        Ok(hasher)
    });
    Ok(format!("{:x}", hasher.await?.finish()))
}

/// Takes in which runs of a repository there are and how those stand that are not over; gives these.
fn of_repo(
    store: &Store,
    name: &str,
    reasons: &BTreeMap<RunId, String>,
    hasher: &mut DefaultHasher,
) -> Result<Vec<RunId>, StoreError> {
    let newest = RunFilter { repo: Some(name.to_owned()), limit: Some(1), ..RunFilter::default() };
    let newest = store.runs(&newest)?.pop().map(|run| run.seq);
    (name, newest).hash(hasher);
    let mut open = Vec::new();
    for state in [RunState::Active, RunState::Pending] {
        let filter = RunFilter { repo: Some(name.to_owned()), state: Some(state), ..RunFilter::default() };
        for run in store.runs(&filter)? {
            let run_id = run.row.run_id;
            (run_id.as_str(), state.as_str(), reasons.get(&run_id)).hash(hasher);
            open.push(run_id);
        }
    }
    Ok(open)
}

struct Watched {
    site: Arc<Site>,
    scope: Scope,
}

impl Version for Watched {
    async fn now(&mut self) -> Option<(String, bool)> {
        version(&self.site, &self.scope).await.ok().map(|word| (word, false))
    }
}
