//! The picture that a source is painting, before it is published: BGRX rectangles in, RGBA out.

use crate::display::{Damage, Rect};

/// The largest picture that is accepted, pixels: 8K. The guest chooses the size, so there must be an end.
pub(crate) const MAX_PIXELS: usize = 7680 * 4320;

/// RGBA pixels, always opaque, with what has changed since the last [`Framebuffer::take_damage`].
#[derive(Debug, Default)]
pub(crate) struct Framebuffer {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    damage: Damage,
    /// Pixels painted since the size was set; counted twice when painted twice.
    painted: usize,
}

impl Framebuffer {
    /// A black picture of that size, or `None` when it is too large.
    pub(crate) fn new(width: usize, height: usize) -> Option<Self> {
        let count = width.checked_mul(height).filter(|&count| count > 0 && count <= MAX_PIXELS)?;
        let mut pixels = vec![0; count * 4];
        pixels.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
        Some(Self { width, height, pixels, ..Self::default() })
    }

    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    pub(crate) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Whether every pixel can have been painted since the size was set.
    pub(crate) fn is_whole(&self) -> bool {
        self.painted >= self.width * self.height
    }

    /// What has changed since the last call.
    pub(crate) fn take_damage(&mut self) -> Damage {
        std::mem::take(&mut self.damage)
    }

    pub(crate) fn is_damaged(&self) -> bool {
        !self.damage.rects().is_empty()
    }

    /// Paints `rect` with `bgrx`, four bytes a pixel, blue first. What does not fit is left out; says whether it fitted.
    pub(crate) fn paint(&mut self, rect: Rect, bgrx: &[u8]) -> bool {
        let fits = rect.x + rect.width <= self.width && rect.y + rect.height <= self.height;
        if !fits || bgrx.len() != rect.area() * 4 || rect.area() == 0 {
            return false;
        }
        for (row, line) in bgrx.chunks_exact(rect.width * 4).enumerate() {
            let start = ((rect.y + row) * self.width + rect.x) * 4;
            let target = &mut self.pixels[start..start + line.len()];
            for (to, from) in target.chunks_exact_mut(4).zip(line.chunks_exact(4)) {
                to.copy_from_slice(&[from[2], from[1], from[0], 255]);
            }
        }
        self.painted = self.painted.saturating_add(rect.area());
        self.damage.add(rect);
        true
    }

    /// Copies `from` to the place of `to`, which has the same size; they may overlap. Says whether it fitted.
    pub(crate) fn copy(&mut self, to: Rect, from: Rect) -> bool {
        let fits = |r: Rect| r.x + r.width <= self.width && r.y + r.height <= self.height;
        if !fits(to) || !fits(from) || (to.width, to.height) != (from.width, from.height) || to.area() == 0 {
            return false;
        }
        let rows: Vec<usize> = if to.y > from.y { (0..to.height).rev().collect() } else { (0..to.height).collect() };
        for row in rows {
            let source = ((from.y + row) * self.width + from.x) * 4;
            let target = ((to.y + row) * self.width + to.x) * 4;
            self.pixels.copy_within(source..source + to.width * 4, target);
        }
        self.painted = self.painted.saturating_add(to.area());
        self.damage.add(to);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: usize, y: usize, width: usize, height: usize) -> Rect {
        Rect { x, y, width, height }
    }

    fn red(buffer: &Framebuffer) -> Vec<u8> {
        buffer.pixels().chunks_exact(4).map(|p| p[0]).collect()
    }

    #[test]
    fn paints_with_the_right_colours() {
        let mut buffer = Framebuffer::new(2, 2).unwrap();
        assert_eq!(buffer.pixels(), [0, 0, 0, 255].repeat(4));
        assert!(buffer.paint(rect(1, 0, 1, 2), &[1, 2, 3, 0, 4, 5, 6, 0]));
        assert_eq!(buffer.pixels(), [0, 0, 0, 255, 3, 2, 1, 255, 0, 0, 0, 255, 6, 5, 4, 255]);
        assert!(!buffer.is_whole());
        assert_eq!(buffer.take_damage().rects(), [rect(1, 0, 1, 2)]);
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
        assert!(Framebuffer::new(usize::MAX, 2).is_none());
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
    }
}
