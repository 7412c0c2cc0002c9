//! The recorder: what happens at run time becomes what is written.
//!
//! Owns `at_ms`, the index of a command in its job, whether `sh` must be said, and masking of texts. It checks the order of
//! what happens: a wrong order is our own bug and panics with the reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ids::JobId;
use crate::time::Wall;
use crate::wire::{
    Cause, Event, EventKind, FailureKind, JobFailure, JobFinished, JobLogged, JobOutcome, JobRetried, JobSkipped,
    JobStarted, RunFailure, RunFinished, RunLogged, RunOutcome, RunStarted, ShFailure, ShFinished, ShStarted,
    SkipReason, Stream,
};

/// What happens in a run, as the engine knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeEvent {
    /// The run begins.
    RunStarted(RunStarted),
    /// Something for people.
    RunLogged(String),
    /// A job begins.
    JobStarted(JobId),
    /// A job's script logs.
    JobLogged(JobId, String),
    /// An attempt failed, the next begins.
    JobRetried(JobId, JobFailure),
    /// A job ends without running on.
    JobSkipped(JobId, SkipReason, Option<String>),
    /// A job ends.
    JobFinished(JobId, JobEnd),
    /// A command begins; the recorder gives it the job's next index.
    ShStarted {
        /// Its job.
        job: JobId,
        /// For people, not yet masked.
        cmd: String,
        /// Replay key.
        key: Option<String>,
        /// Directory as the pipeline gave it, not yet masked; `None` for the workspace.
        cwd: Option<String>,
        /// What the pipeline gave for its environment, not yet masked; `None` removes.
        env: BTreeMap<String, Option<String>>,
        /// The shell that the pipeline asked for.
        shell: Option<String>,
    },
    /// A command ended.
    ShFinished(JobId, ShEnd),
    /// The run ends.
    RunFinished {
        /// How.
        outcome: RunOutcome,
        /// What kind of failure.
        failure_kind: Option<FailureKind>,
        /// For people.
        error: Option<RunFailure>,
        /// Workspace fingerprint.
        fingerprint: Option<String>,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEnd {
    /// How.
    pub outcome: JobOutcome,
    /// What its script returned, not yet masked.
    pub output: Option<Value>,
    /// Answered from a record.
    pub replayed: bool,
    /// Its failure is allowed.
    pub allowed: bool,
    /// Why it failed.
    pub error: Option<JobFailure>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShEnd {
    /// 1-based index in its job.
    pub n: u32,
    /// Exit code, 128 + signal for a signal.
    pub exit_code: i32,
    /// Signal.
    pub signal: Option<i32>,
    /// Why it never started.
    pub error: Option<ShFailure>,
    /// What ended it.
    pub cause: Option<Cause>,
    /// Streams without a last newline.
    pub no_eol: Vec<Stream>,
    /// Its log holds a mask.
    pub masked: bool,
    /// Its answer lacks bytes.
    pub truncated: bool,
    /// A left process held its output.
    pub detached: bool,
    /// Answered from a record.
    pub replayed: bool,
}

impl ShEnd {
    /// An end with this exit code and nothing else to say.
    pub fn new(n: u32, exit_code: i32) -> ShEnd {
        ShEnd {
            n,
            exit_code,
            signal: None,
            error: None,
            cause: None,
            no_eol: Vec::new(),
            masked: false,
            truncated: false,
            detached: false,
            replayed: false,
        }
    }
}

/// Turns [`RuntimeEvent`]s into wire [`Event`]s, in order.
///
/// Legal is: the run starts, jobs start, log, retry and end, commands of started jobs start and end, the run ends; no job ends
/// or retries over an open command, and no run over a started job.
#[derive(Debug, Default)]
pub struct Recorder {
    phase: Phase,
    jobs: BTreeMap<JobId, JobRecord>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Before,
    Running,
    Ended,
}

/// A job that has started or ended.
#[derive(Debug, Default)]
struct JobRecord {
    /// Begun, from 1; 0 where it was skipped before.
    attempts: u32,
    /// Commands begun, over all attempts.
    commands: u32,
    open: BTreeSet<u32>,
    ended: bool,
}

/// Masks a text; `None` where it holds no secret.
type Mask<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Recorder {
    /// For a run that begins.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// The wire event of what happens now. `mask` masks a text and tells whether it held a secret; it is applied to cmd, cwd,
    /// env (names too), shell, text, message, params' values and every string of an output (keys too), never to kinds, ids, refs and numbers.
    ///
    /// An output must not nest deeper than [`crate::wire::MAX_OUTPUT_DEPTH`], or no reader will take its line.
    ///
    /// # Panics
    /// Where the order of what happens is impossible.
    pub fn record(&mut self, at: Wall, event: RuntimeEvent, mask: Mask<'_>) -> Event {
        let starts = matches!(event, RuntimeEvent::RunStarted(_));
        let expected = if starts { Phase::Before } else { Phase::Running };
        // Not the event itself, which is not masked yet.
        assert!(self.phase == expected, "something happens out of order: the run is {:?}", self.phase);
        let kind = match event {
            RuntimeEvent::RunStarted(started) => {
                self.phase = Phase::Running;
                let params = started.params.into_iter().map(|(name, value)| (name, masked(value, mask))).collect();
                let args = started.args.into_iter().map(|arg| masked(arg, mask)).collect();
                EventKind::RunStarted(RunStarted { params, args, ..started })
            }
            RuntimeEvent::RunLogged(text) => EventKind::RunLogged(RunLogged { text: masked(text, mask) }),
            RuntimeEvent::JobStarted(job_id) => {
                let job = self.jobs.entry(job_id.clone()).or_default();
                assert!(!job.ended && job.attempts == 0, "job {job_id} starts twice or after its end");
                job.attempts = 1;
                EventKind::JobStarted(JobStarted { job_id })
            }
            RuntimeEvent::JobLogged(job_id, text) => {
                assert!(!self.jobs.get(&job_id).is_some_and(|job| job.ended), "job {job_id} logs after its end");
                EventKind::JobLogged(JobLogged { job_id, text: masked(text, mask) })
            }
            RuntimeEvent::JobRetried(job_id, error) => {
                let job = self.idle(&job_id, "is retried");
                job.attempts += 1;
                let attempt = job.attempts;
                EventKind::JobRetried(JobRetried { job_id, attempt, error: Some(masked_failure(error, mask)) })
            }
            RuntimeEvent::JobSkipped(job_id, reason, text) => {
                let job = self.jobs.entry(job_id.clone()).or_default();
                assert!(
                    !job.ended && job.open.is_empty(),
                    "job {job_id} is skipped over open commands or after its end"
                );
                job.ended = true;
                EventKind::JobSkipped(JobSkipped { job_id, reason, text: text.map(|text| masked(text, mask)) })
            }
            RuntimeEvent::JobFinished(job_id, end) => EventKind::JobFinished(self.job_finished(job_id, end, mask)),
            RuntimeEvent::ShStarted { job: job_id, cmd, key, cwd, env, shell } => {
                self.running(&job_id, "starts a command").start_command();
                let given = |text: Option<String>| text.map(|text| masked(text, mask));
                let env = env.into_iter().map(|(name, value)| (masked(name, mask), given(value))).collect();
                let (cwd, shell) = (given(cwd), given(shell));
                EventKind::ShStarted(ShStarted { job_id, cmd: masked(cmd, mask), key, cwd, env, shell })
            }
            RuntimeEvent::ShFinished(job_id, end) => EventKind::ShFinished(self.sh_finished(job_id, end, mask)),
            RuntimeEvent::RunFinished { outcome, failure_kind, error, fingerprint } => {
                self.phase = Phase::Ended;
                let started = self.jobs.iter().find(|(_, job)| !job.ended).map(|(id, _)| id);
                assert!(started.is_none(), "the run finishes over the started job {started:?}");
                let error = error.map(|error| masked_failure(error, mask));
                EventKind::RunFinished(RunFinished { outcome, failure_kind, error, fingerprint })
            }
        };
        Event { at_ms: at.ms(), kind }
    }

    /// The index that the next `ShStarted` of the job gets.
    pub fn next_sh(&self, job: &JobId) -> u32 {
        self.jobs.get(job).map_or(0, |job| job.commands) + 1
    }

    fn job_finished(&mut self, job_id: JobId, end: JobEnd, mask: Mask<'_>) -> JobFinished {
        let job = self.idle(&job_id, "finishes");
        job.ended = true;
        let flaky = end.outcome == JobOutcome::Complete && job.attempts > 1;
        let mut output = end.output;
        JobFinished {
            job_id,
            outcome: end.outcome,
            masked: output.as_mut().is_some_and(|output| mask_value(output, mask)),
            output,
            replayed: end.replayed,
            allowed: end.allowed,
            flaky,
            error: end.error.map(|error| masked_failure(error, mask)),
        }
    }

    fn sh_finished(&mut self, job_id: JobId, end: ShEnd, mask: Mask<'_>) -> ShFinished {
        let open = &mut self.running(&job_id, "finishes a command").open;
        let must_be_named = open.len() > 1;
        assert!(open.remove(&end.n), "command {} of job {job_id} finishes and is not open", end.n);
        ShFinished {
            job_id,
            exit_code: end.exit_code,
            sh: must_be_named.then_some(end.n),
            signal: end.signal,
            error: end.error.map(|error| ShFailure { message: masked(error.message, mask) }),
            cause: end.cause,
            no_eol: end.no_eol,
            masked: end.masked,
            truncated: end.truncated,
            detached: end.detached,
            replayed: end.replayed,
        }
    }

    fn running(&mut self, id: &JobId, what: &str) -> &mut JobRecord {
        match self.jobs.get_mut(id) {
            Some(job) if job.attempts > 0 && !job.ended => job,
            _ => panic!("job {id} {what} and is not running"),
        }
    }

    fn idle(&mut self, id: &JobId, what: &str) -> &mut JobRecord {
        let job = self.running(id, what);
        assert!(job.open.is_empty(), "job {id} {what} over the open commands {:?}", job.open);
        job
    }
}

impl JobRecord {
    fn start_command(&mut self) {
        self.commands += 1;
        self.open.insert(self.commands);
    }
}

fn masked(text: String, mask: Mask<'_>) -> String {
    mask(&text).unwrap_or(text)
}

fn masked_failure(failure: JobFailure, mask: Mask<'_>) -> JobFailure {
    JobFailure { message: masked(failure.message, mask), ..failure }
}

/// Masks every string and key in place; whether any held a secret. Of keys that are alike once masked, the last stays.
fn mask_value(value: &mut Value, mask: Mask<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => match mask(text) {
            Some(masked) => {
                *text = masked;
                true
            }
            None => false,
        },
        Value::Array(items) => items.iter_mut().fold(false, |any, item| mask_value(item, mask) | any),
        Value::Object(members) => {
            let mut any = false;
            *members = std::mem::take(members)
                .into_iter()
                .map(|(key, mut value)| {
                    any |= mask_value(&mut value, mask);
                    match mask(&key) {
                        Some(masked) => {
                            any = true;
                            (masked, value)
                        }
                        None => (key, value),
                    }
                })
                .collect();
            any
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::encode;

    fn stars(text: &str) -> Option<String> {
        text.contains("hunter2").then(|| text.replace("hunter2", "***"))
    }

    /// Records what happens, a millisecond apart, and gives the lines.
    fn lines(events: impl IntoIterator<Item = RuntimeEvent>) -> Vec<String> {
        let mut recorder = Recorder::new();
        let mut lines = Vec::new();
        for (at_ms, event) in (0..).zip(events) {
            let mut line = Vec::new();
            encode(&recorder.record(Wall::from_ms(at_ms), event, &stars), &mut line);
            lines.push(String::from_utf8(line).unwrap().trim_end().to_owned());
        }
        lines
    }

    fn run_started() -> RuntimeEvent {
        RuntimeEvent::RunStarted(RunStarted {
            run_id: crate::ids::RunId::new("r"),
            version: "0.1.0".to_owned(),
            executor: "host".to_owned(),
            sha: None,
            ref_name: Some("refs/heads/hunter2".to_owned()),
            seed: None,
            jobs: Vec::new(),
            number: None,
            repo: None,
            pushed_at_ms: None,
            params: BTreeMap::from([("pass".to_owned(), "hunter2".to_owned())]),
            resumed_from: None,
            args: Vec::new(),
            pipeline: None,
        })
    }

    fn job() -> JobId {
        JobId::from_record("a")
    }

    fn sh_started(cmd: &str) -> RuntimeEvent {
        let job = job();
        RuntimeEvent::ShStarted { job, cmd: cmd.to_owned(), key: None, cwd: None, env: BTreeMap::new(), shell: None }
    }

    fn sh_finished(n: u32, exit_code: i32) -> RuntimeEvent {
        RuntimeEvent::ShFinished(job(), ShEnd::new(n, exit_code))
    }

    fn job_finished(output: Option<Value>) -> RuntimeEvent {
        let end = JobEnd { outcome: JobOutcome::Complete, output, replayed: false, allowed: false, error: None };
        RuntimeEvent::JobFinished(job(), end)
    }

    fn run_finished() -> RuntimeEvent {
        let error =
            Some(RunFailure { message: "no hunter2".to_owned(), file: Some("hunter2.lua".to_owned()), line: None });
        RuntimeEvent::RunFinished { outcome: RunOutcome::Failed, failure_kind: None, error, fingerprint: None }
    }

    #[test]
    fn sh_is_said_only_where_several_are_open() {
        let lines = lines([
            run_started(),
            RuntimeEvent::JobStarted(job()),
            sh_started("x"),
            sh_started("y"),
            sh_finished(2, 1),
            sh_finished(1, 0),
            sh_started("z"),
            sh_finished(3, 0),
        ]);
        assert_eq!(lines[4], r#"{"at_ms":4,"type":"sh_finished","job_id":"a","exit_code":1,"sh":2}"#);
        assert_eq!(lines[5], r#"{"at_ms":5,"type":"sh_finished","job_id":"a","exit_code":0}"#);
        assert_eq!(lines[7], r#"{"at_ms":7,"type":"sh_finished","job_id":"a","exit_code":0}"#);
    }

    #[test]
    fn what_a_command_was_given_is_masked() {
        let text = |text: &str| Some(text.to_owned());
        let env = [("PASS", text("hunter2")), ("hunter2", text("x")), ("GONE", None)];
        let started = RuntimeEvent::ShStarted {
            job: job(),
            cmd: "x".to_owned(),
            key: None,
            cwd: text("of/hunter2"),
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            shell: text("/opt/hunter2/bash"),
        };
        let lines = lines([run_started(), RuntimeEvent::JobStarted(job()), started]);
        let expected = r#"{"at_ms":2,"type":"sh_started","job_id":"a","cmd":"x","cwd":"of/***","env":{"***":"x","GONE":null,"PASS":"***"},"shell":"/opt/***/bash"}"#;
        assert_eq!(lines[2], expected);
    }

    #[test]
    fn attempts_are_counted_and_a_late_success_is_flaky() {
        let failure = || JobFailure { message: "exit 1".to_owned(), file: None, line: None };
        let lines = lines([
            run_started(),
            RuntimeEvent::JobStarted(job()),
            RuntimeEvent::JobRetried(job(), failure()),
            RuntimeEvent::JobRetried(job(), failure()),
            job_finished(None),
        ]);
        assert_eq!(
            lines[3],
            r#"{"at_ms":3,"type":"job_retried","job_id":"a","attempt":3,"error":{"message":"exit 1"}}"#
        );
        assert_eq!(lines[4], r#"{"at_ms":4,"type":"job_finished","job_id":"a","outcome":"complete","flaky":true}"#);
    }

    #[test]
    fn texts_are_masked_and_ids_and_refs_are_not() {
        let lines = lines([
            run_started(),
            RuntimeEvent::RunLogged("hunter2".to_owned()),
            RuntimeEvent::JobStarted(job()),
            RuntimeEvent::JobLogged(job(), "is hunter2".to_owned()),
            sh_started("login hunter2"),
            sh_finished(1, 0),
            job_finished(Some(json!({"hunter2": 1, "deep": [{"x": "a hunter2 b"}], "n": null}))),
            RuntimeEvent::JobSkipped(JobId::from_record("b"), SkipReason::Pipeline, Some("hunter2".to_owned())),
            run_finished(),
        ]);
        for (line, part) in [
            (0, r#""ref":"refs/heads/hunter2""#),
            (0, r#""params":{"pass":"***"}"#),
            (1, r#""text":"***""#),
            (3, r#""text":"is ***""#),
            (4, r#""cmd":"login ***""#),
            (6, r#""output":{"***":1,"deep":[{"x":"a *** b"}],"n":null},"masked":true"#),
            (7, r#""text":"***""#),
            (8, r#""error":{"message":"no ***","file":"hunter2.lua"}"#),
        ] {
            assert!(lines[line].contains(part), "{} lacks {part}", lines[line]);
        }
    }

    #[test]
    fn the_next_index_counts_all_attempts() {
        let mut recorder = Recorder::new();
        let mut record = |event| recorder.record(Wall::default(), event, &stars);
        record(run_started());
        record(RuntimeEvent::JobStarted(job()));
        record(sh_started("x"));
        record(sh_finished(1, 1));
        record(RuntimeEvent::JobRetried(job(), JobFailure::default()));
        assert_eq!(recorder.next_sh(&job()), 2);
        assert_eq!(recorder.next_sh(&JobId::from_record("other")), 1);
    }

    #[test]
    fn an_impossible_order_is_our_own_bug() {
        let start = || RuntimeEvent::JobStarted(job());
        for (what, events) in [
            ("no run", vec![start()]),
            ("two runs", vec![run_started(), run_started()]),
            ("after the end", vec![run_started(), run_finished(), RuntimeEvent::RunLogged(String::new())]),
            ("two starts", vec![run_started(), start(), start()]),
            ("start after end", vec![run_started(), start(), job_finished(None), start()]),
            ("no start", vec![run_started(), sh_started("x")]),
            ("two ends", vec![run_started(), start(), job_finished(None), job_finished(None)]),
            ("open command", vec![run_started(), start(), sh_started("x"), job_finished(None)]),
            ("not open", vec![run_started(), start(), sh_started("x"), sh_finished(2, 0)]),
            ("finished twice", vec![run_started(), start(), sh_started("x"), sh_finished(1, 0), sh_finished(1, 0)]),
            ("open job", vec![run_started(), start(), run_finished()]),
            (
                "log after end",
                vec![run_started(), start(), job_finished(None), RuntimeEvent::JobLogged(job(), String::new())],
            ),
        ] {
            let outcome = std::panic::catch_unwind(|| lines(events));
            assert!(outcome.is_err(), "{what}");
        }
    }
}
