//! Looking at a repository and at the machine's tools.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest file that is looked into, in bytes.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What the machine can do.
pub(super) trait Tools {
    /// Whether PATH has the program.
    fn has(&self, program: &str) -> bool;
    /// Whether the command exits with 0 in `folder`. Only for commands that look and change nothing.
    fn passes(&self, folder: &Path, argv: &[&str]) -> bool;
}

/// This machine.
pub(super) struct Machine;

impl Tools for Machine {
    fn has(&self, program: &str) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| {
            let file = folder.join(program);
            file.is_file() && rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_ok()
        })
    }

    fn passes(&self, folder: &Path, argv: &[&str]) -> bool {
        let Some((program, args)) = argv.split_first() else { return false };
        let status = Command::new(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }
}

/// A repository on a machine.
pub(super) struct Probe<'a> {
    root: &'a Path,
    tools: &'a dyn Tools,
}

impl<'a> Probe<'a> {
    pub(super) fn new(root: &'a Path, tools: &'a dyn Tools) -> Probe<'a> {
        Probe { root, tools }
    }

    /// The text of a file of the repository; what is no UTF-8 in it is replaced.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let path = self.root.join(name);
        let meta = fs::metadata(&path).ok().filter(|meta| meta.is_file() && meta.len() <= MAX_BYTES);
        meta.and_then(|_| fs::read(path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.root.join(name).exists()
    }

    /// The names of files in a folder of the repository, sorted.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    pub(super) fn has(&self, program: &str) -> bool {
        self.tools.has(program)
    }

    /// Whether the command passes in the repository now.
    pub(super) fn passes(&self, argv: &[&str]) -> bool {
        self.tools.passes(self.root, argv)
    }
}

#[cfg(test)]
pub(super) mod fake {
    use std::path::Path;

    use tempfile::TempDir;

    use super::super::plan::{Plan, Section};
    use super::{Probe, Tools};

    /// A machine that has these programs, and on which commands that begin with one of `failing` do not pass.
    pub(crate) struct Fake {
        pub(crate) programs: &'static [&'static str],
        pub(crate) failing: &'static [&'static str],
    }

    impl Tools for Fake {
        fn has(&self, program: &str) -> bool {
            self.programs.contains(&program)
        }

        fn passes(&self, _folder: &Path, argv: &[&str]) -> bool {
            let line = argv.join(" ");
            self.has(argv[0]) && !self.failing.iter().any(|failing| line.starts_with(failing))
        }
    }

    /// A folder with these files.
    pub(crate) fn repository(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    /// What is seen in such a repository on such a machine: one line a job, `id <- inputs: commands`, `?` for an allowed failure.
    pub(crate) fn seen(
        detect: fn(&Probe<'_>) -> Option<Section>,
        files: &[(&str, &str)],
        machine: &Fake,
    ) -> (Vec<String>, Vec<String>) {
        let root = repository(files);
        let Some(section) = detect(&Probe::new(root.path(), machine)) else { return (Vec::new(), Vec::new()) };
        let notes = section.notes.clone();
        let plan = Plan::new(vec![section]);
        let line = |job: &super::super::plan::Job| {
            let allowed = if job.allowed.is_some() { "?" } else { "" };
            format!("{}{allowed} <- {}: {}", job.id, job.inputs.join(" "), job.commands.join("; "))
        };
        (plan.jobs().filter(|job| job.id != "hello" && job.id != "goodbye").map(line).collect(), notes)
    }
}
