//! Facts from real git: HEAD in every layout, dirty counts, fingerprints, fresh checkouts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use quire_ci::cli::At;
use quire_ci::git::{Checkout, GitError, Head, WorkTree, checkout, head, watch, work_tree};
use tempfile::TempDir;

/// Runs git as nobody in particular and returns what it printed, less the newline.
fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// An empty folder below a name with a space and letters outside ASCII.
fn folder() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().canonicalize().unwrap().join("mein Projekt ü");
    fs::create_dir(&root).unwrap();
    (temp, root)
}

/// A repository with one commit of `a.txt` and `.quire/ci.lua` on `main`.
fn repository() -> (TempDir, PathBuf) {
    let (temp, root) = folder();
    git(&root, &["init", "-q", "-b", "main"]);
    fs::create_dir(root.join(".quire")).unwrap();
    fs::write(root.join(".quire/ci.lua"), "one\n").unwrap();
    fs::write(root.join("a.txt"), "one\n").unwrap();
    fs::write(root.join(".gitignore"), "ignored\n").unwrap();
    commit(&root);
    (temp, root)
}

fn commit(root: &Path) -> String {
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "x"]);
    git(root, &["rev-parse", "HEAD"])
}

fn on(sha: &str, name: &str) -> Head {
    Head { sha: Some(sha.to_owned()), ref_name: Some(name.to_owned()) }
}

#[test]
fn no_repository_has_no_head() {
    let (_temp, root) = folder();
    assert_eq!(head(&root), Head::default());
    assert!(matches!(work_tree(&root), Err(GitError::NoRepository { .. })));
}

#[test]
fn heads_of_every_layout() {
    let (temp, root) = folder();
    git(&root, &["init", "-q", "-b", "main"]);
    assert_eq!(head(&root), Head { sha: None, ref_name: Some("refs/heads/main".to_owned()) });
    fs::create_dir(root.join("below")).unwrap();
    fs::write(root.join("below/a"), "1").unwrap();
    let first = commit(&root);
    assert_eq!(head(&root), on(&first, "refs/heads/main"));
    assert_eq!(head(&root.join("below")), on(&first, "refs/heads/main"));

    git(&root, &["pack-refs", "--all"]);
    assert!(!root.join(".git/refs/heads/main").exists());
    assert_eq!(head(&root), on(&first, "refs/heads/main"));

    fs::write(root.join("below/a"), "2").unwrap();
    let second = commit(&root);
    assert_eq!(head(&root), on(&second, "refs/heads/main"), "a loose ref wins over a packed one");

    git(&root, &["checkout", "-q", "-b", "feature/ü x".replace(' ', "-").as_str()]);
    assert_eq!(head(&root), on(&second, "refs/heads/feature/ü-x"));
    git(&root, &["checkout", "-q", "--detach", &first]);
    assert_eq!(head(&root), Head { sha: Some(first.clone()), ref_name: None });

    let linked = temp.path().join("linked tree");
    git(&root, &["worktree", "add", "-q", linked.to_str().unwrap(), "main"]);
    assert_eq!(head(&linked), on(&second, "refs/heads/main"));
    let detached = temp.path().join("detached");
    git(&root, &["worktree", "add", "-q", "--detach", detached.to_str().unwrap(), &first]);
    assert_eq!(head(&detached.join("below")), Head { sha: Some(first), ref_name: None });
}

#[test]
fn other_formats_are_asked_of_git() {
    for option in ["--ref-format=reftable", "--object-format=sha256"] {
        let (_temp, root) = folder();
        let supported =
            Command::new("git").args(["init", "-q", "-b", "main", option]).current_dir(&root).status().unwrap();
        if !supported.success() {
            continue;
        }
        assert_eq!(head(&root), Head { sha: None, ref_name: Some("refs/heads/main".to_owned()) }, "{option}");
        fs::write(root.join("a"), "1").unwrap();
        let sha = commit(&root);
        assert_eq!(head(&root), on(&sha, "refs/heads/main"), "{option}");
        let made = checkout(&root, &At::Rev("main".to_owned()), &root.join("../made")).unwrap();
        assert_eq!(fs::read(made.top.join("a")).unwrap(), b"1", "{option}");
        assert_eq!(git(&made.top, &["status", "--porcelain"]), "", "{option}");
    }
}

#[test]
fn submodules_have_heads_of_their_own() {
    let (_temp, inner) = repository();
    let (_temp, root) = repository();
    git(&root, &["submodule", "--quiet", "add", inner.to_str().unwrap(), "module"]);
    commit(&root);
    assert_eq!(head(&root.join("module")).sha, head(&inner).sha);
    assert_ne!(head(&root).sha, head(&inner).sha);

    assert!(work_tree(&root).unwrap().fingerprint.is_some());
    fs::write(root.join("module/a.txt"), "changed").unwrap();
    let dirty = work_tree(&root).unwrap();
    assert_eq!((dirty.modified, dirty.fingerprint), (1, None));

    let made = checkout(&root, &At::Rev("HEAD".to_owned()), &root.join("../made")).unwrap();
    assert_eq!(made.notes.len(), 1);
    assert!(fs::read_dir(made.top.join("module")).unwrap().next().is_none());
    // A submodule's git directory is elsewhere and names its work tree in its configuration.
    let made = checkout(&root.join("module"), &At::Rev("HEAD".to_owned()), &root.join("../made too")).unwrap();
    assert_eq!(fs::read(made.top.join("a.txt")).unwrap(), b"one\n");
    assert_eq!(git(&made.top, &["status", "--porcelain"]), "");
}

#[test]
fn dirt_is_counted() {
    let (_temp, root) = repository();
    let counts = |folder: &Path| work_tree(folder).map(|tree| (tree.modified, tree.untracked)).unwrap();
    assert_eq!(counts(&root), (0, 0));
    fs::write(root.join("ignored"), "x").unwrap();
    assert_eq!(counts(&root), (0, 0));
    fs::write(root.join("a.txt"), "two\n").unwrap();
    fs::create_dir(root.join("new folder")).unwrap();
    fs::write(root.join("new folder/1"), "x").unwrap();
    fs::write(root.join("new folder/ü\n2"), "x").unwrap();
    assert_eq!(counts(&root), (1, 2));
    assert_eq!(counts(&root.join("new folder")), (1, 2), "counts are of the whole work tree");
    git(&root, &["mv", "a.txt", "b.txt"]);
    assert_eq!(counts(&root), (2, 2), "a rename is one file gone and one new");
}

#[test]
fn fingerprints_follow_content() {
    let (_temp, root) = repository();
    let print = || work_tree(&root).unwrap().fingerprint.unwrap();
    let clean = print();
    assert_eq!(print(), clean);
    fs::write(root.join("ignored"), "x").unwrap();
    assert_eq!(print(), clean, "ignored files do not count");

    fs::write(root.join("a.txt"), "two\n").unwrap();
    let changed = print();
    git(&root, &["add", "a.txt"]);
    assert_eq!(print(), changed, "staging changes no file");
    fs::write(root.join("a.txt"), "six\n").unwrap();
    let other = print();
    assert!(other != changed && other != clean);
    fs::set_permissions(root.join("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(print(), other, "a mode counts");
    fs::remove_file(root.join("a.txt")).unwrap();
    let gone = print();
    symlink("x", root.join("a.txt")).unwrap();
    let link = print();
    assert!(gone != link && gone != clean);
    fs::remove_file(root.join("a.txt")).unwrap();
    fs::write(root.join("a.txt"), "one\n").unwrap();
    git(&root, &["reset", "-q"]);
    assert_eq!(print(), clean, "back to what it was");

    fs::write(root.join("new"), "1").unwrap();
    let untracked = print();
    fs::write(root.join("new"), "2").unwrap();
    assert_ne!(print(), untracked);
    fs::write(root.join("new"), "1").unwrap();
    git(&root, &["add", "new"]);
    assert_eq!(print(), untracked);
    git(&root, &["commit", "-q", "-m", "x"]);
    assert_ne!(print(), untracked, "another HEAD");
}

#[test]
fn large_files_count_by_size_and_time() {
    let (_temp, root) = repository();
    let large = fs::File::create(root.join("large")).unwrap();
    large.set_len(3 << 20).unwrap();
    let print = || work_tree(&root).unwrap().fingerprint.unwrap();
    let before = print();
    assert_eq!(print(), before);
    large.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
    assert_ne!(print(), before);
}

#[test]
fn another_repository_inside_has_no_fingerprint() {
    let (_temp, root) = repository();
    fs::create_dir(root.join("inner")).unwrap();
    git(&root.join("inner"), &["init", "-q"]);
    fs::write(root.join("inner/a"), "1").unwrap();
    commit(&root.join("inner"));
    let tree = work_tree(&root).unwrap();
    assert_eq!((tree.untracked, tree.fingerprint), (1, None));
}

#[test]
fn an_unborn_branch_has_dirt_too() {
    let (_temp, root) = folder();
    git(&root, &["init", "-q"]);
    fs::write(root.join("a"), "1").unwrap();
    let tree = work_tree(&root).unwrap();
    assert_eq!((tree.modified, tree.untracked), (0, 1));
    assert!(tree.fingerprint.is_some());
}

#[test]
fn the_state_comes_as_one_message() {
    let (_temp, root) = repository();
    fs::write(root.join("a.txt"), "two\n").unwrap();
    let (sender, receiver) = mpsc::channel();
    watch(&root, move |tree| sender.send(tree).unwrap()).unwrap().join().unwrap();
    let tree: Option<WorkTree> = receiver.recv().unwrap();
    assert_eq!(tree, Some(work_tree(&root).unwrap()));
    let (sender, receiver) = mpsc::channel();
    watch(Path::new("/"), move |tree| sender.send(tree).unwrap()).unwrap().join().unwrap();
    assert_eq!(receiver.recv().unwrap(), None);
}

/// Every file of a repository's git directory with its content, so that a trace would show.
fn traces(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.join(".git")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => waiting.push(path),
                false => {
                    found.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
    }
    found
}

#[test]
fn a_revision_is_checked_out_afresh() {
    let (temp, root) = repository();
    let first = git(&root, &["rev-parse", "HEAD"]);
    git(&root, &["tag", "-a", "-m", "x", "v1"]);
    fs::write(root.join("a.txt"), "two\n").unwrap();
    let second = commit(&root);
    fs::write(root.join("a.txt"), "dirty\n").unwrap();
    fs::write(root.join("untracked"), "x").unwrap();
    let before = traces(&root);
    let into = temp.path().join("out ü");
    for (rev, sha, name, text) in [
        ("HEAD", &second, Some("refs/heads/main"), "two\n"),
        ("HEAD~1", &first, None, "one\n"),
        ("main", &second, Some("refs/heads/main"), "two\n"),
        ("v1", &first, Some("refs/tags/v1"), "one\n"),
        (&first[..12], &first, None, "one\n"),
    ] {
        let made = checkout(&root, &At::Rev(rev.to_owned()), &into).unwrap();
        assert_eq!(made.head, Head { sha: Some(sha.clone()), ref_name: name.map(str::to_owned) }, "{rev}");
        assert_eq!(fs::read_to_string(made.top.join("a.txt")).unwrap(), text, "{rev}");
        assert!(!made.top.join("untracked").exists());
        assert_eq!(head(&made.top), Head { sha: Some(sha.clone()), ref_name: None });
        assert_eq!(git(&made.top, &["status", "--porcelain"]), "", "{rev}");
        assert_eq!(git(&made.top, &["describe", "--always", "--tags", "v1"]), "v1");
        assert!(made.notes.is_empty());
        made.remove().unwrap();
        assert!(!into.exists());
    }
    assert_eq!(traces(&root), before, "the repository knows nothing of it");
}

#[test]
fn a_workspace_below_the_top_keeps_its_place() {
    let (temp, root) = repository();
    fs::create_dir_all(root.join("sub/.quire")).unwrap();
    fs::write(root.join("sub/.quire/ci.lua"), "sub").unwrap();
    commit(&root);
    let made = checkout(&root.join("sub"), &At::Rev("HEAD".to_owned()), &temp.path().join("out")).unwrap();
    assert_eq!(fs::read(made.workspace.join(".quire/ci.lua")).unwrap(), b"sub");
    assert_eq!(made.workspace, made.top.join("sub"));
}

#[test]
fn the_index_is_checked_out_as_it_is_staged() {
    let (temp, root) = repository();
    fs::write(root.join("a.txt"), "staged\n").unwrap();
    fs::write(root.join("new"), "staged\n").unwrap();
    git(&root, &["add", "a.txt", "new"]);
    git(&root, &["rm", "-q", "--cached", ".gitignore"]);
    fs::write(root.join("a.txt"), "not staged\n").unwrap();
    let before = traces(&root);
    let Checkout { top, head: based_on, .. } = checkout(&root, &At::Index, &temp.path().join("out")).unwrap();
    assert_eq!(traces(&root), before);
    assert_eq!(based_on, head(&root));
    assert_eq!(fs::read(top.join("a.txt")).unwrap(), b"staged\n");
    assert_eq!(fs::read(top.join("new")).unwrap(), b"staged\n");
    assert!(!top.join(".gitignore").exists());
    assert_eq!(git(&top, &["diff", "--cached", "--name-only"]), ".gitignore\na.txt\nnew");
}

#[test]
fn the_index_of_an_unborn_branch() {
    let (temp, root) = folder();
    git(&root, &["init", "-q", "-b", "trunk"]);
    fs::write(root.join("a"), "1").unwrap();
    git(&root, &["add", "a"]);
    let made = checkout(&root, &At::Index, &temp.path().join("out")).unwrap();
    assert_eq!(fs::read(made.top.join("a")).unwrap(), b"1");
    assert_eq!(head(&made.top), Head { sha: None, ref_name: Some("refs/heads/trunk".to_owned()) });
}

#[test]
fn settings_and_odd_work_trees_are_heeded() {
    let (temp, root) = repository();
    git(&root, &["config", "core.autocrlf", "true"]);
    git(&root, &["config", "core.hooksPath", ".hooks"]);
    git(&root, &["sparse-checkout", "set", "nothing"]);
    let made = checkout(&root, &At::Rev("main".to_owned()), &temp.path().join("out")).unwrap();
    assert_eq!(
        fs::read(made.top.join(".quire/ci.lua")).unwrap(),
        b"one\r\n",
        "line endings as configured, nothing left out"
    );
    let linked = temp.path().join("linked");
    git(&root, &["worktree", "add", "-q", "--detach", linked.to_str().unwrap()]);
    let made = checkout(&linked, &At::Index, &temp.path().join("out 2")).unwrap();
    assert_eq!(fs::read(made.top.join("a.txt")).unwrap(), b"one\r\n");
}

#[test]
fn what_cannot_be_checked_out_is_told() {
    let (temp, root) = repository();
    let into = temp.path().join("out");
    for rev in ["gone", "HEAD~7", "main:a.txt", "--all", "@{-1}"] {
        let error = checkout(&root, &At::Rev(rev.to_owned()), &into).unwrap_err();
        assert_eq!(error, GitError::UnknownRevision(rev.to_owned()));
        assert!(!into.exists());
    }
    let (_temp, bare) = folder();
    assert!(matches!(checkout(&bare, &At::Index, &into), Err(GitError::NoRepository { .. })));

    git(&root, &["checkout", "-q", "-b", "other"]);
    fs::write(root.join("a.txt"), "other\n").unwrap();
    commit(&root);
    git(&root, &["checkout", "-q", "main"]);
    fs::write(root.join("a.txt"), "main\n").unwrap();
    commit(&root);
    let merge = Command::new("git").args(["merge", "-q", "other"]).current_dir(&root).output().unwrap();
    assert!(!merge.status.success());
    let error = checkout(&root, &At::Index, &into).unwrap_err().to_string();
    assert!(error.contains("unmerged"), "{error}");
}

#[test]
fn names_that_are_no_utf8_are_carried() {
    let (temp, root) = repository();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff name")), "x").unwrap();
    assert_eq!(work_tree(&root).unwrap().untracked, 1);
    commit(&root);
    let made = checkout(&root, &At::Rev("HEAD".to_owned()), &temp.path().join("out")).unwrap();
    assert!(made.top.join(std::ffi::OsStr::from_bytes(b"\xff name")).exists());
}
