//! Pipelines in Fennel from the command line, with the installed compiler: a machine without it fails these tests
//! (`.ci/install-fennel` installs it).

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const PIPELINE: &str =
    "(local ci (require :quire.ci))\n(ci.job :greet {:desc \"Greets\"} (fn [rt] (rt.sh \"echo hello\")))\n";

/// A workspace of these files.
fn workspace(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Exit code, standard output, standard error.
fn quire(folder: &Path, fennel: Option<&Path>, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quire-ci"));
    command.args(words).current_dir(folder).env("QUIRE_DATA", folder.join("data")).env("NO_COLOR", "1");
    if let Some(fennel) = fennel {
        command.env("QUIRE_FENNEL", fennel);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_pipeline_is_validated_compiled_and_run() {
    let folder = workspace(&[(".quire/ci.fnl", PIPELINE), (".quire/lib/m.fnl", "(fn"), ("other.fnl", "(foo)")]);
    let root = folder.path();
    let validated = (0, ".quire/ci.fnl: 1 job, no errors\n  greet  <- quire/push  Greets\n".into(), String::new());
    assert_eq!(quire(root, None, &["validate"]), validated);
    let (code, out, err) = quire(root, None, &["compile", ".quire/ci.fnl"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("local ci = require(\"quire.ci\")\n") && out.contains("rt.sh(\"echo hello\")"), "{out}");
    for (file, message) in [
        (".quire/lib/m.fnl", "expected closing delimiter )\n  --> .quire/lib/m.fnl:1:"),
        ("other.fnl", "unknown identifier: foo\n  --> other.fnl:1:2\n   |\n 1 | (foo)\n   |  ^^^\n"),
    ] {
        let (code, out, err) = quire(root, None, &["compile", file]);
        assert!((code, out.as_str()) == (1, "") && err.contains("error: "), "{err}");
        assert!(err.contains(message), "{err}");
    }
    assert_eq!(quire(root, None, &["compile", "none.fnl"]).0, 2);
    let (code, out, err) = quire(root, None, &["run"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("hello") || err.contains("hello"), "{out}{err}");
}

#[test]
fn the_named_compiler_is_taken_and_checked() {
    let folder = workspace(&[(".quire/ci.fnl", PIPELINE), ("old.lua", "return {version = '1.4.2'}")]);
    let root = folder.path();
    let old = root.join("old.lua");
    let told = format!("Fennel 1.4.2 at {} is too old: quire needs 1.5.2 or newer", old.display());
    for words in [&["validate"][..], &["compile", ".quire/ci.fnl"]] {
        let (code, _, err) = quire(root, Some(&old), words);
        assert!(code == 1 && err.contains(&told), "{err}");
    }
    let (code, out, _) = quire(root, Some(&old), &["doctor"]);
    assert!(code == 1 && out.contains(&format!("fail  fennel: {told}")), "{out}");
    let (_, out, _) = quire(root, None, &["doctor"]);
    let line = out.lines().find(|line| line.contains("fennel: ")).unwrap_or_default();
    assert!(line.starts_with("ok    fennel: 1.") && line.ends_with("fennel.lua"), "{out}");
}

#[test]
fn no_compiler_is_told_with_the_packages() {
    let folder = workspace(&[(".quire/ci.fnl", PIPELINE)]);
    let root = folder.path();
    let none = root.join("none.lua");
    for words in [&["validate"][..], &["graph"], &["run"], &["compile", ".quire/ci.fnl"], &[]] {
        let (code, out, err) = quire(root, Some(&none), words);
        assert_eq!(code, 2, "{words:?}: {out}{err}");
        for package in [
            "apt install fennel",
            "dnf install fennel",
            "pacman -S fennel",
            "brew install fennel",
            "luarocks install fennel",
        ] {
            assert!(err.contains(package), "{words:?}: {err}");
        }
        assert!(err.contains("Debian") && err.contains(&none.display().to_string()), "{words:?}: {err}");
    }
    let (code, out, _) = quire(root, Some(&none), &["doctor"]);
    assert!(code == 1 && out.contains("its compiler is not installed"), "{out}");
}

#[test]
fn a_pipeline_in_lua_needs_no_compiler_until_it_requires_fennel() {
    let lua = "local ci = require 'quire.ci'\nci.job('a', function() end)\n";
    let folder = workspace(&[(".quire/ci.lua", lua), (".quire/lib/m.fnl", "{}")]);
    let none = folder.path().join("none.lua");
    assert_eq!(quire(folder.path(), Some(&none), &["validate"]).0, 0);
    fs::write(folder.path().join(".quire/ci.lua"), format!("{lua}require 'm'\n")).unwrap();
    let (code, _, err) = quire(folder.path(), Some(&none), &["validate"]);
    assert_eq!(code, 1);
    assert!(err.contains("the Fennel compiler is not installed") && err.contains("--> .quire/ci.lua:3"), "{err}");
    assert_eq!(quire(folder.path(), None, &["validate"]).0, 0);
}

#[test]
fn a_compiler_in_the_repository_comes_first() {
    let folder = workspace(&[(".quire/ci.fnl", PIPELINE), (".quire/fennel.lua", "return {version = '0.1'}")]);
    let (code, _, err) = quire(folder.path(), None, &["validate"]);
    assert!(code == 1 && err.contains("Fennel 0.1 at ") && err.contains(".quire/fennel.lua is too old"), "{err}");
}
