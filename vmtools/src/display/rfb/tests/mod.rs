//! Streams made by hand: pointers, sizes, other messages, and what no server may send; pixels and any bytes at all beside this.

mod any_bytes;
mod pixels;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::outgoing::{
    COPY_RECT, CURSOR, CURSOR_WITH_ALPHA, DESKTOP_SIZE, EXTENDED_DESKTOP_SIZE, EXTENDED_KEY, HEXTILE, LAST_RECT,
    LED_STATE, POINTER_MOTION, RAW, TIGHT, VMWARE_LED_STATE, ZRLE,
};
use super::{Clip, Decoder, RfbError, Told, Update};
use crate::display::{Copied, Locks};

const R: [u8; 3] = [255, 0, 0];
const G: [u8; 3] = [0, 255, 0];
const B: [u8; 3] = [0, 0, 255];
const K: [u8; 3] = [0, 0, 0];

/// A colour as four bytes, as three (ZRLE), and as three the other way round (Tight).
fn bgrx(c: [u8; 3]) -> [u8; 4] {
    [c[2], c[1], c[0], 9]
}

fn bgr(c: [u8; 3]) -> [u8; 3] {
    [c[2], c[1], c[0]]
}

fn rect(x: u16, y: u16, w: u16, h: u16, encoding: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = [x, y, w, h].iter().flat_map(|n| n.to_be_bytes()).collect();
    bytes.extend(encoding.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn update(rects: &[Vec<u8>]) -> Vec<u8> {
    [&[0, 0][..], &(rects.len() as u16).to_be_bytes(), &rects.concat()].concat()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.flush().unwrap();
    encoder.get_ref().clone()
}

fn zrle(tiles: &[u8]) -> Vec<u8> {
    let packed = packed(tiles);
    [&(packed.len() as u32).to_be_bytes()[..], &packed].concat()
}

fn compact(bytes: &[u8]) -> Vec<u8> {
    let n = bytes.len();
    let mut length = vec![(n & 127) as u8];
    if n > 127 {
        length[0] |= 128;
        length.push((n >> 7 & 127) as u8);
    }
    if n > 16_383 {
        length[1] |= 128;
        length.push((n >> 14) as u8);
    }
    [length, bytes.to_vec()].concat()
}

fn decoder(bytes: &[u8], width: usize, height: usize) -> Decoder<&[u8]> {
    Decoder::new(bytes, width, height, "QEMU").unwrap()
}

/// The colours of a picture of that size after one update.
fn shown(width: u16, height: u16, encoding: i32, body: &[u8]) -> Vec<[u8; 3]> {
    let bytes = update(&[rect(0, 0, width, height, encoding, body)]);
    let mut decoder = decoder(&bytes, usize::from(width), usize::from(height));
    assert!(matches!(decoder.next().unwrap(), Told::Updated(_)));
    assert_eq!(decoder.consumed(), bytes.len() as u64);
    decoder.rgba().chunks_exact(4).map(|p| [p[0], p[1], p[2]]).collect()
}

/// What an update of a screen of 20×20 pixels fails with.
fn fails(rects: &[Vec<u8>]) -> RfbError {
    decoder(&update(rects), 20, 20).next().unwrap_err()
}

fn garbage(error: &RfbError, words: &str) {
    assert!(matches!(error, RfbError::Garbage { what } if what.contains(words)), "{error}");
}

fn told(rects: &[Vec<u8>]) -> Update {
    match decoder(&update(rects), 20, 20).next().unwrap() {
        Told::Updated(update) => update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pointers_have_masks_or_alpha() {
    let cursor = told(&[rect(1, 0, 2, 1, CURSOR, &[&[R, G].map(bgrx).concat()[..], &[0b1000_0000]].concat())]).cursor;
    let cursor = cursor.unwrap();
    assert_eq!((cursor.width, cursor.height, cursor.hot_x, cursor.hot_y), (2, 1, 1, 0));
    assert_eq!(cursor.rgba, [255, 0, 0, 255, 0, 0, 0, 0]);
    let half = rect(0, 0, 1, 1, CURSOR_WITH_ALPHA, &[0, 0, 0, 0, 0, 0, 64, 128]);
    assert_eq!(told(std::slice::from_ref(&half)).cursor.unwrap().rgba, [127, 0, 0, 128]);
    let bytes = update(&[half]);
    let Told::Updated(other) = Decoder::new(&bytes[..], 20, 20, "Xvnc").unwrap().next().unwrap() else { panic!() };
    assert_eq!(other.cursor.unwrap().rgba, [0, 0, 127, 128]);
    assert_eq!(told(&[rect(0, 0, 0, 0, CURSOR, &[])]).cursor.unwrap().width, 0);
    garbage(&fails(&[rect(0, 0, 2000, 2000, CURSOR, &[])]), "pointer of 2000x2000");
    garbage(&fails(&[rect(0, 0, 1, 1, CURSOR_WITH_ALPHA, &[0, 0, 0, 7])]), "encoding 7");
}

#[test]
fn lights_of_the_keyboard_come_in_two_ways() {
    let caps = Locks { caps: true, ..Locks::default() };
    assert_eq!(told(&[rect(0, 0, 1, 1, LED_STATE, &[4])]).locks, Some(caps));
    assert_eq!(told(&[rect(0, 0, 0, 0, VMWARE_LED_STATE, &[0, 0, 0, 4])]).locks, Some(caps));
    assert_eq!(told(&[rect(0, 0, 0, 0, EXTENDED_KEY, &[])]).locks, None);
    let cut = fails(&[rect(0, 0, 0, 0, VMWARE_LED_STATE, &[0, 0])]);
    assert!(matches!(cut, RfbError::Closed { .. }), "{cut}");
}

#[test]
fn sizes_change_and_end() {
    let size = |x, y, w, h| {
        rect(x, y, w, h, EXTENDED_DESKTOP_SIZE, &[&[1, 0, 0, 0][..], &[0, 0, 0, 7], &[0; 8], &[0, 0, 0, 9]].concat())
    };
    let done = told(&[size(1, 0, 30, 10)]);
    assert_eq!((done.resized, done.monitor, done.size_status), (true, Some((7, 9)), Some(0)));
    let pending = told(&[size(1, 4, 30, 10)]);
    assert_eq!((pending.resized, pending.size_status), (false, Some(4)));
    let own = told(&[size(0, 0, 20, 20)]);
    assert_eq!((own.resized, own.size_status), (false, None));
    let bytes = update(&[rect(0, 0, 30, 10, DESKTOP_SIZE, &[]), rect(29, 9, 1, 1, RAW, &[0; 4])]);
    let mut decoder = decoder(&bytes, 20, 20);
    decoder.next().unwrap();
    assert_eq!(decoder.size(), (30, 10));
    let huge = fails(&[rect(0, 0, 65_535, 65_535, DESKTOP_SIZE, &[])]);
    assert!(matches!(huge, RfbError::TooLarge { width: 65_535, height: 65_535 }), "{huge}");
    assert!(huge.to_string().contains("65535x65535"));
    assert!(matches!(Decoder::new(&[][..], 65_535, 65_535, ""), Err(RfbError::TooLarge { .. })));
    assert!(matches!(Decoder::new(&[][..], 0, 5, ""), Err(RfbError::TooLarge { .. })));
}

#[test]
fn other_messages_are_told_or_passed_over() {
    let text = [&[3, 0, 0, 0, 0, 0, 0, 3][..], &[b'h', 0xe9, 0]].concat();
    let colours = [1, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6];
    let facts = update(&[
        rect(1, 0, 0, 0, POINTER_MOTION, &[]),
        rect(0, 0, 0, 0, POINTER_MOTION, &[]),
        rect(0, 0, 0, 0, EXTENDED_KEY, &[]),
    ]);
    // More rectangles are announced than come: the last one says so.
    let last = [&[0, 0, 255, 255][..], &rect(0, 0, 0, 0, LAST_RECT, &[])].concat();
    let bytes = [&[2][..], &text, &colours, &facts, &last].concat();
    let mut decoder = decoder(&bytes, 20, 20);
    assert_eq!(decoder.next().unwrap(), Told::Bell);
    assert_eq!(decoder.next().unwrap(), Told::Clipboard(Clip::Copied(Copied::Text("hé".into()))));
    assert_eq!(decoder.next().unwrap(), Told::Nothing);
    let known = Update { relative: Some(true), extended_keys: true, ..Update::default() };
    assert_eq!(decoder.next().unwrap(), Told::Updated(known));
    assert_eq!(decoder.next().unwrap(), Told::Updated(Update::default()));
    assert!(matches!(decoder.next(), Err(RfbError::Closed { doing: "waiting for a picture" })));
}

#[test]
fn what_no_server_may_send_is_refused() {
    garbage(&fails(&[rect(19, 0, 2, 1, RAW, &[])]), "outside the screen");
    garbage(&fails(&[rect(0, 0, 2, 1, COPY_RECT, &[0, 19, 0, 0])]), "copy from outside");
    garbage(&fails(&[rect(0, 0, 2, 1, 77, &[])]), "encoding 77");
    garbage(&fails(&vec![rect(0, 0, 20, 20, TIGHT, &[0x80, 1, 2, 3]); 50_000]), "over and over");
    garbage(&decoder(&[9], 20, 20).next().unwrap_err(), "kind 9");
    garbage(&decoder(&[3, 0, 0, 0, 127, 255, 255, 255], 20, 20).next().unwrap_err(), "a clipboard of");
    let cut = fails(&[rect(0, 0, 2, 1, RAW, &[1, 2, 3])]);
    assert!(matches!(cut, RfbError::Closed { doing: "sending a picture" }));
    assert!(cut.to_string().contains("closed the connection while sending a picture"));
}
