//! Learns which keys shall give the keyboard back: those that are pressed together until all are up again.

use std::collections::BTreeSet;

use winit::keyboard::KeyCode;

use super::keyboard_scancodes::scancode;
use super::release_key::ReleaseKey;

/// What is said while it waits for keys.
pub const WORDS: &str =
    "Press the keys together that shall give the keyboard back. Escape or a click leaves it as it is.";

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// These it shall be.
    Keys(ReleaseKey),
    /// They cannot be, in words.
    Refused(String),
    /// It stays as it was.
    Nothing,
}

/// Keys that were pressed since it began.
#[derive(Debug, Default)]
pub struct Learner {
    down: BTreeSet<u16>,
    together: BTreeSet<u16>,
}

impl Learner {
    /// One key; what came of it when that was the last one that went up. A key that was down before it began is none.
    pub fn key(&mut self, key: KeyCode, down: bool) -> Option<Learned> {
        if key == KeyCode::Escape {
            return down.then_some(Learned::Nothing);
        }
        let Some(code) = scancode(key) else {
            return down.then(|| Learned::Refused("A guest's keyboard has no such key.".to_owned()));
        };
        if down {
            self.down.insert(code);
            self.together.insert(code);
            return None;
        }
        if !self.down.remove(&code) || !self.down.is_empty() {
            return None;
        }
        Some(match ReleaseKey::of(&std::mem::take(&mut self.together)) {
            Ok(keys) => Learned::Keys(keys),
            Err(words) => Learned::Refused(words),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_count_once_all_are_up_and_an_older_one_does_not() {
        let mut learner = Learner::default();
        assert_eq!(learner.key(KeyCode::Enter, false), None, "chose the item of the menu");
        for (key, down) in [(KeyCode::ShiftLeft, true), (KeyCode::F12, true), (KeyCode::ShiftLeft, false)] {
            assert_eq!(learner.key(key, down), None);
        }
        let Some(Learned::Keys(keys)) = learner.key(KeyCode::F12, false) else { panic!("not learned") };
        assert_eq!(keys.label(), "Left Shift+F12");
        assert_eq!(learner.key(KeyCode::KeyA, true), None);
        assert!(matches!(learner.key(KeyCode::KeyA, false), Some(Learned::Refused(_))));
        assert_eq!(learner.key(KeyCode::Escape, true), Some(Learned::Nothing));
    }
}
