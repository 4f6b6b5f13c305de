//! Engines: each is a list of stages. What a stage does lies in `stage/`; what it depends on, in `plan`.

use crate::progress::StageName;
use crate::recipe::EngineKind;

/// Reads the repository: what is there, and its hash.
pub const ASSEMBLE: StageName = StageName("assemble");
/// Makes the base initramfs: init, busybox, modules.
pub const INITRAMFS: StageName = StageName("initramfs");
/// Says what would fail late or silently.
pub const LINT: StageName = StageName("lint");
/// Installs the distribution's packages.
pub const PACKAGES: StageName = StageName("packages");
/// Packs the root file system.
pub const SQUASH: StageName = StageName("squash");
/// Packs the repository: as a second initramfs, or as a layer over the root.
pub const INJECT: StageName = StageName("inject");
/// Makes the EFI system partition and the BIOS loader's configuration.
pub const BOOTLOADER: StageName = StageName("bootloader");
/// Parts of the boot loader's stage that are results of their own in the cache: GRUB, and the EFI system partition.
pub(crate) const GRUB: StageName = StageName("grub");
/// See [`GRUB`].
pub(crate) const ESP: StageName = StageName("esp");
/// Masters the hybrid ISO.
pub const ISO: StageName = StageName("iso");

/// Every stage of every engine, and every other part of the cache.
pub(crate) const ALL: [StageName; 10] =
    [ASSEMBLE, LINT, INITRAMFS, PACKAGES, INJECT, SQUASH, GRUB, ESP, BOOTLOADER, ISO];

/// The stages of an engine, in order.
#[must_use]
pub fn stages(engine: EngineKind) -> &'static [StageName] {
    match engine {
        EngineKind::Micro => &[ASSEMBLE, INITRAMFS, INJECT, BOOTLOADER, ISO],
        EngineKind::Archiso => &[ASSEMBLE, LINT, PACKAGES, INJECT, SQUASH, BOOTLOADER, ISO],
        EngineKind::Mkarchiso => &[ASSEMBLE, LINT, PACKAGES, ISO],
        EngineKind::Debian | EngineKind::Tree => &[ASSEMBLE, PACKAGES, INJECT, SQUASH, BOOTLOADER, ISO],
    }
}
