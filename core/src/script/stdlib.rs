//! The sandbox's standard library: what of Lua's own is safe and deterministic, and the rest written anew.
//!
//! Lua's C functions run without the instruction hook, cannot be yielded across, show addresses, and walk tables in the order
//! of a randomised hash. `prelude/stdlib.lua` replaces the functions for which that matters; this module gives it its native
//! functions and loads it. What a pipeline can rely on:
//!
//! - `pairs`, `next` and JSON go through keys in one order: the integers from 1 on, the other numbers, strings by their bytes,
//!   `false`, `true`, then objects (tables, functions, threads, userdata) by serial number. An object gets its number when
//!   `tostring` or `print` first shows it; a walk over two or more objects that have none is an error, because no order of
//!   theirs would be the same in the next run. `next(t)` may give an older key before a smaller one that was added since.
//! - No text shows an address: `table: 1` has the serial number in its place.
//! - `table.sort` is stable, and comparators, `gsub` callbacks, `__tostring`, `__index` and `__lt` may yield.
//! - Errors carry the position of the pipeline's own line, never one of the prelude's. After a tail call (`return s:rep(x)`) that is
//!   the line of the caller: Lua has forgotten the other.
//! - A weak table can still be had by setting `__mode` in a metatable after `setmetatable` saw it; Lua offers no hook for that.

mod json;
mod natives;
#[cfg(test)]
mod tests;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Table};

pub use json::{from_json, to_json};

/// Frames of chunks whose name begins with `=` are the sandbox's own: an error's position is never in one of them.
const CHUNK_NAME: &str = "=quire.stdlib";

/// The prelude's part that makes the standard library (`prelude/stdlib*.lua`), compiled by the build script without debug
/// information; see its head for what it is given.
const BYTECODE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stdlib.luac"));

/// Fills `env`, a sandbox's globals, with the standard library: the tables `string`, `table`, `math`, `utf8` and `json`, the basic
/// functions but pcall, xpcall, print and require, `_G` and `_VERSION`.
///
/// `lua` must have the libraries table, string, math and utf8 loaded, as they were made: their tables are changed in place. `env` may
/// be its globals. `seed` is what `math.random` draws from. Once a VM.
///
/// # Errors
/// Only if the VM is out of memory.
pub fn install(lua: &Lua, env: &Table, seed: u64) -> mlua::Result<()> {
    let raw = lua.globals();
    let seed_random: Function = raw.get::<Table>("math")?.get("randomseed")?;
    seed_random.call::<()>((seed.cast_signed(), 0))?;
    let chunk = lua.load(BYTECODE).set_mode(ChunkMode::Binary).set_name(CHUNK_NAME).into_function()?;
    let arrays: Table = chunk.call((natives::natives(lua)?, raw, env))?;
    json::remember_arrays(lua, arrays)
}
