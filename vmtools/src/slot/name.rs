//! What a slot is called: any text for people, and a file name that cannot lead anywhere.

use std::fmt;

/// The longest name, bytes of UTF-8: encoded it is three times as long at most, and a file name has 255 (limits.h).
const LONGEST: usize = 80;

/// A name that people gave a slot: 1 to 80 bytes of text without control characters, without blanks at its ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotName(String);

/// A text that cannot be a slot's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// There is nothing in it.
    #[error("a slot needs a name: \"before submit\", for example")]
    Empty,
    /// It has more than 80 bytes.
    #[error("this name is too long for a slot: use at most {LONGEST} bytes")]
    TooLong,
    /// It has a line end or another control character in it.
    #[error("a slot's name cannot have line ends or other control characters in it")]
    Control,
}

impl SlotName {
    /// Takes `text`, without the blanks around it.
    ///
    /// # Errors
    /// [`BadName`] when nothing is left, or too much, or something that no screen shows.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let text = text.trim();
        if text.is_empty() {
            Err(BadName::Empty)
        } else if text.len() > LONGEST {
            Err(BadName::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(BadName::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its folder: letters, digits, `_` and `-` as they are, any other byte as `%` and two digits.
    pub(super) fn folder(&self) -> String {
        let mut folder = String::new();
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
                folder.push(char::from(byte));
            } else {
                folder.push_str(&format!("%{byte:02x}"));
            }
        }
        folder
    }

    /// The name that a folder of that name belongs to; `None` for a folder that is none of ours.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut rest = folder.as_bytes();
        while let Some((&byte, more)) = rest.split_first() {
            rest = more;
            if byte == b'%' {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            } else {
                bytes.push(byte);
            }
        }
        let name = Self::new(&String::from_utf8(bytes).ok()?).ok()?;
        (name.folder() == folder).then_some(name)
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_what_is_wrong_with_a_name() {
        assert_eq!(SlotName::new("  before Submit ").unwrap().as_str(), "before Submit");
        assert_eq!(SlotName::new(" \t"), Err(BadName::Empty));
        assert_eq!(SlotName::new(&"ä".repeat(41)), Err(BadName::TooLong));
        assert_eq!(SlotName::new("a\nb"), Err(BadName::Control));
        assert_eq!(SlotName::new("../a b/ü").unwrap().folder(), "%2e%2e%2fa%20b%2f%c3%bc");
        for foreign in ["", ".draft-1", "a b", "%", "%2", "%zz", "%61", "%2E", "%ff"] {
            assert_eq!(SlotName::of_folder(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn any_name_has_a_folder_of_its_own(text in ".{0,30}") {
            if let Ok(name) = SlotName::new(&text) {
                let folder = name.folder();
                prop_assert!(folder.len() <= 255 && !folder.contains(['/', '.', '\0']) && !folder.is_empty());
                prop_assert_eq!(SlotName::of_folder(&folder), Some(name));
            }
        }

        #[test]
        fn no_folder_makes_it_panic(folder in ".{0,40}") {
            let _ = SlotName::of_folder(&folder);
        }
    }
}
