//! Who writes rows: live while a run goes on, or from its stream after its producer died. Transactions fail, and say so or not.

use quire_core::ids::RunId;
use quire_core::pairing::Pairing;
use quire_core::rows::RowCommand;
use quire_core::wire::{Decoded, Event, FailureKind, Reader};

use super::fault::Fault;
use super::machine::{Killed, Machine};
use super::store::Store;

/// The rows of a run that goes on.
#[derive(Debug)]
pub struct RowWriter {
    run_id: RunId,
    pub(super) pairing: Pairing,
    /// Puts that are not known to be committed.
    waiting: Vec<RowCommand>,
    /// Events among them that no transaction was tried for.
    new_events: usize,
    /// How far in the stream `waiting` goes.
    end: u64,
    closed: Option<FailureKind>,
}

impl RowWriter {
    /// For a run that begins.
    pub fn new(run_id: RunId) -> RowWriter {
        let pairing = Pairing::new(run_id.clone());
        RowWriter { run_id, pairing, waiting: Vec::new(), new_events: 0, end: 0, closed: None }
    }

    /// An event is in the record; `end` is the offset of the byte after its line.
    pub fn send(&mut self, event: &Event, end: u64) {
        self.pairing.push(event, &mut self.waiting);
        self.end = end;
        self.new_events += 1;
    }

    /// The run ends without its end in the record.
    pub fn close(&mut self, kind: FailureKind) {
        if !self.pairing.is_finished() {
            self.pairing.close(kind, &mut self.waiting);
            self.closed = Some(kind);
            self.new_events += 1;
        }
    }

    /// A transaction over all that waits, once so many events have come.
    ///
    /// # Errors
    /// Where the shell is killed before or after it.
    pub fn write(&mut self, machine: &mut Machine, at_least: usize) -> Result<(), Killed> {
        if self.new_events < at_least || self.waiting.is_empty() || machine.busy_until_ms > machine.clock.ms() {
            return Ok(());
        }
        self.new_events = 0;
        if commit(machine, &self.run_id, &self.waiting, self.end, self.closed)? {
            self.waiting.clear();
        }
        Ok(())
    }
}

/// Whether the transaction is known to be committed.
fn commit(
    machine: &mut Machine,
    run_id: &RunId,
    puts: &[RowCommand],
    offset: u64,
    closed: Option<FailureKind>,
) -> Result<bool, Killed> {
    machine.point()?;
    if machine.plan.strike(|fault| matches!(fault, Fault::CommitFails).then_some(())).is_some() {
        return Ok(false);
    }
    machine.store.commit(run_id, puts, offset);
    if let (Some(_), Some(dir)) = (closed, machine.runs.get_mut(run_id)) {
        dir.closed = closed;
    }
    machine.point()?;
    Ok(machine.plan.strike(|fault| matches!(fault, Fault::CommitUnacknowledged).then_some(())).is_none())
}

/// What whoever opens the data directory next does about a run that nobody drives: its rows catch up with its stream, and where
/// that tells no end, it is closed.
///
/// # Errors
/// Where that shell is killed, too.
pub fn recover(machine: &mut Machine, run_id: &RunId, bytes_a_read: usize) -> Result<(), Killed> {
    // A database that stays away only delays it.
    for _ in 0..100 {
        machine.clock.pass_to(machine.busy_until_ms);
        if machine.store.has_ended(run_id) {
            return Ok(());
        }
        let known = machine.store.offset(run_id);
        let events = machine.runs.get(run_id).map(|dir| dir.events.clone()).unwrap_or_default();
        let read = read(run_id, &events, known, FailureKind::Orphaned, bytes_a_read);
        commit(machine, run_id, &read.puts, read.offset, read.closed)?;
    }
    Ok(())
}

/// What reading a stream from its start gives.
struct Read {
    puts: Vec<RowCommand>,
    /// Bytes of whole lines.
    offset: u64,
    closed: Option<FailureKind>,
}

/// Pairing sees the stream from its first byte, but only what lines after `known` touch is put. A torn last line does not count.
fn read(run_id: &RunId, stream: &[u8], known: u64, kind: FailureKind, bytes_a_read: usize) -> Read {
    let (mut reader, mut pairing) = (Reader::default(), Pairing::new(run_id.clone()));
    let mut read = Read { puts: Vec::new(), offset: 0, closed: None };
    let mut of_line = Vec::new();
    for piece in stream.chunks(bytes_a_read.max(1)) {
        reader.push(piece, |line| {
            read.offset = line.end;
            match line.decoded {
                Ok(Decoded::Event(event)) => pairing.push(&event, &mut of_line),
                Ok(Decoded::Unknown(_)) | Err(_) => super::violated(
                    "every_recorded_line_is_an_event",
                    &format!("line {} of the stream is read as {:?}", line.number, line.decoded),
                ),
            }
            if line.end > known {
                read.puts.append(&mut of_line);
            }
            of_line.clear();
        });
    }
    if !pairing.is_finished() {
        pairing.close(kind, &mut read.puts);
        read.closed = Some(kind);
    }
    read
}

/// The rows of a dead run, made anew from its stream, put twice.
pub fn rebuilt(run_id: &RunId, stream: &[u8], kind: FailureKind, bytes_a_read: usize) -> Store {
    let read = read(run_id, stream, 0, kind, bytes_a_read);
    let mut store = Store::default();
    store.commit(run_id, &read.puts, read.offset);
    store.commit(run_id, &read.puts, read.offset);
    store
}
