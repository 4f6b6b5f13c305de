//! What a client says, as bytes (RFC 6143, 7.5, and rfbproto).

use crate::display::SOUND_RATE;

pub(super) const RAW: i32 = 0;
pub(super) const COPY_RECT: i32 = 1;
pub(super) const HEXTILE: i32 = 5;
pub(super) const TIGHT: i32 = 7;
pub(super) const ZRLE: i32 = 16;
pub(super) const DESKTOP_SIZE: i32 = -223;
pub(super) const LAST_RECT: i32 = -224;
pub(super) const CURSOR: i32 = -239;
pub(super) const POINTER_MOTION: i32 = -257;
pub(super) const EXTENDED_KEY: i32 = -258;
/// QEMU's sound (rfbproto, QEMU Audio).
pub(super) const AUDIO: i32 = -259;
pub(super) const LED_STATE: i32 = -261;
pub(super) const EXTENDED_DESKTOP_SIZE: i32 = -308;
pub(super) const CURSOR_WITH_ALPHA: i32 = -314;
/// The same as [`LED_STATE`], of those servers that only know VMware's.
pub(super) const VMWARE_LED_STATE: i32 = 0x574d_5668;
pub(super) const EXTENDED_MOUSE_BUTTONS: i32 = -316;
/// The extended clipboard (rfbproto, 7.5.6.1), 0xc0a1_e5ce.
pub(super) const EXTENDED_CLIPBOARD: i32 = -0x3f5e_1a32;
/// JPEG quality 8 of 9: next to no loss that is seen.
const JPEG_QUALITY: i32 = -24;

/// How pixels come: one of these is preferred, the others are taken where the server wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are: cheapest for both where they need not travel.
    Raw,
    /// Tiles with few colours in few bytes.
    Hextile,
    /// Packed by zlib, without loss.
    Zrle,
    /// Packed by zlib, or as JPEG where the server likes: fewest bytes.
    Tight,
}

impl Encoding {
    /// What is told to the server, the preferred first. Who asks for the LED state keeps lock keys in step: QEMU no longer
    /// guesses at them from the case of letters.
    fn list(self) -> Vec<i32> {
        let pixels: &[i32] = match self {
            Self::Raw => &[RAW],
            Self::Hextile => &[HEXTILE, RAW],
            Self::Zrle => &[ZRLE, HEXTILE, RAW],
            Self::Tight => &[TIGHT, ZRLE, HEXTILE, RAW, JPEG_QUALITY],
        };
        let others = [
            COPY_RECT,
            CURSOR_WITH_ALPHA,
            CURSOR,
            EXTENDED_DESKTOP_SIZE,
            DESKTOP_SIZE,
            LAST_RECT,
            POINTER_MOTION,
            EXTENDED_KEY,
            EXTENDED_CLIPBOARD,
            LED_STATE,
            VMWARE_LED_STATE,
            EXTENDED_MOUSE_BUTTONS,
            AUDIO,
        ];
        pixels.iter().copied().chain(others).collect()
    }
}

/// Pixels as QEMU has them: 32 bits, depth 24, little endian, blue lowest.
pub(super) fn pixel_format() -> Vec<u8> {
    vec![0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]
}

pub(super) fn encodings(preferred: Encoding) -> Vec<u8> {
    let list = preferred.list();
    let mut bytes = vec![2, 0];
    bytes.extend((list.len() as u16).to_be_bytes());
    bytes.extend(list.iter().flat_map(|number| number.to_be_bytes()));
    bytes
}

pub(super) fn request(incremental: bool, (width, height): (usize, usize)) -> Vec<u8> {
    let mut bytes = vec![3, u8::from(incremental), 0, 0, 0, 0];
    for side in [width, height] {
        bytes.extend(u16::try_from(side).unwrap_or(u16::MAX).to_be_bytes());
    }
    bytes
}

pub(super) fn key(keysym: u32, down: bool) -> Vec<u8> {
    let mut bytes = vec![4, u8::from(down), 0, 0];
    bytes.extend(keysym.to_be_bytes());
    bytes
}

/// QEMU's extended key event: a key as it is on the keyboard. Where the scan code has 0xe0 before it, its top bit is set;
/// Pause, 0xe11d here, has a number of its own.
pub(super) fn extended_key(scancode: u16, keysym: u32, down: bool) -> Vec<u8> {
    let number = match scancode {
        0xe11d => 0xc6,
        0xe000.. => u32::from(scancode & 0x7f) | 0x80,
        _ => u32::from(scancode & 0x7f),
    };
    let mut bytes = vec![255, 0];
    bytes.extend(u16::from(down).to_be_bytes());
    bytes.extend(keysym.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes
}

/// How sound is to come (rfbproto, QEMU Audio Client Message): signed 16 bits, two channels, at [`SOUND_RATE`].
pub(super) fn sound_format() -> Vec<u8> {
    let mut bytes = vec![255, 1, 0, 2, 3, 2];
    bytes.extend(SOUND_RATE.to_be_bytes());
    bytes
}

/// Asks for the guest's sound, or for no more of it.
pub(super) fn sound(wanted: bool) -> Vec<u8> {
    vec![255, 1, 0, u8::from(!wanted)]
}

/// Where the server takes them (`extended`), buttons above the seventh follow in a byte more, and the top bit says so
/// (rfbproto, ExtendedMouseButtons); elsewhere that bit would be an eighth button of unknown meaning, and is left out.
pub(super) fn pointer((x, y): (u16, u16), buttons: u16, extended: bool) -> Vec<u8> {
    let (low, high) = ((buttons & 0x7f) as u8, (buttons >> 7 & 0xff) as u8);
    let more = extended && high != 0;
    let mut bytes = vec![5, low | if more { 0x80 } else { 0 }];
    bytes.extend(x.to_be_bytes());
    bytes.extend(y.to_be_bytes());
    if more {
        bytes.push(high);
    }
    bytes
}

/// Asks for another size of the screen, as one monitor with that id and those flags.
pub(super) fn desktop_size(width: u16, height: u16, (id, flags): (u32, u32)) -> Vec<u8> {
    let mut bytes = vec![251, 0];
    for side in [width, height] {
        bytes.extend(side.to_be_bytes());
    }
    bytes.extend([1, 0]);
    bytes.extend(id.to_be_bytes());
    bytes.extend([0; 4]);
    for side in [width, height] {
        bytes.extend(side.to_be_bytes());
    }
    bytes.extend(flags.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_qemus_numbers() {
        let number = |scancode| extended_key(scancode, 0, true)[8..].to_vec();
        assert_eq!(number(0x1e), [0, 0, 0, 0x1e]);
        assert_eq!(number(0xe01d), [0, 0, 0, 0x9d]);
        assert_eq!(number(0xe11d), [0, 0, 0, 0xc6]);
        assert_eq!(extended_key(0x1e, 0x61, true), [255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e]);
        assert_eq!(key(0xff0d, false), [4, 0, 0, 0, 0, 0, 0xff, 0x0d]);
    }

    #[test]
    fn messages_have_their_length() {
        assert_eq!(pixel_format().len(), 20);
        assert_eq!(request(true, (640, 480)), [3, 1, 0, 0, 0, 0, 2, 128, 1, 224]);
        assert_eq!(pointer((1, 2), 3, true), [5, 3, 0, 1, 0, 2]);
        assert_eq!(pointer((1, 2), 1 << 7 | 1, false), [5, 1, 0, 1, 0, 2]);
        assert_eq!(pointer((1, 2), 1 << 8 | 1, true), [5, 0x81, 0, 1, 0, 2, 2]);
        assert_eq!(desktop_size(1, 2, (3, 4)).len(), 8 + 16);
        assert_eq!(sound_format(), [255, 1, 0, 2, 3, 2, 0, 0, 0xbb, 0x80]);
        assert_eq!((sound(true), sound(false)), (vec![255, 1, 0, 0], vec![255, 1, 0, 1]));
        for encoding in [Encoding::Raw, Encoding::Hextile, Encoding::Zrle, Encoding::Tight] {
            let list = encoding.list();
            assert_eq!(encodings(encoding).len(), 4 + 4 * list.len());
            assert!(list.contains(&-261) && list.contains(&(0xc0a1_e5ce_u32 as i32)));
        }
    }
}
