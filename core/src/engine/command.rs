//! One command of a job: from the script's request to what is started, and to what the script is told of its end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::Config;
use super::io::{CommandSpec, ExitStatus, SpawnFailure};
use crate::capture::{CaptureSpec, Captured};
use crate::digest::Digest;
use crate::ids::{JobId, ShId};
use crate::pipeline::{JobOptions, Place};
use crate::redact::SecretSet;
use crate::script::{CommandText, ShRequest, ShResult};
use crate::wire::Cause;

/// Set for every command unless something else sets them, so that tools print as they would on a terminal.
const UNLESS_SET: [(&str, &str); 4] =
    [("CLICOLOR_FORCE", "1"), ("FORCE_COLOR", "1"), ("CARGO_TERM_COLOR", "always"), ("PYTHONUNBUFFERED", "1")];

/// What runs a line where nothing else is asked for.
const DEFAULT_SHELL: &str = "sh";

/// What takes the place of the workspace's path in a replay key.
const WORKSPACE: &str = "<workspace>";

/// A command that a script asked for.
#[derive(Debug)]
pub(super) struct Command {
    /// Its job.
    pub job: usize,
    /// Its name in the record, once it has started.
    pub sh: Option<ShId>,
    /// For people, not masked.
    pub cmd: String,
    /// Its replay key.
    pub key: String,
    /// Where the script asked for it, where that is known.
    pub place: Option<Place>,
    /// The part of its environment that its job's options and the script gave.
    pub given: BTreeMap<String, Option<String>>,
    /// The shell that they asked for, where it is one at all and not `sh`.
    pub shell: Option<String>,
    /// What to start, but for QUIRE_SH.
    pub spec: CommandSpec,
    /// How to capture it.
    pub capture: CaptureSpec,
    /// Its own time.
    pub timeout: Option<Duration>,
    /// Its failure fails the job, where no script waits for it.
    pub check: bool,
    /// It takes no slot and is stopped at the job's end.
    pub service: bool,
    /// Where it stands.
    pub state: CommandState,
}

/// Where a command stands.
#[derive(Debug)]
pub(super) enum CommandState {
    /// Before the slots.
    Queued,
    /// An earlier run's record answers it; it was asked to end for this cause meanwhile.
    Replaying(Option<Cause>),
    /// Started.
    Running(Running),
    /// Over.
    Ended(Box<ShResult>),
}

/// A command that was started: what is known of its end.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub exited: Option<ExitStatus>,
    pub output: Option<Captured>,
    pub cause: Option<Cause>,
}

/// Exit code and signal as the record has them.
pub(super) fn exit_code(status: ExitStatus) -> (i32, Option<i32>) {
    match status {
        ExitStatus::Code(code) => (code, None),
        ExitStatus::Signal(signal) => (128 + signal, Some(signal)),
    }
}

/// Exit code and text of a command that never started.
pub(super) fn never_started(failure: SpawnFailure, spec: &CommandSpec) -> (i32, String) {
    let program = spec.argv.first().map(|word| String::from_utf8_lossy(word)).unwrap_or_default();
    match failure {
        SpawnFailure::NotFound { searched } if searched.is_empty() => (127, format!("program not found: {program}")),
        SpawnFailure::NotFound { searched } => (127, format!("program not found: {program} (PATH: {searched})")),
        SpawnFailure::Cwd { message } => (126, format!("cannot run in directory {:?}: {message}", spec.cwd)),
        SpawnFailure::Other { message } => (126, format!("cannot start {program}: {message}")),
    }
}

/// The variables that are the same for all commands of a job, on top of the run's base environment; `None` removes. Of the
/// configuration it takes the base environment, the run's id and number, commit and ref.
pub fn job_environment(config: &Config, job: &JobId, options: &JobOptions) -> BTreeMap<String, Option<String>> {
    let mut env = BTreeMap::new();
    let colourless = config.env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    for (name, value) in UNLESS_SET {
        let is_unwanted = colourless && name != "PYTHONUNBUFFERED";
        if !is_unwanted && !config.env.contains_key(name) {
            env.insert(name.to_owned(), Some(value.to_owned()));
        }
    }
    env.extend(options.env.clone());
    let mut fixed = |name: &str, value: Option<String>| {
        env.insert(name.to_owned(), value);
    };
    fixed("CI", Some("true".to_owned()));
    fixed("QUIRE_RUN_ID", Some(config.run_id.as_str().to_owned()));
    fixed("QUIRE_RUN_NUMBER", config.number.map(|number| number.to_string()));
    fixed("QUIRE_JOB_ID", Some(job.as_str().to_owned()));
    fixed("QUIRE_SHA", config.sha.clone());
    fixed("QUIRE_REF", config.ref_name.clone());
    env
}

impl Command {
    /// The command of a request. `job_env` is [`job_environment`]'s.
    pub(super) fn new(
        job: usize,
        request: ShRequest,
        options: &JobOptions,
        job_env: &BTreeMap<String, Option<String>>,
        config: &Config,
        secrets: &SecretSet,
    ) -> Command {
        let shell = request.shell.as_deref().or(options.shell.as_deref()).unwrap_or(DEFAULT_SHELL);
        let (argv, cmd, shell) = match &request.text {
            CommandText::Argv(argv) => (argv.clone(), quoted(argv), None),
            CommandText::Line(line) => {
                (in_shell(shell, line), String::from_utf8_lossy(line).into_owned(), Some(shell.to_owned()))
            }
        };
        let cwd = request.cwd.clone().or_else(|| options.cwd.clone()).unwrap_or_default();
        let mut given = options.env.clone();
        given.extend(request.env.clone());
        let key = key(&argv, &cwd, &given, &request, config, secrets);
        let mut env = job_env.clone();
        env.extend(request.env);
        // An option that quire's own variables override says nothing about the command.
        given.retain(|name, value| env.get(name) == Some(value));
        Command {
            job,
            sh: None,
            cmd,
            key,
            place: request.place,
            given,
            shell: shell.filter(|shell| shell != DEFAULT_SHELL),
            spec: CommandSpec { argv, cwd, env, stdin: request.stdin },
            capture: CaptureSpec {
                merge: request.merge,
                tap: request.tap,
                output_limit: config.limits.output_bytes,
                idle_limit: config.limits.idle,
            },
            timeout: request.timeout,
            check: request.check && !request.service,
            service: request.service,
            state: CommandState::Queued,
        }
    }
}

/// The argv of a line (`rt.sh` of a string): how its shell is told to run it. A shell stops at the first command that fails; any
/// other program is given `-c`.
pub fn in_shell(shell: &str, line: &[u8]) -> Vec<Vec<u8>> {
    let flags = strict_flags(shell).unwrap_or(&["-c"]);
    let words = std::iter::once(shell).chain(flags.iter().copied()).map(|word| word.as_bytes().to_vec());
    words.chain(std::iter::once(line.to_vec())).collect()
}

/// Whether the program that runs lines is a shell in the tradition of `sh`, by its name.
pub fn speaks_sh(shell: &str) -> bool {
    strict_flags(shell).is_some()
}

fn strict_flags(shell: &str) -> Option<&'static [&'static str]> {
    match shell.rsplit('/').next().unwrap_or(shell) {
        "bash" => Some(&["-eo", "pipefail", "-c"]),
        "sh" | "dash" | "ash" | "ksh" | "mksh" | "zsh" => Some(&["-e", "-c"]),
        _ => None,
    }
}

/// An argv as a person would type it for `sh`; what is not UTF-8 becomes U+FFFD.
pub fn quoted(argv: &[Vec<u8>]) -> String {
    let word = |word: &Vec<u8>| {
        let text = String::from_utf8_lossy(word);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What determines a command (DESIGN "Replay"), hashed: argv, directory, given environment, standard input, one pipe or two;
/// masked, and without the workspace's own path. 32 hex digits.
fn key(
    argv: &[Vec<u8>],
    cwd: &str,
    given: &BTreeMap<String, Option<String>>,
    request: &ShRequest,
    config: &Config,
    secrets: &SecretSet,
) -> String {
    let mut digest = Digest::new();
    let mut field = |bytes: &[u8]| {
        let masked = secrets.mask_bytes(bytes);
        let bytes = masked.as_deref().unwrap_or(bytes);
        match replaced(bytes, config.workspace.as_bytes()) {
            Some(replaced) => digest.field(&replaced),
            None => digest.field(bytes),
        }
    };
    for word in argv {
        field(word);
    }
    field(cwd.as_bytes());
    for (name, value) in given {
        field(name.as_bytes());
        field(value.as_deref().unwrap_or("\0").as_bytes());
    }
    field(request.stdin.as_deref().unwrap_or_default());
    field(&[u8::from(request.merge), u8::from(request.stdin.is_some())]);
    let mut hex = digest.hex();
    hex.truncate(32);
    hex
}

fn replaced(bytes: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if path.len() < 2 {
        return None;
    }
    memchr::memmem::find(bytes, path)?;
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(bytes, path) {
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        out.extend_from_slice(WORKSPACE.as_bytes());
        from = at + path.len();
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argv_is_shown_as_it_would_be_typed() {
        for (argv, shown) in [
            (&["cargo", "test"][..], "cargo test"),
            (&["echo", "a b", ""], "echo 'a b' ''"),
            (&["sh", "-c", "it's"], r"sh -c 'it'\''s'"),
            (&["x", "$HOME", "a=b"], "x '$HOME' a=b"),
        ] {
            let argv: Vec<_> = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(quoted(&argv), shown);
        }
    }

    #[test]
    fn shells_stop_at_the_first_failure() {
        let told = |shell: &str| {
            in_shell(shell, b"x").iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told("sh"), "sh -e -c x");
        assert_eq!(told("/bin/bash"), "/bin/bash -eo pipefail -c x");
        assert_eq!(told("python3"), "python3 -c x");
    }
}
