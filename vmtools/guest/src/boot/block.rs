//! What a block device holds, told by its superblock: kind, label and UUID, as blkid(8) says them. Pure.

/// How much of a device is read, bytes: btrfs has its superblock at 64 KiB.
pub(super) const HEAD: usize = 68 << 10;

/// A file system on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    /// What mount(2) takes.
    pub(super) kind: &'static str,
    /// The module that mounts it.
    pub(super) module: &'static str,
    pub(super) label: String,
    pub(super) uuid: String,
}

/// The file system that begins with `head` (Linux, `include/uapi/linux/magic.h` and each `fs/*/`; ECMA-119 for ISO 9660).
pub(super) fn volume(head: &[u8]) -> Option<Volume> {
    let at = |place: usize, magic: &[u8]| head.get(place..place + magic.len()) == Some(magic);
    let bytes = |place: usize, size: usize| head.get(place..place + size).unwrap_or_default();
    let found = |kind, module, label: (usize, usize), uuid: usize| Volume {
        kind,
        module,
        label: text(bytes(label.0, label.1)),
        uuid: if uuid == 0 { String::new() } else { uuid_of(bytes(uuid, 16)) },
    };
    if at(0x8001, b"CD001") {
        let date = text(bytes(0x8000 + 813, 16));
        let parts: Vec<&str> = [(0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14), (14, 16)]
            .iter()
            .filter_map(|(from, to)| date.get(*from..*to))
            .collect();
        return Some(Volume { uuid: parts.join("-"), ..found("iso9660", "isofs", (0x8000 + 40, 32), 0) });
    }
    if at(0, b"hsqs") {
        return Some(found("squashfs", "squashfs", (0, 0), 0));
    }
    if at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) {
        return Some(found("erofs", "erofs", (1024 + 64, 16), 1024 + 48));
    }
    if at(1080, &[0x53, 0xef]) {
        return Some(found("ext4", "ext4", (1024 + 0x78, 16), 1024 + 0x68));
    }
    if at(0, b"XFSB") {
        return Some(found("xfs", "xfs", (108, 12), 32));
    }
    if at(0x1_0040, b"_BHRfS_M") {
        return Some(found("btrfs", "btrfs", (0x1_012b, 256), 0x1_0020));
    }
    None
}

/// Padded with NULs or blanks.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
}

fn uuid_of(bytes: &[u8]) -> String {
    let hex = |range: std::ops::Range<usize>| -> String {
        bytes.get(range).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    [0..4, 4..6, 6..8, 8..10, 10..16].map(hex).join("-")
}

/// What `root=` of a kernel's command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Label(String),
    Uuid(String),
    /// A name below `/dev`.
    Name(String),
}

impl Wanted {
    /// The last `root=`, as the kernel takes it, unless it is none of a device.
    pub(super) fn of(cmdline: &str) -> Option<Self> {
        let word = cmdline.split_whitespace().rev().find_map(|word| word.strip_prefix("root="))?;
        let word = word.trim_matches('"');
        if let Some(label) = word.strip_prefix("LABEL=") {
            return Some(Self::Label(label.trim_matches('"').to_owned()));
        }
        if let Some(uuid) = word.strip_prefix("UUID=") {
            return Some(Self::Uuid(uuid.trim_matches('"').to_owned()));
        }
        word.strip_prefix("/dev/").filter(|name| !name.contains("..")).map(|name| Self::Name(name.to_owned()))
    }

    /// Whether it is this one.
    pub(super) fn is(&self, name: &str, volume: Option<&Volume>) -> bool {
        match self {
            Self::Label(label) => volume.is_some_and(|it| it.label == *label),
            Self::Uuid(uuid) => volume.is_some_and(|it| it.uuid.eq_ignore_ascii_case(uuid)),
            Self::Name(wanted) => wanted == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_superblocks() {
        let mut iso = vec![0; HEAD];
        iso[0x8001..0x8006].copy_from_slice(b"CD001");
        iso[0x8028..0x8048].copy_from_slice(b"ARCH_202611                     ");
        iso[0x8000 + 813..0x8000 + 829].copy_from_slice(b"2026112812000000");
        let found = volume(&iso).unwrap();
        assert_eq!((found.kind, &*found.label, &*found.uuid), ("iso9660", "ARCH_202611", "2026-11-28-12-00-00-00"));
        let mut ext4 = vec![0; HEAD];
        ext4[1080..1082].copy_from_slice(&[0x53, 0xef]);
        ext4[1024 + 0x78..1024 + 0x78 + 14].copy_from_slice(b"cartridge-keep");
        ext4[1024 + 0x68] = 0xab;
        let found = volume(&ext4).unwrap();
        assert_eq!((found.kind, &*found.label), ("ext4", "cartridge-keep"));
        assert_eq!(found.uuid, "ab000000-0000-0000-0000-000000000000");
        assert_eq!(volume(b"hsqs").unwrap().kind, "squashfs");
        assert_eq!(volume(b""), None);
    }

    #[test]
    fn the_root_can_be_asked_for_by_its_name() {
        let wanted = |text| Wanted::of(text);
        assert_eq!(wanted("quiet root=/dev/sda root=LABEL=x y"), Some(Wanted::Label("x".into())));
        assert_eq!(wanted("root=UUID=\"AB-cd\""), Some(Wanted::Uuid("AB-cd".into())));
        assert_eq!(wanted("root=/dev/vda2"), Some(Wanted::Name("vda2".into())));
        assert_eq!(wanted("root=/dev/../etc"), None);
        assert_eq!(wanted("boot=live"), None);
        let volume = volume(b"hsqs");
        assert!(Wanted::Name("vda".into()).is("vda", volume.as_ref()));
        assert!(!Wanted::Label("x".into()).is("vda", volume.as_ref()) && !Wanted::Uuid("x".into()).is("vda", None));
    }
}
