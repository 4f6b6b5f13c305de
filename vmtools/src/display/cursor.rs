//! The pointer's picture, and how it lies over the guest's.

/// The pointer's picture as the guest set it. Where it points is where the user's pointer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Width, pixels; 0 when the guest hides its pointer.
    pub width: u32,
    /// Height, pixels; 0 when the guest hides its pointer.
    pub height: u32,
    /// The pixel that points, from the left.
    pub hot_x: u32,
    /// The pixel that points, from the top.
    pub hot_y: u32,
    /// `width * height * 4` bytes, red first, alpha not premultiplied.
    pub rgba: Vec<u8>,
}

impl Cursor {
    /// Draws it over a picture of `width` pixels a row, red first, four bytes each, pointing at `at`; what lies outside is
    /// left out.
    pub(crate) fn draw(&self, pixels: &mut [u8], width: usize, at: (u16, u16)) {
        let columns = self.width as usize;
        if columns == 0 || width == 0 {
            return;
        }
        for (n, pixel) in self.rgba.as_chunks::<4>().0.iter().enumerate() {
            let place = |at: u16, n: usize, hot: u32| (usize::from(at) + n).checked_sub(hot as usize);
            let (Some(x), Some(y)) = (place(at.0, n % columns, self.hot_x), place(at.1, n / columns, self.hot_y))
            else {
                continue;
            };
            if x >= width {
                continue;
            }
            let under = y.checked_mul(width).and_then(|row| row.checked_add(x)).and_then(|at| at.checked_mul(4));
            let Some(under) = under.and_then(|at| pixels.get_mut(at..)?.first_chunk_mut::<4>()) else { continue };
            let alpha = u32::from(pixel[3]);
            for (under, over) in under.iter_mut().zip(pixel).take(3) {
                *under = ((u32::from(*over) * alpha + u32::from(*under) * (255 - alpha) + 127) / 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pointer of 3 × 2 pixels whose second pixel of the upper row points: opaque red, half green, nothing below.
    fn pointer() -> Cursor {
        let rgba = [[255, 0, 0, 255], [0, 255, 0, 128], [9, 9, 9, 0]].concat();
        Cursor { width: 3, height: 2, hot_x: 1, hot_y: 0, rgba: [rgba.clone(), rgba].concat() }
    }

    #[test]
    fn it_lies_where_it_points_by_its_alpha() {
        let mut pixels = [0, 0, 100, 255].repeat(4 * 3);
        pointer().draw(&mut pixels, 4, (2, 1));
        let at = |x: usize, y: usize| &pixels[(y * 4 + x) * 4..][..4];
        assert_eq!(
            (at(1, 1), at(2, 1), at(3, 1)),
            (&[255, 0, 0, 255][..], &[0, 128, 50, 255][..], &[0, 0, 100, 255][..])
        );
        assert_eq!(at(1, 2), [255, 0, 0, 255]);
        assert_eq!((at(1, 0), at(0, 1)), (&[0, 0, 100, 255][..], &[0, 0, 100, 255][..]));
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let plain = [7, 7, 7, 255].repeat(4 * 3);
        for (at, changed) in [((0, 0), 2), ((3, 2), 2), ((u16::MAX, u16::MAX), 0), ((4, 2), 1), ((2, 3), 0)] {
            let mut pixels = plain.clone();
            pointer().draw(&mut pixels, 4, at);
            let differ = pixels.chunks_exact(4).zip(plain.chunks_exact(4)).filter(|(a, b)| a != b).count();
            assert_eq!(differ, changed, "{at:?}");
        }
        let hidden = Cursor { width: 0, height: 0, hot_x: 0, hot_y: 0, rgba: vec![] };
        let far = Cursor { hot_x: u32::MAX, hot_y: u32::MAX, ..pointer() };
        for cursor in [hidden, far] {
            let mut pixels = plain.clone();
            cursor.draw(&mut pixels, 4, (1, 1));
            assert_eq!(pixels, plain);
        }
    }
}
