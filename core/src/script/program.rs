//! A pipeline's source compiled once, to be loaded into each job's VM; and where in it things went wrong.

use std::collections::BTreeMap;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value as LuaValue, Variadic};

use super::fennel::{Fennel, is_fennel};
use super::vm::{Failure, compile};
use crate::engine::{Limits, Source};
use crate::pipeline::Place;

/// Lua cuts a chunk's name in messages to this many bytes (LUA_IDSIZE, the final NUL included).
const ID_SIZE: usize = 60;

/// What Lua says where its memory is used up.
const LUA_OUT_OF_MEMORY: &str = "not enough memory";
const OUT_OF_MEMORY: &str = "the script needs more memory than a VM may have (64 MiB unless configured)";

/// What is said of `error()` and its like.
const NO_MESSAGE: &str = "the script raised an error that says nothing";

/// The folder of a pipeline's modules.
pub const MODULES: &str = ".quire/lib/";

/// A compiled pipeline and the modules it may require.
#[derive(Debug)]
pub struct Program {
    file: String,
    /// Empty where it is Fennel.
    main: Vec<u8>,
    fennel: Option<Fennel>,
    /// File to text.
    modules: BTreeMap<String, Vec<u8>>,
    /// As messages name a file, to the file.
    shown: BTreeMap<String, String>,
}

impl Program {
    /// Compiles the main file, unless it is Fennel: see [`Program::prepare`]. Modules are compiled where they are required.
    pub fn compile(source: &Source, limits: &Limits) -> Result<Program, Failure> {
        let files = std::iter::once(&source.file).chain(source.modules.keys());
        let mut program = Program {
            file: source.file.clone(),
            main: Vec::new(),
            fennel: Fennel::new(source, limits),
            modules: source.modules.clone(),
            shown: files.map(|file| (short_name(file), file.clone())).collect(),
        };
        if source.text.starts_with(b"\x1b") {
            let message = "the pipeline is compiled Lua; write it as text".to_owned();
            return Err(Failure { message, place: program.main_place() });
        }
        if is_fennel(&source.file) {
            return Ok(program);
        }
        let compiled = Lua::new_with(StdLib::NONE, LuaOptions::new())
            .and_then(|lua| compile(&lua, &format!("@{}", source.file), &source.text).map(|f| f.dump(false)));
        program.main = compiled.map_err(|error| program.failure_of_error(&error))?;
        Ok(program)
    }

    /// The file of the pipeline.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Compiles a slice of a main file that is Fennel; `None` until it is done.
    pub fn prepare(&self) -> Option<Result<(), Failure>> {
        match &self.fennel {
            Some(fennel) if is_fennel(&self.file) => Some(fennel.unit(&self.file)?.map(drop).map_err(Clone::clone)),
            _ => Some(Ok(())),
        }
    }

    /// What macros printed while files were compiled.
    pub fn macro_logs(&self) -> Vec<String> {
        self.fennel.as_ref().map(Fennel::logs).unwrap_or_default()
    }

    pub(super) fn load_main(&self, lua: &Lua) -> mlua::Result<Function> {
        let unit = self.fennel.as_ref().and_then(|fennel| fennel.unit(&self.file)?.ok());
        load_dump(lua, &self.file, unit.map_or(&self.main, |unit| &unit.code))
    }

    /// What `require` calls: the module's function, or nil and why not (a text, or a table with a place), or false where it is
    /// being compiled: a slice of that was done, ask again.
    pub(super) fn load_module(&self, lua: &Lua, name: &str) -> mlua::Result<Variadic<LuaValue>> {
        let file = match self.find_module(name) {
            Ok(file) => file,
            Err(why) => {
                return Ok(Variadic::from_iter([LuaValue::Nil, LuaValue::String(lua.create_string(why)?)]));
            }
        };
        let loaded = match self.fennel.as_ref().filter(|_| is_fennel(file)) {
            None => compile(lua, &format!("@{file}"), self.modules.get(file).map(Vec::as_slice).unwrap_or_default())
                .map_err(|error| self.failure_of_error(&error)),
            Some(fennel) => match fennel.unit(file) {
                None => return Ok(Variadic::from_iter([LuaValue::Boolean(false)])),
                Some(Ok(unit)) => load_dump(lua, file, &unit.code).map_err(|error| self.failure_of_error(&error)),
                Some(Err(failure)) => Err(failure.clone()),
            },
        };
        match loaded {
            Ok(f) => Ok(Variadic::from_iter([LuaValue::Function(f)])),
            Err(failure) => {
                let table: Table = lua.create_table()?;
                table.raw_set("message", failure.message)?;
                if let Some(place) = failure.place {
                    table.raw_set("file", place.file)?;
                    table.raw_set("line", place.line)?;
                    table.raw_set("column", place.column)?;
                }
                Ok(Variadic::from_iter([LuaValue::Nil, LuaValue::Table(table)]))
            }
        }
    }

    /// The file of a module, or why there is none.
    fn find_module(&self, name: &str) -> Result<&str, String> {
        let parts: Vec<&str> = name.split(['.', '/']).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(format!("{name:?} is no name of a module: write \"name\" or \"folder.name\""));
        }
        let stem = format!("{MODULES}{}", parts.join("/"));
        let endings = [".lua", ".fnl", "/init.lua", "/init.fnl"];
        let mut found = endings.iter().filter_map(|ending| self.modules.get_key_value(&format!("{stem}{ending}")));
        match (found.next(), found.next()) {
            (Some((file, _)), None) => Ok(file),
            (Some((file, _)), Some((other, _))) => {
                Err(format!("module {name:?} is there twice, as {file} and {other}; keep one"))
            }
            (None, _) => {
                let there: Vec<&str> = self.modules.keys().filter_map(|file| file.strip_prefix(MODULES)).collect();
                let there = if there.is_empty() { "no modules".to_owned() } else { there.join(", ") };
                Err(format!(
                    "module {name:?} is not there: looked for {stem}.lua, .fnl, /init.lua and /init.fnl; {MODULES} has {there}"
                ))
            }
        }
    }

    /// File and line of the innermost function of the pipeline that is being called.
    pub(super) fn place_on_stack(&self, lua: &Lua) -> Option<(String, usize)> {
        for level in 1.. {
            let seen = lua.inspect_stack(level, |frame| {
                let source = frame.source().source.map(|name| name.into_owned());
                (source, frame.current_line())
            })?;
            if let (Some(source), Some(line)) = seen
                && let Some(file) = source.strip_prefix('@')
                && (file == self.file || self.modules.contains_key(file))
            {
                return Some((file.to_owned(), line));
            }
        }
        None
    }

    pub(super) fn main_place(&self) -> Option<Place> {
        Some(Place { file: self.file.clone(), line: 1, column: None })
    }

    /// The failure in an error that came through Rust.
    pub(super) fn failure_of_error(&self, error: &mlua::Error) -> Failure {
        self.split(&error_text(error))
    }

    /// The failure in what the prelude's `describe` returned; never without a word.
    pub(super) fn failure_of_value(&self, value: &LuaValue) -> Failure {
        let failure = self.described(value);
        let message = if failure.message.trim().is_empty() { NO_MESSAGE.to_owned() } else { failure.message };
        Failure { message, ..failure }
    }

    fn described(&self, value: &LuaValue) -> Failure {
        let LuaValue::Table(info) = value else {
            let message = match value {
                LuaValue::String(text) => text.to_string_lossy(),
                LuaValue::Error(error) => error_text(error),
                other => format!("an error value of type {}", other.type_name()),
            };
            return self.split(&message);
        };
        let text: Option<mlua::LuaString> = info.raw_get("message").unwrap_or(None);
        let message = text.map(|text| text.to_string_lossy()).unwrap_or_default();
        let file: Option<String> = info.raw_get("file").unwrap_or(None);
        let line: Option<u32> = info.raw_get("line").unwrap_or(None);
        let column: Option<u32> = info.raw_get("column").unwrap_or(None);
        let place = file.map(|file| Place { file, line: line.unwrap_or(1), column });
        if info.raw_get("prefixed").unwrap_or(false) {
            let split = self.split(&message);
            return Failure { place: split.place.or(place), message: split.message };
        }
        Failure { message, place }
    }

    /// Takes `FILE:LINE: ` off a message where FILE is one of ours.
    fn split(&self, message: &str) -> Failure {
        let message = message.trim_end();
        if message == LUA_OUT_OF_MEMORY || message == OUT_OF_MEMORY {
            return Failure { message: OUT_OF_MEMORY.to_owned(), place: self.main_place() };
        }
        for (shown, file) in &self.shown {
            let Some(rest) = message.strip_prefix(shown.as_str()).and_then(|rest| rest.strip_prefix(':')) else {
                continue;
            };
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if let Ok(line) = rest[..digits].parse::<u32>()
                && let Some(text) = rest[digits..].strip_prefix(':')
            {
                let place = Place { file: file.clone(), line: line.max(1), column: None };
                return Failure { message: text.trim_start().to_owned(), place: Some(place) };
            }
        }
        Failure { message: message.to_owned(), place: None }
    }
}

/// A function of a dump that this process made.
fn load_dump(lua: &Lua, file: &str, dump: &[u8]) -> mlua::Result<Function> {
    lua.load(dump).set_name(format!("@{file}")).set_mode(ChunkMode::Binary).into_function()
}

/// An error's own text, without the tracebacks that mlua adds.
pub(super) fn error_text(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::CallbackError { cause, .. } => error_text(cause),
        mlua::Error::RuntimeError(message) => message.split("\nstack traceback:").next().unwrap_or_default().to_owned(),
        mlua::Error::MemoryError(_) => OUT_OF_MEMORY.to_owned(),
        other => other.to_string(),
    }
}

/// A chunk's name as Lua's messages show it (`luaO_chunkid`): the whole name, or `...` and its end.
fn short_name(file: &str) -> String {
    if file.len() < ID_SIZE {
        return file.to_owned();
    }
    let mut from = file.len() - (ID_SIZE - 1 - 3);
    while !file.is_char_boundary(from) {
        from += 1;
    }
    format!("...{}", &file[from..])
}
