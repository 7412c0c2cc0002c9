//! What a terminal would show of one row of a log: bytes of any kind in, styled text out that can harm no one.
//!
//! Owns the meaning of control characters and escape sequences within one row. What a row is, and in which style it begins, is
//! [`crate::cri`]'s; how a style looks is its viewer's.
//!
//! Of a row stay its text and its SGR styles. Carriage return, backspace, tab, and the sequences that move the cursor within the
//! row or erase parts of it are obeyed; every other sequence and control character goes, as do characters that turn the
//! direction of what follows. Nothing is hidden that a terminal would show; concealed text is shown.

mod grid;
mod line;
mod sgr;
mod straight;
mod style;
mod surface;
mod tokens;

pub use line::{Line, Span, plain, reorders};
pub use sgr::{Pen, scan_style};
pub use style::{Colour, Style};
