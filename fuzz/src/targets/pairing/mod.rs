//! Target `pairing`: any sequence of events, made from the bytes, or the bytes themselves as a stream where they begin with `{`.
//!
//! Holds: the rows are those of a naive model, whether read at once or cut anywhere, closed or not; a crash anywhere and the whole
//! stream again give the same rows; a row is put after its parent and never again once it has ended; nothing ends before it
//! began; a run that has ended leaves nothing open.

mod events;
mod model;

use quire_core::pairing::{Irregularities, Pairing};
use quire_core::rows::{JobState, RowCommand, RunState};
use quire_core::wire::{Decoded, Event, FailureKind, Reader, encode};

use self::model::{Rows, model, run_id};
use super::input::{Input, cut};

/// Checks one stream.
pub fn run(data: &[u8]) {
    let stream = if data.starts_with(b"{") { data.to_vec() } else { written(&events::events(Input::new(data))) };
    let events = read(&[&stream]);
    let close = Some(FailureKind::ALL[stream.len() % FailureKind::ALL.len()]);
    for close in [None, close] {
        let puts = puts(&events, close);
        assert_eq!(puts_of_pieces(&cut(&stream), close), puts, "cut into pieces the stream gives other rows");
        check_order(&puts, events.is_empty());
        let rows = rows(&puts.0);
        assert_eq!(rows, model(&events, close), "the rows are not the model's");
        check_restart(&events, close, &rows);
        if rows.run.as_ref().is_some_and(|run| run.state != RunState::Active) {
            assert!(rows.jobs.values().all(|job| !is_open(job.state)), "a job is open though its run has ended");
            assert!(
                rows.shs.values().all(|sh| sh.finished_at_ms.is_some()),
                "a command is open though its run has ended"
            );
        }
    }
}

/// The events as a stream; each is read as it was written.
fn written(events: &[Event]) -> Vec<u8> {
    let mut stream = Vec::new();
    events.iter().for_each(|event| encode(event, &mut stream));
    assert_eq!(read(&[&stream]), events, "events are not read as they were written");
    stream
}

/// The events of a stream in pieces; lines that are none are stepped over.
fn read(pieces: &[&[u8]]) -> Vec<Event> {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for piece in pieces {
        reader.push(piece, |line| {
            if let Ok(Decoded::Event(event)) = line.decoded {
                events.push(event);
            }
        });
    }
    events
}

type Puts = (Vec<RowCommand>, Irregularities);

fn puts(events: &[Event], close: Option<FailureKind>) -> Puts {
    let (mut pairing, mut puts) = (Pairing::new(run_id()), Vec::new());
    events.iter().for_each(|event| pairing.push(event, &mut puts));
    if let Some(kind) = close {
        pairing.close(kind, &mut puts);
    }
    (puts, pairing.irregularities().clone())
}

/// The same as a shell does it: bytes come, lines are paired, and so on.
fn puts_of_pieces(pieces: &[&[u8]], close: Option<FailureKind>) -> Puts {
    let (mut reader, mut pairing, mut puts) = (Reader::default(), Pairing::new(run_id()), Vec::new());
    for piece in pieces {
        reader.push(piece, |line| {
            if let Ok(Decoded::Event(event)) = line.decoded {
                pairing.push(&event, &mut puts);
            }
        });
    }
    if let Some(kind) = close {
        pairing.close(kind, &mut puts);
    }
    (puts, pairing.irregularities().clone())
}

fn rows(puts: &[RowCommand]) -> Rows {
    let mut rows = Rows::default();
    rows.apply(puts);
    rows
}

/// A crash after some of the puts of some of the events, then the whole stream again.
fn check_restart(events: &[Event], close: Option<FailureKind>, expected: &Rows) {
    let before = puts(&events[..events.len() / 2], None).0;
    let all = puts(events, close).0;
    for crash in [before.len() / 2, before.len()] {
        let mut again = rows(&before[..crash]);
        again.apply(&all);
        assert_eq!(again, *expected, "after a crash the rows are others");
    }
}

fn is_open(state: JobState) -> bool {
    matches!(state, JobState::Pending | JobState::Active)
}

/// Parents before children, nothing again once it has ended, no end before its start.
fn check_order((puts, _): &Puts, empty: bool) {
    let mut rows = Rows::default();
    for put in puts {
        match put {
            RowCommand::PutRun(row) => {
                assert!(rows.run.as_ref().is_none_or(|old| old.state == RunState::Active), "a run ended twice");
                assert!(row.finished_at_ms.is_none() || row.started_at_ms <= row.finished_at_ms);
                assert_eq!(row.finished_at_ms.is_none() && !empty, row.state == RunState::Active);
            }
            RowCommand::PutJob(row) => {
                assert!(rows.run.is_some(), "a job before its run");
                assert!(rows.jobs.get(&row.job_id).is_none_or(|old| is_open(old.state)), "a job ended twice");
                assert!(row.finished_at_ms.is_none() || row.started_at_ms <= row.finished_at_ms);
                assert_eq!(row.finished_at_ms.is_none(), is_open(row.state));
            }
            RowCommand::PutSh(row) => {
                assert!(rows.jobs.contains_key(&row.job_id), "a command before its job");
                let old = rows.shs.get(&(row.job_id.clone(), row.n));
                assert!(old.is_none_or(|old| old.finished_at_ms.is_none()), "a command ended twice");
                assert!(row.finished_at_ms.is_none_or(|end| row.started_at_ms <= end));
                assert!(row.exit_code.is_none() || row.finished_at_ms.is_some());
            }
        }
        rows.apply([put]);
    }
}
