//! Finding the Fennel compiler: the file `fennel.lua` of the reference implementation.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use quire_core::engine::{Compiler, FennelCompiler};

/// Folders in which package managers of a system keep Lua modules; below each a folder a Lua version. Debian and most others, a
/// plain `make install` or luarocks, Homebrew.
const SYSTEM_TREES: [&str; 2] = ["/usr/share/lua", "/usr/local/share/lua"];
const HOMEBREW_TREES: [&str; 2] = ["/opt/homebrew/share/lua", "/home/linuxbrew/.linuxbrew/share/lua"];

/// The compiler is one file for all of them; the version that quire has is looked at first.
const LUA_VERSIONS: [&str; 5] = ["5.4", "5.5", "5.3", "5.2", "5.1"];

/// Largest compiler, in bytes. That of 1.5.3 has 289,000.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Names a compiler and so ends the search.
pub const VARIABLE: &str = "QUIRE_FENNEL";

/// Where the Fennel compiler is, and where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fennel {
    /// The file, if there is one.
    pub found: Option<PathBuf>,
    /// All places that were tried, in order; the last is the found one.
    pub searched: Vec<PathBuf>,
}

impl Fennel {
    /// The compiler's text, for the core.
    ///
    /// # Errors
    /// It was found and cannot be read: which file, and why.
    pub fn read(&self) -> Result<Compiler, (PathBuf, String)> {
        let Some(path) = &self.found else { return Ok(Compiler::NotFound(self.places())) };
        let file = fs::File::open(path).map_err(|error| (path.clone(), super::sentence(&error)))?;
        let text = super::read_bounded(file, MAX_BYTES).map_err(|why| (path.clone(), why))?;
        Ok(Compiler::Found(FennelCompiler { path: path.display().to_string(), text: text.into() }))
    }

    /// The places that were tried, for people: those of one tree as one, `/usr/share/lua/{5.4,5.3}/fennel.lua`.
    pub fn places(&self) -> String {
        let tree = |path: &Path| -> Option<(PathBuf, String)> {
            let folder = path.parent()?;
            let version = folder.file_name()?.to_str().filter(|name| LUA_VERSIONS.contains(name))?;
            Some((folder.parent()?.to_owned(), version.to_owned()))
        };
        let mut places: Vec<String> = Vec::new();
        let mut open: Option<(PathBuf, Vec<String>)> = None;
        let close = |open: Option<(PathBuf, Vec<String>)>, places: &mut Vec<String>| {
            if let Some((tree, versions)) = open {
                places.push(format!("{}/{{{}}}/fennel.lua", tree.display(), versions.join(",")));
            }
        };
        for path in &self.searched {
            match (tree(path), &mut open) {
                (Some((tree, version)), Some((last, versions))) if *last == tree => versions.push(version),
                (Some((tree, version)), _) => close(open.replace((tree, vec![version])), &mut places),
                (None, _) => {
                    close(open.take(), &mut places);
                    places.push(path.display().to_string());
                }
            }
        }
        close(open, &mut places);
        places.join(", ")
    }
}

/// Looks for the compiler: `$QUIRE_FENNEL` and nowhere else if it is set; else `.quire/fennel.lua` of the workspace, the trees of
/// the system, luarocks' tree of this user, and Homebrew's.
pub fn find_fennel(workspace: Option<&Path>) -> Fennel {
    let home = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    search(candidates(env::var_os(VARIABLE), workspace, home.as_deref()))
}

fn candidates(named: Option<OsString>, workspace: Option<&Path>, home: Option<&Path>) -> Vec<PathBuf> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return vec![named.into()];
    }
    let mut candidates: Vec<PathBuf> = workspace.map(|root| root.join(".quire/fennel.lua")).into_iter().collect();
    let luarocks = home.map(|home| home.join(".luarocks/share/lua"));
    for tree in SYSTEM_TREES.map(PathBuf::from).into_iter().chain(luarocks).chain(HOMEBREW_TREES.map(PathBuf::from)) {
        candidates.extend(LUA_VERSIONS.map(|version| tree.join(version).join("fennel.lua")));
    }
    candidates
}

fn search(candidates: Vec<PathBuf>) -> Fennel {
    let mut searched = Vec::new();
    for candidate in candidates {
        searched.push(candidate.clone());
        if candidate.is_file() {
            return Fennel { found: Some(candidate), searched };
        }
    }
    Fennel { found: None, searched }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_compiler_is_the_only_one() {
        let root = Path::new("/w");
        assert_eq!(candidates(Some("/f.lua".into()), Some(root), None), [PathBuf::from("/f.lua")]);
        let all = candidates(Some(OsString::new()), Some(root), Some(Path::new("/home/a")));
        assert_eq!(all.first(), Some(&PathBuf::from("/w/.quire/fennel.lua")));
        let newest: Vec<&str> =
            all.iter().filter_map(|path| path.to_str()).filter(|path| path.contains("5.4")).collect();
        assert_eq!(
            newest,
            [
                "/usr/share/lua/5.4/fennel.lua",
                "/usr/local/share/lua/5.4/fennel.lua",
                "/home/a/.luarocks/share/lua/5.4/fennel.lua",
                "/opt/homebrew/share/lua/5.4/fennel.lua",
                "/home/linuxbrew/.linuxbrew/share/lua/5.4/fennel.lua"
            ]
        );
    }

    #[test]
    fn places_are_told_shortly() {
        let searched = ["/w/.quire/fennel.lua", "/a/5.4/fennel.lua", "/a/5.3/fennel.lua", "/b/5.4/fennel.lua"];
        let fennel = Fennel { found: None, searched: searched.map(PathBuf::from).to_vec() };
        assert_eq!(fennel.places(), "/w/.quire/fennel.lua, /a/{5.4,5.3}/fennel.lua, /b/{5.4}/fennel.lua");
    }

    #[test]
    fn the_first_that_is_there_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let [gone, here, later] = ["a", "b", "c"].map(|name| folder.path().join(name));
        std::fs::write(&here, "").unwrap();
        std::fs::write(&later, "").unwrap();
        let fennel = search(vec![gone.clone(), here.clone(), later]);
        assert_eq!(fennel, Fennel { found: Some(here.clone()), searched: vec![gone.clone(), here] });
        assert_eq!(search(vec![gone.clone()]), Fennel { found: None, searched: vec![gone] });
    }
}
