//! The disc of an image that live-boot starts (live-boot(7)): everything below `/live`, and boot loaders of the host. Every
//! squashfs there is part of the root, the later over the earlier in the order of their names. Pure.

use std::path::PathBuf;

use super::{BootFiles, Disc, From};
use crate::host::LoaderParts;

/// Where the loaders find everything.
const LIVE: &str = "live";
/// The root image, and the layer whose name comes after it.
const ROOT: &str = "filesystem.squashfs";
const LAYER: &str = "zz-cartridge.squashfs";

/// What the disc is made of.
pub(crate) struct Source<'a> {
    pub(crate) title: &'a str,
    pub(crate) loaders: &'a LoaderParts,
    /// What the root image has in `/boot`.
    pub(crate) boot: &'a BootFiles,
    pub(crate) root_image: PathBuf,
    pub(crate) layer: Option<PathBuf>,
    /// The recipe's own words for the kernel's command line.
    pub(crate) words: &'a str,
    /// Dev builds speak on the serial line too.
    pub(crate) for_a_guest: bool,
}

/// The kernel and the initramfs of a boot folder: the newest pair that belongs together. Debian and Fedora name them after
/// the kernel's release, Arch after its package.
pub(crate) fn kernel_and_initramfs(boot: &BootFiles) -> Option<(String, String)> {
    let mut pairs: Vec<(Vec<u64>, String, String)> = boot
        .keys()
        .filter_map(|path| {
            let release = path.strip_prefix("boot/vmlinuz-")?;
            let names = [
                format!("boot/initrd.img-{release}"),
                format!("boot/initramfs-{release}.img"),
                format!("boot/initrd-{release}"),
            ];
            let initramfs = names.into_iter().find(|name| boot.contains_key(name))?;
            let numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect();
            Some((numbers, path.clone(), initramfs))
        })
        .collect();
    pairs.sort();
    pairs.pop().map(|(_, kernel, initramfs)| (kernel, initramfs))
}

/// The kernel's command line.
pub(crate) fn cmdline(words: &str, for_a_guest: bool) -> String {
    let guest = if for_a_guest { " console=ttyS0,115200 console=tty0 no_timer_check" } else { "" };
    format!("boot=live components{guest} {}", words.trim()).trim_end().to_owned()
}

/// Lays the disc out; `None` if there is no kernel with its initramfs.
pub(crate) fn disc(from: &Source<'_>) -> Option<Disc> {
    let (kernel, initramfs) = kernel_and_initramfs(from.boot)?;
    let file = |path: &str| From::File(from.boot[path].clone());
    let mut disc = Disc { isolinux: Some("isolinux/isolinux.bin".into()), ..Disc::default() };
    let cmdline = cmdline(from.words, from.for_a_guest);
    let kernels = [("vmlinuz", &kernel), ("initrd.img", &initramfs)];
    for (name, path) in kernels {
        for files in [&mut disc.files, &mut disc.efi] {
            files.insert(format!("{LIVE}/{name}"), file(path));
        }
    }
    let mut put = |path: String, what: From| drop(disc.files.insert(path, what));
    put(format!("{LIVE}/{ROOT}"), From::File(from.root_image.clone()));
    if let Some(layer) = &from.layer {
        put(format!("{LIVE}/{LAYER}"), From::File(layer.clone()));
    }
    let loaders = from.loaders;
    put("isolinux/isolinux.bin".into(), From::File(loaders.isolinux.clone()));
    put("isolinux/ldlinux.c32".into(), From::File(loaders.ldlinux.clone()));
    let isolinux = format!(
        "default live\nprompt 0\ntimeout 0\nlabel live\n  linux /{LIVE}/vmlinuz\n  initrd /{LIVE}/initrd.img\n  append {cmdline}\n"
    );
    put("isolinux/isolinux.cfg".into(), From::Bytes(isolinux.into_bytes()));
    let title: String = from.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let entry = format!("title {title}\nlinux /{LIVE}/vmlinuz\ninitrd /{LIVE}/initrd.img\noptions {cmdline}\n");
    disc.efi.insert("EFI/BOOT/BOOTX64.EFI".into(), From::File(loaders.systemd_boot.clone()));
    disc.efi.insert("loader/loader.conf".into(), From::Bytes(b"default live.conf\ntimeout 0\neditor no\n".to_vec()));
    disc.efi.insert("loader/entries/live.conf".into(), From::Bytes(entry.into_bytes()));
    disc.mbr = Some(loaders.isohdpfx.clone());
    Some(disc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_with_its_initramfs_is_taken() {
        let boot = |names: &[&str]| names.iter().map(|it| (format!("boot/{it}"), PathBuf::from(it))).collect();
        let found = |names: &[&str]| kernel_and_initramfs(&boot(names)).map(|it| it.0);
        assert_eq!(found(&["vmlinuz-6.1.0-9-amd64"]), None);
        let two = [
            "vmlinuz-6.1.0-9-amd64",
            "initrd.img-6.1.0-9-amd64",
            "vmlinuz-6.1.0-10-amd64",
            "initrd.img-6.1.0-10-amd64",
        ];
        assert_eq!(found(&two).as_deref(), Some("boot/vmlinuz-6.1.0-10-amd64"));
        assert_eq!(found(&["vmlinuz-linux", "initramfs-linux.img"]).as_deref(), Some("boot/vmlinuz-linux"));
    }

    #[test]
    fn a_release_build_says_nothing_of_a_guest() {
        assert_eq!(cmdline(" quiet ", false), "boot=live components quiet");
        assert!(cmdline("", true).ends_with("console=tty0 no_timer_check"));
    }
}
