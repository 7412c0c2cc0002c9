//! The state of a work tree: how dirty it is, and a fingerprint that changes when its files do.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use quire_core::digest::Digest;

use super::head::Repository;
use super::{GitError, ask, git, output};

/// Files up to this many bytes count by their content, larger ones by size and time.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Most bytes of content that one fingerprint reads; files after that count by size and time.
const MAX_TOTAL_BYTES: u64 = 64 * 1024 * 1024;

/// The state of a work tree at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// Tracked files that differ from HEAD, staged or not.
    pub modified: u32,
    /// Files that git neither tracks nor ignores.
    pub untracked: u32,
    /// 64 hex digits, equal while HEAD and every tracked or untracked, not ignored, file are: see [`work_tree`]. `None` where that
    /// cannot be told: a changed submodule, another repository inside, a file that cannot be read.
    pub fingerprint: Option<String>,
}

/// Finds the state of the work tree of `folder` on a thread of its own and hands it to `deliver` there: `None` where there is no
/// git, no repository or no answer.
pub fn watch(
    folder: &Path,
    deliver: impl FnOnce(Option<WorkTree>) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let folder = folder.to_owned();
    thread::Builder::new().name("git status".to_owned()).spawn(move || deliver(work_tree(&folder).ok()))
}

/// The state of the work tree of `folder`, now: one `git status`, then reading what it names.
///
/// The fingerprint is the digest of fields ([`Digest::field`]): `quire-fingerprint-1`, HEAD's sha (empty before the first
/// commit), then for each file that differs from HEAD or is untracked, in the order of its path's bytes: path (from the top of
/// the work tree), kind, content. Staging a change does not alter it, committing does. Kinds: `gone`; `link`, content the
/// target; `file` or `exec` (any execute bit), content the SHA-256 in hex; `file-stat` or `exec-stat` for files over 1 MiB or
/// after 64 MiB were read, content size and modification time (`SIZE SECONDS NANOSECONDS`).
pub fn work_tree(folder: &Path) -> Result<WorkTree, GitError> {
    let repository =
        Repository::find(folder).ok_or_else(|| GitError::NoRepository { folder: folder.display().to_string() })?;
    let mut command = git(&repository.top);
    command.args(["status", "--porcelain=v2", "-z", "--branch", "--untracked-files=all", "--no-renames"]);
    command.arg("--ignore-submodules=none");
    let status = Status::parse(&output(&mut command, "status")?);
    let fingerprint = fingerprint(&repository.top, &status);
    Ok(WorkTree { modified: status.modified, untracked: status.untracked, fingerprint })
}

/// A file of the work tree of `folder`, tracked or untracked and not ignored, that was changed at or after `time`, as people
/// may read it: times of files are coarse, and one changed right after is not to be missed; of one that is gone its folder's time counts. `None` where there is none.
pub fn newer_file(folder: &Path, time: SystemTime) -> Result<Option<String>, GitError> {
    let repository =
        Repository::find(folder).ok_or_else(|| GitError::NoRepository { folder: folder.display().to_string() })?;
    let listed = ask(&repository.top, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let is_newer = |path: &&[u8]| {
        let path = repository.top.join(OsStr::from_bytes(path));
        let changed = fs::symlink_metadata(&path).or_else(|_| fs::symlink_metadata(path.parent().unwrap_or(&path)));
        changed.and_then(|meta| meta.modified()).is_ok_and(|modified| modified >= time)
    };
    let found = listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()).find(is_newer);
    Ok(found.map(|path| String::from_utf8_lossy(path).into_owned()))
}

/// What `git status --porcelain=v2 -z --branch` said (git-status(1), "Porcelain Format Version 2").
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    sha: Vec<u8>,
    modified: u32,
    untracked: u32,
    /// Changed and untracked paths.
    paths: Vec<Vec<u8>>,
    /// Something differs whose content is not ours to see: a changed submodule, another repository.
    opaque: bool,
}

impl Status {
    fn parse(text: &[u8]) -> Status {
        let mut status = Status::default();
        let mut entries = text.split(|byte| *byte == 0);
        while let Some(entry) = entries.next() {
            // The path is the last of that many fields and may hold spaces itself.
            let (fields, counts_as) = match entry.first() {
                Some(b'#') => {
                    if let Some(sha) = entry.strip_prefix(b"# branch.oid ").filter(|sha| *sha != b"(initial)") {
                        status.sha = sha.to_vec();
                    }
                    continue;
                }
                Some(b'1') => (9, &mut status.modified),
                Some(b'2') => {
                    // A rename; --no-renames forbids it, and its second path is an entry of its own.
                    entries.next();
                    (10, &mut status.modified)
                }
                Some(b'u') => (11, &mut status.modified),
                Some(b'?') => (2, &mut status.untracked),
                _ => continue,
            };
            *counts_as += 1;
            let mut parts = entry.splitn(fields, |byte| *byte == b' ');
            let submodule = fields > 2 && parts.nth(2).is_some_and(|sub| sub.starts_with(b"S"));
            match parts.last() {
                Some(path) if !submodule && !path.ends_with(b"/") => status.paths.push(path.to_vec()),
                _ => status.opaque = true,
            }
        }
        status.paths.sort();
        status.paths.dedup();
        status
    }
}

fn fingerprint(top: &Path, status: &Status) -> Option<String> {
    if status.opaque {
        return None;
    }
    let mut digest = Digest::new();
    digest.field(b"quire-fingerprint-1");
    digest.field(&status.sha);
    let mut budget = MAX_TOTAL_BYTES;
    for path in &status.paths {
        let (kind, content) = content(&top.join(OsStr::from_bytes(path)), &mut budget)?;
        digest.field(path);
        digest.field(kind.as_bytes());
        digest.field(&content);
    }
    Some(digest.hex())
}

/// Kind and content of a path as the fingerprint has them; `None` where it cannot be read.
fn content(path: &PathBuf, budget: &mut u64) -> Option<(&'static str, Vec<u8>)> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) => {
            let gone = matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory);
            return gone.then(|| ("gone", Vec::new()));
        }
    };
    if meta.is_symlink() {
        return Some(("link", fs::read_link(path).ok()?.into_os_string().as_bytes().to_vec()));
    }
    if meta.is_dir() {
        // A tracked file was replaced by a folder; what is in it is listed by itself.
        return Some(("gone", Vec::new()));
    }
    if !meta.is_file() {
        return None;
    }
    let executable = meta.mode() & 0o111 != 0;
    if meta.len() > MAX_FILE_BYTES || meta.len() > *budget {
        let stat = format!("{} {} {}", meta.len(), meta.mtime(), meta.mtime_nsec());
        return Some((if executable { "exec-stat" } else { "file-stat" }, stat.into_bytes()));
    }
    *budget -= meta.len();
    let mut bytes = Vec::new();
    // A file that grows meanwhile is cut: its fingerprint is then one that no quiet work tree has.
    fs::File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    let mut digest = Digest::new();
    digest.update(&bytes);
    Some((if executable { "exec" } else { "file" }, digest.hex().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn porcelain_is_read() {
        let text = b"# branch.oid 0123\0# branch.head main\0\
            1 .M N... 100644 100644 100644 aaa bbb b with space\0\
            1 M. N... 100644 100644 100644 aaa bbb a\0\
            2 R. N... 100644 100644 100644 aaa bbb R100 new name\0old name\0\
            u UU N... 100644 100644 100644 100644 aaa bbb ccc conflict\0\
            ? \xff\n.txt\0! ignored\0";
        let status = Status::parse(text);
        let paths: Vec<&[u8]> = status.paths.iter().map(Vec::as_slice).collect();
        assert_eq!(paths, [&b"a"[..], b"b with space", b"conflict", b"new name", b"\xff\n.txt"]);
        assert_eq!((status.modified, status.untracked, status.opaque), (4, 1, false));
        assert_eq!(status.sha, b"0123");
        assert_eq!(Status::parse(b"# branch.oid (initial)\0"), Status::default());
        assert_eq!(Status::parse(b""), Status::default());
    }

    #[test]
    fn what_cannot_be_seen_has_no_fingerprint() {
        for text in [&b"1 .M S.M. 160000 160000 160000 a b module\0"[..], b"? inner/\0"] {
            let status = Status::parse(text);
            assert!(status.opaque, "{text:?}");
            assert_eq!(fingerprint(Path::new("/"), &status), None);
        }
    }
}
