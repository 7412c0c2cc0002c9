//! Rows anew from the run directories.
//!
//! All in one transaction of the database in place: a crash leaves the old rows, readers see the old rows until the end,
//! and runs that go on meanwhile write theirs after it. What only the database knows (queue facts, numbers that no stream
//! tells, which runs were closed as what) is kept. Only a damaged database is set aside and made new.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quire_core::ids::RunId;
use quire_core::wire::FailureKind;

use super::data_dir::{DataDir, is_missing};
use super::error::RecordError;
use super::event_log::has_whole_line;
use super::ingest::{BadLine, ingest};
use super::lock::LockState;
use super::recover::left_notes;
use crate::process::{LeftBehind, end_left_behind};
use crate::store::{Bulk, Numbering, RunRecord, Store, StoreError};

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Runs read from their directory.
    pub runs: u64,
    /// Runs whose rows went because their directory is gone.
    pub removed: u64,
    /// Lines that were stepped over.
    pub bad_lines: Vec<BadLine>,
    /// Runs that could not be read, for people; they have no rows now.
    pub problems: Vec<String>,
    /// What dead runs, closed now, had left running.
    pub left: Vec<LeftBehind>,
    /// Where the damaged database was put, if it was damaged.
    pub set_aside: Option<PathBuf>,
}

impl Rebuilt {
    /// What was done about processes that dead runs had left, for people.
    pub fn notes(&self) -> Vec<String> {
        left_notes(&self.left)
    }
}

impl DataDir {
    /// Makes the rows of all runs anew, in the order of their ids. Numbers come from `run_started`, else from the old rows,
    /// else the next free ones. Runs that wait in the queue keep their rows.
    pub fn rebuild(&self) -> Result<Rebuilt, RecordError> {
        match self.rebuild_in_place() {
            Err(RecordError::Store(StoreError::Corrupt { path, .. })) => {
                let set_aside = set_aside(&path)?;
                let rebuilt = self.rebuild_in_place()?;
                Ok(Rebuilt { set_aside: Some(set_aside), ..rebuilt })
            }
            done => done,
        }
    }

    fn rebuild_in_place(&self) -> Result<Rebuilt, RecordError> {
        let mut store = self.open_store()?;
        let on_disk = self.run_ids()?;
        let known_ends = self.known_ends(&store, &on_disk)?;
        let mut rebuilt = Rebuilt { left: self.end_unended(&store, &on_disk)?, ..Rebuilt::default() };
        let mut bulk = store.bulk(Numbering::Later)?;
        let names: BTreeSet<&str> = on_disk.iter().map(RunId::as_str).collect();
        rebuilt.removed = bulk.remove_begun_unless(|id| names.contains(id))?;
        for (run_id, end) in on_disk.iter().zip(known_ends) {
            self.rebuild_run(&mut bulk, run_id, end, &mut rebuilt)?;
        }
        bulk.number_the_rest()?;
        bulk.commit()?;
        Ok(rebuilt)
    }

    /// Ends what those left running whose end no row tells and whose producer is dead.
    fn end_unended(&self, store: &Store, on_disk: &[RunId]) -> Result<Vec<LeftBehind>, RecordError> {
        let mut dead = BTreeSet::new();
        for run_id in on_disk {
            let ended = |run: RunRecord| run.row.state.is_over();
            if store.run(run_id)?.is_some_and(ended) {
                continue;
            }
            if matches!(LockState::of(&self.run(run_id)?.lock())?, LockState::Free) {
                dead.insert(run_id.clone());
            }
        }
        Ok(if dead.is_empty() { Vec::new() } else { end_left_behind(&dead) })
    }

    /// With which kind each run was closed, or is to be, if its stream tells no end.
    fn known_ends(&self, store: &Store, on_disk: &[RunId]) -> Result<Vec<FailureKind>, RecordError> {
        let mut ends = Vec::with_capacity(on_disk.len());
        for run_id in on_disk {
            let kind = store.run(run_id)?.and_then(|run| run.row.failure_kind);
            ends.push(match kind {
                Some(kind) => kind,
                None => self.run(run_id)?.end_without_stream(),
            });
        }
        Ok(ends)
    }

    fn rebuild_run(
        &self,
        bulk: &mut Bulk<'_>,
        run_id: &RunId,
        end: FailureKind,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), RecordError> {
        let files = self.run(run_id)?;
        // The queue alone knows of a run that never told anything: whether it waits, was cancelled, or could not begin.
        if bulk.is_queued_and_never_began(run_id)? && !has_whole_line(&files.events())? {
            return Ok(());
        }
        bulk.forget_projection(run_id)?;
        // Asked before the stream is read: who dies after this is closed by the next to open the directory.
        let is_dead = matches!(LockState::of(&files.lock())?, LockState::Free);
        match ingest(bulk, run_id, &files.events(), is_dead.then_some(end)) {
            Ok(ingested) => {
                rebuilt.runs += 1;
                self.find_removed_logs(bulk, run_id)?;
                rebuilt.bad_lines.extend(ingested.bad_lines);
            }
            Err(error @ RecordError::Read { .. }) => rebuilt.problems.push(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Gives the database and what belongs to it other names, so that nothing of it is lost.
fn set_aside(database: &Path) -> Result<PathBuf, RecordError> {
    let stamp = uuid::Uuid::now_v7().simple().to_string();
    let renamed = |suffix: &str, stamp: Option<&str>| {
        let mut name = database.as_os_str().to_owned();
        if let Some(stamp) = stamp {
            name.push(format!(".damaged-{stamp}"));
        }
        name.push(suffix);
        PathBuf::from(name)
    };
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(renamed(suffix, None), renamed(suffix, Some(&stamp))) {
            Err(error) if !is_missing(&error) => return Err(RecordError::write(database, error)),
            _ => {}
        }
    }
    Ok(renamed("", Some(&stamp)))
}
