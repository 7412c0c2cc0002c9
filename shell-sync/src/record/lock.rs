//! The lock of a run directory: a flock held while the run lives. Who can take it knows that the run's producer is dead.
//!
//! The file's text is for people and for a server that adopts a run: `<pid> <start ticks> <boot id>`. Pids come again;
//! start ticks and boot id tell whether the process of that number is still the one that wrote this. A run that could not be
//! recorded to its end adds a word, ` record`: the file has its block already, so that there is room on a full disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use quire_core::wire::FailureKind;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::RecordError;

/// Someone who asks whether the lock is free holds it for an instant; so it is tried for so long.
const ATTEMPTS: u32 = 50;
/// A process that its holder was starting when it died holds it until it has become its program; so it is tried for so long.
const ATTEMPTS_AT_A_DEAD_HOLDER: u32 = 250;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(1);

/// A held lock. Dropped, it is free.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

/// The process that wrote a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`); 0 where that is not known.
    pub start_ticks: u64,
    /// The boot in which it runs (`/proc/sys/kernel/random/boot_id`); empty where that is not known.
    pub boot_id: String,
}

/// What a lock file says of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// No process holds it: the run's producer is dead, or has ended.
    Free,
    /// A living process holds it.
    Held(Option<Holder>),
}

/// The answer to [`RunLock::claim`].
#[derive(Debug)]
pub enum Claim {
    /// It was free and is ours now: the run's producer is dead, or has ended.
    Taken(RunLock),
    /// There is no lock file, which is as good as a free lock: a run directory never appears without one.
    NoLock,
    /// A living process holds it.
    Held(Option<Holder>),
}

impl RunLock {
    /// Takes the lock at `path` for this process and writes who it is.
    pub fn take(path: &Path) -> Result<RunLock, RecordError> {
        let write = |source| RecordError::write(path, source);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(write)?;
        let mut attempts = 1;
        while !try_flock(&file).map_err(write)? {
            if attempts == ATTEMPTS {
                return Err(RecordError::Held { path: path.to_owned(), holder: read_holder(&mut file) });
            }
            attempts += 1;
            std::thread::sleep(BETWEEN_ATTEMPTS);
        }
        let text = Holder::this_process().to_string();
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(write)?;
        Ok(RunLock { file })
    }

    /// Takes the lock if it is free, leaving what the file says.
    pub fn claim(path: &Path) -> Result<Claim, RecordError> {
        // Network file systems lock only what is open for writing.
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let mut file = match opened.or_else(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => File::open(path),
            _ => Err(error),
        }) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Claim::NoLock),
            Err(source) => return Err(RecordError::read(path, source)),
        };
        let mut attempts = 1;
        while !try_flock(&file).map_err(|source| RecordError::read(path, source))? {
            let holder = read_holder(&mut file);
            if attempts == ATTEMPTS_AT_A_DEAD_HOLDER || !holder.as_ref().is_some_and(Holder::is_dead) {
                return Ok(Claim::Held(holder));
            }
            attempts += 1;
            std::thread::sleep(BETWEEN_ATTEMPTS);
        }
        Ok(Claim::Taken(RunLock { file }))
    }
}

impl RunLock {
    /// Notes that the run ends without its end in the stream, and of which kind its failure is: for who closes it, if its rows
    /// cannot be written now either.
    pub fn note_end(&mut self, kind: FailureKind) -> io::Result<()> {
        // In place of the newline.
        self.file.seek(SeekFrom::End(-1))?;
        self.file.write_all(format!(" {kind}\n").as_bytes())
    }

    /// What [`RunLock::note_end`] noted in the file at `path`, held or not.
    pub fn noted_end(path: &Path) -> Option<FailureKind> {
        let mut text = String::new();
        File::open(path).ok()?.take(200).read_to_string(&mut text).ok()?;
        FailureKind::parse(text.strip_suffix('\n')?.split(' ').nth(3)?)
    }
}

impl LockState {
    /// Asks the lock at `path`.
    pub fn of(path: &Path) -> Result<LockState, RecordError> {
        Ok(match RunLock::claim(path)? {
            Claim::Taken(_) | Claim::NoLock => LockState::Free,
            Claim::Held(holder) => LockState::Held(holder),
        })
    }
}

/// Whether the lock is now ours.
fn try_flock(file: &File) -> io::Result<bool> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(200).read_to_string(&mut text).ok()?;
    Holder::parse(&text)
}

impl Holder {
    /// This process.
    pub fn this_process() -> Holder {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Holder {
            pid: std::process::id(),
            start_ticks: start_ticks(&stat).unwrap_or(0),
            boot_id: boot_id.trim_end().to_owned(),
        }
    }

    /// Whether the process is known to be no more. Not of another boot, which may be another machine's; one that is out of
    /// sight (in another container) counts as dead.
    fn is_dead(&self) -> bool {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let is_there = start_ticks(&stat) == Some(self.start_ticks) && !is_zombie(&stat);
        !self.boot_id.is_empty() && boot_id.trim_end() == self.boot_id && !is_there
    }

    /// Reads a lock file's text.
    pub fn parse(text: &str) -> Option<Holder> {
        let mut words = text.trim_end_matches('\n').split(' ');
        let pid = words.next()?.parse().ok()?;
        let start_ticks = words.next()?.parse().ok()?;
        let boot_id = words.next()?.to_owned();
        let is_whole = words.next().is_none_or(|end| FailureKind::parse(end).is_some()) && words.next().is_none();
        is_whole.then_some(Holder { pid, start_ticks, boot_id })
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {} {}", self.pid, self.start_ticks, self.boot_id)
    }
}

/// Field 22 of a `stat` file. The second field is the program's name in parentheses and may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}

/// Whether only its parent has not asked for its end yet; its files are closed by then.
fn is_zombie(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn start_ticks_are_field_22_whatever_the_program_is_called() {
        let after = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        assert_eq!(start_ticks(&format!("7 (true) {after}")), Some(4242));
        assert_eq!(start_ticks(&format!("7 (a b) R 1 (x) {after}")), Some(4242));
        assert_eq!(start_ticks("7 (true) S 1"), None);
        assert_eq!(start_ticks(""), None);
    }

    #[test]
    fn a_holder_is_read_as_written() {
        let holder = Holder::this_process();
        assert_eq!(Holder::parse(&holder.to_string()), Some(holder.clone()));
        assert_eq!(holder.pid, std::process::id());
        assert!(holder.start_ticks > 0);
        assert_eq!(Holder::parse(""), None);
        assert_eq!(Holder::parse("12 x y"), None);
        assert_eq!(Holder::parse("12 3 boot more"), None);
        assert_eq!(Holder::parse("12 3 boot record more"), None);
    }

    #[test]
    fn how_a_run_ended_that_its_stream_cannot_tell_stands_behind_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(RunLock::noted_end(&path), None);
        let mut lock = RunLock::take(&path).unwrap();
        assert_eq!(RunLock::noted_end(&path), None);
        lock.note_end(FailureKind::Record).unwrap();
        assert_eq!(LockState::of(&path).unwrap(), LockState::Held(Some(Holder::this_process())));
        assert_eq!(RunLock::noted_end(&path), Some(FailureKind::Record));
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(RunLock::noted_end(&path), None, "cut at {cut}");
        }
        assert_eq!(fs::metadata(&path).unwrap().len() as usize, whole.len() - 1);
        assert!(whole.len() < 200);
    }

    /// One who was killed while it started a process left the lock in that one's hands for an instant: who looked then took
    /// the run for one that goes on.
    #[test]
    fn what_a_dead_holder_was_starting_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = RunLock::take(&path).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = Holder { pid: child.id(), ..Holder::this_process() };
        fs::write(&path, dead.to_string()).unwrap();
        std::thread::scope(|scope| {
            let claimed = scope.spawn(|| RunLock::claim(&path).unwrap());
            let begun = std::time::Instant::now();
            while begun.elapsed() < 20 * BETWEEN_ATTEMPTS {
                std::thread::yield_now();
            }
            drop(lock);
            assert!(matches!(claimed.join().unwrap(), Claim::Taken(_)));
        });
        // One who is out of sight may hold it for good.
        let _lock = RunLock::take(&path).unwrap();
        fs::write(&path, dead.to_string()).unwrap();
        assert!(matches!(RunLock::claim(&path).unwrap(), Claim::Held(Some(holder)) if holder == dead));
        let elsewhere = Holder { boot_id: "another".to_owned(), ..dead };
        assert!(!elsewhere.is_dead() && !Holder::this_process().is_dead());
    }

    /// The lock was dropped. A process that another test is just starting may have it for an instant longer.
    #[track_caller]
    pub(in crate::record) fn becomes_free(path: &Path) {
        let is_free = || LockState::of(path).unwrap() == LockState::Free;
        let looks = std::iter::repeat_with(is_free).inspect(|free| {
            if !free {
                std::thread::sleep(BETWEEN_ATTEMPTS);
            }
        });
        assert!(looks.take(5_000).any(|free| free), "{} is still held", path.display());
    }

    #[test]
    fn a_lock_is_held_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(LockState::of(&path).unwrap(), LockState::Free);
        let lock = RunLock::take(&path).unwrap();
        assert_eq!(LockState::of(&path).unwrap(), LockState::Held(Some(Holder::this_process())));
        assert!(matches!(RunLock::take(&path), Err(RecordError::Held { holder: Some(_), .. })));
        drop(lock);
        becomes_free(&path);
        RunLock::take(&path).unwrap();
    }
}
