//! What will lie at the repository's place in the guest: every entry with its mode, link target and content hash.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cartridge_treehash::{TreeHash, TreeHasher};

/// Entries by path relative to the repository, sorted by the bytes of the path.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A directory with its permission bits.
    Dir { mode: u32 },
    /// A file: permission bits, size in bytes, content hash, and where to read it.
    File { mode: u32, size: u64, content: TreeHash, from: PathBuf },
    /// A symbolic link and its target.
    Symlink { target: OsString },
}

impl Manifest {
    pub(crate) fn insert(&mut self, path: &Path, entry: Entry) {
        self.entries.insert(path.as_os_str().as_bytes().to_vec(), entry);
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path.as_os_str().as_bytes())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PathBuf, &Entry)> {
        self.entries.iter().map(|(path, entry)| (PathBuf::from(OsString::from_vec(path.clone())), entry))
    }

    /// Content in bytes, all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| if let Entry::File { size, .. } = entry { *size } else { 0 }).sum()
    }

    /// How large the archive of it will be, bytes, roughly and not too small.
    pub(crate) fn archive_bytes(&self) -> u64 {
        // A header of 110 bytes, the path twice at most, padding.
        self.bytes() + self.entries.keys().map(|path| 128 + path.len() as u64 * 2).sum::<u64>()
    }

    /// Regular files and the hash of the tree, as the guest will compute them.
    pub(crate) fn summary(&self) -> (u64, TreeHash) {
        let mut hasher = TreeHasher::new();
        for (path, entry) in self.iter() {
            match entry {
                Entry::Dir { mode } => hasher.dir(&path, *mode),
                Entry::File { mode, content, .. } => hasher.file(&path, *mode, content),
                Entry::Symlink { target } => hasher.symlink(&path, target),
            }
        }
        (hasher.files(), hasher.finish())
    }
}
