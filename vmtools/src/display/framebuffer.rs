//! The picture that a source is painting, before it is published: BGRX, as QEMU has it and sends it cheapest.

use std::io::IoSliceMut;

use crate::display::Rect;
use crate::display::tiles::{Tiles, bits};

/// The longest side that is accepted, pixels: what textures have. The guest chooses the size, so there must be an end.
pub(crate) const MAX_SIDE: usize = 16_384;
/// The largest picture that is accepted, pixels: 8K, of which every copy takes 133 MB.
pub(crate) const MAX_PIXELS: usize = 7680 * 4320;

/// Pixels, blue first, whose fourth byte means nothing, with what has changed since the last [`Framebuffer::clear_damage`].
#[derive(Debug)]
pub(crate) struct Framebuffer {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 4]>,
    damage: Tiles,
    /// Which pixels were never painted, until all are.
    missing: Option<Missing>,
}

/// The pixels of a picture that were never painted: a bit each, every row beginning with a word.
#[derive(Debug)]
struct Missing {
    words: Vec<u64>,
    count: usize,
}

impl Missing {
    fn all(width: usize, height: usize) -> Self {
        Self { words: vec![u64::MAX; width.div_ceil(64) * height], count: width * height }
    }

    /// The pixels from `start` to before `end` of a row of `width` are painted.
    fn paint(&mut self, width: usize, row: usize, start: usize, end: usize) {
        let line = row * width.div_ceil(64);
        let mut at = start;
        while at < end {
            let (bit, stop) = (at % 64, end.min((at / 64 + 1) * 64));
            let mask = bits(bit, bit + stop - at);
            let word = &mut self.words[line + at / 64];
            self.count -= (*word & mask).count_ones() as usize;
            *word &= !mask;
            at = stop;
        }
    }
}

impl Framebuffer {
    /// A black picture of that size, or `None` when it is too large.
    pub(crate) fn new(width: usize, height: usize) -> Option<Self> {
        let sane = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
        let count = width.checked_mul(height).filter(|&count| sane && count <= MAX_PIXELS)?;
        let (damage, missing) = (Tiles::new(width, height), Some(Missing::all(width, height)));
        Some(Self { width, height, pixels: vec![[0; 4]; count], damage, missing })
    }

    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Whether every pixel was painted since the size was set.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_none()
    }

    /// What has changed since [`Framebuffer::clear_damage`].
    pub(crate) fn damage(&self) -> &Tiles {
        &self.damage
    }

    pub(crate) fn clear_damage(&mut self) {
        self.damage.clear();
    }

    pub(crate) fn is_damaged(&self) -> bool {
        !self.damage.is_empty()
    }

    /// Whether `rect` lies inside.
    pub(crate) fn fits(&self, rect: Rect) -> bool {
        rect.x + rect.width <= self.width && rect.y + rect.height <= self.height
    }

    /// The pixels of `rect`, which fits, in its row `row`: to paint on. [`Framebuffer::touch`] tells that they changed.
    pub(crate) fn row(&mut self, rect: Rect, row: usize) -> &mut [[u8; 4]] {
        let start = (rect.y + row) * self.width + rect.x;
        &mut self.pixels[start..start + rect.width]
    }

    /// All rows of `rect`, which fits, as one piece, if it is as wide as the picture.
    pub(crate) fn rows(&mut self, rect: Rect) -> Option<&mut [[u8; 4]]> {
        let start = rect.y * self.width;
        (rect.width == self.width).then(|| &mut self.pixels[start..start + rect.area()])
    }

    /// The rows of `rect`, which fits, each by itself, as bytes.
    pub(crate) fn rows_apart(&mut self, rect: Rect) -> Vec<IoSliceMut<'_>> {
        let rows = self.pixels.chunks_mut(self.width.max(1)).skip(rect.y).take(rect.height);
        rows.map(|row| IoSliceMut::new(row[rect.x..rect.x + rect.width].as_flattened_mut())).collect()
    }

    /// `rect`, which fits, was painted as it was before: nothing has changed by it.
    pub(crate) fn seen(&mut self, rect: Rect) {
        if self.is_whole() {
            return;
        }
        self.touch(rect);
    }

    /// `rect`, which fits, was painted.
    pub(crate) fn touch(&mut self, rect: Rect) {
        if let Some(missing) = &mut self.missing {
            for row in rect.y..rect.y + rect.height {
                missing.paint(self.width, row, rect.x, rect.x + rect.width);
            }
            if missing.count == 0 {
                self.missing = None;
            }
        }
        self.damage.mark(rect);
    }

    /// Paints `rect` with `bgrx`, four bytes a pixel, blue first. What does not fit is left out; says whether it fitted.
    pub(crate) fn paint(&mut self, rect: Rect, bgrx: &[u8]) -> bool {
        if !self.fits(rect) || bgrx.len() != rect.area() * 4 || rect.area() == 0 {
            return false;
        }
        for (row, line) in bgrx.as_chunks::<4>().0.chunks_exact(rect.width).enumerate() {
            self.row(rect, row).copy_from_slice(line);
        }
        self.touch(rect);
        true
    }

    /// Copies `from` to the place of `to`, which has the same size; they may overlap. Says whether it fitted.
    pub(crate) fn copy(&mut self, to: Rect, from: Rect) -> bool {
        if !self.fits(to) || !self.fits(from) || (to.width, to.height) != (from.width, from.height) || to.area() == 0 {
            return false;
        }
        let down = to.y > from.y;
        for row in 0..to.height {
            let row = if down { to.height - 1 - row } else { row };
            let source = (from.y + row) * self.width + from.x;
            let target = (to.y + row) * self.width + to.x;
            self.pixels.copy_within(source..source + to.width, target);
        }
        self.touch(to);
        true
    }

    /// Copies `rect`, which fits, to `rgba`, a picture of the same size: red first, opaque.
    pub(crate) fn copy_as_rgba(&self, rgba: &mut [u8], rect: Rect) {
        for row in rect.y..rect.y + rect.height {
            let start = row * self.width + rect.x;
            let from = &self.pixels[start..start + rect.width];
            let to = &mut rgba.as_chunks_mut::<4>().0[start..start + rect.width];
            for (to, from) in to.iter_mut().zip(from) {
                // As a number, so that the compiler does several pixels at once.
                let bgrx = u32::from_le_bytes(*from);
                let rgba = bgrx & 0xff00 | bgrx >> 16 & 0xff | (bgrx & 0xff) << 16 | 0xff00_0000;
                *to = rgba.to_le_bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: usize, y: usize, width: usize, height: usize) -> Rect {
        Rect { x, y, width, height }
    }

    fn rgba(buffer: &Framebuffer) -> Vec<u8> {
        let (width, height) = buffer.size();
        let mut rgba = vec![7; width * height * 4];
        buffer.copy_as_rgba(&mut rgba, rect(0, 0, width, height));
        rgba
    }

    fn red(buffer: &Framebuffer) -> Vec<u8> {
        rgba(buffer).chunks_exact(4).map(|p| p[0]).collect()
    }

    #[test]
    fn paints_with_the_right_colours() {
        let mut buffer = Framebuffer::new(2, 2).unwrap();
        assert_eq!(rgba(&buffer), [0, 0, 0, 255].repeat(4));
        assert!(buffer.paint(rect(1, 0, 1, 2), &[1, 2, 3, 0, 4, 5, 6, 0]));
        assert_eq!(rgba(&buffer), [0, 0, 0, 255, 3, 2, 1, 255, 0, 0, 0, 255, 6, 5, 4, 255]);
        assert!(buffer.paint(rect(1, 0, 1, 2), &[1, 2, 3, 0, 4, 5, 6, 0]));
        assert!(!buffer.is_whole(), "painted twice is not painted all over");
        assert_eq!(buffer.damage().rects(), [rect(0, 0, 2, 2)]);
        buffer.clear_damage();
        assert!(!buffer.is_damaged());
        assert!(buffer.copy(rect(0, 0, 1, 2), rect(1, 0, 1, 2)));
        assert_eq!(red(&buffer), [3, 3, 6, 6]);
        assert!(buffer.is_whole());
    }

    #[test]
    fn overlapping_copies_go_both_ways() {
        let mut buffer = Framebuffer::new(1, 4).unwrap();
        let column: Vec<u8> = [1, 2, 3, 4].iter().flat_map(|&v| [0, 0, v, 0]).collect();
        assert!(buffer.paint(rect(0, 0, 1, 4), &column));
        assert!(buffer.copy(rect(0, 1, 1, 3), rect(0, 0, 1, 3)));
        assert_eq!(red(&buffer), [1, 1, 2, 3]);
        assert!(buffer.copy(rect(0, 0, 1, 3), rect(0, 1, 1, 3)));
        assert_eq!(red(&buffer), [1, 2, 3, 3]);
    }

    #[test]
    fn the_size_has_an_end() {
        assert!(Framebuffer::new(0, 5).is_none());
        assert!(Framebuffer::new(65_535, 65_535).is_none());
        assert!(Framebuffer::new(MAX_SIDE + 1, 1).is_none() && Framebuffer::new(1, MAX_SIDE).is_some());
        assert!(Framebuffer::new(usize::MAX, 2).is_none());
        assert!(Framebuffer::new(7680, 4320).is_some() && Framebuffer::new(4320, 7680).is_some());
        assert!(Framebuffer::new(7680, 4321).is_none() && Framebuffer::new(8192, 8192).is_none());
    }

    proptest! {
        #[test]
        fn nothing_paints_outside(
            x in 0_usize..20, y in 0_usize..20, w in 0_usize..20, h in 0_usize..20, bytes in 0_usize..2000,
        ) {
            let mut buffer = Framebuffer::new(10, 10).unwrap();
            let fits = x + w <= 10 && y + h <= 10 && w * h > 0;
            prop_assert_eq!(buffer.paint(rect(x, y, w, h), &vec![9; bytes]), fits && bytes == w * h * 4);
            prop_assert_eq!(buffer.copy(rect(x, y, w, h), rect(0, 0, w, h)), fits);
        }

        #[test]
        fn whole_is_when_every_pixel_was_painted(
            rects in proptest::collection::vec((0_usize..150, 0_usize..3, 1_usize..150, 1_usize..3), 0..40),
        ) {
            let mut buffer = Framebuffer::new(150, 3).unwrap();
            let mut seen = [[false; 150]; 3];
            for (x, y, w, h) in rects {
                let Some(at) = rect(x, y, w, h).clipped(150, 3) else { continue };
                buffer.touch(at);
                for row in &mut seen[at.y..at.y + at.height] {
                    row[at.x..at.x + at.width].fill(true);
                }
                prop_assert_eq!(buffer.is_whole(), seen.as_flattened().iter().all(|&seen| seen));
            }
        }
    }
}
