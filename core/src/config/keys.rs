//! The names of keys, where each belongs, and what a key that is not known was probably meant to be.

use serde_json::{Map, Value};

use super::report::Report;

/// Keys of the whole server.
const SERVER: &[&str] =
    &["listen", "url", "max_runs", "min_free", "drain", "logs", "group", "proxy", "admins", "repos"];

/// Keys of a rule for repositories.
const RULE: &[&str] = &[
    "public",
    "open_logs",
    "trusted",
    "executor",
    "supersede",
    "default_branch",
    "max_runs",
    "slots",
    "keep",
    "job_timeout",
    "idle_timeout",
    "output",
    "roles",
    "env",
    "secrets",
];

/// Keys of a rule at the top level, where they are the defaults of all repositories.
pub(super) const DEFAULTS: &[&str] = &[
    "public",
    "open_logs",
    "trusted",
    "executor",
    "supersede",
    "default_branch",
    "max_runs_per_repo",
    "slots",
    "keep",
    "job_timeout",
    "idle_timeout",
    "output",
    "roles",
    "env",
    "secrets",
];

const LOGS: &[&str] = &["keep", "max_size"];
const PROXY: &[&str] = &["addresses", "header"];
const SECRET: &[&str] = &["from", "refs"];

/// At the top level, where `max_runs` is the server's, a repository's has a longer name.
const MAX_RUNS: (&str, &str) = ("max_runs_per_repo", "max_runs");

/// The name that a key of the top level has in a rule.
pub(super) fn in_rule(key: &str) -> &str {
    if key == MAX_RUNS.0 { MAX_RUNS.1 } else { key }
}

/// Which table a path begins in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    /// The top level, keys of the server.
    Server,
    /// The top level, keys of a rule.
    Defaults,
    /// A rule of `repos`.
    Repo(String),
}

impl Level {
    /// The path from the top level.
    pub(super) fn path(&self, path: &[String]) -> Vec<String> {
        match self {
            Level::Server => path.to_vec(),
            Level::Defaults => match path.split_first() {
                Some((first, rest)) if first == MAX_RUNS.1 => {
                    std::iter::once(MAX_RUNS.0.to_owned()).chain(rest.iter().cloned()).collect()
                }
                _ => path.to_vec(),
            },
            Level::Repo(pattern) => {
                ["repos".to_owned(), pattern.clone()].into_iter().chain(path.iter().cloned()).collect()
            }
        }
    }
}

/// The keys that there are in the table of the last of `path`.
pub(super) fn known_in(level: &Level, path: &[String]) -> Vec<&'static str> {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match (level, keys.as_slice()) {
        (Level::Server, ["logs", _]) => LOGS.to_vec(),
        (Level::Server, ["proxy", _]) => PROXY.to_vec(),
        (_, ["secrets", _, _]) => SECRET.to_vec(),
        (Level::Server, _) => SERVER.iter().chain(DEFAULTS).copied().collect(),
        (Level::Defaults | Level::Repo(_), _) => RULE.to_vec(),
    }
}

/// What to do with a key that is known in another table.
pub(super) fn elsewhere(level: &Level, path: &[String]) -> Option<String> {
    let (Level::Repo(_), [key]) = (level, path) else { return None };
    if key == MAX_RUNS.0 {
        return Some(format!("in repos it is called {}", MAX_RUNS.1));
    }
    SERVER.contains(&key.as_str()).then(|| "it is a key of the whole server: write it at the top level".to_owned())
}

/// `-` and `_` are one in our names, so that both languages read naturally. Names that people give are left alone.
pub(super) fn underscore(table: &mut Map<String, Value>, report: &mut Report) {
    let all: Vec<&str> = SERVER.iter().chain(DEFAULTS).copied().collect();
    rename(table, &all, &[], report);
    for (key, known) in [("logs", LOGS), ("proxy", PROXY)] {
        if let Some(Value::Object(inner)) = table.get_mut(key) {
            rename(inner, known, &[key], report);
        }
    }
    if let Some(Value::Object(repos)) = table.get_mut("repos") {
        for (pattern, rule) in repos {
            if let Value::Object(rule) = rule {
                rename(rule, RULE, &["repos", pattern], report);
            }
        }
    }
}

fn rename(table: &mut Map<String, Value>, known: &[&str], path: &[&str], report: &mut Report) {
    let dashed: Vec<String> = table.keys().filter(|key| key.contains('-')).cloned().collect();
    for key in dashed {
        let name = key.replace('-', "_");
        if !known.contains(&name.as_str()) {
            continue;
        }
        let Some(value) = table.remove(&key) else { continue };
        if table.contains_key(&name) {
            let path = path.iter().map(|key| (*key).to_owned()).chain([key.clone()]).collect();
            report.error(path, super::report::At::Key, &format!("is given twice, as {key} and as {name}"));
        } else {
            table.insert(name, value);
        }
    }
}
