//! The layers of a live system on an ISO, by the names that archiso, live-boot, casper and dracut give them: what can be the root
//! of a kernel that is booted without the ISO's own initramfs.

use std::path::Path;

use super::error::ContentsError;
use super::image::open_iso;
use super::model::Kind;
use super::tree_path::TreePath;
use super::watch::Watch;

/// The files on the ISO at `path` that a live system has its layers in, in the order of their names. An empty list: it has none.
///
/// # Errors
/// [`ContentsError`] where it is no ISO, or cannot be read.
pub fn live_layers(path: &Path, watch: &Watch<'_>) -> Result<Vec<TreePath>, ContentsError> {
    let (_, listing) = open_iso(path, watch)?;
    let files = listing.entries.into_iter().filter(|(_, (entry, _))| matches!(entry.kind, Kind::File { .. }));
    Ok(files.map(|(path, _)| path).filter(is_layer).collect())
}

/// As `vmtools/guest/src/boot/stack.rs` looks for them. Without Rock Ridge names are in capitals, and the kernel mounts them so that
/// they are not.
fn is_layer(path: &TreePath) -> bool {
    let parts: Vec<Vec<u8>> = path.parts().map(<[u8]>::to_ascii_lowercase).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    match parts.as_slice() {
        [_, b"x86_64", name] => matches!(*name, b"airootfs.sfs" | b"airootfs.erofs"),
        // Its lines name files that may be called anything.
        [b"live", b"filesystem.module"] => true,
        [b"live", name] => name.ends_with(b".squashfs") || name.ends_with(b".erofs"),
        [b"casper", name] => *name == b"filesystem.squashfs",
        [b"liveos", name] => *name == b"squashfs.img",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_known_by_their_place() {
        let is = |path: &str| is_layer(&TreePath::from(path));
        for layer in [
            "arch/x86_64/airootfs.sfs",
            "homerchy/x86_64/airootfs.erofs",
            "live/filesystem.squashfs",
            "LIVE/FILESYSTEM.SQUASHFS",
            "live/filesystem.module",
            "casper/filesystem.squashfs",
            "LiveOS/squashfs.img",
        ] {
            assert!(is(layer), "{layer}");
        }
        for other in
            ["", "airootfs.sfs", "x/live/a.squashfs", "live/vmlinuz", "casper/x.squashfs", "arch/i686/airootfs.sfs"]
        {
            assert!(!is(other), "{other}");
        }
    }
}
