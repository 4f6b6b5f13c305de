//! What a file is, in the words of people: so that "not a kernel" says what was named instead. Pure, by the first bytes.

use cartridge_initramfs::packing::Packing;

/// How many bytes are looked at: btrfs has its superblock at 64 KiB, ISO 9660 its own behind sixteen sectors.
pub(super) const HEAD: u64 = 68 << 10;

/// File systems that a disk can hold, as the kernel calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// A CD or DVD image.
    Iso9660,
    /// A packed, read-only file system.
    Squashfs,
    /// Another one.
    Erofs,
    /// ext2, ext3 or ext4.
    Ext4,
    /// btrfs.
    Btrfs,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// What the file system of a disk with this beginning is (Linux, `fs/*/` and `include/uapi/linux/magic.h`).
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let at = |place: usize, magic: &[u8]| head.get(place..place + magic.len()) == Some(magic);
        let found = [
            (at(0x8001, b"CD001"), Self::Iso9660),
            (at(0, b"hsqs"), Self::Squashfs),
            (at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]), Self::Erofs),
            (at(1080, &[0x53, 0xef]), Self::Ext4),
            (at(0, b"XFSB"), Self::Xfs),
            (at(0x1_0040, b"_BHRfS_M"), Self::Btrfs),
        ];
        found.into_iter().find(|(is, _)| *is).map(|(_, it)| it)
    }

    /// The module that mounts it.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::Iso9660 => "isofs",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Xfs => "xfs",
        }
    }
}

/// What a file with this beginning is: "an ELF shared object", "gzip data". `length` is that of the whole file, bytes.
pub(super) fn what_is(head: &[u8], length: u64) -> String {
    if length == 0 {
        return "an empty file".to_owned();
    }
    if let Some(system) = FileSystem::of(head) {
        let name = match system {
            FileSystem::Iso9660 => "an ISO 9660 image",
            FileSystem::Squashfs => "a squashfs image",
            FileSystem::Erofs => "an EROFS image",
            FileSystem::Ext4 => "an ext4 image",
            FileSystem::Btrfs => "a btrfs image",
            FileSystem::Xfs => "an XFS image",
        };
        return name.to_owned();
    }
    if let Some(packing) = Packing::of(head) {
        return format!("{} data", packing.name());
    }
    let known: [(&[u8], &str); 9] = [
        (b"0707", "a cpio archive"),
        (b"!<arch>\n", "an archive of ar, for example a .deb"),
        (b"\xed\xab\xee\xdb", "an RPM package"),
        (b"PK\x03\x04", "a zip archive"),
        (b"QFI\xfb", "a qcow2 disk image"),
        (b"#!", "a script"),
        (b"conectix", "a VHD disk image"),
        (b"KDMV", "a VMDK disk image"),
        (b"MZ", "a program for EFI or DOS"),
    ];
    if let Some((_, name)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*name).to_owned();
    }
    if head.starts_with(b"\x7fELF") {
        return elf(head);
    }
    if head.get(510..512) == Some(&[0x55, 0xaa]) {
        return "a disk image with a boot sector".to_owned();
    }
    if std::str::from_utf8(&head[..head.len().min(512)]).is_ok_and(|text| !text.contains('\0')) {
        return "a text".to_owned();
    }
    "of no kind that is known here".to_owned()
}

/// `e_machine` and `e_type` of elf(5).
fn elf(head: &[u8]) -> String {
    let word = |at: usize| head.get(at..at + 2).map(|it| u16::from_le_bytes([it[0], it[1]]));
    if head.get(4..6) != Some(&[2, 1]) || word(18) != Some(62) {
        return "an ELF file for another processor".to_owned();
    }
    match word(16) {
        Some(1) => "an ELF object, for example a kernel module",
        Some(2) => "an ELF program",
        Some(3) => "an ELF shared object",
        Some(4) => "an ELF core dump",
        _ => "an ELF file",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(head: &[u8]) -> String {
        what_is(head, head.len() as u64)
    }

    #[test]
    fn files_are_called_by_their_names() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(is(&own[..4096]).starts_with("an ELF "), "{}", is(&own[..4096]));
        for (head, name) in [
            (&b""[..], "an empty file"),
            (b"\x1f\x8b\x08", "gzip data"),
            (b"070701", "a cpio archive"),
            (b"QFI\xfb\0", "a qcow2 disk image"),
            (b"hsqs\0", "a squashfs image"),
            (b"hello\n", "a text"),
            (b"\0\0\0", "of no kind that is known here"),
            (b"\x7fELF\x01\x01", "an ELF file for another processor"),
        ] {
            assert_eq!(is(head), name);
        }
        let mut iso = vec![0; 0x9000];
        iso[0x8001..0x8006].copy_from_slice(b"CD001");
        assert_eq!(is(&iso), "an ISO 9660 image");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_called_something(bytes: Vec<u8>) {
            proptest::prop_assert!(!is(&bytes).is_empty());
            let _ = is(&[b"\x7fELF\x02\x01", bytes.as_slice()].concat());
        }
    }
}
