//! Physical keys: XT scan codes, the X11 keysyms that stand for them on a US keyboard, and text as key strokes.
//!
//! RFB sends keysyms. QEMU takes scan codes beside them, and the guest sees the keys that were pressed, whatever the layouts are.
//! Other servers want what a key yields (RFC 6143, 7.5.4): that comes with the input where the user's keyboard tells it; where it
//! does not, a key is taken for one of a US keyboard, with Shift if that is down.

/// The scan code of the left Shift key.
pub const SHIFT: u16 = 0x2a;

/// The scan code of the right Shift key.
pub(super) const SHIFT_R: u16 = 0x36;

/// The scan code of the right Alt key, which is AltGr on most layouts.
pub const ALT_GR: u16 = 0xe038;

/// The keys of Ctrl-Alt-Del, in the order in which they are pressed.
pub const CTRL_ALT_DEL: &[u16] = &[0x1d, 0x38, 0xe053];

use super::{InputEvent, Layout};

/// One key stroke: a key, and whether Shift is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stroke {
    /// The key's scan code, XT set 1.
    pub scancode: u16,
    /// Whether Shift is held meanwhile.
    pub shift: bool,
    /// Whether AltGr, the right Alt key, is held meanwhile.
    pub alt_gr: bool,
}

impl Stroke {
    /// The stroke as input: Shift and AltGr down if needed, the key down and up, and those up again.
    #[must_use]
    pub fn events(self) -> Vec<InputEvent> {
        let key = InputEvent::key;
        let mut events = vec![key(self.scancode, true), key(self.scancode, false)];
        for (held, scancode) in [(self.alt_gr, ALT_GR), (self.shift, SHIFT)] {
            if held {
                events.insert(0, key(scancode, true));
                events.push(key(scancode, false));
            }
        }
        events
    }
}

/// The legends of the keys from 0x02 to 0x35 on a US keyboard that print something, without Shift, and the first's code.
const PRINTING: &[(&str, u16)] =
    &[("1234567890-=", 0x02), ("qwertyuiop[]", 0x10), ("asdfghjkl;'`", 0x1e), ("\\zxcvbnm,./", 0x2b)];

/// Keys that print nothing or whose legend is not ASCII: scan code, keysym (X11's keysymdef.h).
const NAMED: &[(u16, u32)] = &[
    (0x01, 0xff1b),        // Escape
    (0x0e, 0xff08),        // BackSpace
    (0x0f, 0xff09),        // Tab
    (0x1c, 0xff0d),        // Return
    (0x1d, 0xffe3),        // Control_L
    (0x2a, 0xffe1),        // Shift_L
    (0x36, 0xffe2),        // Shift_R
    (0x37, 0xffaa),        // KP_Multiply
    (0x38, 0xffe9),        // Alt_L
    (0x39, 0x0020),        // space
    (0x3a, 0xffe5),        // Caps_Lock
    (0x45, 0xff7f),        // Num_Lock
    (0x46, 0xff14),        // Scroll_Lock
    (0x47, 0xff95),        // KP_Home
    (0x48, 0xff97),        // KP_Up
    (0x49, 0xff9a),        // KP_Prior
    (0x4a, 0xffad),        // KP_Subtract
    (0x4b, 0xff96),        // KP_Left
    (0x4c, 0xff9d),        // KP_Begin
    (0x4d, 0xff98),        // KP_Right
    (0x4e, 0xffab),        // KP_Add
    (0x4f, 0xff9c),        // KP_End
    (0x50, 0xff99),        // KP_Down
    (0x51, 0xff9b),        // KP_Next
    (0x52, 0xff9e),        // KP_Insert
    (0x53, 0xff9f),        // KP_Delete
    (0x54, 0xff61),        // Print, with Alt
    (0x56, 0x003c),        // less, the key left of Z
    (0x57, 0xffc8),        // F11
    (0x58, 0xffc9),        // F12
    (0x59, 0xffbd),        // KP_Equal
    (0x5d, 0xffca),        // F13
    (0x5e, 0xffcb),        // F14
    (0x5f, 0xffcc),        // F15
    (0x70, 0xff27),        // Hiragana_Katakana
    (0x73, 0x005f),        // underscore, the key left of the right Shift on Japanese and Brazilian keyboards
    (0x79, 0xff23),        // Henkan
    (0x7b, 0xff22),        // Muhenkan
    (0x7d, 0x00a5),        // yen
    (0x7e, 0xffac),        // KP_Separator
    (0xe010, 0x1008_ff16), // XF86AudioPrev
    (0xe019, 0x1008_ff17), // XF86AudioNext
    (0xe01c, 0xff8d),      // KP_Enter
    (0xe01d, 0xffe4),      // Control_R
    (0xe020, 0x1008_ff12), // XF86AudioMute
    (0xe022, 0x1008_ff14), // XF86AudioPlay
    (0xe024, 0x1008_ff15), // XF86AudioStop
    (0xe02e, 0x1008_ff11), // XF86AudioLowerVolume
    (0xe030, 0x1008_ff13), // XF86AudioRaiseVolume
    (0xe035, 0xffaf),      // KP_Divide
    (0xe037, 0xff61),      // Print
    (0xe038, 0xffea),      // Alt_R
    (0xe046, 0xff13),      // Pause, with Control
    (0xe11d, 0xff13),      // Pause
    (0xe047, 0xff50),      // Home
    (0xe048, 0xff52),      // Up
    (0xe049, 0xff55),      // Prior
    (0xe04b, 0xff51),      // Left
    (0xe04d, 0xff53),      // Right
    (0xe04f, 0xff57),      // End
    (0xe050, 0xff54),      // Down
    (0xe051, 0xff56),      // Next
    (0xe052, 0xff63),      // Insert
    (0xe053, 0xffff),      // Delete
    (0xe05b, 0xffeb),      // Super_L
    (0xe05c, 0xffec),      // Super_R
    (0xe05d, 0xff67),      // Menu
];

/// The keysym of a key's unshifted legend on a US keyboard; `None` for keys that no PC keyboard has.
#[must_use]
pub fn keysym(scancode: u16) -> Option<u32> {
    if let Some((_, keysym)) = NAMED.iter().find(|(code, _)| *code == scancode) {
        return Some(*keysym);
    }
    // F1 to F10 are in a row, here and there.
    if (0x3b..=0x44).contains(&scancode) {
        return Some(0xffbe + u32::from(scancode - 0x3b));
    }
    PRINTING.iter().find_map(|(plain, first)| {
        let legend = plain.as_bytes().get(usize::from(scancode.checked_sub(*first)?))?;
        // ASCII is its own keysym.
        Some(u32::from(*legend))
    })
}

/// What a key of a US keyboard yields with Shift, if that is another thing than without.
pub(super) fn shifted(scancode: u16) -> Option<u32> {
    Layout::Us.shifted(scancode).map(keysym_of)
}

/// The keysym of a key that yields nothing by itself (keysymdef.h, `XK_VoidSymbol`): a server that is told keysyms is not told of it.
pub const NOTHING: u32 = 0xff_ffff;

/// The keysym of a character, as X11's tables have it: Latin-1 is its own, others have old names or their Unicode number.
#[must_use]
pub fn keysym_of(character: char) -> u32 {
    match character {
        // A line ends by Return.
        '\n' => xkeysym::key::Return,
        _ => xkeysym::Keysym::from_char(character).raw(),
    }
}

/// `text` as input of keysyms alone, for servers that take what keys yield: every character that there is.
#[must_use]
pub fn keysyms_for_text(text: &str) -> Vec<InputEvent> {
    let mut last = None;
    let mut events = Vec::new();
    for character in text.chars() {
        // A line that ends like on Windows still ends once.
        let doubled = character == '\n' && last == Some('\r');
        last = Some(character);
        if !doubled {
            let keysym = Some(keysym_of(character));
            events.extend([true, false].map(|down| InputEvent::Key { scancode: 0, keysym, down }));
        }
    }
    events
}

/// The strokes that type `text` on a US keyboard, and the characters that it cannot type, each once.
#[must_use]
pub fn keys_for_text(text: &str) -> (Vec<Stroke>, Vec<char>) {
    Layout::Us.strokes(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_printable_ascii_character_can_be_typed() {
        let text: String = (' '..='~').collect();
        let (strokes, missing) = keys_for_text(&text);
        assert_eq!((strokes.len(), missing.len()), (95, 0));
        let different: BTreeSet<_> = strokes.iter().map(|s| (s.scancode, s.shift)).collect();
        assert_eq!(different.len(), 95);
        for (c, stroke) in text.chars().zip(&strokes) {
            let legend = keysym(stroke.scancode).unwrap();
            assert_eq!(legend == u32::from(c), !stroke.shift, "{c}");
        }
        assert_eq!(keys_for_text("A~").0[1], Stroke { scancode: 0x29, shift: true, alt_gr: false });
    }

    #[test]
    fn what_cannot_be_typed_is_told_once() {
        let (strokes, missing) = keys_for_text("añb€ñ\r\nc\r");
        assert_eq!(missing, ['ñ', '€']);
        let codes: Vec<_> = strokes.iter().map(|s| s.scancode).collect();
        assert_eq!(codes, [0x1e, 0x30, 0x1c, 0x2e, 0x1c]);
    }

    #[test]
    fn characters_have_their_keysyms_and_text_is_each_of_them() {
        let known =
            [('a', 0x61), ('A', 0x41), ('ß', 0xdf), ('€', 0x20ac), ('ж', 0x6d6), ('\n', 0xff0d), ('\t', 0xff09)];
        for (character, keysym) in known {
            assert_eq!(keysym_of(character), keysym, "{character:?}");
        }
        assert_eq!(keysym_of('→'), 0x8fd);
        assert_eq!(keysym_of('\u{1f600}'), 0x0101_f600);
        assert_eq!((shifted(0x1e), shifted(0x02), shifted(0x56), shifted(0x1c)), (Some(0x41), Some(0x21), None, None));
        let typed: Vec<_> = keysyms_for_text("ß\r\n€").iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(typed.len(), 6);
        assert!(typed[2].contains("keysym: Some(65293), down: true") && typed[4].contains("Some(8364)"), "{typed:?}");
    }

    #[test]
    fn keys_have_their_keysyms() {
        for (code, expected) in
            [(0x3b, 0xffbe), (0x44, 0xffc7), (0x58, 0xffc9), (0x2b, 0x5c), (0x35, 0x2f), (0x02, 0x31)]
        {
            assert_eq!(keysym(code), Some(expected), "{code:#x}");
        }
        assert_eq!(keysym(0x29), Some(u32::from('`')));
        assert!(CTRL_ALT_DEL.iter().all(|&code| keysym(code).is_some()));
        assert_eq!((keysym(0), keysym(0x5a), keysym(0xffff)), (None, None, None));
    }
}
