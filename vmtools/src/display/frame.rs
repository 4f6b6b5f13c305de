//! One picture of a guest's screen, kept as evidence.

use std::io;
use std::path::{Path, PathBuf};

use cartridge_supervise::{save_atomically, save_new};
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

    /// Writes it to `path` as PNG. The file is whole or absent; a link stays one, and what is no file is not replaced.
    ///
    /// # Errors
    /// [`EvidenceError`] when it cannot be encoded or written.
    pub fn save_png(&self, path: &Path) -> Result<(), EvidenceError> {
        save_atomically(path, self.png(path)?).map_err(|source| in_the_way(path, source))
    }

    /// Writes it as PNG to a file that is not there yet: `path`, or where that is, "name 2", "name 3" and so on. Returns where.
    ///
    /// # Errors
    /// [`EvidenceError`] as [`Self::save_png`].
    pub fn save_new_png(&self, path: &Path) -> Result<PathBuf, EvidenceError> {
        let names = (0..MOST_OF_A_NAME).map(|number| numbered(path, number));
        save_new(names, &self.png(path)?).map_err(|source| in_the_way(path, source))
    }

    fn png(&self, path: &Path) -> Result<Vec<u8>, EvidenceError> {
        // The encoder asserts on a wrong length: say it before it does.
        if self.rgba.len() as u64 != u64::from(self.width) * u64::from(self.height) * 4 {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it has the wrong number of bytes");
            return Err(in_the_way(path, source));
        }
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&self.rgba, self.width, self.height, image::ExtendedColorType::Rgba8)
            .map_err(|source| EvidenceError::Encode { width: self.width, height: self.height, source })?;
        Ok(png)
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
        // A link leads where it did, and what is no file is left alone.
        std::os::unix::fs::symlink("a.png", dir.path().join("link.png")).unwrap();
        frame.rgba[4] = 8;
        frame.save_png(&dir.path().join("link.png")).unwrap();
        assert!(dir.path().join("link.png").is_symlink());
        assert_eq!(image::open(&path).unwrap().into_rgba8().into_raw(), frame.rgba);
        let error = frame.save_png(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("/dev/null") && error.contains("is no file"), "{error}");
        frame.width = 9;
        assert!(frame.save_new_png(&path).is_err());
        assert!(frame.save_png(&dir.path().join("b.png")).is_err());
        assert!(frame.save_png(Path::new("/absent/c.png")).unwrap_err().to_string().contains("/absent/c.png"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
    }
}
