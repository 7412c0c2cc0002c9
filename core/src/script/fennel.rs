//! Fennel: files of the pipeline that the reference compiler turns into Lua, in a VM of its own.
//!
//! The compiler's text comes from the shell ([`FennelCompiler`]), the files and macro modules are those of the [`Source`]: no
//! file is read here, and none can be from there. Macros are given the sandbox's standard library, so that they are bounded as
//! scripts are: in instructions, in memory, in what one call of a built-in function may do. Only what the compiler printed,
//! Lua, enters the sandbox; [`lines`] gives it the lines of the Fennel.
//!
//! Each file is compiled once a run, in slices, when it is first asked for.

mod lines;
mod said;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use mlua::chunk::ChunkMode;
use mlua::debug::Debug;
use mlua::{Function, HookTriggers, Lua, LuaOptions, LuaString, StdLib, Table, Value as LuaValue};

use super::program::{MODULES, error_text};
use super::stdlib;
use super::vm::{Failure, Meter, UNIT, compile};
use crate::engine::{Compiler, FennelCompiler, Limits, Source};
use crate::pipeline::{Diagnostic, Place, check};

/// The oldest compiler that is accepted; the driver reaches into the compiler's modules and is tested with 1.5.3.
const OLDEST: [u32; 3] = [1, 5, 2];

/// How the compiler is installed, for people.
pub const INSTALL: &str = "install Fennel 1.5.2 or newer: `apt install fennel` (Debian, Ubuntu), `dnf install fennel` (Fedora), \
    `pacman -S fennel` (Arch), `brew install fennel` (Homebrew) or `luarocks install fennel`; or name a fennel.lua in QUIRE_FENNEL";

/// Below this much memory nothing is collected, in bytes: compiling a pipeline takes less than a third of it.
const UNCOLLECTED: usize = 16 * 1024 * 1024;

/// The globals that a pipeline has: the compiler calls all others unknown.
const GLOBALS: &[&str] = &[
    "_G",
    "_VERSION",
    "assert",
    "coroutine",
    "error",
    "getmetatable",
    "ipairs",
    "json",
    "math",
    "next",
    "pairs",
    "pcall",
    "print",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "require",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "utf8",
    "xpcall",
];

/// Is the file of this name Fennel?
pub(super) fn is_fennel(file: &str) -> bool {
    file.ends_with(".fnl")
}

/// The Fennel files of a pipeline.
#[derive(Debug)]
pub(super) struct Fennel {
    source: Arc<Source>,
    limits: Limits,
    vm: OnceLock<Result<CompilerVm, Failure>>,
    units: BTreeMap<String, OnceLock<Result<Unit, Failure>>>,
}

/// A compiled file.
#[derive(Debug)]
pub(super) struct Unit {
    /// A dump of the Lua, its lines those of the Fennel.
    pub code: Vec<u8>,
    /// What macros printed.
    pub logs: Vec<String>,
}

impl Fennel {
    /// Nothing is compiled yet. `None`: no file is Fennel.
    pub(super) fn new(source: &Source, limits: &Limits) -> Option<Fennel> {
        let files = std::iter::once(&source.file).chain(source.modules.keys());
        let units: BTreeMap<_, _> =
            files.filter(|file| is_fennel(file)).map(|file| (file.clone(), OnceLock::new())).collect();
        let limits = limits.clone();
        (!units.is_empty()).then(|| Fennel { source: Arc::new(source.clone()), limits, vm: OnceLock::new(), units })
    }

    /// The compiled file; `None` where it is not ready: a slice of work was done, ask again.
    pub(super) fn unit(&self, file: &str) -> Option<Result<&Unit, &Failure>> {
        let slot = self.units.get(file)?;
        if slot.get().is_none() {
            self.work(file);
        }
        slot.get().map(Result::as_ref)
    }

    /// What macros printed in all files that are compiled, in order of their names.
    pub(super) fn logs(&self) -> Vec<String> {
        let units = self.units.values().filter_map(|slot| slot.get()?.as_ref().ok());
        units.flat_map(|unit| unit.logs.iter().cloned()).collect()
    }

    fn work(&self, wanted: &str) {
        let set = |file: &str, result| {
            if let Some(slot) = self.units.get(file) {
                // It is set once: only what is not ready is compiled.
                let _ = slot.set(result);
            }
        };
        match self.vm.get_or_init(|| CompilerVm::new(Arc::clone(&self.source), &self.limits)) {
            Err(failure) => set(wanted, Err(failure.clone())),
            Ok(vm) => {
                if let Some((file, result)) = vm.step(wanted) {
                    let result = result.and_then(|output| vm.unit(&file, output));
                    set(&file, result);
                }
            }
        }
    }
}

/// What the compiler made of a file.
#[derive(Debug)]
struct Output {
    lua: Vec<u8>,
    /// For each line of it the line in the file; `None`: they are the same.
    lines: Option<Vec<u32>>,
    logs: Vec<String>,
}

/// The VM of the compiler.
#[derive(Debug)]
struct CompilerVm {
    step: Function,
    meter: Arc<Meter>,
    source: Arc<Source>,
    /// Where the compiler was found.
    path: String,
    bytes: usize,
    lua: Lua,
}

impl CompilerVm {
    fn new(source: Arc<Source>, limits: &Limits) -> Result<CompilerVm, Failure> {
        let compiler = match &source.fennel {
            Compiler::Found(compiler) => compiler.clone(),
            Compiler::NotFound(places) => return Err(missing(places)),
            Compiler::NotSought => return Err(missing("no place")),
        };
        CompilerVm::build(source, compiler, limits).map_err(|error| Failure {
            message: format!("the Fennel compiler's VM could not be made: {}", error_text(&error)),
            place: None,
        })
    }

    fn build(source: Arc<Source>, compiler: FennelCompiler, limits: &Limits) -> mlua::Result<CompilerVm> {
        const DRIVER: &str = include_str!("prelude/fennel.lua");
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::UTF8 | StdLib::COROUTINE;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        lua.set_memory_limit(limits.vm_bytes)?;
        lua.gc_stop();
        let meter = Arc::new(Meter::new(limits));
        let driver = lua.load(DRIVER).set_name("=quire.fennel").into_function()?;
        let (installed, step): (Function, Function) =
            driver.call((lua.globals(), natives(&lua, &meter, &source, compiler.text)?))?;
        stdlib::install(&lua, &lua.globals(), 0)?;
        installed.call::<()>(())?;
        Ok(CompilerVm { step, meter, source, path: compiler.path, bytes: limits.vm_bytes, lua })
    }

    /// Runs a slice; gives a file that is finished, `wanted` or one that was begun before.
    fn step(&self, wanted: &str) -> Option<(String, Result<Output, Failure>)> {
        if self.meter.killed.load(Ordering::Relaxed) {
            let message = "the Fennel compiler was ended while it compiled another file".to_owned();
            return Some((wanted.to_owned(), Err(Failure { message, place: at(wanted, 1) })));
        }
        self.meter.stuck.store(0, Ordering::Relaxed);
        if self.lua.used_memory() > UNCOLLECTED {
            self.lua.gc_restart();
        }
        let stepped = self.step.call::<(Option<String>, bool, LuaValue, Option<Table>, Option<Table>)>(wanted);
        let (file, result) = match stepped {
            Ok((None, ..)) => return None,
            Ok((Some(file), done, value, lines, logs)) => {
                let result = if done { read(&value, lines, logs) } else { Err(self.said(&file, &value)) };
                (file, result)
            }
            Err(error) => {
                let failure = self.failed(wanted, &error_text(&error));
                (wanted.to_owned(), Err(failure))
            }
        };
        if self.meter.killed.load(Ordering::Relaxed) {
            let limit = self.meter.limit.saturating_mul(u64::from(UNIT));
            let message = format!(
                "compiling took more than {limit} instructions; an endless loop in a macro? a file far too large?"
            );
            return Some((file.clone(), Err(Failure { message, place: at(&file, 1) })));
        }
        self.meter.units.store(0, Ordering::Relaxed);
        Some((file, result))
    }

    /// Why the compilation of `file` failed: what the driver caught.
    fn said(&self, file: &str, value: &LuaValue) -> Failure {
        let path = &self.path;
        match value {
            LuaValue::String(text) => self.failed(file, &text.to_string_lossy()),
            LuaValue::Error(error) => self.failed(file, &error_text(error)),
            LuaValue::Table(table) => {
                let version: Option<String> = table.raw_get("version").unwrap_or_default();
                let [major, minor, patch] = OLDEST;
                let message = match version {
                    Some(version) => format!(
                        "Fennel {version} at {path} is too old: quire needs {major}.{minor}.{patch} or newer; install a newer one, or name its fennel.lua in QUIRE_FENNEL"
                    ),
                    None => format!("{path} is not the Fennel compiler; name a fennel.lua in QUIRE_FENNEL"),
                };
                Failure { message, place: None }
            }
            other => self.failed(file, &format!("an error value of type {}", other.type_name())),
        }
    }

    fn failed(&self, file: &str, text: &str) -> Failure {
        if text.contains("not enough memory") || text.contains("more memory than a VM may have") {
            let mib = self.bytes / (1024 * 1024);
            let message = format!("compiling needs more than {mib} MiB; a macro without end? a file far too large?");
            return Failure { message, place: at(file, 1) };
        }
        said::read(text, file, &self.source)
    }

    /// The Lua as a dump with the Fennel's lines.
    fn unit(&self, file: &str, output: Output) -> Result<Unit, Failure> {
        let line_of = |line: u32| match &output.lines {
            None => line,
            Some(lines) => {
                let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
                lines.get(index).or(lines.last()).copied().unwrap_or(1)
            }
        };
        let dumped = compile(&self.lua, &format!("@{file}"), &output.lua).map(|f| f.dump(false)).map_err(|error| {
            let mut failure = self.failed(file, &error_text(&error));
            if let Some(place) = failure.place.as_mut().filter(|place| place.file == file) {
                place.line = line_of(place.line);
            }
            failure
        })?;
        let code = lines::relocate(&dumped, &line_of)
            .ok_or_else(|| Failure { message: "Lua's dump has another format".into(), place: at(file, 1) })?;
        Ok(Unit { code, logs: output.logs })
    }
}

/// No compiler; what to do stands behind the semicolon.
fn missing(places: &str) -> Failure {
    let message = format!("the Fennel compiler is not installed: looked at {places}; {INSTALL}");
    Failure { message, place: None }
}

fn at(file: &str, line: u32) -> Option<Place> {
    Some(Place { file: file.to_owned(), line, column: None })
}

fn read(value: &LuaValue, lines: Option<Table>, logs: Option<Table>) -> Result<Output, Failure> {
    let values = || -> mlua::Result<Output> {
        let lua = value.as_string().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
        let lines = lines.map(|lines| lines.sequence_values().collect::<mlua::Result<Vec<u32>>>()).transpose()?;
        let logs =
            logs.map(|logs| logs.sequence_values::<LuaString>().collect::<mlua::Result<Vec<_>>>()).transpose()?;
        let logs = logs.unwrap_or_default().iter().map(LuaString::to_string_lossy).collect();
        Ok(Output { lua, lines, logs })
    };
    values().map_err(|error| Failure { message: error_text(&error), place: None })
}

/// What the driver needs of Rust.
fn natives(lua: &Lua, meter: &Arc<Meter>, source: &Arc<Source>, compiler: Arc<[u8]>) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    native.raw_set("library", MODULES)?;
    native.raw_set("globals", lua.create_sequence_from(GLOBALS.iter().copied())?)?;
    let dying = Arc::clone(meter);
    native.raw_set("killed", lua.create_function(move |_, ()| Ok(dying.killed.load(Ordering::Relaxed)))?)?;
    let texts = Arc::clone(source);
    native.raw_set(
        "text",
        lua.create_function(move |lua, file: String| {
            let main = (file == texts.file).then_some(&texts.text);
            main.or_else(|| texts.modules.get(&file)).map(|text| lua.create_string(text)).transpose()
        })?,
    )?;
    native.raw_set(
        "compiler",
        lua.create_function(move |lua, env: Table| {
            let text = without_prompt(&compiler);
            let chunk = lua.load(&*text).set_name("=fennel").set_mode(ChunkMode::Text).set_environment(env);
            Ok(chunk.into_function().map_err(|error| error_text(&error)))
        })?,
    )?;
    let counted = Arc::clone(meter);
    native.raw_set("count", lua.create_function(move |lua, on: bool| count(lua, &counted, on))?)?;
    native.raw_set("is_new_enough", lua.create_function(|_, version: String| Ok(is_new_enough(&version)))?)?;
    Ok(native)
}

/// From here on instructions are counted, or are not, in the thread that runs and in those that it makes.
fn count(lua: &Lua, meter: &Arc<Meter>, on: bool) -> mlua::Result<()> {
    if !on {
        lua.current_thread().remove_hook();
        lua.remove_global_hook();
        return Ok(());
    }
    let hook = || {
        let meter = Arc::clone(meter);
        move |_: &Lua, _: &Debug<'_>| meter.count()
    };
    let triggers = HookTriggers::new().every_nth_instruction(UNIT);
    lua.set_global_hook(triggers, hook())?;
    lua.current_thread().set_hook(triggers, hook())
}

/// A tenth of the compiler's text is its prompt for people, which nobody is shown here: it need not be read.
fn without_prompt(text: &[u8]) -> Cow<'_, [u8]> {
    const PROMPT: &[u8] = b"package.preload[\"fennel.repl\"] =";
    const NEXT: &[u8] = b"\npackage.preload[\"fennel.specials\"] =";
    let found = || {
        let from = memchr::memmem::find(text, PROMPT)?;
        let to = from + memchr::memmem::find(text.get(from..)?, NEXT)?;
        Some([text.get(..from)?, PROMPT, b" function() return false end", text.get(to..)?].concat())
    };
    found().map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Numbers up to the first that is none: `1.5.3-dev` is 1.5.3.
fn is_new_enough(version: &str) -> bool {
    let number = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().ok();
    let numbers: Vec<u32> = version.split('.').map_while(number).collect();
    numbers.as_slice() >= OLDEST.as_slice()
}

/// The Lua that the compiler makes of one Fennel file of the source, as people may read it.
///
/// # Errors
/// What the compiler says, at its place.
pub fn compile_fennel(source: &Source, file: &str, limits: &Limits) -> Result<String, Vec<Diagnostic>> {
    let compiled = || {
        let vm = CompilerVm::new(Arc::new(source.clone()), limits)?;
        loop {
            if let Some((_, result)) = vm.step(file) {
                return result;
            }
        }
    };
    let failure: Failure = match compiled() {
        Ok(output) => return Ok(String::from_utf8_lossy(&output.lua).into_owned()),
        Err(failure) => failure,
    };
    let diagnostic = Diagnostic { message: failure.message, place: failure.place, ..Diagnostic::default() };
    Err(check(Vec::new(), None, vec![diagnostic], &source.texts()).err().unwrap_or_default())
}

/// The version that the compiler says it is.
///
/// # Errors
/// It is none, it is too old, or it does not load within the limits: a sentence.
pub fn fennel_version(compiler: &FennelCompiler) -> Result<String, String> {
    let file = "version.fnl".to_owned();
    let source = Source {
        file: file.clone(),
        text: b"(eval-compiler (print version))".to_vec(),
        fennel: Compiler::Found(compiler.clone()),
        ..Source::default()
    };
    let vm = CompilerVm::new(Arc::new(source), &Limits::default()).map_err(|failure| failure.message)?;
    loop {
        if let Some((_, result)) = vm.step(&file) {
            let logs = result.map_err(|failure| failure.message)?.logs;
            return Ok(logs.into_iter().next().unwrap_or_default());
        }
    }
}
