//! Tells whole archiso profiles from overlays: folders that are laid out as one and lack what makes it whole. Pure.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::listing::{AIROOTFS, Kind, Listing, is_live, name};

/// What makes a folder a profile.
pub(super) const DEFINITION: &str = "profiledef.sh";
/// The folders of a profile that configure a boot loader.
const LOADERS: [&str; 3] = ["efiboot", "grub", "syslinux"];
/// Architectures that a list of packages may be for.
const ARCHITECTURES: [&str; 7] = ["x86_64", "i686", "aarch64", "armv7h", "riscv64", "loong64", "any"];
/// Words that mark what archiso replaces in a loader's configuration, or what its initramfs reads.
const TEMPLATES: [&str; 4] = ["%INSTALL_DIR%", "%ARCHISO_", "archisobasedir", "archisosearchuuid"];
/// Folders whose profiles are there to be looked at, not to be built.
const SAMPLES: [&str; 9] = ["test", "tests", "example", "examples", "fixtures", "testdata", "doc", "docs", "samples"];

/// A whole profile: it has a definition and a list of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundProfile {
    /// Its folder.
    pub dir: PathBuf,
    /// Its list of packages.
    pub packages: PathBuf,
    /// Where its list has another name than archiso looks for: all lists of the kind, of which a script takes one.
    pub others: Vec<PathBuf>,
    /// The `pacman_conf` of its definition, where one plain line sets it.
    pub pacman_conf: Option<String>,
    /// Whether it is one of archiso's own, in a copy of archiso.
    pub upstream: bool,
    /// Whether it is in a folder of tests or examples.
    pub sample: bool,
    /// Which of the paths that the repository's scripts take out of a profile it has.
    pub removable: Vec<PathBuf>,
}

/// A folder to be laid over a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundOverlay {
    /// Its folder.
    pub dir: PathBuf,
    /// What makes it one: names of what it has.
    pub signs: Vec<String>,
    /// The `pacman_conf` of its definition, where it has one and one plain line sets it.
    pub pacman_conf: Option<String>,
    /// Whether it is in a folder of tests or examples.
    pub sample: bool,
}

pub(super) fn find(listing: &Listing) -> (Vec<FoundProfile>, Vec<FoundOverlay>) {
    let (mut profiles, mut overlays) = (Vec::new(), Vec::new());
    let inside_of_one = |dir: &Path| {
        is_live(dir) || dir.components().any(|part| LOADERS.iter().any(|loader| part.as_os_str() == *loader))
    };
    // What git ignores was made by a program.
    for dir in listing.folders.keys().filter(|dir| !inside_of_one(dir) && !listing.is_ignored(dir)) {
        let defined = listing.is_file(&dir.join(DEFINITION));
        let (list, others) = package_list(listing, dir, defined);
        let sample = dir.components().any(|part| SAMPLES.iter().any(|sample| part.as_os_str() == *sample));
        let pacman_conf = listing.text(&dir.join(DEFINITION)).and_then(plain_pacman_conf);
        match list {
            Some(packages) if defined => {
                let (upstream, removable) = (is_upstream(listing, dir), Vec::new());
                let dir = dir.clone();
                profiles.push(FoundProfile { dir, packages, others, pacman_conf, upstream, sample, removable });
            }
            list => {
                let signs = signs(listing, dir, defined, list.as_deref());
                if !signs.is_empty() {
                    overlays.push(FoundOverlay { dir: dir.clone(), signs, pacman_conf, sample });
                }
            }
        }
    }
    (profiles, overlays)
}

/// `packages.x86_64` and its like; the bare name counts beside a definition only, other programs have a `packages` too.
/// Beside a definition without any of these `packages_desktop.x86_64` and its like do: a script copies one of them.
fn package_list(listing: &Listing, dir: &Path, defined: bool) -> (Option<PathBuf>, Vec<PathBuf>) {
    let names = ARCHITECTURES.iter().map(|arch| format!("packages.{arch}"));
    let mut names = names.chain(defined.then(|| "packages".to_owned())).map(|name| dir.join(name));
    if let Some(own) = names.find(|path| listing.is_file(path)) {
        return (Some(own), Vec::new());
    }
    let is_like_one = |name: &str| {
        let rest = name.strip_prefix("packages").filter(|rest| rest.starts_with(['_', '-']));
        rest.and_then(|rest| rest.rsplit_once('.')).is_some_and(|(_, arch)| ARCHITECTURES.contains(&arch))
    };
    let files = listing.entries(dir).filter(|(_, kind)| defined && *kind == Kind::File);
    let others: Vec<PathBuf> =
        files.filter(|(name, _)| name.to_str().is_some_and(is_like_one)).map(|(name, _)| dir.join(name)).collect();
    (others.first().cloned(), others)
}

/// What makes a folder an overlay. A loader's folder counts if it is archiso's: many programs have one called grub.
fn signs(listing: &Listing, dir: &Path, defined: bool, list: Option<&Path>) -> Vec<String> {
    let mut signs = Vec::new();
    if defined {
        signs.push(DEFINITION.to_owned());
    }
    if listing.is_folder(&dir.join(AIROOTFS)) {
        signs.push(AIROOTFS.to_owned());
    }
    signs.extend(list.and_then(name).map(str::to_owned));
    let loader = |loader: &&&str| {
        let folder = dir.join(loader);
        let mut texts = listing.texts.iter().filter(|text| text.0.starts_with(&folder));
        texts.any(|(path, text)| is_loader_configuration(path) && TEMPLATES.iter().any(|word| text.contains(word)))
    };
    signs.extend(LOADERS.iter().filter(loader).map(|loader| (*loader).to_owned()));
    signs
}

/// Whether it is one of the profiles in a copy of archiso: `configs/releng` beside `archiso/mkarchiso`.
fn is_upstream(listing: &Listing, dir: &Path) -> bool {
    dir.parent()
        .filter(|configs| configs.ends_with("configs"))
        .and_then(Path::parent)
        .is_some_and(|top| matches!(listing.kind(&top.join("archiso/mkarchiso")), Some(Kind::File | Kind::Link)))
}

/// Whether a file configures a boot loader of a profile.
pub(super) fn is_loader_configuration(path: &Path) -> bool {
    let ends = path.extension().is_some_and(|end| end == "cfg" || end == "conf");
    let folders = path.parent().into_iter().flat_map(Path::components);
    ends && folders.into_iter().any(|part| LOADERS.iter().any(|loader| part.as_os_str() == *loader))
}

/// The value of a plain `pacman_conf=` line; a computed one is known only to bash.
fn plain_pacman_conf(text: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix("pacman_conf="))?;
    let value = value.split('#').next()?.trim().trim_matches(['"', '\'']);
    (!value.is_empty() && !value.contains(['$', '`', '"', '\'', '(', ' '])).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::listing::listed;
    use super::*;

    #[test]
    fn profiles_are_whole_and_overlays_are_not() {
        let (profiles, overlays) = find(&listed(&[
            ("iso/archiso/archiso/mkarchiso", ""),
            ("iso/archiso/configs/releng/profiledef.sh", "pacman_conf=\"pacman.conf\"\n"),
            ("iso/archiso/configs/releng/packages.x86_64", ""),
            ("iso/archiso/configs/releng/airootfs/root/deep/airootfs/x", ""),
            ("iso/configs/profiledef.sh", "pacman_conf='pacman-offline.conf' # for now\n"),
            ("iso/configs/airootfs/etc/profiledef.sh", ""),
            ("iso/configs/grub/grub.cfg", "linux /%INSTALL_DIR%/boot"),
            ("mine/profiledef.sh", "pacman_conf=\"$x\"\n"),
            ("mine/packages", ""),
            ("tests/iso/profiledef.sh", ""),
            ("tests/iso/packages.x86_64", ""),
            ("extra/packages.x86_64", ""),
            ("cachy/profiledef.sh", ""),
            ("cachy/packages_desktop.x86_64", ""),
            ("cachy/packages_handheld.x86_64", ""),
            ("theme/grub/theme.cfg", "title-text: \"\""),
            ("tool/packages", ""),
            ("boot/syslinux/a.cfg", "APPEND archisobasedir=x"),
        ]));
        let dirs: Vec<_> = profiles.iter().map(|it| (it.dir.to_str().unwrap(), it.upstream, it.sample)).collect();
        assert_eq!(
            dirs,
            [
                ("cachy", false, false),
                ("iso/archiso/configs/releng", true, false),
                ("mine", false, false),
                ("tests/iso", false, true)
            ]
        );
        assert_eq!(profiles[0].others.len(), 2);
        assert_eq!(profiles[0].packages, Path::new("cachy/packages_desktop.x86_64"));
        assert_eq!(profiles[1].pacman_conf.as_deref(), Some("pacman.conf"));
        assert_eq!(profiles[2].pacman_conf, None);
        let found: Vec<_> = overlays.iter().map(|it| (it.dir.to_str().unwrap(), it.signs.join(" "))).collect();
        assert_eq!(
            found,
            [
                ("boot", "syslinux".to_owned()),
                ("extra", "packages.x86_64".to_owned()),
                ("iso/configs", "profiledef.sh airootfs grub".to_owned()),
            ]
        );
        assert_eq!(overlays[2].pacman_conf.as_deref(), Some("pacman-offline.conf"));
    }
}
