//! What a profile is assembled from, and what comes out: plain data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::problem::{Problem, Warning};
use crate::cache::stat_index::Look;

/// The folder of a profile that becomes the live system's root.
pub(super) const AIROOTFS: &str = "airootfs";
/// What makes a folder a profile.
pub(super) const DEFINITION: &str = "profiledef.sh";
/// The profile's pacman configuration, by the name that we give it.
pub(super) const PACMAN_CONF: &str = "pacman.conf";

/// What a profile is assembled from. Paths of the host are absolute, or relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingredients {
    /// The complete profile to begin with.
    pub base: PathBuf,
    /// Folders laid over it, in order. They look like a profile, but need not be complete.
    pub overlays: Vec<PathBuf>,
    /// What of the base is left out, by path relative to the profile: `airootfs/etc/motd`. A folder goes with all that
    /// is in it; of a link, the link goes.
    pub remove: Vec<PathBuf>,
    /// The `pacman.conf` to use instead of the profile's own.
    pub pacman_conf: Option<PathBuf>,
    /// Packages to install besides those that the profile lists.
    pub packages: Vec<String>,
    /// The package list that the profile uses, by path relative to it, where `profiledef.sh` was evaluated (`arch` and
    /// `packages` are variables there). Without it: `packages.x86_64`, else the only `packages.*`, else `packages`.
    pub package_list: Option<PathBuf>,
    /// Single files: absolute path in the live system to path on the host.
    pub files: BTreeMap<PathBuf, PathBuf>,
    /// Environment variables of the live system.
    pub env: BTreeMap<String, String>,
    /// Where the live system finds the repository, absolute.
    pub into: PathBuf,
}

/// What something in a profile is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Dir,
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
    },
    /// A symbolic link, which may lead nowhere: many in `airootfs` lead to what a package brings.
    Link {
        /// Where it leads.
        target: OsString,
    },
}

/// Where a piece of a profile came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The base.
    Base,
    /// An overlay, counted from 0.
    Overlay(usize),
    /// The chosen `pacman.conf`.
    PacmanConf,
    /// A package list to which packages were added.
    Packages,
    /// A single file.
    File,
    /// The environment.
    Env,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Overlay(index) => write!(f, "overlay {}", index + 1),
            Self::PacmanConf => f.write_str("pacman_conf"),
            Self::Packages => f.write_str("packages"),
            Self::File => f.write_str("files"),
            Self::Env => f.write_str("env"),
        }
    }
}

/// One file, folder or link of an assembled profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Its permission bits in the assembled folder, 0 to 0o7777; of no meaning for a link.
    pub mode: u32,
    /// Who brought it. A folder belongs to the first that has it.
    pub origin: Origin,
    /// What it is a copy of, on the host; for an extended package list, what was extended. `None` for what we made.
    pub from: Option<PathBuf>,
    /// Whose piece of the same path it took the place of, oldest first.
    pub replaced: Vec<Origin>,
    /// The content of a file, where it is not that of `from`.
    pub text: Option<Vec<u8>>,
    /// The mode that it has to have in the live system, where that is not the 644 of every file or 755 of every folder.
    pub(super) wished: Option<u32>,
    /// How it looked when it was listed.
    pub(super) look: Look,
}

/// A profile as it will be: decided, not yet written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembly {
    /// Every piece by its path relative to the profile. All above a piece are folders.
    pub pieces: BTreeMap<PathBuf, Piece>,
    /// What `remove` took away from the base.
    pub removed: BTreeMap<PathBuf, Piece>,
    /// The chosen `pacman.conf` by path relative to the profile, if one was chosen. `profiledef.sh` may name another
    /// file: an engine has to use this one whatever it names (mkarchiso's `-C`).
    pub pacman_conf: Option<PathBuf>,
    /// The package list that `packages` were added to, relative to the profile. An engine that finds that
    /// `profiledef.sh` names another one plans again with [`Ingredients::package_list`].
    pub package_list: Option<PathBuf>,
    /// The packages that were added: those that the list did not have.
    pub packages: Vec<String>,
    /// Where the live system finds the repository, absolute.
    pub into: PathBuf,
    /// Base and overlays, in order.
    pub layers: Vec<PathBuf>,
    /// Why it cannot be written. Empty for a good one.
    pub problems: Vec<Problem>,
    /// What looks like a mistake and stops nothing.
    pub warnings: Vec<Warning>,
}

impl Assembly {
    /// What of `airootfs` lies inside the repository's place, by path relative to that: the repository is laid over it,
    /// and the live system finds both. [`Origin::File`] among them means that the cartridge wants this one file to win.
    pub fn inside_into(&self) -> impl Iterator<Item = (&Path, &Piece)> {
        let place = in_airootfs(&self.into);
        self.pieces.iter().filter_map(move |(path, piece)| {
            let inside = path.strip_prefix(place.as_ref()?).ok()?;
            (!inside.as_os_str().is_empty()).then_some((inside, piece))
        })
    }

    /// The layer that brought `profiledef.sh`: where its code asks git, and finds what lies beside the profile.
    #[must_use]
    pub fn definition_layer(&self) -> Option<&Path> {
        let index = match self.pieces.get(Path::new(DEFINITION))?.origin {
            Origin::Base => 0,
            Origin::Overlay(index) => index.checked_add(1)?,
            _ => return None,
        };
        self.layers.get(index).map(PathBuf::as_path)
    }

    /// Content in bytes, all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pieces.values().map(Piece::size).fold(0, u64::saturating_add)
    }
}

impl Piece {
    /// Bytes of content; 0 for what is no file.
    #[must_use]
    pub fn size(&self) -> u64 {
        if let Kind::File { size } = self.kind { size } else { 0 }
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }
}

impl Kind {
    /// "folder", "file" or "link".
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Dir => "folder",
            Self::File { .. } => "file",
            Self::Link { .. } => "link",
        }
    }
}

/// Where something of the live system lies in a profile; `None` if `path` is not absolute, has dots, or is the root.
pub(super) fn in_airootfs(path: &Path) -> Option<PathBuf> {
    Some(Path::new(AIROOTFS).join(plain(path.strip_prefix("/").ok()?)?))
}

/// A path relative to the profile without dots; `None` for any other, and for the profile itself.
pub(super) fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!plain.as_os_str().is_empty()).then_some(plain)
}
