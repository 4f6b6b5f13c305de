//! What is in an image, as data: packages, files, boot entries. Times do not count, so that two builds of the same thing
//! are equal.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use cartridge_treehash::TreeHash;
use serde::{Deserialize, Serialize};

use super::tree_path::TreePath;

/// The contents of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageContents {
    /// The volume label.
    pub label: String,
    /// The volume's UUID as Linux shows it: its date, `YYYY-MM-DD-HH-MM-SS-CC`.
    pub uuid: String,
    /// The size of the whole image, bytes.
    pub bytes: u64,
    /// What the root file system is packed in; `None` where none was found.
    pub root: Option<RootImage>,
    /// Who keeps the list of packages; `None` where there is no list.
    pub package_manager: Option<PackageManager>,
    /// Installed packages by name.
    pub packages: BTreeMap<String, PackageEntry>,
    /// The root file system of the live system.
    pub files: Tree,
    /// The ISO 9660 file system.
    pub iso_files: Tree,
    /// The EFI system partition; empty without one.
    pub efi_files: Tree,
    /// What the boot loaders offer, in the order of loaders, files and lines.
    pub boot_entries: Vec<BootEntry>,
    /// Parts that we cannot look into, each with the reason. They are compared as plain files.
    pub unread: Vec<String>,
}

/// What the root file system is packed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootImage {
    /// Its files on the ISO, the lowest layer first.
    pub parts: Vec<TreePath>,
    /// The format of the lowest layer.
    pub format: RootFormat,
    /// How that is compressed, for people: "zstd, blocks of 128 KiB".
    pub compression: String,
    /// The size of all parts, bytes.
    pub bytes: u64,
}

/// The format of a root image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootFormat {
    /// A squashfs.
    #[serde(rename = "squashfs")]
    Squashfs,
    /// An EROFS.
    #[serde(rename = "erofs")]
    Erofs,
    /// An ext4 image inside a squashfs.
    #[serde(rename = "ext4+squashfs")]
    Ext4InSquashfs,
    /// initramfs archives that the kernel unpacks one over the other.
    #[serde(rename = "initramfs")]
    Initramfs,
}

impl RootFormat {
    /// Its name, as archiso's `airootfs_image_type` has it where it has one.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
            Self::Ext4InSquashfs => "ext4+squashfs",
            Self::Initramfs => "initramfs",
        }
    }
}

/// Whose rules package versions obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// pacman.
    Pacman,
    /// dpkg.
    Dpkg,
}

/// An installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageEntry {
    /// Its full version, with epoch and release.
    pub version: String,
    /// Its installed size, bytes, where the list tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The repository that it was installed from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

/// An entry of a boot loader's menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEntry {
    /// Which loader reads it.
    pub loader: Loader,
    /// The file that it is in: on the EFI partition for systemd-boot if there is one, else on the ISO.
    pub file: TreePath,
    /// What the menu shows.
    pub title: String,
    /// The kernel's path as written; `None` for an entry that boots none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The initramfs parts as written, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initrds: Vec<String>,
    /// The kernel's command line as written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub options: String,
}

/// A boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// SYSLINUX or ISOLINUX.
    Syslinux,
    /// GRUB.
    Grub,
    /// systemd-boot.
    SystemdBoot,
}

impl Loader {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Syslinux => "syslinux",
            Self::Grub => "grub",
            Self::SystemdBoot => "systemd-boot",
        }
    }
}

/// A file system's entries by path, sorted by the bytes of the path. The root itself is the entry of the empty path,
/// where the format tells about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<TreePath, Entry>);

impl Tree {
    /// Adds or replaces an entry, and returns the one that was there.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Option<Entry> {
        self.0.insert(path, entry)
    }

    /// The entry at a path.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.0.get(path)
    }

    /// The entry at a path, to be changed.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Entry> {
        self.0.get_mut(path)
    }

    /// All entries in order.
    pub fn iter(&self) -> btree_map::Iter<'_, TreePath, Entry> {
        self.0.iter()
    }

    /// The entries from `path` on, in order.
    pub fn range_from(&self, path: &TreePath) -> btree_map::Range<'_, TreePath, Entry> {
        self.0.range::<TreePath, _>(path..)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content of all files, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.values().fold(0, |sum, entry| sum.saturating_add(entry.size()))
    }
}

impl FromIterator<(TreePath, Entry)> for Tree {
    fn from_iter<I: IntoIterator<Item = (TreePath, Entry)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for Tree {
    type Item = (TreePath, Entry);
    type IntoIter = btree_map::IntoIter<TreePath, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One entry of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes, such as file capabilities: the full name, and the value in hex digits, or its hash if it is
    /// long. `None` where the format, or we, cannot tell.
    pub attributes: Option<BTreeMap<String, String>>,
    /// The package that it belongs to.
    pub package: Option<Arc<str>>,
}

impl Entry {
    /// An entry of root's without attributes.
    #[must_use]
    pub fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, mode, uid: 0, gid: 0, attributes: None, package: None }
    }

    /// The size of a file's content, bytes; 0 for everything else.
    #[must_use]
    pub fn size(&self) -> u64 {
        if let Kind::File { size, .. } = self.kind { size } else { 0 }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size, bytes.
        size: u64,
        /// What is known of its content.
        content: Content,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written.
        target: TreePath,
    },
    /// A character device.
    Character(DeviceNumbers),
    /// A block device.
    Block(DeviceNumbers),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Major and minor number of a device; `None` where the format, or we, cannot tell.
pub type DeviceNumbers = Option<(u32, u32)>;

impl Kind {
    /// A file whose content is not known yet.
    #[must_use]
    pub fn file(size: u64) -> Self {
        Self::File { size, content: Content::default() }
    }

    /// Its name, for people.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File { .. } => "file",
            Self::Symlink { .. } => "link",
            Self::Character(_) => "character device",
            Self::Block(_) => "block device",
            Self::Fifo => "pipe",
            Self::Socket => "socket",
        }
    }
}

/// What is known of a file's content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The hash of the content.
    pub hash: Option<TreeHash>,
    /// The hash of the content as it is packed, which is had without unpacking it: if two are equal the contents are
    /// equal; if two differ nothing follows.
    pub packed: Option<TreeHash>,
}

impl Content {
    /// Whether two files of one size have the same content; `None` if that is not known.
    #[must_use]
    pub fn same(&self, other: &Self) -> Option<bool> {
        match (self.hash, other.hash) {
            (Some(one), Some(two)) => Some(one == two),
            _ if self.packed.is_some() && self.packed == other.packed => Some(true),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_contents_prove_equality_and_nothing_else() {
        let content = |hash: Option<u8>, packed: Option<u8>| {
            let of = |byte: Option<u8>| byte.map(|byte| TreeHash([byte; 32]));
            Content { hash: of(hash), packed: of(packed) }
        };
        let unknown = Content::default();
        assert_eq!(unknown.same(&unknown), None);
        assert_eq!(content(Some(1), None).same(&content(Some(1), Some(2))), Some(true));
        assert_eq!(content(Some(1), Some(2)).same(&content(Some(3), Some(2))), Some(false));
        assert_eq!(content(None, Some(2)).same(&content(Some(3), Some(2))), Some(true));
        assert_eq!(content(None, Some(2)).same(&content(Some(3), Some(4))), None);
        assert_eq!(content(Some(1), None).same(&unknown), None);
    }
}
