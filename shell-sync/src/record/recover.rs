//! Opening a data directory after things went wrong: rows catch up with their streams, runs whose producer died are closed.
//!
//! How unknown runs are found: the names in `runs/` are compared with the ids in the database. Retention keeps both lists
//! short for a workspace (a few microseconds); nothing has to be marked, and a lost database or a run directory
//! brought from elsewhere is found the same way. Runs that are known need a look only while they are active.

use std::fs;
use std::io::{self, BufRead as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use quire_core::ids::RunId;
use quire_core::wire::FailureKind;

use super::data_dir::{DATABASE, DataDir};
use super::error::RecordError;
use super::ingest::{BadLine, Ingested, ingest};
use super::lock::{Claim, RunLock};
use super::retention::GONE;
use super::run_dir::UNBORN;
use super::run_files::names;
use crate::git::remove_tree;
use crate::process::{LeftBehind, end_left_behind};
use crate::store::{self, Bulk, Numbering, Store};

/// A directory that never became a run's, and a database that was never made whole, are left alone for so long: their maker
/// may live.
const UNBORN_FOR: Duration = Duration::from_secs(3600);

/// What was done about a data directory's dead runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Runs whose rows caught up with a stream that tells their end.
    pub caught_up: Vec<RunId>,
    /// Runs that had died and are closed now.
    pub closed: Vec<RunId>,
    /// Runs that could not be recorded to their end, and are closed now.
    pub unrecorded: Vec<RunId>,
    /// What those had left running.
    pub left: Vec<LeftBehind>,
    /// Lines that were stepped over.
    pub bad_lines: Vec<BadLine>,
    /// Runs that could not be read, for people.
    pub problems: Vec<String>,
}

impl Recovered {
    /// What of it people should know.
    pub fn notes(&self) -> Vec<String> {
        let closed = self.closed.iter().map(|id| format!("run {id} had died without an end; it is closed as failed"));
        let bad_lines = self.bad_lines.iter().map(BadLine::to_string);
        let unrecorded = self.unrecorded.iter();
        let unrecorded =
            unrecorded.map(|id| format!("run {id} could not be recorded to its end; it is closed as failed"));
        closed
            .chain(unrecorded)
            .chain(left_notes(&self.left))
            .chain(bad_lines)
            .chain(self.problems.iter().cloned())
            .collect()
    }
}

/// What was done about processes of dead runs, a line a run, for people.
pub(super) fn left_notes(left: &[LeftBehind]) -> Vec<String> {
    let mut notes = Vec::new();
    for of_run in left.chunk_by(|a, b| a.run_id == b.run_id) {
        let names = |remains: bool| {
            let names = of_run.iter().filter(|process| process.remains == remains);
            names.map(|process| format!("{} ({})", process.name, process.pid)).collect::<Vec<_>>().join(", ")
        };
        let Some(first) = of_run.first() else { continue };
        for (remains, said) in [(false, "had left running, and was ended"), (true, "left running, and cannot be ended")]
        {
            let names = names(remains);
            if !names.is_empty() {
                notes.push(format!("run {} {said}: {names}", first.run_id));
            }
        }
    }
    notes
}

impl DataDir {
    /// Brings the rows of every run that nobody drives up to date, and closes those that have no end. Runs whose lock is
    /// held are left to who holds it. A run that cannot be read is reported and stands in nobody's way.
    pub fn recover(&self, store: &mut Store) -> Result<Recovered, RecordError> {
        let (on_disk, others) = self.list()?;
        self.finish_removals(store, &others)?;
        let mut due = store.active_runs()?;
        // One that waits as far as its row knows, but began: a server died before the row said so.
        let begun = |run_id: &RunId| self.run(run_id).is_ok_and(|files| holds_a_line(&files.events()));
        due.extend(store.pending_runs()?.into_iter().filter(begun));
        for run_id in on_disk {
            if !store.has_run(&run_id)? {
                due.push(run_id);
            }
        }
        let mut recovered = Recovered::default();
        let claimed = self.claim_all(due, &mut recovered);
        if claimed.is_empty() {
            return Ok(recovered);
        }
        // Before the rows say that it is over.
        recovered.left = end_left_behind(&claimed.iter().map(|(run_id, _)| run_id.clone()).collect());
        // Runs without directory need no stream read, and a transaction of their own.
        for (run_id, _) in claimed.iter().filter(|(run_id, _)| !self.has_directory(run_id)) {
            store.close_without_stream(run_id, FailureKind::Orphaned)?;
            recovered.closed.push(run_id.clone());
        }
        let mut bulk = store.bulk(Numbering::Later)?;
        for (run_id, _) in claimed.iter().filter(|(run_id, _)| self.has_directory(run_id)) {
            self.recover_run(&mut bulk, run_id, &mut recovered)?;
        }
        bulk.number_the_rest()?;
        bulk.commit()?;
        Ok(recovered)
    }

    fn has_directory(&self, run_id: &RunId) -> bool {
        self.run(run_id).is_ok_and(|files| files.path().is_dir())
    }

    /// The runs whose lock is free, each with the lock, held until their rows are committed.
    fn claim_all(&self, due: Vec<RunId>, recovered: &mut Recovered) -> Vec<(RunId, Claim)> {
        let mut claimed = Vec::new();
        for run_id in due {
            match self.run(&run_id).and_then(|files| RunLock::claim(&files.lock())) {
                Ok(Claim::Held(_)) => {}
                Ok(claim) => claimed.push((run_id, claim)),
                Err(error) => recovered.problems.push(error.to_string()),
            }
        }
        claimed
    }

    fn recover_run(&self, bulk: &mut Bulk<'_>, run_id: &RunId, recovered: &mut Recovered) -> Result<(), RecordError> {
        let files = self.run(run_id)?;
        let kind = files.end_without_stream();
        match ingest(bulk, run_id, &files.events(), Some(kind)) {
            Ok(Ingested { has_run_finished, bad_lines, .. }) => {
                recovered.bad_lines.extend(bad_lines);
                self.find_removed_logs(bulk, run_id)?;
                let list = match (has_run_finished, kind) {
                    (true, _) => &mut recovered.caught_up,
                    (false, FailureKind::Record) => &mut recovered.unrecorded,
                    (false, _) => &mut recovered.closed,
                };
                list.push(run_id.clone());
                Ok(())
            }
            Err(error @ RecordError::Read { .. }) => {
                recovered.problems.push(error.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Ends removals that were cut short, and sweeps out what was never made whole.
    fn finish_removals(&self, store: &mut Store, others: &[String]) -> Result<(), RecordError> {
        for name in others {
            let path = self.runs().join(name);
            if let Some(id) = name.strip_prefix(GONE) {
                store.delete_run(&RunId::new(id))?;
                let _ = remove_tree(&path);
            } else if name.starts_with(UNBORN) && is_left(&path) {
                let _ = remove_tree(&path);
            }
        }
        let unborn_database = format!("{DATABASE}{}", store::UNBORN);
        for name in names(self.path())?.iter().filter(|name| name.starts_with(&unborn_database)) {
            let path = self.path().join(name);
            if is_left(&path) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// Whether a stream tells of anything.
fn holds_a_line(events: &Path) -> bool {
    fs::File::open(events).is_ok_and(|file| {
        let mut first = Vec::new();
        io::BufReader::new(file).read_until(b'\n', &mut first).is_ok() && first.ends_with(b"\n")
    })
}

/// Whether something half made is so old that its maker must be dead.
fn is_left(path: &Path) -> bool {
    let made = fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    SystemTime::now().duration_since(made).is_ok_and(|age| age > UNBORN_FOR)
}
