//! What a run's event file says of one command's start.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use quire_core::ids::ShId;
use quire_core::wire::{Decoded, Event, EventKind, Reader, ShStarted};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// The start of the job's `n`-th command; `None` where the file does not tell it.
///
/// # Errors
/// Where the file cannot be read; one that is not there is [`io::ErrorKind::NotFound`].
pub fn started(events: &Path, sh: &ShId) -> io::Result<Option<ShStarted>> {
    let mut file = File::open(events)?;
    let mut reader = Reader::default();
    let mut buffer = vec![0; CHUNK];
    let (mut begun, mut found) = (0, None);
    while found.is_none() {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        reader.push(buffer.get(..count).unwrap_or_default(), |line| {
            if let Ok(Decoded::Event(Event { kind: EventKind::ShStarted(started), .. })) = line.decoded
                && started.job_id == sh.job
            {
                begun += 1;
                if begun == sh.n {
                    found = Some(started);
                }
            }
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quire_core::ids::JobId;

    use super::*;

    #[test]
    fn the_nth_start_of_the_job_is_found_whatever_lies_between() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let start = |job: &str, cmd: &str| {
            format!(r#"{{"at_ms":1,"type":"sh_started","job_id":"{job}","cmd":"{cmd}","cwd":"of {cmd}"}}"#) + "\n"
        };
        let torn = r#"{"at_ms":1,"type":"sh_started","job_id":"a","#;
        let text = [start("a", "1"), start("b", "1"), "garbage\n".into(), start("a", "2"), torn.into()].concat();
        fs::write(&path, text).unwrap();
        let cwd = |job: &str, n: u32| {
            started(&path, &ShId { job: JobId::from_record(job), n }).unwrap().map(|started| started.cwd.unwrap())
        };
        assert_eq!(cwd("a", 1).as_deref(), Some("of 1"));
        assert_eq!(cwd("a", 2).as_deref(), Some("of 2"));
        assert_eq!(cwd("b", 1).as_deref(), Some("of 1"));
        assert_eq!((cwd("a", 3), cwd("b", 2), cwd("c", 1)), (None, None, None));
        let gone = started(&dir.path().join("none"), &ShId { job: JobId::from_record("a"), n: 1 });
        assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
