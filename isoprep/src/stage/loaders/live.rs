//! The disc of an image whose root is not an archiso profile's: what its initramfs looks for, and boot loaders of the
//! host. live-boot (live-boot(7)) takes every squashfs below `/live` as a part of the root, the later over the earlier
//! in the order of their names (its `9990-overlay.sh` sorts, and puts each before those it has); archiso's hook takes
//! one image. Pure.

use std::path::PathBuf;

use super::{BootFiles, Disc, From, volume_uuid};
use crate::host::LoaderParts;
use crate::stage::live_hook::Finder;

/// The layer's name: it comes after the root image's.
const LAYER: &str = "zz-cartridge.squashfs";

/// What the disc is made of.
pub(crate) struct Source<'a> {
    pub(crate) title: &'a str,
    pub(crate) loaders: &'a LoaderParts,
    /// What the root image has in `/boot`.
    pub(crate) boot: &'a BootFiles,
    /// What finds the root image.
    pub(crate) finder: Finder,
    pub(crate) root_image: PathBuf,
    /// What `sha512sum` would print of it.
    pub(crate) checksum: String,
    /// Laid over the root image; by live-boot only.
    pub(crate) layer: Option<PathBuf>,
    /// The recipe's own words for the kernel's command line.
    pub(crate) words: &'a str,
    /// Dev builds speak on the serial line too.
    pub(crate) for_a_guest: bool,
    pub(crate) epoch: u64,
}

/// The kernel and the initramfs of a boot folder: the newest pair that belongs together. Debian and Fedora name them
/// after the kernel's release, Arch after its package.
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
pub(crate) fn cmdline(finder: Finder, epoch: u64, words: &str, for_a_guest: bool) -> String {
    let find = match finder {
        Finder::LiveBoot => "boot=live components".to_owned(),
        Finder::Archiso => format!("archisobasedir=arch archisosearchuuid={}", volume_uuid(epoch)),
    };
    let guest = if for_a_guest { " console=ttyS0,115200 console=tty0 no_timer_check" } else { "" };
    format!("{find}{guest} {}", words.trim()).trim_end().to_owned()
}

/// Lays the disc out; `None` if there is no kernel with its initramfs.
pub(crate) fn disc(from: &Source<'_>) -> Option<Disc> {
    let (kernel, initramfs) = kernel_and_initramfs(from.boot)?;
    let file = |path: &str| From::File(from.boot[path].clone());
    let mut disc = Disc { isolinux: Some("isolinux/isolinux.bin".into()), ..Disc::default() };
    let cmdline = cmdline(from.finder, from.epoch, from.words, from.for_a_guest);
    let (dir, root_image) = match from.finder {
        Finder::LiveBoot => ("live", "live/filesystem.squashfs"),
        Finder::Archiso => ("arch/boot", "arch/x86_64/airootfs.sfs"),
    };
    let kernels = [("vmlinuz", &kernel), ("initrd.img", &initramfs)];
    for (name, path) in kernels {
        for files in [&mut disc.files, &mut disc.efi] {
            files.insert(format!("{dir}/{name}"), file(path));
        }
    }
    let mut put = |path: String, what: From| drop(disc.files.insert(path, what));
    put(root_image.into(), From::File(from.root_image.clone()));
    if from.finder == Finder::Archiso {
        put("arch/x86_64/airootfs.sha512".into(), From::Bytes(from.checksum.clone().into_bytes()));
    }
    if let Some(layer) = &from.layer {
        put(format!("{dir}/{LAYER}"), From::File(layer.clone()));
    }
    let loaders = from.loaders;
    put("isolinux/isolinux.bin".into(), From::File(loaders.isolinux.clone()));
    put("isolinux/ldlinux.c32".into(), From::File(loaders.ldlinux.clone()));
    let isolinux = format!(
        "default live\nprompt 0\ntimeout 0\nlabel live\n  linux /{dir}/vmlinuz\n  initrd /{dir}/initrd.img\n  append {cmdline}\n"
    );
    put("isolinux/isolinux.cfg".into(), From::Bytes(isolinux.into_bytes()));
    let title: String = from.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let entry = format!("title {title}\nlinux /{dir}/vmlinuz\ninitrd /{dir}/initrd.img\noptions {cmdline}\n");
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
        assert_eq!(cmdline(Finder::LiveBoot, 0, " quiet ", false), "boot=live components quiet");
        assert!(cmdline(Finder::LiveBoot, 0, "", true).ends_with("console=tty0 no_timer_check"));
        let archiso = cmdline(Finder::Archiso, 0, "", false);
        assert_eq!(archiso, "archisobasedir=arch archisosearchuuid=1970-01-01-00-00-00-00");
    }
}
