//! Ways to get a profile wrong that the real tools find late or never: one change each, to a profile that is right.

use super::{Repository, TestProfile};

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// mkinitcpio.conf names the hook `plymouth`, the package is not listed.
    HookWithoutPackage,
    /// The boot entries name `vmlinuz-linux-zen`, which no listed package brings.
    EntryOfAbsentKernel,
    /// The preset is for a kernel image that will not be there.
    PresetOfAbsentKernel,
    /// `file_permissions` has a path that will not exist.
    PermissionWithoutFile,
    /// A script in airootfs is not in `file_permissions`, so that it loses its executable bit.
    ScriptWithoutPermission,
    /// The package list has Windows line ends.
    PackagesWithCarriageReturns,
    /// A package has a comment behind it, which older versions took for a part of its name.
    PackageWithComment,
    /// A package is listed twice.
    PackageTwice,
    /// A package that no repository has; its neighbour in spelling is `git`.
    PackageUnknown,
    /// `install_dir` has more than 8 characters.
    InstallDirTooLong,
    /// The label has characters that ISO 9660 does not allow.
    LabelIllegal,
    /// Both UEFI boot modes.
    BothUefiModes,
    /// A boot mode that no version knows.
    BootModeUnknown,
    /// pacman.conf includes a file that is not there.
    IncludeMissing,
    /// pacman.conf has a `file://` repository that is not there.
    RepositoryMissing,
    /// No kernel is listed.
    KernelMissing,
    /// The initramfs has no `archiso` hook.
    ArchisoHookMissing,
    /// No preset: the default one is made, without the archiso hook.
    PresetMissing,
    /// A package whose hook fails after the transaction; pacman ends with 0.
    HookFails,
    /// A package whose scriptlet fails; pacman ends with 0.
    ScriptletFails,
    /// Two packages that conflict.
    Conflict,
    /// Two packages with the same file.
    FileClash,
    /// A package whose dependency does not exist.
    DependencyMissing,
    /// Signatures are required, and the repository has none.
    Unsigned,
}

impl Fault {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::HookWithoutPackage,
        Self::EntryOfAbsentKernel,
        Self::PresetOfAbsentKernel,
        Self::PermissionWithoutFile,
        Self::ScriptWithoutPermission,
        Self::PackagesWithCarriageReturns,
        Self::PackageWithComment,
        Self::PackageTwice,
        Self::PackageUnknown,
        Self::InstallDirTooLong,
        Self::LabelIllegal,
        Self::BothUefiModes,
        Self::BootModeUnknown,
        Self::IncludeMissing,
        Self::RepositoryMissing,
        Self::KernelMissing,
        Self::ArchisoHookMissing,
        Self::PresetMissing,
        Self::HookFails,
        Self::ScriptletFails,
        Self::Conflict,
        Self::FileClash,
        Self::DependencyMissing,
        Self::Unsigned,
    ];
}

impl TestProfile {
    /// The same profile with one mistake.
    pub fn broken(self, repository: &Repository, fault: Fault) -> Self {
        let conf = repository.pacman_conf(super::Signatures::Never);
        match fault {
            Fault::HookWithoutPackage => self.hook_after("udev", "plymouth"),
            Fault::EntryOfAbsentKernel => self
                .replace("syslinux/syslinux.cfg", "vmlinuz-linux", "vmlinuz-linux-zen")
                .replace("efiboot/loader/entries/01-archiso-linux.conf", "vmlinuz-linux", "vmlinuz-linux-zen"),
            Fault::PresetOfAbsentKernel => {
                self.replace("airootfs/etc/mkinitcpio.d/linux.preset", "/boot/vmlinuz-linux", "6.0.0-absent")
            }
            Fault::PermissionWithoutFile => self.permission("/usr/local/bin/absent", "0:0:755"),
            Fault::ScriptWithoutPermission => {
                self.executable("airootfs/usr/local/bin/forgotten", "#!/usr/bin/env bash\necho hello\n")
            }
            Fault::PackagesWithCarriageReturns => self.replace("packages.x86_64", "\n", "\r\n"),
            Fault::PackageWithComment => self.replace("packages.x86_64", "syslinux\n", "syslinux # for BIOS\n"),
            Fault::PackageTwice => self.packages(&["linux"]),
            Fault::PackageUnknown => self.packages(&["giit"]),
            Fault::InstallDirTooLong => self.set("install_dir", "archtestlive"),
            Fault::LabelIllegal => self.set("iso_label", "'Arch test; 1'"),
            Fault::BothUefiModes => self.boot_modes(&["bios.syslinux", "uefi.systemd-boot", "uefi.grub"]),
            Fault::BootModeUnknown => self.boot_modes(&["bios.syslinux", "uefi.refind"]),
            Fault::IncludeMissing => {
                self.file("pacman.conf", &format!("{conf}\n[extra]\nInclude = /etc/pacman.d/absent-mirrorlist\n"))
            }
            Fault::RepositoryMissing => {
                self.file("pacman.conf", &format!("{conf}\n[offline]\nServer = file:///var/cache/absent/mirror\n"))
            }
            Fault::KernelMissing => self.without("linux"),
            Fault::ArchisoHookMissing => {
                self.replace("airootfs/etc/mkinitcpio.conf.d/archiso.conf", " archiso archiso_loop_mnt", "")
            }
            Fault::PresetMissing => self.delete("airootfs/etc/mkinitcpio.d/linux.preset"),
            Fault::HookFails => self.packages(&["failing-hook"]),
            Fault::ScriptletFails => self.packages(&["failing-scriptlet"]),
            Fault::Conflict => self.packages(&["conflict-one", "conflict-two"]),
            Fault::FileClash => self.packages(&["clash-one", "clash-two"]),
            Fault::DependencyMissing => self.packages(&["missing-dependency"]),
            Fault::Unsigned => self.file("pacman.conf", &conf.replace("SigLevel = Never", "SigLevel = Required")),
        }
    }
}
