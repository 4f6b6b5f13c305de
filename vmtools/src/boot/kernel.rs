//! Kernels: what a file is, its release, and the ELF file that a bzImage has packed inside.
//!
//! QEMU starts an ELF kernel through its PVH entry with nothing to unpack in the guest: under emulation an xz-packed kernel
//! boots more than twice as fast that way. Formats: Linux `Documentation/arch/x86/boot.rst` (header, payload), elf(5),
//! `include/xen/interface/elfnote.h` (the note). Pure: takes bytes.

use std::ops::Range;

use cartridge_initramfs::packing::Packing;

use super::file_kind::what_is;

/// No kernel is larger, packed or not, bytes.
pub(super) const LARGEST: u64 = 512 << 20;
/// The note that names the 32-bit entry of PVH.
const PHYS32_ENTRY: u32 = 18;
const PT_NOTE: u32 = 4;
/// The most program headers and notes that are looked at.
const MOST: usize = 64;
/// The longest release, bytes (Linux, `__NEW_UTS_LEN`).
const LONGEST_RELEASE: usize = 64;

/// A kernel that QEMU can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// A bzImage, whose payload lies at these bytes.
    BzImage { release: Option<String>, payload: Option<Range<usize>> },
    /// An ELF kernel with a PVH entry.
    Pvh { release: Option<String> },
}

/// Why a file is no kernel: what it is, and what to do.
pub(super) type NotOne = (String, &'static str);

const NAME_ONE: &str = "name a Linux kernel for x86_64, usually called vmlinuz";

impl Kernel {
    /// Looks at a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NotOne> {
        if word(bytes, 0x1fe, 2) == Some(0xaa55) && bytes.get(0x202..0x206) == Some(b"HdrS") {
            let release = header_release(bytes);
            return Ok(Self::BzImage { release, payload: payload(bytes) });
        }
        if bytes.starts_with(b"\x7fELF\x02\x01") && has_pvh_entry(bytes) {
            return Ok(Self::Pvh { release: banner_release(bytes) });
        }
        let found = what_is(bytes, bytes.len() as u64);
        if bytes.get(4..8) == Some(b"zimg") {
            return Err(("an EFI kernel that unpacks itself (zboot), for another processor".to_owned(), NAME_ONE));
        }
        if bytes.starts_with(b"MZ") {
            let advice =
                "a unified kernel image has the kernel inside: objcopy -O binary --only-section=.linux <file> vmlinuz";
            return Err(("an EFI program, perhaps a unified kernel image".to_owned(), advice));
        }
        if banner_release(bytes).is_some() && bytes.starts_with(b"\x7fELF") {
            let advice = "boot the bzImage of this kernel (arch/x86/boot/bzImage), or build it with CONFIG_PVH";
            return Err((format!("{found}, a Linux kernel without a PVH entry"), advice));
        }
        Err((found, NAME_ONE))
    }

    /// The release, as `uname -r` will say it, where the file tells.
    pub(super) fn release(&self) -> Option<&str> {
        match self {
            Self::BzImage { release, .. } | Self::Pvh { release } => release.as_deref(),
        }
    }
}

/// The ELF kernel inside a bzImage, or why it is not used.
pub(super) fn unpacked(image: &[u8], payload: Option<Range<usize>>) -> Result<Vec<u8>, String> {
    let packed = payload.and_then(|range| image.get(range)).ok_or("its header does not say where it is")?;
    let elf = match Packing::of(packed) {
        Some(packing) => packing.unpack(packed, LARGEST).map_err(|e| format!("{}: {e}", packing.name()))?,
        None if packed.starts_with(b"\x7fELF") => packed.to_vec(),
        None => return Err("it is packed in a way that is not known here".to_owned()),
    };
    if elf.starts_with(b"\x7fELF\x02\x01") && has_pvh_entry(&elf) {
        Ok(elf)
    } else {
        Err("it has no PVH entry (CONFIG_PVH)".to_owned())
    }
}

fn word(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// `setup_sects`, `payload_offset` and `payload_length`, since protocol 2.08.
fn payload(image: &[u8]) -> Option<Range<usize>> {
    if word(image, 0x206, 2)? < 0x208 {
        return None;
    }
    // "For backwards compatibility, if the setup_sects field contains 0, the real value is 4."
    let sectors = match word(image, 0x1f1, 1)? {
        0 => 4,
        sectors => sectors,
    };
    let start = (sectors + 1) * 512 + word(image, 0x248, 4)?;
    let range = usize::try_from(start).ok()?..usize::try_from(start + word(image, 0x24c, 4)?).ok()?;
    (range.end <= image.len() && !range.is_empty()).then_some(range)
}

/// The first word of the version string that `kernel_version` points to, counted from 0x200.
fn header_release(image: &[u8]) -> Option<String> {
    let at = usize::try_from(word(image, 0x20e, 2)?).ok()?.checked_add(0x200)?;
    release_at(image.get(at..)?)
}

/// The release in the first "Linux version …" of an ELF kernel (`linux_banner`, init/version.c).
fn banner_release(elf: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let mut rest = elf;
    while let Some(at) = rest.iter().position(|byte| *byte == b'L') {
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(BANNER)
            && after.first().is_some_and(u8::is_ascii_digit)
        {
            return release_at(after);
        }
        rest = &rest[1..];
    }
    None
}

fn release_at(text: &[u8]) -> Option<String> {
    let text: Vec<u8> = text.iter().copied().take_while(u8::is_ascii_graphic).take(LONGEST_RELEASE + 1).collect();
    // It becomes part of a path.
    let legal =
        |it: &String| !it.is_empty() && it.len() <= LONGEST_RELEASE && !it.contains('/') && it != ".." && it != ".";
    String::from_utf8(text).ok().filter(legal)
}

/// Looks for the note among the notes of all `PT_NOTE` segments.
fn has_pvh_entry(elf: &[u8]) -> bool {
    let segments = || -> Option<Vec<Range<usize>>> {
        let start = usize::try_from(word(elf, 32, 8)?).ok()?;
        let (size, count) = (usize::try_from(word(elf, 54, 2)?).ok()?, usize::try_from(word(elf, 56, 2)?).ok()?);
        let mut found = Vec::new();
        for index in 0..count.min(MOST) {
            let header = start.checked_add(index.checked_mul(size)?)?;
            if word(elf, header, 4)? == u64::from(PT_NOTE) {
                let at = usize::try_from(word(elf, header.checked_add(8)?, 8)?).ok()?;
                let length = usize::try_from(word(elf, header.checked_add(32)?, 8)?).ok()?;
                found.push(at..at.checked_add(length)?);
            }
        }
        Some(found)
    };
    let segments = segments().unwrap_or_default();
    segments.into_iter().filter_map(|range| elf.get(range)).any(has_entry_note)
}

fn has_entry_note(mut notes: &[u8]) -> bool {
    for _ in 0..MOST {
        let (Some(name), Some(content), Some(kind)) = (word(notes, 0, 4), word(notes, 4, 4), word(notes, 8, 4)) else {
            return false;
        };
        let (Ok(name), Ok(content)) = (usize::try_from(name), usize::try_from(content)) else { return false };
        let ends = 12_usize.checked_add(name.next_multiple_of(4));
        let (Some(named), Some(end)) = (ends, ends.and_then(|it| it.checked_add(content.next_multiple_of(4)))) else {
            return false;
        };
        if kind == u64::from(PHYS32_ENTRY) && notes.get(12..12 + name) == Some(b"Xen\0") && notes.len() >= named + 4 {
            return true;
        }
        let Some(rest) = notes.get(end..) else { return false };
        notes = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one note segment.
    fn elf(owner: &[u8; 4], kind: u32, text: &str) -> Vec<u8> {
        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(64 + 56, 0);
        elf[16] = 2;
        elf[18] = 62;
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 4;
        elf[72] = 120;
        elf[96] = 20 + 16;
        for (owner, kind) in [(b"GNU\0", 3), (owner, kind)] {
            elf.extend([4_u32, 4, kind].iter().flat_map(|it| it.to_le_bytes()));
            elf.extend(owner);
            elf.extend([0, 0, 0, 1]);
        }
        elf[96] = 40;
        elf.extend(text.bytes());
        elf
    }

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x180_u16.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image[0x380..0x390].copy_from_slice(b"6.1.0-9-amd64 (x");
        image.extend(payload);
        image
    }

    #[test]
    fn kernels_are_told_from_all_else() {
        let banner = "\0Linux version %s\0Linux version 6.1.0-9-amd64 (debian)";
        let pvh = Kernel::parse(&elf(b"Xen\0", 18, banner)).unwrap();
        assert_eq!(
            (&pvh, pvh.release()),
            (&Kernel::Pvh { release: Some("6.1.0-9-amd64".into()) }, Some("6.1.0-9-amd64"))
        );
        let image = bzimage(b"x");
        assert_eq!(Kernel::parse(&image).unwrap().release(), Some("6.1.0-9-amd64"));
        let found = |bytes: &[u8]| Kernel::parse(bytes).unwrap_err();
        assert!(found(&elf(b"Xen\0", 17, banner)).0.contains("without a PVH entry"));
        assert_eq!(found(&elf(b"Xin\0", 18, "")).0, "an ELF program");
        assert_eq!(found(b"").0, "an empty file");
        assert!(found(b"MZ\0\0zimg").0.contains("zboot"));
        assert!(found(b"MZ\0\0").1.contains("objcopy"));
    }

    #[test]
    fn the_payload_is_unpacked_and_checked() {
        let good = elf(b"Xen\0", 18, "");
        let unpack = |payload: &[u8]| {
            let image = bzimage(payload);
            let Ok(Kernel::BzImage { payload, .. }) = Kernel::parse(&image) else { panic!("not a bzImage") };
            unpacked(&image, payload)
        };
        let packed = packed_as_lz4(&good);
        assert_eq!(unpack(&packed).unwrap(), good);
        assert_eq!(unpack(&good).unwrap(), good);
        assert!(unpack(&packed_as_lz4(&elf(b"Xen\0", 1, ""))).unwrap_err().contains("PVH"));
        assert!(unpack(&packed[..packed.len() / 2]).unwrap_err().contains("lz4"));
        assert!(unpack(b"rubbish").unwrap_err().contains("not known"));
        assert!(unpack(b"").unwrap_err().contains("header"));
    }

    /// The legacy frame of LZ4 with one block of literals: needs no compressor here.
    fn packed_as_lz4(content: &[u8]) -> Vec<u8> {
        let mut block = vec![0xf0];
        let mut rest = content.len() - 15;
        while rest >= 255 {
            block.push(255);
            rest -= 255;
        }
        block.push(u8::try_from(rest).unwrap());
        block.extend(content);
        let mut packed = vec![0x02, 0x21, 0x4c, 0x18];
        packed.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        packed.extend(block);
        packed
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), at in 0_usize..1024) {
            let _ = Kernel::parse(&bytes);
            for mut file in [bzimage(b"\x1f\x8brubbish"), elf(b"Xen\0", 18, "Linux version 6")] {
                let at = at.min(file.len());
                let end = (at + bytes.len()).min(file.len());
                file[at..end].copy_from_slice(&bytes[..end - at]);
                if let Ok(Kernel::BzImage { payload, .. }) = Kernel::parse(&file) {
                    let _ = unpacked(&file, payload);
                }
            }
        }
    }
}
