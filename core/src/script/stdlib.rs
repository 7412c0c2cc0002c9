//! SHIM
use mlua::{Lua, Table, Value as LuaValue};
use serde_json::Value;
pub fn from_json(_lua: &Lua, _v: &Value) -> mlua::Result<LuaValue> {
    Ok(LuaValue::Nil)
}
pub fn to_json(v: &LuaValue) -> Result<Value, String> {
    match v {
        LuaValue::Integer(i) => Ok((*i).into()),
        LuaValue::String(s) => Ok(s.to_string_lossy().into()),
        _ => Err("shim".into()),
    }
}
pub fn sandbox(lua: &Lua, native: Table, _seed: u64) -> mlua::Result<Table> {
    let raw = lua.create_table()?;
    let g = lua.globals();
    for pair in g.pairs::<LuaValue, LuaValue>() {
        let (k, v) = pair?;
        raw.raw_set(k, v)?;
    }
    raw.raw_set("globals", &g)?;
    let lib = lua.create_table()?;
    for name in ["load", "loadfile", "dofile", "collectgarbage", "warn", "require", "package"] {
        g.raw_set(name, LuaValue::Nil)?;
    }
    lua.load(include_str!("prelude/host.lua")).set_name("=quire").call((raw, native, lib))
}
