//! What a server asks of real bare repositories: what pushed refs name, fresh checkouts, revisions, another user's repositories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quire_ci::git::{
    Asker, Checkout, FileChange, GitError, Revision, Subject, changes, checkout_bare, default_branch, head,
    is_bare_repository, move_checkout, resolve_bare, subjects, tips,
};
use quire_core::queue::Tip;
use tempfile::TempDir;

const ZERO: &str = "0000000000000000000000000000000000000000";

/// Runs git as nobody in particular and returns what it printed, less the newline.
fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ann Ö", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
        .args(["-c", "protocol.file.allow=always", "-c", "safe.directory=*"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_COMMITTER_DATE", "1750000000 +0200")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A bare repository and a work tree that pushes to it.
struct World {
    _temp: TempDir,
    root: PathBuf,
    bare: PathBuf,
    tree: PathBuf,
}

impl World {
    fn new() -> World {
        World::with(&[])
    }

    fn with(options: &[&str]) -> World {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap().join("mein Ort ü");
        fs::create_dir(&root).unwrap();
        git(&root, &[&["init", "-q", "--bare", "-b", "main"], options, &["foo.git"]].concat());
        git(&root, &[&["init", "-q", "-b", "main"], options, &["tree"]].concat());
        let (bare, tree) = (root.join("foo.git"), root.join("tree"));
        git(&tree, &["remote", "add", "origin", "../foo.git"]);
        World { _temp: temp, root, bare, tree }
    }

    /// Commits these files and pushes all branches and tags.
    fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (name, text) in files {
            let path = self.tree.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        git(&self.tree, &["add", "-A"]);
        git(&self.tree, &["commit", "-q", "--allow-empty", "-m", message]);
        self.push();
        git(&self.tree, &["rev-parse", "HEAD"])
    }

    fn push(&self) {
        git(&self.tree, &["push", "-q", "--all", "origin"]);
        git(&self.tree, &["push", "-q", "--tags", "origin"]);
    }

    fn checkout(&self, sha: &str) -> Checkout {
        let into = self.root.join("out");
        let _ = fs::remove_dir_all(&into);
        checkout_bare(&self.bare, sha, Some("refs/heads/main"), &into).unwrap()
    }
}

#[test]
fn a_commit_is_checked_out_afresh() {
    let world = World::new();
    let first = world.commit(&[(".quire/ci.lua", "one\n"), ("a/b.txt", "one\n")], "first");
    git(&world.tree, &["tag", "-a", "-m", "x", "v1"]);
    let second = world.commit(&[("a/b.txt", "two\n")], "second");
    for (sha, text) in [(&first, "one\n"), (&second, "two\n"), (&first.to_uppercase(), "one\n")] {
        let made = world.checkout(sha);
        let sha = sha.to_lowercase();
        assert_eq!(made.head.sha.as_ref(), Some(&sha));
        assert_eq!(made.head.ref_name.as_deref(), Some("refs/heads/main"));
        assert_eq!(made.top, world.root.join("out"));
        assert_eq!(fs::read_to_string(made.workspace.join("a/b.txt")).unwrap(), text);
        assert_eq!(head(&made.top).sha, Some(sha.clone()));
        assert_eq!(git(&made.top, &["status", "--porcelain"]), "");
        assert_eq!(git(&made.top, &["rev-parse", "main", "v1^{commit}"]), format!("{second}\n{first}"));
        assert_eq!(git(&made.top, &["describe", "HEAD"]).split('-').next(), Some("v1"));
        assert!(made.notes.is_empty());
        made.remove().unwrap();
    }
}

/// Every file of a checkout with its mode and content, links as what they say; and git's view of it.
fn files(top: &Path) -> Vec<(String, u32, Vec<u8>)> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let (mut found, mut folders) = (Vec::new(), vec![top.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten().filter(|entry| entry.file_name() != ".git") {
            let (path, meta) = (entry.path(), entry.path().symlink_metadata().unwrap());
            let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            if meta.is_dir() {
                found.push((name, 0, Vec::new()));
                folders.push(path);
            } else if meta.is_symlink() {
                found.push((name, 1, fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()));
            } else {
                found.push((name, meta.permissions().mode(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found.push((git(top, &["status", "--porcelain"]), 0, Vec::new()));
    found.push((git(top, &["ls-files", "--stage"]), 0, Vec::new()));
    found.push((git(top, &["rev-parse", "HEAD"]), 0, Vec::new()));
    found.push((git(top, &["for-each-ref"]), 0, Vec::new()));
    found
}

#[test]
fn a_checkout_that_is_moved_is_like_a_fresh_one() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let world = World::new();
    let mut commits = vec![world.commit(&[("a", "1"), ("dir/b", "2"), ("dir/c", "3"), ("x/y/z", "4")], "one")];
    commits.push(world.commit(&[("a", "other"), ("new/file", "5")], "changed and added"));
    fs::remove_dir_all(world.tree.join("dir")).unwrap();
    commits.push(world.commit(&[("dir", "a file now")], "a folder becomes a file"));
    fs::remove_file(world.tree.join("x/y/z")).unwrap();
    fs::set_permissions(world.tree.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("a", world.tree.join("link")).unwrap();
    commits.push(world.commit(&[], "removed, a mode, a link"));
    git(&world.tree, &["tag", "v1"]);
    fs::remove_file(world.tree.join("link")).unwrap();
    commits.push(world.commit(&[("link/inside", "6")], "a link becomes a folder"));
    let moved = world.root.join("moved");
    for from in &commits {
        for to in &commits {
            checkout_bare(&world.bare, from, None, &moved).unwrap();
            let told = move_checkout(&world.bare, to, Some("refs/heads/main"), &moved).unwrap().unwrap();
            assert_eq!((told.top.as_path(), told.head.sha.as_deref()), (moved.as_path(), Some(to.as_str())));
            let (moved_files, fresh) = (files(&moved), world.checkout(to));
            assert_eq!(moved_files, files(&fresh.top), "{from} to {to}");
            fs::remove_dir_all(&moved).unwrap();
        }
    }
    // Attributes say how files are written that did not change themselves.
    let with = world.commit(&[("sub/.gitattributes", "* text eol=crlf")], "attributes");
    for (from, to) in [(&commits[0], &with), (&with, &commits[0]), (&with, &with)] {
        checkout_bare(&world.bare, from, None, &moved).unwrap();
        assert!(move_checkout(&world.bare, to, None, &moved).unwrap().is_none());
        fs::remove_dir_all(&moved).unwrap();
    }
    checkout_bare(&world.bare, &commits[0], None, &moved).unwrap();
    assert!(move_checkout(&world.bare, ZERO, None, &moved).is_err());
}

#[test]
fn refs_are_those_of_the_repository_packed_or_not() {
    let world = World::new();
    world.commit(&[("a", "1")], "first");
    for name in ["x", "feature/ü-1", "zz/top"] {
        git(&world.tree, &["branch", name]);
    }
    git(&world.tree, &["tag", "-a", "-m", "x", "v1"]);
    world.push();
    let check = |what: &str| {
        let sha = git(&world.bare, &["rev-parse", "main"]);
        let made = world.checkout(&sha);
        let list = ["for-each-ref", "--format=%(objectname) %(refname) %(*objectname)"];
        assert_eq!(git(&made.top, &list), git(&world.bare, &list), "{what}");
        git(&made.top, &["fsck", "--connectivity-only"]);
    };
    check("loose");
    git(&world.bare, &["pack-refs", "--all"]);
    check("packed");
    world.commit(&[("a", "2")], "second");
    git(&world.tree, &["push", "-q", "origin", ":x"]);
    git(&world.bare, &["symbolic-ref", "refs/heads/latest", "refs/heads/main"]);
    check("both");
}

#[test]
fn other_formats() {
    for option in ["--ref-format=reftable", "--object-format=sha256"] {
        let temp = tempfile::tempdir().unwrap();
        let supported = Command::new("git").args(["init", "-q", option]).current_dir(temp.path()).output().unwrap();
        if !supported.status.success() {
            continue;
        }
        let world = World::with(&[option]);
        assert_eq!(default_branch(&world.bare).as_deref(), Some("refs/heads/main"), "{option}");
        let sha = world.commit(&[(".quire/ci.lua", "x")], "first");
        let made = world.checkout(&sha);
        assert_eq!(git(&made.top, &["status", "--porcelain"]), "", "{option}");
        assert_eq!(git(&made.top, &["rev-parse", "main"]), sha, "{option}");
        assert_eq!(tips(&world.bare, &[("refs/heads/main", &sha)]).unwrap(), [Tip::Pipeline { sha: sha.clone() }]);
        let found = resolve_bare(&world.bare, "main").unwrap();
        assert_eq!(found, Revision { sha, ref_name: Some("refs/heads/main".to_owned()) }, "{option}");
    }
}

#[test]
fn submodules_are_left_alone() {
    let inner = World::new();
    inner.commit(&[("a", "1")], "inner");
    let world = World::new();
    git(&world.tree, &["submodule", "--quiet", "add", inner.bare.to_str().unwrap(), "module"]);
    let sha = world.commit(&[("b", "1")], "outer");
    let made = world.checkout(&sha);
    assert_eq!(made.notes, ["submodules are not checked out; their folders are empty"]);
    assert!(fs::read_dir(made.top.join("module")).unwrap().next().is_none());
}

#[test]
fn what_cannot_be_checked_out_leaves_nothing() {
    let world = World::new();
    world.commit(&[("a", "1")], "first");
    let into = world.root.join("out");
    for sha in ["main", "--all", "", "12"] {
        let error = checkout_bare(&world.bare, sha, None, &into).unwrap_err();
        assert_eq!(error, GitError::UnknownRevision(sha.to_owned()));
    }
    let gone = "1".repeat(40);
    assert!(matches!(checkout_bare(&world.bare, &gone, None, &into), Err(GitError::Failed { .. })));
    assert!(!into.exists());
    assert!(matches!(checkout_bare(&world.root.join("no.git"), &gone, None, &into), Err(GitError::Io { .. })));
}

#[test]
fn tips_tell_what_refs_name() {
    let world = World::new();
    let none = world.commit(&[("a", "1")], "none");
    let lua = world.commit(&[(".quire/ci.lua", "x")], "lua");
    git(&world.tree, &["mv", ".quire/ci.lua", ".quire/ci.fnl"]);
    let fennel = world.commit(&[], "fennel");
    git(&world.tree, &["rm", "-q", ".quire/ci.fnl"]);
    let folder = world.commit(&[(".quire/ci.lua/file", "a folder is no pipeline")], "folder");
    git(&world.tree, &["tag", "-a", "-m", "x", "annotated", &lua]);
    git(&world.tree, &["tag", "-a", "-m", "x", "twice", "annotated"]);
    git(&world.tree, &["tag", "tree", "HEAD^{tree}"]);
    git(&world.tree, &["tag", "blob", "HEAD:a"]);
    world.push();
    let id = |name: &str| git(&world.tree, &["rev-parse", name]);
    let pipeline = |sha: &str| Tip::Pipeline { sha: sha.to_owned() };
    let no_pipeline = |sha: &str| Tip::NoPipeline { sha: sha.to_owned() };
    let table = [
        (lua.clone(), pipeline(&lua)),
        (none.clone(), no_pipeline(&none)),
        (ZERO.to_owned(), Tip::Deleted),
        (fennel.clone(), pipeline(&fennel)),
        (folder.clone(), no_pipeline(&folder)),
        (id("annotated"), pipeline(&lua)),
        (id("twice"), pipeline(&lua)),
        (id("tree"), Tip::NoCommit),
        (id("blob"), Tip::NoCommit),
        ("1".repeat(40), Tip::NoCommit),
        ("garbage\nHEAD".to_owned(), Tip::NoCommit),
        (lua.clone(), pipeline(&lua)),
        ("0".repeat(64), Tip::Deleted),
    ];
    let refs: Vec<(&str, &str)> = table.iter().map(|(after, _)| ("refs/x", after.as_str())).collect();
    let want: Vec<Tip> = table.iter().map(|(_, tip)| tip.clone()).collect();
    assert_eq!(tips(&world.bare, &refs).unwrap(), want);
    assert_eq!(tips::<&str, &str>(&world.bare, &[]).unwrap(), []);
    assert!(matches!(tips(&world.root.join("no.git"), &refs), Err(GitError::Io { .. })));
}

#[test]
fn a_git_that_stays_says_the_same() {
    let world = World::new();
    let first = world.commit(&[("a", "1")], "no pipeline");
    let mut asker = Asker::start(&world.bare).unwrap();
    let ask = |asker: &mut Asker, after: &str| {
        let refs = [("refs/heads/main", after), ("refs/heads/gone", ZERO), ("refs/heads/none", "zz")];
        let told = asker.tips(&refs).unwrap();
        assert_eq!(told, tips(&world.bare, &refs).unwrap());
        told.into_iter().next().unwrap()
    };
    assert_eq!(ask(&mut asker, &first), Tip::NoPipeline { sha: first.clone() });
    // What came since, loose and packed; what was packed under its eyes.
    let second = world.commit(&[(".quire/ci.lua", "x")], "a pipeline");
    assert_eq!(ask(&mut asker, &second), Tip::Pipeline { sha: second.clone() });
    git(&world.bare, &["gc", "-q", "--prune=now"]);
    let third = world.commit(&[("b", "3")], "more");
    for sha in [&first, &second, &third] {
        assert!(!matches!(ask(&mut asker, sha), Tip::NoCommit), "{sha}");
    }
    git(&world.bare, &["gc", "-q", "--prune=now"]);
    assert_eq!(ask(&mut asker, &third), Tip::Pipeline { sha: third.clone() });
    assert!(asker.is_of(&world.bare));
    fs::rename(&world.bare, world.root.join("moved.git")).unwrap();
    git(&world.root, &["init", "-q", "--bare", "foo.git"]);
    assert!(!asker.is_of(&world.bare), "another repository by now");
    assert!(Asker::takes(1) && !Asker::takes(600));
}

#[test]
fn six_hundred_refs_are_asked_at_once() {
    let world = World::new();
    world.commit(&[(".quire/ci.lua", "x")], "first");
    let mut stream = String::new();
    for n in 0..600 {
        stream += &format!(
            "commit refs/heads/b{n}\ncommitter A <a@example.org> {n} +0000\ndata 1\nx\nfrom refs/heads/main^0\n\n"
        );
    }
    let file = world.root.join("stream");
    fs::write(&file, stream).unwrap();
    let imported = Command::new("git")
        .args(["fast-import", "--quiet"])
        .stdin(fs::File::open(file).unwrap())
        .current_dir(&world.bare)
        .status();
    assert!(imported.unwrap().success());
    let listed = git(&world.bare, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/b*"]);
    let refs: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(refs.len(), 600);
    let want: Vec<Tip> = refs.iter().map(|(_, sha)| Tip::Pipeline { sha: (*sha).to_owned() }).collect();
    assert_eq!(tips(&world.bare, &refs).unwrap(), want);
}

#[test]
fn revisions_are_resolved() {
    let world = World::new();
    assert_eq!(default_branch(&world.bare).as_deref(), Some("refs/heads/main"));
    assert_eq!(resolve_bare(&world.bare, "main"), Err(GitError::UnknownRevision("main".to_owned())));
    let first = world.commit(&[("a", "1")], "Grüße an\nalle\n\nund mehr");
    git(&world.tree, &["tag", "-a", "-m", "x", "v1"]);
    let second = world.commit(&[("a", "2")], "second");
    for (rev, sha, name) in [
        ("main", &second, Some("refs/heads/main")),
        ("refs/heads/main", &second, Some("refs/heads/main")),
        ("HEAD", &second, Some("refs/heads/main")),
        ("v1", &first, Some("refs/tags/v1")),
        (&first[..10], &first, None),
        ("main~1", &first, None),
    ] {
        let want = Revision { sha: sha.clone(), ref_name: name.map(str::to_owned) };
        assert_eq!(resolve_bare(&world.bare, rev), Ok(want), "{rev}");
    }
    for rev in ["gone", "--all", "main:a", ""] {
        assert_eq!(resolve_bare(&world.bare, rev), Err(GitError::UnknownRevision(rev.to_owned())));
    }
    let known = subject("Grüße an alle");
    let asked = [first.clone(), "--all".to_owned()];
    assert_eq!(subjects(&world.bare, &asked), Ok(BTreeMap::from([(first.clone(), known)])));
    assert!(is_bare_repository(&world.bare) && !is_bare_repository(&world.tree) && !is_bare_repository(&world.root));
}

fn subject(subject: &str) -> Subject {
    Subject { subject: subject.to_owned(), author: "Ann Ö".to_owned(), at_ms: 1_750_000_000_000 }
}

#[test]
fn many_commits_are_told_of_at_once() {
    let world = World::new();
    assert_eq!(subjects(&world.bare, &["a".repeat(40)]).unwrap(), [].into());
    let first = world.commit(&[("a", "x")], "Grüße\nan alle\n\nund mehr");
    let second = world.commit(&[("a", "y")], "second");
    world.commit(&[("a", "z")], "nobody asks");
    git(&world.tree, &["config", "i18n.commitEncoding", "ISO-8859-1"]);
    fs::write(world.tree.join("message"), b"caf\xe9\n").unwrap();
    git(&world.tree, &["commit", "-q", "--allow-empty", "-F", "message"]);
    world.push();
    let latin = git(&world.tree, &["rev-parse", "HEAD"]);
    let blob = git(&world.tree, &["rev-parse", "HEAD:a"]);
    git(&world.tree, &["tag", "-a", "-m", "x", "v1", &first]);
    let tag = git(&world.tree, &["rev-parse", "v1"]);
    // What its owner likes to see of commits is not for us.
    for (name, value) in [("log.showSignature", "true"), ("format.pretty", "fuller"), ("log.decorate", "full")] {
        git(&world.bare, &["config", name, value]);
    }
    let gone = "b".repeat(40);
    let asked = [&first, "--all", "main", &gone, &second.to_uppercase(), &latin, &first, &blob, &tag, ""];
    let told = subjects(&world.bare, &asked.map(str::to_owned)).unwrap();
    // The name came in UTF-8, whatever the commit says.
    let cafe = Subject { author: "Ann Ã\u{96}".to_owned(), ..subject("café") };
    let expected = [(first, subject("Grüße an alle")), (second, subject("second")), (latin, cafe)];
    assert_eq!(told, expected.into());
    for nothing in [&[][..], &[gone], &["--all".to_owned()]] {
        assert_eq!(subjects(&world.bare, nothing).unwrap(), [].into());
    }
    assert!(subjects(&world.root, &["a".repeat(40)]).is_err());
}

#[test]
fn what_came_between_two_commits_is_told() {
    let world = World::new();
    let first = world.commit(&[("a", "1\n2\n3\n"), ("gone", "x\n"), ("moves", "same\n")], "first");
    let second = world.commit(&[("a", "1\n2\n"), ("b ü\t", "new\n")], "second");
    git(&world.tree, &["rm", "-q", "gone"]);
    git(&world.tree, &["mv", "moves", "moved"]);
    let third = world.commit(&[("bin", "\0\u{1}"), ("a", "1\n2\n9\n")], "third");
    let file = |path: &str, added, removed| FileChange { path: path.to_owned(), added, removed };

    let told = changes(&world.bare, &first[..8], &third.to_uppercase(), 10).unwrap();
    assert_eq!(
        (&told.from, &told.to, told.more, told.files_more, told.is_ancestor),
        (&first, &third, false, false, true)
    );
    let commits: Vec<_> = told.commits.into_iter().map(|commit| (commit.sha, commit.subject)).collect();
    assert_eq!(commits, [(third.clone(), subject("third")), (second.clone(), subject("second"))]);
    let expected = [
        file("a", Some(1), Some(1)),
        file("b ü\t", Some(1), Some(0)),
        file("bin", None, None),
        file("gone", Some(0), Some(1)),
        file("moved", Some(1), Some(0)),
        file("moves", Some(0), Some(1)),
    ];
    assert_eq!(told.files, expected);

    let told = changes(&world.bare, &first, &third, 1).unwrap();
    assert_eq!((told.commits.len(), told.more), (1, true));
    let told = changes(&world.bare, &second, &second, 1).unwrap();
    assert_eq!((told.commits.len(), told.files.len(), told.more, told.is_ancestor), (0, 0, false, true));

    // Rewound: nothing is new of commits, but files are as they were.
    let told = changes(&world.bare, &third, &second, 10).unwrap();
    assert_eq!((told.commits.len(), told.is_ancestor, told.files.len()), (0, false, 5));
    // And gone another way.
    git(&world.tree, &["checkout", "-q", "-b", "other", &first]);
    let many: Vec<(String, String)> = (0..501).map(|n| (format!("many/{n:03}"), "x\n".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let other = world.commit(&many, "other");
    let told = changes(&world.bare, &second, &other, 10).unwrap();
    assert_eq!((told.commits.len(), told.is_ancestor), (1, false));
    assert_eq!((told.files.len(), told.files_more), (500, true));

    // Ids of commits, and nothing else.
    let hex = "abcd1234";
    git(&world.bare, &["branch", hex, &third]);
    let blob = git(&world.tree, &["rev-parse", "HEAD:a"]);
    git(&world.tree, &["tag", "-a", "-m", "x", "v1", &first]);
    world.push();
    let tag = git(&world.tree, &["rev-parse", "v1"]);
    for wrong in
        ["main", "--all", "HEAD", "", &first[..3], &"b".repeat(40), &"b".repeat(41), hex, &blob, &tag, "main..other"]
    {
        let unknown = GitError::UnknownRevision(wrong.to_owned());
        assert_eq!(changes(&world.bare, wrong, &third, 1), Err(unknown.clone()), "{wrong}");
        assert_eq!(changes(&world.bare, &third, wrong, 1), Err(unknown), "{wrong}");
    }
}

#[test]
fn another_users_repository_is_no_different() {
    let world = World::new();
    let sha = world.commit(&[(".quire/ci.lua", "x")], "first");
    // Its owner's settings do not reach a checkout.
    git(&world.bare, &["config", "core.autocrlf", "true"]);
    let chown = Command::new("chown").args(["-R", "12345:12345"]).arg(&world.bare).output().unwrap();
    if !chown.status.success() {
        assert!(!rustix::process::geteuid().is_root());
        return;
    }
    let made = world.checkout(&sha);
    assert_eq!(fs::read(made.top.join(".quire/ci.lua")).unwrap(), b"x");
    assert_eq!(git(&made.top, &["log", "--format=%s"]), "first");
    assert_eq!(tips(&world.bare, &[("refs/heads/main", &sha)]).unwrap(), [Tip::Pipeline { sha: sha.clone() }]);
    assert_eq!(resolve_bare(&world.bare, "main").unwrap().sha, sha);
    assert_eq!(subjects(&world.bare, std::slice::from_ref(&sha)).unwrap()[&sha].subject, "first");
    assert_eq!(subjects(&world.bare, std::slice::from_ref(&sha)).unwrap(), [(sha.clone(), subject("first"))].into());
    assert!(changes(&world.bare, &sha, &sha, 1).unwrap().is_ancestor);
}
