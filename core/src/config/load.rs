//! Reads `config.lua` or `config.fnl`: a file that returns a table, run in the sandbox.
//!
//! What is wrong is told all at once, each fault at its line: a value of the wrong type is taken out of the table and the rest is
//! read again, until it can be read. A key that is not known is a warning: an older quire can read a newer one's file.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::check;
use super::keys::{self, Level};
use super::report::{At, Report};
use super::types::{Rule, ServerConfig};
use crate::engine::{Limits, Source};
use crate::pipeline::{Diagnostic, check as check_pipeline, did_you_mean, list};
use crate::script::{Failure, evaluate};

/// Bounds of the file's run; it has nothing to do but to make a table.
const INSTRUCTIONS: u64 = 20_000_000;

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What the file says.
    pub config: ServerConfig,
    /// What it probably does not mean, in order of place.
    pub warnings: Vec<Diagnostic>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why not, in order of place; never empty.
    pub errors: Vec<Diagnostic>,
    /// What else it probably does not mean, in order of place.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the configuration. `source` has the file's name, for messages and to tell Lua from Fennel, and its text; it has no
/// modules.
///
/// # Errors
/// The file is no Lua or Fennel, does not come to an end within its bounds, or returns what is no configuration.
pub fn load(source: &Source) -> Result<Loaded, Refused> {
    let limits = Limits { instructions: INSTRUCTIONS, ..Limits::default() };
    let evaluated = evaluate(source, &limits).map_err(|failure| refused(source, failure))?;
    let text = String::from_utf8_lossy(&source.text).into_owned();
    let mut report = Report::new(&source.file, text);
    for fault in evaluated.faults {
        report.error(fault.path, At::Value, &fault.message);
    }
    let config = match evaluated.value {
        Value::Object(table) => read_config(table, &mut report),
        other => {
            let given = match other {
                Value::Null => "nothing",
                Value::Array(_) => "a list",
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::String(_) | Value::Object(_) => "a text",
            };
            report.error_with_help(Vec::new(), &format!("returns {given}, not a table"), &report.example());
            ServerConfig::default()
        }
    };
    let (errors, warnings) = report.finish();
    if errors.is_empty() { Ok(Loaded { config, warnings }) } else { Err(Refused { errors, warnings }) }
}

/// The file did not return anything: what Lua or Fennel says.
fn refused(source: &Source, failure: Failure) -> Refused {
    let mut message = failure.message;
    let mut advice = None;
    // The sandbox speaks to people who write pipelines.
    if let Some((name, _)) = message.split_once(" is not there in a pipeline") {
        message = format!("{name} is not there in a configuration");
        advice = Some("it returns a table, made with what Lua has for numbers, texts and tables".to_owned());
    } else if message.starts_with("module \"") || message.starts_with("macro module \"") {
        message = "a configuration is one file: there are no modules to require".to_owned();
    }
    let diagnostic = Diagnostic { message, place: failure.place, help: advice, excerpt: None };
    let errors = check_pipeline(Vec::new(), None, vec![diagnostic.clone()], &source.texts()).err();
    Refused { errors: errors.unwrap_or_else(|| vec![diagnostic]), warnings: Vec::new() }
}

fn read_config(mut table: Map<String, Value>, report: &mut Report) -> ServerConfig {
    keys::underscore(&mut table, report);
    let repos = table.remove("repos");
    let mut defaults = Map::new();
    for key in keys::DEFAULTS {
        if let Some(value) = table.remove(*key) {
            defaults.insert(keys::in_rule(key).to_owned(), value);
        }
    }
    let mut config: ServerConfig = read(Value::Object(table), &Level::Server, report);
    config.defaults = read(Value::Object(defaults), &Level::Defaults, report);
    config.repos = read_repos(repos, report);
    check::check(&config, report);
    config
}

fn read_repos(repos: Option<Value>, report: &mut Report) -> BTreeMap<String, Rule> {
    match repos {
        None => BTreeMap::new(),
        Some(Value::Object(repos)) => repos
            .into_iter()
            .map(|(pattern, rule)| {
                let level = Level::Repo(pattern.clone());
                (pattern, read(rule, &level, report))
            })
            .collect(),
        Some(_) => {
            let wanted = "wants a table of repository names or patterns with tables of keys";
            report.error(vec!["repos".to_owned()], At::Value, wanted);
            BTreeMap::new()
        }
    }
}

/// Reads a table; what is wrong in it is reported and left out.
fn read<T: DeserializeOwned + Default>(mut value: Value, level: &Level, report: &mut Report) -> T {
    // Each round takes at least one value out.
    while !report.is_full() {
        let mut unknown = Vec::new();
        let result = {
            let mut note = |path: serde_ignored::Path<'_>| unknown.push(ignored_path(&path));
            let ignoring = serde_ignored::Deserializer::new(&value, &mut note);
            serde_path_to_error::deserialize::<_, T>(ignoring)
        };
        let error = match result {
            Ok(read) => {
                for path in unknown {
                    unknown_key(level, &path, report);
                }
                return read;
            }
            Err(error) => error,
        };
        let path = error_path(error.path());
        report.error(level.path(&path), At::Value, &wants(&error.inner().to_string()));
        if !take_out(&mut value, &path) {
            break;
        }
    }
    T::default()
}

/// Serde's own words for a value of the wrong kind, as ours are. They never show the value.
fn wants(message: &str) -> String {
    let Some((given, wanted)) = message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return message.to_owned();
    };
    let given = match given.split(' ').next().unwrap_or_default() {
        "sequence" => "a list",
        "map" => "a table",
        "string" => "a text",
        "boolean" => "true or false",
        "null" | "unit" => "null",
        _ => "a number",
    };
    let wanted = if wanted == "a map" { "a table with names as keys" } else { wanted };
    format!("wants {wanted}, not {given}")
}

fn unknown_key(level: &Level, path: &[String], report: &mut Report) {
    let Some(key) = path.last() else { return };
    let known = keys::known_in(level, path);
    let help = keys::elsewhere(level, path).unwrap_or_else(|| {
        format!("{}keys: {}", did_you_mean(key, known.iter().copied()), list(known.iter().copied()))
    });
    report.unknown_key(level.path(path), help);
}

fn error_path(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    let key = |segment: &Segment| match segment {
        Segment::Seq { index } => Some((index + 1).to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(key).collect()
}

fn ignored_path(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    let mut keys = Vec::new();
    let mut at = path;
    loop {
        at = match at {
            Path::Root => break,
            Path::Seq { parent, index } => {
                keys.push((index + 1).to_string());
                parent
            }
            Path::Map { parent, key } => {
                keys.push(key.clone());
                parent
            }
            Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => parent,
        };
    }
    keys.reverse();
    keys
}

/// Takes the value at `path` out of its table; out of a list the whole list, so that its other elements keep their numbers.
/// `false`: there is none.
fn take_out(value: &mut Value, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut at = &mut *value;
    for (depth, key) in parents.iter().enumerate() {
        at = match at {
            Value::Object(table) => match table.get_mut(key) {
                Some(inner) => inner,
                None => return false,
            },
            Value::Array(_) => return take_out(value, path.get(..depth).unwrap_or_default()),
            _ => return false,
        };
    }
    match at {
        Value::Object(table) => table.remove(last).is_some(),
        Value::Array(_) => take_out(value, parents),
        _ => false,
    }
}
