//! Compiles the sandbox's prelude to Lua bytecode, so that a process loads it instead of parsing 1,500 lines of Lua: 7 million
//! of the 12 million instructions that the main thread of a short run executed.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "this runs at build time; the crate itself does no I/O"
)]

use std::path::Path;
use std::{env, fs};

use mlua::chunk::ChunkMode;
use mlua::{Lua, LuaOptions, StdLib};

/// Name of the bytecode file, the chunk's name, the parts of its text in order.
const CHUNKS: [(&str, &str, &[&str]); 2] = [
    ("host.luac", "=quire.host", &["host.lua"]),
    ("stdlib.luac", "=quire.stdlib", &["stdlib.lua", "stdlib_order.lua", "stdlib_tables.lua"]),
];

fn main() {
    let out = env::var_os("OUT_DIR").expect("cargo tells a build script its OUT_DIR");
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new()).expect("a VM without libraries");
    for (file, name, parts) in CHUNKS {
        let mut text = String::new();
        for part in parts {
            let path = Path::new("src/script/prelude").join(part);
            println!("cargo::rerun-if-changed={}", path.display());
            text += &fs::read_to_string(&path).expect("the prelude's files are beside this one");
        }
        let chunk = lua.load(&text).set_name(name).set_mode(ChunkMode::Text).into_function();
        let bytes = chunk.unwrap_or_else(|error| panic!("{error}")).dump(true);
        fs::write(Path::new(&out).join(file), bytes).expect("OUT_DIR can be written");
    }
}
