//! The home page: what goes on now and why the rest waits; every repository, and how its main refs stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use hyper::StatusCode;
use quire_ci::store::{QueuedRun, RepoOverview, RunLine};
use quire_core::access::Action;
use quire_core::rows::RunState;

use super::super::access;
use super::super::answers::Answer;
use super::super::failure::Failure;
use super::super::repos;
use super::super::respond::Call;
use super::frame::{self, Frame};
use super::lists::{self, Scope};
use super::told::{self, State, Took, When};

/// Runs that go on or wait, as far as they are listed one by one.
const LISTED: usize = 30;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    halted: Option<String>,
    going: Vec<Going>,
    going_left_out: usize,
    repos: Vec<Line>,
    wanted: String,
    show: String,
    is_filtered: bool,
    is_signed_in: bool,
    all: usize,
    broken: usize,
}

/// A run that is not over.
pub(super) struct Going {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) repo: (String, String),
    pub(super) ref_name: Option<String>,
    pub(super) sha: Option<(String, String)>,
    pub(super) took: Option<Took>,
    pub(super) waits: Option<String>,
}

struct Line {
    name: String,
    href: String,
    main: Option<RefState>,
    others: Vec<OtherRef>,
    waiting: u64,
    running: u64,
}

struct RefState {
    name: String,
    href: String,
    state: State,
    run: String,
    run_href: String,
    when: Option<When>,
}

/// What is told of a ref that is not the default branch.
struct OtherRef {
    name: String,
    state: State,
    run_href: String,
}

/// `GET /`.
pub(in super::super) async fn home(call: &Call) -> Result<Answer, Failure> {
    let mut known = repos::listed(call).await?;
    let scope = Scope::visible(call, &known);
    if call.wants_event_stream() {
        return lists::watched(call, scope);
    }
    let app = &call.site.app;
    // First the version, then what is shown: what changes in between is fetched again.
    let version = lists::version(&call.site, &scope).await?;
    let wanted = call.query.get("q").unwrap_or_default().to_owned();
    let show = call.query.get("show").unwrap_or_default().to_owned();
    if !matches!(show.as_str(), "" | "broken" | "busy") {
        return Err(Failure::bad("show must be broken or busy"));
    }
    let all = known.len();
    known.retain(|(name, _)| name.contains(&wanted));
    let site = Arc::clone(&call.site);
    let read = app.readers.ask(move |store| Ok((site.pages.overviews.of(store, &known)?, store.open_runs()?))).await?;
    let (overviews, open) = read;
    let frame = Frame::new(call, "repositories", Vec::new()).live(version, true);
    let now_ms = frame.now_ms;
    let waiting = app.desk.waiting();
    let mut lines: Vec<Line> = overviews.iter().map(|of| line(&of.overview, now_ms, &waiting.repos)).collect();
    let broken = lines.iter().filter(|line| line.is_broken()).count();
    match show.as_str() {
        "broken" => lines.retain(Line::is_broken),
        "busy" => lines.retain(|line| line.waiting + line.running > 0),
        _ => {}
    }
    let (going, going_left_out) = going(call, open, None, now_ms);
    let page = HomePage {
        halted: waiting.halted.clone(),
        going,
        going_left_out,
        repos: lines,
        is_signed_in: access::name(&call.identity).is_some(),
        is_filtered: !wanted.is_empty() || !show.is_empty(),
        wanted,
        show,
        all,
        broken,
        frame,
    };
    frame::answer(call, StatusCode::OK, &page)
}

/// The runs that are not over, those that go on first, as far as who asks may see them; how many more there are.
pub(super) fn going(call: &Call, open: Vec<QueuedRun>, repo: Option<&str>, now_ms: i64) -> (Vec<Going>, usize) {
    let waiting = call.site.app.desk.waiting();
    let mut visible = BTreeMap::new();
    let mut seen: Vec<QueuedRun> = open
        .into_iter()
        .filter(|run| repo.is_none_or(|repo| repo == run.repo))
        .filter(|run| {
            *visible.entry(run.repo.clone()).or_insert_with(|| call.may(Action::ReadRun, Some(&run.repo)).is_ok())
        })
        .collect();
    seen.sort_by_key(|run| run.state != RunState::Active);
    let left_out = seen.len().saturating_sub(LISTED);
    let listed = seen.into_iter().take(LISTED).map(|run| Going {
        href: told::run_path(&run.run_id),
        name: format!("run {}", run.number),
        state: State::run(run.state),
        repo: (told::repo_path(&run.repo), run.repo),
        ref_name: run.ref_name.as_deref().map(told::short_ref),
        sha: Some(run.sha).filter(|sha| !sha.is_empty()).map(|sha| (told::commit_path(&sha), told::short_sha(&sha))),
        took: Took::new(run.started_at_ms.or(run.queued_at_ms), None, now_ms),
        waits: waiting.reasons.get(&run.run_id).filter(|_| run.state == RunState::Pending).cloned(),
    });
    (listed.collect(), left_out)
}

fn line(overview: &RepoOverview, now_ms: i64, counts: &BTreeMap<String, (u64, u64)>) -> Line {
    let RepoOverview { repo, default_run: main, others, open } = overview;
    // Local runs are in no server's queue: their rows tell.
    let (waiting, running) = counts.get(repo).copied().unwrap_or_else(|| {
        let going = open.iter().filter(|run| run.state == RunState::Active).count() as u64;
        (open.len() as u64 - going, going)
    });
    Line {
        href: told::repo_path(repo),
        others: others
            .iter()
            .map(|run| OtherRef {
                name: run.ref_name.as_deref().map_or_else(|| "no ref".to_owned(), told::short_ref),
                state: State::run(run.state),
                run_href: told::run_path(&run.run_id),
            })
            .collect(),
        main: main.as_ref().map(|run| ref_state(repo, run, now_ms)),
        name: repo.clone(),
        waiting,
        running,
    }
}

fn ref_state(repo: &str, run: &RunLine, now_ms: i64) -> RefState {
    let ref_name = run.ref_name.as_deref().unwrap_or_default();
    RefState {
        name: if ref_name.is_empty() { "no ref".to_owned() } else { told::short_ref(ref_name) },
        href: if ref_name.is_empty() { told::repo_path(repo) } else { told::ref_path(repo, ref_name) },
        state: State::run(run.state),
        run: run.number.map_or_else(|| "run".to_owned(), |number| format!("run {number}")),
        run_href: told::run_path(&run.run_id),
        when: run.finished_at_ms.or(run.started_at_ms).or(run.queued_at_ms).map(|ms| When::new(ms, now_ms)),
    }
}

impl Line {
    fn is_broken(&self) -> bool {
        self.main.as_ref().is_some_and(|main| main.state.class == "failed")
    }
}
