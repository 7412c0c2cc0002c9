//! A command's log: any window of it, live while the command goes on, searched, and as it was printed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame as BodyFrame;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use quire_ci::store::RunRecord;
use quire_ci::ui::words;
use quire_core::access::Action;
use quire_core::cri;
use quire_core::ids::{RunId, ShId};
use quire_core::rows::{JobState, ShRow};
use quire_core::time::Wall;
use quire_core::wire::Stream;
use smol::stream;

use super::super::answers::{self, Answer};
use super::super::failure::Failure;
use super::super::respond::Call;
use super::super::tail::{Follow, Next, Tail};
use super::super::{events, find, logs};
use super::frame::{self, Crumb, Frame};
use super::live::{self, Version};
use super::rows::Times;
use super::told::{self, State, Took, When};
use super::window::{PAGE_ROWS, ROWS, Source, Wanted, Window};
use crate::server::App;

/// Longest line of the file that the download takes at once.
const LONGEST: usize = 1 << 20;

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    frame: Frame,
    path: String,
    run: (String, String),
    job: (String, String),
    cmd: String,
    state: State,
    took: Option<Took>,
    began: When,
    notes: Vec<&'static str>,
    window: Window,
    is_done: bool,
    starts_at_end: bool,
    earlier: Option<String>,
    later: Option<String>,
    times: Vec<(&'static str, String, bool)>,
    find: String,
    find_next: Option<String>,
    stdout: String,
    stderr: String,
    stored: String,
}

/// The command whose log is looked at.
struct Command {
    run: RunRecord,
    sh: ShId,
    row: ShRow,
    file: PathBuf,
    folder: PathBuf,
    path: String,
}

impl Command {
    /// The one that the path names.
    async fn find(call: &Call) -> Result<Command, Failure> {
        let run = find::run(call, Action::ReadLog).await?;
        events::check_kept(&run)?;
        let (sh, file, folder) = logs::named(call, &run)?;
        let is_over = events::ended(&run).is_some();
        let row = logs::command(&call.site.app.readers, &run.row.run_id, &sh, is_over).await?;
        let row = row.ok_or_else(|| logs::unknown(call))?;
        let path = told::log_path(&run.row.run_id, &sh.job, sh.n);
        Ok(Command { run, sh, row, file, folder, path })
    }

    fn is_done(&self) -> bool {
        events::ended(&self.run).is_some() || self.row.finished_at_ms.is_some()
    }

    fn source(&self, stays_inside: bool) -> Source {
        Source {
            path: self.file.clone(),
            begin: Wall::from_ms(self.row.started_at_ms),
            raw: format!("{}/raw", self.path),
            at_end: !self.is_done(),
            stays_inside,
        }
    }
}

/// `GET /runs/{run}/jobs/{job}/{n}`.
pub(in super::super) async fn log(call: &Call) -> Result<Answer, Failure> {
    let command = Command::find(call).await?;
    let run_id = command.run.row.run_id.clone();
    if run_id.as_str() != call.named.part("run") {
        return Ok(answers::elsewhere(&told::with_query(&command.path, &call.query)));
    }
    if call.wants_event_stream() {
        let followed = Follow::new(&call.site.app.watcher, &command.folder);
        let version = Watched {
            app: Arc::clone(&call.site.app),
            run_id,
            is_done: command.is_done(),
            file: command.file,
            sh: command.sh,
        };
        return Ok(live::answer(call, version, Some(followed), live::seat(call)?));
    }
    let wanted = Wanted::read(&call.query, PAGE_ROWS)?;
    let (times, find, names_place) = (wanted.times, wanted.find.clone(), call.query.get("from").is_some());
    // First the version, then the rows: what comes in between is fetched again.
    let is_done = command.is_done();
    let version = word(length(command.file.clone()).await, is_done);
    let window = wanted.window(&call.site, command.source(true)).await?;
    let row = &command.row;
    let name = words::run_name(&command.run.row);
    let job_path = told::job_path(&run_id, &command.sh.job);
    let mut crumbs = Vec::new();
    if let Some(repo) = &command.run.row.repo {
        crumbs.push(Crumb { href: told::repo_path(repo), text: repo.clone() });
    }
    crumbs.push(Crumb { href: told::run_path(&run_id), text: name.clone() });
    crumbs.push(Crumb { href: command.path.clone(), text: command.sh.to_string() });
    let ending = words::ending_or_replay(row);
    // Of a run that is over nothing goes on, whatever its rows say.
    let class = match row.state() {
        JobState::Active if is_done => JobState::Aborted.as_str(),
        state => state.as_str(),
    };
    let frame =
        Frame::new(call, format!("{ending} · {} · {name}", command.sh), crumbs).state(class).live(version, !is_done);
    let address = |pairs: &[(&str, String)]| {
        let query: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={}", told::part(value)))
            .collect();
        format!("{}?{}", command.path, query.join("&"))
    };
    let shown_times = if times == Times::None { String::new() } else { times.as_str().to_owned() };
    let place = |from: u64| address(&[("from", from.to_string()), ("times", shown_times.clone())]);
    let api = super::super::view::log_path(&run_id, &command.sh.job, command.sh.n);
    let is_marked =
        [(row.masked, "secrets are masked"), (row.detached, "a process that was left behind held its output")];
    let page = LogPage {
        run: (told::run_path(&run_id), name),
        job: (job_path, command.sh.job.to_string()),
        cmd: row.cmd.clone(),
        state: State { class, words: ending },
        took: Took::new(Some(row.started_at_ms), row.finished_at_ms, frame.now_ms),
        began: When::new(row.started_at_ms, frame.now_ms),
        notes: is_marked.into_iter().filter(|(is, _)| *is).map(|(_, note)| note).collect(),
        starts_at_end: !is_done && !names_place,
        earlier: (window.first > 1).then(|| place(window.first.saturating_sub(PAGE_ROWS).max(1))),
        later: (window.last < window.total).then(|| place(window.last + 1)),
        times: Times::ALL
            .iter()
            .map(|(choice, word)| {
                let from = window.first.max(1).to_string();
                (*word, address(&[("from", from), ("times", (*word).to_owned())]), *choice == times)
            })
            .collect(),
        find_next: find.as_ref().zip(window.matched).map(|(text, row)| {
            address(&[("find", text.clone()), ("from", (row + 1).to_string()), ("times", shown_times.clone())])
        }),
        find: find.unwrap_or_default(),
        stdout: format!("{api}?stream=stdout"),
        stderr: format!("{api}?stream=stderr"),
        stored: api,
        is_done,
        window,
        path: command.path,
        frame,
    };
    frame::answer(call, StatusCode::OK, &page)
}

/// `GET /runs/{run}/jobs/{job}/{n}/rows`: a window, for the script.
pub(in super::super) async fn rows(call: &Call) -> Result<Answer, Failure> {
    let command = Command::find(call).await?;
    let wanted = Wanted::read(&call.query, ROWS)?;
    let is_done = command.is_done();
    let window = wanted.window(&call.site, command.source(false)).await?;
    Ok(frame::fragment(call, window.fragment(is_done)))
}

/// `GET /runs/{run}/jobs/{job}/{n}/raw`: what was printed, both streams in the order of reading; `row`: one line of it.
pub(in super::super) async fn raw(call: &Call) -> Result<Answer, Failure> {
    let command = Command::find(call).await?;
    if let Some(row) = call.query.number("row")? {
        let (site, path) = (Arc::clone(&call.site), command.file.clone());
        let read = smol::unblock(move || site.pages.indexes.open(&path)?.whole_row(row)).await;
        let read = read.map_err(|error| Failure::internal(format!("the log cannot be read: {error}")))?;
        let line = read.ok_or_else(|| Failure::not_found(format!("the log has no line {row}")))?;
        return Ok(answers::typed(StatusCode::OK, "text/plain; charset=utf-8", line));
    }
    let printed = Printed { tail: Tail::new(command.file, 0, LONGEST), no_eol: command.row.no_eol.clone(), held: None };
    let frames = stream::unfold(Some(printed), |printed| async move {
        let mut printed = printed?;
        match printed.next().await {
            Ok(Some(bytes)) => Some((Ok(BodyFrame::data(Bytes::from(bytes))), Some(printed))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let number = command.run.row.number.map_or_else(|| "run".to_owned(), |number| format!("run-{number}"));
    let job = command.sh.job.as_str();
    if command.sh.job.is_valid() {
        let name = format!("attachment; filename=\"{number}-{job}-{}.log\"", command.sh.n);
        answers::set(&mut answer, CONTENT_DISPOSITION, &name);
    }
    Ok(answer)
}

/// What a command printed, both streams in the order of reading.
struct Printed {
    tail: Tail,
    /// Streams whose last line had no newline.
    no_eol: Option<String>,
    /// Whose newline is held back: the log's last is none where its stream ends without.
    held: Option<Stream>,
}

impl Printed {
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        match self.tail.next().await? {
            Next::Lines { bytes, .. } => {
                for line in bytes.split(|byte| *byte == b'\n') {
                    let Ok(entry) = cri::parse(line) else { continue };
                    if self.held.is_some() {
                        out.push(b'\n');
                    }
                    out.extend_from_slice(entry.content);
                    self.held = entry.full.then_some(entry.stream);
                }
            }
            Next::Missed { .. } => {}
            Next::Nothing => match self.held.take() {
                Some(stream) if !self.is_open(stream) => out.push(b'\n'),
                Some(_) | None => return Ok(None),
            },
        }
        Ok(Some(out))
    }

    fn is_open(&self, stream: Stream) -> bool {
        self.no_eol.as_deref().is_some_and(|named| named.split(',').any(|name| name == stream.as_str()))
    }
}

/// The versions of a log: how long it is, and whether that is all.
struct Watched {
    app: Arc<App>,
    run_id: RunId,
    sh: ShId,
    file: PathBuf,
    is_done: bool,
}

impl Version for Watched {
    async fn now(&mut self) -> Option<(String, bool)> {
        if !self.is_done {
            let (run_id, sh) = (self.run_id.clone(), self.sh.clone());
            // The row says that it is over after the log's last byte: then the length is the last.
            self.is_done = match self.app.readers.ask(move |store| store.command(&run_id, &sh)).await {
                Ok(row) => row.is_none_or(|row| row.finished_at_ms.is_some()),
                Err(_) => return None,
            };
        }
        Some((word(length(self.file.clone()).await, self.is_done), self.is_done))
    }
}

async fn length(file: PathBuf) -> u64 {
    smol::unblock(move || std::fs::metadata(file).map_or(0, |meta| meta.len())).await
}

fn word(length: u64, is_done: bool) -> String {
    format!("{length}{}", if is_done { "!" } else { "" })
}
