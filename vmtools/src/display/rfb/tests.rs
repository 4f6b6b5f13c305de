//! Streams made by hand, for each encoding and each bad input; and any bytes at all.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::outgoing::{
    COPY_RECT, CURSOR, CURSOR_WITH_ALPHA, DESKTOP_SIZE, EXTENDED_DESKTOP_SIZE, EXTENDED_KEY, HEXTILE, LAST_RECT,
    POINTER_MOTION, RAW, TIGHT, ZRLE,
};
use super::{Decoder, RfbError, Told, Update};

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
fn raw_and_copies() {
    let four = [R, G, B, K].map(bgrx).concat();
    assert_eq!(shown(2, 2, RAW, &four), [R, G, B, K]);
    let bytes = update(&[
        rect(0, 0, 2, 2, RAW, &four),
        rect(2, 0, 1, 2, RAW, &[R, G].map(bgrx).concat()),
        rect(1, 0, 2, 1, COPY_RECT, &[0; 4]),
        rect(1, 1, 0, 1, RAW, &[]),
        rect(0, 0, 0, 0, COPY_RECT, &[0; 4]),
    ]);
    let mut decoder = decoder(&bytes, 3, 2);
    decoder.next().unwrap();
    assert_eq!(decoder.rgba(), [R, R, G, B, K, G].map(|c| [c[0], c[1], c[2], 255]).concat());
}

#[test]
fn hextile_has_backgrounds_rectangles_and_raw_tiles() {
    // 18×1: a tile of 16 pixels and one of 2 that keeps the background.
    let first = [&[2 | 4 | 8][..], &bgrx(B), &bgrx(R), &[2, 0x10, 0x00, 0xf0, 0x00]].concat();
    let second = [&[8 | 16, 1][..], &bgrx(G), &[0x10, 0x00]].concat();
    let mut expected = vec![B; 18];
    (expected[1], expected[15], expected[17]) = (R, R, G);
    assert_eq!(shown(18, 1, HEXTILE, &[first, second].concat()), expected);
    assert_eq!(shown(2, 1, HEXTILE, &[&[1][..], &[R, G].map(bgrx).concat()].concat()), [R, G]);
    garbage(&fails(&[rect(0, 0, 2, 1, HEXTILE, &[8, 1, 0x10, 0x10])]), "outside its Hextile tile");
}

#[test]
fn zrle_has_all_kinds_of_tiles() {
    let raw = [&[0][..], &[R, G, B].map(bgr).concat()].concat();
    assert_eq!(shown(3, 1, ZRLE, &zrle(&raw)), [R, G, B]);
    assert_eq!(shown(2, 2, ZRLE, &zrle(&[&[1][..], &bgr(G)].concat())), [G; 4]);
    let two = [&[2][..], &bgr(R), &bgr(G), &[0b0100_0000, 0b1000_0000]].concat();
    assert_eq!(shown(2, 2, ZRLE, &zrle(&two)), [R, G, G, R]);
    let three = [&[3][..], &[R, G, B].map(bgr).concat(), &[0b1001_0000]].concat();
    assert_eq!(shown(3, 1, ZRLE, &zrle(&three)), [B, G, R]);
    let five = [&[5][..], &[R, G, B, K, R].map(bgr).concat(), &[0x31, 0x20]].concat();
    assert_eq!(shown(3, 1, ZRLE, &zrle(&five)), [K, G, B]);
    let runs = [&[128][..], &bgr(R), &[2], &bgr(B), &[0]].concat();
    assert_eq!(shown(2, 2, ZRLE, &zrle(&runs)), [R, R, R, B]);
    let long =
        [&[128][..], &bgr(R), &[255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 15]];
    assert_eq!(shown(64, 64, ZRLE, &zrle(&long.concat())), vec![R; 4096]);
    let palette = [&[130][..], &bgr(R), &bgr(B), &[1, 0x80, 1, 1]].concat();
    assert_eq!(shown(2, 2, ZRLE, &zrle(&palette)), [B, R, R, B]);
    // Two tiles side by side.
    let tiles = [&[1][..], &bgr(R), &[1], &bgr(B)].concat();
    let mut expected = vec![R; 65];
    expected[64] = B;
    assert_eq!(shown(65, 1, ZRLE, &zrle(&tiles)), expected);
}

#[test]
fn zrle_that_lies_is_refused() {
    let bad = |tiles: &[u8]| fails(&[rect(0, 0, 2, 2, ZRLE, &zrle(tiles))]);
    garbage(&bad(&[17]), "kind 17");
    garbage(&bad(&[129]), "kind 129");
    garbage(&bad(&[1, 0]), "fewer packed pixels");
    garbage(&bad(&[1, 0, 0, 0, 7]), "more packed pixels");
    garbage(&bad(&[128, 0, 0, 0, 4]), "longer than its tile");
    garbage(&bad(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), "not in the palette");
    garbage(&bad(&[130, 0, 0, 0, 0, 0, 0, 5]), "not in the palette");
    // A bomb: a small rectangle that unpacks to a gigabyte is left after its pixels.
    garbage(&bad(&vec![1; 50_000_000]), "more packed pixels");
    garbage(&fails(&[rect(0, 0, 2, 2, ZRLE, &[0, 0, 0, 4, 1, 2, 3, 4])]), "cannot be unpacked");
    garbage(&fails(&[rect(0, 0, 2, 2, ZRLE, &[0; 4])]), "fewer packed pixels");
    let cut = fails(&[rect(0, 0, 2, 2, ZRLE, &[255, 255, 255, 255, 0x78])]);
    assert!(matches!(cut, RfbError::Closed { doing: "sending a picture" }), "{cut}");
}

#[test]
fn tight_has_all_filters() {
    assert_eq!(shown(2, 2, TIGHT, &[&[0x80][..], &G].concat()), [G; 4]);
    // Less than 12 bytes are not packed.
    assert_eq!(shown(3, 1, TIGHT, &[&[0][..], &[R, G, B].concat()].concat()), [R, G, B]);
    let many: Vec<_> = [R, G, B, K].repeat(30);
    let copy = [&[0x10][..], &compact(&packed(&many.concat()))].concat();
    assert_eq!(shown(60, 2, TIGHT, &copy), many);
    let two = [&[0x40, 1, 1][..], &R, &B, &[0b1000_0000, 0b0100_0000]].concat();
    assert_eq!(shown(2, 2, TIGHT, &two), [B, R, R, B]);
    let indices: Vec<u8> = (0..60).map(|n| n % 3).collect();
    let palette = [&[0x60, 1, 2][..], &R, &G, &B, &compact(&packed(&indices))].concat();
    assert_eq!(shown(60, 1, TIGHT, &palette), [R, G, B].repeat(20));
    // Every pixel one more than what its neighbours let expect.
    let gradient = [&[0x40, 2][..], &[1; 9]].concat();
    assert_eq!(shown(3, 1, TIGHT, &gradient), [[1; 3], [2; 3], [3; 3]]);
    let rows = [&[0x40, 2][..], &compact(&packed(&[1; 12]))].concat();
    assert_eq!(shown(2, 2, TIGHT, &rows), [[1; 3], [2; 3], [2; 3], [4; 3]]);
}

#[test]
fn tight_streams_go_on_and_can_be_reset() {
    let line: Vec<u8> = [R, G, B, K].repeat(5).concat();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let mut next = || {
        let before = encoder.get_ref().len();
        encoder.write_all(&line).unwrap();
        encoder.flush().unwrap();
        encoder.get_ref()[before..].to_vec()
    };
    let (first, second) = (next(), next());
    let one = |control, bytes: &[u8]| rect(0, 0, 20, 1, TIGHT, &[&[control][..], &compact(bytes)].concat());
    let bytes = update(&[one(0x20, &first), one(0x20, &second), one(0x24, &first)]);
    let mut decoder = decoder(&bytes, 20, 20);
    decoder.next().unwrap();
    assert_eq!(decoder.consumed(), bytes.len() as u64);
    assert!(matches!(fails(&[one(0x20, &first), one(0x20, &first)]), RfbError::Garbage { .. }));
}

#[test]
fn tight_has_jpeg_in_the_right_colours() {
    let near = |pixels: &[[u8; 3]], colour: [u8; 3]| {
        assert!(pixels.iter().all(|p| p.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 4)), "{pixels:?}");
    };
    let body = |bytes: &[u8]| [&[0x90][..], &compact(bytes)].concat();
    // 17×9 pixels of one colour each.
    let bytes = include_bytes!("jpeg/orange.jpg");
    near(&shown(17, 9, TIGHT, &body(bytes)), [250, 120, 10]);
    near(&shown(17, 9, TIGHT, &body(include_bytes!("jpeg/grey.jpg"))), [77; 3]);
    let error = |w, h, bytes: &[u8]| fails(&[rect(0, 0, w, h, TIGHT, &body(bytes))]);
    garbage(&error(16, 9, bytes), "JPEG");
    garbage(&error(18, 9, bytes), "another size");
    garbage(&error(17, 9, &bytes[..40]), "JPEG");
    garbage(&error(17, 9, b""), "JPEG");
}

#[test]
fn tight_that_lies_is_refused() {
    let bad = |w, body: &[u8]| fails(&[rect(0, 0, w, 1, TIGHT, body)]);
    garbage(&bad(2, &[0xa0]), "kind 10");
    garbage(&bad(2, &[0x40, 3]), "filter 3");
    garbage(&bad(3, &[&[0x40, 1, 2][..], &[0; 9], &[0, 1, 3]].concat()), "not in the palette");
    let short = [&[0][..], &compact(&packed(&[0; 59]))].concat();
    garbage(&bad(20, &short), "fewer packed pixels");
    let long = [&[0][..], &compact(&packed(&[0; 5_000_000]))].concat();
    garbage(&bad(20, &long), "more packed pixels");
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
    assert_eq!(decoder.next().unwrap(), Told::CutText("hé".into()));
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
    garbage(&decoder(&[9], 20, 20).next().unwrap_err(), "kind 9");
    garbage(&decoder(&[3, 0, 0, 0, 255, 255, 255, 255], 20, 20).next().unwrap_err(), "a text of");
    let cut = fails(&[rect(0, 0, 2, 1, RAW, &[1, 2, 3])]);
    assert!(matches!(cut, RfbError::Closed { doing: "sending a picture" }));
    assert!(cut.to_string().contains("closed the connection while sending a picture"));
}

/// Bodies that begin as an encoding does, so that the bytes after them get somewhere.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let encodings = [
        RAW,
        COPY_RECT,
        HEXTILE,
        TIGHT,
        ZRLE,
        DESKTOP_SIZE,
        LAST_RECT,
        CURSOR,
        POINTER_MOTION,
        EXTENDED_KEY,
        EXTENDED_DESKTOP_SIZE,
        CURSOR_WITH_ALPHA,
    ];
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let body = prop_oneof![
        bytes(),
        bytes().prop_map(|bytes| zrle(&bytes)),
        (any::<u8>(), bytes()).prop_map(|(control, bytes)| [&[control][..], &compact(&packed(&bytes))].concat()),
        (bytes(), 0_u8..4).prop_map(|(bytes, filter)| [&[0x50, filter][..], &bytes].concat()),
    ];
    let one = (0_u16..30, 0_u16..30, 0_u16..40, 0_u16..40, proptest::sample::select(encodings.to_vec()), body)
        .prop_map(|(x, y, w, h, encoding, body)| rect(x, y, w, h, encoding, &body));
    proptest::collection::vec(one, 0..6).prop_map(|rects| update(&rects))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_do_harm(bytes in prop_oneof![
        hostile(),
        proptest::collection::vec(any::<u8>(), 0..300),
        (hostile(), hostile()).prop_map(|(a, b)| [a, b].concat()),
    ]) {
        let mut decoder = decoder(&bytes, 32, 32);
        while decoder.next().is_ok() {}
        prop_assert!(decoder.consumed() <= bytes.len() as u64);
        let (width, height) = decoder.size();
        prop_assert!(width <= 8192 && height <= 8192 && decoder.rgba().len() == width * height * 4);
    }

    #[test]
    fn no_greeting_does_harm(version in 0_usize..4, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let greeting = [&b"RFB 003.003\n"[..], b"RFB 003.007\n", b"RFB 003.008\n", b""][version];
        let bytes = [greeting, &bytes].concat();
        let mut wire = super::wire::Wire::new(&bytes[..]);
        let _ = super::handshake::shake(&mut wire, &mut Vec::new(), Some("secret"));
    }
}
