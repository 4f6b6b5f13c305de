//! Which keys give the keyboard back: pressed together and released, with nothing else between.

use serde::{Deserialize, Serialize};

/// Keys that end the guest's hold of the keyboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
}

impl ReleaseKey {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 4] = [Self::CtrlAlt, Self::CtrlAltShift, Self::RightCtrl, Self::BothCtrl];

    /// Their name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::CtrlAlt => "Ctrl+Alt",
            Self::CtrlAltShift => "Ctrl+Alt+Shift",
            Self::RightCtrl => "Right Ctrl",
            Self::BothCtrl => "Both Ctrl keys",
        }
    }

    /// One key of each group has to be down: XT set-1 scan codes.
    #[must_use]
    pub fn groups(self) -> &'static [&'static [u16]] {
        const CTRL: &[u16] = &[0x1d, 0xe01d];
        const ALT: &[u16] = &[0x38, 0xe038];
        const SHIFT: &[u16] = &[0x2a, 0x36];
        match self {
            Self::CtrlAlt => &[CTRL, ALT],
            Self::CtrlAltShift => &[CTRL, ALT, SHIFT],
            Self::RightCtrl => &[&[0xe01d]],
            Self::BothCtrl => &[&[0x1d], &[0xe01d]],
        }
    }
}
