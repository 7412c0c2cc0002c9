//! The fields of a line, flat and borrowed, as they stand in its JSON.
//!
//! Owns which field belongs to which kind and of which JSON type it is; what their values mean is `decode`'s. Reading
//! by hand instead of through derived enums halves the time: an internally tagged enum buffers the whole object first.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::event::{JobFailure, JobListed};
use super::scan::scan;
use crate::ids::JobId;

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($variant),+, Unknown }

        impl $name {
            pub(super) fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)+ $name::Unknown => "unknown" }
            }

            pub(super) fn parse(word: &str) -> $name {
                match word { $($word => $name::$variant,)+ _ => $name::Unknown }
            }
        }
    };
}

names! {
    /// `type` of a line.
    Kind {
        RunStarted = "run_started",
        RunLogged = "run_logged",
        JobStarted = "job_started",
        JobLogged = "job_logged",
        JobRetried = "job_retried",
        JobSkipped = "job_skipped",
        JobFinished = "job_finished",
        ShStarted = "sh_started",
        ShFinished = "sh_finished",
        RunFinished = "run_finished",
    }
}

names! {
    /// A key of a line.
    Field {
        AtMs = "at_ms",
        Type = "type",
        JobId = "job_id",
        Cmd = "cmd",
        Key = "key",
        Cwd = "cwd",
        Env = "env",
        Shell = "shell",
        ExitCode = "exit_code",
        Sh = "sh",
        Signal = "signal",
        Error = "error",
        Cause = "cause",
        NoEol = "no_eol",
        Masked = "masked",
        Truncated = "truncated",
        Detached = "detached",
        Replayed = "replayed",
        Outcome = "outcome",
        Output = "output",
        Allowed = "allowed",
        Flaky = "flaky",
        Text = "text",
        Attempt = "attempt",
        Reason = "reason",
        FailureKind = "failure_kind",
        Fingerprint = "fingerprint",
        RunId = "run_id",
        Version = "version",
        Executor = "executor",
        Sha = "sha",
        Ref = "ref",
        Seed = "seed",
        Jobs = "jobs",
        Number = "number",
        Repo = "repo",
        PushedAtMs = "pushed_at_ms",
        Params = "params",
        ResumedFrom = "resumed_from",
        Args = "args",
        Pipeline = "pipeline",
    }
}

impl Field {
    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

const fn bits(fields: &[Field]) -> u64 {
    let mut bits = Field::AtMs.bit() | Field::Type.bit();
    let mut index = 0;
    while index < fields.len() {
        bits |= fields[index].bit();
        index += 1;
    }
    bits
}

impl Kind {
    /// The bits of the fields that lines of this kind have.
    fn fields(self) -> u64 {
        use Field::{
            Allowed, Args, Attempt, Cause, Cmd, Cwd, Detached, Env, Error, Executor, ExitCode, FailureKind,
            Fingerprint, Flaky, JobId, Jobs, Key, Masked, NoEol, Number, Outcome, Output, Params, Pipeline, PushedAtMs,
            Reason, Ref, Replayed, Repo, ResumedFrom, RunId, Seed, Sh, Sha, Shell, Signal, Text, Truncated, Version,
        };
        match self {
            Kind::RunStarted => {
                const {
                    bits(&[
                        RunId,
                        Version,
                        Executor,
                        Sha,
                        Ref,
                        Seed,
                        Jobs,
                        Number,
                        Repo,
                        PushedAtMs,
                        Params,
                        ResumedFrom,
                        Args,
                        Pipeline,
                    ])
                }
            }
            Kind::RunLogged => const { bits(&[Text]) },
            Kind::JobStarted => const { bits(&[JobId]) },
            Kind::JobLogged => const { bits(&[JobId, Text]) },
            Kind::JobRetried => const { bits(&[JobId, Attempt, Error]) },
            Kind::JobSkipped => const { bits(&[JobId, Reason, Text]) },
            Kind::JobFinished => const { bits(&[JobId, Outcome, Output, Masked, Replayed, Allowed, Flaky, Error]) },
            Kind::ShStarted => const { bits(&[JobId, Cmd, Key, Cwd, Env, Shell]) },
            Kind::ShFinished => {
                const { bits(&[JobId, ExitCode, Sh, Signal, Error, Cause, NoEol, Masked, Truncated, Detached, Replayed]) }
            }
            Kind::RunFinished => const { bits(&[Outcome, FailureKind, Error, Fingerprint]) },
            Kind::Unknown => const { bits(&[]) },
        }
    }
}

/// Every field that some kind has. Booleans are in `set`.
#[derive(Debug, Default)]
pub(super) struct Fields<'de> {
    /// Bits of the fields seen.
    seen: u64,
    /// Bits of the boolean fields that are true.
    set: u64,
    pub(super) at_ms: Option<i64>,
    pub(super) kind: Option<Kind>,
    /// `type` where the kind is unknown.
    pub(super) unknown_kind: Cow<'de, str>,
    pub(super) job_id: Option<Cow<'de, str>>,
    pub(super) cmd: Option<Cow<'de, str>>,
    pub(super) key: Option<Cow<'de, str>>,
    pub(super) exit_code: Option<i32>,
    pub(super) sh: Option<u32>,
    pub(super) signal: Option<i32>,
    pub(super) error: Option<RawFailure<'de>>,
    pub(super) cause: Option<Cow<'de, str>>,
    pub(super) no_eol: Vec<Cow<'de, str>>,
    pub(super) outcome: Option<Cow<'de, str>>,
    pub(super) output: Option<Value>,
    pub(super) text: Option<Cow<'de, str>>,
    pub(super) attempt: Option<u32>,
    pub(super) reason: Option<Cow<'de, str>>,
    pub(super) failure_kind: Option<Cow<'de, str>>,
    pub(super) fingerprint: Option<Cow<'de, str>>,
    pub(super) given: Option<Box<GivenFields<'de>>>,
    pub(super) run: Option<Box<RunFields<'de>>>,
}

/// What `sh_started` says of a command that was given more than its words: apart, as most are not.
#[derive(Debug, Default)]
pub(super) struct GivenFields<'de> {
    pub(super) cwd: Option<Cow<'de, str>>,
    pub(super) env: Option<BTreeMap<String, Option<String>>>,
    pub(super) shell: Option<Cow<'de, str>>,
}

/// The fields of `run_started` alone: apart, so that all other lines do without them.
#[derive(Debug, Default)]
pub(super) struct RunFields<'de> {
    pub(super) run_id: Option<Cow<'de, str>>,
    pub(super) version: Option<Cow<'de, str>>,
    pub(super) executor: Option<Cow<'de, str>>,
    pub(super) sha: Option<Cow<'de, str>>,
    pub(super) ref_name: Option<Cow<'de, str>>,
    pub(super) seed: Option<u64>,
    pub(super) jobs: Vec<RawJob<'de>>,
    pub(super) number: Option<u64>,
    pub(super) repo: Option<Cow<'de, str>>,
    pub(super) pushed_at_ms: Option<i64>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) resumed_from: Option<Cow<'de, str>>,
    pub(super) args: Vec<String>,
    pub(super) pipeline: Option<Cow<'de, str>>,
}

/// `error` of any kind.
#[derive(Debug, Deserialize)]
pub(super) struct RawFailure<'a> {
    #[serde(borrow)]
    pub(super) message: Cow<'a, str>,
    #[serde(borrow)]
    file: Option<Cow<'a, str>>,
    line: Option<u32>,
}

impl From<RawFailure<'_>> for JobFailure {
    fn from(raw: RawFailure<'_>) -> JobFailure {
        JobFailure { message: raw.message.into(), file: raw.file.map(Into::into), line: raw.line }
    }
}

/// An element of `jobs`.
#[derive(Debug, Deserialize)]
pub(super) struct RawJob<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    inputs: Vec<String>,
}

impl From<RawJob<'_>> for JobListed {
    fn from(raw: RawJob<'_>) -> JobListed {
        JobListed { id: JobId::from_record(&raw.id), inputs: raw.inputs }
    }
}

impl<'de> Fields<'de> {
    /// Reads the one object that `line` is.
    pub(super) fn read(&mut self, line: &'de str) -> Result<(), serde_json::Error> {
        if scan(line, self).is_some() {
            return Ok(());
        }
        *self = Fields::default();
        self.parse(line)
    }

    /// Reads the one object that `line` is by the JSON parser.
    pub(super) fn parse(&mut self, line: &'de str) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(line);
        deserializer.deserialize_map(FieldsVisitor(self))?;
        deserializer.end()
    }

    /// Whether a boolean field is true.
    pub(super) fn is_set(&self, field: Field) -> bool {
        self.set & field.bit() != 0
    }

    pub(super) fn set(&mut self, field: Field) {
        self.set |= field.bit();
    }

    pub(super) fn set_kind(&mut self, word: Cow<'de, str>) {
        let kind = Kind::parse(&word);
        if kind == Kind::Unknown {
            self.unknown_kind = word;
        }
        self.kind = Some(kind);
    }

    /// Whether lines of this kind have the field. Until the kind is known, which is the second field as quire writes it, every
    /// known field is taken for its own.
    pub(super) fn is_of_kind(&self, field: Field) -> bool {
        field != Field::Unknown && self.kind.is_none_or(|kind| kind.fields() & field.bit() != 0)
    }

    /// Notes that the field was given; whether it is the first time.
    pub(super) fn see(&mut self, field: Field) -> bool {
        let first = self.seen & field.bit() == 0;
        self.seen |= field.bit();
        first
    }

    fn field<A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        match field {
            Field::AtMs => self.at_ms = Some(map.next_value()?),
            Field::Type => {
                let Text(word) = map.next_value()?;
                self.set_kind(word);
            }
            Field::JobId => self.job_id = text(map)?,
            Field::Cmd => self.cmd = text(map)?,
            Field::Key => self.key = optional_text(map)?,
            Field::Cwd => self.given.get_or_insert_default().cwd = optional_text(map)?,
            Field::Env => self.given.get_or_insert_default().env = map.next_value()?,
            Field::Shell => self.given.get_or_insert_default().shell = optional_text(map)?,
            Field::ExitCode => self.exit_code = Some(map.next_value()?),
            Field::Sh => self.sh = map.next_value()?,
            Field::Signal => self.signal = map.next_value()?,
            Field::Error => self.error = map.next_value()?,
            Field::Cause => self.cause = optional_text(map)?,
            Field::NoEol => self.no_eol = texts(map)?,
            Field::Masked | Field::Truncated | Field::Detached | Field::Replayed | Field::Allowed | Field::Flaky => {
                if map.next_value()? {
                    self.set(field);
                }
            }
            Field::Outcome => self.outcome = text(map)?,
            Field::Output => self.output = Some(map.next_value()?),
            Field::Text => self.text = optional_text(map)?,
            Field::Attempt => self.attempt = Some(map.next_value()?),
            Field::Reason => self.reason = text(map)?,
            Field::FailureKind => self.failure_kind = optional_text(map)?,
            Field::Fingerprint => self.fingerprint = optional_text(map)?,
            Field::RunId
            | Field::Version
            | Field::Executor
            | Field::Sha
            | Field::Ref
            | Field::Seed
            | Field::Jobs
            | Field::Number
            | Field::Repo
            | Field::PushedAtMs
            | Field::Params
            | Field::ResumedFrom
            | Field::Args
            | Field::Pipeline => self.run.get_or_insert_default().field(field, map)?,
            Field::Unknown => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'de> RunFields<'de> {
    fn field<A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        match field {
            Field::RunId => self.run_id = text(map)?,
            Field::Version => self.version = text(map)?,
            Field::Executor => self.executor = text(map)?,
            Field::Sha => self.sha = optional_text(map)?,
            Field::Ref => self.ref_name = optional_text(map)?,
            Field::Seed => self.seed = map.next_value()?,
            Field::Jobs => self.jobs = map.next_value()?,
            Field::Number => self.number = map.next_value()?,
            Field::Repo => self.repo = optional_text(map)?,
            Field::PushedAtMs => self.pushed_at_ms = map.next_value()?,
            Field::Params => self.params = map.next_value()?,
            Field::Args => self.args = map.next_value()?,
            Field::Pipeline => self.pipeline = optional_text(map)?,
            _ => self.resumed_from = optional_text(map)?,
        }
        Ok(())
    }
}

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    map.next_value().map(|Text(text)| Some(text))
}

fn optional_text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    map.next_value().map(|text: Option<Text<'de>>| text.map(|Text(text)| text))
}

fn texts<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<Cow<'de, str>>, A::Error> {
    map.next_value().map(|texts: Vec<Text<'de>>| texts.into_iter().map(|Text(text)| text).collect())
}

struct FieldsVisitor<'a, 'de>(&'a mut Fields<'de>);

impl<'de> Visitor<'de> for FieldsVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let FieldsVisitor(fields) = self;
        while let Some(field) = map.next_key::<Field>()? {
            if !fields.is_of_kind(field) {
                map.next_value::<IgnoredAny>()?;
            } else if fields.see(field) {
                fields.field(field, &mut map)?;
            } else {
                return Err(A::Error::custom(format_args!("the field {} is given twice", field.name())));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
        struct FieldVisitor;

        impl Visitor<'_> for FieldVisitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Field, E> {
                Ok(Field::parse(name))
            }
        }

        deserializer.deserialize_identifier(FieldVisitor)
    }
}

/// A string, borrowed from the line where it holds no escape.
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}
