//! The list of repositories: the folder `<data>/repos`, and nothing else.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use quire_ci::git::{init_bare, is_bare_repository, remove_tree};

use super::error::RepoError;
use super::hook::{self, Caller, Hook};
use super::name::RepoName;

/// The repositories of a data directory. What it does blocks on the disk.
#[derive(Debug, Clone)]
pub struct Repos {
    data: PathBuf,
    folder: PathBuf,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// Its name.
    pub name: RepoName,
    /// The bare repository: where it is really.
    pub git_dir: PathBuf,
    /// It was made elsewhere and taken in.
    pub added: bool,
    /// It is there: what was taken in may have moved since.
    pub present: bool,
}

/// What [`Repos::remove`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// What it was.
    pub repo: Repo,
    /// Why its hook is still there, if it is.
    pub hook_left: Option<RepoError>,
}

impl Repos {
    /// Those of the data directory at `data`, which is absolute.
    pub fn of(data: &Path) -> Repos {
        Repos { data: data.to_owned(), folder: data.join("repos") }
    }

    /// A repository by its name.
    pub fn find(&self, name: &RepoName) -> Result<Repo, RepoError> {
        let unknown = || RepoError::Unknown { name: name.clone(), known: self.names() };
        self.check_group(name)?;
        self.at(name).filter(|repo| repo.present).ok_or_else(unknown)
    }

    /// All of them, by name.
    pub fn list(&self) -> Result<Vec<Repo>, RepoError> {
        let mut repos = Vec::new();
        for name in self.entries(&self.folder)? {
            if name.ends_with(".git") {
                repos.extend(RepoName::parse(&name).ok().and_then(|name| self.at(&name)));
                continue;
            }
            let group = self.folder.join(&name);
            if fs::symlink_metadata(&group).is_ok_and(|meta| meta.is_dir()) {
                let names = self.entries(&group)?.into_iter().map(|last| format!("{name}/{last}"));
                repos.extend(names.filter_map(|name| self.at(&RepoName::parse(&name).ok()?)));
            }
        }
        repos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(repos)
    }

    /// Makes an empty repository and installs its hook. Where the data directory has a group, that may push to it.
    pub fn create(&self, name: &RepoName, caller: &Caller) -> Result<(Repo, Hook), RepoError> {
        let path = self.vacant(name)?;
        let shared = self.is_shared();
        let made = self.create_at(&path, name, shared, caller);
        if made.is_err() {
            let _ = remove_tree(&path);
        }
        let hook = made?;
        let git_dir = path.canonicalize().map_err(RepoError::io("read", &path))?;
        Ok((Repo { name: name.clone(), git_dir, added: false, present: true }, hook))
    }

    fn create_at(&self, path: &Path, name: &RepoName, shared: bool, caller: &Caller) -> Result<Hook, RepoError> {
        init_bare(path, shared)?;
        // The group pushes, but does not say what the others run.
        let hooks = path.join("hooks");
        DirBuilder::new().recursive(true).create(&hooks).map_err(RepoError::io("make", &hooks))?;
        fs::set_permissions(&hooks, fs::Permissions::from_mode(0o755)).map_err(RepoError::io("change", &hooks))?;
        let hook = hook::install(path, name, caller)?;
        self.give_to_owner(path)?;
        Ok(hook)
    }

    /// Takes an existing bare repository in, under `name` or its folder's. Doing it again installs the hook again.
    pub fn add(&self, path: &Path, name: Option<RepoName>, caller: &Caller) -> Result<(Repo, Hook), RepoError> {
        let git_dir = path.canonicalize().map_err(RepoError::io("read", path))?;
        if !is_bare_repository(&git_dir) {
            return Err(RepoError::NotBare { work_tree: git_dir.join(".git").exists(), path: git_dir });
        }
        let known = self.list()?.into_iter().find(|repo| repo.git_dir == git_dir);
        if let Some(repo) = known.filter(|repo| name.as_ref().is_none_or(|name| *name == repo.name)) {
            let hook = hook::install(&git_dir, &repo.name, caller)?;
            return Ok((repo, hook));
        }
        let name = match name {
            Some(name) => name,
            None => RepoName::of_folder(&git_dir).map_err(|why| {
                let text = git_dir.file_name().map(|name| name.to_string_lossy().into_owned());
                RepoError::Name { text: text.unwrap_or_default(), why }
            })?,
        };
        let link = self.vacant(&name)?;
        // The list first: a hook without it would tell of a repository that nobody knows.
        symlink(&git_dir, &link).map_err(RepoError::io("make", &link))?;
        match hook::install(&git_dir, &name, caller) {
            Ok(hook) => Ok((Repo { name, git_dir, added: true, present: true }, hook)),
            Err(error) => {
                let _ = fs::remove_file(&link);
                Err(error)
            }
        }
    }

    /// Takes a repository off the list. One made here is deleted, but only with `delete`.
    pub fn remove(&self, name: &RepoName, delete: bool) -> Result<Removed, RepoError> {
        self.check_group(name)?;
        let unknown = || RepoError::Unknown { name: name.clone(), known: self.names() };
        let repo = self.at(name).ok_or_else(unknown)?;
        let path = self.folder.join(name.as_str());
        let mut hook_left = None;
        if repo.added {
            if repo.present {
                hook_left = hook::uninstall(&repo.git_dir, name, &self.data).err();
            }
            fs::remove_file(&path).map_err(RepoError::io("remove", &path))?;
        } else {
            if !delete {
                return Err(RepoError::WouldDelete { name: name.clone() });
            }
            remove_tree(&path).map_err(RepoError::io("remove", &path))?;
        }
        if let Some(group) = name.group() {
            // It stays where others are in it.
            let _ = fs::remove_dir(self.folder.join(group));
        }
        Ok(Removed { repo, hook_left })
    }

    /// What is installed in a repository.
    pub fn hook(&self, repo: &Repo) -> Hook {
        hook::state(&repo.git_dir, &repo.name, &self.data)
    }

    /// The repository whose git directory this is.
    pub fn of_git_dir(&self, git_dir: &Path) -> Option<Repo> {
        let git_dir = git_dir.canonicalize().ok()?;
        self.list().ok()?.into_iter().find(|repo| repo.git_dir == git_dir)
    }

    fn at(&self, name: &RepoName) -> Option<Repo> {
        let path = self.folder.join(name.as_str());
        let added = fs::symlink_metadata(&path).ok()?.is_symlink();
        let git_dir = match path.canonicalize() {
            Ok(git_dir) => git_dir,
            // It leads nowhere: as it was written.
            Err(_) => fs::read_link(&path).ok()?,
        };
        let present = is_bare_repository(&git_dir);
        (added || present).then(|| Repo { name: name.clone(), git_dir, added, present })
    }

    /// Where a new one of this name goes; its group is made.
    fn vacant(&self, name: &RepoName) -> Result<PathBuf, RepoError> {
        if !self.folder.is_dir() {
            let make = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
            make.map_err(RepoError::io("make", &self.folder))?;
            self.give_to_owner(&self.folder)?;
        }
        self.check_group(name)?;
        if let Some(group) = name.group().map(|group| self.folder.join(group))
            && !group.is_dir()
        {
            fs::create_dir(&group).map_err(RepoError::io("make", &group))?;
            let mode = if self.is_shared() { 0o2770 } else { 0o700 };
            fs::set_permissions(&group, fs::Permissions::from_mode(mode)).map_err(RepoError::io("change", &group))?;
            self.give_to_owner(&group)?;
        }
        let path = self.folder.join(name.as_str());
        match fs::symlink_metadata(&path) {
            Ok(_) => Err(RepoError::Exists { name: name.clone() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
            Err(error) => Err(RepoError::io("read", &path)(error)),
        }
    }

    /// A group is a folder of the data directory's own: through a symlink a name would lead anywhere.
    fn check_group(&self, name: &RepoName) -> Result<(), RepoError> {
        let Some(group) = name.group() else { return Ok(()) };
        let path = self.folder.join(group);
        match fs::symlink_metadata(&path) {
            Ok(meta) if !meta.is_dir() => Err(RepoError::Outside { path }),
            _ => Ok(()),
        }
    }

    /// Whether a group may push: [`super::prepare_data_dir`] says so by the folder's mode.
    fn is_shared(&self) -> bool {
        fs::metadata(&self.folder).is_ok_and(|meta| meta.mode() & 0o2070 == 0o2070)
    }

    /// What root makes belongs to who owns the data directory: the server.
    fn give_to_owner(&self, path: &Path) -> Result<(), RepoError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let owner = fs::metadata(&self.data).map_err(RepoError::io("read", &self.data))?;
        if owner.uid() == 0 {
            return Ok(());
        }
        let shared = self.is_shared();
        let gid = (!shared).then_some(owner.gid());
        let mut waiting = vec![path.to_owned()];
        while let Some(path) = waiting.pop() {
            std::os::unix::fs::lchown(&path, Some(owner.uid()), gid).map_err(RepoError::io("change", &path))?;
            if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                let entries = fs::read_dir(&path).map_err(RepoError::io("read", &path))?;
                waiting.extend(entries.flatten().map(|entry| entry.path()));
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<RepoName> {
        let repos = self.list().unwrap_or_default();
        repos.into_iter().filter(|repo| repo.present).map(|repo| repo.name).collect()
    }

    /// The names in a folder, as text; of one that is not there none.
    fn entries(&self, folder: &Path) -> Result<Vec<String>, RepoError> {
        match fs::read_dir(folder) {
            Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(RepoError::io("read", folder)(error)),
        }
    }
}
