//! Which keys give the keyboard back: pressed together and released, with nothing else between. Some are offered, and any others can
//! be pressed to be chosen, of those that nobody types with.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Keys that end the guest's hold of the keyboard. In `window.toml`: `ctrl_alt`, `ctrl_alt_shift`, `right_ctrl`, `both_ctrl`, or names
/// as `Left Ctrl+F12`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum ReleaseKey {
    /// Ctrl and Alt, any of either.
    #[default]
    CtrlAlt,
    /// Ctrl, Alt and Shift, any of each.
    CtrlAltShift,
    /// The right Ctrl key.
    RightCtrl,
    /// Both Ctrl keys.
    BothCtrl,
    /// Others that were pressed.
    Pressed(Together),
}

/// One to three of [`NAMED`], all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together([Option<u16>; MOST]);

/// So many keys together at most.
pub const MOST: usize = 3;

/// The keys that can be chosen, in the order in which they are named: XT set-1 scan codes.
pub const NAMED: [(u16, &str); 24] = [
    (0x1d, "Left Ctrl"),
    (0xe01d, "Right Ctrl"),
    (0x38, "Left Alt"),
    (0xe038, "Right Alt"),
    (0x2a, "Left Shift"),
    (0x36, "Right Shift"),
    (0xe05b, "Left Super"),
    (0xe05c, "Right Super"),
    (0xe05d, "Menu"),
    (0x3b, "F1"),
    (0x3c, "F2"),
    (0x3d, "F3"),
    (0x3e, "F4"),
    (0x3f, "F5"),
    (0x40, "F6"),
    (0x41, "F7"),
    (0x42, "F8"),
    (0x43, "F9"),
    (0x44, "F10"),
    (0x57, "F11"),
    (0x58, "F12"),
    (0xe037, "Print"),
    (0x46, "Scroll Lock"),
    (0xe046, "Pause"),
];

const CTRL: &[u16] = &[0x1d, 0xe01d];
const ALT: &[u16] = &[0x38, 0xe038];
const SHIFT: &[u16] = &[0x2a, 0x36];
const SUPER: &[u16] = &[0xe05b, 0xe05c];

impl ReleaseKey {
    /// Those that are offered, in the order of the menu: their name in a file, and for people.
    pub const OFFERED: [(Self, &str, &str); 4] = [
        (Self::CtrlAlt, "ctrl_alt", "Ctrl+Alt"),
        (Self::CtrlAltShift, "ctrl_alt_shift", "Ctrl+Alt+Shift"),
        (Self::RightCtrl, "right_ctrl", "Right Ctrl"),
        (Self::BothCtrl, "both_ctrl", "Both Ctrl keys"),
    ];

    /// These keys, which were pressed together.
    ///
    /// # Errors
    /// What cannot be chosen, in words.
    pub fn of(keys: &BTreeSet<u16>) -> Result<Self, String> {
        if keys.is_empty() || keys.len() > MOST {
            return Err(format!("{} keys together: choose one to {MOST}.", keys.len()));
        }
        let named: Vec<u16> = NAMED.iter().map(|(code, _)| *code).filter(|code| keys.contains(code)).collect();
        if named.len() < keys.len() {
            return Err("A guest needs that key itself. Choose of Ctrl, Alt, Shift, Super, Menu, F1 to F12, Print, Scroll Lock and Pause."
                .to_owned());
        }
        Ok(match named[..] {
            [0xe01d] => Self::RightCtrl,
            [0x1d, 0xe01d] => Self::BothCtrl,
            _ => Self::Pressed(Together(std::array::from_fn(|at| named.get(at).copied()))),
        })
    }

    /// Their name for people.
    #[must_use]
    pub fn label(self) -> Cow<'static, str> {
        match self {
            Self::Pressed(keys) => Cow::Owned(keys.names()),
            offered => Cow::Borrowed(offered.offer().2),
        }
    }

    /// Whether `down` are all that it takes.
    #[must_use]
    pub fn is_complete(self, down: &BTreeSet<u16>) -> bool {
        let any = |keys: &[u16]| keys.iter().any(|key| down.contains(key));
        match self {
            Self::CtrlAlt => any(CTRL) && any(ALT),
            Self::CtrlAltShift => any(CTRL) && any(ALT) && any(SHIFT),
            Self::RightCtrl => any(&[0xe01d]),
            Self::BothCtrl => CTRL.iter().all(|key| down.contains(key)),
            Self::Pressed(keys) => keys.codes().all(|key| down.contains(&key)),
        }
    }

    /// Whether that key is one of them.
    #[must_use]
    pub fn takes(self, code: u16) -> bool {
        match self {
            Self::CtrlAlt => CTRL.contains(&code) || ALT.contains(&code),
            Self::CtrlAltShift => CTRL.contains(&code) || ALT.contains(&code) || SHIFT.contains(&code),
            Self::RightCtrl => code == 0xe01d,
            Self::BothCtrl => CTRL.contains(&code),
            Self::Pressed(keys) => keys.codes().any(|key| key == code),
        }
    }

    /// Whether a key that completes it is kept from the guest: others than modifiers do something by themselves.
    #[must_use]
    pub fn keeps(self, code: u16) -> bool {
        let modifier = |known: &[u16]| known.contains(&code);
        self.takes(code) && !modifier(CTRL) && !modifier(ALT) && !modifier(SHIFT) && !modifier(SUPER)
    }

    /// How it is offered; the first of them where it is not.
    fn offer(self) -> (Self, &'static str, &'static str) {
        Self::OFFERED.into_iter().find(|(way, ..)| *way == self).unwrap_or(Self::OFFERED[0])
    }
}

impl Together {
    fn codes(self) -> impl Iterator<Item = u16> {
        self.0.into_iter().flatten()
    }

    fn names(self) -> String {
        let names = NAMED.iter().filter(|(code, _)| self.codes().any(|key| key == *code)).map(|(_, name)| *name);
        names.collect::<Vec<_>>().join("+")
    }
}

impl From<ReleaseKey> for String {
    fn from(keys: ReleaseKey) -> Self {
        match keys {
            ReleaseKey::Pressed(keys) => keys.names(),
            offered => offered.offer().1.to_owned(),
        }
    }
}

/// What cannot be understood is the way that is offered first: nothing else that is remembered is lost with it.
impl From<String> for ReleaseKey {
    fn from(text: String) -> Self {
        if let Some((offered, ..)) = Self::OFFERED.into_iter().find(|(_, name, _)| *name == text) {
            return offered;
        }
        let code = |name: &str| NAMED.iter().find(|(_, known)| *known == name).map(|(code, _)| *code);
        let keys: Option<BTreeSet<u16>> = text.split('+').map(code).collect();
        keys.and_then(|keys| Self::of(&keys).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_remembered_as_it_was_chosen() {
        let pressed = |keys: &[u16]| ReleaseKey::of(&keys.iter().copied().collect()).unwrap();
        for (keys, text) in [
            (ReleaseKey::CtrlAlt, "ctrl_alt"),
            (ReleaseKey::BothCtrl, "both_ctrl"),
            (pressed(&[0xe01d]), "right_ctrl"),
            (pressed(&[0x58, 0x1d]), "Left Ctrl+F12"),
            (pressed(&[0xe046]), "Pause"),
            (pressed(&[0x2a, 0xe05b, 0x46]), "Left Shift+Left Super+Scroll Lock"),
        ] {
            assert_eq!(String::from(keys), text);
            assert_eq!(ReleaseKey::from(text.to_owned()), keys);
        }
        for text in ["", "F13", "ctrl_alt+F1", "F1+F2+F3+F4"] {
            assert_eq!(ReleaseKey::from(text.to_owned()), ReleaseKey::CtrlAlt, "{text}");
        }
    }

    #[test]
    fn keys_that_a_guest_is_typed_into_with_are_not_to_be_had() {
        for keys in [&[0x1e][..], &[0x1d, 0x1e], &[0x1c], &[0x39], &[0xe053], &[], &[0x3b, 0x3c, 0x3d, 0x3e]] {
            assert!(ReleaseKey::of(&keys.iter().copied().collect()).is_err(), "{keys:x?}");
        }
    }
}
