//! The guest's disks: empty qcow2 images, which take space only as they are written; overlays over an image that must stay
//! as it is; and images that are used as they are.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, RunError, run};

/// A disk of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its serial number in the guest (`/dev/disk/by-id/virtio-<name>`): at most 20 bytes, without commas.
    pub name: String,
    /// The file that QEMU opens to read and write, an absolute path.
    pub file: PathBuf,
    /// Its format.
    pub format: DiskFormat,
    /// Where it comes from.
    pub made: Made,
}

impl Disk {
    /// The qcow2 image `file`, which is there already, as a disk called `name`.
    #[must_use]
    pub fn at(name: &str, file: PathBuf) -> Self {
        Self { name: name.to_owned(), file, format: DiskFormat::Qcow2, made: Made::Before }
    }
}

/// Where a disk comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is there before the guest and stays after it.
    Before,
    /// It is made empty for this guest alone.
    Empty {
        /// Its virtual size.
        bytes: u64,
    },
    /// It is made for this guest alone, and takes what the guest writes over this image.
    Over {
        /// The image, an absolute path, never written.
        image: PathBuf,
        /// The image's format.
        format: DiskFormat,
    },
}

/// The format of a disk image, known by its name and proven by its first bytes. The bytes alone are not believed: a guest
/// that writes to a raw disk decides them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// The bytes themselves.
    Raw,
    /// QEMU's own.
    Qcow2,
    /// VMware's.
    Vmdk,
    /// VirtualBox's.
    Vdi,
    /// Hyper-V's.
    Vhdx,
}

impl DiskFormat {
    /// As QEMU calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vhdx => "vhdx",
        }
    }

    /// The format of the image at `path`.
    ///
    /// # Errors
    /// [`DiskError`] when it cannot be read, or when its name and its first bytes tell two formats.
    pub fn of(path: &Path) -> Result<Self, DiskError> {
        let mut start = [0; 68];
        let unreadable = |source| DiskError::Unreadable { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut filled = 0;
        while filled < start.len() {
            match file.read(&mut start[filled..]).map_err(unreadable)? {
                0 => break,
                more => filled += more,
            }
        }
        let name = path.extension().unwrap_or_default().to_ascii_lowercase();
        let named = match name.to_str() {
            Some("qcow2" | "qcow") => Self::Qcow2,
            Some("vmdk") => Self::Vmdk,
            Some("vdi") => Self::Vdi,
            Some("vhdx") => Self::Vhdx,
            _ => Self::Raw,
        };
        let seen = Self::seen(&start);
        if named == seen {
            return Ok(named);
        }
        Err(DiskError::Misnamed { path: path.to_owned(), named: named.name(), seen: seen.name() })
    }

    /// What the first bytes say (QEMU's `block/*.c`, the `*_probe` functions).
    fn seen(start: &[u8; 68]) -> Self {
        if start.starts_with(b"QFI\xfb") {
            Self::Qcow2
        } else if start.starts_with(b"KDMV") || start.starts_with(b"COWD") || start.starts_with(b"# Disk Descriptor") {
            Self::Vmdk
        } else if start.starts_with(b"vhdxfile") {
            Self::Vhdx
        } else if start[64..] == [0x7f, 0x10, 0xda, 0xbe] {
            Self::Vdi
        } else {
            Self::Raw
        }
    }
}

/// A disk image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// There is something at that path already; a disk is never overwritten.
    #[error("{} exists already; remove it first or use it as it is", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// An image of the user's cannot be read.
    #[error("could not read the disk image {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An image of the user's has the name of one format and the first bytes of another.
    #[error(
        "{} is called like a {named} image, but begins like {seen}; give it the ending of what it is (.qcow2, .vmdk, \
         .vdi, .vhdx; .img or .raw for a raw one)",
        path.display()
    )]
    Misnamed {
        /// The path.
        path: PathBuf,
        /// The format that its name tells.
        named: &'static str,
        /// The format that its first bytes tell.
        seen: &'static str,
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

/// Makes the file of `disk` with `qemu_img`, where it is made for the guest. Blocks for some milliseconds.
///
/// # Errors
/// [`DiskError`] when the path is taken, qemu-img is missing or fails, or `cancel` is set.
pub fn make_disk(qemu_img: &Path, disk: &Disk, cancel: &Cancel) -> Result<(), DiskError> {
    match creation(qemu_img, disk) {
        Some(line) => make(&line, &disk.file, cancel),
        None => Ok(()),
    }
}

/// The command that makes the file of `disk`; `None` for one that is there. Pure.
pub(super) fn creation(qemu_img: &Path, disk: &Disk) -> Option<CommandLine> {
    let line = CommandLine::new(qemu_img).args(["create", "-q", "-f", "qcow2"]);
    match &disk.made {
        Made::Before => None,
        Made::Empty { bytes } => Some(line.arg("--").arg(&disk.file).arg(bytes.to_string())),
        Made::Over { image, format } => {
            Some(line.arg("-b").arg(image).args(["-F", format.name(), "--"]).arg(&disk.file))
        }
    }
}

/// Makes an empty qcow2 image of `bytes` (virtual size) at `path` with `qemu_img`. Blocks for some milliseconds.
///
/// # Errors
/// [`DiskError`] when the path is taken, qemu-img is missing or fails, or `cancel` is set.
pub fn create_disk(qemu_img: &Path, path: &Path, bytes: u64, cancel: &Cancel) -> Result<(), DiskError> {
    let line = CommandLine::new(qemu_img).args(["create", "-q", "-f", "qcow2", "--"]).arg(path).arg(bytes.to_string());
    make(&line, path, cancel)
}

fn make(line: &CommandLine, path: &Path, cancel: &Cancel) -> Result<(), DiskError> {
    if path.symlink_metadata().is_ok() {
        return Err(DiskError::Exists { path: path.to_owned() });
    }
    match run(line, cancel, |_, _| {}) {
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

    #[test]
    fn an_overlay_takes_the_writes_and_the_image_stays() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("a, b.img");
        std::fs::write(&image, vec![7; 1 << 20]).unwrap();
        let file = dir.path().join("over.qcow2");
        let made = Made::Over { image: image.clone(), format: DiskFormat::of(&image).unwrap() };
        let disk = Disk { name: "x".into(), file: file.clone(), format: DiskFormat::Qcow2, made };
        make_disk(Path::new("qemu-img"), &disk, &Cancel::new()).unwrap();
        assert_eq!(DiskFormat::of(&file).unwrap(), DiskFormat::Qcow2);
        let before = Disk { made: Made::Before, ..disk };
        make_disk(Path::new("qemu-img"), &before, &Cancel::new()).unwrap();
        assert_eq!(std::fs::read(&image).unwrap(), vec![7; 1 << 20]);
    }

    #[test]
    fn a_name_and_first_bytes_that_disagree_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            std::fs::write(dir.path().join(name), bytes).unwrap();
            dir.path().join(name)
        };
        let mut vdi = vec![0; 64];
        vdi.extend([0x7f, 0x10, 0xda, 0xbe]);
        for (name, bytes, format) in [
            ("a.qcow2", &b"QFI\xfb"[..], DiskFormat::Qcow2),
            ("a.IMG", b"", DiskFormat::Raw),
            ("a", b"boot", DiskFormat::Raw),
            ("a.vdi", &vdi, DiskFormat::Vdi),
            ("a.vmdk", b"KDMV", DiskFormat::Vmdk),
            ("a.vhdx", b"vhdxfile", DiskFormat::Vhdx),
        ] {
            assert_eq!(DiskFormat::of(&file(name, bytes)).unwrap(), format, "{name}");
        }
        for (name, bytes) in [("b.img", &b"QFI\xfb"[..]), ("b.qcow2", b"raw bytes"), ("b", &vdi)] {
            let error = DiskFormat::of(&file(name, bytes)).unwrap_err().to_string();
            assert!(error.contains("called like") && error.contains(".qcow2"), "{error}");
        }
        assert!(matches!(DiskFormat::of(&dir.path().join("absent")), Err(DiskError::Unreadable { .. })));
    }
}
