//! Keys by the names that QEMU has for them (`QKeyCode` of its QAPI schema, as its monitor command `sendkey` takes them), as XT
//! set 1 scan codes.

/// Names of keys that are no single character of a US keyboard, and their scan codes; some have two names.
const NAMED: &[(&str, u16)] = &[
    ("esc", 0x01),
    ("backspace", 0x0e),
    ("tab", 0x0f),
    ("ret", 0x1c),
    ("enter", 0x1c),
    ("ctrl", 0x1d),
    ("ctrl_r", 0xe01d),
    ("shift", 0x2a),
    ("shift_r", 0x36),
    ("alt", 0x38),
    ("alt_r", 0xe038),
    ("altgr", 0xe038),
    ("meta_l", 0xe05b),
    ("super", 0xe05b),
    ("meta_r", 0xe05c),
    ("menu", 0xe05d),
    ("compose", 0xe05d),
    ("spc", 0x39),
    ("space", 0x39),
    ("caps_lock", 0x3a),
    ("num_lock", 0x45),
    ("scroll_lock", 0x46),
    ("minus", 0x0c),
    ("equal", 0x0d),
    ("bracket_left", 0x1a),
    ("bracket_right", 0x1b),
    ("semicolon", 0x27),
    ("apostrophe", 0x28),
    ("grave_accent", 0x29),
    ("backslash", 0x2b),
    ("comma", 0x33),
    ("dot", 0x34),
    ("slash", 0x35),
    ("less", 0x56),
    ("f11", 0x57),
    ("f12", 0x58),
    ("print", 0xe037),
    ("sysrq", 0x54),
    ("pause", 0xe11d),
    ("home", 0xe047),
    ("up", 0xe048),
    ("pgup", 0xe049),
    ("left", 0xe04b),
    ("right", 0xe04d),
    ("end", 0xe04f),
    ("down", 0xe050),
    ("pgdn", 0xe051),
    ("insert", 0xe052),
    ("delete", 0xe053),
    ("kp_enter", 0xe01c),
];

/// The scan code of a key, XT set 1, by its name in lower case; `None` if there is no such key.
#[must_use]
pub fn scancode(name: &str) -> Option<u16> {
    if let Some((_, code)) = NAMED.iter().find(|(known, _)| *known == name) {
        return Some(*code);
    }
    // F1 to F10 are in a row.
    if let Some(number) = name.strip_prefix('f').and_then(|it| it.parse::<u16>().ok()) {
        return (1..=10).contains(&number).then(|| 0x3a + number);
    }
    let mut letters = name.chars();
    let (letter, None) = (letters.next()?, letters.next()) else { return None };
    let (strokes, _) = super::keys_for_text(&letter.to_string());
    strokes.first().filter(|stroke| !stroke.shift).map(|stroke| stroke.scancode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::keymap::keysym;

    #[test]
    fn every_name_is_a_key_that_can_be_sent() {
        for (name, code) in NAMED {
            assert!(keysym(*code).is_some(), "{name}");
            assert_eq!(scancode(name), Some(*code), "{name} is named twice");
        }
        assert_eq!(
            ["a", "1", "f1", "f10", "f12"].map(scancode),
            [Some(0x1e), Some(2), Some(0x3b), Some(0x44), Some(0x58)]
        );
        assert_eq!(["", "A", "f0", "f13", "ctrll", "ä", "!"].map(scancode), [None; 7]);
    }
}
