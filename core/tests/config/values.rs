//! What good files say, the document's examples first.

use std::collections::BTreeMap;
use std::time::Duration;

use quire_core::config::{Executor, Keep, Limits, Logs, Proxy, Role, Rule, SecretRule, ServerConfig};
use quire_core::queue::Supersede;

use crate::support::config;

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// The block of the document in this language.
fn example(language: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("```{language}\n")).expect("the document has an example");
    rest.split_once("```").expect("the example ends").0
}

fn map<T>(pairs: impl IntoIterator<Item = (&'static str, T)>) -> BTreeMap<String, T> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn secret(from: &str, refs: &[&str]) -> SecretRule {
    SecretRule { from: from.to_owned(), refs: refs.iter().map(|name| (*name).to_owned()).collect() }
}

/// What the document's examples say: every key there is.
fn documented() -> ServerConfig {
    let team = map([("ann", Role::Admin), ("bob", Role::Run), ("eve", Role::Read)]);
    ServerConfig {
        listen: "127.0.0.1:7878".into(),
        url: Some("https://ci.example.org".into()),
        max_runs: Some(8),
        min_free_bytes: 5_000_000_000,
        drain: Duration::from_secs(30),
        logs: Logs { keep: Duration::from_secs(90 * 86_400), max_bytes: 20_000_000_000 },
        group: Some("git".into()),
        proxy: Some(Proxy { addresses: vec![[127, 0, 0, 1].into()], header: "x-forwarded-user".into() }),
        admins: ["ann".to_owned()].into(),
        defaults: Rule {
            public: Some(false),
            open_logs: Some(false),
            trusted: Some(false),
            executor: Some(Executor::QuireCi),
            supersede: Some(Supersede::Queued),
            default_branch: Some("refs/heads/main".into()),
            max_runs: Some(4),
            slots: Some(4),
            keep: Some(Keep::Failed),
            job_timeout: Some(Duration::from_secs(3600)),
            idle_timeout: Some(Duration::from_secs(900)),
            output_bytes: Some(100_000_000),
            roles: map([("ann", Role::Admin)]),
            env: map([("LANG", "C.UTF-8".to_owned()), ("PORT", "8080".to_owned())]),
            secrets: map([("NPM_TOKEN", secret("env:NPM_TOKEN", &[]))]),
        },
        repos: map([
            ("work/*", Rule { roles: team, max_runs: Some(2), ..Rule::default() }),
            (
                "work/site.git",
                Rule {
                    public: Some(true),
                    trusted: Some(true),
                    executor: Some(Executor::Host),
                    secrets: map([
                        ("DEPLOY_KEY", secret("file:/etc/quire/deploy-key", &["refs/heads/main", "refs/tags/v*"])),
                        ("SIGNING_KEY", secret("env:SIGNING_KEY", &["refs/tags/v*"])),
                    ]),
                    ..Rule::default()
                },
            ),
        ]),
    }
}

#[test]
fn the_examples_of_the_document_say_the_same() {
    assert_eq!(config("config.lua", example("lua")), documented());
    assert_eq!(config("config.fnl", example("fennel")), documented());
}

#[test]
fn the_document_tells_of_every_key() {
    for line in example("lua").lines() {
        let Some((key, _)) = line.strip_prefix("  ").and_then(|line| line.split_once(" = ")) else { continue };
        if key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            let tells = [format!("`{key}`"), format!("`{key}.")].iter().any(|text| DOCUMENT.contains(text));
            assert!(tells, "{key}");
        }
    }
}

/// The defaults that the document names are those that hold.
#[test]
fn the_defaults_of_the_document_hold() {
    let default = ServerConfig::default();
    let repo = default.repo("a.git");
    let said = config(
        "config.lua",
        "return { listen = '127.0.0.1:7878', min_free = '5GB', drain = '30s', logs = { keep = '90d', max_size = '20GB' },
            public = false, open_logs = false, trusted = false, executor = 'quire-ci', supersede = 'queued', keep = 'failed',
            job_timeout = '1h', idle_timeout = '15m', output = '100MB' }",
    );
    assert_eq!(said.repo("a.git"), repo);
    assert_eq!(ServerConfig { defaults: Rule::default(), ..said }, default);
    assert_eq!(repo.limits, Limits::default());
}

#[test]
fn values_may_be_written_in_several_ways() {
    for (text, read) in [
        ("return {}", ServerConfig::default()),
        ("return { drain = 1.5 }", ServerConfig { drain: Duration::from_millis(1500), ..ServerConfig::default() }),
        ("return { min_free = 5e9 }", ServerConfig::default()),
        ("return { min_free = 0 }", ServerConfig { min_free_bytes: 0, ..ServerConfig::default() }),
        ("return { max_runs = 4.0 }", ServerConfig { max_runs: Some(4), ..ServerConfig::default() }),
        ("return { ['max-runs'] = 4 }", ServerConfig { max_runs: Some(4), ..ServerConfig::default() }),
        ("return { admins = {}, repos = {}, roles = {}, env = {}, secrets = {} }", ServerConfig::default()),
        ("local c = {} c.max_runs = 2 * 2 return c", ServerConfig { max_runs: Some(4), ..ServerConfig::default() }),
        ("return { listen = 'localhost:0' }", ServerConfig { listen: "localhost:0".into(), ..ServerConfig::default() }),
    ] {
        assert_eq!(config("config.lua", text), read, "{text}");
    }
    // Names that people give are theirs, dashes and all.
    let said =
        config("config.lua", "return { roles = { ['max-runs'] = 'read' }, secrets = { ['a-b'] = { 'env:X' } } }");
    assert_eq!(said.defaults.roles, map([("max-runs", Role::Read)]));
    assert_eq!(said.defaults.secrets, map([("a-b", secret("env:X", &[]))]));
}
