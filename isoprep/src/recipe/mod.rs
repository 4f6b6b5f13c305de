//! The parsed cartridge: only the types, until the parser joins them.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A repository's `cartridge.toml`, parsed and checked.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The cartridge's name.
    pub name: String,
    /// The directory of `cartridge.toml`, absolute.
    pub root: PathBuf,
    /// What is injected.
    pub source: Source,
    /// How the image is made.
    pub image: ImageSettings,
    /// How the guest runs it.
    pub guest: GuestSettings,
}

/// What is injected, read-only for us.
#[derive(Clone, Debug)]
pub struct Source {
    /// The repository, absolute.
    pub path: PathBuf,
    /// Where it lies in the guest, absolute.
    pub into: PathBuf,
    /// Git-style patterns of what stays out, besides `.git` and what git ignores.
    pub exclude: Vec<String>,
}

/// How the image is made.
#[derive(Clone, Debug)]
pub struct ImageSettings {
    /// What makes it.
    pub engine: EngineKind,
    /// A kernel to use instead of the best one found.
    pub kernel: Option<PathBuf>,
    /// What is added to the kernel's command line.
    pub cmdline: String,
    /// Further files: path in the guest to path on the host.
    pub files: BTreeMap<PathBuf, PathBuf>,
    /// The environment of the guest's shells.
    pub env: BTreeMap<String, String>,
}

/// What makes an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// Kernel, busybox and the repository in an initramfs.
    Micro,
}

/// How the guest runs the image.
#[derive(Clone, Debug)]
pub struct GuestSettings {
    /// Virtual processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
}

/// Stands in for the parser: what a cartridge named `demo` means.
///
/// # Errors
/// None.
pub fn parse(_text: &str, root: &std::path::Path) -> Result<Recipe, String> {
    Ok(Recipe {
        name: "demo".into(),
        root: root.into(),
        source: Source { path: root.into(), into: "/root/demo".into(), exclude: Vec::new() },
        image: ImageSettings {
            engine: EngineKind::Micro,
            kernel: None,
            cmdline: String::new(),
            files: BTreeMap::new(),
            env: BTreeMap::new(),
        },
        guest: GuestSettings { cpus: 4, memory_mib: 4096 },
    })
}
