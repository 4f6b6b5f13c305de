//! Paths and names of an image: any bytes, shown on one line, and written as text that gives the same bytes back.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest path that is read, bytes (`PATH_MAX` of Linux).
pub const LONGEST_PATH: usize = 4096;
/// The longest name in a directory, bytes (`NAME_MAX` of Linux).
pub(super) const LONGEST_NAME: usize = 255;

/// Bytes of a path or of a link's target. A path of a tree is relative, without a slash at either end.
///
/// Displays on one line: what is not printable, and the backslash, is escaped as in a C string (`\n`, `\x1b`). That text
/// is also its serialised form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Box<[u8]>);

impl TreePath {
    /// Takes bytes as they are.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `name` in this directory; the empty path is the root.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        if self.0.is_empty() { Self::new(name) } else { Self::new([&self.0, &b"/"[..], name].concat()) }
    }

    /// The directory that it is in; the empty path for what lies in the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Self::new(&self.0[..end])
    }

    /// The last part.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The parts from the root on; none for the root.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// Whether it can be the path of an entry: relative, no empty part, no `.` or `..`, no NUL, not too long.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.0.len() <= LONGEST_PATH && self.0.split(|byte| *byte == b'/').all(is_name)
    }

    /// Reads the form that `Display` writes; `None` for an escape that it would not have written.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '\\' {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            bytes.push(match rest.next()? {
                'n' => b'\n',
                't' => b'\t',
                'r' => b'\r',
                '\\' => b'\\',
                'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                    digit(digits[0])? * 16 + digit(digits[1])?
                }
                _ => return None,
            });
        }
        Some(Self::new(bytes))
    }
}

/// Whether `name` can stand in a directory.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

impl From<&str> for TreePath {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_text(&text).ok_or_else(|| serde::de::Error::custom("an escape that is none"))
    }
}

/// Text of an image on one line, safe for a terminal.
#[derive(Clone, Copy)]
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.0.as_bytes(), f)
    }
}

fn write_escaped(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write as _;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                // Also what turns the direction of a line around: it could make one name look like another.
                c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                }
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_line_and_gives_the_bytes_back() {
        let path = TreePath::new(&b"a\nb/\xff\xfe \x1b[31m\\n/\xe2\x80\xaex\xc3\xbc"[..]);
        let shown = path.to_string();
        assert_eq!(shown, "a\\nb/\\xff\\xfe \\x1b[31m\\\\n/\\xe2\\x80\\xaexü");
        assert_eq!(TreePath::from_text(&shown), Some(path));
        for bad in ["\\", "\\q", "\\x1", "\\xzz"] {
            assert_eq!(TreePath::from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn unsound_paths_are_told() {
        for good in ["a", "a/b", "...", "a b\n"] {
            assert!(TreePath::from(good).is_sound(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", "/a", "a/", "a//b", ".", "a/..", "..", "a\0", long.as_str()] {
            assert!(!TreePath::from(bad).is_sound(), "{bad:?}");
        }
        assert!(!TreePath::from("ab/".repeat(1400).as_str()).is_sound());
    }

    #[test]
    fn paths_take_apart_and_join() {
        let path = TreePath::from("usr/bin/env");
        assert_eq!((path.parent(), path.name()), (TreePath::from("usr/bin"), &b"env"[..]));
        assert_eq!(TreePath::from("env").parent(), TreePath::default());
        assert_eq!(TreePath::default().join(b"usr").join(b"bin"), path.parent());
        assert_eq!(path.parts().count(), 3);
        assert_eq!(TreePath::default().parts().count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_survive_as_text(bytes: Vec<u8>) {
            let path = TreePath::new(bytes);
            let text = path.to_string();
            proptest::prop_assert!(!text.chars().any(char::is_control));
            proptest::prop_assert_eq!(TreePath::from_text(&text), Some(path));
        }

        #[test]
        fn any_text_is_taken(text: String) {
            let _ = TreePath::from_text(&text);
        }
    }
}
