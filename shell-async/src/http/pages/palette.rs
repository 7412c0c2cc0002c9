//! The colours that builds print in, as classes of a style sheet: `f1` is the first of the 256 as text, `g1` as what is behind
//! text. No page has a style of its own: the Content-Security-Policy forbids it.
//!
//! A build chooses colours for a terminal that it does not see. Here each is moved towards black or white until it can be read
//! on the page's paper, in light and in dark (WCAG 2.2, 1.4.3: a contrast of 4.5).

use std::fmt::Write as _;

/// Red, green, blue.
type Rgb = [u8; 3];

/// The first sixteen, as xterm has them, a little calmer.
const BASIC: [Rgb; 16] = [
    [0x24, 0x29, 0x2e],
    [0xc0, 0x2b, 0x22],
    [0x1a, 0x7f, 0x37],
    [0x9a, 0x67, 0x00],
    [0x0b, 0x57, 0xd0],
    [0x8e, 0x24, 0xaa],
    [0x00, 0x7a, 0x87],
    [0x8c, 0x93, 0x9b],
    [0x6e, 0x77, 0x81],
    [0xe0, 0x4f, 0x45],
    [0x2d, 0xa4, 0x4e],
    [0xbf, 0x87, 0x00],
    [0x3b, 0x82, 0xf6],
    [0xb4, 0x5c, 0xd0],
    [0x1b, 0x9a, 0xaa],
    [0xd0, 0xd7, 0xde],
];

/// The darkest paper that stands behind a log in light, and the lightest in dark: chosen and failed rows are shaded.
const LIGHT_PAPER: Rgb = [0xf0, 0xe8, 0xe6];
const DARK_PAPER: Rgb = [0x2b, 0x1c, 0x1c];
/// What can be read.
const CONTRAST: f64 = 4.5;

/// The style sheet's part: text and background of each of the 256 colours, in light and in dark.
pub(super) fn sheet() -> String {
    let mut sheet = String::new();
    for n in 0..=255u8 {
        let _ = write!(sheet, ".log .f{n}{{color:{}}}", hex(readable(colour(n), LIGHT_PAPER)));
        let behind = colour(n);
        let text = if contrast(behind, [0; 3]) > contrast(behind, [255; 3]) { [0; 3] } else { [255; 3] };
        let _ = write!(sheet, ".log .g{n}{{background:{};color:{}}}", hex(behind), hex(text));
    }
    sheet.push_str("@media (prefers-color-scheme:dark){");
    for n in 0..=255u8 {
        let _ = write!(sheet, ".log .f{n}{{color:{}}}", hex(readable(colour(n), DARK_PAPER)));
    }
    // Text on a background of the build's own was decided above.
    for n in 0..=255u8 {
        let behind = colour(n);
        let text = if contrast(behind, [0; 3]) > contrast(behind, [255; 3]) { [0; 3] } else { [255; 3] };
        let _ = write!(sheet, ".log .g{n}{{color:{}}}", hex(text));
    }
    sheet.push_str("}\n");
    sheet
}

/// The nearest of the 256 to any colour.
pub(super) fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let step = |level: u8| match level {
        0..=47 => 0u8,
        48..=114 => 1,
        _ => (level - 35) / 40,
    };
    let (r, g, b) = (step(red), step(green), step(blue));
    let cube = 16 + 36 * r + 6 * g + b;
    let mean = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let grey = 232 + u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    let distance =
        |n: u8| colour(n).iter().zip([red, green, blue]).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>();
    if distance(grey) < distance(cube) { grey } else { cube }
}

/// One of xterm's 256.
fn colour(n: u8) -> Rgb {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match n {
        0..=15 => BASIC.get(usize::from(n)).copied().unwrap_or_default(),
        16..=231 => {
            let n = n - 16;
            [level(n / 36), level(n / 6 % 6), level(n % 6)]
        }
        232..=255 => [8 + 10 * (n - 232); 3],
    }
}

/// The colour, moved as little as is needed.
fn readable(colour: Rgb, paper: Rgb) -> Rgb {
    let towards: Rgb = if luminance(paper) > 0.18 { [0; 3] } else { [255; 3] };
    (0..=20u16)
        .map(|step| {
            let mut mixed = colour;
            for (own, end) in mixed.iter_mut().zip(towards) {
                *own = u8::try_from((u16::from(*own) * (20 - step) + u16::from(end) * step) / 20).unwrap_or(end);
            }
            mixed
        })
        .find(|mixed| contrast(*mixed, paper) >= CONTRAST)
        .unwrap_or(towards)
}

/// WCAG's contrast of two colours, 1 to 21.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// WCAG's relative luminance, 0 to 1.
fn luminance(colour: Rgb) -> f64 {
    let linear = |level: u8| {
        let level = f64::from(level) / 255.0;
        if level <= 0.04045 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = colour.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_can_be_read_on_every_paper() {
        for n in 0..=255 {
            for paper in [LIGHT_PAPER, DARK_PAPER, [255; 3], [0x12, 0x14, 0x16]] {
                let base = if luminance(paper) > 0.18 { LIGHT_PAPER } else { DARK_PAPER };
                assert!(contrast(readable(colour(n), base), paper) >= CONTRAST, "{n} on {paper:?}");
            }
            let behind = colour(n);
            assert!(contrast(behind, [0; 3]).max(contrast(behind, [255; 3])) >= CONTRAST, "{n}");
        }
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 0.01);
    }

    #[test]
    fn colours_have_neighbours() {
        for (rgb, n) in
            [([0, 0, 0], 16), ([255, 255, 255], 231), ([255, 0, 0], 196), ([128, 128, 128], 244), ([95, 135, 175], 67)]
        {
            assert_eq!(nearest(rgb[0], rgb[1], rgb[2]), n, "{rgb:?}");
        }
        assert_eq!(colour(244), [128; 3]);
    }
}
