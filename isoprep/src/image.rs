//! What a build leaves.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A bootable image, and the parts that it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The ISO: boots as a CD and as a USB disk, with BIOS and with UEFI.
    pub iso: PathBuf,
    /// Its size, bytes.
    pub bytes: u64,
    /// The kernel, for booting without the ISO.
    pub kernel: PathBuf,
    /// The initramfs parts in order, for booting without the ISO: the base, then the repository.
    pub initrds: Vec<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
    /// The kernel's release, as `uname -r` will say.
    pub kernel_version: String,
    /// Regular files of the repository.
    pub files: u64,
    /// The hash of the repository's tree, 64 hex digits: what the guest will report.
    pub tree_hash: String,
    /// Whether the ISO was there already and nothing was written.
    pub reused: bool,
}
