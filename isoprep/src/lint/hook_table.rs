//! Which package a mkinitcpio hook needs.
//!
//! Read from what mkinitcpio 41 (`install/*`), mkinitcpio-archiso (`install/*`, November 2025) and Arch's packages
//! ship: a hook is a file in `/usr/lib/initcpio/install`, or it copies programs that another package has, and both are
//! needed.

/// What one hook needs.
pub(super) struct Hook {
    /// Its name in `HOOKS`.
    pub(super) name: &'static str,
    /// The package to list.
    pub(super) package: &'static str,
    /// Packages that are known to depend on it, so that it comes without being listed.
    pub(super) brought_by: &'static [&'static str],
    /// What the package has: the hook itself, or a program that the hook copies.
    pub(super) needs: Needs,
}

/// What a package has that a hook needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// The hook's own file.
    Itself,
    /// A file that the hook copies.
    File(&'static str),
}

const fn hook(name: &'static str, package: &'static str, brought_by: &'static [&'static str]) -> Hook {
    Hook { name, package, brought_by, needs: Needs::Itself }
}

const fn file(
    name: &'static str,
    package: &'static str,
    brought_by: &'static [&'static str],
    file: &'static str,
) -> Hook {
    Hook { name, package, brought_by, needs: Needs::File(file) }
}

const BTRFS: &[&str] = &["btrfs-assistant", "grub-btrfs", "limine-snapper-sync", "snap-pac", "snapper", "timeshift"];
/// Arch's systemd depends on it.
const CRYPTSETUP: &[&str] = &["base", "systemd"];
const SNAPPER: &[&str] = &["limine-snapper-sync"];
const ZFS: &[&str] =
    &["zfs-dkms", "zfs-linux", "zfs-linux-lts", "zfs-linux-zen", "zfs-linux-hardened", "zfs-utils-git"];

/// Every hook that needs a package besides mkinitcpio. A hook may be in here twice.
pub(super) const NEEDS: &[Hook] = &[
    hook("archiso", "mkinitcpio-archiso", &[]),
    hook("archiso_kms", "mkinitcpio-archiso", &[]),
    hook("archiso_loop_mnt", "mkinitcpio-archiso", &[]),
    hook("archiso_pxe_common", "mkinitcpio-archiso", &[]),
    file("archiso_pxe_common", "mkinitcpio-nfs-utils", &[], "/usr/lib/initcpio/ipconfig"),
    hook("archiso_pxe_http", "mkinitcpio-archiso", &[]),
    hook("archiso_pxe_nbd", "mkinitcpio-archiso", &[]),
    file("archiso_pxe_nbd", "nbd", &[], "nbd-client"),
    hook("archiso_pxe_nfs", "mkinitcpio-archiso", &[]),
    file("archiso_pxe_nfs", "mkinitcpio-nfs-utils", &[], "/usr/lib/initcpio/nfsmount"),
    hook("bcache", "bcache-tools", &[]),
    hook("bcachefs", "bcachefs-tools", &[]),
    hook("btrfs", "btrfs-progs", BTRFS),
    hook("btrfs-overlayfs", "limine-mkinitcpio-hook", SNAPPER),
    hook("chkcryptoboot", "mkinitcpio-chkcryptoboot", &[]),
    hook("dmraid", "dmraid", &[]),
    hook("dropbear", "mkinitcpio-dropbear", &[]),
    file("encrypt", "cryptsetup", CRYPTSETUP, "cryptsetup"),
    hook("encryptssh", "mkinitcpio-utils", &[]),
    hook("grub-btrfs-overlayfs", "grub-btrfs", &[]),
    file("lvm2", "lvm2", &["clonezilla", "libblockdev-lvm", "udisks2-lvm2"], "/etc/lvm/lvm.conf"),
    file("mdadm_udev", "mdadm", &["libblockdev-mdraid"], "mdmon"),
    file("memdisk", "syslinux", &[], "memdiskfind"),
    hook("mdadm", "mdadm", &["libblockdev-mdraid"]),
    hook("nbd", "mkinitcpio-nbd", &[]),
    hook("net", "mkinitcpio-nfs-utils", &[]),
    hook("netconf", "mkinitcpio-netconf", &[]),
    hook("numlock", "mkinitcpio-numlock", &[]),
    hook("openswap", "mkinitcpio-openswap", &[]),
    hook("ostree", "ostree", &["flatpak", "rpm-ostree"]),
    hook("plymouth", "plymouth", &["breeze-plymouth", "plymouth-kcm", "plymouth-theme-arch-charge"]),
    file("sd-encrypt", "cryptsetup", CRYPTSETUP, "/usr/lib/cryptsetup/libcryptsetup-token-systemd-tpm2.so"),
    file("sd-encrypt-opensc", "opensc", &[], "/usr/lib/pkcs11/opensc-pkcs11.so"),
    hook("sd-btrfs-overlayfs", "limine-mkinitcpio-hook", SNAPPER),
    hook("sd-network", "mkinitcpio-systemd-extras", &[]),
    hook("sd-tinyssh", "mkinitcpio-systemd-extras", &[]),
    file("sd-verity", "cryptsetup", CRYPTSETUP, "/usr/bin/veritysetup"),
    hook("systemd-tool", "mkinitcpio-systemd-tool", &[]),
    hook("tinyssh", "mkinitcpio-tinyssh", &[]),
    hook("ykfde", "yubikey-full-disk-encryption", &[]),
    hook("zfs", "zfs-utils", ZFS),
];

/// Hooks that mkinitcpio 41 has and that need nothing else.
pub(super) const BUILT_IN: &[&str] = &[
    "acpi_override",
    "autodetect",
    "base",
    "block",
    "consolefont",
    "filesystems",
    "fsck",
    "hostdata",
    "keyboard",
    "keymap",
    "kms",
    "microcode",
    "modconf",
    "resume",
    "sd-shutdown",
    "sd-vconsole",
    "sd-volatile",
    "shutdown",
    "sleep",
    "strip",
    "systemd",
    "udev",
    "usr",
];

/// Hooks that are no more, and what does their work.
pub(super) const GONE: &[(&str, &[&str])] = &[
    ("archiso_shutdown", &[]),
    ("fw", &["block"]),
    ("ide", &["block"]),
    ("mmc", &["block"]),
    ("pata", &["block"]),
    ("pcmcia", &["block"]),
    ("plymouth-encrypt", &["plymouth", "encrypt"]),
    ("sata", &["block"]),
    ("scsi", &["block"]),
    ("sd-lvm2", &["lvm2"]),
    ("sd-plymouth", &["plymouth"]),
    ("timestamp", &[]),
    ("usb", &["block"]),
    ("usbinput", &["keyboard"]),
    ("virtio", &["block"]),
];
