//! What a repository may be called: a name that is a path below `<data>/repos` and can be nothing else.

use std::fmt;
use std::path::Path;

/// Longest segment, in bytes.
const SEGMENT_BYTES: usize = 100;

/// A repository's name: one or two segments of `[A-Za-z0-9][A-Za-z0-9._-]*`, the last ending in `.git`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(String);

/// Why a text is no repository's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing, or a slash where a name begins or ends.
    #[error("a part of the name is empty")]
    Empty,
    /// More than one slash.
    #[error("only one level of grouping is possible: GROUP/NAME.git")]
    Deep,
    /// It does not end in `.git`, or is only that.
    #[error("the name has to end in .git: NAME.git or GROUP/NAME.git")]
    NoGit,
    /// The group looks like a repository.
    #[error("a group cannot end in .git: that would be a repository in a repository")]
    GroupGit,
    /// Two dots in a row.
    #[error("two dots in a row are not possible")]
    Dots,
    /// A segment begins with something else than a letter or a digit.
    #[error("each part of the name begins with a letter or a digit")]
    Begin,
    /// Another character than those.
    #[error("only letters, digits, '.', '_' and '-' are possible")]
    Character,
    /// A segment is longer than 100 bytes.
    #[error("a part of the name is longer than {SEGMENT_BYTES} characters")]
    Long,
}

impl RepoName {
    /// The name, if it is one.
    pub fn parse(text: &str) -> Result<RepoName, BadName> {
        if text.contains("..") {
            return Err(BadName::Dots);
        }
        let (group, last) = match text.split_once('/') {
            Some((group, last)) => (Some(group), last),
            None => (None, text),
        };
        for segment in group.into_iter().chain([last]) {
            check(segment)?;
        }
        if group.is_some_and(|group| group.ends_with(".git")) {
            return Err(BadName::GroupGit);
        }
        match last.strip_suffix(".git") {
            Some(stem) if !stem.is_empty() => Ok(RepoName(text.to_owned())),
            _ => Err(BadName::NoGit),
        }
    }

    /// As it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    pub fn group(&self) -> Option<&str> {
        self.0.split_once('/').map(|(group, _)| group)
    }

    /// The name that a repository at `path` has by itself: its folder's, with `.git` where that is missing.
    pub fn of_folder(path: &Path) -> Result<RepoName, BadName> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(BadName::Character)?;
        RepoName::parse(name).or_else(|error| match error {
            BadName::NoGit => RepoName::parse(&format!("{name}.git")),
            error => Err(error),
        })
    }
}

fn check(segment: &str) -> Result<(), BadName> {
    let first = segment.bytes().next().ok_or(BadName::Empty)?;
    if segment.contains('/') {
        return Err(BadName::Deep);
    }
    if !first.is_ascii_alphanumeric() {
        return Err(BadName::Begin);
    }
    if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(BadName::Character);
    }
    if segment.len() > SEGMENT_BYTES {
        return Err(BadName::Long);
    }
    Ok(())
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for RepoName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<RepoName, BadName> {
        RepoName::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = format!("{}.git", "a".repeat(97));
        for (text, error) in [
            ("foo.git", None),
            ("work/foo.git", None),
            ("W0rk_x-1.2/F.o-o_.git.git", None),
            ("9.git", None),
            ("", Some(BadName::Empty)),
            ("/foo.git", Some(BadName::Empty)),
            ("work/", Some(BadName::Empty)),
            ("work//foo.git", Some(BadName::Deep)),
            ("a/b/foo.git", Some(BadName::Deep)),
            ("foo", Some(BadName::NoGit)),
            ("work/foo", Some(BadName::NoGit)),
            ("foo.git/", Some(BadName::Empty)),
            (".git", Some(BadName::Begin)),
            ("work/.git", Some(BadName::Begin)),
            ("-x.git", Some(BadName::Begin)),
            ("_x.git", Some(BadName::Begin)),
            ("..", Some(BadName::Dots)),
            ("../foo.git", Some(BadName::Dots)),
            ("work/../foo.git", Some(BadName::Dots)),
            ("a..b.git", Some(BadName::Dots)),
            ("./foo.git", Some(BadName::Begin)),
            ("foo.git/bar.git", Some(BadName::GroupGit)),
            ("fo o.git", Some(BadName::Character)),
            ("foo\n.git", Some(BadName::Character)),
            ("f\0.git", Some(BadName::Character)),
            ("fü.git", Some(BadName::Character)),
            ("ü.git", Some(BadName::Begin)),
            ("a\\b.git", Some(BadName::Character)),
            (&long, Some(BadName::Long)),
        ] {
            match (RepoName::parse(text), error) {
                (Ok(name), None) => assert_eq!(name.as_str(), text),
                (got, error) => assert_eq!(got.err(), error, "{text:?}"),
            }
        }
    }

    #[test]
    fn folders_have_names() {
        for (path, name) in
            [("/srv/foo.git", Ok("foo.git")), ("/srv/foo", Ok("foo.git")), ("/", Err(BadName::Character))]
        {
            let want = name.map(|name: &str| RepoName(name.to_owned()));
            assert_eq!(RepoName::of_folder(Path::new(path)), want, "{path}");
        }
    }
}
