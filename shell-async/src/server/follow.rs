//! From a run's stream to its rows: follows `events.jsonl` while its producer lives, and closes what a dead producer left open.
//!
//! One way for all executors, and the same as for a run of long ago: whoever writes the file, the rows come from what stands in
//! it. Pairing has to see a stream from its first byte, so a follower always begins there.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use quire_ci::record::RunFiles;
use quire_ci::store::{Batch, StoreError};
use quire_core::ids::RunId;
use quire_core::pairing::Pairing;
use quire_core::rows::{RowCommand, RunState};
use quire_core::wire::{Decoded, FailureKind, Reader};
use smol::Timer;
use smol::future;

use super::app::App;
use super::watcher::Watch;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// After a failure of the database it is left alone for so long.
const PAUSE: Duration = Duration::from_millis(250);

/// Follows one run.
pub struct Follower<'a> {
    app: &'a App,
    run_id: RunId,
    files: RunFiles,
    watch: Watch,
    file: Option<File>,
    reader: Reader,
    pairing: Pairing,
    batch: Batch,
    state: RunState,
    /// Bytes of whole lines that were read.
    offset: u64,
    buffer: Vec<u8>,
}

/// What came of looking at the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    More,
    Nothing,
}

impl<'a> Follower<'a> {
    /// Of the run whose files these are. Its directory exists.
    pub fn new(app: &'a App, run_id: RunId, files: RunFiles) -> Follower<'a> {
        Follower {
            app,
            watch: app.watcher.watch(files.path()),
            pairing: Pairing::new(run_id.clone()),
            run_id,
            files,
            file: None,
            reader: Reader::default(),
            batch: Batch::default(),
            state: RunState::Active,
            offset: 0,
            buffer: Vec::new(),
        }
    }

    /// Puts rows as the stream grows, until `gone` says that nobody will write to it any more; then to its last line.
    pub async fn until<T>(&mut self, gone: impl Future<Output = T>) -> T {
        let follow = async {
            loop {
                while self.look() == Look::More {
                    self.put().await;
                }
                self.watch.changed().await;
            }
        };
        let gone = future::or(gone, follow).await;
        while self.look() == Look::More {
            self.put().await;
        }
        gone
    }

    /// Whether the stream tells of anything yet.
    pub fn has_begun(&self) -> bool {
        self.offset > 0
    }

    /// How the run ended, once its rows say so; `None` where its stream tells no end.
    pub fn end(&self) -> Option<RunState> {
        self.pairing.is_finished().then_some(self.state)
    }

    /// The producer is dead: ends what its stream leaves open, with this kind where it tells no end itself. Returns how the run
    /// ended, once the rows say so.
    pub async fn close(&mut self, kind: FailureKind) -> RunState {
        let mut rows = Vec::new();
        self.pairing.close(kind, &mut rows);
        self.take(rows);
        self.put().await;
        self.state
    }

    /// Reads what is there now, at most one chunk.
    fn look(&mut self) -> Look {
        match self.read() {
            Ok(0) => Look::Nothing,
            Ok(_) => Look::More,
            Err(error) => {
                self.app.notice(&format!("{}: {error}", self.files.events().display()));
                Look::Nothing
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        if self.file.is_none() {
            match File::open(self.files.events()) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        self.buffer.resize(CHUNK, 0);
        let count = loop {
            match file.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        let mut rows = Vec::new();
        let (pairing, offset) = (&mut self.pairing, &mut self.offset);
        let mut bad = Vec::new();
        self.reader.push(self.buffer.get(..count).unwrap_or_default(), |line| {
            *offset = line.end;
            match line.decoded {
                Ok(Decoded::Event(event)) => pairing.push(&event, &mut rows),
                Ok(Decoded::Unknown(_)) => {}
                Err(error) => bad.push(format!("line {}: {error} (stepped over)", line.number)),
            }
        });
        // Many runs wait at a time: none keeps room that it does not need.
        self.buffer = Vec::new();
        for told in bad {
            self.app.notice(&format!("{}: {told}", self.files.events().display()));
        }
        self.take(rows);
        Ok(count)
    }

    fn take(&mut self, rows: Vec<RowCommand>) {
        for row in rows {
            if let RowCommand::PutRun(run) = &row {
                self.state = run.state;
            }
            self.batch.push(row);
        }
    }

    /// Waits until what was taken is committed. A database that does not take it is asked again: the run goes on meanwhile, and
    /// its stream holds everything.
    async fn put(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = Arc::new(std::mem::take(&mut self.batch));
        loop {
            let (run_id, offset, rows) = (self.run_id.clone(), self.offset, Arc::clone(&batch));
            match self.app.write(move |writing| writing.apply_batch(&run_id, &rows, offset)).await {
                Ok(()) => return self.app.watcher.poke(self.files.path()),
                // The stream holds it all.
                Err(StoreError::Stopped { .. }) => return,
                Err(error) => self.app.behind(&error),
            }
            Timer::after(PAUSE).await;
        }
    }
}
