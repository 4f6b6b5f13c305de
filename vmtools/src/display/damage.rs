//! Which parts of a picture have changed: a few rectangles, merged where that wastes least.

/// The most rectangles a [`Damage`] keeps apart; each costs one texture upload.
pub const MAX_RECTS: usize = 8;

/// A rectangle of pixels; the origin is the top left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Pixels from the left.
    pub x: usize,
    /// Pixels from the top.
    pub y: usize,
    /// Width, pixels.
    pub width: usize,
    /// Height, pixels.
    pub height: usize,
}

impl Rect {
    /// Its number of pixels.
    #[must_use]
    pub fn area(&self) -> usize {
        self.width * self.height
    }

    /// The smallest rectangle that holds both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        Self {
            x,
            y,
            width: (self.x + self.width).max(other.x + other.width) - x,
            height: (self.y + self.height).max(other.y + other.height) - y,
        }
    }

    /// The part of it inside a picture of that size; `None` when there is none.
    #[must_use]
    pub fn clipped(&self, width: usize, height: usize) -> Option<Self> {
        let (x, y) = (self.x.min(width), self.y.min(height));
        let rect = Self { x, y, width: self.width.min(width - x), height: self.height.min(height - y) };
        (rect.area() > 0).then_some(rect)
    }
}

/// What has changed, as at most [`MAX_RECTS`] rectangles that together cover it.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    rects: Vec<Rect>,
}

impl Damage {
    /// The rectangles.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.rects.clear();
    }

    /// Adds a rectangle. It is merged with another one when the two nearly fill their union, or when there are too many.
    pub fn add(&mut self, rect: Rect) {
        if rect.area() == 0 {
            return;
        }
        self.rects.push(rect);
        // Merging may make a rectangle that swallows others, so look again until nothing changes.
        while let Some((a, b, waste)) = self.closest_pair() {
            if waste > 0 && self.rects.len() <= MAX_RECTS {
                break;
            }
            let gone = self.rects.swap_remove(b);
            self.rects[a] = self.rects[a].union(&gone);
        }
    }

    /// The pair whose union wastes the fewest pixels, the lower index first, with that waste.
    fn closest_pair(&self) -> Option<(usize, usize, usize)> {
        let mut best: Option<(usize, usize, usize)> = None;
        for (b, second) in self.rects.iter().enumerate() {
            for (a, first) in self.rects[..b].iter().enumerate() {
                let waste = first.union(second).area().saturating_sub(first.area() + second.area());
                if best.is_none_or(|(_, _, least)| waste < least) {
                    best = Some((a, b, waste));
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: usize, y: usize, width: usize, height: usize) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn neighbours_merge_and_strangers_do_not() {
        let mut damage = Damage::default();
        for x in 0..10 {
            damage.add(rect(x * 64, 0, 64, 64));
        }
        assert_eq!(damage.rects(), [rect(0, 0, 640, 64)]);
        damage.add(rect(1000, 700, 8, 8));
        damage.add(rect(0, 0, 0, 5));
        assert_eq!(damage.rects().len(), 2);
        damage.clear();
        assert!(damage.rects().is_empty());
    }

    proptest! {
        #[test]
        fn few_rectangles_cover_everything(
            rects in proptest::collection::vec((0_usize..100, 0_usize..100, 0_usize..30, 0_usize..30), 0..40),
        ) {
            let mut damage = Damage::default();
            for &(x, y, w, h) in &rects {
                damage.add(rect(x, y, w, h));
            }
            prop_assert!(damage.rects().len() <= MAX_RECTS);
            for (x, y, w, h) in rects {
                for (px, py) in [(x, y), (x + w.saturating_sub(1), y + h.saturating_sub(1))] {
                    let covered = |r: &Rect| px >= r.x && py >= r.y && px < r.x + r.width && py < r.y + r.height;
                    prop_assert!(w * h == 0 || damage.rects().iter().any(covered));
                }
            }
        }

        #[test]
        fn clipping_stays_inside(x in 0_usize..200, y in 0_usize..200, w in 0_usize..200, h in 0_usize..200) {
            if let Some(r) = rect(x, y, w, h).clipped(100, 50) {
                prop_assert!(r.x + r.width <= 100 && r.y + r.height <= 50 && r.area() > 0);
            }
        }
    }
}
