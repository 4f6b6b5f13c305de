//! Programs of the host: one that runs here, and one that will run in the guest.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cartridge_initramfs::busybox::{Linking, linking};

use super::{HostSearch, MissingPart, below};

/// The program that masters the ISO.
pub(super) fn xorriso(search: &HostSearch) -> Result<PathBuf, MissingPart> {
    let mut looked = Vec::new();
    for path in search.path.iter().map(|dir| dir.join("xorriso")) {
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return Ok(path),
            Ok(_) => looked.push(format!("{}: not a program", path.display())),
            Err(e) => looked.push(format!("{}: {e}", path.display())),
        }
    }
    let advice = "install xorriso (Debian, Ubuntu, Fedora) or libisoburn (Arch)".to_owned();
    Err(MissingPart { part: "xorriso", looked, advice })
}

/// A busybox that needs no libraries: the guest has none.
pub(super) fn static_busybox(search: &HostSearch) -> Result<PathBuf, MissingPart> {
    let known = ["/usr/lib/initcpio/busybox", "/usr/bin/busybox.static", "/usr/sbin/busybox", "/bin/busybox"];
    let named = search.path.iter().map(|dir| dir.join("busybox"));
    let mut looked = Vec::new();
    for path in named.chain(known.iter().map(|path| below(&search.root, Path::new(path)))) {
        match std::fs::read(&path).map(|bytes| linking(&bytes)) {
            Ok(Linking::Static) => return Ok(path),
            Ok(Linking::Dynamic) => {
                looked.push(format!("{}: linked dynamically, useless in the guest", path.display()))
            }
            Ok(Linking::Foreign) => looked.push(format!("{}: not an x86_64 program", path.display())),
            Err(e) => looked.push(format!("{}: {e}", path.display())),
        }
    }
    looked.dedup();
    let advice = "install busybox-static (Debian, Ubuntu) or busybox (Arch, Fedora)".to_owned();
    Err(MissingPart { part: "a static busybox", looked, advice })
}
