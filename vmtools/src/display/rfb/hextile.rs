//! Hextile (RFC 6143, 7.7.4): tiles of 16×16 pixels, each a background with rectangles on it.

use std::io::Read;

use super::RfbError;
use super::wire::Wire;
use crate::display::Rect;
use crate::display::framebuffer::Framebuffer;

const TILE: usize = 16;
const RAW: u8 = 1;
const BACKGROUND: u8 = 2;
const FOREGROUND: u8 = 4;
const RECTANGLES: u8 = 8;
const COLOURED: u8 = 16;

/// Paints `rect`, which fits.
pub(super) fn paint<R: Read>(wire: &mut Wire<R>, buffer: &mut Framebuffer, rect: Rect) -> Result<(), RfbError> {
    let (mut background, mut foreground) = ([0; 4], [0; 4]);
    for y in (rect.y..rect.y + rect.height).step_by(TILE) {
        for x in (rect.x..rect.x + rect.width).step_by(TILE) {
            let width = TILE.min(rect.x + rect.width - x);
            let height = TILE.min(rect.y + rect.height - y);
            let tile = Rect { x, y, width, height };
            let kind = wire.u8()?;
            if kind & RAW != 0 {
                let bytes = wire.take(tile.area() * 4)?;
                for (row, line) in bytes.as_chunks::<4>().0.chunks_exact(width).enumerate() {
                    buffer.row(tile, row).copy_from_slice(line);
                }
                continue;
            }
            if kind & BACKGROUND != 0 {
                background = pixel(wire)?;
            }
            if kind & FOREGROUND != 0 {
                foreground = pixel(wire)?;
            }
            for row in 0..height {
                buffer.row(tile, row).fill(background);
            }
            if kind & RECTANGLES == 0 {
                continue;
            }
            for _ in 0..wire.u8()? {
                let colour = if kind & COLOURED != 0 { pixel(wire)? } else { foreground };
                let (place, size) = (wire.u8()?, wire.u8()?);
                let (dx, dy) = (usize::from(place >> 4), usize::from(place & 15));
                let (w, h) = (usize::from(size >> 4) + 1, usize::from(size & 15) + 1);
                if dx + w > width || dy + h > height {
                    return Err(RfbError::garbage("a rectangle outside its Hextile tile"));
                }
                for row in dy..dy + h {
                    buffer.row(tile, row)[dx..dx + w].fill(colour);
                }
            }
        }
    }
    Ok(())
}

fn pixel<R: Read>(wire: &mut Wire<R>) -> Result<[u8; 4], RfbError> {
    let mut pixel = [0; 4];
    pixel.copy_from_slice(wire.take(4)?);
    Ok(pixel)
}
