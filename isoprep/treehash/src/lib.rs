//! The hash of a directory tree, computed alike on the host and in the guest.
//!
//! The host hashes what it is about to inject, the guest hashes what it finds at the injected path, and the two must be
//! equal: that is how a boot proves that the whole repository arrived. What counts: relative path bytes, kind, the
//! permission bits of files and directories, file content, link target. What does not: owner, times, inode, order.
//!
//! Format, version 1: entries sorted by path bytes, each fed to BLAKE3 as
//! `kind(1) ‖ mode(u32 LE) ‖ len(path)(u64 LE) ‖ path ‖ len(payload)(u64 LE) ‖ payload`, where the payload is the
//! content's own BLAKE3 for a file, the target for a link, and empty for a directory. The root itself is not an entry.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
}

/// The BLAKE3 hash of a tree or of one file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHash(pub [u8; 32]);

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

/// Hashes entries that arrive sorted by the bytes of their path.
#[derive(Debug, Default)]
pub struct TreeHasher {
    hasher: blake3::Hasher,
    files: u64,
    last: Option<Vec<u8>>,
}

impl TreeHasher {
    /// A hasher that has seen no entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory with its permission bits (0 to 0o7777).
    pub fn dir(&mut self, path: &Path, mode: u32) {
        self.entry(b'd', path, mode, &[]);
    }

    /// Adds a file with its permission bits (0 to 0o7777) and the hash of its content.
    pub fn file(&mut self, path: &Path, mode: u32, content: &TreeHash) {
        self.files += 1;
        self.entry(b'f', path, mode, &content.0);
    }

    /// Adds a symbolic link. Links have no permission bits of their own.
    pub fn symlink(&mut self, path: &Path, target: &OsStr) {
        self.entry(b'l', path, 0, target.as_bytes());
    }

    /// How many regular files were added.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files
    }

    /// The hash of everything added.
    #[must_use]
    pub fn finish(&self) -> TreeHash {
        TreeHash(*self.hasher.finalize().as_bytes())
    }

    fn entry(&mut self, kind: u8, path: &Path, mode: u32, payload: &[u8]) {
        let path = path.as_os_str().as_bytes();
        debug_assert!(self.last.as_deref().is_none_or(|last| last < path), "entries must arrive sorted by path bytes");
        self.last = Some(path.to_vec());
        self.hasher.update(&[kind]);
        self.hasher.update(&(mode & 0o7777).to_le_bytes());
        for part in [path, payload] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
    }
}

/// Hashes the content of `reader` to its end; also says how many bytes that were.
///
/// # Errors
/// Whatever reading fails with.
pub fn hash_content(mut reader: impl Read) -> io::Result<(TreeHash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 128 * 1024];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok((TreeHash(*hasher.finalize().as_bytes()), hasher.count())),
            Ok(n) => {
                hasher.update(&chunk[..n]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// What [`hash_tree`] found below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeSummary {
    /// Regular files.
    pub files: u64,
    /// The hash of the whole tree.
    pub hash: TreeHash,
}

/// Hashes everything below `root`: what the guest does to the repository that it finds. Follows no link; sockets, pipes
/// and devices are passed over, as they cannot be injected.
///
/// # Errors
/// The first entry that cannot be read, with its path.
pub fn hash_tree(root: &Path) -> io::Result<TreeSummary> {
    let mut entries = Vec::new();
    collect(root, Path::new(""), &mut entries)?;
    entries.sort_by(|a: &(PathBuf, Kind, u32), b| a.0.as_os_str().as_bytes().cmp(b.0.as_os_str().as_bytes()));
    let mut hasher = TreeHasher::new();
    for (path, kind, mode) in &entries {
        let full = root.join(path);
        match kind {
            Kind::Dir => hasher.dir(path, *mode),
            Kind::File => {
                let content = File::open(&full).and_then(hash_content).map_err(|e| with_path(&full, &e))?.0;
                hasher.file(path, *mode, &content);
            }
            Kind::Symlink => {
                let target = fs::read_link(&full).map_err(|e| with_path(&full, &e))?;
                hasher.symlink(path, target.as_os_str());
            }
        }
    }
    Ok(TreeSummary { files: hasher.files(), hash: hasher.finish() })
}

fn collect(root: &Path, below: &Path, entries: &mut Vec<(PathBuf, Kind, u32)>) -> io::Result<()> {
    let dir = root.join(below);
    for entry in fs::read_dir(&dir).map_err(|e| with_path(&dir, &e))? {
        let entry = entry.map_err(|e| with_path(&dir, &e))?;
        let path = below.join(entry.file_name());
        let meta = entry.metadata().map_err(|e| with_path(&path, &e))?;
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_dir() {
            collect(root, &path, entries)?;
            entries.push((path, Kind::Dir, mode));
        } else if meta.is_symlink() {
            entries.push((path, Kind::Symlink, 0));
        } else if meta.is_file() {
            entries.push((path, Kind::File, mode));
        }
    }
    Ok(())
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x\ny"), "one").unwrap();
        fs::write(dir.path().join("a.b"), "two").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        dir
    }

    #[test]
    fn content_mode_name_and_target_each_change_the_hash_and_times_do_not() {
        let dir = tree();
        let hash = || hash_tree(dir.path()).unwrap();
        let first = hash();
        assert_eq!(first.files, 2);
        let file = dir.path().join("a.b");
        File::open(&file).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(hash(), first);
        fs::write(&file, "2wo").unwrap();
        assert_ne!(hash(), first);
        fs::write(&file, "two").unwrap();
        assert_eq!(hash(), first);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o711)).unwrap();
        assert_ne!(hash(), first);
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        fs::remove_file(dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join("link")).unwrap();
        assert_ne!(hash(), first);
    }

    #[test]
    fn a_name_cannot_be_mistaken_for_content() {
        let mut one = TreeHasher::new();
        one.symlink(Path::new("ab"), OsStr::new("c"));
        let mut two = TreeHasher::new();
        two.symlink(Path::new("a"), OsStr::new("bc"));
        assert_ne!(one.finish(), two.finish());
    }
}
