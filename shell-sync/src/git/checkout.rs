//! A fresh checkout of a revision, or of what is staged, that leaves no trace in the user's repository.
//!
//! The checkout gets a `.git` of its own, made by hand: objects are borrowed from the repository (`objects/info/alternates`), refs
//! are copied, its configuration is included. `git worktree add` would register itself in the repository; a clone would call the
//! user's folder `origin` and cost three times as much.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::head::{Head, Repository};
use super::{GitError, ask, git, line, output};
use crate::cli::At;

/// A checkout. It stays on the disk until [`Checkout::remove`]: a run that failed keeps it, says where it is, and retention
/// removes it with the run's directory.
#[derive(Debug)]
pub struct Checkout {
    /// Its top folder.
    pub top: PathBuf,
    /// The folder in it that stands where the asking folder stands in its repository: the workspace of a run.
    pub workspace: PathBuf,
    /// What is checked out. For the index: HEAD, on which it is based. For a revision: `ref_name` where it names a branch or tag.
    pub head: Head,
    /// What a person should know: submodules that were left out.
    pub notes: Vec<String>,
}

impl Checkout {
    /// Removes it from the disk.
    pub fn remove(self) -> io::Result<()> {
        remove_tree(&self.top)
    }
}

/// Checks out `at` of the repository of `folder` into `into`, which must not exist or be an empty folder.
pub fn checkout(folder: &Path, at: &At, into: &Path) -> Result<Checkout, GitError> {
    let folder = folder.canonicalize().map_err(|error| told(folder, &error))?;
    let repository =
        Repository::find(&folder).ok_or_else(|| GitError::NoRepository { folder: folder.display().to_string() })?;
    let prefix = folder.strip_prefix(&repository.top).unwrap_or(Path::new(""));
    let head = match at {
        At::Rev(rev) => resolve(|| git(&repository.top), rev)?,
        At::Index => repository.head(),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(into).map_err(|error| told(into, &error))?;
    let into = into.canonicalize().map_err(|error| told(into, &error))?;
    make_git_dir(&repository, &into, &head)?;
    let tree = match at {
        At::Rev(_) => head.sha.clone().unwrap_or_default(),
        At::Index => write_tree(&repository, &into)?,
    };
    let mut command = git(&into);
    command.args(["read-tree", "-m", "-u", &tree]);
    output(&mut command, "read-tree")?;
    let notes = submodule_notes(&into);
    Ok(Checkout { workspace: into.join(prefix), top: into, head, notes })
}

/// What a person should know of a checkout's submodules.
pub(super) fn submodule_notes(top: &Path) -> Vec<String> {
    match top.join(".gitmodules").exists() {
        true => vec!["submodules are not checked out; their folders are empty".to_owned()],
        false => Vec::new(),
    }
}

/// The commit that `rev` names, and the branch or tag if it names one. `git` makes a git for the repository.
pub(super) fn resolve(git: impl Fn() -> Command, rev: &str) -> Result<Head, GitError> {
    let rev_parse = |args: &[&str]| {
        let mut command = git();
        command.arg("rev-parse").args(args).args(["--verify", "--quiet", "--end-of-options"]);
        command
    };
    let mut command = rev_parse(&[]);
    command.arg(format!("{rev}^{{commit}}"));
    let sha = match output(&mut command, "rev-parse") {
        Ok(sha) => line(&sha),
        Err(GitError::Failed { said, .. }) if said.starts_with("fatal: detected dubious") => {
            return Err(GitError::Failed { what: "rev-parse".to_owned(), said });
        }
        Err(GitError::Failed { .. }) => return Err(GitError::UnknownRevision(rev.to_owned())),
        Err(error) => return Err(error),
    };
    let mut command = rev_parse(&["--symbolic-full-name"]);
    command.arg(rev);
    let name = output(&mut command, "rev-parse").map(|name| line(&name)).unwrap_or_default();
    let named = name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
    Ok(Head { sha: Some(sha), ref_name: named.then_some(name) })
}

/// Makes `into/.git`: HEAD detached at the commit (or unborn, as in the repository), everything else borrowed.
fn make_git_dir(repository: &Repository, into: &Path, head: &Head) -> Result<(), GitError> {
    let common = repository.common_dir.canonicalize().map_err(|error| told(&repository.common_dir, &error))?;
    let git_dir = into.join(".git");
    for name in ["objects/info", "refs", "info"] {
        let path = git_dir.join(name);
        fs::create_dir_all(&path).map_err(|error| told(&path, &error))?;
    }
    let write = |name: &str, content: &[u8]| {
        let path = git_dir.join(name);
        fs::write(&path, content).map_err(|error| told(&path, &error))
    };
    write("objects/info/alternates", &[&quote(&common.join("objects")), &b"\n"[..]].concat())?;
    match (&head.sha, &head.ref_name) {
        (Some(sha), _) => write("HEAD", format!("{sha}\n").as_bytes())?,
        (None, name) => {
            let name = name.as_deref().unwrap_or("refs/heads/main");
            write("HEAD", format!("ref: {name}\n").as_bytes())?;
        }
    }
    write("config", &config(repository, &common, into))?;
    // In no order that packed-refs promises ("sorted" is not claimed in a header), so git reads all of it.
    let refs = ask(&repository.top, &["for-each-ref", "--format=%(objectname) %(refname)"])?;
    write("packed-refs", &refs)?;
    for name in ["shallow", "info/attributes", "info/exclude"] {
        if let Ok(content) = fs::read(common.join(name)) {
            write(name, &content)?;
        }
    }
    Ok(())
}

/// The checkout's configuration: the repository's, included, so that line endings, filters and remotes are the same, less what
/// would bend where the work tree is or what of it is there. Extensions are not read from included files: they are repeated.
fn config(repository: &Repository, common: &Path, into: &Path) -> Vec<u8> {
    let mut text = b"[include]\n\tpath = ".to_vec();
    text.extend(quote_value(common.join("config").as_os_str().as_bytes()));
    text.extend(
        b"\n[core]\n\tbare = false\n\tsparseCheckout = false\n\tfsmonitor = false\n\tsplitIndex = false\n\tworktree = ",
    );
    text.extend(quote_value(into.as_os_str().as_bytes()));
    let format = setting(repository, "extensions.objectformat");
    let partial = setting(repository, "extensions.partialclone");
    let version = if format.is_some() || partial.is_some() { "1" } else { "0" };
    text.extend(format!("\n\trepositoryformatversion = {version}\n").bytes());
    if version == "1" {
        text.extend(b"[extensions]\n");
    }
    for (key, value) in [("objectformat", format), ("partialclone", partial)] {
        if let Some(value) = value {
            text.extend(format!("\t{key} = ").bytes());
            text.extend(quote_value(&value));
            text.push(b'\n');
        }
    }
    text
}

/// A setting of the repository's own configuration, where it is set. Most repositories have no extensions at all: no process
/// is started for those.
fn setting(repository: &Repository, key: &str) -> Option<Vec<u8>> {
    let file = repository.common_dir.join("config");
    let text = fs::read(&file).ok()?.to_ascii_lowercase();
    let (_, name) = key.split_once('.')?;
    memchr::memmem::find(&text, name.as_bytes())?;
    let args = [OsStr::new("config"), OsStr::new("--file"), file.as_os_str(), OsStr::new("--get"), OsStr::new(key)];
    ask(&repository.top, &args).ok().map(|value| value.strip_suffix(b"\n").unwrap_or(&value).to_vec())
}

/// Writes what is staged as a tree into the checkout's own objects and returns its id. The index is copied before: git would
/// write its tree cache back into the user's.
fn write_tree(repository: &Repository, into: &Path) -> Result<String, GitError> {
    let index = index_of_hook(repository).unwrap_or_else(|| repository.git_dir.join("index"));
    let copy = into.join(".git/quire-index");
    match fs::copy(&index, &copy) {
        Ok(_) => {}
        // Nothing was ever staged.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(told(&index, &error)),
    }
    let mut command = git(&repository.top);
    command.arg("write-tree");
    command.env("GIT_INDEX_FILE", &copy).env("GIT_OBJECT_DIRECTORY", into.join(".git/objects"));
    let tree = output(&mut command, "write-tree").map_err(|error| match error {
        GitError::Failed { said, .. } if said.contains("unmerged") => {
            GitError::Failed { what: "write-tree".to_owned(), said: format!("the index holds unmerged files\n{said}") }
        }
        error => error,
    });
    let _ = fs::remove_file(&copy);
    tree.map(|tree| line(&tree))
}

/// The index that a hook of this very repository was given: `git commit -a` and `git commit FILE` stage into one of their own.
fn index_of_hook(repository: &Repository) -> Option<PathBuf> {
    let given = std::env::var_os("GIT_INDEX_FILE")?;
    own_index(repository, &std::env::current_dir().ok()?, Path::new(&given))
}

/// The index at a path relative to `base`, if it stands in the repository's own git directory.
fn own_index(repository: &Repository, base: &Path, given: &Path) -> Option<PathBuf> {
    let index = base.join(given).canonicalize().ok().filter(|index| index.is_file())?;
    let ours = repository.git_dir.canonicalize().ok()?;
    index.starts_with(ours).then_some(index)
}

/// A path as `objects/info/alternates` takes it: in C quotes where its bytes would be misread.
pub(super) fn quote(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    match bytes.iter().any(|byte| matches!(byte, b'\n' | b'"' | b'\\')) {
        true => quote_value(bytes),
        false => bytes.to_vec(),
    }
}

/// A value in double quotes, as git-config(1) and git's C quoting both read it.
fn quote_value(bytes: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in bytes {
        match byte {
            b'\n' => quoted.extend(b"\\n"),
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            _ => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    quoted
}

pub(super) fn told(path: &Path, error: &io::Error) -> GitError {
    GitError::Io { path: path.display().to_string(), error: error.to_string() }
}

/// Removes a folder and all below it, also what is in folders that a build made read-only.
pub fn remove_tree(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(folder)?;
            fs::remove_dir_all(folder)
        }
        done => done,
    }
}

/// Gives the owner the right to write in every folder below; symlinks are not followed.
fn open_folders(folder: &Path) -> io::Result<()> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let mode = fs::metadata(&folder)?.permissions().mode();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode | 0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_git_would_misread_them() {
        for (path, want) in
            [("/a b/ü", "/a b/ü"), ("/a\"b", "\"/a\\\"b\""), ("/a\nb", "\"/a\\nb\""), ("/a\\b", "\"/a\\\\b\"")]
        {
            assert_eq!(quote(Path::new(path)), want.as_bytes());
        }
        assert_eq!(quote_value(b"/a;b#c"), b"\"/a;b#c\"");
    }

    #[test]
    fn only_an_index_of_this_repository_is_a_hook_s() {
        let top = tempfile::tempdir().unwrap();
        for name in ["a/.git/HEAD", "a/.git/index.lock", "b/.git/HEAD", "b/.git/index"] {
            let path = top.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let (a, b) = (top.path().join("a"), top.path().join("b"));
        let repository = Repository::find(&a).unwrap();
        let index = |given: &Path| own_index(&repository, &a, given);
        let lock = a.join(".git/index.lock").canonicalize().unwrap();
        assert_eq!(index(Path::new(".git/index.lock")), Some(lock.clone()));
        assert_eq!(index(&lock), Some(lock));
        assert_eq!(index(&b.join(".git/index")), None);
        assert_eq!(index(Path::new(".git/gone")), None);
        assert_eq!(index(Path::new("")), None);
    }

    #[test]
    fn read_only_folders_are_removed() {
        let top = tempfile::tempdir().unwrap();
        let inner = top.path().join("tree/mod");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o500)).unwrap();
        remove_tree(&top.path().join("tree")).unwrap();
        assert!(!top.path().join("tree").exists());
        remove_tree(&top.path().join("tree")).unwrap();
    }
}
