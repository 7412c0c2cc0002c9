//! One event to one line of JSON, byte for byte as CONTRACT 1.
//!
//! Owns the order of fields on the wire and what is left out: an optional field is written only when it says something.
//! What a text may hold is the recorder's.

use serde::Serialize;

use super::event::{
    Event, EventKind, JobFailure, JobFinished, JobListed, JobRetried, JobSkipped, RunFinished, RunStarted, ShFinished,
    ShStarted,
};

/// Deepest nesting of a job's output, itself counted, that is sure to be read again: JSON readers refuse what is nested without
/// end, ours at 128.
pub const MAX_OUTPUT_DEPTH: usize = 100;

/// Appends the event as one line, newline included.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut line = ObjectWriter { out, empty: true };
    line.value("at_ms", &event.at_ms);
    line.value("type", event.kind.name());
    match &event.kind {
        EventKind::RunStarted(started) => run_started(&mut line, started),
        EventKind::RunLogged(logged) => line.value("text", &logged.text),
        EventKind::JobStarted(started) => line.value("job_id", &started.job_id),
        EventKind::JobLogged(logged) => {
            line.value("job_id", &logged.job_id);
            line.value("text", &logged.text);
        }
        EventKind::JobRetried(retried) => job_retried(&mut line, retried),
        EventKind::JobSkipped(skipped) => job_skipped(&mut line, skipped),
        EventKind::JobFinished(finished) => job_finished(&mut line, finished),
        EventKind::ShStarted(started) => sh_started(&mut line, started),
        EventKind::ShFinished(finished) => sh_finished(&mut line, finished),
        EventKind::RunFinished(finished) => run_finished(&mut line, finished),
    }
    out.extend_from_slice(b"}\n");
}

fn run_started(line: &mut ObjectWriter<'_>, started: &RunStarted) {
    line.value("run_id", &started.run_id);
    line.value("version", &started.version);
    line.value("executor", &started.executor);
    line.optional("sha", started.sha.as_ref());
    line.optional("ref", started.ref_name.as_ref());
    line.optional("seed", started.seed.as_ref());
    line.key("jobs");
    line.out.push(b'[');
    for (index, job) in started.jobs.iter().enumerate() {
        if index > 0 {
            line.out.push(b',');
        }
        job_listed(line.out, job);
    }
    line.out.push(b']');
    line.optional("number", started.number.as_ref());
    line.optional("repo", started.repo.as_ref());
    line.optional("pushed_at_ms", started.pushed_at_ms.as_ref());
    line.optional("params", Some(&started.params).filter(|params| !params.is_empty()));
    line.optional("resumed_from", started.resumed_from.as_ref());
    line.optional("args", Some(&started.args).filter(|args| !args.is_empty()));
    line.optional("pipeline", started.pipeline.as_ref());
}

fn job_listed(out: &mut Vec<u8>, job: &JobListed) {
    out.push(b'{');
    let mut object = ObjectWriter { out, empty: true };
    object.value("id", &job.id);
    object.value("inputs", &job.inputs);
    out.push(b'}');
}

fn job_retried(line: &mut ObjectWriter<'_>, retried: &JobRetried) {
    line.value("job_id", &retried.job_id);
    line.value("attempt", &retried.attempt);
    line.failure(retried.error.as_ref());
}

fn job_skipped(line: &mut ObjectWriter<'_>, skipped: &JobSkipped) {
    line.value("job_id", &skipped.job_id);
    line.value("reason", skipped.reason.as_str());
    line.optional("text", skipped.text.as_ref());
}

fn job_finished(line: &mut ObjectWriter<'_>, finished: &JobFinished) {
    line.value("job_id", &finished.job_id);
    line.value("outcome", finished.outcome.as_str());
    line.optional("output", finished.output.as_ref());
    line.flag("masked", finished.masked);
    line.flag("replayed", finished.replayed);
    line.flag("allowed", finished.allowed);
    line.flag("flaky", finished.flaky);
    line.failure(finished.error.as_ref());
}

fn sh_started(line: &mut ObjectWriter<'_>, started: &ShStarted) {
    line.value("job_id", &started.job_id);
    line.value("cmd", &started.cmd);
    line.optional("key", started.key.as_ref());
    line.optional("cwd", started.cwd.as_ref());
    line.optional("env", Some(&started.env).filter(|env| !env.is_empty()));
    line.optional("shell", started.shell.as_ref());
}

fn sh_finished(line: &mut ObjectWriter<'_>, finished: &ShFinished) {
    line.value("job_id", &finished.job_id);
    line.value("exit_code", &finished.exit_code);
    line.optional("sh", finished.sh.as_ref());
    line.optional("signal", finished.signal.as_ref());
    if let Some(error) = &finished.error {
        line.message(&error.message, None, None);
    }
    line.optional("cause", finished.cause.map(|cause| cause.as_str()).as_ref());
    if !finished.no_eol.is_empty() {
        let words: Vec<&str> = finished.no_eol.iter().map(|stream| stream.as_str()).collect();
        line.value("no_eol", &words);
    }
    line.flag("masked", finished.masked);
    line.flag("truncated", finished.truncated);
    line.flag("detached", finished.detached);
    line.flag("replayed", finished.replayed);
}

fn run_finished(line: &mut ObjectWriter<'_>, finished: &RunFinished) {
    line.value("outcome", finished.outcome.as_str());
    line.optional("failure_kind", finished.failure_kind.map(|kind| kind.as_str()).as_ref());
    line.failure(finished.error.as_ref());
    line.optional("fingerprint", finished.fingerprint.as_ref());
}

/// Writes the fields of one object; its braces are the caller's.
struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl ObjectWriter<'_> {
    fn key(&mut self, name: &'static str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn value(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.key(name);
        serde_json::to_writer(&mut *self.out, value).expect("texts, numbers and plain data always serialise to memory");
    }

    fn optional(&mut self, name: &'static str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    fn flag(&mut self, name: &'static str, set: bool) {
        if set {
            self.value(name, &true);
        }
    }

    fn failure(&mut self, failure: Option<&JobFailure>) {
        if let Some(JobFailure { message, file, line }) = failure {
            self.message(message, file.as_deref(), *line);
        }
    }

    fn message(&mut self, message: &str, file: Option<&str>, line: Option<u32>) {
        self.key("error");
        self.out.push(b'{');
        let mut error = ObjectWriter { out: self.out, empty: true };
        error.value("message", message);
        error.optional("file", file);
        error.optional("line", line.as_ref());
        self.out.push(b'}');
    }
}
