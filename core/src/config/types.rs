//! The configuration as data. Every field has a default; flags of `quire serve` win.
//!
//! Fields are read from the file under their names, or those that `rename` says; how each kind of value is written is
//! [`super::values`]'.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::values;
use crate::queue::Supersede;
use crate::rows::RunState;

/// Who performs runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Executor {
    /// A quire-ci child a run: it outlives the server.
    #[default]
    QuireCi,
    /// The engine inside the server; for repositories marked trusted.
    Host,
}

impl Executor {
    /// The word of the configuration and of the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Executor::QuireCi => "quire-ci",
            Executor::Host => "host",
        }
    }
}

/// Which workspaces stay after their run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// That of the last failed run of a ref; first to go when disk is short.
    #[default]
    Failed,
    /// None.
    None,
}

impl Keep {
    /// Whether the workspace of a run that ended so stays.
    pub fn keeps(self, state: RunState) -> bool {
        match self {
            Keep::Failed => state == RunState::Failed,
            Keep::None => false,
        }
    }
}

/// What an identity may do with a repository; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See it, its runs and their logs.
    Read,
    /// Cancel, retry, trigger.
    Run,
    /// Everything.
    Admin,
}

/// Bounds of a run where its pipeline names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest attempt of a job; 60 min.
    pub job: Duration,
    /// Longest silence of a command; 15 min.
    pub idle: Duration,
    /// Most output of a command, in bytes; 100 MB.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { job: Duration::from_secs(3600), idle: Duration::from_secs(900), output_bytes: 100_000_000 }
    }
}

/// How long logs and workspaces are kept. Event streams and rows stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, expecting = "a table with keep and max_size")]
pub struct Logs {
    /// 90 days.
    #[serde(deserialize_with = "values::time")]
    pub keep: Duration,
    /// Of all run directories together; 20 GB.
    #[serde(rename = "max_size", deserialize_with = "values::size")]
    pub max_bytes: u64,
}

impl Default for Logs {
    fn default() -> Logs {
        Logs { keep: Duration::from_secs(90 * 86_400), max_bytes: 20_000_000_000 }
    }
}

/// A proxy in front that says who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, expecting = "a table with addresses and header")]
pub struct Proxy {
    /// Only connections from these addresses are believed.
    #[serde(deserialize_with = "values::addresses")]
    pub addresses: Vec<core::net::IpAddr>,
    /// The header with the name, lower case (`x-forwarded-user`).
    #[serde(deserialize_with = "values::lower_case")]
    pub header: String,
}

/// Where a secret comes from and which refs get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRule {
    /// `env:NAME` or `file:PATH`.
    pub from: String,
    /// Full ref names, `*` matches any run of characters; empty: all refs.
    pub refs: Vec<String>,
}

/// What a repository, or all that a pattern matches, is given. `None`: what the more general rule says, else the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, expecting = "a table of keys")]
pub struct Rule {
    /// Anyone may see it and its runs.
    #[serde(deserialize_with = "values::flag")]
    pub public: Option<bool>,
    /// Anyone who may see it may read its logs without an identity (default false: logs need one).
    #[serde(deserialize_with = "values::flag")]
    pub open_logs: Option<bool>,
    /// Its pipelines may run inside the server.
    #[serde(deserialize_with = "values::flag")]
    pub trusted: Option<bool>,
    /// Who performs its runs.
    #[serde(deserialize_with = "values::executor")]
    pub executor: Option<Executor>,
    /// What newer pushes do to older runs.
    #[serde(deserialize_with = "values::supersede")]
    pub supersede: Option<Supersede>,
    /// Full ref name; default: what HEAD of the repository names.
    #[serde(deserialize_with = "values::branch")]
    pub default_branch: Option<String>,
    /// Most runs of it at once.
    #[serde(deserialize_with = "values::count")]
    pub max_runs: Option<u32>,
    /// Most commands at once in one run; default: CPUs.
    #[serde(deserialize_with = "values::count")]
    pub slots: Option<u32>,
    /// Which workspaces stay.
    #[serde(deserialize_with = "values::keep")]
    pub keep: Option<Keep>,
    /// Longest attempt of a job.
    #[serde(deserialize_with = "values::time")]
    pub job_timeout: Option<Duration>,
    /// Longest silence of a command.
    #[serde(deserialize_with = "values::time")]
    pub idle_timeout: Option<Duration>,
    /// Most output of a command, in bytes.
    #[serde(rename = "output", deserialize_with = "values::size")]
    pub output_bytes: Option<u64>,
    /// Who may do what, by identity.
    pub roles: BTreeMap<String, Role>,
    /// Added to the environment of commands.
    #[serde(deserialize_with = "values::environment")]
    pub env: BTreeMap<String, String>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, SecretRule>,
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, expecting = "a table of keys")]
pub struct ServerConfig {
    /// Where HTTP is listened to; `127.0.0.1:7878`.
    #[serde(deserialize_with = "values::text")]
    pub listen: String,
    /// What the pages' addresses begin with, for the lines that pushers see; default `http://<listen>`.
    #[serde(deserialize_with = "values::text")]
    pub url: Option<String>,
    /// Most runs at once; default: CPUs.
    #[serde(deserialize_with = "values::count")]
    pub max_runs: Option<u32>,
    /// Nothing is admitted while less is free, in bytes; 5 GB.
    #[serde(rename = "min_free", deserialize_with = "values::size")]
    pub min_free_bytes: u64,
    /// How long runs inside the server may go on after TERM; 30 s.
    #[serde(deserialize_with = "values::time")]
    pub drain: Duration,
    /// Logs and workspaces.
    pub logs: Logs,
    /// The group that may push through the socket and the spool.
    #[serde(deserialize_with = "values::text")]
    pub group: Option<String>,
    /// The proxy in front.
    pub proxy: Option<Proxy>,
    /// Identities that are admin of everything.
    #[serde(deserialize_with = "values::texts")]
    pub admins: BTreeSet<String>,
    /// What all repositories are given.
    #[serde(skip)]
    pub defaults: Rule,
    /// By repository name; `*` matches any run of characters. A longer pattern is more special.
    #[serde(skip)]
    pub repos: BTreeMap<String, Rule>,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            listen: "127.0.0.1:7878".to_owned(),
            url: None,
            max_runs: None,
            min_free_bytes: 5_000_000_000,
            drain: Duration::from_secs(30),
            logs: Logs::default(),
            group: None,
            proxy: None,
            admins: BTreeSet::new(),
            defaults: Rule::default(),
            repos: BTreeMap::new(),
        }
    }
}

/// What one repository is given, all rules that match it made one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoConfig {
    /// Anyone may see it and its runs.
    pub public: bool,
    /// Anyone who may see it may read its logs.
    pub open_logs: bool,
    /// Its pipelines may run inside the server.
    pub trusted: bool,
    /// Who performs its runs: `Host` only where it is trusted.
    pub executor: Executor,
    /// What newer pushes do to older runs.
    pub supersede: Supersede,
    /// Full ref name, where configured.
    pub default_branch: Option<String>,
    /// Most runs of it at once.
    pub max_runs: Option<u32>,
    /// Most commands at once in one run.
    pub slots: Option<u32>,
    /// Which workspaces stay.
    pub keep: Keep,
    /// Bounds of its runs.
    pub limits: Limits,
    /// Who may do what.
    pub roles: BTreeMap<String, Role>,
    /// Added to the environment of commands.
    pub env: BTreeMap<String, String>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, SecretRule>,
}
