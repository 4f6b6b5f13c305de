//! Busybox: which of its applets become links in the guest, and whether it runs there at all. Pure.

use std::path::{Component, Path};

use crate::system;

/// Without these no guest comes up: a shell, and what our own scripts and init call.
const NEEDED: [&str; 4] = ["sh", "cat", "mount", "modprobe"];

/// The applets that become links, in what `busybox --list-full` prints: paths such as `bin/ls`, sorted; or mere names where
/// busybox was built without `FEATURE_INSTALLER` and does not know their places.
#[must_use]
pub fn listed(text: &str) -> Vec<String> {
    let placed = |line: &str| if line.contains('/') { line.to_owned() } else { format!("bin/{line}") };
    let known =
        |path: &String| system::FOLDERS.iter().any(|(dir, _)| Path::new(path).parent() == Some(Path::new(&dir[1..])));
    let plain = |path: &String| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    // /init is ours, and a second one in the path would only mislead.
    let own = |path: &String| !matches!(path.as_str(), "sbin/init" | "bin/init" | "bin/linuxrc" | "bin/busybox");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut applets: Vec<String> = lines.map(placed).filter(known).filter(plain).filter(own).collect();
    applets.sort();
    applets.dedup();
    applets
}

/// Those without which no guest comes up and that are not among `applets`.
#[must_use]
pub fn missing(applets: &[String]) -> Vec<&'static str> {
    let has = |name: &str| applets.iter().any(|path| path.rsplit('/').next() == Some(name));
    NEEDED.into_iter().filter(|name| !has(name)).collect()
}

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linking {
    /// It needs nothing but the kernel.
    Static,
    /// It needs a dynamic linker and libraries.
    Dynamic,
    /// It is no program for x86_64.
    Foreign,
}

/// Looks for a program interpreter among the program headers of a 64-bit x86 ELF file (elf(5)).
#[must_use]
pub fn linking(elf: &[u8]) -> Linking {
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
    fn applets_are_taken_with_and_without_their_places() {
        let full = "bin/ash\nbin/busybox\nlinuxrc\nsbin/init\nusr/bin/[\nsbin/modprobe\netc/../x\nodd/place\n\n";
        let applets = listed(full);
        assert_eq!(applets, ["bin/ash", "sbin/modprobe", "usr/bin/["]);
        assert_eq!(missing(&applets), ["sh", "cat", "mount"]);
        assert_eq!(listed("[\nsh\ninit\nlinuxrc\nbusybox\nmount\n..\n"), ["bin/[", "bin/mount", "bin/sh"]);
    }

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
            let _ = listed(&String::from_utf8_lossy(&bytes));
        }
    }
}
