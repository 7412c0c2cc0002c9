//! SGR sequences (ECMA-48 8.3.117, with ISO 8613-6's and xterm's colours): what they make of a style.

use super::{Colour, Style};

/// Bytes of parameters that a control sequence may have; one with more is dropped.
pub(super) const MOST_PARAMETERS: usize = 256;

/// The style after `content`, a whole row that begins in `style`. The same as `Line::of(..).end`, and quicker.
pub fn scan_style(content: &[u8], style: Style) -> Style {
    let mut pen = Pen::new(style);
    pen.feed(content);
    pen.style()
}

/// The style along one row that is given in pieces, cut anywhere.
#[derive(Debug, Clone, Default)]
pub struct Pen {
    style: Style,
    state: State,
    /// Of the control sequence that is under way.
    parameters: Vec<u8>,
}

/// No state for string sequences (OSC and its like): they end at an escape character at the latest, so none of them hides one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Text,
    Escape,
    Control,
}

impl Pen {
    /// At the beginning of a row.
    pub fn new(style: Style) -> Pen {
        Pen { style, ..Pen::default() }
    }

    /// At the beginning of another row.
    pub fn begin(&mut self, style: Style) {
        self.style = style;
        self.state = State::Text;
    }

    /// The style of what comes next.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Takes the row's next bytes.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            match self.state {
                State::Text => {
                    let Some(at) = memchr::memchr(0x1b, rest) else { return };
                    rest = rest.get(at + 1..).unwrap_or_default();
                    self.state = State::Escape;
                }
                State::Escape => match rest.split_first() {
                    None => return,
                    Some((b'[', after)) => {
                        self.parameters.clear();
                        self.state = State::Control;
                        rest = after;
                    }
                    Some((0x1b, after)) => rest = after,
                    Some(_) => self.state = State::Text,
                },
                State::Control => {
                    let length = parameters_length(rest);
                    let (parameters, after) = rest.split_at(length);
                    let room = (MOST_PARAMETERS + 1).saturating_sub(self.parameters.len());
                    self.parameters.extend(parameters.iter().take(room));
                    rest = after;
                    let Some(&last) = rest.first() else { return };
                    if last == b'm' {
                        self.style = applied(&self.parameters, self.style);
                    }
                    self.state = State::Text;
                }
            }
        }
    }
}

/// How many bytes at the beginning may stand between a control sequence's introducer and its last byte.
pub(super) fn parameters_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, 0x20..=0x3f)).unwrap_or(bytes.len())
}

/// What an SGR sequence with these parameters makes of a style. Parameters that are unknown, or no SGR parameters, change nothing.
pub(super) fn applied(parameters: &[u8], style: Style) -> Style {
    let known = parameters.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
    if !known || parameters.len() > MOST_PARAMETERS {
        return style;
    }
    let mut style = style;
    let mut rest = parameters.split(|&byte| byte == b';');
    while let Some(parameter) = rest.next() {
        let mut parts = parameter.split(|&byte| byte == b':');
        let code = number(parts.next());
        if parameter.contains(&b':') {
            match code {
                4 => style.underline = number(parts.next()) != 0,
                38 => set(&mut style.fg, colour_of_parts(parts)),
                48 => set(&mut style.bg, colour_of_parts(parts)),
                _ => {}
            }
            continue;
        }
        match code {
            38 => set(&mut style.fg, colour(&mut rest)),
            48 => set(&mut style.bg, colour(&mut rest)),
            // The colour of underlines: not shown, but it takes parameters.
            58 => _ = colour(&mut rest),
            _ => simple(code, &mut style),
        }
    }
    style
}

fn simple(code: u16, style: &mut Style) {
    let basic = |from: u16, first: u8| u8::try_from(code - from).ok().map(|at| Colour::Basic(first + at));
    match code {
        0 => *style = Style::default(),
        1 => style.bold = true,
        2 => style.dim = true,
        3 => style.italic = true,
        4 | 21 => style.underline = true,
        7 => style.inverse = true,
        9 => style.strike = true,
        22 => (style.bold, style.dim) = (false, false),
        23 => style.italic = false,
        24 => style.underline = false,
        27 => style.inverse = false,
        29 => style.strike = false,
        30..=37 => style.fg = basic(30, 0),
        39 => style.fg = None,
        40..=47 => style.bg = basic(40, 0),
        49 => style.bg = None,
        90..=97 => style.fg = basic(90, 8),
        100..=107 => style.bg = basic(100, 8),
        _ => {}
    }
}

fn set(slot: &mut Option<Colour>, colour: Option<Colour>) {
    if colour.is_some() {
        *slot = colour;
    }
}

/// `5;n` or `2;r;g;b`, taken from the parameters that follow.
fn colour<'a>(rest: &mut impl Iterator<Item = &'a [u8]>) -> Option<Colour> {
    match number(rest.next()) {
        5 => rest.next().and_then(byte).map(Colour::of_palette),
        2 => {
            let (red, green, blue) = (rest.next(), rest.next(), rest.next());
            Some(Colour::Rgb(red.and_then(byte)?, green.and_then(byte)?, blue.and_then(byte)?))
        }
        _ => None,
    }
}

/// `5:n`, `2:space:r:g:b`, or xterm's older `2:r:g:b`, all within one parameter.
fn colour_of_parts<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<Colour> {
    let parts: Vec<&[u8]> = parts.collect();
    match *parts.as_slice() {
        [kind, palette, ..] if number(Some(kind)) == 5 => byte(palette).map(Colour::of_palette),
        [kind, red, green, blue] | [kind, _, red, green, blue, ..] if number(Some(kind)) == 2 => {
            Some(Colour::Rgb(byte(red)?, byte(green)?, byte(blue)?))
        }
        _ => None,
    }
}

fn byte(text: &[u8]) -> Option<u8> {
    u8::try_from(number(Some(text))).ok()
}

/// A decimal number; 0 if there is none, the largest if it is too large.
pub(super) fn number(digits: Option<&[u8]>) -> u16 {
    let digits = digits.unwrap_or_default().iter().map(|digit| u16::from(digit.wrapping_sub(b'0')));
    digits.fold(0, |number: u16, digit| number.saturating_mul(10).saturating_add(digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Colour::{Basic, Palette, Rgb};

    fn fg(colour: Colour) -> Style {
        Style { fg: Some(colour), ..Style::default() }
    }

    fn bg(colour: Colour) -> Style {
        Style { bg: Some(colour), ..Style::default() }
    }

    #[track_caller]
    fn check(bytes: &str, begin: Style, end: Style) {
        assert_eq!(scan_style(bytes.as_bytes(), begin), end, "{bytes:?}");
        for cut in 0..=bytes.len() {
            let mut pen = Pen::new(begin);
            let (a, b) = bytes.as_bytes().split_at(cut);
            pen.feed(a);
            pen.feed(b);
            assert_eq!(pen.style(), end, "{bytes:?} at {cut}");
        }
        let mut pen = Pen::new(begin);
        bytes.as_bytes().chunks(1).for_each(|byte| pen.feed(byte));
        assert_eq!(pen.style(), end, "{bytes:?} byte by byte");
    }

    #[test]
    fn parameters_choose_a_style() {
        let plain = Style::default();
        let bold = Style { bold: true, ..plain };
        let underline = Style { underline: true, ..plain };
        for (parameters, style) in [
            ("", plain),
            ("0", plain),
            ("1", bold),
            ("01", bold),
            ("1;31", Style { bold: true, ..fg(Basic(1)) }),
            ("31;1;", plain),
            ("2", Style { dim: true, ..plain }),
            ("3", Style { italic: true, ..plain }),
            ("4", underline),
            ("21", underline),
            ("4:3", underline),
            ("4;4:0", plain),
            ("7", Style { inverse: true, ..plain }),
            ("9", Style { strike: true, ..plain }),
            ("8", plain),
            ("1;2;3;4;7;9;22;23;24;27;29", plain),
            ("37;47", Style { fg: Some(Basic(7)), ..bg(Basic(7)) }),
            ("37;39;47;49", plain),
            ("90", fg(Basic(8))),
            ("97;107", Style { fg: Some(Basic(15)), ..bg(Basic(15)) }),
            ("38;5;9", fg(Basic(9))),
            ("38;5;200", fg(Palette(200))),
            ("48;5;16;1", Style { bold: true, ..bg(Palette(16)) }),
            ("38;5;256", plain),
            ("38;2;1;2;3", fg(Rgb(1, 2, 3))),
            ("38;2;;;3;1", Style { bold: true, ..fg(Rgb(0, 0, 3)) }),
            ("48;2;300;1;1;4", underline),
            ("38;2;1", plain),
            ("38", plain),
            ("38;5", plain),
            ("38:5:200", fg(Palette(200))),
            ("38:2::1:2:3", fg(Rgb(1, 2, 3))),
            ("38:2:1:2:3", fg(Rgb(1, 2, 3))),
            ("48:2::1:2:3:0:1", bg(Rgb(1, 2, 3))),
            ("38:2:1:2", plain),
            ("38:7:1;1", bold),
            ("58;5;1;3", Style { italic: true, ..plain }),
            ("58;2;1;3;4;1", bold),
            ("58:2::1:3:4;1", bold),
            ("1:2", plain),
            ("5;6;10;53;73;999;65536;99999999999;1", bold),
            (">4;1", plain),
            ("?1", plain),
            ("1 ", plain),
        ] {
            check(&format!("\x1b[{parameters}m"), plain, style);
        }
        check("\x1b[m", fg(Basic(1)), plain);
        check("\x1b[8m", fg(Basic(1)), fg(Basic(1)));
    }

    #[test]
    fn only_whole_sgr_sequences_count() {
        let plain = Style::default();
        let red = fg(Basic(1));
        for (bytes, style) in [
            ("text", plain),
            ("a\x1b[31mb", red),
            ("\x1b\x1b[31m", red),
            ("\x1b[3\x1b[31m", red),
            ("\x1b]0;\x1b[31m", red),
            ("\x1b]8;;x\x1b\\\x1b[31m", red),
            ("\x1b(\x1b[31m", red),
            ("\x1b([31m", plain),
            ("\x1b[31", plain),
            ("\x1b[31K\x1b[", plain),
            ("\x1b[3ä1m", plain),
            ("\x1b[31\rm", plain),
            ("\u{9b}31m", plain),
            ("[31m", plain),
        ] {
            check(bytes, plain, style);
        }
        let long = format!("\x1b[{}1m", ";".repeat(MOST_PARAMETERS - 1));
        check(&long, plain, Style { bold: true, ..plain });
        check(&long.replace('1', "01"), plain, plain);
    }
}
