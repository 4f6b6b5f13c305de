//! Submodules of a checkout, from `.gitmodules` (gitmodules(5)), and whether they were fetched. Pure but for [`around`].

use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::listing::Listing;

/// Where git keeps them.
pub(super) const FILE: &str = ".gitmodules";
/// A larger one is not read, bytes.
const LARGEST: u64 = 256 << 10;

/// A submodule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Submodule {
    /// Its folder.
    pub path: PathBuf,
    /// Where it comes from.
    pub url: String,
    /// Whether its folder holds anything.
    pub fetched: bool,
    /// Whether it is archiso itself, which brings the profiles releng and baseline.
    pub holds_archiso: bool,
}

impl Submodule {
    /// The command that fetches it, to be run in the repository.
    #[must_use]
    pub fn command(&self, has_git: bool) -> String {
        let path = quoted(&self.path.display().to_string());
        if has_git {
            format!("git submodule update --init -- {path}")
        } else {
            // A downloaded archive has no .git, so that git does not know the submodule.
            format!("git clone -- {} {path}", quoted(&self.url))
        }
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The submodules of the checkout in `root`, from its own `.gitmodules`: for one question, without a look at all of it.
pub(crate) fn around(root: &Path) -> Vec<Submodule> {
    let file = root.join(FILE);
    if !file.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST) {
        return Vec::new();
    }
    let text = std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let filled = |path: &Path| std::fs::read_dir(root.join(path)).is_ok_and(|mut entries| entries.next().is_some());
    of_text(&text, filled)
}

pub(super) fn find(listing: &Listing) -> Vec<Submodule> {
    of_text(listing.text(Path::new(FILE)).unwrap_or_default(), |path| listing.entries(path).next().is_some())
}

/// What a `.gitmodules` names; `filled` says whether a folder holds anything.
fn of_text(text: &str, filled: impl Fn(&Path) -> bool) -> Vec<Submodule> {
    let mut found = Vec::new();
    for (path, url) in sections(text) {
        let path = PathBuf::from(path);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || path.as_os_str().is_empty() {
            continue;
        }
        let path: PathBuf = path.components().collect();
        let fetched = filled(&path);
        let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let holds_archiso = last.trim_end_matches(".git") == "archiso" || path.ends_with("archiso");
        found.push(Submodule { path, url, fetched, holds_archiso });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

/// Path and address of every section.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            sections.push((String::new(), String::new()));
        } else if let Some((key, value)) = line.split_once('=')
            && let Some(section) = sections.last_mut()
        {
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "path" => value.clone_into(&mut section.0),
                "url" => value.clone_into(&mut section.1),
                _ => {}
            }
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::super::listing::listed;
    use super::*;

    #[test]
    fn submodules_are_found_and_whether_they_were_fetched() {
        let text = "[submodule \"a\"]\n\tpath = iso-builder/archiso\n\turl = https://example.org/archiso.git\n\
                    [submodule \"b\"]\n path = \"the theme\"\nurl=git@example.org:me/theme\n# path = no\n\
                    [submodule \"evil\"]\n path = ../../etc\n url = x\n[submodule \"empty\"]\n";
        let listing = listed(&[(".gitmodules", text), ("iso-builder/archiso/", ""), ("the theme/x", "")]);
        let found = find(&listing);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].fetched, found[0].holds_archiso), (false, true));
        assert_eq!((found[1].fetched, found[1].holds_archiso), (true, false));
        assert_eq!(found[0].command(true), "git submodule update --init -- iso-builder/archiso");
        assert_eq!(found[0].command(false), "git clone -- https://example.org/archiso.git iso-builder/archiso");
        assert_eq!(found[1].command(true), "git submodule update --init -- 'the theme'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
