//! A git that stays and answers: what a process for every question would cost is paid once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use quire_core::queue::Tip;

use super::GitError;
use super::bare::{bare, tips_by};
use super::checkout::told;

/// Most refs asked at once: questions and answers of more might both wait for the other side to read.
const MOST: usize = 20;

/// One `git cat-file --batch-check` of a bare repository. Dropped, it ends.
#[derive(Debug)]
pub struct Asker {
    child: Child,
    /// Closed first when it is to end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Device and number of the repository's folder: one that was made anew under its name is another.
    place: (u64, u64),
}

impl Asker {
    /// Starts it. The thread that does has to live as long: a child of one that ended counts as an orphan.
    pub fn start(git_dir: &Path) -> Result<Asker, GitError> {
        let place = place(git_dir)?;
        let mut command = bare(git_dir);
        command.args(["cat-file", "--batch-check=%(objectname) %(objecttype)"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| GitError::NoGit(error.to_string()))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => {
                Ok(Asker { child, stdin: Some(stdin), stdout: BufReader::new(stdout), place })
            }
            _ => Err(GitError::NoGit("it has no pipes".to_owned())),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still answers for the repository there.
    pub fn is_of(&self, git_dir: &Path) -> bool {
        place(git_dir).is_ok_and(|place| place == self.place)
    }

    /// Whether so many refs may be asked at once.
    pub fn takes(refs: usize) -> bool {
        refs <= MOST
    }

    /// As [`super::tips`].
    ///
    /// # Errors
    /// Where it has ended, or answers what was not asked: it is of no use any more.
    pub fn tips<R: AsRef<str>, A: AsRef<str>>(&mut self, refs: &[(R, A)]) -> Result<Vec<Tip>, GitError> {
        tips_by(refs, |questions| {
            let gone = |why: &str| GitError::Failed { what: "cat-file".to_owned(), said: why.to_owned() };
            let stdin = self.stdin.as_mut().ok_or_else(|| gone("it was ended"))?;
            stdin.write_all(questions.as_bytes()).map_err(|error| gone(&error.to_string()))?;
            let mut answers = String::new();
            for _ in questions.lines() {
                match self.stdout.read_line(&mut answers) {
                    Ok(0) => return Err(gone("it has ended")),
                    Ok(_) => {}
                    Err(error) => return Err(gone(&error.to_string())),
                }
            }
            Ok(answers)
        })
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.stdin = None;
        // It ends with its input; one that does not is ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn place(git_dir: &Path) -> Result<(u64, u64), GitError> {
    let meta = std::fs::metadata(git_dir).map_err(|error| told(git_dir, &error))?;
    Ok((meta.dev(), meta.ino()))
}
