//! Retention: the last runs are kept, up to a number and a size; older ones go, directory and rows.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use quire_core::ids::RunId;

use super::data_dir::{DataDir, is_missing};
use super::error::RecordError;
use super::lock::{Claim, RunLock};
use crate::git::remove_tree;
use crate::store::{Chores, RunFilter, RunRecord, Store};

/// Begins the name of a run directory that is being removed.
pub(super) const GONE: &str = ".gone-";

/// What to keep: the newest runs until either bound is met. Runs that go on, and the newest, are kept always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Most runs.
    pub max_runs: usize,
    /// Most bytes of all run directories together.
    pub max_bytes: u64,
}

impl Default for Retention {
    /// The last 50 runs, or 1 GB.
    fn default() -> Retention {
        Retention { max_runs: 50, max_bytes: 1_000_000_000 }
    }
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The runs, newest first.
    pub runs: Vec<RunRecord>,
    /// Bytes on disk.
    pub bytes: u64,
    /// What could not be removed, for people.
    pub problems: Vec<String>,
}

impl DataDir {
    /// Removes what `keep` does not keep; with `dry_run` it only says what would go. `enough` is asked after each removal
    /// whether to stop for now.
    ///
    /// # Errors
    /// Also in a server's data directory, where [`DataDir::prune_logs`] does what is to be done.
    pub fn prune(
        &self,
        store: &mut Store,
        keep: &Retention,
        dry_run: bool,
        enough: &dyn Fn() -> bool,
    ) -> Result<Pruned, RecordError> {
        if self.is_servers() {
            return Err(RecordError::Servers { path: self.path().to_owned() });
        }
        let runs = store.runs(&RunFilter::default())?;
        let in_use: BTreeSet<RunId> =
            runs.iter().filter(|run| !has_ended(run)).filter_map(|run| run.row.resumed_from.clone()).collect();
        let mut pruned = Pruned::default();
        let (mut kept, mut kept_bytes) = (0, 0u64);
        for run in runs {
            let bytes = self.bytes_of(store, &run, dry_run)?;
            let fits = kept < keep.max_runs && kept_bytes.saturating_add(bytes) <= keep.max_bytes;
            if kept == 0 || fits || !has_ended(&run) || in_use.contains(&run.row.run_id) {
                kept += 1;
                kept_bytes = kept_bytes.saturating_add(bytes);
                continue;
            }
            // Once a bound is met, everything older goes too.
            kept = kept.max(keep.max_runs);
            if dry_run || self.remove(store, &run.row.run_id, &mut pruned.problems)? {
                pruned.bytes = pruned.bytes.saturating_add(bytes);
                pruned.runs.push(run);
                if !dry_run && enough() {
                    break;
                }
            }
        }
        Ok(pruned)
    }

    /// What a run's writer does besides: closes dead runs, removes old ones; at least one of these if there is one, more
    /// only while the run is not waiting. In a server's data directory it removes none.
    pub fn chores(&self, keep: Retention) -> Chores {
        let data = self.clone();
        Box::new(move |store, enough| {
            let mut notes = match data.recover(store) {
                Ok(recovered) => recovered.notes(),
                Err(error) => vec![error.to_string()],
            };
            if data.is_servers() {
                return notes;
            }
            match data.prune(store, &keep, false, enough) {
                Ok(pruned) => notes.extend(pruned.problems),
                Err(error) => notes.push(error.to_string()),
            }
            notes
        })
    }

    /// The size of a run's directory: noted when it is first asked for after the run's end.
    fn bytes_of(&self, store: &mut Store, run: &RunRecord, dry_run: bool) -> Result<u64, RecordError> {
        if let Some(bytes) = run.disk_bytes {
            return Ok(bytes);
        }
        let Ok(files) = self.run(&run.row.run_id) else { return Ok(0) };
        let bytes = disk_bytes(files.path());
        if has_ended(run) && !dry_run {
            store.note_disk_bytes(&run.row.run_id, bytes)?;
        }
        Ok(bytes)
    }

    /// Whether the run is gone now. The directory changes its name first: what is cut short after that is ended by the next
    /// [`DataDir::recover`].
    fn remove(&self, store: &mut Store, run_id: &RunId, problems: &mut Vec<String>) -> Result<bool, RecordError> {
        let files = self.run(run_id)?;
        let claim = RunLock::claim(&files.lock());
        if matches!(claim, Ok(Claim::Held(_))) {
            return Ok(false);
        }
        let gone = self.runs().join(format!("{GONE}{run_id}"));
        match fs::rename(files.path(), &gone) {
            Err(error) if !is_missing(&error) => {
                problems.push(RecordError::write(files.path(), error).to_string());
                return Ok(false);
            }
            _ => {}
        }
        store.delete_run(run_id)?;
        if let Err(error) = remove_tree(&gone) {
            problems.push(RecordError::write(&gone, error).to_string());
        }
        Ok(true)
    }
}

fn has_ended(run: &RunRecord) -> bool {
    run.row.state.is_over()
}

/// Bytes that a tree takes on disk. What cannot be read counts nothing.
pub fn disk_bytes(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    let own = meta.blocks().saturating_mul(512);
    if !meta.is_dir() {
        return own;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.fold(own, |sum, entry| sum.saturating_add(disk_bytes(&entry.path())))
}
