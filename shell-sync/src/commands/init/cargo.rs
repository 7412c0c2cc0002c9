//! Rust: `Cargo.toml`.

use super::plan::{Job, Section};
use super::probe::Probe;

pub(super) fn detect(probe: &Probe<'_>) -> Option<Section> {
    let manifest = probe.text("Cargo.toml")?;
    let mut section = Section { prefix: "cargo", found: "Cargo.toml".to_owned(), ..Section::default() };
    if !probe.has("cargo") {
        section.notes.push("Cargo.toml is there but cargo is not: no jobs for it".to_owned());
        return Some(section);
    }
    let is_workspace = manifest.lines().any(|line| line.trim_start().starts_with("[workspace"));
    let all = if is_workspace { " --workspace" } else { "" };
    let mut job = |job| section.jobs.push(job);
    let has_fmt = probe.passes(&["cargo", "fmt", "--version"]);
    if has_fmt {
        let passes = probe.passes(&["cargo", "fmt", "--all", "--check"]);
        job(Job::new("fmt", &[], "Is the code formatted?", "cargo fmt --all --check")
            .unless_passing(passes, "When this was written, cargo fmt had something to say"));
    }
    job(Job::new("build", &[], "Compiles everything", &format!("cargo build{all} --all-targets")));
    let has_clippy = probe.passes(&["cargo", "clippy", "--version"]);
    if has_clippy {
        // Warnings do not fail it: whether they should is the repository's decision.
        job(Job::new(
            "clippy",
            &["build"],
            "Lints (add -- -D warnings to be strict)",
            &format!("cargo clippy{all} --all-targets"),
        ));
    }
    job(Job::new("test", &["build"], "Runs the tests", &format!("cargo test{all}")));
    for (name, has) in [("fmt", has_fmt), ("clippy", has_clippy)] {
        if !has {
            section.notes.push(format!("cargo {name} is not installed: no job for it"));
        }
    }
    Some(section)
}

#[cfg(test)]
mod tests {
    use super::super::probe::fake::{Fake, seen};
    use super::*;

    #[test]
    fn jobs_follow_what_is_installed() {
        let all = Fake { programs: &["cargo"], failing: &[] };
        let (jobs, notes) = seen(detect, &[("Cargo.toml", "[package]\nname = \"x\"\n")], &all);
        let want = [
            "fmt <- quire/push: cargo fmt --all --check",
            "build <- quire/push: cargo build --all-targets",
            "clippy <- build: cargo clippy --all-targets",
            "test <- build: cargo test",
        ];
        assert_eq!((jobs, notes.len()), (want.map(str::to_owned).to_vec(), 0));
        let (jobs, _) = seen(detect, &[("Cargo.toml", "[workspace]\nmembers = []\n")], &all);
        assert!(jobs.contains(&"test <- build: cargo test --workspace".to_owned()), "{jobs:?}");

        let bare = Fake { programs: &["cargo"], failing: &["cargo clippy", "cargo fmt"] };
        let (jobs, notes) = seen(detect, &[("Cargo.toml", "")], &bare);
        assert_eq!((jobs.len(), notes.len()), (2, 2));
        let unformatted = Fake { programs: &["cargo"], failing: &["cargo fmt --all --check"] };
        let (jobs, _) = seen(detect, &[("Cargo.toml", "")], &unformatted);
        assert_eq!(jobs[0], "fmt? <- quire/push: cargo fmt --all --check");
        let none = Fake { programs: &[], failing: &[] };
        let (jobs, notes) = seen(detect, &[("Cargo.toml", "")], &none);
        assert_eq!((jobs.len(), notes.len()), (0, 1));
    }
}
