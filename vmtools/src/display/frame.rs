//! One picture of a guest's screen, kept as evidence.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use image::ImageEncoder;
use image::codecs::png::PngEncoder;

use crate::numbered::numbered;

/// How many pictures of one name there may be in a folder.
const MOST_OF_A_NAME: usize = 1000;

/// A whole picture, taken at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// `width * height * 4` bytes, red first, opaque.
    pub rgba: Vec<u8>,
}

/// A picture could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file could not be written.
    #[error("could not save the picture {}: {source}{}", path.display(), advice(source, path))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The picture is not what it says it is.
    #[error("could not encode a picture of {width} × {height} pixels: {source}")]
    Encode {
        /// Its width, pixels.
        width: u32,
        /// Its height, pixels.
        height: u32,
        /// What the encoder said.
        source: image::ImageError,
    },
}

/// What to do about a full disk.
fn advice(error: &io::Error, path: &Path) -> String {
    if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return String::new();
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    format!("\nFree a few MiB in {}, or choose another folder; nothing that was there has changed", dir.display())
}

fn in_the_way(path: &Path, source: io::Error) -> EvidenceError {
    EvidenceError::Io { path: path.to_owned(), source }
}

impl Frame {
    /// Whether every pixel has the same colour: a screen on which nothing is shown.
    #[must_use]
    pub fn is_uniform(&self) -> bool {
        let mut pixels = self.rgba.chunks_exact(4);
        let first = pixels.next();
        pixels.all(|pixel| Some(pixel) == first)
    }

    /// Writes it to `path` as PNG. The file is whole or absent: it is written beside and renamed.
    ///
    /// # Errors
    /// [`EvidenceError`] when it cannot be encoded or written.
    pub fn save_png(&self, path: &Path) -> Result<(), EvidenceError> {
        self.write_beside(path)?.persist(path).map(|_| ()).map_err(|e| in_the_way(path, e.error))
    }

    /// Writes it as PNG to a file that is not there yet: `path`, or where that is, "name 2", "name 3" and so on. Returns where.
    ///
    /// # Errors
    /// [`EvidenceError`] as [`Self::save_png`].
    pub fn save_new_png(&self, path: &Path) -> Result<PathBuf, EvidenceError> {
        let mut part = self.write_beside(path)?;
        for number in 0..MOST_OF_A_NAME {
            let to = numbered(path, number);
            match part.persist_noclobber(&to) {
                Ok(_) => return Ok(to),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => part = error.file,
                Err(error) => return Err(in_the_way(path, error.error)),
            }
        }
        Err(in_the_way(path, io::ErrorKind::AlreadyExists.into()))
    }

    /// Writes it, to the disk, into a file beside `path`. Its name is drawn by lot: nobody else's file is overwritten.
    fn write_beside(&self, path: &Path) -> Result<tempfile::NamedTempFile, EvidenceError> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut beside = tempfile::Builder::new();
        // As any file that is made: what the umask takes away of it.
        beside.prefix(".screenshot-").suffix(".part").permissions(Permissions::from_mode(0o666));
        let mut part = beside.tempfile_in(dir).map_err(|source| in_the_way(path, source))?;
        self.write_png(path, part.as_file_mut())?;
        part.as_file().sync_all().map_err(|source| in_the_way(path, source))?;
        Ok(part)
    }

    fn write_png(&self, path: &Path, part: impl Write) -> Result<(), EvidenceError> {
        let failed = |source| in_the_way(path, source);
        let mut file = BufWriter::new(part);
        // The encoder asserts on a wrong length: say it before it does.
        if self.rgba.len() as u64 != u64::from(self.width) * u64::from(self.height) * 4 {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it has the wrong number of bytes")));
        }
        PngEncoder::new(&mut file)
            .write_image(&self.rgba, self.width, self.height, image::ExtendedColorType::Rgba8)
            .map_err(|source| EvidenceError::Encode { width: self.width, height: self.height, source })?;
        file.flush().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saves_what_it_holds_and_leaves_no_parts() {
        let dir = tempfile::tempdir().unwrap();
        let mut frame = Frame { width: 3, height: 2, rgba: vec![255; 24] };
        assert!(frame.is_uniform());
        frame.rgba[4] = 7;
        assert!(!frame.is_uniform());
        let path = dir.path().join("a.png");
        frame.save_png(&path).unwrap();
        let read = image::open(&path).unwrap().into_rgba8();
        assert_eq!((read.width(), read.height(), read.into_raw()), (3, 2, frame.rgba.clone()));
        for name in ["a 2.png", "a 3.png"] {
            assert_eq!(frame.save_new_png(&path).unwrap(), dir.path().join(name));
        }
        assert_eq!(image::open(dir.path().join("a 3.png")).unwrap().into_rgba8().into_raw(), frame.rgba);
        frame.width = 9;
        assert!(frame.save_new_png(&path).is_err());
        assert!(frame.save_png(&dir.path().join("b.png")).is_err());
        assert!(frame.save_png(Path::new("/absent/c.png")).unwrap_err().to_string().contains("/absent/c.png"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
