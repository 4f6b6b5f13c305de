//! What is recorded, as an encoder wants it: brightness for every pixel, colour for every four (I420, BT.709, studio range).
//! A picture that is smaller than the canvas lies in its middle, so that a boot's changes of size stay in one file.

/// The smallest canvas, pixels: what text modes and firmware show has room in it.
const LEAST: (usize, usize) = (1280, 800);
/// The largest side and the largest other side that the encoder takes, pixels.
const MOST: (usize, usize) = (3840, 2160);

/// Brightness and colours of a picture.
#[derive(Debug)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
    /// The size of the last picture, after shrinking.
    shown: (usize, usize),
}

/// By how much a picture is shrunk that the encoder would not take: every so many pixels one is left.
fn step(width: usize, height: usize) -> usize {
    let (long, short) = (width.max(height), width.min(height));
    long.div_ceil(MOST.0).max(short.div_ceil(MOST.1)).max(1)
}

impl Canvas {
    /// A canvas with room for a picture of that size, pixels.
    pub(super) fn for_picture(width: usize, height: usize) -> Self {
        let step = step(width, height);
        let side =
            |side: usize, least: usize, most: usize| side.div_ceil(step).max(least).next_multiple_of(2).min(most);
        let upright = height > width;
        let most = if upright { (MOST.1, MOST.0) } else { MOST };
        let (width, height) = (side(width, LEAST.0, most.0), side(height, LEAST.1, most.1));
        let quarter = width / 2 * (height / 2);
        let mut canvas =
            Self { width, height, y: vec![0; width * height], u: vec![0; quarter], v: vec![0; quarter], shown: (0, 0) };
        canvas.blacken();
        canvas
    }

    /// Width and height, pixels.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Whether a picture of that size has room.
    pub(super) fn holds(&self, width: usize, height: usize) -> bool {
        let step = step(width, height);
        width.div_ceil(step) <= self.width && height.div_ceil(step) <= self.height
    }

    fn blacken(&mut self) {
        self.y.fill(16);
        self.u.fill(128);
        self.v.fill(128);
    }

    /// Draws a picture of `width` × `height` pixels, red first, four bytes each. One that has no room is not drawn.
    pub(super) fn draw(&mut self, width: usize, height: usize, rgba: &[u8]) {
        let step = step(width, height);
        let (columns, rows) = (width.div_ceil(step), height.div_ceil(step));
        if !self.holds(width, height) || rgba.len() < width * height * 4 || columns == 0 {
            return;
        }
        if self.shown != (columns, rows) {
            self.blacken();
            self.shown = (columns, rows);
        }
        // On even places, where colours begin.
        let (left, top) = (((self.width - columns) / 2) & !1, ((self.height - rows) / 2) & !1);
        let pixels = rgba.as_chunks::<4>().0;
        for row in (0..rows).step_by(2) {
            let line = |row: usize| &pixels[row.min(rows - 1) * step * width..][..width];
            let (upper, lower) = (line(row), line(row + 1));
            let bright = (top + row) * self.width + left;
            let coloured = (top + row) / 2 * (self.width / 2) + left / 2;
            for column in (0..columns).step_by(2) {
                let other = (column + 1).min(columns - 1);
                let four = [upper[column * step], upper[other * step], lower[column * step], lower[other * step]];
                self.y[bright + column] = luma(four[0]);
                if column + 1 < columns {
                    self.y[bright + column + 1] = luma(four[1]);
                }
                if row + 1 < rows {
                    self.y[bright + self.width + column] = luma(four[2]);
                    if column + 1 < columns {
                        self.y[bright + self.width + column + 1] = luma(four[3]);
                    }
                }
                let sum = |n: usize| four.iter().map(|pixel| i32::from(pixel[n])).sum::<i32>();
                let (r, g, b) = (sum(0), sum(1), sum(2));
                self.u[coloured + column / 2] = chroma(-26 * r - 86 * g + 112 * b);
                self.v[coloured + column / 2] = chroma(112 * r - 102 * g - 10 * b);
            }
        }
    }
}

fn luma([r, g, b, _]: [u8; 4]) -> u8 {
    (16 + ((47 * u32::from(r) + 157 * u32::from(g) + 16 * u32::from(b) + 128) >> 8)) as u8
}

/// From the sum of four pixels.
fn chroma(weighted: i32) -> u8 {
    (128 + ((weighted + 512) >> 10)) as u8
}

impl openh264::formats::YUVSource for Canvas {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}

#[cfg(test)]
mod tests {
    use openh264::formats::YUVSource as _;

    use super::*;

    #[test]
    fn colours_are_those_of_bt_709() {
        let yuv = |rgb: [u8; 3]| {
            let mut canvas = Canvas::for_picture(1280, 800);
            canvas.draw(1280, 800, &[rgb[0], rgb[1], rgb[2], 255].repeat(1280 * 800));
            assert!(canvas.y().iter().all(|y| *y == canvas.y()[0]));
            (canvas.y()[0], canvas.u()[0], canvas.v()[0])
        };
        assert_eq!(yuv([0, 0, 0]), (16, 128, 128));
        assert_eq!(yuv([255, 255, 255]), (235, 128, 128));
        // ITU-R BT.709-6, rounded.
        for (rgb, (y, u, v)) in
            [([255, 0, 0], (63, 102, 240)), ([0, 255, 0], (173, 42, 26)), ([0, 0, 255], (32, 240, 118))]
        {
            let ours = yuv(rgb);
            let near = |a: u8, b: u8| a.abs_diff(b) <= 1;
            assert!(near(ours.0, y) && near(ours.1, u) && near(ours.2, v), "{rgb:?}: {ours:?}");
        }
    }

    #[test]
    fn small_pictures_lie_in_the_middle_and_huge_ones_are_shrunk() {
        let mut canvas = Canvas::for_picture(721, 401);
        assert!(canvas.size() == (1280, 800) && canvas.holds(1280, 800) && !canvas.holds(1281, 10));
        canvas.draw(721, 401, &[255; 721 * 401 * 4]);
        let white = canvas.y().iter().filter(|y| **y == 235).count();
        assert_eq!((white, canvas.y()[0], canvas.y()[400 * 1280 + 640]), (721 * 401, 16, 235));
        canvas.draw(1, 1, &[255; 4]);
        assert_eq!(canvas.y().iter().filter(|y| **y == 235).count(), 1, "nothing of the last one is left");
        canvas.draw(1281, 801, &[255; 1281 * 801 * 4]);
        canvas.draw(0, 0, &[]);
        canvas.draw(100, 100, &[255; 8]);
        assert_eq!(canvas.y().iter().filter(|y| **y == 235).count(), 1, "what has no room, no size or no pixels");
        for (size, expected) in [
            ((1367, 769), (1368, 800)),
            ((3840, 2160), (3840, 2160)),
            ((5120, 2160), (2560, 1080)),
            ((2160, 3840), (2160, 3840)),
            ((8192, 8192), (2048, 2048)),
        ] {
            let canvas = Canvas::for_picture(size.0, size.1);
            assert!(canvas.size() == expected && canvas.holds(size.0, size.1), "{size:?}: {:?}", canvas.size());
        }
        let mut canvas = Canvas::for_picture(5120, 2160);
        canvas.draw(5120, 2160, &[255; 5120 * 2160 * 4]);
        assert!(canvas.y().iter().all(|y| *y == 235));
    }
}
