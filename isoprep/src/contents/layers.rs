//! Root images as they are stacked at run time: which files of an ISO hold the root file system, and one over the other as
//! overlayfs and the kernel's initramfs unpacking do it.

use std::collections::BTreeMap;

use super::erofs::Erofs;
use super::error::Fault;
use super::ext4::Ext4InSquashfs;
use super::initramfs::Initramfs;
use super::iso::Iso;
use super::model::{BootEntry, Entry, Kind, RootFormat};
use super::squashfs::Squashfs;
use super::tree_path::TreePath;
use super::volume::{Listing, Node, Volume};
use super::watch::Watch;

/// What the files of root images are called at their end.
const ENDINGS: [&[u8]; 4] = [b".sfs", b".squashfs", b".erofs", b".img"];
/// How much of a file is looked at to know what it is, bytes: up to the superblock of EROFS.
const HEAD: usize = 1028;
/// What an upper directory has that hides what is below it (`Documentation/filesystems/overlayfs.rst`).
const OPAQUE: (&str, &str) = ("trusted.overlay.opaque", "79");

/// A layer of the root file system.
pub(super) struct Layer {
    pub(super) path: TreePath,
    /// The size of its file, bytes.
    pub(super) bytes: u64,
    pub(super) format: RootFormat,
    pub(super) compression: String,
    pub(super) volume: Box<dyn Volume>,
    pub(super) listing: Listing,
}

/// A layer that could not be looked into, and why.
pub(super) type Unread = (TreePath, Fault);

/// The files of the ISO that hold the root file system, the lowest layer first: the one that is called like a root image,
/// else the largest; then those beside it by name, as live-boot stacks them.
pub(super) fn images(iso: &Iso, listing: &Listing) -> Result<Vec<(TreePath, Node, u64)>, Fault> {
    let mut found = Vec::new();
    for (path, (entry, node)) in &listing.entries {
        let size = entry.size();
        if !ENDINGS.iter().any(|ending| path.name().to_ascii_lowercase().ends_with(ending)) {
            continue;
        }
        let head = iso.file(*node)?.head(HEAD)?;
        if Squashfs::is_one(&head) || Erofs::is_one(&head) {
            found.push((path.clone(), *node, size));
        }
    }
    let lowest = found.iter().max_by_key(|(path, _, size)| (is_root_name(path.name()), *size)).cloned();
    let Some(lowest) = lowest else { return Ok(found) };
    found.retain(|(path, ..)| path.parent() == lowest.0.parent() && *path != lowest.0);
    found.insert(0, lowest);
    Ok(found)
}

/// Whether archiso or live-boot calls a root image so.
fn is_root_name(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with(b"airootfs.") || name == b"filesystem.squashfs"
}

/// Opens one root image and lists it.
pub(super) fn open(iso: &Iso, (path, node, bytes): (TreePath, Node, u64), watch: &Watch<'_>) -> Result<Layer, Unread> {
    let opened = || -> Result<_, Fault> {
        let region = iso.file(node)?;
        if Erofs::is_one(&region.head(HEAD)?) {
            let erofs = Erofs::open(region)?;
            let (listing, compression) = (erofs.list(watch)?, erofs.compression());
            return Ok((RootFormat::Erofs, compression, Box::new(erofs) as Box<dyn Volume>, listing));
        }
        let squashfs = Squashfs::open(region)?;
        let (listing, compression) = (squashfs.list(watch)?, squashfs.compression());
        let squashfs = match only_file(&listing) {
            Some(node) => match Ext4InSquashfs::open(squashfs, node)? {
                Ok(ext4) => {
                    let listing = ext4.list(watch)?;
                    return Ok((RootFormat::Ext4InSquashfs, compression, Box::new(ext4) as Box<dyn Volume>, listing));
                }
                Err(squashfs) => squashfs,
            },
            None => squashfs,
        };
        Ok((RootFormat::Squashfs, compression, Box::new(squashfs) as Box<dyn Volume>, listing))
    };
    match opened() {
        Ok((format, compression, volume, listing)) => Ok(Layer { path, bytes, format, compression, volume, listing }),
        Err(fault) => Err((path, fault)),
    }
}

/// The only file of a squashfs, if it has but one and that is called like an image.
fn only_file(listing: &Listing) -> Option<Node> {
    let mut files = listing.entries.iter().filter(|(_, (entry, _))| matches!(entry.kind, Kind::File { .. }));
    let (path, (_, node)) = files.next()?;
    (files.next().is_none() && path.name().ends_with(b".img")).then_some(*node)
}

/// The initramfs files of the first boot entry whose parts are all archives that we read.
pub(super) fn initramfs(
    iso: &Iso,
    listing: &Listing,
    entries: &[BootEntry],
    watch: &Watch<'_>,
) -> Result<Vec<Layer>, Unread> {
    for entry in entries.iter().filter(|entry| !entry.initrds.is_empty()) {
        let part = |named: &String| {
            let path = TreePath::from(named.trim_start_matches('/'));
            let (entry, node) = listing.entries.get(&path)?;
            let region = iso.file(*node).ok()?;
            let head = region.head(HEAD).ok()?;
            Initramfs::is_one(&head).then_some((path, entry.size(), region))
        };
        let Some(parts) = entry.initrds.iter().map(part).collect::<Option<Vec<_>>>() else { continue };
        return parts
            .into_iter()
            .map(|(path, bytes, region)| {
                let volume = Initramfs::new(region);
                match volume.list(watch) {
                    Ok(listing) => Ok(Layer {
                        path,
                        bytes,
                        format: RootFormat::Initramfs,
                        compression: "not compressed".to_owned(),
                        volume: Box::new(volume),
                        listing,
                    }),
                    Err(fault) => Err((path, fault)),
                }
            })
            .collect();
    }
    Ok(Vec::new())
}

/// Entries with the number of their volume.
pub(super) type Stacked = BTreeMap<TreePath, (Entry, usize, Node)>;

/// Lays `upper` over what is there. In an initramfs a file just replaces another; elsewhere overlayfs has its say.
pub(super) fn stack(below: &mut Stacked, upper: Listing, volume: usize, format: RootFormat) {
    let overlay = format != RootFormat::Initramfs;
    for (path, (entry, node)) in upper.entries {
        if overlay {
            let whiteout = matches!(entry.kind, Kind::Character(Some((0, 0))));
            let opaque = entry.attributes.as_ref().and_then(|it| it.get(OPAQUE.0)).is_some_and(|it| it == OPAQUE.1);
            if whiteout || opaque || entry.kind != Kind::Directory {
                remove_below(below, &path);
            }
            if whiteout {
                below.remove(&path);
                continue;
            }
        }
        below.insert(path, (entry, volume, node));
    }
}

fn remove_below(tree: &mut Stacked, path: &TreePath) {
    let prefix = TreePath::new([path.as_bytes(), b"/"].concat());
    let is_below = |it: &TreePath| it.as_bytes().starts_with(prefix.as_bytes());
    let gone: Vec<_> = tree.range(&prefix..).map(|(path, _)| path.clone()).take_while(is_below).collect();
    gone.iter().for_each(|path| drop(tree.remove(path)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(entries: &[(&str, Entry)]) -> Listing {
        let mut listing = Listing::of(0);
        for (at, (path, entry)) in entries.iter().enumerate() {
            listing.add(TreePath::from(*path), entry.clone(), at as u64).unwrap();
        }
        listing
    }

    #[test]
    fn an_upper_layer_hides_replaces_and_adds() {
        let file = Entry::new(Kind::file(1), 0o644);
        let dir = Entry::new(Kind::Directory, 0o755);
        let opaque = Entry { attributes: Some([(OPAQUE.0.to_owned(), OPAQUE.1.to_owned())].into()), ..dir.clone() };
        let lower = [
            ("a", dir.clone()),
            ("a-b", file.clone()),
            ("a/x", file.clone()),
            ("b", dir.clone()),
            ("b/y", file.clone()),
            ("c", dir.clone()),
            ("c/z", file.clone()),
            ("d", file.clone()),
        ];
        let upper = [
            ("a", Entry::new(Kind::Character(Some((0, 0))), 0)),
            ("b", opaque),
            ("b/new", file.clone()),
            ("c", file.clone()),
            ("d", Entry::new(Kind::file(2), 0o600)),
        ];
        let mut tree = Stacked::new();
        stack(&mut tree, listing(&lower), 1, RootFormat::Squashfs);
        stack(&mut tree, listing(&upper), 2, RootFormat::Squashfs);
        let shown: Vec<_> = tree.iter().map(|(path, (_, volume, _))| format!("{path} {volume}")).collect();
        assert_eq!(shown, ["a-b 1", "b 2", "b/new 2", "c 2", "d 2"]);

        let mut unpacked = Stacked::new();
        stack(&mut unpacked, listing(&lower), 1, RootFormat::Initramfs);
        stack(&mut unpacked, listing(&[("d", file)]), 2, RootFormat::Initramfs);
        assert_eq!(unpacked.len(), lower.len());
    }
}
