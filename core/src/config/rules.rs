//! Which repository is given what: the defaults and all rules that match its name, made one.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::pattern;
use super::types::{Executor, RepoConfig, Rule, ServerConfig};

impl ServerConfig {
    /// What the repository of this name is given: the defaults, then each rule whose pattern matches, from the general to the
    /// special, field by field. Maps (`roles`, `env`, `secrets`) are united. The executor is `Host` only where it is trusted.
    pub fn repo(&self, name: &str) -> RepoConfig {
        let mut matching: Vec<(&String, &Rule)> =
            self.repos.iter().filter(|(pattern, _)| pattern::matches(pattern, name)).collect();
        matching.sort_by_key(|(pattern, _)| (pattern::rank(pattern), *pattern));
        let mut merged = self.defaults.clone();
        for (_, rule) in matching {
            merged.take(rule);
        }
        RepoConfig::from(merged)
    }

    /// What the pages' addresses begin with, without a `/` at the end.
    pub fn url(&self) -> String {
        if let Some(url) = &self.url {
            return url.trim_end_matches('/').to_owned();
        }
        match self.listen.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
            _ => format!("http://{}", self.listen),
        }
    }
}

impl Rule {
    /// What `special` says wins.
    fn take(&mut self, special: &Rule) {
        fn take<T: Clone>(general: &mut Option<T>, special: &Option<T>) {
            if special.is_some() {
                general.clone_from(special);
            }
        }
        fn unite<T: Clone>(general: &mut BTreeMap<String, T>, special: &BTreeMap<String, T>) {
            general.extend(special.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let Rule {
            public,
            open_logs,
            trusted,
            executor,
            supersede,
            default_branch,
            max_runs,
            slots,
            keep,
            job_timeout,
            idle_timeout,
            output_bytes,
            roles,
            env,
            secrets,
        } = special;
        take(&mut self.public, public);
        take(&mut self.open_logs, open_logs);
        take(&mut self.trusted, trusted);
        take(&mut self.executor, executor);
        take(&mut self.supersede, supersede);
        take(&mut self.default_branch, default_branch);
        take(&mut self.max_runs, max_runs);
        take(&mut self.slots, slots);
        take(&mut self.keep, keep);
        take(&mut self.job_timeout, job_timeout);
        take(&mut self.idle_timeout, idle_timeout);
        take(&mut self.output_bytes, output_bytes);
        unite(&mut self.roles, roles);
        unite(&mut self.env, env);
        unite(&mut self.secrets, secrets);
    }
}

impl From<Rule> for RepoConfig {
    fn from(rule: Rule) -> RepoConfig {
        let default = super::types::Limits::default();
        let trusted = rule.trusted.unwrap_or(false);
        let executor = rule.executor.unwrap_or_default();
        RepoConfig {
            public: rule.public.unwrap_or(false),
            open_logs: rule.open_logs.unwrap_or(false),
            trusted,
            executor: if trusted { executor } else { Executor::QuireCi },
            supersede: rule.supersede.unwrap_or_default(),
            default_branch: rule.default_branch,
            max_runs: rule.max_runs,
            slots: rule.slots,
            keep: rule.keep.unwrap_or_default(),
            limits: super::types::Limits {
                job: rule.job_timeout.unwrap_or(default.job),
                idle: rule.idle_timeout.unwrap_or(default.idle),
                output_bytes: rule.output_bytes.unwrap_or(default.output_bytes),
            },
            roles: rule.roles,
            env: rule.env,
            secrets: rule.secrets,
        }
    }
}

impl Default for RepoConfig {
    fn default() -> RepoConfig {
        RepoConfig::from(Rule::default())
    }
}

impl RepoConfig {
    /// The secrets that a run of this ref is given: name to source (`env:NAME`, `file:PATH`). A run without a ref is given
    /// those that every ref is.
    pub fn secrets_for(&self, ref_name: Option<&str>) -> BTreeMap<&str, &str> {
        let given = self.secrets.iter().filter(|(_, secret)| {
            secret.refs.is_empty()
                || ref_name.is_some_and(|name| secret.refs.iter().any(|refs| pattern::matches(refs, name)))
        });
        given.map(|(name, secret)| (name.as_str(), secret.from.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::types::{Keep, Limits, Role, SecretRule};
    use super::*;
    use crate::queue::Supersede;

    fn config(rules: &[(&str, Rule)]) -> ServerConfig {
        let repos = rules.iter().map(|(pattern, rule)| ((*pattern).to_owned(), rule.clone())).collect();
        ServerConfig { repos, ..ServerConfig::default() }
    }

    fn slots(slots: u32) -> Rule {
        Rule { slots: Some(slots), ..Rule::default() }
    }

    #[test]
    fn nothing_said_is_the_default() {
        let repo = ServerConfig::default().repo("a.git");
        assert_eq!(repo, RepoConfig::default());
        assert!(!repo.public && !repo.open_logs && !repo.trusted);
        assert_eq!((repo.executor, repo.supersede, repo.keep), (Executor::QuireCi, Supersede::Queued, Keep::Failed));
        assert_eq!(repo.limits, Limits::default());
    }

    #[test]
    fn the_special_wins() {
        let mut config = config(&[
            ("*", slots(1)),
            ("work/*", slots(2)),
            ("*/foo.git", slots(3)),
            ("work/f*", slots(4)),
            ("a.git", slots(5)),
            ("*************************a.git", slots(6)),
        ]);
        config.defaults.slots = Some(9);
        config.defaults.max_runs = Some(8);
        for (name, expected) in [
            ("b.git", 1),
            ("work/bar.git", 2),
            ("work/foo.git", 3),
            ("work/fob.git", 4),
            ("home/foo.git", 3),
            ("a.git", 5),
            ("aa.git", 6),
        ] {
            let repo = config.repo(name);
            assert_eq!((repo.slots, repo.max_runs), (Some(expected), Some(8)), "{name}");
        }
    }

    #[test]
    fn every_field_is_merged() {
        let secret = |from: &str| SecretRule { from: from.to_owned(), refs: Vec::new() };
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let rule = Rule {
            public: Some(true),
            open_logs: Some(true),
            trusted: Some(true),
            executor: Some(Executor::Host),
            supersede: Some(Supersede::Off),
            default_branch: Some("refs/heads/trunk".into()),
            max_runs: Some(1),
            slots: Some(2),
            keep: Some(Keep::None),
            job_timeout: Some(Duration::from_secs(1)),
            idle_timeout: Some(Duration::from_secs(2)),
            output_bytes: Some(3),
            roles: BTreeMap::from([("ann".into(), Role::Run)]),
            env: map(&[("A", "rule"), ("B", "rule")]),
            secrets: BTreeMap::from([("T".into(), secret("env:T"))]),
        };
        let mut config = config(&[("*", rule)]);
        config.defaults = Rule {
            public: Some(false),
            roles: BTreeMap::from([("ann".into(), Role::Read), ("bob".into(), Role::Admin)]),
            env: map(&[("A", "default"), ("C", "default")]),
            secrets: BTreeMap::from([("U".into(), secret("env:U"))]),
            ..Rule::default()
        };
        let expected = RepoConfig {
            public: true,
            open_logs: true,
            trusted: true,
            executor: Executor::Host,
            supersede: Supersede::Off,
            default_branch: Some("refs/heads/trunk".into()),
            max_runs: Some(1),
            slots: Some(2),
            keep: Keep::None,
            limits: Limits { job: Duration::from_secs(1), idle: Duration::from_secs(2), output_bytes: 3 },
            roles: BTreeMap::from([("ann".into(), Role::Run), ("bob".into(), Role::Admin)]),
            env: map(&[("A", "rule"), ("B", "rule"), ("C", "default")]),
            secrets: BTreeMap::from([("T".into(), secret("env:T")), ("U".into(), secret("env:U"))]),
        };
        assert_eq!(config.repo("x.git"), expected);
    }

    #[test]
    fn only_the_trusted_run_inside_the_server() {
        let rule = |trusted| Rule { executor: Some(Executor::Host), trusted, ..Rule::default() };
        let config = config(&[("a.git", rule(None)), ("b.git", rule(Some(false))), ("c.git", rule(Some(true)))]);
        let executors = ["a.git", "b.git", "c.git"].map(|name| config.repo(name).executor);
        assert_eq!(executors, [Executor::QuireCi, Executor::QuireCi, Executor::Host]);
    }

    #[test]
    fn secrets_go_to_their_refs() {
        let secret = |refs: &[&str]| SecretRule {
            from: "env:X".into(),
            refs: refs.iter().map(|name| (*name).to_owned()).collect(),
        };
        let secrets = [
            ("all", secret(&[])),
            ("main", secret(&["refs/heads/main"])),
            ("releases", secret(&["refs/tags/v*", "refs/heads/release-*"])),
            ("any", secret(&["*"])),
        ];
        let secrets = secrets.into_iter().map(|(name, secret)| (name.to_owned(), secret)).collect();
        let repo = RepoConfig { secrets, ..RepoConfig::default() };
        for (ref_name, expected) in [
            (None, &["all"][..]),
            (Some("refs/heads/main"), &["all", "any", "main"]),
            (Some("refs/tags/main"), &["all", "any"]),
            (Some("refs/heads/main2"), &["all", "any"]),
            (Some("refs/tags/v1"), &["all", "any", "releases"]),
            (Some("refs/heads/release-2"), &["all", "any", "releases"]),
        ] {
            let given: Vec<&str> = repo.secrets_for(ref_name).into_keys().collect();
            assert_eq!(given, expected, "{ref_name:?}");
        }
    }

    #[test]
    fn addresses_of_pages() {
        for (listen, url, expected) in [
            ("127.0.0.1:7878", None, "http://127.0.0.1:7878"),
            ("0.0.0.0:80", None, "http://localhost:80"),
            ("[::]:80", None, "http://localhost:80"),
            ("[::1]:80", None, "http://[::1]:80"),
            ("localhost:1", None, "http://localhost:1"),
            ("127.0.0.1:7878", Some("https://ci.example.org/quire//"), "https://ci.example.org/quire"),
        ] {
            let url = url.map(str::to_owned);
            assert_eq!(ServerConfig { listen: listen.into(), url, ..ServerConfig::default() }.url(), expected);
        }
    }
}
