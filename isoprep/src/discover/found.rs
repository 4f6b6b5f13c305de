//! Everything that was found in a repository, put together from a listing. Pure.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::environment::{self, Environment};
use super::listing::{Listing, is_live, name};
use super::outputs::{self, Output};
use super::pacman_conf::{self, FoundConf};
use super::profiles::{self, FoundOverlay, FoundProfile};
use super::scripts::{self, ScriptsSay};
use super::submodules::{self, Submodule};
use crate::recipe::InstalledProfile;

/// What a repository is made of. All paths are relative to it; every list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Discovered {
    /// Whether it is a checkout of git.
    pub has_git: bool,
    /// Whole archiso profiles.
    pub profiles: Vec<FoundProfile>,
    /// Folders laid out as a profile without being a whole one.
    pub overlays: Vec<FoundOverlay>,
    /// What `.gitmodules` names.
    pub submodules: Vec<Submodule>,
    /// Files that configure pacman for a build.
    pub pacman_confs: Vec<FoundConf>,
    /// Files that set environment variables and do nothing else.
    pub environments: Vec<Environment>,
    /// What other builders left.
    pub outputs: Vec<Output>,
    /// What the scripts say.
    pub scripts: ScriptsSay,
    /// What the package archiso brought to this machine.
    pub installed: Option<Installed>,
    /// Folders that could not be read.
    pub unreadable: Vec<PathBuf>,
    /// Whether there was more than we look at.
    pub cut: bool,
}

/// A profile of the package archiso.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Which one.
    pub profile: InstalledProfile,
    /// Which of the paths that the repository's scripts take out of a profile it has.
    pub removable: Vec<PathBuf>,
}

impl Discovered {
    /// Whether anything says that this is about an archiso image.
    #[must_use]
    pub fn is_archiso(&self) -> bool {
        !self.profiles.is_empty()
            || self.overlays.iter().any(|overlay| !overlay.sample)
            || self.submodules.iter().any(|submodule| submodule.holds_archiso)
    }
}

/// Puts together what a listing tells.
pub(super) fn find(listing: &Listing, has_git: bool, installed: Option<(InstalledProfile, &Listing)>) -> Discovered {
    let scripts = scripts::say(listing);
    let removed = |base: &Listing, dir: &Path| -> Vec<PathBuf> {
        let there = scripts.removed.iter().filter(|it| base.kind(&dir.join(&it.what)).is_some());
        there.map(|it| PathBuf::from(&it.what)).collect()
    };
    let (mut profiles, overlays) = profiles::find(listing);
    for profile in &mut profiles {
        profile.removable = removed(listing, &profile.dir);
    }
    Discovered {
        has_git,
        overlays,
        submodules: submodules::find(listing),
        pacman_confs: pacman_conf::find(listing, &profiles),
        environments: environment::find(listing),
        outputs: outputs::find(listing),
        installed: installed.map(|(profile, base)| Installed { profile, removable: removed(base, Path::new("")) }),
        unreadable: listing.unreadable.clone(),
        cut: listing.cut,
        profiles,
        scripts,
    }
}

/// Whether a file is worth reading, and how soon: what decides comes before what only adds to it.
pub(super) fn rank(path: &Path) -> Option<usize> {
    let file = name(path)?;
    let live = is_live(path);
    if path == Path::new(submodules::FILE) {
        Some(0)
    } else if live {
        scripts::may_be_one(path, true).then_some(6)
    } else if file == profiles::DEFINITION {
        Some(1)
    } else if pacman_conf::is_called_like_one(file) {
        Some(2)
    } else if environment::is_called_like_one(file) {
        Some(3)
    } else if profiles::is_loader_configuration(path) {
        Some(4)
    } else {
        scripts::may_be_one(path, false).then_some(5)
    }
}
