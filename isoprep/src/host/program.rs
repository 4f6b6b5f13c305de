//! Programs of the host: one that runs here, and one that will run in the guest.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{HostSearch, MissingPart, below};

/// The program that masters the ISO.
pub(super) fn xorriso(search: &HostSearch) -> Result<PathBuf, MissingPart> {
    let mut looked = Vec::new();
    for path in search.path.iter().map(|dir| dir.join("xorriso")) {
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return Ok(path),
            Ok(_) => looked.push(format!("{}: not a program", path.display())),
            Err(e) => looked.push(format!("{}: {e}", path.display())),
        }
    }
    let advice = "install xorriso (Debian, Ubuntu, Fedora) or libisoburn (Arch)".to_owned();
    Err(MissingPart { part: "xorriso", looked, advice })
}

/// A busybox that needs no libraries: the guest has none.
pub(super) fn static_busybox(search: &HostSearch) -> Result<PathBuf, MissingPart> {
    let known = ["/usr/lib/initcpio/busybox", "/usr/bin/busybox.static", "/usr/sbin/busybox", "/bin/busybox"];
    let named = search.path.iter().map(|dir| dir.join("busybox"));
    let mut looked = Vec::new();
    for path in named.chain(known.iter().map(|path| below(&search.root, Path::new(path)))) {
        match std::fs::read(&path).map(|bytes| linking(&bytes)) {
            Ok(Linking::Static) => return Ok(path),
            Ok(Linking::Dynamic) => {
                looked.push(format!("{}: linked dynamically, useless in the guest", path.display()))
            }
            Ok(Linking::Foreign) => looked.push(format!("{}: not an x86_64 program", path.display())),
            Err(e) => looked.push(format!("{}: {e}", path.display())),
        }
    }
    looked.dedup();
    let advice = "install busybox-static (Debian, Ubuntu) or busybox (Arch, Fedora)".to_owned();
    Err(MissingPart { part: "a static busybox", looked, advice })
}

#[derive(Debug, PartialEq, Eq)]
enum Linking {
    Static,
    Dynamic,
    Foreign,
}

/// Looks for a program interpreter among the program headers of a 64-bit x86 ELF file (elf(5)).
fn linking(elf: &[u8]) -> Linking {
    const PT_INTERP: u64 = 3;
    const X86_64: u64 = 62;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let kinds = || -> Option<Vec<u64>> {
        let (start, size, count) = (usize::try_from(number(32, 8)?).ok()?, number(54, 2)?, number(56, 2)?);
        let size = usize::try_from(size).ok()?;
        (0..usize::try_from(count).ok()?).map(|i| number(start.checked_add(i.checked_mul(size)?)?, 4)).collect()
    };
    let header = elf.starts_with(b"\x7fELF\x02\x01") && number(18, 2) == Some(X86_64);
    match kinds().filter(|kinds| header && !kinds.is_empty()) {
        Some(kinds) if kinds.contains(&PT_INTERP) => Linking::Dynamic,
        Some(_) => Linking::Static,
        None => Linking::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_told_from_others() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(linking(&own), Linking::Dynamic);
        assert_eq!(linking(b"#!/bin/sh\n"), Linking::Foreign);
        for cut in 0..own.len().min(200) {
            let _ = linking(&own[..cut]);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = linking(&bytes);
            let _ = linking(&[b"\x7fELF\x02\x01", bytes.as_slice()].concat());
        }
    }
}
