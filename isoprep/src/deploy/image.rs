//! The image file: opened once and held, so that a build which replaces it meanwhile changes nothing; what it is by its first
//! bytes; and whether somebody wrote into it while it was read.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::DeployError;

/// Where an ISO 9660 volume says what it is (ECMA-119, 8.1): sector 16, after the type.
const VOLUME: u64 = 16 * 2048 + 1;
const VOLUME_WORD: &[u8] = b"CD001";
/// Where a boot sector or a partition table has its signature.
const BOOT_SECTOR: u64 = 510;
const BOOT_WORD: &[u8] = &[0x55, 0xaa];

/// What an image starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Starts {
    /// From a disk: it has a boot sector or a partition table.
    Disk,
    /// From a disc alone: a computer will not start from a stick with it.
    DiscOnly,
}

/// An image that is open.
#[derive(Debug)]
pub struct DiskImage {
    file: File,
    path: PathBuf,
    bytes: u64,
    starts: Starts,
    stamp: Stamp,
}

/// What changes when somebody writes into a file. Not what a rename changes: the file that is open stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { bytes: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}

impl DiskImage {
    /// Opens an ISO or a disk image.
    ///
    /// # Errors
    /// [`DeployError::Image`] if it cannot be read, [`DeployError::NotAnImage`] if it is something else.
    pub fn open(path: &Path) -> Result<Self, DeployError> {
        let failed = |source| DeployError::Image { path: path.to_owned(), source };
        let none = |found: &str| DeployError::NotAnImage { path: path.to_owned(), found: found.to_owned() };
        // Of a file that is no file an open could wait for ever.
        let meta = std::fs::metadata(path).map_err(failed)?;
        if !meta.is_file() {
            return Err(none("it is not a file"));
        }
        let file = File::open(path).map_err(failed)?;
        let stamp = Stamp::of(&file).map_err(failed)?;
        let has = |at: u64, word: &[u8]| {
            let mut bytes = vec![0; word.len()];
            match file.read_exact_at(&mut bytes, at) {
                Ok(()) => Ok(bytes == word),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                Err(error) => Err(failed(error)),
            }
        };
        let starts = match (has(BOOT_SECTOR, BOOT_WORD)?, has(VOLUME, VOLUME_WORD)?) {
            (true, _) => Starts::Disk,
            (false, true) => Starts::DiscOnly,
            (false, false) if stamp.bytes == 0 => return Err(none("it is empty")),
            (false, false) => return Err(none("it is neither an ISO nor has it a boot sector or a partition table")),
        };
        Ok(Self { file, path: path.to_owned(), bytes: stamp.bytes, starts, stamp })
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it starts from.
    #[must_use]
    pub fn starts(&self) -> Starts {
        self.starts
    }

    /// Reads from `at` into as much of `into` as the image reaches, and clears the rest.
    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> Result<(), DeployError> {
        let there = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(into.len());
        let (image, rest) = into.split_at_mut(there);
        rest.fill(0);
        self.file.read_exact_at(image, at).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => DeployError::ImageChanged { path: self.path.clone() },
            _ => DeployError::ImageRead { path: self.path.clone(), at, source },
        })
    }

    /// Whether nobody has written into it since it was opened.
    pub(super) fn unchanged(&self) -> Result<(), DeployError> {
        match Stamp::of(&self.file) {
            Ok(stamp) if stamp == self.stamp => Ok(()),
            _ => Err(DeployError::ImageChanged { path: self.path.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_from_anything_else() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("image");
        let with = |at: u64, word: &[u8], bytes: u64| {
            let file = File::create(&path).unwrap();
            file.set_len(bytes).unwrap();
            file.write_all_at(word, at).unwrap();
            DiskImage::open(&path)
        };
        assert_eq!(with(BOOT_SECTOR, BOOT_WORD, 512).unwrap().starts(), Starts::Disk);
        assert_eq!(with(VOLUME, VOLUME_WORD, 65536).unwrap().starts(), Starts::DiscOnly);
        let wrong = |it: Result<DiskImage, DeployError>| it.unwrap_err().to_string();
        assert!(wrong(with(0, b"hello", 9)).contains("neither an ISO"));
        assert!(wrong(with(0, b"", 0)).contains("it is empty"));
        assert!(wrong(DiskImage::open(top.path())).contains("not a file"));
        assert!(wrong(DiskImage::open(Path::new("/nowhere"))).contains("No such file"));
    }

    #[test]
    fn what_is_read_ends_in_zeros_and_a_change_is_seen() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("image");
        let mut bytes = vec![7; 700];
        bytes[510..512].copy_from_slice(BOOT_WORD);
        std::fs::write(&path, &bytes).unwrap();
        let image = DiskImage::open(&path).unwrap();
        let mut into = [9; 512];
        image.read(512, &mut into).unwrap();
        assert!(into[..188].iter().all(|it| *it == 7) && into[188..].iter().all(|it| *it == 0));
        image.unchanged().unwrap();
        // Another file with its name is not it.
        std::fs::write(top.path().join("new"), "x").unwrap();
        std::fs::rename(top.path().join("new"), &path).unwrap();
        image.unchanged().unwrap();
        let path = top.path().join("short");
        std::fs::write(&path, &bytes).unwrap();
        let image = DiskImage::open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(600).unwrap();
        assert!(matches!(image.unchanged(), Err(DeployError::ImageChanged { .. })));
        assert!(matches!(image.read(512, &mut into), Err(DeployError::ImageChanged { .. })));
    }
}
