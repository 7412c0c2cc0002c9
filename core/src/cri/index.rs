//! Where in a log which row is: a sparse index, built in one pass.

use super::entries::Entries;
use super::rows::{Checkpoint, Joints};

/// Finds rows in a log that may be large, and may yet grow. Rows are what [`super::Rows`] reads.
///
/// Takes about a byte of memory for each KiB of log.
#[derive(Debug)]
pub struct RowIndex {
    entries: Entries,
    joints: Joints,
    /// In the order of rows; the first is the log's beginning.
    checkpoints: Vec<Checkpoint>,
    /// From which offset on a row is given a checkpoint.
    due: u64,
}

impl RowIndex {
    /// How many bytes of a log lie between checkpoints, or more where no row begins.
    pub const SPACING: u64 = 1 << 16;

    /// Of an empty log.
    pub fn new() -> RowIndex {
        let start = Checkpoint::START;
        let (entries, joints) = (Entries::new(start.offset), Joints::at(start));
        RowIndex { entries, joints, checkpoints: vec![start], due: RowIndex::SPACING }
    }

    /// Takes the log's next bytes, cut anywhere. They begin behind those of the last call.
    pub fn push(&mut self, bytes: &[u8]) {
        self.entries.push(bytes, |offset, entry| {
            if let Some(place) = self.joints.take(offset, &entry)
                && place.offset >= self.due
            {
                self.checkpoints.push(place);
                self.due = place.offset + RowIndex::SPACING;
            }
        });
    }

    /// Offset in the log up to which rows are counted: behind its last whole line, at most as many bytes as were pushed.
    pub fn bytes(&self) -> u64 {
        self.entries.offset()
    }

    /// How many rows there are up to there. The last may yet grow.
    pub fn rows(&self) -> u64 {
        self.joints.next_row() - 1
    }

    /// The first checkpoint behind a row.
    pub fn after(&self, row: u64) -> Option<Checkpoint> {
        self.checkpoints.get(self.checkpoints.partition_point(|checkpoint| checkpoint.row <= row)).copied()
    }

    /// The last checkpoint at or before a row; the last of all for rows beyond the end, the first for row 0.
    pub fn seek(&self, row: u64) -> Checkpoint {
        let after = self.checkpoints.partition_point(|checkpoint| checkpoint.row <= row);
        self.checkpoints.get(after.saturating_sub(1)).copied().unwrap_or(Checkpoint::START)
    }
}

impl Default for RowIndex {
    fn default() -> RowIndex {
        RowIndex::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::{Row, Rows, parse};
    use crate::terminal::{Line, Style};
    use crate::wire::Stream;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    /// Lines of a log, sound ones and others.
    #[derive(Debug, Clone)]
    struct Lines(Vec<Vec<u8>>);

    impl Lines {
        fn log(&self) -> Vec<u8> {
            self.0.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
        }
    }

    impl Arbitrary for Lines {
        fn arbitrary(g: &mut Gen) -> Lines {
            let line = |g: &mut Gen| {
                let pieces =
                    ["a", "bc ", "\x1b[31m", "\x1b[1m", "\x1b[", "3", "m", "\x1b[m", "\x1b]", "\x07", "ä", "\r"];
                let stream = g.choose(&["stdout", "stderr"]).unwrap();
                let flag = g.choose(&["F", "P", "P"]).unwrap();
                let time = format!("2026-11-22T02:13:{:02}.{:09}Z", u8::arbitrary(g) % 3 + 57, u16::arbitrary(g));
                let content: String = (0..u8::arbitrary(g) % 5).map(|_| *g.choose(&pieces).unwrap()).collect();
                let mut line = format!("{time} {stream} {flag} {content}").into_bytes();
                if u8::arbitrary(g).is_multiple_of(9) {
                    let at = usize::arbitrary(g) % line.len();
                    line[at] = u8::arbitrary(g).max(b'\n' + 1);
                }
                if u8::arbitrary(g).is_multiple_of(15) {
                    line.truncate(usize::arbitrary(g) % 45);
                }
                // A long line makes many checkpoints, a short one few.
                if u8::arbitrary(g).is_multiple_of(3) {
                    line.extend(std::iter::repeat_n(b'x', usize::from(u16::arbitrary(g))));
                }
                line
            };
            Lines((0..u8::arbitrary(g) % 40).map(|_| line(g)).collect())
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Lines>> {
            let lines = self.0.clone();
            Box::new((0..lines.len()).map(move |at| {
                let mut fewer = lines.clone();
                fewer.remove(at);
                Lines(fewer)
            }))
        }
    }

    /// Rows by their definition, from what [`parse`] reads.
    fn model(lines: &Lines) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut offset = 0;
        for line in &lines.0 {
            if let Ok(entry) = parse(line) {
                let joins = rows.last().is_some_and(|row| row.open && row.stream == entry.stream);
                if !joins {
                    let earlier = rows.iter().rfind(|row| row.stream == entry.stream);
                    let style = earlier.map_or(Style::PLAIN, |row| Line::of(&row.content, row.style, 0).end);
                    let continues = earlier.is_some_and(|row| row.open);
                    let number = rows.len() as u64 + 1;
                    let (at, stream) = (entry.at, entry.stream);
                    rows.push(Row {
                        number,
                        at,
                        stream,
                        continues,
                        open: true,
                        content: vec![],
                        left_out: 0,
                        offset,
                        style,
                    });
                }
                let row = rows.last_mut().unwrap();
                row.content.extend_from_slice(entry.content);
                row.open = !entry.full;
            }
            offset += line.len() as u64 + 1;
        }
        rows
    }

    fn read(log: &[u8], from: Checkpoint, piece: usize) -> Vec<Row> {
        let (mut rows, mut out) = (Rows::at(from, usize::MAX), Vec::new());
        let rest = &log[usize::try_from(from.offset).unwrap()..];
        rest.chunks(piece).for_each(|piece| rows.push(piece, &mut out));
        out.extend(rows.finish());
        out
    }

    quickcheck! {
        fn rows_are_the_models_from_every_checkpoint(lines: Lines, piece: u16, torn: bool) -> bool {
            let (mut log, rows) = (lines.log(), model(&lines));
            let end = log.len() as u64;
            if torn {
                log.extend_from_slice(b"2026-11-22T02:13:57.000000000Z stdout F torn");
            }
            let piece = usize::from(piece) + 1;
            let mut index = RowIndex::new();
            log.chunks(piece).for_each(|piece| index.push(piece));
            assert_eq!((index.bytes(), index.rows()), (end, rows.len() as u64));
            assert!(rows.len() < 2 || index.checkpoints.len() <= 1 + log.len() / (1 << 16));
            index.checkpoints.iter().all(|checkpoint| read(&log, *checkpoint, piece) == rows[usize::try_from(checkpoint.row).unwrap() - 1..])
                && (0..rows.len() as u64 + 2).all(|row| {
                    let found = index.seek(row);
                    let nearer = index.checkpoints.iter().any(|other| other.row > found.row && other.row <= row);
                    (found.row <= row || row == 0) && !nearer
                })
        }

        fn numbers_do_not_change_as_a_log_grows(lines: Lines, cut: usize) -> bool {
            let log = lines.log();
            let (mut index, cut) = (RowIndex::new(), cut % (log.len() + 1));
            index.push(&log[..cut]);
            let (rows, checkpoints) = (index.rows(), index.checkpoints.clone());
            index.push(&log[cut..]);
            index.rows() >= rows && index.checkpoints.starts_with(&checkpoints)
        }
    }

    #[test]
    fn checkpoints_are_sparse_and_lie_at_rows() {
        let entry =
            |stream: &str, flag: char| format!("2026-11-22T02:13:04.000000000Z {stream} {flag} {}\n", "x".repeat(59));
        let log = [entry("stdout", 'P').repeat(2000), entry("stderr", 'F').repeat(3000)].concat();
        let mut index = RowIndex::new();
        index.push(log.as_bytes());
        assert_eq!((index.rows(), index.bytes()), (3001, 500_000));
        let places: Vec<(u64, u64)> = index.checkpoints.iter().map(|place| (place.row, place.offset)).collect();
        assert_eq!(places, [(1, 0), (2, 200_000), (658, 265_600), (1314, 331_200), (1970, 396_800), (2626, 462_400)]);
        assert!(index.seek(700).state(Stream::Stdout).open);
        assert_eq!(index.seek(u64::MAX).row, 2626);
        assert!(size_of::<Checkpoint>() <= 64);
    }
}
