//! ZRLE (RFC 6143, 7.7.6): tiles of 64×64 pixels in one zlib stream; pixels are 3 bytes, blue first.

use std::io::Read;

use super::RfbError;
use super::inflate::Zlib;
use super::wire::Wire;
use crate::display::Rect;
use crate::display::framebuffer::Framebuffer;

const TILE: usize = 64;
/// The most bytes that a tile has: runs of one pixel each, 3 bytes and a length.
const MOST: usize = 1 + TILE * TILE * 4;

type Pixel = [u8; 4];

/// Unpacked tiles of the connection.
#[derive(Debug)]
pub(super) struct Zrle {
    zlib: Zlib,
    tile: Vec<Pixel>,
}

impl Default for Zrle {
    fn default() -> Self {
        Self { zlib: Zlib::default(), tile: vec![[0; 4]; TILE * TILE] }
    }
}

impl Zrle {
    /// Paints `rect`, which fits.
    pub(super) fn paint<R: Read>(
        &mut self,
        wire: &mut Wire<R>,
        buffer: &mut Framebuffer,
        rect: Rect,
    ) -> Result<(), RfbError> {
        let length = wire.u32()? as usize;
        self.zlib.begin(length);
        for y in (rect.y..rect.y + rect.height).step_by(TILE) {
            for x in (rect.x..rect.x + rect.width).step_by(TILE) {
                let width = TILE.min(rect.x + rect.width - x);
                let height = TILE.min(rect.y + rect.height - y);
                let tile = Rect { x, y, width, height };
                let bytes = self.zlib.up_to(wire, MOST)?;
                let mut input = Input { bytes, at: 0 };
                paint_tile(&mut input, buffer, tile, &mut self.tile)?;
                let taken = input.at;
                self.zlib.consume(taken);
            }
        }
        self.zlib.finish(wire)
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RfbError> {
        let taken = self.bytes.get(self.at..self.at + count).ok_or_else(short)?;
        self.at += count;
        Ok(taken)
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, RfbError> {
        let byte = *self.bytes.get(self.at).ok_or_else(short)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn pixel(&mut self) -> Result<Pixel, RfbError> {
        let Some(&[b, g, r]) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) else {
            return Err(short());
        };
        self.at += 3;
        Ok([b, g, r, 0])
    }

    /// The length of a run: one more than the sum of its bytes, the last of which is not 255.
    #[inline]
    fn run(&mut self) -> Result<usize, RfbError> {
        let mut length = 1;
        loop {
            let byte = self.u8()?;
            length += usize::from(byte);
            if byte != 255 {
                return Ok(length);
            }
        }
    }
}

#[cold]
fn short() -> RfbError {
    RfbError::garbage("fewer packed pixels than the rectangle has")
}

fn paint_tile(
    input: &mut Input<'_>,
    buffer: &mut Framebuffer,
    tile: Rect,
    scratch: &mut [Pixel],
) -> Result<(), RfbError> {
    let kind = input.u8()?;
    match kind {
        0 => {
            for y in 0..tile.height {
                let line = input.take(tile.width * 3)?;
                for (to, from) in buffer.row(tile, y).iter_mut().zip(line.as_chunks::<3>().0) {
                    *to = [from[0], from[1], from[2], 0];
                }
            }
        }
        1 => {
            let pixel = input.pixel()?;
            for y in 0..tile.height {
                buffer.row(tile, y).fill(pixel);
            }
        }
        2..=16 => packed(input, buffer, tile, usize::from(kind))?,
        128 => {
            let pixels = &mut scratch[..tile.area()];
            let mut done = 0;
            while done < pixels.len() {
                let pixel = input.pixel()?;
                let length = input.run()?;
                pixels.get_mut(done..done + length).ok_or_else(long)?.fill(pixel);
                done += length;
            }
            copy_rows(pixels, buffer, tile);
        }
        130.. => {
            let size = usize::from(kind - 128);
            let palette = palette(input, size)?;
            let pixels = &mut scratch[..tile.area()];
            let mut done = 0;
            while done < pixels.len() {
                let index = input.u8()?;
                let length = if index & 128 == 0 { 1 } else { input.run()? };
                let index = usize::from(index & 127);
                if index >= size {
                    return Err(unknown_colour());
                }
                pixels.get_mut(done..done + length).ok_or_else(long)?.fill(palette[index]);
                done += length;
            }
            copy_rows(pixels, buffer, tile);
        }
        _ => return Err(RfbError::garbage(format!("a ZRLE tile of kind {kind}"))),
    }
    Ok(())
}

/// A palette of up to 16 colours, its indices packed to 1, 2 or 4 bits; each row begins with a byte.
fn packed(input: &mut Input<'_>, buffer: &mut Framebuffer, tile: Rect, size: usize) -> Result<(), RfbError> {
    match size {
        2 => indices::<1, 8>(input, buffer, tile, size),
        3 | 4 => indices::<2, 4>(input, buffer, tile, size),
        _ => indices::<4, 2>(input, buffer, tile, size),
    }
}

/// The palette and its indices of `BITS` bits, `PER_BYTE` in a byte.
fn indices<const BITS: u32, const PER_BYTE: usize>(
    input: &mut Input<'_>,
    buffer: &mut Framebuffer,
    tile: Rect,
    size: usize,
) -> Result<(), RfbError> {
    let palette = palette(input, size)?;
    // As many colours as there are indices, so that none needs a look at the length.
    let colours: [Pixel; 16] = std::array::from_fn(|index| palette[index]);
    let mask = (1_u8 << BITS) - 1;
    let mut highest = 0;
    for y in 0..tile.height {
        let line = input.take(tile.width.div_ceil(PER_BYTE))?;
        let (whole, rest) = buffer.row(tile, y).as_chunks_mut::<PER_BYTE>();
        let mut paint = |to: &mut [Pixel], byte: u8| {
            let mut turned = byte;
            for pixel in to {
                turned = turned.rotate_left(BITS);
                let index = turned & mask;
                highest = highest.max(index);
                *pixel = colours[usize::from(index & 15)];
            }
        };
        for (to, &byte) in whole.iter_mut().zip(line) {
            paint(to, byte);
        }
        if let (false, Some(&byte)) = (rest.is_empty(), line.last()) {
            paint(rest, byte);
        }
    }
    if usize::from(highest) < size { Ok(()) } else { Err(unknown_colour()) }
}

fn palette(input: &mut Input<'_>, size: usize) -> Result<[Pixel; 128], RfbError> {
    let mut palette = [[0; 4]; 128];
    for colour in palette.iter_mut().take(size) {
        *colour = input.pixel()?;
    }
    Ok(palette)
}

fn copy_rows(pixels: &[Pixel], buffer: &mut Framebuffer, tile: Rect) {
    for (y, line) in pixels.chunks_exact(tile.width).enumerate() {
        buffer.row(tile, y).copy_from_slice(line);
    }
}

fn long() -> RfbError {
    RfbError::garbage("a run that is longer than its tile")
}

fn unknown_colour() -> RfbError {
    RfbError::garbage("a colour that is not in the palette")
}
