//! Answers to a script's questions about files: read, write, glob, hash, all inside one folder.
//!
//! "Inside" is decided after symlinks are resolved. It keeps a pipeline from reaching out by mistake; it is no wall against the
//! commands of the same pipeline, which run as the same user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use quire_core::digest::Digest;
use quire_core::engine::{Answer, Output, READ_LIMIT};
use quire_core::script::Request;
use rustix::fs::OFlags;

use super::glob::Pattern;
use super::{read_bounded, sentence, walk};

/// Most files that a glob answers with: beyond it a script's memory would end first.
const MAX_GLOB_FILES: usize = 100_000;

/// The files of one folder.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// Those of `root`, which is absolute and has its symlinks resolved.
    pub fn new(root: PathBuf) -> Files {
        Files { root }
    }

    /// Performs a `Read`, `Write`, `Glob` or `Hash`; `None` for every other order. It takes as long as the disk takes.
    pub fn answer(&self, order: &Output) -> Option<Answer> {
        Some(match order {
            Output::Read { path, limit, .. } => Answer::Read(self.read(path, *limit)),
            Output::Write { path, content, .. } => Answer::Write(self.write(path, content)),
            Output::Glob { patterns, .. } => Answer::Glob(self.glob(patterns)),
            Output::Hash { patterns, .. } => Answer::Hash(self.hash(patterns)),
            Output::Emit(_)
            | Output::Spawn { .. }
            | Output::Recall { .. }
            | Output::Signal { .. }
            | Output::CloseOutput { .. }
            | Output::Sweep { .. }
            | Output::SetSecrets(_)
            | Output::Done(_) => return None,
        })
    }

    /// The answer to what the top level of a pipeline asks outside of a run.
    pub fn answer_request(&self, request: &Request) -> Answer {
        match request {
            Request::Glob(patterns) => Answer::Glob(self.glob(patterns)),
            Request::Hash(patterns) => Answer::Hash(self.hash(patterns)),
            Request::Read(path) => Answer::Read(self.read(path, READ_LIMIT)),
            _ => Answer::Read(Err("this is no question to the workspace".to_owned())),
        }
    }

    /// The content of a regular file of at most `limit` bytes. Errors are for people, without the path.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let resolved = self.root.join(relative(path)?).canonicalize().map_err(|error| sentence(&error))?;
        self.check_inside(&resolved)?;
        read_bounded(open_regular(&resolved)?, limit)
    }

    /// Writes a regular file; missing folders on the way are made, an existing file keeps its mode, a symlink is followed.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let path = relative(path)?;
        let name = path.file_name().ok_or("the path names a folder")?;
        let folder = self.make_folder(&self.root.join(path.parent().unwrap_or(Path::new(""))))?;
        let mut target = folder.join(name);
        if fs::symlink_metadata(&target).is_ok_and(|meta| meta.is_symlink()) {
            target = target.canonicalize().map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => "it is a symlink that leads nowhere".to_owned(),
                _ => sentence(&error),
            })?;
            self.check_inside(&target)?;
        }
        // Not truncated by open: what is no regular file must stay as it is.
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(not_waiting())
            .open(&target)
            .map_err(|error| sentence(&error))?;
        if !file.metadata().map_err(|error| sentence(&error))?.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        file.set_len(0).and_then(|()| file.write_all(content)).map_err(|error| sentence(&error))
    }

    /// The files that match any of the patterns, relative, sorted by bytes.
    ///
    /// `*` any run of characters within a name, `?` one, `[a-z]` and `[!a-z]` classes, `{a,b}` alternatives, `\` takes the next
    /// character as it is; `**` any number of folders. A leading dot must be written; `.git` is never entered, symlinked folders
    /// are not followed. A name that is not UTF-8 is an error: leaving it out would let a check pass by what it did not see.
    pub fn glob(&self, patterns: &[String]) -> Result<Vec<String>, String> {
        let found = self.walk(patterns)?;
        if found.len() > MAX_GLOB_FILES {
            return Err(format!("{} files match; at most {MAX_GLOB_FILES} can be listed", found.len()));
        }
        found
            .into_iter()
            .map(|path| {
                String::from_utf8(path).map_err(|error| {
                    let name = error.as_bytes().escape_ascii().to_string();
                    format!("the name of a file that matches is not UTF-8: \"{name}\"; rename it, or leave it out of the pattern")
                })
            })
            .collect()
    }

    /// The digest of the files that match any of the patterns: SHA-256 over, for each file in the order of its path's bytes, the
    /// field path (bytes, relative, `/`-separated) and the field content (its SHA-256 as 64 lowercase hex digits). A field is its
    /// length as 8 bytes, little-endian, then its bytes ([`Digest::field`]). Modes and times do not count; no file at all gives
    /// the SHA-256 of nothing.
    pub fn hash(&self, patterns: &[String]) -> Result<String, String> {
        let mut digest = Digest::new();
        for path in self.walk(patterns)? {
            let content = self.hash_file(&path).map_err(|what| format!("{}: {what}", path.escape_ascii()))?;
            digest.field(&path);
            digest.field(content.as_bytes());
        }
        Ok(digest.hex())
    }

    /// As [`Files::glob`], but with names as they are on the disk.
    pub(super) fn walk(&self, patterns: &[String]) -> Result<Vec<Vec<u8>>, String> {
        walk::walk(&self.root, &Pattern::parse_all(patterns)?)
    }

    fn hash_file(&self, path: &[u8]) -> Result<String, String> {
        let path = self.root.join(std::ffi::OsStr::from_bytes(path));
        let resolved = path.canonicalize().map_err(|error| sentence(&error))?;
        self.check_inside(&resolved)?;
        let mut file = open_regular(&resolved)?;
        let mut digest = Digest::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(digest.hex()),
                Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(sentence(&error)),
            }
        }
    }

    /// Resolves a folder, making what is missing of it, and nothing outside.
    fn make_folder(&self, folder: &Path) -> Result<PathBuf, String> {
        let mut missing = Vec::new();
        let mut there = folder;
        let mut resolved = loop {
            match there.canonicalize() {
                Ok(resolved) => break resolved,
                Err(error) if error.kind() == io::ErrorKind::NotFound && there.symlink_metadata().is_err() => {
                    let (Some(name), Some(parent)) = (there.file_name(), there.parent()) else {
                        return Err("a folder that does not exist cannot be left by `..`".to_owned());
                    };
                    missing.push(name.to_owned());
                    there = parent;
                }
                Err(error) => return Err(sentence(&error)),
            }
        };
        self.check_inside(&resolved)?;
        for name in missing.into_iter().rev() {
            resolved.push(name);
            match fs::create_dir(&resolved) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(sentence(&error)),
                _ => {}
            }
        }
        Ok(resolved)
    }

    fn check_inside(&self, resolved: &Path) -> Result<(), String> {
        match resolved.starts_with(&self.root) {
            true => Ok(()),
            false => Err("the path leads outside of the workspace".to_owned()),
        }
    }
}

/// A script's path, less what no path inside a workspace has. `..` may stay: resolving decides where it leads.
fn relative(path: &str) -> Result<PathBuf, String> {
    let path = Path::new(path);
    if path.as_os_str().is_empty() {
        return Err("the path is empty".to_owned());
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err("the path holds a NUL byte".to_owned());
    }
    if path.components().any(|part| matches!(part, Component::RootDir | Component::Prefix(_))) {
        return Err("the path is absolute; write it relative to the workspace".to_owned());
    }
    Ok(path.to_owned())
}

/// Opens a regular file, and waits for nothing: a FIFO without a writer must not hang the run.
fn open_regular(path: &Path) -> Result<File, String> {
    let file =
        OpenOptions::new().read(true).custom_flags(not_waiting()).open(path).map_err(|error| sentence(&error))?;
    let meta = file.metadata().map_err(|error| sentence(&error))?;
    match (meta.is_file(), meta.is_dir()) {
        (true, _) => Ok(file),
        (_, true) => Err("it is a folder".to_owned()),
        _ => Err("it is not a regular file".to_owned()),
    }
}

fn not_waiting() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed()
}

/// The bytes of a relative path.
pub(super) fn path_bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}
