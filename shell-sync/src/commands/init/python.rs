//! Python: what `pyproject.toml` configures, of ruff, tox, pytest, through uv or poetry where they hold the environment.

use super::plan::{Job, Section};
use super::probe::Probe;

pub(super) fn detect(probe: &Probe<'_>) -> Option<Section> {
    let project = probe.text("pyproject.toml")?;
    let mut section = Section { prefix: "python", found: "pyproject.toml".to_owned(), ..Section::default() };
    let configures = |tool: &str| {
        project.lines().any(|line| {
            let rest = line.trim_start().strip_prefix("[tool.").and_then(|rest| rest.strip_prefix(tool));
            rest.is_some_and(|rest| rest.starts_with([']', '.']))
        })
    };
    let mentions = |tool: &str| {
        // A dependency is quoted, or a key: "ruff>=0.5", pytest = "^8".
        project.contains(&format!("\"{tool}")) || project.lines().any(|line| line.starts_with(&format!("{tool} =")))
    };
    let runner = match () {
        () if (probe.exists("uv.lock") || configures("uv")) && probe.has("uv") => Some("uv run "),
        () if (probe.exists("poetry.lock") || configures("poetry")) && probe.has("poetry") => Some("poetry run "),
        () => None,
    };
    if configures("ruff") || probe.exists("ruff.toml") || probe.exists(".ruff.toml") {
        match (probe.has("ruff"), runner) {
            (true, _) => {
                let passes = probe.passes(&["ruff", "check", "--no-cache", "."]);
                section.jobs.push(
                    Job::new("lint", &[], "Lints", "ruff check .")
                        .unless_passing(passes, "When this was written, ruff had something to say"),
                );
            }
            (false, Some(runner)) if mentions("ruff") => {
                section.jobs.push(Job::new("lint", &[], "Lints", &format!("{runner}ruff check .")));
            }
            (false, _) => section.notes.push("ruff is configured but not installed: no job for it".to_owned()),
        }
    }
    let with_tox = probe.exists("tox.ini") || configures("tox");
    let tests = Tests::find(probe);
    let wants_pytest =
        configures("pytest") || mentions("pytest") || probe.exists("pytest.ini") || tests == Tests::Plain;
    let command = match runner {
        _ if with_tox && probe.has("tox") => Some("tox run".to_owned()),
        _ if tests == Tests::None => None,
        Some(runner) if wants_pytest && mentions("pytest") => Some(format!("{runner}pytest")),
        _ if wants_pytest && probe.passes(&["python3", "-m", "pytest", "--version"]) => {
            Some("python3 -m pytest".to_owned())
        }
        _ if tests == Tests::Unittest && probe.has("python3") => Some("python3 -m unittest discover".to_owned()),
        _ => None,
    };
    match command {
        Some(command) => section.jobs.push(Job::new("test", &[], "Runs the tests", &command)),
        None if with_tox => section.notes.push("tox is configured but not installed: no job for it".to_owned()),
        None if tests == Tests::None => section.notes.push("no test files were found: no job for tests".to_owned()),
        None => section.notes.push("pytest is not installed: no job for tests".to_owned()),
    }
    Some(section)
}

/// What tests a project has. pytest runs both kinds; found by pytest's default names, at the top, in `tests` or in `test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tests {
    None,
    /// Functions: only pytest runs them.
    Plain,
    /// `unittest.TestCase`, where discovery without a folder's name finds them.
    Unittest,
}

impl Tests {
    fn find(probe: &Probe<'_>) -> Tests {
        let mut found = Tests::None;
        for folder in ["", "tests/", "test/"] {
            for name in probe.names(folder) {
                let is_test = name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"));
                if !is_test {
                    continue;
                }
                let discovered =
                    name.starts_with("test_") && (folder.is_empty() || probe.exists(&format!("{folder}__init__.py")));
                let cases = probe.text(&format!("{folder}{name}")).is_some_and(|text| text.contains("unittest"));
                match cases && discovered {
                    true => return Tests::Unittest,
                    false => found = Tests::Plain,
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::fake::{Fake, seen};
    use super::*;

    fn check(files: &[(&str, &str)], machine: &Fake, want: &[&str], notes: usize) {
        let (jobs, said) = seen(detect, files, machine);
        assert_eq!(
            (jobs.as_slice(), said.len()),
            (want.iter().map(|job| (*job).to_owned()).collect::<Vec<_>>().as_slice(), notes),
            "{files:?} {said:?}"
        );
    }

    #[test]
    fn jobs_follow_configuration_and_tools() {
        let all = Fake { programs: &["uv", "ruff", "tox", "python3", "poetry"], failing: &[] };
        let bare = Fake { programs: &["python3"], failing: &["python3 -m pytest"] };
        let test = ("tests/test_a.py", "def test_a(): pass\n");
        let plain = ("pyproject.toml", "[project]\nname = \"x\"\n");
        let ruff = ("pyproject.toml", "[tool.ruff.lint]\nselect = []\n[tool.pytest.ini_options]\n");
        let pytest = "test <- quire/push: python3 -m pytest";
        check(&[], &all, &[], 0);
        check(&[plain], &all, &[], 1);
        check(&[plain, test], &all, &[pytest], 0);
        check(&[plain, test], &bare, &[], 1);
        check(&[ruff, test], &all, &["lint <- quire/push: ruff check .", pytest], 0);
        check(&[ruff, test], &bare, &[], 2);
        let failing = Fake { programs: &["ruff", "python3"], failing: &["ruff check"] };
        check(&[ruff, test], &failing, &["lint? <- quire/push: ruff check .", pytest], 0);
        check(&[plain, ("tox.ini", "[tox]\n")], &all, &["test <- quire/push: tox run"], 0);
        check(&[plain, ("tox.ini", "[tox]\n")], &bare, &[], 1);
    }

    #[test]
    fn environments_are_entered() {
        let uv = Fake { programs: &["uv", "poetry"], failing: &[] };
        let test = ("tests/test_a.py", "def test_a(): pass\n");
        let project = ("pyproject.toml", "[dependency-groups]\ndev = [\"pytest>=8\", \"ruff\"]\n[tool.ruff]\n");
        check(
            &[project, test, ("uv.lock", "")],
            &uv,
            &["lint <- quire/push: uv run ruff check .", "test <- quire/push: uv run pytest"],
            0,
        );
        let poetry = ("pyproject.toml", "[tool.poetry]\n[tool.poetry.group.dev.dependencies]\npytest = \"^8\"\n");
        check(&[poetry, test], &uv, &["test <- quire/push: poetry run pytest"], 0);
    }

    #[test]
    fn plain_unittest_needs_no_pytest() {
        let bare = Fake { programs: &["python3"], failing: &["python3 -m pytest"] };
        let project = ("pyproject.toml", "[project]\n");
        let case = "import unittest\n";
        let want = ["test <- quire/push: python3 -m unittest discover"];
        check(&[project, ("test_a.py", case)], &bare, &want, 0);
        check(&[project, ("tests/__init__.py", ""), ("tests/test_a.py", case)], &bare, &want, 0);
        check(&[project, ("tests/test_a.py", case)], &bare, &[], 1);
    }
}
