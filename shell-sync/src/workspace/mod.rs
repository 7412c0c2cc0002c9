//! The workspace: where it is, its pipeline and modules, and the files that scripts ask for.
//!
//! A workspace is a folder with `.quire/ci.lua` or `.quire/ci.fnl` in it. Whether that is a good pipeline is the core's to say.

mod fennel;
mod files;
mod glob;
mod name;
mod walk;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use quire_core::engine::{Compiler, Source};

pub use fennel::{Fennel, VARIABLE as FENNEL_VARIABLE, find_fennel};
pub use files::Files;

/// The pipelines' names, in the order in which they are looked for.
pub const PIPELINES: [&str; 2] = [".quire/ci.lua", ".quire/ci.fnl"];

/// Where modules come from.
pub const LIBRARY: &str = ".quire/lib";

/// Largest pipeline or module, in bytes.
const MAX_SOURCE_BYTES: u64 = 4 * 1024 * 1024;

/// A folder with a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The folder, absolute, symlinks resolved.
    pub root: PathBuf,
    /// One of [`PIPELINES`].
    pub pipeline: &'static str,
}

/// Why there is no workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The folder is missing or none.
    #[error("the workspace cannot be opened: {error}")]
    NoFolder {
        /// As it was named.
        folder: PathBuf,
        /// As the machine says it.
        error: io::Error,
    },
    /// No pipeline in the folder, or upwards of it.
    #[error("there is no pipeline: no .quire/ci.lua and no .quire/ci.fnl {}", if *.upwards { "here or in any folder above" } else { "in this folder" })]
    NoPipeline {
        /// Where the search began.
        folder: PathBuf,
        /// Whether folders above were searched.
        upwards: bool,
    },
    /// Two pipelines side by side.
    #[error("there are two pipelines, ci.lua and ci.fnl")]
    BothPipelines {
        /// The `.quire` folder that holds them.
        folder: PathBuf,
    },
    /// The pipeline was found above and belongs to someone else.
    #[error("the pipeline found above belongs to another user (uid {owner})")]
    Foreign {
        /// The folder that holds `.quire`.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// A pipeline or module that cannot be read.
    #[error("cannot be read: {what}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        what: String,
    },
}

impl WorkspaceError {
    /// The file or folder that it is about.
    pub fn place(&self) -> &Path {
        match self {
            WorkspaceError::NoFolder { folder, .. }
            | WorkspaceError::NoPipeline { folder, .. }
            | WorkspaceError::BothPipelines { folder }
            | WorkspaceError::Foreign { folder, .. } => folder,
            WorkspaceError::Unreadable { file, .. } => file,
        }
    }
}

impl Workspace {
    /// The folder itself; nothing above is searched.
    pub fn at(folder: &Path) -> Result<Workspace, WorkspaceError> {
        let root = resolve(folder)?;
        match pipeline_in(&root)? {
            Some(pipeline) => Ok(Workspace { root, pipeline }),
            None => Err(WorkspaceError::NoPipeline { folder: root, upwards: false }),
        }
    }

    /// The nearest folder with a pipeline, from `folder` upwards.
    ///
    /// A pipeline that is not in `folder` itself must belong to this user or to root: whoever may write to `/tmp` must not be
    /// able to have code run by everyone who works below it.
    pub fn find(folder: &Path) -> Result<Workspace, WorkspaceError> {
        let start = resolve(folder)?;
        for root in start.ancestors() {
            let Some(pipeline) = pipeline_in(root)? else { continue };
            if root != start
                && let Some(owner) = foreign_owner(&root.join(pipeline))
            {
                return Err(WorkspaceError::Foreign { folder: root.to_owned(), owner });
            }
            return Ok(Workspace { root: root.to_owned(), pipeline });
        }
        Err(WorkspaceError::NoPipeline { folder: start, upwards: true })
    }

    /// The folder's name: how a local run calls its repository. `/` is called `root`.
    pub fn name(&self) -> String {
        self.root.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The files that scripts may ask for.
    pub fn files(&self) -> Files {
        Files::new(self.root.clone())
    }

    /// Reads the pipeline and its modules, and the Fennel compiler where one of them is Fennel: every `*.lua` and `*.fnl` below [`LIBRARY`], hidden files and symlinked folders
    /// aside. A name that is not UTF-8 is left out, as no script can ask for it.
    pub fn source(&self) -> Result<Source, WorkspaceError> {
        let files = self.files();
        let read = |path: &str| {
            let unreadable = |what: String| WorkspaceError::Unreadable { file: self.root.join(path), what };
            files.read(path, MAX_SOURCE_BYTES).map_err(unreadable)
        };
        let text = read(self.pipeline)?;
        let mut modules = BTreeMap::new();
        if self.root.join(LIBRARY).is_dir() {
            let unreadable = |what: String| WorkspaceError::Unreadable { file: self.root.join(LIBRARY), what };
            let patterns = [format!("{LIBRARY}/**/*.lua"), format!("{LIBRARY}/**/*.fnl")];
            for path in files.walk(&patterns).map_err(unreadable)? {
                if let Ok(path) = String::from_utf8(path) {
                    let text = read(&path)?;
                    modules.insert(path, text);
                }
            }
        }
        let is_fennel = |file: &str| file.ends_with(".fnl");
        let fennel = match is_fennel(self.pipeline) || modules.keys().any(|file| is_fennel(file)) {
            true => self.fennel()?,
            false => Compiler::NotSought,
        };
        Ok(Source { file: self.pipeline.to_owned(), text, modules, fennel })
    }

    /// Looks for the Fennel compiler. That there is none is for the core to say, where it is needed.
    pub fn fennel(&self) -> Result<Compiler, WorkspaceError> {
        find_fennel(Some(&self.root)).read().map_err(|(file, what)| WorkspaceError::Unreadable { file, what })
    }
}

fn resolve(folder: &Path) -> Result<PathBuf, WorkspaceError> {
    let no_folder = |error| WorkspaceError::NoFolder { folder: folder.to_owned(), error };
    let root = folder.canonicalize().map_err(no_folder)?;
    if !root.is_dir() {
        return Err(no_folder(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    Ok(root)
}

/// Which pipeline `root` has. Anything but "there is none" counts as one: reading it then tells what is wrong with it.
fn pipeline_in(root: &Path) -> Result<Option<&'static str>, WorkspaceError> {
    let mut present = PIPELINES.into_iter().filter(|name| fs::symlink_metadata(root.join(name)).is_ok());
    match (present.next(), present.next()) {
        (Some(_), Some(_)) => Err(WorkspaceError::BothPipelines { folder: root.join(".quire") }),
        (found, _) => Ok(found),
    }
}

/// The owner of the file, where that is neither this user nor root.
fn foreign_owner(pipeline: &Path) -> Option<u32> {
    let owner = fs::symlink_metadata(pipeline).ok()?.uid();
    (owner != 0 && owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

/// Reads at most `limit` bytes of an open file; a longer one is an error for people.
///
/// # Errors
/// Why it cannot be read, in a sentence.
pub fn read_bounded(file: fs::File, limit: u64) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(|error| sentence(&error))?;
    if content.len() as u64 > limit {
        return Err(format!("the file has more than {limit} bytes"));
    }
    Ok(content)
}

/// An error of the machine as people say it, without "(os error 2)".
pub fn sentence(error: &io::Error) -> String {
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP) {
        return "its symlinks lead in a circle".to_owned();
    }
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::StorageFull => "no space is left".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.to_string(),
    }
}
