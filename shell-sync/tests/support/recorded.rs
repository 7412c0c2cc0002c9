//! What a run left: its directory, read independently of the code under test where that is little work, and database rows.

use std::fs;
use std::path::{Path, PathBuf};

use quire_core::cri::stream_bytes;
use quire_core::wire::Stream;
use serde_json::Value;

/// A run directory.
#[derive(Debug, Clone)]
pub struct RunRecord(pub PathBuf);

impl RunRecord {
    /// The run's id.
    pub fn id(&self) -> String {
        self.0.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// The bytes of one of its files.
    #[track_caller]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The whole lines of its stream.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let bytes = fs::read(self.0.join("events.jsonl")).unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a JSON object")).collect()
    }

    /// Its events of one type.
    #[track_caller]
    pub fn of_type(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// The one event of a type, of a job.
    #[track_caller]
    pub fn event(&self, kind: &str, job: &str) -> Value {
        let mut found = self.of_type(kind);
        found.retain(|event| event["job_id"] == job);
        assert_eq!(found.len(), 1, "{kind} of {job}: {found:?}");
        found.remove(0)
    }

    /// How the run ended, if it did.
    #[track_caller]
    pub fn outcome(&self) -> Option<String> {
        let events = self.events();
        let last = events.last().filter(|event| event["type"] == "run_finished")?;
        Some(last["outcome"].as_str().unwrap().to_owned())
    }

    /// The log of a command as it is on the disk; empty where there is none.
    pub fn log(&self, job: &str, n: u32) -> Vec<u8> {
        fs::read(self.0.join(format!("jobs/{job}/sh-{n}.log"))).unwrap_or_default()
    }

    /// The exact bytes of a stream of a command.
    #[track_caller]
    pub fn stream(&self, job: &str, n: u32, stream: Stream) -> Vec<u8> {
        let ended = self.of_type("sh_finished").into_iter().filter(|event| event["job_id"] == job).nth(n as usize - 1);
        let no_eol = ended.is_some_and(|event| {
            let named = event["no_eol"].as_array().cloned().unwrap_or_default();
            named.iter().any(|name| name == stream.as_str())
        });
        stream_bytes(&self.log(job, n), stream, no_eol).expect("a log")
    }

    /// Everything below, path and content.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push((path.clone(), fs::read(&path).unwrap())),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &mut found);
        found
    }

    /// Its stream and logs can be read: a torn last line is all that may be wrong with them.
    #[track_caller]
    pub fn is_readable(&self) {
        for event in self.events() {
            assert!(event["at_ms"].is_i64() && event["type"].is_string(), "{event}");
        }
        for (path, content) in self.files().iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "log"))
        {
            let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in content[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                entry(line).unwrap_or_else(|| panic!("{}: {:?}", path.display(), String::from_utf8_lossy(line)));
            }
        }
    }
}

/// Time, stream, whether it is the last part of its line, and content of a log's entry (CONTRACT 4), read independently of
/// the code under test.
pub fn entry(line: &[u8]) -> Option<(String, String, bool, Vec<u8>)> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let mut text = || Some(std::str::from_utf8(words.next()?).ok()?.to_owned());
    let (at, stream, part) = (text()?, text()?, text()?);
    let content = words.next()?.to_vec();
    let shape: String = at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let is_sound = shape == "0000-00-00T00:00:00.000000000Z"
        && matches!(stream.as_str(), "stdout" | "stderr")
        && matches!(part.as_str(), "P" | "F");
    is_sound.then_some((at, stream, part == "F", content))
}

/// What a query of a database gives, a line a row.
#[track_caller]
pub fn rows(database: &Path, query: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let conn = rusqlite::Connection::open(database).unwrap();
    let mut statement = conn.prepare(query).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let cells = (0..columns).map(|column| match row.get_ref_unwrap(column) {
            ValueRef::Null => "-".to_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
        });
        Ok(cells.collect::<Vec<_>>().join("|"))
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}
