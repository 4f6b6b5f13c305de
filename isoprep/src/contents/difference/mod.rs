//! In what two images differ. Pure: from what is in them to lists of what was added, removed and changed.
//!
//! Turning the images round turns every change round and changes nothing else; the tests hold it to that.

mod boot;
mod files;
mod packages;

use serde::Serialize;

pub use boot::{BootChange, BootDifference};
pub use files::{AttributeChange, FileChange, FileLine, Sum, TreeDifference, undecided};
pub use packages::{Direction, PackageDifference, PackageLine, VersionChange};

use super::image::TreeName;
use super::model::{ImageContents, RootImage};

/// How many entries of each kind are listed; the rest is counted.
pub const MOST_LISTED: usize = 5000;

/// A thing in the first image and in the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// In the first.
    pub from: T,
    /// In the second.
    pub to: T,
}

impl<T> Change<T> {
    /// The same, seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

impl<T: PartialEq> Change<T> {
    /// The two, if they differ.
    pub fn of(from: T, to: T) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

/// The first entries of a list, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// At most [`MOST_LISTED`].
    pub items: Vec<T>,
    /// All of them.
    pub total: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), total: 0 }
    }
}

impl<T> Listed<T> {
    fn push(&mut self, item: impl FnOnce() -> T) {
        self.total += 1;
        if self.items.len() < MOST_LISTED {
            self.items.push(item());
        }
    }

    fn map(self, turn: impl FnMut(T) -> T) -> Self {
        Self { items: self.items.into_iter().map(turn).collect(), total: self.total }
    }

    /// How many are not listed.
    #[must_use]
    pub fn unlisted(&self) -> u64 {
        self.total - self.items.len() as u64
    }
}

/// In what two images differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The volume labels, if they differ.
    pub label: Option<Change<String>>,
    /// The sizes of the images, bytes. They may differ although nothing else does.
    pub bytes: Change<u64>,
    /// How the root file system is packed, if that differs by more than its size.
    pub root_image: Option<Change<Option<RootImage>>>,
    /// Packages.
    pub packages: PackageDifference,
    /// What the boot loaders offer.
    pub boot: BootDifference,
    /// The root file system of the live system.
    pub root: TreeDifference,
    /// The ISO 9660 file system, without the root image.
    pub iso: TreeDifference,
    /// The EFI system partition.
    pub efi: TreeDifference,
    /// Parts that could not be looked into.
    pub unread: Change<Vec<String>>,
}

impl Difference {
    /// Whether the images hold the same. Their sizes and dates may differ.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.label.is_none()
            && self.root_image.is_none()
            && self.packages.is_empty()
            && self.boot.is_empty()
            && [&self.root, &self.iso, &self.efi].into_iter().all(TreeDifference::is_empty)
    }

    /// How many files there are whose content could not be compared, because one image is known by an incomplete record
    /// only.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.root.undecided.total + self.iso.undecided.total + self.efi.undecided.total
    }

    /// One of the trees.
    #[must_use]
    pub fn tree(&self, name: TreeName) -> &TreeDifference {
        match name {
            TreeName::Root => &self.root,
            TreeName::Iso => &self.iso,
            TreeName::Efi => &self.efi,
        }
    }

    /// The same, seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            label: self.label.map(Change::reversed),
            bytes: self.bytes.reversed(),
            root_image: self.root_image.map(Change::reversed),
            packages: self.packages.reversed(),
            boot: self.boot.reversed(),
            root: self.root.reversed(),
            iso: self.iso.reversed(),
            efi: self.efi.reversed(),
            unread: self.unread.reversed(),
        }
    }
}

/// Compares two images. Where the content of a file is not known on both sides it is counted as undecided: see
/// [`Side::settle`](super::Side::settle).
#[must_use]
pub fn difference(from: &ImageContents, to: &ImageContents) -> Difference {
    let how = |contents: &ImageContents| {
        contents.root.as_ref().map(|root| (root.format, root.compression.clone(), root.parts.clone()))
    };
    let root_image = (how(from) != how(to)).then(|| Change { from: from.root.clone(), to: to.root.clone() });
    let trees = |name| files::compare(from.tree(name), to.tree(name), |path| passed_over(from, to, name, path));
    Difference {
        label: Change::of(&from.label, &to.label).map(|it| Change { from: it.from.clone(), to: it.to.clone() }),
        bytes: Change { from: from.bytes, to: to.bytes },
        root_image,
        packages: packages::compare(from, to),
        boot: boot::compare(from, to),
        root: trees(TreeName::Root),
        iso: trees(TreeName::Iso),
        efi: trees(TreeName::Efi),
        unread: Change { from: from.unread.clone(), to: to.unread.clone() },
    }
}

/// Whether what is in a file is compared, and not the file.
pub(super) fn passed_over(
    from: &ImageContents,
    to: &ImageContents,
    tree: TreeName,
    path: &super::tree_path::TreePath,
) -> bool {
    tree == TreeName::Iso && from.is_root_part(path) && to.is_root_part(path)
}

#[cfg(test)]
mod tests;
