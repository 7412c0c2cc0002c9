//! Cells that can be written over: for rows that go back, as progress bars do.

use std::collections::BTreeMap;

use super::surface::{MOST_MARKS, Surface, append};
use super::tokens::Erase;
use super::{Span, Style};

/// A row of cells, as many as are asked for at most; what is beyond is counted only.
///
/// Every operation takes constant time on average. So erasing at the left, which could be asked for again and again, only notes
/// down what was erased when; cells know when they were written.
#[derive(Debug)]
pub(super) struct Grid {
    /// Up to the extent, or to `most`.
    cells: Vec<Cell>,
    /// What stands on a cell, by its column; some are left over from a cell that is no more.
    marks: BTreeMap<usize, String>,
    cursor: usize,
    extent: usize,
    most: usize,
    /// How many times something was erased at the left.
    erasures: u64,
    /// Those that still matter: how many columns, by which erasure. Later ones have fewer columns.
    erased: Vec<(usize, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    holds: Holds,
    style: Style,
    /// After how many erasures it was written.
    written: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    Char(char),
    /// The right part of the character in the cell before.
    RightPart,
}

impl Grid {
    pub(super) fn new(most: usize) -> Grid {
        let (cells, marks, erased) = (Vec::new(), BTreeMap::new(), Vec::new());
        Grid { cells, marks, cursor: 0, extent: 0, most, erasures: 0, erased }
    }

    fn holds(&self, column: usize) -> Holds {
        self.cells.get(column).map_or(Holds::Nothing, |cell| cell.holds)
    }

    fn set(&mut self, column: usize, holds: Holds, style: Style) {
        let written = self.erasures;
        if let Some(cell) = self.cells.get_mut(column) {
            *cell = Cell { holds, style, written };
        }
    }

    /// Of a character that reaches over the border before `column`, nothing stays.
    fn part(&mut self, column: usize) {
        if self.holds(column) == Holds::RightPart {
            self.set(column, Holds::Nothing, Style::default());
            self.set(column.saturating_sub(1), Holds::Nothing, Style::default());
        }
    }

    fn is_erased(&self, column: usize, cell: &Cell) -> bool {
        // The latest erasure that reaches the column.
        let latest = self.erased.partition_point(|(columns, _)| *columns > column);
        let latest = latest.checked_sub(1).and_then(|at| self.erased.get(at));
        latest.is_some_and(|(_, erasure)| cell.written < *erasure)
    }

    fn erase_left(&mut self) {
        let columns = self.cursor.saturating_add(1);
        if columns >= self.extent {
            return self.clear();
        }
        self.part(columns);
        self.erasures += 1;
        let columns = columns.min(self.most);
        while self.erased.last().is_some_and(|(fewer, _)| *fewer <= columns) {
            self.erased.pop();
        }
        self.erased.push((columns, self.erasures));
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.marks.clear();
        self.erased.clear();
        self.extent = 0;
    }
}

impl Surface for Grid {
    fn put(&mut self, c: char, width: usize, style: Style) {
        let (from, to) = (self.cursor, self.cursor.saturating_add(width));
        self.cursor = to;
        self.extent = self.extent.max(to);
        let length = self.extent.min(self.most);
        if self.cells.len() < length {
            let blank = Cell { holds: Holds::Nothing, style: Style::default(), written: self.erasures };
            self.cells.resize(length, blank);
        }
        if from >= self.most {
            return;
        }
        self.part(from);
        self.part(to);
        if !self.marks.is_empty() {
            (from..to).for_each(|column| _ = self.marks.remove(&column));
        }
        let fits = to <= self.most;
        self.set(from, if fits { Holds::Char(c) } else { Holds::Nothing }, if fits { style } else { Style::default() });
        for column in from + 1..to.min(self.most) {
            self.set(column, Holds::RightPart, style);
        }
    }

    fn mark(&mut self, c: char) {
        let Some(mut column) = self.cursor.checked_sub(1) else { return };
        if self.cursor > self.extent {
            return;
        }
        while self.holds(column) == Holds::RightPart && column > 0 {
            column -= 1;
        }
        if matches!(self.holds(column), Holds::Char(_)) {
            let marks = self.marks.entry(column).or_default();
            if marks.chars().count() < MOST_MARKS {
                marks.push(c);
            }
        }
    }

    fn cursor(&self) -> usize {
        self.cursor
    }

    fn extent(&self) -> usize {
        self.extent
    }

    fn move_to(&mut self, column: usize) -> bool {
        self.cursor = column;
        true
    }

    fn erase(&mut self, part: Erase) -> bool {
        match part {
            Erase::Right => {
                self.part(self.cursor);
                self.cells.truncate(self.cursor);
                self.extent = self.extent.min(self.cursor);
            }
            Erase::Left => self.erase_left(),
            Erase::All => self.clear(),
        }
        true
    }

    fn into_spans(self) -> Vec<Span> {
        let mut spans = Vec::new();
        for (column, cell) in self.cells.iter().enumerate() {
            match cell.holds {
                Holds::Char(c) if !self.is_erased(column, cell) => {
                    append(&mut spans, c.encode_utf8(&mut [0; 4]), cell.style);
                    if let Some(marks) = self.marks.get(&column) {
                        append(&mut spans, marks, cell.style);
                    }
                }
                Holds::RightPart if !self.is_erased(column, cell) => {}
                _ => append(&mut spans, " ", Style::default()),
            }
        }
        spans
    }

    fn cut(&self) -> usize {
        self.extent.saturating_sub(self.most)
    }
}
