//! One VM: a pipeline's source in a sandbox, run as a coroutine in slices, bounded in instructions and memory.
//!
//! Owns the VM's life and the meter; what a script may call is the prelude's (`prelude/*.lua`) and the standard library's
//! ([`super::stdlib`]); what its requests mean is the engine's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mlua::chunk::ChunkMode;
use mlua::thread::ThreadStatus;
use mlua::{
    Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Thread, Value as LuaValue, VmState,
};
use serde_json::Value;

use super::advice::instead_of;
use super::fennel::is_fennel;
use super::program::Program;
use super::request::{self, Reply, Request};
use super::stdlib;
use crate::engine::Limits;
use crate::pipeline::{Diagnostic, Place, RawJob};
use crate::pipeline::{JobOptions, Needs};

/// Instructions between two looks of the meter.
pub(super) const UNIT: u32 = 1_000;
/// Units in a slice: a busy script gives the thread back after about 100,000 instructions.
const UNITS_PER_SLICE: u64 = 100;
/// A VM that uses less than so many bytes does not collect garbage: most end before it would be worth while, and the first
/// collection would walk all of the prelude.
const NO_GARBAGE_BYTES: usize = 512 * 1024;
/// Units that a script may run where it cannot be suspended (inside a metamethod that a built-in function calls).
const UNITS_STUCK: u64 = 20_000;

/// Where a run of Lua stands.
#[derive(Debug)]
pub enum Step {
    /// The slice is over, the script is not: resume it again.
    Slice,
    /// The script waits for an answer.
    Request(Request),
    /// The function returned.
    Returned(Result<Option<Value>, Failure>),
    /// The script raised, or was ended.
    Failed(Failure),
}

/// As [`Step`], before what was returned is read.
pub(super) enum Advance {
    Slice,
    Request(Request),
    Returned(LuaValue),
    Failed(Failure),
}

/// Why a script failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// For people, not yet masked.
    pub message: String,
    /// Where, as far as it is known.
    pub place: Option<Place>,
}

/// Counts instructions and remembers that a script is to die, for the hook and for `pcall`.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub units: AtomicU64,
    /// Units since the script was last suspended.
    pub stuck: AtomicU64,
    pub limit: u64,
    pub killed: AtomicBool,
    /// The VM has grown so far that it collects garbage.
    collects: AtomicBool,
}

impl Meter {
    pub fn new(limits: &Limits) -> Meter {
        Meter { limit: (limits.instructions / u64::from(UNIT)).max(1), ..Meter::default() }
    }

    /// Garbage is collected from now on, if there may be some.
    fn look_at_memory(&self, lua: &Lua) {
        if !self.collects.load(Ordering::Relaxed) && lua.used_memory() > NO_GARBAGE_BYTES {
            self.collects.store(true, Ordering::Relaxed);
            lua.gc_restart();
        }
    }

    /// Counts one unit; what the hook shall do.
    pub fn count(&self) -> mlua::Result<VmState> {
        let units = self.units.fetch_add(1, Ordering::Relaxed) + 1;
        let stuck = self.stuck.fetch_add(1, Ordering::Relaxed) + 1;
        if units > self.limit || stuck > UNITS_STUCK {
            // The first time where it can be suspended; if that does not take, raise, and again after each pcall.
            if self.killed.swap(true, Ordering::Relaxed) || stuck > UNITS_STUCK {
                return Err(mlua::Error::RuntimeError("killed".into()));
            }
            return Ok(VmState::Yield);
        }
        Ok(if stuck >= UNITS_PER_SLICE { VmState::Yield } else { VmState::Continue })
    }
}

/// Facts that a job's function is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFacts {
    /// The job.
    pub id: String,
    /// From 1.
    pub attempt: u32,
    /// What `math.random` draws from in the job's function.
    pub seed: u64,
    /// `rt.args`.
    pub args: Vec<String>,
    /// `rt.params`.
    pub params: BTreeMap<String, String>,
    /// Commit.
    pub sha: Option<String>,
    /// Full ref name.
    pub ref_name: Option<String>,
    /// Unix milliseconds.
    pub pushed_at_ms: Option<i64>,
    /// Commands tell where the script asked for them.
    pub is_traced: bool,
}

/// What the top level defined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definitions {
    /// In order.
    pub jobs: Vec<RawJob>,
    /// `ci.image`.
    pub image: Option<String>,
    /// Where the image is named.
    pub image_place: Option<Place>,
    /// Errors in calls.
    pub problems: Vec<Diagnostic>,
}

/// One sandboxed VM over one program.
pub struct Vm {
    thread: Option<Thread>,
    /// What the thread is first resumed with.
    pending: Option<(LuaValue, LuaValue)>,
    entry: Function,
    host: Table,
    /// Lua's own `math.randomseed`.
    reseed: Function,
    meter: Arc<Meter>,
    program: Arc<Program>,
    lua: Lua,
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm").finish_non_exhaustive()
    }
}

impl Vm {
    /// A VM over the program; its top level has not run. `seed` is that of `math.random` at the top level, which must define the
    /// same in every VM of a run.
    pub fn new(program: Arc<Program>, limits: &Limits, seed: u64) -> Result<Vm, Failure> {
        Vm::build(program, limits, seed)
            .map_err(|error| Failure { message: format!("the sandbox could not be made: {error}"), place: None })
    }

    fn build(program: Arc<Program>, limits: &Limits, seed: u64) -> mlua::Result<Vm> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::UTF8 | StdLib::COROUTINE;
        // A `Lua` collects its garbage when it is dropped, a clone does not: what is collected here is next to nothing, at the
        // VM's end it would be a walk over all that `lua_close` frees anyway.
        let lua = Lua::new_with(libraries, LuaOptions::new())?.clone();
        lua.set_memory_limit(limits.vm_bytes)?;
        // Nothing of what is made here is garbage: a collection would only walk it.
        lua.gc_stop();
        let meter = Arc::new(Meter::new(limits));
        let native = natives(&lua, &meter, &program)?;
        let reseed = lua.globals().get::<Table>("math")?.get("randomseed")?;
        let host: Table = {
            let chunk = lua.load(HOST).set_mode(ChunkMode::Binary).set_name("=quire.host").into_function()?;
            chunk.call((lua.globals(), native))?
        };
        stdlib::install(&lua, &lua.globals(), seed)?;
        host.raw_get::<Function>("installed")?.call::<()>(())?;
        let entry = host.raw_get("entry")?;
        let counting = Arc::clone(&meter);
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(UNIT), move |lua, _| {
            counting.look_at_memory(lua);
            counting.count()
        })?;
        Ok(Vm { thread: None, pending: None, entry, host, reseed, meter, program, lua })
    }

    /// Readies the top level. Drive it with [`Vm::resume`]. With `only`, its other jobs are not even looked at: a pipeline that is
    /// known to be valid is run again for one of them.
    pub fn start_top_level(&mut self, only: Option<&str>) -> Result<(), Failure> {
        if let Some(id) = only {
            let told = self.host.raw_set("only", id);
            told.map_err(|error| self.program.failure_of_error(&error))?;
        }
        let f = self.program.load_main(&self.lua).map_err(|error| self.program.failure_of_error(&error))?;
        self.start(LuaValue::Function(f), LuaValue::Nil)
    }

    /// The top level has run: what it defined. From now on `ci.job` is refused.
    pub fn definitions(&mut self) -> Result<Definitions, Failure> {
        let read = || -> mlua::Result<Definitions> {
            self.host.raw_get::<Function>("defined")?.call::<()>(())?;
            read_definitions(&self.host.raw_get("definition")?)
        };
        read().map_err(|error| self.program.failure_of_error(&error))
    }

    /// Readies the function of a job. The top level must have run.
    pub fn start_job(&mut self, facts: &JobFacts) -> Result<(), Failure> {
        let ready = || -> mlua::Result<(LuaValue, LuaValue)> {
            self.host.raw_get::<Function>("defined")?.call::<()>(())?;
            let f = self.host.raw_get::<Function>("job")?.call(facts.id.as_str())?;
            self.reseed.call::<()>((facts.seed.cast_signed(), 0))?;
            let rt = self.host.raw_get::<Function>("make_rt")?.call(facts_table(&self.lua, facts)?)?;
            Ok((f, rt))
        };
        match ready() {
            Ok((f, rt)) => self.start(f, rt),
            Err(error) => Err(self.program.failure_of_error(&error)),
        }
    }

    /// Readies the last deferred function; `false` where none is left.
    pub fn start_deferred(&mut self) -> Result<bool, Failure> {
        let pop = || self.host.raw_get::<Function>("pop_deferred")?.call::<LuaValue>(());
        match pop() {
            Ok(LuaValue::Nil) => Ok(false),
            Ok(f) => self.start(f, LuaValue::Nil).map(|()| true),
            Err(error) => Err(self.program.failure_of_error(&error)),
        }
    }

    fn start(&mut self, f: LuaValue, argument: LuaValue) -> Result<(), Failure> {
        let thread = self.lua.create_thread(self.entry.clone());
        self.thread = Some(thread.map_err(|error| self.program.failure_of_error(&error))?);
        self.pending = Some((f, argument));
        self.meter.units.store(0, Ordering::Relaxed);
        self.meter.killed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Runs the next slice. `reply` answers the request that the script waits for; `None` begins, or goes on after a slice.
    pub fn resume(&mut self, reply: Option<Reply>) -> Step {
        match self.advance(reply) {
            Advance::Slice => Step::Slice,
            Advance::Request(request) => Step::Request(request),
            Advance::Returned(value) => Step::Returned(self.output(value)),
            Advance::Failed(failure) => Step::Failed(failure),
        }
    }

    /// The next slice, where what is returned stays Lua's.
    pub(super) fn advance(&mut self, reply: Option<Reply>) -> Advance {
        let Some(thread) = self.thread.clone() else {
            return Advance::Failed(Failure { message: "nothing runs in this VM".into(), place: None });
        };
        self.meter.stuck.store(0, Ordering::Relaxed);
        self.meter.look_at_memory(&self.lua);
        let resumed = match (reply, self.pending.take()) {
            (_, Some(begin)) => thread.resume::<MultiValue>(begin),
            (None, None) => thread.resume::<MultiValue>(()),
            (Some(reply), None) => {
                self.meter.units.store(0, Ordering::Relaxed);
                request::to_lua(&self.lua, reply).and_then(|answer| thread.resume::<MultiValue>(answer))
            }
        };
        if self.meter.killed.load(Ordering::Relaxed) {
            self.thread = None;
            return Advance::Failed(self.over_budget());
        }
        let values = match resumed {
            Ok(values) => values,
            Err(error) => {
                self.thread = None;
                return Advance::Failed(self.program.failure_of_error(&error));
            }
        };
        let mut values = values.into_iter();
        let first = values.next().unwrap_or(LuaValue::Nil);
        let second = values.next().unwrap_or(LuaValue::Nil);
        if thread.status() != ThreadStatus::Resumable {
            self.thread = None;
            return match first {
                LuaValue::Boolean(true) => Advance::Returned(second),
                _ => Advance::Failed(self.program.failure_of_value(&second)),
            };
        }
        match first {
            LuaValue::String(operation) => match request::parse(&operation.to_string_lossy(), &second) {
                Ok(request) => Advance::Request(request),
                Err(error) => Advance::Failed(Failure { message: error.to_string(), place: None }),
            },
            _ => Advance::Slice,
        }
    }

    fn over_budget(&self) -> Failure {
        let limit = self.meter.limit.saturating_mul(u64::from(UNIT));
        let message = if self.meter.units.load(Ordering::Relaxed) > self.meter.limit {
            format!("the script ran {limit} instructions without asking for anything: an endless loop?")
        } else {
            "the script ran too long inside a metamethod that a built-in function called".to_owned()
        };
        let place = self.program.main_place();
        Failure { message, place }
    }

    fn output(&self, value: LuaValue) -> Result<Option<Value>, Failure> {
        // A function of Fennel always returns the value of its last form, meant or not: a table is meant.
        if value.is_nil() || (is_fennel(self.program.file()) && !value.is_table()) {
            return Ok(None);
        }
        let is_result = || self.host.raw_get::<Function>("is_result")?.call::<bool>(&value);
        if is_result().unwrap_or(false) {
            return Ok(None);
        }
        match stdlib::to_json(&self.lua, &value) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                Err(Failure { message: format!("what the job returned is not plain data: {error}"), place: None })
            }
        }
    }
}

/// The prelude's part for `ci`, `rt`, protected calls, coroutines and modules (`prelude/host.lua`), compiled by the build script.
const HOST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host.luac"));

/// The Rust functions that the prelude needs.
fn natives(lua: &Lua, meter: &Arc<Meter>, program: &Arc<Program>) -> mlua::Result<Table> {
    let native = lua.create_table_with_capacity(0, 8)?;
    let files = Arc::clone(program);
    native.raw_set(
        "where",
        lua.create_function(move |lua, ()| {
            Ok(match files.place_on_stack(lua) {
                Some((file, line)) => (Some(lua.create_string(file)?), line),
                None => (None, 0),
            })
        })?,
    )?;
    let dying = Arc::clone(meter);
    native.raw_set("killed", lua.create_function(move |_, ()| Ok(dying.killed.load(Ordering::Relaxed)))?)?;
    let counting = Arc::clone(meter);
    native.raw_set("tick", lua.create_function(move |_, ()| Ok(matches!(counting.count()?, VmState::Yield)))?)?;
    let modules = Arc::clone(program);
    native.raw_set("load_module", lua.create_function(move |lua, name: String| modules.load_module(lua, &name))?)?;
    native.raw_set(
        "instead_of",
        lua.create_function(|_, name: LuaString| Ok(instead_of(&name.to_string_lossy(), false)))?,
    )?;
    native.raw_set(
        "describe",
        lua.create_function(|_, value: LuaValue| {
            Ok(match value {
                LuaValue::Error(error) => super::program::error_text(&error),
                other => format!("an error value of type {}", other.type_name()),
            })
        })?,
    )?;
    Ok(native)
}

fn facts_table(lua: &Lua, facts: &JobFacts) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 5)?;
    table.raw_set("id", facts.id.as_str())?;
    table.raw_set("attempt", facts.attempt)?;
    table.raw_set("args", lua.create_sequence_from(facts.args.iter().map(String::as_str))?)?;
    let params = facts.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    table.raw_set("params", lua.create_table_from(params)?)?;
    let push = lua.create_table_with_capacity(0, 5)?;
    push.raw_set("sha", facts.sha.as_deref())?;
    push.raw_set("ref", facts.ref_name.as_deref())?;
    let name = facts.ref_name.as_deref().unwrap_or("");
    push.raw_set("branch", name.strip_prefix("refs/heads/"))?;
    push.raw_set("tag", name.strip_prefix("refs/tags/"))?;
    push.raw_set("pushed_at_ms", facts.pushed_at_ms)?;
    // As issue 3 spells it in Fennel: `push.pushed-at`.
    push.raw_set("pushed_at", facts.pushed_at_ms)?;
    table.raw_set("push", push)?;
    table.raw_set("traced", facts.is_traced)?;
    Ok(table)
}

fn place(table: &Table, file: &str, line: &str) -> mlua::Result<Option<Place>> {
    let file: Option<String> = table.raw_get(file)?;
    let line: Option<u32> = table.raw_get(line)?;
    Ok(file.map(|file| Place { file, line: line.unwrap_or(1), column: None }))
}

fn read_definitions(definition: &Table) -> mlua::Result<Definitions> {
    let jobs: Table = definition.raw_get("jobs")?;
    let problems: Table = definition.raw_get("problems")?;
    let mut out = Definitions {
        image: definition.raw_get("image")?,
        image_place: place(definition, "image_file", "image_line")?,
        ..Definitions::default()
    };
    for i in 1..=jobs.raw_len() {
        let job: Table = jobs.raw_get(i)?;
        let inputs: Option<Table> = job.raw_get("inputs")?;
        let inputs = inputs.map(|list| {
            (1..=list.raw_len())
                .map(|i| Ok(list.raw_get::<mlua::LuaString>(i)?.to_string_lossy()))
                .collect::<mlua::Result<Vec<String>>>()
        });
        out.jobs.push(RawJob {
            id: job.raw_get::<mlua::LuaString>("id")?.to_string_lossy(),
            inputs: inputs.transpose()?,
            options: read_options(&job.raw_get("options")?)?,
            place: place(&job, "file", "line")?.unwrap_or_default(),
        });
    }
    for i in 1..=problems.raw_len() {
        let problem: Table = problems.raw_get(i)?;
        out.problems.push(Diagnostic {
            message: problem.raw_get::<mlua::LuaString>("message")?.to_string_lossy(),
            place: place(&problem, "file", "line")?,
            ..Diagnostic::default()
        });
    }
    Ok(out)
}

fn read_options(table: &Table) -> mlua::Result<JobOptions> {
    let mut env = BTreeMap::new();
    if let Some(given) = table.raw_get::<Option<Table>>("env")? {
        for pair in given.pairs::<String, LuaValue>() {
            let (name, value) = pair?;
            env.insert(name, value.as_string().map(|text| text.to_string_lossy()));
        }
    }
    Ok(JobOptions {
        timeout: table.raw_get::<Option<f64>>("timeout")?.map(request::duration),
        retries: table.raw_get::<Option<u32>>("retries")?.unwrap_or(0),
        allow_failure: table.raw_get::<Option<bool>>("allow_failure")?.unwrap_or(false),
        needs: table
            .raw_get::<Option<String>>("needs")?
            .and_then(|word| Needs::parse(&word))
            .unwrap_or(Needs::Complete),
        env,
        cwd: table.raw_get("cwd")?,
        shell: table.raw_get("shell")?,
        desc: table.raw_get("desc")?,
    })
}

/// Compiles Lua text, for [`Program`].
pub(super) fn compile(lua: &Lua, chunk_name: &str, text: &[u8]) -> mlua::Result<Function> {
    lua.load(text).set_name(chunk_name).set_mode(ChunkMode::Text).into_function()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Source;

    fn program(text: &str) -> Result<Arc<Program>, Failure> {
        let source = Source { file: ".quire/ci.lua".into(), text: text.into(), ..Source::default() };
        Program::compile(&source, &Limits::default()).map(Arc::new)
    }

    fn run(vm: &mut Vm, log: &mut Vec<Request>) -> Step {
        let mut reply = None;
        for _ in 0..100_000 {
            match vm.resume(reply.take()) {
                Step::Slice => {}
                Step::Request(request) => {
                    log.push(request);
                    reply = Some(Reply::Nothing);
                }
                end => return end,
            }
        }
        panic!("never ends");
    }

    fn job(text: &str) -> (Step, Vec<Request>) {
        let text = format!("local ci = require 'quire.ci' ci.job('a', function(rt) {text}\nend)");
        let limits = Limits { instructions: 20_000_000, ..Limits::default() };
        let mut vm = Vm::new(program(&text).expect("compiles"), &limits, 7).expect("a VM");
        let mut log = Vec::new();
        vm.start_top_level(None).expect("starts");
        let step = run(&mut vm, &mut log);
        assert!(matches!(step, Step::Returned(Ok(_))), "{step:?}");
        let defined = vm.definitions().expect("definitions");
        assert_eq!(defined.problems, []);
        assert_eq!(defined.jobs.len(), 1);
        let facts = JobFacts { id: "a".into(), attempt: 1, pushed_at_ms: Some(5), ..JobFacts::default() };
        vm.start_job(&facts).expect("starts");
        let end = run(&mut vm, &mut log);
        (end, log)
    }

    fn failure(text: &str) -> Failure {
        match job(text).0 {
            Step::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_crosses_pcall_iterators_and_coroutines() {
        let (end, log) = job("pcall(function() rt.log('a') end)
            for i in coroutine.wrap(function() rt.log('b') coroutine.yield(1) rt.log('c') end) do rt.log(i) end
            local t = setmetatable({}, {__index = function(_, k) rt.log(k) return k end}) rt.log(t.x)
            return 'done'");
        assert!(matches!(&end, Step::Returned(Ok(Some(Value::String(s)))) if s == "done"), "{end:?} {log:?}");
        let texts = ["a", "b", "1", "c", "x", "x"].map(|s| Request::Log(s.into()));
        assert_eq!(log, texts);
    }

    #[test]
    fn nothing_hangs_the_host() {
        for endless in [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "while true do pcall(error) end",
            "xpcall(function() error('x') end, function() while true do end end)",
            "while true do coroutine.wrap(function() for i = 1, 900 do end end)() end",
            "local function f() local co = coroutine.create(f) coroutine.resume(co) end while true do f() end",
            "coroutine.wrap(function() while true do end end)()",
            "local t = setmetatable({}, {__tostring = function() while true do end end}) print(t)",
            "local t = setmetatable({}, {__close = function() while true do end end}) do local x <close> = t end",
            "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
        ] {
            let failure = failure(endless);
            assert!(
                failure.message.contains("an endless loop?") || failure.message.contains("ran too long"),
                "{endless}: {failure:?}"
            );
        }
    }

    #[test]
    fn memory_is_bounded() {
        let failure = failure("local t = {} for i = 1, 1e9 do t[i] = {i} end");
        assert!(failure.message.contains("memory"), "{failure:?}");
    }

    #[test]
    fn a_dash_is_an_underscore() {
        let (end, _) = job("assert(rt['read-file'] == rt.read_file and rt['write-file'] == rt.write_file)
            assert(rt.push['pushed-at-ms'] == 5 and rt.push['pushed-at'] == 5 and rt.push.pushed_at_ms == 5 and rt.params['no-such'] == nil)
            return {rt.push['pushed-at-ms']}");
        assert!(matches!(end, Step::Returned(Ok(Some(_)))), "{end:?}");
        let text = "local ci = require 'quire.ci' ci.defaults {['allow-failure'] = true} ci.job('a', function() end)
            ci.job('b', {['allow-failure'] = false}, function() end)";
        let mut vm = Vm::new(program(text).expect("compiles"), &Limits::default(), 7).expect("a VM");
        vm.start_top_level(None).expect("starts");
        assert!(matches!(run(&mut vm, &mut Vec::new()), Step::Returned(Ok(_))));
        let defined = vm.definitions().expect("definitions");
        let allowed: Vec<bool> = defined.jobs.iter().map(|job| job.options.allow_failure).collect();
        assert_eq!((allowed, defined.problems), (vec![true, false], vec![]));
    }

    #[test]
    fn an_error_that_says_nothing_is_told_as_such() {
        for raised in [
            "error()",
            "error('')",
            "error(' \\n', 0)",
            "error({message = ''})",
            "error(setmetatable({}, {__tostring = function() return '' end}))",
        ] {
            let failure = failure(&format!("\n{raised}"));
            assert_eq!(failure.message, "the script raised an error that says nothing", "{raised}");
            assert_eq!(failure.place.expect(raised).line, 2, "{raised}");
        }
    }

    #[test]
    fn errors_name_their_place() {
        for (text, message, line) in [
            ("\nerror('boom')", "boom", 2),
            ("\n\nerror({message = 'told'})", "told", 3),
            ("\nlocal x = nil\nx.y = 1", "attempt to index a nil value (local 'x')", 3),
            ("\nrt.sh(7)", "rt.sh wants a command: a text for the shell or a list of texts, not a number", 2),
            (
                "\nrt.sh('x', {timout = 1})",
                "unknown option \"timout\" of rt.sh; its options are capture, check, cwd, env, merge, retries, shell, stdin, timeout",
                2,
            ),
            (
                "\nio.open('x')",
                "io is not there in a pipeline: use rt.read_file and rt.write_file inside a job, ci.read at the top level, or a command",
                2,
            ),
            (
                "\nrt.shel('x')",
                "rt has no 'shel'; it has all, args, attempt, defer, env, glob, hash, id, jobs, json, log, mask, out, params, push, read_file, secret, sh, skip, spawn, write_file",
                2,
            ),
            (
                "\nrequire 'nope'",
                "module \"nope\" is not there: looked for .quire/lib/nope.lua, .fnl, /init.lua and /init.fnl; .quire/lib/ has no modules",
                2,
            ),
            ("coroutine.yield()", "coroutine.yield is called outside a coroutine", 1),
        ] {
            let failure = failure(text);
            assert_eq!(failure.message, message);
            let place = failure.place.expect(message);
            assert_eq!((place.file.as_str(), place.line), (".quire/ci.lua", line), "{message}");
        }
    }
}
