//! Initial RAM disks that were given: passed on as they are, after a look that each is one. Pure.

use cartridge_initramfs::packing::Packing;

use super::file_kind::what_is;

/// Whether a file that begins with `head` and is `length` bytes long is an initial RAM disk: cpio in the "newc" or "crc"
/// format, or compressed in a way that Linux unpacks (`init/initramfs.c`). If not, what it is.
pub(super) fn check(head: &[u8], length: u64) -> Result<(), String> {
    // Archives may be preceded by padding.
    let start = head.iter().position(|byte| *byte != 0).unwrap_or(head.len());
    let content = &head[start..];
    let cpio = content.starts_with(b"070701") || content.starts_with(b"070702");
    if cpio || (start.is_multiple_of(4) && Packing::of(content).is_some()) {
        return Ok(());
    }
    if content.starts_with(b"070707") {
        return Err("a cpio archive in the old format: make it with `cpio -H newc`".to_owned());
    }
    if Packing::of(content).is_none() && content.starts_with(&[0x04, 0x22, 0x4d, 0x18]) {
        return Err("lz4 data in the new frame, which Linux does not unpack: pack it with `lz4 -l`".to_owned());
    }
    Err(what_is(head, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_unpacks_is_taken() {
        for head in [
            &b"070701000"[..],
            b"070702",
            b"\0\0\0\x00070701",
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
            b"\x02\x21\x4c\x18",
        ] {
            assert_eq!(check(head, 1 << 20), Ok(()), "{head:?}");
        }
    }

    #[test]
    fn what_it_is_instead_is_said() {
        for (head, found) in [
            (&b""[..], "an empty file"),
            (b"hsqs", "a squashfs image"),
            (b"070707", "a cpio archive in the old format: make it with `cpio -H newc`"),
            (b"\x7fELF\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x3e\0", "an ELF program"),
        ] {
            assert_eq!(check(head, head.len() as u64).unwrap_err(), found);
        }
        assert!(check(b"\x04\x22\x4d\x18", 4).unwrap_err().contains("lz4 -l"));
    }
}
