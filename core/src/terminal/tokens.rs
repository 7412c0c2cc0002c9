//! A row's bytes cut into text, the control characters that matter, and control sequences; all else is dropped.

use super::sgr::{number, parameters_length};

/// One piece of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Bytes without any ASCII control character; never empty.
    Text(&'a [u8]),
    Return,
    Backspace,
    Tab,
    /// `m`, with its parameters.
    Style(&'a [u8]),
    /// To a column, counted from 0.
    Column(usize),
    Right(usize),
    Left(usize),
    Erase(Erase),
}

/// A part of the row, seen from the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Erase {
    /// From the cursor on.
    Right,
    /// Up to the cursor, and what is under it.
    Left,
    All,
}

/// Gives the tokens of a row.
///
/// A string sequence (OSC, DCS, SOS, PM, APC) is one if it ends within the row, with BEL or ST and without an escape, CAN or SUB
/// character before that. Of any other only the introducer goes, so that none swallows text that was not meant for it.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(super) fn of(content: &'a [u8]) -> Tokens<'a> {
        Tokens { rest: content }
    }

    fn advance(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// After an escape character.
    fn sequence(&mut self) -> Option<Token<'a>> {
        match self.rest.first() {
            Some(b'[') => {
                self.advance(1);
                return self.control_sequence();
            }
            Some(b']' | b'P' | b'X' | b'^' | b'_') => {
                self.advance(1);
                let end = self.rest.iter().position(|byte| matches!(byte, 0x07 | 0x18 | 0x1a | 0x1b));
                let end = end.map(|at| (at, self.rest.get(at..).unwrap_or_default()));
                match end {
                    Some((at, [0x07, ..])) => _ = self.advance(at + 1),
                    Some((at, [0x1b, b'\\', ..])) => _ = self.advance(at + 2),
                    _ => {}
                }
            }
            Some(0x20..=0x2f) => {
                let length = self.rest.iter().position(|byte| !matches!(byte, 0x20..=0x2f)).unwrap_or(self.rest.len());
                self.advance(length);
                if matches!(self.rest.first(), Some(0x30..=0x7e)) {
                    self.advance(1);
                }
            }
            Some(0x30..=0x7e) => _ = self.advance(1),
            _ => {}
        }
        None
    }

    /// After a control sequence's introducer.
    fn control_sequence(&mut self) -> Option<Token<'a>> {
        let parameters = self.advance(parameters_length(self.rest));
        let last = *self.rest.first().filter(|byte| matches!(byte, 0x40..=0x7e))?;
        self.advance(1);
        if last == b'm' {
            return Some(Token::Style(parameters));
        }
        let first = parameters.split(|&byte| byte == b';').next().unwrap_or_default();
        if !first.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let count = usize::from(number(Some(first)));
        match (last, count) {
            (b'G' | b'`', _) => Some(Token::Column(count.saturating_sub(1))),
            (b'C', _) => Some(Token::Right(count.max(1))),
            (b'D', _) => Some(Token::Left(count.max(1))),
            // To erase the screen from the cursor on is, in a row, the same.
            (b'K' | b'J', 0) => Some(Token::Erase(Erase::Right)),
            (b'K', 1) => Some(Token::Erase(Erase::Left)),
            (b'K', 2) => Some(Token::Erase(Erase::All)),
            _ => None,
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let token = match self.rest.first()? {
                0x1b => {
                    self.advance(1);
                    self.sequence()
                }
                byte if is_control(byte) => match self.advance(1) {
                    b"\r" => Some(Token::Return),
                    b"\x08" => Some(Token::Backspace),
                    b"\t" => Some(Token::Tab),
                    _ => None,
                },
                _ => {
                    let length = self.rest.iter().position(is_control).unwrap_or(self.rest.len());
                    Some(Token::Text(self.advance(length)))
                }
            };
            if token.is_some() {
                return token;
            }
        }
    }
}

fn is_control(byte: &u8) -> bool {
    byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Token::{Backspace, Column, Left, Return, Right, Tab};

    #[test]
    fn rows_are_cut_into_tokens() {
        let text = |text: &'static str| Token::Text(text.as_bytes());
        let style = |parameters: &'static str| Token::Style(parameters.as_bytes());
        for (row, tokens) in [
            ("", vec![]),
            ("a\tb\r\x08c", vec![text("a"), Tab, text("b"), Return, Backspace, text("c")]),
            ("a\0\x07\x0e\x7fb", vec![text("a"), text("b")]),
            ("\x1b[1;31mx\x1b[m", vec![style("1;31"), text("x"), style("")]),
            ("\x1b[5G\x1b[G\x1b[3`", vec![Column(4), Column(0), Column(2)]),
            ("\x1b[5C\x1b[0C\x1b[C\x1b[2D", vec![Right(5), Right(1), Right(1), Left(2)]),
            ("\x1b[99999999C", vec![Right(65535)]),
            ("\x1b[K\x1b[0K\x1b[J", vec![Token::Erase(Erase::Right); 3]),
            ("\x1b[1K\x1b[2K\x1b[3K\x1b[?K", vec![Token::Erase(Erase::Left), Token::Erase(Erase::All)]),
            ("\x1b[2J\x1b[H\x1b[2A\x1b[?25lx\x1b[1;2H", vec![text("x")]),
            ("\x1bc\x1b7\x1b(Bx\x1b#8y", vec![text("x"), text("y")]),
            ("\x1b[3ä", vec![text("ä")]),
            ("\x1b[31", vec![]),
            ("\x1b", vec![]),
            ("\x1b\x1b[mx", vec![style(""), text("x")]),
            ("\x1b]0;title\x07after", vec![text("after")]),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", vec![text("link")]),
            ("\x1bPq#0\t1\x1b\\x\x1b_G\x1b\\\x1b^p\x1b\\\x1bXs\x1b\\", vec![text("x")]),
            ("\x1b]0;never ends", vec![text("0;never ends")]),
            ("\x1b]0;cut\x1b[mx", vec![text("0;cut"), style(""), text("x")]),
            ("\x1b]0;cut\x18x\x07y", vec![text("0;cut"), text("x"), text("y")]),
            ("\x1b]\x1b]\x1b]a\x07b", vec![text("b")]),
        ] {
            assert_eq!(Tokens::of(row.as_bytes()).collect::<Vec<_>>(), tokens, "{row:?}");
        }
    }
}
