//! Reading a recorded stream into rows: what catching up and rebuilding have in common.
//!
//! Pairing has to see a stream from its first byte, so that is where reading begins; only rows that lines after the run's
//! `stream_offset` touch are put.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use quire_core::ids::RunId;
use quire_core::pairing::{Irregularities, Pairing};
use quire_core::rows::RowCommand;
use quire_core::wire::{Decoded, FailureKind, Line, Reader};

use super::data_dir::is_missing;
use super::error::RecordError;
use crate::store::{Batch, Bulk};

/// Bytes a read.
const CHUNK: usize = 256 * 1024;
/// Rows gathered before they are put, some 20 MB of them: the longer they gather, the more of them go in the order of
/// their keys, which is what SQLite likes best.
const ROWS: usize = 65_536;
/// Bad lines remembered of one stream.
const MAX_BAD_LINES: usize = 100;

/// A line that is no event: stepped over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The event file.
    pub path: PathBuf,
    /// 1-based.
    pub line: u64,
    /// Why.
    pub message: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} (stepped over)", self.path.display(), self.line, self.message)
    }
}

/// What reading a stream gave besides rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Bytes of whole lines.
    pub offset: u64,
    /// Whether the stream itself told the run's end.
    pub has_run_finished: bool,
    /// The first hundred bad lines.
    pub bad_lines: Vec<BadLine>,
    /// How many bad lines there are.
    pub bad_count: u64,
    /// What was irregular in the order of events.
    pub irregularities: Irregularities,
}

/// Reads the stream at `path` to its end and puts its rows; a file that is not there is an empty stream. `dead` says that
/// the run's producer is known to be dead: if the stream tells no end, the run is closed with this kind.
pub fn ingest(
    bulk: &mut Bulk<'_>,
    run_id: &RunId,
    path: &Path,
    dead: Option<FailureKind>,
) -> Result<Ingested, RecordError> {
    ingest_by(bulk, run_id, path, dead, CHUNK, ROWS)
}

fn ingest_by(
    bulk: &mut Bulk<'_>,
    run_id: &RunId,
    path: &Path,
    dead: Option<FailureKind>,
    chunk: usize,
    rows: usize,
) -> Result<Ingested, RecordError> {
    let mut reading = Reading::begin(bulk, run_id, path)?;
    let mut reader = Reader::default();
    let read = |source| RecordError::read(path, source);
    match File::open(path) {
        Ok(mut file) => {
            let mut buffer = vec![0; chunk];
            loop {
                let length = match file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => length,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(read(error)),
                };
                reader.push(buffer.get(..length).unwrap_or(&[]), |line| reading.take(line));
                if reading.batch.len() >= rows {
                    let ended = reading.batch.take_ended();
                    reading.put(bulk, &ended)?;
                }
            }
        }
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(read(error)),
    }
    reading.end(bulk, dead)
}

/// A stream half read.
struct Reading<'a> {
    run_id: &'a RunId,
    path: &'a Path,
    pairing: Pairing,
    commands: Vec<RowCommand>,
    batch: Batch,
    /// Rows of lines up to here are in the database.
    known: u64,
    /// No command has a row yet. Each is put once, so this holds to the end.
    is_new: bool,
    so_far: Ingested,
}

impl<'a> Reading<'a> {
    fn begin(bulk: &mut Bulk<'_>, run_id: &'a RunId, path: &'a Path) -> Result<Reading<'a>, RecordError> {
        let mut known = bulk.offset(run_id)?;
        let length = std::fs::metadata(path).map_or(0, |meta| meta.len());
        if known > length {
            // A power cut took the end of the stream but not the rows: the stream is what counts.
            bulk.forget_projection(run_id)?;
            known = 0;
        }
        Ok(Reading {
            run_id,
            path,
            pairing: Pairing::new(run_id.clone()),
            commands: Vec::new(),
            batch: Batch::default(),
            known,
            is_new: !bulk.has_commands(run_id)?,
            so_far: Ingested::default(),
        })
    }

    fn take(&mut self, line: Line) {
        self.so_far.offset = line.end;
        match line.decoded {
            Ok(Decoded::Event(event)) => {
                self.pairing.push(&event, &mut self.commands);
                if line.end > self.known {
                    self.batch.extend(self.commands.drain(..));
                } else {
                    self.commands.clear();
                }
            }
            Ok(Decoded::Unknown(_)) => {}
            Err(error) => {
                self.so_far.bad_count += 1;
                if self.so_far.bad_lines.len() < MAX_BAD_LINES {
                    let bad = BadLine { path: self.path.to_owned(), line: line.number, message: error.to_string() };
                    self.so_far.bad_lines.push(bad);
                }
            }
        }
    }

    fn put(&self, bulk: &mut Bulk<'_>, batch: &Batch) -> Result<(), RecordError> {
        if self.is_new {
            bulk.put_new_commands(batch)?
        } else {
            bulk.put(batch)?
        }
        Ok(())
    }

    fn end(mut self, bulk: &mut Bulk<'_>, dead: Option<FailureKind>) -> Result<Ingested, RecordError> {
        self.so_far.has_run_finished = self.pairing.is_finished();
        if let Some(kind) = dead.filter(|_| !self.so_far.has_run_finished) {
            self.pairing.close(kind, &mut self.commands);
            self.batch.extend(self.commands.drain(..));
        }
        let rest = std::mem::take(&mut self.batch);
        self.put(bulk, &rest)?;
        bulk.put_offset(self.run_id, self.so_far.offset)?;
        self.so_far.irregularities = self.pairing.irregularities().clone();
        Ok(self.so_far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Numbering, Store};

    #[test]
    fn rows_are_the_same_however_few_are_gathered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let run_id = RunId::new("r");
        let mut stream = String::new();
        for n in 0..30 {
            let job = if n % 3 == 0 { "a" } else { "b" };
            stream += &format!("{{\"at_ms\":{n},\"type\":\"sh_started\",\"job_id\":\"{job}\",\"cmd\":\"c{n}\"}}\n");
            if n % 4 != 1 {
                stream +=
                    &format!("{{\"at_ms\":{n},\"type\":\"sh_finished\",\"job_id\":\"{job}\",\"exit_code\":{n}}}\n");
            }
        }
        std::fs::write(&path, stream).unwrap();
        let mut store = Store::open(&dir.path().join("quire.db")).unwrap();
        let mut rows_by = |chunk, rows| {
            store.delete_run(&run_id).unwrap();
            let mut bulk = store.bulk(Numbering::AtOnce).unwrap();
            ingest_by(&mut bulk, &run_id, &path, None, chunk, rows).unwrap();
            bulk.commit().unwrap();
            (store.jobs(&run_id).unwrap(), store.commands(&run_id, None).unwrap())
        };
        let whole = rows_by(CHUNK, ROWS);
        assert_eq!(whole.1.len(), 30);
        assert_eq!(whole.1.iter().filter(|sh| sh.finished_at_ms.is_none()).count(), 8);
        for rows in 1..12 {
            for chunk in [1, 50, 170] {
                assert_eq!(rows_by(chunk, rows), whole, "{chunk} bytes a read, {rows} rows");
            }
        }
    }
}
