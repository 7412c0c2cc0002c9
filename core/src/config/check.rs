//! Looks over a configuration whose values are of the right kind: addresses, names, and what contradicts itself.

use core::net::SocketAddr;

use super::keys::Level;
use super::pattern::matches;
use super::report::{At, Report};
use super::types::{Executor, Rule, ServerConfig};
use super::values::is_variable;
use crate::access::host_of_url;

pub(super) fn check(config: &ServerConfig, report: &mut Report) {
    server(config, report);
    rule(&config.defaults, &Level::Defaults, report);
    for (pattern, given) in &config.repos {
        let level = Level::Repo(pattern.clone());
        rule(given, &level, report);
        if let Some((message, help)) = odd_pattern(pattern) {
            report.warning(level.path(&[]), At::Key, &message, &help);
        }
    }
    executors(config, report);
}

fn server(config: &ServerConfig, report: &mut Report) {
    let at = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    if !is_address(&config.listen) {
        let message =
            "is no address with a port: write for example \"127.0.0.1:7878\", \"[::1]:7878\" or \"localhost:7878\"";
        report.error(at(&["listen"]), At::Value, message);
    }
    if let Some(url) = &config.url
        && (host_of_url(url).is_none()
            || url.contains(|c: char| c.is_whitespace() || c.is_control() || "?#".contains(c)))
    {
        report.error(at(&["url"]), At::Value, "is no address of pages: write for example \"https://ci.example.org\"");
    }
    if config.admins.iter().any(String::is_empty) {
        report.error(at(&["admins"]), At::Value, "has an empty name");
    }
    let Some(proxy) = &config.proxy else { return };
    if proxy.addresses.is_empty() {
        let message = "does not say which addresses to believe: addresses = { \"127.0.0.1\" }";
        report.error(at(&["proxy"]), At::Key, message);
    }
    if proxy.header.is_empty() {
        let message = "does not say which header has the name: header = \"x-forwarded-user\"";
        report.error(at(&["proxy"]), At::Key, message);
    } else if !proxy.header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        report.error(at(&["proxy", "header"]), At::Value, "is no name of a header");
    }
}

/// An address with a port; of names only `localhost`, as no other is looked up.
fn is_address(listen: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    listen.parse::<SocketAddr>().is_ok() || listen.strip_prefix("localhost:").is_some_and(is_port)
}

fn rule(rule: &Rule, level: &Level, report: &mut Report) {
    let at = |keys: &[&str]| level.path(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
    if rule.output_bytes == Some(0) {
        report.error(at(&["output"]), At::Value, "wants a size of more than 0: no command could say anything");
    }
    if rule.default_branch.as_deref().is_some_and(|name| !is_ref(name)) {
        report.error(at(&["default_branch"]), At::Value, "is no name of a branch");
    }
    for name in rule.roles.keys().filter(|name| name.is_empty()) {
        report.error(at(&["roles", name]), At::Key, "wants the name of somebody");
    }
    for (name, value) in &rule.env {
        if !is_variable(name) {
            report.error(at(&["env", name]), At::Key, "is no name of a variable: letters, digits and '_'");
        } else if value.contains('\0') {
            report.error(at(&["env", name]), At::Value, "has a NUL in it, which no variable can have");
        }
    }
    for name in rule.secrets.keys() {
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if !is_name {
            report.error(at(&["secrets", name]), At::Key, "is no name of a secret: letters, digits, '_', '-' and '.'");
        }
    }
}

/// Roughly what git takes for the name of a ref.
fn is_ref(name: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    !name.contains(is_odd) && !name.contains("..") && !name.contains("//") && !name.ends_with(['/', '.'])
}

/// Why no repository can have a name that the pattern matches, and what to do.
fn odd_pattern(pattern: &str) -> Option<(String, String)> {
    let is_wild = pattern.contains('*');
    let is_possible = pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*._-/".contains(&byte));
    if !is_possible || pattern.starts_with('/') || pattern.matches('/').count() > 1 {
        return Some((
            "matches no repository".to_owned(),
            "names are like \"foo.git\" or \"work/foo.git\"; * matches any run of characters".to_owned(),
        ));
    }
    (!is_wild && !pattern.ends_with(".git"))
        .then(|| ("matches no repository: names end in .git".to_owned(), format!("did you mean \"{pattern}.git\"?")))
}

/// Runs inside the server are for trusted repositories: where nothing that a rule applies to is trusted, it says nothing.
fn executors(config: &ServerConfig, report: &mut Report) {
    let help = "they run as quire-ci does; add trusted = true if you trust all who can push";
    let wants_host = |rule: &Rule| rule.executor == Some(Executor::Host);
    let trusts_below =
        |pattern: &str| config.repos.iter().any(|(other, rule)| rule.trusted == Some(true) && matches(pattern, other));
    let mut warn = |level: Level| {
        let message = "is \"host\", but these repositories are not trusted";
        report.warning(level.path(&["executor".to_owned()]), At::Value, message, help);
    };
    if wants_host(&config.defaults) && config.defaults.trusted != Some(true) && !trusts_below("*") {
        warn(Level::Defaults);
    }
    for (pattern, rule) in &config.repos {
        // The pattern is a name that it matches, and so do those that are more general.
        if wants_host(rule) && !config.repo(pattern).trusted && !trusts_below(pattern) {
            warn(Level::Repo(pattern.clone()));
        }
    }
}
