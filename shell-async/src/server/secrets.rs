//! Secrets of the configuration: read when a run begins, handed to its driver, and nowhere else.

use std::collections::BTreeMap;
use std::path::Path;

use quire_ci::cli::SecretSource;
use quire_core::config::{RepoConfig, ServerConfig};

/// The values of the secrets that runs of this ref get.
///
/// # Errors
/// For people: which has none, and why. Never a value.
pub fn resolve(config: &RepoConfig, ref_name: Option<&str>) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    for (name, from) in config.secrets_for(ref_name) {
        let source = source(from).ok_or_else(|| format!("the secret {name:?} is neither env:NAME nor file:PATH"))?;
        let value = source.resolve(name, |variable| std::env::var_os(variable), Path::new("/"));
        let value = value.map_err(|error| error.message)?;
        let value = String::from_utf8(value).map_err(|_| format!("the secret {name:?} is not UTF-8"))?;
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// The variables of this process that hold secrets: no child inherits them.
pub fn variables(config: &ServerConfig) -> Vec<String> {
    let rules = config.repos.values().chain([&config.defaults]);
    let sources = rules.flat_map(|rule| rule.secrets.values()).filter_map(|rule| source(&rule.from));
    sources.filter_map(|source| source.env_name().map(str::to_owned)).collect()
}

fn source(from: &str) -> Option<SecretSource> {
    match from.split_once(':')? {
        ("env", name) => Some(SecretSource::Env(name.to_owned())),
        ("file", path) => Some(SecretSource::File(path.into())),
        _ => None,
    }
}
