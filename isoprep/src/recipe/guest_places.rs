//! Which places in the guest a recipe may fill: the base system has its own things there, and the kernel mounts over some.
//! Here is what engine micro's small base has; whole distributions are in `distribution_places`. Pure; used when a recipe
//! is read and once more before a build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cartridge_initramfs::system;

use super::distribution_places;
use super::model::EngineKind;
use super::values::Problem;

/// Where the kernel's own file systems and the guest's run-time files are mounted, and the program that it starts.
const HIDDEN: [&str; 5] = ["/dev", "/init", "/proc", "/run", "/sys"];
/// Folders that the base system fills, or that are emptied: nothing in them is the repository's.
const FILLED: [&str; 7] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/lib/modules", "/etc/cartridge", "/tmp"];
/// What every image writes besides the fixed part of the base.
const WRITTEN: [&str; 2] = ["/etc/profile.d/cartridge.sh", "/etc/resolv.conf"];

/// What of the base system lies exactly where, by path.
fn base() -> impl Iterator<Item = &'static str> {
    let folders = system::FOLDERS.iter().map(|it| it.0);
    folders.chain(files())
}

/// All of it that is no folder.
fn files() -> impl Iterator<Item = &'static str> {
    let links = system::LINKS.iter().map(|it| it.0);
    links.chain(system::FILES.iter().map(|it| it.0)).chain(WRITTEN)
}

/// Judges where the repository is put.
pub(crate) fn judge_into(into: &Path, engine: EngineKind) -> Result<(), Problem> {
    if engine != EngineKind::Micro {
        return distribution_places::judge_into(into);
    }
    let advice = "use a folder of its own, like \"/root/work\"";
    judge_hidden(into)?;
    if let Some(filled) = FILLED.iter().chain(&["/var/run"]).find(|filled| into.starts_with(filled)) {
        return Err((format!("{filled} belongs to the guest's base system"), advice.to_owned()));
    }
    let inside = base().find(|path| *path != "/" && Path::new(path).starts_with(into) && Path::new(path) != into);
    if let Some(inside) = inside {
        return Err((format!("the guest's base system has {inside} there"), advice.to_owned()));
    }
    match files().find(|path| into.starts_with(path)) {
        Some(file) => Err((format!("{file} is no folder in the guest"), advice.to_owned())),
        None => Ok(()),
    }
}

/// Judges where a single file is put, besides the other files.
pub(crate) fn judge_file(to: &Path, into: &Path, engine: EngineKind) -> Result<(), Problem> {
    if engine != EngineKind::Micro {
        return distribution_places::judge_file(to, into);
    }
    let advice = || "name the file itself, below that folder".to_owned();
    judge_hidden(to)?;
    if into.starts_with(to) {
        let what = if into == to { "is source.into itself" } else { "is a folder above source.into" };
        return Err((what.to_owned(), advice()));
    }
    if base().any(|path| Path::new(path).starts_with(to) && !files().any(|file| Path::new(file) == to)) {
        return Err(("is a folder of the guest's base system".to_owned(), advice()));
    }
    match files().find(|path| to.starts_with(path) && to != Path::new(path)) {
        Some(file) => Err((format!("{file} is no folder in the guest"), "choose another place".to_owned())),
        None => Ok(()),
    }
}

/// The single files that would have to be a folder for another one, with what is wrong.
pub(crate) fn conflicts(files: &BTreeMap<PathBuf, PathBuf>) -> Vec<(&Path, Problem)> {
    // By parents, not by neighbours: "/a", "/a b", "/a/c" is the order of the map.
    let above = |to: &'_ Path| files.keys().find(|other| *other != to && other.starts_with(to)).cloned();
    let judge = |to| {
        let below = above(to)?;
        let what = format!("cannot be a file: {} lies below it", below.display());
        Some((to, (what, "choose another place for one of them".to_owned())))
    };
    files.keys().filter_map(|to| judge(to.as_path())).collect()
}

fn judge_hidden(path: &Path) -> Result<(), Problem> {
    match HIDDEN.iter().find(|hidden| path.starts_with(hidden)) {
        Some(hidden) => {
            let what = format!("{hidden} is hidden by the guest's own mount");
            Err((what, "use another place, like \"/root/work\"".to_owned()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_the_base_fills_are_refused_and_empty_ones_are_not() {
        for into in [
            "/bin",
            "/bin/x",
            "/usr",
            "/usr/local",
            "/usr/share/udhcpc",
            "/etc",
            "/etc/profile.d",
            "/etc/passwd/x",
            "/etc/cartridge/x",
            "/lib",
            "/lib/modules/x",
            "/var",
            "/var/run/x",
            "/tmp",
            "/tmp/x",
            "/dev/x",
            "/init",
            "/init/x",
        ] {
            assert!(judge_into(Path::new(into), EngineKind::Micro).is_err(), "{into}");
        }
        for into in ["/root", "/root/x", "/home", "/opt/x", "/srv/x", "/usr/local/bin", "/usr/src/x", "/etc/x", "/binx"]
        {
            assert_eq!(judge_into(Path::new(into), EngineKind::Micro), Ok(()), "{into}");
        }
    }

    #[test]
    fn a_single_file_is_no_folder_of_anybody() {
        let into = Path::new("/root/demo");
        for to in ["/root", "/root/demo", "/usr", "/etc", "/opt", "/etc/passwd/x", "/run/x"] {
            assert!(judge_file(Path::new(to), into, EngineKind::Micro).is_err(), "{to}");
        }
        for to in ["/root/demo/x", "/root/x", "/etc/hosts", "/usr/local/bin/tool", "/opt/x", "/tmp/x", "/root/dem"] {
            assert_eq!(judge_file(Path::new(to), into, EngineKind::Micro), Ok(()), "{to}");
        }
        let files = ["/a", "/a b", "/a/c", "/d/e"].map(|path| (PathBuf::from(path), PathBuf::new())).into();
        let found: Vec<_> = conflicts(&files).into_iter().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(found, [PathBuf::from("/a")]);
    }
}
