//! Retention on a server: the logs, workspaces and artifacts of ended runs go after a time, or oldest first above a size; their
//! rows, event streams and locks stay for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use quire_core::config::Logs;
use quire_core::ids::RunId;

use super::data_dir::{DataDir, is_missing};
use super::error::RecordError;
use super::lock::{Claim, LockState, RunLock};
use super::retention::disk_bytes;
use super::run_files::RunFiles;
use crate::git::remove_tree;
use crate::store::{Bulk, Store, WithLogs};

/// Runs asked for at a time.
const PAGE: u32 = 500;
/// What goes of a run's directory.
const FOLDERS: [&str; 3] = ["jobs", "workspace", "artifacts"];
const FILES: [&str; 1] = ["quire-ci.log"];

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedLogs {
    /// The runs, oldest end first.
    pub runs: Vec<RunId>,
    /// The runs of which only the workspace went.
    pub workspaces: Vec<RunId>,
    /// Bytes on disk.
    pub bytes: u64,
    /// What could not be removed, for people.
    pub problems: Vec<String>,
}

/// One pass over a data directory.
struct Pruning<'a> {
    data: &'a DataDir,
    store: &'a mut Store,
    now_ms: i64,
    dry_run: bool,
    enough: &'a dyn Fn() -> bool,
    /// Runs that others take up again, and those that went already.
    spared: BTreeSet<RunId>,
    /// Counted just now, where that was not noted.
    counted: BTreeMap<RunId, u64>,
    total_bytes: u64,
    pruned: PrunedLogs,
}

impl DataDir {
    /// Removes the logs, workspaces and artifacts of runs that ended more than `keep.keep` ago; then, while what ended runs
    /// with logs take is more than `keep.max_bytes`, kept workspaces and then logs, oldest first. A run whose lock is held, or
    /// that a run which is not over takes up again, is left alone. With `dry_run` it only says what would go. `enough` is
    /// asked after each removal whether to stop for now.
    ///
    /// `store` is a connection of the caller's own: each removal is a small transaction, which other writers wait for.
    pub fn prune_logs(
        &self,
        store: &mut Store,
        keep: &Logs,
        now_ms: i64,
        dry_run: bool,
        enough: &dyn Fn() -> bool,
    ) -> Result<PrunedLogs, RecordError> {
        let spared = store.needed_by_open_runs()?;
        let counted = self.count(store, dry_run)?;
        let total_bytes = store.bytes_with_logs()?.saturating_add(counted.values().sum());
        let mut pruning = Pruning {
            data: self,
            store,
            now_ms,
            dry_run,
            enough,
            spared,
            counted,
            total_bytes,
            pruned: PrunedLogs::default(),
        };
        let before_ms = now_ms.saturating_sub(i64::try_from(keep.keep.as_millis()).unwrap_or(i64::MAX));
        pruning.logs(|run, _| run.finished_at_ms < before_ms)?;
        pruning.workspaces(keep.max_bytes)?;
        pruning.logs(|_, total_bytes| total_bytes > keep.max_bytes)?;
        Ok(pruning.pruned)
    }

    /// Removes kept workspaces, oldest first, until `enough` says that there is room; returns the runs that lost theirs.
    pub fn remove_workspaces(&self, store: &mut Store, enough: &dyn Fn() -> bool) -> Result<Vec<RunId>, RecordError> {
        let needed = store.needed_by_open_runs()?;
        let mut removed = Vec::new();
        for run in store.kept_workspaces()? {
            if enough() {
                break;
            }
            let run_id = run.row.run_id;
            if !needed.contains(&run_id) && self.remove_workspace(store, &run_id)? {
                removed.push(run_id);
            }
        }
        Ok(removed)
    }

    /// Removes the workspace of an ended run and counts anew what its directory takes. False if its lock is held.
    pub fn remove_workspace(&self, store: &mut Store, run_id: &RunId) -> Result<bool, RecordError> {
        let files = self.run(run_id)?;
        let claim = RunLock::claim(&files.lock())?;
        if matches!(claim, Claim::Held(_)) {
            return Ok(false);
        }
        let workspace = files.path().join("workspace");
        remove_tree(&workspace).map_err(|source| RecordError::write(&workspace, source))?;
        let left = disk_bytes(files.path());
        store.write(|writing| {
            writing.note_workspace(run_id, false)?;
            writing.note_disk_bytes(run_id, left)
        })?;
        Ok(true)
    }

    /// Counts the directories of ended runs that were not counted yet. What is counted only in a dry run is returned.
    fn count(&self, store: &mut Store, dry_run: bool) -> Result<BTreeMap<RunId, u64>, RecordError> {
        let mut counted = BTreeMap::new();
        for run_id in store.uncounted()? {
            let Ok(files) = self.run(&run_id) else { continue };
            // Its rows have ended, but not yet who drove it: it is counted next time.
            if matches!(LockState::of(&files.lock())?, LockState::Held(_)) {
                continue;
            }
            let bytes = disk_bytes(files.path());
            if dry_run {
                counted.insert(run_id, bytes);
            } else {
                store.note_disk_bytes(&run_id, bytes)?;
            }
        }
        Ok(counted)
    }
}

impl Pruning<'_> {
    /// Removes logs, oldest end first, as long as `due` says of a run and of all that there is that it has to go.
    fn logs(&mut self, due: impl Fn(&WithLogs, u64) -> bool) -> Result<(), RecordError> {
        let mut after: Option<WithLogs> = None;
        loop {
            let page = self.store.with_logs(after.as_ref(), PAGE)?;
            for run in &page {
                if !due(run, self.total_bytes) {
                    return Ok(());
                }
                if self.spared.contains(&run.run_id) {
                    continue;
                }
                let bytes = run.disk_bytes.or_else(|| self.counted.get(&run.run_id).copied()).unwrap_or(0);
                if self.remove(&run.run_id)? {
                    self.gone(&run.run_id, bytes);
                    self.pruned.runs.push(run.run_id.clone());
                    if (self.enough)() {
                        return Ok(());
                    }
                }
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Removes kept workspaces, oldest first, while there is more than `max_bytes`.
    fn workspaces(&mut self, max_bytes: u64) -> Result<(), RecordError> {
        if self.total_bytes <= max_bytes {
            return Ok(());
        }
        for run in self.store.kept_workspaces()? {
            if self.total_bytes <= max_bytes || (self.enough)() {
                break;
            }
            let run_id = run.row.run_id;
            let Ok(files) = self.data.run(&run_id) else { continue };
            if self.spared.contains(&run_id) {
                continue;
            }
            let bytes = disk_bytes(&files.path().join("workspace"));
            let removed = match self.dry_run {
                true => Ok(!matches!(LockState::of(&files.lock())?, LockState::Held(_))),
                false => self.data.remove_workspace(self.store, &run_id),
            };
            match removed {
                Ok(true) => {
                    self.note(bytes);
                    self.pruned.workspaces.push(run_id);
                }
                Ok(false) => {}
                Err(error @ RecordError::Store(_)) => return Err(error),
                Err(error) => self.pruned.problems.push(error.to_string()),
            }
        }
        Ok(())
    }

    fn gone(&mut self, run_id: &RunId, bytes: u64) {
        self.spared.insert(run_id.clone());
        self.note(bytes);
    }

    fn note(&mut self, bytes: u64) {
        self.total_bytes = self.total_bytes.saturating_sub(bytes);
        self.pruned.bytes = self.pruned.bytes.saturating_add(bytes);
    }

    /// Whether the run's logs are gone now, or would be. The row says so only when they are: a removal that was cut short is
    /// begun again.
    fn remove(&mut self, run_id: &RunId) -> Result<bool, RecordError> {
        let Ok(files) = self.data.run(run_id) else { return Ok(false) };
        let claim = match RunLock::claim(&files.lock()) {
            Ok(Claim::Held(_)) => return Ok(false),
            Ok(claim) => claim,
            Err(error) => {
                self.pruned.problems.push(error.to_string());
                return Ok(false);
            }
        };
        if self.dry_run {
            return Ok(true);
        }
        if let Err(error) = remove_all_but_the_stream(&files) {
            self.pruned.problems.push(error.to_string());
            return Ok(false);
        }
        let left = disk_bytes(files.path());
        let now_ms = self.now_ms;
        self.store.write(|writing| writing.note_logs_removed(run_id, now_ms, left))?;
        drop(claim);
        Ok(true)
    }
}

fn remove_all_but_the_stream(files: &RunFiles) -> Result<(), RecordError> {
    for name in FOLDERS {
        let path = files.path().join(name);
        remove_tree(&path).map_err(|source| RecordError::write(&path, source))?;
    }
    for name in FILES {
        let path = files.path().join(name);
        match fs::remove_file(&path) {
            Err(source) if !is_missing(&source) => return Err(RecordError::write(&path, source)),
            _ => {}
        }
    }
    Ok(())
}

impl DataDir {
    /// Notes of a run whose rows were made anew that its logs were removed, where its directory tells it: it had commands and
    /// has no logs. When, is when the directory last changed.
    pub(super) fn find_removed_logs(&self, bulk: &mut Bulk<'_>, run_id: &RunId) -> Result<(), RecordError> {
        let files = self.run(run_id)?;
        if !self.is_servers() || fs::symlink_metadata(files.path().join("jobs")).is_ok() {
            return Ok(());
        }
        let changed = fs::metadata(files.path()).and_then(|meta| meta.modified()).ok();
        let at_ms = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        bulk.note_logs_removed(run_id, at_ms.and_then(|at| i64::try_from(at.as_millis()).ok()).unwrap_or(0))?;
        Ok(())
    }
}
