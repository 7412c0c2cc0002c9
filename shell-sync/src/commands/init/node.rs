//! JavaScript: the scripts of `package.json`, by the package manager whose lock file is there.

use serde_json::Value;

use super::plan::{Job, Section};
use super::probe::Probe;

/// What npm writes into a new package.json.
const NO_TESTS: &str = "no test specified";

/// Scripts that check something, and what they are for; `test` comes last, after `build`.
const SCRIPTS: [(&str, &str); 9] = [
    ("lint", "Lints"),
    ("format:check", "Is the code formatted?"),
    ("prettier:check", "Is the code formatted?"),
    ("typecheck", "Checks the types"),
    ("type-check", "Checks the types"),
    ("check-types", "Checks the types"),
    ("check", "Runs the checks"),
    ("build", "Builds"),
    ("test", "Runs the tests"),
];

struct Manager {
    program: &'static str,
    /// Installs what the lock file says and leaves it as it is.
    install: &'static str,
}

pub(super) fn detect(probe: &Probe<'_>) -> Option<Section> {
    let text = probe.text("package.json")?;
    let mut section = Section { prefix: "npm", found: "package.json".to_owned(), ..Section::default() };
    let Ok(package) = serde_json::from_str::<Value>(&text) else {
        section.notes.push("package.json is not JSON: no jobs for it".to_owned());
        return Some(section);
    };
    let Manager { program, install } = manager(probe, &package);
    section.prefix = program;
    if !probe.has(program) {
        section.notes.push(format!("package.json is there but {program} is not: no jobs for it"));
        return Some(section);
    }
    let has_dependencies =
        ["dependencies", "devDependencies", "optionalDependencies", "workspaces"].iter().any(|key| {
            package.get(key).is_some_and(|value| match value {
                Value::Object(map) => !map.is_empty(),
                Value::Array(list) => !list.is_empty(),
                _ => false,
            })
        });
    let mut base: Vec<&str> = Vec::new();
    let mut jobs = Vec::new();
    let scripts = package.get("scripts");
    let mut has_build = false;
    for (name, desc) in SCRIPTS {
        let Some(script) = scripts.and_then(|scripts| scripts.get(name)).and_then(Value::as_str) else { continue };
        if script.contains(NO_TESTS) {
            continue;
        }
        if waits_for_changes(script) {
            section.notes.push(format!("the script {name} waits for changes and would never end: no job for it"));
            continue;
        }
        if has_dependencies && base.is_empty() {
            base.push("install");
            jobs.push(Job::new("install", &[], "Installs what the lock file says", install));
        }
        has_build |= name == "build";
        let after: &[&str] = if name == "test" && has_build { &["build"] } else { &base };
        jobs.push(Job::new(&name.replace(':', "-"), after, desc, &format!("{program} run {name}")));
    }
    if jobs.is_empty() {
        section.notes.push("package.json has no script that lints, checks, builds or tests: no jobs for it".to_owned());
    }
    section.jobs = jobs;
    Some(section)
}

/// The package manager: by `packageManager`, else by the lock file, else npm.
fn manager(probe: &Probe<'_>, package: &Value) -> Manager {
    let named = package.get("packageManager").and_then(Value::as_str).unwrap_or_default();
    let is = |name: &str, locks: &[&str]| match named {
        "" => locks.iter().any(|lock| probe.exists(lock)),
        named => named.split('@').next() == Some(name),
    };
    if is("pnpm", &["pnpm-lock.yaml"]) {
        return Manager {
            program: "pnpm",
            install: locked(probe, "pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm install"),
        };
    }
    if is("yarn", &["yarn.lock"]) {
        let classic = named.starts_with("yarn@1") || (named.is_empty() && !probe.exists(".yarnrc.yml"));
        let frozen = if classic { "yarn install --frozen-lockfile" } else { "yarn install --immutable" };
        return Manager { program: "yarn", install: locked(probe, "yarn.lock", frozen, "yarn install") };
    }
    if is("bun", &["bun.lock", "bun.lockb"]) {
        return Manager { program: "bun", install: "bun install --frozen-lockfile" };
    }
    // Not `npm ci`: it would remove the node_modules that a person has in this very directory.
    Manager { program: "npm", install: "npm install --no-audit --no-fund" }
}

fn locked(probe: &Probe<'_>, lock: &str, frozen: &'static str, free: &'static str) -> &'static str {
    if probe.exists(lock) { frozen } else { free }
}

fn waits_for_changes(script: &str) -> bool {
    script.split_whitespace().any(|word| {
        matches!(word, "--watch" | "--watchAll" | "--watch=true" | "--watchAll=true" | "-w" | "nodemon" | "watch")
    })
}

#[cfg(test)]
mod tests {
    use super::super::probe::fake::{Fake, seen};
    use super::*;

    const ALL: Fake = Fake { programs: &["npm", "pnpm", "yarn", "bun"], failing: &[] };

    #[test]
    fn scripts_become_jobs() {
        let package = r#"{"scripts":{"test":"vitest","build":"tsc","lint":"eslint .","start":"node .","format:check":"prettier -c ."},
            "devDependencies":{"x":"1"}}"#;
        let (jobs, notes) = seen(detect, &[("package.json", package), ("pnpm-lock.yaml", "")], &ALL);
        let want = [
            "install <- quire/push: pnpm install --frozen-lockfile",
            "lint <- install: pnpm run lint",
            "format-check <- install: pnpm run format:check",
            "build <- install: pnpm run build",
            "test <- build: pnpm run test",
        ];
        assert_eq!((jobs, notes.len()), (want.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn managers_follow_the_lock_file() {
        let package = r#"{"scripts":{"test":"x"},"dependencies":{"x":"1"}}"#;
        for (lock, want) in [
            ("package-lock.json", "npm install --no-audit --no-fund"),
            ("yarn.lock", "yarn install --frozen-lockfile"),
            ("bun.lock", "bun install --frozen-lockfile"),
            ("x", "npm install --no-audit --no-fund"),
        ] {
            let (jobs, _) = seen(detect, &[("package.json", package), (lock, "")], &ALL);
            assert_eq!(jobs[0], format!("install <- quire/push: {want}"));
        }
        let (jobs, _) = seen(detect, &[("package.json", package), ("yarn.lock", ""), (".yarnrc.yml", "")], &ALL);
        assert_eq!(jobs[0], "install <- quire/push: yarn install --immutable");
        let named = package.replacen('{', r#"{"packageManager":"pnpm@9.1.0","#, 1);
        let (jobs, _) = seen(detect, &[("package.json", &named), ("package-lock.json", "")], &ALL);
        assert_eq!(jobs[0], "install <- quire/push: pnpm install");
    }

    #[test]
    fn what_would_not_pass_is_left_out() {
        for (package, notes) in [
            (r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#, 1),
            (r#"{"scripts":{"test":"jest --watch"}}"#, 2),
            ("{}", 1),
            ("[]", 1),
            ("not json", 1),
        ] {
            let (jobs, said) = seen(detect, &[("package.json", package)], &ALL);
            assert_eq!((jobs.len(), said.len()), (0, notes), "{package}");
        }
        let (jobs, _) = seen(detect, &[("package.json", r#"{"scripts":{"test":"jest --watchAll=false"}}"#)], &ALL);
        assert_eq!(jobs, ["test <- quire/push: npm run test"]);
        let none = Fake { programs: &[], failing: &[] };
        assert_eq!(seen(detect, &[("package.json", r#"{"scripts":{"test":"x"}}"#)], &none).0.len(), 0);
    }
}
