//! What the documents show works: every Lua block of README.md and docs/pipelines.md, and every example.
//!
//! A block fenced as `lua run` is a whole pipeline that must complete, one as `lua` must be valid, `lua fragment` is a part of one.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn quire_ci(workspace: &Path, state: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quire-ci"));
    command
        .current_dir(workspace)
        .args(args)
        .env("XDG_STATE_HOME", state)
        .env_remove("QUIRE_DATA")
        .env_remove("CLICOLOR_FORCE");
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Fence words, first line and text of each Lua block.
fn blocks(text: &str) -> Vec<(String, usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(words) = line.strip_prefix("```lua") {
            let code: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            blocks.push((words.trim().to_owned(), number + 2, code.join("\n")));
        }
    }
    blocks
}

fn try_blocks(file: &str, least: usize) {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut tried = 0;
    for (words, line, code) in blocks(&text) {
        let verb = match words.as_str() {
            "run" => "run",
            "" => "validate",
            "fragment" => continue,
            other => panic!("{file}:{line}: a Lua block is `lua`, `lua run` or `lua fragment`, not {other:?}"),
        };
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().join("work");
        fs::create_dir_all(workspace.join(".quire/lib")).unwrap();
        fs::write(workspace.join(".quire/ci.lua"), code).unwrap();
        let output = quire_ci(&workspace, &dir.path().join("state"), &[verb]);
        assert!(output.status.success(), "{file}:{line}: {verb}\n{}", told(&output));
        tried += 1;
    }
    assert!(tried >= least, "{file} has only {tried} blocks that can be tried");
}

#[test]
fn the_blocks_of_the_readme_work() {
    try_blocks("README.md", 1);
}

#[test]
fn the_blocks_of_the_api_document_work() {
    try_blocks("docs/pipelines.md", 10);
}

#[test]
fn every_example_completes() {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let example = entry.unwrap().path();
        let dir = tempfile::tempdir().unwrap();
        // A copy: what an example builds does not belong into the repository.
        let workspace = dir.path().join("work");
        copy(&example, &workspace);
        if !workspace.join(".quire").exists() {
            continue;
        }
        let output = quire_ci(&workspace, &dir.path().join("state"), &["run"]);
        assert!(output.status.success(), "{}\n{}", example.display(), told(&output));
        names.push(example.file_name().unwrap().to_owned());
    }
    assert!(names.len() >= 5, "{names:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
