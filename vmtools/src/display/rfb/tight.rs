//! Tight (rfbproto, 7.7.7): four zlib streams, filters before them, and JPEG; pixels are 3 bytes, red first.

use std::io::Read;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::RfbError;
use super::inflate::Zlib;
use super::wire::Wire;
use crate::display::Rect;
use crate::display::framebuffer::Framebuffer;

/// Less than so many bytes are sent as they are.
const SMALL: usize = 12;
/// More bytes are not kept for the next update, bytes.
const KEPT: usize = 1 << 20;
const FILL: u8 = 8;
const JPEG: u8 = 9;

type Pixel = [u8; 4];

/// What goes on from rectangle to rectangle.
#[derive(Debug, Default)]
pub(super) struct Tight {
    streams: [Zlib; 4],
    /// The row above, for the gradient filter; packed or painted JPEG bytes.
    above: Vec<u8>,
    packed: Vec<u8>,
    painted: Vec<u8>,
}

enum Filter {
    Copy,
    Palette(Box<Palette>),
    Gradient,
}

/// Up to 256 colours; as many as an index can say, so that none needs a look at the length.
struct Palette {
    colours: [Pixel; 256],
    size: usize,
}

impl Tight {
    /// An update is over: what a large picture took is given back.
    pub(super) fn rest(&mut self) {
        for scratch in [&mut self.above, &mut self.packed, &mut self.painted] {
            if scratch.capacity() > KEPT {
                *scratch = Vec::new();
            }
        }
    }

    /// Paints `rect`, which fits.
    pub(super) fn paint<R: Read>(
        &mut self,
        wire: &mut Wire<R>,
        buffer: &mut Framebuffer,
        rect: Rect,
    ) -> Result<(), RfbError> {
        let control = wire.u8()?;
        for (bit, stream) in self.streams.iter_mut().enumerate() {
            if control >> bit & 1 == 1 {
                stream.reset();
            }
        }
        match control >> 4 {
            FILL => {
                let pixel = pixel(wire)?;
                for row in 0..rect.height {
                    buffer.row(rect, row).fill(pixel);
                }
                Ok(())
            }
            JPEG => self.jpeg(wire, buffer, rect),
            kind @ 0..8 => {
                let filter = if kind & 4 == 0 { Filter::Copy } else { filter(wire)? };
                self.basic(wire, buffer, rect, usize::from(kind & 3), &filter)
            }
            kind => Err(RfbError::garbage(format!("a Tight rectangle of kind {kind}"))),
        }
    }

    fn basic<R: Read>(
        &mut self,
        wire: &mut Wire<R>,
        buffer: &mut Framebuffer,
        rect: Rect,
        stream: usize,
        filter: &Filter,
    ) -> Result<(), RfbError> {
        let row_bytes = match filter {
            Filter::Palette(palette) if palette.size <= 2 => rect.width.div_ceil(8),
            Filter::Palette(_) => rect.width,
            Filter::Copy | Filter::Gradient => rect.width * 3,
        };
        if matches!(filter, Filter::Gradient) {
            self.above.clear();
            self.above.resize(rect.width * 3, 0);
        }
        if row_bytes * rect.height < SMALL {
            for row in 0..rect.height {
                let line = wire.take(row_bytes)?;
                paint_row(line, buffer.row(rect, row), filter, &mut self.above)?;
            }
            return Ok(());
        }
        let length = compact(wire)?;
        let zlib = &mut self.streams[stream];
        zlib.begin(length);
        for row in 0..rect.height {
            let line = zlib.need(wire, row_bytes)?;
            paint_row(&line[..row_bytes], buffer.row(rect, row), filter, &mut self.above)?;
            zlib.consume(row_bytes);
        }
        zlib.finish(wire)
    }

    fn jpeg<R: Read>(&mut self, wire: &mut Wire<R>, buffer: &mut Framebuffer, rect: Rect) -> Result<(), RfbError> {
        let length = compact(wire)?;
        self.packed.resize(length, 0);
        wire.fill(&mut self.packed)?;
        let options = DecoderOptions::default()
            .jpeg_set_out_colorspace(ColorSpace::BGRA)
            .set_max_width(rect.width.max(1))
            .set_max_height(rect.height.max(1));
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&self.packed[..]), options);
        let bad = |error| RfbError::garbage(format!("a JPEG picture that cannot be decoded: {error:?}"));
        decoder.decode_headers().map_err(bad)?;
        let size = decoder.info().map(|info| (usize::from(info.width), usize::from(info.height)));
        let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        if size != Some((rect.width, rect.height)) {
            return Err(RfbError::garbage("a JPEG picture of another size than its rectangle"));
        }
        if grey {
            // The decoder has no way from grey to blue first; red and blue are alike here.
            decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::RGBA));
        }
        let wanted = rect.area() * 4;
        if decoder.output_buffer_size() != Some(wanted) {
            return Err(RfbError::garbage("a JPEG picture of strange colours"));
        }
        self.painted.resize(wanted, 0);
        decoder.decode_into(&mut self.painted).map_err(bad)?;
        for (row, line) in self.painted.as_chunks::<4>().0.chunks_exact(rect.width).enumerate() {
            buffer.row(rect, row).copy_from_slice(line);
        }
        Ok(())
    }
}

fn paint_row(line: &[u8], to: &mut [Pixel], filter: &Filter, above: &mut [u8]) -> Result<(), RfbError> {
    match filter {
        Filter::Copy => {
            for (to, &[r, g, b]) in to.iter_mut().zip(line.as_chunks::<3>().0) {
                *to = [b, g, r, 0];
            }
        }
        Filter::Palette(palette) if palette.size <= 2 => {
            let colours = [palette.colours[0], palette.colours[palette.size - 1]];
            let (whole, rest) = to.as_chunks_mut::<8>();
            for (to, &byte) in whole.iter_mut().zip(line) {
                for (bit, pixel) in to.iter_mut().enumerate() {
                    *pixel = colours[usize::from(byte >> (7 - bit) & 1)];
                }
            }
            for (bit, pixel) in rest.iter_mut().enumerate() {
                *pixel = colours[usize::from(line[line.len() - 1] >> (7 - bit) & 1)];
            }
        }
        Filter::Palette(palette) => {
            let mut highest = 0;
            for (to, &index) in to.iter_mut().zip(line) {
                highest = highest.max(index);
                *to = palette.colours[usize::from(index)];
            }
            if usize::from(highest) >= palette.size {
                return Err(RfbError::garbage("a colour that is not in the palette"));
            }
        }
        Filter::Gradient => {
            // What is sent differs from left + above - above left, kept within a byte.
            let (mut left, mut corner) = ([0_u8; 3], [0_u8; 3]);
            let lines = line.as_chunks::<3>().0.iter().zip(above.as_chunks_mut::<3>().0);
            for (to, (from, above)) in to.iter_mut().zip(lines) {
                let up = *above;
                for colour in 0..3 {
                    let guess = i16::from(left[colour]) + i16::from(up[colour]) - i16::from(corner[colour]);
                    left[colour] = from[colour].wrapping_add(guess.clamp(0, 255) as u8);
                }
                corner = up;
                *above = left;
                *to = [left[2], left[1], left[0], 0];
            }
        }
    }
    Ok(())
}

fn filter<R: Read>(wire: &mut Wire<R>) -> Result<Filter, RfbError> {
    match wire.u8()? {
        0 => Ok(Filter::Copy),
        1 => {
            let size = usize::from(wire.u8()?) + 1;
            let mut colours = [[0; 4]; 256];
            for (to, &[r, g, b]) in colours.iter_mut().zip(wire.take(size * 3)?.as_chunks::<3>().0) {
                *to = [b, g, r, 0];
            }
            Ok(Filter::Palette(Box::new(Palette { colours, size })))
        }
        2 => Ok(Filter::Gradient),
        kind => Err(RfbError::garbage(format!("a Tight filter {kind}"))),
    }
}

fn pixel<R: Read>(wire: &mut Wire<R>) -> Result<Pixel, RfbError> {
    let bytes = wire.take(3)?;
    Ok([bytes[2], bytes[1], bytes[0], 0])
}

/// A length in one to three bytes, 7 bits each but the last, the lowest first: at most 4 MiB.
fn compact<R: Read>(wire: &mut Wire<R>) -> Result<usize, RfbError> {
    let mut length = 0;
    for shift in [0, 7, 14] {
        let byte = wire.u8()?;
        let bits = if shift == 14 { byte } else { byte & 127 };
        length |= usize::from(bits) << shift;
        if byte & 128 == 0 || shift == 14 {
            break;
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_large_picture_took_is_given_back() {
        let mut tight = Tight::default();
        (tight.painted, tight.packed, tight.above) = (vec![0; 8 * KEPT], vec![0; 2 * KEPT], vec![0; 300]);
        tight.rest();
        assert_eq!((tight.painted.capacity(), tight.packed.capacity()), (0, 0));
        assert!(tight.above.capacity() >= 300, "little is kept");
    }
}
