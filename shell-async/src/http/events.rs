//! A run's event stream: the stored file's whole lines, or live.

use std::io;

use quire_ci::store::RunRecord;
use quire_core::access::Action;
use quire_core::ids::RunId;
use quire_core::rows::RunState;
use quire_core::wire::{Decoded, decode};
use serde::Serialize;
use smol::future::FutureExt as _;

use super::answers::Answer;
use super::failure::Failure;
use super::find;
use super::respond::Call;
use super::sse::{self, Pulled, Source, Told};
use super::stored;
use super::tail::{Asking, Follow, Next, Tail};
use crate::server::Readers;

/// The last event of a live view.
#[derive(Debug, Serialize)]
struct End<'a> {
    state: &'a str,
}

/// `GET /api/v1/runs/{run}/events`.
pub(super) async fn events(call: &Call) -> Result<Answer, Failure> {
    let run = find::run(call, Action::ReadLog).await?;
    let files = call.site.app.data.run(&run.row.run_id)?;
    if !call.wants_event_stream() {
        let after = call.query.number("after")?.unwrap_or(0);
        return stored::answer(call, files.events(), "application/x-ndjson", stored::Extent::WholeLines, after).await;
    }
    let seat = call.site.event_viewers.take(call.site.limits.event_viewers);
    let seat = seat.ok_or_else(|| Failure::unavailable("as many watch events as the server allows: try again soon"))?;
    let follow = Follow::new(&call.site.app.watcher, files.path());
    let mut tail = Tail::new(files.events(), sse::resume_at(call)?, call.site.limits.line_bytes);
    stored::check_resumed(&mut tail).await?;
    let source = Events {
        tail,
        follow,
        readers: call.site.app.readers.clone(),
        ended: ended(&run),
        run_id: run.row.run_id,
        asking: Asking::new(),
    };
    Ok(sse::answer(call, source, seat))
}

/// The state of a run that is over.
pub(super) fn ended(run: &RunRecord) -> Option<RunState> {
    Some(run.row.state).filter(|state| state.is_over())
}

/// The failure of who wants logs that were removed.
pub(super) fn check_kept(run: &RunRecord) -> Result<(), Failure> {
    match run.logs_removed_at_ms {
        Some(_) => {
            Err(Failure::gone("the logs of this run were removed (`logs` in the configuration); its events are kept"))
        }
        None => Ok(()),
    }
}

struct Events {
    tail: Tail,
    follow: Follow,
    readers: Readers,
    run_id: RunId,
    /// The row says that it is over; what the file holds now is all.
    ended: Option<RunState>,
    asking: Asking,
}

impl Source for Events {
    async fn pull(&mut self, told: &mut Told) -> io::Result<Pulled> {
        loop {
            match self.tail.next().await? {
                Next::Lines { from, bytes } => {
                    let is_last = tell(from, &bytes, told);
                    if is_last {
                        self.asking.hint();
                    }
                    if !told.is_empty() {
                        return Ok(Pulled::Something);
                    }
                }
                Next::Missed { from, to } => {
                    told.missed(from, to);
                    return Ok(Pulled::Something);
                }
                Next::Nothing => {
                    if let Some(state) = self.ended {
                        told.json(self.tail.offset(), Some("end"), &End { state: state.as_str() });
                        return Ok(Pulled::All);
                    }
                    if !self.asking.is_due() || !self.has_ended().await {
                        return Ok(Pulled::Nothing);
                    }
                    // Read once more: what came before the row was ended is there by now.
                }
            }
        }
    }

    async fn wait(&mut self) {
        self.follow.changed().or(self.asking.due()).await;
    }
}

impl Events {
    async fn has_ended(&mut self) -> bool {
        let run_id = self.run_id.clone();
        self.ended = match self.readers.ask(move |store| store.run(&run_id)).await {
            Ok(Some(run)) => ended(&run),
            // Its row was removed, which happens to no run that goes on.
            Ok(None) => Some(RunState::Aborted),
            // The database does not answer now.
            Err(_) => None,
        };
        self.ended.is_some()
    }
}

/// Tells whole lines; gives whether one of them says that the run has finished. Lines that are no events are stepped over.
fn tell(from: u64, bytes: &[u8], told: &mut Told) -> bool {
    let (mut end, mut is_last) = (from, false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        end += line.len() as u64;
        let line = line.trim_ascii();
        let kind = match decode(line) {
            Ok(Decoded::Event(event)) => event.kind.name().to_owned(),
            Ok(Decoded::Unknown(kind)) if kind.bytes().all(|byte| byte.is_ascii_graphic()) => kind,
            Ok(Decoded::Unknown(_)) | Err(_) => continue,
        };
        is_last |= kind == "run_finished";
        match line.contains(&b'\r') {
            false => told.event(end, Some(&kind), line),
            // White space in JSON, the end of a line here.
            true => told.event(
                end,
                Some(&kind),
                &line.iter().map(|b| if *b == b'\r' { b' ' } else { *b }).collect::<Vec<_>>(),
            ),
        }
    }
    is_last
}
