//! Which checkout of git a profile lies in, and how its code finds it where an assembled copy stands in for the profile.

use std::fs;
use std::path::{Path, PathBuf};

/// What makes a folder a checkout of git: a folder, or a file that names one.
pub(super) const CHECKOUT: &str = ".git";

/// A place for the checkout of the folder that a copy stands for, in the copy, while its code runs.
pub(super) struct CheckoutPlace(Option<PathBuf>);

impl CheckoutPlace {
    /// Without a place there is no checkout to be seen, and git says so.
    pub(super) fn make(copy: &Path, place: &Path) -> Self {
        let (own, wanted) = (copy.join(CHECKOUT), place.join(CHECKOUT));
        let made = match fs::symlink_metadata(&wanted) {
            Ok(meta) if meta.is_dir() => fs::create_dir(&own),
            Ok(meta) if meta.is_file() => fs::File::create_new(&own).map(drop),
            _ => return Self(None),
        };
        Self(made.is_ok().then_some(own))
    }
}

impl Drop for CheckoutPlace {
    fn drop(&mut self) {
        // Empty as it was made; what cannot be removed goes with the copy.
        let _ = self.0.take().map(|own| fs::remove_dir(&own).or_else(|_| fs::remove_file(&own)));
    }
}

/// What a profile sees of where it lies: the outermost checkout, because profiles ask git for versions and source files that
/// lie beside them; but never the home folder, which may be a checkout too.
pub(super) fn repository_of(dir: &Path, home: Option<&Path>) -> PathBuf {
    let is_narrow = |above: &&Path| above.parent().is_some() && !home.is_some_and(|home| home.starts_with(above));
    let checkouts = dir.ancestors().take_while(is_narrow).filter(|above| above.join(CHECKOUT).exists());
    checkouts.last().unwrap_or(dir).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_checkout_is_seen_but_never_the_home_folder() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let profile = at("home/repo/modules/archiso/configs/releng");
        std::fs::create_dir_all(&profile).unwrap();
        let home = at("home");
        assert_eq!(repository_of(&profile, Some(&home)), profile, "no checkout: the profile alone");
        std::fs::write(at("home/repo/modules/archiso/.git"), "gitdir: x").unwrap();
        assert_eq!(repository_of(&profile, Some(&home)), at("home/repo/modules/archiso"));
        std::fs::create_dir(at("home/repo/.git")).unwrap();
        assert_eq!(repository_of(&profile, Some(&home)), at("home/repo"));
        std::fs::create_dir(at("home/.git")).unwrap();
        assert_eq!(repository_of(&profile, Some(&home)), at("home/repo"), "the home folder is a checkout too");
        std::fs::create_dir(at(".git")).unwrap();
        assert_eq!(repository_of(&profile, Some(&home)), at("home/repo"));
        assert_eq!(repository_of(&home, Some(&home)), home);
    }
}
