//! A data directory: one database and the run directories that it tells of.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use quire_core::ids::RunId;
use sha2::{Digest, Sha256};

use super::error::RecordError;
use super::run_dir::RunDir;
use super::run_files::{RunFiles, names};
use crate::store::{Store, StoreError};

/// The database's name in its data directory.
pub(super) const DATABASE: &str = "quire.db";

/// Longest slug of a workspace's name, and longest name of a run directory, in bytes.
const SLUG_BYTES: usize = 40;
const RUN_NAME_BYTES: usize = 200;

/// A data directory that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Opens the directory at `path`; makes it, for this user alone, if there is none.
    pub fn open(path: &Path) -> Result<DataDir, RecordError> {
        let runs = path.join("runs");
        // Most often it is there: one call tells.
        if !runs.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&runs);
            made.map_err(|source| RecordError::write(&runs, source))?;
        }
        Ok(DataDir { path: path.to_owned() })
    }

    /// Opens the data directory of the local runs of `workspace`, [`DataDir::default_path`], and notes there whose it is.
    pub fn of_workspace(workspace: &Path) -> Result<DataDir, RecordError> {
        let workspace = canonical(workspace)?;
        let home = state_home(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))?;
        let data = DataDir::open(&home.join("quire").join(directory_name(&workspace)))?;
        data.note_workspace(&workspace)?;
        Ok(data)
    }

    /// Where the local runs of `workspace` are recorded: `$XDG_STATE_HOME/quire/<slug>-<hash of the workspace's canonical
    /// path>`, with `~/.local/state` where that variable is unset or no absolute path.
    pub fn default_path(workspace: &Path) -> Result<PathBuf, RecordError> {
        let home = state_home(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))?;
        Ok(home.join("quire").join(directory_name(&canonical(workspace)?)))
    }

    /// Where a server's data is unless it is told: `$XDG_STATE_HOME/quire/server`, with `~/.local/state` as above.
    pub fn server_default_path() -> Result<PathBuf, RecordError> {
        Ok(state_home(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))?.join("quire/server"))
    }

    /// Where the server's socket is.
    pub fn socket(&self) -> PathBuf {
        DataDir::socket_in(&self.path)
    }

    /// Where the socket of the server of the data directory at `data` is.
    pub fn socket_in(data: &Path) -> PathBuf {
        data.join("quire.sock")
    }

    /// Writes the file `workspace`, for people who find the directory.
    fn note_workspace(&self, workspace: &Path) -> Result<(), RecordError> {
        let note = self.path.join("workspace");
        let mut text = workspace.as_os_str().as_bytes().to_vec();
        text.push(b'\n');
        // One that was cut short by a kill is written again.
        if fs::metadata(&note).is_ok_and(|meta| meta.len() == text.len() as u64) {
            return Ok(());
        }
        fs::write(&note, text).map_err(|source| RecordError::write(&note, source))
    }

    /// The workspace whose runs these are, where the directory says so.
    pub fn workspace(&self) -> Option<PathBuf> {
        let mut text = fs::read(self.path.join("workspace")).ok()?;
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(&text)))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run directories are.
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Opens the database.
    pub fn open_store(&self) -> Result<Store, StoreError> {
        Store::open(&self.database())
    }

    /// Whether a server has, or had, this directory: its runs are for it to remove.
    pub fn is_servers(&self) -> bool {
        fs::symlink_metadata(self.path.join("server.lock")).is_ok()
    }

    /// The files of a run, there or not.
    pub fn run(&self, run_id: &RunId) -> Result<RunFiles, RecordError> {
        if !names_a_run(run_id.as_str()) {
            return Err(RecordError::RunName(run_id.as_str().to_owned()));
        }
        Ok(RunFiles::at(self.runs().join(run_id.as_str())))
    }

    /// Makes the directory of a new run and takes its lock.
    pub fn create_run(&self, run_id: &RunId) -> Result<RunDir, RecordError> {
        RunDir::create(self.run(run_id)?.path())
    }

    /// The runs that have a directory, ordered by id.
    pub fn run_ids(&self) -> Result<Vec<RunId>, RecordError> {
        Ok(self.list()?.0)
    }

    /// The runs that have a directory, ordered by id, and the other names.
    pub(super) fn list(&self) -> Result<(Vec<RunId>, Vec<String>), RecordError> {
        let (mut runs, others): (Vec<String>, Vec<String>) =
            names(&self.runs())?.into_iter().partition(|name| names_a_run(name));
        runs.sort_unstable();
        Ok((runs.iter().map(|name| RunId::new(name)).collect(), others))
    }
}

fn canonical(workspace: &Path) -> Result<PathBuf, RecordError> {
    fs::canonicalize(workspace).map_err(|source| RecordError::Workspace { path: workspace.to_owned(), source })
}

/// The XDG base directory specification: relative paths are to be ignored.
fn state_home(xdg_state_home: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, RecordError> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    xdg_state_home
        .and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|home| home.join(".local/state")))
        .ok_or(RecordError::NoHome)
}

/// A readable part and one that tells workspaces of the same name apart.
fn directory_name(workspace: &Path) -> String {
    let name = workspace.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' };
    let slug: String = name.chars().take(SLUG_BYTES).map(kept).collect();
    let slug = slug.trim_matches(['-', '.']);
    let hash = Sha256::digest(workspace.as_os_str().as_bytes());
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}", if slug.is_empty() { "workspace" } else { slug })
}

/// Whether a run id may name a directory; dots begin names of quire's own.
fn names_a_run(name: &str) -> bool {
    !name.is_empty() && name.len() <= RUN_NAME_BYTES && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// Whether an error only says that something is not there.
pub(super) fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_state_home_is_absolute_or_none() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            state_home(xdg.map(OsString::from), home.map(OsString::from)).ok().map(|path| path.display().to_string())
        };
        assert_eq!(of(Some("/x"), Some("/h")).as_deref(), Some("/x"));
        assert_eq!(of(Some("x"), Some("/h")).as_deref(), Some("/h/.local/state"));
        assert_eq!(of(Some(""), Some("/h")).as_deref(), Some("/h/.local/state"));
        assert_eq!(of(None, Some("/h")).as_deref(), Some("/h/.local/state"));
        assert_eq!(of(None, Some("")), None);
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn workspaces_of_one_name_have_two_directories() {
        let a = directory_name(Path::new("/a/my project ä"));
        let b = directory_name(Path::new("/b/my project ä"));
        assert_ne!(a, b);
        assert!(a.starts_with("my-project-") && a.is_ascii(), "{a}");
        assert_eq!(a, directory_name(Path::new("/a/my project ä")));
        assert!(directory_name(Path::new("/")).starts_with("workspace-"));
        assert!(directory_name(Path::new("/..hidden")).starts_with("hidden-"));
    }

    #[test]
    fn a_data_directory_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("a/b")).unwrap();
        let mode = fs::metadata(data.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(data.workspace(), None);
        data.note_workspace(dir.path()).unwrap();
        assert_eq!(data.workspace().as_deref(), Some(dir.path()));
        for cut in ["", "/"] {
            fs::write(data.path().join("workspace"), cut).unwrap();
            data.note_workspace(dir.path()).unwrap();
            assert_eq!(data.workspace().as_deref(), Some(dir.path()), "cut short by a kill to {cut:?}");
        }
        for bad in ["", "..", ".new-x", "a/b"] {
            assert!(matches!(data.run(&RunId::new(bad)), Err(RecordError::RunName(_))), "{bad:?}");
        }
    }
}
