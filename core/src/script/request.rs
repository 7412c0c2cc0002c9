//! What a script asks of the engine, typed: the Lua side of the conversation is read and written here and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use mlua::{Lua, LuaString, Table, Value as LuaValue};
use serde_json::Value;

use crate::capture::Tap;
use crate::pipeline::Place;

/// A command as the script gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandText {
    /// For a shell.
    Line(Vec<u8>),
    /// Program and arguments, no shell.
    Argv(Vec<Vec<u8>>),
}

/// `rt.sh`, `rt.out`, `rt.spawn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShRequest {
    /// What to run.
    pub text: CommandText,
    /// Given environment; `None` removes.
    pub env: BTreeMap<String, Option<String>>,
    /// Given directory.
    pub cwd: Option<String>,
    /// Given standard input.
    pub stdin: Option<Vec<u8>>,
    /// Given time.
    pub timeout: Option<Duration>,
    /// Given shell.
    pub shell: Option<String>,
    /// One pipe for both outputs.
    pub merge: bool,
    /// What the answer keeps of a long output.
    pub tap: Tap,
    /// A failure fails the job (an unwaited spawned command's only).
    pub check: bool,
    /// A service: takes no slot, is stopped at the job's end.
    pub service: bool,
    /// Where the script asks, where [`super::JobFacts::is_traced`].
    pub place: Option<Place>,
}

/// One request of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Run a command and wait for it.
    Sh(ShRequest),
    /// Start a command; answered with its id at once.
    Spawn(ShRequest),
    /// Wait for a spawned command.
    Wait(u64),
    /// Stop a spawned command and wait for its end.
    Stop(u64),
    /// A line for people.
    Log(String),
    /// End the job as skipped; never answered.
    Skip(String),
    /// A declared secret.
    Secret(String),
    /// Mask this from now on.
    Mask(Vec<u8>),
    /// A variable of the commands' base environment.
    Env(String),
    /// The output of a job upstream.
    Output(String),
    /// A file's content.
    Read(String),
    /// Write a file.
    Write {
        /// Relative to the workspace.
        path: String,
        /// All of it.
        content: Vec<u8>,
    },
    /// Files that match.
    Glob(Vec<String>),
    /// Digest of files that match.
    Hash(Vec<String>),
}

/// How a command ended, as the script sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShResult {
    /// Exit code, 128 + signal for a signal.
    pub exit: i32,
    /// Raw bytes.
    pub stdout: Vec<u8>,
    /// Raw bytes.
    pub stderr: Vec<u8>,
    /// Stdout lacks bytes.
    pub stdout_truncated: bool,
    /// Stderr lacks bytes.
    pub stderr_truncated: bool,
    /// For people.
    pub cmd: String,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// `timeout`, `cancel`, `limit`.
    pub cause: Option<&'static str>,
    /// Its time, where it ran out of it.
    pub after: Option<Duration>,
    /// Why it never started.
    pub error: Option<String>,
}

impl ShResult {
    /// Why the command counts as failed, for people; `None` for exit code 0 within its time.
    pub fn failure(&self) -> Option<String> {
        let cmd = &self.cmd;
        if let Some(error) = &self.error {
            return Some(error.clone());
        }
        match (self.cause, self.after) {
            (Some("timeout"), Some(after)) => {
                return Some(format!("command timed out after {}: {cmd}", crate::time::shown(after)));
            }
            (Some("timeout"), None) => return Some(format!("command was ended as its job's time was up: {cmd}")),
            (Some("limit"), _) => return Some(format!("command reached a limit of its output and was ended: {cmd}")),
            (Some("cancel"), _) if self.exit != 0 => return Some(format!("command was stopped: {cmd}")),
            _ => {}
        }
        match (self.signal, self.exit) {
            (Some(signal), _) => Some(format!("command was ended by {}: {cmd}", crate::signal::name(signal))),
            (None, 0) => None,
            (None, exit) => Some(format!("command failed with exit code {exit}: {cmd}")),
        }
    }
}

/// The engine's answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing to say.
    Nothing,
    /// An error, raised where the script asked.
    Error(String),
    /// Bytes, as a Lua string.
    Bytes(Vec<u8>),
    /// Texts, as a list.
    Texts(Vec<String>),
    /// Plain data.
    Data(Value),
    /// A spawned command's id.
    Id(u64),
    /// A command's end.
    Result(Box<ShResult>),
}

/// What came up from the VM was not of the prelude's making: our own bug, told as an error of the script.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox asked for something that makes no sense: {0}")]
pub(super) struct Malformed(String);

impl From<mlua::Error> for Malformed {
    fn from(error: mlua::Error) -> Malformed {
        Malformed(error.to_string())
    }
}

fn text(value: &LuaValue, what: &str) -> Result<String, Malformed> {
    match value {
        LuaValue::String(s) => Ok(s.to_string_lossy()),
        other => Err(Malformed(format!("{what} is a {}", other.type_name()))),
    }
}

fn bytes(value: &LuaValue, what: &str) -> Result<Vec<u8>, Malformed> {
    match value {
        LuaValue::String(s) => Ok(s.as_bytes().to_vec()),
        other => Err(Malformed(format!("{what} is a {}", other.type_name()))),
    }
}

fn texts(value: &LuaValue) -> Result<Vec<String>, Malformed> {
    let LuaValue::Table(table) = value else { return Err(Malformed("a list is no table".into())) };
    (1..=table.raw_len()).map(|i| text(&table.raw_get(i)?, "an element")).collect()
}

fn id(value: &LuaValue) -> Result<u64, Malformed> {
    value.as_integer().and_then(|n| u64::try_from(n).ok()).ok_or_else(|| Malformed("a handle has no id".into()))
}

fn sh(value: &LuaValue) -> Result<ShRequest, Malformed> {
    let LuaValue::Table(table) = value else { return Err(Malformed("a command is no table".into())) };
    let line: LuaValue = table.raw_get("line")?;
    let text_ = if let LuaValue::String(line) = &line {
        CommandText::Line(line.as_bytes().to_vec())
    } else {
        let argv: Table = table.raw_get("argv")?;
        let words = (1..=argv.raw_len()).map(|i| bytes(&argv.raw_get(i)?, "a word"));
        CommandText::Argv(words.collect::<Result<_, Malformed>>()?)
    };
    let mut request = ShRequest {
        text: text_,
        env: BTreeMap::new(),
        cwd: None,
        stdin: None,
        timeout: None,
        shell: None,
        merge: false,
        tap: if table.raw_get::<Option<bool>>("whole")?.unwrap_or(false) { Tap::Whole } else { Tap::Ends },
        check: true,
        service: false,
        place: place(table)?,
    };
    // Few options are given: looking for each of them by name would take longer than the rest of the request.
    for option in table.raw_get::<Table>("options")?.pairs::<LuaString, LuaValue>() {
        let (name, value) = option?;
        set_option(&mut request, &name.as_bytes(), &value)?;
    }
    Ok(request)
}

fn set_option(request: &mut ShRequest, name: &[u8], value: &LuaValue) -> Result<(), Malformed> {
    let flag = || value.as_boolean().ok_or_else(|| Malformed("a flag is none".into()));
    match name {
        b"env" => {
            let LuaValue::Table(given) = value else { return Err(Malformed("env is no table".into())) };
            for pair in given.pairs::<String, LuaValue>() {
                let (name, value) = pair?;
                let value = if value == LuaValue::Boolean(false) { None } else { Some(text(&value, "a variable")?) };
                request.env.insert(name, value);
            }
        }
        b"cwd" => request.cwd = Some(text(value, "cwd")?),
        b"shell" => request.shell = Some(text(value, "shell")?),
        b"stdin" => request.stdin = Some(bytes(value, "stdin")?),
        b"timeout" => {
            let seconds = value.as_number().or(value.as_integer().map(|seconds| seconds as f64));
            request.timeout = Some(duration(seconds.ok_or_else(|| Malformed("a time is no number".into()))?));
        }
        b"merge" => request.merge = flag()?,
        b"check" => request.check = flag()?,
        b"service" => request.service = flag()?,
        b"capture" => match bytes(value, "capture")?.as_slice() {
            b"head" => request.tap = Tap::Head,
            b"tail" => request.tap = Tap::Tail,
            _ => {}
        },
        // The prelude's own.
        _ => {}
    }
    Ok(())
}

fn place(request: &Table) -> Result<Option<Place>, Malformed> {
    let file: Option<String> = request.raw_get("file")?;
    let line: Option<u32> = request.raw_get("line_number")?;
    Ok(file.map(|file| Place { file, line: line.unwrap_or(1), column: None }))
}

/// Seconds that the prelude has checked to a duration.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Reads what the prelude's `ask` yielded.
pub(super) fn parse(operation: &str, argument: &LuaValue) -> Result<Request, Malformed> {
    Ok(match operation {
        "sh" => Request::Sh(sh(argument)?),
        "spawn" => Request::Spawn(sh(argument)?),
        "wait" => Request::Wait(id(argument)?),
        "stop" => Request::Stop(id(argument)?),
        "log" => Request::Log(text(argument, "a log line")?),
        "skip" => Request::Skip(text(argument, "a reason")?),
        "secret" => Request::Secret(text(argument, "a name")?),
        "mask" => Request::Mask(bytes(argument, "a text")?),
        "env" => Request::Env(text(argument, "a name")?),
        "output" => Request::Output(text(argument, "a job id")?),
        "read" => Request::Read(text(argument, "a path")?),
        "write" => {
            let LuaValue::Table(table) = argument else { return Err(Malformed("a write is no table".into())) };
            Request::Write {
                path: text(&table.raw_get("path")?, "a path")?,
                content: bytes(&table.raw_get("content")?, "content")?,
            }
        }
        "glob" => Request::Glob(texts(argument)?),
        "hash" => Request::Hash(texts(argument)?),
        other => return Err(Malformed(format!("operation {other:?}"))),
    })
}

/// The answer as the two values that `ask` expects: whether it went well, and the value or the error's text.
pub(super) fn to_lua(lua: &Lua, reply: Reply) -> mlua::Result<(bool, LuaValue)> {
    Ok(match reply {
        Reply::Nothing => (true, LuaValue::Nil),
        Reply::Error(message) => (false, LuaValue::String(lua.create_string(message)?)),
        Reply::Bytes(bytes) => (true, LuaValue::String(lua.create_string(bytes)?)),
        Reply::Texts(texts) => (true, LuaValue::Table(lua.create_sequence_from(texts)?)),
        Reply::Data(value) => (true, super::stdlib::from_json(lua, &value)?),
        Reply::Id(id) => (true, LuaValue::Integer(i64::try_from(id).unwrap_or(i64::MAX))),
        Reply::Result(result) => (true, LuaValue::Table(result_table(lua, *result)?)),
    })
}

fn result_table(lua: &Lua, result: ShResult) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 8)?;
    if let Some(failure) = result.failure() {
        table.raw_set("failure", failure)?;
    }
    table.raw_set("exit", result.exit)?;
    table.raw_set("stdout", lua.create_string(&result.stdout)?)?;
    table.raw_set("stderr", lua.create_string(&result.stderr)?)?;
    table.raw_set("cmd", result.cmd)?;
    table.raw_set("truncated", false)?;
    if result.stdout_truncated || result.stderr_truncated {
        let streams = lua.create_table()?;
        streams.raw_set("stdout", result.stdout_truncated)?;
        streams.raw_set("stderr", result.stderr_truncated)?;
        table.raw_set("truncated_streams", streams)?;
    }
    if let Some(signal) = result.signal {
        table.raw_set("signal", signal)?;
    }
    if let Some(cause) = result.cause {
        table.raw_set("cause", cause)?;
    }
    Ok(table)
}
