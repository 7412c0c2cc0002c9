//! The event file: appended to line by line, and never left with half a line that could be helped.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::error::RecordError;

/// An `events.jsonl` open for appending. Nothing is synced on the way: what the kernel has taken survives the death of this
/// process. That it survives a power cut too takes an [`EventLog::sync`].
#[derive(Debug)]
pub struct EventLog {
    file: File,
    path: PathBuf,
    len: u64,
    /// The file ends in a torn line that could not be cut away; nothing may be put behind it.
    is_torn: bool,
}

impl EventLog {
    /// Opens the file for the stream of a new run. Refused if it holds a whole line; a torn one alone is cut away.
    pub fn create(path: &Path) -> Result<EventLog, RecordError> {
        let open = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = open.map_err(|source| RecordError::write(path, source))?;
        let old = file.metadata().map_err(|source| RecordError::read(path, source))?.len();
        if old > 0 {
            if holds_newline(&mut file).map_err(|source| RecordError::read(path, source))? {
                return Err(RecordError::NotEmpty { path: path.to_owned() });
            }
            file.set_len(0).map_err(|source| RecordError::write(path, source))?;
        }
        Ok(EventLog { file, path: path.to_owned(), len: 0, is_torn: false })
    }

    /// Appends whole lines with one write and returns the offset of the byte after them. If not all of them could be
    /// written, none of them is left.
    pub fn append(&mut self, lines: &[u8]) -> Result<u64, RecordError> {
        if self.is_torn {
            let torn = io::Error::other("its last line is torn and could not be cut away");
            return Err(RecordError::write(&self.path, torn));
        }
        let outcome = match write_whole(&mut self.file, lines) {
            Ok(()) => {
                self.len += lines.len() as u64;
                return Ok(self.len);
            }
            Err(error) => error,
        };
        self.is_torn = self.file.set_len(self.len).is_err();
        Err(RecordError::write(&self.path, outcome))
    }

    /// Waits until what was appended is on the disk, and survives a power cut.
    ///
    /// # Errors
    /// Where the disk did not take it. A file system that cannot sync is none: there is nothing to be had from it.
    pub fn sync(&self) -> io::Result<()> {
        match self.file.sync_data() {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            done => done,
        }
    }

    /// Offset of the byte after the last whole line.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was recorded yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// One write. Where it is cut short, a second one tells why.
fn write_whole(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or(&[]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the file at `path` holds a whole line; none that is not there does.
pub(super) fn has_whole_line(path: &Path) -> Result<bool, RecordError> {
    match File::open(path).and_then(|mut file| holds_newline(&mut file)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.map_err(|source| RecordError::read(path, source)),
    }
}

fn holds_newline(file: &mut File) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(read) if memchr::memchr(b'\n', buffer.get(..read).unwrap_or(&[])).is_some() => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_their_ends_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut log = EventLog::create(&path).unwrap();
        assert!(log.is_empty());
        assert_eq!(log.append(b"{}\n").unwrap(), 3);
        assert_eq!(log.append(b"[1]\n").unwrap(), 7);
        assert_eq!(log.len(), 7);
        assert_eq!(std::fs::read(&path).unwrap(), b"{}\n[1]\n");
    }

    #[test]
    fn only_a_torn_line_is_cut_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        for (old, taken) in [("", true), ("{\"at", true), ("{}\n", false), ("\n", false), ("{}\n{", false)] {
            std::fs::write(&path, old).unwrap();
            match EventLog::create(&path) {
                Ok(log) => assert!(taken && log.is_empty(), "{old:?}"),
                Err(error) => assert!(!taken && matches!(error, RecordError::NotEmpty { .. }), "{old:?}: {error}"),
            }
            let left = std::fs::read_to_string(&path).unwrap();
            assert_eq!(left, if taken { "" } else { old });
        }
    }

    #[test]
    fn a_full_disk_is_an_error_that_says_what_to_do() {
        let mut log = EventLog::create(Path::new("/dev/full")).unwrap();
        let error = log.append(b"{}\n").unwrap_err().to_string();
        assert!(
            error.contains("/dev/full") && error.contains("No space left") && error.contains("free space"),
            "{error}"
        );
        assert!(log.is_empty());
        assert!(log.append(b"{}\n").is_err(), "nothing goes behind a line that may be torn");
    }
}
