//! Following a stored file: its whole lines from an offset on, what wakes who waits for more, and when to ask whether more
//! can come.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Timer;

use crate::server::{Watch, Watcher};

/// How much is read at once.
pub(super) const PIECE: usize = 64 << 10;

/// A file that grows, or is not there yet.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: Option<Arc<File>>,
    offset: u64,
    len: u64,
    longest: usize,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Whole lines, the first of which begins at `from`.
    Lines { from: u64, bytes: Vec<u8> },
    /// What was stepped over: a line that is too long.
    Missed { from: u64, to: u64 },
    /// No more whole line for now.
    Nothing,
}

impl Tail {
    /// Of the file at `path`, from `offset` on. A line longer than `longest` is stepped over.
    pub(super) fn new(path: PathBuf, offset: u64, longest: usize) -> Tail {
        Tail { path, file: None, offset, len: 0, longest }
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How long the file was when it was last looked at.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether a line begins at the offset, as far as the file goes.
    pub(super) async fn is_at_a_line(&mut self) -> io::Result<bool> {
        let Some(before) = self.offset.checked_sub(1) else { return Ok(true) };
        let byte = self.on_file(move |file| {
            let mut byte = [0];
            Ok(file.read_at(&mut byte, before)? == 1 && byte == *b"\n")
        });
        Ok(byte.await?.unwrap_or(false))
    }

    /// Reads on: about a piece, or one line that is longer.
    pub(super) async fn next(&mut self) -> io::Result<Next> {
        let (from, longest) = (self.offset, self.longest);
        let read = self.on_file(move |file| Ok((next(file, from, longest)?, file.metadata()?.len())));
        let Some((next, len)) = read.await? else { return Ok(Next::Nothing) };
        self.len = len;
        match &next {
            Next::Lines { from, bytes } => self.offset = from + bytes.len() as u64,
            Next::Missed { to, .. } => self.offset = *to,
            Next::Nothing => {}
        }
        Ok(next)
    }

    /// Goes on at the first line that begins within `near` bytes of the end; gives what is left out so.
    pub(super) async fn skip_to_the_end(&mut self, near: u64) -> io::Result<Option<(u64, u64)>> {
        let from = self.offset;
        let start = self.on_file(move |file| {
            let at = file.metadata()?.len().saturating_sub(near).max(from);
            line_after(file, at)
        });
        let Some(to) = start.await?.flatten() else { return Ok(None) };
        self.offset = to;
        Ok(Some((from, to)))
    }

    /// Opens the file if need be; `None` where there is none yet.
    async fn on_file<T: Send + 'static>(
        &mut self,
        ask: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<Option<T>> {
        let (path, opened) = (self.path.clone(), self.file.clone());
        let asked = smol::unblock(move || {
            let file = match opened {
                Some(file) => file,
                None => match File::open(&path) {
                    Ok(file) => Arc::new(file),
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                },
            };
            let answer = ask(&file)?;
            Ok(Some((file, answer)))
        });
        let Some((file, answer)) = asked.await? else { return Ok(None) };
        self.file = Some(file);
        Ok(Some(answer))
    }
}

fn next(file: &File, from: u64, longest: usize) -> io::Result<Next> {
    let mut size = PIECE.min(longest);
    loop {
        let mut bytes = read_at(file, from, size)?;
        if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            bytes.truncate(end + 1);
            return Ok(Next::Lines { from, bytes });
        }
        if bytes.len() < size {
            return Ok(Next::Nothing);
        }
        if size >= longest {
            let to = line_after(file, from + bytes.len() as u64)?;
            return Ok(to.map_or(Next::Nothing, |to| Next::Missed { from, to }));
        }
        size = size.saturating_mul(4).min(longest);
    }
}

/// Where the first line begins after the first newline at or after `at`.
fn line_after(file: &File, mut at: u64) -> io::Result<Option<u64>> {
    loop {
        let bytes = read_at(file, at, PIECE)?;
        if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            return Ok(Some(at + end as u64 + 1));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        at += bytes.len() as u64;
    }
}

/// At most `size` bytes; fewer only at the end.
pub(super) fn read_at(file: &File, at: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The length of a file as far as it holds whole lines.
pub(super) fn whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(PIECE as u64);
        let bytes = read_at(file, start, usize::try_from(end - start).unwrap_or(PIECE))?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// What wakes who waits for a folder's files, which may not be there yet: then what is above it is watched.
#[derive(Debug)]
pub(super) struct Follow {
    watcher: Watcher,
    folder: PathBuf,
    watched: PathBuf,
    watch: Watch,
}

impl Follow {
    /// What changes from now on wakes [`Follow::changed`].
    pub(super) fn new(watcher: &Watcher, folder: &Path) -> Follow {
        loop {
            let watched = nearest(folder);
            let watch = watcher.watch(&watched);
            // What was made before the watch was there woke nobody.
            if nearest(folder) == watched {
                return Follow { watcher: watcher.clone(), folder: folder.to_owned(), watched, watch };
            }
        }
    }

    /// Waits until something may have changed.
    pub(super) async fn changed(&mut self) {
        self.watch.changed().await;
        if self.watched != self.folder {
            *self = Follow::new(&self.watcher, &self.folder);
        }
    }
}

fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// When to ask the database whether what is watched has ended: soon after a hint, for its row follows the event within some
/// ten milliseconds; else now and then, for a run that was killed gives no hint.
#[derive(Debug)]
pub(super) struct Asking {
    next: Instant,
    last: Instant,
    step: Duration,
}

impl Asking {
    const SOON: Duration = Duration::from_millis(12);
    const APART: Duration = Duration::from_millis(50);
    const AT_LEAST: Duration = Duration::from_secs(2);

    /// Just asked.
    pub(super) fn new() -> Asking {
        let now = Instant::now();
        Asking { next: now + Asking::SOON, last: now, step: Asking::SOON }
    }

    /// It may have ended.
    pub(super) fn hint(&mut self) {
        let soon = (Instant::now() + Asking::SOON).max(self.last + Asking::APART);
        self.next = self.next.min(soon);
        self.step = Asking::SOON;
    }

    /// Whether it is time to ask; if so, it counts as asked.
    pub(super) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        self.last = now;
        self.next = now + self.step;
        self.step = self.step.saturating_mul(2).min(Asking::AT_LEAST);
        true
    }

    /// Waits until it is time.
    pub(super) async fn due(&self) {
        Timer::at(self.next).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn lines(from: u64, bytes: &[u8]) -> Next {
        Next::Lines { from, bytes: bytes.to_vec() }
    }

    #[test]
    fn whole_lines_and_nothing_else() {
        smol::block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            let mut tail = Tail::new(path.clone(), 0, 1 << 20);
            assert_eq!(tail.next().await.unwrap(), Next::Nothing, "not there yet");
            let mut file = File::create(&path).unwrap();
            file.write_all(b"one\ntw").unwrap();
            assert_eq!(tail.next().await.unwrap(), lines(0, b"one\n"));
            assert_eq!(tail.next().await.unwrap(), Next::Nothing);
            assert_eq!((tail.offset(), tail.len()), (4, 6));
            file.write_all(b"o\n").unwrap();
            assert_eq!(tail.next().await.unwrap(), lines(4, b"two\n"));
            for (offset, is_start) in [(0, true), (1, false), (4, true), (7, false), (8, true), (9, false)] {
                let is_at = Tail::new(path.clone(), offset, 1).is_at_a_line().await.unwrap();
                assert_eq!(is_at, is_start, "{offset}");
            }
        });
    }

    #[test]
    fn a_line_of_any_length_is_read_or_stepped_over() {
        smol::block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            let long = vec![b'x'; 3 * PIECE];
            let mut file = File::create(&path).unwrap();
            file.write_all(&long).unwrap();
            let mut patient = Tail::new(path.clone(), 0, 4 * PIECE);
            let mut hasty = Tail::new(path.clone(), 0, PIECE);
            assert_eq!(patient.next().await.unwrap(), Next::Nothing);
            assert_eq!(hasty.next().await.unwrap(), Next::Nothing, "its end is not known yet");
            file.write_all(b"\nshort\n").unwrap();
            let len = long.len() as u64;
            assert_eq!(patient.next().await.unwrap(), lines(0, &[&long[..], b"\nshort\n"].concat()));
            assert_eq!(hasty.next().await.unwrap(), Next::Missed { from: 0, to: len + 1 });
            assert_eq!(hasty.next().await.unwrap(), lines(len + 1, b"short\n"));
            let mut skips = Tail::new(path, 0, PIECE);
            assert_eq!(skips.skip_to_the_end(7).await.unwrap(), Some((0, len + 1)));
            assert_eq!(skips.skip_to_the_end(3).await.unwrap(), Some((len + 1, len + 7)));
        });
    }

    #[test]
    fn a_torn_end_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        for (content, len) in [(&b""[..], 0), (b"a", 0), (b"a\n", 2), (b"a\nbc", 2), (b"\n", 1)] {
            let path = dir.path().join("f");
            std::fs::write(&path, content).unwrap();
            assert_eq!(whole_lines(&File::open(&path).unwrap()).unwrap(), len, "{content:?}");
        }
        let path = dir.path().join("f");
        std::fs::write(&path, [b"a\n", &vec![b'x'; 3 * PIECE][..]].concat()).unwrap();
        assert_eq!(whole_lines(&File::open(&path).unwrap()).unwrap(), 2);
    }

    #[test]
    fn a_folder_that_comes_later_wakes_too() {
        smol::block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("a/b");
            let mut follow = Follow::new(&Watcher::new(), &folder);
            std::fs::create_dir_all(&folder).unwrap();
            while follow.watched != folder {
                follow.changed().await;
            }
            std::fs::write(folder.join("f"), "x").unwrap();
            follow.changed().await;
        });
    }
}
