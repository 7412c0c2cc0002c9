//! A command's log: its stored bytes, one stream's exact bytes, or its lines live.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_io::Timer;
use quire_ci::store::RunRecord;
use quire_core::access::Action;
use quire_core::cri::{self, StreamBytes};
use quire_core::ids::{JobId, RunId, ShId};
use quire_core::rows::ShRow;
use quire_core::wire::Stream;
use serde::Serialize;
use smol::future::FutureExt as _;

use super::answers::Answer;
use super::failure::Failure;
use super::respond::Call;
use super::sse::{self, Pulled, Source, Told};
use super::stored::{self, Extent};
use super::tail::{Asking, Follow, Next, Tail};
use super::{events, find};
use crate::server::Readers;

/// How long a command may take to get its row after its event was told.
const ROW_FOLLOWS: Duration = Duration::from_millis(500);

/// A line of a log, or a part of one.
#[derive(Debug, Serialize)]
struct LogLine<'a> {
    time: &'a str,
    stream: &'a str,
    /// The line goes on in the stream's next one.
    partial: bool,
    text: Cow<'a, str>,
}

/// The last event of a live view.
#[derive(Debug, Default, Serialize)]
struct End {
    exit_code: Option<i32>,
    signal: Option<i32>,
    cause: Option<String>,
}

impl End {
    /// Of a command that has ended.
    fn of(row: ShRow) -> End {
        End { exit_code: row.exit_code, signal: row.signal, cause: row.cause }
    }
}

/// `GET /api/v1/runs/{run}/jobs/{job}/{n}/log`.
pub(super) async fn log(call: &Call) -> Result<Answer, Failure> {
    let run = find::run(call, Action::ReadLog).await?;
    events::check_kept(&run)?;
    let files = call.site.app.data.run(&run.row.run_id)?;
    let (sh, path, folder) = named(call, &run)?;
    let is_over = events::ended(&run).is_some();
    let run_id = run.row.run_id;
    let row = command(&call.site.app.readers, &run_id, &sh, is_over).await?.ok_or_else(|| unknown(call))?;
    let has_ended = is_over || row.finished_at_ms.is_some();
    let extent = if has_ended { Extent::All } else { Extent::WholeLines };
    if let Some(word) = call.query.get("stream") {
        let stream = stream(word)?;
        let no_eol = row.no_eol.as_deref().is_some_and(|named| named.split(',').any(|name| name == word));
        return stored::stream_answer(path, extent, StreamBytes::new(stream), has_ended.then_some(no_eol)).await;
    }
    if !call.wants_event_stream() {
        let after = call.query.number("after")?.unwrap_or(0);
        return stored::answer(call, path, "text/plain; charset=utf-8", extent, after).await;
    }
    let limits = &call.site.limits;
    let seat = call.site.log_viewers.take(limits.log_viewers);
    let seat = seat.ok_or_else(|| Failure::unavailable("as many watch logs as the server allows: try again soon"))?;
    let watcher = &call.site.app.watcher;
    let (of_job, of_run) = (Follow::new(watcher, &folder), Follow::new(watcher, files.path()));
    let mut tail = Tail::new(path, sse::resume_at(call)?, limits.line_bytes);
    stored::check_resumed(&mut tail).await?;
    let source = Log {
        tail,
        of_job,
        of_run,
        readers: call.site.app.readers.clone(),
        run_id,
        sh,
        ended: has_ended.then(|| End::of(row)),
        asking: Asking::new(),
        seen: None,
        behind_bytes: limits.behind_bytes,
        near_bytes: limits.near_bytes,
    };
    Ok(sse::answer(call, source, seat))
}

/// The command that the path names, its log's file and that one's folder; they need not be there.
pub(super) fn named(call: &Call, run: &RunRecord) -> Result<(ShId, PathBuf, PathBuf), Failure> {
    let files = call.site.app.data.run(&run.row.run_id)?;
    let n = call.named.part("n").parse().ok().filter(|n: &u32| *n > 0).ok_or_else(|| unknown(call))?;
    let sh = ShId { job: JobId::from_record(call.named.part("job")), n };
    let (Some(path), Some(folder)) = (files.log(&sh), files.job(&sh.job)) else { return Err(unknown(call)) };
    Ok((sh, path, folder))
}

/// The failure of who asks for a command that the run does not have.
pub(super) fn unknown(call: &Call) -> Failure {
    Failure::not_found(format!("the run has no command {}/{}", call.named.part("job"), call.named.part("n")))
}

fn stream(word: &str) -> Result<Stream, Failure> {
    match word {
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        other => Err(Failure::bad(format!("stream must be stdout or stderr, not {other:?}"))),
    }
}

/// The command's row. Who was just told that it started may ask before the row is there.
pub(super) async fn command(
    readers: &Readers,
    run_id: &RunId,
    sh: &ShId,
    is_over: bool,
) -> Result<Option<ShRow>, Failure> {
    let until = Instant::now() + ROW_FOLLOWS;
    loop {
        let (run_id, sh) = (run_id.clone(), sh.clone());
        let row = readers.ask(move |store| store.command(&run_id, &sh)).await?;
        if row.is_some() || is_over || Instant::now() >= until {
            return Ok(row);
        }
        Timer::after(Duration::from_millis(10)).await;
    }
}

struct Log {
    tail: Tail,
    of_job: Follow,
    /// Where the event that ends the command is written.
    of_run: Follow,
    readers: Readers,
    run_id: RunId,
    sh: ShId,
    /// The row says that it is over; what the file holds now is all.
    ended: Option<End>,
    asking: Asking,
    /// How long the log was when the viewer came.
    seen: Option<u64>,
    behind_bytes: u64,
    near_bytes: u64,
}

impl Source for Log {
    async fn pull(&mut self, told: &mut Told) -> io::Result<Pulled> {
        loop {
            if self.is_far_behind()
                && let Some((from, to)) = self.tail.skip_to_the_end(self.near_bytes).await?
            {
                told.missed(from, to);
                return Ok(Pulled::Something);
            }
            match self.tail.next().await? {
                Next::Lines { from, bytes } => {
                    tell(from, &bytes, told);
                    self.seen.get_or_insert(self.tail.len());
                    if !told.is_empty() {
                        return Ok(Pulled::Something);
                    }
                }
                Next::Missed { from, to } => {
                    told.missed(from, to);
                    return Ok(Pulled::Something);
                }
                Next::Nothing => {
                    self.seen.get_or_insert(self.tail.len());
                    if let Some(end) = &self.ended {
                        told.json(self.tail.offset(), Some("end"), end);
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
        let Log { of_job, of_run, asking, .. } = self;
        let event = async {
            of_run.changed().await;
            true
        };
        let other = async {
            of_job.changed().or(asking.due()).await;
            false
        };
        if event.or(other).await {
            self.asking.hint();
        }
    }
}

impl Log {
    /// Whether more has come since the viewer did, and is unread, than it will catch up with.
    fn is_far_behind(&self) -> bool {
        let read = self.tail.offset().max(self.seen.unwrap_or(u64::MAX));
        self.ended.is_none() && self.tail.len().saturating_sub(read) > self.behind_bytes
    }

    async fn has_ended(&mut self) -> bool {
        let (run_id, sh) = (self.run_id.clone(), self.sh.clone());
        self.ended = match self.readers.ask(move |store| store.command(&run_id, &sh)).await {
            Ok(Some(row)) => row.finished_at_ms.is_some().then(|| End::of(row)),
            // Its run was removed, which happens to none that goes on.
            Ok(None) => Some(End::default()),
            // The database does not answer now.
            Err(_) => None,
        };
        self.ended.is_some()
    }
}

/// Tells whole entries. What is none is stepped over.
fn tell(from: u64, bytes: &[u8], told: &mut Told) {
    let mut end = from;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        end += line.len() as u64;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let Ok(entry) = cri::parse(line) else { continue };
        let time = line.split(|byte| *byte == b' ').next().and_then(|time| std::str::from_utf8(time).ok());
        let line = LogLine {
            time: time.unwrap_or_default(),
            stream: entry.stream.as_str(),
            partial: !entry.full,
            text: String::from_utf8_lossy(entry.content),
        };
        told.json(end, None, &line);
    }
}
