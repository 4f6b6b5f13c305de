//! What lies where in a folder, and the texts of a few files: the data that everything else here is decided from.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link, wherever it leads.
    Link,
    /// Anything else.
    Other,
}

/// The entries of one folder by name.
pub(super) type Entries = BTreeMap<OsString, Kind>;

/// A folder as it was listed. All paths are relative to it; the empty path is the folder itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every folder that was read, with its entries.
    pub folders: BTreeMap<PathBuf, BTreeMap<OsString, Kind>>,
    /// The files that were read.
    pub texts: BTreeMap<PathBuf, String>,
    /// The uppermost folders that git ignores.
    pub ignored: BTreeSet<PathBuf>,
    /// Folders that could not be read.
    pub unreadable: Vec<PathBuf>,
    /// Whether there was more than we look at.
    pub cut: bool,
}

impl Listing {
    /// Whether git ignores a folder, or one above it.
    pub(super) fn is_ignored(&self, folder: &Path) -> bool {
        folder.ancestors().any(|above| self.ignored.contains(above))
    }

    /// The entries of a folder; none where it was not read.
    pub(super) fn entries(&self, folder: &Path) -> impl Iterator<Item = (&OsStr, Kind)> {
        self.folders.get(folder).into_iter().flatten().map(|(name, kind)| (name.as_os_str(), *kind))
    }

    /// What lies at `path`, as far as its folder was read.
    #[must_use]
    pub fn kind(&self, path: &Path) -> Option<Kind> {
        if path.as_os_str().is_empty() {
            return Some(Kind::Folder);
        }
        self.folders.get(path.parent()?)?.get(path.file_name()?).copied()
    }

    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.kind(path) == Some(Kind::Folder)
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.kind(path) == Some(Kind::File)
    }

    /// The text of a file, if it was read.
    pub(super) fn text(&self, path: &Path) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Every regular file in the folders that were read.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let files = |(folder, entries): (&PathBuf, &Entries)| {
            let names: Vec<_> = entries.iter().filter(|entry| *entry.1 == Kind::File).map(|entry| entry.0).collect();
            names.into_iter().map(|name| folder.join(name)).collect::<Vec<_>>()
        };
        self.folders.iter().flat_map(files)
    }
}

/// Whether `path` lies in an `airootfs` folder: what will be in the live system.
pub(super) fn is_live(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == AIROOTFS)
}

/// The folder of a profile that becomes the live system's root.
pub(super) const AIROOTFS: &str = "airootfs";

/// The name as text, lossless or not at all.
pub(super) fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

#[cfg(test)]
pub(super) fn listed(files: &[(&str, &str)]) -> Listing {
    let mut listing = Listing::default();
    listing.folders.insert(PathBuf::new(), BTreeMap::new());
    for (path, text) in files {
        let (path, is_folder) = (Path::new(path.trim_end_matches('/')), path.ends_with('/'));
        for (depth, place) in path.ancestors().enumerate().filter(|it| !it.1.as_os_str().is_empty()) {
            let kind = if depth > 0 || is_folder { Kind::Folder } else { Kind::File };
            let parent = place.parent().unwrap_or(Path::new("")).to_owned();
            let name = place.file_name().unwrap().to_owned();
            listing.folders.entry(parent).or_default().insert(name, kind);
            if kind == Kind::Folder {
                listing.folders.entry(place.to_owned()).or_default();
            }
        }
        if !is_folder {
            listing.texts.insert(path.to_owned(), (*text).to_owned());
        }
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_knows_what_lies_where() {
        let listing = listed(&[("a/b/c.sh", "x"), ("empty/", "")]);
        assert_eq!(listing.kind(Path::new("")), Some(Kind::Folder));
        assert_eq!(listing.kind(Path::new("a/b")), Some(Kind::Folder));
        assert_eq!(listing.kind(Path::new("a/b/c.sh")), Some(Kind::File));
        assert_eq!(listing.kind(Path::new("a/b/d")), None);
        assert_eq!(listing.kind(Path::new("x/y")), None);
        assert_eq!(listing.files().collect::<Vec<_>>(), [PathBuf::from("a/b/c.sh")]);
        assert!(is_live(Path::new("configs/airootfs/root/x")) && !is_live(Path::new("my-airootfs/x")));
    }
}
