//! A run's page: what failed first; then how it stands, its graph, its time line, and every job with its commands.

use askama::Template;
use hyper::StatusCode;
use quire_ci::store::{RunFilter, RunRecord, RunVersion, Store, StoreError};
use quire_core::access::Action;
use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, RunState, ShRow};

use super::super::answers::{self, Answer};
use super::super::failure::Failure;
use super::super::respond::Call;
use super::super::{events, find};
use super::failure::{self, Failed};
use super::frame::{self, Crumb, Frame};
use super::graph::Graph;
use super::job_part::{Item, JobPart, Shown, anchor, part};
use super::live::{self, Version};
use super::run_head::{Head, head};
use super::story::Story;
use super::timeline::Timeline;
use super::told;
use crate::server::App;

/// Commands of a job that a run's page lists, where the run has very many; those that did not end well are always there.
const LISTED: usize = 40;
/// A run with more commands has very many.
const MANY: usize = 1000;
/// Runs that tell how long another of their ref is likely to take.
const LIKE_IT: u32 = 5;
/// Commands in a job's page.
const PAGE: usize = 500;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    head: Head,
    failed: Vec<Failed>,
    /// What failed the run itself.
    error: Option<String>,
    notes: Vec<String>,
    graph: Option<Graph>,
    timeline: Option<Timeline>,
    jobs: Vec<JobPart>,
    /// Jobs that were not asked for: where links to them lead, and their names.
    unasked: Vec<(String, String)>,
    /// For who may read logs.
    events_path: Option<String>,
    is_cut: bool,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    head: Head,
    job: JobPart,
    earlier: Option<String>,
    later: Option<String>,
}

/// All that is read of a run.
pub(super) struct Read {
    pub(super) run: RunRecord,
    pub(super) jobs: Vec<JobRow>,
    pub(super) commands: Vec<ShRow>,
    pub(super) story: Story,
    pub(super) durations: Vec<i64>,
    pub(super) resumed: Option<RunRecord>,
    /// Whether who asks may read its logs.
    pub(super) may_read_log: bool,
}

/// `GET /runs/{run}`. A number, `last` or a prefix leads to the address that the run has for ever.
pub(in super::super) async fn run(call: &Call) -> Result<Answer, Failure> {
    let found = find::run(call, Action::ReadRun).await?;
    if found.row.run_id.as_str() != call.named.part("run") {
        return Ok(answers::elsewhere(&told::run_path(&found.row.run_id)));
    }
    if call.wants_event_stream() {
        return watched(call, &found);
    }
    let read = read(call, found).await?;
    let now_ms = quire_ci::clock::now().wall.ms();
    let failed = match read.may_read_log {
        true => failure::of(call, &read.run, &read.jobs, &read.commands).await,
        false => Vec::new(),
    };
    let head = head(call, &read, now_ms).await;
    let row = &read.run.row;
    let mut jobs = Vec::new();
    let mut unasked = Vec::new();
    let is_many = read.commands.len() > MANY;
    let mut commands = &read.commands[..];
    for job in &read.jobs {
        let count = commands.iter().take_while(|sh| sh.job_id == job.job_id).count();
        let (own, rest) = commands.split_at_checked(count).unwrap_or((commands, &[]));
        commands = rest;
        let is_unasked = job.skip_reason.as_deref() == Some("not_selected") && own.is_empty();
        match is_unasked {
            true => unasked.push((anchor(&job.job_id), job.job_id.to_string())),
            false => {
                let at_most = is_many.then_some(LISTED);
                let shown = Shown { commands: own, is_begin: true, is_end: true, at_most };
                jobs.push(part(&read, job, shown, now_ms));
            }
        }
    }
    let page = RunPage {
        frame: frame(call, &read, &head, now_ms),
        failed,
        error: row.error.clone(),
        notes: read.story.notes.clone(),
        graph: Graph::new(&read.story.graph, &read.jobs),
        timeline: Timeline::new(row.started_at_ms, row.finished_at_ms, &read.jobs, &read.commands, now_ms),
        jobs,
        unasked,
        events_path: read.may_read_log.then(|| format!("{}/events", super::super::view::run_path(row.run_id.as_str()))),
        is_cut: read.story.is_cut,
        head,
    };
    frame::answer(call, StatusCode::OK, &page)
}

/// `GET /runs/{run}/jobs/{job}`: one job with all its commands, a page of them at a time.
pub(in super::super) async fn job(call: &Call) -> Result<Answer, Failure> {
    let found = find::run(call, Action::ReadRun).await?;
    if found.row.run_id.as_str() != call.named.part("run") {
        let path = told::job_path(&found.row.run_id, &JobId::from_record(call.named.part("job")));
        return Ok(answers::elsewhere(&told::with_query(&path, &call.query)));
    }
    if call.wants_event_stream() {
        return watched(call, &found);
    }
    let wanted = JobId::from_record(call.named.part("job"));
    let wanted_from = usize::try_from(call.query.number("from")?.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
    let read = read(call, found).await?;
    let unknown = || Failure::not_found(format!("the run has no job {wanted}"));
    let row = read.jobs.iter().find(|job| job.job_id == wanted).ok_or_else(unknown)?;
    let own: Vec<ShRow> = read.commands.iter().filter(|sh| sh.job_id == wanted).cloned().collect();
    // Behind the last command there is nothing to see.
    let from = wanted_from.min(own.len().max(1));
    let is_end = from.saturating_add(PAGE) > own.len();
    let commands = own.get(from - 1..).unwrap_or_default();
    let commands = commands.get(..PAGE).unwrap_or(commands);
    let shown = Shown { commands, is_begin: from == 1, is_end, at_most: None };
    let now_ms = quire_ci::clock::now().wall.ms();
    let mut job = part(&read, row, shown, now_ms);
    let head = head(call, &read, now_ms).await;
    // Other jobs are in the page of the run.
    for (href, _) in &mut job.inputs {
        href.insert_str(0, &head.path);
    }
    let frame = frame(call, &read, &head, now_ms);
    let crumbs = frame.crumbs.iter().cloned().chain([Crumb { href: job.path.clone(), text: job.id.clone() }]).collect();
    let page = JobPage {
        frame: Frame { title: format!("{} · {} · {}", job.state.words, job.id, head.name), crumbs, ..frame },
        earlier: (from > 1).then(|| format!("{}?from={}", job.path, from.saturating_sub(PAGE).max(1))),
        later: (!is_end).then(|| format!("{}?from={}", job.path, from + PAGE)),
        head,
        job,
    };
    frame::answer(call, StatusCode::OK, &page)
}

async fn read(call: &Call, found: RunRecord) -> Result<Read, Failure> {
    let app = &call.site.app;
    let files = app.data.run(&found.row.run_id)?;
    let events = files.events();
    let may_read_log = call.may(Action::ReadLog, found.row.repo.as_deref()).is_ok();
    let read = app.readers.ask(move |store| {
        let run_id = &found.row.run_id;
        let run = store.run(run_id)?.unwrap_or_else(|| found.clone());
        let goes_on = !run.row.state.is_over();
        let durations = match (goes_on, &run.row.repo) {
            (true, Some(repo)) => durations(store, repo, run.row.ref_name.as_deref())?,
            (true, None) | (false, _) => Vec::new(),
        };
        let resumed = run.row.resumed_from.as_ref().map(|id| store.run(id)).transpose()?.flatten();
        let (jobs, commands) = (store.jobs(run_id)?, store.commands(run_id, None)?);
        // What a stream tells besides rows is left out where it cannot be read: the rows say what happened.
        let story = Story::read(&events).unwrap_or_default();
        Ok(Read { jobs, commands, story, durations, resumed, may_read_log, run })
    });
    let mut read = read.await?;
    if !may_read_log {
        // What scripts logged is a log.
        read.story = read.story.graph_only();
    }
    Ok(read)
}

/// How long the last complete runs of a ref took, newest first, in milliseconds.
fn durations(store: &Store, repo: &str, ref_name: Option<&str>) -> Result<Vec<i64>, StoreError> {
    let filter = RunFilter {
        repo: Some(repo.to_owned()),
        ref_name: ref_name.map(str::to_owned),
        state: Some(RunState::Complete),
        limit: Some(LIKE_IT),
        ..RunFilter::default()
    };
    let took = |run: RunRecord| Some(run.row.finished_at_ms?.saturating_sub(run.row.started_at_ms?));
    Ok(store.runs(&filter)?.into_iter().filter_map(took).collect())
}

fn frame(call: &Call, read: &Read, head: &Head, now_ms: i64) -> Frame {
    let row = &read.run.row;
    let mut crumbs = Vec::new();
    if let Some((name, href)) = &head.repo {
        crumbs.push(Crumb { href: href.clone(), text: name.clone() });
    }
    crumbs.push(Crumb { href: head.path.clone(), text: head.name.clone() });
    let repo = row.repo.as_deref().unwrap_or("quire");
    let is_over = events::ended(&read.run).is_some();
    let version = RunVersion {
        stream_offset: read.run.stream_offset,
        state: row.state,
        logs_removed: read.run.logs_removed_at_ms.is_some(),
    };
    let mut frame = Frame::new(call, format!("{} · {} · {repo}", row.state, head.name), crumbs)
        .state(row.state.as_str())
        .live(word(&version, head.waits.as_deref()), !is_over);
    frame.now_ms = now_ms;
    frame
}

/// The versions of a run that goes on.
struct Watched {
    app: std::sync::Arc<App>,
    run_id: RunId,
}

impl Version for Watched {
    async fn now(&mut self) -> Option<(String, bool)> {
        let run_id = self.run_id.clone();
        let version = self.app.readers.ask(move |store| store.run_version(&run_id)).await.ok()??;
        let is_over = version.state.is_over();
        let waiting = self.app.desk.waiting();
        let reason = waiting.reasons.get(&self.run_id).filter(|_| !is_over);
        Some((word(&version, reason.map(String::as_str)), is_over))
    }
}

/// A version in a word.
fn word(version: &RunVersion, waits: Option<&str>) -> String {
    let RunVersion { stream_offset, state, logs_removed } = version;
    let reason = waits.map_or(0, super::digest);
    format!("{stream_offset}-{state}-{}-{reason:x}", u8::from(*logs_removed))
}

fn watched(call: &Call, run: &RunRecord) -> Result<Answer, Failure> {
    let version = Watched { app: std::sync::Arc::clone(&call.site.app), run_id: run.row.run_id.clone() };
    Ok(live::answer(call, version, None, live::seat(call)?))
}
