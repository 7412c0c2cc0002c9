//! Walks a folder with patterns in hand, entering only folders in which one of them can still match.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::files::path_bytes;
use super::glob::{Part, Pattern};
use super::sentence;

/// How far a pattern has matched: the index of the pattern and of its part that is next.
type At = (usize, usize);

/// A folder still to be looked at, and what may match in it.
struct Folder {
    path: PathBuf,
    states: Vec<At>,
}

/// The files below `root` that match any of the patterns: relative, `/`-separated, sorted by bytes, each once.
pub(super) fn walk(root: &Path, patterns: &[Pattern]) -> Result<Vec<Vec<u8>>, String> {
    let mut found = BTreeSet::new();
    let states = close((0..patterns.len()).map(|pattern| (pattern, 0)), patterns);
    let mut waiting = vec![Folder { path: PathBuf::new(), states }];
    while let Some(folder) = waiting.pop() {
        for (name, seen) in names(root, &folder, patterns)? {
            if name == b".git" {
                continue;
            }
            let (file, below) = step(&name, &folder.states, patterns);
            if !file && below.is_empty() {
                continue;
            }
            let path = folder.path.join(OsStr::from_bytes(&name));
            match kind(root, &path, seen) {
                Kind::File if file => {
                    found.insert(path_bytes(path));
                }
                Kind::Folder if !below.is_empty() => waiting.push(Folder { path, states: below }),
                Kind::File | Kind::Folder | Kind::Other => {}
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Names in a folder, and what stands there where listing it told.
type Names = BTreeMap<Vec<u8>, Option<FileType>>;

/// The names in a folder that are worth trying: where only literal parts are next those, else all that there are.
fn names(root: &Path, folder: &Folder, patterns: &[Pattern]) -> Result<Names, String> {
    let mut literals = Names::new();
    for state in &folder.states {
        match part(*state, patterns) {
            Some(Part::Literal(name)) => {
                literals.insert(name.clone(), None);
            }
            Some(Part::AnyFolders | Part::Wild(_)) => return list(&root.join(&folder.path)),
            None => {}
        }
    }
    Ok(literals)
}

fn list(folder: &Path) -> Result<Names, String> {
    let told = |error: io::Error| format!("cannot list the folder {}: {}", folder.display(), sentence(&error));
    let entries = match fs::read_dir(folder) {
        // It went between being seen and being listed: a command of another job may have removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Names::new()),
        entries => entries.map_err(told)?,
    };
    entries
        .map(|entry| entry.map(|entry| (entry.file_name().into_vec(), entry.file_type().ok())).map_err(told))
        .collect()
}

/// What a name does to the states: whether a file of that name matches, and what may match below a folder of it.
fn step(name: &[u8], states: &[At], patterns: &[Pattern]) -> (bool, Vec<At>) {
    let mut file = false;
    let mut below = Vec::new();
    for &(pattern, at) in states {
        let last = patterns.get(pattern).is_some_and(|pattern| at + 1 == pattern.parts.len());
        match part((pattern, at), patterns) {
            Some(Part::AnyFolders) if !name.starts_with(b".") => {
                file |= last;
                below.push((pattern, at));
            }
            Some(part) if part.matches(name) => match last {
                true => file = true,
                false => below.push((pattern, at + 1)),
            },
            Some(_) | None => {}
        }
    }
    (file, close(below, patterns))
}

/// `**` may stand for no folder at all: where it is next, so is what follows it.
fn close(states: impl IntoIterator<Item = At>, patterns: &[Pattern]) -> Vec<At> {
    let mut closed = BTreeSet::new();
    for (pattern, at) in states {
        closed.insert((pattern, at));
        if matches!(part((pattern, at), patterns), Some(Part::AnyFolders))
            && part((pattern, at + 1), patterns).is_some()
        {
            closed.insert((pattern, at + 1));
        }
    }
    closed.into_iter().collect()
}

fn part((pattern, at): At, patterns: &[Pattern]) -> Option<&Part> {
    patterns.get(pattern).and_then(|pattern| pattern.parts.get(at))
}

enum Kind {
    File,
    Folder,
    Other,
}

/// What stands at a path. A symlink is a file where it leads to a regular one inside; else it is nothing to us.
fn kind(root: &Path, path: &Path, seen: Option<FileType>) -> Kind {
    let path = root.join(path);
    let Some(seen) = seen.or_else(|| fs::symlink_metadata(&path).ok().map(|meta| meta.file_type())) else {
        return Kind::Other;
    };
    if seen.is_dir() {
        return Kind::Folder;
    }
    let inside = || path.canonicalize().is_ok_and(|target| target.starts_with(root) && target.is_file());
    match seen.is_file() || (seen.is_symlink() && inside()) {
        true => Kind::File,
        false => Kind::Other,
    }
}
