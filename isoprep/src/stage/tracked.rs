//! Which files git tracks: its ignore rules do not apply to them (gitignore(5)), so neither do ours.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::recipe::git_top;
use crate::stage::hashing::open_part;

/// Entries longer than this are damage, bytes.
const LONGEST: usize = 1 << 16;
/// What ends an index: a SHA-1, bytes.
const CHECKSUM: usize = 20;
/// A submodule's mode in the index: a commit, not a file.
const SUBMODULE: u32 = 0o160_000;

/// The largest index that is read, bytes: two million files.
const LARGEST: u64 = 256 << 20;
/// The longest of git's small files that is read, bytes.
const SMALL: u64 = 1 << 20;

/// What git tracks.
#[derive(Debug, Default)]
pub(crate) struct Tracked {
    /// Files and links, relative to the walked folder.
    pub(crate) paths: Vec<PathBuf>,
    /// Why they may not be all.
    pub(crate) warning: Option<String>,
}

/// The tracked files below `root`, which is canonical; none if it is no checkout.
pub(crate) fn tracked(root: &Path) -> Tracked {
    let Some(top) = git_top(root) else { return Tracked::default() };
    let Ok(prefix) = root.strip_prefix(&top) else { return Tracked::default() };
    let git = git_dir(&top);
    let file = git.join("index");
    let (paths, wrong) = match read(&file, LARGEST) {
        Ok(_) if is_sha256(&git) => (Vec::new(), Some("is of a checkout with SHA-256 names".to_owned())),
        Ok(index) => match parse(&index) {
            Some(Parsed { paths, split: false }) => (paths, None),
            Some(Parsed { paths, split: true }) => (paths, Some("is split in two files".to_owned())),
            None => (Vec::new(), Some("cannot be understood".to_owned())),
        },
        // Nothing was ever added.
        Err(e) if e.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
        Err(e) => (Vec::new(), Some(format!("cannot be read: {e}"))),
    };
    let below = |path: Vec<u8>| Path::new(OsStr::from_bytes(&path)).strip_prefix(prefix).ok().map(Path::to_path_buf);
    let paths = paths.into_iter().filter_map(below);
    let paths = paths.filter(|path| path.is_relative() && !path.as_os_str().is_empty()).collect();
    let warning = wrong.map(|wrong| {
        let file = file.display();
        format!("warning: git's index {file} {wrong}; files that git tracks and ignores at once may be left out")
    });
    Tracked { paths, warning }
}

/// `.git` is a folder, or in a worktree and a submodule a file that names one (gitrepository-layout(5)).
fn git_dir(top: &Path) -> PathBuf {
    let git = top.join(".git");
    match text(&git) {
        Some(text) => top.join(text.trim_end().strip_prefix("gitdir: ").unwrap_or(".git")),
        None => git,
    }
}

/// Whether names are SHA-256 (`extensions.objectFormat` in git-config(1)); a worktree has its configuration elsewhere.
fn is_sha256(git: &Path) -> bool {
    let common = text(&git.join("commondir")).map_or_else(|| git.to_path_buf(), |text| git.join(text.trim_end()));
    let config = text(&common.join("config")).unwrap_or_default().to_ascii_lowercase();
    config
        .lines()
        .filter_map(|line| line.split_once('='))
        .any(|(key, value)| key.trim() == "objectformat" && value.trim() == "sha256")
}

fn text(path: &Path) -> Option<String> {
    read(path, SMALL).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Reads a regular file of at most `largest` bytes: what lies in a repository need not be git's doing.
fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_part(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} MiB", largest >> 20)));
    }
    Ok(bytes)
}

struct Parsed {
    paths: Vec<Vec<u8>>,
    /// Whether most of it lies in another file (git-update-index(1), split index mode).
    split: bool,
}

/// Reads an index of version 2, 3 or 4 with SHA-1 names (gitformat-index(5)).
fn parse(index: &[u8]) -> Option<Parsed> {
    let rest = index.strip_prefix(b"DIRC")?;
    let version = number(rest)?;
    let count = number(rest.get(4..)?)?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut rest = rest.get(8..)?;
    let mut paths: Vec<Vec<u8>> = Vec::new();
    let mut name = Vec::new();
    let mut split = false;
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
        if name.is_empty() {
            // Replaces an entry of the other file.
            split = true;
            continue;
        }
        if !split && paths.last().is_some_and(|last| *last > name) {
            return None;
        }
        if mode != SUBMODULE {
            paths.push(name.clone());
        }
    }
    // Extensions follow: a signature, a length, and that many bytes; then a checksum.
    while rest.len() > CHECKSUM {
        split |= rest.starts_with(b"link");
        let size = rest.get(4..).and_then(number).and_then(|size| usize::try_from(size).ok());
        let Some(next) = size.and_then(|size| rest.get(size.checked_add(8)?..)) else { break };
        rest = next;
    }
    Some(Parsed { paths, split })
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
            assert_eq!(parse(&index(version, &entries)).unwrap().paths, names);
        }
        let entries = [entry(4, b"src/one", 0), entry(4, b"two", 3)];
        assert_eq!(parse(&index(4, &entries)).unwrap().paths, [&b"src/one"[..], b"src/two"]);
        assert!(parse(b"DIRC\0\0\0\x09\0\0\0\0").is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(version in 2_u32..5, count: u32, bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[b"DIRC".as_slice(), &version.to_be_bytes(), &count.to_be_bytes(), &bytes].concat());
        }
    }
}
