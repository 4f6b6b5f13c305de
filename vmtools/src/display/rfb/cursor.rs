//! The guest's pointer, as a picture: with a mask (RFC 6143, 7.8.1) or with alpha (rfbproto, 7.8.3).

use std::io::Read;

use super::RfbError;
use super::outgoing::RAW;
use super::wire::Wire;
use crate::display::{Cursor, Rect};

/// The longest side that is accepted, pixels.
const MAX_SIDE: usize = 1024;

fn checked(rect: Rect) -> Result<(), RfbError> {
    if rect.width > MAX_SIDE || rect.height > MAX_SIDE {
        return Err(RfbError::garbage(format!("a pointer of {}x{} pixels", rect.width, rect.height)));
    }
    Ok(())
}

fn finished(rect: Rect, rgba: Vec<u8>) -> Cursor {
    let number = |n: usize| u32::try_from(n).unwrap_or(0);
    let (width, height) = if rect.area() == 0 { (0, 0) } else { (number(rect.width), number(rect.height)) };
    Cursor { width, height, hot_x: number(rect.x), hot_y: number(rect.y), rgba }
}

/// Pixels, then a mask of one bit a pixel, each row of it beginning with a byte.
pub(super) fn masked<R: Read>(wire: &mut Wire<R>, rect: Rect) -> Result<Cursor, RfbError> {
    checked(rect)?;
    let mut pixels = vec![0; rect.area() * 4];
    wire.fill(&mut pixels)?;
    let line = rect.width.div_ceil(8);
    let mut mask = vec![0; line * rect.height];
    wire.fill(&mut mask)?;
    for (number, pixel) in pixels.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let (x, y) = (number % rect.width, number / rect.width);
        let opaque = mask[y * line + x / 8] >> (7 - x % 8) & 1 == 1;
        *pixel = if opaque { [pixel[2], pixel[1], pixel[0], 255] } else { [0; 4] };
    }
    Ok(finished(rect, pixels))
}

/// Pixels with premultiplied alpha, which is undone.
pub(super) fn with_alpha<R: Read>(wire: &mut Wire<R>, rect: Rect, blue_first: bool) -> Result<Cursor, RfbError> {
    checked(rect)?;
    let encoding = wire.i32()?;
    if encoding != RAW {
        return Err(RfbError::garbage(format!("a pointer in encoding {encoding}")));
    }
    let mut pixels = vec![0; rect.area() * 4];
    wire.fill(&mut pixels)?;
    for pixel in pixels.as_chunks_mut::<4>().0 {
        if blue_first {
            pixel.swap(0, 2);
        }
        let alpha = u16::from(pixel[3]);
        for colour in &mut pixel[..3] {
            *colour = (u16::from(*colour) * 255).checked_div(alpha).unwrap_or(0).min(255) as u8;
        }
    }
    Ok(finished(rect, pixels))
}
