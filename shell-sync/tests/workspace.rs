//! The workspace on a real disk: where it is found, what scripts may read, write, list and digest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use quire_ci::workspace::{Files, Workspace, WorkspaceError};
use quire_core::digest::Digest;
use quire_core::engine::{Answer, Ask, Output};
use tempfile::TempDir;

/// A folder with these files in it, below a name with a space and letters outside ASCII. Symlinks in its own path are resolved.
fn folder(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().canonicalize().unwrap().join("mein Verzeichnis ü");
    fs::create_dir(&root).unwrap();
    for (name, text) in files {
        put(&root, name, text);
    }
    (temp, root)
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn glob(root: &Path, patterns: &[&str]) -> Result<Vec<String>, String> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Files::new(root.to_owned()).glob(&patterns)
}

#[test]
fn is_found_upwards() {
    let (_temp, root) = folder(&[(".quire/ci.lua", "x"), ("a/b/c.txt", "")]);
    let want = Workspace { root: root.clone(), pipeline: ".quire/ci.lua" };
    assert_eq!(Workspace::find(&root).unwrap(), want);
    assert_eq!(Workspace::find(&root.join("a/b")).unwrap(), want);
    assert_eq!(Workspace::find(&root.join("a/../a/b")).unwrap(), want);
    assert_eq!(want.name(), "mein Verzeichnis ü");
    put(&root, "a/.quire/ci.fnl", "y");
    assert_eq!(Workspace::find(&root.join("a/b")).unwrap().pipeline, ".quire/ci.fnl");
    symlink(root.join("a"), root.join("link")).unwrap();
    assert_eq!(Workspace::find(&root.join("link")).unwrap().root, root.join("a"));
    assert!(matches!(Workspace::at(&root.join("a/b")), Err(WorkspaceError::NoPipeline { upwards: false, .. })));
}

#[test]
fn both_pipelines_none_and_no_folder_are_errors() {
    let (_temp, root) = folder(&[(".quire/ci.lua", ""), (".quire/ci.fnl", ""), ("file", "")]);
    assert!(matches!(Workspace::at(&root), Err(WorkspaceError::BothPipelines { .. })));
    assert!(matches!(Workspace::at(&root.join("gone")), Err(WorkspaceError::NoFolder { .. })));
    assert!(matches!(Workspace::at(&root.join("file")), Err(WorkspaceError::NoFolder { .. })));
    let (_temp, root) = folder(&[(".quire/lib/x.lua", "")]);
    let error = Workspace::at(&root).unwrap_err();
    assert!(error.to_string().contains("no .quire/ci.lua and no .quire/ci.fnl"), "{error}");
}

#[test]
fn the_source_holds_pipeline_and_modules() {
    let (_temp, root) = folder(&[
        (".quire/ci.lua", "pipeline"),
        (".quire/lib/a.lua", "a"),
        (".quire/lib/deep/b.fnl", "b"),
        (".quire/lib/README.md", "no module"),
        (".quire/lib/.hidden.lua", "no module"),
    ]);
    let source = Workspace::at(&root).unwrap().source().unwrap();
    assert_eq!((source.file.as_str(), source.text.as_slice()), (".quire/ci.lua", &b"pipeline"[..]));
    let modules: Vec<(&str, &[u8])> =
        source.modules.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    assert_eq!(modules, [(".quire/lib/a.lua", &b"a"[..]), (".quire/lib/deep/b.fnl", b"b")]);
}

#[test]
fn a_pipeline_that_cannot_be_read_is_told() {
    let (_temp, root) = folder(&[(".quire/x", "")]);
    fs::create_dir(root.join(".quire/ci.lua")).unwrap();
    let error = Workspace::at(&root).unwrap().source().unwrap_err();
    assert_eq!(error.to_string(), "cannot be read: it is a folder");
    assert_eq!(error.place(), root.join(".quire/ci.lua"));
    fs::remove_dir(root.join(".quire/ci.lua")).unwrap();
    symlink("/etc/hostname", root.join(".quire/ci.lua")).unwrap();
    let error = Workspace::at(&root).unwrap().source().unwrap_err().to_string();
    assert!(error.contains("outside of the workspace"), "{error}");
}

#[test]
fn reading_stays_inside() {
    let (temp, root) = folder(&[("a.txt", "hello"), ("sub/b.txt", "b")]);
    fs::write(temp.path().join("outside"), "secret").unwrap();
    symlink("/etc", root.join("etc")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink("sub", root.join("into")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(root.join("fifo")).status().unwrap();
    assert!(fifo.success());
    let files = Files::new(root.clone());
    for (path, want) in [
        ("a.txt", Ok("hello")),
        ("./sub/../a.txt", Ok("hello")),
        ("into/b.txt", Ok("b")),
        ("", Err("the path is empty")),
        ("/etc/passwd", Err("the path is absolute")),
        ("../outside", Err("outside of the workspace")),
        ("etc/passwd", Err("outside of the workspace")),
        ("out", Err("outside of the workspace")),
        ("gone", Err("no such file")),
        ("a.txt/x", Err("is a file, not a folder")),
        ("sub", Err("it is a folder")),
        ("loop", Err("in a circle")),
        ("fifo", Err("not a regular file")),
        ("a\0b", Err("NUL")),
    ] {
        match (files.read(path, 100), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want.as_bytes(), "{path}"),
            (Err(got), Err(want)) => assert!(got.contains(want), "{path}: {got}"),
            (got, want) => panic!("{path}: {got:?}, not {want:?}"),
        }
    }
    assert_eq!(files.read("a.txt", 5).unwrap(), b"hello");
    assert_eq!(files.read("a.txt", 4).unwrap_err(), "the file has more than 4 bytes");
}

#[test]
fn writing_stays_inside() {
    let (temp, root) = folder(&[("a.txt", "longer than new"), ("tool", "#!/bin/sh\n")]);
    fs::set_permissions(root.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(temp.path().join("outside"), "kept").unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("a.txt", root.join("alias")).unwrap();
    symlink("gone", root.join("dangling")).unwrap();
    let files = Files::new(root.clone());
    for path in ["a.txt", "new.txt", "deep/er/new.txt", "tool", "alias", "deep/../b.txt"] {
        files.write(path, b"new").unwrap();
    }
    for path in ["a.txt", "new.txt", "deep/er/new.txt", "tool", "b.txt"] {
        assert_eq!(fs::read(root.join(path)).unwrap(), b"new", "{path}");
    }
    assert!(root.join("alias").symlink_metadata().unwrap().is_symlink());
    assert_eq!(root.join("tool").metadata().unwrap().permissions().mode() & 0o777, 0o755);
    for (path, want) in [
        ("/tmp/x", "absolute"),
        ("../new", "outside"),
        ("out", "outside"),
        ("up/new", "outside"),
        ("up/newer/new", "outside"),
        ("gone/../../x", ""),
        ("dangling", "leads nowhere"),
        ("a.txt/x", "is a file, not a folder"),
        ("deep", "folder"),
        ("..", "folder"),
        (".", "folder"),
    ] {
        let error = files.write(path, b"bad").expect_err(path);
        assert!(error.contains(want), "{path}: {error}");
    }
    assert_eq!(fs::read(temp.path().join("outside")).unwrap(), b"kept");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "nothing was made outside");
}

#[test]
fn globs_list_files() {
    let (_temp, root) = folder(&[
        ("Cargo.toml", ""),
        ("src/main.rs", ""),
        ("src/a/b.rs", ""),
        ("src/a/.hidden.rs", ""),
        ("tests/ü x.rs", ""),
        (".github/workflows/ci.yml", ""),
        (".git/config", ""),
        ("sub/.git/config", ""),
        ("sub/x.rs", ""),
        ("B", ""),
        ("a", ""),
    ]);
    symlink("src", root.join("linked")).unwrap();
    symlink("Cargo.toml", root.join("alias.toml")).unwrap();
    symlink("/etc/hostname", root.join("host.toml")).unwrap();
    symlink("gone", root.join("gone.toml")).unwrap();
    for (patterns, want) in [
        (&["*.toml"][..], &["Cargo.toml", "alias.toml"][..]),
        (&["**/*.rs"], &["src/a/b.rs", "src/main.rs", "sub/x.rs", "tests/ü x.rs"]),
        (&["src/**"], &["src/a/b.rs", "src/main.rs"]),
        (&["src/*"], &["src/main.rs"]),
        (&["src/**/b.rs", "src/a/*"], &["src/a/b.rs"]),
        (&["{src,sub}/*.rs"], &["src/main.rs", "sub/x.rs"]),
        (&["src/a/.*"], &["src/a/.hidden.rs"]),
        (&[".github/**/*.yml"], &[".github/workflows/ci.yml"]),
        (&["**/*.yml"], &[]),
        (&[".git/*", "**/.git/*", ".*/config", "\\.git/config"], &[]),
        (&["linked/*.rs"], &[]),
        (&["?"], &["B", "a"]),
        (&["gone/**", "gone"], &[]),
        (&["./src/./main.rs"], &["src/main.rs"]),
        (&["Cargo.toml", "Cargo.*"], &["Cargo.toml"]),
        (&["src"], &[]),
        (&[], &[]),
    ] {
        assert_eq!(glob(&root, patterns).unwrap(), want, "{patterns:?}");
    }
    for bad in ["../*", "/etc/*", "", "src/", "a[", "{a"] {
        assert!(glob(&root, &[bad]).is_err(), "{bad}");
    }
}

#[test]
fn only_folders_that_can_matter_are_entered() {
    let (_temp, root) = folder(&[("src/a.rs", ""), ("closed/b.rs", "")]);
    let closed = root.join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let found = glob(&root, &["src/**/*.rs", "*.toml"]);
    let all = glob(&root, &["**/*.rs"]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(found.unwrap(), ["src/a.rs"]);
    // Root reads everything.
    match all {
        Ok(all) => assert_eq!(all, ["closed/b.rs", "src/a.rs"]),
        Err(error) => {
            assert!(error.contains("cannot list the folder") && error.contains("permission denied"), "{error}")
        }
    }
}

#[test]
fn a_name_that_is_no_utf8_is_told_by_glob_and_digested_by_hash() {
    let (_temp, root) = folder(&[("a.txt", "")]);
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"b\xff.txt")), "").unwrap();
    let error = glob(&root, &["*.txt"]).unwrap_err();
    assert!(error.contains("b\\xff.txt"), "{error}");
    assert_eq!(glob(&root, &["a*"]).unwrap(), ["a.txt"]);
    let files = Files::new(root);
    assert_ne!(files.hash(&["*.txt".to_owned()]).unwrap(), files.hash(&["a.txt".to_owned()]).unwrap());
}

#[test]
fn hashes_are_what_is_documented() {
    let (_temp, root) = folder(&[("b", "two"), ("a", "one")]);
    let sha = |text: &str| {
        let mut digest = Digest::new();
        digest.update(text.as_bytes());
        digest.hex()
    };
    let mut want = Digest::new();
    for (path, text) in [("a", "one"), ("b", "two")] {
        want.field(path.as_bytes());
        want.field(sha(text).as_bytes());
    }
    let files = Files::new(root.clone());
    let hash = |pattern: &str| files.hash(&[pattern.to_owned()]).unwrap();
    let before = hash("*");
    assert_eq!(before, want.hex());
    assert_eq!(hash("gone"), sha(""));
    fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(hash("*"), before);
    fs::rename(root.join("a"), root.join("c")).unwrap();
    assert_ne!(hash("*"), before);
}

#[test]
fn orders_are_answered() {
    let (_temp, root) = folder(&[("a", "one")]);
    let files = Files::new(root);
    let ask = Ask(7);
    let read = Output::Read { ask, path: "a".into(), limit: 10 };
    assert_eq!(files.answer(&read), Some(Answer::Read(Ok(b"one".to_vec()))));
    let write = Output::Write { ask, path: "b".into(), content: b"two".to_vec() };
    assert_eq!(files.answer(&write), Some(Answer::Write(Ok(()))));
    let list = Output::Glob { ask, patterns: vec!["*".into()] };
    assert_eq!(files.answer(&list), Some(Answer::Glob(Ok(vec!["a".into(), "b".into()]))));
    let hash = Output::Hash { ask, patterns: vec!["*".into()] };
    assert!(matches!(files.answer(&hash), Some(Answer::Hash(Ok(hash))) if hash.len() == 64));
    assert_eq!(files.answer(&Output::Sweep { scope: quire_core::engine::Scope::Run }), None);
}
