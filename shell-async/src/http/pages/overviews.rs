//! How repositories stand, as it was read last: of hundreds, only those are read again that a run has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use quire_ci::store::{Pulse, RepoOverview, Store, StoreError};

use super::digest;

/// A repository and the full name of its default branch, if it has one.
pub(super) type Named = (String, Option<String>);

/// What was read last.
#[derive(Debug, Default)]
pub(in super::super) struct Overviews(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Taken before what is kept was read.
    pulse: Pulse,
    by_repo: BTreeMap<String, Of>,
}

/// How one repository stands.
#[derive(Debug, Clone)]
pub(super) struct Of {
    /// What it was read for.
    branch: Option<String>,
    pub(super) overview: Arc<RepoOverview>,
    /// Of all of it.
    pub(super) digest: u64,
}

impl Overviews {
    /// How these repositories stand, in their order.
    pub(super) fn of(&self, store: &Store, repos: &[Named]) -> Result<Vec<Of>, StoreError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = store.pulse()?;
        if pulse != kept.pulse {
            for repo in changed(store, &kept.pulse, &pulse)? {
                kept.by_repo.remove(&repo);
            }
            kept.pulse = pulse;
        }
        let is_kept = |(repo, branch): &&Named| kept.by_repo.get(repo).is_some_and(|known| known.branch == *branch);
        let missing: Vec<Named> = repos.iter().filter(|named| !is_kept(named)).cloned().collect();
        for (overview, (repo, branch)) in store.overview(&missing)?.into_iter().zip(missing) {
            let digest = digest(&overview);
            kept.by_repo.insert(repo, Of { branch, overview: Arc::new(overview), digest });
        }
        Ok(repos.iter().filter_map(|(repo, _)| kept.by_repo.get(repo)).cloned().collect())
    }
}

/// The repositories of runs that came, began or ended.
fn changed(store: &Store, before: &Pulse, now: &Pulse) -> Result<BTreeSet<String>, StoreError> {
    let open = |pulse: &Pulse| pulse.open.iter().cloned().collect::<BTreeSet<_>>();
    let mut changed: BTreeSet<String> =
        open(before).symmetric_difference(&open(now)).map(|(_, repo, _)| repo.clone()).collect();
    changed.extend(store.repos_since(before.newest_seq.unwrap_or(0))?);
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quire_core::ids::RunId;
    use quire_core::queue::{NewRun, Origin};

    use super::*;

    /// What is kept is what would be read, whatever happens.
    #[test]
    fn nothing_old_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("quire.db")).unwrap();
        let kept = Overviews::default();
        let repos: Vec<Named> =
            ["a.git", "b.git", "c.git"].map(|name| (name.to_owned(), Some("refs/heads/main".to_owned()))).into();
        let run = |n: u32, repo: &str| NewRun {
            run_id: RunId::new(&format!("019a0000-{n:04x}-7000-8000-000000000000")),
            repo: repo.to_owned(),
            ref_name: Some("refs/heads/main".to_owned()),
            sha: format!("{n:040x}"),
            by: None,
            at_ms: 1000 + i64::from(n),
            origin: Origin::Push,
            params: BTreeMap::new(),
            jobs: Vec::new(),
        };
        let check = |store: &Store, repos: &[Named]| {
            let told: Vec<RepoOverview> =
                kept.of(store, repos).unwrap().iter().map(|of| (*of.overview).clone()).collect();
            assert_eq!(told, store.overview(repos).unwrap());
        };
        check(&store, &repos);
        store.write(|rows| rows.enter(&[run(1, "a.git"), run(2, "b.git")], &[], &[]).map(drop)).unwrap();
        check(&store, &repos);
        // Begun and over between two looks.
        store.write(|rows| rows.enter(&[run(3, "c.git")], &[], &[]).map(drop)).unwrap();
        store.write(|rows| rows.abort_pending(&run(3, "c.git").run_id, Some("ann"), 5000).map(drop)).unwrap();
        check(&store, &repos);
        store.write(|rows| rows.abort_pending(&run(1, "a.git").run_id, None, 6000).map(drop)).unwrap();
        check(&store, &repos[..1]);
        check(&store, &repos);
        // Another default branch.
        let other: Vec<Named> = repos.iter().map(|(name, _)| (name.clone(), Some("refs/heads/x".to_owned()))).collect();
        check(&store, &other);
    }
}
