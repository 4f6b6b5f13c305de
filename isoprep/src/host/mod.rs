//! What the host contributes to an image: kernel, busybox, boot loaders, xorriso. Found by looking at known paths, so that
//! a missing part is named with its package before anything is built.

mod kernel;
mod places;
mod program;
mod tools;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::recipe::EngineKind;

pub(crate) use kernel::release_of;
pub use kernel::{Kernel, kernels};
pub use tools::{LoaderParts, Tools};

/// The parts of the host that a build uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostParts {
    /// The kernel.
    pub kernel: Kernel,
    /// A busybox that is linked statically.
    pub busybox: PathBuf,
    /// `isolinux.bin`: starts the CD with BIOS.
    pub isolinux: PathBuf,
    /// `isohdpfx.bin`: starts the USB disk with BIOS.
    pub isohdpfx: PathBuf,
    /// `ldlinux.c32`: isolinux's second half.
    pub ldlinux: PathBuf,
    /// `systemd-bootx64.efi`: starts with UEFI.
    pub systemd_boot: PathBuf,
    /// The program that masters the ISO.
    pub xorriso: PathBuf,
}

/// What the host contributes to an image, by the engine that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Engine micro: the parts themselves.
    Micro(HostParts),
    /// Engines of distributions: programs, and for some boot loaders.
    Distribution(Tools),
}

/// Finds what the engine of a recipe needs.
///
/// # Errors
/// [`MissingParts`] with all that are missing, not only the first.
pub fn host(search: &HostSearch, engine: EngineKind) -> Result<Host, MissingParts> {
    match engine {
        EngineKind::Micro => discover(search).map(Host::Micro),
        engine => Tools::find(search, engine).map(Host::Distribution),
    }
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSearch {
    /// The root of the file system, usually `/`.
    pub root: PathBuf,
    /// Folders that hold `<version>/vmlinuz` and perhaps `<version>/modules/`.
    pub kernel_stores: Vec<PathBuf>,
    /// The kernel that the recipe asks for; a bzImage.
    pub kernel: Option<PathBuf>,
    /// Folders with programs, as in `PATH`.
    pub path: Vec<PathBuf>,
}

/// A part that was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPart {
    /// What it is.
    pub part: &'static str,
    /// Where it was looked for, and what was wrong there.
    pub looked: Vec<String>,
    /// What to install.
    pub advice: String,
}

/// All parts that were not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MissingParts(pub Vec<MissingPart>);

impl fmt::Display for MissingParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parts of an image are missing on this machine:")?;
        for missing in &self.0 {
            write!(f, "\n  {}: {}", missing.part, missing.advice)?;
            for place in &missing.looked {
                write!(f, "\n    looked at {place}")?;
            }
        }
        Ok(())
    }
}

/// Finds every part.
///
/// # Errors
/// [`MissingParts`] with all that are missing, not only the first.
pub fn discover(search: &HostSearch) -> Result<HostParts, MissingParts> {
    let mut missing = Vec::new();
    let mut found = |result: Result<PathBuf, MissingPart>| result.map_err(|part| missing.push(part)).ok();
    let busybox = found(program::static_busybox(search));
    let isolinux = found(places::find(search, &places::ISOLINUX));
    let isohdpfx = found(places::find(search, &places::ISOHDPFX));
    let ldlinux = found(places::find(search, &places::LDLINUX));
    let systemd_boot = found(places::find(search, &places::SYSTEMD_BOOT));
    let xorriso = found(program::xorriso(search));
    let kernel = kernel::choose(search).map_err(|part| missing.push(part)).ok();
    let parts = || {
        Some(HostParts {
            kernel: kernel?,
            busybox: busybox?,
            isolinux: isolinux?,
            isohdpfx: isohdpfx?,
            ldlinux: ldlinux?,
            systemd_boot: systemd_boot?,
            xorriso: xorriso?,
        })
    };
    parts().ok_or(MissingParts(missing))
}

/// `path`, which is absolute, below `root`.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether we may read it, and if not, why.
fn readable(path: &Path) -> Result<(), String> {
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(format!("{}: not a file", path.display())),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}
