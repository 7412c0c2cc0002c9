//! Lua values to JSON and back, with nothing lost: `null` is `json.null`, an empty array stays one, integers and floats stay apart.
//!
//! Tables are read raw, without metamethods. Keys go in sorted order. Everything is bounded: depth, number of values, bytes.

use std::collections::BTreeSet;
use std::fmt;

use mlua::{Lua, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

use super::natives::LARGEST;

/// How deep values may nest.
const MAX_DEPTH: usize = 128;
/// How many values one document may hold, so that one call is done in a fraction of a second.
const MAX_VALUES: usize = 100_000;
/// Where the VM keeps the set of tables that are arrays even when they are empty.
const ARRAYS: &str = "quire.json.arrays";

/// Why a value has no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Where in the value, as one would write it in Lua: `.a[3].b`; empty for the value itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "at {path}: {}", self.message),
        }
    }
}

impl std::error::Error for JsonError {}

pub(super) fn remember_arrays(lua: &Lua, arrays: Table) -> mlua::Result<()> {
    lua.set_named_registry_value(ARRAYS, arrays)
}

/// A plain Lua value as JSON. `lua` is the VM of the value.
///
/// A table with the keys 1 to n, n > 0, is an array; one with string keys an object; an empty one an object, unless it came from
/// `json.array` or from an empty JSON array.
///
/// # Errors
/// Functions, threads, userdata; mixed, missing or other keys; strings that are not UTF-8; nan and infinity; cycles; more than
/// 128 levels, 100,000 values or 16 MiB. Of several faults the first in the order of the output is told.
pub fn to_json(lua: &Lua, value: &Value) -> Result<Json, JsonError> {
    let mut writer = Writer { lua, open: Vec::new(), values: 0, bytes: 0 };
    writer.value(value)
}

/// JSON as a Lua value; `null` becomes `json.null`. `lua` must have the standard library installed.
///
/// # Errors
/// More than 128 levels or 100,000 values, or the VM is out of memory.
pub fn from_json(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    let arrays = lua.named_registry_value(ARRAYS)?;
    let mut values = 0;
    Reader { lua, arrays: &arrays, values: &mut values, depth: 0 }
        .deserialize(json)
        .map_err(|error| mlua::Error::runtime(error.to_string()))
}

/// `json.encode`: one line, or indented by two spaces.
pub(super) fn encode(lua: &Lua, value: &Value, indent: bool) -> Result<Vec<u8>, JsonError> {
    let json = to_json(lua, value)?;
    let text = if indent { serde_json::to_vec_pretty(&json) } else { serde_json::to_vec(&json) };
    match text {
        Ok(text) if text.len() <= LARGEST => Ok(text),
        Ok(_) => Err(JsonError { path: String::new(), message: too_long() }),
        Err(error) => Err(JsonError { path: String::new(), message: error.to_string() }),
    }
}

/// `json.decode`; the error says line and column.
pub(super) fn decode(lua: &Lua, text: &[u8]) -> Result<Value, String> {
    if text.len() > LARGEST {
        return Err(format!("json.decode: {}", too_long()));
    }
    let arrays = lua.named_registry_value(ARRAYS).map_err(|_| OUT_OF_MEMORY.to_owned())?;
    let mut values = 0;
    let mut source = serde_json::Deserializer::from_slice(text);
    let value = Reader { lua, arrays: &arrays, values: &mut values, depth: 0 }.deserialize(&mut source);
    value.and_then(|value| source.end().map(|()| value)).map_err(|error| match error.to_string() {
        text if text.starts_with(OUT_OF_MEMORY) => OUT_OF_MEMORY.to_owned(),
        text => format!("json.decode: {text}"),
    })
}

const OUT_OF_MEMORY: &str = "not enough memory";

fn too_long() -> String {
    format!("more than {} MiB of JSON", LARGEST >> 20)
}

fn too_many() -> String {
    format!("more than {MAX_VALUES} values")
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels")
}

struct Writer<'a> {
    lua: &'a Lua,
    /// The tables that are being written, by identity.
    open: Vec<*const std::ffi::c_void>,
    values: usize,
    /// At least so many bytes will be written.
    bytes: usize,
}

/// A table's keys, sorted.
#[derive(Default)]
struct Keys {
    integers: Vec<i64>,
    strings: Vec<Vec<u8>>,
    /// What the other keys are.
    others: BTreeSet<String>,
}

impl Keys {
    fn of(table: &Table) -> Result<Keys, JsonError> {
        let mut keys = Keys::default();
        let mut most = MAX_VALUES;
        let read = table.for_each(|key: Value, _: bool| {
            most = most.checked_sub(1).ok_or_else(|| mlua::Error::runtime(too_many()))?;
            match key {
                Value::Integer(key) => keys.integers.push(key),
                Value::String(key) => keys.strings.push(key.as_bytes().to_vec()),
                Value::Number(key) => drop(keys.others.insert(format!("the key {key}"))),
                other => drop(keys.others.insert(format!("a key that is a {}", other.type_name()))),
            }
            Ok(())
        });
        keys.integers.sort_unstable();
        keys.strings.sort_unstable();
        match read {
            Ok(()) => Ok(keys),
            Err(_) if most == 0 => Err(fault(too_many())),
            Err(error) => Err(fault(error.to_string())),
        }
    }
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Result<Json, JsonError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(fault(too_many()));
        }
        self.spend(1)?;
        match value {
            Value::Boolean(value) => Ok(Json::Bool(*value)),
            Value::Integer(value) => Ok(Json::Number(Number::from(*value))),
            Value::Number(value) => match Number::from_f64(*value) {
                Some(number) => Ok(Json::Number(number)),
                None => Err(fault(format!(
                    "{} is not a number that JSON can hold",
                    if value.is_nan() { "nan" } else { "infinity" }
                ))),
            },
            Value::String(value) => self.text(&value.as_bytes()).map(Json::String),
            Value::Table(table) => self.table(table),
            value if value.is_null() => Ok(Json::Null),
            Value::Nil => Err(fault("nil has no JSON: use json.null".to_owned())),
            other => Err(fault(format!("a {} has no JSON", other.type_name()))),
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<String, JsonError> {
        self.spend(bytes.len())?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let at = error.valid_up_to() + 1;
                Err(fault(format!("a string that is not UTF-8 (byte {at}) has no JSON")))
            }
        }
    }

    fn table(&mut self, table: &Table) -> Result<Json, JsonError> {
        let identity = table.to_pointer();
        if self.open.contains(&identity) {
            return Err(fault("a table that contains itself has no JSON".to_owned()));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(fault(too_deep()));
        }
        self.open.push(identity);
        let keys = Keys::of(table)?;
        let json = match (&keys.integers[..], &keys.strings[..], keys.others.first()) {
            (_, _, Some(other)) => Err(fault(format!("{other} has no JSON: keys are strings, or 1, 2, 3 … of a list"))),
            ([], [], None) => Ok(if self.is_array(table) { Json::Array(Vec::new()) } else { Json::Object(Map::new()) }),
            ([], strings, None) => self.object(table, strings),
            (integers, [], None) => self.array(table, integers),
            ([integer, ..], [string, ..], None) => Err(fault(format!(
                "a table with both the key {integer} and the key {:?} is neither a list nor an object",
                String::from_utf8_lossy(string)
            ))),
        };
        self.open.pop();
        json
    }

    fn is_array(&self, table: &Table) -> bool {
        let arrays = self.lua.named_registry_value::<Table>(ARRAYS);
        arrays.and_then(|arrays| arrays.raw_get(table)).unwrap_or(false)
    }

    fn array(&mut self, table: &Table, indices: &[i64]) -> Result<Json, JsonError> {
        let mut items = Vec::with_capacity(indices.len());
        for (expected, &index) in (1..).zip(indices) {
            if index < 1 {
                return Err(fault(format!("the key {index} has no JSON: a list begins with 1")));
            } else if index != expected {
                return Err(fault(format!("a list with [{index}] but without [{expected}]: use json.null for it")));
            }
            let item = read(table, index).and_then(|item| self.value(&item));
            items.push(item.map_err(|error| error.below(&format!("[{index}]")))?);
        }
        Ok(Json::Array(items))
    }

    fn object(&mut self, table: &Table, keys: &[Vec<u8>]) -> Result<Json, JsonError> {
        let mut map = Map::new();
        for key in keys {
            let entry = self.entry(table, key).map_err(|error| error.below_key(key));
            map.extend([entry?]);
        }
        Ok(Json::Object(map))
    }

    fn entry(&mut self, table: &Table, key: &[u8]) -> Result<(String, Json), JsonError> {
        let name = self.text(key)?;
        let item = read(table, name.as_str())?;
        Ok((name, self.value(&item)?))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), JsonError> {
        self.bytes += bytes;
        if self.bytes > LARGEST { Err(fault(too_long())) } else { Ok(()) }
    }
}

fn read(table: &Table, key: impl mlua::IntoLua) -> Result<Value, JsonError> {
    table.raw_get(key).map_err(|error| fault(error.to_string()))
}

/// A fault of the value itself; each level that it passes on its way out puts its step in front of the path.
fn fault(message: String) -> JsonError {
    JsonError { path: String::new(), message }
}

impl JsonError {
    fn below(self, step: &str) -> JsonError {
        JsonError { path: format!("{step}{}", self.path), ..self }
    }

    fn below_key(self, key: &[u8]) -> JsonError {
        match String::from_utf8_lossy(key) {
            key if is_name(&key) => self.below(&format!(".{key}")),
            key => self.below(&format!("[{key:?}]")),
        }
    }
}

fn is_name(key: &str) -> bool {
    let mut bytes = key.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Builds Lua values as they are parsed, so that the VM's limit of memory bounds them.
struct Reader<'a> {
    lua: &'a Lua,
    arrays: &'a Table,
    values: &'a mut usize,
    depth: usize,
}

impl Reader<'_> {
    fn inner(&mut self) -> Reader<'_> {
        Reader { lua: self.lua, arrays: self.arrays, values: self.values, depth: self.depth + 1 }
    }

    fn table<E: serde::de::Error>(&self) -> Result<Table, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(too_deep()));
        }
        self.lua.create_table().map_err(custom)
    }
}

fn custom<E: serde::de::Error>(error: mlua::Error) -> E {
    match error {
        mlua::Error::MemoryError(_) => E::custom(OUT_OF_MEMORY),
        other => E::custom(other),
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.values += 1;
        if *self.values > MAX_VALUES {
            return Err(D::Error::custom(too_many()));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        // Lua's integers end at 2^63: as Lua reads such a numeral, it is a float.
        Ok(i64::try_from(value).map_or(Value::Number(value as f64), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.lua.create_string(value).map(Value::String).map_err(custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let table = self.table()?;
        let mut count = 0i64;
        while let Some(item) = items.next_element_seed(self.inner())? {
            count += 1;
            table.raw_set(count, item).map_err(custom)?;
        }
        if count == 0 {
            self.arrays.raw_set(&table, true).map_err(custom)?;
        }
        Ok(Value::Table(table))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let table = self.table()?;
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.inner())?;
            table.raw_set(key, value).map_err(custom)?;
        }
        Ok(Value::Table(table))
    }
}
