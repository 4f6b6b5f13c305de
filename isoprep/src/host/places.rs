//! Where the distributions keep the boot loaders.

use std::path::{Path, PathBuf};

use super::{HostSearch, MissingPart, below, readable};

/// A file that distributions keep at different places.
pub(super) struct Place {
    part: &'static str,
    /// Debian and Ubuntu, Arch, Fedora, openSUSE; in the order in which they are tried.
    paths: &'static [&'static str],
    advice: &'static str,
}

const SYSLINUX: &str = "install isolinux and syslinux-common (Debian, Ubuntu) or syslinux (Arch, Fedora)";

/// Starts a CD with BIOS.
pub(super) const ISOLINUX: Place = Place {
    part: "isolinux.bin",
    paths: &[
        "/usr/lib/ISOLINUX/isolinux.bin",
        "/usr/lib/syslinux/bios/isolinux.bin",
        "/usr/share/syslinux/isolinux.bin",
    ],
    advice: SYSLINUX,
};

/// Starts a USB disk with BIOS.
pub(super) const ISOHDPFX: Place = Place {
    part: "isohdpfx.bin",
    paths: &[
        "/usr/lib/ISOLINUX/isohdpfx.bin",
        "/usr/lib/syslinux/bios/isohdpfx.bin",
        "/usr/share/syslinux/isohdpfx.bin",
    ],
    advice: SYSLINUX,
};

/// The second half of isolinux.
pub(super) const LDLINUX: Place = Place {
    part: "ldlinux.c32",
    paths: &[
        "/usr/lib/syslinux/modules/bios/ldlinux.c32",
        "/usr/lib/syslinux/bios/ldlinux.c32",
        "/usr/share/syslinux/ldlinux.c32",
    ],
    advice: SYSLINUX,
};

/// Starts with UEFI.
pub(super) const SYSTEMD_BOOT: Place = Place {
    part: "systemd-bootx64.efi",
    paths: &["/usr/lib/systemd/boot/efi/systemd-bootx64.efi"],
    advice: "install systemd-boot-efi (Debian, Ubuntu), systemd-boot-unsigned (Fedora) or systemd (Arch)",
};

/// The first of its places that can be read.
pub(super) fn find(search: &HostSearch, place: &Place) -> Result<PathBuf, MissingPart> {
    let mut looked = Vec::new();
    for path in place.paths {
        let path = below(&search.root, Path::new(path));
        match readable(&path) {
            Ok(()) => return Ok(path),
            Err(why) => looked.push(why),
        }
    }
    Err(MissingPart { part: place.part, looked, advice: place.advice.to_owned() })
}
