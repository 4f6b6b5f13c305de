//! A writer of initramfs archives: cpio in the "newc" format, as the kernel's `init/initramfs.c` reads it and
//! `Documentation/driver-api/early-userspace/buffer-format.rst` describes it. Everything belongs to root; times are fixed.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The time of everything that we write: 2020-01-01, so that equal inputs give equal images and tools that cannot count
/// from 1970 (zip, FAT) are content.
pub const EPOCH: u64 = 1_577_836_800;

/// File type bits of `st_mode` (inode(7)).
const DIR: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// The longest path and link target that the kernel takes, bytes (`PATH_MAX` less the final NUL).
pub const LONGEST: usize = 4095;
/// The largest file that eight hex digits can tell, bytes.
pub const LARGEST: u64 = 0xffff_ffff;

/// Writes one archive. Paths are absolute in the guest; parents must come before what lies in them.
#[derive(Debug)]
pub struct Cpio<W> {
    out: W,
    written: u64,
    inode: u32,
}

impl<W: Write> Cpio<W> {
    /// An archive that is written to `out`, without entries yet.
    pub fn new(out: W) -> Self {
        Self { out, written: 0, inode: 0 }
    }

    /// Writes a folder with the permission bits `mode`.
    ///
    /// # Errors
    /// What the output says, and a path or a file that the format cannot hold: here as in the others.
    pub fn dir(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.header(path, DIR | mode, 0, (0, 0))
    }

    /// Writes a symbolic link to `target`.
    ///
    /// # Errors
    /// See [`Self::dir`].
    pub fn symlink(&mut self, path: &Path, target: &[u8]) -> io::Result<()> {
        self.header(path, SYMLINK | 0o777, target.len() as u64, (0, 0))?;
        self.put(target)?;
        self.pad()
    }

    /// Writes a character device.
    ///
    /// # Errors
    /// See [`Self::dir`].
    pub fn device(&mut self, path: &Path, mode: u32, major: u32, minor: u32) -> io::Result<()> {
        self.header(path, CHARACTER | mode, 0, (major, minor))
    }

    /// Writes a file that holds `bytes`.
    ///
    /// # Errors
    /// See [`Self::dir`].
    pub fn bytes(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.file(path, mode, bytes.len() as u64, bytes).map(|_| ())
    }

    /// Writes a file of `size` bytes from `content`. Returns whether `content` had exactly that many: if not, the archive
    /// is worthless.
    ///
    /// # Errors
    /// See [`Self::dir`], and what reading says.
    pub fn file(&mut self, path: &Path, mode: u32, size: u64, content: impl Read) -> io::Result<bool> {
        self.header(path, FILE | mode, size, (0, 0))?;
        // One byte more is asked for, to notice a file that grew.
        let mut content = content.take(size.saturating_add(1));
        let mut chunk = vec![0; 128 * 1024];
        let mut seen: u64 = 0;
        loop {
            let read = match content.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            seen += read as u64;
            if seen > size {
                return Ok(false);
            }
            self.put(&chunk[..read])?;
        }
        self.pad()?;
        Ok(seen == size)
    }

    /// Writes the trailer, pads to 512 bytes so that another archive can follow, and gives the output back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.entry(b"TRAILER!!!", 0, 0, (0, 0))?;
        let rest = (512 - self.written % 512) % 512;
        self.put(&vec![0; usize::try_from(rest).unwrap_or(0)])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, path: &Path, mode: u32, size: u64, device: (u32, u32)) -> io::Result<()> {
        self.inode += 1;
        let path = path.strip_prefix("/").unwrap_or(path);
        self.entry(path.as_os_str().as_bytes(), mode, size, device)
    }

    fn entry(&mut self, name: &[u8], mode: u32, size: u64, (major, minor): (u32, u32)) -> io::Result<()> {
        if name.len() > LONGEST || size > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too long or too large for an initramfs"));
        }
        let links = if mode & 0o170_000 == DIR { 2 } else { 1 };
        let fields: [u64; 13] = [
            self.inode.into(),
            mode.into(),
            0,
            0,
            links,
            EPOCH,
            size,
            0,
            0,
            major.into(),
            minor.into(),
            name.len() as u64 + 1,
            0,
        ];
        let mut header = b"070701".to_vec();
        for field in fields {
            header.extend(format!("{field:08X}").bytes());
        }
        header.extend(name);
        header.push(0);
        self.put(&header)?;
        self.pad()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let rest = (4 - self.written % 4) % 4;
        self.put(&[0; 3][..usize::try_from(rest).unwrap_or(0)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_110_bytes_and_everything_is_padded_to_four() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.dir(Path::new("/a"), 0o755).unwrap();
        cpio.bytes(Path::new("/a/b"), 0o4755, b"hello").unwrap();
        let bytes = cpio.finish().unwrap();
        assert_eq!(bytes.len() % 512, 0);
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[14..22], b"000041ED");
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..118], b"070701");
        assert_eq!(&bytes[126..134], b"000089ED");
        assert_eq!(&bytes[112 + 110..112 + 115], b"a/b\0\0");
        assert_eq!(&bytes[112 + 116..112 + 121], b"hello");
    }

    #[test]
    fn a_file_that_shrank_or_grew_is_noticed() {
        let path = Path::new("/f");
        assert!(Cpio::new(io::sink()).file(path, 0o644, 3, &b"abc"[..]).unwrap());
        assert!(!Cpio::new(io::sink()).file(path, 0o644, 3, &b"ab"[..]).unwrap());
        assert!(!Cpio::new(io::sink()).file(path, 0o644, 3, &b"abcd"[..]).unwrap());
    }
}
