//! The record of a run that goes on: the event file first, then whoever else reads the stream, then the rows.

use std::fs::File;
use std::io::{self, Read as _, Write};

use quire_core::capture::Captured;
use quire_core::ids::ShId;
use quire_core::replay::Recall;
use quire_core::wire::{Event, FailureKind, encode};

use super::{Claim, EventLog, RunDir, RunFiles};
use crate::process::{Recalled, Record};
use crate::store::{Finished, RowWriter};

/// A run directory that is written, and what follows it.
pub struct LiveRecord {
    dir: RunDir,
    log: EventLog,
    /// `--events`: another place for the stream, until it cannot be written.
    copy: Option<Box<dyn Write + Send>>,
    rows: Option<RowWriter>,
    buffer: Vec<u8>,
    ends: Vec<usize>,
    copy_failure: Option<String>,
    /// The run that this one resumes.
    earlier: Option<RunFiles>,
    _claim: Option<Claim>,
    /// What is read of its logs at a time.
    piece: Vec<u8>,
}

impl LiveRecord {
    /// Writes to `dir` and its event file `log`, then to `copy`, then tells `rows`.
    pub fn new(dir: RunDir, log: EventLog, copy: Option<Box<dyn Write + Send>>, rows: Option<RowWriter>) -> LiveRecord {
        LiveRecord {
            dir,
            log,
            copy,
            rows,
            buffer: Vec::new(),
            ends: Vec::new(),
            copy_failure: None,
            earlier: None,
            _claim: None,
            piece: Vec::new(),
        }
    }

    /// Takes logs over from this run where the engine orders it; holds its lock, so that nobody removes it meanwhile.
    pub fn resume(&mut self, earlier: RunFiles, claim: Option<Claim>) {
        self.earlier = Some(earlier);
        self._claim = claim;
        self.piece = vec![0; 64 * 1024];
    }

    /// Why the copy of the stream ended early, for people.
    pub fn copy_failure(&self) -> Option<&str> {
        self.copy_failure.as_deref()
    }

    /// The run is over: waits for its rows, which tell a `failed` record too, and until its events are on the disk. The
    /// directory's lock is held until this is dropped.
    pub fn finish(&mut self, failed: bool) -> Finished {
        if failed {
            // Where even that cannot be written, the run is closed as one that died.
            let _ = self.dir.note_end(FailureKind::Record);
        }
        if let Some(rows) = &self.rows {
            if failed {
                rows.close(FailureKind::Record);
            }
            rows.hurry();
        }
        // Beside the rows: what a person or a server is told of an end is to be true after a power cut as well.
        let synced = self.log.sync();
        let mut finished = self.rows.take().map(RowWriter::finish).unwrap_or_default();
        if let Err(error) = synced {
            let events = self.log.path().display();
            finished
                .notes
                .push(format!("the run's record may not outlast a power cut: {events} cannot be synced ({error})"));
        }
        finished
    }
}

impl Record for LiveRecord {
    fn append(&mut self, events: &[Event]) -> io::Result<()> {
        self.buffer.clear();
        self.ends.clear();
        for event in events {
            encode(event, &mut self.buffer);
            self.ends.push(self.buffer.len());
        }
        let begin = self.log.len();
        self.log.append(&self.buffer).map_err(io::Error::other)?;
        if let Some(copy) = &mut self.copy
            && let Err(error) = copy.write_all(&self.buffer).and_then(|()| copy.flush())
        {
            // The record is whole; who reads the copy has gone, or its disk is full.
            self.copy_failure = Some(error.to_string());
            self.copy = None;
        }
        if let Some(rows) = &self.rows {
            for (event, end) in events.iter().zip(&self.ends) {
                rows.send(event.clone(), begin + *end as u64);
            }
        }
        Ok(())
    }

    fn open_log(&mut self, sh: &ShId) -> io::Result<File> {
        self.dir.open_log(sh).map_err(io::Error::other)
    }

    fn recall(&mut self, recalled: Recalled<'_>) -> Result<Captured, String> {
        let log = self.earlier.as_ref().and_then(|earlier| earlier.log(recalled.from));
        let log = log.ok_or_else(|| "no run is resumed".to_owned())?;
        self.dir.take_over(&log, recalled.sh).map_err(|error| error.to_string())?;
        let Some(tap) = recalled.tap else { return Ok(Captured::default()) };
        let mut recall = Recall::new(tap, recalled.no_eol.to_vec());
        let told = |error: io::Error| format!("{}: {error}", log.display());
        let mut file = File::open(&log).map_err(told)?;
        loop {
            match file.read(&mut self.piece) {
                Ok(0) => return recall.finish(),
                Ok(count) => recall.push(self.piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(told(error)),
            }
        }
    }
}
