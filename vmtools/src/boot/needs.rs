//! Which modules each way of booting needs, and which only come along. Pure.

use cartridge_initramfs::modules::ModuleTree;

use super::file_kind::FileSystem;
use super::{Access, Root};

/// Modules by their use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Without one of these nothing comes up.
    pub(super) must: Vec<&'static str>,
    /// Loaded at boot if the kernel has them, after those.
    pub(super) load: Vec<&'static str>,
    /// There to be loaded when they are asked for.
    pub(super) at_hand: Vec<&'static str>,
}

/// The transports of a folder of the host.
const PLAN9: [&str; 2] = ["9pnet_virtio", "9p"];
const VIRTIOFS: &str = "virtiofs";
/// What a guest that is init and busybox finds on its buses, or is asked for by its user.
const FOR_A_PERSON: &[&str] = &[
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "e1000",
    "e1000e",
    "af_packet",
    "psmouse",
    "xhci-pci",
    "usbhid",
    "hid-generic",
    "usb-storage",
    "ahci",
    "nvme",
    "sd_mod",
    "sr_mod",
    "loop",
    "isofs",
    "squashfs",
    "erofs",
    "overlay",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_iso8859-1",
    "nls_ascii",
    "nls_utf8",
    "bochs",
    "simpledrm",
    "virtio-gpu",
];

/// What `root` needs, on a disk that holds `disk`.
pub(super) fn needs(root: &Root, disk: Option<FileSystem>) -> Needs {
    // pvpanic tells the host of a panic, the button is how the host asks the guest to end.
    let mut load = vec!["pvpanic-pci", "virtio_pci", "button", "evdev"];
    let mut at_hand = vec!["qemu_fw_cfg", "overlay", PLAN9[0], PLAN9[1], "fuse", VIRTIOFS];
    let must = match root {
        Root::Initramfs => {
            load.extend(["i8042", "atkbd"]);
            at_hand.extend(FOR_A_PERSON);
            Vec::new()
        }
        Root::Layers { .. } => {
            at_hand.extend(["squashfs", "erofs", "ext4", "crc32c_generic", "loop"]);
            let mut must = vec!["virtio_pci", "virtio_blk", "overlay"];
            match disk {
                Some(FileSystem::Iso9660) => must.extend(["isofs", "loop", "squashfs"]),
                Some(system) => must.push(system.module()),
                None => {}
            }
            must
        }
        Root::Folder { access, .. } => match access {
            Access::Overlaid => vec!["virtio_pci", "overlay"],
            _ => vec!["virtio_pci"],
        },
    };
    Needs { must, load, at_hand }
}

/// What of `needs` the kernel lacks; for a folder both transports are named if it has neither.
pub(super) fn missing(root: &Root, needs: &Needs, tree: &ModuleTree) -> Vec<String> {
    let mut missing: Vec<String> = needs.must.iter().filter(|it| !tree.has(it)).map(|it| (*it).to_owned()).collect();
    if matches!(root, Root::Folder { .. }) && !has_plan9(tree) && !has_virtiofs(tree) {
        missing.extend(["9p".to_owned(), VIRTIOFS.to_owned()]);
    }
    missing
}

/// Whether this kernel can mount 9p over virtio.
pub(super) fn has_plan9(tree: &ModuleTree) -> bool {
    PLAN9.iter().all(|it| tree.has(it))
}

/// Whether this kernel can mount virtiofs.
pub(super) fn has_virtiofs(tree: &ModuleTree) -> bool {
    tree.has(VIRTIOFS)
}

/// What to do about `missing`.
pub(super) fn advice(missing: &[String]) -> String {
    let lacks = |name: &str| missing.iter().any(|it| it == name);
    let words = if lacks("9p") {
        "Boot a generic kernel (Debian: linux-image-amd64, not the cloud kernel), or boot a disk image with layers instead \
         of a folder."
    } else if missing.iter().any(|it| it.starts_with("virtio")) {
        "Boot a generic kernel of a distribution, or build this one with CONFIG_VIRTIO_PCI and CONFIG_VIRTIO_BLK."
    } else {
        "Boot a generic kernel of a distribution, or build this one with what is missing."
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(modules: &[&str]) -> ModuleTree {
        let dep: String = modules.iter().map(|it| format!("kernel/{it}.ko:\n")).collect();
        ModuleTree::parse(&dep, "kernel/virtio_pci.ko\n", "")
    }

    fn folder(access: Access) -> Root {
        Root::Folder { dir: "/x".into(), access }
    }

    #[test]
    fn a_kernel_that_lacks_what_the_way_needs_is_told() {
        let lacks = |root: &Root, disk, modules: &[&str]| missing(root, &needs(root, disk), &tree(modules));
        let overlaid = folder(Access::Overlaid);
        assert!(lacks(&overlaid, None, &["9p", "9pnet_virtio", "overlay"]).is_empty());
        assert!(lacks(&overlaid, None, &["virtiofs", "overlay"]).is_empty());
        assert_eq!(lacks(&overlaid, None, &["9p", "overlay"]), ["9p", "virtiofs"]);
        assert_eq!(lacks(&folder(Access::ReadOnly), None, &["virtiofs"]), [""; 0]);
        let layers = Root::Layers { disk: "/d".into(), layers: vec![], keep: None };
        let iso = Some(FileSystem::Iso9660);
        assert_eq!(lacks(&layers, iso, &["virtio_blk", "overlay", "loop", "isofs"]), ["squashfs"]);
        assert_eq!(lacks(&layers, Some(FileSystem::Erofs), &["virtio_blk", "overlay"]), ["erofs"]);
        assert!(lacks(&Root::Initramfs, None, &[]).is_empty());
    }

    #[test]
    fn the_advice_is_about_what_is_missing() {
        assert!(advice(&["9p".into(), "virtiofs".into()]).contains("not the cloud kernel"));
        assert!(advice(&["virtio_blk".into()]).contains("CONFIG_VIRTIO"));
        assert!(!advice(&["erofs".into()]).contains("CONFIG_VIRTIO"));
    }
}
