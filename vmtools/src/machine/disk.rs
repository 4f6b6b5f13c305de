//! The guest's disks: empty qcow2 images, which take space only as they are written; overlays over an image that must stay
//! as it is; and images that are used as they are.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, Draft, DraftName, RunError, run, sweep_drafts};

/// How a disk is called while it is made: `.cartridge-disk-PROCESS-NUMBER.part`.
const NEW_DISK: (&str, &str) = (".cartridge-disk-", ".part");

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
    /// It was made, and could not be put where it belongs.
    #[error("could not put the new disk at {}: {source}", path.display())]
    Place {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
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
    if path.symlink_metadata().is_ok() {
        return Err(DiskError::Exists { path: path.to_owned() });
    }
    // Somebody keeps it: it must be whole even if we are killed while it is made.
    let place = |source| DiskError::Place { path: path.to_owned(), source };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sweep_new_disks(dir);
    let mut draft = Draft::begin(dir, &new_disk()).map_err(place)?;
    let line = CommandLine::new(qemu_img).args(["create", "-q", "-f", "qcow2", "--"]);
    let line = line.arg(draft.path()).arg(bytes.to_string());
    run(&line, cancel, |_, _| {}).map_err(|source| DiskError::Tool { path: path.to_owned(), source })?;
    draft.file().sync_all().map_err(place)?;
    draft.place_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => DiskError::Exists { path: path.to_owned() },
        _ => place(error),
    })
}

/// Removes from `dir` what somebody who is dead was making a disk in: of the form that [`create_disk`] gives, a regular file of this
/// user's, and held by nobody.
pub fn sweep_new_disks(dir: &Path) {
    sweep_drafts(dir, &new_disk());
}

fn new_disk() -> DraftName {
    DraftName::new(NEW_DISK.0, NEW_DISK.1)
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
    fn a_disk_has_its_name_once_it_is_whole() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let path = at("kept.qcow2");
        let tool = |script: &str| {
            std::fs::write(at("qemu-img"), format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(at("qemu-img"), std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        // What somebody else calls so stays his; what a death in the middle has left goes, unless somebody is at it.
        std::fs::write(at("kept.qcow2.part"), "his").unwrap();
        std::fs::write(at(".cartridge-disk-4711-1.part"), "half").unwrap();
        std::fs::write(at(".cartridge-disk-backup-of-mine.part"), "his").unwrap();
        let alive = Draft::begin(dir.path(), &new_disk()).unwrap();
        tool(&format!("test ! -e '{0}' && test ! -s \"$6\" && echo whole >\"$6\"", path.display()));
        create_disk(&at("qemu-img"), &path, 1 << 20, &Cancel::new()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
        std::fs::remove_file(&path).unwrap();
        tool("echo half >\"$6\"; exit 1");
        create_disk(&at("qemu-img"), &path, 1 << 20, &Cancel::new()).unwrap_err();
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        let alive = alive.path().file_name().unwrap();
        let others = [".cartridge-disk-backup-of-mine.part", "kept.qcow2.part", "qemu-img"].map(std::ffi::OsStr::new);
        assert_eq!(names, [&[alive], &others[..]].concat());
        assert_eq!(std::fs::read_to_string(at("kept.qcow2.part")).unwrap(), "his");
    }

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
        let failed = |path: &str, bytes| {
            let made = create_disk(Path::new("qemu-img"), &dir.path().join(path), bytes, &Cancel::new());
            made.unwrap_err().to_string()
        };
        let error = failed("disk.qcow2", u64::MAX);
        assert!(error.contains("command: qemu-img create") && error.contains("nvalid image size"), "{error}");
        let error = failed("absent/disk.qcow2", 1 << 20);
        assert!(error.contains("absent/disk.qcow2") && error.contains("No such file"), "{error}");
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
