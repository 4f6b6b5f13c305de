//! Which parts of a picture have changed, as tiles of 64×64 pixels: to mark some costs the same however many there are already,
//! and what is copied is never much more than what was painted.

use crate::display::{Damage, Rect};

/// Width and height of a tile, pixels; also the tiles in a word.
const TILE: usize = 64;

/// The changed tiles of a picture: a bit each, every row of them beginning with a word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tiles {
    width: usize,
    height: usize,
    words: Vec<u64>,
    any: bool,
}

/// The bits of a word from `start` to before `end`, which is more and at most 64.
pub(crate) fn bits(start: usize, end: usize) -> u64 {
    u64::MAX >> (64 - (end - start)) << start
}

impl Tiles {
    /// Those of a picture of that size, in pixels; none has changed.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let words = vec![0; width.div_ceil(TILE * TILE) * height.div_ceil(TILE)];
        Self { width, height, words, any: false }
    }

    /// Words in a row of tiles.
    fn line(&self) -> usize {
        self.width.div_ceil(TILE * TILE)
    }

    /// `rect`, which lies inside, has changed.
    pub(crate) fn mark(&mut self, rect: Rect) {
        if rect.area() == 0 {
            return;
        }
        let line = self.line();
        let (first, last) = (rect.x / TILE, (rect.x + rect.width).div_ceil(TILE));
        for row in rect.y / TILE..(rect.y + rect.height).div_ceil(TILE) {
            for word in first / 64..last.div_ceil(64) {
                let start = first.max(word * 64) - word * 64;
                self.words[row * line + word] |= bits(start, (last - word * 64).min(64));
            }
        }
        self.any = true;
    }

    /// Everything has changed.
    pub(crate) fn mark_all(&mut self) {
        self.mark(Rect { x: 0, y: 0, width: self.width, height: self.height });
    }

    /// What has changed in `other`, a picture of the same size, has changed here too.
    pub(crate) fn add(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
        self.any |= other.any;
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        if self.any {
            self.words.fill(0);
            self.any = false;
        }
    }

    /// The changed tiles as rectangles that do not overlap: neighbours in a row are one, and equal ones below each other are.
    pub(crate) fn rects(&self) -> Vec<Rect> {
        let mut done: Vec<Rect> = Vec::new();
        if !self.any {
            return done;
        }
        // Those that reach down to the row before begin here.
        let mut above = 0;
        for (row, words) in self.words.chunks_exact(self.line()).enumerate() {
            let (y, here) = (row * TILE, done.len());
            let height = TILE.min(self.height - y);
            let dirty = |tile: usize| words[tile / 64] >> (tile % 64) & 1 == 1;
            let columns = self.width.div_ceil(TILE);
            let mut tile = 0;
            while tile < columns {
                let start = tile;
                while tile < columns && dirty(tile) {
                    tile += 1;
                }
                if start == tile {
                    tile += 1;
                    continue;
                }
                let (x, end) = (start * TILE, self.width.min(tile * TILE));
                done.push(Rect { x, y, width: end - x, height });
            }
            // What goes on from the row before moves to this row's part of the list.
            let mut old = above;
            let mut new_here = here;
            while old < new_here {
                let next = done[new_here..].iter().position(|it| {
                    let one = &done[old];
                    one.y + one.height == y && (one.x, one.width) == (it.x, it.width)
                });
                if let Some(at) = next {
                    let grown = Rect { height: done[old].height + height, ..done[old] };
                    done[new_here + at] = grown;
                    done.remove(old);
                    new_here -= 1;
                } else {
                    old += 1;
                }
            }
            above = new_here;
        }
        done
    }

    /// The same as few rectangles, for uploads.
    pub(crate) fn damage(&self) -> Damage {
        let mut damage = Damage::default();
        for rect in self.rects() {
            damage.add(rect);
        }
        damage
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
    fn neighbours_are_one_and_edges_are_cut() {
        let mut tiles = Tiles::new(200, 150);
        assert!(tiles.is_empty() && tiles.rects().is_empty());
        tiles.mark(rect(0, 0, 0, 9));
        assert!(tiles.is_empty());
        tiles.mark(rect(63, 63, 2, 2));
        assert_eq!(tiles.rects(), [rect(0, 0, 128, 128)]);
        tiles.mark(rect(199, 149, 1, 1));
        assert_eq!(tiles.rects(), [rect(0, 0, 128, 128), rect(192, 128, 8, 22)]);
        let mut other = Tiles::new(200, 150);
        other.mark_all();
        tiles.add(&other);
        assert_eq!(tiles.damage().rects(), [rect(0, 0, 200, 150)]);
        tiles.clear();
        assert!(tiles.is_empty() && tiles.rects().is_empty());
    }

    proptest! {
        #[test]
        fn every_changed_tile_is_covered_once_and_no_other(
            (width, height) in (1_usize..9000, 1_usize..600),
            marks in proptest::collection::vec((0_usize..9000, 0_usize..600, 1_usize..900, 1_usize..200), 0..12),
        ) {
            let mut tiles = Tiles::new(width, height);
            let mut expected = vec![false; width.div_ceil(TILE) * height.div_ceil(TILE)];
            for (x, y, w, h) in marks {
                let Some(at) = rect(x, y, w, h).clipped(width, height) else { continue };
                tiles.mark(at);
                for row in at.y / TILE..(at.y + at.height).div_ceil(TILE) {
                    for column in at.x / TILE..(at.x + at.width).div_ceil(TILE) {
                        expected[row * width.div_ceil(TILE) + column] = true;
                    }
                }
            }
            let mut seen = vec![false; expected.len()];
            for at in tiles.rects() {
                prop_assert!(at.x + at.width <= width && at.y + at.height <= height && at.area() > 0);
                for row in at.y / TILE..(at.y + at.height).div_ceil(TILE) {
                    for column in at.x / TILE..(at.x + at.width).div_ceil(TILE) {
                        let tile = &mut seen[row * width.div_ceil(TILE) + column];
                        prop_assert!(!*tile, "covered twice");
                        *tile = true;
                    }
                }
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
