//! Gits that stay for a while after a push, one a repository: the next push is looked at without a process being started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quire_ci::git::{self, Asker, GitError};
use quire_core::queue::Tip;

/// Most of them at a time.
const MOST: usize = 16;
/// How long one stays without being asked.
const STAYS: Duration = Duration::from_secs(60);

/// Those that nobody asks right now, with when they were last asked.
#[derive(Debug, Default)]
pub struct Askers(Mutex<BTreeMap<PathBuf, (Asker, Instant)>>);

impl Askers {
    /// What pushed refs name, as [`git::tips`] says it. To be called from a task: a git that is started here stays the child of the
    /// thread that runs it.
    pub async fn tips(&self, git_dir: PathBuf, refs: Vec<(String, String)>) -> Result<Vec<Tip>, GitError> {
        if !Asker::takes(refs.len()) {
            return smol::unblock(move || git::tips(&git_dir, &refs)).await;
        }
        let waiting = self.lock().remove(&git_dir).map(|(asker, _)| asker).filter(|asker| asker.is_of(&git_dir));
        let mut asker = match waiting {
            Some(asker) => asker,
            None => Asker::start(&git_dir)?,
        };
        let place = git_dir.clone();
        let (told, asker) = smol::unblock(move || match asker.tips(&refs) {
            Ok(tips) => (Ok(tips), Some(asker)),
            // It may have ended by itself; one that is started for this alone tells what is wrong.
            Err(_) => (git::tips(&git_dir, &refs), None),
        })
        .await;
        if let Some(asker) = asker {
            let surplus = self.keep(place, asker);
            // It is waited for.
            smol::unblock(move || drop(surplus)).detach();
        }
        told
    }

    /// Keeps one; the one that was not asked for longest, where that makes too many.
    fn keep(&self, place: PathBuf, asker: Asker) -> Option<(Asker, Instant)> {
        let mut waiting = self.lock();
        let replaced = waiting.insert(place, (asker, Instant::now()));
        if waiting.len() <= MOST {
            return replaced;
        }
        let oldest = waiting.iter().min_by_key(|(_, (_, asked))| *asked).map(|(place, _)| place.clone())?;
        waiting.remove(&oldest)
    }

    /// Ends those that were not asked for a while.
    pub fn expire(&self) {
        let waiting = std::mem::take(&mut *self.lock());
        // Ended after the lock is given back: each is waited for.
        let (stay, end): (BTreeMap<_, _>, BTreeMap<_, _>) =
            waiting.into_iter().partition(|(_, (_, asked))| asked.elapsed() < STAYS);
        self.lock().extend(stay);
        drop(end);
    }

    /// Whether a process is one of them.
    pub fn has(&self, pid: u32) -> bool {
        self.lock().values().any(|(asker, _)| asker.pid() == pid)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (Asker, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
