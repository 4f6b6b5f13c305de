//! The parsed recipe: every field has a value, every path is absolute. The guest's part is in `model_guest`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::boot::BootSettings;
use super::model_guest::GuestSettings;
use super::test_section::TestSettings;

/// What a `cartridge.toml` asks for, with all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// The cartridge's name: 1 to 63 letters, digits, `.`, `_`, `-`, starting with a letter or digit.
    pub name: String,
    /// The folder of `cartridge.toml`, absolute.
    pub root: PathBuf,
    /// What is injected.
    pub source: Source,
    /// What is built.
    pub image: ImageSettings,
    /// How it is booted.
    pub boot: BootSettings,
    /// The machine that runs it.
    pub guest: GuestSettings,
    /// What is tried with it.
    pub test: TestSettings,
}

/// The repository that is injected. We only read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The folder on the host, absolute.
    pub path: PathBuf,
    /// Where the guest finds it, absolute in the guest.
    pub into: PathBuf,
    /// What is left out besides `.git` and what git ignores: patterns as in `.gitignore`, relative to `path`.
    pub exclude: Vec<String>,
    /// Whether a running guest sees the folder itself, over what was injected.
    pub live: Live,
}

/// How a running guest sees the repository's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Live {
    /// Not at all: it has what was injected.
    #[default]
    Off,
    /// As it is, to look at.
    ReadOnly,
    /// As it is; what the guest writes over it stays in the guest.
    Overlaid,
    /// As it is, and what the guest writes is written here.
    Writable,
}

/// How the image is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSettings {
    /// Which engine makes it.
    pub engine: EngineKind,
    /// What it is made from.
    pub base: Base,
    /// Folders laid over the base profile, in this order, absolute.
    pub overlays: Vec<PathBuf>,
    /// What is taken out of the base profile before the overlays come: relative to the profile, without `..`.
    pub remove: Vec<PathBuf>,
    /// The `pacman.conf` to build with instead of the profile's own, absolute.
    pub pacman_conf: Option<PathBuf>,
    /// Packages besides those that the base lists, in order.
    pub packages: Vec<String>,
    /// Where packages come from instead of the usual mirrors; for archiso with `$repo` and `$arch`, as in a mirrorlist.
    pub mirror: Option<String>,
    /// Quick or final.
    pub build: BuildKind,
    /// A kernel image to use instead of the best one found on the host, absolute.
    pub kernel: Option<PathBuf>,
    /// Words appended to the kernel's command line.
    pub cmdline: String,
    /// Single files to add: path in the guest to path on the host, both absolute.
    pub files: BTreeMap<PathBuf, PathBuf>,
    /// Environment variables for the guest's shell.
    pub env: BTreeMap<String, String>,
}

/// What makes the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A kernel of the host, busybox and our own init: small, quick, without a distribution.
    Micro,
    /// An archiso profile, built by us.
    Archiso,
    /// An archiso profile, built by the unmodified mkarchiso.
    Mkarchiso,
    /// A Debian suite.
    Debian,
    /// A root file system that is there already.
    Tree,
}

impl EngineKind {
    /// All of them, in the order in which `cartridge.toml` names them.
    pub const ALL: [Self; 5] = [Self::Micro, Self::Archiso, Self::Mkarchiso, Self::Debian, Self::Tree];

    /// As it is written in `cartridge.toml`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Archiso => "archiso",
            Self::Mkarchiso => "mkarchiso",
            Self::Debian => "debian",
            Self::Tree => "tree",
        }
    }

    /// Whether it builds an archiso profile.
    #[must_use]
    pub const fn takes_a_profile(self) -> bool {
        matches!(self, Self::Archiso | Self::Mkarchiso)
    }
}

/// What an image is made from. Which of these there can be depends on the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// Engine micro: parts of this machine, nothing to choose. Engine debian: this machine's own suite where it is Debian,
    /// else `stable`.
    Host,
    /// Engines archiso and mkarchiso: the folder of a profile. Engine tree: the folder that becomes the root. Absolute.
    Folder(PathBuf),
    /// Engines archiso and mkarchiso: a profile that the package archiso brought to this machine.
    Installed(InstalledProfile),
    /// Engines archiso and mkarchiso: our own small profile.
    Minimal,
    /// Engine debian: a suite, like `stable` or `trixie`.
    Suite(String),
    /// Engine tree: a tarball that holds the root, absolute; known by its name.
    Tarball(PathBuf),
}

/// A profile that the package archiso installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstalledProfile {
    /// What Arch's own monthly image is made from.
    Releng,
    /// The least that boots.
    Baseline,
}

impl InstalledProfile {
    /// As it is written in `cartridge.toml`; also the name of its folder.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Releng => "releng",
            Self::Baseline => "baseline",
        }
    }

    /// Where the package puts it.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        Path::new(INSTALLED_PROFILES).join(self.word())
    }
}

/// Where the package archiso puts its profiles (`profiledir` of archiso's own Makefile, version 88).
pub const INSTALLED_PROFILES: &str = "/usr/share/archiso/configs";

/// What a build is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildKind {
    /// To be tried: quick to make, quick to remake.
    Dev,
    /// To be given away: everything is in the root image, packed as the base says.
    Release,
}
