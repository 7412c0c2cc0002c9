//! The rows of a log: what people see as its numbered lines.
//!
//! Entries of one stream that follow each other directly are one row for as long as they are partial (`P`). So a row ends after
//! an entry that ends its line (`F`), and before an entry of the other stream; in the latter case its stream's line is left open,
//! and the stream's next row `continues` it. Rows count from 1. As a log grows, no number changes; the last row may yet grow.
//! Lines of the log that are no entries do not exist here, nor does the part after the last newline.
//!
//! Each stream has its own style (SGR sequences), which goes on from row to row; no other sequence reaches over a row's end.

use super::Entry;
use super::entries::Entries;
use crate::terminal::{Pen, Style};
use crate::time::Wall;
use crate::wire::Stream;

/// One row of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Counted from 1.
    pub number: u64,
    /// The time of its first entry.
    pub at: Wall,
    /// Which output.
    pub stream: Stream,
    /// It continues an earlier row of its stream, which was left open.
    pub continues: bool,
    /// Its line does not end with it: the stream's next row continues it, or, at the log's end, more may yet join.
    pub open: bool,
    /// Its bytes, without the newline; of a long row the first ones.
    pub content: Vec<u8>,
    /// How many bytes of content follow those.
    pub left_out: u64,
    /// Offset in the log of its first entry, in bytes.
    pub offset: u64,
    /// The style in which it begins. Sequences in content that was left out count for later rows.
    pub style: Style,
}

/// A place in a log, at a row's first entry, and what is to be known to read on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The number of the row that begins here, from 1.
    pub row: u64,
    /// Offset in the log, in bytes.
    pub offset: u64,
    /// Standard output before the row.
    pub stdout: StreamState,
    /// Standard error before the row.
    pub stderr: StreamState,
}

/// What earlier rows leave to a stream's next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamState {
    /// Its latest row was left open.
    pub open: bool,
    /// The style in which its next row begins.
    pub style: Style,
}

impl Checkpoint {
    /// The beginning of any log.
    pub const START: Checkpoint = {
        let style = Style::PLAIN;
        let state = StreamState { open: false, style };
        Checkpoint { row: 1, offset: 0, stdout: state, stderr: state }
    };

    /// What is known of one stream.
    pub fn state(&self, stream: Stream) -> StreamState {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }

    fn state_mut(&mut self, stream: Stream) -> &mut StreamState {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// Joins entries to rows: the one definition, for those who read rows and those who only count them.
#[derive(Debug)]
pub(super) struct Joints {
    /// Which row comes next, and what is known of the streams. The offset means nothing.
    next: Checkpoint,
    /// The stream of the latest row, if that may yet grow.
    growing: Option<Stream>,
    pen: Pen,
}

impl Joints {
    pub(super) fn at(checkpoint: Checkpoint) -> Joints {
        Joints { next: checkpoint, growing: None, pen: Pen::default() }
    }

    /// The number of the row that is begun next.
    pub(super) fn next_row(&self) -> u64 {
        self.next.row
    }

    /// Takes the next entry. Where it begins a row, gives the place.
    #[inline]
    pub(super) fn take(&mut self, offset: u64, entry: &Entry<'_>) -> Option<Checkpoint> {
        let begins = self.growing != Some(entry.stream);
        let place = begins.then_some(Checkpoint { offset, ..self.next });
        let state = self.next.state_mut(entry.stream);
        if begins {
            self.pen.begin(state.style);
        }
        self.pen.feed(entry.content);
        *state = StreamState { open: !entry.full, style: self.pen.style() };
        self.growing = state.open.then_some(entry.stream);
        self.next.row += u64::from(begins);
        place
    }
}

/// Reads rows from the bytes of a log, from any checkpoint on.
///
/// Holds one row and one entry at most.
#[derive(Debug)]
pub struct Rows {
    entries: Entries,
    joints: Joints,
    row: Option<Row>,
    most: usize,
}

impl Rows {
    /// For bytes that begin at the checkpoint's offset. `most`: how many bytes of content a row is given with.
    pub fn at(checkpoint: Checkpoint, most: usize) -> Rows {
        Rows { entries: Entries::new(checkpoint.offset), joints: Joints::at(checkpoint), row: None, most }
    }

    /// Takes the log's next bytes, cut anywhere; appends the rows that are known to be whole.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Row>) {
        self.entries.push(bytes, |offset, entry| {
            if let Some(place) = self.joints.take(offset, &entry) {
                out.extend(self.row.take());
                self.row = Some(Row::begun(place, &entry));
            }
            if let Some(row) = &mut self.row {
                row.add(entry.content, self.most);
                row.open = !entry.full;
            }
            if entry.full {
                out.extend(self.row.take());
            }
        });
    }

    /// The log ends here, for now: its last row, if that is open.
    pub fn finish(self) -> Option<Row> {
        self.row
    }
}

impl Row {
    fn begun(place: Checkpoint, entry: &Entry<'_>) -> Row {
        let StreamState { open: continues, style } = place.state(entry.stream);
        Row {
            number: place.row,
            at: entry.at,
            stream: entry.stream,
            continues,
            open: true,
            content: Vec::new(),
            left_out: 0,
            offset: place.offset,
            style,
        }
    }

    fn add(&mut self, content: &[u8], most: usize) {
        let room = most.saturating_sub(self.content.len()).min(content.len());
        let (kept, left_out) = content.split_at(room);
        self.content.extend_from_slice(kept);
        self.left_out += left_out.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Colour, Line};

    const LOG: &str = "2026-11-22T02:13:04.000000001Z stdout P a\n\
        2026-11-22T02:13:04.000000002Z stdout P b\n\
        2026-11-22T02:13:04.000000003Z stderr F \x1b[1mx\n\
        garbage\n\
        2026-11-22T02:13:04.000000004Z stdout F c\x1b[31m\n\
        2026-11-22T02:13:04.000000005Z stdout P \x1b[3\n\
        stdout\n\
        2026-11-22T02:13:04.000000006Z stdout F 2mgreen\n\
        2026-11-22T02:13:04.000000007Z stderr P y\n\
        2026-11-22T02:13:04.000000008Z stdout P z\n\
        2026-11-22T02:13:04.000000009Z stdout F torn";

    fn read(pieces: &[&[u8]], most: usize) -> Vec<Row> {
        let (mut rows, mut out) = (Rows::at(Checkpoint::START, most), Vec::new());
        pieces.iter().for_each(|piece| rows.push(piece, &mut out));
        out.extend(rows.finish());
        out
    }

    #[test]
    fn entries_join_to_rows_at_every_split() {
        use Stream::{Stderr, Stdout};
        let red = Style { fg: Some(Colour::Basic(1)), ..Style::PLAIN };
        let green = Style { fg: Some(Colour::Basic(2)), ..Style::PLAIN };
        let bold = Style { bold: true, ..Style::PLAIN };
        let whole = read(&[LOG.as_bytes()], 5);
        let base = |at: usize| whole[0].at.0 - 1 + i64::try_from(at).unwrap();
        let expected: Vec<Row> = [
            (1, Stdout, false, true, "ab", Style::PLAIN),
            (3, Stderr, false, false, "\x1b[1mx", Style::PLAIN),
            (4, Stdout, true, false, "c\x1b[31m", Style::PLAIN),
            (5, Stdout, false, false, "\x1b[32mgreen", red),
            (7, Stderr, false, true, "y", bold),
            (8, Stdout, false, true, "z", green),
        ]
        .iter()
        .zip(1..)
        .map(|(&(entry, stream, continues, open, content, style), number)| {
            let offset = LOG.find(&format!("{entry}Z std")).unwrap() as u64 - 28;
            let kept = content.len().min(5);
            let left_out = (content.len() - kept) as u64;
            let content = content.as_bytes()[..kept].to_vec();
            Row { number, at: Wall(base(entry)), stream, continues, open, content, left_out, offset, style }
        })
        .collect();
        assert_eq!(whole, expected);
        for split in 0..=LOG.len() {
            let (a, b) = LOG.as_bytes().split_at(split);
            assert_eq!(read(&[a, b], 5), whole, "split at {split}");
        }
        assert_eq!(read(&LOG.as_bytes().chunks(1).collect::<Vec<_>>(), 5), whole);
    }

    #[test]
    fn the_next_row_begins_in_the_style_in_which_a_line_ends() {
        let rows = read(&[LOG.as_bytes()], 1000);
        assert_eq!(Line::of(&rows[3].content, rows[3].style, 100).end, rows[5].style);
    }

    #[test]
    fn a_line_that_is_too_long_is_none_at_every_split() {
        let head = "2026-11-22T02:13:04.000000001Z stdout F ";
        let line = |length: usize| format!("{head}{}\n", "x".repeat(length - head.len()));
        let longest = crate::cri::entries::LONGEST_LINE;
        let log = format!("{}{}{}", line(longest), line(longest + 1), line(50));
        for piece in [log.len(), 1000, longest, longest + 1, longest + 2] {
            let pieces: Vec<&[u8]> = log.as_bytes().chunks(piece).collect();
            let lengths: Vec<usize> =
                read(&pieces, usize::MAX).iter().map(|row| row.content.len() + head.len()).collect();
            assert_eq!(lengths, [longest, 50], "pieces of {piece}");
        }
    }
}
