//! Files that appear whole or not at all, and room for them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::drafts;

/// Writes `bytes` to `path` through a temporary file beside it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut draft = drafts::small(parent)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(path)?;
    Ok(())
}

/// Writes `bytes` to a new file at `path`, in the place of whatever had that name: a link goes, what it leads to stays.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let gone = fs::remove_file(path);
    if let Err(e) = gone
        && e.kind() != io::ErrorKind::NotFound
    {
        return Err(e);
    }
    File::create_new(path)?.write_all(bytes)
}

/// Makes a rename below `dir` survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Bytes free for us on the file system of `path`.
pub(crate) fn free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The size of a file, bytes.
pub(crate) fn size(path: &Path) -> io::Result<u64> {
    fs::metadata(path).map(|meta| meta.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_never_goes_through_a_link() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        for target in ["victim", "gone"] {
            let _ = fs::remove_file(at("link"));
            std::os::unix::fs::symlink(at(target), at("link")).unwrap();
            write_new(&at("link"), b"ours").unwrap();
            assert_eq!((fs::read(at("link")).unwrap(), at("link").is_symlink()), (b"ours".to_vec(), false));
            assert!(fs::read(at("victim")).unwrap() == b"precious" && !at("gone").exists());
        }
        fs::create_dir(at("folder")).unwrap();
        assert!(write_new(&at("folder"), b"ours").is_err());
    }
}
