//! What people know commits by. A commit never changes: what git said of one is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use quire_ci::git::{self, Subject};

use super::super::respond::Call;

/// Commits kept; when there are more, all are asked for again.
const KEPT: usize = 20_000;

/// What git said.
#[derive(Debug, Default)]
pub(in super::super) struct Subjects(Mutex<HashMap<(String, String), Subject>>);

/// The subjects of commits of a repository, as far as it has them. One git for all that are not known yet.
pub(super) async fn subjects(call: &Call, repo: &str, shas: &[String]) -> BTreeMap<String, Subject> {
    let known = &call.site.pages.subjects;
    let (mut found, missing) = known.split(repo, shas);
    if missing.is_empty() {
        return found;
    }
    let Ok(git_dir) = call.site.app.repo_path(repo) else { return found };
    let asked = smol::unblock(move || git::subjects(&git_dir, &missing)).await;
    // A page without subjects is better than none.
    let asked = asked.unwrap_or_default();
    known.keep(repo, &asked);
    found.extend(asked);
    found
}

impl Subjects {
    fn split(&self, repo: &str, shas: &[String]) -> (BTreeMap<String, Subject>, Vec<String>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for sha in shas {
            match known.get(&(repo.to_owned(), sha.clone())) {
                Some(subject) => drop(found.insert(sha.clone(), subject.clone())),
                None => missing.push(sha.clone()),
            }
        }
        (found, missing)
    }

    fn keep(&self, repo: &str, asked: &BTreeMap<String, Subject>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + asked.len() > KEPT {
            known.clear();
        }
        known.extend(asked.iter().map(|(sha, subject)| ((repo.to_owned(), sha.clone()), subject.clone())));
    }
}
