//! What a key means while the guest has the keyboard: it is the guest's, or the last of those that give the keyboard back.

use std::collections::BTreeSet;

use winit::keyboard::KeyCode;

use super::keyboard_scancodes::scancode;
use super::release_key::ReleaseKey;

/// What a key means while the guest has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// For the guest: XT set-1 scancode, and whether the key went down.
    Guest(u16, bool),
    /// The keys for it were pressed and released alone: the user wants the keyboard back.
    GiveBack,
}

/// Follows which keys are down, and finds the chord that gives the keyboard back.
#[derive(Debug, Default)]
pub struct Chord {
    down: BTreeSet<u16>,
    /// Another key or a button came while those of the chord were down: then they are meant for the guest.
    spoiled: bool,
    /// The last of them, which does something by itself and was kept from the guest.
    kept: Option<u16>,
    /// The keys of the chord.
    pub release: ReleaseKey,
}

impl Chord {
    /// One key. `None` when the guest's keyboard has no such key, or it is kept from the guest.
    pub fn key(&mut self, key: KeyCode, down: bool) -> Option<Stroke> {
        let code = scancode(key)?;
        let (all, own) = (self.release.is_complete(&self.down), self.release.takes(code));
        if down {
            self.down.insert(code);
            if !own {
                self.spoiled = true;
            }
            if !self.spoiled && self.release.keeps(code) && self.release.is_complete(&self.down) {
                self.kept = Some(code);
                return None;
            }
        } else {
            self.down.remove(&code);
            if all && own && !self.spoiled {
                self.forget();
                return Some(Stroke::GiveBack);
            }
            if self.down.is_empty() {
                self.spoiled = false;
            }
            if self.kept == Some(code) {
                self.kept = None;
                return None;
            }
        }
        Some(Stroke::Guest(code, down))
    }

    /// The pointer did something while they were down: then they are meant for the guest.
    pub fn spoil(&mut self) {
        self.spoiled |= !self.down.is_empty();
    }

    /// All keys are up.
    pub fn forget(&mut self) {
        self.down.clear();
        self.spoiled = false;
        self.kept = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_alt_alone_gives_the_keyboard_back() {
        let mut chord = Chord::default();
        assert_eq!(chord.key(KeyCode::ControlLeft, true), Some(Stroke::Guest(0x1d, true)));
        assert_eq!(chord.key(KeyCode::AltLeft, true), Some(Stroke::Guest(0x38, true)));
        assert_eq!(chord.key(KeyCode::AltLeft, false), Some(Stroke::GiveBack));
    }

    #[test]
    fn ctrl_alt_f2_belongs_to_the_guest() {
        let mut chord = Chord::default();
        for (key, down) in [
            (KeyCode::ControlLeft, true),
            (KeyCode::AltLeft, true),
            (KeyCode::F2, true),
            (KeyCode::F2, false),
            (KeyCode::AltLeft, false),
            (KeyCode::ControlLeft, false),
        ] {
            assert!(matches!(chord.key(key, down), Some(Stroke::Guest(_, d)) if d == down));
        }
        // With the pointer too, as in Ctrl+Alt and a drag.
        chord.spoil();
        chord.key(KeyCode::ControlLeft, true);
        chord.key(KeyCode::AltLeft, true);
        chord.spoil();
        assert_eq!(chord.key(KeyCode::AltLeft, false), Some(Stroke::Guest(0x38, false)));
        assert_eq!(chord.key(KeyCode::ControlLeft, false), Some(Stroke::Guest(0x1d, false)));
        // And afterwards the chord works again.
        chord.key(KeyCode::ControlRight, true);
        chord.key(KeyCode::AltLeft, true);
        assert_eq!(chord.key(KeyCode::ControlRight, false), Some(Stroke::GiveBack));
    }

    #[test]
    fn other_keys_can_give_the_keyboard_back() {
        let ends = |release, keys: &[(KeyCode, bool)]| {
            let mut chord = Chord { release, ..Chord::default() };
            keys.iter().filter(|(key, down)| chord.key(*key, *down) == Some(Stroke::GiveBack)).count()
        };
        use KeyCode::{AltLeft, ControlLeft, ControlRight, F12, KeyC, ShiftRight};
        let down_up = |keys: &[KeyCode]| {
            keys.iter().map(|key| (*key, true)).chain(keys.iter().rev().map(|key| (*key, false))).collect::<Vec<_>>()
        };
        assert_eq!(ends(ReleaseKey::RightCtrl, &down_up(&[ControlRight])), 1);
        assert_eq!(ends(ReleaseKey::RightCtrl, &down_up(&[ControlRight, KeyC])), 0);
        assert_eq!(ends(ReleaseKey::RightCtrl, &down_up(&[ControlLeft, AltLeft])), 0);
        assert_eq!(ends(ReleaseKey::BothCtrl, &down_up(&[ControlLeft, ControlRight])), 1);
        assert_eq!(ends(ReleaseKey::BothCtrl, &down_up(&[ControlLeft])), 0);
        assert_eq!(ends(ReleaseKey::CtrlAltShift, &down_up(&[ControlLeft, AltLeft])), 0);
        assert_eq!(ends(ReleaseKey::CtrlAltShift, &down_up(&[ControlLeft, AltLeft, ShiftRight])), 1);
        let chosen = ReleaseKey::of(&[0x36, 0x58].into()).unwrap();
        assert_eq!(ends(chosen, &down_up(&[ShiftRight, F12])), 1);
        assert_eq!(ends(chosen, &down_up(&[F12, ShiftRight])), 1);
        assert_eq!(ends(chosen, &down_up(&[F12])), 0);
        assert_eq!(ends(chosen, &down_up(&[ShiftRight, F12, KeyC])), 0);
        // The key that does something by itself never reaches the guest with the others, and does alone.
        let sees = |keys: &[KeyCode]| {
            let mut chord = Chord { release: chosen, ..Chord::default() };
            let codes = down_up(keys).into_iter().filter_map(|(key, down)| chord.key(key, down));
            codes.filter(|stroke| matches!(stroke, Stroke::Guest(0x58, _))).count()
        };
        assert_eq!((sees(&[ShiftRight, F12]), sees(&[ShiftRight, F12, KeyC]), sees(&[F12])), (0, 0, 2));
    }
}
