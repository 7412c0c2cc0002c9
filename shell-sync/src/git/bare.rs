//! Facts from bare repositories and fresh checkouts of them: what a server asks of git.
//!
//! The repository may belong to another user: git is told where it is (`GIT_DIR`), looks for none, and then does not ask whose
//! it is. Its configuration is its owner's and is not taken over into checkouts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::SystemTime;

use memchr::memmem;
use quire_core::queue::Tip;

use super::checkout::{Checkout, quote, remove_tree, resolve, submodule_notes, told};
use super::head::{Head, object_id, symbolic};
use super::{GitError, git, line, output};

/// Deepest folder below `refs` that is looked into.
const REFS_DEPTH: usize = 32;

/// A revision that a repository knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Full commit id.
    pub sha: String,
    /// Full name of the branch or tag that was named, if one was.
    pub ref_name: Option<String>,
}

/// Checks out commit `sha` of the bare repository at `git_dir` into `into`, which must not exist or be an empty folder. `ref_name`
/// is what the run is of, for [`Checkout::head`]; HEAD is detached. Where it fails, nothing of `into` stays.
///
/// The checkout borrows the repository's objects and has a copy of its refs. One process: `git read-tree`.
pub fn checkout_bare(git_dir: &Path, sha: &str, ref_name: Option<&str>, into: &Path) -> Result<Checkout, GitError> {
    let sha = object_id(sha.as_bytes()).ok_or_else(|| GitError::UnknownRevision(sha.to_owned()))?;
    let git_dir = git_dir.canonicalize().map_err(|error| told(git_dir, &error))?;
    DirBuilder::new().recursive(true).mode(0o700).create(into).map_err(|error| told(into, &error))?;
    let into = into.canonicalize().map_err(|error| told(into, &error))?;
    let filled = make_git_dir(&git_dir, &into, &sha).and_then(|()| {
        let mut command = git(&into);
        command.env("GIT_DIR", into.join(".git")).env("GIT_WORK_TREE", &into);
        command.args(["read-tree", "-m", "-u", &sha]);
        output(&mut command, "read-tree")
    });
    if let Err(error) = filled {
        // What went wrong first is what matters.
        let _ = remove_tree(&into);
        return Err(error);
    }
    let notes = submodule_notes(&into);
    let head = Head { sha: Some(sha), ref_name: ref_name.map(str::to_owned) };
    Ok(Checkout { workspace: into.clone(), top: into, head, notes })
}

/// Moves a checkout that nothing has touched since [`checkout_bare`] made it to commit `sha`: only files that differ are written.
/// `None` where that might not be the same as a fresh one, which is then to be made: attributes decide how files are written, and
/// those of files that did not change may have.
///
/// One process, none where the checkout is of that commit already. Where it fails, what is left is no checkout of anything.
pub fn move_checkout(
    git_dir: &Path,
    sha: &str,
    ref_name: Option<&str>,
    top: &Path,
) -> Result<Option<Checkout>, GitError> {
    let sha = object_id(sha.as_bytes()).ok_or_else(|| GitError::UnknownRevision(sha.to_owned()))?;
    let git_dir = git_dir.canonicalize().map_err(|error| told(git_dir, &error))?;
    let top = top.canonicalize().map_err(|error| told(top, &error))?;
    let has_attributes = || {
        let index = top.join(".git/index");
        let index = fs::read(&index).map_err(|error| told(&index, &error))?;
        Ok(memmem::find(&index, b".gitattributes").is_some() || git_dir.join("info/attributes").exists())
    };
    if has_attributes()? {
        return Ok(None);
    }
    let stands_at = fs::read(top.join(".git/HEAD")).ok().and_then(|head| object_id(&head));
    make_git_dir(&git_dir, &top, &sha)?;
    if stands_at.as_ref() != Some(&sha) {
        // git compares the content of files that changed in the same second as the index, or after it. Nothing has changed them
        // since: they are as old as they look.
        let index = top.join(".git/index");
        let touched = File::options().append(true).open(&index).and_then(|file| file.set_modified(SystemTime::now()));
        touched.map_err(|error| told(&index, &error))?;
        let mut command = git(&top);
        command.env("GIT_DIR", top.join(".git")).env("GIT_WORK_TREE", &top);
        command.args(["read-tree", "-m", "-u", &sha]);
        output(&mut command, "read-tree")?;
        if has_attributes()? {
            return Ok(None);
        }
    }
    let notes = submodule_notes(&top);
    let head = Head { sha: Some(sha), ref_name: ref_name.map(str::to_owned) };
    Ok(Some(Checkout { workspace: top.clone(), top, head, notes }))
}

/// What each pushed ref names now, in their order: `(full ref name, object id after the push)`. One process for all of them.
pub fn tips<R: AsRef<str>, A: AsRef<str>>(git_dir: &Path, refs: &[(R, A)]) -> Result<Vec<Tip>, GitError> {
    tips_by(refs, |questions| batch_check(git_dir, questions))
}

pub(super) fn tips_by<R: AsRef<str>, A: AsRef<str>>(
    refs: &[(R, A)],
    ask: impl FnOnce(String) -> Result<String, GitError>,
) -> Result<Vec<Tip>, GitError> {
    // Many refs may name one object; it is asked for once.
    let mut asked: BTreeMap<String, Tip> = refs
        .iter()
        .filter_map(|(_, after)| object_id(after.as_ref().as_bytes()))
        .filter(|id| !is_zero(id))
        .map(|id| (id, Tip::NoCommit))
        .collect();
    if !asked.is_empty() {
        let mut questions = String::new();
        for id in asked.keys() {
            questions += &format!("{id}^{{commit}}\n{id}^{{commit}}:.quire/ci.lua\n{id}^{{commit}}:.quire/ci.fnl\n");
        }
        let answers = ask(questions)?;
        let mut answers = answers.lines();
        for tip in asked.values_mut() {
            let commit = answers.next().unwrap_or_default();
            let has_pipeline = [answers.next(), answers.next()].iter().flatten().any(|line| line.ends_with(" blob"));
            if let Some(sha) = commit.strip_suffix(" commit").and_then(|sha| object_id(sha.as_bytes())) {
                *tip = if has_pipeline { Tip::Pipeline { sha } } else { Tip::NoPipeline { sha } };
            }
        }
    }
    let tip = |after: &str| match object_id(after.as_bytes()) {
        Some(id) if is_zero(&id) => Tip::Deleted,
        Some(id) => asked.get(&id).cloned().unwrap_or(Tip::NoCommit),
        None => Tip::NoCommit,
    };
    Ok(refs.iter().map(|(_, after)| tip(after.as_ref())).collect())
}

/// The full name of the branch that HEAD names, whether it has a commit yet or not.
pub fn default_branch(git_dir: &Path) -> Option<String> {
    let head = git_dir.join("HEAD");
    let is_link = fs::symlink_metadata(&head).ok()?.is_symlink();
    let named =
        fs::read(&head).ok().and_then(|text| symbolic(&text).map(|name| String::from_utf8_lossy(name).into_owned()));
    match named {
        // With reftable HEAD is a file that only looks like one.
        Some(name) if !is_link && name.starts_with("refs/") && !name.ends_with("/.invalid") => Some(name),
        None if !is_link => None,
        _ => {
            let mut command = bare(git_dir);
            command.args(["symbolic-ref", "--quiet", "HEAD"]);
            output(&mut command, "symbolic-ref").ok().map(|name| line(&name)).filter(|name| !name.is_empty())
        }
    }
}

/// The commit that `rev` names: a branch, a tag, a full ref name, or any revision.
pub fn resolve_bare(git_dir: &Path, rev: &str) -> Result<Revision, GitError> {
    let head = resolve(|| bare(git_dir), rev)?;
    match head.sha {
        Some(sha) => Ok(Revision { sha, ref_name: head.ref_name }),
        None => Err(GitError::UnknownRevision(rev.to_owned())),
    }
}

/// Whether a folder is a repository without a work tree around it: what git itself looks for.
pub fn is_bare_repository(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join("HEAD")).is_ok() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// Makes an empty bare repository whose first branch is `main`. `shared`: the group of the folder may push to it.
pub fn init_bare(git_dir: &Path, shared: bool) -> Result<(), GitError> {
    DirBuilder::new().recursive(true).mode(0o700).create(git_dir).map_err(|error| told(git_dir, &error))?;
    let mut command = git(git_dir);
    command.args(["init", "--quiet", "--bare", "--initial-branch=main", "--template="]);
    if shared {
        // The group, and nobody else, whatever the umask.
        command.arg("--shared=0660");
    }
    output(command.arg("."), "init")?;
    if shared {
        // A shared repository refuses to rewind branches, one that is not does not; what is pushed is for its people to say.
        output(bare(git_dir).args(["config", "receive.denyNonFastForwards", "false"]), "config")?;
    }
    Ok(())
}

/// The folder that git runs this repository's hooks from: `hooks` in it, unless `core.hooksPath` says otherwise.
pub fn hooks_folder(git_dir: &Path) -> Result<PathBuf, GitError> {
    let mut command = bare(git_dir);
    command.args(["config", "--null", "--show-scope", "--get-all", "--type=path", "core.hooksPath"]);
    // There is always one answer: ours.
    let text = output(&mut command, "config")?;
    let mut fields = text.split(|byte| *byte == 0);
    let mut folder = git_dir.join("hooks");
    while let (Some(scope), Some(value)) = (fields.next(), fields.next()) {
        // `command` is what we say ourselves, so that no hooks run.
        if scope != b"command" {
            folder = git_dir.join(OsString::from_vec(value.to_vec()));
        }
    }
    Ok(folder)
}

/// A git that works on this very repository.
pub(super) fn bare(git_dir: &Path) -> Command {
    let mut command = git(git_dir);
    // Not found upwards but told: then git does not ask whose it is. Objects that a partial clone lacks are not fetched.
    command.env("GIT_DIR", ".").env("GIT_NO_LAZY_FETCH", "1");
    command
}

/// Asks `cat-file --batch-check` for every line of `questions`; an answer is `<id> <type>`, or ends in ` missing`.
pub(super) fn batch_check(git_dir: &Path, questions: String) -> Result<String, GitError> {
    let mut command = bare(git_dir);
    command.args(["cat-file", "--buffer", "--batch-check=%(objectname) %(objecttype)"]);
    let answers = fed(command, git_dir, "cat-file", questions)?;
    Ok(String::from_utf8_lossy(&answers).into_owned())
}

/// Runs a git of [`bare`] to its end with `input`, and returns what it printed; `what` names it in errors.
pub(super) fn fed(mut command: Command, git_dir: &Path, what: &str, input: String) -> Result<Vec<u8>, GitError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        // The folder that is not there gives the same error as a git that is not.
        io::ErrorKind::NotFound if !git_dir.is_dir() => told(git_dir, &error),
        io::ErrorKind::NotFound => GitError::NoGit("there is no git in PATH".to_owned()),
        _ => GitError::NoGit(error.to_string()),
    })?;
    let stdin = child.stdin.take();
    // Input and output may both be longer than a pipe holds.
    let output = thread::scope(|scope| {
        let writing = scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output();
        // A git that ended early says why itself.
        let _ = writing.join();
        output
    });
    let output = output.map_err(|error| GitError::NoGit(error.to_string()))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(GitError::Failed { what: what.to_owned(), said })
        }
    }
}

/// Makes `into/.git`: HEAD detached at the commit, objects borrowed, refs copied.
fn make_git_dir(git_dir: &Path, into: &Path, sha: &str) -> Result<(), GitError> {
    let new = into.join(".git");
    for name in ["objects/info", "refs", "info"] {
        let path = new.join(name);
        fs::create_dir_all(&path).map_err(|error| told(&path, &error))?;
    }
    let write = |name: &str, content: &[u8]| {
        let path = new.join(name);
        fs::write(&path, content).map_err(|error| told(&path, &error))
    };
    write("objects/info/alternates", &[&quote(&git_dir.join("objects")), &b"\n"[..]].concat())?;
    write("HEAD", format!("{sha}\n").as_bytes())?;
    // The length of an id tells the hash.
    let config = match sha.len() {
        64 => "[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectformat = sha256\n",
        _ => "[core]\n\trepositoryformatversion = 0\n\tbare = false\n",
    };
    write("config", config.as_bytes())?;
    write("packed-refs", &packed_refs(git_dir)?)?;
    for name in ["shallow", "info/attributes"] {
        if let Ok(content) = fs::read(git_dir.join(name)) {
            write(name, &content)?;
        }
    }
    Ok(())
}

/// All refs of a repository as a packed-refs file.
fn packed_refs(git_dir: &Path) -> Result<Vec<u8>, GitError> {
    if git_dir.join("reftable").exists() {
        let mut command = bare(git_dir);
        command.args(["for-each-ref", "--format=%(objectname) %(refname)"]);
        return output(&mut command, "for-each-ref");
    }
    // Loose ones first: git writes packed-refs before it removes what it packed, so none is missed between the two.
    let mut loose = BTreeMap::new();
    collect_loose(&git_dir.join("refs"), b"refs", REFS_DEPTH, &mut loose);
    let packed = match fs::read(git_dir.join("packed-refs")) {
        Ok(packed) => packed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(told(&git_dir.join("packed-refs"), &error)),
    };
    Ok(merged(loose, packed))
}

/// Loose refs over packed ones, in the order that the header promises. Symbolic ones become what they name.
fn merged(loose: BTreeMap<Vec<u8>, Vec<u8>>, packed: Vec<u8>) -> Vec<u8> {
    if loose.is_empty() {
        return packed;
    }
    let mut refs: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for line in packed.split(|byte| *byte == b'\n') {
        // A header, or what an annotated tag peels to.
        if line.starts_with(b"#") || line.starts_with(b"^") {
            continue;
        }
        if let Some(at) = memchr::memchr(b' ', line)
            && let (id, Some(name)) = (line.get(..at).unwrap_or_default(), line.get(at + 1..))
        {
            refs.insert(name, id);
        }
    }
    let (symbolic_refs, direct): (Vec<_>, Vec<_>) = loose.iter().partition(|(_, text)| symbolic(text).is_some());
    for (name, text) in direct {
        if object_id(text).is_some() {
            refs.insert(name, text.trim_ascii());
        }
    }
    for (name, text) in symbolic_refs {
        match symbolic(text).and_then(|target| refs.get(target)).copied() {
            Some(id) => refs.insert(name, id),
            None => refs.remove(name.as_slice()),
        };
    }
    let mut text = b"# pack-refs with: sorted \n".to_vec();
    for (name, id) in refs {
        text.extend_from_slice(id);
        text.push(b' ');
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    text
}

/// The loose refs below a folder. One that vanishes meanwhile was packed or deleted; what cannot be read is left out, as the
/// run does not depend on other refs.
fn collect_loose(folder: &Path, name: &[u8], depth: usize, refs: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file_name: OsString = entry.file_name();
        let path: PathBuf = entry.path();
        if file_name.as_bytes().ends_with(b".lock") {
            continue;
        }
        let name = [name, b"/", &file_name.into_vec()].concat();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => collect_loose(&path, &name, depth - 1, refs),
            Ok(kind) if kind.is_file() => {
                if let Ok(text) = fs::read(&path) {
                    refs.insert(name, text);
                }
            }
            _ => {}
        }
    }
}

/// The id that stands for no object.
fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn loose_refs_win_over_packed_ones() {
        let packed = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{A} refs/heads/a\n{A} refs/heads/main\n{A} refs/tags/v1\n^{B}\n"
        );
        let loose = |refs: &[(&str, &str)]| {
            refs.iter().map(|(name, text)| (name.as_bytes().to_vec(), text.as_bytes().to_vec())).collect()
        };
        assert_eq!(merged(loose(&[]), packed.clone().into_bytes()), packed.as_bytes());
        let refs = loose(&[
            ("refs/heads/main", &format!("{B}\n")),
            ("refs/heads/torn", "bb"),
            ("refs/remotes/o/HEAD", "ref: refs/heads/main\n"),
            ("refs/remotes/o/gone", "ref: refs/heads/none\n"),
        ]);
        let want = format!(
            "# pack-refs with: sorted \n{A} refs/heads/a\n{B} refs/heads/main\n{B} refs/remotes/o/HEAD\n{A} refs/tags/v1\n"
        );
        assert_eq!(String::from_utf8(merged(refs, packed.into_bytes())).unwrap(), want);
    }
}
