//! Stored logs, read by rows: the core's index of each that is looked at is kept, and grows with its log.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quire_core::cri::{Checkpoint, Row, RowIndex, Rows};
use quire_core::search::Needle;
use quire_core::terminal;

use super::super::tail::read_at;

/// Logs whose index is kept: some 2 MB each at most, of a log of 1 GB.
const KEPT: usize = 32;
/// Read at once.
const PIECE: usize = 256 << 10;
/// Bytes of a row that are read; of a longer one the rest is a link away.
const ROW_BYTES: usize = 256 << 10;
/// Bytes of rows in one window: where rows are long, it has fewer.
const WINDOW_BYTES: usize = 4 << 20;
/// But so many all the same: an excerpt, and who follows its links, goes down so far.
const FEWEST_ROWS: usize = 50;
/// Bytes that one search looks through; then it says how far it came.
const SEARCHED_BYTES: u64 = 1 << 30;

/// The indexes of the logs that were looked at last.
#[derive(Debug, Default)]
pub(in super::super) struct Indexes(Mutex<Vec<(PathBuf, Arc<Mutex<Held>>)>>);

#[derive(Debug, Default)]
struct Held {
    index: RowIndex,
    /// Bytes of the file that it was given.
    taken: u64,
}

/// A log whose index is up to date.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    held: Arc<Mutex<Held>>,
    /// Rows there are.
    pub(super) total: u64,
    /// Bytes of the file that they are of.
    end: u64,
}

/// What a search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    /// In this row.
    Found(u64),
    /// In none.
    Nowhere,
    /// In none up to this row; it goes on there.
    SoFar(u64),
}

impl Indexes {
    /// Opens a log and takes in what has come since. A log that is not there is an empty one. It waits for the disk.
    pub(super) fn open(&self, path: &Path) -> io::Result<Log> {
        let shared = self.of(path);
        let file = match File::open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut held = lock(&shared);
        if let Some(file) = &file {
            if file.metadata()?.len() < held.taken {
                // Another file has taken its place.
                *held = Held::default();
            }
            loop {
                let bytes = read_at(file, held.taken, PIECE)?;
                if bytes.is_empty() {
                    break;
                }
                held.index.push(&bytes);
                held.taken += bytes.len() as u64;
            }
        }
        let (total, end) = (held.index.rows(), held.index.bytes());
        drop(held);
        Ok(Log { file, held: shared, total, end })
    }

    fn of(&self, path: &Path) -> Arc<Mutex<Held>> {
        let mut all = lock(&self.0);
        let known = all.iter().position(|(known, _)| known == path).map(|at| all.remove(at));
        let entry = known.unwrap_or_else(|| (path.to_owned(), Arc::default()));
        let held = Arc::clone(&entry.1);
        all.push(entry);
        if all.len() > KEPT {
            all.remove(0);
        }
        held
    }
}

impl Log {
    /// At most `count` rows from `from` on; fewer at the end, and where they are long.
    pub(super) fn window(&self, from: u64, count: u64) -> io::Result<Vec<Row>> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        self.each(from, self.end, |row| {
            bytes += row.content.len() + 200;
            rows.push(row);
            (rows.len() as u64) < count && (rows.len() < FEWEST_ROWS || bytes < WINDOW_BYTES)
        })?;
        Ok(rows)
    }

    /// The first row at or after `from` that has what is sought; with `back`, the last at or before it.
    pub(super) fn search(&self, needle: &Needle, from: u64, back: bool) -> io::Result<Sought> {
        if back { self.search_back(needle, from) } else { self.search_on(needle, from) }
    }

    fn search_on(&self, needle: &Needle, from: u64) -> io::Result<Sought> {
        let (mut row, mut looked) = (from, 0);
        loop {
            let (block, next) = self.block(row)?;
            looked += block.len() as u64;
            if needle.may_be_in(&block)
                && let Some(found) =
                    self.rows_of(row, &block, next).find(|found| found.number >= from && has(needle, found))
            {
                return Ok(Sought::Found(found.number));
            }
            match next {
                None => return Ok(Sought::Nowhere),
                Some(next) if looked > SEARCHED_BYTES => return Ok(Sought::SoFar(next.row)),
                Some(next) => row = next.row,
            }
        }
    }

    fn search_back(&self, needle: &Needle, from: u64) -> io::Result<Sought> {
        let (mut row, mut looked) = (from.min(self.total), 0);
        while row > 0 {
            let (block, next) = self.block(row)?;
            looked += block.len() as u64;
            if needle.may_be_in(&block)
                && let Some(found) =
                    self.rows_of(row, &block, next).filter(|found| found.number <= from && has(needle, found)).last()
            {
                return Ok(Sought::Found(found.number));
            }
            row = lock(&self.held).index.seek(row).row.saturating_sub(1);
            if looked > SEARCHED_BYTES {
                return Ok(Sought::SoFar(row));
            }
        }
        Ok(Sought::Nowhere)
    }

    /// The bytes from the checkpoint at or before a row up to the next one, which is given too: whole rows.
    fn block(&self, row: u64) -> io::Result<(Vec<u8>, Option<Checkpoint>)> {
        let (begin, next) = {
            let held = lock(&self.held);
            (held.index.seek(row), held.index.after(row).filter(|next| next.offset < self.end))
        };
        let end = next.map_or(self.end, |next| next.offset);
        let size = usize::try_from(end.saturating_sub(begin.offset)).unwrap_or(usize::MAX);
        let bytes = self.file.as_ref().map(|file| read_at(file, begin.offset, size)).transpose()?;
        Ok((bytes.unwrap_or_default(), next))
    }

    /// The rows of such bytes.
    fn rows_of(&self, row: u64, block: &[u8], next: Option<Checkpoint>) -> impl Iterator<Item = Row> {
        let (mut rows, mut read) = (Rows::at(lock(&self.held).index.seek(row), ROW_BYTES), Vec::new());
        rows.push(block, &mut read);
        // Where another block follows, the other stream ends an open row.
        read.extend(rows.finish());
        read.into_iter().filter(move |row| next.is_none_or(|next| row.number < next.row))
    }

    /// Shows rows from `from` on, as long as `go_on` wants more.
    pub(super) fn each(&self, from: u64, end: u64, mut go_on: impl FnMut(Row) -> bool) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let checkpoint = lock(&self.held).index.seek(from);
        let mut at = checkpoint.offset;
        let (mut rows, mut read) = (Rows::at(checkpoint, ROW_BYTES), Vec::new());
        let mut wants_more = true;
        while wants_more && at < end {
            let size = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let bytes = read_at(file, at, size)?;
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            rows.push(&bytes, &mut read);
            for row in read.drain(..).filter(|row| row.number >= from) {
                wants_more = wants_more && go_on(row);
            }
        }
        if wants_more && let Some(row) = rows.finish().filter(|row| row.number >= from) {
            go_on(row);
        }
        Ok(())
    }

    /// The bytes of one row, whole, as they were printed.
    pub(super) fn whole_row(&self, number: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = &self.file else { return Ok(None) };
        let checkpoint = lock(&self.held).index.seek(number);
        let mut at = checkpoint.offset;
        let (mut rows, mut read) = (Rows::at(checkpoint, usize::MAX), Vec::new());
        let mut found = None;
        while found.is_none() && at < self.end {
            let bytes = read_at(file, at, PIECE)?;
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            rows.push(&bytes, &mut read);
            found = read.drain(..).find(|row| row.number == number).map(|row| row.content);
        }
        Ok(found.or_else(|| rows.finish().filter(|row| row.number == number).map(|row| row.content)))
    }
}

fn has(needle: &Needle, row: &Row) -> bool {
    match row.content.iter().any(|byte| byte.is_ascii_control()) {
        false => needle.is_in(&row.content),
        true => needle.is_in(terminal::plain(&row.content).as_bytes()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn entry(n: usize, text: &str) -> String {
        format!("2026-11-22T02:13:{:02}.000000000Z stdout F {text}\n", n % 60)
    }

    #[test]
    fn windows_of_a_log_that_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sh-1.log");
        let indexes = Indexes::default();
        assert_eq!(indexes.open(&path).unwrap().total, 0);
        let lines: String = (1..=5000).map(|n| entry(n, &format!("line {n}"))).collect();
        std::fs::write(&path, &lines).unwrap();
        let texts = |log: &Log, from, count| {
            let rows = log.window(from, count).unwrap();
            rows.iter().map(|row| String::from_utf8_lossy(&row.content).into_owned()).collect::<Vec<_>>()
        };
        let log = indexes.open(&path).unwrap();
        assert_eq!(log.total, 5000);
        assert_eq!(texts(&log, 4321, 2), ["line 4321", "line 4322"]);
        assert_eq!(texts(&log, 5000, 10), ["line 5000"]);
        assert_eq!(texts(&log, 6000, 10), Vec::<String>::new());
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(entry(1, "one more").as_bytes()).unwrap();
        file.write_all(b"2026-11-22T02:13:04.000000000Z stdout F torn").unwrap();
        let log = indexes.open(&path).unwrap();
        assert_eq!(log.total, 5001);
        assert_eq!(texts(&log, 5001, 10), ["one more"]);
        assert_eq!(log.whole_row(7).unwrap().unwrap(), b"line 7");
        let needle = |text| Needle::new(text);
        assert_eq!(log.search(&needle("LINE 77"), 1, false).unwrap(), Sought::Nowhere);
        assert_eq!(log.search(&needle("line 77"), 1, false).unwrap(), Sought::Found(77));
        assert_eq!(log.search(&needle("line 77"), 78, false).unwrap(), Sought::Found(770));
        assert_eq!(log.search(&needle("line 77"), 5001, true).unwrap(), Sought::Found(779));
        assert_eq!(log.search(&needle("line 77"), 76, true).unwrap(), Sought::Nowhere);
        std::fs::write(&path, entry(1, "replaced")).unwrap();
        assert_eq!(texts(&indexes.open(&path).unwrap(), 1, 10), ["replaced"]);
    }
}
