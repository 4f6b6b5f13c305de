//! Empty disks to install to: qcow2 images, which take space only as they are written.

use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, RunError, run};

/// A disk image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// There is something at that path already; a disk is never overwritten.
    #[error("{} exists already; remove it first or use it as it is", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// qemu-img could not make it.
    #[error("could not make the disk {}: {source}", path.display())]
    Tool {
        /// The path.
        path: PathBuf,
        /// What qemu-img said.
        source: RunError,
    },
}

/// Makes an empty qcow2 image of `bytes` (virtual size) at `path` with `qemu_img`. Blocks for some milliseconds.
///
/// # Errors
/// [`DiskError`] when the path is taken, qemu-img is missing or fails, or `cancel` is set.
pub fn create_disk(qemu_img: &Path, path: &Path, bytes: u64, cancel: &Cancel) -> Result<(), DiskError> {
    if path.symlink_metadata().is_ok() {
        return Err(DiskError::Exists { path: path.to_owned() });
    }
    let line = CommandLine::new(qemu_img).args(["create", "-q", "-f", "qcow2", "--"]).arg(path).arg(bytes.to_string());
    match run(&line, cancel, |_, _| {}) {
        Ok(_) => Ok(()),
        Err(source) => {
            // A half-written image is worse than none, and we know that it was not there before.
            let _ = std::fs::remove_file(path);
            Err(DiskError::Tool { path: path.to_owned(), source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_sparse_image_and_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a, b.qcow2");
        create_disk(Path::new("qemu-img"), &path, 40 << 30, &Cancel::new()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..4], b"QFI\xfb");
        assert_eq!(u64::from_be_bytes(bytes[24..32].try_into().unwrap()), 40 << 30);
        assert!(bytes.len() < 1 << 20);
        let again = create_disk(Path::new("qemu-img"), &path, 1 << 20, &Cancel::new());
        assert!(matches!(again, Err(DiskError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_failure_names_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent/disk.qcow2");
        let error = create_disk(Path::new("qemu-img"), &path, 1 << 20, &Cancel::new()).unwrap_err().to_string();
        assert!(error.contains("command: qemu-img create"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }
}
