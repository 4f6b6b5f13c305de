//! Adds packages to a package list, keeping the file's own text: pure.
//!
//! A line that begins with `#` is a comment, and so is what follows a `#` on any line; blank lines say nothing
//! (archiso's `docs/README.profile.rst`, and what `mkarchiso` 88 really does).

use std::collections::BTreeSet;

/// Stands above what we add.
const HEADING: &str = "# image.packages of cartridge.toml";

/// The text with those of `packages` appended that it does not have, and which these are.
pub(super) fn extended(text: &[u8], packages: &[String]) -> (Vec<u8>, Vec<String>) {
    let mut known: BTreeSet<&[u8]> = text.split(|byte| *byte == b'\n').filter_map(package).collect();
    let added: Vec<String> = packages.iter().filter(|name| known.insert(name.as_bytes())).cloned().collect();
    let mut whole = text.to_vec();
    if !added.is_empty() {
        if whole.last().is_some_and(|last| *last != b'\n') {
            whole.push(b'\n');
        }
        for line in std::iter::once(HEADING).chain(added.iter().map(String::as_str)) {
            whole.extend(line.bytes());
            whole.push(b'\n');
        }
    }
    (whole, added)
}

/// Whether `name` can stand in a list and be handed to pacman: one word, no option, no comment.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
}

/// The package of a line.
fn package(line: &[u8]) -> Option<&[u8]> {
    let words = line.split(|byte| *byte == b'#').next()?.trim_ascii();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(text: &str, packages: &[&str]) -> (String, Vec<String>) {
        let packages: Vec<String> = packages.iter().map(ToString::to_string).collect();
        let (text, added) = extended(text.as_bytes(), &packages);
        (String::from_utf8(text).unwrap(), added)
    }

    #[test]
    fn the_text_stays_and_nothing_is_listed_twice() {
        let text = "# tools\nbase\n\n  git  # for us\njq\r\n#gum\nlast";
        let (extended, added) = add(text, &["git", "gum", "jq", "last", "gum", "openssl", "base"]);
        assert_eq!(extended, format!("{text}\n{HEADING}\ngum\nopenssl\n"));
        assert_eq!(added, ["gum", "openssl"]);
        assert_eq!(add(text, &["git", "base"]), (text.to_owned(), vec![]));
        assert_eq!(add("", &["a"]).0, format!("{HEADING}\na\n"));
    }

    #[test]
    fn names_are_one_word() {
        for name in ["git", "extra/git", "lib32-glibc", "gtk2+extra", "a@b", "python>=3.12", "ttf-ms_fonts"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-Syu", "a b", "a\nb", "a#b", "a\r", "a\u{a0}b", "a\0b"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
