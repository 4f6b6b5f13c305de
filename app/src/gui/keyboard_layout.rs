//! What the keys of an X server's keyboard yield: its own tables, read as XKB says (The X Keyboard Extension: Protocol
//! Specification, 12). Raw keys, which a grab tells, come with nothing but a key code and which modifiers are down.

use x11rb::protocol::xkb::{self, ConnectionExt as _, KTMapEntry, KeySymMap, KeyType, MapPart};
use x11rb::rust_connection::RustConnection;

/// Caps Lock among the modifiers.
const LOCK: u16 = 2;

/// The keys of a keyboard.
#[derive(Debug)]
pub(super) struct Layout {
    /// The first key code of `keys`.
    first: u8,
    keys: Vec<KeySymMap>,
    types: Vec<KeyType>,
}

impl Layout {
    /// That of the keyboard that is used just now; `None` where the server does not tell.
    pub(super) fn of(connection: &RustConnection) -> Option<Self> {
        let (full, none) = (MapPart::KEY_TYPES | MapPart::KEY_SYMS, MapPart::from(0_u16));
        let keyboard = xkb::ID::USE_CORE_KBD.into();
        let no_mods = xkb::VMod::from(0_u16);
        let asked = connection.xkb_get_map(keyboard, full, none, 0, 0, 0, 0, 0, 0, 0, 0, no_mods, 0, 0, 0, 0, 0, 0);
        let told = asked.ok()?.reply().ok()?;
        Some(Self { first: told.first_key_sym, keys: told.map.syms_rtrn?, types: told.map.types_rtrn? })
    }

    /// What a key yields while the keyboard has `state`, which is a key event's; `None` where that is nothing.
    pub(super) fn keysym(&self, code: u8, state: u16) -> Option<u32> {
        let key = self.keys.get(usize::from(code.checked_sub(self.first)?))?;
        let groups = key.group_info & 0xf;
        if groups == 0 {
            return None;
        }
        let group = usize::from(group(key.group_info, groups, state >> 13 & 3));
        let kind = self.types.get(usize::from(*key.kt_index.get(group)?))?;
        let mask = u16::from(kind.mods_mask);
        let down = state & mask & 0xff;
        let means = |entry: &&KTMapEntry| entry.active && u16::from(entry.mods_mask) == down;
        let level = kind.map.iter().find(means).map_or(0, |entry| usize::from(entry.level));
        let keysym = *key.syms.get(group * usize::from(key.width) + level)?;
        let keysym = if state & LOCK & !mask != 0 { capital(keysym) } else { keysym };
        plain(keysym)
    }
}

/// The keysym as servers of others know it; `None` where the key's place says more than what it does with modifiers.
fn plain(keysym: u32) -> Option<u32> {
    match keysym {
        // Nothing; Sys_Req and Break (of Print and Pause); XF86Switch_VT_1 to _12.
        0 | 0xff15 | 0xff6b | 0x1008_fe01..=0x1008_fe0c => None,
        // ISO_Left_Tab: Shift is told besides.
        0xfe20 => Some(0xff09),
        other => Some(other),
    }
}

/// Which of a key's groups counts where the keyboard is in `wanted`: how a key without it goes on is its own (7.2.2).
fn group(info: u8, groups: u8, wanted: u16) -> u8 {
    let wanted = wanted as u8;
    if wanted < groups {
        return wanted;
    }
    match info >> 6 {
        0 => wanted % groups,
        1 => groups - 1,
        // Redirected, and the first one where that leads nowhere.
        _ => Some(info >> 4 & 3).filter(|to| *to < groups).unwrap_or(0),
    }
}

/// Caps Lock where a key's own table says nothing of it: letters are capitals.
fn capital(keysym: u32) -> u32 {
    match char::from_u32(keysym) {
        Some(letter @ ('a'..='z' | 'à'..='þ')) if letter != '÷' => keysym - 0x20,
        _ => keysym,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_modifiers_make_of_tab_print_and_function_keys_is_not_told() {
        assert_eq!(
            [0xfe20, 0xff15, 0xff6b, 0x1008_fe02, 0, 0x61].map(plain),
            [Some(0xff09), None, None, None, None, Some(0x61)]
        );
    }

    /// A keyboard of three keys: a letter with Shift, Caps Lock and AltGr, a key of two groups, and none.
    fn layout() -> Layout {
        let entry = |mods: u8, level| KTMapEntry { active: true, mods_mask: mods.into(), level, ..Default::default() };
        let four = vec![entry(1, 1), entry(2, 1), entry(0x80, 2), entry(0x81, 3)];
        let kind = |mask: u8, map| KeyType { mods_mask: mask.into(), num_levels: 4, map, ..Default::default() };
        let key = |group_info, width, syms: &[u32]| KeySymMap {
            kt_index: [0, 1, 0, 0],
            group_info,
            width,
            syms: syms.to_vec(),
        };
        Layout {
            first: 8,
            keys: vec![
                key(1, 4, &[0x61, 0x41, 0xe6, 0xc6]),
                key(2, 4, &[0x7a, 0x5a, 0, 0, 0x79, 0, 0, 0]),
                key(0, 0, &[]),
            ],
            types: vec![kind(0x83, four), kind(0, vec![])],
        }
    }

    #[test]
    fn modifiers_choose_a_level_and_the_keyboard_a_group() {
        let layout = layout();
        for (state, keysym) in [(0, 0x61), (1, 0x41), (2, 0x41), (0x80, 0xe6), (0x81, 0xc6), (4, 0x61), (1 << 13, 0x61)]
        {
            assert_eq!(layout.keysym(8, state), Some(keysym), "{state:#x}");
        }
        assert_eq!(layout.keysym(9, 0), Some(0x7a));
        assert_eq!(layout.keysym(9, 1 << 13), Some(0x79));
        assert_eq!(layout.keysym(9, 1 << 13 | 1), Some(0x79), "no level of this kind");
        assert_eq!(layout.keysym(9, 1 << 13 | 2), Some(0x59), "Caps Lock");
        assert_eq!(layout.keysym(9, 0x80), None, "nothing there");
        assert_eq!((layout.keysym(10, 0), layout.keysym(11, 0), layout.keysym(7, 0)), (None, None, None));
    }

    #[test]
    fn a_key_without_the_group_goes_its_own_way() {
        assert_eq!((group(2, 2, 1), group(2, 2, 3), group(0x42, 2, 3), group(0x92, 2, 3)), (1, 1, 1, 1));
        assert_eq!((group(0x82, 2, 2), group(0xb2, 2, 3)), (0, 0));
    }
}
