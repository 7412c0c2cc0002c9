//! One line of JSON to one event.
//!
//! Owns what a reader forgives: unknown kinds and fields, and missing optional fields. A field that the line's kind does not
//! have is unknown there, whatever it means elsewhere. How fields are read from JSON is [`super::fields`]'s.

use super::event::{
    Cause, Event, EventKind, FailureKind, JobFinished, JobLogged, JobOutcome, JobRetried, JobSkipped, JobStarted,
    RunFinished, RunLogged, RunOutcome, RunStarted, ShFailure, ShFinished, ShStarted, SkipReason, Stream,
};
use super::fields::{Field, Fields, Kind};
use crate::ids::{JobId, RunId};

/// Longest message of a [`DecodeError`], in bytes: an error may quote the line.
const MESSAGE_BYTES: usize = 300;

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// An event that this version knows.
    Event(Event),
    /// A well-formed event of a kind that this version does not know: to be stepped over. Holds its `type`.
    Unknown(String),
}

/// Why a line is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// For people: what is wrong and, where it is known, at which byte of the line.
    pub message: String,
}

impl DecodeError {
    fn new(mut message: String) -> DecodeError {
        if message.len() > MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            message.push('…');
        }
        DecodeError { message }
    }

    fn at(column: usize, what: &str) -> DecodeError {
        DecodeError::new(format!("column {column}: {what}"))
    }

    fn json(error: &serde_json::Error) -> DecodeError {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        DecodeError::at(error.column(), text.strip_suffix(&place).unwrap_or(&text))
    }
}

/// Decodes one line, given without its newline.
///
/// Unknown fields are ignored and missing optional ones default; an unknown `cause`, `failure_kind` or stream counts as
/// not given, an unknown `reason` is kept. Errors: what is not UTF-8 or not one JSON object, a field given twice or of a wrong
/// type, a missing base field, an unknown `outcome`.
pub fn decode(line: &[u8]) -> Result<Decoded, DecodeError> {
    let text = std::str::from_utf8(line)
        .map_err(|error| DecodeError::at(error.valid_up_to() + 1, "the line is not valid UTF-8"))?;
    let mut fields = Fields::default();
    if let Err(error) = fields.read(text) {
        return Err(if line.iter().all(u8::is_ascii_whitespace) {
            DecodeError::new("the line is blank".to_owned())
        } else {
            DecodeError::json(&error)
        });
    }
    event(&mut fields).map_err(DecodeError::new)
}

fn event(fields: &mut Fields<'_>) -> Result<Decoded, String> {
    let Some(at_ms) = fields.at_ms else { return Err("the event has no at_ms".to_owned()) };
    let Some(kind) = fields.kind.take() else { return Err("the event has no type".to_owned()) };
    let kind = match kind {
        Kind::RunStarted => EventKind::RunStarted(run_started(fields)?),
        Kind::RunLogged => EventKind::RunLogged(RunLogged { text: fields.required_text(kind)? }),
        Kind::JobStarted => EventKind::JobStarted(JobStarted { job_id: fields.required_job(kind)? }),
        Kind::JobLogged => {
            EventKind::JobLogged(JobLogged { job_id: fields.required_job(kind)?, text: fields.required_text(kind)? })
        }
        Kind::JobRetried => EventKind::JobRetried(JobRetried {
            job_id: fields.required_job(kind)?,
            attempt: required(fields.attempt, Field::Attempt, kind)?,
            error: fields.error.take().map(Into::into),
        }),
        Kind::JobSkipped => EventKind::JobSkipped(JobSkipped {
            job_id: fields.required_job(kind)?,
            reason: SkipReason::parse(&required(fields.reason.take(), Field::Reason, kind)?),
            text: fields.text.take().map(Into::into),
        }),
        Kind::JobFinished => EventKind::JobFinished(job_finished(fields)?),
        Kind::ShStarted => EventKind::ShStarted(ShStarted {
            job_id: fields.required_job(kind)?,
            cmd: required(fields.cmd.take(), Field::Cmd, kind)?.into(),
            key: fields.key.take().map(Into::into),
        }),
        Kind::ShFinished => EventKind::ShFinished(sh_finished(fields)?),
        Kind::RunFinished => EventKind::RunFinished(run_finished(fields)?),
        Kind::Unknown => return Ok(Decoded::Unknown(std::mem::take(&mut fields.unknown_kind).into())),
    };
    Ok(Decoded::Event(Event { at_ms, kind }))
}

fn run_started(fields: &mut Fields<'_>) -> Result<RunStarted, String> {
    let run = fields.run.take().unwrap_or_default();
    Ok(RunStarted {
        run_id: RunId::new(&required(run.run_id, Field::RunId, Kind::RunStarted)?),
        version: run.version.unwrap_or_default().into(),
        executor: run.executor.unwrap_or_default().into(),
        sha: run.sha.map(Into::into),
        ref_name: run.ref_name.map(Into::into),
        seed: run.seed,
        jobs: run.jobs.into_iter().map(Into::into).collect(),
        number: run.number,
        repo: run.repo.map(Into::into),
        pushed_at_ms: run.pushed_at_ms,
        params: run.params,
        resumed_from: run.resumed_from.map(|id| RunId::new(&id)),
    })
}

fn job_finished(fields: &mut Fields<'_>) -> Result<JobFinished, String> {
    let kind = Kind::JobFinished;
    let word = required(fields.outcome.as_deref(), Field::Outcome, kind)?;
    Ok(JobFinished {
        job_id: fields.required_job(kind)?,
        outcome: JobOutcome::parse(word).ok_or_else(|| unknown_outcome(word, kind))?,
        masked: fields.is_set(Field::Masked),
        replayed: fields.is_set(Field::Replayed),
        allowed: fields.is_set(Field::Allowed),
        flaky: fields.is_set(Field::Flaky),
        output: fields.output.take(),
        error: fields.error.take().map(Into::into),
    })
}

fn sh_finished(fields: &mut Fields<'_>) -> Result<ShFinished, String> {
    let kind = Kind::ShFinished;
    Ok(ShFinished {
        job_id: fields.required_job(kind)?,
        exit_code: required(fields.exit_code, Field::ExitCode, kind)?,
        sh: fields.sh,
        signal: fields.signal,
        cause: fields.cause.as_deref().and_then(Cause::parse),
        no_eol: fields.no_eol.iter().filter_map(|word| Stream::parse(word)).collect(),
        masked: fields.is_set(Field::Masked),
        truncated: fields.is_set(Field::Truncated),
        detached: fields.is_set(Field::Detached),
        replayed: fields.is_set(Field::Replayed),
        error: fields.error.take().map(|error| ShFailure { message: error.message.into() }),
    })
}

fn run_finished(fields: &mut Fields<'_>) -> Result<RunFinished, String> {
    let kind = Kind::RunFinished;
    let word = required(fields.outcome.as_deref(), Field::Outcome, kind)?;
    Ok(RunFinished {
        outcome: RunOutcome::parse(word).ok_or_else(|| unknown_outcome(word, kind))?,
        failure_kind: fields.failure_kind.as_deref().and_then(FailureKind::parse),
        error: fields.error.take().map(Into::into),
        fingerprint: fields.fingerprint.take().map(Into::into),
    })
}

impl Fields<'_> {
    fn required_job(&self, kind: Kind) -> Result<JobId, String> {
        required(self.job_id.as_deref(), Field::JobId, kind).map(JobId::from_record)
    }

    fn required_text(&mut self, kind: Kind) -> Result<String, String> {
        required(self.text.take(), Field::Text, kind).map(Into::into)
    }
}

fn required<T>(value: Option<T>, field: Field, kind: Kind) -> Result<T, String> {
    value.ok_or_else(|| format!("{} has no {}", kind.name(), field.name()))
}

fn unknown_outcome(word: &str, kind: Kind) -> String {
    format!("{} has an unknown outcome {word:?}", kind.name())
}
