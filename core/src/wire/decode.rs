//! One line of JSON to one event.
//!
//! Owns what a reader forgives: unknown kinds and fields, and missing optional fields. A field that the line's kind does not
//! have is unknown there, whatever it means elsewhere. How fields are read from JSON is `fields`'s.

use std::collections::BTreeMap;

use super::event::{
    Cause, Event, EventKind, FailureKind, JobFinished, JobLogged, JobOutcome, JobRetried, JobSkipped, JobStarted,
    RunFinished, RunLogged, RunOutcome, RunStarted, ShFailure, ShFinished, ShStarted, SkipReason, Stream,
};
use super::fields::{Field, Fields, Kind};
use crate::ids::{JobId, RunId};

/// Longest message of a [`DecodeError`], in bytes: an error may quote the line.
const MESSAGE_BYTES: usize = 300;

/// What a line holds.
#[expect(clippy::large_enum_variant, reason = "nearly every line is an event: a box would cost each one an allocation")]
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
        let what = text.strip_suffix(&place).unwrap_or(&text);
        // The parser counts from 1 and says 0 where it had not begun.
        if error.column() == 0 { DecodeError::new(what.to_owned()) } else { DecodeError::at(error.column(), what) }
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
        Kind::ShStarted => EventKind::ShStarted(sh_started(fields)?),
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
        args: run.args,
        pipeline: run.pipeline.map(Into::into),
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

fn sh_started(fields: &mut Fields<'_>) -> Result<ShStarted, String> {
    let kind = Kind::ShStarted;
    let (cwd, env, shell) = match fields.given.take() {
        None => (None, BTreeMap::new(), None),
        Some(given) => (given.cwd.map(Into::into), given.env.unwrap_or_default(), given.shell.map(Into::into)),
    };
    Ok(ShStarted {
        job_id: fields.required_job(kind)?,
        cmd: required(fields.cmd.take(), Field::Cmd, kind)?.into(),
        key: fields.key.take().map(Into::into),
        cwd,
        env,
        shell,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn event_of(line: &str) -> EventKind {
        match decode(line.as_bytes()) {
            Ok(Decoded::Event(event)) => event.kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_and_where() {
        for (line, message) in [
            ("", "the line is blank"),
            (" \r", "the line is blank"),
            ("{", "column 1: EOF while parsing an object"),
            ("[1,2]", "invalid type: sequence, expected an event object"),
            ("7", "column 1: invalid type: integer `7`, expected an event object"),
            ("{}", "the event has no at_ms"),
            (r#"{"at_ms":1}"#, "the event has no type"),
            (r#"{"at_ms":1,"type":"job_started"}"#, "job_started has no job_id"),
            (r#"{"at_ms":1,"type":"sh_started","job_id":"a"}"#, "sh_started has no cmd"),
            (r#"{"at_ms":1,"type":"run_logged"}"#, "run_logged has no text"),
            (
                r#"{"at_ms":1,"type":"sh_started","job_id":"a","cmd":"x","env":{"A":1}}"#,
                "column 66: invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"at_ms":1,"type":"job_finished","job_id":"a","outcome":"fine"}"#,
                r#"job_finished has an unknown outcome "fine""#,
            ),
            (
                r#"{"at_ms":1,"type":"run_finished","outcome":"skipped"}"#,
                r#"run_finished has an unknown outcome "skipped""#,
            ),
            (r#"{"at_ms":1.5,"type":"job_started"}"#, "column 12: invalid type: floating point `1.5`, expected i64"),
            (r#"{"at_ms":1,"at_ms":2}"#, "column 18: the field at_ms is given twice"),
            (r#"{"at_ms":1,"type":"job_started","job_id":"a"} x"#, "column 47: trailing characters"),
            (
                r#"{"at_ms":1,"type":"sh_finished","job_id":"a","exit_code":4294967295}"#,
                "column 67: invalid value: integer `4294967295`, expected i32",
            ),
        ] {
            assert_eq!(decode(line.as_bytes()).unwrap_err().message, message, "{line}");
        }
        let torn = decode(b"{\"at_ms\":1,\"type\":\"run_logged\",\"text\":\"a\xff\"}").unwrap_err();
        assert_eq!(torn.message, "column 41: the line is not valid UTF-8");
    }

    #[test]
    fn an_error_is_short_however_long_the_line() {
        let line = format!(r#"{{"at_ms":"{}"}}"#, "ä".repeat(100_000));
        let message = decode(line.as_bytes()).unwrap_err().message;
        assert!(message.len() <= MESSAGE_BYTES + '…'.len_utf8(), "{}", message.len());
    }

    #[test]
    fn nesting_without_end_is_an_error_where_it_is_read_and_nothing_where_it_is_not() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let line = |key: &str| {
            format!(r#"{{"at_ms":1,"type":"job_finished","job_id":"a","outcome":"complete","{key}":{deep}}}"#)
        };
        assert!(decode(line("output").as_bytes()).unwrap_err().message.contains("recursion limit"));
        assert!(matches!(event_of(&line("later")), EventKind::JobFinished(_)));
    }

    #[test]
    fn the_deepest_output_allowed_is_read_again() {
        let depth = crate::wire::MAX_OUTPUT_DEPTH;
        let output = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let line =
            format!(r#"{{"at_ms":1,"type":"job_finished","job_id":"a","outcome":"complete","output":{output}}}"#);
        assert!(matches!(event_of(&line), EventKind::JobFinished(_)));
    }

    #[test]
    fn what_a_later_version_adds_is_stepped_over() {
        for line in [
            r#"{"at_ms":1,"type":"job_paused","job_id":7,"error":"text","sh":[1],"at":{"x":[]}}"#,
            r#"{"at_ms":1,"type":"job_paused"}"#,
        ] {
            assert_eq!(decode(line.as_bytes()), Ok(Decoded::Unknown("job_paused".to_owned())), "{line}");
        }
        let plain = event_of(r#"{"at_ms":1,"type":"job_started","job_id":"a"}"#);
        for line in [
            r#"{"at_ms":1,"type":"job_started","job_id":"a","why":{"x":1}}"#,
            // Fields of other kinds are unknown in this one, of whatever type.
            r#"{"at_ms":1,"type":"job_started","job_id":"a","error":"text","output":7,"masked":"yes","seed":[]}"#,
            r#"  { "job_id" : "a" , "type" : "job_started" , "at_ms" : 1 }  "#,
        ] {
            assert_eq!(event_of(line), plain, "{line}");
        }
    }

    #[test]
    fn unknown_words_are_kept_or_dropped_but_never_fail_a_line() {
        let EventKind::JobSkipped(skipped) =
            event_of(r#"{"at_ms":1,"type":"job_skipped","job_id":"a","reason":"moon"}"#)
        else {
            panic!("a skip")
        };
        assert_eq!(skipped.reason, SkipReason::Other("moon".to_owned()));
        let EventKind::ShFinished(finished) = event_of(
            r#"{"at_ms":1,"type":"sh_finished","job_id":"a","exit_code":0,"cause":"moon","no_eol":["stdlog","stderr"]}"#,
        ) else {
            panic!("a finish")
        };
        assert_eq!((finished.cause, finished.no_eol), (None, vec![Stream::Stderr]));
        let EventKind::RunFinished(finished) =
            event_of(r#"{"at_ms":1,"type":"run_finished","outcome":"failed","failure_kind":"moon"}"#)
        else {
            panic!("a finish")
        };
        assert_eq!(finished.failure_kind, None);
    }

    #[test]
    fn optional_fields_default_and_null_says_nothing() {
        let EventKind::RunStarted(started) =
            event_of(r#"{"at_ms":1,"type":"run_started","run_id":"r","sha":null,"seed":null}"#)
        else {
            panic!("a start")
        };
        assert_eq!((started.sha, started.seed, started.jobs.len()), (None, None, 0));
        for line in [
            r#"{"at_ms":1,"type":"sh_started","job_id":"a","cmd":"x"}"#,
            r#"{"at_ms":1,"type":"sh_started","job_id":"a","cmd":"x","key":null,"cwd":null,"env":null,"shell":null}"#,
        ] {
            let EventKind::ShStarted(started) = event_of(line) else { panic!("a start") };
            assert_eq!((started.key, started.cwd, started.env.len(), started.shell), (None, None, 0, None), "{line}");
        }
        let EventKind::ShFinished(finished) = event_of(
            r#"{"at_ms":1,"type":"sh_finished","job_id":"a","exit_code":-1,"sh":null,"signal":null,"error":null,"cause":null}"#,
        ) else {
            panic!("a finish")
        };
        assert_eq!((finished.exit_code, finished.sh, finished.error), (-1, None, None));
    }

    #[test]
    fn escapes_are_undone_in_every_text() {
        let EventKind::ShStarted(started) = event_of(
            r#"{"at_ms":1,"\u0074ype":"sh_started","job_id":"\u0061","cmd":"echo \"\ud83d\ude00\"\n","key":"\\"}"#,
        ) else {
            panic!("a start")
        };
        assert_eq!(started.job_id.as_str(), "a");
        assert_eq!(started.cmd, "echo \"😀\"\n");
        assert_eq!(started.key.as_deref(), Some("\\"));
    }
}
