//! Any bytes at all: nothing that a server says does harm.

use proptest::prelude::*;

use super::*;

/// Messages about the clipboard, packed texts among them.
fn clipboards() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let body = prop_oneof![
        bytes(),
        bytes().prop_map(|bytes| packed(&bytes)),
        (0_u32..300, bytes()).prop_map(|(length, bytes)| { packed(&[&length.to_be_bytes()[..], &bytes].concat()) })
    ];
    let flags = prop_oneof![any::<u32>(), (24_u32..29).prop_map(|bit| 1 << bit | 1)];
    let length = prop_oneof![3 => Just(None), 1 => any::<i32>().prop_map(Some)];
    (flags, body, length, any::<bool>()).prop_map(|(flags, body, length, extended)| {
        let body = if extended { [&flags.to_be_bytes()[..], &body].concat() } else { body };
        let own = if extended { -(body.len() as i32) } else { body.len() as i32 };
        [&[3, 0, 0, 0][..], &length.unwrap_or(own).to_be_bytes(), &body].concat()
    })
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
        LED_STATE,
        VMWARE_LED_STATE,
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
        (clipboards(), clipboards()).prop_map(|(a, b)| [a, b].concat()),
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
        let mut wire = super::super::wire::Wire::new(&bytes[..]);
        let _ = super::super::handshake::shake(&mut wire, &mut Vec::new(), Some("secret"));
    }
}
