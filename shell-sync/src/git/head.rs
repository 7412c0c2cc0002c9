//! Where a repository is, and what its HEAD names: read from git's files, as gitrepository-layout(5) describes them.
//!
//! A process costs as much as a whole short run. What is not simple here (reftable, a ref that is odd) is asked of git itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::{ask, line};

/// Longest chain of symbolic refs that is followed, as git does.
const MAX_SYMREFS: usize = 5;

/// What HEAD names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Full commit id; `None` without git and before the first commit.
    pub sha: Option<String>,
    /// Full ref name; `None` without git and where HEAD is detached.
    pub ref_name: Option<String>,
}

/// A repository with a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The work tree's top folder.
    pub top: PathBuf,
    /// Its own git directory: HEAD, index.
    pub git_dir: PathBuf,
    /// What all its work trees share: objects, refs, config.
    pub common_dir: PathBuf,
}

impl Repository {
    /// The repository of `folder`, found upwards; `None` if there is none. `folder` is absolute.
    pub fn find(folder: &Path) -> Option<Repository> {
        folder.ancestors().find_map(Repository::at)
    }

    fn at(top: &Path) -> Option<Repository> {
        let dot_git = top.join(".git");
        let meta = fs::metadata(&dot_git).ok()?;
        let git_dir = match meta.is_dir() {
            true => dot_git,
            // A linked work tree or a submodule: `gitdir: PATH`, relative to the folder that holds the file.
            false => {
                let text = fs::read(&dot_git).ok()?;
                top.join(path_of(text.strip_prefix(b"gitdir:")?))
            }
        };
        if fs::symlink_metadata(git_dir.join("HEAD")).is_err() {
            return None;
        }
        let common_dir = match fs::read(git_dir.join("commondir")) {
            Ok(text) => git_dir.join(path_of(&text)),
            Err(_) => git_dir.clone(),
        };
        Some(Repository { top: top.to_owned(), git_dir, common_dir })
    }

    /// What HEAD names.
    pub fn head(&self) -> Head {
        self.read_head().unwrap_or_else(|| self.ask_head())
    }

    /// HEAD as the files say it; `None` where they are not as simple as this knows.
    fn read_head(&self) -> Option<Head> {
        let head = self.git_dir.join("HEAD");
        // Gits of old made HEAD a symlink to the branch.
        if fs::symlink_metadata(&head).ok()?.is_symlink() {
            return None;
        }
        let head = fs::read(head).ok()?;
        let Some(mut name) = symbolic(&head).map(<[u8]>::to_vec) else {
            return Some(Head { sha: Some(object_id(&head)?), ref_name: None });
        };
        if name.ends_with(b"/.invalid") || self.common_dir.join("reftable").exists() {
            return None;
        }
        let ref_name = String::from_utf8_lossy(&name).into_owned();
        for _ in 0..MAX_SYMREFS {
            let well_formed = name.starts_with(b"refs/") && !name.split(|byte| *byte == b'/').any(|part| part == b"..");
            if !well_formed {
                return None;
            }
            match self.loose(&name) {
                Some(text) => match symbolic(&text) {
                    Some(next) => name = next.to_vec(),
                    None => return Some(Head { sha: Some(object_id(&text)?), ref_name: Some(ref_name) }),
                },
                None => return Some(Head { sha: self.packed(&name)?, ref_name: Some(ref_name) }),
            }
        }
        None
    }

    /// The content of a loose ref: a work tree's own one, else the shared one.
    fn loose(&self, name: &[u8]) -> Option<Vec<u8>> {
        let name = OsStr::from_bytes(name);
        fs::read(self.git_dir.join(name)).or_else(|_| fs::read(self.common_dir.join(name))).ok()
    }

    /// A ref in packed-refs: `Some(None)` where it is in none, which is a branch before its first commit; `None` where the file
    /// cannot be read or is odd.
    fn packed(&self, name: &[u8]) -> Option<Option<String>> {
        let text = match fs::read(self.common_dir.join("packed-refs")) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(None),
            Err(_) => return None,
        };
        let needle = [b" ", name, b"\n"].concat();
        let Some(at) = memmem::find(&text, &needle) else { return Some(None) };
        let start = memchr::memrchr(b'\n', text.get(..at)?).map_or(0, |newline| newline + 1);
        Some(Some(object_id(text.get(start..at)?)?))
    }

    /// HEAD as git says it.
    fn ask_head(&self) -> Head {
        let text =
            |args: &[&str]| ask(&self.top, args).ok().map(|output| line(&output)).filter(|text| !text.is_empty());
        Head {
            sha: text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]),
            ref_name: text(&["symbolic-ref", "--quiet", "HEAD"]),
        }
    }
}

/// What HEAD names in the repository of `folder`; nothing where there is none.
pub fn head(folder: &Path) -> Head {
    Repository::find(folder).map(|repository| repository.head()).unwrap_or_default()
}

/// The name in `ref: NAME`.
pub(super) fn symbolic(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"ref:").map(<[u8]>::trim_ascii)
}

/// A full object id, SHA-1 or SHA-256.
pub(super) fn object_id(text: &[u8]) -> Option<String> {
    let text = text.trim_ascii();
    let well_formed = matches!(text.len(), 40 | 64) && text.iter().all(u8::is_ascii_hexdigit);
    well_formed.then(|| String::from_utf8_lossy(text).to_ascii_lowercase())
}

/// A path in a file of git's: what follows the keyword, less the spaces around it.
fn path_of(text: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(text.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn check(files: &[(&str, &str)], want: Option<(Option<&str>, Option<&str>)>) {
        let top = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = top.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let got = Repository::find(&top.path().join("below")).and_then(|repository| repository.read_head());
        let want = want.map(|(sha, name)| Head { sha: sha.map(Into::into), ref_name: name.map(Into::into) });
        assert_eq!(got, want, "{files:?}");
    }

    #[test]
    fn simple_layouts_need_no_process() {
        let main = (".git/HEAD", "ref: refs/heads/main\n");
        let packed = format!(
            "# pack-refs with: peeled fully-peeled sorted\n{SHA} refs/heads/main\n{SHA} refs/tags/v1\n^{SHA}\n"
        );
        let both = Some((Some(SHA), Some("refs/heads/main")));
        check(&[main, (".git/refs/heads/main", &format!("{SHA}\n"))], both);
        check(&[main, (".git/packed-refs", &packed)], both);
        check(&[main, (".git/packed-refs", &packed.replace("main", "domain"))], Some((None, Some("refs/heads/main"))));
        check(&[main], Some((None, Some("refs/heads/main"))));
        check(&[(".git/HEAD", &format!("{SHA}\n"))], Some((Some(SHA), None)));
        let linked = [
            (".git", "gitdir: real/worktrees/x\n"),
            ("real/worktrees/x/HEAD", "ref: refs/heads/main\n"),
            ("real/worktrees/x/commondir", "../..\n"),
            ("real/refs/heads/main", SHA),
        ];
        check(&linked, both);
        check(&[main, (".git/refs/heads/main", "ref: refs/heads/real\n"), (".git/refs/heads/real", SHA)], both);
    }

    #[test]
    fn what_is_odd_is_left_to_git() {
        let main = (".git/HEAD", "ref: refs/heads/main\n");
        check(&[(".git/HEAD", "garbage")], None);
        check(&[(".git/HEAD", "ref: refs/heads/.invalid\n"), (".git/reftable/tables.list", "")], None);
        check(&[(".git/HEAD", "ref: refs/../../../etc/passwd\n")], None);
        check(&[main, (".git/refs/heads/main", "short\n")], None);
        check(&[main, (".git/refs/heads/main", "ref: refs/heads/main\n")], None);
        check(&[(".git/config", "")], None);
    }
}
