//! What commits say of themselves, many at once, and what came between two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::bare::{bare, batch_check, fed};
use super::head::object_id;
use super::{GitError, output};

/// Most files that [`changes`] tells of.
const FILES: usize = 500;

/// Fewest characters of an id's prefix, as git has it.
const PREFIX: usize = 4;

/// A commit by line: its id, the committer's time in seconds, its author's name, the first line of its message. None of them
/// holds a newline; the message comes last, as it may hold anything else.
const FORMAT: &str = "--format=%H%x00%ct%x00%an%x00%s";

/// What people know a commit by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The first line of its message.
    pub subject: String,
    /// Its author's name.
    pub author: String,
    /// When it was committed, Unix milliseconds by its committer's clock.
    pub at_ms: i64,
}

/// What came between two commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Full id of the older one.
    pub from: String,
    /// Full id of the newer one.
    pub to: String,
    /// Commits that `to` has and `from` has not, newest first.
    pub commits: Vec<Commit>,
    /// There are more of them.
    pub more: bool,
    /// Files that differ between the two, by path; at most 500.
    pub files: Vec<FileChange>,
    /// There are more of them.
    pub files_more: bool,
    /// `to` has all that `from` has. If not, the ref was rewound, and the files tell also of what went.
    pub is_ancestor: bool,
}

/// A commit between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Full id.
    pub sha: String,
    /// What people know it by.
    pub subject: Subject,
}

/// A file that differs. One that moved is two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// From the repository's top; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Lines that only the newer has; `None` for a binary file.
    pub added: Option<u64>,
    /// Lines that only the older has; `None` for a binary file.
    pub removed: Option<u64>,
}

/// Subject, author and time of many commits, by full id in lower case. What is no object id, or no commit of this repository,
/// is absent. One process for all of them, none for none.
pub fn subjects(git_dir: &Path, shas: &[String]) -> Result<BTreeMap<String, Subject>, GitError> {
    let wanted: BTreeSet<String> = shas.iter().filter_map(|sha| object_id(sha.as_bytes())).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let questions: String = wanted.iter().map(|sha| format!("{sha}\n")).collect();
    let mut command = bare(git_dir);
    command.args(["log", "--no-walk=unsorted", "--ignore-missing", "--stdin"]);
    command.args(["--no-show-signature", "--encoding=UTF-8", FORMAT]);
    let told = commits(&fed(command, git_dir, "log", questions)?);
    // Where it knows none of them, git tells of HEAD.
    let told = told.into_iter().filter(|commit| wanted.contains(&commit.sha));
    Ok(told.map(|commit| (commit.sha, commit.subject)).collect())
}

/// What came between two commits, each by its id or a prefix of four or more characters that no other commit, and no ref, has;
/// at most `limit` commits.
///
/// Commits are those that `to` has more; files are compared between the two ends, whatever lies between: a run sees a tree, not
/// how it came to be.
pub fn changes(git_dir: &Path, from: &str, to: &str, limit: u32) -> Result<Changes, GitError> {
    let (from, to) = ends(git_dir, from, to)?;
    let mut log = bare(git_dir);
    log.args(["log", "--no-show-signature", "--encoding=UTF-8", FORMAT]);
    log.arg(format!("--max-count={}", u64::from(limit) + 1)).args([&to, "--not", &from, "--"]);
    let mut commits = commits(&output(&mut log, "log")?);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = commits.len() > limit;
    commits.truncate(limit);
    let mut diff = bare(git_dir);
    diff.args([
        "diff-tree",
        "-r",
        "--numstat",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-relative",
    ]);
    diff.args([&from, &to, "--"]);
    let mut files = files(&output(&mut diff, "diff-tree")?);
    let files_more = files.len() > FILES;
    files.truncate(FILES);
    let mut missing = bare(git_dir);
    missing.args(["rev-list", "--max-count=1", &from, "--not", &to, "--"]);
    let is_ancestor = output(&mut missing, "rev-list")?.is_empty();
    Ok(Changes { from, to, commits, more, files, files_more, is_ancestor })
}

/// The full ids of two commits.
fn ends(git_dir: &Path, from: &str, to: &str) -> Result<(String, String), GitError> {
    let unknown = |text: &str| GitError::UnknownRevision(text.to_owned());
    let mut questions = String::new();
    for text in [from, to] {
        if text.len() < PREFIX || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown(text));
        }
        questions += &format!("{}^{{commit}}\n", text.to_ascii_lowercase());
    }
    let answers = batch_check(git_dir, questions)?;
    let mut answers = answers.lines();
    let mut full = |text: &str| {
        let sha = answers.next().and_then(|answer| answer.strip_suffix(" commit"));
        let sha = sha.and_then(|sha| object_id(sha.as_bytes()));
        // A ref may be named like an id, and a tag is peeled: neither is what was named.
        sha.filter(|sha| sha.starts_with(&text.to_ascii_lowercase())).ok_or_else(|| unknown(text))
    };
    Ok((full(from)?, full(to)?))
}

/// Commits as [`FORMAT`] tells them.
fn commits(told: &[u8]) -> Vec<Commit> {
    let one = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.splitn(4, '\0');
        let sha = object_id(fields.next()?.as_bytes())?;
        let at_ms = fields.next()?.parse::<i64>().unwrap_or(0).saturating_mul(1000);
        let (author, subject) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        Some(Commit { sha, subject: Subject { subject, author, at_ms } })
    };
    told.split(|byte| *byte == b'\n').filter_map(one).collect()
}

/// Files as `--numstat -z --no-renames` tells them: `added TAB removed TAB path NUL`, with `-` for both of a binary one.
fn files(told: &[u8]) -> Vec<FileChange> {
    let one = |record: &[u8]| {
        let record = String::from_utf8_lossy(record);
        let mut fields = record.splitn(3, '\t');
        let (added, removed) = (fields.next()?.parse().ok(), fields.next()?.parse().ok());
        Some(FileChange { path: fields.next()?.to_owned(), added, removed })
    };
    told.split(|byte| *byte == 0).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_prints_is_read_whole_or_not_at_all() {
        let id = "a".repeat(40);
        let told = format!("{id}\x0012\x00Ann\x00say \t it\n\nnonsense\n{id}\x00x\x00\x00\n{id}\x001\x00B");
        let commit = |subject: &str, author: &str, at_ms| Commit {
            sha: id.clone(),
            subject: Subject { subject: subject.to_owned(), author: author.to_owned(), at_ms },
        };
        assert_eq!(commits(told.as_bytes()), [commit("say \t it", "Ann", 12_000), commit("", "", 0)]);
        let file = |path: &str, added, removed| FileChange { path: path.to_owned(), added, removed };
        assert_eq!(
            files(b"1\t20\ta b\tc\nd\0-\t-\tx\xff.png\0nonsense\0"),
            [file("a b\tc\nd", Some(1), Some(20)), file("x\u{fffd}.png", None, None)]
        );
    }
}
