//! Whether an initramfs brings the processor's microcode itself: then no image of its own is copied beside it.

/// Looks at the uncompressed archive that such an initramfs begins with (cpio "newc", kernel `Documentation/arch/x86/
/// microcode.rst`): it holds the file `early_cpio` and microcode below `kernel/x86/microcode`. Archives of any length are
/// taken; only what is whole counts.
pub(crate) fn carries_microcode(initramfs: &[u8]) -> bool {
    let (mut at, mut early, mut microcode) = (0_usize, false, false);
    while let Some((name, next)) = entry(initramfs, at) {
        match name.strip_prefix(b"./").unwrap_or(name) {
            b"TRAILER!!!" => break,
            b"early_cpio" => early = true,
            name if name.starts_with(b"kernel/x86/microcode/") && name.ends_with(b".bin") => microcode = true,
            _ => {}
        }
        at = next;
    }
    early && microcode
}

/// The name of the entry at `at`, and where the next one begins.
fn entry(archive: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let header = archive.get(at..at.checked_add(110)?)?;
    if !header.starts_with(b"070701") {
        return None;
    }
    let number = |field: usize| {
        usize::from_str_radix(std::str::from_utf8(&header[6 + field * 8..14 + field * 8]).ok()?, 16).ok()
    };
    let (size, length) = (number(6)?, number(11)?);
    let name = archive.get(at + 110..(at + 110).checked_add(length)?)?;
    let content = (at + 110 + length).next_multiple_of(4);
    let next = content.checked_add(size)?.checked_next_multiple_of(4)?;
    Some((name.strip_suffix(b"\0").unwrap_or(name), next))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use cartridge_initramfs::cpio::Cpio;

    fn archive(files: &[&str]) -> Vec<u8> {
        let mut cpio = Cpio::new(Vec::new());
        for file in files {
            cpio.bytes(Path::new(file), 0o644, b"xyz").unwrap();
        }
        cpio.finish().unwrap()
    }

    #[test]
    fn microcode_is_found_and_its_absence_too() {
        let with = archive(&["/early_cpio", "/kernel/x86/microcode/GenuineIntel.bin"]);
        assert!(carries_microcode(&with));
        assert!(!carries_microcode(&archive(&["/early_cpio", "/init"])));
        assert!(!carries_microcode(&archive(&["/init"])));
        for cut in 0..200 {
            let _ = carries_microcode(&with[..cut]);
        }
        assert!(!carries_microcode(b"\x28\xb5\x2f\xfd"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = carries_microcode(&bytes);
            let _ = carries_microcode(&[b"070701", bytes.as_slice()].concat());
        }
    }
}
