//! Pixels of each encoding, right and wrong.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;

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
    let bytes = include_bytes!("../jpeg/orange.jpg");
    near(&shown(17, 9, TIGHT, &body(bytes)), [250, 120, 10]);
    near(&shown(17, 9, TIGHT, &body(include_bytes!("../jpeg/grey.jpg"))), [77; 3]);
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
