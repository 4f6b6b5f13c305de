//! Mounts that every root is made of: a file system to read, and layers with something over them that takes what is written.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::{Failure, NEW_ROOT, PLACE, disks};
use crate::modules;

/// File systems that ask for a checksum by its algorithm, which no list of needs names.
const CHECKED: [&str; 4] = ["ext4", "erofs", "xfs", "btrfs"];

/// Mounts `device` on `at`, a place that is made.
pub(super) fn mount_volume(device: &Path, at: &Path, writable: bool) -> Result<(), Failure> {
    let Some(volume) = disks::look(device) else {
        return Err(Failure::new(format!("{} holds no file system that is known here", device.display())));
    };
    make(at)?;
    if CHECKED.contains(&volume.kind) {
        modules::load_named("crc32c_generic");
    }
    modules::load_named(volume.module);
    let flags = if writable { MountFlags::empty() } else { MountFlags::RDONLY };
    mount(device, at, volume.kind, flags, None).map_err(|e| refused(volume.kind, &device.display().to_string(), e))
}

/// Lays `lowers`, the highest first, over one another, with what is written in `upper`'s place; `None`: in a memory.
pub(super) fn overlay(lowers: &[PathBuf], keep: Option<&Path>) -> Result<(), Failure> {
    let place = Path::new(PLACE).join("write");
    make(&place)?;
    modules::load_named("overlay");
    match keep {
        Some(device) => mount_volume(device, &place, true)?,
        None => mount("cartridge", &place, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
            .map_err(|e| refused("tmpfs", "a memory for what is written", e))?,
    }
    let (upper, work) = (place.join("upper"), place.join("work"));
    for dir in [&upper, &work, Path::new(NEW_ROOT)] {
        make(dir)?;
    }
    // All of these places are ours: none has a comma or a colon in it.
    let lowers: Vec<String> = lowers.iter().map(|it| it.display().to_string()).collect();
    let options = format!("lowerdir={},upperdir={},workdir={}", lowers.join(":"), upper.display(), work.display());
    let options = CString::new(options).map_err(|e| Failure::new(e.to_string()))?;
    mount("cartridge", NEW_ROOT, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .map_err(|e| refused("overlay", &lowers.join(" over "), e))
}

pub(super) fn make(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|e| Failure::new(format!("{} cannot be made: {e}", dir.display())))
}

/// A mount that the kernel refused, in words.
pub(super) fn refused(kind: &str, what: &str, e: Errno) -> Failure {
    let hint = match e {
        Errno::NODEV => format!(": this kernel has no {kind}"),
        Errno::INVAL => ": it is damaged, or packed in a way that this kernel cannot read".to_owned(),
        _ => String::new(),
    };
    Failure::new(format!("{what} was not mounted ({kind}): {e}{hint}"))
}
