//! The spool: push events that came while the server was down, one file each.
//!
//! Who pushes writes a file under a name that begins with a dot and renames it (`<uuid>.json`), so that what has its name is
//! whole. What is torn all the same, or is none of ours, is set aside in `spool/bad` and told: never lost, never in the way.
//! Modes: see `repo::prepare_data_dir`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::api::PushEvent;

/// Longest event, in bytes: some twenty thousand refs.
pub const MAX_EVENT_BYTES: u64 = 4 * 1024 * 1024;
/// A file that is still being written after this long never will be.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The folder of events that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// `<data>/spool`.
    pub dir: PathBuf,
}

/// Why a file of the spool is no event, or an event could not be left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// It was set aside.
    #[error("{} is no push event ({why}) and was set aside as {}", from.display(), to.display())]
    Bad {
        /// What it was called.
        from: PathBuf,
        /// Where it is.
        to: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is in the way and cannot be set aside.
    #[error("{} is no push event ({why}) and cannot be set aside: {error}", from.display())]
    Stuck {
        /// What it is called.
        from: PathBuf,
        /// What is wrong with it.
        why: String,
        /// As the machine says it.
        error: String,
    },
    /// The folder or a file cannot be written or read.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// As the machine says it.
        error: String,
    },
    /// The event is longer than any that is read back.
    #[error("the push has too many refs to be noted: {bytes} bytes of at most {MAX_EVENT_BYTES}")]
    Long {
        /// Its length.
        bytes: usize,
    },
}

impl Spool {
    /// That of a data directory.
    pub fn of(data: &Path) -> Spool {
        Spool { dir: data.join("spool") }
    }

    /// Leaves an event. Once this returns the event survives a crash of the machine. Returns the file.
    pub fn leave(&self, event: &PushEvent) -> Result<PathBuf, SpoolError> {
        let mut text = serde_json::to_vec(event).map_err(|error| self.failed("write", &self.dir)(error.into()))?;
        text.push(b'\n');
        if text.len() as u64 > MAX_EVENT_BYTES {
            return Err(SpoolError::Long { bytes: text.len() });
        }
        let name = uuid::Uuid::now_v7();
        let new = self.dir.join(format!(".{name}"));
        let path = self.dir.join(format!("{name}.json"));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
            // The server may be of the group only, whatever the umask.
            file.set_permissions(fs::Permissions::from_mode(0o640))?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.dir)?.sync_all()
        })();
        written.map_err(|error| {
            let _ = fs::remove_file(&new);
            self.failed("write", &path)(error)
        })?;
        Ok(path)
    }

    /// The files that wait, oldest first, each read when it is come to. An event stays until [`Spool::done`]; what is none is
    /// set aside and told.
    pub fn take(&self) -> impl Iterator<Item = (PathBuf, Result<PushEvent, SpoolError>)> + use<> {
        let spool = self.clone();
        let (files, error) = match self.files() {
            Ok(files) => (files, None),
            Err(error) => (Vec::new(), Some((self.dir.clone(), Err(error)))),
        };
        error.into_iter().chain(files.into_iter().filter_map(move |path| {
            let event = read(&path)?;
            Some((path.clone(), event.map_err(|why| spool.set_aside(&path, why))))
        }))
    }

    /// The event of this file is in the database: removes it.
    pub fn done(&self, path: &Path) -> Result<(), SpoolError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// The files in the order of their last change; those still being written are left out.
    fn files(&self) -> Result<Vec<PathBuf>, SpoolError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(self.failed("read", &self.dir))?,
        };
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let Ok(meta) = entry.path().symlink_metadata() else { continue };
            let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is_new = entry.file_name().as_encoded_bytes().starts_with(b".");
            let is_abandoned = changed.elapsed().is_ok_and(|age| age > ABANDONED);
            if !meta.is_dir() && (!is_new || is_abandoned) {
                files.push((changed, entry.path()));
            }
        }
        files.sort();
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    fn set_aside(&self, from: &Path, why: String) -> SpoolError {
        let bad = self.dir.join("bad");
        let name = from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut to = bad.join(name.trim_start_matches('.'));
        let moved = DirBuilder::new().recursive(true).mode(0o700).create(&bad).and_then(|()| {
            if to.symlink_metadata().is_ok() {
                to = bad.join(format!("{name}-{}", uuid::Uuid::now_v7()));
            }
            fs::rename(from, &to)
        });
        let from = from.to_owned();
        match moved {
            Ok(()) => SpoolError::Bad { from, to, why },
            Err(error) => SpoolError::Stuck { from, why, error: error.to_string() },
        }
    }

    fn failed(&self, what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
        let path = path.to_owned();
        move |error| SpoolError::Io { what, path, error: error.to_string() }
    }
}

/// Reads an event; `None` where the file has gone meanwhile, an error says what is wrong. Others may write here: nothing but a
/// plain file is opened.
fn read(path: &Path) -> Option<Result<PushEvent, String>> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return Some(Err("its name does not end in .json".to_owned()));
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut text = Vec::new();
    let whole = OpenOptions::new().read(true).custom_flags(flags).open(path).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no plain file"));
        }
        file.take(MAX_EVENT_BYTES + 1).read_to_end(&mut text)
    });
    match whole {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(error.to_string())),
        Ok(_) if text.len() as u64 > MAX_EVENT_BYTES => return Some(Err("it is too long".to_owned())),
        Ok(_) => {}
    }
    Some(match serde_json::from_slice::<PushEvent>(&text) {
        Ok(event) if event.kind == "pushed" => Ok(event),
        Ok(event) => Err(format!("its type is {:?}", event.kind)),
        Err(error) => Err(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RefChange;
    use std::os::unix::fs::symlink;

    fn event(at_ms: i64) -> PushEvent {
        let change = RefChange { ref_name: "refs/heads/main".into(), before: "0".repeat(40), after: "1".repeat(40) };
        PushEvent { at_ms, kind: "pushed".into(), repo: "foo.git".into(), by: Some("ann".into()), refs: vec![change] }
    }

    fn spool() -> (tempfile::TempDir, Spool) {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("spool")).unwrap();
        let spool = Spool::of(temp.path());
        (temp, spool)
    }

    #[test]
    fn events_come_back_in_order_until_they_are_done() {
        let (temp, spool) = spool();
        assert_eq!(Spool::of(&temp.path().join("gone")).take().count(), 0);
        let paths: Vec<PathBuf> = (1..=5).map(|at| spool.leave(&event(at)).unwrap()).collect();
        for (n, path) in paths.iter().enumerate() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(10 - n as u64);
            File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
        }
        let taken: Vec<i64> = spool.take().map(|(_, event)| event.unwrap().at_ms).collect();
        assert_eq!(taken, [5, 4, 3, 2, 1]);
        assert_eq!(spool.take().count(), 5, "what is not done stays");
        for (path, _) in spool.take() {
            spool.done(&path).unwrap();
            spool.done(&path).unwrap();
        }
        assert_eq!(spool.take().count(), 0);
        assert_eq!(fs::read_dir(&spool.dir).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_for_the_group_to_read() {
        let (_temp, spool) = spool();
        let path = spool.leave(&event(1)).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_is_no_event_is_set_aside_and_told() {
        let (_temp, spool) = spool();
        let whole = serde_json::to_string(&event(1)).unwrap();
        fs::write(spool.dir.join("torn.json"), &whole[..whole.len() / 2]).unwrap();
        fs::write(spool.dir.join("empty.json"), "").unwrap();
        fs::write(spool.dir.join("other.json"), whole.replace("pushed", "pulled")).unwrap();
        fs::write(spool.dir.join("note.txt"), "hello").unwrap();
        symlink("/etc/passwd", spool.dir.join("link.json")).unwrap();
        File::create(spool.dir.join("long.json")).unwrap().set_len(MAX_EVENT_BYTES + 1).unwrap();
        fs::write(spool.dir.join(".being-written"), "{").unwrap();
        let abandoned = File::create(spool.dir.join(".abandoned")).unwrap();
        abandoned.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        let good = spool.leave(&event(7)).unwrap();
        let mut good_found = 0;
        let mut bad = Vec::new();
        for (path, event) in spool.take() {
            match event {
                Ok(event) => {
                    assert_eq!((path, event.at_ms), (good.clone(), 7));
                    good_found += 1;
                }
                Err(SpoolError::Bad { to, .. }) => bad.push(to.file_name().unwrap().to_str().unwrap().to_owned()),
                Err(other) => panic!("{other}"),
            }
        }
        bad.sort();
        assert_eq!(good_found, 1);
        assert_eq!(bad, ["abandoned", "empty.json", "link.json", "long.json", "note.txt", "other.json", "torn.json"]);
        assert!(bad.iter().all(|name| spool.dir.join("bad").join(name).symlink_metadata().is_ok()));
        assert!(spool.dir.join(".being-written").exists());
        fs::write(spool.dir.join("note.txt"), "again").unwrap();
        assert!(spool.take().any(|(_, event)| matches!(event, Err(SpoolError::Bad { .. }))));
        assert_eq!(fs::read(spool.dir.join("bad/note.txt")).unwrap(), b"hello", "nothing set aside is lost");
    }

    #[test]
    fn what_cannot_be_left_is_told() {
        let (_temp, spool) = spool();
        let mut long = event(1);
        let change = long.refs.pop().unwrap();
        long.refs = vec![change; 40_000];
        assert!(matches!(spool.leave(&long), Err(SpoolError::Long { .. })));
        fs::remove_dir(&spool.dir).unwrap();
        assert!(matches!(spool.leave(&event(1)), Err(SpoolError::Io { .. })));
    }
}
