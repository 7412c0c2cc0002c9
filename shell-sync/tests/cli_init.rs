//! The binary as a new user meets it: init, help, completions, errors and exit codes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn quire_ci(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quire-ci"))
        .args(args)
        .current_dir(folder)
        .env_remove("QUIRE_DATA")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

/// Exit code, standard output, standard error.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::Builder::new().prefix("ein Projekt ü ").tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[test]
fn an_empty_folder_gets_a_pipeline_that_says_hello() {
    let root = folder(&[]);
    let (code, out, err) = told(&quire_ci(root.path(), &["init"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(".quire/ci.lua with 2 jobs: hello, goodbye\n"), "{out}");
    assert!(out.ends_with("next: quire-ci run\n"), "{out}");
    let text = fs::read_to_string(root.path().join(".quire/ci.lua")).unwrap();
    assert!(text.contains("local ci = require \"quire.ci\"") && text.contains("share one working directory"), "{text}");
    assert!(
        text.contains("ci.job(\"goodbye\", { \"hello\" }, { desc = \"Comes after hello\" }, function(rt)"),
        "{text}"
    );
}

#[test]
fn what_is_there_is_not_written_over() {
    let root = folder(&[(".quire/ci.lua", "mine")]);
    let (code, out, err) = told(&quire_ci(root.path(), &["init"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("error: there is a pipeline already\n  --> ") && err.contains("--force"), "{err}");
    assert_eq!(fs::read(root.path().join(".quire/ci.lua")).unwrap(), b"mine");
    assert_eq!(quire_ci(root.path(), &["init", "--force"]).status.code(), Some(0));
    assert_ne!(fs::read(root.path().join(".quire/ci.lua")).unwrap(), b"mine");

    let root = folder(&[(".quire/ci.fnl", "mine")]);
    let (code, _, err) = told(&quire_ci(root.path(), &["init", "--force"]));
    assert!(code == 2 && err.contains("Fennel"), "{err}");
    assert!(!root.path().join(".quire/ci.lua").exists());
}

#[test]
fn print_writes_nothing() {
    let root = folder(&[("Makefile", "test:\n\ttrue\nlint:\n\ttrue\n")]);
    let (code, out, _) = told(&quire_ci(root.path(), &["init", "--print"]));
    assert_eq!(code, 0);
    assert!(
        out.contains(
            "ci.job(\"test\", { \"lint\" }, { desc = \"Runs the tests\" }, function(rt)\n  rt.sh(\"make test\")\nend)\n"
        ),
        "{out}"
    );
    assert!(!root.path().join(".quire").exists());
}

#[test]
fn several_tools_are_combined() {
    let root = folder(&[
        ("Makefile", "test:\n\ttrue\n"),
        ("Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\n"),
        ("src/lib.rs", ""),
    ]);
    let (_, out, _) = told(&quire_ci(root.path(), &["init", "--print"]));
    assert!(
        out.contains("ci.job(\"cargo-test\", { \"cargo-build\" }")
            && out.contains("ci.job(\"make-test\", { \"quire/push\" }"),
        "{out}"
    );
}

#[test]
fn the_top_of_the_repository_is_the_workspace() {
    let root = folder(&[("deep/er/file", "")]);
    assert!(Command::new("git").args(["init", "-q"]).current_dir(root.path()).status().unwrap().success());
    assert_eq!(quire_ci(&root.path().join("deep/er"), &["init"]).status.code(), Some(0));
    assert!(root.path().join(".quire/ci.lua").exists());
    let (code, out, _) = told(&quire_ci(root.path(), &["init", "-w", "deep"]));
    assert!(code == 0 && out.ends_with("next: quire-ci run -w deep\n"), "{out}");
    assert!(root.path().join("deep/.quire/ci.lua").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let root = folder(&[(".quire", "a file")]);
    let (code, _, err) = told(&quire_ci(root.path(), &["init"]));
    assert_eq!(code, 2);
    assert!(err.starts_with("error: cannot write the pipeline: ") && err.contains("ci.lua"), "{err}");
    let (code, _, err) = told(&quire_ci(root.path(), &["init", "-w", "gone"]));
    assert!(code == 2 && err.contains("cannot be opened") && err.contains("--> gone"), "{err}");
}

#[test]
fn no_pipeline_says_what_to_do() {
    let root = folder(&[]);
    for args in [&[][..], &["validate"], &["run"], &["graph"]] {
        let (code, out, err) = told(&quire_ci(root.path(), args));
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(
            err.starts_with("error: there is no pipeline") && err.contains("\nhelp: ") && err.contains("quire-ci init"),
            "{err}"
        );
    }
}

#[test]
fn two_pipelines_are_an_error() {
    let root = folder(&[(".quire/ci.lua", ""), (".quire/ci.fnl", "")]);
    let (code, _, err) = told(&quire_ci(root.path(), &["run"]));
    assert_eq!(code, 2);
    assert!(err.contains("two pipelines, ci.lua and ci.fnl") && err.contains("help: keep one"), "{err}");
}

#[test]
fn help_and_version_go_to_stdout() {
    let root = folder(&[]);
    let (code, out, err) = told(&quire_ci(root.path(), &["--version"]));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "quire-ci 0.1.0\n", ""));
    for verb in [
        "init",
        "validate",
        "run",
        "graph",
        "ls",
        "show",
        "log",
        "events",
        "shell",
        "rebuild",
        "prune",
        "completions",
        "doctor",
    ] {
        let (code, out, _) = told(&quire_ci(root.path(), &[verb, "--help"]));
        assert_eq!(code, 0);
        assert!(out.contains(&format!("quire-ci {verb}")) && out.contains("Example"), "{out}");
    }
    let (code, out, err) = told(&quire_ci(root.path(), &["validat"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("'validate'"), "{err}");
}

#[test]
fn completions_are_made_for_each_shell() {
    let root = folder(&[]);
    for (shell, want) in
        [("bash", "complete -F _quire__ci"), ("zsh", "#compdef quire-ci"), ("fish", "complete -c quire-ci")]
    {
        let (code, out, _) = told(&quire_ci(root.path(), &["completions", shell]));
        assert_eq!(code, 0);
        assert!(out.contains(want) && out.contains("keep-going") && out.contains("shell-on-fail"), "{shell}");
    }
    assert_eq!(quire_ci(root.path(), &["completions", "csh"]).status.code(), Some(2));
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let root = folder(&[(".quire/ci.lua", "")]);
    let (code, out, err) = told(&quire_ci(root.path(), &["run", "--secret", "TOKEN=hunter22"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("NAME=env:VAR") && !err.contains("hunter22"), "{err}");
}

#[test]
fn runs_stay_within_reach_without_a_pipeline() {
    let root = folder(&[(".quire/ci.lua", ""), ("state/x", ""), ("below/x", "")]);
    let ls = |folder: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_quire-ci"))
            .arg("ls")
            .current_dir(folder)
            .env_remove("QUIRE_DATA")
            .env_remove("CLICOLOR_FORCE")
            .env("XDG_STATE_HOME", root.path().join("state"))
            .output();
        told(&output.unwrap())
    };
    let (code, _, err) = ls(&root.path().join("below"));
    assert!(code == 0 && err.contains("there are no runs yet"), "{err}");
    fs::remove_dir_all(root.path().join(".quire")).unwrap();
    let (code, _, err) = ls(&root.path().join("below"));
    assert!(code == 0 && err.contains("there are no runs yet"), "{err}");
    fs::remove_dir_all(root.path().join("state/quire")).unwrap();
    let (code, _, err) = ls(&root.path().join("below"));
    assert!(code == 2 && err.contains("there is no pipeline"), "{err}");
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let root = folder(&[]);
    let script = "\"$0\" completions bash | head -c 1 >/dev/null; echo \"${PIPESTATUS[0]}\"";
    let output =
        Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_quire-ci")]).current_dir(root.path()).output();
    let (_, out, err) = told(&output.unwrap());
    // Whether the pipe was gone in time is the machine's to say.
    assert!(matches!(out.as_str(), "0\n" | "141\n") && err.is_empty(), "{out} {err}");
}

#[test]
fn doctor_says_what_is_missing() {
    let root = folder(&[(".quire/ci.lua", "")]);
    let doctor = |path: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quire-ci"));
        command.args(["doctor", "--data-dir", "data"]).current_dir(root.path()).env_remove("CLICOLOR_FORCE");
        if let Some(path) = path {
            command.env("PATH", path);
        }
        told(&command.output().unwrap())
    };
    let (code, out, err) = doctor(None);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("ok    quire-ci 0.1.0\nok    pipeline: "), "{out}");
    assert!(!root.path().join("data").exists(), "looking makes nothing");
    let (code, out, _) = doctor(Some("/nowhere"));
    assert_eq!(code, 1);
    assert!(
        out.contains("\nfail  sh: not in PATH\n      ") && out.contains("\nwarn  git: not in PATH\n      "),
        "{out}"
    );
}
