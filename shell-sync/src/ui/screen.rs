//! A place to write to that has a size.

use std::io::{self, Write};

use rustix::termios::tcgetwinsize;

use super::options::Sink;

/// Columns and rows, both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

impl Size {
    /// What is taken where a terminal does not tell.
    pub const USUAL: Size = Size { columns: 80, rows: 24 };
}

/// A terminal, or what stands for one in a test.
pub trait Screen: Write {
    /// Its size now.
    fn size(&self) -> Size;
}

/// One of this process's outputs. A text is handed on whole, in one write where the machine takes it.
#[derive(Debug, Clone, Copy)]
pub struct Terminal(pub Sink);

impl Write for Terminal {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self.0 {
            Sink::Stdout => io::stdout().write(text),
            Sink::Stderr => io::stderr().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {
            Sink::Stdout => io::stdout().flush(),
            Sink::Stderr => io::stderr().flush(),
        }
    }
}

impl Screen for Terminal {
    fn size(&self) -> Size {
        let told = match self.0 {
            Sink::Stdout => tcgetwinsize(io::stdout()),
            Sink::Stderr => tcgetwinsize(io::stderr()),
        };
        match told {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: usize::from(size.ws_col), rows: usize::from(size.ws_row) }
            }
            _ => Size::USUAL,
        }
    }
}
