//! What a row is laid out on.

use super::tokens::Erase;
use super::{Span, Style};

/// Marks without a width of their own that a cell keeps; more of them are dropped.
pub(super) const MOST_MARKS: usize = 8;

/// Where a row is laid out.
pub(super) trait Surface {
    /// Writes one character `width` columns wide at the cursor.
    fn put(&mut self, c: char, width: usize, style: Style);

    /// Writes printable ASCII characters.
    fn put_ascii(&mut self, text: &str, style: Style) {
        text.chars().for_each(|c| self.put(c, 1, style));
    }

    /// Adds a character without a width to what is before the cursor.
    fn mark(&mut self, c: char);

    fn cursor(&self) -> usize;

    /// One past the last column that is written.
    fn extent(&self) -> usize;

    /// `false`: it cannot.
    fn move_to(&mut self, column: usize) -> bool;

    /// `false`: it cannot.
    fn erase(&mut self, part: Erase) -> bool;

    fn into_spans(self) -> Vec<Span>;

    /// Columns beyond the most that are kept.
    fn cut(&self) -> usize;
}

/// Adds text at the right.
pub(super) fn append(spans: &mut Vec<Span>, text: &str, style: Style) {
    match spans.last_mut() {
        _ if text.is_empty() => {}
        Some(last) if last.style == style => last.text.push_str(text),
        _ => spans.push(Span { text: text.to_owned(), style }),
    }
}
