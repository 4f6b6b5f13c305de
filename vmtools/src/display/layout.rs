//! Text as the strokes that type it on the keyboard that a guest believes to have. The tables are those of
//! xkeyboard-config (its `symbols` files), first group: what a key gives alone, with Shift, and with AltGr as far as the
//! keymaps of Linux consoles agree.

use serde::{Deserialize, Serialize};

use super::keymap::Stroke;

/// A keyboard layout of a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// English, United States: what firmware, boot loaders and most installers begin with.
    #[default]
    Us,
    /// English, United Kingdom.
    Gb,
    /// German.
    De,
    /// German, whose accents are characters of their own.
    DeNoDeadKeys,
    /// French, AZERTY.
    Fr,
    /// Spanish.
    Es,
}

/// What the keys of a layout give: rows of neighbours with the scan code of their first (a space: nothing that is typed
/// this way), and the keys that wait for the next one.
struct Table {
    rows: &'static [(&'static str, &'static str, &'static str, u16)],
    dead: &'static [(char, Stroke)],
}

const US: Table = Table {
    rows: &[
        ("1234567890-=", "!@#$%^&*()_+", "", 0x02),
        ("qwertyuiop[]", "QWERTYUIOP{}", "", 0x10),
        ("asdfghjkl;'`", "ASDFGHJKL:\"~", "", 0x1e),
        ("\\zxcvbnm,./", "|ZXCVBNM<>?", "", 0x2b),
    ],
    dead: &[],
};

const GB: Table = Table {
    rows: &[
        ("1234567890-=", "!\"£$%^&*()_+", " ²³€  {[]}\\", 0x02),
        ("qwertyuiop[]", "QWERTYUIOP{}", "@", 0x10),
        ("asdfghjkl;'`", "ASDFGHJKL:@¬", "           |", 0x1e),
        ("#zxcvbnm,./", "~ZXCVBNM<>?", "       µ", 0x2b),
        ("\\", "|", "|", 0x56),
    ],
    dead: &[],
};

const DE: Table = Table {
    rows: &[
        ("1234567890ß", "!\"§$%&/()=?", " ²³   {[]}\\", 0x02),
        ("qwertzuiopü+", "QWERTZUIOPÜ*", "@ €        ~", 0x10),
        ("asdfghjklöä", "ASDFGHJKLÖÄ°", "", 0x1e),
        ("#yxcvbnm,.-", "'YXCVBNM;:_", "       µ", 0x2b),
        ("<", ">", "|", 0x56),
    ],
    dead: &[
        ('´', Stroke { scancode: 0x0d, shift: false, alt_gr: false }),
        ('`', Stroke { scancode: 0x0d, shift: true, alt_gr: false }),
        ('^', Stroke { scancode: 0x29, shift: false, alt_gr: false }),
    ],
};

const DE_NO_DEAD: Table = Table {
    rows: &[
        ("1234567890ß´", "!\"§$%&/()=?`", " ²³   {[]}\\", 0x02),
        ("qwertzuiopü+", "QWERTZUIOPÜ*", "@ €        ~", 0x10),
        ("asdfghjklöä^", "ASDFGHJKLÖÄ°", "          ^", 0x1e),
        ("#yxcvbnm,.-", "'YXCVBNM;:_", "       µ", 0x2b),
        ("<", ">", "|", 0x56),
    ],
    dead: &[],
};

const FR: Table = Table {
    rows: &[
        ("&é\"'(-è_çà)=", "1234567890°+", " ~#{[|`\\^@]}", 0x02),
        ("azertyuiop $", "AZERTYUIOP £", "  €", 0x10),
        ("qsdfghjklmù²", "QSDFGHJKLM%~", "@        µ", 0x1e),
        ("*wxcvbn,;:!", "µWXCVBN?./§", "", 0x2b),
        ("<", ">", "|", 0x56),
    ],
    dead: &[
        ('^', Stroke { scancode: 0x1a, shift: false, alt_gr: false }),
        ('¨', Stroke { scancode: 0x1a, shift: true, alt_gr: false }),
    ],
};

const ES: Table = Table {
    rows: &[
        ("1234567890'¡", "!\"·$%&/()=?¿", "|@#~  {[]}\\", 0x02),
        ("qwertyuiop +", "QWERTYUIOP *", "@ €       []", 0x10),
        ("asdfghjklñ º", "ASDFGHJKLÑ ª", "          {\\", 0x1e),
        ("çzxcvbnm,.-", "ÇZXCVBNM;:_", "}      µ", 0x2b),
        ("<", ">", "|", 0x56),
    ],
    dead: &[
        ('`', Stroke { scancode: 0x1a, shift: false, alt_gr: false }),
        ('^', Stroke { scancode: 0x1a, shift: true, alt_gr: false }),
        ('´', Stroke { scancode: 0x28, shift: false, alt_gr: false }),
        ('¨', Stroke { scancode: 0x28, shift: true, alt_gr: false }),
    ],
};

/// Letters with an accent, and the accent and the letter that they are typed of.
const ACCENTED: [(char, &str, &str); 5] = [
    ('´', "áéíóúýÁÉÍÓÚÝ", "aeiouyAEIOUY"),
    ('`', "àèìòùÀÈÌÒÙ", "aeiouAEIOU"),
    ('^', "âêîôûÂÊÎÔÛ", "aeiouAEIOU"),
    ('¨', "äëïöüÿÄËÏÖÜ", "aeiouyAEIOU"),
    ('~', "ãñõÃÑÕ", "anoANO"),
];

/// The space bar.
pub(super) const SPACE: Stroke = Stroke { scancode: 0x39, shift: false, alt_gr: false };

impl Layout {
    /// All of them, in the order of a menu.
    pub const ALL: [Self; 6] = [Self::Us, Self::Gb, Self::De, Self::DeNoDeadKeys, Self::Fr, Self::Es];

    /// Its name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Us => "English (US)",
            Self::Gb => "English (UK)",
            Self::De => "German",
            Self::DeNoDeadKeys => "German, no dead keys",
            Self::Fr => "French",
            Self::Es => "Spanish",
        }
    }

    fn table(self) -> &'static Table {
        match self {
            Self::Us => &US,
            Self::Gb => &GB,
            Self::De => &DE,
            Self::DeNoDeadKeys => &DE_NO_DEAD,
            Self::Fr => &FR,
            Self::Es => &ES,
        }
    }

    /// The strokes that type `text` on this layout, and the characters that it cannot type, each once.
    #[must_use]
    pub fn strokes(self, text: &str) -> (Vec<Stroke>, Vec<char>) {
        each(text, |c| self.character(c))
    }

    /// What a key gives with Shift.
    pub(super) fn shifted(self, scancode: u16) -> Option<char> {
        self.table()
            .rows
            .iter()
            .find_map(|(_, shifted, _, first)| shifted.chars().nth(usize::from(scancode.checked_sub(*first)?)))
    }

    fn character(self, c: char) -> Option<Vec<Stroke>> {
        if let Some(stroke) = self.key(c) {
            return Some(vec![stroke]);
        }
        let dead = |accent: char| self.table().dead.iter().find(|(it, _)| *it == accent).map(|(_, stroke)| *stroke);
        // An accent that waits for its letter takes a space for "alone". The acute alone would become an apostrophe.
        if let Some(accent) = dead(c).filter(|_| c.is_ascii()) {
            return Some(vec![accent, SPACE]);
        }
        let (accent, letter) = ACCENTED.iter().find_map(|(accent, whole, plain)| {
            let at = whole.chars().position(|it| it == c)?;
            Some((*accent, plain.chars().nth(at)?))
        })?;
        Some(vec![dead(accent)?, self.key(letter)?])
    }

    /// The one stroke that gives `c`.
    fn key(self, c: char) -> Option<Stroke> {
        if let Some(stroke) = control(c) {
            return Some(stroke);
        }
        // The level with the fewest fingers first, whatever its row.
        [(false, false), (true, false), (false, true)].into_iter().find_map(|(shift, alt_gr)| {
            self.table().rows.iter().find_map(|(alone, shifted, third, first)| {
                let legends = if alt_gr {
                    third
                } else if shift {
                    shifted
                } else {
                    alone
                };
                let at = u16::try_from(legends.chars().position(|it| it == c)?).ok()?;
                Some(Stroke { scancode: first + at, shift, alt_gr })
            })
        })
    }
}

/// The strokes of each character by `character`, and which it has none for.
pub(super) fn each(text: &str, character: impl Fn(char) -> Option<Vec<Stroke>>) -> (Vec<Stroke>, Vec<char>) {
    let (mut strokes, mut missing, mut last) = (Vec::new(), Vec::new(), None);
    for c in text.chars() {
        // A line that ends like on Windows still ends once.
        let doubled = c == '\n' && last == Some('\r');
        last = Some(c);
        match if doubled { Some(Vec::new()) } else { character(c) } {
            Some(typed) => strokes.extend(typed),
            None if missing.contains(&c) => {}
            None => missing.push(c),
        }
    }
    (strokes, missing)
}

/// The key of what is none of a layout's: Enter, Tab, Backspace, Escape, and the space bar.
pub(super) fn control(c: char) -> Option<Stroke> {
    let plain = |scancode| Some(Stroke { scancode, shift: false, alt_gr: false });
    match c {
        '\n' | '\r' => plain(0x1c),
        '\t' => plain(0x0f),
        '\x08' => plain(0x0e),
        '\x1b' => plain(0x01),
        ' ' => Some(SPACE),
        _ => None,
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
