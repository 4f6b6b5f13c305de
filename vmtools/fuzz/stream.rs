//! What fuzzed bytes mean: all that a server sends, from its greeting on; or a list of rectangles that are packed as a server
//! packs them, because nobody guesses a zlib stream. The fuzz target and the test that replays its seeds share this.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use vmtools::Screen;
use vmtools::display::Rect;
use vmtools::display::rfb::{Decoder, Told};

/// Greeting, one security type, its result, and a screen of 96×64 pixels by a server whose name is that of QEMU.
const HANDSHAKE: &[u8] =
    b"RFB 003.008\n\x01\x01\0\0\0\0\0\x60\0\x40\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\x04QEMU";
/// Of more pixels an input only takes time.
const PIXELS: u64 = 1 << 26;
/// Encodings, by their first byte of a rectangle in a list.
const ENCODINGS: [i32; 16] = [0, 1, 5, 7, 16, -223, -224, -239, -257, -258, -308, -314, -261, 0x574d_5668, -259, -316];
/// From here on it is no rectangle but another message.
const MESSAGES: u8 = 112;

/// Another message with that body, packed where it may be (RFC 6143, 7.6, and rfbproto): a colour map, a bell, a clipboard, sound.
fn message(kind: u8, [x, y]: [u8; 2], body: &[u8]) -> Vec<u8> {
    match kind & 3 {
        0 => [&[1, 0, 0, x, 0, (body.len() / 6) as u8][..], &body[..(body.len() / 6 % 256) * 6]].concat(),
        1 => vec![2],
        // Extended: flags, and a stream of its own after them.
        2 if kind >= 128 => {
            let (flags, text) = body.split_at(body.len().min(4));
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::none());
            let packed = zlib.write_all(text).and_then(|()| zlib.finish()).unwrap_or_default();
            let length = (flags.len() + packed.len()) as i32;
            [&[3, 0, 0, 0][..], &(-length).to_be_bytes(), flags, &packed].concat()
        }
        2 => [&[3, 0, 0, 0][..], &(body.len() as u32).to_be_bytes(), body].concat(),
        // Begun and ended have no samples.
        _ if y & 3 == 2 => [&[255, 1, 0, 2][..], &(body.len() as u32).to_be_bytes(), body].concat(),
        _ => vec![255, 1, 0, y & 3],
    }
}

/// A rectangle in a list: its number in [`ENCODINGS`] (128 and more: packed), place and size, how many bytes of a body, and these.
fn rectangles(mut bytes: &[u8]) -> Vec<u8> {
    let mut stream = HANDSHAKE.to_vec();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::none());
    while let Some((&[kind, x, y, width, height, high, low], rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (body, rest) = rest.split_at(length);
        bytes = rest;
        if kind & 127 >= MESSAGES {
            stream.extend(message(kind, [x, y], body));
            continue;
        }
        let encoding = ENCODINGS[usize::from(kind & 127) % ENCODINGS.len()];
        stream.extend([0, 0, 0, 1, 0, x, 0, y, 0, width, 0, height]);
        stream.extend(encoding.to_be_bytes());
        if kind < 128 {
            stream.extend(body);
            continue;
        }
        // One stream for all, as ZRLE has; the first byte of a Tight rectangle says what its four do.
        let body = match body.split_first() {
            Some((control, body)) if encoding == 7 => {
                stream.push(*control);
                body
            }
            _ => body,
        };
        let before = zlib.get_ref().len();
        // Writing to memory does not fail.
        let _ = zlib.write_all(body).and_then(|()| zlib.flush());
        let packed = &zlib.get_ref()[before..];
        if encoding == 7 {
            let n = packed.len();
            stream.extend([n as u8 | 128, (n >> 7) as u8 | 128, (n >> 14) as u8]);
        } else {
            stream.extend((packed.len() as u32).to_be_bytes());
        }
        stream.extend(packed);
    }
    stream
}

/// Lets our client meet a server that says `bytes`, and read until it has enough of it: how many updates it saw, and how many other
/// messages.
pub fn meet(bytes: &[u8]) -> (usize, usize) {
    let listed;
    let bytes = if bytes.starts_with(b"RFB") {
        bytes
    } else {
        listed = rectangles(bytes);
        &listed
    };
    let Ok(mut decoder) = Decoder::meet(bytes, &mut Vec::new(), Some("secret")) else { return (0, 0) };
    let (mut updates, mut others, screen) = (0, 0, Screen::new());
    while let Ok(told) = decoder.next() {
        if matches!(told, Told::Updated(_)) {
            updates += 1;
            decoder.publish(&screen);
            // What a window would upload.
            screen.try_take(&mut |view| {
                assert_eq!(view.pixels.len(), view.width * view.height * 4);
                let inside = |it: &Rect| it.x + it.width <= view.width && it.y + it.height <= view.height;
                assert!(view.damage.iter().all(inside));
            });
        } else {
            others += 1;
        }
        let (width, height) = decoder.size();
        assert!(
            width <= 16_384
                && height <= 16_384
                && width * height <= 7680 * 4320
                && decoder.consumed() <= bytes.len() as u64
        );
        if decoder.painted() > PIXELS {
            break;
        }
    }
    (updates, others)
}
