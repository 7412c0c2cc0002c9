//! The surface of rows in which nothing is written over, the most by far: what comes is appended.

use super::surface::{MOST_MARKS, Surface, append};
use super::tokens::Erase;
use super::{Span, Style};

/// Spans that grow at the right only.
pub(super) struct Straight {
    spans: Vec<Span>,
    /// Where the next character goes; never left of the extent.
    cursor: usize,
    extent: usize,
    most: usize,
    /// Marks on the last cell.
    marks: usize,
}

impl Straight {
    pub(super) fn new(most: usize) -> Straight {
        Straight { spans: Vec::new(), cursor: 0, extent: 0, most, marks: 0 }
    }

    fn blank(&mut self, from: usize, to: usize) {
        let count = to.min(self.most).saturating_sub(from);
        append(&mut self.spans, &" ".repeat(count), Style::default());
    }

    /// Fills what a tab stepped over, and goes on by `width` columns.
    fn advance(&mut self, width: usize) {
        self.blank(self.extent, self.cursor);
        self.cursor = self.cursor.saturating_add(width);
        self.extent = self.cursor;
        self.marks = 0;
    }
}

impl Surface for Straight {
    fn put(&mut self, c: char, width: usize, style: Style) {
        let at = self.cursor;
        self.advance(width);
        if self.extent <= self.most {
            append(&mut self.spans, c.encode_utf8(&mut [0; 4]), style);
        } else {
            self.blank(at, self.extent);
        }
    }

    fn put_ascii(&mut self, text: &str, style: Style) {
        if text.is_empty() {
            return;
        }
        let room = self.most.saturating_sub(self.cursor).min(text.len());
        self.advance(text.len());
        append(&mut self.spans, text.get(..room).unwrap_or_default(), style);
    }

    fn mark(&mut self, c: char) {
        let on_text = self.extent > 0 && self.cursor == self.extent && self.extent <= self.most;
        if on_text
            && self.marks < MOST_MARKS
            && let Some(last) = self.spans.last_mut()
        {
            last.text.push(c);
            self.marks += 1;
        }
    }

    fn cursor(&self) -> usize {
        self.cursor
    }

    fn extent(&self) -> usize {
        self.extent
    }

    fn move_to(&mut self, column: usize) -> bool {
        let possible = column >= self.cursor;
        self.cursor = self.cursor.max(column);
        possible
    }

    fn erase(&mut self, part: Erase) -> bool {
        part == Erase::Right
    }

    fn into_spans(self) -> Vec<Span> {
        self.spans
    }

    fn cut(&self) -> usize {
        self.extent.saturating_sub(self.most)
    }
}
