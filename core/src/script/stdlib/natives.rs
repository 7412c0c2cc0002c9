//! The native functions of the standard library: pattern matching, JSON, and what Lua code cannot ask of its own VM.
//!
//! None of them raises: a failure is `false` and a message, to which the prelude adds the pipeline's position. They call nothing
//! back, and each is bounded by its argument's size and a budget.

use mlua::{IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};

use super::json;
use crate::script::pattern::{Capture, PatternError, Search, find_plain, is_plain, replace};

/// No text that these functions make is longer, in bytes.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

pub(super) fn natives(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 12)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("where", lua.create_function(|lua, ()| Ok(position(lua)))?)?;
    table.raw_set("metatable", lua.create_function(|_, value: Value| Ok(metatable(&value)))?)?;
    table.raw_set("userdata_text", lua.create_function(|_, value: Value| Ok(userdata_text(&value)))?)?;
    table.raw_set("find", lua.create_function(|lua, args| told(lua, find(lua, args)))?)?;
    table.raw_set("match", lua.create_function(|lua, args| told(lua, find_match(lua, args)))?)?;
    table.raw_set("step", lua.create_function(|lua, args| told(lua, step(lua, args)))?)?;
    table.raw_set("replace", lua.create_function(|lua, args| told(lua, replace_text(lua, args)))?)?;
    table.raw_set("json_encode", lua.create_function(|lua, args| told(lua, json_encode(lua, args)))?)?;
    table.raw_set("json_decode", lua.create_function(|lua, args| told(lua, json_decode(lua, args)))?)?;
    Ok(table)
}

/// `false` and a message.
pub(super) fn failure(lua: &Lua, message: &str) -> mlua::Result<MultiValue> {
    (false, message).into_lua_multi(lua)
}

/// An error of the VM (it is out of memory) as a failure that the prelude raises: a plain text, as Lua's own functions do.
fn told(lua: &Lua, answer: mlua::Result<MultiValue>) -> mlua::Result<MultiValue> {
    answer.or_else(|error| failure(lua, &cause(&error)))
}

/// The innermost place in the pipeline, as `ci.lua:7: ` (empty if there is none), and whether it called with a colon.
fn position(lua: &Lua) -> (String, bool) {
    let mut method = false;
    for level in 1.. {
        let frame = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let own = source.what == "C" || source.source.as_ref().is_none_or(|name| name.starts_with('='));
            if own {
                return (None, frame.names().name_what == Some("method"));
            }
            let line = frame.current_line().map(|line| format!("{}:{line}: ", source.short_src.unwrap_or_default()));
            (Some(line.unwrap_or_default()), method)
        });
        match frame {
            Some((Some(position), method)) => return (position, method),
            Some((None, by_method)) => method = by_method,
            None => break,
        }
    }
    (String::new(), false)
}

/// The true metatable, whatever `__metatable` says.
fn metatable(value: &Value) -> Option<Table> {
    match value {
        Value::Table(table) => table.metatable(),
        _ => None,
    }
}

/// The text of a userdata that has a meaning here; `None` for all others.
fn userdata_text(value: &Value) -> Option<String> {
    match value {
        value if value.is_null() => Some("null".to_owned()),
        Value::Error(error) => Some(cause(error)),
        _ => None,
    }
}

/// What went wrong, without the traceback that an error collects on its way.
fn cause(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause: inner, .. } | mlua::Error::WithContext { cause: inner, .. } => cause(inner),
        mlua::Error::RuntimeError(message) => message.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        other => other.to_string(),
    }
}

fn capture_value(lua: &Lua, subject: &[u8], capture: Capture) -> mlua::Result<Value> {
    match capture {
        Capture::Span(from, to) => Ok(Value::String(lua.create_string(subject.get(from..to).unwrap_or_default())?)),
        Capture::Position(at) => Ok(Value::Integer(at as i64 + 1)),
    }
}

/// Appends the captures; the whole match where there are none and it is given.
fn push_captures(
    lua: &Lua,
    values: &mut MultiValue,
    search: &Search<'_>,
    subject: &[u8],
    whole: Option<(usize, usize)>,
) -> mlua::Result<Result<(), PatternError>> {
    if let (0, Some((start, end))) = (search.captures(), whole) {
        values.push_back(capture_value(lua, subject, Capture::Span(start, end))?);
    }
    for index in 0..search.captures() {
        match search.capture(index) {
            Ok(capture) => values.push_back(capture_value(lua, subject, capture)?),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

/// One match as Lua values: begin and end if `places`, then the captures. Nil: no match.
fn answer(
    lua: &Lua,
    search: &Search<'_>,
    subject: &[u8],
    found: Result<Option<(usize, usize)>, PatternError>,
    places: bool,
    whole: bool,
) -> mlua::Result<MultiValue> {
    let (start, end) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return Value::Nil.into_lua_multi(lua),
        Err(error) => return failure(lua, &error.to_string()),
    };
    let mut values = MultiValue::with_capacity(2 + search.captures().max(1));
    if places {
        values.push_back(Value::Integer(start as i64 + 1));
        values.push_back(Value::Integer(end as i64));
    }
    match push_captures(lua, &mut values, search, subject, whole.then_some((start, end)))? {
        Ok(()) => Ok(values),
        Err(error) => failure(lua, &error.to_string()),
    }
}

fn find(lua: &Lua, (subject, pattern, at, plain): (LuaString, LuaString, usize, bool)) -> mlua::Result<MultiValue> {
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    if plain || is_plain(&pattern) {
        return match find_plain(&subject, &pattern, at) {
            Some((start, end)) => (start + 1, end).into_lua_multi(lua),
            None => Value::Nil.into_lua_multi(lua),
        };
    }
    let mut search = Search::new(&subject, &pattern);
    let found = search.find(at, None);
    answer(lua, &search, &subject, found, true, false)
}

fn find_match(lua: &Lua, (subject, pattern, at): (LuaString, LuaString, usize)) -> mlua::Result<MultiValue> {
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let mut search = Search::new(&subject, &pattern);
    let found = search.find(at, None);
    answer(lua, &search, &subject, found, false, true)
}

/// One step of `gmatch` (where `^` is an ordinary byte) or `gsub`: the next match that does not end where the last one did.
fn step(
    lua: &Lua,
    (subject, pattern, at, last, gmatch): (LuaString, LuaString, usize, i64, bool),
) -> mlua::Result<MultiValue> {
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let mut search = if gmatch { Search::unanchored(&subject, &pattern) } else { Search::new(&subject, &pattern) };
    let found = search.find(at, usize::try_from(last).ok());
    answer(lua, &search, &subject, found, true, true)
}

fn replace_text(
    lua: &Lua,
    (subject, pattern, replacement, limit): (LuaString, LuaString, LuaString, usize),
) -> mlua::Result<MultiValue> {
    match replace(&subject.as_bytes(), &pattern.as_bytes(), &replacement.as_bytes(), limit, LARGEST) {
        Ok((Some(text), count)) => (lua.create_string(text)?, count).into_lua_multi(lua),
        Ok((None, count)) => (Value::Nil, count).into_lua_multi(lua),
        Err(error) => failure(lua, &error.to_string()),
    }
}

fn json_encode(lua: &Lua, (value, indent): (Value, bool)) -> mlua::Result<MultiValue> {
    match json::encode(lua, &value, indent) {
        Ok(text) => lua.create_string(text)?.into_lua_multi(lua),
        Err(error) => failure(lua, &format!("json.encode: {error}")),
    }
}

fn json_decode(lua: &Lua, text: LuaString) -> mlua::Result<MultiValue> {
    match json::decode(lua, &text.as_bytes()) {
        Ok(value) => (true, value).into_lua_multi(lua),
        Err(message) => failure(lua, &message),
    }
}
