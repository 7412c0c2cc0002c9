//! A repository's page: whether its ref is broken, since which commit and whose; its runs as commits and jobs.

use std::collections::BTreeSet;

use askama::Template;
use hyper::StatusCode;
use quire_ci::store::{RunFilter, RunRecord};
use quire_ci::ui::words;
use quire_core::access::Action;
use quire_core::rows::{JobRow, RunState};
use quire_core::standing::{PastRun, Standing, What, standing};

use super::super::answers::Answer;
use super::super::failure::Failure;
use super::super::respond::Call;
use super::super::{repos, runs};
use super::commits;
use super::frame::{self, Crumb, Frame};
use super::home::{Going, going};
use super::lists::{self, Scope};
use super::table::{RunLink, Sha, Table};
use super::told::{self, State, When};

/// Runs in the table.
const PAGE: u32 = 50;
/// How far back is looked for the run since which a ref is red.
const HISTORY: u32 = 200;
/// Refs that are offered.
const REFS: usize = 12;
/// Refs without a run that are told.
const NOT_RUN: u32 = 20;
/// What `ref` is for all of them.
const ALL: &str = "*";

#[derive(Template)]
#[template(path = "repo.html")]
struct RepoPage {
    frame: Frame,
    name: String,
    path: String,
    ref_name: Option<String>,
    standing: Option<StandingPart>,
    going: Vec<Going>,
    going_left_out: usize,
    refs: Vec<(String, String, bool)>,
    wanted_ref: String,
    states: Vec<(&'static str, bool)>,
    table: Table,
    older: Option<String>,
    is_newest: bool,
    may_trigger: bool,
    trigger_ref: String,
    not_run: Vec<NotRunLine>,
}

struct StandingPart {
    state: State,
    newest: Option<RunLink>,
    sha: Option<Sha>,
    when: Option<When>,
    red: Vec<RedLine>,
    flaky: Vec<String>,
}

/// `test` red since a1b2c3 (author, 3 pushes ago), last green d4e5f6.
struct RedLine {
    what: String,
    since: Option<Sha>,
    author: Option<String>,
    pushes_ago: usize,
    reaches_back: bool,
    since_run: RunLink,
    last_green: Option<Sha>,
    green_run: Option<RunLink>,
    changes: Option<String>,
}

struct NotRunLine {
    ref_name: String,
    sha: Option<Sha>,
    when: When,
    reason: String,
}

/// `GET /repos/{name}`.
pub(in super::super) async fn repo(call: &Call) -> Result<Answer, Failure> {
    let name = call.named.part("name").to_owned();
    call.may(Action::SeeRepo, Some(&name))?;
    let scope = Scope::Repo(name.clone());
    if call.wants_event_stream() {
        return lists::watched(call, scope);
    }
    let app = &call.site.app;
    let version = lists::version(&call.site, &scope).await?;
    let served = repos::exists(call, &name).await.ok();
    let default = served.as_ref().and_then(|found| repos::default_branch(call, found));
    let given = call.query.get("ref");
    let ref_name = match given {
        Some(ALL) => None,
        Some(text) => Some(runs::full_ref_name(text)),
        None => default.clone(),
    };
    let state = call.query.get("state").map(|word| {
        RunState::parse(word).ok_or_else(|| Failure::bad(format!("state must be a state of runs, not {word:?}")))
    });
    let state = state.transpose()?;
    let before = call.query.number("before")?.and_then(|seq| i64::try_from(seq).ok());
    let filter = RunFilter { repo: Some(name.clone()), ref_name: ref_name.clone(), ..RunFilter::default() };
    let page_filter = RunFilter { state, before, limit: Some(PAGE + 1), ..filter.clone() };
    let history_filter = RunFilter { limit: Some(HISTORY), ..filter };
    let is_plain = state.is_none() && before.is_none();
    let (repo, has_ref) = (name.clone(), ref_name.is_some());
    let read = app.readers.ask(move |store| {
        let history = if has_ref || is_plain { store.runs_with_jobs(&history_filter)? } else { Vec::new() };
        let page = match is_plain {
            true => history.iter().take(PAGE as usize + 1).cloned().collect(),
            false => store.runs_with_jobs(&page_filter)?,
        };
        let recent =
            store.runs(&RunFilter { repo: Some(repo.clone()), limit: Some(HISTORY), ..RunFilter::default() })?;
        Ok((history, page, recent, store.open_runs()?, store.not_run(&repo, NOT_RUN)?))
    });
    let (history, mut page, recent, open, not_run) = read.await?;
    if served.is_none() && recent.is_empty() {
        return Err(Failure::not_found(format!(
            "there is no repository {name:?}: `quire repo list` lists them, `quire repo new` makes one"
        )));
    }
    let has_more = page.len() > PAGE as usize;
    page.truncate(PAGE as usize);
    let shas: BTreeSet<String> = page.iter().filter_map(|(run, _)| run.row.sha.clone()).collect();
    let subjects = commits::subjects(call, &name, &shas.into_iter().collect::<Vec<_>>()).await;
    let path = told::repo_path(&name);
    let mut frame =
        Frame::new(call, name.clone(), vec![Crumb { href: path.clone(), text: name.clone() }]).live(version, true);
    let now_ms = frame.now_ms;
    let standing = match has_ref {
        true => standing_part(call, &name, &history, now_ms).await,
        false => None,
    };
    if let Some(part) = &standing {
        frame.title = format!("{} · {name}", part.state.words);
        frame = frame.state(part.state.class);
    }
    let older = page.last().filter(|_| has_more).map(|(run, _)| {
        let mut query = vec![format!("before={}", run.seq)];
        query.extend(given.map(|text| format!("ref={}", told::part(text))));
        query.extend(state.map(|state| format!("state={state}")));
        format!("{path}?{}", query.join("&"))
    });
    let (going, going_left_out) = going(call, open, Some(&name), now_ms);
    let wanted_ref = given.map_or_else(|| ref_name.as_deref().map(told::short_ref).unwrap_or_default(), str::to_owned);
    let page = RepoPage {
        table: Table::new(&page, &subjects, true, !has_ref, now_ms),
        refs: refs(&name, default.as_deref(), &recent, ref_name.as_deref()),
        states: RunState::ALL.iter().map(|word| (word.as_str(), state == Some(*word))).collect(),
        may_trigger: served.is_some() && call.may(Action::Trigger, Some(&name)).is_ok(),
        trigger_ref: ref_name.as_deref().or(default.as_deref()).map(told::short_ref).unwrap_or_default(),
        not_run: not_run
            .into_iter()
            .map(|record| NotRunLine {
                ref_name: told::short_ref(&record.ref_name),
                sha: record.sha.as_deref().map(Sha::new),
                when: When::new(record.at_ms, now_ms),
                reason: record.reason,
            })
            .collect(),
        is_newest: before.is_none(),
        ref_name: ref_name.as_deref().map(told::short_ref),
        frame,
        path,
        standing,
        going,
        going_left_out,
        wanted_ref,
        older,
        name,
    };
    frame::answer(call, StatusCode::OK, &page)
}

/// How the ref stands, and what is red since when.
async fn standing_part(
    call: &Call,
    repo: &str,
    history: &[(RunRecord, Vec<JobRow>)],
    now_ms: i64,
) -> Option<StandingPart> {
    let past: Vec<PastRun> = history.iter().map(|(run, jobs)| PastRun::new(&run.row, jobs)).collect();
    let Standing { state, red, flaky } = standing(&past);
    let state = state?;
    let at = |index: usize| history.get(index).map(|(run, _)| run);
    let mut shas: Vec<String> = red.iter().filter_map(|red| at(red.since)?.row.sha.clone()).collect();
    shas.dedup();
    let subjects = commits::subjects(call, repo, &shas).await;
    let newest = history.iter().map(|(run, _)| run).find(|run| run.row.state.had_its_turn());
    let line = |red: quire_core::standing::Red| {
        let since = at(red.since)?;
        let green = red.last_green.and_then(at);
        let sha = |run: &RunRecord| run.row.sha.clone();
        let changes = green.and_then(sha).zip(sha(since)).filter(|(from, to)| from != to);
        Some(RedLine {
            what: match red.what {
                What::Job(job) => job.to_string(),
                What::Run(kind) => kind.map_or_else(|| "the run".to_owned(), |kind| format!("{kind}")),
            },
            author: sha(since).and_then(|sha| subjects.get(&sha)).map(|subject| subject.author.clone()),
            since: since.row.sha.as_deref().map(Sha::new),
            pushes_ago: red.pushes_ago,
            reaches_back: red.last_green.is_none(),
            since_run: RunLink::new(since),
            last_green: green.and_then(|run| run.row.sha.as_deref()).map(Sha::new),
            green_run: green.map(RunLink::new),
            changes: changes.map(|(from, to)| told::changes_path(repo, &from, &to)),
        })
    };
    Some(StandingPart {
        state: State::run(state),
        newest: newest.map(RunLink::new),
        sha: newest.and_then(|run| run.row.sha.as_deref()).map(Sha::new),
        when: newest.and_then(|run| run.row.finished_at_ms).map(|ms| When::new(ms, now_ms)),
        red: red.into_iter().filter_map(line).collect(),
        flaky: flaky.into_iter().map(|job| job.to_string()).collect(),
    })
}

/// Refs to choose from: the default branch, then those that ran last; whether each is chosen.
fn refs(repo: &str, default: Option<&str>, recent: &[RunRecord], chosen: Option<&str>) -> Vec<(String, String, bool)> {
    let mut names: Vec<&str> = default.into_iter().collect();
    for name in recent.iter().filter_map(|run| run.row.ref_name.as_deref()).chain(chosen) {
        if names.len() < REFS && !names.contains(&name) {
            names.push(name);
        }
    }
    let link = |name: &&str| (words::short_ref(name), told::ref_path(repo, name), chosen == Some(name));
    let mut links: Vec<_> = names.iter().map(link).collect();
    links.push(("all refs".to_owned(), format!("{}?ref={}", told::repo_path(repo), told::part(ALL)), chosen.is_none()));
    links
}
