//! The colours that guests and tools name, on dark and on light: all of them can be read.

use egui::Color32;

use super::theme::{self, Palette};

/// The sixteen colours on a dark surface: black, red, green, yellow, blue, magenta, cyan, white; then bright.
const ON_DARK: [u32; 16] = [
    0x7a818e, 0xf47a7a, 0x5fc992, 0xe5a54b, 0x6aa2ff, 0xc78cf0, 0x5cc5d0, 0xd7dae0, //
    0x9aa1ad, 0xff9a9a, 0x86e0b0, 0xffc678, 0x96beff, 0xddb0ff, 0x8ae2ea, 0xffffff,
];
/// And on a light one.
const ON_LIGHT: [u32; 16] = [
    0x252931, 0xb8242b, 0x146c3c, 0x8a4f00, 0x1b59c4, 0x8230b4, 0x0b6678, 0x555d69, //
    0x454c57, 0x9e151c, 0x0d582f, 0x744200, 0x12459e, 0x6b2297, 0x075362, 0x0e1116,
];

/// The colour of index 0 to 255, as xterm numbers them: 16 names, a cube of 6×6×6, 24 greys.
#[must_use]
pub fn indexed(index: u8, dark: bool) -> Color32 {
    match index {
        0..=15 => {
            let hex = if dark { ON_DARK } else { ON_LIGHT }[usize::from(index)];
            #[allow(clippy::cast_possible_truncation, reason = "three bytes")]
            Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
        }
        16..=231 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let cube = index - 16;
            readable(Color32::from_rgb(level(cube / 36), level(cube / 6 % 6), level(cube % 6)), dark)
        }
        232..=255 => readable(Color32::from_gray(8 + 10 * (index - 232)), dark),
    }
}

/// A colour that the guest chose, moved towards the theme's text until it can be read.
#[must_use]
pub fn readable(colour: Color32, dark: bool) -> Color32 {
    let palette = Palette::when(dark);
    let mut mixed = colour;
    for part in [0.25, 0.5, 0.75, 1.0] {
        if theme::contrast(mixed, palette.sunken) >= 3.0 {
            break;
        }
        mixed = colour.lerp_to_gamma(palette.text, part);
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_colours_can_be_read_in_both_themes() {
        for dark in [true, false] {
            let behind = Palette::when(dark).sunken;
            for index in 0..=255 {
                let wanted = if index < 16 { 4.5 } else { 3.0 };
                let c = theme::contrast(indexed(index, dark), behind);
                assert!(c >= wanted, "dark {dark}: colour {index} has {c:.2}");
            }
        }
    }
}
