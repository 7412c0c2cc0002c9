//! A file that returns a table, read as plain data: run in the sandbox to its end, with nobody there to answer requests.
//!
//! Unlike a job's output a table may have both a list and named keys (`{ "env:X", refs = {…} }`), and all that is no plain data
//! is told, each with its place in the value.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlua::{Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

use super::program::{Program, error_text};
use super::request::Reply;
use super::vm::{Advance, Failure, Vm};
use crate::engine::{Limits, Source};

/// How deep tables may nest.
const DEPTH: usize = 32;
/// Most values.
const VALUES: usize = 100_000;
/// Most bytes of texts and keys.
const BYTES: usize = 4 * 1024 * 1024;
/// Most faults that are told.
const FAULTS: usize = 50;

/// What a request is answered.
const REFUSED: &str = "this file is only to return a table: it cannot print, and asks for nothing";

/// What a file returned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluated {
    /// Without what is no plain data. A table of 1 to n is a list; any other is an object, its numbers as texts.
    pub value: Value,
    /// What is no plain data, in order of keys.
    pub faults: Vec<Fault>,
}

/// Something in a value that is no plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The keys that lead there; lists count from 1.
    pub path: Vec<String>,
    /// What is wrong, to stand behind a name: `is a function`.
    pub message: String,
}

/// Runs the file (Lua, or Fennel) and reads what it returns. `limits` bounds the run, compiling Fennel has the usual ones.
pub(crate) fn evaluate(source: &Source, limits: &Limits) -> Result<Evaluated, Failure> {
    let program = Arc::new(Program::compile(source, &Limits::default())?);
    while program.prepare().transpose()?.is_none() {}
    let mut vm = Vm::new(program, limits, 0)?;
    vm.start_top_level(None)?;
    let mut reply = None;
    let mut refused = false;
    loop {
        match vm.advance(reply.take()) {
            Advance::Slice => {}
            // Raised where it asked; who catches that and asks again would go on for ever.
            Advance::Request(_) if refused => return Err(Failure { message: REFUSED.to_owned(), place: None }),
            Advance::Request(_) => {
                refused = true;
                reply = Some(Reply::Error(REFUSED.to_owned()));
            }
            Advance::Failed(failure) => return Err(failure),
            Advance::Returned(value) => {
                let mut reader = Reader { open: Vec::new(), path: Vec::new(), values: 0, bytes: 0, faults: Vec::new() };
                let value = reader.value(&value).unwrap_or(Value::Null);
                return Ok(Evaluated { value, faults: reader.faults });
            }
        }
    }
}

struct Reader {
    /// The tables that are being read, by identity.
    open: Vec<*const std::ffi::c_void>,
    path: Vec<String>,
    values: usize,
    bytes: usize,
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, message: impl Into<String>) -> Option<Value> {
        if self.faults.len() < FAULTS {
            self.faults.push(Fault { path: self.path.clone(), message: message.into() });
        }
        None
    }

    /// Takes note of so many bytes. `None`: that is too much, nothing more is read.
    fn spend(&mut self, bytes: usize) -> Option<()> {
        let was_too_much = self.is_too_much();
        self.values += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_too_much() && !was_too_much {
            self.path.clear();
            self.fault(format!("has more than {VALUES} values, or {} MiB", BYTES >> 20));
        }
        (!self.is_too_much()).then_some(())
    }

    fn is_too_much(&self) -> bool {
        self.values > VALUES || self.bytes > BYTES
    }

    fn text(&mut self, text: &mlua::LuaString) -> Option<String> {
        self.spend(text.as_bytes().len())?;
        match std::str::from_utf8(&text.as_bytes()) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => {
                self.fault("is a text that is not UTF-8");
                None
            }
        }
    }

    fn value(&mut self, value: &LuaValue) -> Option<Value> {
        self.spend(0)?;
        match value {
            LuaValue::Nil => Some(Value::Null),
            LuaValue::Boolean(value) => Some(Value::Bool(*value)),
            LuaValue::Integer(value) => Some(Value::Number(Number::from(*value))),
            LuaValue::Number(value) => match Number::from_f64(*value) {
                Some(number) => Some(Value::Number(number)),
                None => self.fault("is no number"),
            },
            LuaValue::String(text) => self.text(text).map(Value::String),
            LuaValue::Table(table) => self.table(table),
            value if value.is_null() => Some(Value::Null),
            other => self.fault(format!("is a {}", other.type_name())),
        }
    }

    fn table(&mut self, table: &Table) -> Option<Value> {
        let identity = table.to_pointer();
        if self.open.contains(&identity) {
            return self.fault("is a table that contains itself");
        }
        if self.open.len() >= DEPTH {
            return self.fault(format!("is nested deeper than {DEPTH} tables"));
        }
        self.open.push(identity);
        let read = self.entries(table);
        self.open.pop();
        let (indices, named) = read?;
        let is_list = !indices.is_empty() && named.is_empty() && (1..).zip(indices.keys()).all(|(n, key)| n == *key);
        if is_list {
            return Some(Value::Array(indices.into_values().collect()));
        }
        let mut object = Map::new();
        for (key, value) in indices.into_iter().map(|(key, value)| (key.to_string(), value)).chain(named) {
            if object.insert(key.clone(), value).is_some() {
                self.fault(format!("has {key} twice, as a number and as a text"));
            }
        }
        Some(Value::Object(object))
    }

    /// What is in the table under numbers and under texts, without what is no plain data.
    #[allow(clippy::type_complexity, reason = "two maps for one reader")]
    fn entries(&mut self, table: &Table) -> Option<(BTreeMap<i64, Value>, BTreeMap<String, Value>)> {
        let (mut indices, mut named) = (BTreeMap::new(), BTreeMap::new());
        let (mut numbers, mut texts) = (BTreeMap::new(), BTreeMap::new());
        let read = table.for_each(|key: LuaValue, value: LuaValue| {
            if self.spend(0).is_none() {
                return Err(mlua::Error::runtime("too much"));
            }
            match key {
                LuaValue::Integer(key) => drop(numbers.insert(key, value)),
                LuaValue::String(key) => {
                    if let Some(key) = self.text(&key) {
                        texts.insert(key, value);
                    }
                }
                other => {
                    let kind = other.type_name();
                    self.fault(format!("has a key that is a {kind}: keys are texts, or 1, 2, 3 … of a list"));
                }
            }
            Ok(())
        });
        if let Err(error) = read {
            if !self.is_too_much() {
                self.fault(format!("cannot be read: {}", error_text(&error)));
            }
            return None;
        }
        let below = |reader: &mut Reader, key: String, value: &LuaValue| {
            reader.path.push(key);
            let value = reader.value(value);
            reader.path.pop();
            value
        };
        for (key, value) in numbers {
            if let Some(value) = below(self, key.to_string(), &value) {
                indices.insert(key, value);
            }
        }
        for (key, value) in texts {
            if let Some(value) = below(self, key.clone(), &value) {
                named.insert(key, value);
            }
        }
        Some((indices, named))
    }
}
