//! Which files git tracks: its ignore rules do not apply to them (gitignore(5)), so neither do ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Entries longer than this are damage, bytes.
const LONGEST: usize = 1 << 16;
/// A submodule's mode in the index: a commit, not a file.
const SUBMODULE: u32 = 0o160_000;

/// The tracked files below `root`, relative to it; none if it is no checkout or its index cannot be understood.
pub(crate) fn tracked(root: &Path) -> Vec<PathBuf> {
    let Some(top) = root.ancestors().find(|dir| dir.join(".git").exists()) else { return Vec::new() };
    let index = std::fs::read(git_dir(top).join("index")).unwrap_or_default();
    let paths = parse(&index).unwrap_or_default();
    let Ok(prefix) = root.strip_prefix(top) else { return Vec::new() };
    let below = |path: Vec<u8>| Path::new(OsStr::from_bytes(&path)).strip_prefix(prefix).ok().map(Path::to_path_buf);
    paths.into_iter().filter_map(below).filter(|path| path.is_relative() && !path.as_os_str().is_empty()).collect()
}

/// `.git` is a folder, or in a worktree and a submodule a file that names one (gitrepository-layout(5)).
fn git_dir(top: &Path) -> PathBuf {
    let git = top.join(".git");
    match std::fs::read_to_string(&git) {
        Ok(text) => top.join(text.trim_end().strip_prefix("gitdir: ").unwrap_or(".git")),
        Err(_) => git,
    }
}

/// Reads an index of version 2, 3 or 4 with SHA-1 names (gitformat-index(5)).
fn parse(index: &[u8]) -> Option<Vec<Vec<u8>>> {
    let rest = index.strip_prefix(b"DIRC")?;
    let version = number(rest)?;
    let count = number(rest.get(4..)?)?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut rest = rest.get(8..)?;
    let mut paths: Vec<Vec<u8>> = Vec::new();
    let mut name = Vec::new();
    for _ in 0..count {
        let mode = number(rest.get(24..)?)?;
        let extended = version >= 3 && *rest.get(60)? & 0x40 != 0;
        let head = if extended { 64 } else { 62 };
        let mut tail = rest.get(head..)?;
        if version == 4 {
            name.truncate(name.len().checked_sub(varint(&mut tail)?)?);
        } else {
            name.clear();
        }
        let length = tail.iter().take(LONGEST).position(|byte| *byte == 0)?;
        name.extend(&tail[..length]);
        // Up to version 3 an entry is padded with NULs to a multiple of eight, at least one.
        let used = if version == 4 { rest.len() - tail.len() + length + 1 } else { (head + length + 8) & !7 };
        rest = rest.get(used..)?;
        if paths.last().is_some_and(|last| *last > name) || name.is_empty() {
            return None;
        }
        if mode != SUBMODULE {
            paths.push(name.clone());
        }
    }
    Some(paths)
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

/// The offset encoding of pack files: seven bits a byte, each continuation adding one.
fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value: usize = 0;
    for round in 0..5 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value = if round == 0 { 0 } else { (value + 1) << 7 } | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: u32, name: &[u8], strip: u8) -> Vec<u8> {
        let mut bytes = vec![0; 62];
        bytes[24..28].copy_from_slice(&0o100_644_u32.to_be_bytes());
        if version == 4 {
            bytes.push(strip);
        }
        bytes.extend(name);
        bytes.push(0);
        while version < 4 && !bytes.len().is_multiple_of(8) {
            bytes.push(0);
        }
        bytes
    }

    fn index(version: u32, entries: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap();
        let mut bytes = [b"DIRC".as_slice(), &version.to_be_bytes(), &count.to_be_bytes()].concat();
        entries.iter().for_each(|entry| bytes.extend(entry));
        bytes
    }

    #[test]
    fn all_three_versions_are_read() {
        for version in [2, 3] {
            let names: [&[u8]; 3] = [b"a", b"a/bcd\xff", b"b\n"];
            let entries: Vec<_> = names.iter().map(|name| entry(version, name, 0)).collect();
            assert_eq!(parse(&index(version, &entries)).unwrap(), names);
        }
        let entries = [entry(4, b"src/one", 0), entry(4, b"two", 3)];
        assert_eq!(parse(&index(4, &entries)).unwrap(), [&b"src/one"[..], b"src/two"]);
        assert_eq!(parse(b"DIRC\0\0\0\x09\0\0\0\0"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(version in 2_u32..5, count: u32, bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[b"DIRC".as_slice(), &version.to_be_bytes(), &count.to_be_bytes(), &bytes].concat());
        }
    }
}
