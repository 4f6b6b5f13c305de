//! Whether a program is static: a 64-bit little-endian ELF file without a `PT_INTERP` program header (elf(5)).

/// `e_phoff`, `e_phentsize` and `e_phnum` in the ELF-64 header.
const PHOFF: usize = 32;
const PHENTSIZE: usize = 54;
const PHNUM: usize = 56;
/// The type of the header that names the dynamic linker.
const PT_INTERP: u32 = 3;

/// How much of a file [`is_static`] wants, bytes: real program headers lie right behind the ELF header.
pub(super) const HEAD: u64 = 64 * 1024;

/// Whether `head`, the beginning of a file, is a program that needs no dynamic linker. Anything that is not an x86-64
/// style ELF file, or whose headers lie outside `head`, is not.
pub(super) fn is_static(head: &[u8]) -> bool {
    if head.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return false;
    }
    let (Some(offset), Some(size), Some(count)) =
        (number(head, PHOFF, 8), number(head, PHENTSIZE, 2), number(head, PHNUM, 2))
    else {
        return false;
    };
    if count == 0 {
        return false;
    }
    (0..count).all(|i| {
        let at = size.checked_mul(i).and_then(|all| all.checked_add(offset)).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| number(head, at, 4)).is_some_and(|kind| kind != u64::from(PT_INTERP))
    })
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_static_from_dynamic_on_real_programs() {
        let static_busybox = std::fs::read("/usr/bin/busybox").or_else(|_| std::fs::read("/bin/busybox")).unwrap();
        assert!(is_static(&static_busybox[..static_busybox.len().min(HEAD as usize)]));
        assert!(!is_static(&std::fs::read(std::env::current_exe().unwrap()).unwrap()), "tests are dynamic");
    }

    #[test]
    fn survives_what_is_not_a_program() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0xff; 200]] {
            assert!(!is_static(bytes));
        }
        let mut liar = vec![0xff; 64];
        liar[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        assert!(!is_static(&liar), "headers far outside of the file");
    }
}
