//! The post-receive hook: a small shell script that calls this very program. One that was there before is kept and called first.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use quire_ci::git::hooks_folder;

use super::error::RepoError;
use super::name::RepoName;

/// Git's name for it.
const HOOK: &str = "post-receive";
/// What a hook that was there before is called.
const ASIDE: &str = "post-receive.before-quire";
/// A folder of hooks that a hook of somebody else's calls one after the other.
const PARTS: &str = "post-receive.d";
/// Ours in there.
const PART: &str = "quire";
/// By this line a hook is known as ours.
const MARK: &str = "# quire-hook 1";
/// The script; `@quire@`, `@data@` and `@repo@` are quoted words.
const SCRIPT: &str = include_str!("post-receive.sh");

/// What the hook calls and about which data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The quire program, absolute.
    pub binary: PathBuf,
    /// The data directory, absolute.
    pub data: PathBuf,
}

/// What became of a repository's hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// It is the only one.
    Alone(PathBuf),
    /// It calls the one that was there before, which is kept beside it.
    Chained(PathBuf),
    /// It stands in `post-receive.d`, whose hooks somebody else's calls.
    Part(PathBuf),
    /// Git runs hooks from a folder outside of the repository, which others may share: nothing was installed.
    Elsewhere {
        /// That folder (`core.hooksPath`).
        folder: PathBuf,
        /// What a hook there has to call with its standard input.
        call: String,
    },
    /// There is none of quire's.
    Missing,
}

/// Installs the hook, or brings it up to date.
pub fn install(git_dir: &Path, name: &RepoName, caller: &Caller) -> Result<Hook, RepoError> {
    let folder = hooks_folder(git_dir)?;
    if !is_within(&folder, git_dir) {
        return Ok(Hook::Elsewhere { folder, call: call(name, caller) });
    }
    if !folder.is_dir() {
        fs::create_dir_all(&folder).map_err(RepoError::io("make", &folder))?;
    }
    let (hook, aside, parts) = (folder.join(HOOK), folder.join(ASIDE), folder.join(PARTS));
    for path in [&hook, &parts.join(PART)] {
        match Written::read(path) {
            Some(written) if written.is_foreign(git_dir, name, caller) => {
                let Written { data, repo } = written;
                return Err(RepoError::OtherHook { path: path.clone(), data, repo });
            }
            _ => {}
        }
    }
    let theirs = fs::symlink_metadata(&hook).is_ok() && Written::read(&hook).is_none();
    if theirs && parts.is_dir() {
        let part = parts.join(PART);
        write(&part, name, caller)?;
        return Ok(Hook::Part(part));
    }
    if theirs {
        if fs::symlink_metadata(&aside).is_ok() {
            return Err(RepoError::TwoHooks { hook, aside });
        }
        fs::rename(&hook, &aside).map_err(RepoError::io("set aside", &hook))?;
    }
    if let Err(error) = write(&hook, name, caller) {
        if theirs {
            // As it was.
            let _ = fs::rename(&aside, &hook);
        }
        return Err(error);
    }
    Ok(if fs::symlink_metadata(&aside).is_ok() { Hook::Chained(hook) } else { Hook::Alone(hook) })
}

/// Takes the hook of this repository and this data directory out, and puts the one that was there before back.
pub fn uninstall(git_dir: &Path, name: &RepoName, data: &Path) -> Result<(), RepoError> {
    let folder = hooks_folder(git_dir)?;
    let (hook, aside) = (folder.join(HOOK), folder.join(ASIDE));
    for path in [&hook, &folder.join(PARTS).join(PART)] {
        if !Written::read(path).is_some_and(|written| written.is_of(name, data)) {
            continue;
        }
        match *path == hook && fs::symlink_metadata(&aside).is_ok() {
            true => fs::rename(&aside, path).map_err(RepoError::io("put back", &aside))?,
            false => fs::remove_file(path).map_err(RepoError::io("remove", path))?,
        }
    }
    Ok(())
}

/// What is installed in a repository for this name and data directory.
pub fn state(git_dir: &Path, name: &RepoName, data: &Path) -> Hook {
    let Ok(folder) = hooks_folder(git_dir) else { return Hook::Missing };
    let (hook, part) = (folder.join(HOOK), folder.join(PARTS).join(PART));
    let ours = |path: &Path| Written::read(path).is_some_and(|written| written.is_of(name, data));
    if ours(&hook) {
        let chained = fs::symlink_metadata(folder.join(ASIDE)).is_ok();
        return if chained { Hook::Chained(hook) } else { Hook::Alone(hook) };
    }
    if ours(&part) { Hook::Part(part) } else { Hook::Missing }
}

/// The quire program as hooks are to call it: by the path that it was started by where that is this very program (what that path
/// names may be replaced by a newer one), else by the path that the kernel knows.
pub fn hook_binary(called_as: Option<&OsStr>) -> io::Result<PathBuf> {
    let running = env::current_exe()?;
    let running_file = fs::metadata(&running)?;
    let same = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (running_file.dev(), running_file.ino()))
    };
    let called_as = called_as.filter(|name| !name.is_empty()).map(Path::new);
    let candidates: Vec<PathBuf> = match called_as {
        Some(name) if name.components().count() > 1 => {
            env::current_dir().map(|folder| folder.join(name)).into_iter().collect()
        }
        Some(name) => {
            let path = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).collect()
        }
        None => Vec::new(),
    };
    Ok(candidates.into_iter().find(same).unwrap_or(running))
}

/// What a hook of ours says about itself.
#[derive(Debug)]
struct Written {
    data: PathBuf,
    repo: String,
}

impl Written {
    /// `None` where there is no hook, or one that is not ours.
    fn read(path: &Path) -> Option<Written> {
        let text = fs::read(path).ok()?;
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.any(|line| line == MARK.as_bytes()).then_some(())?;
        let word = |name: &str| {
            let begin = format!("{name}=");
            let mut values = text.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(begin.as_bytes()));
            values.next().map(unquote)
        };
        let data = PathBuf::from(OsString::from_vec(word("data")?));
        let repo = String::from_utf8_lossy(&word("repo")?).into_owned();
        Some(Written { data, repo })
    }

    /// Whether it tells of this repository to the server of this data directory.
    fn is_of(&self, name: &RepoName, data: &Path) -> bool {
        let same = || matches!((self.data.canonicalize(), data.canonicalize()), (Ok(a), Ok(b)) if a == b);
        self.repo == name.as_str() && (self.data == data || same())
    }

    /// Whether somebody else still relies on it: it names another place which leads to this repository.
    fn is_foreign(&self, git_dir: &Path, name: &RepoName, caller: &Caller) -> bool {
        let there = self.data.join("repos").join(&self.repo).canonicalize();
        let leads_here = || matches!((there, git_dir.canonicalize()), (Ok(there), Ok(here)) if there == here);
        !self.is_of(name, &caller.data) && leads_here()
    }
}

/// Whether a folder stands in the repository, symlinks resolved as far as there is something.
fn is_within(folder: &Path, git_dir: &Path) -> bool {
    let real = folder.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    match (real, git_dir.canonicalize()) {
        (Some(real), Ok(git_dir)) => real.starts_with(git_dir),
        _ => false,
    }
}

/// Writes the script in the place of what is there, as a whole or not at all.
fn write(path: &Path, name: &RepoName, caller: &Caller) -> Result<(), RepoError> {
    let script = script(name, caller);
    if fs::read(path).is_ok_and(|there| there == script)
        && fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o111 != 0)
    {
        return Ok(());
    }
    let new = path.with_file_name(".quire-new");
    let written = (|| {
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(&new)?;
        file.write_all(&script)?;
        // Whoever may push has to be able to run it, whatever the umask.
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        RepoError::io("write", path)(error)
    })
}

fn script(name: &RepoName, caller: &Caller) -> Vec<u8> {
    let mut script = Vec::new();
    for line in SCRIPT.lines() {
        match line {
            "quire=@quire@" => script.extend([&b"quire="[..], &quote(caller.binary.as_os_str())].concat()),
            "data=@data@" => script.extend([&b"data="[..], &quote(caller.data.as_os_str())].concat()),
            "repo=@repo@" => script.extend([&b"repo="[..], &quote(OsStr::new(name.as_str()))].concat()),
            line => script.extend(line.as_bytes()),
        }
        script.push(b'\n');
    }
    script
}

fn call(name: &RepoName, caller: &Caller) -> String {
    let word = |word: &OsStr| String::from_utf8_lossy(&quote(word)).into_owned();
    let (binary, data) = (word(caller.binary.as_os_str()), word(caller.data.as_os_str()));
    format!("{binary} hook post-receive --data-dir {data} --repo {name}")
}

/// A word as sh reads it.
fn quote(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// What [`quote`] made of it before.
fn unquote(word: &[u8]) -> Vec<u8> {
    let inner = word.strip_prefix(b"'").and_then(|word| word.strip_suffix(b"'")).unwrap_or(word);
    let mut plain = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((byte, following)) = rest.split_first() {
        match rest.strip_prefix(b"'\\''") {
            Some(following) => {
                plain.push(b'\'');
                rest = following;
            }
            None => {
                plain.push(*byte);
                rest = following;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_quoting() {
        for word in ["/usr/bin/quire", "/it's a/ü $(x) \"y\"", "'", "''a''"] {
            assert_eq!(unquote(&quote(OsStr::new(word))), word.as_bytes(), "{word}");
        }
        assert_eq!(quote(OsStr::new("it's")), b"'it'\\''s'");
    }

    #[test]
    fn a_script_tells_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let name = RepoName::parse("work/foo.git").unwrap();
        let caller = Caller { binary: "/opt/it's/quire".into(), data: "/srv/ü data".into() };
        let path = folder.path().join(HOOK);
        assert!(Written::read(&path).is_none());
        fs::write(&path, script(&name, &caller)).unwrap();
        let written = Written::read(&path).unwrap();
        assert_eq!((written.data, written.repo.as_str()), (caller.data, "work/foo.git"));
        assert!(!SCRIPT.contains('\r') && SCRIPT.lines().any(|line| line == MARK));
    }

    #[test]
    fn the_program_is_called_by_the_path_that_people_use() {
        let running = env::current_exe().unwrap();
        assert_eq!(hook_binary(None).unwrap(), running);
        assert_eq!(hook_binary(Some(OsStr::new("/bin/sh"))).unwrap(), running, "another program");
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("quire");
        std::os::unix::fs::symlink(&running, &link).unwrap();
        assert_eq!(hook_binary(Some(link.as_os_str())).unwrap(), link);
    }
}
