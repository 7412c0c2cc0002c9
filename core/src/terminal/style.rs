//! How a piece of text looks: what SGR sequences choose.

/// A colour, as a terminal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    /// One of the theme's own, 0 to 15: black, red, green, yellow, blue, magenta, cyan, white, then the same bright.
    Basic(u8),
    /// One of xterm's palette, 16 to 255: a cube of 6 by 6 by 6 colours, then 24 greys.
    Palette(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl Colour {
    /// By its number in xterm's palette of 256.
    pub fn of_palette(number: u8) -> Colour {
        if number < 16 { Colour::Basic(number) } else { Colour::Palette(number) }
    }
}

/// The style of a piece of text. The default is a terminal's plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Style {
    /// The text's colour; `None`: the theme's.
    pub fg: Option<Colour>,
    /// The colour behind it; `None`: the theme's.
    pub bg: Option<Colour>,
    /// Heavier.
    pub bold: bool,
    /// Fainter.
    pub dim: bool,
    /// Slanted.
    pub italic: bool,
    /// With a line under it.
    pub underline: bool,
    /// With both colours exchanged.
    pub inverse: bool,
    /// Struck through.
    pub strike: bool,
}

impl Style {
    /// The default.
    pub const PLAIN: Style = Style {
        fg: None,
        bg: None,
        bold: false,
        dim: false,
        italic: false,
        underline: false,
        inverse: false,
        strike: false,
    };
}
