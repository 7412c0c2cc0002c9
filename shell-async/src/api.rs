//! The JSON of the API, as types: the server writes them, `quire`'s own clients and the hook read them.
//!
//! All times are Unix milliseconds. The OpenAPI file says the same for others; the tests hold both against the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One ref of a push, as git tells a post-receive hook: `before` and `after` are object ids, all zeros for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefChange {
    /// Full ref name.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// What it named.
    pub before: String,
    /// What it names.
    pub after: String,
}

/// A push event (CONTRACT 5), POSTed to `/api/v1/push` or left in the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushEvent {
    /// When the hook ran.
    pub at_ms: i64,
    /// Always `pushed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Repository name.
    pub repo: String,
    /// Who pushed.
    #[serde(default)]
    pub by: Option<String>,
    /// What was pushed.
    pub refs: Vec<RefChange>,
}

impl PushEvent {
    /// Whether it can be one of git's.
    ///
    /// # Errors
    /// For people: what in it cannot.
    pub fn check(&self) -> Result<(), String> {
        if self.kind != "pushed" {
            return Err(format!("type must be \"pushed\", not {:?}", self.kind));
        }
        let is_id = |id: &str| matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_sound = |change: &&RefChange| {
            let named = [&change.before, &change.after];
            change.ref_name.starts_with("refs/") && named.iter().all(|id| is_id(id))
        };
        match self.refs.iter().find(|change| !is_sound(change)) {
            None => Ok(()),
            Some(change) => Err(format!(
                "refs must have full ref names, and object ids as `before` and `after`; {:?} is none, or its ids are none",
                change.ref_name
            )),
        }
    }
}

/// What became of one ref of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedRef {
    /// Full ref name.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Its commit.
    pub sha: Option<String>,
    /// Its run, if it has one.
    pub run: Option<QueuedRun>,
    /// Why it has none, for people.
    pub not_run: Option<String>,
    /// The command line that runs it all the same, where there is one.
    #[serde(default)]
    pub trigger: Option<String>,
}

/// A run that was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRun {
    /// Its id.
    pub id: String,
    /// Its number in its repository.
    pub number: u64,
    /// Where it can be looked at.
    pub url: String,
    /// Why it waits now, for people; `null` where it starts at once.
    pub waits: Option<String>,
}

/// The answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// One a ref, in the order of the push.
    pub refs: Vec<PushedRef>,
}

/// What `POST /api/v1/runs` takes. `ref` or `sha` is needed; `sha` may be any revision of the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerRequest {
    /// Repository name.
    pub repo: String,
    /// Branch, tag or full ref name.
    #[serde(rename = "ref", default)]
    pub ref_name: Option<String>,
    /// A revision.
    #[serde(default)]
    pub sha: Option<String>,
    /// `rt.params`.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Jobs; empty for all.
    #[serde(default)]
    pub jobs: Vec<String>,
}

/// What `POST /api/v1/runs/RUN/retry` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRequest {
    /// Only what failed; what completed is answered from the record.
    #[serde(default)]
    pub failed: bool,
}

/// A run as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// UUIDv7.
    pub id: String,
    /// In its repository.
    pub number: Option<u64>,
    /// Repository name.
    pub repo: Option<String>,
    /// Full ref name.
    #[serde(rename = "ref")]
    pub ref_name: Option<String>,
    /// Full commit id.
    pub sha: Option<String>,
    /// `pending`, `active`, `complete`, `failed`, `aborted`, `superseded`.
    pub state: String,
    /// `job`, `pipeline`, `record`, `orphaned`, `limit`, `internal`.
    pub failure_kind: Option<String>,
    /// For people.
    pub error: Option<String>,
    /// `push`, `trigger`, `retry`.
    pub origin: Option<String>,
    /// Who caused it.
    pub by: Option<String>,
    /// Who ended it, or which run took its place.
    pub ended_by: Option<String>,
    /// `quire-ci`, `host`, `container`.
    pub executor: Option<String>,
    /// The run that it resumes.
    pub resumed_from: Option<String>,
    /// When the push came.
    pub pushed_at_ms: Option<i64>,
    /// When it was entered.
    pub queued_at_ms: Option<i64>,
    /// When its first event was.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
    /// Why it waits, for people; only of a run that waits.
    pub waits: Option<String>,
    /// Its logs were removed at that time.
    pub logs_removed_at_ms: Option<i64>,
    /// Where it can be looked at.
    pub url: String,
}

/// A job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `pending`, `active`, `complete`, `failed`, `skipped`, `aborted`.
    pub state: String,
    /// Of the command that failed it.
    pub exit_code: Option<i32>,
    /// Its failure was allowed.
    pub allowed: bool,
    /// It passed on a later attempt.
    pub flaky: bool,
    /// Answered from an earlier record.
    pub replayed: bool,
    /// Attempts begun.
    pub attempts: u32,
    /// For programs.
    pub skip_reason: Option<String>,
    /// For people.
    pub error: Option<String>,
    /// Where in the pipeline.
    pub error_file: Option<String>,
    /// 1-based.
    pub error_line: Option<u32>,
    /// When it started.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
    /// Its commands, in order.
    pub commands: Vec<Command>,
}

/// A command of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// From 1, in its job.
    pub n: u32,
    /// For people.
    pub cmd: String,
    /// Of its job.
    pub attempt: u32,
    /// Where it ended.
    pub exit_code: Option<i32>,
    /// That ended it.
    pub signal: Option<i32>,
    /// `timeout`, `cancel`, `limit`, `crash`.
    pub cause: Option<String>,
    /// Why it never started.
    pub error: Option<String>,
    /// Answered from an earlier record.
    pub replayed: bool,
    /// When it started.
    pub started_at_ms: i64,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
    /// Path of its log in the API.
    pub log: String,
}

/// `GET /api/v1/runs/RUN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Its jobs, in the pipeline's order.
    pub jobs: Vec<Job>,
}

/// `GET /api/v1/runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPage {
    /// Newest first.
    pub runs: Vec<Run>,
    /// What `before` takes for the next page; `null` on the last.
    pub next: Option<String>,
}

/// A ref that was pushed and got no run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRun {
    /// Full ref name.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Its commit.
    pub sha: Option<String>,
    /// When.
    pub at_ms: i64,
    /// Who pushed.
    pub by: Option<String>,
    /// Why it has no run, with the line that runs it all the same where there is one.
    pub reason: String,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    /// Its name, `work/foo.git`.
    pub name: String,
    /// Full ref name.
    pub default_branch: Option<String>,
    /// Anyone may see it.
    pub public: bool,
    /// Who performs its runs.
    pub executor: String,
    /// Runs that wait.
    pub waiting: u64,
    /// Runs that go on.
    pub running: u64,
    /// The newest run of its default branch that has ended.
    pub latest: Option<Run>,
    /// What pushes did not run, newest first; only where one repository is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<NotRun>,
}

/// `GET /api/v1/repos`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoPage {
    /// By name.
    pub repos: Vec<Repo>,
}

/// The answer to a cancel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The run.
    pub id: String,
    /// `aborted`: it had not begun, and is over; `ending`: its commands are being ended; `hurried`: they are killed.
    pub state: String,
}

/// An error (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`: the status says it.
    #[serde(rename = "type")]
    pub kind: String,
    /// In a few words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What was wrong and what to do.
    pub detail: String,
}

/// `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or `degraded` with the reasons in `problems`.
    pub status: String,
    /// quire's version.
    pub version: String,
    /// Runs that wait.
    pub waiting: u64,
    /// Runs that go on.
    pub running: u64,
    /// Bytes free where runs are recorded.
    pub free_bytes: Option<u64>,
    /// For people: disk short, database behind, draining.
    pub problems: Vec<String>,
}
