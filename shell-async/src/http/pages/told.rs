//! States, times and places as pages tell them: words and addresses.

use std::borrow::Cow;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
pub(super) use quire_ci::ui::words::{short_ref, short_sha};
use quire_ci::ui::{span, words};
use quire_core::ids::{JobId, RunId};
use quire_core::rows::{JobRow, JobState, RunState, ShRow};

use super::super::query::Query;
pub(super) use super::super::view::segment as part;

/// What is encoded in an address: a repository's name keeps its slashes.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Address of a repository's page.
pub(super) fn repo_path(name: &str) -> String {
    ["/repos/", &Cow::from(utf8_percent_encode(name, PATH))].concat()
}

/// Address of a repository's page, of one ref.
pub(super) fn ref_path(name: &str, ref_name: &str) -> String {
    format!("{}?ref={}", repo_path(name), part(ref_name))
}

/// Address of a run's page.
pub(super) fn run_path(run_id: &RunId) -> String {
    format!("/runs/{}", part(run_id.as_str()))
}

/// Address of a job's page.
pub(super) fn job_path(run_id: &RunId, job_id: &JobId) -> String {
    format!("/runs/{}/jobs/{}", part(run_id.as_str()), part(job_id.as_str()))
}

/// Address of a command's log.
pub(super) fn log_path(run_id: &RunId, job_id: &JobId, n: u32) -> String {
    format!("{}/{n}", job_path(run_id, job_id))
}

/// Address of a commit's page.
pub(super) fn commit_path(sha: &str) -> String {
    format!("/commits/{}", part(sha))
}

/// Address of what changed between two commits.
pub(super) fn changes_path(repo: &str, from: &str, to: &str) -> String {
    format!("/changes/{}?from={}&to={}", utf8_percent_encode(repo, PATH), part(from), part(to))
}

/// An address with what the query of a request asks for, less which repository the run is of: the address says it.
pub(super) fn with_query(path: &str, query: &Query) -> String {
    let asked = query.pairs().filter(|(name, _)| *name != "repo");
    let pairs: Vec<String> = asked.map(|(name, value)| format!("{name}={}", part(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// A point of time, for people: how long ago, exactly, and as milliseconds for the script.
#[derive(Debug, Clone)]
pub(super) struct When {
    pub(super) ms: i64,
    /// RFC 3339, UTC.
    pub(super) exact: String,
    /// `3m ago`.
    pub(super) age: String,
}

impl When {
    pub(super) fn new(at_ms: i64, now_ms: i64) -> When {
        When { ms: at_ms, exact: exact(at_ms), age: span::age(now_ms.saturating_sub(at_ms)) }
    }
}

/// RFC 3339 in UTC, to the second; of what is no time, nothing.
pub(super) fn exact(at_ms: i64) -> String {
    Timestamp::from_second(at_ms.div_euclid(1000)).map(|time| time.to_string()).unwrap_or_default()
}

/// How long something took, or has been going on for: then since when, for the script.
#[derive(Debug, Clone)]
pub(super) struct Took {
    pub(super) text: String,
    /// Unix milliseconds, of what goes on.
    pub(super) since: Option<i64>,
}

impl Took {
    /// Of what has begun.
    pub(super) fn new(begin_ms: Option<i64>, end_ms: Option<i64>, now_ms: i64) -> Option<Took> {
        let begin = begin_ms?;
        Some(match end_ms {
            Some(end) => Took { text: span::duration(end.saturating_sub(begin)), since: None },
            None => Took { text: span::elapsed(now_ms.saturating_sub(begin)), since: Some(begin) },
        })
    }
}

/// A state as it is shown: the class of its shape, its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) class: &'static str,
    pub(super) words: String,
}

impl State {
    /// Of a run.
    pub(super) fn run(state: RunState) -> State {
        State { class: state.as_str(), words: state.as_str().to_owned() }
    }

    /// Of a job, with what is remarkable about it.
    pub(super) fn job(row: &JobRow) -> State {
        State { class: job_class(row.state, row.allowed), words: words::state(row) }
    }

    /// Of a job, in one word.
    pub(super) fn job_word(state: JobState, allowed: bool, flaky: bool) -> State {
        let word = match (state, allowed, flaky) {
            (JobState::Failed, true, _) => "allowed",
            (JobState::Complete, _, true) => "flaky",
            (state, _, _) => state.as_str(),
        };
        State { class: job_class(state, allowed), words: word.to_owned() }
    }
}

/// The class of a job's shape: a failure that was allowed is not what is broken.
pub(super) fn job_class(state: JobState, allowed: bool) -> &'static str {
    if state == JobState::Failed && allowed { "allowed" } else { state.as_str() }
}

/// The class of a command's shape: it is what is broken only where it broke its job.
pub(super) fn sh_class(row: &ShRow, job: &JobRow) -> &'static str {
    job_class(row.state(), !job.is_broken())
}
