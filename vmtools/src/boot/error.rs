//! What can be wrong with a direct boot before anything is started.

use std::io;
use std::path::{Path, PathBuf};

/// Why nothing can be booted this way. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file or a folder could not be read, or a result could not be written.
    #[error("could not {what} {}: {source}", path.display())]
    Io {
        /// "read the kernel".
        what: &'static str,
        /// What it was tried with.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel is none that QEMU can start.
    #[error("{} is no kernel that can be booted here: it is {found}\n  {advice}", path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
        /// What it is instead: "an empty file", "gzip data".
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// An initial RAM disk is none.
    #[error(
        "{} is no initial RAM disk: it is {found}\n  it has to be a cpio archive (newc), as it is or packed with gzip, xz, \
         zstd, lz4, lzma, bzip2 or lzo",
        path.display()
    )]
    NotAnInitrd {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The folder of modules that was named is none, or belongs to another kernel.
    #[error("{} holds no modules for kernel {release}: {why}\n  {advice}", path.display())]
    NoModules {
        /// The folder.
        path: PathBuf,
        /// The kernel's release.
        release: String,
        /// What is missing.
        why: String,
        /// What to do.
        advice: String,
    },
    /// The kernel lacks what this way of booting needs.
    #[error("kernel {release} cannot boot this way: it has no {}, neither built in nor among {}\n  {advice}",
        missing.join(", no "), modules.display())]
    KernelLacks {
        /// The kernel's release.
        release: String,
        /// Names of modules.
        missing: Vec<String>,
        /// The folder that was looked through.
        modules: PathBuf,
        /// What to do.
        advice: String,
    },
    /// The disk of a layered boot holds nothing that can be a root.
    #[error("{} cannot be the root: it is {found}\n  {advice}", path.display())]
    NotARoot {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// There is no busybox for a guest that consists of it.
    #[error("the guest's own system needs a static busybox, and there is none at {}\n  install busybox-static (Debian, Ubuntu) or busybox (Arch, Fedora), or name an initial RAM disk to boot instead", looked.join(", "))]
    NoBusybox {
        /// Where it was looked for.
        looked: Vec<String>,
    },
    /// A word of the command line cannot be passed on.
    #[error(
        "the kernel's command line cannot hold {found}: write it in one line of printable characters, at most {limit} bytes"
    )]
    CommandLine {
        /// What was found.
        found: String,
        /// The most bytes.
        limit: usize,
    },
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl BootError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { what, path: path.clone(), source }
    }
}
