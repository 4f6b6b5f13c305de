//! The disk that keeps what a guest writes over its layers: a raw image with ext4, which the guest finds by its label.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cartridge_supervise::{Cancel, CommandLine, RunError, run};

use super::BootError;

/// The file system's label.
pub const KEEP_LABEL: &str = "cartridge-keep";
/// The size of a new one, bytes: it takes room as it fills.
const SIZE: u64 = 16 << 30;
/// Where ext4 has its magic and its label (Linux, `fs/ext4/ext4.h`, `struct ext4_super_block` at 1024).
const MAGIC: usize = 1024 + 0x38;
const LABEL: usize = 1024 + 0x78;

/// Checks the disk at `path`, or makes it where nothing is.
pub(super) fn ready(path: &Path, cancel: &Cancel) -> Result<(), BootError> {
    if path.exists() {
        return check(path);
    }
    let failed = BootError::io("make the disk that keeps changes at", path);
    // Beside its place, so that it is there whole or not at all.
    let new = tempfile::Builder::new().prefix(".keep-").tempfile_in(path.parent().unwrap_or(Path::new("/")));
    let new = new.and_then(|new| new.as_file().set_len(SIZE).map(|()| new)).map_err(&failed)?;
    let line =
        CommandLine::new("mkfs.ext4").args(["-q", "-F", "-L", KEEP_LABEL, "-E", "lazy_itable_init=1"]).arg(new.path());
    run(&line, cancel, |_, _| ()).map_err(|error| match error {
        RunError::Cancelled { .. } => BootError::Cancelled,
        error => failed(std::io::Error::other(format!("{error}\n  mkfs.ext4 is in e2fsprogs"))),
    })?;
    new.as_file().sync_all().map_err(&failed)?;
    new.persist_noclobber(path).map(drop).map_err(|e| failed(e.error))
}

fn check(path: &Path) -> Result<(), BootError> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(2048).read_to_end(&mut head));
    read.map_err(BootError::io("read the disk that keeps changes", path))?;
    let label = head.get(LABEL..LABEL + 16).unwrap_or_default().split(|byte| *byte == 0).next();
    if head.get(MAGIC..MAGIC + 2) == Some(&[0x53, 0xef]) && label == Some(KEEP_LABEL.as_bytes()) {
        return Ok(());
    }
    let found = "not a disk that was made to keep changes: it has no ext4 labelled cartridge-keep".to_owned();
    let advice =
        "Name a file that does not exist yet: it will be made. Or label an ext4 image: e2label <image> cartridge-keep";
    Err(BootError::NotARoot { path: path.to_owned(), found, advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_nothing_else_is_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("keep.img");
        ready(&disk, &Cancel::new()).unwrap();
        let made = std::fs::metadata(&disk).unwrap().modified().unwrap();
        ready(&disk, &Cancel::new()).unwrap();
        assert_eq!(std::fs::metadata(&disk).unwrap().modified().unwrap(), made);
        let other = dir.path().join("other");
        std::fs::write(&other, "precious").unwrap();
        let error = ready(&other, &Cancel::new()).unwrap_err().to_string();
        assert!(error.contains("no ext4 labelled") && std::fs::read(&other).unwrap() == b"precious", "{error}");
        assert!(ready(&dir.path().join("no/keep.img"), &Cancel::new()).is_err());
    }
}
