//! Package lists: one package a line, as mkarchiso's own sed cuts them (archiso 88, `_validate_common_requirements_…`).

use std::path::Path;

use super::model::{ListedPackage, PackageList};

/// Reads a list. Lines that mkarchiso drops are dropped: blank ones, and those that begin with `#`; `#` ends a line anywhere.
/// Blanks are spaces and tabs alone, so a carriage return stays, as it does for mkarchiso.
#[must_use]
pub fn parse_package_list(file: &Path, text: &str) -> PackageList {
    let is_blank = |c: char| c == ' ' || c == '\t';
    let mut list = PackageList { file: file.to_path_buf(), ..PackageList::default() };
    for (index, line) in text.split('\n').enumerate() {
        list.has_carriage_returns |= line.ends_with('\r');
        let (raw, has_comment) = line.split_once('#').map_or((line, false), |(before, _)| (before, true));
        let name = raw.trim_matches(|c| is_blank(c) || c == '\r');
        // A lone carriage return would be a package to mkarchiso; it is told by the flag.
        if name.is_empty() {
            continue;
        }
        list.packages.push(ListedPackage { raw: raw.to_owned(), name: name.to_owned(), line: index + 1, has_comment });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PackageList {
        parse_package_list(Path::new("/p/packages.x86_64"), text)
    }

    #[test]
    fn comments_and_blanks_are_dropped_and_what_mkarchiso_keeps_is_kept() {
        let list = read("# base\nbase\n\n  \t# indented\n linux  # kernel\nmkinitcpio#no blank\n\tvim\n");
        let shown: Vec<_> =
            list.packages.iter().map(|it| (it.raw.as_str(), it.name.as_str(), it.line, it.has_comment)).collect();
        assert_eq!(
            shown,
            [
                ("base", "base", 2, false),
                (" linux  ", "linux", 5, true),
                ("mkinitcpio", "mkinitcpio", 6, true),
                ("\tvim", "vim", 7, false)
            ]
        );
        assert!(!list.has_carriage_returns);
    }

    #[test]
    fn carriage_returns_stay_in_what_pacman_is_asked_for() {
        let list = read("base\r\n\r\nlinux\r\n");
        assert!(list.has_carriage_returns);
        let shown: Vec<_> = list.packages.iter().map(|it| (it.raw.as_str(), it.name.as_str(), it.line)).collect();
        assert_eq!(shown, [("base\r", "base", 1), ("linux\r", "linux", 3)]);
    }

    proptest::proptest! {
        #[test]
        fn every_package_is_a_piece_of_its_line(text in "[a-z# \t\r\n]{0,60}|.*") {
            let lines: Vec<&str> = text.split('\n').collect();
            for package in read(&text).packages {
                let line = lines[package.line - 1];
                proptest::prop_assert!(line.starts_with(&package.raw) && package.raw.contains(&package.name));
                proptest::prop_assert!(!package.raw.contains('#') && !package.name.is_empty());
                proptest::prop_assert_eq!(package.has_comment, line.len() > package.raw.len());
            }
        }
    }
}
